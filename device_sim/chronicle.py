"""The chronicle: keeps the order of a run and remembers what truly happened in it.

A station serves one pass at a time, and between two passes it is silent for at least
`SILENCE_US`, so that a capture system can tell them apart. A vehicle is on one trip at a
time. Whatever is moved takes its contents along. Conservation follows from that: nothing
is ever in two places, because a place is only ever changed for the whole nest.

The time of a move is the end of the pass that makes it.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from device_sim.chance import Stream
from device_sim.tags import Epc, Tag
from device_sim.world import (
    MILLISECOND_US,
    MINUTE_US,
    SECOND_US,
    Note,
    Party,
    Pass,
    Site,
    Station,
    Trip,
    Vehicle,
    Visit,
)

SILENCE_US = 45 * SECOND_US
LOGGER_LEAD_US = 40 * MINUTE_US
LOGGER_TAIL_US = 20 * MINUTE_US
# How long a tag may be heard once it entered, by the profile of the station.
STAY_US = {"gate": 24 * SECOND_US, "tunnel": 3 * SECOND_US, "till": 4 * SECOND_US}


@dataclass(frozen=True, slots=True)
class Stay:
    """A life's time at one site, open while `to_us` is None; shared by what is together."""

    site: Site
    from_us: int
    to_us: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """A life's time with one party that possesses or owns it; shared likewise."""

    party: Party
    from_us: int
    to_us: int | None = None


@dataclass(slots=True)
class Nesting:
    """A child's time inside a parent, open while `to_us` is None."""

    child: Epc
    parent: Epc
    from_us: int
    to_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Life:
    """What truly happened to one item or one lot, from its making on.

    `kept` is who possesses it, `owned` who owns it.
    """

    epc: Epc
    made_us: int
    origin: tuple[Epc, ...] = ()
    quantity: float | None = None
    stays: list[Stay] = field(default_factory=list)
    kept: list[Holding] = field(default_factory=list)
    owned: list[Holding] = field(default_factory=list)
    sales: list[int] = field(default_factory=list)
    ended_us: int | None = None

    @property
    def sold_us(self) -> int | None:
        """When it was sold for good, None where it was not, or came back."""
        sold_us = self.sales[-1] if self.sales else None
        return sold_us if sold_us == self.stays[-1].to_us else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One transformation: quantities of lots into items."""

    id: str
    lot: str
    start_us: int
    end_us: int
    inputs: tuple[tuple[Epc, float], ...]
    outputs: tuple[Epc, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one site ordered of another, and the despatch notices that came of it.

    Each advice is (its number, when it was sent, the logistic units that it names).
    """

    id: str
    seller: Party
    buyer: Party
    product: str
    units: int
    placed_us: int
    notices: tuple[tuple[str, int, tuple[Epc, ...]], ...]


@dataclass(slots=True)
class Story:
    """Everything that happened in a run, before any device reported it.

    `phases` says for each trip when its logger samples, as offset on the sampling grid.
    """

    passes: list[Pass] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)
    nestings: list[Nesting] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    lots: dict[Epc, Life] = field(default_factory=dict)
    items: dict[Epc, Life] = field(default_factory=dict)


def row(tags: Sequence[Tag], step_us: int) -> list[tuple[Tag, int]]:
    """Return `tags` entering one after another."""
    return [(tag, step_us * n) for n, tag in enumerate(tags)]


