"""Answers the questions of `ledger.provenance` from the index and the evidence database.

The index says which events name a key, and `index_events` what they say. One source serves
one question: it shows what the index had followed when the question came, and counts what
the question cost.

A batch is one statement whatever it asks for: keys, roles and times go to the database as
one array. Where it would give more than `limit` events, the newest are taken, of every
key from the same instant on, and of the index no more rows are read than that takes.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from ledger.admitted import SCALES, GapRow, longest_of, searched_site
from ledger.indexed import indexed_text
from ledger.projection import POSITION_BITS
from ledger.provenance.source import GapsWanted, KnownEvent, Wanted, newest_of
from ledger.store.database import Where
from ledger.store.dialect import LIMIT_NONE, Connection, Database
from ledger.store.index import find_key_ids, role_numbers
from ledger.store.index_events import EventLoader

ROWS_PER_EVENT = 4
"""How many rows an event may have in one batch before the batch is read in another way."""

_TIME_MAX = 2**62

_BETWEEN = """
SELECT mention.event_time_us, mention.eid
FROM {asked} CROSS JOIN mention
WHERE mention.key = asked.key AND mention.role = asked.role
  AND mention.event_time_us BETWEEN asked.low AND asked.high AND mention.eid < ?2
LIMIT ?3
"""
# The instant of the nth mention from an end bounds the rest: no row is read to be thrown away.
_NTH = """coalesce((
  SELECT event_time_us FROM mention AS nth
  WHERE nth.key = asked.key AND nth.role = asked.role
    AND nth.event_time_us BETWEEN asked.low AND asked.high AND nth.eid < ?2
  ORDER BY event_time_us {order} LIMIT 1 OFFSET ?3 - 1
), asked.{end})"""
_SOME = """
SELECT mention.event_time_us, mention.eid
FROM {{asked}} CROSS JOIN mention
WHERE mention.key = asked.key AND mention.role = asked.role
  AND mention.event_time_us BETWEEN {low} AND {high} AND mention.eid < ?2
"""
_NEWEST = _SOME.format(low=_NTH.format(order="DESC", end="low"), high="asked.high")
_OLDEST = _SOME.format(low="asked.low", high=_NTH.format(order="ASC", end="high"))
_GAPS = """
SELECT DISTINCT gap.idx
FROM {asked} CROSS JOIN gap
WHERE gap.iss = ?4 AND gap.site = asked.site AND gap.scale = asked.scale
  AND gap.from_us BETWEEN asked.earliest AND asked.high AND gap.to_us >= asked.low
  AND gap.idx < ?2
