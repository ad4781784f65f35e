"""What a walk through the events has found: things, their events, and how they hang together.

A *thing* is what an answer is about: the item that was asked for, and every input that it
was made from. A *holder* is a container, or what a thing is bolted to, for an interval. An
event is *told* of a thing once, by the nearest way that leads to it.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter

from ledger.provenance.gap import Gap
from ledger.provenance.lineage import Relation
from ledger.provenance.pool import Correction, Node
from ledger.provenance.span import FIRST, Coverage, Moment, Span

DIRECT = "direct"
TRANSFORMED = "transformed"
LOT = "lot"
CONTAINED = "contained"
ASSOCIATED = "associated"
LOCATED = "located"

EXACT = "exact"
POSSIBLE = "possible"

_NEARNESS = {DIRECT: 0, TRANSFORMED: 0, LOT: 0, CONTAINED: 1, ASSOCIATED: 2, LOCATED: 3}
_SURENESS = {EXACT: 0, LOT: 1, POSSIBLE: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event in the life of `thing`; `path` leads from the asked item to what it names."""

    node: Node
    thing: str
    via: str
    path: tuple[str, ...]
    precision: str

    @property
    def nearness(self) -> tuple[int, int, int, tuple[str, ...]]:
        """Return the order among several ways to one event: own before inherited."""
        return _NEARNESS[self.via], _SURENESS[self.precision], len(self.path), self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """`thing` was in (or bolted to) `key` during `span`, by way of `path`."""

    key: str
    thing: str
    via: str
    path: tuple[str, ...]
    precision: str
    span: Span
    relation: Relation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`output` was made from `input`, named by `evidence`; kind is transformed or lot."""

    output: str
    input: str
    kind: str
    precision: str
    quantity: Decimal | None
    uom: str | None
    transformation_id: str | None
    moment: Moment
    evidence: tuple[Node, ...]


@dataclass(slots=True)
class Thing:
    """One thing of the answer; filled while the walk goes on."""

    key: str
    path: tuple[str, ...]
    precision: str
    end: Moment
    life: Span = field(default_factory=Span)
    told: dict[tuple[int, int], Told] = field(default_factory=dict)
    holders: list[Holder] = field(default_factory=list)
    loose: list[Relation] = field(default_factory=list)
    covered: dict[tuple[str, str], Coverage] = field(default_factory=dict)
    origin: Node | None = None
    is_class: bool = False

    def tell(self, told: Told) -> None:
        """Keep `told`, unless the event is there by a nearer way already."""
        known = self.told.get(told.node.name)
        if known is None or told.nearness < known.nearness:
            self.told[told.node.name] = told

    def in_order(self) -> list[Told]:
        """Return the events of the thing in the order of events."""
        return sorted(self.told.values(), key=attrgetter("node.order"))

    def sure(self) -> list[Told]:
        """Return the events that surely happened to it in this life, in order.

        Not those of a part of it, and not those of a life before that it was made from.
        """
        return [
            one
            for one in self.in_order()
            if one.precision != POSSIBLE or self.precision == POSSIBLE
            if self.life.start <= one.node.moment
        ]

    @property
    def born(self) -> Moment:
        """Return when the thing came into being, the beginning of time where unknown."""
        return self.origin.moment if self.origin is not None else FIRST


@dataclass(slots=True)
class Story:
    """Everything found about `root`; `things[root]` is the item itself."""

    root: str
    things: dict[str, Thing] = field(default_factory=dict)
    inputs: list[Edge] = field(default_factory=list)
    outputs: list[Edge] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    truncated: bool = False
    continue_before_us: int | None = None
    """Where the answer was cut: what happened before this instant is on another page."""
