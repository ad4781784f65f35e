"""Intervals that nobody closed: how long one may still believe that a thing was inside.

By the semantics an interval lasts until an event ends it, and so does inheritance. If the
event that ended it was missed, the item would follow an empty crate around the world. So
where no event takes the child out by name, the interval is believed up to the first sign
that the child was by itself, and only *possible* from then on:

* it was sold or dispensed by itself;
* it was received, stored or itself unpacked, and then the container travelled on, or
  nothing ever ended the interval;
* it was packed into another container (an implicit unpacking).

The sign shows where the child was then. If the container had been there, they parted
after they had come there together; if not, nobody knows when after the packing.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ledger.projection import empties_parent
from ledger.provenance.gap import LEFT_UNSEEN, Gap
from ledger.provenance.journey import DEPARTURES, Journey
from ledger.provenance.lineage import AGGREGATION, IMPLICIT, Relation
from ledger.provenance.pool import Node
from ledger.provenance.span import Moment, Span
from ledger.provenance.story import ASSOCIATED, POSSIBLE, Holder, Thing, Told

SOLD_ALONE = frozenset({"retail_selling", "dispensing"})
KEPT_ALONE = frozenset({"receiving", "accepting", "storing", "stocking"})
UNPACKED_ALONE = "unpacking"


def reconsider(thing: Thing, journey: Journey) -> list[Gap]:
    """Make what is believed too long about `thing` only possible; return the gaps.

    `journey` is where the thing was if everything is believed.
    """
    told = thing.in_order()
    gaps: list[Gap] = []
    cuts: list[tuple[tuple[str, ...], Span]] = []
    for holder in thing.holders:
        relation = holder.relation
        if relation is None or thing.is_class or holder.precision == POSSIBLE:
            continue
        sign = _sign(holder, relation, told)
        if sign is None:
            continue
        doubted = max(holder.span.start, _parted(sign, relation, journey, told))
        if doubted < holder.span.end:
            cuts.append((holder.path, Span(doubted, holder.span.end)))
            why = "it was by itself then, and no event says that it was taken out before"
            between = (relation.child, relation.parent)
            end = holder.span.end
            gaps.append(Gap(LEFT_UNSEEN, thing.key, doubted, end, between, why))
    for path, span in cuts:
        _cut(thing, path, span)
    return gaps


def _sign(holder: Holder, relation: Relation, told: Sequence[Told]) -> Node | None:
    """Return the first event that shows the child by itself though nobody took it out."""
    closed = relation.closed_by
    if relation.kind != AGGREGATION or (closed is not None and _names(closed, relation)):
        return None
    for one in told:
        node = one.node
        if not holder.span.start < node.moment <= holder.span.end or not _alone(node, relation):
            continue
        if node.event.biz_step in SOLD_ALONE:
            return node
        if closed is None or _departs_later(holder, node.moment, told):
            return node
    return closed if IMPLICIT in relation.flags else None


def _names(closed: Node, relation: Relation) -> bool:
    """Tell whether the closing event takes the child out by name."""
    by_parent = closed.event.parent_id == relation.parent
    return by_parent and not empties_parent(closed.event)


def _alone(node: Node, relation: Relation) -> bool:
    event = node.event
    if event.type == "AggregationEvent":
        opened = event.action == "DELETE" and event.parent_id == relation.child
        return opened and event.biz_step == UNPACKED_ALONE
    named = relation.child in event.epc_list and relation.parent not in event.epc_list
    return named and event.biz_step in SOLD_ALONE | KEPT_ALONE


def _departs_later(holder: Holder, after: Moment, told: Sequence[Told]) -> bool:
    depth = len(holder.path)
    return any(
        one.path[:depth] == holder.path
        and one.node.event.biz_step in DEPARTURES
        and after < one.node.moment <= holder.span.end
        for one in told
    )


def _parted(sign: Node, relation: Relation, journey: Journey, told: Sequence[Told]) -> Moment:
    """Return the earliest moment at which child and parent may have parted."""
    together = relation.span.start
    if sign.name in journey.unseen:
        proofs = (one.node for one in told if relation.child in one.node.event.child_epcs)
        seen = [n.moment for n in proofs if n.event.parent_id == relation.parent]
        return max((m for m in seen if m < sign.moment), default=together)
    known = (stay for stay in journey.stays if stay.place is not None)
    return max((one.start for one in known if one.start <= sign.moment), default=together)


def _cut(thing: Thing, path: tuple[str, ...], span: Span) -> None:
    """Make what `thing` has by way of `path` during `span` only possible."""
    depth = len(path)
    for name, one in thing.told.items():
        inside = one.path[:depth] == path and not (one.path == path and one.via == ASSOCIATED)
        if inside and span.start < one.node.moment <= span.end:
            thing.told[name] = replace(one, precision=POSSIBLE)
    held: list[Holder] = []
    for holder in thing.holders:
        by_bolt = holder.path == path and holder.via == ASSOCIATED
        inside = holder.path[:depth] == path and not by_bolt
        held += _split(holder, span) if inside else [holder]
    thing.holders[:] = held


def _split(holder: Holder, span: Span) -> Iterator[Holder]:
    if holder.span.meet(span) is None:
        yield holder
        return
    if holder.span.start < span.start:
        yield replace(holder, span=Span(holder.span.start, span.start))
    unsure = holder.span.meet(span)
    if unsure is not None:
        yield replace(holder, span=unsure, precision=POSSIBLE)
    if span.end < holder.span.end:
        yield replace(holder, span=Span(span.end, holder.span.end))
