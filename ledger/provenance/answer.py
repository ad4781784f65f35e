"""The answer to one question: where an item comes from, what happened to it, what is unknown.

`trace` walks back from the item (`trace_back`), then reads off where each thing was, who
had it, and what it was exposed to. Everything that the events leave open is a gap.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.projection import THING_ROLES
from ledger.provenance.admissions import find_admissions
from ledger.provenance.conditions import Conditions, read_conditions
from ledger.provenance.custody import OWNER, POSSESSOR, Custody, follow_custody
from ledger.provenance.doubts import find_doubts
from ledger.provenance.gap import Gap, in_order
from ledger.provenance.journey import Journey, follow_journey, without_vehicle
from ledger.provenance.lineage import SSCC_PREFIX
from ledger.provenance.pool import Correction, Node, Pool
from ledger.provenance.reader import Limits, Reader
from ledger.provenance.reconsider import reconsider
from ledger.provenance.source import EventSource, Wanted
from ledger.provenance.span import FIRST, Moment, Span, until
from ledger.provenance.story import ASSOCIATED, CONTAINED, POSSIBLE, Story, Thing, Told
from ledger.provenance.tiers import Distances, Tier, collect_tiers, measure_distances
from ledger.provenance.trace import CLASS_ROLES, trace_back, trace_up


@dataclass(frozen=True, slots=True)
class State:
    """What holds for the asked item at the asked instant; None where it is unknown."""

    place: str | None
    in_transit: bool
    owner: str | None
    possessor: str | None
    disposition: str | None
    persistent: tuple[str, ...]
    containers: tuple[str, ...]
    """From the innermost outwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Everything known about one item, as values; `assemble_answer` makes it JSON."""

    key: str
    at_us: int | None
    before_us: int | None
    known_at: int
    story: Story
    state: State
    journeys: dict[str, Journey]
    custody: dict[str, Custody]
    conditions: Conditions
    distances: Distances
    tiers: list[Tier]
    gaps: list[Gap]
    correctives: dict[str, tuple[Node, ...]]
    """The events that corrections point to, by eventID, as far as they are there."""
    now: Moment
    """The present: what lies after it is shown and left out of the state."""


def trace(
    source: EventSource,
    key: str,
    *,
    now_us: int,
    at_us: int | None = None,
    known_at: int | None = None,
    limits: Limits | None = None,
) -> Answer | None:
    """Return the answer about `key` (canonical), or None if the ledger never heard of it.

    `at_us` is the asked instant (None: up to now and beyond), `known_at` the log's size as
    of which to answer (None: all there is). Events later than `now_us` are shown and
    flagged, and left out of the state, of custody and of places.

    An answer that would read more than `limits` is cut: it tells what happened from some
    instant on, and the same question with that instant as `limits.before_us` tells the
    rest, page by page. A page's state, custody and places are as they were at its end.
    """
    size = source.size()
    known_at = size if known_at is None else min(known_at, size)
    reader = Reader(source, known_at, limits or Limits())
    found = trace_back(reader, key, at_us=at_us)
    if found is None:
        return None
    story, pool = found
    now = until(now_us).end
    present = min(now, until(at_us).end, reader.top)
    journeys, custody = _read_off(story, present)
    ways = list(journeys.values())
    conditions = read_conditions(story, reader, ways)
    if reader.horizon != FIRST:
        story.truncated = True
        story.continue_before_us = reader.horizon[0]
    distances = measure_distances(story, custody)
    story.corrections = _corrections(story, pool)
    open_ends = [*story.gaps, *conditions.gaps, *find_doubts(story, pool, now)]
    open_ends += [gap for one in ways for gap in one.gaps]
    open_ends += [gap for one in custody.values() for gap in one.gaps]
    open_ends += find_admissions(story, reader, present, journeys)
    return Answer(
        key=key,
        at_us=at_us,
        before_us=reader.limits.before_us,
        known_at=known_at,
        story=story,
        state=_state(story.things[key], journeys[key], custody[key], present),
        journeys=journeys,
        custody=custody,
        conditions=conditions,
        distances=distances,
        tiers=collect_tiers(story, custody, distances),
        gaps=in_order(open_ends),
        correctives=_correctives(story, source, known_at),
        now=now,
    )


def find_states(
    reader: Reader, keys: Iterable[str], *, now_us: int, at_us: int | None = None
) -> dict[str, State]:
    """Return what holds for each of `keys` at the asked instant, by the rules of `trace`.

    Items that the same events name in the same roles, as the cartons of one case, have one
    story: it is worked out once.
    """
    wanted = list(keys)
    reader.fetch(Wanted(key=key, to_us=at_us) for key in wanted)
    alike: dict[object, list[str]] = {}
    for key in wanted:
        history = reader.pool.history_of(key)
        serial = all(CLASS_ROLES.isdisjoint(roles) for _, roles in history)
        kind = key.startswith(SSCC_PREFIX)
        alike.setdefault((kind, history) if serial else key, []).append(key)
    story = trace_up(reader, (those[0] for those in alike.values()), at_us=at_us)
    present = min(until(now_us).end, until(at_us).end, reader.top)
    journeys, custody = _read_off(story, present)
    found: dict[str, State] = {}
    for first, *others in alike.values():
        thing = story.things[first]
        state = _state(thing, journeys[first], custody[first], present)
        found.update(dict.fromkeys((first, *others), state))
    return found


def _read_off(story: Story, present: Moment) -> tuple[dict[str, Journey], dict[str, Custody]]:
    journeys: dict[str, Journey] = {}
    custody: dict[str, Custody] = {}
    for thing in story.things.values():
        end = min(thing.end, present)
        story.gaps += reconsider(thing, follow_journey(thing.key, _past(thing, end), end))
        told = _past(thing, end)
        journey = follow_journey(thing.key, told, end)
        handed = [one for one in told if one.via != ASSOCIATED]
        journey.gaps += without_vehicle(thing, journey)
        journeys[thing.key] = journey
        custody[thing.key] = follow_custody(thing, handed, journey.unseen)
    return journeys, custody


def _past(thing: Thing, end: Moment) -> list[Told]:
    return [one for one in thing.sure() if one.node.moment <= end]


def _state(thing: Thing, journey: Journey, custody: Custody, present: Moment) -> State:
    disposition: str | None = None
    persistent: set[str] = set()
    for told in thing.sure():
        event = told.node.event
        if told.node.moment > present:
            continue
        disposition = event.disposition or disposition
        persistent.difference_update(event.persistent_unset)
        persistent.update(event.persistent_set)
    end = min(present, thing.end)
    inside = [
        one
        for one in thing.holders
        if one.via == CONTAINED and one.precision != POSSIBLE
        if one.span.start <= present and one.span.end >= end
    ]
    return State(
        place=journey.place,
        in_transit=journey.in_transit,
        owner=_holding(custody, OWNER),
        possessor=_holding(custody, POSSESSOR),
        disposition=disposition,
        persistent=tuple(sorted(persistent)),
        containers=tuple(one.key for one in sorted(inside, key=lambda one: len(one.path))),
    )


def _holding(custody: Custody, role: str) -> str | None:
    now = [one.party for one in custody.holdings if one.role == role and one.end is None]
    return now[-1] if now else None


def _corrections(story: Story, pool: Pool) -> list[Correction]:
    """Return what was declared wrong about the things of the story and what held them."""
    looked_at: dict[str, list[Span]] = {}
    for thing in story.things.values():
        looked_at.setdefault(thing.key, []).append(Span(thing.life.start, thing.end))
        for holder in thing.holders:
            looked_at.setdefault(holder.key, []).append(holder.span)
    found: dict[bytes, Correction] = {}
    for key, spans in looked_at.items():
        for one in pool.corrections_of(key, THING_ROLES):
            at_us = one.event.event_time_us
            if any(span.start[0] <= at_us <= span.end[0] for span in spans):
                found.setdefault(one.declared.content, one)
    return sorted(
        found.values(), key=lambda one: (one.event.event_time_us, one.declared.content)
    )


def _correctives(
    story: Story, source: EventSource, known_at: int
) -> dict[str, tuple[Node, ...]]:
    ids = sorted(set(_corrective_ids(story)))
    if not ids:
        return {}
    pool = Pool()
    pool.add(source.events_by_id(ids, before_entry=known_at))
    return {one: tuple(nodes) for one in ids if (nodes := pool.nodes_with_id(one))}


def _corrective_ids(story: Story) -> Iterator[str]:
    for one in story.corrections:
        if one.event.error is not None:
            yield from one.event.error.corrective_ids
