"""What a thing was in when an interval begins: looked up backwards, not read from the start.

A crate may have been around for ten years when an item spends a day in it. To know what
the crate was in on that day, its packings of the day are read, and those before only back
to the one that decides: the newest ADD before the interval, and its run of ADDs to the same
parent, which ends at an ADD elsewhere, at a DELETE, or with the history. Most often four
events tell; where they do not, more are read, eight times as many each time.

What emptied a parent is found in the same way forwards: from an ADD on, up to the first
DELETE-all or to what ends the interval otherwise.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.projection import (
    ASSOCIATED_CHILD,
    CHILD,
    CHILD_QUANTITY,
    EMPTIED,
    EPC,
)
from ledger.provenance.lineage import AGGREGATION, ASSOCIATION, KIND_TYPES, is_commissioning
from ledger.provenance.pool import Node
from ledger.provenance.reader import Reader
from ledger.provenance.source import Wanted
from ledger.provenance.span import (
    FIRST,
    TIME_MAX_US,
    TIME_MIN_US,
    Moment,
    Span,
    at_instants,
)

ROLES_OF = {
    AGGREGATION: frozenset({CHILD, CHILD_QUANTITY}),
    ASSOCIATION: frozenset({ASSOCIATED_CHILD}),
}
INSIDE = frozenset({CHILD, CHILD_QUANTITY, ASSOCIATED_CHILD})
"""The roles in which a key is in, or bolted to, a parent."""

_EMPTIED = frozenset({EMPTIED})
_COMMISSIONED = frozenset({EPC})
_FIRST_LOOK = 4
_GROWTH = 8
_LOOK_MAX = 4 * 8**3


@dataclass(frozen=True, slots=True)
class Window:
    """`key` is looked at during `span`; its packings of that time have been read."""

    key: str
    span: Span


@dataclass(slots=True)
class Past:
    """Since when the packings of a key count for a window, by kind."""

    since: dict[str, Moment]
    whole: bool
    """False where even the longest look back did not decide."""


def look_back(reader: Reader, windows: Iterable[Window]) -> dict[Window, Past]:
    """Return for each window since when packings count, reading what decides it."""
    found: dict[Window, Past] = {}
    open_ones = []
    for window in dict.fromkeys(windows):
        if window.span.start == FIRST:
            found[window] = Past(dict.fromkeys(ROLES_OF, FIRST), whole=True)
        else:
            open_ones.append(window)
    look = _FIRST_LOOK
    while open_ones:
        reader.look_up(
            Wanted(key=one.key, roles=INSIDE, to_us=one.span.start[0] - 1, newest=look)
            for one in open_ones
        )
        undecided = []
        for one in open_ones:
            since = {kind: _decide(reader, one, kind, look) for kind in ROLES_OF}
            decided = all(at is not None for at in since.values())
            if decided or look >= _LOOK_MAX:
                known = {
                    kind: _read_start(reader, one, kind) if at is None else at
                    for kind, at in since.items()
                }
                found[one] = Past(known, whole=decided)
            else:
                undecided.append(one)
        open_ones, look = undecided, look * _GROWTH
    return found


def _read_start(reader: Reader, window: Window, kind: str) -> Moment:
    since_us = _read_since(reader, window, kind, _LOOK_MAX)
    return FIRST if since_us is None else (since_us, b"", -1)


def _read_since(reader: Reader, window: Window, kind: str, look: int) -> int | None:
    """Return the instant since which the packings before were read; None is the first one.

    The pool may hold older ones that another interval needed, with a hole in between.
    """
    before = (TIME_MIN_US, window.span.start[0] - 1)
    times = (reader.pool.times_of(window.key, role, before) for role in ROLES_OF[kind])
    return max((one[-look] for one in times if len(one) >= look), default=None)


def _decide(reader: Reader, window: Window, kind: str, look: int) -> Moment | None:
    """Return since when the packings of one kind count, or None where that is undecided."""
    since_us = _read_since(reader, window, kind, look)
    if since_us is None:
        return FIRST
    parent: str | None = None
    since: Moment | None = None
    read = at_instants(since_us, window.span.start[0] - 1)
    for node in reversed(reader.pool.nodes_of(window.key, ROLES_OF[kind], read)):
        event = node.event
        if window.key not in event.child_epcs:
            return None  # A lot may be in several parents: no single event decides.
        if event.type != KIND_TYPES[kind] or event.parent_id in (None, window.key):
            continue  # Nothing is inside itself.
        if event.action == "ADD":
            if parent not in (None, event.parent_id):
                return since
            parent, since = event.parent_id, node.moment
        elif event.action == "DELETE" and event.parent_id == parent:
            return since
    return None


def find_births(reader: Reader, pasts: dict[Window, Past]) -> None:
    """Read whether a key began another life since it was packed: that ends the packing.

    All that is known of an SSCC is read anyway.
    """
    early: dict[Window, int] = {}
    for window, past in pasts.items():
        counted = {kind: Span(since, window.span.end) for kind, since in past.since.items()}
        packings = [
            node.moment
            for kind, span in counted.items()
            for node in reader.pool.nodes_of(window.key, ROLES_OF[kind], span)
        ]
        if packings and min(packings) < window.span.start:
            early[window] = min(packings)[0]
    reader.look_up(
        Wanted(
            key=one.key,
            roles=_COMMISSIONED,
            from_us=from_us,
            to_us=one.span.start[0],
            newest=_LOOK_MAX,
        )
        for one, from_us in early.items()
    )
    look_before_births(reader, [(one.key, from_us) for one, from_us in early.items()])


def look_before_births(reader: Reader, keys: Iterable[tuple[str, int]]) -> None:
    """Read what came before the first commissioning since an instant: it tells of use."""
    wanted = []
    for key, since_us in keys:
        later = at_instants(since_us, TIME_MAX_US)
        for node in reader.pool.nodes_of(key, _COMMISSIONED, later):
            if is_commissioning(node.event, key):
                before_us = node.moment[0] - 1
                wanted.append(
                    Wanted(key=key, roles=_COMMISSIONED, to_us=before_us, newest=_LOOK_MAX)
                )
                break
    reader.look_up(wanted)


def find_emptyings(reader: Reader, windows: dict[Window, Past]) -> None:
    """Read what emptied the parents of each window's key while it was inside."""
    open_ones = [
        (window.key, kind, one)
        for window, past in windows.items()
        for kind, since in past.since.items()
        for one in _additions(reader, window, kind, since)
    ]
    look = _FIRST_LOOK
    while open_ones:
        reader.look_up(
            Wanted(
                key=one.parent,
                roles=_EMPTIED,
                from_us=one.start[0],
                to_us=one.end[0],
                oldest=look,
            )
            for _, _, one in open_ones
        )
        if look >= _LOOK_MAX:
            return
        open_ones = [
            (key, kind, one)
            for key, kind, one in open_ones
            if not _is_settled(reader, kind, one, look)
        ]
        look *= _GROWTH


