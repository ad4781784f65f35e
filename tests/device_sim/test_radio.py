from collections import defaultdict
from itertools import pairwise

import pytest

from device_sim.chance import draw_bytes, ladder
from device_sim.play import Run
from device_sim.radio import CHANNELS_KHZ, DEAFNESS, LOSS_CDB, hear_pass
from device_sim.scenario import build_world
from device_sim.scenariofile import parse_scenario
from device_sim.tags import Material, sgtin_tag, sscc_tag
from device_sim.world import SECOND_US, Pass, Read, Station, Visit

PASSES = 3_000
STAY_US = 24 * SECOND_US


@pytest.fixture(scope="module")
def dock(dairy_text: str) -> Station:
    return build_world(parse_scenario(dairy_text)).stations["dairy/dock-1"]


def one_pass(dock: Station, number: int, *visits: Visit) -> Pass:
    return Pass(station=dock, number=number, start_us=0, end_us=60 * SECOND_US, visits=visits)


@pytest.fixture(scope="module")
def gate_reads(dock: Station) -> list[list[Read]]:
    """Return the reads of passes of one pallet through one dock gate, at a fixed seed."""
    visit = Visit(sscc_tag("9506000", 1), 0, STAY_US)
    return [hear_pass(one_pass(dock, n, visit), (), seed=1) for n in range(PASSES)]


def below(numbers: list[float], limit: float) -> float:
    """Return the share of `numbers` that are not above `limit`."""
    return sum(one <= limit for one in numbers) / len(numbers)


def within(share: float, want: float, count: int) -> bool:
    """Tell whether a share of `count` trials is within four standard errors of `want`."""
    return abs(share - want) <= 4 * (want * (1 - want) / count) ** 0.5 + 0.005


# The figures of 52,977 reads of 90 passes through a real dock gate.
@pytest.mark.parametrize(("reads", "share"), [(25.9, 0.05), (48, 0.5), (89, 0.95)])
def test_a_gate_hears_a_tag_as_often_as_a_real_one(
    gate_reads: list[list[Read]], reads: float, share: float
) -> None:
    counts = [float(len(one)) for one in gate_reads]
    assert within(below(counts, reads), share, PASSES)


@pytest.mark.parametrize(("seconds", "share"), [(0.15, 0.5), (0.21, 0.9), (0.55, 0.99)])
def test_the_gaps_between_reads_are_those_of_a_real_gate(
    gate_reads: list[list[Read]], seconds: float, share: float
) -> None:
    gaps = [
        (later.time_us - earlier.time_us) / SECOND_US
        for one in gate_reads
        for earlier, later in pairwise(one)
    ]
    assert within(below(gaps, seconds), share, len(gaps))
    assert max(gaps) < 3


def test_most_tags_are_heard_by_both_antennas(gate_reads: list[list[Read]]) -> None:
    both = sum(len({one.antenna for one in reads}) == 2 for reads in gate_reads)
    assert within(both / PASSES, 0.73, PASSES)


def test_the_first_and_the_last_antenna_tell_the_way_in_three_of_four_passes(
    gate_reads: list[list[Read]],
) -> None:
    told = [reads for reads in gate_reads if reads[0].antenna != reads[-1].antenna]
    right = sum(reads[0].antenna < reads[-1].antenna for reads in told)
    assert right / len(told) == pytest.approx(0.736, abs=0.08)


