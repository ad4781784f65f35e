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

import re
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from ledger.admitted import GapRow, project_gap
from ledger.disclosure import decode_event, shown_parts, withheld
from ledger.entry import parse_entry
from ledger.epcis.master import may_have_master_data
from ledger.indexed import indexed_text
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
from ledger.store.database import INDEX, Where, home_of, make_again, open_writer, version_of
from ledger.store.dialect import Connection, Database, StorageError
from ledger.store.evidence import EvidenceReader, StoredEvent
from ledger.store.schema import INDEX_LAYOUT

# Grows with every change of the tables or of the projection; another number is rebuilt.
INDEX_VERSION = 6
ENTRIES_RUN_MAX = 256
EVENTS_RUN_MAX = 8192
KEYS_CACHED_MAX = 200_000

_ERASURE = b"tagtrail/erasure/v1"
_GAP = b"tagtrail/gap/v1"
_ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES)}
_EVENT_COLUMNS = ", ".join(EventRow.__slots__)
_GAP_COLUMNS = ", ".join(GapRow.__slots__)
_values_of_gap = attrgetter(*GapRow.__slots__)
_values_of_event = attrgetter(*EventRow.__slots__)
_OF_EMPTIED = f"eid >> {POSITION_BITS} IN (SELECT idx FROM {{asked}})"  # noqa: S608 - a number of ours
_CITES = re.compile(rb'"tagtrail:evidence":\s*\{[^{}]*"document":\s*"([0-9a-f]{64})"')
_FORGET_KEYS = (
    "DELETE FROM key WHERE id IN (SELECT id FROM {asked}) "
    "AND NOT EXISTS (SELECT 1 FROM mention WHERE mention.key = key.id)"
)


def open_index(where: Where, evidence: EvidenceReader) -> "Index":
    """Open the index of the ledger at `where`; make a new one where it cannot be used."""
    home = home_of(where)
    if not _is_usable(home, evidence):
        make_again(home, INDEX, INDEX_LAYOUT, INDEX_VERSION)
    return Index(home, evidence)


def _is_usable(where: Where, evidence: EvidenceReader) -> bool:
    try:
        if version_of(where, INDEX) != INDEX_VERSION:
            return False
        database = open_writer(where, INDEX, durable=False)
    except StorageError:
        return False
    try:
        with database.lend() as connection:
            (next_index,) = connection.execute("SELECT next_idx FROM progress").fetchone()
        return bool(next_index <= evidence.load_size())
    except (StorageError, TypeError):
        return False
    finally:
        database.close()


