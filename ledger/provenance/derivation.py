"""What was made from what: transformations, joined by their transformationID.

Events with one transformationID are one transformation: each input may have gone into each
output. Without it an event stands alone. An ID that is used by different captors, or over
more than `JOIN_MAX_US`, is a number that was re-used: only the events of one captor that
lie close together are joined, and the answer says so.

How sure an edge is: *exact* where a serialised input is named, *lot* where a lot is named
and some of it went in, *possible* where the input is one of several that it may have been
(a class without a lot, a lot made in several transformations).

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ledger.epcis.event import Event
from ledger.epcis.values import Quantity
from ledger.provenance.amount import amount_in
from ledger.provenance.gap import (
    NO_ORIGIN,
    SPLIT_TRANSFORMATION,
    UNKNOWN_INPUTS,
    UNKNOWN_LOT,
    Gap,
)
from ledger.provenance.lineage import Relation, is_commissioning
from ledger.provenance.pool import Node, Pool
from ledger.provenance.span import Span
from ledger.provenance.story import EXACT, LOT, POSSIBLE, TRANSFORMED, Edge, Story

JOIN_MAX_US = 30 * 86_400 * 1_000_000
"""Events of one transformationID further apart than 30 days are not one transformation."""

_GTIN_ONLY = re.compile(r"https://id\.gs1\.org/01/\d{14}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of `key` a transformation names on one side; None where it does not say."""

    key: str
    evidence: tuple[Node, ...]
    instance: bool = False
    quantity: Decimal | None = None
    uom: str | None = None


def group_of(pool: Pool, maker: Node, thing: str, asked: Span) -> tuple[list[Node], list[Gap]]:
    """Return the events that are one transformation with `maker`, in order, and the gaps.

    Only events within `asked` count: what is later than the asked instant has not happened.
    """
    transformation_id = maker.event.transformation_id
    if transformation_id is None:
        return [maker], []
    named = pool.nodes_of_transformation(transformation_id)
    nodes = [node for node in named if _transforms(node.event) and asked.holds(node.moment)]
    group = _near(maker, [node for node in nodes if node.pin.iss == maker.pin.iss])
    if len(group) == len(nodes):
        return group, []
    why = (
        f"transformationID {transformation_id} is used by several parties or over more than "
        "30 days; only the events of one party that lie close together are joined"
    )
    span = (nodes[0].moment, nodes[-1].moment)
    return group, [Gap(SPLIT_TRANSFORMATION, thing, *span, (thing,), why)]


def _transforms(event: Event) -> bool:
    return event.type == "TransformationEvent"


def _near(maker: Node, nodes: Sequence[Node]) -> list[Node]:
    """Return the run of `nodes` around `maker` that spans no more than `JOIN_MAX_US`."""
    run: list[Node] = []
    for node in nodes:
        if run and node.moment[0] - run[0].moment[0] > JOIN_MAX_US:
            if maker in run:
                break
            run = []
        run.append(node)
    return run if maker in run else [maker]


def inputs_of(group: Iterable[Node]) -> list[Share]:
    """Return what went in, by key in order."""
    return _shares(group, lambda event: event.input_epcs, "input")


def outputs_of(group: Iterable[Node]) -> list[Share]:
    """Return what came out, by key in order."""
    return _shares(group, lambda event: event.output_epcs, "output")


def _shares(
    group: Iterable[Node], epcs: Callable[[Event], Iterable[str]], role: str
) -> list[Share]:
    instances: dict[str, list[Node]] = {}
    classes: dict[tuple[str, str | None], list[tuple[Node, Decimal | None]]] = {}
    for node in group:
        for key in epcs(node.event):
            instances.setdefault(key, []).append(node)
        for one in node.event.quantities:
            if one.role == role:
                named = classes.setdefault((one.epc_class, one.uom), [])
                named.append((node, one.quantity))
    shares = [
        Share(key=key, evidence=tuple(nodes), instance=True) for key, nodes in instances.items()
    ]
    for (key, uom), named in classes.items():
        total = _sum(quantity for _, quantity in named)
        shares.append(Share(key=key, evidence=_nodes(named), quantity=total, uom=uom))
    return sorted(shares, key=lambda share: (share.key, share.uom or ""))


