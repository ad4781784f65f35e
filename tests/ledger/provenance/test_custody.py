"""Scenarios of custody and places: who had it, who owned it, where it was."""

from typing import Any

import pytest

from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    AT_STORE,
    CENTRE,
    DAIRY,
    FARM,
    SHOPPER,
    STORE,
    ask,
    commission,
    custody,
    gap_kinds,
    item,
    ledger_of,
    object_event,
    party,
    receive,
    ship,
    time,
)


def made() -> dict[str, Any]:
    return commission("1 08:00", item(1), bizLocation=AT_DAIRY)


def test_a_hand_over_is_intended_on_shipping_and_completed_on_receiving() -> None:
    source = ledger_of(made(), ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE))
    on_its_way = ask(source, item(1))
    assert on_its_way["state"]["possessor"] == DAIRY
    assert on_its_way["state"]["owner"] == DAIRY
    assert on_its_way["state"]["in_transit"]
    assert "not_received_yet" in gap_kinds(on_its_way)
    source.capture(receive("2 10:00", item(1), giver=DAIRY, taker=CENTRE), iss=CENTRE)
    answer = ask(source, item(1))
    for role in ("owner", "possessor"):
        assert custody(answer, role) == [
            (DAIRY, "1 08:00", "2 10:00"),
            (CENTRE, "2 10:00", None),
        ]
    assert answer["custody"][1]["evidence"] == [[1, 0], [2, 0]]
    assert [one["tier"] for one in answer["events"]] == [1, 1, 0]
    assert gap_kinds(answer) == {"no_conditions", "no_vehicle", "unknown_place"}


def test_34_ownership_passes_without_movement() -> None:
    sale = object_event(
        "1 10:00",
        item(1),
        bizStep="other",
        sources=party("owner", DAIRY),
        destinations=party("owner", STORE),
    )
    answer = ask(ledger_of(made(), sale), item(1))
    assert custody(answer, "owner") == [(DAIRY, "1 08:00", "1 10:00"), (STORE, "1 10:00", None)]
    assert custody(answer, "possessor") == [(DAIRY, "1 08:00", None)]
    assert answer["state"]["place"] == AT_DAIRY


def test_34_movement_passes_no_ownership() -> None:
    lists = {
        "sources": party("possessor", DAIRY),
        "destinations": party("possessor", CENTRE),
    }
    answer = ask(
        ledger_of(
            made(),
            object_event("1 10:00", item(1), bizStep="shipping", **lists),
            object_event("2 10:00", item(1), bizStep="receiving", **lists),
        ),
        item(1),
    )
    assert custody(answer, "possessor")[-1] == (CENTRE, "2 10:00", None)
    assert custody(answer, "owner") == []
    assert "unknown_owner" in gap_kinds(answer)


def test_34_whoever_receives_for_another_takes_no_ownership() -> None:
    sale = object_event(
        "1 09:00", item(1), sources=party("owner", DAIRY), destinations=party("owner", STORE)
    )
    moved = {"sources": party("possessor", DAIRY), "destinations": party("possessor", CENTRE)}
    answer = ask(
        ledger_of(
            made(),
            sale,
            object_event("1 10:00", item(1), bizStep="shipping", **moved),
            (CENTRE, object_event("2 10:00", item(1), bizStep="receiving", **moved)),
        ),
        item(1),
    )
    assert answer["state"]["owner"] == STORE
    assert answer["state"]["possessor"] == CENTRE
    assert "unknown_custody" not in gap_kinds(answer)


def test_34_in_a_drop_shipment_the_seller_owns_and_never_has() -> None:
    lists = {
        "sources": [("possessing_party", DAIRY), ("owning_party", CENTRE)],
        "destinations": [("possessing_party", STORE), ("owning_party", STORE)],
    }
    answer = ask(
        ledger_of(
            made(),
            object_event(
                "1 09:00",
                item(1),
                bizStep="other",
                sources=party("owner", DAIRY),
                destinations=party("owner", CENTRE),
            ),
            object_event("1 10:00", item(1), bizStep="shipping", **lists),
            object_event("2 10:00", item(1), bizStep="receiving", **lists),
        ),
        item(1),
    )
    assert [one[0] for one in custody(answer, "owner")] == [DAIRY, CENTRE, STORE]
    assert [one[0] for one in custody(answer, "possessor")] == [DAIRY, STORE]
    assert "conflicting_custody" not in gap_kinds(answer)


