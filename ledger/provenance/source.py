"""Where events come from: an index, a bundle, or a list in a test, all read the same way.

The engine asks in batches: one call per question and level, whatever the number of things
asked about, so that the number of reads grows with the depth of an answer.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.admitted import GapRow
from ledger.epcis.event import Event
from ledger.projection import THING_ROLES, Pin, content_hash, mentions_of
from ledger.provenance.readings import Reading, readings_of


@dataclass(frozen=True, slots=True, eq=False)
class KnownEvent:
    """An event of the ledger with the place of its evidence; made by `known_event`.

    What many questions ask of an event is worked out once, so that a source may keep it.
    """

    pin: Pin
    event: Event
    content: bytes
    """The content hash of `ledger.projection`: equal content, equal hash."""
    roles: Mapping[str, frozenset[str]]
    """The roles in which the event names each key."""
    readings: tuple[Reading, ...]


INSTANT_EVENTS_MAX = 5_000
"""How many events of one instant may be read past a limit; more of one key is no history."""

_ROLE_SETS: dict[frozenset[str], frozenset[str]] = {}
"""One object for each set of roles that occurs: there are few, and events are many."""


def known_event(pin: Pin, event: Event, content: bytes | None = None) -> KnownEvent:
    """Return `event` as the engine reads it; `content` is its hash where it is known."""
    named: dict[str, set[str]] = {}
    for key, role in mentions_of(event):
        named.setdefault(key, set()).add(role)
    roles = {key: _one_object(frozenset(those)) for key, those in named.items()}
    content = content_hash(event) if content is None else content
    return KnownEvent(pin, event, content, roles, readings_of(event))


def _one_object(roles: frozenset[str]) -> frozenset[str]:
    return _ROLE_SETS.setdefault(roles, roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Events that name `key` in one of `roles`, from `from_us` to `to_us`, both included.

    Times are eventTime in microseconds; None leaves that side open. `newest` (or `oldest`)
    wants so many of each role only, from that end, and all of the last instant of these.
    """

    key: str
    roles: frozenset[str] = THING_ROLES
    from_us: int | None = None
    to_us: int | None = None
    newest: int | None = None
    oldest: int | None = None


@dataclass(frozen=True, slots=True)
class GapsWanted:
    """Gap statements about `site` that meet the time from `from_us` to `to_us`, inclusively."""

    site: str
    from_us: int
    to_us: int


class EventSource(Protocol):
    """What the engine needs of a store of events; every call is one batch.

    `before_entry` hides the entries from that index on (None hides none), so that an
    answer can be given as it was known then. An event may be given more than once and in
    any order. Events that a source cannot show (erased) are left out.
    """

    def size(self) -> int:
        """Return the number of entries that are readable, as far as events are known."""

    def events_of(
        self,
        wanted: Sequence[Wanted],
        *,
        before_entry: int | None = None,
        limit: int | None = None,
    ) -> Iterable[KnownEvent]:
        """Return the events that any of `wanted` describes.

        Where there are more than `limit`, the newest are returned (`newest_of`): more than
        `limit`, so that the caller sees it, and of the oldest instant among them all.
        """

    def events_of_transformations(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these transformationIDs."""

    def events_by_id(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these eventIDs."""

    def gaps_of(
        self,
        wanted: Sequence[GapsWanted],
        issuers: Collection[str],
        *,
        before_entry: int | None = None,
        limit: int,
    ) -> Iterable[GapRow]:
        """Return gap statements of `issuers` that any of `wanted` describes, the newest."""

    def keys_under(self, key: str) -> Sequence[str]:
        """Return `key` and the keys that start with it and a slash, as far as events name any.

        Of a site (414) these are its places (254), in order.
        """


def newest_of(found: Collection[tuple[int, int]], limit: int | None) -> list[tuple[int, int]]:
    """Return the newest of (instant, row id): more than `limit`, where there are so many.

    An instant is whole or not there at all, so that no event is told without what
    retracts it, and whoever asks for the time before misses nothing. Of one instant no more
    than `INSTANT_EVENTS_MAX` are returned past the limit.
    """
    if limit is None or len(found) <= limit:
        return list(found)
    newest = sorted(found, reverse=True)
    since = newest[limit][0]
    whole = [one for one in newest if one[0] >= since]
    return whole[: limit + INSTANT_EVENTS_MAX]
