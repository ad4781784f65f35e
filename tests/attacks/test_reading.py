"""The files are damaged, hidden behind views, read beside a server, or read-only."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.audit.chunk import judge_later
from ledger.audit.finding import Result
from ledger.audit.log import LogAudit
from ledger.audit.trustfile import parse_trust
from ledger.cli.verify import audit_folder
from ledger.client.files import LedgerFiles, read_own_trust, read_signed
from tests.attacks.forger import forge
from tests.attacks.ledgers import BuiltLedger


@pytest.fixture
def attacked(small_ledger: Path, copy_of: Callable[[Path], Path]) -> Path:
    return copy_of(small_ledger)


def test_an_audit_runs_beside_a_server_that_writes(open_ledger: BuiltLedger) -> None:
    for _ in range(3):
        open_ledger.capture(open_ledger.gateway, [])
        open_ledger.publish()
        assert (open_ledger.folder / "evidence.db-wal").stat().st_size > 0
        report = audit_folder(open_ledger.folder)
        assert report.result is Result.VERIFIED, report.findings
        assert report.summary.size == open_ledger.log.size


def test_a_server_may_sign_more_while_the_audit_reads(open_ledger: BuiltLedger) -> None:
    with LedgerFiles(open_ledger.folder) as files:
        open_ledger.capture(open_ledger.gateway, [])
        open_ledger.publish()
        files.signed_after = read_signed(open_ledger.folder)
        assert files.signed_after != files.signed_before
        own = read_own_trust(open_ledger.folder)
        assert own is not None
        audit = LogAudit(files, parse_trust(own), judge=judge_later, progress=lambda _: None)
        assert list(audit.run()) == []
        assert audit.summary.size == 30


@pytest.fixture
def read_only(attacked: Path) -> Iterator[Path]:
    """Yield a folder in which nobody but root can create a file."""
    for path in attacked.iterdir():
        path.chmod(stat.S_IRUSR)
    attacked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield attacked
    attacked.chmod(stat.S_IRWXU)


def test_an_audit_runs_on_a_read_only_copy(read_only: Path) -> None:
    before = sorted(read_only.iterdir())
    assert audit_folder(read_only).result is Result.VERIFIED
    assert os.geteuid() == 0 or sorted(read_only.iterdir()) == before


def test_a_view_in_the_place_of_a_table_is_refused(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute("ALTER TABLE entry RENAME TO real_entry")
        evidence.execute("CREATE VIEW entry AS SELECT * FROM real_entry")
    report = audit_folder(attacked)
    assert report.result is Result.UNDECIDED
    assert "no table entry" in report.undecided[0]


def test_an_extra_index_that_could_hold_other_rows_is_refused(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute("CREATE INDEX shadow ON entry (idx, data)")
    report = audit_folder(attacked)
    assert report.result is Result.UNDECIDED
    assert "foreign index 'shadow'" in report.undecided[0]


def test_an_endless_generated_column_ends(attacked: Path) -> None:
    # A table whose pages lead in a circle would do the same: more work than the file can hold.
    with forge(attacked) as evidence:
        evidence.execute("PRAGMA writable_schema = ON")
        endless = (
            "CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note BLOB, "
            "more BLOB GENERATED ALWAYS AS (1) VIRTUAL)"
        )
        evidence.execute(
            "UPDATE sqlite_schema SET sql = ? WHERE name = 'checkpoint'", (endless,)
        )
    audit_folder(attacked)


def test_pages_that_lead_in_a_circle_end(
    tiled_ledger: Path, copy_of: Callable[[Path], Path]
) -> None:
    attacked = copy_of(tiled_ledger)
    path = attacked / "evidence.db"
    connection = sqlite3.connect(path)
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'event'"
    ).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    page = data[(root - 1) * size : root * size]
    assert page[0] in (2, 5), "the table has an interior page"
    # Every child of the root is the root itself.
    cells = int.from_bytes(page[3:5], "big")
    places = [8, *(int.from_bytes(page[12 + 2 * n : 14 + 2 * n], "big") for n in range(cells))]
    for place in places:
        page[place : place + 4] = root.to_bytes(4, "big")
    data[(root - 1) * size : root * size] = page
    path.write_bytes(data)
    assert audit_folder(attacked).result is not Result.VERIFIED


@pytest.mark.parametrize("name", ["evidence.db", "signed.db", "trust.toml"])
def test_without_a_file_nothing_is_verified(attacked: Path, name: str) -> None:
    (attacked / name).unlink()
    report = audit_folder(attacked)
    assert report.result is Result.UNDECIDED
    assert name in report.undecided[0]


@pytest.mark.parametrize("name", ["evidence.db", "signed.db"])
@pytest.mark.parametrize("data", [b"", b"not a database", bytes(8192)])
def test_what_is_no_database_cannot_be_judged(attacked: Path, name: str, data: bytes) -> None:
    (attacked / name).write_bytes(data)
    report = audit_folder(attacked)
    assert report.result is Result.UNDECIDED
    assert name in report.undecided[0]


def test_a_file_cut_in_half_is_not_verified(tiled_ledger: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiled_ledger, tmp_path / "half")
    data = (folder / "evidence.db").read_bytes()
    (folder / "evidence.db").write_bytes(data[: len(data) // 2])
    assert audit_folder(folder).result in (Result.UNDECIDED, Result.TAMPERED)


def test_a_value_of_another_type_is_a_finding(attacked: Path) -> None:
    connection = sqlite3.connect(attacked / "evidence.db")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(replace(sql, 'ROWID,', 'ROWID'), 'STRICT', '')"
    )
    connection.commit()
    connection.close()
    with forge(attacked) as evidence:
        evidence.execute("UPDATE entry SET data = 'text \x1b[2J' WHERE idx = 7")
        evidence.execute("UPDATE checkpoint SET note = 7.5")
    report = audit_folder(attacked)
    assert report.result is Result.TAMPERED
    assert {(1, 7), (1, 15)} <= {(one.check, one.index) for one in report.findings}
