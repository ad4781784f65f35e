"""Answers the questions of `ledger.provenance` from the index and the evidence database.

The index says which events name a key; what they say is read from the evidence, decoded
and parsed as the audit does it. One source serves one question: it shows what the index
had followed when the question came, remembers the events that it has read, so that an
event asked for twice is parsed once, and keeps nothing of an event past its erasure.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine

from ledger.errors import ParseError
from ledger.projection import POSITION_BITS, Pin, parse_shown, split_row_id
from ledger.provenance.source import KnownEvent, Wanted, known_event
from ledger.store.evidence import EvidenceReader
from ledger.store.index import INDEX_NAME, find_key_ids, role_numbers, show_event
from ledger.store.sqlite import open_reader, raw

_EIDS_ASKED_MAX = 500
_EID_MAX = 2**63 - 1
_PIN = "SELECT eid, iss, grade, record_time_us, document FROM event WHERE eid IN ({})"


class IndexReader:
    """Lends event sources; any number of threads may ask at once."""

    def __init__(self, folder: Path, evidence: EvidenceReader) -> None:
        """Read `index.db` in `folder`, which must exist, and `evidence`."""
        self._engine = open_reader(folder / INDEX_NAME)
        self._evidence = evidence

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def source(self) -> "IndexSource":
        """Return a source for one question."""
        return IndexSource(self._engine, self._evidence)


class IndexSource:
    """An `EventSource` over the index; made for one question and then thrown away."""

    def __init__(self, index: Engine, evidence: EvidenceReader) -> None:
        """Read through these two."""
        self._index = index
        self._evidence = evidence
        self._known: dict[int, KnownEvent | None] = {}
        with raw(index) as connection:
            row = connection.execute("SELECT next_idx FROM progress").fetchone()
        self._size = int(row[0])

    def size(self) -> int:
        """Return the number of entries that the index had followed at the question."""
        return self._size

    def events_of(
        self, wanted: Sequence[Wanted], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events that any of `wanted` describes, each once."""
        with raw(self._index) as connection:
            ids = find_key_ids(connection, sorted({one.key for one in wanted}))
            eids = {
                eid
                for one in wanted
                if one.key in ids
                for eid in _find_mentions(connection, ids[one.key], one)
            }
        return self._load(eids, before_entry)

    def events_of_transformations(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these transformationIDs."""
        return self._load(self._find_by("transformation_id", ids), before_entry)

    def events_by_id(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> Iterable[KnownEvent]:
        """Return the events with one of these eventIDs."""
        return self._load(self._find_by("event_id", ids), before_entry)

    def _find_by(self, column: str, values: Sequence[str]) -> set[int]:
        eids: set[int] = set()
        with raw(self._index) as connection:
            for at in range(0, len(values), _EIDS_ASKED_MAX):
                asked = values[at : at + _EIDS_ASKED_MAX]
                marks = ", ".join("?" * len(asked))
                sql = f"SELECT eid FROM event WHERE {column} IN ({marks})"  # noqa: S608 - a column of ours
                eids.update(row[0] for row in connection.execute(sql, asked))
        return eids

    def _load(self, eids: Iterable[int], before_entry: int | None) -> list[KnownEvent]:
        """Return the events in the order of the log; what was erased is left out."""
        below = self._size if before_entry is None else min(before_entry, self._size)
        limit = below << POSITION_BITS
        asked = sorted(eid for eid in eids if eid < limit)
        missing = [eid for eid in asked if eid not in self._known]
        for at in range(0, len(missing), _EIDS_ASKED_MAX):
            self._read(missing[at : at + _EIDS_ASKED_MAX])
        return [known for eid in asked if (known := self._known[eid]) is not None]

    def _read(self, eids: Sequence[int]) -> None:
        marks = ", ".join("?" * len(eids))
        with raw(self._index) as connection:
            rows = connection.execute(_PIN.format(marks), eids).fetchall()
        self._known.update(dict.fromkeys(eids))
        for eid, *pin in rows:
            self._known[eid] = self._read_one(eid, *pin)

    def _read_one(
        self, eid: int, iss: str, grade: int, record_time_us: int, document: bytes
    ) -> KnownEvent | None:
        index, position = split_row_id(eid)
        stored = self._evidence.load_event(index, position)
        shown = None if stored is None else show_event(stored)
        if shown is None:
            return None
        pin = Pin(
            index=index,
            position=position,
            commitment=shown.commitment,
            iss=iss,
            grade=grade,
            record_time_us=record_time_us,
            document=document,
            withheld=shown.withheld,
        )
        try:
            return known_event(pin, parse_shown(shown))
        except ParseError:  # Kept in the log, counted in the index, no EPCIS event.
            return None


def _find_mentions(connection: sqlite3.Connection, key: int, wanted: Wanted) -> Iterator[int]:
    roles = role_numbers(wanted.roles)
    marks = ", ".join("?" * len(roles))
    start = -_EID_MAX if wanted.from_us is None else wanted.from_us
    stop = _EID_MAX if wanted.to_us is None else wanted.to_us
    rows = connection.execute(
        f"SELECT eid FROM mention WHERE key = ? AND role IN ({marks}) "  # noqa: S608 - question marks
        "AND event_time_us BETWEEN ? AND ?",
        (key, *roles, start, stop),
    )
    yield from (row[0] for row in rows)
