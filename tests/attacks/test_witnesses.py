"""Witnesses that collude below the quorum, go back, or are left out."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.audit.report import Report
from ledger.audit.trustfile import TRUST_NAME
from ledger.cli.verify import audit_folder
from ledger.tlog.cosignature import Cosigner
from ledger.tlog.note import COSIGNATURE_ED25519
from tests.attacks.crooked import load_leaves, sign
from tests.attacks.forger import forge
from tests.attacks.ledgers import build_ledger
from tests.ledger.memory_log import TIME_S, signer_named

NAMES = ("north", "south", "west")
SIZE = 60
LATER_S = TIME_S + 86_400


def cosigner(name: str, time_s: int = LATER_S) -> Cosigner:
    return Cosigner(
        name=f"{name}.example",
        kind=COSIGNATURE_ED25519,
        private=signer_named(name),
        time_s=time_s,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a ledger with checkpoints of 50 and 60 whose trust asks for two of three."""
    folder = tmp_path / "ledger"
    build_ledger(folder, entries=SIZE).close()
    path = folder / TRUST_NAME
    lines = [f"witness {name} {cosigner(name).key}" for name in NAMES]
    lines += ["group two 2 " + " ".join(NAMES), "quorum two"]
    path.write_text(path.read_text().replace("quorum none", "\n".join(lines)))
    return folder


def cosign(folder: Path, size: int, cosigners: Sequence[Cosigner]) -> None:
    """Put the note of `size`, cosigned, in the place of the stored one."""
    note = sign(load_leaves(folder)[:size], *cosigners)  # type: ignore[arg-type]
    with forge(folder) as evidence:
        evidence.execute("UPDATE checkpoint SET note = ? WHERE size = ?", (note, size))


def found(report: Report) -> list[tuple[int, int | None]]:
    return [(one.check, one.index) for one in report.findings]


def test_a_quorum_of_witnesses_is_enough(folder: Path) -> None:
    for size in (50, SIZE):
        cosign(folder, size, [cosigner("north"), cosigner("west")])
    report = audit_folder(folder)
    assert report.result is Result.VERIFIED, report.findings
    assert (report.summary.witnessed_size, report.summary.witnesses) == (
        SIZE,
        ["north", "west"],
    )


@pytest.mark.parametrize("names", [(), ("north",)], ids=["none", "one"])
def test_witnesses_below_the_quorum_do_not_meet_the_policy(
    folder: Path, names: Sequence[str]
) -> None:
    cosign(folder, SIZE, [cosigner(name) for name in names])
    report = audit_folder(folder)
    assert found(report) == [(6, SIZE - 1)]
    assert report.result.exit_code == 2
    assert all(name in report.findings[0].computed for name in names)


def test_one_witness_under_two_names_is_one_witness(folder: Path) -> None:
    twin = Cosigner(
        name="south.example",
        kind=COSIGNATURE_ED25519,
        private=signer_named("north"),
        time_s=LATER_S,
    )
    cosign(folder, SIZE, [cosigner("north"), twin])
    report = audit_folder(folder)
    assert found(report) == [(6, SIZE - 1)]


def test_an_older_checkpoint_with_the_quorum_is_named(folder: Path) -> None:
    cosign(folder, 50, [cosigner("north"), cosigner("west")])
    report = audit_folder(folder)
    assert found(report) == [(6, SIZE - 1)]
    assert "the one over 50 entries has it" in report.findings[0].what
    assert report.summary.witnessed_size == 50


def test_a_witness_that_was_rolled_back(folder: Path) -> None:
    cosign(folder, 50, [cosigner("north", LATER_S + 60), cosigner("west")])
    cosign(folder, SIZE, [cosigner("north", LATER_S), cosigner("west")])
    report = audit_folder(folder)
    assert found(report) == [(6, SIZE - 1)]
    assert "went back" in report.findings[0].what
    assert report.result.exit_code == 2


def test_a_cosignature_that_does_not_hold_is_tampering(folder: Path) -> None:
    leaves = load_leaves(folder)
    good = sign(leaves, cosigner("north"), cosigner("west"))  # type: ignore[arg-type]
    other = sign(leaves[:50], cosigner("west"))  # type: ignore[arg-type]
    lines = good.decode().split("\n")
    lines[-2] = other.decode().split("\n")[-2]
    with forge(folder) as evidence:
        evidence.execute(
            "UPDATE checkpoint SET note = ? WHERE size = ?", ("\n".join(lines).encode(), SIZE)
        )
    report = audit_folder(folder)
    assert (5, SIZE - 1) in found(report)
    assert report.result.exit_code == 1


def test_a_checkpoint_dated_before_its_entries_is_a_remark(folder: Path) -> None:
    early = TIME_S - 86_400
    cosign(folder, 50, [cosigner("north", early), cosigner("west", early)])
    cosign(folder, SIZE, [cosigner("north", early), cosigner("west", early)])
    report = audit_folder(folder)
    assert found(report) == [(12, SIZE - 1)]
    assert report.result is Result.VERIFIED
