"""Reads a file of exported events row by row, so that no file is too long to be read.

    [[index, position, commitment, data or null], …]       CBOR (`ledger.cose`)

What somebody else wrote may be anything: a number, text, bytes or null in any column comes out
as it is, and judging it is `ledger.audit`'s. Refused are other shapes, other spellings, and
values that are longer than any event, or than a few hundred bytes in the first columns.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

from ledger.audit.evidence import Row
from ledger.client.sqlitefile import BATCH_BYTES_MAX, ROWS_AT_ONCE
from ledger.cose import INTEGER_MAX, read_head
from ledger.epcis.parts import PART_BYTES_MAX, PART_COUNT
from ledger.errors import ParseError

EVENT_BYTES_MAX: Final = PART_COUNT * PART_BYTES_MAX + 4096
SHORT_BYTES_MAX: Final = 512
READ_BYTES: Final = 256 * 1024
COLUMNS: Final = 4
HEAD_BYTES_MAX: Final = 9

_WHERE: Final = "events"
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY = range(5)
_SIMPLE: Final = 7
_NULL: Final = 22


def read_event_rows(file: BinaryIO) -> Iterator[list[Row]]:
    """Yield the rows of `file` in lists of bounded size, or raise `ParseError`."""
    stream = _Stream(file)
    count = stream.take_array()
    batch: list[Row] = []
    held = 0
    for _ in range(count):
        if stream.take_array() != COLUMNS:
            raise ParseError(_WHERE, "holds a row that is no array of four")
        first = [stream.take_value(SHORT_BYTES_MAX) for _ in range(COLUMNS - 1)]
        row = (*first, stream.take_value(EVENT_BYTES_MAX))
        batch.append(row)
        held += sum([len(value) for value in row if isinstance(value, bytes | str)])
        if held > BATCH_BYTES_MAX or len(batch) == ROWS_AT_ONCE:
            yield batch
            batch, held = [], 0
    yield batch
    stream.expect_end()


class _Stream:
    """The bytes of a file that were not taken yet, a part of them in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._held = b""
        self._at = 0

    def take_array(self) -> int:
        """Take the head of an array; return how many items it claims."""
        major, count = self._take_head()
        if major != _ARRAY:
            raise ParseError(_WHERE, "is no array of arrays")
        return count

    def take_value(self, most: int) -> object:
        """Take a number, null, or bytes or text of `most` bytes at most."""
        major, argument = self._take_head()
        if major in (_UNSIGNED, _NEGATIVE) and argument <= INTEGER_MAX:
            return argument if major == _UNSIGNED else -1 - argument
        if major in (_BYTES, _TEXT) and argument <= most:
            data = self._take(argument)
            return data if major == _BYTES else data.decode("utf-8", "surrogateescape")
        if (major, argument) == (_SIMPLE, _NULL):
            return None
        raise ParseError(
            _WHERE, "holds a value that is too long, or no number, text, bytes or null"
        )

    def expect_end(self) -> None:
        """Raise `ParseError` if there is more."""
        if self._fill(1):
            raise ParseError(_WHERE, "goes on after its end")

    def _take_head(self) -> tuple[int, int]:
        self._fill(HEAD_BYTES_MAX)
        major, argument, self._at = read_head(self._held, self._at, _WHERE)
        return major, argument

    def _take(self, size: int) -> bytes:
        if not self._fill(size):
            raise ParseError(_WHERE, "ends inside a value")
        data = self._held[self._at : self._at + size]
        self._at += size
        return data

    def _fill(self, size: int) -> bool:
        """Hold `size` bytes that were not taken; tell whether there were as many."""
        missing = self._at + size - len(self._held)
        if missing > 0:
            more = self._file.read(max(missing, READ_BYTES))
            self._held = self._held[self._at :] + more
            self._at = 0
        return len(self._held) - self._at >= size
