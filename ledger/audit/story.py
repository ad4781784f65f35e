"""Asks whether the goods can have moved as the events say (check 15, on request).

The events are taken in the order of their own times, whenever they were logged:

    containment  what is put into something is in nothing else; what is taken out was in it
    one place    nothing is read at two places in the same instant
    life         nothing is seen before it began or after it ended, and begins only once
    quantity     of a lot no more is used up than was there, as far as both are known

Every answer of no is a remark: readers miss tags, and a missed unpacking looks just like a
case in two trailers. Events that were declared wrong are left out. In memory is a short
note of each event, of so many at most; beyond that the report says that it looked at a part.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ledger.audit.clocks import format_time_us
from ledger.audit.finding import Finding
from ledger.epcis.event import Event
from ledger.errors import ParseError
from ledger.projection import ShownEvent, event_row_id, parse_shown, split_row_id

EVENTS_MAX: Final = 500_000

_ENDED: Final = frozenset({"inactive", "destroyed"})
_ENDING: Final = frozenset({"decommissioning", "destroying"})
_AGGREGATION: Final = "AggregationEvent"
_TRANSFORMATION: Final = "TransformationEvent"
Amounts = Sequence[tuple[str, str, Decimal]]


@dataclass(frozen=True, slots=True)
class _Note:
    """What one event says about moving goods; `eid` is its row id."""

    time_us: int
    eid: int
    kind: str
    things: tuple[str, ...]
    parent: str | None
    place: str | None
    begins: tuple[str, ...]
    ends: tuple[str, ...]
    made: Amounts
    used: Amounts


class PhysicalStory:
    """The notes of all events, told at the end."""

    def __init__(self, *, events_max: int = EVENTS_MAX) -> None:
        """Take note of `events_max` events at most; `left_out` counts the rest."""
        self._notes: list[_Note] = []
        self._wrong: set[str] = set()
        self._ids: dict[str, list[int]] = {}
        self._events_max = events_max
        self.left_out = 0

    def take_events(self, index: int, shown: Sequence[ShownEvent | None]) -> None:
        """Take note of the events of entry `index`; None was erased."""
        for position, one in enumerate(shown):
            if one is None or one.withheld:
                continue
            try:
                event = parse_shown(one)
            except ParseError:
                continue
            if len(self._notes) >= self._events_max:
                self.left_out += 1
                continue
            self._take(event_row_id(index, position), event)

    def finish(self) -> Iterator[Finding]:
        """Yield what cannot have been, in the order of the events' own times."""
        wrong = {eid for name in self._wrong for eid in self._ids.get(name, ())}
        notes = [note for note in self._notes if note.eid not in wrong]
        notes.sort(key=lambda note: (note.time_us, note.eid))
        yield from _follow_containment(notes)
        yield from _follow_places(notes)
        yield from _follow_lives(notes)
        yield from _follow_quantities(notes)

    def _take(self, eid: int, event: Event) -> None:
        if event.event_id is not None:
            self._ids.setdefault(event.event_id, []).append(eid)
        if event.error is not None:
            if event.event_id is not None:
                self._wrong.add(event.event_id)
            return
        self._notes.append(_note(eid, event))


def _note(eid: int, event: Event) -> _Note:
    aggregates = event.type == _AGGREGATION
    transforms = event.type == _TRANSFORMATION
    begins = event.epc_list if event.action == "ADD" and event.type == "ObjectEvent" else ()
    ends = event.input_epcs
    if (
        event.biz_step in _ENDING
        or event.disposition in _ENDED
        or (event.type == "ObjectEvent" and event.action == "DELETE")
    ):
        ends = (*ends, *event.epc_list)
    things = event.child_epcs if aggregates else event.epc_list
    amounts = [
        (q.role, (q.epc_class, q.uom or "", q.quantity))
        for q in event.quantities
        if q.quantity is not None
    ]
    is_begun = event.type == "ObjectEvent" and event.action == "ADD"
    return _Note(
        time_us=event.event_time_us,
        eid=eid,
        kind=f"{event.action} {event.type}" if aggregates else event.type,
        things=things,
        parent=event.parent_id if aggregates else None,
        place=event.read_point,
        begins=event.output_epcs if transforms else begins,
        ends=ends,
        made=[
            a for role, a in amounts if role == "output" or (is_begun and role == "quantity")
        ],
        used=[a for role, a in amounts if role == "input"],
    )


