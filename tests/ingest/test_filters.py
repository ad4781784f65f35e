"""Filtering after ALE: patterns, cycles, strays, adaptive gaps, directions, triggers."""

import json
import random

import pytest

from ingest.drafts import Event, Outcome
from ingest.planfile import parse_plan
from ingest.reads import TICK_TOPIC, Message
from ingest.site import Site, encode_tick
from ledger.errors import ParseError
from tests.ingest.scene import (
    HEAD,
    OBSERVE,
    SECRET,
    STATION,
    T0,
    events_of,
    hex_of,
    message,
    plan_of,
    sgtin,
)

S = 1_000_000
SSCC = "urn:epc:id:sscc:9506000.0000000001"


def heard(*reads: tuple[int, float, int, int], number: int = 1) -> Message:
    """Return a message of reads, each (serial number, second, antenna, dBm)."""
    body = [
        {"epc": hex_of(n), "timestamp": T0 + round(at * S), "antenna": antenna, "rssi": rssi}
        for n, at, antenna, rssi in reads
    ]
    last = max(at for _, at, _, _ in reads)
    return message(json.dumps({"reads": body}).encode(), number=number, at=T0 + round(last * S))


def tick(second: float, *, everything: bool = True) -> Message:
    at = T0 + round(second * S)
    return message(encode_tick(at, everything=everything), TICK_TOPIC, 999, at)


def run(plan_text: str, *messages: Message) -> Outcome:
    site, outcome = Site(plan_of(plan_text)), Outcome(secret=SECRET)
    for one in messages:
        site.take_message(one, outcome)
    return outcome


def epcs(event: Event) -> list[object]:
    found = event["epcList"]
    assert isinstance(found, list)
    return found


# Patterns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ('include = ["urn:epc:idpat:sgtin:9506000.013435.*"]', [7, 8]),
        (f'include = ["{sgtin(7)}"]', [7]),
        (f'exclude = ["{sgtin(7)}"]', [8]),
        (f'include = ["urn:epc:idpat:sgtin:9506000.*.*"]\nexclude = ["{sgtin(8)}"]', [7]),
    ],
)
def test_tags_are_included_and_excluded_by_pattern(keys: str, kept: list[int]) -> None:
    both = heard((7, 0, 1, -50), (8, 1, 1, -50))
    (event,) = events_of(run(f"{STATION}{keys}\n{OBSERVE}", both, tick(99)))
    assert epcs(event) == [sgtin(n) for n in kept]


def test_a_pass_of_excluded_tags_alone_is_none() -> None:
    plan = f'{STATION}exclude = ["*"]\n{OBSERVE}'
    outcome = run(plan, heard((7, 0, 1, -50)), tick(99))
    assert outcome.counts["passes"] == 0
    assert outcome.counts["reads"] == 1


# Strays ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("min_reads = 3", "read fewer than 3 times"),
        ("rssi_min_dbm = -65", "never heard as loud as -65 dBm"),
        ("stray_percent = 20", "read less than 20 % as often as the others of its pass"),
    ],
)
def test_strays_are_in_no_event_and_their_reason_is_kept(keys: str, reason: str) -> None:
    loud = [(n, at / 10, 1, -50) for n in (1, 2, 3) for at in range(20)]
    plan = f"{STATION}{keys}\n{OBSERVE}"
    outcome = run(plan, heard(*loud, (9, 1.0, 1, -72), (9, 1.5, 1, -70)), tick(99))
    (event,) = events_of(outcome)
    assert epcs(event) == [sgtin(n) for n in (1, 2, 3)]
    (stray,) = outcome.unresolved
    assert stray.why == f"strays: {reason}"
    assert stray.epcs == (sgtin(9),)


# The gap -----------------------------------------------------------------------------


def test_a_gate_that_hears_well_tells_two_close_pallets_apart() -> None:
    pallets = [
        (n, start + at / 20, 1, -50) for n, start in ((1, 0), (2, 4)) for at in range(40)
    ]
    messages = [heard(one, number=k) for k, one in enumerate(pallets, 1)]
    fixed = run(f"{STATION}{OBSERVE}", *messages, tick(99))
    assert len(events_of(fixed)) == 1
    adaptive = run(f"{STATION}gap_min_ms = 600\n{OBSERVE}", *messages, tick(99))
    assert [epcs(one) for one in events_of(adaptive)] == [[sgtin(1)], [sgtin(2)]]


def test_a_gate_that_hears_badly_keeps_the_longer_gap() -> None:
    slow = [heard((1, 1.2 * n, 1, -50), number=n + 1) for n in range(10)]
    outcome = run(f"{STATION}gap_min_ms = 600\n{OBSERVE}", *slow, tick(99))
    assert len(events_of(outcome)) == 1


