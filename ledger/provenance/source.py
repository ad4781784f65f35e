"""Where events come from: an index, a bundle, or a list in a test, all read the same way.

The engine asks in batches: one call per question and level, whatever the number of things
asked about, so that the number of reads grows with the depth of an answer.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.epcis.event import Event
from ledger.projection import THING_ROLES, Pin, content_hash


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """An event of the ledger with the place of its evidence; made by `known_event`."""

    pin: Pin
    event: Event
    content: bytes
    """The content hash of `ledger.projection`: equal content, equal hash."""


def known_event(pin: Pin, event: Event) -> KnownEvent:
    """Return `event` as the engine reads it."""
    return KnownEvent(pin, event, content_hash(event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Events that name `key` in one of `roles`, from `from_us` to `to_us`, both included.

    Times are eventTime in microseconds; None leaves that side open.
    """

    key: str
    roles: frozenset[str] = THING_ROLES
    from_us: int | None = None
    to_us: int | None = None


class EventSource(Protocol):
    """What the engine needs of a store of events; every call is one batch.

    `before_entry` hides the entries from that index on (None hides none), so that an
    answer can be given as it was known then. An event may be given more than once and in
    any order. Events that a source cannot show (erased) are left out.
    """

    def size(self) -> int:
        """Return the number of entries that are readable, as far as events are known."""

    def events_of(
        self, wanted: Sequence[Wanted], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events that any of `wanted` describes."""

    def events_of_transformations(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these transformationIDs."""

    def events_by_id(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these eventIDs."""
