"""Clocks of readers: skew, drift, steps, backlogs, no clock: told apart or admitted."""

import json
from collections import defaultdict
from importlib import resources
from typing import Any

import pytest

from device_sim.library import load_scenario
from device_sim.play import Run, play
from device_sim.scenariofile import parse_scenario
from ingest.drafts import Event, Outcome
from ingest.reads import CLOCK_TOPIC, TICK_TOPIC
from ingest.site import Site, encode_tick
from ledger.epcis.times import parse_time_us
from tests.device_sim.whole_line import interpret
from tests.ingest.scene import (
    DAIRY,
    OBSERVE,
    SECRET,
    STATION,
    T0,
    events_of,
    message,
    plan_of,
    read_payload,
)

S = 1_000_000
HOUR = 3_600.0


class Gate:
    """A gateway that hears one reader: when it heard, and what the reader's clock showed."""

    def __init__(self, *blocks: str) -> None:
        self.site = Site(plan_of(STATION, OBSERVE, *blocks))
        self.outcome = Outcome(secret=SECRET)
        self.number = 0

    def hear(self, second: float, told: float, *tags: int) -> None:
        """Take a message at `second` with reads that the reader times at `told`."""
        self.number += 1
        reads = [json.loads(read_payload(n, told)) for n in tags or (7,)]
        payload = json.dumps({"reads": reads, "n": self.number}).encode()
        self.take("gate/r", payload, second)

    def take(self, topic: str, payload: bytes, second: float) -> None:
        at = T0 + round(second * S)
        self.site.take_message(message(payload, topic, self.number, at), self.outcome)

    def a_pass(self, second: float, offset: float, tag: int = 7, late: float = 0.0) -> None:
        """Let a tag pass for two seconds; the reader is `offset` off, messages are late."""
        for n in range(21):
            at = second + n / 10
            self.hear(at + late, at + offset, tag)

    def end(self) -> list[Event]:
        self.take(TICK_TOPIC, encode_tick(T0 + 10**12, everything=True), 10**6)
        return events_of(self.outcome)


def seconds_of(event: Event) -> float:
    return (parse_time_us(str(event["eventTime"])) - T0) / S


def clock_of(event: Event) -> dict[str, Any]:
    clock = event["tagtrail:clock"]
    assert isinstance(clock, dict)
    return clock


def flags_of(event: Event) -> list[str]:
    return list(clock_of(event).get("flags", ()))


def test_a_clock_within_the_skew_is_left_alone_and_its_offset_is_the_error() -> None:
    gate = Gate()
    gate.a_pass(0, 3.0)
    (event,) = gate.end()
    assert seconds_of(event) == 5.0
    assert clock_of(event)["offset_ms"] == 0
    assert 3_000 <= clock_of(event)["error_ms"] < 4_100


@pytest.mark.parametrize("offset", [90.0, -90.0, 10 * HOUR, -10 * HOUR])
def test_a_clock_beyond_the_skew_is_corrected_from_the_first_pass_on(offset: float) -> None:
    gate = Gate()
    for n in range(3):
        gate.a_pass(60 * n, offset, n)
    events = gate.end()
    assert [round(seconds_of(one), 2) for one in events] == [2.0, 62.0, 122.0]
    assert clock_of(events[2])["offset_ms"] == offset * 1_000
    assert clock_of(events[2])["error_ms"] < 100
    assert clock_of(events[2])["told"].startswith("2026-01-0")


@pytest.mark.parametrize("step", [HOUR, -HOUR, 20.0, -20.0])
@pytest.mark.parametrize("within", [True, False])
def test_a_step_makes_no_ghosts_within_a_pass_or_between_two(
    step: float, *, within: bool
) -> None:
    gate = Gate()
    gate.a_pass(0, 0.0)
    for n in range(61):
        at = 60 + n / 10
        gate.hear(at, at + (step if n > 30 or not within else 0.0), 8)
    gate.a_pass(120, step, 9)
    events = gate.end()
    assert [round(seconds_of(one), 2) for one in events] == [2.0, 66.0, 122.0]


@pytest.mark.parametrize("ppm", [300, -300])
def test_drift_is_followed_without_a_break(ppm: int) -> None:
    gate = Gate()
    for n in range(60):
        gate.a_pass(1_000 * n, 1_000 * n * ppm / 1e6, n)
    events = gate.end()
    assert len(events) == 60
    for n, event in enumerate(events):
        off = abs(seconds_of(event) - 1_000 * n - 2.0)
        assert off <= clock_of(event)["error_ms"] / 1_000
        assert off <= 5.1
    (view,) = gate.site.clocks.views()
    assert view.drift_ppm is not None
    assert abs(view.offset_us - ppm * 59_000) < 100_000
    assert view.is_bad


