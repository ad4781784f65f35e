"""One step of the walk: a thing or a container to look at, for an interval.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.projection import EPC, INPUT, INPUT_QUANTITY, OUTPUT, OUTPUT_QUANTITY, QUANTITY
from ledger.provenance.lineage import SSCC_PREFIX, Relation
from ledger.provenance.pool import Node
from ledger.provenance.source import Wanted
from ledger.provenance.span import TIME_MAX_US, Moment, Span
from ledger.provenance.story import EXACT, LOT, POSSIBLE, Holder, Told

MADE = frozenset({OUTPUT, OUTPUT_QUANTITY})
USED = frozenset({INPUT, INPUT_QUANTITY})
FACTS_MAX = 256
"""How many transformations of one thing are looked up where its history is not read whole."""
FIRST_EVENTS = 8

_NAMED = frozenset({EPC, QUANTITY})
_SURE = (EXACT, LOT, POSSIBLE)


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
    def chain(self) -> tuple[str, ...]:
        """Return the end of the path: the thing, and the containers that lead to the key."""
        return self.path[len(self.path) - 1 - self.path[::-1].index(self.thing) :]

    @property
    def packed(self) -> Moment:
        """Return when the key was packed with what leads to it; the start, of a thing."""
        return self.span.start if self.relation is None else self.relation.span.start

    @property
    def is_thing(self) -> bool:
        """Tell whether this is the thing itself and not something that holds it."""
        return self.relation is None


def wanted_of(visit: Visit, page: Span) -> Iterable[Wanted]:
    """Return the events to read for `visit`, as far as `page` goes.

    All that is known of a thing and of an SSCC is read, because lives may have to be told
    apart; of any other container only the interval.
    """
    to_us = min(visit.span.end, page.end)[0]
    whole = visit.is_thing or visit.key.startswith(SSCC_PREFIX)
    from_us = None if whole else visit.span.from_us
    yield Wanted(key=visit.key, from_us=from_us, to_us=None if to_us == TIME_MAX_US else to_us)


def lookups_of(visit: Visit, *, partial: bool) -> Iterable[Wanted]:
    """Return the single facts to look up of a key whose history is not read whole.

    Of a thing, what made it, what it went into, and its first events: one of them may
    commission it. Of a container, whether it began another life since it was packed.
    """
    if visit.is_thing and partial:
        to_us = visit.span.to_us
        yield Wanted(key=visit.key, roles=MADE | USED, to_us=to_us, newest=FACTS_MAX)
        yield Wanted(key=visit.key, roles=_NAMED, to_us=to_us, oldest=FIRST_EVENTS)
    if visit.packed < visit.span.start and not visit.key.startswith(SSCC_PREFIX):
        yield Wanted(
            key=visit.key,
            roles=frozenset({EPC}),
            from_us=visit.packed[0],
            to_us=visit.span.start[0],
            newest=FACTS_MAX,
        )


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