def test_a_tag_is_loudest_where_it_is_nearest(gate_reads: list[list[Read]]) -> None:
    near, far = [], []
    for reads in gate_reads:
        for one in reads:
            middle = abs(one.time_us - STAY_US // 2) < STAY_US // 10
            (near if middle else far).append(one.rssi_cdbm)
    assert sum(near) / len(near) > sum(far) / len(far) + 500
    assert min(far) > -8_500
    assert max(near) < -3_500


def test_the_phase_turns_twice_a_wavelength_as_the_tag_goes_by(dock: Station) -> None:
    """Two reads soon after one another differ by the way that the tag went meanwhile."""
    visit = Visit(sscc_tag("9506000", 7), 0, STAY_US)
    reads = hear_pass(one_pass(dock, 3, visit), (), seed=5)
    assert len({one.phase_cdeg for one in reads}) > len(reads) // 2
    assert all(0 <= one.phase_cdeg < 36_000 for one in reads)
    assert {one.frequency_khz for one in reads} <= set(CHANNELS_KHZ)


def test_a_reader_stays_on_a_channel_for_two_seconds(gate_reads: list[list[Read]]) -> None:
    for reads in gate_reads[:50]:
        by_hop = defaultdict(set)
        for one in reads:
            by_hop[one.time_us // (2 * SECOND_US)].add(one.frequency_khz)
        assert all(len(channels) == 1 for channels in by_hop.values())


def test_goods_that_swallow_the_waves_are_heard_less_loudly(dock: Station) -> None:
    def loudness(material: Material) -> float:
        tag = sgtin_tag("9506000", "013435", 5, 1, material)
        reads = hear_pass(one_pass(dock, 0, Visit(tag, 0, STAY_US)), (), 1)
        return sum(one.rssi_cdbm for one in reads) / len(reads)

    for material, loss in LOSS_CDB.items():
        assert loudness("carton") - loudness(material) == pytest.approx(loss)
    assert DEAFNESS["carton"] == 1 < DEAFNESS["liquid"] < DEAFNESS["metal"]


def test_a_scenario_may_have_fewer_reads_and_every_tag_is_still_heard(dock: Station) -> None:
    visit = Visit(sscc_tag("9506000", 1), 0, STAY_US)
    many = [len(hear_pass(one_pass(dock, n, visit), (), 1)) for n in range(200)]
    some = [len(hear_pass(one_pass(dock, n, visit), (), 1, 0.25)) for n in range(200)]
    least = [len(hear_pass(one_pass(dock, n, visit), (), 1, 0.001)) for n in range(200)]
    assert sum(some) / sum(many) == pytest.approx(0.25, abs=0.02)
    assert set(least) == {1}


def test_more_draws_of_an_entity_begin_with_fewer() -> None:
    assert draw_bytes(1000, 1, "a", 2)[:10] == draw_bytes(10, 1, "a", 2)
    assert draw_bytes(10, 1, "a", 2) != draw_bytes(10, 1, "a", 3)


def test_a_ladder_has_the_quantiles_of_its_table() -> None:
    steps = ladder(((0, 0), (0.5, 10), (1, 110)), 1000, 10)
    assert (steps[0], steps[500], steps[-1]) == (0, 100, 1099)


def test_no_reader_reads_twice_in_one_millisecond(gate_reads: list[list[Read]]) -> None:
    for reads in gate_reads:
        assert len({one.time_us for one in reads}) == len(reads)


def test_no_two_messages_of_a_reader_are_the_same_but_those_sent_twice(dairy_run: Run) -> None:
    sent: dict[tuple[str, bytes], int] = defaultdict(int)
    for message in dairy_run.messages:
        if message.topic.endswith("/reader"):
            sent[message.topic, message.payload] += 1
    again = [topic for (topic, _), count in sent.items() if count > 1]
    assert again == ["sites/centre/dock-in/reader"] * 40


def test_a_missed_tag_is_never_heard_and_the_others_are_unchanged(dock: Station) -> None:
    tags = [sscc_tag("9506000", n) for n in (1, 2, 3)]
    visits = [Visit(tag, n * 10 * SECOND_US, STAY_US) for n, tag in enumerate(tags)]
    crossing = one_pass(dock, 0, *visits)
    every = hear_pass(crossing, (), 1)
    some = hear_pass(crossing, {tags[2].epc}, 1)
    assert {one.tag for one in every} == set(tags)
    assert {one.tag for one in some} == {tags[0], tags[1]}
    assert [one for one in every if one.tag is tags[0]] == [
        one for one in some if one.tag is tags[0]
    ]