@dataclass(frozen=True, slots=True)
class _Addition:
    """Added to `parent` at `start`; not there any more by its own events after `end`."""

    parent: str
    start: Moment
    end: Moment


def _additions(reader: Reader, window: Window, kind: str, since: Moment) -> Iterator[_Addition]:
    up_to = Span(since, window.span.end)
    nodes = [
        node
        for node in reader.pool.nodes_of(window.key, ROLES_OF[kind], up_to)
        if node.event.type == KIND_TYPES[kind] and node.event.parent_id is not None
    ]
    ends: dict[str, Moment] = {}
    found: list[_Addition] = []
    for node in reversed(nodes):
        parent = node.event.parent_id
        assert parent is not None
        if node.event.action == "ADD":
            found.append(_Addition(parent, node.moment, ends.get(parent, window.span.end)))
        if node.event.action == "ADD" or _takes_out(node, window.key):
            ends[parent] = node.moment
    return iter(found)


def _takes_out(node: Node, key: str) -> bool:
    """Tell whether the event takes all there is of `key` out; of a lot it may be a part."""
    return node.event.action == "DELETE" and key in node.event.child_epcs


def _is_settled(reader: Reader, kind: str, one: _Addition, look: int) -> bool:
    """Tell whether the first emptying after the addition was read, or that there is none."""
    times = reader.pool.times_of(one.parent, EMPTIED, (one.start[0], one.end[0]))
    if len(times) < look:
        return True
    read = Span(one.start, min(one.end, at_instants(times[look - 1], times[look - 1]).end))
    nodes = reader.pool.nodes_of(one.parent, _EMPTIED, read)
    return any(node.event.type == KIND_TYPES[kind] for node in nodes)
