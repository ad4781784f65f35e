"""Gaps: each hole, drop, silence and quarantine is told of once, and nothing else is."""

import itertools
import json
import random

from ingest.drafts import Notice, Outcome
from ingest.plan import Plan
from ingest.reads import CLOCK_TOPIC, QUOTA_TOPIC, TICK_TOPIC, Message, Vital, message_hash
from ingest.roster import Roster
from ingest.site import Site, encode_tick
from ingest.watch import (
    EVENT_NUMBERS,
    GRACE_US,
    QUARANTINE,
    QUARANTINE_WINDOW_US,
    QUOTA,
    READER_DROPS,
    SILENCE,
)
from tests.ingest.scene import DAIRY, OBSERVE, SECRET, STATION, T0, plan_of, read_payload

S = 1_000_000
READ_POINT = "urn:epc:id:sgln:9506000.00001.gate"
READER = """[[reader]]
name = "dock-1"
topics = ["gate/#"]
heartbeat_s = 10
grace_s = 30
numbered = true
"""
COUNTED = '[[reader]]\nname = "r"\ntopics = ["gate/#"]\nnumbered = true\n'
WATCHED = plan_of(STATION, OBSERVE, READER)
PLAIN = plan_of(STATION, OBSERVE)
NUMBERED = plan_of(STATION, OBSERVE, COUNTED)


class Bench:
    """A roster fed with numbered messages of one reader, one second apart."""

    def __init__(self, plan: Plan = NUMBERED) -> None:
        self.roster = Roster(plan)
        self.outcome = Outcome(secret=SECRET)
        self.at = T0

    def hear(self, *numbers: int, boot: str | None = None, count: int = 1) -> list[bool]:
        repeats = []
        for number in numbers:
            vital = Vital(number=number, boot=boot, count=count)
            repeats.append(self.say(vital))
        return repeats

    def say_at(self, seconds: float) -> None:
        """Hear a message with content, so many seconds later."""
        self.at += int(seconds * S) - S
        self.say()
        message = _message("gate/r", b"{}", self.at)
        self.roster.take_content("dock-1", message, [], [])

    def say(self, *vitals: Vital) -> bool:
        self.at += S
        payload = str(self.at).encode()
        message = Message(
            id=self.at,
            topic="gate/r",
            payload=payload,
            received_us=self.at,
            sha256=message_hash("gate/r", payload),
        )
        return self.roster.take_message(message, vitals, self.outcome)[1]

    def tick(self, seconds: float, *, everything: bool = False) -> None:
        self.at += int(seconds * S)
        self.roster.take_tick(self.at, everything=everything, outcome=self.outcome)

    @property
    def gaps(self) -> list[tuple[int, int | None]]:
        return [(one.what, one.count) for one in self.outcome.notices]

    def numbers_missing(self) -> int:
        self.tick(1, everything=True)
        return sum(count or 0 for what, count in self.gaps if what == EVENT_NUMBERS)


def test_numbers_that_never_come_are_one_gap_after_the_grace() -> None:
    bench = Bench()
    bench.hear(1, 2, 6, 7)
    assert bench.gaps == []
    bench.tick(GRACE_US / S + 1)
    [gap] = bench.outcome.notices
    assert (gap.what, gap.count) == (EVENT_NUMBERS, 3)
    assert (gap.from_us, gap.to_us) == (T0 + 2 * S, T0 + 3 * S)
    assert (gap.party, gap.source) == (DAIRY, READ_POINT)
    assert "3 to 5" in gap.why


def test_numbers_of_a_reader_that_nobody_says_counts_are_no_matter() -> None:
    bench = Bench(PLAIN)
    bench.hear(1, 2, 6, 900, 7)
    assert bench.numbers_missing() == 0
    bench.hear(1, 5, boot="a")  # who counts its starts counts its events
    assert bench.numbers_missing() == 3


