"""Scenarios of packing and unpacking: who inherits what, and when."""

from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    CENTRE,
    DAIRY,
    ListSource,
    ask,
    bolt,
    case,
    commission,
    gap_kinds,
    intervals,
    item,
    ledger_of,
    lot,
    object_event,
    pack,
    pallet,
    quantity,
    receive,
    ship,
    temperature,
    told,
    trailer,
    unpack,
)


def nested() -> ListSource:
    """An item in a case in a pallet in a trailer, which departs and arrives."""
    return ledger_of(
        commission("1 08:00", item(1), bizLocation=AT_DAIRY),
        object_event("1 08:10", case(1), bizStep="inspecting"),
        pack("1 09:00", case(1), item(1)),
        object_event("1 09:30", pallet(1), bizStep="inspecting"),
        pack("1 10:00", pallet(1), case(1)),
        pack("1 11:00", trailer(1), pallet(1), bizStep="loading"),
        ship("1 12:00", trailer(1), giver=DAIRY, taker=CENTRE),
        (CENTRE, receive("2 12:00", trailer(1), giver=DAIRY, taker=CENTRE)),
        (CENTRE, unpack("2 13:00", trailer(1), pallet(1), bizStep="unloading")),
        (CENTRE, object_event("2 14:00", trailer(1), bizStep="cycle_counting")),
        (CENTRE, unpack("2 15:00", pallet(1), case(1))),
        (CENTRE, object_event("2 16:00", pallet(1), bizStep="destroying")),
        (CENTRE, unpack("2 17:00", case(1), item(1))),
        (CENTRE, object_event("2 18:00", case(1), bizStep="storing")),
        (CENTRE, object_event("2 19:00", item(1), bizStep="inspecting")),
    )


def test_01_an_item_in_a_case_in_a_pallet_in_a_trailer_inherits_its_departure() -> None:
    answer = ask(nested(), item(1), at="2 12:00")
    (departure,) = [one for one in answer["events"] if one["biz_step"] == "shipping"]
    assert departure["via"] == "contained"
    assert departure["path"] == [item(1), case(1), pallet(1), trailer(1)]
    assert departure["entry"] == 6
    assert answer["state"]["containers"] == [case(1), pallet(1), trailer(1)]
    assert answer["state"]["container"] == case(1)


def test_02_nothing_is_inherited_before_packing_and_after_unpacking() -> None:
    answer = ask(nested(), item(1))
    assert told(answer) == [
        "1 08:00 commissioning",
        "1 09:00 packing",
        "1 10:00 packing",
        "1 11:00 loading",
        "1 12:00 shipping",
        "2 12:00 receiving",
        "2 13:00 unloading",
        "2 15:00 unpacking",
        "2 17:00 unpacking",
        "2 19:00 inspecting",
    ]
    assert told(answer, "direct") == [
        "1 08:00 commissioning",
        "1 09:00 packing",
        "2 17:00 unpacking",
        "2 19:00 inspecting",
    ]
    assert intervals(answer) == [
        (case(1), "1 09:00", "2 17:00"),
        (pallet(1), "1 10:00", "2 15:00"),
        (trailer(1), "1 11:00", "2 13:00"),
    ]
    before = ask(nested(), item(1), at="1 08:30")
    assert told(before) == ["1 08:00 commissioning"]
    assert before["state"]["container"] is None
    after = ask(nested(), item(1), at="2 18:00")
    assert after["state"]["containers"] == []


def test_03_a_crate_on_two_trips_contaminates_neither_of_its_contents() -> None:
    crate = trailer(77)
    source = ledger_of(
        commission("1 07:00", item(1)),
        commission("1 07:30", item(2)),
        pack("1 08:00", crate, item(1)),
        object_event("1 09:00", crate, bizStep="shipping"),
        unpack("1 10:00", crate, item(1)),
        pack("3 08:00", crate, item(2)),
        object_event("3 09:00", crate, bizStep="transporting"),
        unpack("3 10:00", crate, item(2)),
    )
    first, second = ask(source, item(1)), ask(source, item(2))
    assert told(first, "contained") == ["1 09:00 shipping"]
    assert told(second, "contained") == ["3 09:00 transporting"]


def test_04_an_item_twice_in_one_crate_has_two_intervals() -> None:
    crate = trailer(77)
    source = ledger_of(
        commission("1 07:00", item(1)),
        pack("1 08:00", crate, item(1)),
        object_event("1 09:00", crate, bizStep="holding"),
        unpack("1 10:00", crate, item(1)),
        object_event("2 09:00", crate, bizStep="cleaning"),
        pack("5 08:00", crate, item(1)),
        object_event("5 09:00", crate, bizStep="storing"),
        unpack("5 10:00", crate, item(1)),
    )
    answer = ask(source, item(1))
    assert intervals(answer) == [(crate, "1 08:00", "1 10:00"), (crate, "5 08:00", "5 10:00")]
    assert told(answer, "contained") == ["1 09:00 holding", "5 09:00 storing"]