def test_the_drift_of_a_clock_is_told() -> None:
    gate = Gate()
    for n in range(240):
        gate.hear(10 * n, 10 * n * (1 + 200 / 1e6), 7)
    (view,) = gate.site.clocks.views()
    assert view.drift_ppm is not None
    assert abs(view.drift_ppm - 200) < 20


@pytest.mark.parametrize("per_second", [5, 37, 500])
def test_a_backlog_is_no_skew(per_second: int) -> None:
    gate = Gate()
    gate.a_pass(0, 0.0)
    backlog = [60 * k + n / 13 for k in range(1, 20) for n in range(23)]
    for n, told in enumerate(backlog):
        gate.hear(3_600 + n / per_second, told, 8)
    gate.a_pass(5_000, 0.0, 9)
    events = gate.end()
    times = [round(seconds_of(one), 1) for one in events]
    assert times == [2.0, *(60 * k + 1.7 for k in range(1, 20)), 5_002.0]
    assert all(flags_of(one) for one in events[1:-1])
    assert flags_of(events[-1]) == []


def test_a_message_of_now_among_old_ones_shows_that_they_are_old() -> None:
    gate = Gate()
    gate.a_pass(0, 0.0)
    gate.hear(3_600.0, 60.0, 8)
    gate.hear(3_600.5, 3_600.5, 9)
    events = gate.end()
    assert sorted(round(seconds_of(one), 1) for one in events) == [2.0, 60.0, 3_600.5]
    assert [flags_of(one) for one in events].count(["backfill"]) == 1


def test_one_old_message_alone_is_taken_as_told_with_the_whole_error() -> None:
    gate = Gate()
    gate.a_pass(0, 0.0)
    gate.hear(3_600.0, 60.0, 8)
    event = gate.end()[-1]
    assert seconds_of(event) == 60.0
    assert flags_of(event) == ["unsure"]
    assert clock_of(event)["error_ms"] >= 3_540_000


def test_a_clock_that_was_never_set_is_read_against_the_gateways() -> None:
    boot = -(T0 / S) + 40  # 1970-01-01T00:00:40
    gate = Gate()
    gate.a_pass(0, boot)
    gate.a_pass(600, boot, 8)
    gate.a_pass(1_200, 0.0, 9)
    events = gate.end()
    assert [round(seconds_of(one), 2) for one in events] == [2.0, 602.0, 1_202.0]
    assert [flags_of(one) for one in events] == [["unset"], ["unset"], []]
    assert clock_of(events[0])["told"] == "1970-01-01T00:00:42.000Z"


def test_reads_without_a_time_have_no_clock() -> None:
    gate = Gate()
    gate.take("gate/r", b'["3034257BF400B7800004CB2F"]', 5)
    (event,) = gate.end()
    assert event["tagtrail:untimed"] == 1
    assert "tagtrail:clock" not in event


def test_the_plan_says_how_much_skew_is_none() -> None:
    reader = '[[reader]]\nname = "r"\ntopics = ["gate/#"]\nskew_max_s = 2\n'
    gate = Gate(reader)
    gate.a_pass(0, 3.0)
    (event,) = gate.end()
    assert seconds_of(event) == 2.0


def test_nanoseconds_that_the_reader_wrote_are_in_the_event() -> None:
    gate = Gate()
    payload = b'{"epc":"AAAA","time":"2026-01-05T08:00:00.123456789Z"}'
    gate.take("gate/r", payload, 0.2)
    (event,) = gate.end()
    assert clock_of(event)["told"] == "2026-01-05T08:00:00.123456789Z"
    assert event["eventTime"] == "2026-01-05T08:00:00.123456Z"


@pytest.mark.parametrize("step", [3_600, -3_600])
def test_a_step_of_the_gateways_own_clock_moves_no_event(step: int) -> None:
    gate = Gate()
    gate.a_pass(0, 0.0)
    own = json.dumps({"time_us": T0 + (30 + step) * S, "step_us": step * S}).encode()
    gate.take(CLOCK_TOPIC, own, 30 + step)
    gate.a_pass(60 + step, -float(step), 8)
    back = json.dumps({"time_us": T0 + 90 * S, "step_us": -step * S}).encode()
    gate.take(CLOCK_TOPIC, back, 90)
    gate.a_pass(120, 0.0, 9)
    events = gate.end()
    assert [round(seconds_of(one), 2) for one in events] == [2.0, 62.0, 122.0]
    assert [flags_of(one) for one in events] == [[], ["unsure"], []]


def test_a_gateway_that_mends_its_clock_believes_the_reader_that_was_right() -> None:
    gate = Gate()
    gate.a_pass(0, HOUR)  # the gateway is an hour behind
    own = json.dumps({"time_us": T0 + 3_630 * S, "step_us": 3_600 * S}).encode()
    gate.take(CLOCK_TOPIC, own, 3_630)
    gate.a_pass(3_660, 0.0, 8)
    events = gate.end()
    assert round(seconds_of(events[1]), 2) == 3_662.0
    assert clock_of(events[1])["offset_ms"] == 0


