"""Who was in what, and when: intervals of aggregation and of association.

The relations of one thing come out of one sweep over the events that name it as a child,
and over those that empty a parent it was in, in the order of events. ADD opens an
interval; DELETE closes it; a DELETE without children closes all of its parent's; OBSERVE
opens and closes nothing. A thing that is added to a second parent has left the first: the
interval ends there, flagged as an implicit unpacking. A DELETE of what was never added
ends an interval of unknown start, which inherits nothing.

A class (a lot) may be in several parents at once, so its intervals live side by side and
count quantities. The two kinds of relation never touch each other: emptying a tray does
not take off the sensor that is bolted to it.

A key has one life unless it is commissioned again, or is an SSCC that was silent for
twelve months; a new life closes the intervals of the old one.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter

from ledger.epcis.event import Event
from ledger.projection import empties_parent
from ledger.provenance.amount import amount_in
from ledger.provenance.gap import IMBALANCE, IMPLICIT_UNPACK, MISSING_ADD, SEEN_TOGETHER, Gap
from ledger.provenance.pool import Node
from ledger.provenance.span import FIRST, LAST, Moment, Span

AGGREGATION = "aggregation"
ASSOCIATION = "association"

IMPLICIT = "implicit_unpack"
UNKNOWN_START = "unknown_start"
LIFE_ENDED = "life_ended"

SSCC_PREFIX = "https://id.gs1.org/00/"
SSCC_SILENCE_US = 365 * 86_400 * 1_000_000
"""GS1 General Specifications 4.3.3: an SSCC is not allotted again within one year."""

_ENDINGS = frozenset({"decommissioning", "destroying"})
KIND_TYPES = {AGGREGATION: "AggregationEvent", ASSOCIATION: "AssociationEvent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """`child` is in (or bolted to) `parent` during `span`; None where no event says so."""

    kind: str
    child: str
    parent: str
    span: Span
    opened_by: Node | None
    closed_by: Node | None
    flags: tuple[str, ...] = ()
    quantity: Decimal | None = None
    uom: str | None = None

    @property
    def known(self) -> bool:
        """Tell whether the start is known, so that the parent's events are inherited."""
        return UNKNOWN_START not in self.flags


@dataclass(slots=True)
class _Open:
    """An interval that has not ended yet; `last` is the last proof of being together."""

    by: Node
    last: Moment
    quantity: Decimal | None
    uom: str | None


@dataclass(slots=True)
class _Sweep:
    child: str
    kind: str
    exclusive: bool
    open: dict[str, _Open] = field(default_factory=dict)
    done: list[Relation] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    before: Moment | None = None

    def step(self, node: Node) -> None:
        event = node.event
        parent = event.parent_id
        if parent is None:
            if event.action == "OBSERVE":
                self._observe_loose(node)
            return
        if empties_parent(event):
            self.close(parent, node)
        elif event.action == "ADD":
            self._add(parent, node)
        elif event.action == "DELETE":
            self._delete(parent, node)
        elif event.action == "OBSERVE":
            self._observe(parent, node)
        self.before = node.moment

    def _add(self, parent: str, node: Node) -> None:
        if parent == self.child:
            return
        quantity, uom = quantity_of(node.event, self.child)
        now_open = self.open.get(parent)
        if now_open is not None:
            now_open.last = node.moment
            more = amount_in(quantity, uom, now_open.uom)
            had = now_open.quantity
            now_open.quantity = None if had is None or more is None else had + more
            return
        if self.exclusive:
            for other in list(self.open):
                self._leave(other, node, parent)
        self.open[parent] = _Open(node, node.moment, quantity, uom)

    def _leave(self, parent: str, node: Node, to: str) -> None:
        since = self.open[parent].last
        why = "was added to the second without having been taken out of the first"
        gap = Gap(IMPLICIT_UNPACK, self.child, since, node.moment, (parent, to), why)
        self.gaps.append(gap)
        self.close(parent, node, IMPLICIT)

    def _delete(self, parent: str, node: Node) -> None:
        now_open = self.open.get(parent)
        if now_open is None:
            self._never_added(parent, node)
            return
        taken = amount_in(*quantity_of(node.event, self.child), now_open.uom)
        if taken is not None and now_open.quantity is not None and not self.exclusive:
            if taken < now_open.quantity:
                now_open.quantity -= taken
                now_open.last = node.moment
                return
            if taken > now_open.quantity:
                self._too_much(parent, node, taken, now_open)
        self.close(parent, node)

    def _too_much(self, parent: str, node: Node, taken: Decimal, inside: _Open) -> None:
        unit = inside.uom or "pieces"
        why = (
            f"{taken:f} {unit} of it were taken out and only {inside.quantity:f} {unit} put in"
        )
        between = (self.child, parent)
        span = (inside.by.moment, node.moment)
        self.gaps.append(Gap(IMBALANCE, self.child, *span, between, why))

    def _never_added(self, parent: str, node: Node) -> None:
        why = "was taken out without ever having been added: when it went in is unknown"
        gap = Gap(MISSING_ADD, self.child, self.before, node.moment, (self.child, parent), why)
        self.gaps.append(gap)
        self.done.append(
            Relation(
                kind=self.kind,
                child=self.child,
                parent=parent,
                span=Span(self.before or FIRST, node.moment),
                opened_by=None,
                closed_by=node,
                flags=(UNKNOWN_START,),
            )
        )

    def _observe(self, parent: str, node: Node) -> None:
        now_open = self.open.get(parent)
        if now_open is not None:
            now_open.last = node.moment
            return
        why = "was seen with it and never added to it: when it went in is unknown"
        gap = Gap(
            SEEN_TOGETHER, self.child, self.before, node.moment, (self.child, parent), why
        )
        self.gaps.append(gap)

    def _observe_loose(self, node: Node) -> None:
        why = "was seen together with others whose container the event does not name"
        beside = tuple(key for key in node.event.child_epcs if key != self.child)[:8]
        gap = Gap(SEEN_TOGETHER, self.child, node.moment, node.moment, beside, why)
        self.gaps.append(gap)

    def close(self, parent: str, node: Node | None, *flags: str, at: Moment = LAST) -> None:
        """End the interval under `parent` if there is one, at `node` or else at `at`."""
        ended = self.open.pop(parent, None)
        if ended is None:
            return
        self.done.append(
            Relation(
                kind=self.kind,
                child=self.child,
                parent=parent,
                span=Span(ended.by.moment, node.moment if node is not None else at),
                opened_by=ended.by,
                closed_by=node,
                flags=flags,
                quantity=ended.quantity,
                uom=ended.uom,
            )
        )


