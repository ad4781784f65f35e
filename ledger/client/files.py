"""Reads a ledger's folder as a stranger would: plain SQLite files, nothing believed.

    evidence.db   entry · event · tile · checkpoint · chain · key_entry · notice · document
    signed.db     signed
    trust.toml    whom the ledger says one should trust

Rows come out as they are stored, whatever their types; judging them is `ledger.audit`'s.
The files are opened read-only, so this works beside a running server (all rows of
`evidence.db` are of one moment) and on a read-only copy. Of a value that is longer than its
column may hold no more is read than shows that. Where `database.toml` names a PostgreSQL
database, evidence and index are read there (`ledger.client.server`).
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ledger.audit.index import EVENT_COLUMNS, GAP_COLUMNS
from ledger.audit.trustfile import TRUST_BYTES_MAX, TRUST_NAME
from ledger.client.reading import UnreadableError, find_url, read_bounded
from ledger.client.sqlitefile import ReadOnlyDatabase, Row
from ledger.tlog.merkle import HASH_SIZE
from ledger.tlog.tiles import ENTRY_BYTES_MAX

if TYPE_CHECKING:
    from ledger.client.server import ReadOnlySchema

EVIDENCE_NAME = "evidence.db"
SIGNED_NAME = "signed.db"
INDEX_NAME = "index.db"

_EVIDENCE_TABLES = frozenset(
    {"entry", "event", "tile", "checkpoint", "chain", "key_entry", "notice", "document"}
)
_SIGNED_TABLES = frozenset({"signed"})
_INDEX_TABLES = frozenset({"event", "gap", "key", "master", "mention", "progress"})


def _short(column: str, most: int) -> str:
    """Return the SQL of a column of BLOBs of so many bytes; of longer ones one byte more."""
    return (
        f"CASE WHEN length({column}) > {most} THEN substr({column}, 1, {most + 1}) "
        f"ELSE {column} END"
    )


_KID, _SHA256 = _short("kid", HASH_SIZE), _short("sha256", HASH_SIZE)
_DATA, _COMMITMENT = _short("data", ENTRY_BYTES_MAX), _short("commitment", HASH_SIZE)
_SELECT = {
    table: f"SELECT {columns} FROM {table} ORDER BY {order}"  # noqa: S608 - our own names
    for table, columns, order in (
        ("entry", f"idx, {_DATA}", "idx"),
        # eid = idx << 17 | position, so that negative ones come out with a negative idx.
        ("event", f"eid >> 17, eid & 131071, {_COMMITMENT}, data", "eid"),
        ("checkpoint", "size, note", "size"),
        ("chain", f"{_KID}, epoch, seq, idx", "idx"),
        ("key_entry", f"{_KID}, idx", "idx"),
        ("notice", "eid, idx", "idx, eid"),
        ("document", f"{_SHA256}, data", "sha256"),
    )
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


class EvidenceRows:
    """The evidence of one ledger: a `ledger.audit.log.StoredEvidence`; use `with`."""

    tables = _EVIDENCE_TABLES
    signed_before: list[Row] | None = None
    signed_after: list[Row] | None = None

    def __init__(self, evidence: "ReadOnlyDatabase | ReadOnlySchema") -> None:
        """Read the tables of `evidence`, which is closed with this."""
        self._evidence = evidence

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


class LedgerFiles(EvidenceRows):
    """The evidence of one ledger's folder."""

    def __init__(self, folder: Path) -> None:
        """Open the folder's databases, or raise `UnreadableError`."""
        self.folder = folder
        self.signed_before = read_signed(folder)
        super().__init__(_open_rows(folder, EVIDENCE_NAME, _EVIDENCE_TABLES))
        try:
            self.signed_after = read_signed(folder)
        except BaseException:
            self.close()
            raise


def open_database(url: str) -> EvidenceRows:
    """Open the evidence in the PostgreSQL database at `url`, or raise `UnreadableError`.

    `signed.db` and `trust.toml` are files of the ledger's folder, and not in there.
    """
    return EvidenceRows(_open_schema(None, url, EVIDENCE_NAME, _EVIDENCE_TABLES))


class IndexFiles:
    """The index of one ledger: no evidence, but what answers are made from."""

    def __init__(self, where: Path | str) -> None:
        """Open `index.db` of a folder, or the schema at a URL, or raise `UnreadableError`.

        Open it before the evidence: an index is never ahead of the log that it follows.
        """
        if isinstance(where, Path):
            self._index = _open_rows(where, INDEX_NAME, _INDEX_TABLES)
            return
        self._index = _open_schema(None, where, INDEX_NAME, _INDEX_TABLES)

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

    def gaps(self) -> Iterator[Row]:
        """Yield the rows of `gap`, the columns of a `GapRow`, by idx."""
        columns = ", ".join(GAP_COLUMNS)
        return self._index.rows(f"SELECT {columns} FROM gap ORDER BY idx")  # noqa: S608 - our own names

    def masters(self) -> Iterator[Row]:
        """Yield (document, idx) of each document with master data."""
        return self._index.rows("SELECT document, idx FROM master ORDER BY document")

    def progress(self) -> Iterator[Row]:
        """Yield (next_idx,) of each row of `progress`, of which there should be one."""
        return self._index.rows("SELECT next_idx FROM progress LIMIT 3")

    def contradictions(self) -> Iterator[str]:
        """Yield what SQLite itself finds wrong between the tables and their indexes."""
        if not isinstance(self._index, ReadOnlyDatabase):
            return  # PostgreSQL does not tell who may only read.
        for row in self._index.rows("PRAGMA integrity_check(20)"):
            if row[0] != "ok":
                yield str(row[0])


def _open_rows(
    folder: Path, name: str, tables: frozenset[str]
) -> "ReadOnlyDatabase | ReadOnlySchema":
    """Open one of the databases of a ledger: its file, or its schema on a server."""
    url = find_url(folder)
    if url is None:
        return ReadOnlyDatabase(folder / name, tables, indexes=name == INDEX_NAME)
    return _open_schema(folder, url, name, tables)


def _open_schema(
    folder: Path | None, url: str, name: str, tables: frozenset[str]
) -> "ReadOnlySchema":
    """Open the schema that stands for the file `name`; the extra for it may be missing."""
    try:
        from ledger.client.server import ReadOnlySchema  # noqa: PLC0415 - only where it is used
    except ModuleNotFoundError as error:
        why = (
            "its rows are in PostgreSQL, which needs psycopg: pip install 'tagtrail[postgres]'"
        )
        raise UnreadableError(folder or "the database", why) from error
    return ReadOnlySchema(folder, url, name.removesuffix(".db"), tables)


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