def _follow_containment(notes: Sequence[_Note]) -> Iterator[Finding]:
    inside: dict[str, str] = {}
    for note in notes:
        if note.parent is None:
            continue
        if note.kind == f"DELETE {_AGGREGATION}":
            for thing in note.things:
                held = inside.pop(thing, None)
                if held not in (None, note.parent):
                    yield _remark(
                        note,
                        "childEPCs",
                        f"{thing} in {note.parent}",
                        f"it is in {held}",
                        f"{thing} is taken out of {note.parent}, and is in something else",
                    )
            if not note.things:
                inside = {t: p for t, p in inside.items() if p != note.parent}
        elif note.kind == f"ADD {_AGGREGATION}":
            for thing in note.things:
                held = inside.get(thing)
                if held not in (None, note.parent):
                    yield _remark(
                        note,
                        "childEPCs",
                        f"{thing} in nothing",
                        f"it is in {held}",
                        f"{thing} is put into {note.parent}, and nobody took it out of {held}",
                    )
                inside[thing] = note.parent


def _follow_places(notes: Sequence[_Note]) -> Iterator[Finding]:
    seen: dict[str, tuple[int, str]] = {}
    for note in notes:
        if note.place is None:
            continue
        for thing in note.things:
            before = seen.get(thing)
            if before is not None and before[0] == note.time_us and before[1] != note.place:
                when = format_time_us(note.time_us)
                yield _remark(
                    note,
                    "readPoint",
                    before[1],
                    note.place,
                    f"{thing} is read at two places at {when}",
                )
            seen[thing] = note.time_us, note.place


def _follow_lives(notes: Sequence[_Note]) -> Iterator[Finding]:
    begun: dict[str, int] = {}
    seen: dict[str, _Note] = {}
    ended: dict[str, int] = {}
    for note in notes:
        for thing in note.begins:
            if thing in begun and begun[thing] != note.time_us:
                earlier = format_time_us(begun[thing])
                yield _remark(
                    note,
                    "epcList",
                    "begun once",
                    f"begun at {earlier}, too",
                    f"{thing} begins a second time",
                )
            elif thing in seen and thing not in begun:
                yield _remark(
                    seen[thing],
                    "epcList",
                    "nothing before it begins",
                    f"begun at {format_time_us(note.time_us)}",
                    f"{thing} is seen before it begins",
                )
            begun.setdefault(thing, note.time_us)
        for thing in note.things:
            seen.setdefault(thing, note)
            if thing in ended and ended[thing] < note.time_us:
                yield _remark(
                    note,
                    "epcList",
                    f"nothing after {format_time_us(ended[thing])}",
                    format_time_us(note.time_us),
                    f"{thing} is seen after its end",
                )
        for thing in note.ends:
            ended.setdefault(thing, note.time_us)


def _follow_quantities(notes: Sequence[_Note]) -> Iterator[Finding]:
    made: dict[tuple[str, str], Decimal] = {}
    used: dict[tuple[str, str], Decimal] = {}
    last: dict[tuple[str, str], _Note] = {}
    for note in notes:
        for lot, unit, amount in note.made:
            made[lot, unit] = made.get((lot, unit), Decimal(0)) + amount
        for lot, unit, amount in note.used:
            used[lot, unit] = used.get((lot, unit), Decimal(0)) + amount
            last[lot, unit] = note
    for (lot, unit), amount in used.items():
        there = made.get((lot, unit))
        if there is not None and amount > there:
            yield _remark(
                last[lot, unit],
                "inputQuantityList",
                f"{there} {unit or 'pieces'} at most",
                f"{amount} {unit or 'pieces'}",
                f"More of {lot} was used up than there was",
            )


def _remark(note: _Note, field: str, expected: str, computed: str, what: str) -> Finding:
    index, position = split_row_id(note.eid)
    return Finding(
        check=15,
        index=index,
        field=f"event.data (position {position}): {field}",
        expected=expected,
        computed=computed,
        what=f"{what} (event {position} of entry {index}).",
    )
