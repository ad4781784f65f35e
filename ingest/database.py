"""SQLite as the gateway uses it: what is committed is on the disk, or it is an error.

WAL with `synchronous=FULL`: COMMIT returns once the transaction's log is flushed, so what
was committed survives a crash of the process and of the machine; a torn tail of the log
is dropped when the file is next opened. Transactions are explicit.

Each thread opens the file for itself; one waits `BUSY_SECONDS_MAX` for another's lock.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import ParseError, TagtrailError

BUSY_SECONDS_MAX = 30.0
_BUSY_PAUSE_SECONDS = 0.01
_NONE: Mapping[int, str] = {}


class SpoolError(TagtrailError):
    """The disk or the database refused; nothing of the transaction was kept."""


# What a disk that refuses may raise: a transaction's error, or that of a mere look.
DISK_ERRORS = (SpoolError, sqlite3.Error)


def open_database(
    path: Path, schema: str, version: int, upgrades: Mapping[int, str] = _NONE
) -> sqlite3.Connection:
    """Open the database at `path`, made with `schema` where it is new.

    `version` is kept in the file. `upgrades` are the statements that turn an older version into
    the next one; a file of any other version is refused.
    """
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS_MAX, isolation_level=None)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        with transaction(connection):
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                for statement in schema.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")
                found = version
            while found in upgrades:
                for statement in upgrades[found].split(";"):
                    connection.execute(statement)
                found += 1
                connection.execute(f"PRAGMA user_version = {found}")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise SpoolError(f"{path}: {error}") from error
    if found != version:
        connection.close()
        raise ParseError(str(path), f"has version {found}; this program knows {version}")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Write ahead; where another opens a new file too, SQLite refuses without waiting."""
    deadline = time.monotonic() + BUSY_SECONDS_MAX
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)
        else:
            return


def open_reader(path: Path, version: int) -> sqlite3.Connection:
    """Open an existing database of `version` at `path` to look only."""
    if not path.is_file():
        raise SpoolError(f"{path} does not exist; has this gateway ever run?")
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS_MAX, isolation_level=None)
        connection.execute("PRAGMA query_only = ON")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise SpoolError(f"{path}: {error}") from error
    if found == version:
        return connection
    connection.close()
    if found == 0:  # killed while it was made; the next start makes it
        raise SpoolError(f"{path} is empty; has this gateway ever run?")
    mend = (
        "start the gateway once, which brings it up" if found < version else "update tagtrail"
    )
    raise SpoolError(f"{path} has version {found}; this program knows {version}: {mend}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what the block wrote, all or nothing; raises `SpoolError` where the disk fails."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise SpoolError(f"the database refused: {error}") from error
