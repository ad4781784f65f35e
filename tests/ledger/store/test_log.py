"""The log: what it takes, what it refuses, what is there after a restart."""

import subprocess
import sys
from pathlib import Path

import pytest

from ledger.disclosure import Submission
from ledger.entry import parse_entry
from ledger.errors import RefusedError
from ledger.statement import NO_HASH, Equivocation, Key, KeyOp, parse_statement
from ledger.store.batch import Receipt
from ledger.store.dialect import StorageError
from ledger.store.intake import verify_submission
from ledger.store.log import Log, create_log
from ledger.tlog.merkle import TreeSize, leaf_hash, tree_root
from tests.ledger.store.owner import ERRORS, as_owner
from tests.ledger.store.parties import DAIRY, OPERATOR, ORIGIN, Source, World

UPSERT = (
    "INSERT INTO entry SELECT 1, commitment FROM event WHERE true "
    "ON CONFLICT (idx) DO UPDATE SET data = excluded.data"
)


def append(log: Log, *submissions: object) -> list[Receipt | RefusedError]:
    return log.append([verify_submission(one, log.keys()) for one in submissions])  # type: ignore[arg-type]


def test_each_entry_links_to_the_one_before_and_the_root_is_over_all(
    world: World, log: Log
) -> None:
    append(log, *(world.gateway.capture(n % 4) for n in range(300)))
    entries = log.reader.load_entries(0, 305)
    leaves = [leaf_hash(entry) for entry in entries]
    links = [parse_entry(entry).prev_leaf_hash for entry in entries]
    assert links == [NO_HASH, *leaves[:-1]]
    assert log.committed == (305, tree_root(leaves))
    assert log.reader.tree(TreeSize(305)).root() == tree_root(leaves)


def test_a_restart_finds_the_same_log_and_goes_on(world: World) -> None:
    log = world.open()
    append(log, world.gateway.capture(2))
    before, keys = log.committed, dict(log.keys())
    log.close()
    log = world.open()
    assert (log.committed, dict(log.keys())) == (before, keys)
    (receipt,) = append(log, world.gateway.capture(1))
    assert receipt == Receipt(6, receipt.statement_id, known=False)  # type: ignore[union-attr]
    log.close()


def test_the_same_statement_again_is_the_same_entry(world: World, log: Log) -> None:
    submission = world.gateway.capture(1)
    first, again = append(log, submission, submission)
    (later,) = append(log, submission)
    assert first == Receipt(5, first.statement_id, known=False)  # type: ignore[union-attr]
    assert again == later == Receipt(5, first.statement_id, known=True)  # type: ignore[union-attr]
    assert log.size == 6


def test_a_second_statement_for_one_place_is_proven_and_its_key_suspended(
    world: World, log: Log
) -> None:
    append(log, world.gateway.capture(1))
    twin = Source("gateway", DAIRY)
    (refused,) = append(log, twin.capture(2, label="other"))
    assert isinstance(refused, RefusedError)
    assert refused.check == "equivocation"
    proof, suspension = (log.statement_at(index).body for index in (6, 7))
    assert isinstance(proof, Equivocation)
    assert (proof.index, parse_statement(proof.other).kid) == (5, world.gateway.key.kid)
    assert isinstance(suspension, Key)
    assert (suspension.op, suspension.kid) == (KeyOp.SUSPEND, world.gateway.key.kid)
    (after,) = append(log, world.gateway.capture(1))
    assert isinstance(after, RefusedError)
    assert after.check == "key"


def test_a_key_that_goes_on_equivocating_adds_nothing_more(world: World, log: Log) -> None:
    append(log, world.gateway.capture(1))
    for label in ("a", "b", "c"):
        append(log, Source("gateway", DAIRY).capture(2, label=label))
    assert log.size == 8


def test_one_that_is_refused_leaves_nothing_and_its_neighbours_stay(
    world: World, log: Log
) -> None:
    good, skipped = world.gateway.capture(1), world.gateway.capture(1)
    later = world.gateway.capture(1)
    del skipped
    first, refused = append(log, good, later)
    assert isinstance(first, Receipt)
    assert isinstance(refused, RefusedError)
    assert refused.check == "seq"
    assert (log.size, log.reader.load_events(6)) == (6, [])


