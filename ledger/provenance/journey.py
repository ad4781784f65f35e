"""Where a thing was: stays at places, the ways between them, and moves that nobody saw.

A bizLocation holds until an event contradicts it; a readPoint without bizLocation makes
the place unknown from then on; an event with neither leaves it as it was. A stay ends when
the thing departs. A thing that turns up at another site (another GLN) without both a
departure and an arrival has moved unseen, and that is a gap.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ledger.admitted import site_of
from ledger.provenance.gap import MOVED_UNSEEN, NO_VEHICLE, UNKNOWN_PLACE, Gap
from ledger.provenance.pool import Node
from ledger.provenance.span import LAST, Moment, Span
from ledger.provenance.story import Holder, Thing, Told

DEPARTURES = frozenset({"shipping", "departing", "consigning", "transporting"})
ARRIVALS = frozenset({"receiving", "arriving", "accepting", "unloading"})
VOID = "void_shipping"
LOADINGS = frozenset({"loading", "unloading"})
VEHICLE_PREFIXES = ("https://id.gs1.org/8003/", "https://id.gs1.org/8004/")
IN_TRANSIT = "in_transit"
RETURNED = "returned"


@dataclass(slots=True)
class Stay:
    """At `place` from `start` to `end`; `place` is None where it is unknown."""

    place: str | None
    start: Moment
    end: Moment | None
    evidence: list[Told]


@dataclass(frozen=True, slots=True)
class Transit:
    """On the way from one event to another; `unseen` where no departure was seen."""

    start: Moment
    end: Moment | None
    unseen: bool


@dataclass(slots=True)
class Journey:
    """The stays and transits of one thing, in order."""

    thing: str
    end: Moment
    stays: list[Stay] = field(default_factory=list)
    transits: list[Transit] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    unseen: dict[tuple[int, int], Moment] = field(default_factory=dict)
    """By the node that first saw the thing elsewhere: when it was last seen before."""
    place: str | None = None
    """Where it is at the end: the last bizLocation, None where it is unknown."""
    in_transit: bool = False


def follow_journey(thing: str, told: Sequence[Told], end: Moment) -> Journey:
    """Return where `thing` was, by its events in order, up to `end`."""
    steps = _Steps(Journey(thing, end))
    for one in told:
        steps.step(one)
    return steps.finish()


def without_vehicle(thing: Thing, journey: Journey) -> Iterator[Gap]:
    """Yield the ways on which no event says in what the thing travelled.

    A vehicle is what things are loaded into or unloaded from, or a returnable or other
    asset (GRAI, GIAI); a case or a pallet alone does not travel.
    """
    for transit in journey.transits:
        way = Span(transit.start, transit.end or max(transit.start, journey.end))
        if not any(_is_vehicle(one) and one.span.meet(way) for one in thing.holders):
            why = "it travelled, and no event says in what"
            yield Gap(NO_VEHICLE, thing.key, transit.start, transit.end, (thing.key,), why)


def _is_vehicle(holder: Holder) -> bool:
    relation = holder.relation
    if relation is None or holder.key.startswith(VEHICLE_PREFIXES):
        return True
    ends = (relation.opened_by, relation.closed_by)
    return any(one is not None and one.event.biz_step in LOADINGS for one in ends)


@dataclass(slots=True)
class _Steps:
    journey: Journey
    stay: Stay | None = None
    departed: Node | None = None
    last: Moment | None = None
    known: str | None = None
    """The last known place, also while the thing is on its way."""
    astray: bool = False
    """Read at a place that does not say where the thing stayed."""

    def step(self, told: Told) -> None:
        node = told.node
        place = node.event.biz_location
        if node.event.biz_step == VOID:
            self.departed = None
        if place is not None:
            self._at(place, told)
        elif node.event.read_point is not None:
            self._at_unknown(told)
        if _departs(node):
            self._leave(node)
        elif _arrives(node):
            self._arrive(told)
        if place is not None or node.event.read_point is not None:
            self.last = node.moment

    def _at(self, place: str, told: Told) -> None:
        node = told.node
        known = self.known
        self.astray = False
        if self.stay is not None and self.stay.place == place:
            if not self._came_back(node, self.stay):
                self.stay.evidence.append(told)
                return
            self._left_unseen(place, place, node, "and comes back, and nobody saw it leave")
        if known is not None and site_of(known) != site_of(place):
            self._moved(known, place, node)
        elif self.departed is not None and known == place and not _arrives(node):
            return  # a second witness of what happens around the departure
        self._end(node.moment)
        self.stay = Stay(place, node.moment, None, [told])
        self.journey.stays.append(self.stay)
        self.known = place

    def _moved(self, known: str, place: str, node: Node) -> None:
        arrives = _arrives(node)
        if self.departed is not None and arrives:
            return
        since = self.last or node.moment
        why = "it is at another site, and "
        if self.departed is not None:
            why += "its departure was seen but not its arrival"
            self._close_transit(node.moment)
            self._gap_of_move(since, (known, place), node, why)
        else:
            why = "its departure was not seen" + ("" if arrives else ", nor its arrival")
            self._left_unseen(known, place, node, f"and {why}")

    def _left_unseen(self, known: str, place: str, node: Node, why: str) -> None:
        """Note that a thing left where it was at some time since it was last seen there."""
        since = self.last or node.moment
        self.journey.transits.append(Transit(since, node.moment, unseen=True))
        self._end(since)  # nobody saw it there any later
        where = "it was there before" if known == place else "it is at another site"
        self._gap_of_move(since, (known, place), node, f"{where}, {why}")

    def _gap_of_move(
        self, since: Moment, between: tuple[str, str], node: Node, why: str
    ) -> None:
        self.journey.unseen[node.name] = since
        gap = Gap(MOVED_UNSEEN, self.journey.thing, since, node.moment, between, why)
        self.journey.gaps.append(gap)

    def _came_back(self, node: Node, stay: Stay) -> bool:
        """Tell whether a return ends a time away of which no event tells."""
        before = stay.evidence[-1].node.event
        return (
            self.departed is None
            and _arrives(node)
            and node.event.disposition == RETURNED
            and before.disposition != RETURNED
        )

    def _at_unknown(self, told: Told) -> None:
        self.astray = True
        point, known = told.node.event.read_point, self.known
        here = known is None or point is None or site_of(point) == site_of(known)
        if known is not None and point is not None and not here and self.departed is None:
            self._left_unseen(known, point, told.node, "and its departure was not seen")
            self.known = point
        if self.departed is not None or _departs(told.node):
            return
        if self.stay is not None and self.stay.place is None:
            self.stay.evidence.append(told)
            return
        self._end(told.node.moment)
        self.stay = Stay(None, told.node.moment, None, [told])
        self.journey.stays.append(self.stay)

    def _leave(self, node: Node) -> None:
        if self.departed is None:
            self.departed = node
        self._end(node.moment)

    def _arrive(self, told: Told) -> None:
        node = told.node
        if self.departed is None:
            return
        self._close_transit(node.moment)
        if self.stay is None:
            self.stay = Stay(None, node.moment, None, [told])
            self.journey.stays.append(self.stay)

    def _close_transit(self, end: Moment | None) -> None:
        if self.departed is not None:
            transit = Transit(self.departed.moment, end, unseen=False)
            self.journey.transits.append(transit)
        self.departed = None

    def _end(self, moment: Moment) -> None:
        if self.stay is None:
            return
        self.stay.end = moment
        if self.stay.place is None and self.stay.start[0] < moment[0]:
            node = self.stay.evidence[-1].node
            where = (node.event.read_point,) if node.event.read_point is not None else ()
            why = "the last event does not say where it stayed"
            start = self.stay.start
            self.journey.gaps.append(
                Gap(UNKNOWN_PLACE, self.journey.thing, start, moment, where, why)
            )
        self.stay = None

    def finish(self) -> Journey:
        stay = self.stay
        self.journey.in_transit = self.departed is not None
        self.journey.place = None if self.astray else self.known
        if stay is not None and stay.place is None:
            self._end(LAST)
            stay.end = None
        self._close_transit(None)
        return self.journey


def _departs(node: Node) -> bool:
    event = node.event
    return event.biz_step in DEPARTURES or event.disposition == IN_TRANSIT


def _arrives(node: Node) -> bool:
    return node.event.biz_step in ARRIVALS