def test_35_destined_to_one_and_received_by_another_is_a_conflict() -> None:
    answer = ask(
        ledger_of(
            made(),
            ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE),
            receive("2 10:00", item(1), giver=DAIRY, taker=STORE),
        ),
        item(1),
    )
    conflicts = [one for one in answer["gaps"] if one["kind"] == "conflicting_custody"]
    assert [one["between"] for one in conflicts] == [[CENTRE, STORE], [CENTRE, STORE]]
    assert answer["state"]["possessor"] == STORE


def test_35_handed_on_by_one_who_never_had_it_is_a_conflict() -> None:
    answer = ask(
        ledger_of(made(), ship("1 10:00", item(1), giver=FARM, taker=CENTRE)),
        item(1),
    )
    assert "conflicting_custody" in gap_kinds(answer)


def stocked(*later: dict[str, Any]) -> dict[str, Any]:
    """A depot receives for a seller, and what comes `later` names no party."""
    lists = {
        "sources": [("possessing_party", DAIRY), ("owning_party", DAIRY)],
        "destinations": [("possessing_party", CENTRE), ("owning_party", STORE)],
    }
    return ask(
        ledger_of(
            made(),
            object_event("1 10:00", item(1), bizStep="shipping", **lists),
            (CENTRE, object_event("2 10:00", item(1), bizStep="receiving", **lists)),
            *((CENTRE, one) for one in later),
        ),
        item(1),
    )


def test_34_an_unloading_that_names_nobody_leaves_who_was_named_before() -> None:
    for later in (
        [object_event("2 10:30", item(1), bizStep="unloading")],
        [object_event("2 10:30", item(1), bizStep=step) for step in ("unloading", "accepting")],
    ):
        answer = stocked(*later)
        assert custody(answer, "owner")[-1] == (STORE, "2 10:00", None)
        assert custody(answer, "possessor")[-1] == (CENTRE, "2 10:00", None)
        assert not gap_kinds(answer) & {"unknown_custody", "conflicting_custody"}


def test_34_what_its_possessor_moves_from_house_to_house_is_not_sold() -> None:
    answer = stocked(
        object_event("3 10:00", item(1), bizStep="departing"),
        object_event("3 12:00", item(1), bizStep="receiving"),
    )
    assert answer["state"]["owner"] == STORE
    assert answer["state"]["possessor"] == CENTRE
    assert "unknown_custody" not in gap_kinds(answer)


def test_a_receipt_by_a_stranger_that_names_nobody_leaves_both_in_doubt() -> None:
    source = ledger_of(
        made(),
        ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE),
        (CENTRE, receive("2 10:00", item(1), giver=DAIRY, taker=CENTRE)),
        (CENTRE, object_event("3 10:00", item(1), bizStep="departing")),
        (STORE, object_event("3 12:00", item(1), bizStep="receiving")),
    )
    answer = ask(source, item(1))
    assert (answer["state"]["owner"], answer["state"]["possessor"]) == (None, None)
    assert "unknown_custody" in gap_kinds(answer)


def test_an_unloading_before_the_receiving_is_no_missed_receiving() -> None:
    source = ledger_of(
        made(),
        ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE),
        (CENTRE, object_event("2 10:00", item(1), bizStep="unloading")),
    )
    assert "missing_receiving" in gap_kinds(ask(source, item(1)))
    source.capture(object_event("2 11:00", item(1), bizStep="receiving"), iss=CENTRE)
    answer = ask(source, item(1))
    assert "missing_receiving" not in gap_kinds(answer)
    for role in ("owner", "possessor"):
        assert custody(answer, role) == [
            (DAIRY, "1 08:00", "2 10:00"),
            (CENTRE, "2 10:00", None),
        ]


def test_36_a_voided_shipment_hands_nothing_over() -> None:
    answer = ask(
        ledger_of(
            made(),
            ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE),
            object_event("1 11:00", item(1), bizStep="void_shipping", bizLocation=AT_DAIRY),
        ),
        item(1),
    )
    assert answer["state"]["possessor"] == DAIRY
    assert not answer["state"]["in_transit"]
    assert not gap_kinds(answer) & {"not_received_yet", "conflicting_custody"}