def test_a_key_may_speak_in_the_batch_that_enrols_it(world: World, log: Log) -> None:
    device = Source("device", DAIRY)
    enrolment = Submission(world.party.enrol(device, "device"), ())
    assert [type(one) for one in append(log, enrolment, device.capture(1))] == [
        Receipt,
        Receipt,
    ]


def test_a_second_writer_is_told_who_holds_the_lock(world: World, log: Log) -> None:
    del log
    with pytest.raises(RefusedError, match=r"is being written by process \d+ on .+ since 2026"):
        world.open()


def test_a_writer_in_another_process_is_refused_too(world: World, log: Log) -> None:
    del log
    code = (
        "import sys; from pathlib import Path; from ledger.store.log import Log\n"
        f"Log(Path(sys.argv[1]), {ORIGIN!r}, now_us=lambda: 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is being written by process" in done.stderr


def test_a_log_is_created_once(world: World) -> None:
    with pytest.raises(RefusedError, match="already"):
        create_log(world.folder, ORIGIN, [], now_us=world.clock, database=world.database)


def test_a_refused_founding_statement_leaves_no_log_behind(
    tmp_path: Path, database: str | None
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    world = World(folder, database=database)
    refused = [world.admin.enrol(world.admin, "party")]
    with pytest.raises(RefusedError, match="role"):
        create_log(folder, ORIGIN, refused, now_us=world.clock, database=database)
    assert [one.name for one in folder.rglob("*") if one.is_file()] == ["lock"]
    world.admin = Source("admin", OPERATOR)
    world.found().open().close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entry SET data = commitment FROM event WHERE idx = 1",
        "DELETE FROM entry WHERE idx = 1",
        UPSERT,
        "UPDATE chain SET idx = 9",
        "DELETE FROM key_entry",
        "UPDATE event SET data = commitment",
        "UPDATE event SET commitment = kid FROM chain",
        "UPDATE event SET data = NULL",
        "DELETE FROM event",
    ],
)
def test_the_database_refuses_to_change_evidence(world: World, log: Log, sql: str) -> None:
    append(log, world.gateway.capture(1))
    with as_owner(world.folder) as owner, pytest.raises(ERRORS, match="evidence is for ever"):
        owner.execute(sql)


def test_replacing_a_row_of_sqlite_is_refused_too(world: World, log: Log) -> None:
    append(log, world.gateway.capture(1))
    if world.database is not None:
        pytest.skip("only SQLite knows REPLACE")
    with as_owner(world.folder) as owner, pytest.raises(ERRORS, match="evidence is for ever"):
        owner.execute("INSERT OR REPLACE INTO entry (idx, data) VALUES (1, x'00')")


def test_an_event_may_be_erased_and_keeps_its_commitment(world: World, log: Log) -> None:
    append(log, world.gateway.capture(1))
    (before,) = log.reader.load_events(5)
    erase = "UPDATE event SET data = NULL WHERE eid >> 17 = 5"
    with as_owner(world.folder) as owner:
        with pytest.raises(ERRORS, match="for ever"):
            owner.execute(erase)  # Nobody has given notice.
        owner.execute("INSERT INTO notice VALUES (5 << 17, 6)")
        owner.execute(erase)
    (after,) = log.reader.load_events(5)
    assert (after.commitment, after.data) == (before.commitment, None)


def test_after_an_error_of_storage_the_log_takes_nothing(world: World, log: Log) -> None:
    submission = world.gateway.capture(1)
    with as_owner(world.folder) as owner:
        owner.execute("DROP TABLE chain")
    with pytest.raises(StorageError, match="failed"):
        append(log, submission)
    with pytest.raises(StorageError, match="takes nothing after"):
        append(log, submission)
    assert log.size == 5


def test_a_clock_that_goes_back_does_not_take_record_time_along(world: World, log: Log) -> None:
    append(log, world.gateway.capture(1))
    world.clock.now -= 1_000_000
    append(log, world.gateway.capture(1))
    times = [parse_entry(log.reader.load_entry(n)).record_time_us for n in (5, 6)]
    assert times[0] == times[1]
