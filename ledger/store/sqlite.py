"""Opens SQLite databases the way the ledger needs them: one of the two dialects.

Evidence is written with WAL and `synchronous=FULL`: COMMIT returns after the log of the
transaction is flushed to the disk, so what was committed survives a crash of the process
and of the machine. Transactions are explicit: the driver opens none by itself.

The driver's own connections are lent out of the engine's pool, because the ORM's insert
measured 14 to 22 times slower than `executemany`.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection as OrmConnection
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from ledger.errors import RefusedError
from ledger.store.dialect import Connection, StorageError

# Events fill 4 KiB pages 7 % worse; 16 KiB pages make single statements write 30 % more.
PAGE_SIZE_BYTES = 8192
READERS_MAX = 16
BUSY_TIMEOUT_S = 10.0
ROWS_PER_STATEMENT = 128
# The log of a transaction is folded into the database past this many pages (16 MiB).
WAL_PAGES_MAX = 2048

_COMMON = (
    "PRAGMA trusted_schema = OFF",
    "PRAGMA recursive_triggers = ON",  # So that REPLACE fires the triggers that refuse DELETE.
    "PRAGMA cell_size_check = ON",
    "PRAGMA cache_size = -32768",
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}",
)


def create_database(path: Path, create_tables: Callable[[OrmConnection], None]) -> None:
    """Create the database at `path` with its tables, all or nothing; refuse to replace one.

    The file is made under a temporary name and renamed once it is whole, so a crash here
    leaves no half-made database behind `path`.
    """
    if path.exists():
        raise RefusedError("exists", f"{path} is there already; a log is created once")
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    engine = _engine(draft, "rwc", ("PRAGMA synchronous = FULL",))
    try:
        with _raw(engine) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
            connection.execute("PRAGMA journal_mode = DELETE")
        with engine.connect() as orm:
            orm.exec_driver_sql("BEGIN IMMEDIATE")
            create_tables(orm)
            orm.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()
    draft.rename(path)


def version_of(path: Path) -> int | None:
    """Return the number that `make_again` left at `path`, or None where there is none."""
    if not path.is_file():
        return None
    database = open_writer(path, durable=False)
    try:
        with database.lend() as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        database.close()


def make_again(
    path: Path, create_tables: Callable[[OrmConnection], None], version: int
) -> None:
    """Create the database at `path`, marked with `version`; what was there is thrown away."""
    remove(path)
    create_database(path, create_tables)
    engine = _engine(path, "rw", ())
    try:
        with _raw(engine) as connection:
            connection.execute(f"PRAGMA user_version = {int(version)}")
    finally:
        engine.dispose()


def remove(path: Path) -> None:
    """Delete a database and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def open_writer(path: Path, *, durable: bool = True) -> "SqliteDatabase":
    """Open the existing database at `path` for its one writer.

    With `durable` a COMMIT is flushed to the disk before it returns; without, a crash of
    the machine may lose the newest transactions, never the consistency.
    """
    _must_exist(path)
    level = "FULL" if durable else "NORMAL"
    pragmas = ("PRAGMA journal_mode = WAL", f"PRAGMA synchronous = {level}", *_COMMON)
    return SqliteDatabase(path, _engine(path, "rw", pragmas))


def open_reader(path: Path) -> "SqliteDatabase":
    """Open the existing database at `path` for any number of readers, which change nothing."""
    _must_exist(path)
    return SqliteDatabase(path, _engine(path, "rw", ("PRAGMA query_only = ON", *_COMMON)))


