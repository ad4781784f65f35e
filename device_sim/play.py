"""Play: one scenario and one seed become messages, truth and a capture plan.

A `Performance` makes the messages one after another in order of time and keeps none, so
that a run of any length needs only the memory of its story. `play` keeps them all.

The same scenario and seed give the same bytes in every process: nothing here looks at a
clock, at the network, or at the order of a set.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from zlib import crc32

from device_sim.chain import play_chain
from device_sim.faults import FaultBook
from device_sim.heartbeats import Beat
from device_sim.loggerfaults import LoggerFaults
from device_sim.paperfaults import PaperFaults
from device_sim.plan import format_plan
from device_sim.readerfaults import ReaderFaults
from device_sim.scenario import Scenario, build_world
from device_sim.signing import ORIGIN, Device, Signing, devices
from device_sim.truth import Told, tell_truth
from device_sim.world import HOUR_US, MINUTE_US, Message, Note, Party, Pass, World

# What makes messages: a pass, a note, a heartbeat that is due, or the trip of that number.
_Source = Pass | Note | Beat | int
# A message with its time, the number of its source, and its number in there.
Ordered = tuple[int, int, int, Message]
# What a run labelled so far, and how many reads its messages tell.
Labels = tuple[FaultBook, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One played run. `messages` are in order of time, each station's among themselves too."""

    scenario: Scenario
    seed: int
    world: World
    messages: tuple[Message, ...]
    truth: tuple[str, ...]
    plan_text: str
    reads: int
    samples: int

    @property
    def parties(self) -> tuple[Party, ...]:
        """The parties in the order of the scenario: `.id`, `.title`, `.prefix`."""
        return tuple(self.world.parties.values())


def play(scenario: Scenario, seed: int, origin: str = ORIGIN) -> Run:
    """Play `scenario` and keep everything; `seed` is any integer.

    `origin` is that of the ledger to which devices that sign address their statements.
    """
    show = Performance(scenario, seed, origin)
    messages = tuple(show.messages())
    return Run(
        scenario=scenario, seed=seed, world=show.world, messages=messages,
        truth=tuple(show.truth()), plan_text=show.plan_text,
        reads=show.reads, samples=show.samples,
    )  # fmt: skip


class Performance:
    """A run as it is made: first `messages`, to the end, then `truth`."""

    def __init__(self, scenario: Scenario, seed: int, origin: str = ORIGIN) -> None:
        self.scenario = scenario
        self.seed = seed
        self.origin = origin
        signing = Signing(seed, origin)
        self.world = build_world(scenario)
        self._together = _together(scenario)
        self._book = FaultBook()
        self._story = play_chain(scenario, self.world, seed, self._book)
        self._loggers = LoggerFaults(scenario, self._story, seed, self._book)
        self._papers = PaperFaults(scenario, self.world, self._story, self._book, signing)
        self._readers = ReaderFaults(
            scenario, self.world, self._story, seed, self._book, signing
        )

    @property
    def devices(self) -> list[Device]:
        """The devices that sign for themselves; the ledger must know their keys."""
        return devices(self.world, self.seed)

    @property
    def plan_text(self) -> str:
        """The capture plan of the scenario's doors."""
        return format_plan(self.scenario, self.world)

    @property
    def reads(self) -> int:
        """How many reads the messages so far tell."""
        return self._readers.reads

    @property
    def samples(self) -> int:
        """How many samples the loggers take."""
        return sum(len(series) for _, series in self._loggers.trips)

    @property
    def span_us(self) -> tuple[int, int]:
        """When the first pass begins and the last one ends."""
        passes = self._story.passes
        return min(one.start_us for one in passes), max(one.end_us for one in passes)

    def messages(self) -> Iterator[Message]:
        """Yield every message in order of time."""
        return (one[-1] for one in self.ordered())

    def ordered(self, shard: int = 0, shards: int = 1) -> Iterator[Ordered]:
        """Yield the messages of one of several shards in order, each with its place in it.

        What one station hears, one vehicle samples, stays in one shard; a station that hears
        what crosses the one next door counts both, and they stay together. Sources are taken
        in order of their start, and nothing is sent before its source starts: what is due
        before the next source starts can go.
        """
        due: list[Ordered] = []
        for number, (start_us, source) in enumerate(self._sources()):
            if shards > 1 and crc32(self._place_of(source)) % shards != shard:
                continue
            while due and due[0][0] < start_us:
                yield heappop(due)
            for n, message in enumerate(self._messages_of(source)):
                heappush(due, (message.time_us, number, n, message))
        while due:
            yield heappop(due)

    def labels(self) -> Labels:
        """Return what the messages so far labelled, and how many reads they tell."""
        return self._book, self.reads

    def absorb(self, labels: Labels) -> None:
        """Take over what another performance of the same run labelled in its shard."""
        self._book.absorb(labels[0])
        self._readers.reads += labels[1]

    def truth(self) -> Iterator[str]:
        """Yield the lines of the truth; the labels are whole once all messages are made."""
        told = Told(
            world=self.world, story=self._story, book=self._book,
            samples=[series for _, series in self._loggers.trips],
        )  # fmt: skip
        return tell_truth(told, self.scenario.name, self.seed)

    def _sources(self) -> list[tuple[int, _Source]]:
        story = self._story
        sources: list[tuple[int, _Source]] = [(one.start_us, one) for one in story.passes]
        sources += [(one.time_us, one) for one in story.notes]
        sources += [(trip.start_us, n) for n, trip in enumerate(story.trips)]
        last_us = max(one[0] for one in sources)
        sources += [(one.time_us, one) for one in self._beats(last_us)]
        sources.sort(key=lambda one: one[0])
        return sources

    def _beats(self, last_us: int) -> Iterator[Beat]:
        """Yield the heartbeats of each reader, from the first midnight to past `last_us`.

        No fault holds anything back for longer than they go on.
        """
        held_us = {"offline": 0, "replayed": 0}
        for one in self.scenario.fault:
            longest_us = max(one.minutes * MINUTE_US, one.hours * HOUR_US)
            held_us |= {one.kind: longest_us} if one.kind in held_us else {}
        until_us = last_us + max(held_us.values()) + HOUR_US
        for station in self.world.stations.values():
            every_us = station.heartbeat_us
            if every_us:
                times = range(self.scenario.start_us, until_us, every_us)
                yield from (Beat(station, at_us) for at_us in times)

    def _place_of(self, source: _Source) -> bytes:
        if isinstance(source, int):
            return b"trips"
        return self._together.get(source.station.name, source.station.name).encode()

    def _messages_of(self, source: _Source) -> Iterable[Message]:
        match source:
            case Pass():
                return [one.message for one in self._readers.hear(source)]
            case Beat():
                return [one.message for one in self._readers.beat(source)]
            case Note():
                return self._papers.messages(source)
            case _:
                return self._loggers.messages(source)


def _together(scenario: Scenario) -> dict[str, str]:
    """Return one name for the stations that hear each other's strays, by station."""
    names: dict[str, str] = {}
    for fault in scenario.fault:
        if fault.kind == "stray":
            old = [names.get(one or "", one or "") for one in (fault.station, fault.by)]
            for one, name in [*names.items(), *((one, one) for one in old)]:
                if name in old:
                    names[one] = min(old)
            names |= dict.fromkeys((fault.station or "", fault.by or ""), min(old))
    return names
