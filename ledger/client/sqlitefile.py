"""Opens one SQLite file as a stranger would: read-only, work bounded, nothing believed.

A file that is damaged raises `UnreadableError` with a plain sentence, never hangs: the work
that SQLite may do is bounded by the size of the file, so pages that refer to each other in a
circle end it. A view, a virtual table or an extra index could show this reader other rows than
the server sees, so a database with one is refused; so is one with a journal beside it that the
server would roll back before it reads.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from ledger.client.reading import UnreadableError

VALUE_BYTES_MAX = 64 * 1024 * 1024
CACHE_KIB = 16 * 1024
ROWS_AT_ONCE = 512
TEXT_SHOWN_MAX = 200
BATCH_BYTES_MAX = 1024 * 1024
BUSY_SECONDS_MAX = 10.0
# A healthy row takes some ten steps of SQLite's machine and at least four bytes of file.
STEPS_PER_BYTE_MAX = 32
STEPS_MIN = 100_000_000
STEPS_BETWEEN_LOOKS = 1_000_000

Row = Sequence[object]

# The driver raises a UnicodeError where it cannot decode a message that quotes the file.
_DAMAGE = (sqlite3.Error, UnicodeError, OverflowError)


class ReadOnlyDatabase:
    """One SQLite file, open read-only, all reads in one transaction."""

    def __init__(self, path: Path, tables: frozenset[str], *, indexes: bool = False) -> None:
        """Open `path`, which must have just `tables`, or raise `UnreadableError`.

        With `indexes` the tables may have any. There is no column of text in evidence, so
        without `indexes` no more of a text is read than people are shown.
        """
        self.path = path
        if not path.is_file():
            raise UnreadableError(path, "there is no such file")
        try:
            self._connection = _open(path)
            self._connection.text_factory = _text if indexes else _start_of_text
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
        sql = (
            "SELECT CASE WHEN type = 'table' AND (rootpage = 0 OR sql LIKE 'CREATE VIRTUAL%') "
            "THEN 'virtual table' ELSE type END, name "
            "FROM sqlite_schema WHERE type <> 'trigger'"
        )
        found = {(str(kind), str(name)) for kind, name in self.rows(sql)}
        missing = sorted(tables - {name for kind, name in found if kind == "table"})
        if missing:
            raise UnreadableError(self.path, f"it has no table {missing[0]}")
        extra = sorted(
            f"{kind} {name!r}"
            for kind, name in found
            if kind == "virtual table"
            or (name not in tables and not (indexes and kind == "index"))
        )
        if extra:
            raise UnreadableError(self.path, f"it has a foreign {extra[0]}")


def _open(path: Path) -> sqlite3.Connection:
    """Open `path` read-only, as immutable where nothing can be created beside it."""
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError:
        if any(map(_bytes_at, _logs_of(path))):
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


def _start_of_text(data: bytes) -> str:
    return _text(data[:TEXT_SHOWN_MAX])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _logs_of(path: Path) -> list[Path]:
    """Return the files beside `path` that say what of it counts."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]


def _bytes_at(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _bytes_of(path: Path) -> int:
    return _bytes_at(path) + sum(map(_bytes_at, _logs_of(path)))


def _plain(error: Exception) -> str:
    if str(error) == "interrupted":
        return "it leads in a circle, or holds more than a file of its size can hold"
    if isinstance(error, UnicodeError):
        return "its schema is damaged"
    if str(error) in ("unable to open database file", "attempt to write a readonly database"):
        return (
            "it or the -wal or -journal file beside it cannot be opened, or is left of a "
            "crash: start the server once, or copy all to where you may write"
        )
    return str(error)
