"""Holds the tables that only find entries again against the entries: `chain`, `key_entry`.

The sequencer answers from them who said what last, so a changed row could make it refuse
the truth or accept a second truth. Each row follows from an entry, so each can be checked:
the rows come in the order of idx, along with the entries.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence

from ledger.audit.finding import Finding
from ledger.audit.stored import TABLES, check_row, describe_row, row_index


class Lookup:
    """The rows of one table, compared as the entries come along."""

    def __init__(self, table: str, rows: Iterable[Sequence[object]], *, check: int) -> None:
        """Compare `rows` of `table`; what is wrong is a finding of `check`."""
        self._table = table
        self._check = check
        self._idx = [column.name for column in TABLES[table]].index("idx")
        self._rows = iter(rows)
        self._row = next(self._rows, None)

    def compare(
        self, index: int, expected: set[tuple[object, ...]] | None
    ) -> Iterator[Finding]:
        """Yield how the rows about entry `index` differ from `expected`; None is not known."""
        while self._row is not None and not self._reaches(index):
            yield self._stray(self._row)
            self._row = next(self._rows, None)
        missing = set(expected or ())
        while self._row is not None and self._row[self._idx] == index:
            row = tuple(self._row)
            if row in missing:
                missing.remove(row)
            elif expected is not None:
                yield self._stray(row)
            self._row = next(self._rows, None)
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
        while self._row is not None:
            yield self._stray(self._row)
            self._row = next(self._rows, None)

    def _reaches(self, index: int) -> bool:
        at = self._row[self._idx] if self._row is not None else None
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