def bunch(tags: Sequence[Tag], spread_us: int, stream: Stream) -> list[tuple[Tag, int]]:
    """Return `tags` entering together, each within `spread_us` of the first."""
    return [
        (tag, stream.below(spread_us // MILLISECOND_US + 1) * MILLISECOND_US) for tag in tags
    ]


class Chronicle:
    """The run so far: when each station and vehicle is free, what is inside what."""

    def __init__(self, seed: int, sample_seconds: int) -> None:
        self.story = Story()
        self._seed = seed
        self._sample_us = sample_seconds * SECOND_US
        self._free: dict[str, int] = {}
        self._crossed: dict[str, int] = {}
        self._driven: dict[str, int] = {}
        self._inside: dict[Epc, dict[Epc, Nesting]] = {}

    def phase_us(self, vehicle: Vehicle) -> int:
        """Return the offset of a logger's samples on the grid of its sampling period."""
        stream = Stream(self._seed, "logger", vehicle.name, "phase")
        return stream.below(self._sample_us // SECOND_US) * SECOND_US

    def note(self, station: Station, time_us: int, body: dict[str, object]) -> int:
        """Write a note at a station, not while something crosses it; return its time."""
        time_us = max(time_us, self._free.get(station.name, 0))
        self._free[station.name] = time_us + SILENCE_US
        self.story.notes.append(Note(station, time_us, body))
        return time_us

    def cross(
        self,
        station: Station,
        not_before_us: int,
        entering: Sequence[tuple[Tag, int]],
        docked: Vehicle | None = None,
    ) -> Pass:
        """Let tags cross `station` as soon as it is free; return the pass.

        A `docked` vehicle stands in the field all the while, and the pass is put where
        its logger takes no sample, so that each sample is clearly before or after.
        """
        stay_us = STAY_US[station.profile]
        length_us = max(offset for _, offset in entering) + stay_us
        start_us = max(not_before_us, self._free.get(station.name, 0))
        visits = []
        if docked is not None:
            start_us = self._between_samples(docked, start_us, length_us)
            visits.append(Visit(docked.tag, start_us, length_us, parked=True))
        visits += [Visit(tag, start_us + offset, stay_us) for tag, offset in entering]
        number = self._crossed.get(station.name, 0)
        self._crossed[station.name] = number + 1
        self._free[station.name] = start_us + length_us + SILENCE_US
        made = Pass(
            station=station, number=number, start_us=start_us, end_us=start_us + length_us,
            visits=tuple(visits),
        )  # fmt: skip
        self.story.passes.append(made)
        return made

    def _between_samples(self, vehicle: Vehicle, start_us: int, length_us: int) -> int:
        margin_us = 5 * SECOND_US
        assert length_us + 2 * margin_us < self._sample_us, "a pass is shorter than a sample"
        since_us = (start_us - self.phase_us(vehicle)) % self._sample_us
        if margin_us <= since_us <= self._sample_us - length_us - margin_us:
            return start_us
        wait_us = (self._sample_us - since_us) % self._sample_us + margin_us
        return start_us + wait_us

    def take_vehicle(
        self, vehicles: Iterable[Vehicle], kind: str, wanted_us: int
    ) -> tuple[Vehicle, int]:
        """Return the vehicle that is ready first and when it can be loaded."""
        ready = [
            (max(wanted_us, self._free.get(one.name, 0) + LOGGER_LEAD_US), n, one)
            for n, one in enumerate(vehicles)
            if one.kind == kind
        ]
        ready_us, _, vehicle = min(ready)
        return vehicle, ready_us

    def drive(
        self, vehicle: Vehicle, leg: str, loading: tuple[int, int], emptying: tuple[int, int]
    ) -> Trip:
        """Record a trip of `vehicle`; it is loaded from the end of `loading` on."""
        number = self._driven.get(leg, 0)
        self._driven[leg] = number + 1
        trip = Trip(
            vehicle=vehicle, number=number, leg=leg,
            start_us=loading[0] - LOGGER_LEAD_US, loaded_us=loading[1],
            emptied_us=emptying[1], end_us=emptying[1] + LOGGER_TAIL_US,
            doors=(loading, emptying),
        )  # fmt: skip
        self._free[vehicle.name] = trip.end_us
        self.story.trips.append(trip)
        self.story.phases.append(self.phase_us(vehicle))
        return trip

    def begin(self, life: Life, site: Site) -> None:
        """Record a new item or lot, made by the party of `site`."""
        where = self.story.lots if life.quantity is not None else self.story.items
        assert life.epc not in where
        life.stays.append(Stay(site, life.made_us))
        life.kept.append(Holding(site.party, life.made_us))
        life.owned.append(Holding(site.party, life.made_us))
        where[life.epc] = life

    def nest(self, parent: Epc, children: Iterable[Epc], time_us: int) -> None:
        """Put `children`, which are in nothing, into `parent`."""
        inside = self._inside.setdefault(parent, {})
        for child in children:
            nesting = Nesting(child, parent, time_us)
            inside[child] = nesting
            self.story.nestings.append(nesting)

    def contents(self, parent: Epc) -> list[Epc]:
        """Return what is directly in `parent`."""
        return list(self._inside.get(parent, ()))

    def empty(self, parent: Epc, time_us: int) -> list[Epc]:
        """Take everything out of `parent`; return what came out."""
        inside = self._inside.pop(parent, {})
        for nesting in inside.values():
            nesting.to_us = time_us
        return list(inside)

    def leave(self, things: Iterable[Epc], time_us: int) -> None:
        """End the stay of `things` and of all they contain.

        What came and goes together shares one record of its stay.
        """
        ended: dict[tuple[str, int], Stay] = {}
        for life in self._lives(things):
            stay = life.stays[-1]
            key = (stay.site.name, stay.from_us)
            if key not in ended:
                ended[key] = Stay(stay.site, stay.from_us, time_us)
            life.stays[-1] = ended[key]

    def arrive(
        self, things: Iterable[Epc], site: Site, time_us: int, owner: Party | None
    ) -> None:
        """Begin a stay of `things` and their contents at `site`, and hand them over.

        `owner` owns them from now on; None leaves it to who did.
        """
        begun = Stay(site, time_us)
        shared: dict[tuple[str, str, int], Holding] = {}
        for life in self._lives(things):
            life.stays.append(begun)
            self._hand(life, (site.party, owner), time_us, shared)

    def sell(self, thing: Epc, time_us: int, buyer: Party | None = None) -> None:
        """Sell a thing and all that is in it.

        It goes to `buyer`; without one it leaves the chain, and its life ends.
        """
        things = list(self._lives([thing]))
        for life in things:
            life.sales.append(time_us)
            if buyer is None:
                self.end(life, time_us)
        if buyer is not None:
            self.leave([thing], time_us)
            shared: dict[tuple[str, str, int], Holding] = {}
            for life in things:
                self._hand(life, (buyer, buyer), time_us, shared)

    def destroy(self, thing: Epc, time_us: int) -> None:
        """End the lives of a thing and of all that is in it."""
        for life in self._lives([thing]):
            self.end(life, time_us)

    def _hand(
        self,
        life: Life,
        to: tuple[Party, Party | None],
        time_us: int,
        shared: dict[tuple[str, str, int], Holding],
    ) -> None:
        """Give possession and ownership to two parties; who is with it shares the records."""
        for held, party in zip((life.kept, life.owned), to, strict=True):
            last = held[-1]
            if party is not None and last.party is not party:
                old, new = ("", last.party.name, last.from_us), ("new", party.name, time_us)
                held[-1] = shared.setdefault(old, Holding(last.party, last.from_us, time_us))
                held.append(shared.setdefault(new, Holding(party, time_us)))

    def end(self, life: Life, time_us: int) -> None:
        """End a life: the item is sold, the lot used up."""
        life.ended_us = time_us
        if life.stays[-1].to_us is None:
            life.stays[-1] = Stay(life.stays[-1].site, life.stays[-1].from_us, time_us)
        for held in (life.kept, life.owned):
            held[-1] = Holding(held[-1].party, held[-1].from_us, time_us)

    def _lives(self, things: Iterable[Epc]) -> Iterable[Life]:
        pending = list(things)
        while pending:
            thing = pending.pop()
            pending.extend(self._inside.get(thing, ()))
            life = self.story.items.get(thing) or self.story.lots.get(thing)
            if life is not None:
                yield life
