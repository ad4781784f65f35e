"""What a thing was exposed to: sensor readings of it, of what held it, and of where it was.

A reading counts for a thing if its own time lies within the interval in which the thing was
in the container (on the tray, in the room) that was measured: an event that reports a batch
of samples is opened, and only the samples within are taken. A window of an aggregated
reading that straddles packing or unpacking is reported by itself, as partial.

Readings are of the thing itself; of its holders; of the devices that are bolted to one of
these by an association; and of places, by events that name a place and no thing.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter
from statistics import median_low

from ledger.projection import (
    ASSOCIATED_CHILD,
    ASSOCIATED_PARENT,
    DEVICE,
    EMPTIED,
    LOCATED,
    SENSED,
)
from ledger.provenance.gap import NO_CONDITIONS, PARTIAL_WINDOW, Gap
from ledger.provenance.journey import Journey, Transit
from ledger.provenance.lineage import ASSOCIATION, build_lineage
from ledger.provenance.pool import Node, Pool
from ledger.provenance.reader import Reader
from ledger.provenance.readings import Reading
from ledger.provenance.source import Wanted
from ledger.provenance.span import EVER, FIRST, LAST, TIME_MAX_US, Span, at_instants
from ledger.provenance.story import ASSOCIATED, DIRECT, EXACT, Story, Thing
from ledger.provenance.story import LOCATED as BY_PLACE

BATCH_LAG_US = 24 * 3_600 * 1_000_000
"""How long after a reading the event that reports it may come (a logger's batch)."""

HOLE_US_MIN = 300 * 1_000_000
HOLE_US_MAX = 3_600 * 1_000_000
"""A journey without a reading for longer than this has a hole, whatever the logger."""

TEMPERATURE = "Temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is reported of `key` in one of `roles` counts for `thing` during `span`."""

    thing: str
    key: str
    roles: frozenset[str]
    via: str
    precision: str
    span: Span
    holder: str | None = None
    """The holder that the device `key` is bolted to."""


@dataclass(slots=True)
class Exposure:
    """Readings of one kind, by one device, for one interval in one holder."""

    measured: Measured
    type: str
    unit: str | None
    device: str | None
    partial: bool
    readings: list[Reading] = field(default_factory=list)
    evidence: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Conditions:
    """The exposures of all things of a story."""

    exposures: list[Exposure] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def read_conditions(story: Story, reader: Reader, journeys: Sequence[Journey]) -> Conditions:
    """Return what the things of `story` were exposed to; four batches of reads at most.

    Readings have a budget of their own, so that a logger that speaks every minute does not
    take what the story itself needs.
    """
    pool = reader.pool
    reader.spent = 0
    held = [one for thing in story.things.values() for one in _held(thing, reader)]
    stays = [one for journey in journeys for one in _stayed(journey, reader)]
    reader.fetch(_bolts_wanted(held))
    reader.fetch(_histories_wanted(held, pool))
    bolted = list(dict.fromkeys(device for one in held for device in _bolted(one, pool)))
    reader.fetch(_readings_wanted([*held, *stays, *bolted]))
    conditions = Conditions()
    taken: set[tuple[str, tuple[int, int], int]] = set()
    for one in [*held, *bolted, *stays]:
        conditions.exposures += _exposures(one, pool, taken)
    for journey in journeys:
        conditions.gaps += _holes(journey, conditions.exposures)
    conditions.gaps += [_partial(one) for one in conditions.exposures if one.partial]
    return conditions


def _held(thing: Thing, reader: Reader) -> Iterator[Measured]:
    own = reader.page(Span(thing.life.start, min(thing.life.end, thing.end)))
    if own is not None:
        yield _measured(thing.key, thing.key, DIRECT, thing.precision, own)
    for one in sorted(thing.holders, key=lambda holder: (len(holder.path), holder.span)):
        yield _measured(thing.key, one.key, one.via, one.precision, one.span)


def _measured(thing: str, key: str, via: str, precision: str, span: Span) -> Measured:
    roles = frozenset({SENSED})
    return Measured(thing=thing, key=key, roles=roles, via=via, precision=precision, span=span)


def _stayed(journey: Journey, reader: Reader) -> Iterator[Measured]:
    for stay in journey.stays:
        span = reader.page(Span(stay.start, stay.end or max(stay.start, journey.end)))
        if stay.place is not None and span is not None:
            yield Measured(
                thing=journey.thing,
                key=stay.place,
                roles=frozenset({LOCATED}),
                via=BY_PLACE,
                precision=EXACT,
                span=span,
            )


def _readings_wanted(measured: Iterable[Measured]) -> Iterator[Wanted]:
    for one in measured:
        to_us = one.span.to_us
        late_us = None if to_us is None else to_us + BATCH_LAG_US
        yield Wanted(key=one.key, roles=one.roles, from_us=one.span.from_us, to_us=late_us)


def _bolts_wanted(measured: Iterable[Measured]) -> Iterator[Wanted]:
    roles = frozenset({ASSOCIATED_PARENT})
    for one in measured:
        yield Wanted(key=one.key, roles=roles, to_us=one.span.to_us)


def _histories_wanted(measured: Iterable[Measured], pool: Pool) -> Iterator[Wanted]:
    roles = frozenset({ASSOCIATED_CHILD})
    for one in measured:
        devices = _ever_bolted(one, pool)
        for device in devices:
            yield Wanted(key=device, roles=roles, to_us=one.span.to_us)
        if devices:
            yield Wanted(key=one.key, roles=frozenset({EMPTIED}), to_us=one.span.to_us)


def _ever_bolted(one: Measured, pool: Pool) -> list[str]:
    nodes = pool.nodes_of(one.key, frozenset({ASSOCIATED_PARENT}), Span(FIRST, one.span.end))
    devices = {device for node in nodes for device in node.event.child_epcs}
    return sorted(devices - {one.thing})


def _bolted(one: Measured, pool: Pool) -> Iterator[Measured]:
    """Yield the devices that were bolted to what is measured, for as long as they were."""
    up_to = Span(FIRST, one.span.end)
    emptied = pool.nodes_of(one.key, frozenset({EMPTIED}), up_to)
    for device in _ever_bolted(one, pool):
        nodes = pool.nodes_of(device, frozenset({ASSOCIATED_CHILD}), up_to)
        relations, _ = build_lineage(
            device, ASSOCIATION, [*nodes, *emptied], exclusive=True, lives=[EVER]
        )
        for relation in relations:
            met = relation.span.meet(one.span)
            if met is not None and relation.parent == one.key and relation.known:
                yield replace(
                    one,
                    key=device,
                    roles=frozenset({SENSED, DEVICE}),
                    via=ASSOCIATED,
                    span=met,
                    holder=one.key,
                )


def _exposures(
    one: Measured, pool: Pool, taken: set[tuple[str, tuple[int, int], int]]
) -> Iterable[Exposure]:
    """Return what was measured, by kind; `taken` names the readings that count already."""
    found: dict[tuple[str, str | None, str | None, bool], Exposure] = {}
    start_us, end_us = one.span.start[0], one.span.end[0]
    late = (min(end_us + BATCH_LAG_US, TIME_MAX_US), *LAST[1:])
    for node in pool.nodes_of(one.key, one.roles, Span(one.span.start, late)):
        by_device = _is_by_device(node, one)
        for n, reading in enumerate(node.readings):
            outside = reading.to_us < start_us or end_us < reading.from_us
            if outside or (by_device and reading.device != one.key):
                continue
            name = (one.thing, node.name, n)
            if name in taken:
                continue
            taken.add(name)
            inside = start_us <= reading.from_us and reading.to_us <= end_us
            kind = (reading.type, reading.unit, reading.device, not inside)
            exposure = found.get(kind)
            if exposure is None:
                exposure = found[kind] = Exposure(one, *kind)
            exposure.readings.append(reading)
            if not exposure.evidence or exposure.evidence[-1] is not node:
                exposure.evidence.append(node)
    for exposure in found.values():
        exposure.readings.sort(key=attrgetter("from_us", "to_us"))
    return found.values()


def _is_by_device(node: Node, one: Measured) -> bool:
    """Tell whether only those readings count that the device which is measured took."""
    named = one.key in node.event.epc_list or one.key in node.event.child_epcs
    return DEVICE in one.roles and not named


def _partial(exposure: Exposure) -> Gap:
    measured = exposure.measured
    first_us = exposure.readings[0].from_us
    window = at_instants(first_us, max(reading.to_us for reading in exposure.readings))
    why = "the reading sums up a window that lies only partly within the time it was in there"
    between = (measured.thing, measured.key)
    return Gap(PARTIAL_WINDOW, measured.thing, window.start, window.end, between, why)


def _holes(journey: Journey, exposures: Iterable[Exposure]) -> Iterator[Gap]:
    """Yield where the thing travelled and no temperature is known."""
    windows = sorted(
        (reading.from_us, reading.to_us)
        for one in exposures
        if one.measured.thing == journey.thing and one.type == TEMPERATURE and not one.partial
        for reading in one.readings
    )
    for transit in journey.transits:
        yield from _holes_of(journey.thing, transit, windows)


def _holes_of(
    thing: str, transit: Transit, windows: Sequence[tuple[int, int]]
) -> Iterator[Gap]:
    start = transit.start[0]
    end = transit.end[0] if transit.end is not None else None
    inside = [one for one in windows if one[1] >= start and (end is None or one[0] <= end)]
    if not inside:
        why = "it travelled, and no temperature of it or of what it was in is known"
        yield Gap(NO_CONDITIONS, thing, transit.start, transit.end, (thing,), why)
        return
    edges = [*inside, (end, end)] if end is not None else inside
    allowed_us = _silence_allowed_us(inside)
    cursor = start
    for from_us, to_us in edges:
        if from_us - cursor > allowed_us:
            hole = at_instants(cursor, from_us)
            why = "it travelled, and for longer than between readings no temperature is known"
            yield Gap(NO_CONDITIONS, thing, hole.start, hole.end, (thing,), why)
        cursor = max(cursor, to_us)


def _silence_allowed_us(windows: Sequence[tuple[int, int]]) -> int:
    """Return how long may pass between readings: half as long again as it usually does.

    The interval at which a logger samples is the median of those between its readings.
    """
    steps = [after - before for (before, _), (after, _) in pairwise(windows)]
    if not steps:
        return HOLE_US_MAX
    return min(HOLE_US_MAX, max(HOLE_US_MIN, median_low(steps) * 3 // 2))
