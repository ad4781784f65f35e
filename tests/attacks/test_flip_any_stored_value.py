"""One bit of one stored value is flipped: tampering is found and the entry named."""

import random
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.audit.stored import TABLES, row_index
from ledger.cli.verify import audit_folder
from tests.attacks.conftest import TILED
from tests.attacks.stored_rows import StoredRows, audit_rows, flip, load_rows

COLUMNS = [(table, column.name) for table, columns in TABLES.items() for column in columns]
# Where an event is, is one integer in the file.
READ_AS = {("event", "idx"): "eid >> 17", ("event", "position"): "eid & 131071"}
WRITTEN_AS = {
    ("event", "idx"): "eid = ? << 17 | eid & 131071",
    ("event", "position"): "eid = eid >> 17 << 17 | ?",
}
FLIPS_PER_RUN = 2_000
TILE_FLIPS = 40


@pytest.fixture(scope="module")
def tiny_rows(tiny_ledger: Path) -> StoredRows:
    return load_rows(tiny_ledger)


@pytest.fixture(scope="module")
def tiled_rows(tiled_ledger: Path) -> StoredRows:
    return load_rows(tiled_ledger)


def random_flip(
    rows: StoredRows, dice: random.Random, tables: list[str]
) -> tuple[StoredRows, str, set[int | None]]:
    """Return a copy with one bit flipped, what it was, and the entries that may be named."""
    table = dice.choice(tables)
    at = dice.randrange(len(rows.tables[table]))
    row = rows.tables[table][at]
    column = dice.choice([n for n, value in enumerate(row) if value is not None])
    value = row[column]
    bit = dice.randrange(63 if isinstance(value, int) else 8 * len(value))  # type: ignore[arg-type]
    flipped = (*row[:column], flip(value, bit), *row[column + 1 :])
    what = f"bit {bit} of {table}.{TABLES[table][column].name} in row {at}"
    named = {row_index(table, row), row_index(table, flipped)}
    if table == "tile" and column == 2:
        level, n, _ = row
        assert isinstance(level, int)
        assert isinstance(n, int)
        named = {(n * 256 + bit // 256) << 8 * level}
    if table == "document":
        named = citing(rows.tables["event"], row[0])
    if TABLES[table][column].name == "size":  # A size beyond the log names what is missing.
        named.add(len(rows.tables["entry"]))
    return rows.with_row(table, at, flipped), what, named


def citing(events: Iterable[Sequence[object]], digest: object) -> set[int | None]:
    """Return the entries whose events cite the document with this SHA-256."""
    assert isinstance(digest, bytes)
    mark = digest.hex().encode()
    return {row[0] for row in events if isinstance(row[3], bytes) and mark in row[3]}  # type: ignore[misc]


def assert_found(rows: StoredRows, what: str, named: set[int | None]) -> None:
    result, findings = audit_rows(rows)
    assert result is Result.TAMPERED, what
    assert named & {finding.index for finding in findings}, (what, named, findings)


@pytest.mark.parametrize(
    "seed",
    [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))],
)
def test_random_flips_are_found_and_the_entry_named(tiny_rows: StoredRows, seed: int) -> None:
    dice = random.Random(seed)
    tables = [name for name in TABLES if tiny_rows.tables[name]]
    assert audit_rows(tiny_rows)[0] is Result.VERIFIED
    for n in range(FLIPS_PER_RUN):
        flipped, what, named = random_flip(tiny_rows, dice, tables)
        assert_found(flipped, f"seed {seed}, flip {n}: {what}", named)


def test_random_flips_of_a_ledger_with_tiles_are_found(tiled_rows: StoredRows) -> None:
    dice = random.Random(7)
    assert audit_rows(tiled_rows)[0] is Result.VERIFIED
    tables = ["tile", "checkpoint", "entry", "signed"]
    for n in range(TILE_FLIPS):
        flipped, what, named = random_flip(tiled_rows, dice, tables)
        assert_found(flipped, f"seed 7, flip {n}: {what}", named)


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda name: name)
def test_each_column_of_each_table_is_covered_in_the_file(
    tiled_ledger: Path, copy_of: Callable[[Path], Path], table: str, column: str
) -> None:
    folder = copy_of(tiled_ledger)
    database = folder / ("signed.db" if table == "signed" else "evidence.db")
    named = flip_in_file(database, table, column)
    report = audit_folder(folder)
    assert report.result is Result.TAMPERED
    assert named & {finding.index for finding in report.findings}, report.findings


def flip_in_file(path: Path, table: str, column: str) -> set[int | None]:
    """Flip a bit of the middle row's value by SQL; return the entries that may be named."""
    columns = [one.name for one in TABLES[table]]
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        drop_triggers(connection)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        read = [READ_AS.get((table, name), name) for name in columns]
        rows = connection.execute(f"SELECT {', '.join(read)} FROM {table}").fetchall()
        row = rows[len(rows) // 2]
        value = flip(row[columns.index(column)], 12)
        keys = " AND ".join(f"{name} IS ?" for name in read)
        change = WRITTEN_AS.get((table, column), f"{column} = ?")
        connection.execute(f"UPDATE {table} SET {change} WHERE {keys}", (value, *row))
    finally:
        connection.close()
    at = columns.index(column)
    flipped = (*row[:at], value, *row[at + 1 :])
    named = {row_index(table, row), row_index(table, flipped)}
    if column == "size":
        named.add(TILED)
    if table == "document":
        named = {*range(TILED)}
    if (table, column) == ("tile", "data"):
        named = {row[1] * 256 << 8 * row[0]}
    return named


def drop_triggers(connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
    for (name,) in found.fetchall():
        connection.execute(f"DROP TRIGGER {name}")