def test_36_a_return_after_sale_and_a_recall_that_is_lifted() -> None:
    source = ledger_of(
        made(),
        ship("1 10:00", item(1), giver=DAIRY, taker=STORE),
        receive("2 10:00", item(1), giver=DAIRY, taker=STORE, bizLocation=AT_STORE),
        object_event(
            "3 10:00",
            item(1),
            bizStep="retail_selling",
            disposition="retail_sold",
            sources=party("both", STORE),
            destinations=party("both", SHOPPER),
        ),
        object_event("4 10:00", item(1), persistentDisposition={"set": ["recalled"]}),
        object_event(
            "5 10:00",
            item(1),
            bizStep="receiving",
            disposition="returned",
            sources=party("both", SHOPPER),
            destinations=party("both", STORE),
        ),
        object_event("6 10:00", item(1), persistentDisposition={"unset": ["recalled"]}),
    )
    recalled = ask(source, item(1), at="4 12:00")
    assert recalled["state"]["persistent"] == ["recalled"]
    assert recalled["state"]["owner"] == SHOPPER
    assert recalled["state"]["disposition"] == "retail_sold"
    lifted = ask(source, item(1))
    assert lifted["state"]["persistent"] == []
    assert lifted["state"]["owner"] == STORE
    assert lifted["state"]["disposition"] == "returned"
    assert [one[0] for one in custody(lifted, "owner")] == [DAIRY, STORE, SHOPPER, STORE]


def sold(at: str, **fields: Any) -> dict[str, Any]:
    where = {"bizLocation": AT_STORE} | fields
    return object_event(at, item(1), bizStep="retail_selling", **where)


@pytest.mark.parametrize("again", [{}, {"bizLocation": AT_CENTRE}])
def test_36_a_copy_that_is_sold_again_is_a_gap_wherever_it_is_sold(again: Any) -> None:
    answer = ask(ledger_of(made(), sold("3 10:00"), sold("4 10:00", **again)), item(1))
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "sold_twice"]
    assert (gap["from"][8:16], gap["to"][8:16]) == ("03T10:00", "04T10:00")
    assert gap["epc"] == item(1)


@pytest.mark.parametrize(
    "between",
    [
        receive("3 12:00", item(1), giver=SHOPPER, taker=STORE, disposition="returned"),
        object_event("3 12:00", item(1), bizStep="receiving"),
        object_event("3 12:00", item(1), bizStep="stocking", disposition="sellable_accessible"),
    ],
)
def test_36_what_came_back_may_be_sold_again(between: dict[str, Any]) -> None:
    answer = ask(ledger_of(made(), sold("3 10:00"), between, sold("4 10:00")), item(1))
    assert "sold_twice" not in gap_kinds(answer)


def test_36_what_is_dispensed_in_parts_is_not_sold_twice() -> None:
    part = {"bizStep": "dispensing", "disposition": "partially_dispensed"}
    parts = [object_event(f"{day} 10:00", item(1), **part) for day in (3, 4)]
    last = object_event("5 10:00", item(1), bizStep="dispensing", disposition="dispensed")
    assert "sold_twice" not in gap_kinds(ask(ledger_of(made(), *parts, last), item(1)))


def test_36_one_sale_that_was_read_twice_is_not_sold_twice() -> None:
    answer = ask(ledger_of(made(), sold("3 10:00"), sold("3 10:00")), item(1))
    assert "identical_events" in gap_kinds(answer)
    assert "sold_twice" not in gap_kinds(answer)


def test_36_a_copy_that_is_made_again_has_another_life() -> None:
    answer = ask(
        ledger_of(made(), sold("3 10:00"), made() | {"eventTime": time("4 08:00")}), item(1)
    )
    assert "reused_key" in gap_kinds(answer)


def test_38_a_read_point_alone_makes_the_place_unknown() -> None:
    source = ledger_of(
        made(), object_event("1 10:00", item(1), readPoint=AT_DAIRY + "/254/gate")
    )
    answer = ask(source, item(1))
    assert answer["state"]["place"] is None
    assert "unknown_place" in gap_kinds(answer)
    source.capture(object_event("1 11:00", item(1), bizStep="inspecting"))
    assert ask(source, item(1))["state"]["place"] is None
    source.capture(object_event("1 12:00", item(1), bizLocation=AT_DAIRY))
    assert ask(source, item(1))["state"]["place"] == AT_DAIRY


def test_an_event_without_place_leaves_the_place_as_it_was() -> None:
    source = ledger_of(made(), object_event("1 10:00", item(1), bizStep="inspecting"))
    answer = ask(source, item(1))
    assert answer["state"]["place"] == AT_DAIRY
    assert "unknown_place" not in gap_kinds(answer)


def test_turning_up_elsewhere_without_departure_is_a_move_unseen_and_nobody_is_named() -> None:
    answer = ask(
        ledger_of(
            made(),
            (STORE, object_event("3 10:00", item(1), bizLocation=AT_STORE, bizStep="storing")),
        ),
        item(1),
    )
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "moved_unseen"]
    assert gap["between"] == [AT_DAIRY, AT_STORE]
    assert {"unknown_custody", "no_conditions"} <= gap_kinds(answer)
    assert answer["state"]["possessor"] is None
    assert custody(answer, "possessor") == [(DAIRY, "1 08:00", "1 08:00")]


