"""Answers event queries from the index and the evidence, a page at a time.

The first page fixes the size of the index; later pages of the same walk see no event that came
after it, so that pages are stable while events arrive. What was erased meanwhile is left out
of every page and count. A page that would have to read more than `EVENTS_READ_MAX` events
ends early, with the place where the next one goes on.

An event is returned as the bytes of its parts; it is parsed only where the index alone
cannot tell whether it matches (`query_plan`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ledger.disclosure import decode_event, shown_parts, withheld
from ledger.epcis.event import Event, join_parts, parse_event
from ledger.epcis.query import (
    NO_MASTER_RECORDS,
    EqualAttribute,
    FieldName,
    HasAttribute,
    Instant,
    MasterRecords,
    Query,
    QueryTooLargeError,
    Within,
)
from ledger.epcis.query_fields import comparable, values_of
from ledger.epcis.query_match import matches
from ledger.errors import ParseError
from ledger.store.database import EVIDENCE, INDEX, Where, open_reader
from ledger.store.dialect import Connection
from ledger.store.index import find_key_ids
from ledger.store.master_records import MasterReader
from ledger.store.query_plan import OrderKey, Plan, is_in, make_plan
from ledger.store.query_sql import Walk, below_entry, keys_of, write_page

EVENTS_READ_MAX = 20_000
"""How many events one page may read and parse before it ends early."""

CANDIDATES_MAX = 400_000
"""How many rows of the index one page may look at."""

EVENTS_SORTED_MAX = 20_000
"""How many events may be put in the order of an extension field."""

_BATCH_MIN, _BATCH_MAX = 64, 8192
_ASSOCIATION = "AssociationEvent"


@dataclass(frozen=True, slots=True)
class Found:
    """One event of an answer: where it stands, and the bytes of its parts."""

    eid: int
    event_time_us: int
    record_time_us: int
    parts: tuple[bytes | None, ...]
    partial: bool
    """Whether a part is withheld."""

    def event(self) -> Event:
        """Return the event, parsed; `ParseError` where it is none."""
        return parse_event(join_parts(self.parts), partial=self.partial)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next page begins: see `Walk`; `taken` events were given before."""

    below: int
    after: tuple[int, int]
    taken: int


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the order of the query; `position` is None on the last page."""

    events: list[Found]
    position: Position | None


class QueryReader:
    """Reads answers; any number of threads may ask at once."""

    def __init__(self, where: Where) -> None:
        """Read index and evidence of the ledger at `where`; raise `StorageError` without."""
        self.index = open_reader(where, INDEX)
        self.evidence = open_reader(where, EVIDENCE)
        self._master = MasterReader(self.index, self.evidence)

    def close(self) -> None:
        """Close every connection."""
        self.index.close()
        self.evidence.close()

    def size(self) -> int:
        """Return the number of entries that the index has followed."""
        with self.index.lend() as connection:
            row = connection.execute("SELECT next_idx FROM progress").fetchone()
        return int(row[0])

    def master_records(self, query: Query) -> MasterRecords:
        """Return what captured documents say, where `query` asks about it."""
        asks = (Within, HasAttribute, EqualAttribute)
        if any(isinstance(one, asks) for one in query.conditions):
            return self._master.load()
        return NO_MASTER_RECORDS

    def load_page(self, query: Query, per_page: int, position: Position | None = None) -> Page:
        """Return at most `per_page` events from `position` on.

        Raises `QueryTooLargeError` where more match than `maxEventCount` or can be sorted.
        """
        if position is None and query.max_event_count is not None:
            self._refuse_more_than(query, query.max_event_count)
        taken = position.taken if position else 0
        want = per_page
        if query.event_count_limit is not None:
            want = min(want, query.event_count_limit - taken)
        if want <= 0:
            return Page([], None)
        if isinstance(query.order_by, FieldName):
            return self._sorted_page(query, query.order_by, want, position)
        return self._page(query, want, position)

    def load_recorded(
        self, query: Query, floor: int, below: int, limit: int
    ) -> tuple[list[Found], int]:
        """Return the first events from row id `floor` to `below` in the order of recording.

        With them comes the row id up to which everything was looked at.
        """
        walk = Walk(order="recordTime", direction="ASC", below=below, floor=floor)
        search = _Search(self, replace(query, order_by="recordTime", direction="ASC"), walk)
        found = list(search.take(limit + 1))
        if len(found) > limit:
            return found[:limit], found[limit - 1].eid + 1
        return found, below if search.ended else (search.last or (0, floor - 1))[1] + 1

    def find_recorded(self, us: int) -> int:
        """Return the first row id of an event recorded at `us` or later."""
        below = below_entry(self.size())
        with self.index.lend() as connection:
            return _first_recorded(connection, us, below)

    def _page(self, query: Query, want: int, position: Position | None) -> Page:
        walk = self._walk(query, position)
        search = _Search(self, query, walk)
        found = list(search.take(want + 1))
        taken = (position.taken if position else 0) + min(len(found), want)
        if len(found) > want:
            found = found[:want]
            last = (found[-1].event_time_us, found[-1].eid)
        elif search.ended or search.last is None:
            return Page(found, None)
        else:
            last = search.last
        if query.event_count_limit is not None and taken >= query.event_count_limit:
            return Page(found, None)
        return Page(found, Position(walk.below, last, taken))

    def _sorted_page(
        self, query: Query, field: FieldName, want: int, position: Position | None
    ) -> Page:
        """Return a page in the order of an extension field; what lacks it comes last."""
        walk = self._walk(query, position)
        search = _Search(self, query, walk, bounded=False)
        found = list(search.take(EVENTS_SORTED_MAX + 1))
        if len(found) > EVENTS_SORTED_MAX:
            why = f"over {EVENTS_SORTED_MAX} events are too many to sort by {field.spelled}"
            raise QueryTooLargeError(why)
        found = sort_by_field(found, field, descending=query.direction == "DESC")
        start = 0
        if position is not None:
            places = {one.eid: n for n, one in enumerate(found)}
            # Where the last event of the page before was erased, all after it moved up.
            start = places.get(position.after[1], position.taken - 2) + 1
        page = found[start : start + want]
        taken = (position.taken if position else 0) + len(page)
        limit = query.event_count_limit
        if start + want >= len(found) or not page or (limit is not None and taken >= limit):
            return Page(page, None)
        return Page(page, Position(walk.below, (0, page[-1].eid), taken))

    def _refuse_more_than(self, query: Query, most: int) -> None:
        counted = 0
        walk = self._walk(replace(query, order_by="eventTime"), None)
        for _ in _Search(self, query, walk, bounded=False).take(most + 1):
            counted += 1
        if counted > most:
            raise QueryTooLargeError(f"more than {most} events match, as maxEventCount says")

    def _walk(self, query: Query, position: Position | None) -> Walk:
        below = position.below if position else below_entry(self.size())
        order: OrderKey = "recordTime" if query.order_by == "recordTime" else "eventTime"
        after = position.after if position and isinstance(query.order_by, str | None) else None
        return Walk(order=order, direction=query.direction, below=below, after=after)


class _Search:
    """One walk over the candidates of a query."""

    def __init__(
        self, reader: QueryReader, query: Query, walk: Walk, *, bounded: bool = True
    ) -> None:
        self._reader = reader
        self._query = query
        self._master = reader.master_records(query)
        self._plan: Plan = make_plan(query, self._master)
        self._read_max = EVENTS_READ_MAX if bounded else 2**62
        self._candidates_max = CANDIDATES_MAX if bounded else 2**62
        self._walk = walk
        self.last = walk.after
        self.ended = False

    def take(self, count: int) -> Iterator[Found]:
        """Yield up to `count` events; `ended` then says whether there cannot be more."""
        with self._reader.index.lend() as connection:
            self._bound_by_times(connection)
            keys = keys_of(self._plan)
            ids = find_key_ids(self._reader.index, connection, keys) if keys else {}
        given = read = looked = 0
        size = min(max(count, 1), _BATCH_MAX)
        while True:
            rows = self._candidates(ids, size)
            looked += len(rows)
            passing = [row for row in rows if row[4]]
            if not self._plan.exact:
                read += len(passing)
            for found in self._load(passing):
                yield found
                given += 1
                if given >= count:
                    return
            if len(rows) < size:
                self.ended = True
                return
            self.last = (rows[-1][1], rows[-1][0])
            self._walk = replace(self._walk, after=self.last)
            if read >= self._read_max or looked >= self._candidates_max:
                return
            size = min(max(2 * size, _BATCH_MIN), _BATCH_MAX)

    def _bound_by_times(self, connection: Connection) -> None:
        """Let the conditions on eventTime and recordTime bound the walk."""
        floor, below = self._walk.floor, self._walk.below
        since, until = self._walk.since_us, self._walk.until_us
        for one in self._query.conditions:
            match one:
                case Instant("eventTime", "GE", us):
                    since = us if since is None else max(since, us)
                case Instant("eventTime", "LT", us):
                    until = us if until is None else min(until, us)
                case Instant("recordTime", "GE", us):
                    floor = max(floor, _first_recorded(connection, us, below))
                case Instant("recordTime", "LT", us):
                    below = min(below, _first_recorded(connection, us, below))
                case _:
                    pass
        self._walk = replace(
            self._walk, floor=floor, below=below, since_us=since, until_us=until
        )

    def _candidates(self, ids: dict[str, int], limit: int) -> list[tuple[int, ...]]:
        sql = write_page(self._plan, self._walk, ids, limit)
        if sql is None:
            return []
        with self._reader.index.lend() as connection:
            return connection.execute(sql.text, sql.values).fetchall()

    def _load(self, rows: Sequence[tuple[int, ...]]) -> Iterator[Found]:
        """Yield those of `rows` that are kept and match, in their order."""
        if not rows:
            return
        one_of = is_in("eid", [row[0] for row in rows])
        with self._reader.evidence.lend() as connection:
            stored = dict(
                connection.execute(
                    f"SELECT eid, data FROM event WHERE {one_of.text} AND data IS NOT NULL",  # noqa: S608 - question marks alone
                    one_of.values,
                ).fetchall()
            )
        for eid, event_time_us, record_time_us, kind, _ in rows:
            data = stored.get(eid)
            if data is None:
                continue
            event = decode_event(data)
            found = Found(
                eid, event_time_us, record_time_us, shown_parts(event), bool(withheld(event))
            )
            if self._matches(found, kind):
                yield found

    def _matches(self, found: Found, kind: object) -> bool:
        plan = self._plan
        if plan.exact and not (plan.exact_but_associations and kind == _ASSOCIATION):
            return True
        try:
            event = found.event()
        except ParseError:
            return False
        return matches(self._query, event, found.record_time_us, self._master)


def _first_recorded(connection: Connection, us: int, below: int) -> int:
    """Return the first row id of an event recorded at `us` or later; `below` if there is none.

    Entries are recorded in their order, so that halving finds it.
    """
    low, high = 0, below
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT eid, record_time_us FROM event WHERE eid >= ? ORDER BY eid LIMIT 1",
            (middle,),
        ).fetchone()
        if row is None or row[0] >= high or row[1] >= us:
            high = middle
        else:
            low = row[0] + 1
    return low


def sort_by_field(found: list[Found], field: FieldName, *, descending: bool) -> list[Found]:
    """Return `found` in the order of a field: numbers, times, texts, then the rest."""
    valued: list[tuple[tuple[int, object], Found]] = []
    rest: list[Found] = []
    for one in sorted(found, key=lambda each: each.eid, reverse=descending):
        value = _sort_value(one, field)
        if value is None:
            rest.append(one)
        else:
            valued.append((value, one))
    valued.sort(key=lambda pair: pair[0], reverse=descending)
    return [one for _, one in valued] + rest


def _sort_value(found: Found, field: FieldName) -> tuple[int, object] | None:
    try:
        event = found.event()
    except ParseError:
        return None
    for value in values_of(event, "event", field, inner=False):
        known = comparable(value)
        if known is not None:
            kinds = ("number", "time", "text")
            text = known[1].encode() if isinstance(known[1], str) else known[1]
            return kinds.index(known[0]), text
    return None
