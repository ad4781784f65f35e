"""What an attacker can do who owns the ledger's files: everything but sign for others."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ledger.entry import encode_entry, entry_leaf, parse_entry
from ledger.statement import NO_HASH, parse_statement
from ledger.tlog.checkpoint import Checkpoint, parse_signed_checkpoint, sign_checkpoint
from ledger.tlog.merkle import Hash, TreeSize, tree_root
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.tiles import TileEdge
from tests.ledger.memory_log import ORIGIN, signer_named


@contextmanager
def forge(folder: Path, name: str = "evidence.db") -> Iterator[sqlite3.Connection]:
    """Open a database of the ledger to change anything in it."""
    connection = sqlite3.connect(folder / name)
    try:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        for (trigger,) in found.fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        yield connection
        connection.commit()
    finally:
        connection.close()


def load_entry(connection: sqlite3.Connection, index: int) -> bytes:
    (data,) = connection.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    assert isinstance(data, bytes)
    return data


def edit_time(data: bytes) -> bytes:
    """Return the entry with a record time one second later: a change that no party signed."""
    entry = parse_entry(data)
    return encode_entry(replace(entry, record_time_us=entry.record_time_us + 1))


def relink(connection: sqlite3.Connection) -> list[Hash]:
    """Chain all entries anew and rebuild tiles and chains from them; return the leaves."""
    rows = connection.execute("SELECT data FROM entry ORDER BY idx").fetchall()
    previous, leaves, edge = NO_HASH, [], TileEdge()
    for table in ("entry", "tile", "chain"):
        connection.execute(f"DELETE FROM {table}")
    for index, (data,) in enumerate(rows):
        entry = replace(parse_entry(data), prev_leaf_hash=previous)
        previous = entry_leaf(encode_entry(entry))
        leaves.append(previous)
        statement = parse_statement(entry.statement)
        connection.execute("INSERT INTO entry VALUES (?, ?)", (index, encode_entry(entry)))
        connection.execute(
            "INSERT OR IGNORE INTO chain VALUES (?, ?, ?, ?)",
            (statement.kid, statement.epoch, statement.seq, index),
        )
        for tile, tile_data in edge.append(previous):
            connection.execute(
                "INSERT INTO tile VALUES (?, ?, ?)", (tile.level, tile.index, tile_data)
            )
    return leaves


def resign(folder: Path, leaves: list[Hash], log_key: str) -> None:
    """Sign every checkpoint anew over `leaves`, with the key called `log_key`."""
    signer = NoteSigner(ORIGIN, signer_named(log_key))
    with forge(folder) as evidence:
        rows = evidence.execute("SELECT size, note FROM checkpoint").fetchall()
        for size, note in rows:
            assert parse_signed_checkpoint(note).checkpoint.size == size
            root = tree_root(leaves[:size])
            checkpoint = Checkpoint(origin=ORIGIN, size=TreeSize(size), root=root)
            forged = sign_checkpoint(checkpoint, [signer])
            evidence.execute("UPDATE checkpoint SET note = ? WHERE size = ?", (forged, size))
    with forge(folder, "signed.db") as signed:
        (size,) = signed.execute("SELECT size FROM signed").fetchone()
        signed.execute("UPDATE signed SET root = ?", (tree_root(leaves[:size]),))