def test_a_shipment_whose_receipt_was_missed_is_a_gap_between_its_two_ends() -> None:
    answer = ask(
        ledger_of(
            made(),
            ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE),
            (
                CENTRE,
                ship("3 10:00", item(1), giver=CENTRE, taker=STORE, bizLocation=AT_CENTRE),
            ),
            (
                STORE,
                receive("4 10:00", item(1), giver=CENTRE, taker=STORE, bizLocation=AT_STORE),
            ),
        ),
        item(1),
    )
    assert {"missing_receiving", "moved_unseen"} <= gap_kinds(answer)
    assert custody(answer, "possessor") == [
        (DAIRY, "1 08:00", "1 10:00"),
        (CENTRE, None, "4 10:00"),
        (STORE, "4 10:00", None),
    ]


def test_a_receipt_whose_shipment_was_missed_is_a_gap() -> None:
    answer = ask(
        ledger_of(
            made(),
            receive("2 10:00", item(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_CENTRE),
        ),
        item(1),
    )
    assert {"missing_shipping", "moved_unseen", "no_conditions"} <= gap_kinds(answer)
    assert custody(answer, "possessor")[-1] == (CENTRE, "2 10:00", None)


def test_a_stay_ends_with_the_departure_and_the_next_begins_with_the_arrival() -> None:
    answer = ask(
        ledger_of(
            made(),
            ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_DAIRY),
            receive("2 10:00", item(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_CENTRE),
        ),
        item(1),
    )
    stays = [
        (one["place"], one["from"][8:16], one["to"] and one["to"][8:16])
        for one in answer["path"]
    ]
    assert stays == [(AT_DAIRY, "01T08:00", "01T10:00"), (AT_CENTRE, "02T10:00", None)]
    assert "moved_unseen" not in gap_kinds(answer)


def test_a_document_passed_on_by_the_ledger_names_nobody_as_holder() -> None:
    source = ledger_of()
    source.capture(made(), grade=1)
    answer = ask(source, item(1))
    assert custody(answer, "possessor") == []
    assert "unknown_custody" in gap_kinds(answer)


def test_what_comes_back_from_a_buyer_had_left_although_nobody_saw_the_sale() -> None:
    at_store = {"bizLocation": AT_STORE}
    events = [
        made(),
        ship("1 10:00", item(1), giver=DAIRY, taker=STORE),
        receive("2 10:00", item(1), giver=DAIRY, taker=STORE, **at_store),
        object_event("2 11:00", item(1), bizStep="stocking", **at_store),
        receive(
            "5 10:00", item(1), giver=SHOPPER, taker=STORE, disposition="returned", **at_store
        ),
    ]
    answer = ask(ledger_of(*events), item(1))
    for role in ("owner", "possessor"):
        assert custody(answer, role)[1:] == [
            (STORE, "2 10:00", "2 10:00"),
            (SHOPPER, None, "5 10:00"),
            (STORE, "5 10:00", None),
        ]
    stays = [(one["place"], one["from"][8:16], one["to"]) for one in answer["path"]]
    assert [one[:2] for one in stays[1:]] == [(AT_STORE, "02T10:00"), (AT_STORE, "05T10:00")]
    assert [one[2] for one in stays[1:]] == ["2026-03-02T11:00:00.000Z", None]
    assert {"conflicting_custody", "moved_unseen"} <= gap_kinds(answer)


def test_the_same_receipt_told_twice_hands_over_once() -> None:
    receipt = {"giver": DAIRY, "taker": CENTRE, "bizLocation": AT_CENTRE}
    answer = ask(
        ledger_of(
            made(),
            ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE),
            receive("2 10:00", item(1), **receipt),
            receive("2 10:05", item(1), **receipt),
        ),
        item(1),
    )
    assert [one["taker"] for one in answer["handovers"]] == [CENTRE, CENTRE]
    assert "conflicting_custody" not in gap_kinds(answer)


def test_a_read_at_a_door_of_another_site_ends_the_stay_although_it_names_no_location() -> None:
    door = f"{AT_STORE}/254/till"
    events = [
        made(),
        object_event("1 09:00", item(1), bizStep="inspecting", bizLocation=AT_DAIRY),
        object_event("3 10:00", item(1), bizStep="retail_selling", readPoint=door),
    ]
    answer = ask(ledger_of(*events), item(1))
    (stay, *_) = answer["path"]
    assert (stay["place"], stay["to"]) == (AT_DAIRY, "2026-03-01T09:00:00.000Z")
    assert "moved_unseen" in gap_kinds(answer)
    assert answer["state"]["place"] is None
