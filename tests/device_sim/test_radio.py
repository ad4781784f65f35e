from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from device_sim.play import Run
from device_sim.radio import hear_pass
from device_sim.scenario import build_world, parse_scenario
from device_sim.world import SECOND_US, Pass, Read, Visit, sscc_tag

PASSES = 400


@pytest.fixture(scope="module")
def gate_reads(dairy_text: str) -> list[list[Read]]:
    """Return the reads of passes of one pallet through one dock gate."""
    station = build_world(parse_scenario(dairy_text)).stations["dairy/dock-1"]
    tag = sscc_tag("9506000", 1)
    return [
        hear_pass(
            Pass(
                station=station, number=n, start_us=0, end_us=24 * SECOND_US,
                visits=(Visit(tag, 0, 24 * SECOND_US),),
            ),
            (),
            seed=1,
        )
        for n in range(PASSES)
    ]  # fmt: skip


def share(numbers: list[float], at: float) -> float:
    return sorted(numbers)[int(at * len(numbers))]


def test_a_gate_hears_a_tag_as_often_as_a_real_one(gate_reads: list[list[Read]]) -> None:
    counts = [float(len(one)) for one in gate_reads]
    assert share(counts, 0.5) == pytest.approx(48, abs=3)
    assert share(counts, 0.05) == pytest.approx(26, abs=4)
    assert share(counts, 0.95) == pytest.approx(89, abs=9)


def test_the_gaps_between_reads_are_those_of_a_real_gate(gate_reads: list[list[Read]]) -> None:
    gaps = [
        (later.time_us - earlier.time_us) / SECOND_US
        for one in gate_reads
        for earlier, later in pairwise(one)
    ]
    assert share(gaps, 0.5) == pytest.approx(0.15, abs=0.01)
    assert share(gaps, 0.9) == pytest.approx(0.21, abs=0.02)
    assert share(gaps, 0.99) == pytest.approx(0.55, abs=0.1)
    assert max(gaps) < 3


def test_most_tags_are_heard_by_both_antennas(gate_reads: list[list[Read]]) -> None:
    both = sum(len({one.antenna for one in reads}) == 2 for reads in gate_reads)
    assert both / PASSES == pytest.approx(0.73, abs=0.06)


def test_no_reader_reads_twice_in_one_millisecond(dairy_run: Run) -> None:
    times = defaultdict(list)
    for message in dairy_run.messages:
        if message.topic.endswith("/reader") and message.payload.startswith(b"{"):
            times[message.topic].append(message.payload)
    for topic, payloads in times.items():
        again = sum(count - 1 for count in Counter(payloads).values())
        assert again == (40 if topic.startswith("sites/centre/dock-in") else 0)


def test_a_missed_tag_is_never_heard_and_the_others_are_unchanged(dairy_text: str) -> None:
    station = build_world(parse_scenario(dairy_text)).stations["dairy/dock-1"]
    tags = [sscc_tag("9506000", n) for n in (1, 2, 3)]
    visits = [Visit(tag, n * 10 * SECOND_US, 24 * SECOND_US) for n, tag in enumerate(tags)]
    crossing = Pass(
        station=station, number=0, start_us=0, end_us=60 * SECOND_US, visits=tuple(visits)
    )
    every = hear_pass(crossing, (), 1)
    some = hear_pass(crossing, {tags[2].epc}, 1)
    assert {one.tag for one in every} == set(tags)
    assert {one.tag for one in some} == {tags[0], tags[1]}
    assert [one for one in every if one.tag is tags[0]] == [
        one for one in some if one.tag is tags[0]
    ]
