"""Opens SQLite databases the way the ledger needs them: the one place where dialects differ.

Evidence is written with WAL and `synchronous=FULL`: COMMIT returns after the log of the
transaction is flushed to the disk, so what was committed survives a crash of the process
and of the machine. Transactions are explicit: the driver opens none by itself.

Hot paths take the driver's own connection out of the engine's pool (`raw`), because the
ORM's insert measured 14 to 22 times slower than `executemany`.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

from ledger.errors import RefusedError, TagtrailError

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


class StorageError(TagtrailError):
    """The database refused or failed to store or to return something."""


def create_database(path: Path, create_tables: Callable[[Connection], None]) -> None:
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
        with raw(engine) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
            connection.execute("PRAGMA journal_mode = DELETE")
        with engine.connect() as orm:
            orm.exec_driver_sql("BEGIN IMMEDIATE")
            create_tables(orm)
            orm.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()
    draft.rename(path)


def open_writer(path: Path, *, durable: bool = True) -> Engine:
    """Open the existing database at `path` for its one writer.

    With `durable` a COMMIT is flushed to the disk before it returns; without, a crash of
    the machine may lose the newest transactions, never the consistency.
    """
    _must_exist(path)
    level = "FULL" if durable else "NORMAL"
    return _engine(
        path, "rw", ("PRAGMA journal_mode = WAL", f"PRAGMA synchronous = {level}", *_COMMON)
    )


def open_reader(path: Path) -> Engine:
    """Open the existing database at `path` for any number of readers, which change nothing."""
    _must_exist(path)
    return _engine(path, "rw", ("PRAGMA query_only = ON", *_COMMON))


@contextmanager
def raw(engine: Engine) -> Iterator[sqlite3.Connection]:
    """Lend a connection of the driver; it goes back to the pool afterwards."""
    fairy = engine.raw_connection()
    try:
        connection = fairy.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        yield connection
    finally:
        fairy.close()


@contextmanager
def snapshot(engine: Engine) -> Iterator[sqlite3.Connection]:
    """Lend a connection on which all reads see one state of the database."""
    with raw(engine) as connection:
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run one writing transaction: committed at the end, rolled back on any exception.

    After an error of COMMIT itself nobody knows whether it is on the disk: the caller
    must acknowledge nothing and end the process.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def insert_rows(
    connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[object]]
) -> None:
    """Insert `rows` of equal width into the table and columns that `into` names.

    The driver gives the interpreter's lock away for every statement that it runs, so a
    statement for each row waits for busy threads as often as there are rows. Here one
    statement inserts 128, 64, 32, … 1 of them.
    """
    start, count = 0, ROWS_PER_STATEMENT
    while start < len(rows):
        while count > len(rows) - start:
            count //= 2
        run = rows[start : start + count]
        connection.execute(_insert(into, len(run[0]), count), tuple(chain.from_iterable(run)))
        start += count


@lru_cache
def _insert(into: str, width: int, count: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * count)}"  # noqa: S608 - names of our own


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
