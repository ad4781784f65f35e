"""Losses: what was injected that leaves a gap, as whoever listens has to admit it.

    event numbers   numbers that a reader gave and that never came, in one run
    reader drops    messages that a reader threw away and says so in its heartbeats
    silence         a reader that promised heartbeats was not heard for more than two of them
    quarantine      a message that came and that nobody can read

A reader counts its events, and a Zebra its management events, from 1 in every boot. A run of
numbers is *knowable* if smaller and greater ones of the same boot came and the capture plan
says that the station is `numbered` or its payloads name the boot: nobody can know of what
was lost before the first or after the last. Silence is knowable if something came after it.

What came late, twice or out of order is no loss.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from device_sim.world import Message, Station

EVENTS, MANAGEMENT = "events", "management"
HEARTBEATS_MISSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One gap that was injected; `first` and `last` are event numbers of `counter`, if any."""

    what: str
    station: Station
    cause: str
    from_us: int
    to_us: int
    count: int | None = None
    counter: str | None = None
    first: int | None = None
    last: int | None = None
    knowable: bool = True


@dataclass(slots=True)
class _Counter:
    """One counter of one boot: the least and greatest number that came, and what was lost."""

    least: int | None = None
    most: int = 0
    lost: list[tuple[int, int, int, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Drop:
    """Messages that a reader dropped, until a heartbeat said so."""

    times: list[int]
    cause: str


@dataclass(slots=True)
class _Record:
    station: Station
    counters: dict[tuple[int, str], _Counter] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)
    away: list[tuple[int, int, str]] = field(default_factory=list)
    drops: list[_Drop] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    unreadable: dict[str, tuple[int, str]] = field(default_factory=dict)


class Losses:
    """What the readers of a run lost, station by station."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def came(self, station: Station, boot: int, counter: str, numbers: range) -> None:
        """Note that event numbers arrived and can be read."""
        if numbers:
            own = self._counter(station, boot, counter)
            own.least = min(numbers[0], numbers[0] if own.least is None else own.least)
            own.most = max(own.most, numbers[-1])

    def lost(
        self, station: Station, boot: int, counter: str, numbers: range, at: tuple[int, str]
    ) -> None:
        """Note that event numbers never arrive; `at` is when they were given, and why."""
        if numbers:
            found = (numbers[0], numbers[-1], *at)
            self._counter(station, boot, counter).lost.append(found)

    def heard(self, station: Station, time_us: int) -> None:
        """Note that something of a station arrived, where it promised heartbeats."""
        if station.heartbeat_us:
            self._of(station).heard.append(time_us)

    def away(self, station: Station, span: tuple[int, int], cause: str) -> None:
        """Note that nothing of a station gets out for a while."""
        if station.heartbeat_us:
            self._of(station).away.append((*span, cause))

    def dropped(self, station: Station, times: Iterable[int], cause: str) -> None:
        """Note that a reader threw messages away."""
        self._of(station).drops.append(_Drop(list(times), cause))

    def told(self, station: Station, time_us: int) -> None:
        """Note that a heartbeat arrived which says how much its reader dropped."""
        self._of(station).told.append(time_us)

    def unreadable(self, station: Station, message: Message, cause: str) -> None:
        """Note that a message came that nobody can read; the same again is a repeat."""
        self._of(station).unreadable.setdefault(message.identity, (message.time_us, cause))

    def absorb(self, other: "Losses") -> None:
        """Take over what was noted elsewhere, of other stations."""
        self._records.update(other._records)  # noqa: SLF001 - of the same class

    def gaps(self) -> Iterator[Gap]:
        """Yield every gap that was injected, by station."""
        for _, record in sorted(self._records.items()):
            for (_, counter), own in sorted(record.counters.items()):
                yield from _holes(record.station, counter, own)
            yield from _drops(record)
            yield from _silences(record)
            for time_us, cause in sorted(record.unreadable.values()):
                yield Gap(
                    what="quarantine", station=record.station, cause=cause, from_us=time_us,
                    to_us=time_us, count=1,
                )  # fmt: skip

    def _of(self, station: Station) -> _Record:
        return self._records.setdefault(station.name, _Record(station))

    def _counter(self, station: Station, boot: int, counter: str) -> _Counter:
        return self._of(station).counters.setdefault((boot, counter), _Counter())


def _holes(station: Station, counter: str, own: _Counter) -> Iterator[Gap]:
    """Yield each run of lost numbers; neighbours are one run, whatever they were lost by."""
    runs: list[list[tuple[int, int, int, str]]] = []
    for one in sorted(own.lost):
        if runs and one[0] == runs[-1][-1][1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    for run in runs:
        first, last = run[0][0], run[-1][1]
        times = [at_us for _, _, at_us, _ in run]
        bounded = own.least is not None and own.least < first and last < own.most
        yield Gap(
            what="event_numbers", station=station, cause=run[0][3], from_us=min(times),
            to_us=max(times), count=last - first + 1, counter=counter, first=first, last=last,
            knowable=station.is_numbered and bounded,
        )  # fmt: skip


def _drops(record: _Record) -> Iterator[Gap]:
    """Yield what was dropped between two heartbeats; before the first nobody compares."""
    told = sorted(record.told)
    for drop in record.drops:
        first, last = min(drop.times), max(drop.times)
        knowable = any(one < first for one in told) and any(one > last for one in told)
        yield Gap(
            what="reader_drops", station=record.station, cause=drop.cause, from_us=first,
            to_us=last, count=len(drop.times), knowable=knowable,
        )  # fmt: skip


def _silences(record: _Record) -> Iterator[Gap]:
    limit_us = HEARTBEATS_MISSED * record.station.heartbeat_us
    for from_us, to_us, cause in record.away:
        for last_us, next_us in pairwise(sorted(record.heard)):
            if last_us < to_us and from_us < next_us and next_us - last_us > limit_us:
                yield Gap(
                    what="silence", station=record.station, cause=cause, from_us=last_us,
                    to_us=next_us,
                )  # fmt: skip
