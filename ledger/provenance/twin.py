"""The twin: what a container or a site holds at an instant, as known then or now.

    {"epc": …, "as_of": {…}, "contents": [{"epc", "parent", "depth", "from", …}], …}
    {"site": …, "as_of": {…}, "places": […], "items": [{"epc", "place", "within", …}], …}

Places, custody and dispositions are those that `trace` gives for each thing: one set of
rules. A thing is at a site if its last known place is there and it is not on its way.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ledger.projection import BIZ_LOCATION
from ledger.provenance.answer import State, find_states
from ledger.provenance.contents import Content, Portion, find_contents, find_portion
from ledger.provenance.derivation import has_no_lot
from ledger.provenance.document import (
    Document,
    format_instant,
    format_moment,
    list_evidence,
    plain_number,
)
from ledger.provenance.reader import Limits, Reader
from ledger.provenance.seeds import things_of
from ledger.provenance.source import EventSource, Wanted
from ledger.provenance.span import FIRST, Span, until

CONTENTS_MAX = 2_000
"""Rows of one answer about contents, but for those that belong to the last portion."""

CONTENTS_BATCH = 500

STATES_BATCH = 1_000
"""How many things are worked out at once; it bounds the memory, not the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """At which instant (None: now), as known at which size, and how much of the answer."""

    now_us: int
    at_us: int | None = None
    known_at: int | None = None
    limits: Limits = field(default_factory=Limits)

    def reader(self, source: EventSource) -> Reader:
        """Return a reader for one part of the question."""
        return Reader(source, self.entries(source), self.limits)

    def entries(self, source: EventSource) -> int:
        """Return how many entries of the log the answer knows."""
        size = source.size()
        return size if self.known_at is None else min(self.known_at, size)

    @property
    def instant(self) -> Span:
        """Return the one moment that is asked about."""
        end = until(self.now_us if self.at_us is None else self.at_us).end
        return Span(end, end)

    def as_of(self, source: EventSource) -> Document:
        """Return what the answer is about, ready for JSON."""
        return {
            "size": self.entries(source),
            "root": None,
            "time": format_instant(self.at_us),
            "before": format_instant(self.limits.before_us),
        }


def states_of(source: EventSource, keys: Iterable[str], asked: Asked) -> dict[str, State]:
    """Return what holds for each of `keys`, worked out in batches."""
    wanted = list(dict.fromkeys(keys))
    found: dict[str, State] = {}
    for at in range(0, len(wanted), STATES_BATCH):
        batch = wanted[at : at + STATES_BATCH]
        reader = Reader(
            source,
            asked.entries(source),
            Limits(events=max(asked.limits.events, 100 * len(batch))),
        )
        found |= find_states(reader, batch, now_us=asked.now_us, at_us=asked.at_us)
    return found


def list_contents(
    source: EventSource, key: str, asked: Asked, *, depth: int | None = None, after: str = ""
) -> Document:
    """Return what is in `key` at the asked instant, down to `depth` levels.

    Things directly inside come in the order of their keys, each portion with what is inside
    it. Past `CONTENTS_MAX` rows the answer is cut, and goes on with `after`.
    """
    rows: list[Document] = []
    cut = False
    last: str | None = after
    while last is not None and len(rows) < CONTENTS_MAX:
        reader, portion = asked.reader(source), Portion(last, CONTENTS_BATCH)
        inside, last = find_portion(reader, key, asked.instant, portion)
        if depth is None or depth > 1:
            within = [(one.relation.child, one.span) for one in inside]
            below = None if depth is None else depth - 1
            deeper = find_contents(reader, within, depth=below)
            inside = [*inside, *(replace(one, path=(key, *one.path)) for one in deeper)]
        rows += [_content(one) for one in inside if one.relation.child != key]
        cut = cut or reader.horizon != FIRST
    return {
        "epc": key,
        "as_of": asked.as_of(source),
        "contents": rows,
        "truncated": cut or last is not None,
        "continuation": None if last is None else {"after": last},
    }


def _content(one: Content) -> Document:
    relation = one.relation
    opened = () if relation.opened_by is None else (relation.opened_by,)
    return {
        "epc": relation.child,
        "parent": relation.parent,
        "depth": len(one.path) - 1,
        "kind": relation.kind,
        "from": format_moment(relation.span.start),
        "quantity": plain_number(relation.quantity),
        "uom": relation.uom,
        "flags": list(relation.flags),
        "entries": list_evidence(opened),
    }


def list_inventory(source: EventSource, site: str, asked: Asked) -> Document:
    """Return who and what is at `site` (a GLN: all of its places) at the asked instant.

    Found are the things that events name at one of the places, newest first, and what is
    inside them. An answer that is cut goes on with `before`.
    """
    places = list(source.keys_under(site))
    reader = asked.reader(source)
    end = min(asked.instant.end, reader.top)
    roles = frozenset({BIZ_LOCATION})
    reader.fetch(Wanted(key=place, roles=roles, to_us=end[0]) for place in places)
    page = Span(reader.horizon, end)
    named = {
        key: None
        for place in places
        for node in reader.pool.nodes_of(place, roles, page)
        for key in things_of(node)
        if not has_no_lot(key)
    }
    here = set(places)
    found = {
        key: state
        for key, state in states_of(source, sorted(named), asked).items()
        if state.place in here and not state.in_transit
    }
    inner = asked.reader(source)
    held = find_contents(inner, [(key, asked.instant) for key in sorted(found)])
    inside = {one.relation.child for one in held} - found.keys()
    found |= {
        key: state
        for key, state in states_of(source, sorted(inside), asked).items()
        if state.place in here and not state.in_transit
    }
    cut = reader.horizon != FIRST
    return {
        "site": site,
        "as_of": asked.as_of(source),
        "places": places,
        "items": [_item(key, found[key]) for key in sorted(found)],
        "parties": _parties(found.values()),
        "truncated": cut or inner.horizon != FIRST,
        "continuation": {"before": format_instant(reader.horizon[0])} if cut else None,
    }


def _item(key: str, state: State) -> Document:
    return {
        "epc": key,
        "place": state.place,
        "within": list(state.containers),
        "possessor": state.possessor,
        "owner": state.owner,
        "disposition": state.disposition,
        "persistent": list(state.persistent),
    }


def _parties(states: Iterable[State]) -> list[Document]:
    """Return who has or owns what is there, and how much of it."""
    count: dict[tuple[str, str], int] = {}
    for state in states:
        for role, party in (("possessor", state.possessor), ("owner", state.owner)):
            if party is not None:
                count[party, role] = count.get((party, role), 0) + 1
    return [
        {"party": party, "role": role, "items": n} for (party, role), n in sorted(count.items())
    ]
