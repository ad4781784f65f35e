"""The walk back: from an item through its containers, and through what it was made from.

Level by level: the events of every thing and container of one level are read in one batch,
then their containers and inputs make the next level. Intervals are intersected at each
step, so that a path respects time: an item inherits a lorry's journey only while its case
was on the pallet that was in the lorry. What was walked for one interval is not walked
again, so that loops end; nothing here calls itself, so that no depth is too deep.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter

from ledger.epcis.lot import lot_of
from ledger.projection import (
    CHILD,
    CHILD_QUANTITY,
    EMPTIED,
    EPC,
    INPUT,
    INPUT_QUANTITY,
    OUTPUT,
    OUTPUT_QUANTITY,
    PARENT,
    QUANTITY,
    THING_ROLES,
)
from ledger.provenance import gap as gaps
from ledger.provenance.derivation import (
    class_precision,
    edges_back,
    edges_forward,
    group_of,
    has_no_lot,
    input_gaps,
    is_whole,
    without_origin,
)
from ledger.provenance.gap import Gap
from ledger.provenance.inside import (
    ROLES_OF,
    Past,
    Window,
    find_births,
    find_emptyings,
    look_back,
    look_before_births,
)
from ledger.provenance.lineage import (
    AGGREGATION,
    ASSOCIATION,
    Relation,
    build_lineage,
    find_lives,
    is_commissioning,
    life_at,
)
from ledger.provenance.pool import Node, Pool
from ledger.provenance.reader import Reader
from ledger.provenance.source import Wanted
from ledger.provenance.span import EVER, FIRST, Coverage, Moment, Span, until
from ledger.provenance.story import (
    ASSOCIATED,
    CONTAINED,
    DIRECT,
    EXACT,
    LOT,
    Edge,
    Story,
    Thing,
)
from ledger.provenance.visit import (
    MADE,
    USED,
    Visit,
    holder_of,
    lookups_of,
    told_of,
    wanted_of,
    worse,
)

_INSTANCE_ROLES = frozenset({EPC, CHILD, PARENT, INPUT, OUTPUT})
CLASS_ROLES = frozenset({QUANTITY, CHILD_QUANTITY, INPUT_QUANTITY, OUTPUT_QUANTITY})
_VIA = {AGGREGATION: CONTAINED, ASSOCIATION: ASSOCIATED}


@dataclass(slots=True)
class _Walk:
    reader: Reader
    story: Story
    edges: set[tuple[str, str, str | None, str, object]] = field(default_factory=set)
    walked: set[tuple[str, str, Moment]] = field(default_factory=set)
    """The things, each as what and up to when it was walked."""
    asked: Span = EVER
    """Up to when events count."""
    derives: bool = True
    """Whether the walk goes on into what things were made from."""

    @property
    def pool(self) -> Pool:
        return self.reader.pool

    def level(self, visits: Sequence[Visit]) -> list[Visit]:
        """Walk one level and return the next."""
        open_ones = self._uncovered(visits)
        self._read(open_ones)
        lives = [(visit, self._life_of(visit)) for visit in open_ones]
        fresh = [one for visit, life in lives for one in self._enter(visit, life)]
        pasts = self._look_back(fresh)
        found: list[Visit] = []
        for visit in fresh:
            seen = self.reader.page(visit.span)
            if seen is not None:
                found += self._upwards(visit, seen, pasts[Window(visit.key, seen)])
        if not self.derives:
            return found
        # What was walked before counts too for what made a thing by then.
        things = [(v, Span(life.start, v.span.end)) for v, life in lives if v.is_thing]
        things = [(visit, span) for visit, span in things if span.start <= span.end]
        self._fetch_groups(things)
        for visit, span in things:
            found += self._derive(visit, span)
        return found

    def _uncovered(self, visits: Sequence[Visit]) -> list[Visit]:
        """Return the visits that tell something new; a thing once for each end."""
        open_ones: list[Visit] = []
        for visit in visits:
            thing = self.story.things.get(visit.thing)
            if thing is None:
                thing = Thing(visit.key, visit.path, visit.precision, visit.span.end)
                self.story.things[visit.key] = thing
            thing.end = max(thing.end, visit.span.end) if visit.is_thing else thing.end
            covered = thing.covered.setdefault((visit.key, visit.via), Coverage())
            if visit.is_thing:
                end = (visit.key, visit.via, visit.span.end)
                fresh = end not in self.walked
                self.walked.add(end)
            else:
                fresh = covered.misses(visit.span)
            if fresh:
                open_ones.append(visit)
        return open_ones

    def _read(self, visits: Sequence[Visit]) -> None:
        """Read the events of `visits`, and what tells in which life their keys are."""
        page = Span(FIRST, self.reader.top)
        self.reader.fetch(one for visit in visits for one in wanted_of(visit, page))
        partial = self.reader.is_partial
        self.reader.look_up(
            one for visit in visits for one in lookups_of(visit, partial=partial)
        )
        held = [(one.key, one.packed[0]) for one in visits if not one.is_thing]
        look_before_births(self.reader, held)

    def _look_back(self, visits: Sequence[Visit]) -> dict[Window, Past]:
        """Find out what the things of `visits` were in when the page begins for them."""
        spans = ((visit.key, self.reader.page(visit.span)) for visit in visits)
        windows = (Window(key, span) for key, span in spans if span is not None)
        pasts = look_back(self.reader, windows)
        find_births(self.reader, pasts)
        find_emptyings(self.reader, pasts)
        for window, past in pasts.items():
            if not past.whole:
                why = "what it was in before is not read: its packings are too many"
                gap = Gap(gaps.TRUNCATED, window.key, None, window.span.start, (), why)
                self.story.gaps.append(gap)
        return pasts

    def _life_of(self, visit: Visit) -> Span:
        """Return the life of the key that `visit` is about."""
        lives = find_lives(visit.key, self._history(visit))
        if not visit.is_thing:
            return life_at(lives, visit.packed)
        why = "the key was used again: this answer is about one of its lives only"
        for earlier, later in pairwise(lives):
            gap = Gap(gaps.REUSED_KEY, visit.key, earlier.end, later.start, (visit.key,), why)
            self.story.gaps.append(gap)
        return life_at(lives, visit.span.end)

    def _enter(self, visit: Visit, life: Span) -> Iterator[Visit]:
        """Tell the events of `visit` in `life`; yield the pieces of it that are new."""
        thing = self.story.things[visit.thing]
        span = visit.span.meet(life)
        pieces = [] if span is None else thing.covered[visit.key, visit.via].take(span)
        for piece in pieces:
            one = replace(visit, span=piece)
            if one.is_thing:
                if visit.span.end >= thing.end:  # Not an earlier life that it was made from.
                    thing.life = life
                thing.is_class = self._is_class(one.key)
            else:
                thing.holders.append(holder_of(one, piece))
            seen = self.reader.page(piece)
            for node in self._history(one) if seen is not None else ():
                if seen is not None and seen.holds(node.moment):
                    thing.tell(told_of(one, node))
            yield one

    def _history(self, visit: Visit) -> list[Node]:
        """Return what was read of the key up to the end of `visit`."""
        return self.pool.nodes_of(visit.key, THING_ROLES, Span(FIRST, visit.span.end))

    def _is_class(self, key: str) -> bool:
        instance = self.pool.names(key, _INSTANCE_ROLES)
        return not instance and self.pool.names(key, CLASS_ROLES)

    def _upwards(self, visit: Visit, span: Span, past: Past) -> Iterable[Visit]:
        """Return the containers of `visit.key`, and what it is bolted to, during `span`."""
        own = self._history(visit)
        lives = find_lives(visit.key, own)
        is_class = self._is_class(visit.key)
        found: list[Visit] = []
        for kind, via in _VIA.items():
            counted = Span(past.since[kind], span.end)
            nodes = self.pool.nodes_of(visit.key, ROLES_OF[kind], counted)
            parents = {one.event.parent_id for one in nodes if one.event.parent_id is not None}
            for parent in sorted(parents):
                nodes += self.pool.nodes_of(parent, frozenset({EMPTIED}), counted)
            relations, open_ends = build_lineage(
                visit.key, kind, nodes, exclusive=not is_class, lives=lives
            )
            self.story.gaps += [
                replace(gap, thing=visit.thing)
                for gap in open_ends
                if gap.end is not None and span.holds(gap.end)
            ]
            for relation in relations:
                sure = class_precision(relation, relations, own) if is_class else EXACT
                found += self._held(visit, relation, span, via, sure)
        return found

    def _held(
        self, visit: Visit, relation: Relation, span: Span, via: str, sure: str
    ) -> Iterable[Visit]:
        met = relation.span.meet(span)
        if met is None:
            return
        if relation.parent in visit.chain:
            why = (
                "it is inside itself by what the events say: the second packing is passed over"
            )
            between = (relation.child, relation.parent)
            gap = Gap(gaps.CYCLE, visit.thing, met.start, met.end, between, why)
            self.story.gaps.append(gap)
        elif not relation.known:
            loose = self.story.things[visit.thing].loose
            if relation not in loose:
                loose.append(relation)
        else:
            yield Visit(
                key=relation.parent,
                thing=visit.thing,
                span=met,
                via=ASSOCIATED if visit.via == ASSOCIATED else via,
                path=(*visit.path, relation.parent),
                precision=worse(visit.precision, sure),
                relation=relation,
            )

    def _fetch_groups(self, entered: Sequence[tuple[Visit, Span]]) -> None:
        self.reader.fetch_groups(
            node.event.transformation_id
            for visit, span in entered
            for node in self.pool.nodes_of(visit.key, MADE | USED, span)
            if node.event.transformation_id is not None
        )

    def _derive(self, visit: Visit, span: Span) -> Iterable[Visit]:
        """Return what the thing was made from, up to when that was used up for it."""
        thing = self.story.things[visit.key]
        makers = self.pool.nodes_of(visit.key, MADE, span)
        groups: dict[tuple[int, int], list[Node]] = {}
        for maker in makers:
            group, split = group_of(self.pool, maker, visit.key, self.asked)
            groups.setdefault(group[0].name, group)
            self.story.gaps += split
        own = self.pool.nodes_of(visit.key, THING_ROLES, span)
        births = [node for node in own if is_commissioning(node.event, visit.key)]
        origins = sorted([*makers, *births], key=attrgetter("order"))
        thing.origin = thing.origin or (origins[0] if origins else None)
        found: list[Visit] = []
        for group in groups.values():
            edges = edges_back(visit.key, group, several=len(groups) > 1)
            self.story.gaps += input_gaps(visit.key, group, edges)
            found += self._follow(visit, edges)
        if not makers:
            found += self._climb(visit, births)
        if visit.key == self.story.root:
            self._forward(visit, span)
        return found

    def _follow(self, visit: Visit, edges: Iterable[Edge]) -> Iterable[Visit]:
        for edge in edges:
            name = (edge.output, edge.input, edge.uom, edge.kind, edge.moment)
            if name not in self.edges:
                self.edges.add(name)
                self.story.inputs.append(edge)
            if not has_no_lot(edge.input):
                yield Visit(
                    key=edge.input,
                    thing=edge.input,
                    span=Span(FIRST, edge.moment),
                    via=edge.kind,
                    path=(*visit.path, edge.input) if edge.input != visit.key else visit.path,
                    precision=worse(visit.precision, edge.precision),
                )

    def _climb(self, visit: Visit, births: Sequence[Node]) -> Iterable[Visit]:
        """Go from an instance that nothing made to the lot that its commissioning names."""
        lots = {lot_of(visit.key, birth.event): birth for birth in reversed(births)}
        for lot, birth in lots.items():
            if lot is not None and lot != visit.key:
                edge = Edge(
                    output=visit.key,
                    input=lot,
                    kind=LOT,
                    precision=LOT,
                    quantity=None,
                    uom=None,
                    transformation_id=None,
                    moment=birth.moment,
                    evidence=(birth,),
                )
                yield from self._follow(visit, [edge])

    def _forward(self, visit: Visit, span: Span) -> None:
        """Note what the item itself went into: one step, not followed further."""
        own = self.pool.nodes_of(visit.key, THING_ROLES, span)
        seen: set[tuple[int, int]] = set()
        for user in self.pool.nodes_of(visit.key, USED, span):
            group, _ = group_of(self.pool, user, visit.key, self.asked)
            if group[0].name in seen:
                continue
            seen.add(group[0].name)
            edges = edges_forward(visit.key, group, whole=is_whole(visit.key, group, own))
            self.story.outputs += edges[: self.reader.limits.outputs]
            if len(edges) > self.reader.limits.outputs:
                self.story.truncated = True


def trace_back(
    reader: Reader, key: str, *, at_us: int | None = None
) -> tuple[Story, Pool] | None:
    """Return what is known of `key` up to the instant `at_us`, or None if nothing ever was.

    `key` is canonical (`ledger.gs1.epc.canonical_key`). `reader` is new: it says as known
    when, on which page and how much.
    """
    story = Story(key)
    _walk(_Walk(reader, story, asked=until(at_us)), [_visit(key, at_us)])
    story.gaps += without_origin(story)
    if not reader.pool.names(key, THING_ROLES):
        reader.look_up([Wanted(key=key, oldest=1)])
        if not reader.pool.names(key, THING_ROLES):
            return None
    return story, reader.pool


def trace_up(reader: Reader, keys: Iterable[str], *, at_us: int | None = None) -> Story:
    """Return what happened to all of `keys` and to what they were in, up to `at_us`.

    Of each level of containers the events of all things are read in one batch.
    """
    story = Story("")
    _walk(
        _Walk(reader, story, asked=until(at_us), derives=False),
        [_visit(key, at_us) for key in keys],
    )
    return story


def _visit(key: str, at_us: int | None) -> Visit:
    span = until(at_us)
    return Visit(key=key, thing=key, span=span, via=DIRECT, path=(key,), precision=EXACT)


def _walk(walk: _Walk, frontier: list[Visit]) -> None:
    levels = 0
    while frontier and levels < walk.reader.limits.levels:
        frontier = walk.level(frontier)
        levels += 1
    if frontier:
        walk.story.truncated = True
