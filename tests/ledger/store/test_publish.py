"""Publishing: nothing is signed that storage does not give back."""

import sqlite3

import pytest

from ledger.errors import RefusedError, VerificationError
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from ledger.store.publish import Publisher, RollbackError
from ledger.tlog.checkpoint import parse_signed_checkpoint, verify_signed_checkpoint
from ledger.tlog.merkle import Hash, TreeSize
from ledger.tlog.note import Ed25519Signer, Ed25519Verifier
from tests.ledger.store.owner import as_owner, drop_guard
from tests.ledger.store.parties import ORIGIN, World


def make_publisher(world: World, log: Log) -> Publisher:
    return Publisher(
        origin=ORIGIN,
        reader=log.reader,
        signed=log.signed,
        signers=[Ed25519Signer(ORIGIN, world.log_key.key)],
        store_checkpoint=log.store_checkpoint,
    )


def grow(world: World, log: Log, count: int) -> None:
    log.append([verify_submission(world.gateway.capture(1), log.keys()) for _ in range(count)])


def vandalise(world: World, table: str, sql: str, *values: object) -> None:
    """Change evidence the way an attacker does, who first drops the triggers."""
    with as_owner(world.folder) as owner:
        drop_guard(owner, table, "update")
        owner.execute(sql, values)


def test_a_checkpoint_says_size_and_root_and_verifies(world: World, log: Log) -> None:
    grow(world, log, 300)
    signed = parse_signed_checkpoint(make_publisher(world, log).publish(*log.committed))
    key = Ed25519Signer(ORIGIN, world.log_key.key).key
    verify_signed_checkpoint(signed, origin=ORIGIN, verifiers=[Ed25519Verifier(key)])
    assert (signed.checkpoint.size, signed.checkpoint.root) == log.committed
    assert log.signed.load() == log.committed


def test_the_same_size_gives_the_same_note(world: World, log: Log) -> None:
    publisher = make_publisher(world, log)
    assert publisher.publish(*log.committed) == publisher.publish(*log.committed)
    assert make_publisher(world, log).publish(*log.committed) == log.reader.load_checkpoint(5)


def test_an_entry_that_reads_back_otherwise_is_not_signed(world: World, log: Log) -> None:
    publisher = make_publisher(world, log)
    publisher.publish(*log.committed)
    grow(world, log, 2)
    other = log.reader.load_entry(6) + b"\0"
    vandalise(world, "entry", "UPDATE entry SET data = ? WHERE idx = 6", other)
    with pytest.raises(VerificationError):
        publisher.publish(*log.committed)
    assert log.signed.load()[0] == 5
    assert log.reader.load_checkpoint(7) is None


def test_a_tile_that_is_not_of_its_entries_is_not_signed(world: World, log: Log) -> None:
    publisher = make_publisher(world, log)
    publisher.publish(*log.committed)
    grow(world, log, 256)
    vandalise(world, "tile", "UPDATE tile SET data = ?", bytes(8192))
    with pytest.raises(VerificationError, match="is not made of its entries"):
        publisher.publish(*log.committed)
    assert log.signed.load()[0] == 5


def test_a_log_that_does_not_grow_is_read_back_all_the_same(world: World, log: Log) -> None:
    grow(world, log, 256)
    publisher = make_publisher(world, log)
    publisher.publish(*log.committed)
    vandalise(world, "tile", "UPDATE tile SET data = ?", bytes(8192))
    with pytest.raises(VerificationError):
        publisher.publish(*log.committed)


def test_a_stored_note_that_says_something_else_is_not_handed_out(
    world: World, log: Log
) -> None:
    publisher = make_publisher(world, log)
    note = publisher.publish(*log.committed)
    other = note.replace(b"\n5\n", b"\n4\n", 1)
    vandalise(world, "checkpoint", "UPDATE checkpoint SET note = ?", other)
    with pytest.raises(VerificationError, match="something else"):
        publisher.publish(*log.committed)


def test_signed_db_moved_by_somebody_else_stops_the_signing(world: World, log: Log) -> None:
    publisher = make_publisher(world, log)
    publisher.publish(*log.committed)
    grow(world, log, 1)
    log.signed.swap(log.signed.load(), (TreeSize(6), Hash(bytes(32))))
    with pytest.raises(RefusedError, match=r"signed\.db"):
        publisher.publish(*log.committed)


def test_sizes_that_were_signed_never_fall(world: World, log: Log) -> None:
    make_publisher(world, log).publish(*log.committed)
    size, root = log.signed.load()
    with pytest.raises(RefusedError, match="cannot follow"):
        log.signed.swap((size, root), (TreeSize(size - 1), root))
    connection = sqlite3.connect(world.folder / "signed.db")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE signed SET size = 1")
    connection.close()


def test_a_log_that_lost_signed_entries_does_not_open(world: World) -> None:
    log = world.open()
    make_publisher(world, log).publish(*log.committed)
    log.close()
    with as_owner(world.folder) as owner:
        drop_guard(owner, "entry", "delete")
        owner.execute("DELETE FROM entry WHERE idx = 4")
    with pytest.raises(RollbackError, match="restored from an old backup"):
        world.open()