ORDER BY gap.idx DESC LIMIT ?3
"""
_GAP_COLUMNS = ", ".join(f"gap.{name}" for name in GapRow.__slots__)
_GAP_ROWS = f"SELECT {_GAP_COLUMNS} FROM {{asked}} CROSS JOIN gap WHERE gap.idx = asked.idx"  # noqa: S608 - names of ours
_Part = tuple[str, int, frozenset[str]]
# In the order of text a slash comes right before the digit 0.
_UNDER = "SELECT text FROM key WHERE text = ? OR (text > ? AND text < ?) ORDER BY text"


class IndexReader:
    """Lends event sources; any number of threads may ask at once."""

    def __init__(self, where: Where) -> None:
        """Read index and evidence of the ledger at `where`, which must exist."""
        self._loader = EventLoader(where)

    def close(self) -> None:
        """Close every connection."""
        self._loader.close()

    def source(self) -> "IndexSource":
        """Return a source for one question."""
        return IndexSource(self._loader)

    def forget(self, eids: Iterable[int]) -> None:
        """Keep nothing of these events in memory any more: they are erased."""
        self._loader.cache.forget(eids)


class IndexSource:
    """An `EventSource` over the index; made for one question and then thrown away."""

    def __init__(self, loader: EventLoader) -> None:
        """Read through `loader`."""
        self._loader = loader
        self._known: dict[int, KnownEvent | None] = {}
        self.batches = 0
        self.rows = 0
        with loader.index.lend() as connection:
            row = connection.execute("SELECT next_idx FROM progress").fetchone()
        self._size = int(row[0])

    def size(self) -> int:
        """Return the number of entries that the index had followed at the question."""
        return self._size

    def events_of(
        self,
        wanted: Sequence[Wanted],
        *,
        before_entry: int | None = None,
        limit: int | None = None,
    ) -> Iterable[KnownEvent]:
        """Return the events that any of `wanted` describes, each once; see `EventSource`."""
        self.batches += 1
        below = self._below(before_entry)
        index = self._loader.index
        with index.lend() as connection:
            ids = find_key_ids(index, connection, sorted({one.key for one in wanted}))
            asked: dict[_Part, list[tuple[int, int, int]]] = {}
            for one in wanted:
                if one.key in ids:
                    asked.setdefault(_part_of(one), []).append(_span(one, ids[one.key]))
            found = self._find(index, connection, asked, below, limit)
        return self._load(eid for _, eid in newest_of(found, limit))

    def _find(
        self,
        index: Database,
        connection: Connection,
        asked: dict[_Part, list[tuple[int, int, int]]],
        below: int,
        limit: int | None,
    ) -> set[tuple[int, int]]:
        """Return instant and row id of what is asked for, or of its newest."""
        found: set[tuple[int, int]] = set()
        table = index.given("?1", key=int, low=int, high=int, role=int)
        for (sql, n, roles), spans in asked.items():
            most = LIMIT_NONE if limit is None else ROWS_PER_EVENT * (limit + 1)
            each = [(*span, role) for span in spans for role in role_numbers(roles)]
            packed = index.pack(each)
            text = (sql or _BETWEEN).format(asked=table)
            rows = connection.execute(text, (packed, below, n or most)).fetchall()
            self.rows += len(rows)
            if not sql and limit is not None and len(rows) == most:
                text = _NEWEST.format(asked=table)
                rows = connection.execute(text, (packed, below, limit + 1)).fetchall()
                self.rows += len(rows)
            found.update(rows)
        return found

    def events_of_transformations(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these transformationIDs."""
        return self._load(self._find_by("transformation_id", ids, before_entry))

    def events_by_id(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these eventIDs."""
        return self._load(self._find_by("event_id", ids, before_entry))

    def gaps_of(
        self,
        wanted: Sequence[GapsWanted],
        issuers: Collection[str],
        *,
        before_entry: int | None = None,
        limit: int,
    ) -> Iterable[GapRow]:
        """Return gap statements of `issuers` that any of `wanted` describes, the newest."""
        self.batches += 1
        index = self._loader.index
        spans = [
            (
                searched_site(one.site),
                scale,
                one.from_us - longest_of(scale),
                one.from_us,
                one.to_us,
            )
            for one in wanted
            for scale in SCALES
        ]
        table = index.given("?1", site=str, scale=int, earliest=int, low=int, high=int)
        below = self._size if before_entry is None else min(before_entry, self._size)
        with index.lend() as connection:
            text, packed = _GAPS.format(asked=table), index.pack(spans)
            found = [
                row[0]
                for iss in issuers
                for row in connection.execute(text, (packed, below, limit, iss)).fetchall()
            ]
            newest = sorted(found, reverse=True)[:limit]
            text = _GAP_ROWS.format(asked=index.given("?1", idx=int))
            rows = connection.execute(text, (index.pack(newest),)).fetchall()
        self.rows += len(rows)
        return [GapRow(**dict(zip(GapRow.__slots__, row, strict=True))) for row in rows]

    def keys_under(self, key: str) -> Sequence[str]:
        """Return `key` and the keys below it that the index knows, in order."""
        self.batches += 1
        with self._loader.index.lend() as connection:
            rows = connection.execute(_UNDER, (key, key + "/", key + "0")).fetchall()
        return [row[0] for row in rows]

    def _find_by(
        self, column: str, values: Sequence[str], before_entry: int | None
    ) -> Iterator[int]:
        self.batches += 1
        index = self._loader.index
        sql = (
            f"SELECT eid FROM {index.given('?1', wanted=str)} CROSS JOIN event "  # noqa: S608 - a column of ours
            f"WHERE {column} = asked.wanted AND {column} IS NOT NULL AND eid < ?2"
        )
        with index.lend() as connection:
            texts = index.pack([indexed_text(value) for value in values])
            rows = connection.execute(sql, (texts, self._below(before_entry)))
            yield from (row[0] for row in rows.fetchall())

    def _below(self, before_entry: int | None) -> int:
        below = self._size if before_entry is None else min(before_entry, self._size)
        return below << POSITION_BITS

    def _load(self, eids: Iterable[int]) -> list[KnownEvent]:
        """Return the events in the order of the log; what was erased is left out."""
        asked = sorted(set(eids))
        missing = [eid for eid in asked if eid not in self._known]
        if missing:
            self._known.update(dict.fromkeys(missing))
            self._known.update(self._loader.load(missing))
        return [known for eid in asked if (known := self._known[eid]) is not None]


def _part_of(wanted: Wanted) -> _Part:
    """Return the statement that finds what is wanted of a history, how many, and the roles."""
    if wanted.newest is not None:
        return _NEWEST, wanted.newest, wanted.roles
    return (
        ("", 0, wanted.roles)
        if wanted.oldest is None
        else (_OLDEST, wanted.oldest, wanted.roles)
    )


def _span(wanted: Wanted, key: int) -> tuple[int, int, int]:
    """Return key, first and last instant."""
    low = -_TIME_MAX if wanted.from_us is None else wanted.from_us
    return key, low, _TIME_MAX if wanted.to_us is None else wanted.to_us
