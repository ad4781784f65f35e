"""Radio: how often, when, by which antenna and how loudly a tag is heard while it crosses.

Three profiles say how tags are heard. `gate` is calibrated to a real dock gate (52,977
reads of 90 passes): 48 reads per tag and pass (5 % below 26, 5 % above 89), gaps between
reads of 0.15 s (median), 0.21 s (90 %) and 0.55 s (99 %), 73 % of the tags heard by both
antennas. `tunnel` is a conveyor, where a tag is in the field for about a second, and
`till` a hand scanner. A tag that stands still is heard about once a second: Gen2 session
flags keep a reader from hearing it more often. The gap tables end where a pass would fall
apart: no gap of a tag reaches 3 s.

A tag goes past the antennas on a straight line. Its distance gives the loudness (free
space, there and back: 40 dB a decade, -46 dBm at 1 m, less what the goods behind the tag
swallow) and the phase (a turn for each half wavelength). The further it is along, the
likelier the later antenna hears it, which tells the direction in three of four passes.

All numbers of one visit come from one call of `draw_bytes`, and all that depends on the
place in the field is looked up: a read costs less than a microsecond or two.

Pure: no I/O, no clock, no randomness.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import accumulate, repeat
from math import isqrt
from operator import itemgetter
from struct import unpack_from

from device_sim.chance import Quantiles, draw_bytes, ladder, value_at
from device_sim.tags import Epc, Material
from device_sim.world import MILLISECOND_US, SECOND_US, Pass, ProfileName, Read, Visit

# ETSI EN 302 208, the four high-power channels of the lower band, in kHz; a reader stays
# on one for two seconds.
CHANNELS_KHZ = (865_700, 866_300, 866_900, 867_500)
HOP_US = 2 * SECOND_US
# What the goods behind a tag swallow of its answer, in 1/100 dB, there and back.
LOSS_CDB: dict[Material, int] = {
    "carton": 0, "plastic": 100, "glass": 250, "liquid": 700, "metal": 1_100,
}  # fmt: skip
# How much likelier a label on it is not heard at all.
DEAFNESS: dict[Material, float] = {
    "carton": 1.0, "plastic": 1.0, "glass": 1.5, "liquid": 4.0, "metal": 8.0,
}  # fmt: skip

_AT_ONE_METRE_CDBM = -4_600
_TURN_CDEG = 36_000
_LIGHT_UM_KHZ = 299_792_458_000  # the wavelength in micrometres is this over the channel
_PLACES = 128  # steps along the field
_LANES_UM = tuple(range(900_000, 2_100_000, 150_000))  # distance to the antenna, nearest
_LEAN_FIRST, _LEAN_LAST = 67, 189  # of 256: 26 % at the one end of the field, 74 % at the other
_LADDER = 4_096
_HEAD = 8
_PER_READ = 5
_QUARTERS: Quantiles = ((0, -3.0), (0.05, -1.65), (0.25, -0.67), (0.5, 0.0), (0.75, 0.67),
                        (0.95, 1.65), (1, 3.0))  # fmt: skip
_NOISE_CDBM = ladder(_QUARTERS, 256, 250)
_NOISE_CDEG = ladder(_QUARTERS, 256, 180)
_LEANING = tuple(
    _LEAN_FIRST + (_LEAN_LAST - _LEAN_FIRST) * n // (_PLACES - 1) for n in range(_PLACES)
)
_TIME = itemgetter(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one kind of station hears a tag: quantiles of reads and gaps, share of both.

    `reach_um` is how far before and behind the antennas a tag is heard.
    """

    reads: Quantiles
    gaps_s: Quantiles
    both: float
    reach_um: int


