"""What says neither time nor number is new each time it comes, unless the broker says not."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ingest.drafts import Outcome
from ingest.inbox import Inbox
from ingest.inboxreader import InboxReader
from ingest.loops import refusals
from ingest.operate import _capture_inbox
from ingest.plan import Plan
from ingest.reads import AGAIN_TOPIC, Arrival, Message
from ingest.recording import parse_recording
from ingest.site import Site
from tests.ingest.scene import (
    OBSERVE,
    SECRET,
    STATION,
    T0,
    T0_S,
    events_of,
    hex_of,
    plan_of,
    sgtin,
)
from tests.ingest.test_site import END, SENSOR, tick

READER = '[[reader]]\nname = "dock"\ntopics = ["gate/#"]\nheartbeat_s = 10\n'
PLAN = plan_of(STATION, OBSERVE, SENSOR)
BEAT = {"type": "heartbeat", "reader": "dock"}
TRIGGER = 'trigger = { port = 1, level = "high", window_s = 5 }\n'


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with Inbox(tmp_path) as made:
        yield made


def came(
    payload: object, second: float, topic: str = "gate/r", *, is_dup: bool = False
) -> Arrival:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Arrival(topic, data, T0 + round(second * 1_000_000), is_dup=is_dup)


def kept(inbox: Inbox, arrivals: Sequence[Arrival]) -> list[Message]:
    """Return what the inbox holds once these came, each in a commit of its own."""
    for one in arrivals:
        inbox.keep([one])
    return inbox.load_after(0, 10_000)


def taken(plan: Plan, messages: Sequence[Message]) -> Outcome:
    site, outcome = Site(plan), Outcome(secret=SECRET)
    for one in messages:
        site.take_message(one, outcome)
    return outcome


def test_a_heartbeat_that_is_the_same_each_time_is_no_silence(inbox: Inbox) -> None:
    messages = kept(inbox, [came(BEAT, 10 * n) for n in range(60)])
    outcome = taken(plan_of(STATION, READER), [*messages, tick(600)])
    assert outcome.notices == []
    assert outcome.counts["vitals"] == 60
    (notice,) = taken(plan_of(STATION, READER), [*messages, tick(621)]).notices
    assert notice.from_us == T0 + 590_000_000


def test_a_tag_without_a_time_is_read_each_time_it_comes(inbox: Inbox) -> None:
    messages = kept(inbox, [came([hex_of(1)], 100 * n) for n in range(3)])
    events = events_of(taken(PLAN, [*messages, END]))
    assert [one["epcList"] for one in events] == [[sgtin(1)]] * 3
    seconds = ("00:00", "01:40", "03:20")
    assert [one["eventTime"] for one in events] == [
        f"2026-01-05T08:{one}.000Z" for one in seconds
    ]
    assert all(one["tagtrail:untimed"] == 1 for one in events)
    assert len({one["eventID"] for one in events}) == 3


def test_equal_samples_without_a_time_are_samples_each(inbox: Inbox) -> None:
    body = {"device": "70B3D57ED0000001", "temperature": 4.0}
    messages = kept(inbox, [came(body, 60 * n, "trucks/7") for n in range(3)])
    (event,) = events_of(taken(PLAN, messages))
    assert len(event["sensorElementList"]) == 3  # type: ignore[arg-type]


def test_what_the_broker_sends_again_is_a_repeat(inbox: Inbox, tmp_path: Path) -> None:
    arrivals = [came([hex_of(1)], 0), came([hex_of(1)], 100, is_dup=True)]
    messages = kept(inbox, arrivals)
    assert [one.topic for one in messages] == ["gate/r"]
    with InboxReader(tmp_path) as look:
        assert look.counts().repeats == 1
    # Not by the flag alone: a message that nobody has seen is new, whatever it says.
    assert len(kept(inbox, [came([hex_of(2)], 200, is_dup=True)])) == 2


@pytest.mark.parametrize(
    "payload",
    [
        {"epc": hex_of(1), "timestamp": T0_S},
        {"epc": hex_of(1), "seq": 4},
        {"seq": 4, "boot": "a", "reads": [{"epc": hex_of(1)}]},
        {"device": "70B3D57ED0000001", "temperature": 4.0, "time": T0_S},
        b"rubbish",
    ],
    ids=repr,
)
def test_what_says_its_time_or_its_number_is_taken_once(inbox: Inbox, payload: object) -> None:
    once = kept(inbox, [came(payload, 0)])
    again = kept(inbox, [came(payload, 100), came(payload, 200)])
    assert [one.topic for one in again[1:]] == [AGAIN_TOPIC] * 2
    expected, found = (taken(PLAN, [*messages, END]) for messages in (once, again))
    assert events_of(found) == events_of(expected)
    assert (found.faults, found.unresolved) == (expected.faults, expected.unresolved)
    assert found.counts["taken again"] == 0


def test_copies_within_a_second_are_one_and_a_steady_stream_is_kept_each_second(
    inbox: Inbox,
) -> None:
    assert len(kept(inbox, [came(BEAT, n / 4) for n in range(4)])) == 1
    assert len(kept(inbox, [came(BEAT, n / 4) for n in range(4, 41)])) == 11


def test_copies_in_one_commit_are_one(inbox: Inbox) -> None:
    inbox.keep([came(BEAT, 0), came(BEAT, 0.1), came([hex_of(1)], 0.2), came(BEAT, 0.3)])
    assert len(inbox.load_after(0, 10)) == 2


def test_an_input_that_says_no_time_opens_its_window_each_time(inbox: Inbox) -> None:
    change = {
        "eventType": "gpiTransition",
        "gpiTransitionEvent": {"gpi": 1, "transition": "low-to-high"},
    }
    plan = plan_of(STATION, TRIGGER, OBSERVE)
    arrivals = [
        one
        for n in (0, 100)
        for one in (came(change, n), came({"epc": hex_of(n), "timestamp": T0_S + n + 1}, n + 1))
    ]
    events = events_of(taken(plan, [*kept(inbox, arrivals), END]))
    assert [one["epcList"] for one in events] == [[sgtin(0)], [sgtin(100)]]


def test_what_came_again_is_recorded_as_it_came(inbox: Inbox, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").touch()
    kept(inbox, [came([hex_of(1)], 0), came([hex_of(1)], 100)])
    assert _capture_inbox(tmp_path, tmp_path / "r.ndjson", 0) == 2
    found = parse_recording("r.ndjson", (tmp_path / "r.ndjson").read_bytes(), 0)
    assert found == [came(f'["{hex_of(1)}"]'.encode(), n) for n in (0, 100)]


def test_a_recording_that_is_replayed_twice_changes_nothing(inbox: Inbox) -> None:
    arrivals = [came([hex_of(1)], 100 * n) for n in range(4)]
    first = kept(inbox, arrivals)
    assert kept(inbox, arrivals) == first
    assert inbox.keep(arrivals).repeats == 4
    assert inbox.load_after(0, 100) == first


def test_three_copies_replayed_twice_are_three(inbox: Inbox) -> None:
    arrivals = [came([hex_of(1)], 100 * n) for n in range(3)]
    once = kept(inbox, arrivals)
    assert kept(inbox, arrivals) == once
    inbox.keep([*arrivals, came([hex_of(2)], 300)])
    assert inbox.load_after(0, 100)[:-1] == once


def test_what_came_again_is_the_same_by_the_journal_as_by_the_database(tmp_path: Path) -> None:
    arrivals = [came([hex_of(1)], 100 * n) for n in range(3)]
    with Inbox(tmp_path) as inbox:
        kept(inbox, arrivals)
    copy = (tmp_path / "inbox.db").read_bytes()
    with Inbox(tmp_path) as inbox:
        inbox.keep([*arrivals, came([hex_of(2)], 300)])
        kept(inbox, [came([hex_of(1)], 400), came([hex_of(3)], 500)])
        expected = inbox.load_after(0, 100)
    (tmp_path / "inbox.db").write_bytes(copy)
    for name in ("inbox.db-wal", "inbox.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    with Inbox(tmp_path) as inbox:
        assert inbox.load_after(0, 100) == expected
    assert len(expected) == 6


@pytest.mark.parametrize("topic", ["gate/" + "\x01" * 65_000, "gate/" + "ä" * 30_000])
def test_a_topic_as_long_as_can_be_breaks_no_message_of_the_gateway(
    inbox: Inbox, topic: str
) -> None:
    long = {"epc": hex_of(1), "x": "x" * 900_000}
    kept(inbox, [came(long, 0, topic), came(long, 100, topic), came([hex_of(1)], 0, topic)])
    refused = [came([hex_of(1)], n, f"{topic}{n}") for n in range(40)]
    inbox.keep(refusals(refused, T0))
    messages = kept(inbox, [came([hex_of(1)], 100, topic)])
    assert not any(one.oversize for one in messages)
    outcome = taken(PLAN, messages)
    assert sum(one.count or 0 for one in outcome.notices) == 40


def test_however_many_share_a_commit_the_inbox_holds_the_same(tmp_path: Path) -> None:
    arrivals = [
        came([hex_of(n % 3)], 40 * n) if n % 2 else came({"epc": hex_of(n), "ts": T0_S + n}, n)
        for n in range(60)
    ]
    found = []
    for size in (1, 7, 60):
        (tmp_path / str(size)).mkdir()
        with Inbox(tmp_path / str(size)) as inbox:
            for start in range(0, len(arrivals), size):
                inbox.keep(arrivals[start : start + size])
            found.append(inbox.load_after(0, 1_000))
    assert found[0] == found[1] == found[2]
    assert sum(one.topic == AGAIN_TOPIC for one in found[0]) == 27
