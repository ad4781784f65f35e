"""What a recall starts from: named things, or what was at a place, with a party, by a device.

A seed is affected during an interval. What was inside a seed in that interval is a seed too:
a pallet that stood in the wrong room stood there with its cases. A sensor excursion narrows
the interval to the readings beyond a limit.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import attrgetter

from ledger.projection import (
    ASSOCIATED_CHILD,
    BIZ_LOCATION,
    DESTINATION,
    DEVICE,
    LOCATED,
    READ_POINT,
    SENSED,
    SOURCE,
)
from ledger.provenance.contents import Content, find_contents
from ledger.provenance.forward import Affected, seed
from ledger.provenance.lineage import ASSOCIATION, build_lineage
from ledger.provenance.pool import Node
from ledger.provenance.reader import Reader
from ledger.provenance.readings import Reading
from ledger.provenance.source import Wanted
from ledger.provenance.span import EVER, LAST, Span, at_instants
from ledger.provenance.story import CONTAINED

_PLACE = frozenset({BIZ_LOCATION, READ_POINT})
_PARTY = frozenset({SOURCE, DESTINATION})
_MEASURED = frozenset({SENSED, LOCATED, DEVICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Excursion:
    """Readings of `type` below `low` or above `high` count; both in `unit`."""

    type: str
    unit: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None

    def holds(self, reading: Reading) -> bool:
        """Tell whether `reading` goes beyond."""
        if reading.type != self.type or (self.unit is not None and reading.unit != self.unit):
            return False
        below = self.low is not None and reading.low < self.low
        return below or (self.high is not None and reading.high > self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """What is suspected: keys, each by what it is, and when (None: ever)."""

    things: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    excursion: Excursion | None = None
    span: Span = EVER


@dataclass(frozen=True, slots=True)
class Seeds:
    """What is affected to begin with, and what only seems to be."""

    seeds: list[Affected]
    cleared: dict[str, str]


def find_seeds(reader: Reader, suspicion: Suspicion) -> Seeds:
    """Return the seeds of `suspicion`, with what was inside them in their intervals."""
    found = list(_first(reader, suspicion))
    by_place = {(one.key, one.span): one for one in found}
    contents = find_contents(reader, list(by_place))
    held = [_held(by_place, one) for one in contents]
    cleared: dict[str, str] = {}
    if suspicion.span != EVER and suspicion.excursion is None:
        why = "it was inside at another time only"
        for content in find_contents(reader, [(key, EVER) for key in suspicion.things]):
            cleared.setdefault(content.relation.child, why)
    lasting = [replace(one, span=Span(one.span.start, LAST)) for one in found]
    return Seeds([*lasting, *held], cleared)


def _held(seeds: dict[tuple[str, Span], Affected], one: Content) -> Affected:
    parents = (
        s for (key, span), s in seeds.items() if key == one.path[0] and span.meet(one.span)
    )
    top = next(parents)
    ends = (one.relation.opened_by, one.relation.closed_by)
    return Affected(
        key=one.relation.child,
        span=Span(one.span.start, LAST),
        precision=top.precision,
        via=CONTAINED,
        path=one.path,
        quantity=one.relation.quantity,
        uom=one.relation.uom,
        evidence=(*top.evidence, *(node for node in ends if node is not None)),
    )


def _first(reader: Reader, suspicion: Suspicion) -> Iterator[Affected]:
    if suspicion.excursion is not None:
        yield from _beyond(reader, suspicion, suspicion.excursion)
        return
    for key in suspicion.things:
        yield seed(key, suspicion.span)
    for keys, roles in ((suspicion.places, _PLACE), (suspicion.parties, _PARTY)):
        yield from _named(reader, keys, roles, suspicion.span)
    yield from _near(reader, suspicion.devices, suspicion.span)


def _named(
    reader: Reader, keys: Sequence[str], roles: frozenset[str], span: Span
) -> Iterator[Affected]:
    """Yield the things of the events that name a place or a party, from each event on."""
    reader.fetch(
        Wanted(key=key, roles=roles, from_us=span.from_us, to_us=span.to_us) for key in keys
    )
    nodes = [node for key in keys for node in reader.pool.nodes_of(key, roles, span)]
    first: dict[str, Node] = {}
    for node in sorted(nodes, key=attrgetter("order")):
        for key in things_of(node):
            first.setdefault(key, node)
    for key, node in first.items():
        yield seed(key, Span(node.moment, span.end), [node])


def things_of(node: Node) -> Iterable[str]:
    """Return the things and classes that an event names."""
    event = node.event
    classes = (one.epc_class for one in event.quantities)
    parents = () if event.parent_id is None else (event.parent_id,)
    return (
        *event.epc_list,
        *parents,
        *event.child_epcs,
        *event.input_epcs,
        *event.output_epcs,
        *classes,
    )


def _near(reader: Reader, devices: Sequence[str], span: Span) -> Iterator[Affected]:
    """Yield what a device reported of, and what it was bolted to."""
    yield from _named(reader, devices, frozenset({DEVICE}), span)
    for device, parent, during in _bolted(reader, devices, span):
        yield seed(parent, during, reader.pool.nodes_of(device, frozenset({DEVICE}), during))


def _bolted(
    reader: Reader, devices: Sequence[str], span: Span
) -> Iterator[tuple[str, str, Span]]:
    roles = frozenset({ASSOCIATED_CHILD})
    reader.fetch(Wanted(key=key, roles=roles, to_us=span.to_us) for key in devices)
    for device in devices:
        nodes = reader.pool.nodes_of(device, roles, Span(end=span.end))
        relations, _ = build_lineage(device, ASSOCIATION, nodes, exclusive=True, lives=[EVER])
        for relation in relations:
            met = relation.span.meet(span)
            if met is not None and relation.known:
                yield device, relation.parent, met


def _beyond(reader: Reader, suspicion: Suspicion, excursion: Excursion) -> Iterator[Affected]:
    """Yield what was measured beyond the limit, for the time of these readings."""
    keys = (*suspicion.things, *suspicion.places, *suspicion.devices)
    span = suspicion.span
    reader.fetch(
        Wanted(key=key, roles=_MEASURED, from_us=span.from_us, to_us=span.to_us) for key in keys
    )
    bolted = list(_bolted(reader, suspicion.devices, span))
    for key in keys:
        for node in reader.pool.nodes_of(key, _MEASURED, span):
            windows = [(r.from_us, r.to_us) for r in node.readings if excursion.holds(r)]
            if not windows:
                continue
            during = at_instants(min(w[0] for w in windows), max(w[1] for w in windows))
            for thing in things_of(node):
                yield seed(thing, during, [node])
            for device, parent, held in bolted:
                if device == key and held.meet(during) is not None:
                    yield seed(parent, during, [node])