def test_05_emptying_a_parent_takes_all_children_out_lots_too() -> None:
    milk, tank = lot("A"), trailer(9)
    source = ledger_of(
        commission("1 07:00", item(1)),
        commission("1 07:00", quantityList=[quantity(milk, 100)]),
        pack("1 08:00", tank, item(1), childQuantityList=[quantity(milk, 100)]),
        object_event("1 09:00", tank, bizStep="holding"),
        unpack("1 10:00", tank),
        object_event("1 11:00", tank, bizStep="cleaning"),
    )
    for key in (item(1), milk):
        answer = ask(source, key)
        assert intervals(answer) == [(tank, "1 08:00", "1 10:00")]
        assert told(answer, "contained") == ["1 09:00 holding", "1 10:00 unpacking"]
        assert answer["state"]["container"] is None
    (row,) = ask(source, milk)["containment"]
    assert (row["quantity"], row["uom"], row["precision"]) == (100, "KGM", "lot")


def test_06_taking_out_what_was_never_put_in_ends_an_interval_of_unknown_start() -> None:
    source = ledger_of(
        commission("1 07:00", item(1)),
        object_event("1 09:00", case(1), bizStep="holding"),
        unpack("1 10:00", case(1), item(1)),
    )
    answer = ask(source, item(1))
    (row,) = answer["containment"]
    assert row["from"] is None
    assert row["flags"] == ["unknown_start"]
    assert told(answer, "contained") == []
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "missing_add"]
    assert gap["between"] == [item(1), case(1)]


def test_07_packing_into_a_second_parent_implies_unpacking_from_the_first() -> None:
    source = ledger_of(
        commission("1 07:00", item(1)),
        pack("1 08:00", case(1), item(1)),
        pack("2 08:00", case(2), item(1)),
        object_event("2 09:00", case(1), bizStep="storing"),
        object_event("2 09:30", case(2), bizStep="holding"),
    )
    answer = ask(source, item(1))
    assert intervals(answer) == [(case(1), "1 08:00", "2 08:00"), (case(2), "2 08:00", None)]
    assert answer["containment"][0]["flags"] == ["implicit_unpack"]
    assert told(answer, "contained") == ["2 09:30 holding"]
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "implicit_unpack"]
    assert gap["between"] == [case(1), case(2)]


def test_08_observing_nine_of_ten_takes_the_tenth_out_of_nothing() -> None:
    ten = [item(n) for n in range(10)]
    source = ledger_of(
        commission("1 07:00", *ten),
        pack("1 08:00", case(1), *ten),
        pack("1 09:00", case(1), *ten[:9], action="OBSERVE"),
        object_event("1 10:00", case(1), bizStep="shipping"),
    )
    answer = ask(source, item(9))
    assert answer["state"]["container"] == case(1)
    assert told(answer, "contained") == ["1 09:00 packing", "1 10:00 shipping"]
    assert not gap_kinds(answer) & {"seen_together", "missing_add"}


def test_09_observing_without_a_parent_is_evidence_and_nothing_more() -> None:
    loose = pack("1 08:00", case(1), item(1), item(2), action="OBSERVE")
    del loose["parentID"]
    answer = ask(ledger_of(commission("1 07:00", item(1)), loose), item(1))
    assert answer["containment"] == []
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "seen_together"]
    assert gap["between"] == [item(2)]
    named = pack("1 09:00", case(1), item(1), action="OBSERVE")
    answer = ask(ledger_of(commission("1 07:00", item(1)), named), item(1))
    assert answer["containment"] == []
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "seen_together"]
    assert gap["between"] == [item(1), case(1)]


def test_13_emptying_a_tray_leaves_the_sensor_that_is_bolted_to_it() -> None:
    tray, sensor = trailer(5), "urn:epc:id:giai:9506000.sensor1"
    source = ledger_of(
        bolt("1 06:00", tray, sensor),
        commission("1 07:00", item(1)),
        pack("1 08:00", tray, item(1)),
        temperature("1 09:00", sensor, values=[4.5]),
        unpack("1 10:00", tray),
        temperature("1 11:00", sensor, values=[30.0]),
        commission("2 07:00", item(2)),
        pack("2 08:00", tray, item(2)),
        temperature("2 09:00", sensor, values=[5.5]),
        unpack("2 10:00", tray),
    )
    for key, celsius in ((item(1), 4.5), (item(2), 5.5)):
        (exposure,) = ask(source, key)["conditions"]
        assert (exposure["min"], exposure["max"]) == (celsius, celsius)
        assert exposure["container"] == tray
        assert exposure["via"] == "associated"
    bolted = ask(source, sensor)
    assert intervals(bolted, "association") == [(tray, "1 06:00", None)]
    assert "2 08:00 packing" in told(bolted, "associated")


def test_25_a_parent_among_its_children_is_passed_over() -> None:
    source = ledger_of(
        commission("1 07:00", item(1), case(1)),
        pack("1 08:00", case(1), item(1), case(1)),
        object_event("1 09:00", case(1), bizStep="holding"),
    )
    assert intervals(ask(source, item(1))) == [(case(1), "1 08:00", None)]
    assert ask(source, case(1))["containment"] == []


