"""What gateways admit to have missed stands in the answers it may concern, and in no other."""

from typing import Any

from ledger.admitted import SCALES, longest_of, scale_of
from ledger.epcis.event import format_time, parse_time_us
from ledger.provenance.admissions import ADMITTED_MAX
from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    AT_STORE,
    DAIRY,
    ListSource,
    ask,
    item,
    time,
)

S = 1_000_000
NUMBERS, SILENCE, NOT_TAKEN = 0, 2, 4
DOCK = f"{AT_CENTRE}/254/dock"
WHY = "reader centre/dock: the event numbers 17 to 19 never came"


def at(text: str) -> int:
    return parse_time_us(time(text))


def seen(day: str, place: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "eventTime": time(day),
        "eventTimeZoneOffset": "+00:00",
        "epcList": [item(1)],
        "bizLocation": {"id": place},
        **more,
    }


def journey() -> ListSource:
    source = ListSource()
    source.capture(seen("2 08:00", AT_DAIRY, action="ADD", bizStep="commissioning"))
    source.capture(seen("3 08:00", AT_CENTRE, readPoint={"id": DOCK}))
    source.capture(seen("4 08:00", AT_STORE))
    return source


def told(source: ListSource, **how: Any) -> list[tuple[str, str | None, int]]:
    return [
        (one["kind"], one["from"], one["stated_in"])
        for one in ask(source, item(1), **how)["gaps"]
        if one["stated_in"] is not None
    ]


def test_what_a_gateway_admits_is_told_with_its_reader_time_place_and_entry() -> None:
    source = journey()
    entry = source.admit(DOCK, NUMBERS, (at("3 09:00"), at("3 09:01")), WHY)
    [gap] = [one for one in ask(source, item(1))["gaps"] if one["stated_in"] is not None]
    assert gap == {
        "kind": "missed_event_numbers",
        "epc": item(1),
        "from": format_time(at("3 09:00")),
        "to": format_time(at("3 09:01")),
        "between": [DOCK, DAIRY],
        "why": WHY,
        "stated_in": entry,
    }


def test_a_gap_counts_at_the_sites_of_an_event_from_the_one_before_to_the_one_after() -> None:
    near = {
        "another door of the site": (f"{AT_CENTRE}/254/rack", "3 20:00", "3 20:01"),
        "the site itself": (AT_CENTRE, "3 20:00", "3 20:01"),
        "as a URN": ("urn:epc:id:sgln:9506000.13435.line", "2 20:00", "2 20:01"),
        "since before it came": (DOCK, "2 20:00", "2 20:01"),
        "after it had left": (DOCK, "4 07:59", "4 07:59"),
        "all of the time and more": (DOCK, "1 00:00", "20 00:00"),
        "an hour before it was made": (AT_DAIRY, "2 07:01", "2 07:02"),
        "ever since it was last seen there": (AT_STORE, "25 07:59", "25 08:30"),
    }
    for name, (place, start, end) in near.items():
        source = journey()
        source.admit(place, SILENCE, (at(start), at(end)))
        assert [kind for kind, *_ in told(source)] == ["reader_silent"], name
    far = {
        "elsewhere": (f"{AT_STORE}/254/dock", "2 20:00", "2 20:01"),
        "before it was anywhere": (AT_DAIRY, "2 06:00", "2 06:59"),
        "before the event before": (DOCK, "2 07:00", "2 07:59"),
        "a site whose number starts alike": (f"{AT_CENTRE}0", "3 20:00", "3 20:01"),
    }
    for name, (place, start, end) in far.items():
        source = journey()
        source.admit(place, SILENCE, (at(start), at(end)))
        assert told(source) == [], name


def test_what_was_sold_or_sent_off_is_missed_at_that_site_for_an_hour_only() -> None:
    sold = {"bizStep": "retail_selling", "disposition": "retail_sold"}
    sent = {
        "bizStep": "shipping",
        "disposition": "in_transit",
        "destinationList": [{"type": "location", "destination": AT_CENTRE}],
    }
    for last in (sold, sent):
        event = seen("4 10:00", AT_STORE, **last)
        event["readPoint"] = event.pop("bizLocation")
        if last is sold:
            event["bizLocation"] = event["readPoint"]
        for day, found in (("4 10:59", 1), ("4 11:01", 0)):
            source = journey()
            source.capture(event)
            source.admit(AT_STORE, SILENCE, (at(day), at(day)))
            assert len(told(source)) == found, (last, day)
        source = journey()
        source.capture(event)
        source.admit(DOCK, SILENCE, (at("9 08:00"), at("9 09:00")))
        assert len(told(source)) == (last is sent), last


def test_a_silent_sensor_concerns_what_was_in_the_thing_that_it_is_on() -> None:
    box = "https://id.gs1.org/00/095060000000000017"
    source = ListSource()
    source.capture(seen("2 08:00", AT_DAIRY, action="ADD", bizStep="commissioning"))
    for action, day in (("ADD", "2 09:00"), ("DELETE", "4 09:00")):
        source.capture(
            {
                "type": "AggregationEvent",
                "action": action,
                "eventTime": time(day),
                "eventTimeZoneOffset": "+00:00",
                "parentID": box,
                "childEPCs": [item(1)],
            }
        )
    source.admit(box, SILENCE, (at("1 09:00"), at("2 08:30")))
    inside = source.admit(box, SILENCE, (at("3 09:00"), at("3 10:00")))
    assert [entry for *_, entry in told(source)] == [inside]


def test_only_who_is_in_the_story_is_heard() -> None:
    source = journey()
    span = (at("3 09:00"), at("3 09:01"))
    for _ in range(ADMITTED_MAX + 1):
        source.admit(DOCK, SILENCE, span, iss="https://id.gs1.org/417/9599999000003")
    own = source.admit(DOCK, SILENCE, span)
    assert [entry for *_, entry in told(source)] == [own]


def test_an_answer_as_known_then_tells_what_was_admitted_by_then() -> None:
    source = journey()
    entry = source.admit(DOCK, NOT_TAKEN, (at("3 09:00"), at("3 09:01")))
    assert [kind for kind, *_ in told(source)] == ["messages_not_taken"]
    assert told(source, known_at=entry) == []
    assert told(source, at="3 08:30") == [], "not what came later than the asked time"


def test_of_very_many_the_newest_are_told_and_that_there_are_more() -> None:
    source = journey()
    for n in range(ADMITTED_MAX + 5):
        source.admit(DOCK, NOT_TAKEN, (at("3 09:00") + n * S, at("3 09:00") + n * S))
    entries = [entry for *_, entry in told(source)]
    assert len(entries) == ADMITTED_MAX
    assert min(entries) == 3 + 5
    assert "truncated" in {one["kind"] for one in ask(source, item(1))["gaps"]}


def test_every_length_has_a_scale_whose_longest_is_no_shorter() -> None:
    for bits in range(62):
        for length in (1 << bits, (1 << bits) + 1, (1 << bits) - 1):
            assert scale_of(length) in SCALES
            assert longest_of(scale_of(length)) >= length
