"""An answer costs what it tells: long histories are cut into pages, and nothing is lost."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from ledger.epcis.event import parse_time_us
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.provenance.listed import ListedSource
from ledger.provenance.reader import Limits
from tests.ledger.provenance.fakes import (
    AT_DAIRY,
    NOW,
    ListSource,
    bolt,
    case,
    commission,
    gap_kinds,
    item,
    lot,
    object_event,
    pack,
    pallet,
    quantity,
    temperature,
    told,
    trailer,
    transform,
    unpack,
)
from tests.ledger.provenance.test_histories import LEVELS, random_source

YEARS = [f"20{year}-{month:02d}" for year in range(10, 26) for month in range(1, 13)]


class CountingSource(ListedSource):
    """Counts batches and events."""

    batches = 0
    given = 0

    def events_of(self, *args: Any, **kwargs: Any) -> Any:
        found = list(super().events_of(*args, **kwargs))
        self.batches += 1
        self.given += len(found)
        return found


def counting(source: ListSource) -> CountingSource:
    events = [known for entry in source.entries for known, _ in entry]
    return CountingSource(events, source.size())


def page(source: Any, key: str, limits: Limits) -> dict[str, Any]:
    answer = trace(source, key, now_us=parse_time_us(NOW), limits=limits)
    assert answer is not None
    document: dict[str, Any] = json.loads(json.dumps(assemble_answer(answer)))
    return document


def pages(source: Any, key: str, events: int) -> Iterator[dict[str, Any]]:
    before_us = None
    while True:
        one = page(source, key, Limits(events=events, before_us=before_us))
        yield one
        if one["continuation"] is None:
            return
        assert one["truncated"]
        assert "truncated" in gap_kinds(one)
        earlier_us = parse_time_us(one["continuation"]["before"])
        assert before_us is None or earlier_us < before_us
        before_us = earlier_us


def rows(answer: dict[str, Any]) -> set[tuple[Any, ...]]:
    return {
        (one["entry"], one["position"], one["epc"], one["via"], *one["path"])
        for one in answer["events"]
        if one["precision"] != "possible"
    }


@pytest.mark.parametrize("events", [1, 3, 7])
def test_the_pages_together_tell_what_the_whole_answer_tells(events: int) -> None:
    most = 0
    for seed in range(60):
        source = counting(random_source(seed))
        for key in LEVELS[0][:2] + LEVELS[1][:1]:
            if not any(key in known.roles for known in source._events):
                continue
            whole = page(source, key, Limits())
            assert whole["continuation"] is None
            parts = list(pages(source, key, events))
            entries = {
                tuple(pin) for part in parts for e in part["events"] for pin in e["entries"]
            }
            expected = {tuple(pin) for e in whole["events"] for pin in e["entries"]}
            assert entries == expected, f"seed {seed}, {key}"
            most = max(most, len(parts))
    assert most > 1


def crates(trips: int) -> ListSource:
    """A crate that has been on a trip every month for years; the item was on one of them."""
    source = ListSource()
    for n, month in enumerate(YEARS[:trips]):
        source.capture(
            pack(f"{month}-02T08:00:00Z", case("crate"), item(n)),
            pack(f"{month}-03T08:00:00Z", pallet(1 + n % 3), case("crate")),
            temperature(f"{month}-04T08:00:00Z", case("crate"), values=[n]),
            object_event(f"{month}-05T08:00:00Z", pallet(1 + n % 3), bizStep="storing"),
            unpack(f"{month}-06T08:00:00Z", pallet(1 + n % 3), case("crate")),
            unpack(f"{month}-07T08:00:00Z", case("crate"), item(n)),
        )
    return source


def test_what_a_crate_did_in_other_years_is_not_read() -> None:
    given = []
    for trips in (24, 192):
        source = counting(crates(trips))
        answer = page(source, item(20), Limits())
        assert told(answer, "contained") == [
            "3 08:00 packing",
            "4 08:00 sensor_reporting",
            "5 08:00 storing",
            "6 08:00 unpacking",
        ]
        given.append((source.batches, source.given))
    assert given[1][0] == given[0][0]
    assert given[1][1] <= given[0][1] + 120  # An SSCC is read whole, for its lives.


def test_a_pallet_that_was_loaded_years_before_the_item_was_packed_is_still_loaded() -> None:
    source = ListSource()
    source.capture(pack("2020-01-01T00:00:00Z", trailer(1), case("crate")))
    for month in YEARS[130:]:
        source.capture(pack(f"{month}-02T08:00:00Z", trailer(1), case("crate")))
    source.capture(pack("1 08:00", case("crate"), item(1)))
    source.capture(object_event("1 09:00", trailer(1), bizStep="departing"))
    answer = page(counting(source), item(1), Limits())
    assert told(answer, "contained") == ["1 09:00 departing"]
    outer = next(one for one in answer["containment"] if one["parent"] == trailer(1))
    assert outer["opened_by"] == [0, 0]


def test_a_trailer_that_was_emptied_often_ends_an_old_interval_only_once() -> None:
    source = ListSource()
    source.capture(pack("2020-01-01T00:00:00Z", trailer(1), case("crate")))
    for month in YEARS[121:]:
        source.capture(unpack(f"{month}-02T08:00:00Z", trailer(1)))
    source.capture(pack("1 08:00", case("crate"), item(1)))
    source.capture(object_event("1 09:00", trailer(1), bizStep="departing"))
    answer = page(counting(source), item(1), Limits())
    assert told(answer, "contained") == []


def test_a_lot_with_many_events_is_read_page_by_page() -> None:
    source = ListSource()
    source.capture(commission("2019-12-31T00:00:00Z", quantityList=[quantity(lot("A"), 9)]))
    for month in YEARS[120:]:
        for day in range(1, 21):
            at = f"{month}-{day:02d}T08:00:00Z"
            one = object_event(at, quantityList=[quantity(lot("A"), 1)], bizStep="storing")
            source.capture(one)
    source.capture(transform("1 08:00", [(lot("A"), 1)], [item(1)], bizLocation=AT_DAIRY))
    listed = counting(source)
    parts = list(pages(listed, item(1), 100))
    assert 13 <= len(parts) <= 16
    assert sum(len(part["events"]) for part in parts) == source.size()
    assert all(one["derivation"]["inputs"] for one in parts)
    assert listed.given <= len(parts) * 220


def test_a_transformation_loop_ends() -> None:
    source = ListSource()
    for n in range(50):
        at = f"{1 + n // 2} {12 * (n % 2):02d}:00"
        source.capture(transform(at, [item(n % 2)], [item(1 - n % 2)]))
    listed = counting(source)
    answer = page(listed, item(0), Limits())
    assert len(answer["events"]) == 50
    assert listed.batches < 400


def test_a_chain_of_containers_costs_the_same_for_each_level() -> None:
    batches = []
    for depth in (5, 50):
        source = ListSource()
        for n in range(depth):
            source.capture(pack(f"1 {n // 60:02d}:{n % 60:02d}", case(n + 1), case(n)))
        source.capture(object_event("2 08:00", case(depth), bizStep="departing"))
        listed = counting(source)
        answer = page(listed, case(0), Limits())
        assert answer["events"][-1]["path"] == [case(n) for n in range(depth + 1)]
        batches.append(listed.batches)
    assert (batches[1] - batches[0]) / 45 < 6


def test_sensors_that_speak_often_leave_the_story_whole() -> None:
    source = ListSource()
    source.capture(pack("1 08:00", case(1), item(1)), bolt("1 08:00", case(1), case("logger")))
    random = Random(1)
    for n in range(200):
        at = f"2 {n // 60:02d}:{n % 60:02d}"
        source.capture(temperature(at, case("logger"), values=[random.random()]))
    source.capture(unpack("4 08:00", case(1), item(1)))
    answer = page(counting(source), item(1), Limits(events=50))
    assert told(answer, "direct") == ["1 08:00 packing", "4 08:00 unpacking"]
    assert answer["truncated"]
    assert sum(one["readings"] for one in answer["conditions"]) >= 40