class SqliteDatabase:
    """One SQLite file, open: a `ledger.store.dialect.Database`."""

    def __init__(self, path: Path, engine: Engine) -> None:
        """Lend connections of `engine`, which opens `path`."""
        self.name = path.name
        self._engine = engine

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection of the driver; it goes back to the pool afterwards."""
        with self._translated(), _raw(self._engine) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Lend a connection on which all reads see one state of the database."""
        with self._translated(), _raw(self._engine) as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self, *, erasing: bool = False) -> Iterator[Connection]:
        """Lend a connection in a writing transaction; see `Database`.

        With `erasing` what is freed is overwritten with zeros and the log is cut off, as
        far as no reader holds on to it.
        """
        with self._translated(), _raw(self._engine) as connection:
            if erasing:
                connection.execute("PRAGMA secure_delete = ON")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            if erasing:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                connection.execute("PRAGMA secure_delete = OFF")

    def insert(
        self, connection: Connection, into: str, rows: Sequence[Sequence[object]]
    ) -> None:
        """Insert `rows` of equal width into the table and columns that `into` names.

        The driver gives the interpreter's lock away for every statement that it runs, so a
        statement for each row waits for busy threads as often as there are rows. Here one
        statement inserts 128, 64, 32, … 1 of them.
        """
        _insert(connection, into, "", rows)

    def insert_new(
        self, connection: Connection, into: str, rows: Sequence[Sequence[object]]
    ) -> None:
        """Insert those `rows` of which the key is not there yet."""
        _insert(connection, into, " ON CONFLICT DO NOTHING", rows)

    def number_on(self, connection: Connection, table: str, last: int) -> None:
        """Do nothing: SQLite numbers on from the last row that is there."""

    def erase(self, connection: Connection, eid: int, cited: bytes | None) -> None:
        """Erase the data of an event of which there is a notice, and the document it cites."""
        if cited is not None:
            connection.execute("UPDATE document SET data = NULL WHERE sha256 = ?", (cited,))
        connection.execute("UPDATE event SET data = NULL WHERE eid = ?", (eid,))

    def given(self, mark: str, **columns: type) -> str:
        """Return the SQL of a table `asked` with these columns from the JSON array `mark`."""
        return _given(mark, tuple(columns))

    def pack(self, rows: Sequence[object]) -> object:
        """Return `rows` as one JSON array."""
        return json.dumps(rows)

    def is_null(self, column: str) -> str:
        """Return the condition that looks at the header of a row, and not at the value."""
        return f"typeof({column}) = 'null'"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"{self.name} failed: {error}") from error


@contextmanager
def _raw(engine: Engine) -> Iterator[sqlite3.Connection]:
    """Lend a connection of the driver; it goes back to the pool afterwards."""
    fairy = engine.raw_connection()
    try:
        connection = fairy.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        yield connection
    finally:
        fairy.close()


def _insert(
    connection: Connection, into: str, conflict: str, rows: Sequence[Sequence[object]]
) -> None:
    start, count = 0, ROWS_PER_STATEMENT
    while start < len(rows):
        while count > len(rows) - start:
            count //= 2
        run = rows[start : start + count]
        sql = _insert_sql(into, len(run[0]), count) + conflict
        connection.execute(sql, tuple(chain.from_iterable(run)))
        start += count


@lru_cache
def _insert_sql(into: str, width: int, count: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * count)}"  # noqa: S608 - names of our own


@lru_cache
def _given(mark: str, columns: tuple[str, ...]) -> str:
    if len(columns) == 1:
        shown = f"value AS {columns[0]}"
    else:
        shown = ", ".join(
            f"json_extract(value, '$[{n}]') AS {name}" for n, name in enumerate(columns)
        )
    return f"(SELECT {shown} FROM json_each({mark})) AS asked"  # noqa: S608 - names of our own


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise StorageError(f"there is no database {path}")


def _engine(path: Path, mode: str, pragmas: tuple[str, ...]) -> Engine:
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,  # The pool lends a connection to one thread at a time.
        )
        try:
            for pragma in pragmas:
                connection.execute(pragma)
        except sqlite3.Error as error:
            connection.close()
            raise StorageError(f"{path} cannot be opened: {error}") from error
        return connection

    return create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=READERS_MAX,
        max_overflow=0,
        pool_reset_on_return=None,
    )
