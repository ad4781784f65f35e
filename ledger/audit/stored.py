"""The rows of the evidence tables as an auditor finds them: any value may be anything.

Whoever owns the database decides what comes out of it, so a column that should be a number
may hold text. `check_row` is the door: what it passes has the types of `TABLES`, and what
it does not is a finding of check 1. It never raises.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ledger.audit.finding import Finding
from ledger.tlog.merkle import HASH_SIZE
from ledger.tlog.tiles import TILE_BYTES, TILE_HEIGHT, TILE_LEVEL_MAX

INTEGER_MAX = 2**63 - 1
SHOWN_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class Column:
    """What a column may hold: `kind` is integer, hash, tile or blob; `null` allows NULL."""

    name: str
    kind: str
    null: bool = False


TABLES: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "entry": (Column("idx", "integer"), Column("data", "blob")),
        "event": (
            Column("idx", "integer"),
            Column("position", "integer"),
            Column("commitment", "hash"),
            Column("data", "blob", null=True),
        ),
        "tile": (Column("level", "integer"), Column("n", "integer"), Column("data", "tile")),
        "checkpoint": (Column("size", "integer"), Column("note", "blob")),
        "chain": (
            Column("kid", "hash"),
            Column("epoch", "integer"),
            Column("seq", "integer"),
            Column("idx", "integer"),
        ),
        "key_entry": (Column("kid", "hash"), Column("idx", "integer")),
        "notice": (Column("eid", "integer"), Column("idx", "integer")),
        "document": (Column("sha256", "hash"), Column("data", "blob", null=True)),
        "signed": (Column("id", "integer"), Column("size", "integer"), Column("root", "hash")),
    }
)


def check_row(table: str, row: Sequence[object]) -> Finding | None:
    """Return the finding of the first value of `row` that its column may not hold, or None."""
    for column, value in zip(TABLES[table], row, strict=True):
        why = _wrong(column, value)
        if why is not None:
            return Finding(
                check=1,
                index=row_index(table, row),
                field=f"{table}.{column.name}",
                expected=_WANTED[column.kind],
                computed=show(value),
                what=f"{describe_row(table, row)}: the value of {column.name} {why}.",
            )
    return None


def row_index(table: str, row: Sequence[object]) -> int | None:
    """Return the entry that `row` is about, as far as its values can say."""
    named = {column.name: value for column, value in zip(TABLES[table], row, strict=True)}
    index = named.get("idx")
    if isinstance(index, int):
        return index
    size = named.get("size")
    if isinstance(size, int):
        return max(size - 1, 0)
    level, n = named.get("level"), named.get("n")
    if isinstance(level, int) and isinstance(n, int) and 0 <= level <= TILE_LEVEL_MAX:
        first = n << TILE_HEIGHT * (level + 1)
        return first if 0 <= first <= INTEGER_MAX else None
    return None


def describe_row(table: str, row: Sequence[object]) -> str:
    """Return how people find `row`: the table and the values of its short columns."""
    named = zip(TABLES[table], row, strict=True)
    shown = [f"{c.name} {show(value)}" for c, value in named if c.kind in ("integer", "hash")]
    return f"{table} row with {', '.join(shown)}"


def show(value: object) -> str:
    """Return a value of the database, in short."""
    match value:
        case None:
            return "NULL"
        case bytes() if len(value) <= HASH_SIZE:
            return value.hex() or "an empty BLOB"
        case bytes():
            return f"{value[:16].hex()}… ({len(value)} bytes)"
        case str():
            return f"the text {value[:SHOWN_CHARACTERS_MAX]!r}"
        case _:
            return str(value)


_WANTED = MappingProxyType(
    {
        "integer": "an integer of 0 or more",
        "hash": "a BLOB of 32 bytes",
        "tile": f"a BLOB of {TILE_BYTES} bytes",
        "blob": "a BLOB",
    }
)


def _wrong(column: Column, value: object) -> str | None:
    if value is None:
        return None if column.null else "is NULL"
    if column.kind == "integer":
        if not isinstance(value, int):
            return f"is a {type(value).__name__}, no integer"
        return None if 0 <= value <= INTEGER_MAX else "is below 0"
    if not isinstance(value, bytes):
        return f"is a {type(value).__name__}, no BLOB"
    want = {"hash": HASH_SIZE, "tile": TILE_BYTES}.get(column.kind)
    return None if want in (None, len(value)) else f"has {len(value)} bytes, want {want}"