def test_the_numbers_of_real_payloads_are_watched_where_the_plan_says_so() -> None:
    zebra = b'{"type":"CUSTOM","data":{"idHex":"%s","eventNum":%d}}'
    epc = b"3034257bf7194e4000001a85"
    plain = b'{"reader":"dock","seq":%d,"epcHex":"%s"}'
    booted = b'{"reader":"dock","boot":"7f3a","seq":%d,"epcHex":"%s"}'
    for plan, payloads, lost in (
        (NUMBERED, [zebra % (epc, n) for n in (1, 2, 5)], 2),
        (NUMBERED, [plain % (n, epc) for n in (1, 2, 5)], 2),
        (PLAIN, [booted % (n, epc) for n in (1, 2, 5)], 2),
        (PLAIN, [zebra % (epc, n) for n in (1, 2, 5)], 0),
        (PLAIN, [plain % (n, epc) for n in (1, 2, 5)], 0),
    ):
        site, outcome = Site(plan), Outcome(secret=SECRET)
        for n, payload in enumerate(payloads):
            site.take_message(_message("gate/r", payload, T0 + n * S), outcome)
        at = T0 + 3_600 * S
        site.take_message(_message(TICK_TOPIC, encode_tick(at, everything=True), at), outcome)
        told = [one.count for one in outcome.notices if one.what == EVENT_NUMBERS]
        assert sum(count or 0 for count in told) == lost, payloads[0]


def test_numbers_that_come_late_leave_no_gap() -> None:
    bench = Bench()
    bench.hear(1, 2, 6, 7, 4, 3, 5)
    assert bench.numbers_missing() == 0


def test_what_a_late_message_fills_in_part_leaves_the_rest() -> None:
    bench = Bench()
    bench.hear(1, 10, 5)
    assert bench.numbers_missing() == 7
    assert [count for _, count in bench.gaps] == [3, 4]


def test_a_new_start_of_the_counter_is_no_gap() -> None:
    for numbers in ((7, 8, 1, 2, 3), (7, 8, 3, 4, 5), (50, 51, 1, 2)):
        bench = Bench()
        bench.hear(*numbers)
        assert bench.numbers_missing() == 0, numbers


def test_a_repeat_among_newer_numbers_opens_no_hole() -> None:
    bench = Bench()
    bench.hear(98, 99, 50, 100, 101)
    assert bench.numbers_missing() == 0


def test_with_a_boot_counter_a_number_that_came_before_is_a_repeat() -> None:
    bench = Bench()
    assert bench.hear(1, 2, 3, boot="a") == [False, False, False]
    assert bench.hear(2, 3, boot="a") == [True, True]
    assert bench.hear(2, 3, boot="b") == [False, False]
    assert bench.numbers_missing() == 0


def test_what_comes_after_its_grace_is_taken_once_and_starts_no_counter() -> None:
    for boot in (None, "a"):
        bench = Bench()
        bench.hear(1, 2, 6, boot=boot)
        bench.tick(GRACE_US / S + 1)
        assert bench.hear(3, 4, 5, 7, 8, boot=boot) == [False] * 5
        assert bench.gaps == [(EVENT_NUMBERS, 3)], "told of once, and nothing else"
        assert bench.numbers_missing() == 3
        assert bench.hear(4, boot=boot) == [boot is not None]


def test_what_came_before_the_first_that_was_heard_is_no_repeat() -> None:
    bench = Bench()
    assert bench.hear(100, 98, 99, boot="a") == [False] * 3
    assert bench.hear(100, boot="a") == [True]
    assert bench.numbers_missing() == 0


def test_of_many_holes_none_that_was_told_of_is_taken_for_a_repeat() -> None:
    bench = Bench()
    bench.hear(*range(1, 400, 2), boot="a")
    bench.tick(GRACE_US / S + 1)
    assert bench.numbers_missing() == 199
    assert not any(bench.hear(*range(2, 400, 2), boot="a"))


def test_a_backlog_fills_its_hole_however_long_it_takes() -> None:
    for boot in (None, "a"):
        bench = Bench()
        bench.hear(1, 2, 500, boot=boot)
        for number in range(3, 500):
            bench.at += 9 * S
            bench.hear(number, boot=boot)
            if number % 7 == 0:
                bench.tick(1)
        bench.hear(501, boot=boot)
        assert bench.numbers_missing() == 0


