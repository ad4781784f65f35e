"""Rows move between files and PostgreSQL: all of them, verified, or nothing changes."""

import shutil
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.app import clock_us
from ledger.audit.finding import Result
from ledger.cli.verify import audit_folder
from ledger.errors import RefusedError, TagtrailError, VerificationError
from ledger.statement import Erasure
from ledger.store.capture_jobs import CaptureJobs, NewJob
from ledger.store.database import home_of
from ledger.store.index import open_index
from ledger.store.log import Log
from ledger.store.moving import Move, move_ledger
from tests.attacks.ledgers import BuiltLedger, Clock, build_ledger, digest, event, paper
from tests.ledger.memory_log import ORIGIN
from tests.ledger.store.owner import as_owner, drop_guard, read_values
from tests.postgres import Cluster

ENTRIES = 300
TABLES = ("entry", "event", "tile", "checkpoint", "chain", "key_entry", "notice", "document")


class CutOffError(Exception):
    """The process that copies is gone."""


@pytest.fixture
def ledger(template: BuiltLedger, tmp_path: Path) -> BuiltLedger:
    """Return a copy of the ledger, with a farm of its own."""
    folder = Path(shutil.copytree(template.folder, tmp_path / "ledger"))
    return replace(template, folder=folder, farm=copy(template.farm))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> BuiltLedger:
    """Return a closed ledger in files, with erased events, documents and jobs on their way."""
    made = build_ledger(tmp_path_factory.mktemp("moving") / "ledger", entries=ENTRIES)
    made.close()
    jobs = CaptureJobs(made.folder)
    for number in range(3):
        jobs.store(new_job(number))
    jobs.finish([(1, b"{}")], 1)
    jobs.close()
    return made


