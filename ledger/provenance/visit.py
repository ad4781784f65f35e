"""One step of the walk: a thing or a container to look at, for an interval.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.projection import ASSOCIATED_CHILD, CHILD, CHILD_QUANTITY
from ledger.provenance.lineage import SSCC_PREFIX, Relation
from ledger.provenance.pool import Node
from ledger.provenance.source import Wanted
from ledger.provenance.span import Span
from ledger.provenance.story import EXACT, LOT, POSSIBLE, Holder, Told

INSIDE = frozenset({CHILD, CHILD_QUANTITY, ASSOCIATED_CHILD})
"""The roles in which a key is in, or bolted to, a parent."""

_SURE = (EXACT, LOT, POSSIBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one answer may read before it is cut and says so."""

    events: int = 100_000
    levels: int = 1_000
    outputs: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """`key` is to be looked at during `span`, as part of the life of `thing`."""

    key: str
    thing: str
    span: Span
    via: str
    path: tuple[str, ...]
    precision: str
    relation: Relation | None = None

    @property
    def is_thing(self) -> bool:
        """Tell whether this is the thing itself and not something that holds it."""
        return self.relation is None


def wanted_of(visit: Visit) -> Iterable[Wanted]:
    """Return what to read for `visit`: its events, and when it was itself inside something.

    All that is known of a thing and of an SSCC is read, because lives may have to be told
    apart; of any other container only the interval, and its own packings up to its end.
    """
    to_us = visit.span.to_us
    if visit.is_thing or visit.key.startswith(SSCC_PREFIX):
        yield Wanted(key=visit.key, to_us=to_us)
        return
    yield Wanted(key=visit.key, from_us=visit.span.from_us, to_us=to_us)
    yield Wanted(key=visit.key, roles=INSIDE, to_us=to_us)


def told_of(visit: Visit, node: Node) -> Told:
    """Return `node` as told of the thing by way of `visit`."""
    return Told(
        node=node,
        thing=visit.thing,
        via=visit.via,
        path=visit.path,
        precision=visit.precision,
    )


def holder_of(visit: Visit, span: Span) -> Holder:
    """Return the container that `visit` looked at, during `span`."""
    return Holder(
        key=visit.key,
        thing=visit.thing,
        via=visit.via,
        path=visit.path,
        precision=visit.precision,
        span=span,
        relation=visit.relation,
    )


def worse(one: str, other: str) -> str:
    """Return the less sure of two precisions."""
    return max(one, other, key=_SURE.index)
