"""Answers the questions of `ledger.provenance` from the index and the evidence database.

The index says which events name a key, and `index_events` what they say. One source serves
one question: it shows what the index had followed when the question came, and counts what
the question cost.

A batch is one statement whatever it asks for: keys, roles and times go to SQLite as one
JSON array. Where it would give more than `limit` events, the newest are taken, of every
key from the same instant on, and of the index no more rows are read than that takes.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ledger.projection import POSITION_BITS
from ledger.provenance.source import KnownEvent, Wanted, newest_of
from ledger.store.index import find_key_ids, role_numbers
from ledger.store.index_events import EventLoader
from ledger.store.sqlite import raw

ROWS_PER_EVENT = 4
"""How many rows an event may have in one batch before the batch is read in another way."""

_TIME_MAX = 2**62

_BETWEEN = """
SELECT mention.event_time_us, mention.eid
FROM json_each(?1) AS asked CROSS JOIN json_each(?4) AS part CROSS JOIN mention
  ON mention.key = json_extract(asked.value, '$[0]')
 AND mention.role = part.value
 AND mention.event_time_us BETWEEN json_extract(asked.value, '$[1]')
                               AND json_extract(asked.value, '$[2]')
WHERE mention.eid < ?2
LIMIT ?3
"""
# The instant of the nth mention from an end bounds the rest: no row is read to be thrown away.
_NTH = """coalesce((
  SELECT event_time_us FROM mention AS nth
  WHERE nth.key = json_extract(asked.value, '$[0]')
    AND nth.role = part.value
    AND nth.event_time_us BETWEEN json_extract(asked.value, '$[1]')
                              AND json_extract(asked.value, '$[2]')
    AND nth.eid < ?2
  ORDER BY event_time_us {order} LIMIT 1 OFFSET ?3 - 1
), json_extract(asked.value, '$[{end}]'))"""
_SOME = """
SELECT mention.event_time_us, mention.eid
FROM json_each(?1) AS asked CROSS JOIN json_each(?4) AS part CROSS JOIN mention
  ON mention.key = json_extract(asked.value, '$[0]')
 AND mention.role = part.value
 AND mention.event_time_us BETWEEN {low} AND {high}
WHERE mention.eid < ?2
"""
_NEWEST = _SOME.format(
    low=_NTH.format(order="DESC", end=1), high="json_extract(asked.value, '$[2]')"
)
_OLDEST = _SOME.format(
    low="json_extract(asked.value, '$[1]')", high=_NTH.format(order="ASC", end=2)
)
_Part = tuple[str, int, frozenset[str]]
# In the order of text a slash comes right before the digit 0.
_UNDER = "SELECT text FROM key WHERE text = ? OR (text > ? AND text < ?) ORDER BY text"


class IndexReader:
    """Lends event sources; any number of threads may ask at once."""

    def __init__(self, folder: Path) -> None:
        """Read `index.db` and `evidence.db` in `folder`, which must exist."""
        self._loader = EventLoader(folder)

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
        with raw(loader.index) as connection:
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
        with raw(self._loader.index) as connection:
            ids = find_key_ids(connection, sorted({one.key for one in wanted}))
            asked: dict[_Part, list[tuple[int, int, int]]] = {}
            for one in wanted:
                if one.key in ids:
                    asked.setdefault(_part_of(one), []).append(_span(one, ids[one.key]))
            found = self._find(connection, asked, below, limit)
        return self._load(eid for _, eid in newest_of(found, limit))

    def _find(
        self,
        connection: sqlite3.Connection,
        asked: dict[_Part, list[tuple[int, int, int]]],
        below: int,
        limit: int | None,
    ) -> set[tuple[int, int]]:
        """Return instant and row id of what is asked for, or of its newest."""
        found: set[tuple[int, int]] = set()
        for (sql, n, roles), spans in asked.items():
            most = -1 if limit is None else ROWS_PER_EVENT * (limit + 1)
            numbers = json.dumps(role_numbers(roles))
            values = (json.dumps(spans), below, n or most, numbers)
            rows = connection.execute(sql or _BETWEEN, values).fetchall()
            self.rows += len(rows)
            if not sql and limit is not None and len(rows) == most:
                values = (json.dumps(spans), below, limit + 1, numbers)
                rows = connection.execute(_NEWEST, values).fetchall()
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

    def keys_under(self, key: str) -> Sequence[str]:
        """Return `key` and the keys below it that the index knows, in order."""
        self.batches += 1
        with raw(self._loader.index) as connection:
            rows = connection.execute(_UNDER, (key, key + "/", key + "0")).fetchall()
        return [row[0] for row in rows]

    def _find_by(
        self, column: str, values: Sequence[str], before_entry: int | None
    ) -> Iterator[int]:
        self.batches += 1
        sql = (
            f"SELECT eid FROM json_each(?) AS asked CROSS JOIN event ON {column} = asked.value "  # noqa: S608 - a column of ours
            f"WHERE {column} IS NOT NULL AND eid < ?"
        )
        with raw(self._loader.index) as connection:
            rows = connection.execute(sql, (json.dumps(values), self._below(before_entry)))
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
