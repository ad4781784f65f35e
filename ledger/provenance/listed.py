"""An event source over a list of events: what a bundle shows, or a test wrote by hand.

It answers as an index does, by the same mentions, and holds nothing but its list.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Collection, Iterable, Sequence

from ledger.admitted import GapRow, searched_site
from ledger.provenance.source import GapsWanted, KnownEvent, Wanted, newest_of


class ListedSource:
    """An `EventSource` over `events` and `gaps`, in a log of `size` entries."""

    def __init__(
        self, events: Iterable[KnownEvent], size: int, gaps: Iterable[GapRow] = ()
    ) -> None:
        """Index `events` by what they name."""
        self._size = size
        self._gaps = list(gaps)
        self._events = sorted(events, key=lambda known: known.pin.eid)
        self._named: dict[str, list[KnownEvent]] = {}
        for known in self._events:
            for key in known.roles:
                self._named.setdefault(key, []).append(known)

    def size(self) -> int:
        """Return the number of entries of the log that the events are from."""
        return self._size

    def events_of(
        self,
        wanted: Sequence[Wanted],
        *,
        before_entry: int | None = None,
        limit: int | None = None,
    ) -> Iterable[KnownEvent]:
        """Return the events that any of `wanted` describes, each once; see `EventSource`."""
        found = {
            (known.event.event_time_us, known.pin.eid): known
            for one in wanted
            for known in select_wanted(
                self._before(self._named.get(one.key, ()), before_entry), one
            )
        }
        return [found[name] for name in newest_of(found.keys(), limit)]

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

    def gaps_of(
        self,
        wanted: Sequence[GapsWanted],
        issuers: Collection[str],
        *,
        before_entry: int | None = None,
        limit: int,
    ) -> Iterable[GapRow]:
        """Return gap statements of `issuers` that any of `wanted` describes, the newest."""
        below = self._size if before_entry is None else before_entry
        known = (one for one in self._gaps if one.idx < below and one.iss in issuers)
        return select_gaps(known, wanted, limit)

    def keys_under(self, key: str) -> Sequence[str]:
        """Return `key` and the keys below it that the events name, in order."""
        return sorted(one for one in self._named if one == key or one.startswith(key + "/"))

    def _before(
        self, events: Iterable[KnownEvent], before_entry: int | None
    ) -> list[KnownEvent]:
        limit = self._size if before_entry is None else before_entry
        return [known for known in events if known.pin.index < limit]


def select_wanted(events: Iterable[KnownEvent], wanted: Wanted) -> set[KnownEvent]:
    """Return those of `events` that `wanted` describes."""
    found: set[KnownEvent] = set()
    within = [known for known in events if _is_within(known, wanted)]
    for role in wanted.roles:
        times = sorted(
            known.event.event_time_us for known in within if role in known.roles[wanted.key]
        )
        first = times[-wanted.newest] if wanted.newest and wanted.newest < len(times) else None
        last = (
            times[wanted.oldest - 1] if wanted.oldest and wanted.oldest < len(times) else None
        )
        found.update(
            known
            for known in within
            if role in known.roles[wanted.key]
            and (first is None or first <= known.event.event_time_us)
            and (last is None or known.event.event_time_us <= last)
        )
    return found


def select_gaps(
    gaps: Iterable[GapRow], wanted: Sequence[GapsWanted], limit: int
) -> list[GapRow]:
    """Return those of `gaps` that any of `wanted` describes, the newest `limit`."""
    spans: dict[str, list[GapsWanted]] = {}
    for one in wanted:
        spans.setdefault(searched_site(one.site), []).append(one)
    found = {
        row.idx: row
        for row in gaps
        if any(
            row.from_us <= one.to_us and one.from_us <= row.to_us
            for one in spans.get(row.site, ())
        )
    }
    return [found[idx] for idx in sorted(found, reverse=True)[:limit]]


def _is_within(known: KnownEvent, wanted: Wanted) -> bool:
    if wanted.key not in known.roles:
        return False
    time_us = known.event.event_time_us
    after = wanted.from_us is None or wanted.from_us <= time_us
    return after and (wanted.to_us is None or time_us <= wanted.to_us)
