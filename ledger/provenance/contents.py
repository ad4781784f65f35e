"""What is inside a container, or bolted to it, during an interval: the walk downwards.

The parent's own packings name the candidates: those added since it was last emptied before
the interval. Each candidate is then asked for itself, because it may have been added
elsewhere since: what it was in is worked out as on the way up (`lineage`, `inside`), so that
both ways tell the same. Level by level, intervals are intersected; a cycle ends where a
thing would be inside itself.

Pure: no I/O, no clock, no randomness.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.projection import (
    ASSOCIATED_PARENT,
    CHILD,
    CHILD_QUANTITY,
    EMPTIED,
    EPC,
    PARENT,
    THING_ROLES,
)
from ledger.provenance.inside import (
    ROLES_OF,
    Window,
    find_births,
    find_emptyings,
    look_back,
)
from ledger.provenance.lineage import (
    AGGREGATION,
    ASSOCIATION,
    KIND_TYPES,
    Relation,
    build_lineage,
    find_lives,
    life_at,
)
from ledger.provenance.pool import Node
from ledger.provenance.reader import Reader
from ledger.provenance.source import Wanted
from ledger.provenance.span import FIRST, Moment, Span

_PARENT_ROLES = {
    AGGREGATION: frozenset({PARENT}),
    ASSOCIATION: frozenset({ASSOCIATED_PARENT}),
}
_EMPTIED = frozenset({EMPTIED})
_OWN = frozenset({EPC, CHILD, CHILD_QUANTITY})
_BORN = frozenset({EPC})
_BIRTHS = 64
_LOOK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """`relation.child` was in `relation.parent` during `span`; `path` leads down to it."""

    relation: Relation
    span: Span
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Portion:
    """The candidates after the key `after`, at most `count` of them."""

    after: str
    count: int

    def take(self, sorted_keys: Sequence[str]) -> list[str]:
        """Return the portion of keys that are in order."""
        start = bisect_right(sorted_keys, self.after)
        return list(sorted_keys[start : start + self.count])


def find_portion(
    reader: Reader, parent: str, span: Span, portion: Portion
) -> tuple[list[Content], str | None]:
    """Return a portion of what was in `parent` itself, and the key to go on after, if any."""
    contents, candidates = _level(reader, [((parent,), span)], portion)
    looked_at = portion.take(candidates)
    more = bool(looked_at) and looked_at[-1] != candidates[-1]
    return contents, looked_at[-1] if more else None


def find_contents(
    reader: Reader, parents: Iterable[tuple[str, Span]], *, depth: int | None = None
) -> list[Content]:
    """Return what was in `parents` during their intervals, down to `depth` levels.

    In the order of the walk: level by level, and by key within a parent. Where there is
    more than the reader may read, its horizon has moved, and contents may be missing.
    """
    found: list[Content] = []
    frontier: list[tuple[tuple[str, ...], Span]] = [((key,), span) for key, span in parents]
    levels = reader.limits.levels if depth is None else depth
    seen: set[tuple[str, Span]] = {(path[-1], span) for path, span in frontier}
    while frontier and levels > 0:
        level, _ = _level(reader, frontier)
        found += level
        frontier = []
        for one in level:
            name = (one.relation.child, one.span)
            if name not in seen:
                seen.add(name)
                frontier.append((one.path, one.span))
        levels -= 1
    return found


def _level(
    reader: Reader,
    parents: Sequence[tuple[tuple[str, ...], Span]],
    portion: Portion | None = None,
) -> tuple[list[Content], list[str]]:
    """Return what was in `parents`, and all candidates in order, of which it is a portion."""
    keys = dict.fromkeys((path[-1], span) for path, span in parents)
    since = _emptied_before(reader, keys)
    reader.fetch(
        Wanted(key=key, roles=roles, from_us=since.get((key, span, kind)), to_us=span.to_us)
        for key, span in keys
        for kind, roles in _PARENT_ROLES.items()
    )
    wanted = {
        (key, span, kind): _candidates(reader, key, span, kind)
        for key, span in keys
        for kind in _PARENT_ROLES
    }
    candidates = sorted({child for those in wanted.values() for child in those})
    if portion is not None:
        chosen = set(portion.take(candidates))
        wanted = {name: [c for c in those if c in chosen] for name, those in wanted.items()}
    reader.look_up(
        Wanted(key=key, roles=_BORN, to_us=s.to_us, newest=_BIRTHS) for key, s in keys
    )
    relations = _histories(
        reader, [(child, span) for (_, span, _), those in wanted.items() for child in those]
    )
    found: list[Content] = []
    for path, span in parents:
        for kind in _PARENT_ROLES:
            for child in wanted[path[-1], span, kind]:
                for relation in relations.get((child, span), ()):
                    met = _within_life(reader, relation, span)
                    inside = relation.parent == path[-1] and relation.kind == kind
                    if inside and met is not None and relation.known and child not in path:
                        found.append(Content(relation=relation, span=met, path=(*path, child)))
    return found, candidates


def _within_life(reader: Reader, relation: Relation, span: Span) -> Span | None:
    """Return the part of `span` in which the parent was still what the child was put into."""
    own = reader.pool.nodes_of(relation.parent, THING_ROLES, Span(FIRST, span.end))
    life = life_at(find_lives(relation.parent, own), relation.span.start)
    counted = relation.span.meet(life)
    return None if counted is None else counted.meet(span)


def _emptied_before(
    reader: Reader, keys: Iterable[tuple[str, Span]]
) -> dict[tuple[str, Span, str], int]:
    """Return since when what was added may still be there: the newest emptying before."""
    bounded = [(key, span) for key, span in keys if span.start != FIRST]
    reader.look_up(
        Wanted(key=key, roles=_EMPTIED, to_us=span.start[0] - 1, newest=_LOOK)
        for key, span in bounded
    )
    since: dict[tuple[str, Span, str], int] = {}
    for key, span in bounded:
        for node in reader.pool.nodes_of(key, _EMPTIED, Span(FIRST, span.start)):
            for kind, type_ in KIND_TYPES.items():
                if node.event.type == type_ and node.moment < span.start:
                    since[key, span, kind] = node.moment[0]
    return since


def _candidates(reader: Reader, key: str, span: Span, kind: str) -> list[str]:
    """Return what was ever added up to the end of `span` and not taken out before it."""
    nodes = reader.pool.nodes_of(key, _PARENT_ROLES[kind], Span(FIRST, span.end))
    found: dict[str, Moment] = {}
    for node in nodes:
        event = node.event
        if event.action == "ADD":
            for child in _children(node):
                found.setdefault(child, node.moment)
        elif event.action == "DELETE" and node.moment < span.start:
            for child in event.child_epcs:
                found.pop(child, None)
    return sorted(found)


def _children(node: Node) -> Iterable[str]:
    classes = (one.epc_class for one in node.event.quantities if one.role == "child")
    return (*node.event.child_epcs, *classes)


def _histories(
    reader: Reader, wanted: Sequence[tuple[str, Span]]
) -> dict[tuple[str, Span], list[Relation]]:
    """Return what each thing was in during its interval."""
    windows = [Window(key, span) for key, span in dict.fromkeys(wanted)]
    reader.fetch(
        Wanted(key=one.key, roles=roles, from_us=one.span.from_us, to_us=one.span.to_us)
        for one in windows
        for roles in ROLES_OF.values()
    )
    pasts = look_back(reader, windows)
    find_births(reader, pasts)
    find_emptyings(reader, pasts)
    found: dict[tuple[str, Span], list[Relation]] = {}
    for one, past in pasts.items():
        own = reader.pool.nodes_of(one.key, _OWN, Span(FIRST, one.span.end))
        lives = find_lives(one.key, own)
        relations: list[Relation] = []
        for kind, roles in ROLES_OF.items():
            counted = Span(past.since[kind], one.span.end)
            nodes = reader.pool.nodes_of(one.key, roles, counted)
            exclusive = all(one.key in node.event.child_epcs for node in nodes)
            parents = {n.event.parent_id for n in nodes if n.event.parent_id is not None}
            for parent in sorted(parents):
                nodes += reader.pool.nodes_of(parent, _EMPTIED, counted)
            relations += build_lineage(one.key, kind, nodes, exclusive=exclusive, lives=lives)[
                0
            ]
        found[one.key, one.span] = relations
    return found
