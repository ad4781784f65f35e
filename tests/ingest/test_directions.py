"""How often the way of a pass is told right, by the reads of a gate like a real one."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from device_sim.chronicle import STAY_US
from device_sim.library import load_scenario
from device_sim.play import Performance
from device_sim.radio import hear_pass
from device_sim.tags import Tag
from device_sim.world import Pass as Crossing
from device_sim.world import Visit
from ingest.directions import Way, find_way
from ingest.reads import Read, TimeSource
from ingest.smoothing import Heard, OpenPass, end_all, take_reads
from tests.ingest.scene import STATION, plan_of

RULE = "direction = {outside = [1], inside = [2], percent = 60}\n"
GATE = plan_of(STATION + RULE).stations[0]
SPREAD_US = 800_000
SEED = 7


@pytest.fixture(scope="module")
def gate() -> tuple[Crossing, list[Tag]]:
    passes = Performance(load_scenario("dairy"), 1)._story.passes
    tags = {visit.tag.epc: visit.tag for one in passes for visit in one.visits}
    at_gate = (one for one in passes if one.station.profile == "gate" and one.visits)
    return next(one for one in at_gate if one.station.antennas == 2), list(tags.values())


def way_of(crossing: Crossing) -> Way | None:
    heard = sorted(hear_pass(crossing, (), crossing.number), key=lambda one: one.time_us)
    reads = [
        Read(one.tag.epc, one.time_us, TimeSource.READER, one.antenna, one.rssi_cdbm)
        for one in heard
    ]
    passes: list[OpenPass] = []
    take_reads(passes, GATE, reads, Heard(b"", reads[-1].time_us))
    return find_way(GATE.direction, end_all(passes, GATE)[0])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "rounds", "right", "wrong"),
    [(1, 400, 0.25, 0.08), (10, 150, 0.85, 0.06), (40, 60, 0.95, 0.0)],
)
def test_a_pallet_goes_the_way_that_its_tags_went(
    gate: tuple[Crossing, list[Tag]], size: int, rounds: int, right: float, wrong: float
) -> None:
    crossing, tags = gate
    dice = random.Random(SEED)
    found: Counter[Way | None] = Counter()
    for n in range(rounds):
        visits = tuple(
            Visit(tag, crossing.start_us + dice.randrange(SPREAD_US), STAY_US["gate"])
            for tag in dice.sample(tags, size)
        )
        found[way_of(replace(crossing, number=n, visits=visits))] += 1
    assert found["in"] >= right * rounds, found
    assert found["out"] <= wrong * rounds, found