PROFILES: dict[ProfileName, Profile] = {
    "gate": Profile(
        reads=((0, 14), (0.05, 26), (0.5, 48), (0.95, 89), (1, 130)),
        gaps_s=((0, 0.05), (0.5, 0.15), (0.9, 0.21), (0.99, 0.55), (1, 2.4)),
        both=0.73,
        reach_um=3_200_000,
    ),
    "tunnel": Profile(
        reads=((0, 3), (0.05, 6), (0.5, 11), (0.95, 19), (1, 24)),
        gaps_s=((0, 0.02), (0.5, 0.06), (0.9, 0.11), (0.99, 0.25), (1, 0.6)),
        both=0.73,
        reach_um=900_000,
    ),
    "till": Profile(
        reads=((0, 1), (0.05, 2), (0.5, 5), (0.95, 11), (1, 15)),
        gaps_s=((0, 0.08), (0.5, 0.18), (0.9, 0.3), (0.99, 0.6), (1, 1.2)),
        both=0,
        reach_um=400_000,
    ),
}
_PARKED_GAPS_S: Quantiles = ((0, 0.5), (0.5, 0.95), (0.9, 1.3), (0.99, 1.8), (1, 2.4))


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A profile as tables: equally likely values, and what the field is like at each place."""

    gaps_us: tuple[int, ...]
    loudness: tuple[tuple[int, ...], ...]
    phases: tuple[tuple[tuple[int, ...], ...], ...]


def hear_pass(
    crossing: Pass, missed: Collection[Epc], seed: int, density: float = 1.0
) -> list[Read]:
    """Return the reads of one pass in order of time, no two at the same millisecond.

    Tags in `missed` are not heard; every other tag is heard at least once. `density`
    scales how often.
    """
    heard: list[Read] = []
    for visit in crossing.visits:
        if visit.tag.epc not in missed:
            heard += hear_visit(crossing, visit, seed, density)
    heard.sort(key=_TIME)
    latest_us = -1
    for n, read in enumerate(heard):
        if read[1] > latest_us:
            latest_us = read[1]
        else:
            latest_us += MILLISECOND_US
            heard[n] = read._replace(time_us=latest_us)
    return heard


def hear_visit(crossing: Pass, visit: Visit, seed: int, density: float) -> list[Read]:
    """Return the reads of one tag in order of time: at least one, within its stay."""
    profile = PROFILES[crossing.station.profile]
    look = _lookup(crossing.station.profile, visit.parked)
    names = ("read", crossing.station.name, crossing.number, visit.tag.epc)
    gaps_us = look.gaps_us
    if visit.parked:
        count = 1 + visit.stay_us // gaps_us[0]
    else:
        share = int.from_bytes(draw_bytes(_HEAD, seed, *names)[:2], "big") / 65_536
        count = max(1, int(value_at(profile.reads, share) * density))
    draws = draw_bytes(_HEAD + _PER_READ * count, seed, *names)
    steps = [gaps_us[n >> 4] for n in unpack_from(f">{count}H", draws, _HEAD)]
    times = list(accumulate(steps, initial=visit.enter_us))
    end = bisect_left(times, visit.enter_us + visit.stay_us)
    columns = [
        draws[start : start + count]
        for start in range(_HEAD + 2 * count, _HEAD + _PER_READ * count, count)
    ]
    return _sightings(crossing, visit, times[1 : max(2, end)], (draws[:_HEAD], *columns))


def _sightings(
    crossing: Pass, visit: Visit, times: Sequence[int], draws: Sequence[bytes]
) -> list[Read]:
    """Return the reads at `times`: by which antenna, how loud, at what phase.

    `draws` are the bytes of the visit, then a column each for noise, phase and antenna.
    """
    head, loud_noise, phase_noise, leanings = draws
    station, tag = crossing.station, visit.tag
    profile, look = PROFILES[station.profile], _lookup(station.profile, visit.parked)
    antennas = station.antennas
    places = _places(visit, times)
    ports: Sequence[int] = [1 + head[3] % antennas] * len(times)
    if antennas > 1 and head[2] < profile.both * 256:
        lean = _LEANING
        ports = [
            1 + ((lean[p] + n) * antennas >> 9) for p, n in zip(places, leanings, strict=False)
        ]
    lane = head[4] % len(_LANES_UM)
    ways = (len(_LANES_UM) - 1 - lane, lane)  # what is near to one antenna is far from the next
    loud = [look.loudness[way] for way in ways]
    base = -LOSS_CDB[tag.material]
    levels = [
        loud[a & 1][p] + _NOISE_CDBM[n] + base
        for a, p, n in zip(ports, places, loud_noise, strict=False)
    ]
    hop, turn = crossing.number, int.from_bytes(head[5:7], "big")
    hops = [(time_us // HOP_US + hop) & 3 for time_us in times]
    turns = [look.phases[way] for way in ways]
    phases = [
        (turns[a & 1][c][p] + turn + _NOISE_CDEG[n]) % _TURN_CDEG
        for a, c, p, n in zip(ports, hops, places, phase_noise, strict=False)
    ]
    channels = [CHANNELS_KHZ[n] for n in hops]
    return list(
        map(Read._make, zip(repeat(tag), times, ports, levels, phases, channels, strict=False))
    )


def _places(visit: Visit, times: Sequence[int]) -> list[int]:
    """Return how far along the field the tag is; what is parked stands a third in."""
    if visit.parked:
        return [_PLACES // 3] * len(times)
    enter_us, stay_us = visit.enter_us, visit.stay_us
    return [min(_PLACES - 1, (one - enter_us) * _PLACES // stay_us) for one in times]


@cache  # two for each profile
def _lookup(name: ProfileName, parked: bool) -> _Lookup:  # noqa: FBT001 - a key of the cache
    profile = PROFILES[name]
    gaps = _PARKED_GAPS_S if parked else profile.gaps_s
    field = [
        [isqrt(lane * lane + along * along) for along in _along(profile.reach_um)]
        for lane in _LANES_UM
    ]
    return _Lookup(
        gaps_us=tuple(
            gap * MILLISECOND_US for gap in ladder(gaps, _LADDER, SECOND_US // MILLISECOND_US)
        ),
        loudness=tuple(tuple(map(_loudness, lane)) for lane in field),
        phases=tuple(
            tuple(
                tuple(2 * um * _TURN_CDEG * khz // _LIGHT_UM_KHZ % _TURN_CDEG for um in lane)
                for khz in CHANNELS_KHZ
            )
            for lane in field
        ),
    )


def _along(reach_um: int) -> list[int]:
    return [reach_um * (2 * n + 1 - _PLACES) // _PLACES for n in range(_PLACES)]


def _loudness(distance_um: int) -> int:
    """Return 1/100 dBm at a distance; decimal, so that every platform gets the same."""
    decades = (Decimal(distance_um) / 1_000_000).log10()
    return _AT_ONE_METRE_CDBM - int(decades * 4_000)