# Samples ------------------------------------------------------------------------------

SENSOR = f"""[[sensor]]
device = "D1"
device_uri = "urn:x:d1"
topics = ["cold/#"]
party = "{DAIRY}"
asset = "urn:epc:id:grai:9506000.00300.7"
batch = 1
"""


class Cold(Gate):
    """A gateway that hears one sensor."""

    def __init__(self, *blocks: str) -> None:
        super().__init__(SENSOR, *blocks)

    def hear(self, second: float, told: float | None, *values: int) -> None:
        self.number += 1
        body = {"device": "D1", "temperature": float((*values, self.number)[0])}
        if told is not None:
            body["time"] = T0 / S + told
        self.take("cold/1", json.dumps(body).encode(), second)

    @property
    def events(self) -> list[Event]:
        return events_of(self.outcome)


def times_of(event: Event) -> list[float]:
    elements = event["sensorElementList"]
    assert isinstance(elements, list)
    return [
        round((parse_time_us(one["sensorMetadata"]["time"]) - T0) / S, 3) for one in elements
    ]


def test_a_sample_without_a_time_has_that_of_receipt_and_says_so() -> None:
    cold = Cold()
    cold.hear(5, None)
    (event,) = cold.events
    assert times_of(event) == [5.0]
    assert event["tagtrail:untimed"] == 1
    assert "tagtrail:clock" not in event


def test_a_sensor_within_the_skew_is_left_alone_and_its_offset_is_the_error() -> None:
    cold = Cold()
    cold.hear(60, 63.0)
    (event,) = cold.events
    assert times_of(event) == [63.0]
    assert clock_of(event)["offset_ms"] == 0
    assert 3_000 <= clock_of(event)["error_ms"] <= 4_001
    assert flags_of(event) == []
    assert "tagtrail:untimed" not in event


def test_a_sensor_that_is_ahead_is_corrected_from_its_first_sample_on() -> None:
    cold = Cold()
    for n in range(4):
        cold.hear(60 * n, 60 * n + 3_600.0)
    assert [times_of(one) for one in cold.events] == [[0.0], [60.0], [120.0], [180.0]]
    last = clock_of(cold.events[-1])
    assert last["offset_ms"] == 3_600_000
    assert last["error_ms"] <= 1_001
    assert last["told"] == "2026-01-05T09:03:00.000Z"
    (view,) = cold.site.clocks.views()
    assert (view.topic, view.source, view.offset_us) == ("cold/1", "D1", 3_600 * S)
    assert view.is_bad


def test_a_sensor_that_is_behind_is_in_doubt_once_and_then_corrected() -> None:
    cold = Cold()
    for n in range(4):
        cold.hear(60 * n, 60 * n - 90.0)
    first, *others = cold.events
    assert times_of(first) == [-90.0]
    assert flags_of(first) == ["unsure"]
    assert clock_of(first)["error_ms"] >= 90_000
    assert [times_of(one) for one in others] == [[60.0], [120.0], [180.0]]
    assert clock_of(others[-1])["offset_ms"] == -90_000


def test_the_backlog_of_a_sensor_is_no_skew() -> None:
    cold = Cold()
    cold.hear(0, 0.0)
    for n in range(30):
        cold.hear(3_600 + n / 50, 60.0 * (n + 1))
    cold.hear(3_700, 3_700.0)
    told = [time for one in cold.events for time in times_of(one)]
    assert told == [0.0, *(60.0 * (n + 1) for n in range(30)), 3_700.0]
    flags = [flags_of(one) for one in cold.events]
    assert flags[1] == ["unsure"]
    assert flags[2:-1] == [["backfill"]] * 29
    assert flags[0] == flags[-1] == []
    assert clock_of(cold.events[1])["error_ms"] >= 3_500_000


def test_a_sensor_whose_clock_was_never_set_is_read_against_the_gateways() -> None:
    boot = -(T0 / S) + 40
    cold = Cold()
    for n in range(3):
        cold.hear(60 * n, 60 * n + boot)
    assert [times_of(one) for one in cold.events] == [[0.0], [60.0], [120.0]]
    assert [flags_of(one) for one in cold.events] == [["unset"]] * 3


def test_the_samples_of_one_event_have_the_largest_error_and_all_flags() -> None:
    cold = Cold()
    cold.site = Site(plan_of(STATION, OBSERVE, SENSOR.replace("batch = 1", "batch = 3")))
    cold.hear(0, 0.0)
    cold.hear(60, None)
    cold.hear(120, 60.5)
    (event,) = cold.events
    assert times_of(event) == [0.0, 60.0, 60.5]
    assert event["tagtrail:untimed"] == 1
    assert flags_of(event) == ["unsure"]
    assert clock_of(event)["error_ms"] >= 59_500