def test_gaps_like_those_of_a_real_gate_split_no_pass() -> None:
    """48 reads a tag and pass, gaps p50 0.15 s, p99 0.55 s, as measured at a dock door."""
    dice = random.Random(6)
    split = 0
    for trial in range(100):
        at, reads = 0.0, []
        for _ in range(48):
            at += min(dice.lognormvariate(-1.9, 0.56), 2.0)
            reads.append((1, at, 1, -50))
        messages = [heard(*reads[k : k + 4], number=k + 1) for k in range(0, 48, 4)]
        outcome = run(f"{STATION}gap_min_ms = 600\n{OBSERVE}", *messages, tick(999))
        split += len(events_of(outcome)) > 1
        assert split <= 2, f"trial {trial}"


# Reports and cycles ------------------------------------------------------------------

REPORTS = "".join(
    f'[[station.emit]]\nevent = "object"\naction = "OBSERVE"\nreport = "{report}"\n'
    f'biz_step = "{step}"\n'
    for report, step in (("additions", "arriving"), ("deletions", "departing"))
)


def told(outcome: Outcome) -> list[tuple[object, list[object]]]:
    return [(one["bizStep"], epcs(one)) for one in events_of(outcome)]


def test_additions_and_deletions_are_against_the_pass_before() -> None:
    outcome = run(
        STATION + REPORTS,
        heard((1, 0, 1, -50), (2, 1, 1, -50), number=1),
        heard((2, 10, 1, -50), (3, 11, 1, -50), number=2),
        tick(99),
    )
    assert told(outcome) == [
        ("arriving", [sgtin(1), sgtin(2)]),
        ("arriving", [sgtin(3)]),
        ("departing", [sgtin(1)]),
    ]


def test_event_cycles_end_by_themselves_and_an_empty_one_tells_who_left() -> None:
    plan = f"{STATION}cycle_ms = 10000\n{REPORTS}"
    reads = [heard((1, n, 1, -50), (2, n, 1, -50), number=n + 1) for n in range(25)]
    site, outcome = Site(plan_of(plan)), Outcome(secret=SECRET)
    for one in reads:
        site.take_message(one, outcome)
    assert told(outcome) == [("arriving", [sgtin(1), sgtin(2)])]
    for second in (30, 35):
        site.take_message(tick(second, everything=False), outcome)
    assert len(told(outcome)) == 1
    due = site.next_tick_us()
    assert due is not None
    site.take_message(tick((due - T0) / S, everything=False), outcome)
    assert told(outcome)[1:] == [("departing", [sgtin(1), sgtin(2)])]
    assert site.next_tick_us() is None


# Directions --------------------------------------------------------------------------

GATE = f"""{STATION}direction = {{outside = [1], inside = [2]}}
""" + "".join(
    f'[[station.emit]]\nevent = "object"\naction = "OBSERVE"\nway = "{way}"\n'
    f'biz_step = "{step}"\n'
    for way, step in (("in", "receiving"), ("out", "shipping"))
)


def crossing(dice: random.Random, tags: int, *, inward: bool, wrong: float) -> list[Message]:
    """Return reads of a pallet: each tag nearer to one antenna first, some the wrong way."""
    reads = []
    for n in range(tags):
        is_inward = inward != (dice.random() < wrong)
        for k in range(24):
            early = (k < 12) == (dice.random() < 0.85)
            antenna = 1 if early == is_inward else 2
            reads.append((n, k / 12 + dice.uniform(0, 0.05), antenna, -50))
    reads.sort(key=lambda read: read[1])
    return [heard(*reads[k : k + 48], number=k + 1) for k in range(0, len(reads), 48)]


@pytest.mark.parametrize(("inward", "step"), [(True, "receiving"), (False, "shipping")])
def test_a_pallet_goes_the_way_that_most_of_its_tags_go(*, inward: bool, step: str) -> None:
    right = 0
    for seed in range(30):
        dice = random.Random(seed)
        outcome = run(GATE, *crossing(dice, 20, inward=inward, wrong=0.2), tick(99))
        steps = [one["bizStep"] for one in events_of(outcome)]
        assert steps == [step] or outcome.unresolved, f"seed {seed}: {steps}"
        right += steps == [step]
    assert right >= 29


def test_where_the_antennas_do_not_tell_nobody_guesses() -> None:
    one_side = [heard((7, n / 10, 1, -50), number=n + 1) for n in range(10)]
    outcome = run(GATE, *one_side, tick(99))
    assert events_of(outcome) == []
    assert outcome.unresolved[0].why == "the antennas do not tell which way it went"
    assert outcome.unresolved[0].epcs == (sgtin(7),)


