"""Scenarios of making: what an item was made from, and how sure that is."""

from typing import Any

from tests.ledger.provenance.fakes import (
    DAIRY,
    FARM,
    ask,
    case,
    commission,
    gap_kinds,
    intervals,
    item,
    ledger_of,
    lot,
    object_event,
    pack,
    quantity,
    receive,
    ship,
    told,
    trailer,
    transform,
    unpack,
)

BATCH = "urn:epc:id:gdti:9506000.00001.B1"
PRODUCT = "https://id.gs1.org/01/09506000134352"


def inputs(answer: dict[str, Any], output: str | None = None) -> list[tuple[Any, ...]]:
    return [
        (one["input"], one["precision"], one["quantity"])
        for one in answer["derivation"]["inputs"]
        if output in (None, one["output"])
    ]


def outputs(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = answer["derivation"]["outputs"]
    return [(one["output"], one["precision"], one["quantity"]) for one in rows]


def test_16_events_of_one_transformation_join_all_inputs_to_all_outputs() -> None:
    source = ledger_of(
        commission("1 07:00", item(1), item(2)),
        transform("1 08:00", [item(1)], [], transformationID=BATCH),
        transform("1 09:00", [item(2)], [case(1)], transformationID=BATCH),
        transform("1 10:00", [], [case(2)], transformationID=BATCH),
    )
    for made in (case(1), case(2)):
        answer = ask(source, made)
        assert inputs(answer) == [(item(1), "exact", None), (item(2), "exact", None)]
        assert told(answer, "transformed", item(1)) == [
            "1 07:00 commissioning",
            "1 08:00 TransformationEvent",
        ]
        assert "no_origin" not in gap_kinds(answer)
    assert outputs(ask(source, item(1))) == [(case(1), "exact", None), (case(2), "exact", None)]


def test_17_without_a_transformation_id_events_are_not_joined() -> None:
    source = ledger_of(
        commission("1 07:00", item(1), item(2)),
        transform("1 08:00", [item(1)], [case(1)]),
        transform("1 09:00", [item(2)], [case(2)]),
    )
    assert inputs(ask(source, case(1))) == [(item(1), "exact", None)]
    assert inputs(ask(source, case(2))) == [(item(2), "exact", None)]


def test_18_a_transformation_id_used_by_two_companies_joins_each_ones_own() -> None:
    source = ledger_of(
        transform("1 08:00", [item(1)], [case(1)], transformationID=BATCH),
        (FARM, transform("1 09:00", [item(2)], [case(2)], transformationID=BATCH)),
    )
    answer = ask(source, case(1))
    assert inputs(answer) == [(item(1), "exact", None)]
    assert "split_transformation" in gap_kinds(answer)


def test_18_a_transformation_id_used_months_apart_is_two_transformations() -> None:
    source = ledger_of(
        transform("1 08:00", [item(1)], [case(1)], transformationID=BATCH),
        transform("2026-06-01T08:00:00Z", [item(2)], [case(2)], transformationID=BATCH),
    )
    for made, from_ in ((case(1), item(1)), (case(2), item(2))):
        answer = ask(source, made)
        assert inputs(answer) == [(from_, "exact", None)]
        assert "split_transformation" in gap_kinds(answer)


def test_19_an_input_that_is_partly_consumed_and_used_again_is_traced_to_each_use() -> None:
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(lot("A"), 100)]),
        transform("1 08:00", [(lot("A"), 30)], [case(1)]),
        object_event("1 09:00", quantityList=[quantity(lot("A"), 70)], bizStep="storing"),
        transform("1 10:00", [(lot("A"), 70)], [case(2)]),
    )
    first, second = ask(source, case(1)), ask(source, case(2))
    assert inputs(first) == [(lot("A"), "lot", 30)]
    assert inputs(second) == [(lot("A"), "lot", 70)]
    assert "1 09:00 storing" not in told(first)
    assert "1 09:00 storing" in told(second)
    assert "quantity_imbalance" not in gap_kinds(second)


def test_20_of_a_lot_that_is_part_used_and_part_shipped_each_branch_is_only_possible() -> None:
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(lot("A"), 100)]),
        transform("1 08:00", [(lot("A"), 30)], [case(1)]),
        object_event("1 09:00", quantityList=[quantity(lot("A"), 70)], bizStep="shipping"),
    )
    answer = ask(source, lot("A"))
    assert outputs(answer) == [(case(1), "possible", 30)]
    assert "1 09:00 shipping" in told(answer)


