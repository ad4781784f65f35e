"""The JSON of an answer keeps its promises to whoever reads it."""

import re
from typing import Any

from ledger.provenance import gap
from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    CENTRE,
    DAIRY,
    FARM,
    ListSource,
    ask,
    case,
    commission,
    item,
    ledger_of,
    lot,
    object_event,
    pack,
    quantity,
    receive,
    ship,
    temperature,
    trailer,
    transform,
    unpack,
)
from tests.optional import ROOT

PAGE = ROOT / "docs" / "reference" / "provenance.md"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z")


def rich_source() -> ListSource:
    """A lot in a tanker, made into an item, packed, logged and delivered."""
    source = ledger_of(
        (FARM, commission("1 06:00", quantityList=[quantity(lot("A"), 9)])),
        (FARM, pack("1 06:10", trailer(1), childQuantityList=[quantity(lot("A"), 9)])),
        (FARM, ship("1 07:00", trailer(1), giver=FARM, taker=DAIRY)),
        receive("1 08:00", trailer(1), giver=FARM, taker=DAIRY, bizLocation=AT_DAIRY),
        unpack("1 08:30", trailer(1)),
        transform("1 09:00", [(lot("A"), 9)], [item(1)], bizLocation=AT_DAIRY),
        pack("1 10:00", case(1), item(1)),
        ship("1 11:00", case(1), giver=DAIRY, taker=CENTRE),
        temperature("1 12:00", case(1), values=[1 / 3, 5]),
        (CENTRE, receive("1 13:00", case(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_CENTRE)),
    )
    wrong = object_event("1 10:30", item(1), bizStep="destroying", eventID="urn:uuid:1")
    error = {"declarationTime": "2026-03-02T00:00:00Z", "reason": "did_not_occur"}
    source.capture(wrong)
    source.capture(wrong | {"errorDeclaration": error})
    return source


def rows_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    lists = [part for part in answer.values() if isinstance(part, list)]
    return [row for part in [*lists, *answer["derivation"].values()] for row in part]


def test_every_gap_that_the_engine_knows_is_explained_to_its_reader() -> None:
    kinds = {value for name, value in vars(gap).items() if name.isupper()}
    explained = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert kinds <= explained


def test_every_field_of_an_answer_is_explained_to_its_reader() -> None:
    answer = ask(rich_source(), item(1))
    fields = {*answer, *answer["state"], *answer["as_of"], *answer["derivation"]}
    fields |= {field for row in rows_of(answer) for field in row}
    explained = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    assert fields - explained == set()


def test_every_claim_is_pinned_to_events_of_the_log() -> None:
    source = rich_source()
    answer = ask(source, item(1))
    known = {
        (event.pin.index, event.pin.position) for entry in source.entries for event, _ in entry
    }
    for part in ("events", "path", "custody", "handovers", "conditions"):
        for row in answer[part]:
            pins = row.get("entries") or row.get("evidence")
            assert pins
            assert {tuple(pin) for pin in pins} <= known
    for row in answer["derivation"]["inputs"]:
        assert row["entries"]
    for row in answer["containment"]:
        assert tuple(row["opened_by"]) in known


def test_times_are_utc_text_or_null() -> None:
    names = ("from", "to", "time", "first", "last", "event_time", "declared_at")
    for row in rows_of(ask(rich_source(), item(1))):
        for name in names:
            assert row.get(name) is None or TIME.fullmatch(row[name])


def test_readings_are_rounded_to_a_thousandth_and_quantities_are_numbers() -> None:
    answer = ask(rich_source(), item(1))
    assert answer["conditions"][0]["min"] == 0.333
    assert answer["derivation"]["inputs"][0]["quantity"] == 9


def test_the_same_question_gives_the_same_bytes() -> None:
    assert repr(ask(rich_source(), item(1))) == repr(ask(rich_source(), item(1)))


def test_a_hidden_future_does_not_change_an_older_answer() -> None:
    source = rich_source()
    before = ask(source, item(1), known_at=9)
    source.capture(object_event("1 09:30", item(1), bizStep="inspecting"))
    assert ask(source, item(1), known_at=9) == before