def test_a_snapshot_between_any_two_samples_changes_nothing() -> None:
    heard = [(0, 0.0), (60, 60.0), (120, 60.0), (121, 61.0), (180, 120.0), (240, None)]

    def run(cut: int | None) -> list[Event]:
        cold = Cold()
        for n, (second, told) in enumerate(heard):
            if n == cut:
                parts = cold.site.encode_parts()
                cold.site = Site(cold.site.plan)
                cold.site.restore(parts)
            cold.hear(second, told)
        return cold.events

    calm = run(None)
    assert len(calm) == len(heard)
    for cut in range(len(heard)):
        assert run(cut) == calm


def test_a_snapshot_between_any_two_messages_changes_nothing() -> None:
    def script() -> list[tuple[str, bytes, float]]:
        found: list[tuple[str, bytes, float]] = []
        gate = Gate()
        gate.take = lambda topic, payload, second: found.append((topic, payload, second))  # type: ignore[method-assign]
        gate.a_pass(0, 0.0)
        for n in range(8):
            gate.hear(600 + n / 5, 600 - HOUR + n / 5, 8)
        gate.a_pass(620, -HOUR, 9)
        gate.hear(700, 60.0, 10)
        return found

    messages = script()

    def run(cut: int | None) -> list[Event]:
        gate = Gate()
        for n, (topic, payload, second) in enumerate(messages):
            if n == cut:
                parts = gate.site.encode_parts()
                gate.site = Site(gate.site.plan)
                gate.site.restore(parts)
            gate.take(topic, payload, second)
        return gate.end()

    calm = run(None)
    assert len(calm) == 4
    for cut in range(len(messages)):
        assert run(cut) == calm


# The whole line ----------------------------------------------------------------------

DOCK, LINE = "centre/dock-in", "dairy/case-tunnel"
FAULTS = {
    "skew": f'kind = "clock_skew"\nstation = "{DOCK}"\nseconds = -90.0',
    "ahead": f'kind = "clock_skew"\nstation = "{LINE}"\nseconds = 90.0',
    "a little": f'kind = "clock_skew"\nstation = "{DOCK}"\nseconds = -3.0',
    "drift": f'kind = "clock_drift"\nstation = "{DOCK}"\nppm = 500.0',
    "step": f'kind = "clock_step"\nstation = "{DOCK}"\npass = 1\nseconds = 3600.0',
    "step back": f'kind = "clock_step"\nstation = "{LINE}"\npass = 1\nseconds = -3600.0',
    "no clock": f'kind = "no_clock"\nstation = "{DOCK}"\nminutes = 60',
    "offline": f'kind = "offline"\nstation = "{DOCK}"\nminutes = 60\nrate = 5',
}


@pytest.fixture(scope="module")
def sound_text() -> str:
    dairy_text = (resources.files("device_sim") / "scenarios" / "dairy.toml").read_text()
    return dairy_text.partition("# Faults")[0].replace("items = 300", "items = 96")


@pytest.fixture(scope="module")
def sound(sound_text: str) -> dict[str, list[Event]]:
    return by_content(play(parse_scenario(sound_text), 5))


def by_content(run: Run) -> dict[str, list[Event]]:
    """Return the events of a run by all that they say but their time."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events_of(interpret(run)):
        said = {k: v for k, v in event.items() if not k.startswith(("event", "tagtrail:"))}
        if "sensorElementList" not in said:
            found[json.dumps(said, sort_keys=True)].append(event)
    return found


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_clock_over_the_whole_line_gives_right_events_or_admits_the_error(
    name: str, sound_text: str, sound: dict[str, list[Event]]
) -> None:
    run = play(parse_scenario(f"{sound_text}\n[[fault]]\n{FAULTS[name]}\n"), 5)
    faulty = by_content(run)
    assert faulty.keys() == sound.keys(), "an event is missing, or is a ghost"
    for content, events in sound.items():
        for one, other in zip(events, faulty[content], strict=True):
            off = abs(
                parse_time_us(str(one["eventTime"])) - parse_time_us(str(other["eventTime"]))
            )
            clock = other.get("tagtrail:clock", {"error_ms": 0})
            assert isinstance(clock, dict)
            assert off <= 1_000 * clock["error_ms"], (content[:200], off, clock)


def test_the_dairy_as_it_ships_has_good_clocks() -> None:
    run = play(load_scenario("dairy"), 2)
    flagged = [
        one for one in events_of(interpret(run)) if "flags" in str(one.get("tagtrail:clock"))
    ]
    assert flagged == []