def test_20_using_more_of_a_lot_than_there_was_is_an_imbalance() -> None:
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(lot("A"), 100)]),
        transform("1 08:00", [(lot("A"), 80)], [case(1)]),
        transform("1 09:00", [(lot("A"), 30)], [case(2)]),
    )
    assert "quantity_imbalance" in gap_kinds(ask(source, case(2)))


def test_21_lots_merged_in_a_tank_and_split_again_are_an_ambiguity_set() -> None:
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(lot("A"), 60)]),
        commission("1 06:30", quantityList=[quantity(lot("B"), 40)]),
        transform("1 08:00", [(lot("A"), 60), (lot("B"), 40)], [(lot("MIX"), 100)]),
        transform("1 09:00", [(lot("MIX"), 30)], [case(1)]),
        transform("1 10:00", [(lot("MIX"), 70)], [case(2)]),
    )
    for made, amount in ((case(1), 30), (case(2), 70)):
        answer = ask(source, made)
        assert inputs(answer, made) == [(lot("MIX"), "lot", amount)]
        assert inputs(answer, lot("MIX")) == [(lot("A"), "lot", 60), (lot("B"), "lot", 40)]
        assert told(answer, "transformed", lot("B"))[0] == "1 06:30 commissioning"
        assert "quantity_imbalance" not in gap_kinds(answer)


def test_21_a_lot_made_in_two_transformations_came_possibly_from_either() -> None:
    source = ledger_of(
        transform("1 07:00", [(lot("A"), 10)], [(lot("MIX"), 10)]),
        transform("1 08:00", [(lot("B"), 10)], [(lot("MIX"), 10)]),
        transform("1 09:00", [(lot("MIX"), 5)], [case(1)]),
    )
    found = inputs(ask(source, case(1)), lot("MIX"))
    assert found == [(lot("A"), "possible", 10), (lot("B"), "possible", 10)]


def test_22_items_of_a_lot_packed_by_class_are_in_no_container_by_name() -> None:
    made = "https://id.gs1.org/01/09506000134352/10/L1"
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(lot("A"), 100)]),
        transform(
            "1 08:00",
            [(lot("A"), 100)],
            [item(1), item(2)],
            ilmd={"cbvmda:lotNumber": "L1"},
        ),
        pack("1 09:00", case(1), childQuantityList=[quantity(made, 2, None)]),
    )
    answer = ask(source, item(1))
    assert answer["containment"] == []
    assert inputs(answer) == [(lot("A"), "lot", 100)]
    assert intervals(ask(source, made)) == [(case(1), "1 09:00", None)]


def test_22_an_instance_without_serial_history_climbs_to_its_lot() -> None:
    made = "https://id.gs1.org/01/09506000134352/10/L1"
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(lot("A"), 100)]),
        transform("1 08:00", [(lot("A"), 100)], [(made, 50, None)]),
        commission("1 09:00", item(1), ilmd={"cbvmda:lotNumber": "L1"}),
    )
    answer = ask(source, item(1))
    assert inputs(answer, item(1)) == [(made, "lot", None)]
    assert answer["derivation"]["inputs"][0]["kind"] == "lot"
    assert told(answer, "lot") == ["1 08:00 TransformationEvent"]
    assert inputs(answer, made) == [(lot("A"), "lot", 100)]
    assert told(answer, epc=lot("A"))[0] == "1 06:00 commissioning"


def test_23_quantities_and_serials_in_one_packing_are_told_apart() -> None:
    source = ledger_of(
        commission("1 06:00", item(1)),
        commission("1 06:00", quantityList=[quantity(lot("A"), 100)]),
        pack("1 08:00", case(1), item(1), childQuantityList=[quantity(lot("A"), 40)]),
        pack("1 08:30", case(2), childQuantityList=[quantity(lot("A"), 60)]),
        object_event("1 09:00", case(1), bizStep="shipping"),
        unpack("1 10:00", case(1), childQuantityList=[quantity(lot("A"), 40)]),
        object_event("1 11:00", case(1), bizStep="holding"),
    )
    assert told(ask(source, item(1)), "contained") == [
        "1 09:00 shipping",
        "1 10:00 unpacking",
        "1 11:00 holding",
    ]
    answer = ask(source, lot("A"))
    assert intervals(answer) == [(case(1), "1 08:00", "1 10:00"), (case(2), "1 08:30", None)]
    assert {one["precision"] for one in answer["containment"]} == {"possible"}
    assert told(answer, "contained") == ["1 09:00 shipping"]


