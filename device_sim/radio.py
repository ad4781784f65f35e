"""Radio: how often, when and by which antenna a tag is heard while it crosses a station.

Three profiles say how tags are heard. `gate` is calibrated to a real dock gate (52,977
reads of 90 passes): 48 reads per tag and pass (5 % below 26, 5 % above 89), gaps between
reads of 0.15 s (median), 0.21 s (90 %) and 0.55 s (99 %), 73 % of the tags heard by both
antennas. `tunnel` is a conveyor, where a tag is in the field for about a second, and
`till` a hand scanner. A tag that stands still is heard about once a second: Gen2 session
flags keep a reader from hearing it more often.

The gap tables end where a pass would fall apart: no gap of a tag reaches 3 s.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Collection
from dataclasses import dataclass

from device_sim.world import (
    MILLISECOND_US,
    SECOND_US,
    Epc,
    Pass,
    Quantiles,
    Read,
    Stream,
    Visit,
)

# ETSI EN 302 208, the four high-power channels of the lower band, in kHz.
CHANNELS_KHZ = (865_700, 866_300, 866_900, 867_500)

_RSSI_FAR_CDBM = -6_900
_RSSI_NEAR_CDBM = -4_600
_RSSI_NOISE_CDBM = 250
_TURN_CDEG = 36_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one kind of station hears a tag: quantiles of reads and gaps, share of both."""

    reads: Quantiles
    gaps_s: Quantiles
    both: float


PROFILES = {
    "gate": Profile(
        reads=((0, 14), (0.05, 26), (0.5, 48), (0.95, 89), (1, 130)),
        gaps_s=((0, 0.05), (0.5, 0.15), (0.9, 0.21), (0.99, 0.55), (1, 2.4)),
        both=0.73,
    ),
    "tunnel": Profile(
        reads=((0, 3), (0.05, 6), (0.5, 11), (0.95, 19), (1, 24)),
        gaps_s=((0, 0.02), (0.5, 0.06), (0.9, 0.11), (0.99, 0.25), (1, 0.6)),
        both=0.73,
    ),
    "till": Profile(
        reads=((0, 1), (0.05, 2), (0.5, 5), (0.95, 11), (1, 15)),
        gaps_s=((0, 0.08), (0.5, 0.18), (0.9, 0.3), (0.99, 0.6), (1, 1.2)),
        both=0,
    ),
}
_PARKED_GAPS_S: Quantiles = ((0, 0.5), (0.5, 0.95), (0.9, 1.3), (0.99, 1.8), (1, 2.4))


def hear_pass(crossing: Pass, missed: Collection[Epc], seed: int) -> list[Read]:
    """Return the reads of one pass in order of time, none at the same millisecond.

    Tags in `missed` are not heard; every other tag is heard at least once.
    """
    heard: list[Read] = []
    for visit in crossing.visits:
        if visit.tag.epc not in missed:
            heard += _hear(crossing, visit, seed)
    heard.sort(key=lambda one: (one.time_us, one.tag.epc))
    reads, latest_us = [], -1
    for read in heard:
        time_us = max(read.time_us, latest_us + MILLISECOND_US)
        latest_us = time_us
        reads.append(
            read
            if time_us == read.time_us
            else Read(
                read.tag, time_us, read.antenna, read.rssi_cdbm, read.phase_cdeg,
                read.frequency_khz,
            )
        )  # fmt: skip
    return reads


def _hear(crossing: Pass, visit: Visit, seed: int) -> list[Read]:
    station = crossing.station
    profile = PROFILES[station.profile]
    stream = Stream(seed, "read", station.name, crossing.number, visit.tag.epc)
    count = int(stream.quantile(profile.reads))
    gaps_s = _PARKED_GAPS_S if visit.parked else profile.gaps_s
    both = station.antennas > 1 and stream.unit() < profile.both
    home = 1 + stream.below(station.antennas)
    end_us = visit.enter_us + visit.stay_us
    time_us = visit.enter_us + int(stream.quantile(gaps_s) * 1000) * MILLISECOND_US
    reads: list[Read] = []
    while time_us < end_us and (visit.parked or len(reads) < count):
        antenna = 1 + stream.below(station.antennas) if both else home
        reads.append(
            Read(
                visit.tag, time_us, antenna, _rssi(stream, time_us - visit.enter_us, visit),
                stream.below(_TURN_CDEG), CHANNELS_KHZ[stream.below(len(CHANNELS_KHZ))],
            )
        )  # fmt: skip
        time_us += int(stream.quantile(gaps_s) * 1000) * MILLISECOND_US
    return reads


def _rssi(stream: Stream, since_us: int, visit: Visit) -> int:
    """Return 1/100 dBm: loudest after a third of the stay, or steady for what is parked."""
    near = 0.6
    if not visit.parked:
        peak_us = visit.stay_us // 3
        near = max(0.0, 1 - abs(since_us - peak_us) / (2 * peak_us))
    level = _RSSI_FAR_CDBM + near * (_RSSI_NEAR_CDBM - _RSSI_FAR_CDBM)
    return int(level + stream.noise() * _RSSI_NOISE_CDBM)


def field_seconds(crossing: Pass) -> float:
    """Return how long a pass lasts, in seconds."""
    return (crossing.end_us - crossing.start_us) / SECOND_US
