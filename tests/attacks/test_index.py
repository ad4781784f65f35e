"""The index is edited: `--index` rebuilds it from the evidence and compares."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.cli.verify import audit_folder
from ledger.store.evidence import EvidenceReader
from ledger.store.index import open_index
from tests.attacks.forger import forge

EVENT = 12 << 17


@pytest.fixture
def indexed(small_ledger: Path, copy_of: Callable[[Path], Path]) -> Path:
    """Return the folder of a ledger whose index has followed all of it."""
    folder = copy_of(small_ledger)
    reader = EvidenceReader(folder)
    index = open_index(folder, reader)
    while index.follow(reader.load_size()):
        pass
    index.close()
    reader.close()
    return folder


def test_an_index_as_the_server_made_it_is_no_finding(indexed: Path) -> None:
    report = audit_folder(indexed, index=True)
    assert report.result is Result.VERIFIED, report.findings
    assert not any("Check 14" in text for text in report.not_checked)
    assert any("Check 14" in text for text in audit_folder(indexed).not_checked)


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        (f"UPDATE event SET biz_step = 'receiving' WHERE eid = {EVENT}", 12),
        (f"UPDATE event SET event_time_us = event_time_us + 1 WHERE eid = {EVENT}", 12),
        (f"UPDATE event SET grade = 3 WHERE eid = {EVENT}", 12),
        (f"UPDATE event SET read_point = NULL WHERE eid = {EVENT}", 12),
        (f"UPDATE event SET eid = eid + 100 WHERE eid = {EVENT}", 12),
        (f"DELETE FROM event WHERE eid = {EVENT}", 12),
        (f"DELETE FROM mention WHERE eid = {EVENT} AND role = 0", 12),
        (f"UPDATE mention SET eid = eid + 1 WHERE eid = {EVENT} AND role = 0", 12),
        (f"UPDATE mention SET role = 1 WHERE eid = {EVENT} AND role = 0", 12),
        ("UPDATE key SET text = text || '9' WHERE text LIKE '%/21/96'", 12),
        ("DELETE FROM key WHERE text LIKE '%/21/96'", 12),
        (
            "INSERT INTO mention SELECT key, role, event_time_us, 1 << 40 FROM mention LIMIT 1",
            None,
        ),
        ("UPDATE progress SET next_idx = 1000", None),
        ("UPDATE progress SET next_idx = 12", 12),
        ("DELETE FROM progress", None),
    ],
)
def test_an_edited_row_of_the_index_is_found(
    indexed: Path, change: str, entry: int | None
) -> None:
    with forge(indexed, "index.db") as index:
        assert index.execute(change).rowcount >= 1
    assert audit_folder(indexed).result is Result.VERIFIED
    report = audit_folder(indexed, index=True)
    assert report.result is Result.TAMPERED
    assert {finding.check for finding in report.findings} == {14}
    assert entry is None or entry in {finding.index for finding in report.findings}


def test_an_index_whose_tables_contradict_their_indexes_is_found(indexed: Path) -> None:
    with forge(indexed, "index.db") as index:
        index.execute("PRAGMA writable_schema = ON")
        index.execute("CREATE TABLE spare (text TEXT NOT NULL UNIQUE)")
        index.execute(
            "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema "
            "WHERE name = 'sqlite_autoindex_spare_1') WHERE name = 'sqlite_autoindex_key_1'"
        )
        index.execute("DELETE FROM sqlite_schema WHERE name LIKE '%spare%'")
    assert audit_folder(indexed, index=True).result is Result.TAMPERED


def test_no_index_cannot_be_judged(small_ledger: Path) -> None:
    report = audit_folder(small_ledger, index=True)
    assert report.result is Result.UNDECIDED
    assert "index.db" in report.undecided[0]


def test_an_index_in_which_a_row_is_no_number_is_found(indexed: Path) -> None:
    connection = sqlite3.connect(indexed / "index.db")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(replace(sql, 'ROWID,', 'ROWID'), 'STRICT', '')"
    )
    connection.commit()
    connection.close()
    with forge(indexed, "index.db") as index:
        index.execute(f"UPDATE event SET grade = 'two' WHERE eid = {EVENT}")
    report = audit_folder(indexed, index=True)
    assert report.result is Result.TAMPERED
    assert (14, 12) in [(finding.check, finding.index) for finding in report.findings]
