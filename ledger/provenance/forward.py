"""The walk forward: what something went into, and what that went into, to the last item.

It is the walk back turned round. Something is *affected* by a seed if its own walk back
reaches the seed: it was made by a transformation that used the seed (or something affected)
from then on, or its commissioning names an affected lot, or it was inside a seed that holds
things, in the seed's interval. It is *certain* if that way back is exact or by lot, and only
*possible* where a step is: the input is one of several that it may have been, or what it
was made from is a lot of which another part was made without the seed.

What a partner names by product alone (a GTIN without a lot) is not followed: every item of
the product would be affected.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ledger.epcis.lot import lots_named
from ledger.projection import LOT as LOT_ROLE
from ledger.provenance.derivation import (
    Share,
    group_of,
    has_no_lot,
    inputs_of,
    outputs_of,
    precision_of,
)
from ledger.provenance.pool import IDENTICAL, Node
from ledger.provenance.reader import Reader
from ledger.provenance.source import Wanted
from ledger.provenance.span import EVER, LAST, Coverage, Span
from ledger.provenance.story import EXACT, LOT, TRANSFORMED
from ledger.provenance.visit import MADE, USED, worse


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """`key` has something of a seed from `span.start` on; `path` leads there from the seed."""

    key: str
    span: Span
    precision: str
    via: str
    path: tuple[str, ...]
    quantity: Decimal | None = None
    uom: str | None = None
    evidence: tuple[Node, ...] = ()


@dataclass(slots=True)
class Forward:
    """What was found; the seeds themselves come first."""

    affected: dict[str, Affected] = field(default_factory=dict)
    cleared: dict[str, str] = field(default_factory=dict)
    """What is near and not affected, with the reason."""
    cut: bool = False


def trace_forward(
    reader: Reader, seeds: Sequence[Affected], *, until: Span, items: int
) -> Forward:
    """Return everything that `seeds` went into within `until`, at most `items` of them.

    Batch by batch: the number of reads grows with the number of steps, not of items.
    """
    found = Forward()
    covered: dict[str, Coverage] = {}
    frontier = list(seeds)
    levels = reader.limits.levels
    while frontier and levels > 0:
        fresh = _fresh(found, covered, frontier)
        if len(found.affected) >= items:
            found.cut = True
            break
        frontier = _level(reader, found, fresh, until)
        levels -= 1
    found.cut = found.cut or bool(frontier and levels == 0)
    for key in found.affected:
        found.cleared.pop(key, None)
    return found


def _fresh(
    found: Forward, covered: dict[str, Coverage], frontier: Iterable[Affected]
) -> list[Affected]:
    """Note what is affected, each by its surest way; return what was not followed before."""
    fresh: list[Affected] = []
    for one in frontier:
        known = found.affected.get(one.key)
        if known is None or worse(known.precision, one.precision) != one.precision:
            found.affected[one.key] = one
            surer = known is not None
        else:
            surer = False
        if surer or one.key not in covered:  # All that follows from it is surer too.
            covered[one.key] = Coverage([one.span])
            fresh.append(one)
        else:
            pieces = covered[one.key].take(one.span)
            fresh += [replace(one, span=piece) for piece in pieces]
    return fresh


def _level(
    reader: Reader, found: Forward, fresh: Sequence[Affected], until: Span
) -> list[Affected]:
    roles = USED | {LOT_ROLE}
    reader.fetch(
        Wanted(key=one.key, roles=roles, from_us=one.span.from_us, to_us=until.to_us)
        for one in fresh
        if not has_no_lot(one.key)
    )
    followed = reader.pool.count_named(roles)
    users = {
        n: reader.pool.nodes_of(one.key, USED, _meet(one.span, until))
        for n, one in enumerate(fresh)
        if one.key in followed
    }
    reader.fetch_groups(
        node.event.transformation_id
        for nodes in users.values()
        for node in nodes
        if node.event.transformation_id is not None
    )
    steps: list[tuple[Affected, list[Node], list[Share]]] = []
    for n, nodes in users.items():
        one = fresh[n]
        groups: dict[tuple[int, int], list[Node]] = {}
        for user in nodes:
            group, split = group_of(reader.pool, user, one.key, until)
            groups.setdefault(group[0].name, group)
            if split:
                _clear_others(reader, found, user, group)
        steps += [(one, group, outputs_of(group)) for group in groups.values()]
    reader.fetch(
        Wanted(key=share.key, roles=MADE, to_us=until.to_us)
        for _, _, outputs in steps
        for share in outputs
        if not share.instance and not has_no_lot(share.key)
    )
    makers = reader.pool.count_named(MADE) if steps else {}
    following = [made for step in steps for made in _made(reader, makers, *step)]
    for one in fresh:
        if one.key in followed:
            following += _commissioned(reader, one, until)
    return following


def _meet(span: Span, until: Span) -> Span:
    return Span(span.start, min(span.end, until.end))


def _made(
    reader: Reader,
    makers: Mapping[str, int],
    one: Affected,
    group: Sequence[Node],
    outputs: Sequence[Share],
) -> Iterable[Affected]:
    """Yield what a transformation made of what is affected; by output, `makers` counts."""
    inside = {node.name for node in group}
    used = [share for share in inputs_of(group) if share.key == one.key]
    for share in outputs:
        if share.key == one.key:
            continue
        several = (makers[share.key] > 1 or IDENTICAL in share.evidence[0].flags) and any(
            node.name not in inside for node in reader.pool.nodes_of(share.key, MADE, EVER)
        )
        for source in used:
            yield Affected(
                key=share.key,
                span=Span(share.evidence[0].moment, LAST),
                precision=worse(one.precision, precision_of(source, several=several)),
                via=TRANSFORMED,
                path=(*one.path, share.key),
                quantity=share.quantity,
                uom=share.uom,
                evidence=tuple(dict.fromkeys((*source.evidence, *share.evidence))),
            )


def _commissioned(reader: Reader, one: Affected, until: Span) -> Iterable[Affected]:
    """Yield the items whose commissioning names the lot `one.key`."""
    nodes = reader.pool.nodes_of(one.key, frozenset({LOT_ROLE}), _meet(one.span, until))
    for node in nodes:
        for key, lot in lots_named(node.event):
            if lot == one.key and key not in node.event.output_epcs:
                yield Affected(
                    key=key,
                    span=Span(node.moment, LAST),
                    precision=worse(one.precision, LOT),
                    via=LOT,
                    path=(*one.path, key),
                    evidence=(node,),
                )


def _clear_others(reader: Reader, found: Forward, user: Node, group: Sequence[Node]) -> None:
    """Clear what another transformation made under a transformationID that was used twice."""
    assert user.event.transformation_id is not None
    same_id = reader.pool.nodes_of_transformation(user.event.transformation_id)
    others = [node for node in same_id if node not in group]
    for share in outputs_of(others):
        why = "another party, or another month, used the same transformationID for it"
        found.cleared.setdefault(share.key, why)


def seed(key: str, span: Span, evidence: Iterable[Node] = ()) -> Affected:
    """Return `key` as a seed: affected for sure, by itself."""
    return Affected(
        key=key,
        span=span,
        precision=EXACT,
        via="seed",
        path=(key,),
        evidence=tuple(evidence),
    )
