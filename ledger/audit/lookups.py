"""Holds the tables that only find entries again against the entries: `chain`, `key_entry`.

The sequencer answers from them who said what last, so a changed row could make it refuse
the truth or accept a second truth. Each row follows from an entry, so each can be checked:
the rows come in the order of idx, along with the entries.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Sequence
from types import MappingProxyType

from ledger.audit.finding import Finding
from ledger.audit.rows import Batches, Cursor
from ledger.audit.stored import TABLES, check_row, describe_row, row_index
from ledger.projection import event_row_id
from ledger.statement import Capture, Erasure, Statement
from ledger.trust.state import kids_about

CHECK_OF_LOOKUP = MappingProxyType({"chain": 10, "key_entry": 9, "notice": 11})


class Lookup:
    """The rows of one table, compared as the entries come along."""

    def __init__(self, table: str, batches: Batches, *, check: int) -> None:
        """Compare the rows of `table`; what is wrong is a finding of `check`."""
        self._table = table
        self._check = check
        self._idx = [column.name for column in TABLES[table]].index("idx")
        self._rows = Cursor(batches)

    def compare_run(self, first: int, statements: Sequence[Statement]) -> Iterator[Finding]:
        """Yield how the rows about entries from `first` on differ from what they should be."""
        numbered = enumerate(statements, start=first)
        if self._table == "chain":
            rows: list[tuple[object, ...]] = [(s.kid, s.epoch, s.seq, n) for n, s in numbered]
        else:  # Hardly any entry has one.
            rows = [
                row
                for n, s in numbered
                if type(s.body) is not Capture
                for row in rows_of(self._table, n, s)
            ]
        if self._rows.take_same(rows):
            return
        for index, statement in enumerate(statements, start=first):
            yield from self.compare(index, rows_of(self._table, index, statement))

    def compare(
        self, index: int, expected: Sequence[tuple[object, ...]] | None
    ) -> Iterator[Finding]:
        """Yield how the rows about entry `index` differ from `expected`; None is not known."""
        while (row := self._rows.peek()) is not None and not self._reaches(row, index):
            yield self._stray(row)
            self._rows.take()
        missing = set(expected or ())
        while (row := self._rows.peek()) is not None and row[self._idx] == index:
            found = tuple(row)
            if found in missing:
                missing.remove(found)
            elif expected is not None:
                yield self._stray(found)
            self._rows.take()
        for row in missing:
            yield Finding(
                check=self._check,
                index=index,
                field=self._table,
                expected=describe_row(self._table, row),
                computed="no such row",
                what=f"The table {self._table} does not find entry {index} any more.",
            )

    def finish(self) -> Iterator[Finding]:
        """Yield the rows that no entry accounts for."""
        yield from map(self._stray, self._rows.rest())

    def _reaches(self, row: Sequence[object], index: int) -> bool:
        at = row[self._idx]
        return isinstance(at, int) and at >= index

    def _stray(self, row: Sequence[object]) -> Finding:
        return check_row(self._table, row) or Finding(
            check=self._check,
            index=row_index(self._table, row),
            field=self._table,
            expected="no such row",
            computed=describe_row(self._table, row),
            what=f"The {describe_row(self._table, row)} does not follow from any entry.",
        )


def rows_of(table: str, index: int, statement: Statement) -> list[tuple[object, ...]]:
    """Return the rows of `table` that follow from the statement in entry `index`."""
    match table, statement.body:
        case "chain", _:
            return [(statement.kid, statement.epoch, statement.seq, index)]
        case "key_entry", _:
            return [(kid, index) for kid in kids_about(statement)]
        case _, Erasure(positions=positions):
            return [(event_row_id(*place), index) for place in positions]
        case _:
            return []
