"""Reads a ledger whose rows are in a PostgreSQL database, as a stranger would.

Where a ledger's folder holds `database.toml`, evidence and index are the schemas `evidence` and
`index` of the database that it names; `signed.db` and `trust.toml` are files as ever. All
reads are in one read-only transaction of one moment, beside the server, and stream.

A view, a rule, or a policy on rows could show this reader other rows than the server sees, so
a schema with one is refused, as one with a foreign table is.
"""

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg

from ledger.client.reading import DATABASE_TOML, UnreadableError
from ledger.client.sqlitefile import BATCH_BYTES_MAX, ROWS_AT_ONCE, Row

PASSFILE = "keys/database.pgpass"
CONNECT_S = 10
ANSWER_S_MAX = 300.0
"""How long the server may take for some rows: the first ones may have to be sorted."""
ROWS_AT_FIRST = 16

_RELATIONS = """
SELECT relname, relkind::text, relrowsecurity OR relhasrules OR relhassubclass FROM pg_class
WHERE relnamespace = to_regnamespace($1) AND relkind NOT IN ('i', 'S', 't', 'c')
"""
_MARK = re.compile(r"\?")
_TYPE = re.compile(r"typeof\((\w+)\)")


class ReadOnlySchema:
    """One schema of a PostgreSQL database, all reads in one transaction."""

    def __init__(
        self, folder: Path | None, url: str, schema: str, tables: frozenset[str]
    ) -> None:
        """Open `schema`, which must have just `tables`, or raise `UnreadableError`.

        In `folder`, if any, lies the password file of a ledger's own role.
        """
        self.path = f"{DATABASE_TOML if folder is not None else 'the database'}: {schema}"
        self._numbers = count()
        options: dict[str, Any] = {"connect_timeout": CONNECT_S, "client_encoding": "UTF8"}
        if folder is not None and (folder / PASSFILE).exists():
            options["passfile"] = str(folder / PASSFILE)
        try:
            self._connection = psycopg.connect(url, autocommit=True, **options)
        except psycopg.Error as error:
            raise UnreadableError(self.path, _plain(error)) from error
        try:
            for sql in (
                "SET default_transaction_read_only = on",
                "SET statement_timeout = 0",
                "SET jit = off",
                f'SET search_path = "{schema}"',
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            ):
                self._connection.execute(sql.encode())
            self._check_relations(schema, tables)
        except psycopg.Error as error:
            self.close()
            raise UnreadableError(self.path, _plain(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def rows(self, sql: str, values: Row = ()) -> Iterator[Row]:
        """Yield the rows of a query, or raise `UnreadableError` where the server fails."""
        for batch in self.batches(sql, values, sized=False):
            yield from batch

    def batches(self, sql: str, values: Row = (), *, sized: bool) -> Iterator[list[Row]]:
        """Yield the rows of a query in lists; their last column is `sized`, or is short."""
        try:
            with psycopg.RawServerCursor(
                self._connection, f"audit{next(self._numbers)}"
            ) as cursor:
                with self._watched():
                    cursor.execute(_numbered(sql), tuple(values), binary=True)
                wanted = ROWS_AT_FIRST if sized else ROWS_AT_ONCE
                while True:
                    with self._watched():
                        batch: list[Row] = [plain_text(row) for row in cursor.fetchmany(wanted)]
                    yield batch
                    if len(batch) < wanted:
                        return
                    if sized:  # So many as fit, if the next ones are like these.
                        held = sum(len(row[-1]) for row in batch if isinstance(row[-1], bytes))
                        fit = BATCH_BYTES_MAX * wanted // max(held, 1)
                        wanted = min(max(fit, 1), 2 * wanted, ROWS_AT_ONCE)
        except psycopg.Error as error:
            raise UnreadableError(self.path, _plain(error)) from error

    def first(self, sql: str, values: Row = ()) -> Row | None:
        """Return the first row of a query, or None."""
        try:
            with self._watched(), psycopg.RawCursor(self._connection) as cursor:
                cursor.execute(_numbered(sql), tuple(values), binary=True)
                return cursor.fetchone()
        except psycopg.Error as error:
            raise UnreadableError(self.path, _plain(error)) from error

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Cut the connection if the server keeps this waiting for too long."""
        watch = Timer(ANSWER_S_MAX, self._cut)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _cut(self) -> None:
        with suppress(OSError, psycopg.Error):
            line = socket.socket(fileno=os.dup(self._connection.pgconn.socket))
            with line:
                line.shutdown(socket.SHUT_RDWR)

    def _check_relations(self, schema: str, tables: frozenset[str]) -> None:
        with psycopg.RawCursor(self._connection) as cursor:
            found: Sequence[tuple[str, str, bool]] = cursor.execute(
                _RELATIONS.encode(), (schema,)
            ).fetchall()
        missing = sorted(tables - {name for name, kind, _ in found if kind == "r"})
        if missing:
            raise UnreadableError(self.path, f"it has no table {missing[0]}")
        for name, kind, ruled in sorted(found):
            if name not in tables or kind != "r":
                raise UnreadableError(self.path, f"it has a foreign relation {name!r}")
            if ruled:
                raise UnreadableError(self.path, f"{name} has rules or policies of its own")


def plain_text(row: Row) -> Row:
    """Return a row with its texts as they were: U+0000 is stored as U+0001 U+0001."""
    return tuple(
        one.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
        if isinstance(one, str) and "\x01" in one
        else one
        for one in row
    )


def _numbered(sql: str) -> bytes:
    """Return SQL of SQLite as the server's, where every integer is a `bigint`."""
    numbers = count(1)
    sql = _TYPE.sub(r"pg_typeof(\1)::text", sql).replace("'integer'", "'bigint'")
    return _MARK.sub(lambda _: f"${next(numbers)}", sql).encode()


def _plain(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
