"""The events read so far: duplicates as one node, declared errors taken out of the story.

An event that is delivered twice (equal eventID, equal content) is one node with two pins.
Without eventID each entry is its own node, flagged if it equals another: two reads that are
identical to the millisecond are both kept. Equal eventID with different content is a
collision: both are shown and flagged.

An error declaration repeats its original in every field, so both have one content hash and
name the same keys at the same instant: whoever reads one reads the other. A declaration
that is visible retracts its original for every asked time; a declaration of a declaration
has the same content again and changes nothing.

Pure: no I/O, no clock, no randomness.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from ledger.epcis.event import Event
from ledger.projection import Pin
from ledger.provenance.readings import Reading
from ledger.provenance.source import KnownEvent
from ledger.provenance.span import Moment, Span

IDENTICAL = "identical_to_another"
COLLISION = "event_id_collision"
WITHHELD = "withheld"
LATE_CLOCK = "after_record_time"
NO_ORIGINAL = "declares_an_unseen_event"

NAMES_FILED_MAX = 64
"""An event that names more is looked through when it is asked for, and not filed under each."""

_moment = attrgetter("moment")
_order = attrgetter("order")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """One event of the story, with every entry that delivered it; equal by its name.

    `pin` is the delivery that the event goes by: the best grade, then the first issuer by
    name. Which was captured first changes nothing.
    """

    event: Event
    pin: Pin
    pins: tuple[Pin, ...]
    moment: Moment
    name: tuple[int, int]
    """What tells this node from any other: entry and position of its first delivery."""
    order: tuple[Moment, str, tuple[int, int]]
    """Moment, issuer, name: the log's order decides only between what is the same in all."""
    readings: tuple[Reading, ...] = ()
    flags: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """An event that was declared wrong, or a declaration whose original is not there."""

    declared: KnownEvent
    originals: tuple[Pin, ...]
    event: Event


@dataclass(slots=True)
class _Group:
    """Everything with one content hash."""

    told: dict[int, KnownEvent] = field(default_factory=dict)
    declared: dict[int, KnownEvent] = field(default_factory=dict)