def build_lineage(
    child: str, kind: str, nodes: Sequence[Node], *, exclusive: bool, lives: Sequence[Span]
) -> tuple[list[Relation], list[Gap]]:
    """Return the relations of `child` of one kind, in order of their start, and their gaps.

    `nodes` are the events that name `child` as a child and those that empty a parent it
    was in; events of another type are passed over. `exclusive` is true of an instance,
    which is in one parent at a time, and false of a class.
    """
    sweep = _Sweep(child, kind, exclusive)
    type_ = KIND_TYPES[kind]
    ends = [life.end for life in lives[:-1]]
    for node in sorted(nodes, key=attrgetter("order")):
        if node.event.type != type_:
            continue
        while ends and ends[0] < node.moment:
            _end_life(sweep, ends.pop(0))
        sweep.step(node)
    for end in ends:
        _end_life(sweep, end)
    for parent in list(sweep.open):
        sweep.close(parent, None)
    return sorted(sweep.done, key=lambda one: (one.span, one.parent)), sweep.gaps


def _end_life(sweep: _Sweep, at: Moment) -> None:
    for parent in list(sweep.open):
        sweep.close(parent, None, LIFE_ENDED, at=at)
    sweep.before = None


def quantity_of(event: Event, key: str) -> tuple[Decimal | None, str | None]:
    """Return how much of the class `key` the event names, summed; None where it says none."""
    named = [one for one in event.quantities if one.epc_class == key]
    if not named or any(one.quantity is None for one in named):
        return None, None
    if len({one.uom for one in named}) > 1:
        return None, None
    return sum((one.quantity or Decimal(0) for one in named), Decimal(0)), named[0].uom


def is_commissioning(event: Event, key: str) -> bool:
    """Tell whether the event brings `key` into being (ObjectEvent ADD, EPCIS 2.0 7.4.2)."""
    if event.type != "ObjectEvent" or event.action != "ADD":
        return False
    return key in event.epc_list or any(one.epc_class == key for one in event.quantities)


def is_ending(event: Event, key: str) -> bool:
    """Tell whether the event ends the life of the instance `key`."""
    if event.type != "ObjectEvent" or key not in event.epc_list:
        return False
    return event.action == "DELETE" or event.biz_step in _ENDINGS


def find_lives(key: str, nodes: Sequence[Node]) -> list[Span]:
    """Return the lives of `key` in order, one at least; together they cover all time.

    `nodes` are its own events in order. A class has one life for ever.
    """
    starts: list[Moment] = []
    used, last = False, None
    for node in nodes:
        commissioned = key in node.event.epc_list and is_commissioning(node.event, key)
        silent = (
            last is not None
            and key.startswith(SSCC_PREFIX)
            and node.moment[0] - last[0] > SSCC_SILENCE_US
        )
        if silent or (commissioned and used):
            starts.append(node.moment)
            used = False
        used = used or commissioned or is_ending(node.event, key)
        last = node.moment
    edges = [FIRST, *starts]
    ends = [*(just_before(start) for start in starts), LAST]
    return [Span(start, end) for start, end in zip(edges, ends, strict=True)]


def life_at(lives: Sequence[Span], moment: Moment) -> Span:
    """Return the life that holds `moment`, the nearest earlier one if none does."""
    held = lives[0]
    for life in lives:
        if life.start <= moment:
            held = life
    return held


def just_before(moment: Moment) -> Moment:
    """Return the last instant of the order before `moment`."""
    time_us, document, position = moment
    return time_us, document, position - 1