def test_holes_that_a_boot_left_open_may_be_filled_after_the_next() -> None:
    bench = Bench()
    bench.hear(1, 5, boot="a")
    bench.hear(1, boot="b")
    bench.hear(3, boot="a")
    assert bench.gaps == []
    bench.tick(GRACE_US / S + 1)
    assert bench.gaps == [(EVENT_NUMBERS, 1), (EVENT_NUMBERS, 1)]


def test_a_message_of_many_events_counts_each() -> None:
    bench = Bench()
    bench.hear(1, count=100)
    bench.hear(101, count=100)
    bench.hear(301, count=100)
    assert bench.numbers_missing() == 100


def test_any_order_and_any_loss_of_numbers_is_counted_exactly() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        numbers = list(range(1, 60))
        lost = set(dice.sample(numbers[1:-1], dice.randrange(20)))
        kept = [one for one in numbers if one not in lost]
        # Late by up to five places, the last one in its place.
        mixed = sorted(kept[:-1], key=lambda one: one + dice.uniform(0, 5))
        mixed.sort(key=lambda one: one == 1, reverse=True)
        bench = Bench()
        bench.hear(*mixed, kept[-1], boot="a")
        assert bench.numbers_missing() == len(lost), f"seed {seed}"


def test_what_a_reader_says_it_lost_is_a_gap_by_the_difference() -> None:
    bench = Bench()
    for dropped in (5, 5, 8, 8, 2):
        bench.say(Vital(dropped=dropped, is_heartbeat=True))
    assert bench.gaps == [(READER_DROPS, 3), (READER_DROPS, 2)]
    assert bench.outcome.notices[0].from_us == T0 + 2 * S
    assert bench.outcome.notices[0].to_us == T0 + 3 * S


def test_silence_is_told_of_when_it_shows_and_when_it_ends() -> None:
    bench = Bench(WATCHED)
    bench.say()
    bench.tick(19)
    assert bench.gaps == []
    bench.tick(2)
    bench.tick(100)
    assert bench.gaps == [(SILENCE, None)]
    bench.say()
    assert bench.gaps == [(SILENCE, None), (SILENCE, None)]
    first, second = bench.outcome.notices
    assert (first.from_us, first.to_us) == (T0 + S, T0 + 22 * S)
    assert (second.from_us, second.to_us) == (T0 + 22 * S, T0 + 123 * S)


def test_silence_between_two_messages_needs_no_tick() -> None:
    bench = Bench(WATCHED)
    bench.say()
    bench.at += 60 * S
    bench.say()
    assert bench.gaps == [(SILENCE, None)]


def test_a_reader_that_was_never_heard_is_silent() -> None:
    bench = Bench(WATCHED)
    assert bench.roster.next_tick_us() == 0
    bench.tick(0)
    bench.tick(21)
    assert bench.gaps == [(SILENCE, None)]
    assert bench.outcome.notices[0].source == READ_POINT
    assert bench.roster.views(bench.at)[0].condition == "silent"


def test_fewer_messages_a_minute_than_expected_are_an_alarm() -> None:
    plan = plan_of(STATION, OBSERVE, READER + "messages_per_minute_min = 5\n")
    bench = Bench(plan)

    def condition_after(count: int) -> str:
        for _ in range(count):
            bench.say_at(60 / count)
        return bench.roster.views(bench.at)[0].condition

    assert [condition_after(n) for n in (10, 10, 4, 4, 10, 10)] == [
        "online",
        "online",
        "degraded",
        "degraded",
        "online",
        "online",
    ]
    assert bench.roster.views(bench.at + 15 * S)[0].condition == "online"
    assert bench.roster.views(bench.at + 60 * S)[0].condition == "silent"