def test_24_a_rework_loop_ends() -> None:
    source = ledger_of(
        commission("1 06:00", item(1)),
        transform("1 08:00", [item(1)], [case(1)]),
        transform("1 09:00", [case(1)], [item(1)]),
        transform("1 10:00", [item(1), case(1)], [item(1)]),
        object_event("1 11:00", item(1), bizStep="inspecting"),
    )
    answer = ask(source, item(1))
    assert {one[0] for one in inputs(answer)} == {item(1), case(1)}
    assert told(answer)[0] == "1 06:00 commissioning"
    assert not answer["truncated"]


def test_a_transformation_without_inputs_is_a_gap() -> None:
    answer = ask(
        ledger_of(transform("1 08:00", [], [item(1)], transformationID=BATCH)), item(1)
    )
    assert inputs(answer) == []
    assert "unknown_inputs" in gap_kinds(answer)


def test_an_input_named_by_product_only_is_possible_and_not_followed() -> None:
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(PRODUCT, 5, None)]),
        transform("1 08:00", [(PRODUCT, 5, None)], [case(1)]),
    )
    answer = ask(source, case(1))
    assert inputs(answer) == [(PRODUCT, "possible", 5)]
    assert "unknown_lot" in gap_kinds(answer)
    assert told(answer) == ["1 08:00 TransformationEvent"]


def test_what_nothing_made_has_no_origin_and_says_so() -> None:
    answer = ask(ledger_of(object_event("1 08:00", item(1), bizStep="shipping")), item(1))
    assert "no_origin" in gap_kinds(answer)
    answer = ask(ledger_of(transform("1 08:00", [(lot("A"), 1)], [item(1)])), item(1))
    assert "no_origin" in gap_kinds(answer, lot("A"))


def test_a_lot_inherits_the_journey_of_its_tanker_up_to_its_use() -> None:
    tanker = trailer("T1")
    source = ledger_of(
        (FARM, commission("1 06:00", quantityList=[quantity(lot("A"), 100)])),
        (
            FARM,
            pack(
                "1 06:10",
                tanker,
                bizStep="loading",
                childQuantityList=[quantity(lot("A"), 100)],
            ),
        ),
        (FARM, ship("1 07:00", tanker, giver=FARM, taker=DAIRY)),
        receive("1 09:00", tanker, giver=FARM, taker=DAIRY),
        unpack("1 09:30", tanker, bizStep="unloading"),
        object_event("1 10:00", tanker, bizStep="cleaning"),
        transform("1 12:00", [(lot("A"), 100)], [item(1)]),
    )
    answer = ask(source, item(1))
    assert told(answer, epc=lot("A")) == [
        "1 06:00 commissioning",
        "1 06:10 loading",
        "1 07:00 shipping",
        "1 09:00 receiving",
        "1 09:30 unloading",
    ]
    (shipping,) = [one for one in answer["events"] if one["biz_step"] == "shipping"]
    assert shipping["path"] == [item(1), lot("A"), tanker]
    assert shipping["precision"] == "lot"
    assert shipping["tier"] == 1
    assert [(one["tier"], one["party"]) for one in answer["tiers"]] == [(0, DAIRY), (1, FARM)]


def test_20_amounts_are_compared_whatever_unit_they_are_stated_in() -> None:
    def ledger(used: float, unit: str) -> Any:
        made = commission("1 06:00", quantityList=[quantity(lot("A"), 1, "KGM")])
        return ledger_of(
            made, transform("1 08:00", [(lot("A"), used, unit)], [item(1)], bizStep="other")
        )

    assert "quantity_imbalance" in gap_kinds(ask(ledger(1500, "GRM"), item(1)))
    assert "quantity_imbalance" not in gap_kinds(ask(ledger(1000, "GRM"), item(1)))
    assert "quantity_imbalance" not in gap_kinds(ask(ledger(1500, "LTR"), item(1)))


def test_21_a_gram_taken_from_a_kilogram_leaves_the_rest_inside() -> None:
    source = ledger_of(
        commission("1 06:00", quantityList=[quantity(lot("A"), 1, "KGM")]),
        pack("1 07:00", trailer(1), childQuantityList=[quantity(lot("A"), 1, "KGM")]),
        unpack("1 08:00", trailer(1), childQuantityList=[quantity(lot("A"), 2, "GRM")]),
        object_event("1 09:00", trailer(1), bizStep="departing"),
    )
    answer = ask(source, lot("A"))
    assert told(answer, "contained") == ["1 09:00 departing"]
    source.capture(
        unpack("1 10:00", trailer(1), childQuantityList=[quantity(lot("A"), 998.5, "GRM")]),
        object_event("1 11:00", trailer(1), bizStep="arriving"),
    )
    answer = ask(source, lot("A"))
    assert told(answer, "contained") == ["1 09:00 departing"]
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "quantity_imbalance"]
    assert "0.9985 KGM" in gap["why"]