def test_25_a_in_b_in_a_is_flagged_and_ends() -> None:
    source = ledger_of(
        commission("1 07:00", case(1), case(2)),
        pack("1 08:00", case(1), case(2)),
        pack("1 09:00", case(2), case(1)),
        object_event("1 10:00", case(1), bizStep="holding"),
    )
    answer = ask(source, case(2))
    assert intervals(answer) == [(case(1), "1 08:00", None)]
    assert "containment_cycle" in gap_kinds(answer)


def test_33_an_sscc_that_is_used_again_after_a_year_has_two_lives() -> None:
    old, new = item(1), item(2)
    source = ledger_of(
        commission("1 07:00", old),
        pack("1 08:00", pallet(1), old),
        object_event("1 09:00", pallet(1), bizStep="shipping"),
        commission("2027-06-01T07:00:00Z", new),
        pack("2027-06-01T08:00:00Z", pallet(1), new),
        object_event("2027-06-01T09:00:00Z", pallet(1), bizStep="receiving"),
    )
    first = ask(source, old, now="2028-01-01T00:00:00Z")
    assert told(first, "contained") == ["1 09:00 shipping"]
    second = ask(source, new, now="2028-01-01T00:00:00Z")
    assert told(second, "contained") == ["1 09:00 receiving"]
    itself = ask(source, pallet(1), now="2028-01-01T00:00:00Z")
    assert told(itself) == ["1 08:00 packing", "1 09:00 receiving"]
    assert "reused_key" in gap_kinds(itself)


def test_33_commissioning_a_used_key_starts_a_new_life() -> None:
    source = ledger_of(
        commission("1 07:00", item(1)),
        pack("1 08:00", case(1), item(1)),
        commission("3 07:00", item(1)),
        object_event("3 09:00", case(1), bizStep="shipping"),
    )
    answer = ask(source, item(1))
    assert told(answer) == ["3 07:00 commissioning"]
    assert "reused_key" in gap_kinds(answer)
    earlier = ask(source, item(1), at="2 00:00")
    assert told(earlier) == ["1 07:00 commissioning", "1 08:00 packing"]


def test_37_a_parent_destroyed_with_children_inside_and_a_dead_item_seen_again() -> None:
    source = ledger_of(
        commission("1 07:00", item(1)),
        pack("1 08:00", case(1), item(1)),
        object_event("1 09:00", case(1), action="DELETE", bizStep="destroying"),
    )
    answer = ask(source, item(1))
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "destroyed_with_contents"]
    assert gap["between"] == [item(1), case(1)]
    source.capture(object_event("1 10:00", item(1), action="DELETE", bizStep="decommissioning"))
    source.capture(object_event("1 11:00", item(1), bizStep="inspecting"))
    assert "after_decommissioning" in gap_kinds(ask(source, item(1)))


def test_39_a_transaction_holds_nothing_and_is_told_of_what_it_names() -> None:
    order = {
        "type": "TransactionEvent",
        "eventTime": "2026-03-01T08:00:00Z",
        "eventTimeZoneOffset": "+00:00",
        "action": "ADD",
        "parentID": pallet(1),
        "epcList": [item(1)],
        "bizTransactionList": [
            {"type": "po", "bizTransaction": "urn:epc:id:gdti:9506000.00001.1"}
        ],
    }
    source = ledger_of(
        commission("1 07:00", item(1)),
        order,
        object_event("1 09:00", pallet(1), bizStep="shipping"),
    )
    answer = ask(source, item(1))
    assert answer["containment"] == []
    assert told(answer) == ["1 07:00 commissioning", "1 08:00 TransactionEvent"]


def test_42_depth_fifty_is_read_in_batches_that_grow_with_depth_only() -> None:
    levels = [trailer(f"d{n}") for n in range(50)]
    source = ledger_of(
        commission("1 07:00", item(1)),
        *(
            pack(f"1 08:{n:02d}", outer, inner)
            for n, (inner, outer) in enumerate(zip([item(1), *levels], levels, strict=False))
        ),
        object_event("1 10:00", levels[-1], bizStep="shipping"),
    )
    answer = ask(source, item(1))
    assert told(answer)[-1] == "1 10:00 shipping"
    assert len(answer["state"]["containers"]) == 50
    assert source.batches <= 3 * 51 + 5


def test_42_a_hundred_thousand_siblings_cost_one_item_nothing() -> None:
    siblings = [item(n) for n in range(2, 20_002)]
    source = ledger_of(
        commission("1 07:00", item(1)),
        pack("1 08:00", pallet(1), item(1), *siblings),
        *(commission("1 07:30", one) for one in siblings[:200]),
        object_event("1 09:00", pallet(1), bizStep="shipping", readPoint=AT_CENTRE),
    )
    assert told(ask(source, item(1)))[-1] == "1 09:00 shipping"
    assert source.given < 30