@pytest.fixture
def second_url(postgres: Cluster) -> Iterator[str]:
    """Yield the URL of another empty database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


def new_job(number: int) -> NewJob:
    return NewJob(
        capture_id=f"job{number}",
        created_us=number,
        behaviour="proceed",
        media="application/json",
        sha256=bytes(32),
        data=b"{}",
    )


def move(folder: Path, url: str | None, *, cut_at: int | None = None) -> int:
    """Move the rows; `cut_at` ends it after that many runs."""
    runs = []

    def progress(done: int, size: int) -> Callable[[int], None]:
        assert done <= size

        def advance(index: int) -> None:
            runs.append(index)
            if len(runs) == cut_at:
                raise CutOffError

        return advance

    plan = Move(folder=folder, origin=ORIGIN, url=url)
    size, _ = move_ledger(plan, now_us=clock_us(), progress=progress)
    return size


def all_rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: sorted(read_values(folder, f"SELECT * FROM {table}"), key=repr)
        for table in TABLES
    }


def check_whole(folder: Path) -> None:
    """Assert that the ledger goes on where it is, and that an audit finds nothing."""
    log = Log(folder, ORIGIN, now_us=Clock())
    index = open_index(folder, log.reader)
    while index.follow(log.size):
        pass
    index.close()
    log.close()
    report = audit_folder(folder, index=True)
    assert report.result is Result.VERIFIED, (report.findings, report.undecided)
    jobs = CaptureJobs(folder)
    assert [number for number, _ in jobs.load_unfinished()] == [2, 3]
    jobs.close()


def test_every_row_arrives_there_and_back(
    ledger: BuiltLedger, postgres_url: str, second_url: str
) -> None:
    folder, before = ledger.folder, all_rows(ledger.folder)
    assert before["document"]
    assert before["notice"]
    assert move(folder, postgres_url) == ENTRIES
    assert home_of(folder).url is not None
    assert all_rows(folder) == before
    assert not (folder / "evidence.db").exists()
    check_whole(folder)
    assert move(folder, second_url) == ENTRIES
    assert all_rows(folder) == before
    check_whole(folder)
    (folder / "evidence.db.moved").unlink()
    assert move(folder, None) == ENTRIES
    assert home_of(folder).url is None
    assert all_rows(folder) == before
    check_whole(folder)


def test_a_new_job_gets_a_number_that_no_copied_one_has(
    ledger: BuiltLedger, postgres_url: str
) -> None:
    move(ledger.folder, postgres_url)
    jobs = CaptureJobs(ledger.folder)
    assert jobs.store(new_job(9)) == 4
    jobs.close()


def test_a_copy_that_is_cut_off_changes_nothing_and_goes_on(
    ledger: BuiltLedger, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.copying.ENTRIES_RUN_MAX", 64)
    folder, before = ledger.folder, all_rows(ledger.folder)
    with pytest.raises(CutOffError):
        move(folder, postgres_url, cut_at=3)
    assert home_of(folder).url is None
    assert all_rows(folder) == before
    check_whole(folder)
    assert move(folder, postgres_url) == ENTRIES
    assert all_rows(folder) == before
    check_whole(folder)


def test_a_copy_into_files_that_is_cut_off_goes_on_too(
    ledger: BuiltLedger, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(ledger.folder, postgres_url)
    (ledger.folder / "evidence.db.moved").unlink()
    monkeypatch.setattr("ledger.store.copying.ENTRIES_RUN_MAX", 64)
    with pytest.raises(CutOffError):
        move(ledger.folder, None, cut_at=2)
    check_whole(ledger.folder)
    assert move(ledger.folder, None) == ENTRIES
    check_whole(ledger.folder)


@pytest.mark.parametrize(
    ("table", "verb", "change"),
    [
        ("entry", "update", "UPDATE entry SET data = substr(data, 1, 60) WHERE idx = 9"),
        ("event", "update", "UPDATE event SET commitment = zeroblob(32) WHERE eid = 7 << 17"),
        ("event", "update", "UPDATE event SET data = NULL WHERE eid = 6 << 17"),
        ("event", "delete", "DELETE FROM event WHERE eid = 7 << 17"),
        ("checkpoint", "update", "UPDATE checkpoint SET size = 60 WHERE size = 50"),
        ("tile", "update", "UPDATE tile SET n = 5"),
        ("chain", "delete", "DELETE FROM chain WHERE idx = 9"),
        ("notice", "delete", "DELETE FROM notice"),
        ("document", "update", "UPDATE document SET data = zeroblob(9)"),
    ],
)
def test_rows_that_were_tampered_with_are_not_moved(
    ledger: BuiltLedger, postgres_url: str, table: str, verb: str, change: str
) -> None:
    with as_owner(ledger.folder) as owner:
        drop_guard(owner, table, verb)
        owner.execute(change)
    with pytest.raises(TagtrailError) as refused:
        move(ledger.folder, postgres_url)
    assert not isinstance(refused.value, RefusedError) or "rollback" in str(refused.value)
    assert home_of(ledger.folder).url is None


def test_an_event_that_is_another_is_not_moved(ledger: BuiltLedger, postgres_url: str) -> None:
    ((other,),) = read_values(ledger.folder, "SELECT data FROM event WHERE eid = 13 << 17")
    with as_owner(ledger.folder) as owner:
        drop_guard(owner, "event", "update")
        owner.execute("UPDATE event SET data = ? WHERE eid = 19 << 17", (other,))
    with pytest.raises(VerificationError, match="event 0 of entry 19 is another event"):
        move(ledger.folder, postgres_url)


def test_a_database_with_another_ledger_is_left_alone(
    ledger: BuiltLedger, tmp_path: Path, postgres_url: str
) -> None:
    other = build_ledger(tmp_path / "other", entries=20)
    other.close()
    move(other.folder, postgres_url)
    with pytest.raises(RefusedError, match="already"):
        move(ledger.folder, postgres_url)
    check_rows = read_values(other.folder, "SELECT count(*) FROM entry")
    assert check_rows == [(20,)]


def test_a_ledger_that_is_being_written_is_not_moved(
    ledger: BuiltLedger, postgres_url: str
) -> None:
    log = Log(ledger.folder, ORIGIN, now_us=Clock())
    with pytest.raises(RefusedError, match="is being written by"):
        move(ledger.folder, postgres_url)
    log.close()


def test_both_databases_make_the_same_tiles_and_checkpoints(
    tmp_path: Path, postgres_url: str
) -> None:
    made = [
        build_ledger(tmp_path / "files", entries=ENTRIES),
        build_ledger(tmp_path / "server", entries=ENTRIES, database=postgres_url),
    ]
    for one in made:
        one.close()
    files, server = (all_rows(one.folder) for one in made)
    assert len(files["tile"]) == 1
    assert len(files["checkpoint"]) == 6
    assert files == server


def test_what_was_erased_stays_erased(ledger: BuiltLedger, postgres_url: str) -> None:
    move(ledger.folder, postgres_url)
    ledger.log = Log(ledger.folder, ORIGIN, now_us=Clock())
    index = ledger.capture(
        ledger.farm, [event(ENTRIES, k, cites=paper(1000)) for k in range(2)], paper(1000)
    )
    ledger.say(ledger.farm, Erasure(((index, 1),), 1, digest(1)))
    ledger.log.close()
    move(ledger.folder, None)
    rows = read_values(
        ledger.folder, f"SELECT data IS NULL FROM event WHERE eid >> 17 = {index}"
    )
    assert rows == [(0,), (1,)]