# Triggers ----------------------------------------------------------------------------


def port(second: float, *, is_high: bool, number: int = 500, pin: int = 1) -> Message:
    at = T0 + round(second * S)
    state = "HIGH" if is_high else "LOW"
    body = {"type": "gpi", "timestamp": at, "data": {"pin": pin, "state": state}}
    return message(json.dumps(body).encode(), number=number, at=at)


TRIGGERED = f'{STATION}trigger = {{port = 1, level = "high", window_s = 20}}\n{OBSERVE}'


def test_reads_count_only_while_the_light_barrier_is_broken() -> None:
    outcome = run(
        TRIGGERED,
        heard((1, 0, 1, -50), number=1),
        port(1, is_high=True),
        heard((2, 2, 1, -50), number=2),
        port(3, is_high=False),
        heard((3, 4, 1, -50), number=3),
        tick(99),
    )
    (event,) = events_of(outcome)
    assert epcs(event) == [sgtin(2)]
    assert outcome.counts["reads without a trigger"] == 2


def test_a_new_trigger_is_a_new_pass_and_a_window_ends_by_itself() -> None:
    outcome = run(
        TRIGGERED,
        port(0, is_high=True),
        heard((1, 1, 1, -50), number=1),
        port(2, is_high=True),
        heard((2, 2.5, 1, -50), number=2),
        heard((3, 40, 1, -50), number=3),
        tick(99),
    )
    assert [epcs(one) for one in events_of(outcome)] == [[sgtin(1)], [sgtin(2)]]


def test_reads_that_come_after_the_next_signal_still_count() -> None:
    outcome = run(
        TRIGGERED,
        port(0, is_high=True),
        port(3, is_high=False),
        port(10, is_high=True),
        port(13, is_high=False),
        heard((1, 2, 1, -50), (9, 5, 1, -50), (2, 12, 1, -50), number=1),
        tick(99),
    )
    assert [epcs(one) for one in events_of(outcome)] == [[sgtin(1)], [sgtin(2)]]
    assert outcome.counts["reads without a trigger"] == 1


def test_an_input_that_no_station_uses_is_told() -> None:
    outcome = run(TRIGGERED, port(1, is_high=True, pin=2))
    assert "no station of the plan uses" in outcome.faults[0][1].why


# State -------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [GATE, f"{STATION}cycle_ms = 900\n{REPORTS}", TRIGGERED])
def test_the_state_survives_a_restart_between_any_two_messages(plan: str) -> None:
    pallet = crossing(random.Random(3), 30, inward=True, wrong=0.0)
    messages = [port(0, is_high=True), *pallet, tick(99)]

    def play(cut: int | None) -> list[Event]:
        site, outcome = Site(plan_of(plan)), Outcome(secret=SECRET)
        for n, one in enumerate(messages):
            if n == cut:
                parts = site.encode_parts()
                site = Site(plan_of(plan))
                site.restore(parts)
            site.take_message(one, outcome)
        return events_of(outcome)

    calm = play(None)
    assert calm
    for cut in range(len(messages)):
        assert play(cut) == calm


# The plan ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("gap_min_ms = 9000", "gap_min_ms: is 9000, want 1 to 3000"),
        ('include = ["nonsense"]', "include"),
        ("rssi_min_dbm = 900", "rssi_min_dbm: is 900"),
        ("stray_percent = 101", "stray_percent"),
        ("direction = {inside = [1]}", "direction.inside: and outside must"),
        ("direction = {inside = [1], outside = [1]}", "direction.inside"),
        ("direction = {inside = [1], outside = [2], percent = 40}", "percent: is 40"),
        ("direction = {inside = [1], outside = [2], side = 1}", "side: is no key"),
        ('trigger = {port = 1, level = "up"}', "level: is 'up'"),
        ("trigger = {}", "port: is -1000, want 0"),
        ("cycle_ms = -1", "cycle_ms"),
        ('[[station.emit]]\nevent = "object"\nway = "in"', "direction: is missing"),
        ('[[station.emit]]\nevent = "object"\nreport = "all"', "report: is 'all'"),
        ('[[station.emit]]\nevent = "object"\nway = "up"', "way: is 'up'"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_its_line(keys: str, said: str) -> None:
    with pytest.raises(ParseError) as error:
        parse_plan(f"{HEAD}{STATION}{keys}\n", "plan.toml")
    assert said in str(error.value)
    assert "line " in str(error.value)
