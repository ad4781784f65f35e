"""What the store asks of a database, so that SQL is written once for SQLite and PostgreSQL.

A module of the store gets a `Database` from `ledger.store.database`, borrows a connection and
speaks the SQL that both understand:

    with database.lend() as connection:             # autocommit: one state a statement
        row = connection.execute("SELECT data FROM entry WHERE idx = ?", (7,)).fetchone()
    with database.snapshot() as connection: ...     # all reads see one state
    with database.transaction() as connection:      # committed at the end, or not at all
        database.insert(connection, "entry (idx, data)", rows)
        database.insert_new(connection, "key (text)", rows)  # leaves out what is there

Any error of the driver leaves these blocks as a `StorageError`.

Placeholders are `?`, or `?1`, `?2` throughout; a question mark means nothing else. Integers
are 64 bits (`bigint`), bytes are `bytes`; text compares byte by byte (BINARY; collation "C"),
and may hold U+0000. A list of any length goes in as one parameter and comes out as a table:

    asked = database.given("?1", key=int, low=int)          # SQL of a table called `asked`
    sql = f"SELECT eid FROM {asked} CROSS JOIN mention WHERE mention.key = asked.key AND ..."
    connection.execute(sql, (database.pack([(1, 5), (2, 9)]), ...))

with `database.pack([1, 2, 3])` for a table of one column. Write `CROSS JOIN` and `WHERE`:
SQLite keeps that order, PostgreSQL chooses. `database.is_null("data")` says whether a long
value is there without reading it.

Both know `ON CONFLICT ... DO NOTHING / DO UPDATE`, `RETURNING`, row values, window functions
and `WITH RECURSIVE`. Not in both, so not used: `INSERT OR IGNORE`, `json_each`, `rowid`,
`typeof`, `PRAGMA`, `x'00'` literals, `min`/`max` of bytes or of two values, a negative `LIMIT`
(take `LIMIT_NONE`), `GROUP BY` without all bare columns, the sum of integers without
`CAST(sum(n) AS BIGINT)`.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ledger.errors import TagtrailError

LIMIT_NONE = 2**62
"""A LIMIT that limits nothing."""


class StorageError(TagtrailError):
    """The database refused or failed to store or to return something."""


class Cursor(Protocol):
    """What a statement returned."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, a tuple, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left, tuples."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection that is lent to one thread."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement, with `values` for its placeholders."""
        ...


class Database(Protocol):
    """One of a ledger's databases, open; any number of threads may borrow from it."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def lend(self) -> AbstractContextManager[Connection]:
        """Lend a connection; each statement is a transaction of its own."""
        ...

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Lend a connection on which all reads see one state of the database."""
        ...

    def transaction(self, *, erasing: bool = False) -> AbstractContextManager[Connection]:
        """Lend a connection in a writing transaction: committed at the end, else rolled back.

        After an error of COMMIT itself nobody knows whether it is on the disk: the caller
        must acknowledge nothing and end the process. With `erasing`, what is deleted is
        overwritten as far as the database can do that.
        """
        ...

    def insert(
        self, connection: Connection, into: str, rows: Sequence[Sequence[object]]
    ) -> None:
        """Insert `rows`, fast, into what `into` names: `table (column, column)`."""
        ...

    def insert_new(
        self, connection: Connection, into: str, rows: Sequence[Sequence[object]]
    ) -> None:
        """Insert those `rows` of which the key is not there yet; no value may be None."""
        ...

    def number_on(self, connection: Connection, table: str, last: int) -> None:
        """Let the next row of a table that numbers its rows come after `last`."""
        ...

    def erase(self, connection: Connection, eid: int, cited: bytes | None) -> None:
        """Erase the data of an event of which there is a notice, and the document it cites."""
        ...

    def given(self, mark: str, **columns: type) -> str:
        """Return the SQL of a table `asked` with these columns, int or str, from `mark`."""
        ...

    def pack(self, rows: Sequence[object]) -> object:
        """Return the parameter for `given`: a list of values, or of tuples of values."""
        ...

    def is_null(self, column: str) -> str:
        """Return the SQL condition that `column` is NULL, without reading a long value."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
