"""Takes rows along with the entries: one by one, or many at once where they are as expected.

Whoever keeps the rows hands them over in batches, in order, each of bounded size; what is
held here is one batch, or what one question needs.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence

from ledger.tlog.merkle import HASH_SIZE

EVENTS_AT_ONCE_MAX = 1024
EVENT_BYTES_AT_ONCE_MAX = 4 * 1024 * 1024
EVENT_READ_BYTES_MAX = 1024 * 1024
"""How long an event may be to be read for what it says, which can take a hundred times that."""

Row = Sequence[object]
Batches = Iterable[Sequence[Row]]


class Cursor:
    """The rows of one table that were not taken yet."""

    __slots__ = ("_at", "_batches", "_held")

    def __init__(self, batches: Batches) -> None:
        """Take the rows of `batches`."""
        self._batches = iter(batches)
        self._held: list[Row] = []
        self._at = 0

    def peek(self) -> Row | None:
        """Return the next row and leave it there, or None at the end."""
        if self._at < len(self._held) or self._fill(1):
            return self._held[self._at]
        return None

    def take(self) -> Row | None:
        """Take the next row, or None at the end."""
        row = self.peek()
        self._at += row is not None
        return row

    def take_same(self, expected: Sequence[Row]) -> bool:
        """Take the next rows if they are just `expected`; tell whether they were."""
        count = len(expected)
        if not self._fill(count) or self._held[self._at : self._at + count] != expected:
            return False
        self._at += count
        return True

    def take_capture(self, index: int, count: int) -> list[tuple[bytes, bytes]] | None:
        """Take (commitment, data) of the `count` events of entry `index`, all there and whole.

        Returns None, and takes nothing, if the next rows (idx, position, commitment, data) are
        not just that, or are too many or too long to be held at once.
        """
        if count > EVENTS_AT_ONCE_MAX:
            return None
        end = self._at + count
        if end >= len(self._held):  # The row after them is wanted, too.
            self._fill(count + 1, EVENT_BYTES_AT_ONCE_MAX)
            end = self._at + count
            if end > len(self._held):
                return None
        if end < len(self._held) and self._held[end][0] == index:
            return None
        events = _as_capture(self._held[self._at : end], index)
        if events is not None:
            self._at = end
        return events

    def rest(self) -> Iterator[Row]:
        """Take all rows that are left."""
        while (row := self.take()) is not None:
            yield row

    def _fill(self, count: int, most: int | None = None) -> bool:
        """Hold at least `count` rows; tell whether there were as many.

        With `most` no more batches are taken once the last columns held are longer.
        """
        while len(self._held) - self._at < count:
            if most is not None and self._held_bytes() > most:
                return False
            batch = next(self._batches, None)
            if batch is None:
                return False
            self._held = [*self._held[self._at :], *batch]
            self._at = 0
        return True

    def _held_bytes(self) -> int:
        values = (row[-1] for row in self._held[self._at :])
        return sum([len(value) for value in values if isinstance(value, bytes | str)])


def _as_capture(rows: Sequence[Row], index: int) -> list[tuple[bytes, bytes]] | None:
    """Return (commitment, data) of `rows` if they are those of entry `index`, and short."""
    events: list[tuple[bytes, bytes]] = []
    held = 0
    for at, (row_index, position, commitment, data) in enumerate(rows):
        if (
            row_index != index
            or position != at
            or type(commitment) is not bytes
            or type(data) is not bytes
            or len(commitment) != HASH_SIZE
            or len(data) > EVENT_READ_BYTES_MAX
        ):
            return None
        held += len(data)
        events.append((commitment, data))
    return events if held <= EVENT_BYTES_AT_ONCE_MAX else None
