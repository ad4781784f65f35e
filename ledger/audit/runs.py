"""Reads entries a whole tile at a time, as long as there is nothing to say about them.

Up to 256 entries are hashed, and their spelling and links are compared, in a few calls that
are each about all of them. A run is given out only if every entry in it is spelled right
and is linked to the one before and the one after. At the first that is not, reading stops,
and `rest` holds the rows from there on for the careful reader of `ledger.audit.chain`,
which finds out what is wrong.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from struct import Struct
from typing import Final, cast

from ledger.audit.usual import read_statement
from ledger.cose import INTEGER_MAX
from ledger.entry import Entry, parse_entry
from ledger.errors import ParseError
from ledger.statement import EQUIVOCATION_BYTES_MAX, Statement
from ledger.tlog.merkle import Hash
from ledger.tlog.tiles import TILE_WIDTH

Rows = Sequence[Sequence[object]]

# The usual spelling of an entry, see `ledger.entry`, up to the body of its statement: three
# bytes, time, 58 20, link, 58 20, key leaf, 59, size of the statement.
_USUAL: Final = "3xQ2x32s35xH"
_HEAD: Final = 82
_TIME_LEAST: Final = 2**32
_STATEMENT_LEAST: Final = 256
_SPELLED: Final = ((0, 0x85), (1, 0x01), (2, 0x1B), (11, 0x58), (12, 0x20))
_SPELLED_AFTER_LINK: Final = ((45, 0x58), (46, 0x20), (79, 0x59))


@lru_cache(maxsize=2 * TILE_WIDTH)
def _columns_of(count: int) -> tuple[Struct, bytes]:
    """Return how the heads of so many entries are read at once, and their fixed bytes."""
    spelled = (*_SPELLED, *_SPELLED_AFTER_LINK)
    return Struct(">" + _USUAL * count), b"".join(bytes((byte,)) * count for _, byte in spelled)


@dataclass(frozen=True, slots=True)
class Run:
    """Entries from `first` on that are spelled and linked right: at most to a tile's end.

    `entries` and `statements` are empty where nobody asked for them.
    """

    first: int
    leaves: Sequence[Hash]
    entries: Sequence[Entry]
    statements: Sequence[Statement]


class RunReader:
    """Yields `Run`s until the log ends or something is not right; then see `rest`."""

    def __init__(
        self,
        batches: Iterable[Rows],
        *,
        first: int,
        previous: Hash,
        statements: bool,
        pause: int = 0,
    ) -> None:
        """Read rows (idx, data) from index `first` on; the entry before has leaf `previous`.

        With `statements` they are parsed, too. A run ends before index `pause`.
        """
        self._pause = pause
        self._batches = iter(batches)
        self._held: list[Sequence[object]] = []
        self._previous = previous
        self._wants_statements = statements
        self.next_index = first

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs."""
        while True:
            want = TILE_WIDTH - self.next_index % TILE_WIDTH
            if self.next_index < self._pause:
                want = min(want, self._pause - self.next_index)
            self._fill(want + 1)
            if not self._held:
                return
            run = self._read(self._held[: want + 1], want)
            if run is None:
                return
            del self._held[: len(run.leaves)]
            self.next_index += len(run.leaves)
            self._previous = run.leaves[-1]
            yield run

    def rest(self) -> Iterator[Sequence[object]]:
        """Return the rows that are in no run, which start at `next_index` if all is well."""
        return chain(self._held, chain.from_iterable(self._batches))

    def _fill(self, count: int) -> None:
        while len(self._held) < count:
            batch = next(self._batches, None)
            if batch is None:
                return
            self._held += batch

    def _read(self, rows: Rows, want: int) -> Run | None:
        """Return the run of the first `want` rows; one more tells that the last is linked."""
        indexes, values = zip(*rows, strict=True)
        expected = range(self.next_index, self.next_index + len(rows))
        if indexes != tuple(expected):
            return None
        try:
            leaves = cast("list[Hash]", [sha256(b"\x00" + data).digest() for data in values])
        except TypeError:  # A value is no BLOB.
            return None
        links = [self._previous, *leaves[:-1]]
        if not _is_usual(values, links) and not _is_linked(values, links):
            return None
        return self._make_run(values[:want], leaves[:want])

    def _make_run(self, values: Sequence[bytes], leaves: Sequence[Hash]) -> Run | None:
        if not self._wants_statements:
            return Run(self.next_index, leaves, (), ())
        try:
            entries = [parse_entry(data) for data in values]
            statements = [read_statement(entry.statement) for entry in entries]
        except ParseError:
            return None
        return Run(self.next_index, leaves, entries, statements)


def _is_usual(values: Sequence[bytes], links: Sequence[bytes]) -> bool:
    """Return whether all have the usual spelling, these links, and times that never fall."""
    heads = b"".join([data[:_HEAD] for data in values])
    columns, spelled = _columns_of(len(values))
    if len(heads) != columns.size:  # One is shorter than a head.
        return False
    fixed = [heads[at::_HEAD] for at, _ in (*_SPELLED, *_SPELLED_AFTER_LINK)]
    if b"".join(fixed) != spelled:
        return False
    read = columns.unpack(heads)
    times, sizes = list(read[0::3]), read[2::3]
    if times != sorted(times) or times[0] < _TIME_LEAST or times[-1] > INTEGER_MAX:
        return False
    if min(sizes) < _STATEMENT_LEAST or max(sizes) > EQUIVOCATION_BYTES_MAX:
        return False
    return list(read[1::3]) == links and list(map(_HEAD.__add__, sizes)) == list(
        map(len, values)
    )


def _is_linked(values: Sequence[bytes], links: Sequence[bytes]) -> bool:
    """Return the same for entries of any spelling that is right."""
    try:
        entries = [parse_entry(data) for data in values]
    except ParseError:
        return False
    times = [entry.record_time_us for entry in entries]
    return times == sorted(times) and [entry.prev_leaf_hash for entry in entries] == links
