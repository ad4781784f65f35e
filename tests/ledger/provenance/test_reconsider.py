"""Missed reads: what nobody closed is believed only as long as nothing speaks against it."""

from typing import Any

from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    AT_STORE,
    CENTRE,
    DAIRY,
    STORE,
    ListSource,
    ask,
    case,
    commission,
    gap_kinds,
    item,
    ledger_of,
    object_event,
    pack,
    pallet,
    receive,
    ship,
    temperature,
    told,
    trailer,
    unpack,
)


def delivered() -> ListSource:
    """An item in a case on a pallet, made at the dairy and received at the store."""
    return ledger_of(
        commission("1 08:00", item(1), bizLocation=AT_DAIRY),
        pack("1 09:00", case(1), item(1), bizLocation=AT_DAIRY),
        pack("1 10:00", pallet(1), case(1), bizLocation=AT_DAIRY),
        ship("1 12:00", pallet(1), giver=DAIRY, taker=STORE, bizLocation=AT_DAIRY),
        (STORE, receive("2 12:00", pallet(1), giver=DAIRY, taker=STORE, bizLocation=AT_STORE)),
    )


def sold(at: str, **fields: Any) -> dict[str, Any]:
    return object_event(at, item(1), bizStep="retail_selling", **fields)


def test_an_item_that_is_sold_has_left_its_case_at_the_shop_at_the_latest() -> None:
    source = delivered()
    source.capture(sold("3 10:00", bizLocation=AT_STORE), iss=STORE)
    source.capture(ship("4 10:00", case(1), giver=STORE, taker=DAIRY), iss=STORE)
    answer = ask(source, item(1))
    rows = [one for one in answer["containment"] if one["parent"] == case(1)]
    assert [(one["precision"], one["from"][8:16]) for one in rows] == [
        ("exact", "01T09:00"),
        ("possible", "02T12:00"),
    ]
    assert answer["state"]["container"] is None
    assert answer["state"]["possessor"] == STORE
    assert "left_unseen" in gap_kinds(answer)
    later = [one for one in answer["events"] if one["event_time"] > "2026-03-04"]
    assert [one["precision"] for one in later] == ["possible"]


def test_a_sale_that_names_no_location_leaves_the_time_of_parting_as_open() -> None:
    source = delivered()
    source.capture(sold("3 10:00", readPoint=f"{AT_STORE}/254/till"), iss=STORE)
    answer = ask(source, item(1))
    rows = [one for one in answer["containment"] if one["parent"] == case(1)]
    assert [(one["precision"], one["from"][8:16]) for one in rows] == [
        ("exact", "01T09:00"),
        ("possible", "02T12:00"),
    ]


def test_an_item_that_turns_up_where_its_case_never_was_left_it_nobody_knows_when() -> None:
    source = delivered()
    source.capture(sold("3 10:00", bizLocation=AT_CENTRE), iss=CENTRE)
    answer = ask(source, item(1))
    rows = [one for one in answer["containment"] if one["parent"] == case(1)]
    assert [(one["precision"], one["from"][8:16]) for one in rows] == [("possible", "01T09:00")]
    assert {"left_unseen", "moved_unseen", "unknown_custody"} <= gap_kinds(answer)
    assert answer["state"]["possessor"] is None


def test_a_pallet_that_was_never_unloaded_does_not_follow_the_trailer() -> None:
    source = delivered()
    source.capture(pack("1 11:00", trailer(1), pallet(1), bizStep="loading"))
    source.capture(temperature("1 13:00", trailer(1), values=[4]))
    source.capture(ship("3 12:00", trailer(1), giver=STORE, taker=DAIRY), iss=STORE)
    source.capture(temperature("3 13:00", trailer(1), values=[30]))
    source.capture(unpack("4 12:00", trailer(1), bizStep="unloading"))
    answer = ask(source, item(1))
    sure = [one for one in answer["conditions"] if one["precision"] == "exact"]
    assert [one["max"] for one in sure] == [4]
    assert answer["state"]["possessor"] == STORE
    assert answer["state"]["place"] == AT_STORE
    gap = next(one for one in answer["gaps"] if one["kind"] == "left_unseen")
    assert gap["between"] == [pallet(1), trailer(1)]


def test_an_implicit_unpacking_took_place_somewhere_before_the_second_packing() -> None:
    source = ledger_of(
        commission("1 08:00", item(1), bizLocation=AT_DAIRY),
        pack("1 09:00", case(1), item(1), bizLocation=AT_DAIRY),
        object_event("1 10:00", case(1), bizStep="inspecting", disposition="damaged"),
        pack("1 11:00", case(2), item(1), bizLocation=AT_DAIRY),
    )
    answer = ask(source, item(1))
    assert told(answer, "contained") == ["1 10:00 inspecting"]
    assert {one["precision"] for one in answer["events"] if one["via"] == "contained"} == {
        "possible"
    }
    assert answer["state"]["disposition"] is None


def test_what_is_taken_out_by_name_was_inside_until_then() -> None:
    source = delivered()
    source.capture(object_event("2 13:00", case(1), bizStep="storing"), iss=STORE)
    source.capture(unpack("2 14:00", pallet(1), case(1), bizLocation=AT_STORE), iss=STORE)
    answer = ask(source, item(1))
    assert {one["precision"] for one in answer["containment"]} == {"exact"}
    assert "left_unseen" not in gap_kinds(answer)


def test_tiers_behind_a_move_that_nobody_saw_are_at_least_so_far_away() -> None:
    source = ledger_of(
        commission("1 08:00", item(1), bizLocation=AT_DAIRY),
        (STORE, sold("3 10:00", bizLocation=AT_STORE)),
    )
    answer = ask(source, item(1))
    assert [(one["tier"], one["party"], one["at_least"]) for one in answer["tiers"]] == [
        (0, STORE, False),
        (1, DAIRY, True),
    ]
