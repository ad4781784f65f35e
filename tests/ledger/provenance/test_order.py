"""Scenarios of time and identity: order, lateness, duplicates, spellings, corrections."""

from itertools import permutations
from typing import Any

import pytest

from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    CENTRE,
    DAIRY,
    ListSource,
    ask,
    case,
    commission,
    custody,
    gap_kinds,
    intervals,
    item,
    ledger_of,
    object_event,
    pack,
    receive,
    ship,
    told,
    unpack,
)


def without_entries(value: Any) -> Any:
    """Return an answer without the numbers of its entries, which do follow capture."""
    numbers = {"entry", "entries", "position", "evidence", "opened_by", "closed_by"}
    if isinstance(value, dict):
        return {key: without_entries(one) for key, one in value.items() if key not in numbers}
    return [without_entries(one) for one in value] if isinstance(value, list) else value


def test_10_capture_order_never_changes_an_answer() -> None:
    events = [
        commission("1 08:00", item(1), bizLocation=AT_DAIRY),
        pack("1 09:00", case(1), item(1)),
        ship("1 10:00", case(1), giver=DAIRY, taker=CENTRE),
        receive("2 10:00", case(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_CENTRE),
        unpack("2 11:00", case(1), item(1)),
    ]
    wanted = without_entries(ask(ledger_of(*events), item(1)))
    for order in permutations(events):
        assert without_entries(ask(ledger_of(*order), item(1))) == wanted


def test_10_what_came_late_was_not_known_before() -> None:
    source = ledger_of(
        commission("1 08:00", item(1)),
        object_event("20 08:00", case(1), bizStep="storing"),
        pack("1 09:00", case(1), item(1)),
    )
    assert told(ask(source, item(1)), "contained") == ["20 08:00 storing"]
    then = ask(source, item(1), known_at=2)
    assert told(then) == ["1 08:00 commissioning"]
    assert then["as_of"]["size"] == 2


@pytest.mark.parametrize("others", [0, 1, 7])
def test_11_events_of_one_instant_keep_the_order_of_their_document(others: int) -> None:
    source = ListSource()
    for n in range(others):
        source.capture(object_event("1 08:00", case(n + 2), bizStep="holding"))
    source.capture(
        pack("1 08:00", case(1), item(1)),
        object_event("1 08:00", case(1), bizStep="shipping"),
        unpack("1 08:00", case(1), item(1)),
        object_event("1 08:00", case(1), bizStep="storing"),
    )
    source.capture(commission("1 07:00", item(1)))
    assert told(ask(source, item(1))) == [
        "1 07:00 commissioning",
        "1 08:00 packing",
        "1 08:00 shipping",
        "1 08:00 unpacking",
    ]


def test_12_events_are_in_order_of_their_instants_in_any_zone() -> None:
    source = ledger_of(
        object_event("2026-03-01T09:00:00.0000005+02:00", item(1), bizStep="packing"),
        object_event("2026-03-01T07:00:00.0000012Z", item(1), bizStep="shipping"),
        object_event("2026-02-28T23:59:59.9999999-07:00", item(1), bizStep="commissioning"),
    )
    steps = [one["biz_step"] for one in ask(source, item(1))["events"]]
    assert steps == ["commissioning", "packing", "shipping"]


def declare(event: dict[str, Any], reason: str = "incorrect_data", *ids: str) -> dict[str, Any]:
    error: dict[str, Any] = {"declarationTime": "2026-03-09T00:00:00Z", "reason": reason}
    if ids:
        error["correctiveEventIDs"] = list(ids)
    return event | {"errorDeclaration": error}


def test_26_a_packing_that_did_not_occur_hands_nothing_down() -> None:
    packing = pack("1 09:00", case(1), item(1), eventID="urn:uuid:1")
    source = ledger_of(
        commission("1 08:00", item(1)),
        packing,
        object_event("1 10:00", case(1), bizStep="shipping"),
        declare(packing, "did_not_occur"),
    )
    now = ask(source, item(1))
    assert told(now) == ["1 08:00 commissioning"]
    assert now["containment"] == []
    (correction,) = now["corrections"]
    assert correction["reason"] == "did_not_occur"
    assert correction["originals"] == [[1, 0]]
    assert correction["declared_in"] == [3, 0]
    then = ask(source, item(1), known_at=3)
    assert told(then, "contained") == ["1 10:00 shipping"]
    assert then["corrections"] == []


def test_27_a_correction_may_come_later_than_the_declaration() -> None:
    wrong = pack("1 09:00", case(1), item(1), eventID="urn:uuid:wrong")
    right = pack("1 09:00", case(2), item(1), eventID="urn:uuid:right")
    source = ledger_of(
        commission("1 08:00", item(1)),
        wrong,
        declare(wrong, "incorrect_data", "urn:uuid:right"),
    )
    before = ask(source, item(1))
    assert before["containment"] == []
    assert before["corrections"][0]["correctives"] == [
        {"event_id": "urn:uuid:right", "entries": []}
    ]
    source.capture(right)
    after = ask(source, item(1))
    assert intervals(after) == [(case(2), "1 09:00", None)]
    assert after["corrections"][0]["correctives"] == [
        {"event_id": "urn:uuid:right", "entries": [[3, 0]]}
    ]


def test_28_a_declaration_is_matched_by_content_in_any_spelling() -> None:
    original = pack("1 09:00", case(1), item(1))
    respelt = original | {
        "eventTime": "2026-03-01T10:00:00.000+01:00",
        "bizStep": "urn:epcglobal:cbv:bizstep:packing",
        "childEPCs": ["urn:epc:id:sgtin:9506000.013435.1"],
    }
    source = ledger_of(commission("1 08:00", item(1)), original, declare(respelt))
    assert ask(source, item(1))["containment"] == []
    other = original | {"eventTime": "2026-03-01T09:00:01Z"}
    source = ledger_of(commission("1 08:00", item(1)), original, declare(other))
    answer = ask(source, item(1))
    assert intervals(answer) == [(case(1), "1 09:00", None)]
    assert answer["corrections"][0]["originals"] == []


def test_29_declaring_twice_or_declaring_the_declaration_changes_nothing() -> None:
    packing = pack("1 09:00", case(1), item(1), eventID="urn:uuid:1")
    declared = declare(packing, "did_not_occur")
    again = packing | {
        "errorDeclaration": {"declarationTime": "2026-03-10T00:00:00Z", "reason": "other"}
    }
    source = ledger_of(commission("1 08:00", item(1)), packing, declared)
    once = without_entries(ask(source, item(1)))
    source.capture(declared)
    source.capture(again)
    twice = without_entries(ask(source, item(1)))
    once["as_of"] = twice["as_of"]
    assert twice == once


def test_30_an_event_delivered_twice_is_one_node_with_both_its_entries() -> None:
    packing = pack("1 09:00", case(1), item(1), eventID="urn:uuid:1")
    source = ledger_of(commission("1 08:00", item(1)), packing, packing)
    answer = ask(source, item(1))
    assert told(answer) == ["1 08:00 commissioning", "1 09:00 packing"]
    assert answer["events"][1]["entries"] == [[1, 0], [2, 0]]
    assert not gap_kinds(answer) & {"identical_events", "event_id_collision"}


def test_31_two_reads_identical_to_the_millisecond_are_both_kept() -> None:
    read = object_event("1 09:00", item(1), bizStep="inspecting")
    answer = ask(ledger_of(commission("1 08:00", item(1)), read, read), item(1))
    assert told(answer)[1:] == ["1 09:00 inspecting", "1 09:00 inspecting"]
    assert "identical_events" in gap_kinds(answer)


SPELLINGS = (
    "urn:epc:id:sgtin:9506000.013435.7%2F8",
    "https://id.gs1.org/01/09506000134352/21/7%2F8",
    "https://dairy.example/p/01/09506000134352/10/LOT1/21/7%2F8?17=270101",
    "https://id.gs1.org/01/9506000134352/21/7%2f8",
    "(01)09506000134352(21)7/8",
    "urn:epc:tag:sgtin-198:0.9506000.013435.7%2F8",
)


def test_32_one_item_in_any_spelling_has_one_history() -> None:
    source = ledger_of(
        *(
            object_event(f"1 08:{n:02d}", spelling, bizStep="inspecting")
            for n, spelling in enumerate(SPELLINGS)
            if not spelling.startswith("(")
        )
    )
    answers = [ask(source, spelling) for spelling in SPELLINGS]
    assert all(one == answers[0] for one in answers)
    assert len(answers[0]["events"]) == len(SPELLINGS) - 1


def test_32_serial_007_is_not_serial_7() -> None:
    source = ledger_of(commission("1 08:00", item("007")), commission("1 09:00", item("7")))
    assert told(ask(source, item("007"))) == ["1 08:00 commissioning"]
    assert told(ask(source, item("7"))) == ["1 09:00 commissioning"]


def test_40_a_part_that_a_partner_withholds_is_a_gap() -> None:
    source = ledger_of(commission("1 08:00", item(1)))
    shipping = ship("1 09:00", item(1), giver=DAIRY, taker=CENTRE)
    source.capture(shipping, withheld={5})
    answer = ask(source, item(1))
    (gap,) = [one for one in answer["gaps"] if one["kind"] == "withheld"]
    assert "why" in gap["why"]
    assert custody(answer, "owner") == []
    source.capture(object_event("1 10:00", item(1)), withheld={3})
    starts = {one["from"] for one in ask(source, item(1))["gaps"] if one["kind"] == "withheld"}
    assert starts == {"2026-03-01T09:00:00.000Z", None}


def test_41_one_event_told_differently_by_two_partners_is_shown_twice() -> None:
    said = object_event("1 09:00", item(1), bizStep="inspecting", eventID="urn:uuid:1")
    source = ledger_of(
        commission("1 08:00", item(1)), said, (CENTRE, said | {"example:note": "by us"})
    )
    answer = ask(source, item(1))
    assert told(answer)[1:] == ["1 09:00 inspecting", "1 09:00 inspecting"]
    assert all(one["flags"] == ["event_id_collision"] for one in answer["events"][1:])
    assert "event_id_collision" in gap_kinds(answer)


def test_44_events_of_the_future_are_shown_and_left_out_of_the_state() -> None:
    source = ledger_of(
        commission("1 08:00", item(1), bizLocation=AT_DAIRY, disposition="active"),
        object_event(
            "20 08:00", item(1), bizLocation=AT_CENTRE, disposition="sellable_accessible"
        ),
    )
    answer = ask(source, item(1), now="2026-03-10T00:00:00Z")
    assert answer["state"]["place"] == AT_DAIRY
    assert answer["state"]["disposition"] == "active"
    assert answer["events"][1]["flags"] == ["future"]
    assert "future_event" in gap_kinds(answer)


def test_44_events_before_commissioning_and_after_their_recording_are_flagged() -> None:
    source = ledger_of(
        object_event("1 07:00", item(1), bizStep="inspecting"), commission("1 08:00", item(1))
    )
    source.capture(object_event("5 00:00", item(1)), recorded="2026-03-02T00:00:00Z")
    kinds = gap_kinds(ask(source, item(1)))
    assert {"before_commissioning", "after_record_time"} <= kinds
