"""The evidence of a real ledger in memory, to be flipped and audited thousands of times.

An audit does the same as on files; only where the rows come from differs, and a signature
that was verified once over the same bytes under the same key is not verified again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ledger.audit.chunk import Chunk, Pending, SignatureJob, judge_chunk, verify_job
from ledger.audit.finding import Finding, Findings, Result
from ledger.audit.log import LogAudit
from ledger.audit.trustfile import Trust, parse_trust
from ledger.client.files import LedgerFiles, read_own_trust

Row = tuple[object, ...]
# The columns by which an audit wants the rows of a table in order.
_ORDER = {
    "entry": (0,),
    "event": (0, 1),
    "checkpoint": (0,),
    "chain": (3,),
    "key_entry": (1,),
    "notice": (1, 0),
    "document": (0,),
}
TABLE_NAMES = ("entry", "event", "tile", "checkpoint", "chain", "key_entry", "notice", "signed")


@dataclass
class StoredRows:
    """All rows of a ledger by table: the `StoredEvidence` of an audit."""

    tables: dict[str, list[Row]]
    trust: Trust

    @property
    def signed_before(self) -> Sequence[Row]:
        return self.tables["signed"]

    @property
    def signed_after(self) -> Sequence[Row]:
        return self.tables["signed"]

    def batches(self, table: str, start: int = 0) -> Iterator[list[Row]]:
        assert not start or table == "event"
        order = _ORDER[table]
        rows = self.tables[table]
        if start:
            rows = [row for row in rows if isinstance(row[0], int) and row[0] >= start]
        yield sorted(rows, key=lambda row: [_sqlite_order(row[n]) for n in order])

    def tiles(self, level: int | None, start: int = 0) -> Iterable[Row]:
        assert not start
        if level is None:
            return [row for row in self.tables["tile"] if row[0] not in range(8)]
        found = [row for row in self.tables["tile"] if row[0] == level]
        return sorted(found, key=lambda row: _sqlite_order(row[1]))

    def fetch_tile(self, level: int, n: int) -> object:
        return next((row[2] for row in self.tables["tile"] if row[:2] == (level, n)), None)

    def fetch_entry(self, index: int) -> object:
        return next((row[1] for row in self.tables["entry"] if row[0] == index), None)

    def fetch_partial(self, level: int, n: int, width: int) -> object:  # noqa: ARG002
        return None

    def fetch_place(self, kid: bytes, epoch: int, seq: int) -> object:
        found = (row[3] for row in self.tables["chain"] if row[:3] == (kid, epoch, seq))
        return next(found, None)

    def with_row(self, table: str, at: int, row: Row) -> "StoredRows":
        """Return a copy in which one row is another."""
        rows = list(self.tables[table])
        rows[at] = row
        return StoredRows(self.tables | {table: rows}, self.trust)


def _sqlite_order(value: object) -> tuple[Any, ...]:
    """Return a key that sorts as SQLite does: NULL, numbers, text, bytes."""
    if value is None:
        return (0,)
    return (1 if isinstance(value, int | float) else 2 if isinstance(value, str) else 3, value)


def load_rows(folder: Path) -> StoredRows:
    """Return what the files of a ledger hold."""
    with LedgerFiles(folder) as files:
        tables = {
            name: [tuple(row) for rows in files.batches(name) for row in rows]
            for name in _ORDER
        }
        tables["tile"] = [tuple(row) for level in range(8) for row in files.tiles(level)]
        tables["signed"] = [tuple(row) for row in files.signed_after or ()]
    own = read_own_trust(folder)
    assert own is not None
    return StoredRows(tables, parse_trust(own))


@lru_cache(maxsize=100_000)
def _verify_once(x: bytes, signature: bytes, message: bytes) -> str | None:
    return verify_job(SignatureJob(0, x, signature, message))


def _judge(chunk: Chunk) -> Pending:
    return lambda: judge_chunk(chunk, lambda job: _verify_once(*job[1:]))


def audit_rows(rows: StoredRows) -> tuple[Result, list[Finding]]:
    """Return the result of an audit of `rows`, and its findings."""
    findings = Findings()
    findings.extend(LogAudit(rows, rows.trust, judge=_judge, progress=lambda _: None).run())
    return findings.result(undecided=False), findings.kept()


def flip(value: object, bit: int) -> object:
    """Return `value` with one bit flipped, counted from its first byte (of 8 in a number)."""
    if isinstance(value, int):
        return value ^ (1 << bit % 63)
    assert isinstance(value, bytes)
    data = bytearray(value)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(data)