def test_the_state_of_a_reader_is_what_it_says_until_it_is_heard() -> None:
    bench = Bench(WATCHED)
    states = []
    for vital in (
        Vital(is_heartbeat=True),
        Vital(state="degraded"),
        Vital(state="offline"),
        Vital(state="online"),
    ):
        bench.say(vital)
        states.append(bench.roster.views(bench.at)[0].condition)
    assert states == ["online", "degraded", "offline", "online"]
    bench.say(Vital(state="offline"))
    bench.say()
    assert bench.roster.views(bench.at)[0].condition == "online"


def test_the_end_of_a_recording_is_no_silence() -> None:
    bench = Bench(WATCHED)
    bench.say()
    bench.tick(3_600, everything=True)
    assert bench.gaps == []


def test_a_step_of_the_clock_is_no_silence() -> None:
    for step_us in (3_600 * S, -3_600 * S):
        site, outcome = Site(WATCHED), Outcome(secret=SECRET)
        site.take_message(_message("gate/r", read_payload(1, 0), T0), outcome)
        own = json.dumps({"time_us": T0 + S + step_us, "step_us": step_us}).encode()
        site.take_message(_message(CLOCK_TOPIC, own, T0 + S + step_us), outcome)
        tick = encode_tick(T0 + 2 * S + step_us, everything=False)
        site.take_message(_message(TICK_TOPIC, tick, T0 + 2 * S + step_us), outcome)
        assert outcome.notices == []
        assert outcome.drafts == [], "the pass ended for the clock"
        tick = encode_tick(T0 + 7 * S + step_us, everything=False)
        site.take_message(_message(TICK_TOPIC, tick, T0 + 7 * S + step_us), outcome)
        assert len(outcome.drafts) == 1


def test_a_message_that_cannot_be_taken_is_a_gap_where_its_station_stands() -> None:
    site, outcome = Site(PLAIN), Outcome(secret=SECRET)
    site.take_message(_message("gate/r", b'{"epc": "30', T0), outcome)
    site.take_message(_message("gate/r", b"\xff\xfe\x00", T0 + S), outcome)
    site.take_message(_message("elsewhere", b'{"epc": "30', T0 + S), outcome)
    site.take_message(_message("gate/r", b"connection lost", T0 + S), outcome)
    at = T0 + QUARANTINE_WINDOW_US
    site.take_message(_message(TICK_TOPIC, encode_tick(at, everything=False), at), outcome)
    [gap] = outcome.notices
    assert (gap.what, gap.count, gap.from_us, gap.to_us) == (QUARANTINE, 2, T0, T0 + S)
    assert (gap.party, gap.source) == (DAIRY, READ_POINT)


def test_what_the_gateway_refused_is_a_gap_for_each_reader() -> None:
    site, outcome = Site(PLAIN), Outcome(secret=SECRET)
    own = {"from_us": T0, "to_us": T0 + S, "topics": {"gate/r": 5, "gate/s": 2, "other": 1}}
    site.take_message(_message(QUOTA_TOPIC, json.dumps(own).encode(), T0 + S), outcome)
    assert [(one.what, one.count) for one in outcome.notices] == [(QUOTA, 5), (QUOTA, 2)]


def test_the_state_written_out_and_read_back_between_any_two_messages_changes_nothing() -> None:
    numbers = [1, 2, 6, 7, 4, 12, 13, 9]
    calm = Bench(WATCHED)
    calm.hear(*numbers)
    calm.tick(60)
    for cut in range(len(numbers)):
        bench = Bench(WATCHED)
        bench.hear(*numbers[:cut])
        parts = bench.roster.encode_parts()
        bench.roster = Roster(WATCHED)
        bench.roster.restore(parts)
        bench.hear(*numbers[cut:])
        bench.tick(60)
        assert _told(bench) == _told(calm)


def _told(bench: Bench) -> list[Notice]:
    return bench.outcome.notices


_IDS = itertools.count(1)


def _message(topic: str, payload: bytes, at: int) -> Message:
    return Message(
        id=next(_IDS),
        topic=topic,
        payload=payload,
        received_us=at,
        sha256=message_hash(topic, payload),
    )
