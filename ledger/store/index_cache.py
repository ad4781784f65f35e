"""Keeps events that were read and parsed, so that the next question finds them ready.

Evidence never changes, so a kept event is what a new reading would give, until it is
erased: whoever asks must first find out which events still have their data, and forget
the others (`IndexSource` does so at each read, whoever erased them).

Bounded by the stored bytes of what is kept, the least recently asked for leave first.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from ledger.provenance.source import KnownEvent

KEPT_BYTES_MAX = 8 << 20
"""Stored bytes of all kept events; parsed they take about ten times as much memory."""

EVENT_BYTES_MAX = 256 << 10
"""A larger event is not kept: it would drive out hundreds of others."""


class EventCache:
    """Parsed events by row id; any number of threads may use it at once."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        """Keep events of at most `bytes_max` stored bytes in all."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[int, tuple[KnownEvent, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many events are kept."""
        return len(self._kept)

    def find(self, eids: Iterable[int]) -> dict[int, KnownEvent]:
        """Return those of `eids` that are kept."""
        found: dict[int, KnownEvent] = {}
        with self._lock:
            for eid in eids:
                kept = self._kept.get(eid)
                if kept is not None:
                    self._kept.move_to_end(eid)
                    found[eid] = kept[0]
        return found

    def keep(self, events: Sequence[tuple[KnownEvent, int]]) -> None:
        """Keep events, each with the number of bytes in which it is stored."""
        with self._lock:
            for known, size in events:
                if size > EVENT_BYTES_MAX or known.pin.eid in self._kept:
                    continue
                self._kept[known.pin.eid] = (known, size)
                self._bytes += size
            while self._bytes > self._bytes_max:
                _, (_, size) = self._kept.popitem(last=False)
                self._bytes -= size

    def forget(self, eids: Iterable[int]) -> None:
        """Keep nothing of these events any more."""
        with self._lock:
            for eid in eids:
                kept = self._kept.pop(eid, None)
                if kept is not None:
                    self._bytes -= kept[1]
