"""Faults: the labels of what goes wrong, for the truth.

A label says which fault it was, where and when it happened, which messages it touched and
which things. Where it goes wrong is elsewhere:

* `device_sim.readerfaults`: between a pass and the broker (misses, strays, clocks, outages)
* `device_sim.loggerfaults`: in vehicles and their loggers
* `device_sim.paperfaults`: in what suppliers and line controllers write down
* `device_sim.deceit`: in the world itself (clones, fakes, diversions)

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from device_sim.losses import Losses
from device_sim.scenario import FaultTable
from device_sim.world import Message, Note, Pass, Visit


@dataclass(frozen=True, slots=True)
class Missed:
    """A tag that crossed a station unheard, by chance or by a fault of some kind."""

    crossing: Pass
    visit: Visit
    cause: str = "chance"


@dataclass(slots=True, kw_only=True)
class Label:
    """One fault as played: its kind, where, when, and what it touched.

    `touched` are identities of messages, `things` are EPCs, each once.
    """

    kind: str
    where: str
    from_us: int
    to_us: int
    touched: dict[str, None] = field(default_factory=dict)
    things: dict[str, None] = field(default_factory=dict)


class FaultBook:
    """The labels of a run as it is played, one for each fault that happened, and the losses."""

    def __init__(self) -> None:
        self.labels: dict[int, Label] = {}
        self.missed: list[Missed] = []
        self.losses = Losses()
        self._marks: dict[tuple[str, str, int], int] = {}

    def label(
        self, number: int, fault: FaultTable, span: tuple[int, int], things: Iterable[str] = ()
    ) -> Label:
        """Return the label of fault `number`, stretched to `span` and `things`."""
        where = fault.station or fault.leg or fault.site or ""
        made = Label(kind=fault.kind, where=where, from_us=span[0], to_us=span[1])
        label = self.labels.setdefault(number, made)
        label.from_us, label.to_us = min(label.from_us, span[0]), max(label.to_us, span[1])
        label.things |= dict.fromkeys(things)
        return label

    def touch(self, number: int, messages: Iterable[Message]) -> None:
        """Note that a fault that has its label touched these messages."""
        self.labels[number].touched |= dict.fromkeys(one.identity for one in messages)

    def mark(self, number: int, source: Pass | Note) -> None:
        """Remember that the messages of a pass or a note are those of a fault."""
        self._marks[_name(source)] = number

    def marked(self, source: Pass | Note) -> int | None:
        """Return the fault that a pass or a note belongs to, or None."""
        return self._marks.get(_name(source))

    def absorb(self, other: "FaultBook") -> None:
        """Take over labels of the same run, made elsewhere."""
        self.missed += other.missed
        self.losses.absorb(other.losses)
        for number, label in other.labels.items():
            own = self.labels.setdefault(number, label)
            own.from_us = min(own.from_us, label.from_us)
            own.to_us = max(own.to_us, label.to_us)
            own.touched |= label.touched
            own.things |= label.things

    def in_order(self) -> list[Label]:
        """Return the labels in the order of the scenario's faults."""
        return [self.labels[number] for number in sorted(self.labels)]


def _name(source: Pass | Note) -> tuple[str, str, int]:
    if isinstance(source, Pass):
        return "pass", source.station.name, source.number
    return "note", source.station.name, source.time_us
