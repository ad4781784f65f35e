"""Signs checkpoints, and refuses to wherever the log could be another than it was.

FORMATS section 4. Before a checkpoint of size n is signed:

  a. every entry since the last signed size is read back from the database and hashed
     again, the tiles that became full are compared with those hashes, and the root is the
     one that the writer computed;
  b. a consistency proof from the last signed root, made of stored tiles, verifies;
  c. size and root are swapped into `signed.db`, which never goes back.

Where the log has not grown since, its tiles and its newest note are read back instead, and
the same note is the answer.

An `Endorser` is asked before (a) whether anything may be signed at all, and after the
signature for the cosignatures of witnesses; only what it gives back is stored and published.

A crash between two steps is safe: before (c) nothing was signed; after it the same size
and root are signed again at the next start. Anything that does not fit ends the process
rather than sign.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from ledger.errors import RefusedError, VerificationError
from ledger.store.evidence import EvidenceReader
from ledger.store.signed import SignedStore
from ledger.tlog.checkpoint import Checkpoint, parse_signed_checkpoint, sign_checkpoint
from ledger.tlog.merkle import (
    CompactRange,
    Hash,
    TreeSize,
    leaf_hash,
    match_roots,
    verify_consistency,
)
from ledger.tlog.note import NoteSigner
from ledger.tlog.tiles import TILE_WIDTH, TileEdge


class Endorser(Protocol):
    """Who has a say before a checkpoint is signed, and before it is published."""

    def may_sign(self, size: TreeSize) -> bool:
        """Return whether the log, of `size` entries, may sign; may raise `RollbackError`."""

    def endorse(self, note: bytes) -> bytes | None:
        """Return the note to publish, with cosignatures; None if not with these."""


StoreCheckpoint = Callable[[TreeSize, bytes], None]
"""Stores a signed note, durably; called as (size, note)."""


class RollbackError(RefusedError):
    """A log that is behind, or beside, what it has signed."""

    def __init__(self, why: str) -> None:
        super().__init__("rollback", f"{why}; restored from an old backup?")


def check_not_rolled_back(reader: EvidenceReader, signed: SignedStore) -> None:
    """Raise `RollbackError` unless the stored log extends everything that it has signed."""
    signed_size, signed_root = signed.load()
    size = reader.load_size()
    if size < signed_size:
        raise RollbackError(f"size {signed_size} is signed, the log has {size} entries")
    newest = reader.load_newest_checkpoint()
    if newest is not None:
        checkpoint = parse_signed_checkpoint(newest[1]).checkpoint
        if newest[0] > signed_size or checkpoint.size != newest[0]:
            raise RollbackError(
                f"a checkpoint of {newest[0]} is past signed.db's {signed_size}"
            )
        if checkpoint.size == signed_size and checkpoint.root != signed_root:
            raise RollbackError(f"signed.db has another root at size {signed_size}")
    if signed_size and reader.tree(signed_size).root() != signed_root:
        raise RollbackError(f"the log has another root than was signed at size {signed_size}")


class Publisher:
    """Signs the checkpoints of one log; used by one thread at a time."""

    def __init__(
        self,
        *,
        origin: str,
        reader: EvidenceReader,
        signed: SignedStore,
        signers: Sequence[NoteSigner],
        store_checkpoint: StoreCheckpoint,
        endorser: Endorser | None = None,
    ) -> None:
        """Take up where `signed.db` stands; raise `RollbackError` if the log does not.

        Without an `endorser` nobody is asked.
        """
        check_not_rolled_back(reader, signed)
        self._origin = origin
        self._reader = reader
        self._signed = signed
        self._signers = tuple(signers)
        self._store = store_checkpoint
        self._endorser = endorser
        size, _ = signed.load()
        self._range = CompactRange.from_nodes(reader.tree(size).node, size)
        self._tiles = TileEdge.from_tiles(reader.fetch_tile, size)

    def publish(self, size: TreeSize, root: Hash) -> bytes | None:
        """Return the signed checkpoint of `size`, stored; `root` is what the writer computed.

        None where the endorser lets nothing be signed yet, or lets this not be published.
        Raises `VerificationError` where storage does not give back what was written and
        `RefusedError` where `signed.db` says something else. After either, sign nothing
        more: the caller ends the process.
        """
        if self._endorser is not None and not self._endorser.may_sign(size):
            return None
        old = self._signed.load()
        if old != (self._range.size, self._range.root()) or size < old[0]:
            raise RefusedError("signed", "signed.db is not where this process left it")
        self._read_back(size)
        match_roots(signed=root, computed=self._range.root())
        stored_tree = self._reader.tree(size)
        if size == old[0]:
            match_roots(signed=root, computed=stored_tree.root())
        if old[0] > 0:
            proof = stored_tree.prove_consistency(old[0]) if size > old[0] else ()
            verify_consistency(proof, old=old, new=(size, root))
        self._signed.swap(old, (size, root))
        checkpoint = Checkpoint(origin=self._origin, size=size, root=root)
        stored = self._reader.load_checkpoint(size)
        if stored is not None:
            if parse_signed_checkpoint(stored).checkpoint != checkpoint:
                raise VerificationError(f"the stored note of size {size} says something else")
            return stored
        signed = sign_checkpoint(checkpoint, self._signers)
        note = signed if self._endorser is None else self._endorser.endorse(signed)
        if note is not None:
            self._store(size, note)
        return note

    def _read_back(self, size: TreeSize) -> None:
        """Hash the stored entries up to `size` and compare the tiles that they fill."""
        for entries in self._reader.iterate_entries(self._range.size, size):
            for entry in entries:
                leaf = leaf_hash(entry)
                self._range.append(leaf)
                for tile, data in self._tiles.append(leaf):
                    assert tile.level is not None
                    if self._reader.fetch_tile(tile.level, tile.index, TILE_WIDTH) != data:
                        raise VerificationError(f"stored {tile} is not made of its entries")
