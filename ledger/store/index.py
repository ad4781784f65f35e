"""The index: which events name which key; follows the log, and can be thrown away.

Every row comes out of `ledger.projection`, which an audit uses too, so that a rebuild and
a comparison show any wrong row. The index holds no evidence: what an answer shows is read
from the evidence database. A lost, foreign or older `index.db` is made again from entry 0.

When the log gives notice that an event is erased, its statement is projected again from what
is still there, and keys that nothing names any more are forgotten.

What survives a crash here: whole runs of entries, each with the progress it made, because
both are in one transaction. A crash of the machine may lose the newest runs; they are
projected again.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

from ledger.disclosure import decode_event, shown_parts, withheld
from ledger.entry import parse_entry
from ledger.projection import (
    POSITION_BITS,
    ROLES,
    CaptureHead,
    EventRow,
    MentionRow,
    Rows,
    ShownEvent,
    project_capture,
)
from ledger.statement import Capture, Erasure, parse_statement
from ledger.store.evidence import EvidenceReader, StoredEvent
from ledger.store.schema import create_index_tables
from ledger.store.sqlite import (
    StorageError,
    create_database,
    open_writer,
    raw,
    transaction,
)

INDEX_NAME = "index.db"
# Grows with every change of the tables or of the projection; another number is rebuilt.
INDEX_VERSION = 3
ENTRIES_RUN_MAX = 256
EVENTS_RUN_MAX = 8192
KEYS_CACHED_MAX = 200_000
_KEYS_ASKED_MAX = 500

_ERASURE = b"tagtrail/erasure/v1"
_ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES)}
_EVENT_COLUMNS = ", ".join(EventRow.__slots__)
_EVENT_MARKS = ", ".join("?" * len(EventRow.__slots__))
_OF_EMPTIED = f"eid >> {POSITION_BITS} IN (SELECT idx FROM emptied)"  # noqa: S608 - a number of ours
_FORGET_KEY = (
    "DELETE FROM key WHERE id = ? "
    "AND NOT EXISTS (SELECT 1 FROM mention WHERE mention.key = key.id)"
)


def open_index(folder: Path, evidence: EvidenceReader) -> "Index":
    """Open the index of the ledger in `folder`; make a new one where it cannot be used."""
    path = folder / INDEX_NAME
    if path.exists() and not _is_usable(path, evidence):
        _remove(path)
    if not path.exists():
        create_database(path, create_index_tables)
        engine = open_writer(path, durable=False)
        with raw(engine) as connection:
            connection.execute(f"PRAGMA user_version = {INDEX_VERSION}")
        engine.dispose()
    return Index(folder, evidence)


def _is_usable(path: Path, evidence: EvidenceReader) -> bool:
    try:
        engine = open_writer(path, durable=False)
    except StorageError:
        return False
    try:
        with raw(engine) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (next_index,) = connection.execute("SELECT next_idx FROM progress").fetchone()
        return bool(version == INDEX_VERSION and next_index <= evidence.load_size())
    except (sqlite3.DatabaseError, StorageError, TypeError):
        return False
    finally:
        engine.dispose()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class Index:
    """The writer of one index: one thread follows, any number may ask how far."""

    def __init__(self, folder: Path, evidence: EvidenceReader) -> None:
        """Open the existing `index.db` in `folder`, which follows `evidence`."""
        self._evidence = evidence
        self._engine = open_writer(folder / INDEX_NAME, durable=False)
        self._key_ids: dict[str, int] = {}
        with raw(self._engine) as connection:
            row = connection.execute("SELECT next_idx FROM progress").fetchone()
        self._next = int(row[0])

    @property
    def next_index(self) -> int:
        """The first entry that is not in the index yet."""
        return self._next

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def follow(self, until: int) -> int:
        """Project at most one run of entries below `until`; return how many they were."""
        stop = min(until, self._next + ENTRIES_RUN_MAX)
        if stop <= self._next:
            return 0
        run = self._evidence.load_run(self._next, stop)
        rows, read = _project_run(self._next, run)
        emptied = _emptied_by(data for data, _ in run[:read])
        with raw(self._engine) as connection:
            connection.execute(f"PRAGMA secure_delete = {'ON' if emptied else 'OFF'}")
            with transaction(connection):
                self._store(connection, rows)
                if emptied:
                    self._project_again(connection, emptied)
                connection.execute("UPDATE progress SET next_idx = ?", (self._next + read,))
            if emptied:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._next += read
        return read

    def _project_again(self, connection: sqlite3.Connection, entries: Sequence[int]) -> None:
        """Replace the rows of `entries`; the cost grows with the index, once for all."""
        connection.execute("CREATE TEMP TABLE emptied (idx INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO emptied VALUES (?)", ((n,) for n in entries))
        named = connection.execute(f"SELECT DISTINCT key FROM mention WHERE {_OF_EMPTIED}")  # noqa: S608 - our own text
        keys = named.fetchall()
        for table in ("mention", "event"):
            connection.execute(f"DELETE FROM {table} WHERE {_OF_EMPTIED}")  # noqa: S608 - our own text
        connection.execute("DROP TABLE emptied")
        for index in entries:
            ((data, stored),) = self._evidence.load_run(index, index + 1)
            self._store(connection, list(_project_entry(index, data, stored)))
        connection.executemany(_FORGET_KEY, keys)
        self._key_ids.clear()

    def _store(self, connection: sqlite3.Connection, rows: Sequence[Rows]) -> None:
        mentions = [mention for one in rows for mention in one.mentions]
        ids = self._intern(connection, mentions)
        connection.executemany(
            f"INSERT INTO event ({_EVENT_COLUMNS}) VALUES ({_EVENT_MARKS})",  # noqa: S608 - names of our own fields
            (astuple(event) for one in rows for event in one.events),
        )
        # Sorted, because neighbours in the tree of an index are written at half the cost.
        connection.executemany(
            "INSERT INTO mention (key, role, event_time_us, eid) VALUES (?, ?, ?, ?)",
            sorted(
                (ids[m.key], _ROLE_NUMBERS[m.role], m.event_time_us, m.eid) for m in mentions
            ),
        )

    def _intern(
        self, connection: sqlite3.Connection, mentions: Sequence[MentionRow]
    ) -> dict[str, int]:
        """Return the integer of every key in `mentions`, making those that are new."""
        if len(self._key_ids) > KEYS_CACHED_MAX:
            self._key_ids.clear()
        unknown = sorted({m.key for m in mentions} - self._key_ids.keys())
        connection.executemany(
            "INSERT OR IGNORE INTO key (text) VALUES (?)", ((text,) for text in unknown)
        )
        self._key_ids.update(find_key_ids(connection, unknown))
        return self._key_ids


def find_key_ids(connection: sqlite3.Connection, texts: Sequence[str]) -> dict[str, int]:
    """Return the integers of those `texts` that the index knows."""
    found: dict[str, int] = {}
    for at in range(0, len(texts), _KEYS_ASKED_MAX):
        asked = texts[at : at + _KEYS_ASKED_MAX]
        marks = ", ".join("?" * len(asked))
        found.update(
            connection.execute(f"SELECT text, id FROM key WHERE text IN ({marks})", asked)  # noqa: S608 - question marks alone
        )
    return found


def role_numbers(roles: Iterable[str]) -> list[int]:
    """Return the numbers under which `roles` are stored."""
    return [_ROLE_NUMBERS[role] for role in roles]


def _project_run(
    start: int, run: Sequence[tuple[bytes, list[StoredEvent]]]
) -> tuple[list[Rows], int]:
    """Return the rows of a run of entries, and how many of them were read."""
    rows: list[Rows] = []
    events = 0
    for read, (data, stored) in enumerate(run):
        if events and events + len(stored) > EVENTS_RUN_MAX:
            return rows, read
        events += len(stored)
        rows.extend(_project_entry(start + read, data, stored))
    return rows, len(run)


def _project_entry(index: int, data: bytes, stored: Sequence[StoredEvent]) -> Iterator[Rows]:
    entry = parse_entry(data)
    statement = parse_statement(entry.statement)
    if isinstance(statement.body, Capture) and stored:
        head = CaptureHead(
            index=index,
            record_time_us=entry.record_time_us,
            iss=statement.iss,
            grade=statement.body.grade,
        )
        yield project_capture(head, [show_event(event) for event in stored])


def _emptied_by(entries: Iterable[bytes]) -> list[int]:
    """Return the entries of which events are erased by statements in `entries`."""
    emptied: set[int] = set()
    for data in entries:
        if _ERASURE in data:  # May be, by chance, without being one.
            body = parse_statement(parse_entry(data).statement).body
            if isinstance(body, Erasure):
                emptied.update(index for index, _ in body.positions)
    return sorted(emptied)


def show_event(stored: StoredEvent) -> ShownEvent | None:
    """Return what is kept of an event, or None if it was erased."""
    if stored.data is None:
        return None
    event = decode_event(stored.data)
    return ShownEvent(stored.commitment, shown_parts(event), withheld(event))
