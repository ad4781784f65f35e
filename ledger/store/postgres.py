"""Opens PostgreSQL databases the way the ledger needs them: one of the two dialects.

Each of a ledger's databases is a schema of one PostgreSQL database, so the SQL is the same:
`search_path` names the schema, text has collation "C", integers are `bigint`. Rows go in by
COPY, which measured 17 times faster than the ORM.

Evidence is written on one connection, the very one that holds the ledger's advisory lock
(`lock_for_writing`). It is never opened again: when it breaks, the lock may be another's, and
whatever this process would write fails with the connection. The server releases the lock
only when the transaction of the old connection has ended, so there are never two writers.

COMMIT returns after the transaction is on the disk of the server, and of its synchronous
standby where it has one (`synchronous_commit = on`, whatever the role or database says). A
server that gives up waiting for its standby says so in a warning after it has committed;
that counts as an error here, and nothing is acknowledged.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.pool import QueuePool

from ledger.errors import RefusedError
from ledger.store.dialect import Connection, StorageError
from ledger.store.postgres_connection import (
    Marked,
    connect,
    escape_all,
    plain,
    primary,
    shown,
)

READERS_MAX = 16
LOCK_KEY = int.from_bytes(b"tagtrail", "big")
"""The advisory lock of the one writer; one ledger a database."""

# The lock goes with its connection, so nothing but its end may cut it.
_WRITER = (
    "SET synchronous_commit = on",
    "SET statement_timeout = 0",
    "SET lock_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = 0",
    # So that the lock of a writer whose machine is gone is free after about 20 seconds.
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 20000",
)
_HOLDER = """
SELECT application_name, host(client_addr), backend_start FROM pg_locks
JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND pg_locks.database =
  (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = ?
"""
_MAY_CHANGE = (
    "SELECT current_user, has_table_privilege('entry', 'UPDATE') "
    "OR has_table_privilege('entry', 'DELETE') OR has_table_privilege('entry', 'TRUNCATE')"
)
_SQL_TYPES: dict[type, str] = {int: "bigint", str: "text"}


def open_reader(url: str, schema: str, passfile: Path | None = None) -> "PostgresDatabase":
    """Open the schema for any number of readers, which change nothing."""
    settings = ("SET default_transaction_read_only = on",)
    return PostgresDatabase(url, schema, passfile, settings)


def open_writer(
    url: str, schema: str, passfile: Path | None = None, *, durable: bool = True
) -> "PostgresDatabase":
    """Open a schema that may be changed; see `ledger.store.sqlite.open_writer`."""
    level = "on" if durable else "off"
    settings = (f"SET synchronous_commit = {level}",)
    return PostgresDatabase(primary(url), schema, passfile, settings)


def lock_for_writing(url: str, schema: str, passfile: Path | None = None) -> "PostgresDatabase":
    """Open the evidence for its one writer, on one connection, and hold its lock.

    Raises `RefusedError` with check `lock` naming who holds it, or with check `role` where
    the role that connects may do more to evidence than add to it.
    """
    database = PostgresDatabase(primary(url), schema, passfile, _WRITER, lasting=True)
    try:
        with database.lend() as connection:
            _take_lock(connection, shown(url))
            _refuse_powerful_role(connection)
    except BaseException:
        database.close()
        raise
    return database


def _take_lock(connection: Connection, name: str) -> None:
    sql = "SELECT pg_try_advisory_lock(?)"
    if not connection.execute(sql, (LOCK_KEY,)).fetchone()[0]:
        holder = _describe_holder(connection)
        raise RefusedError("lock", f"{name} is being written by {holder}")


def _refuse_powerful_role(connection: Connection) -> None:
    role, may_change = connection.execute(_MAY_CHANGE).fetchone()
    if may_change:
        raise RefusedError(
            "role",
            f"the role {role} may change evidence that is there; serve with the role that "
            "`tagtrail init` made",
        )


def _describe_holder(connection: Connection) -> str:
    row = connection.execute(_HOLDER, (LOCK_KEY,)).fetchone()
    if row is None:
        return "another process, which has just gone: try again"
    name, host, since = row
    return f"{name or 'a process'} from {host or 'its own host'} since {since.isoformat()}"


class PostgresDatabase:
    """One schema of a PostgreSQL database, open: a `ledger.store.dialect.Database`."""

    def __init__(
        self,
        url: str,
        schema: str,
        passfile: Path | None,
        settings: Sequence[str],
        *,
        lasting: bool = False,
    ) -> None:
        """Connect when first asked to; with `lasting` once at once, and never again."""
        self.name = f"{shown(url)} {schema}"
        self._url, self._schema, self._passfile = url, schema, passfile
        self._settings = tuple(settings)
        self._types: dict[str, list[int]] = {}
        self._only: _Lasting | None = None
        self._pool: QueuePool | None = None
        if lasting:
            self._only = _Lasting(self._connect())
        else:
            # The pool knows just `close`: nothing of SQL is its business.
            self._pool = QueuePool(
                self._connect,  # type: ignore[arg-type]
                pool_size=READERS_MAX,
                max_overflow=0,
                reset_on_return=None,
            )

    def close(self) -> None:
        """Close every connection; the lock, if there is one, is free then."""
        if self._only is not None:
            self._only.connection.close()
        if self._pool is not None:
            self._pool.dispose()

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection; each statement is a transaction of its own."""
        with self._translated(), self._borrowed() as connection:
            yield Marked(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Lend a connection on which all reads see one state of the database."""
        with self._translated(), self._borrowed() as connection:
            connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield Marked(connection)
            finally:
                if not connection.closed:
                    connection.execute(b"ROLLBACK")

    @contextmanager
    def transaction(self, *, erasing: bool = False) -> Iterator[Connection]:
        """Lend a connection in a writing transaction; see `Database`.

        What `erasing` frees stays in the files until the server cleans up and its logs are
        recycled: docs/deploy/postgresql.md says how to hasten that.
        """
        del erasing
        with self._translated(), self._borrowed() as connection:
            connection.execute(b"BEGIN")
            try:
                yield Marked(connection)
            except BaseException:
                if not connection.closed:
                    connection.execute(b"ROLLBACK")
                raise
            _commit(connection)

    def insert(
        self, connection: Connection, into: str, rows: Sequence[Sequence[object]]
    ) -> None:
        """Insert `rows` of equal width into the table and columns that `into` names."""
        if not rows:
            return
        assert isinstance(connection, Marked)
        copy_rows(connection.driver, into, self._types_of(connection.driver, into), rows)

    def insert_new(
        self, connection: Connection, into: str, rows: Sequence[Sequence[object]]
    ) -> None:
        """Insert those `rows` of which the key is not there yet."""
        if not rows:
            return
        assert isinstance(connection, Marked)
        oids = self._types_of(connection.driver, into)
        arrays = ", ".join(f"${n}::{_ARRAYS[oid]}" for n, oid in enumerate(oids, 1))
        connection.driver.execute(
            f"INSERT INTO {into} SELECT * FROM unnest({arrays}) "  # noqa: S608 - names of our own
            "ON CONFLICT DO NOTHING".encode(),
            [list(column) for column in zip(*rows, strict=True)],
        )

    def number_on(self, connection: Connection, table: str, last: int) -> None:
        """Let the next row of a table that numbers its rows come after `last`."""
        sql = "SELECT setval(pg_get_serial_sequence(?, 'id'), ?, ?::bigint > 0)"
        connection.execute(sql, (table, max(1, last), last))

    def erase(self, connection: Connection, eid: int, cited: bytes | None) -> None:
        """Have the server erase an event and the document it cites: the role itself may not."""
        connection.execute("SELECT erase(?, ?)", (eid, cited))

    def given(self, mark: str, **columns: type) -> str:
        """Return the SQL of a table `asked` with these columns from the JSON array `mark`."""
        return _given(mark, tuple(columns.items()))

    def pack(self, rows: Sequence[object]) -> object:
        """Return `rows` as one JSON array."""
        return json.dumps(escape_all(rows))

    def is_null(self, column: str) -> str:
        """Return the condition, which looks at the header of a row."""
        return f"{column} IS NULL"

    def _types_of(self, connection: "psycopg.Connection[Any]", into: str) -> list[int]:
        """Return the types of the columns that `into` names; the server is asked once."""
        oids = self._types.get(into)
        if oids is None:
            table, _, columns = into.partition(" ")
            text = f"SELECT {columns.strip('()')} FROM {table} LIMIT 0"  # noqa: S608 - names of our own
            cursor = connection.execute(text.encode())
            oids = [column.type_code for column in cursor.description or ()]
            self._types[into] = oids
        return oids

    def _connect(self) -> "psycopg.Connection[Any]":
        return connect(
            self._url, self._schema, passfile=self._passfile, settings=self._settings
        )

    @contextmanager
    def _borrowed(self) -> Iterator["psycopg.Connection[Any]"]:
        if self._only is not None:
            with self._only.lock:
                yield self._only.connection
            return
        assert self._pool is not None
        fairy = self._pool.connect()
        connection = fairy.driver_connection
        assert isinstance(connection, psycopg.Connection)
        try:
            yield connection
        finally:
            if (
                connection.closed
                or connection.pgconn.transaction_status != TransactionStatus.IDLE
            ):
                fairy.invalidate()
            fairy.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise StorageError(f"{self.name} failed: {plain(error)}") from error


class _Lasting:
    """The one connection of a writer, for one thread at a time."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection
        self.lock = threading.Lock()


def _commit(connection: "psycopg.Connection[Any]") -> None:
    """Commit, or raise: also where the server has committed and its standby has not."""
    warnings: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(str(diagnostic.message_primary))

    connection.add_notice_handler(note)
    try:
        done = connection.execute(b"COMMIT").statusmessage
    finally:
        connection.remove_notice_handler(note)
    if done != "COMMIT":
        raise psycopg.OperationalError(f"COMMIT was answered by {done}")
    if warnings:
        raise psycopg.OperationalError(f"COMMIT is in doubt: {warnings[0]}")


def copy_rows(
    connection: "psycopg.Connection[Any]",
    into: str,
    oids: Sequence[int],
    rows: Sequence[Sequence[object]],
) -> None:
    """Send `rows` by COPY into what `into` names, of columns with these types."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.set_types(oids)
        for row in rows:
            copy.write_row(row)


_ARRAYS = {20: "bigint[]", 25: "text[]", 17: "bytea[]"}


@lru_cache(maxsize=512)
def _given(mark: str, columns: tuple[tuple[str, type], ...]) -> str:
    types = [(name, _SQL_TYPES[kind]) for name, kind in columns]
    if len(types) == 1:
        ((name, kind),) = types
        table = f"json_array_elements_text({mark}::json) AS given(value)"
        return f"(SELECT value::{kind} AS {name} FROM {table}) AS asked"  # noqa: S608 - names of our own
    shown_ = ", ".join(
        f"(value ->> {n})::{kind} AS {name}" for n, (name, kind) in enumerate(types)
    )
    return f"(SELECT {shown_} FROM json_array_elements({mark}::json) AS given(value)) AS asked"  # noqa: S608 - names of our own
