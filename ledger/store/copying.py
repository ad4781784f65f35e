"""Copies evidence from one database into another, believing nothing that it reads.

Every entry is hashed again and must follow the one before it; the root at the size of every
stored checkpoint must be the one that was signed; the events of every statement must be the
ones that it commits to, and erased ones must have a notice. Chains, key entries and notices
are made again from the statements; tiles from the leaves. What was written is read back in the
transaction that wrote it.

A run of entries with all that belongs to it is one transaction, so a copy that was cut off
goes on where it stopped: the root of what is there must be the root of the same entries here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.disclosure import commitment, decode_event, events_root
from ledger.entry import parse_entry
from ledger.errors import RefusedError, VerificationError
from ledger.projection import POSITION_BITS, event_row_id
from ledger.statement import NO_HASH, Capture, Erasure, parse_statement
from ledger.store.dialect import Connection, Database
from ledger.store.evidence import EvidenceReader, StoredEvent
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.merkle import CompactRange, Hash, TreeSize, leaf_hash, match_roots
from ledger.tlog.tiles import TileEdge
from ledger.trust.state import kids_about

ENTRIES_RUN_MAX = 1024
EVENTS_RUN_MAX = 16_384
DOCUMENTS_RUN_MAX = 16
_TABLES = {
    "entry": "idx, data",
    "event": "eid, commitment, data",
    "tile": "level, n, data",
    "checkpoint": "size, note",
    "chain": "kid, epoch, seq, idx",
    "key_entry": "kid, idx",
    "notice": "eid, idx",
    "document": "sha256, data",
}
_READ_BACK = {
    "entry": "SELECT idx, data FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx",
    "event": "SELECT eid, commitment, data FROM event WHERE eid >= ? AND eid < ? ORDER BY eid",
}
_UNNOTICED = (
    "SELECT min(eid) FROM event WHERE {is_null} "
    "AND NOT EXISTS (SELECT 1 FROM notice WHERE notice.eid = event.eid)"
)

Advance = Callable[[int], None]
"""Called with the index of the newest entry that was copied."""


@dataclass(slots=True)
class _Run:
    """The rows of a run of entries, table by table."""

    rows: dict[str, list[tuple[object, ...]]] = field(
        default_factory=lambda: {name: [] for name in _TABLES}
    )


class Copying:
    """One copy of the log called `origin`, from `source` into `target`."""

    def __init__(self, source: Database, target: Database, origin: str) -> None:
        """Take up where `target` stands; raise `RefusedError` if it holds another log."""
        self._source, self._target, self._origin = source, target, origin
        self._from, self._to = EvidenceReader(source), EvidenceReader(target)
        done = self._to.load_size()
        self.size = self._from.load_size()
        if done > self.size or self._root_of(self._to, done) != self._root_of(self._from, done):
            raise RefusedError("exists", f"{target.name} holds another log")
        self._range = CompactRange.from_nodes(self._to.tree(done).node, done)
        self._tiles = TileEdge.from_tiles(self._to.fetch_tile, done)
        self._last = leaf_hash(self._to.load_entry(done - 1)) if done else NO_HASH

    @property
    def done(self) -> TreeSize:
        """The number of entries that are copied."""
        return self._range.size

    def run(self, advance: Advance) -> None:
        """Copy what is left, and compare the whole at the end."""
        while self.done < self.size:
            self._copy_run(self.done, self._end_of_run(self.done))
            advance(self.done - 1)
        self._copy_documents()
        self._compare()

    def _root_of(self, reader: EvidenceReader, size: TreeSize) -> Hash:
        return reader.tree(size).root()

    def _end_of_run(self, start: int) -> int:
        """Return where a run from `start` ends that is not too big to hold."""
        with self._source.lend() as connection:
            row = connection.execute(
                "SELECT eid FROM event WHERE eid >= ? ORDER BY eid LIMIT 1 OFFSET ?",
                (event_row_id(start, 0), EVENTS_RUN_MAX),
            ).fetchone()
        stop = min(self.size, start + ENTRIES_RUN_MAX)
        return stop if row is None else min(stop, max(start + 1, row[0] >> POSITION_BITS))

    def _copy_run(self, start: int, stop: int) -> None:
        run = _Run()
        notes = self._notes(start, stop)
        for index, (data, events) in enumerate(self._from.load_run(start, stop), start):
            self._take(run, index, data, events)
            note = notes.pop(index + 1, None)
            if note is not None:
                self._take_note(run, index + 1, note)
        if notes:
            raise VerificationError(f"the checkpoint of {min(notes)} is not of this log")
        with self._target.transaction() as connection:
            for table, rows in run.rows.items():
                self._target.insert(connection, f"{table} ({_TABLES[table]})", rows)
            self._read_back(connection, run, start, stop)

    def _notes(self, start: int, stop: int) -> dict[int, bytes]:
        with self._source.lend() as connection:
            rows = connection.execute(
                "SELECT size, note FROM checkpoint WHERE size > ? AND size <= ?", (start, stop)
            )
            return dict(rows.fetchall())

    def _take(self, run: _Run, index: int, data: bytes, events: Sequence[StoredEvent]) -> None:
        """Verify one entry with its events, and add its rows to `run`."""
        entry = parse_entry(data)
        if entry.prev_leaf_hash != self._last:
            raise VerificationError(f"entry {index} does not follow the one before it")
        statement = parse_statement(entry.statement)
        _verify_events(index, statement.body, events)
        self._last = leaf_hash(data)
        self._range.append(self._last)
        rows = run.rows
        rows["entry"].append((index, data))
        rows["tile"] += [(t.level, t.index, full) for t, full in self._tiles.append(self._last)]
        rows["chain"].append((statement.kid, statement.epoch, statement.seq, index))
        rows["key_entry"] += [(kid, index) for kid in kids_about(statement)]
        if isinstance(statement.body, Erasure):
            rows["notice"] += [
                (event_row_id(*place), index) for place in statement.body.positions
            ]
        rows["event"] += [
            (event_row_id(index, one.position), one.commitment, one.data) for one in events
        ]

    def _take_note(self, run: _Run, size: int, note: bytes) -> None:
        checkpoint = parse_signed_checkpoint(note).checkpoint
        if (checkpoint.size, checkpoint.origin) != (size, self._origin):
            raise VerificationError(f"the stored checkpoint of {size} is of something else")
        match_roots(signed=checkpoint.root, computed=self._range.root())
        run.rows["checkpoint"].append((size, note))

    def _read_back(self, connection: Connection, run: _Run, start: int, stop: int) -> None:
        bounds = {
            "entry": (start, stop),
            "event": (event_row_id(start, 0), event_row_id(stop, 0)),
        }
        for table, sql in _READ_BACK.items():
            if connection.execute(sql, bounds[table]).fetchall() != run.rows[table]:
                raise VerificationError(f"{table}: what was written is not what reads back")

    def _copy_documents(self) -> None:
        for rows in self._documents():
            for digest, data in rows:
                if data is not None and sha256(data).digest() != digest:
                    raise VerificationError(f"document {digest.hex()} is another document")
            with self._target.transaction() as connection:
                self._target.insert(connection, "document (sha256, data)", rows)

    def _documents(self) -> Iterator[list[tuple[bytes, bytes | None]]]:
        newest = "SELECT sha256 FROM document ORDER BY sha256 DESC LIMIT 1"
        with self._target.lend() as connection:
            row = connection.execute(newest).fetchone()
        last = b"" if row is None else row[0]
        while True:
            with self._source.lend() as connection:
                rows = connection.execute(
                    "SELECT sha256, data FROM document WHERE sha256 > ? "
                    "ORDER BY sha256 LIMIT ?",
                    (last, DOCUMENTS_RUN_MAX),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield rows

    def _compare(self) -> None:
        """Hold the two against each other: what was left out would show in the counts."""
        for table in _TABLES:
            counts = [_count(database, table) for database in (self._source, self._target)]
            if counts[0] != counts[1]:
                raise VerificationError(f"{table}: {counts[0]} rows there, {counts[1]} copied")
        with self._target.lend() as connection:
            sql = _UNNOTICED.format(is_null=self._target.is_null("data"))
            (eid,) = connection.execute(sql).fetchone()
        if eid is not None:
            index = eid >> POSITION_BITS
            raise VerificationError(f"an event of entry {index} was erased without notice")
        match_roots(signed=self._root_of(self._from, self.size), computed=self._range.root())
        match_roots(signed=self._root_of(self._to, self.size), computed=self._range.root())


def _verify_events(index: int, body: object, events: Sequence[StoredEvent]) -> None:
    """Raise `VerificationError` unless `events` are those that the statement commits to."""
    count, root = (body.count, body.root) if isinstance(body, Capture) else (0, None)
    if [one.position for one in events] != list(range(count)):
        raise VerificationError(f"entry {index} speaks of {count} events, not of these")
    if root is not None and events_root(one.commitment for one in events) != root:
        raise VerificationError(f"entry {index} commits to other events")
    for one in events:
        if one.data is not None and commitment(decode_event(one.data)) != one.commitment:
            raise VerificationError(f"event {one.position} of entry {index} is another event")


def _count(database: Database, table: str) -> int:
    with database.lend() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - names of ours