class Index:
    """The writer of one index: one thread follows, any number may ask how far."""

    def __init__(self, where: Where, evidence: EvidenceReader) -> None:
        """Open the existing index of the ledger at `where`, which follows `evidence`."""
        self._evidence = evidence
        self._database = open_writer(where, INDEX, durable=False)
        self._key_ids: dict[str, int] = {}
        with self._database.lend() as connection:
            row = connection.execute("SELECT next_idx FROM progress").fetchone()
        self._next = int(row[0])

    @property
    def next_index(self) -> int:
        """The first entry that is not in the index yet."""
        return self._next

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def follow(self, until: int) -> int:
        """Project at most one run of entries below `until`; return how many they were."""
        stop = min(until, self._next + ENTRIES_RUN_MAX)
        if stop <= self._next:
            return 0
        run = self._evidence.load_run(self._next, stop)
        rows, read = _project_run(self._next, run)
        emptied = _emptied_by(data for data, _ in run[:read])
        try:
            with self._database.transaction(erasing=bool(emptied)) as connection:
                self._move(connection, self._next + read)
                self._store(connection, rows)
                self._note_gaps(connection, self._next, run[:read])
                self._note_masters(connection, self._next, run[:read])
                if emptied:
                    self._project_again(connection, emptied)
        except BaseException:
            self._key_ids.clear()  # Those that were made in there are not there any more.
            raise
        self._next += read
        return read

    def _move(self, connection: Connection, next_index: int) -> None:
        """Say how far the index is; raise `StorageError` where another one moves it, too."""
        moved = connection.execute(
            "UPDATE progress SET next_idx = ? WHERE next_idx = ?", (next_index, self._next)
        ).rowcount
        if moved != 1:
            raise StorageError(f"the index is not at entry {self._next}: another follows it")

    def _project_again(self, connection: Connection, entries: Sequence[int]) -> None:
        """Replace the rows of `entries`; the cost grows with the index, once for all."""
        database = self._database
        emptied = (database.pack(entries),)
        of_emptied = _OF_EMPTIED.format(asked=database.given("?", idx=int))
        named = connection.execute(
            f"SELECT DISTINCT key FROM mention WHERE {of_emptied}",  # noqa: S608 - our own text
            emptied,
        )
        keys = [row[0] for row in named.fetchall()]
        for table in ("mention", "event"):
            connection.execute(f"DELETE FROM {table} WHERE {of_emptied}", emptied)  # noqa: S608 - our own text
        for index in entries:
            ((data, stored),) = self._evidence.load_run(index, index + 1)
            self._store(connection, list(_project_entry(index, data, stored)))
            connection.execute("DELETE FROM master WHERE idx = ?", (index,))
            self._note_masters(connection, index, [(data, stored)])
        forget = _FORGET_KEYS.format(asked=database.given("?", id=int))
        connection.execute(forget, (database.pack(keys),))
        self._key_ids.clear()

    def _store(self, connection: Connection, rows: Sequence[Rows]) -> None:
        mentions = [mention for one in rows for mention in one.mentions]
        ids = self._intern(connection, mentions)
        events = [_values_of_event(event) for one in rows for event in one.events]
        self._database.insert(connection, f"event ({_EVENT_COLUMNS})", events)
        # Sorted, because neighbours in the tree of an index are written at half the cost.
        self._database.insert(
            connection,
            "mention (key, role, event_time_us, eid)",
            sorted(
                (ids[m.key], _ROLE_NUMBERS[m.role], m.event_time_us, m.eid) for m in mentions
            ),
        )

    def _note_gaps(
        self, connection: Connection, start: int, run: Sequence[tuple[bytes, list[StoredEvent]]]
    ) -> None:
        """Note what the entries from `start` on admit to have missed."""
        rows = []
        for index, (data, _) in enumerate(run, start):
            if _GAP in data:  # May be, by chance, without being one.
                statement = parse_statement(parse_entry(data).statement)
                row = project_gap(index, statement.iss, statement.body)
                rows += [] if row is None else [_values_of_gap(row)]
        self._database.insert(connection, f"gap ({_GAP_COLUMNS})", rows)

    def _note_masters(
        self, connection: Connection, start: int, run: Sequence[tuple[bytes, list[StoredEvent]]]
    ) -> None:
        """Note which documents with master data the entries from `start` on cite first."""
        cited: dict[bytes, int] = {}
        for index, (_, stored) in enumerate(run, start):
            for match in (_CITES.search(event.data or b"") for event in stored):
                if match is not None:
                    cited.setdefault(bytes.fromhex(match[1].decode()), index)
        found = [
            (digest, index)
            for digest, index in cited.items()
            if may_have_master_data(self._evidence.load_document(digest) or b"")
        ]
        self._database.insert_new(connection, "master (document, idx)", found)

    def _intern(self, connection: Connection, mentions: Sequence[MentionRow]) -> dict[str, int]:
        """Return the integer of every key in `mentions`, making those that are new."""
        if len(self._key_ids) > KEYS_CACHED_MAX:
            self._key_ids.clear()
        unknown = sorted({m.key for m in mentions} - self._key_ids.keys())
        self._database.insert_new(connection, "key (text)", [(text,) for text in unknown])
        self._key_ids.update(find_key_ids(self._database, connection, unknown))
        return self._key_ids


def find_key_ids(
    database: Database, connection: Connection, texts: Sequence[str]
) -> dict[str, int]:
    """Return the integers of those `texts` that the index knows."""
    stored = {indexed_text(text): text for text in texts}
    asked = database.given("?", text=str)
    sql = f"SELECT key.text, key.id FROM {asked} CROSS JOIN key WHERE key.text = asked.text"  # noqa: S608 - our own text
    found = connection.execute(sql, (database.pack(list(stored)),)).fetchall()
    return {stored[text]: key for text, key in found}


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
