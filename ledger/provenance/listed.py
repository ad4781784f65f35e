"""An event source over a list of events: what a bundle shows, or a test wrote by hand.

It answers as an index does, by the same mentions, and holds nothing but its list.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence

from ledger.projection import mentions_of
from ledger.provenance.source import KnownEvent, Wanted


class ListedSource:
    """An `EventSource` over `events`, in a log of `size` entries."""

    def __init__(self, events: Iterable[KnownEvent], size: int) -> None:
        """Index `events` by what they name."""
        self._size = size
        self._events = sorted(events, key=lambda known: known.pin.eid)
        self._named: dict[tuple[str, str], list[KnownEvent]] = {}
        for known in self._events:
            for mention in set(mentions_of(known.event)):
                self._named.setdefault(mention, []).append(known)

    def size(self) -> int:
        """Return the number of entries of the log that the events are from."""
        return self._size

    def events_of(
        self, wanted: Sequence[Wanted], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events that any of `wanted` describes, each once."""
        found = {
            known.pin.eid: known
            for one in wanted
            for role in one.roles
            for known in self._named.get((one.key, role), ())
            if _is_within(known, one)
        }
        return self._before(found.values(), before_entry)

    def events_of_transformations(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these transformationIDs."""
        found = (known for known in self._events if known.event.transformation_id in ids)
        return self._before(found, before_entry)

    def events_by_id(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these eventIDs."""
        found = (known for known in self._events if known.event.event_id in ids)
        return self._before(found, before_entry)

    def _before(
        self, events: Iterable[KnownEvent], before_entry: int | None
    ) -> list[KnownEvent]:
        limit = self._size if before_entry is None else before_entry
        return [known for known in events if known.pin.index < limit]


def _is_within(known: KnownEvent, wanted: Wanted) -> bool:
    time_us = known.event.event_time_us
    after = wanted.from_us is None or wanted.from_us <= time_us
    return after and (wanted.to_us is None or time_us <= wanted.to_us)
