"""Reads a ledger's folder as a stranger would: plain SQLite files, nothing believed.

    evidence.db   entry · event · tile · checkpoint · chain · key_entry · notice · document
    signed.db     signed
    trust.toml    whom the ledger says one should trust

Rows come out as they are stored, whatever their types; judging them is `ledger.audit`'s.
The files are opened read-only, so this works beside a running server (all rows of
`evidence.db` are of one moment) and on a read-only copy.

A file that is damaged raises `UnreadableError` with a plain sentence, never hangs: the work
that SQLite may do is bounded by the size of the file, so pages that refer to each other in a
circle end it. A view or an extra index could show this reader other rows than the server
sees, so a database with one is refused.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from ledger.audit.index import EVENT_COLUMNS
from ledger.audit.trustfile import TRUST_BYTES_MAX, TRUST_NAME
from ledger.errors import TagtrailError

EVIDENCE_NAME = "evidence.db"
SIGNED_NAME = "signed.db"
INDEX_NAME = "index.db"

VALUE_BYTES_MAX = 64 * 1024 * 1024
CACHE_KIB = 16 * 1024
ROWS_AT_ONCE = 512
BATCH_BYTES_MAX = 1024 * 1024
BUSY_SECONDS_MAX = 10.0
# A healthy row takes some ten steps of SQLite's machine and at least four bytes of file.
STEPS_PER_BYTE_MAX = 32
STEPS_MIN = 100_000_000
STEPS_BETWEEN_LOOKS = 1_000_000

_EVIDENCE_TABLES = frozenset(
    {"entry", "event", "tile", "checkpoint", "chain", "key_entry", "notice", "document"}
)
_SIGNED_TABLES = frozenset({"signed"})
_INDEX_TABLES = frozenset({"event", "key", "mention", "progress"})

_SELECT = {
    # More than an entry can have is an error already, so no more of it is read than shows that.
    "entry": "SELECT idx, CASE WHEN length(data) > 65535 THEN substr(data, 1, 65536) "
    "ELSE data END FROM entry ORDER BY idx",
    # eid = idx << 17 | position, so that negative ones come out with a negative idx.
    "event": "SELECT eid >> 17, eid & 131071, commitment, data FROM event ORDER BY eid",
    "checkpoint": "SELECT size, note FROM checkpoint ORDER BY size",
    "chain": "SELECT kid, epoch, seq, idx FROM chain ORDER BY idx",
    "key_entry": "SELECT kid, idx FROM key_entry ORDER BY idx",
    "notice": "SELECT eid, idx FROM notice ORDER BY idx, eid",
    "document": "SELECT sha256, data FROM document ORDER BY sha256",
}
_LONG = frozenset({"event", "checkpoint", "document"})
_MENTIONS = (
    "SELECT mention.eid, key.text, mention.role, mention.event_time_us "
    "FROM mention LEFT JOIN key ON key.id = mention.key ORDER BY mention.eid"
)
_FROM = {
    "entry": "idx >= ?",
    "event": "eid >= ? << 17",
    "checkpoint": "size > ?",
    "chain": "idx >= ?",
    "key_entry": "idx >= ?",
    "notice": "idx >= ?",
}
_TILES_OF_LEVEL = "SELECT level, n, data FROM tile WHERE level = ? ORDER BY n"
_TILES_OF_NO_LEVEL = (
    "SELECT level, n, data FROM tile "
    "WHERE level IS NULL OR typeof(level) <> 'integer' OR level NOT BETWEEN 0 AND 7"
)

Row = Sequence[object]

# The driver raises a UnicodeError where it cannot decode a message that quotes the file.
_DAMAGE = (sqlite3.Error, UnicodeError, OverflowError)


class UnreadableError(TagtrailError):
    """A file of the ledger, or its URL, that cannot be read as what it should be."""

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}")
        self.path = path
        self.why = why


class ReadOnlyDatabase:
    """One SQLite file, open read-only, all reads in one transaction."""

    def __init__(self, path: Path, tables: frozenset[str], *, indexes: bool = False) -> None:
        """Open `path`, which must have just `tables`, or raise `UnreadableError`.

        With `indexes` the tables may have any.
        """
        self.path = path
        if not path.is_file():
            raise UnreadableError(path, "there is no such file")
        try:
            self._connection = _open(path)
        except _DAMAGE as error:
            raise UnreadableError(path, _plain(error)) from error
        try:
            self._limit_work()
            self._check_schema(tables, indexes=indexes)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, sql: str, values: Row = ()) -> Iterator[Row]:
        """Yield the rows of a query, or raise `UnreadableError` where the file is damaged."""
        try:
            # No `yield from`: it would close the cursor of a database that is closed already.
            for row in self._connection.execute(sql, tuple(values)):  # noqa: UP028
                yield row
        except _DAMAGE as error:
            raise UnreadableError(self.path, _plain(error)) from error

    def batches(self, sql: str, values: Row = (), *, sized: bool) -> Iterator[list[Row]]:
        """Yield the rows of a query in lists; their last column is `sized`, or is short.

        Raises `UnreadableError` where the file is damaged.
        """
        try:
            cursor = self._connection.execute(sql, tuple(values))
            if not sized:
                while rows := cursor.fetchmany(ROWS_AT_ONCE):
                    yield rows
                return
            batch: list[Row] = []
            held = 0
            for row in cursor:
                batch.append(row)
                held += len(row[-1]) if isinstance(row[-1], bytes | str) else 0
                if held > BATCH_BYTES_MAX or len(batch) == ROWS_AT_ONCE:
                    yield batch
                    batch, held = [], 0
            yield batch
        except _DAMAGE as error:
            raise UnreadableError(self.path, _plain(error)) from error

    def first(self, sql: str, values: Row = ()) -> Row | None:
        """Return the first row of a query, or None."""
        return next(self.rows(sql, values), None)

    def _limit_work(self) -> None:
        steps = max(STEPS_MIN, STEPS_PER_BYTE_MAX * _bytes_of(self.path))
        looks = [steps // STEPS_BETWEEN_LOOKS]

        def look() -> int:
            looks[0] -= 1
            return looks[0] < 0

        self._connection.set_progress_handler(look, STEPS_BETWEEN_LOOKS)

    def _check_schema(self, tables: frozenset[str], *, indexes: bool) -> None:
        sql = "SELECT type, name FROM sqlite_schema WHERE type <> 'trigger'"
        found = {(str(kind), str(name)) for kind, name in self.rows(sql)}
        missing = sorted(tables - {name for kind, name in found if kind == "table"})
        if missing:
            raise UnreadableError(self.path, f"it has no table {missing[0]}")
        extra = sorted(
            f"{kind} {name!r}"
            for kind, name in found
            if name not in tables and not (indexes and kind == "index")
        )
        if extra:
            raise UnreadableError(self.path, f"it has a foreign {extra[0]}")


class LedgerFiles:
    """The evidence of one ledger's folder: a `ledger.audit.log.StoredEvidence`; use `with`."""

    tables = _EVIDENCE_TABLES

    def __init__(self, folder: Path) -> None:
        """Open the folder's databases, or raise `UnreadableError`."""
        self.folder = folder
        self.signed_before = read_signed(folder)
        self._evidence = ReadOnlyDatabase(folder / EVIDENCE_NAME, _EVIDENCE_TABLES)
        try:
            self.signed_after = read_signed(folder)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._evidence.close()

    def batches(self, table: str, start: int = 0) -> Iterator[list[Row]]:
        """Yield the rows of an evidence table in the order in which an audit takes them.

        With `start`, those about entries from that index on.
        """
        select: str = _SELECT[table]
        values: Row = ()
        if start and table in _FROM:
            select, values = (
                select.replace(" ORDER BY", f" WHERE {_FROM[table]} ORDER BY"),
                (start,),
            )
        return self._evidence.batches(select, values, sized=table in _LONG)

    def tiles(self, level: int | None, start: int = 0) -> Iterator[Row]:
        """Yield the tiles of a level (0 to 7) from n = `start` on, or of None those of none."""
        if level is None:
            return self._evidence.rows(_TILES_OF_NO_LEVEL)
        if start:
            sql = _TILES_OF_LEVEL.replace(" ORDER BY", " AND n >= ? ORDER BY")
            return self._evidence.rows(sql, (level, start))
        return self._evidence.rows(_TILES_OF_LEVEL, (level,))

    def fetch_partial(self, level: int, n: int, width: int) -> object:  # noqa: ARG002
        """Return None: the database keeps full tiles only."""
        return None

    def fetch_place(self, kid: bytes, epoch: int, seq: int) -> object:
        """Return the index that the table `chain` gives for a place, or None."""
        sql = "SELECT idx FROM chain WHERE kid = ? AND epoch = ? AND seq = ?"
        row = self._evidence.first(sql, (kid, epoch, seq))
        return None if row is None else row[0]

    def newest_note(self) -> object:
        """Return the newest signed note, whatever it holds, or None."""
        row = self._evidence.first("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
        return None if row is None else row[0]

    def fetch_tile(self, level: int, n: int) -> object:
        """Return the data of one tile, or None."""
        sql = "SELECT data FROM tile WHERE level = ? AND n = ?"
        row = self._evidence.first(sql, (level, n))
        return None if row is None else row[0]

    def fetch_entry(self, index: int) -> object:
        """Return the data of one entry, or None."""
        row = self._evidence.first("SELECT data FROM entry WHERE idx = ?", (index,))
        return None if row is None else row[0]

    def newest_index(self) -> int:
        """Return the idx of the last entry as the table orders them, for the progress; -1."""
        row = self._evidence.first("SELECT max(idx) FROM entry")
        return row[0] if row is not None and isinstance(row[0], int) else -1


class IndexFiles:
    """The index of one ledger's folder: no evidence, but what answers are made from."""

    def __init__(self, folder: Path) -> None:
        """Open `index.db`, or raise `UnreadableError`.

        Open it before the evidence: an index is never ahead of the log that it follows.
        """
        self._index = ReadOnlyDatabase(folder / INDEX_NAME, _INDEX_TABLES, indexes=True)

    def close(self) -> None:
        """Close the file."""
        self._index.close()

    def events(self) -> Iterator[Row]:
        """Yield the rows of `event`, the columns of an `EventRow`, by eid."""
        columns = ", ".join(EVENT_COLUMNS)
        return self._index.rows(f"SELECT {columns} FROM event ORDER BY eid")  # noqa: S608 - our own names

    def mentions(self) -> Iterator[Row]:
        """Yield (eid, key text, role number, event_time_us) of each mention, by eid."""
        return self._index.rows(_MENTIONS)

    def progress(self) -> Iterator[Row]:
        """Yield (next_idx,) of each row of `progress`, of which there should be one."""
        return self._index.rows("SELECT next_idx FROM progress LIMIT 3")

    def contradictions(self) -> Iterator[str]:
        """Yield what SQLite itself finds wrong between the tables and their indexes."""
        for row in self._index.rows("PRAGMA integrity_check(20)"):
            if row[0] != "ok":
                yield str(row[0])


def read_signed(folder: Path) -> list[Row] | None:
    """Return the rows of `signed.db`, or None where there is no such file."""
    path = folder / SIGNED_NAME
    if not path.exists():
        return None
    database = ReadOnlyDatabase(path, _SIGNED_TABLES)
    try:
        return list(database.rows("SELECT id, size, root FROM signed LIMIT 3"))
    finally:
        database.close()


def read_own_trust(folder: Path) -> bytes | None:
    """Return the bytes of the ledger's own `trust.toml`, or None where there is none."""
    path = folder / TRUST_NAME
    if not path.is_file():
        return None
    return read_trust(path)


def read_trust(path: Path) -> bytes:
    """Return the bytes of the trust file at `path`, or raise `UnreadableError`."""
    return read_bounded(path, TRUST_BYTES_MAX)


def read_bounded(path: Path, most: int) -> bytes:
    """Return the bytes of a file, `most` and one at most, or raise `UnreadableError`."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error


def _open(path: Path) -> sqlite3.Connection:
    """Open `path` read-only, as immutable where nothing can be created beside it."""
    wal = path.with_name(path.name + "-wal")
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError:
        if wal.exists() and wal.stat().st_size > 0:
            raise
        return _connect(path, "mode=ro&immutable=1")


def _connect(path: Path, options: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{options}"
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_SECONDS_MAX,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=0,
    )
    try:
        connection.text_factory = _text
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        for pragma in (
            "PRAGMA query_only = ON",
            "PRAGMA trusted_schema = OFF",
            "PRAGMA cell_size_check = ON",
            "PRAGMA mmap_size = 0",
            f"PRAGMA cache_size = -{CACHE_KIB}",
            "BEGIN",
        ):
            connection.execute(pragma)
        # The first read takes the snapshot that all others see.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes_of(path: Path) -> int:
    wal = path.with_name(path.name + "-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def _plain(error: Exception) -> str:
    if str(error) == "interrupted":
        return "it leads in a circle, or holds more than a file of its size can hold"
    if isinstance(error, UnicodeError):
        return "its schema is damaged"
    if str(error) == "unable to open database file":
        return (
            "it or the -wal file beside it cannot be opened; copy both to where you may write"
        )
    return str(error)
