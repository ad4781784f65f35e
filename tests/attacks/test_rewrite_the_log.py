"""Entries are edited, deleted, inserted, swapped, repeated, cut off, or all signed anew."""

import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.audit.report import KEYS_FROM_LEDGER, Report
from ledger.cli.verify import audit_folder
from tests.attacks.forger import edit_time, forge, load_entry, relink, resign
from tests.attacks.ledgers import BuiltLedger, write_trust

Copy = Callable[[Path], Path]


@pytest.fixture
def attacked(tiled_ledger: Path, copy_of: Copy) -> Path:
    """Return the folder of a copy of a ledger of 300 entries, signed to its end."""
    return copy_of(tiled_ledger)


def found(report: Report) -> list[tuple[int, int | None]]:
    """Return check and entry of each finding."""
    return [(finding.check, finding.index) for finding in report.findings]


@pytest.mark.parametrize("index", [0, 1, 17, 255, 256, 298, 299])
def test_an_edited_entry_is_named_and_nothing_else(attacked: Path, index: int) -> None:
    with forge(attacked) as evidence:
        data = edit_time(load_entry(evidence, index))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = ?", (data, index))
    report = audit_folder(attacked)
    assert report.result is Result.TAMPERED
    assert {at for _, at in found(report)} == {index}


@pytest.mark.parametrize("index", [0, 5, 256, 298])
def test_a_deleted_entry_is_named(attacked: Path, index: int) -> None:
    with forge(attacked) as evidence:
        evidence.execute("DELETE FROM entry WHERE idx = ?", (index,))
    report = audit_folder(attacked)
    assert report.result is Result.TAMPERED
    assert (2, index) in found(report)


def test_a_deleted_newest_entry_is_a_log_cut_short(attacked: Path) -> None:
    with forge(attacked) as evidence:
        for table in ("entry", "chain"):
            evidence.execute(f"DELETE FROM {table} WHERE idx = 299")
        evidence.execute("DELETE FROM event WHERE eid >> 17 = 299")
    report = audit_folder(attacked)
    assert found(report) == [(4, 299), (4, 299)]
    assert "cut off" in report.findings[0].what


def test_two_swapped_entries_are_named(attacked: Path) -> None:
    with forge(attacked) as evidence:
        first, second = load_entry(evidence, 40), load_entry(evidence, 41)
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 40", (second,))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 41", (first,))
    report = audit_folder(attacked)
    assert report.result is Result.TAMPERED
    assert {40, 41} <= {index for _, index in found(report)}


