"""Tells an event that is captured already from a new one, and from another of the same name.

An event is known by its eventID, an error declaration by that and its time of declaration.
The same event again (equal CBV hash, which leaves out eventID, recordTime and errorDeclaration)
is known and not captured twice; another event under a taken eventID is a fault.

The index tells what is captured, but follows the log a moment later; what it does not show
yet is remembered here. Not seen is what other keys log in that moment: what they say is their
own evidence anyway.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger.epcis.event import Event
from ledger.epcis.event_hash import hash_event
from ledger.epcis.received import ReceivedEvent
from ledger.epcis.rules import Fault
from ledger.store.index_source import IndexReader

_Name = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class _Recent:
    """An event of which the index may not know yet; `index` None: not logged yet."""

    raw: Mapping[str, object]
    index: int | None


def name_of(event: Event) -> _Name:
    """Return what an event is known by."""
    assert event.event_id is not None
    return event.event_id, event.error.declaration_time_us if event.error else None


class KnownEvents:
    """What is captured already; for the one thread that captures."""

    def __init__(self, index: IndexReader) -> None:
        """Ask `index`."""
        self._index = index
        self._recent: dict[_Name, _Recent] = {}

    def sort_out(
        self, received: Sequence[ReceivedEvent]
    ) -> tuple[list[ReceivedEvent], int, list[Fault]]:
        """Return which of `received` are new, how many are known, and the conflicts."""
        stored = self._load({str(one.raw["eventID"]) for one in received})
        new: dict[_Name, ReceivedEvent] = {}
        known, faults = 0, []
        for one in received:
            assert one.event is not None
            name = name_of(one.event)
            twin = new.get(name)
            other = twin.raw if twin else stored.get(name)
            if other is None:
                new[name] = one
            elif hash_event(other) == hash_event(one.raw):
                known += 1
            else:
                why = f"{name[0][:100]!r} is the name of another event already"
                mend = "give this event a name of its own, or leave eventID out"
                faults.append(Fault(f"{one.pointer}/eventID", why, mend))
        return list(new.values()), known, faults

    def remember(self, events: Iterable[ReceivedEvent]) -> None:
        """Count `events` as captured: they are on their way."""
        for one in events:
            assert one.event is not None
            self._recent[name_of(one.event)] = _Recent(one.raw, None)

    def settle(self, events: Iterable[ReceivedEvent], index: int | None) -> None:
        """Note the entry that `events` are in, or that (None) they are in none."""
        for one in events:
            assert one.event is not None
            name = name_of(one.event)
            if index is None:
                self._recent.pop(name, None)
            else:
                self._recent[name] = _Recent(one.raw, index)

    def _load(self, ids: set[str]) -> dict[_Name, Mapping[str, object]]:
        source = self._index.source()
        shown = source.size()
        self._recent = {
            name: one
            for name, one in self._recent.items()
            if one.index is None or one.index >= shown
        }
        found: dict[_Name, Mapping[str, object]] = {
            name_of(one.event): one.event.raw for one in source.events_by_id(sorted(ids))
        }
        found.update((name, one.raw) for name, one in self._recent.items() if name[0] in ids)
        return found
