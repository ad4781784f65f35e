"""What an audit reads: the rows of a ledger, whatever keeps them.

Rows come as they are stored, of any type; judging them is `ledger.audit`'s. A ledger's
folder keeps all tables; static files keep entries, tiles and one checkpoint.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol

from ledger.entry import parse_entry
from ledger.errors import ParseError
from ledger.statement import parse_statement

Row = Sequence[object]

LOOKUPS: Final = frozenset({"chain", "key_entry", "notice"})
"""The tables that a folder alone keeps, and where all checkpoints are kept besides."""


class StoredEvidence(Protocol):
    """The rows of a ledger, whatever keeps them."""

    @property
    def tables(self) -> Collection[str]:
        """What there is: the tables of a ledger's folder, and `partial` for partial tiles."""

    def batches(self, table: str, start: int = 0) -> Iterator[Sequence[Row]]:
        """Yield the rows of a table about entries from `start` on, in order.

        The order is that of idx (and position) or size; each batch is of bounded size. Of
        an entry that is too long it is enough to give so much that it shows.
        """

    def tiles(self, level: int | None, start: int = 0) -> Iterable[Row]:
        """Yield the rows of `tile` of a level from n `start` on, or of None those of none."""

    def fetch_tile(self, level: int, n: int) -> object:
        """Return the data of one full tile, or None."""

    def fetch_partial(self, level: int, n: int, width: int) -> object:
        """Return the data of a tile that is `width` hashes wide, or None."""

    def fetch_entry(self, index: int) -> object:
        """Return the data of one entry, or None."""

    def fetch_place(self, kid: bytes, epoch: int, seq: int) -> object:
        """Return the index of the entry at a place of a chain, or None."""

    @property
    def signed_before(self) -> Sequence[Row] | None:
        """The rows of `signed` as they were before the rest was read; None if there is none."""

    @property
    def signed_after(self) -> Sequence[Row] | None:
        """The same as they were after the rest was read."""


def find_origin(evidence: StoredEvidence) -> str:
    """Return the origin that entry 0 speaks to, or nothing: for want of a trusted one."""
    data = evidence.fetch_entry(0)
    if not isinstance(data, bytes):
        return ""
    try:
        return parse_statement(parse_entry(data).statement).aud
    except ParseError:
        return ""