def test_a_repeated_entry_is_named(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute(
            "UPDATE entry SET data = ? WHERE idx = 60", (load_entry(evidence, 59),)
        )
    report = audit_folder(attacked)
    assert report.result is Result.TAMPERED
    assert (2, 60) in found(report)


@pytest.mark.parametrize("index", [5, 120, 299])
def test_an_entry_inserted_in_the_middle_is_named(attacked: Path, index: int) -> None:
    with forge(attacked) as evidence:
        for at in range(299, index - 1, -1):
            evidence.execute("UPDATE entry SET idx = ? WHERE idx = ?", (at + 1, at))
        evidence.execute(
            "INSERT INTO entry VALUES (?, ?)", (index, load_entry(evidence, index - 1))
        )
    report = audit_folder(attacked)
    assert report.result.exit_code == 1
    # The two that do not fit are the copy and what it is a copy of.
    assert {(2, index - 1), (2, index)} & set(found(report))
    assert min(at for _, at in found(report) if at is not None) >= index - 1


def test_an_entry_inserted_at_the_end_has_no_place_in_its_chain(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute("INSERT INTO entry VALUES (300, ?)", (load_entry(evidence, 240),))
        relink(evidence)
    report = audit_folder(attacked)
    assert report.result is Result.TAMPERED
    assert (10, 300) in found(report)


def test_an_edit_with_all_links_and_tiles_rebuilt_breaks_the_signed_roots(
    attacked: Path,
) -> None:
    with forge(attacked) as evidence:
        data = edit_time(load_entry(evidence, 120))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 120", (data,))
        relink(evidence)
    report = audit_folder(attacked)
    assert report.result is Result.TAMPERED
    # Whoever signed after seeing the log as it was convicts it too (12).
    assert {check for check, _ in found(report)} == {4, 12}
    # The checkpoint of size 100 holds, that of 150 does not: the edit is in between.
    assert found(report)[0] == (4, 149)
    assert "from 100 on" in report.findings[0].what


def test_a_log_signed_anew_by_its_own_key_needs_another_holder_of_a_checkpoint(
    attacked: Path,
) -> None:
    with forge(attacked) as evidence:
        data = edit_time(load_entry(evidence, 120))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 120", (data,))
        leaves = relink(evidence)
    resign(attacked, leaves, "log")
    report = audit_folder(attacked)
    # What a source saw of the log since then convicts it: its statement holds the old root.
    assert report.result is Result.TAMPERED
    assert {check for check, _ in found(report)} == {12}


def test_a_wholly_re_signed_forgery_passes_only_for_who_trusts_the_ledger_itself(
    attacked: Path, tmp_path: Path
) -> None:
    trust = write_trust(attacked).rename(tmp_path / "trust.toml")
    with forge(attacked) as evidence:
        data = edit_time(load_entry(evidence, 299))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 299", (data,))
        leaves = relink(evidence)
    resign(attacked, leaves, "another log key")
    write_trust(attacked, log_key="another log key")
    believed = audit_folder(attacked)
    assert believed.result is Result.VERIFIED
    assert believed.not_checked[0] == KEYS_FROM_LEDGER
    report = audit_folder(attacked, trust_file=trust)
    assert report.result is Result.TAMPERED
    assert {check for check, _ in found(report)} == {5}
    assert KEYS_FROM_LEDGER not in report.not_checked


def test_another_entry_0_is_found_by_who_pins_it(attacked: Path, tmp_path: Path) -> None:
    trust = write_trust(attacked).rename(tmp_path / "trust.toml")
    with forge(attacked) as evidence:
        data = edit_time(load_entry(evidence, 0))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 0", (data,))
        leaves = relink(evidence)
    resign(attacked, leaves, "log")
    report = audit_folder(attacked, trust_file=trust)
    assert report.result is Result.TAMPERED
    assert (9, 0) in found(report)


def test_entries_after_the_newest_checkpoint_are_no_finding(open_ledger: BuiltLedger) -> None:
    open_ledger.capture(open_ledger.gateway, [])
    report = audit_folder(open_ledger.folder)
    assert report.result is Result.VERIFIED
    assert report.summary.unsigned == 1
    assert any("newest 1 entries" in text for text in report.not_checked)


def test_an_old_copy_of_the_evidence_put_back_is_a_log_cut_short(
    open_ledger: BuiltLedger, copy_of: Copy
) -> None:
    old = copy_of(open_ledger.folder)
    open_ledger.capture(open_ledger.gateway, [])
    open_ledger.publish()
    open_ledger.close()
    for suffix in ("-wal", "-shm"):
        (old / f"signed.db{suffix}").unlink()
    shutil.copy(open_ledger.folder / "signed.db", old)
    report = audit_folder(old)
    assert found(report) == [(4, 30)]
    assert "cut off" in report.findings[0].what


def test_signed_db_put_back_is_found(attacked: Path) -> None:
    with forge(attacked, "signed.db") as signed, forge(attacked) as evidence:
        (note,) = evidence.execute("SELECT note FROM checkpoint WHERE size = 250").fetchone()
        root = note.decode().split("\n")[2]
        signed.execute("UPDATE signed SET size = 250, root = ?", (b64decode(root),))
    report = audit_folder(attacked)
    assert found(report) == [(4, 299)]
    assert "put back" in report.findings[0].what