@dataclass(slots=True)
class Pool:
    """Grows by `add`; `nodes_of` answers from what was added."""

    _groups: dict[bytes, _Group] = field(default_factory=dict)
    _by_key: dict[str, dict[bytes, frozenset[str]]] = field(default_factory=dict)
    _wide: dict[bytes, KnownEvent] = field(default_factory=dict)
    _looked: int = 0
    _by_transformation: dict[str, set[bytes]] = field(default_factory=dict)
    _by_id: dict[str, set[bytes]] = field(default_factory=dict)
    _nodes: dict[bytes, tuple[Node, ...]] = field(default_factory=dict)
    _ordered: dict[tuple[str, frozenset[str]], list[Node]] = field(default_factory=dict)
    """What was asked for since the last change, in order."""

    def __len__(self) -> int:
        """Return how many different contents were read."""
        return len(self._groups)

    def add(self, events: Iterable[KnownEvent]) -> None:
        """Take events in, in any order and any number of times."""
        for known in events:
            group = self._groups.get(known.content)
            if group is None:
                group = self._groups[known.content] = _Group()
                self._file(known)
            side = group.told if known.event.error is None else group.declared
            if known.pin.eid not in side:
                side[known.pin.eid] = known
                self._nodes.pop(known.content, None)
                self._ordered.clear()

    def _file(self, known: KnownEvent) -> None:
        event = known.event
        if len(known.roles) > NAMES_FILED_MAX:
            self._wide[known.content] = known
        else:
            self._file_keys(known.content, known)
        if event.transformation_id is not None:
            ids = self._by_transformation.setdefault(event.transformation_id, set())
            ids.add(known.content)
        if event.event_id is not None:
            same = self._by_id.setdefault(event.event_id, set())
            same.add(known.content)
            if len(same) > 1:
                for content in same:
                    self._nodes.pop(content, None)

    def nodes_of(self, key: str, roles: frozenset[str], span: Span) -> list[Node]:
        """Return the nodes within `span` that name `key` in one of `roles`, in order."""
        ordered = self._ordered.get((key, roles))
        if ordered is None:
            contents = self._contents(key, roles)
            if not contents:
                return []
            ordered = self._ordered[key, roles] = self._sorted(contents)
        start = bisect_left(ordered, span.start, key=_moment)
        return ordered[start : bisect_right(ordered, span.end, lo=start, key=_moment)]

    def history_of(self, key: str) -> frozenset[tuple[bytes, frozenset[str]]]:
        """Return which contents name `key`, and in which roles each."""
        return frozenset(self._filed(key))

    def names(self, key: str, roles: frozenset[str]) -> bool:
        """Tell whether any event, retracted ones too, names `key` in one of `roles`."""
        return any(not roles.isdisjoint(one) for _, one in self._filed(key))

    def count_named(self, roles: frozenset[str]) -> dict[str, int]:
        """Return how many contents name each key in one of `roles`; of what is not read, none.

        Retracted events count too. It looks at all that was read: ask for many keys at once.
        """
        self._file_wide()
        counts: dict[str, int] = {}
        for key, told in self._by_key.items():
            count = sum(not roles.isdisjoint(one) for one in told.values())
            if count:
                counts[key] = count
        return counts

    def times_of(self, key: str, role: str, within: tuple[int, int]) -> list[int]:
        """Return the instants of all events read that name `key` in `role`, in order.

        Retracted ones and declarations too: it is how far something was read.
        """
        from_us, to_us = within
        groups = (self._groups[content] for content in self._contents(key, frozenset({role})))
        known = (
            one for group in groups for one in (*group.told.values(), *group.declared.values())
        )
        times = (one.event.event_time_us for one in known)
        return sorted(at_us for at_us in times if from_us <= at_us <= to_us)

    def untimed_of(self, key: str, roles: frozenset[str]) -> list[Node]:
        """Return the nodes that name `key` and withhold when they happened."""
        nodes = (
            node for one in self._contents(key, roles) for node in self._nodes_of_content(one)
        )
        return sorted((n for n in nodes if not n.event.is_timed), key=lambda node: node.name)

    def nodes_of_transformation(self, transformation_id: str) -> list[Node]:
        """Return the nodes with this transformationID, in order."""
        return self._sorted(self._by_transformation.get(transformation_id, set()))

    def nodes_with_id(self, event_id: str) -> list[Node]:
        """Return the nodes with this eventID, in order."""
        return self._sorted(self._by_id.get(event_id, set()))

    def corrections_of(self, key: str, roles: frozenset[str]) -> list[Correction]:
        """Return what was declared wrong among the events that name `key`, in order."""
        contents = self._contents(key, roles)
        found = [self._correction(self._groups[content]) for content in contents]
        ordered = [one for one in found if one is not None]
        return sorted(ordered, key=lambda one: (one.event.event_time_us, one.declared.content))

    def _contents(self, key: str, roles: frozenset[str]) -> set[bytes]:
        return {content for content, one in self._filed(key) if not roles.isdisjoint(one)}

    def _filed(self, key: str) -> Iterator[tuple[bytes, frozenset[str]]]:
        """Yield the contents that name `key`, with the roles in which they do."""
        if self._wide:
            self._looked += 1
            if self._looked > NAMES_FILED_MAX:  # Many keys are asked for: it is worth it now.
                self._file_wide()
        yield from self._by_key.get(key, {}).items()
        for content, known in self._wide.items():
            if key in known.roles:
                yield content, known.roles[key]

    def _file_wide(self) -> None:
        for content, known in self._wide.items():
            self._file_keys(content, known)
        self._wide.clear()

    def _file_keys(self, content: bytes, known: KnownEvent) -> None:
        for key, roles in known.roles.items():
            self._by_key.setdefault(key, {})[content] = roles

    def _correction(self, group: _Group) -> Correction | None:
        if not group.declared:
            return None
        declared = min(group.declared.values(), key=_declaration_order)
        originals = tuple(group.told[eid].pin for eid in sorted(group.told))
        return Correction(declared=declared, originals=originals, event=declared.event)

    def _sorted(self, contents: Iterable[bytes]) -> list[Node]:
        nodes = (node for content in contents for node in self._nodes_of_content(content))
        return sorted((node for node in nodes if node.event.is_timed), key=_order)

    def _nodes_of_content(self, content: bytes) -> tuple[Node, ...]:
        nodes = self._nodes.get(content)
        if nodes is None:
            nodes = self._nodes[content] = self._make_nodes(self._groups[content])
        return nodes

    def _make_nodes(self, group: _Group) -> tuple[Node, ...]:
        told = [group.told[eid] for eid in sorted(group.told)]
        if group.declared or not told:
            return ()
        event_id = told[0].event.event_id
        if event_id is None:
            flags = (IDENTICAL,) if len(told) > 1 else ()
            return tuple(_node([one], flags) for one in told)
        told_apart = [one for one in self._by_id[event_id] if self._groups[one].told]
        flags = (COLLISION,) if len(told_apart) > 1 else ()
        return (_node(told, flags),)


def _node(told: list[KnownEvent], flags: tuple[str, ...]) -> Node:
    """Return one node; among deliveries the fullest document decides the order."""
    best = min(told, key=lambda one: (-one.pin.position, one.pin.document))
    event = best.event
    if best.pin.withheld:
        flags = (*flags, WITHHELD)
    if all(event.event_time_us > one.pin.record_time_us for one in told):
        flags = (*flags, LATE_CLOCK)
    pins = tuple(one.pin for one in told)
    name = (pins[0].index, pins[0].position)
    pin = min(pins, key=lambda one: (-one.grade, one.iss, one.eid))
    moment = (event.event_time_us, best.pin.document, best.pin.position)
    return Node(
        event=event,
        pin=pin,
        pins=pins,
        moment=moment,
        name=name,
        order=(moment, pin.iss, name),
        readings=best.readings,
        flags=flags,
    )


def _declaration_order(known: KnownEvent) -> tuple[int, bytes, int, str, str, tuple[str, ...]]:
    """Return the order among declarations of one event: what they say, never their capture."""
    error = known.event.error
    if error is None:
        return 0, b"", 0, "", "", ()
    place = (error.declaration_time_us, known.pin.document, known.pin.position, known.pin.iss)
    return *place, error.reason or "", tuple(error.corrective_ids)
