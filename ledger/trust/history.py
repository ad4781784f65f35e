"""What whoever judges the next entry can look up of the entries before it.

The sequencer answers out of its database and the batch that is not yet committed, the
auditor out of the files that it reads.

Pure: no I/O, no clock, no randomness.
"""

from typing import Protocol

from ledger.statement import Statement
from ledger.tlog.merkle import Hash


class History(Protocol):
    """The entries before the one that is judged."""

    def find_logged(self, kid: Hash, epoch: int, seq: int) -> tuple[int, Hash] | None:
        """Return index and id of the statement logged at this place of a chain, or None."""

    def statement_at(self, index: int) -> Statement:
        """Return the statement in the entry at `index`, which is below the log's size."""

    def root_at(self, size: int) -> Hash:
        """Return the root over the first `size` entries: 1 up to the log's size."""
