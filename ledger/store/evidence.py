"""Reads the evidence database: entries, events, tiles, checkpoints, chains.

Nothing is remembered between two calls, so what comes back is what is stored now: the
publisher's read-back depends on it. Any number of threads may read while the one writer
writes; each call sees one committed state.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.projection import event_row_id, split_row_id
from ledger.store.database import EVIDENCE, Home, Where, open_reader
from ledger.store.dialect import Database, StorageError
from ledger.tlog.merkle import Hash, LeafIndex, TreeSize, leaf_hash, tree_root
from ledger.tlog.tiles import TILE_WIDTH, TileTree, decode_tile, encode_tile

ENTRIES_READ_MAX = 4096

_EVENTS_BETWEEN = (
    "SELECT eid, commitment, data FROM event WHERE eid >= ? AND eid < ? ORDER BY eid"
)

# Jumps from key to key along the primary key, so the cost grows with keys, not statements.
_CHAIN_ENDS = """
WITH RECURSIVE known(kid) AS (
  SELECT (SELECT kid FROM chain ORDER BY kid LIMIT 1)
  UNION ALL
  SELECT (SELECT kid FROM chain WHERE chain.kid > known.kid ORDER BY kid LIMIT 1) FROM known
  WHERE known.kid IS NOT NULL
)
SELECT chain.kid, epoch, seq, idx FROM known JOIN chain ON (chain.kid, epoch, seq) = (
  SELECT kid, epoch, seq FROM chain WHERE kid = known.kid ORDER BY epoch DESC, seq DESC LIMIT 1
)
"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is kept: `data` is None once it was erased."""

    position: int
    commitment: Hash
    data: bytes | None


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The newest statement of one key in its newest epoch."""

    kid: bytes
    epoch: int
    seq: int
    index: int


class EvidenceReader:
    """Any number of readers of one evidence database."""

    def __init__(self, evidence: Where | Database) -> None:
        """Open the evidence of a ledger, or read a database of evidence that is open.

        Raises `StorageError` where there is none.
        """
        if isinstance(evidence, Path | Home):
            evidence = open_reader(evidence, EVIDENCE)
        self._database = evidence

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    # --- Entries and events -------------------------------------------------------------

    def load_size(self) -> TreeSize:
        """Return the number of entries that are committed."""
        (newest,) = self._row("SELECT max(idx) FROM entry") or (None,)
        return TreeSize(0 if newest is None else newest + 1)

    def load_entry(self, index: int) -> bytes:
        """Return the entry at `index`, or raise `StorageError`."""
        row = self._row("SELECT data FROM entry WHERE idx = ?", index)
        if row is None:
            raise StorageError(f"entry {index} is not stored")
        return bytes(row[0])

    def load_entries(self, start: int, stop: int) -> list[bytes]:
        """Return the entries from `start` to `stop` (exclusive); a hole is a `StorageError`."""
        with self._database.lend() as connection:
            rows = connection.execute(
                "SELECT data FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop)
            ).fetchall()
        if len(rows) != max(0, stop - start):
            raise StorageError(f"of entries {start} to {stop - 1} only {len(rows)} are stored")
        return [row[0] for row in rows]

    def iterate_entries(self, start: int, stop: int) -> Iterator[list[bytes]]:
        """Yield the entries from `start` to `stop` in runs of at most `ENTRIES_READ_MAX`."""
        for at in range(start, stop, ENTRIES_READ_MAX):
            yield self.load_entries(at, min(stop, at + ENTRIES_READ_MAX))

    def load_events(self, index: int) -> list[StoredEvent]:
        """Return the events of the entry at `index`, in the order of its statement."""
        with self._database.lend() as connection:
            rows = connection.execute(
                _EVENTS_BETWEEN,
                (event_row_id(index, 0), event_row_id(index + 1, 0)),
            ).fetchall()
        return [StoredEvent(split_row_id(eid)[1], *rest) for eid, *rest in rows]

    def load_event(self, index: int, position: int) -> StoredEvent | None:
        """Return one event, or None where none is stored."""
        eid = event_row_id(index, position)
        row = self._row("SELECT commitment, data FROM event WHERE eid = ?", eid)
        return None if row is None else StoredEvent(position, *row)

    def load_run(self, start: int, stop: int) -> list[tuple[bytes, list[StoredEvent]]]:
        """Return the entries from `start` to `stop` (exclusive), each with its events."""
        with self._database.snapshot() as connection:
            entries = connection.execute(
                "SELECT data FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop)
            ).fetchall()
            events = connection.execute(
                _EVENTS_BETWEEN,
                (event_row_id(start, 0), event_row_id(stop, 0)),
            ).fetchall()
        run: list[tuple[bytes, list[StoredEvent]]] = [(row[0], []) for row in entries]
        for eid, *rest in events:
            index, position = split_row_id(eid)
            run[index - start][1].append(StoredEvent(position, *rest))
        return run

    def load_document(self, digest: bytes) -> bytes | None:
        """Return the received document with this SHA-256, or None: unknown or erased."""
        row = self._row("SELECT data FROM document WHERE sha256 = ?", digest)
        return None if row is None else row[0]

    def is_document_erased(self, digest: bytes) -> bool:
        """Say whether a document with this SHA-256 was kept once and was erased."""
        row = self._row("SELECT data IS NULL FROM document WHERE sha256 = ?", digest)
        return row is not None and bool(row[0])

    # --- The tree -----------------------------------------------------------------------

    def fetch_tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile: a `FetchTile`.

        A full tile as it is stored; of a partial one the leaf hashes of the stored entries,
        or the roots of the stored full tiles below. A hole is a `StorageError`.
        """
        stored = self._row("SELECT data FROM tile WHERE level = ? AND n = ?", level, index)
        if stored is not None:
            return bytes(stored[0][: width * 32])
        if width == TILE_WIDTH:
            raise StorageError(f"tile {level}/{index} is not stored")
        start = index * TILE_WIDTH
        if level == 0:
            entries = self.load_entries(start, start + width)
            return encode_tile([leaf_hash(entry) for entry in entries])
        below = (self.fetch_tile(level - 1, n, TILE_WIDTH) for n in range(start, start + width))
        return encode_tile([tree_root(decode_tile(tile, TILE_WIDTH)) for tile in below])

    def tree(self, size: TreeSize) -> TileTree:
        """Return the tree of `size` as it is stored, each tile of it read once."""
        return TileTree(self.fetch_tile, size)

    def prove_inclusion(self, index: LeafIndex, size: TreeSize) -> tuple[Hash, ...]:
        """Return the audit path of `index` in the tree of `size`."""
        return self.tree(size).prove_inclusion(index)

    # --- Checkpoints and chains ---------------------------------------------------------

    def load_newest_checkpoint(self) -> tuple[TreeSize, bytes] | None:
        """Return size and note of the newest checkpoint, or None before the first."""
        row = self._row("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1")
        return None if row is None else (TreeSize(row[0]), row[1])

    def load_checkpoint(self, size: int) -> bytes | None:
        """Return the note of the checkpoint of exactly `size`, or None."""
        row = self._row("SELECT note FROM checkpoint WHERE size = ?", size)
        return None if row is None else row[0]

    def load_place(self, kid: bytes, epoch: int, seq: int) -> int | None:
        """Return the index of the statement at that place of a chain, or None."""
        row = self._row(
            "SELECT idx FROM chain WHERE kid = ? AND epoch = ? AND seq = ?", kid, epoch, seq
        )
        return None if row is None else row[0]

    def load_chain_ends(self) -> list[ChainEnd]:
        """Return the newest place of every chain, each key once."""
        with self._database.lend() as connection:
            rows = connection.execute(_CHAIN_ENDS).fetchall()
        return [ChainEnd(*row) for row in rows]

    def load_chain_indexes(self, kid: bytes) -> list[int]:
        """Return the indexes of all statements that the key `kid` signed, ascending."""
        with self._database.lend() as connection:
            rows = connection.execute(
                "SELECT idx FROM chain WHERE kid = ? ORDER BY idx", (kid,)
            )
            return [row[0] for row in rows.fetchall()]

    def load_key_entry_before(self, kid: bytes, index: int) -> int | None:
        """Return the index of the newest entry below `index` about the key `kid`, or None."""
        row = self._row("SELECT max(idx) FROM key_entry WHERE kid = ? AND idx < ?", kid, index)
        return None if row is None else row[0]

    def load_key_entry_indexes(self) -> list[int]:
        """Return the indexes of all entries that are about keys, ascending, each once."""
        with self._database.lend() as connection:
            rows = connection.execute("SELECT DISTINCT idx FROM key_entry ORDER BY idx")
            return [row[0] for row in rows.fetchall()]

    def _row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        with self._database.lend() as connection:
            row: tuple[Any, ...] | None = connection.execute(sql, values).fetchone()
        return row