def _sum(quantities: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for quantity in quantities:
        if quantity is None:
            return None
        total += quantity
    return total


def _nodes(named: Sequence[tuple[Node, Decimal | None]]) -> tuple[Node, ...]:
    return tuple(dict.fromkeys(node for node, _ in named))


def edges_back(output: str, group: Sequence[Node], *, several: bool) -> list[Edge]:
    """Return an edge from `output` to each input of its transformation.

    `several` says that more than one transformation made `output`, so that a given unit
    of it came out of only one of them.
    """
    made = [share for share in outputs_of(group) if share.key == output]
    evidence = tuple(node for share in made for node in share.evidence)
    return [_edge(output, share, evidence, several=several) for share in inputs_of(group)]


def _edge(output: str, share: Share, evidence: tuple[Node, ...], *, several: bool) -> Edge:
    return Edge(
        output=output,
        input=share.key,
        kind=TRANSFORMED,
        precision=precision_of(share, several=several),
        quantity=share.quantity,
        uom=share.uom,
        transformation_id=share.evidence[0].event.transformation_id,
        moment=share.evidence[-1].moment,
        evidence=tuple(dict.fromkeys((*share.evidence, *evidence))),
    )


def edges_forward(source: str, group: Sequence[Node], *, whole: bool) -> list[Edge]:
    """Return an edge from each output of the transformation back to `source`, its input.

    `whole` is false where only a part of a lot went in, so that a given unit of it may
    have gone elsewhere.
    """
    used = [share for share in inputs_of(group) if share.key == source]
    instance = any(share.instance for share in used)
    evidence = tuple(node for share in used for node in share.evidence)
    sure = EXACT if instance else LOT if whole else POSSIBLE
    return [
        Edge(
            output=share.key,
            input=source,
            kind=TRANSFORMED,
            precision=sure,
            quantity=used[0].quantity if used else None,
            uom=used[0].uom if used else None,
            transformation_id=group[0].event.transformation_id,
            moment=share.evidence[0].moment,
            evidence=tuple(dict.fromkeys((*evidence, *share.evidence))),
        )
        for share in outputs_of(group)
    ]


def precision_of(share: Share, *, several: bool) -> str:
    """Say how sure it is that something was made of `share`; `several` made it, maybe."""
    if several:
        return POSSIBLE
    if share.instance:
        return EXACT
    return POSSIBLE if has_no_lot(share.key) else LOT


def quantity_made(key: str, own: Iterable[Node]) -> tuple[Decimal, str | None] | None:
    """Return how much of the class `key` was ever made, and its unit; None where unknown."""
    total, unit, found = Decimal(0), None, False
    for one in (one for node in own for one in _made_there(key, node)):
        unit = unit if found else one.uom
        amount = amount_in(one.quantity, one.uom, unit)
        if amount is None:
            return None
        total, found = total + amount, True
    return (total, unit) if found else None


def _made_there(key: str, node: Node) -> list[Quantity]:
    """Return the quantities of the class `key` that an event brings into being."""
    named = [one for one in node.event.quantities if one.epc_class == key]
    made = [one for one in named if one.role == "output"]
    if made or not is_commissioning(node.event, key):
        return made
    return [one for one in named if one.role == "quantity"]


def has_no_lot(key: str) -> bool:
    """Tell whether `key` is a trade item class without a lot: too wide to be traced."""
    return _GTIN_ONLY.fullmatch(key) is not None


def without_origin(story: Story) -> Iterator[Gap]:
    """Yield the things of `story` that no event commissions or makes."""
    for thing in story.things.values():
        own = [told.node for told in thing.in_order() if told.path[-1] == thing.key]
        if thing.origin is None and own:
            why = "no event commissions it or makes it: where it came from is unknown"
            yield Gap(NO_ORIGIN, thing.key, None, own[0].moment, (thing.key,), why)


def input_gaps(thing: str, group: Sequence[Node], edges: Sequence[Edge]) -> list[Gap]:
    """Return what a transformation leaves open about its inputs."""
    if not edges:
        why = "the transformation that made it names no input"
        first, last = group[0].moment, group[-1].moment
        return [Gap(UNKNOWN_INPUTS, thing, first, last, (thing,), why)]
    return [
        Gap(
            UNKNOWN_LOT,
            thing,
            edge.moment,
            edge.moment,
            (edge.output, edge.input),
            "the input is named by its product only: which lot went in is unknown",
        )
        for edge in edges
        if has_no_lot(edge.input)
    ]


def class_precision(
    relation: Relation, all_of_kind: Sequence[Relation], own: Sequence[Node]
) -> str:
    """Say whether the whole lot was in there, or a part, so that a unit of it only may have."""
    made = quantity_made(relation.child, own)
    inside = None if made is None else amount_in(relation.quantity, relation.uom, made[1])
    if inside is not None and made is not None:
        return LOT if inside >= made[0] else POSSIBLE
    beside = [one for one in all_of_kind if one.span.meet(relation.span) is not None]
    return LOT if len(beside) == 1 else POSSIBLE


def is_whole(key: str, group: Sequence[Node], own: Sequence[Node]) -> bool:
    """Tell whether the transformation took all there is of the lot `key`."""
    made = quantity_made(key, own)
    used = [share for share in inputs_of(group) if share.key == key]
    if made is None or len(used) != 1:
        return False
    amount = amount_in(used[0].quantity, used[0].uom, made[1])
    return amount is not None and amount >= made[0]
