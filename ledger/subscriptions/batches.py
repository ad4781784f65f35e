"""What a subscriber is sent next: events in the order of recording, from its place on.

Subscribers that stand at the same place, as all do that are up to date, share one reading of
the new events: each event is parsed once and held against every query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import NAMESPACE_URL, uuid5

import msgspec

from ledger.epcis.event import Event
from ledger.epcis.query import Instant, Query
from ledger.epcis.query_match import matches
from ledger.epcis.query_parse import parse_query
from ledger.errors import ParseError
from ledger.store.query_reader import Found, QueryReader
from ledger.store.standing import NamedQuery, Subscription

EVENTS_PER_DELIVERY = 200
EVENTS_SHARED_MAX = 1000
"""How many new events are read at once for all who stand at the same place."""

_ALL = Query()


@dataclass(frozen=True, slots=True)
class Batch:
    """Events for one subscriber, and the place up to which it has then seen everything."""

    found: list[Found]
    reached: int


@lru_cache(maxsize=4096)
def query_of(named: NamedQuery, initial_us: int | None = None) -> Query:
    """Return what a named query asks; events recorded before `initial_us` are left out.

    Limits and order have no meaning for one who is told of every event.
    """
    query = parse_query(msgspec.json.decode(named.definition))
    conditions = query.conditions
    if initial_us is not None:
        conditions = (*conditions, Instant("recordTime", "GE", initial_us))
    return Query(conditions=conditions)


def delivery_id(subscription_id: str, place: int, reached: int) -> str:
    """Return the id of a delivery: the same at every attempt."""
    name = f"tagtrail/delivery/{subscription_id}/{place}/{reached}"
    return f"urn:uuid:{uuid5(NAMESPACE_URL, name)}"


class Batches:
    """The next batches at one moment, for many subscribers."""

    def __init__(self, reader: QueryReader, below: int) -> None:
        """Read with `reader` events below the row id `below`."""
        self._reader = reader
        self._below = below
        self._shared: dict[int, tuple[list[tuple[Found, Event]], int]] = {}

    def next_for(self, one: Subscription, query: Query, crowd: Mapping[int, int]) -> Batch:
        """Return the next batch of `one`; `crowd` counts the subscribers at each place."""
        if one.until is not None:
            return self._read(query, one.place, one.until)
        if crowd.get(one.place, 0) > 1:
            return self._share(query, one.place)
        return self._read(query, one.place, self._below)

    def _read(self, query: Query, place: int, below: int) -> Batch:
        found, reached = self._reader.load_recorded(query, place, below, EVENTS_PER_DELIVERY)
        return Batch(found, max(reached, place))

    def _share(self, query: Query, place: int) -> Batch:
        if place not in self._shared:
            found, reached = self._reader.load_recorded(
                _ALL, place, self._below, EVENTS_SHARED_MAX
            )
            self._shared[place] = _parse(found), max(reached, place)
        parsed, reached = self._shared[place]
        master = self._reader.master_records(query)
        chosen = [
            found
            for found, event in parsed
            if matches(query, event, found.record_time_us, master)
        ]
        if len(chosen) > EVENTS_PER_DELIVERY:
            return Batch(chosen[:EVENTS_PER_DELIVERY], chosen[EVENTS_PER_DELIVERY - 1].eid + 1)
        return Batch(chosen, reached)


def _parse(found: Sequence[Found]) -> list[tuple[Found, Event]]:
    parsed = []
    for one in found:
        try:
            parsed.append((one, one.event()))
        except ParseError:  # Kept in the log, no EPCIS event.
            continue
    return parsed
