"""What an auditor saw before: going on from it, and convicting a log that shows another."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.audit.fork import NoForkError, format_fork, parse_fork, verify_fork
from ledger.audit.report import Report
from ledger.audit.scope import Scope
from ledger.audit.state import format_state, parse_state
from ledger.audit.trustfile import parse_trust
from ledger.cli.auditing import Options, audit_target
from ledger.client.exporting import export_evidence
from ledger.client.files import read_trust
from ledger.errors import ParseError
from ledger.statement import Policy
from ledger.tlog.note import Ed25519Signer as NoteSigner
from tests.attacks.forger import edit_time, forge, load_entry, relink, resign
from tests.attacks.ledgers import BuiltLedger, build_ledger, digest, event
from tests.ledger.memory_log import signer_named

Audit = Callable[..., Report]


@pytest.fixture
def ledger(tmp_path: Path) -> BuiltLedger:
    """Return a ledger of 300 entries, of which the last 7 are under no checkpoint."""
    return build_ledger(tmp_path / "ledger", entries=300, unsigned=7)


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Return what audits a target with the state file of this test."""

    def run(target: Path, **options: object) -> Report:
        chosen = Options(
            state_file=tmp_path / "state.json", processes=1, fork=tmp_path / "fork.json"
        )
        return audit_target(str(target), replace(chosen, **options))  # type: ignore[arg-type]

    return run


def grow(ledger: BuiltLedger, count: int) -> None:
    for n in range(count):
        ledger.capture(ledger.gateway, [event(1000 + n, 0)])
        if n % 20 == 10:
            ledger.publish()
    ledger.say(ledger.dairy, Policy(0, digest(1)))
    ledger.publish()


def test_a_state_file_has_one_meaning_and_survives_a_round(
    ledger: BuiltLedger, audit: Audit, tmp_path: Path
) -> None:
    assert audit(ledger.folder).result is Result.VERIFIED
    data = (tmp_path / "state.json").read_bytes()
    state = parse_state(data)
    assert state.folded.size == 293
    assert format_state(state.note, state.checks, state.folded) == data
    spoilt = json.loads(data)
    for change in (
        {"format": "x"},
        {"more": 1},
        {"last_leaf": "00"},
        {"note": "x"},
        {"keys": 1},
    ):
        with pytest.raises(ParseError):
            parse_state(json.dumps(spoilt | change).encode())
    ledger.close()


@pytest.mark.parametrize("count", [1, 30, 250])
def test_an_audit_goes_on_from_the_last_verified_checkpoint(
    ledger: BuiltLedger, audit: Audit, count: int
) -> None:
    audit(ledger.folder)
    grow(ledger, count)
    ledger.close()
    report = audit(ledger.folder, since=True)
    assert report.result is Result.VERIFIED, (report.findings, report.undecided)
    assert report.summary.resumed_at == 293
    assert report.summary.size == report.summary.checkpoint_size == 301 + count
    assert report.summary.signatures == 8 + count
    assert any("293 entries" in text for text in report.not_checked)
    assert audit(ledger.folder, since=True).summary.signatures == 0
    assert audit(ledger.folder).result is Result.VERIFIED


def test_an_export_goes_on_too(ledger: BuiltLedger, audit: Audit, tmp_path: Path) -> None:
    trust = tmp_path / "ledger" / "trust.toml"
    export_evidence(ledger.folder, tmp_path / "first")
    assert audit(tmp_path / "first", trust_file=trust).result is Result.VERIFIED
    grow(ledger, 300)
    ledger.close()
    export_evidence(ledger.folder, tmp_path / "second")
    report = audit(tmp_path / "second", trust_file=trust, since=True)
    assert report.result is Result.VERIFIED, (report.findings, report.undecided)
    assert report.summary.resumed_at == 293


def test_tampering_after_the_checkpoint_is_found_when_going_on(
    ledger: BuiltLedger, audit: Audit
) -> None:
    audit(ledger.folder)
    grow(ledger, 20)
    ledger.close()
    with forge(ledger.folder) as evidence:
        data = edit_time(load_entry(evidence, 310))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 310", (data,))
    report = audit(ledger.folder, since=True)
    assert report.result is Result.TAMPERED
    assert {finding.index for finding in report.findings} == {310}


def test_tiles_damaged_before_the_checkpoint_make_it_start_over(
    ledger: BuiltLedger, audit: Audit
) -> None:
    audit(ledger.folder)
    ledger.close()
    with forge(ledger.folder) as evidence:
        evidence.execute("UPDATE tile SET data = zeroblob(8192)")
    report = audit(ledger.folder, since=True)
    assert report.result is Result.TAMPERED
    assert report.summary.resumed_at == 0
    assert "audited again" in report.undecided[0]


def rewrite(folder: Path, index: int) -> None:
    """Edit an entry, rebuild everything, and sign it with the log's own key."""
    with forge(folder) as evidence:
        data = edit_time(load_entry(evidence, index))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = ?", (data, index))
        leaves = relink(evidence)
    resign(folder, leaves, "log")


@pytest.mark.parametrize("grown", [0, 40])
@pytest.mark.parametrize("since", [False, True], ids=["whole", "since"])
def test_a_log_that_was_signed_anew_is_convicted_by_two_notes(
    ledger: BuiltLedger, audit: Audit, tmp_path: Path, *, grown: int, since: bool
) -> None:
    audit(ledger.folder)
    if grown:
        grow(ledger, grown)
    ledger.close()
    rewrite(ledger.folder, 292)
    report = audit(ledger.folder, since=since)
    assert report.result is Result.TAMPERED
    assert (7, 292) in [(finding.check, finding.index) for finding in report.findings]
    proof = parse_fork((tmp_path / "fork.json").read_bytes())
    trust = parse_trust(read_trust(ledger.folder / "trust.toml"))
    old, new = verify_fork(proof, trust)
    assert old.checkpoint.size == 293
    assert new.checkpoint.size == 293 + (8 + grown if grown else 0)


def test_a_split_view_convicts_whoever_shows_it_to_two_auditors(
    ledger: BuiltLedger, audit: Audit, tmp_path: Path
) -> None:
    ledger.close()
    other = Path(shutil.copytree(ledger.folder, tmp_path / "other"))
    rewrite(other, 292)
    assert audit(ledger.folder).result is Result.VERIFIED
    report = audit(other)
    # A source saw the first of the two, and says so in the second.
    assert {finding.check for finding in report.findings} == {7, 12}
    assert "proves to anyone" in report.notes[0]


def test_a_log_that_was_cut_back_with_all_its_files_is_found_without_a_proof(
    ledger: BuiltLedger, audit: Audit, tmp_path: Path
) -> None:
    ledger.close()
    old = Path(shutil.copytree(ledger.folder, tmp_path / "old"))
    again = build_ledger(tmp_path / "longer", entries=320)
    again.close()
    assert audit(again.folder).result is Result.VERIFIED
    report = audit(old)
    assert [(finding.check, finding.index) for finding in report.findings] == [(7, 300)]
    assert not (tmp_path / "fork.json").exists()
    assert "no proof" in report.notes[0]


def test_a_fork_proof_proves_nothing_against_another_log_or_with_equal_roots(
    ledger: BuiltLedger, audit: Audit, tmp_path: Path
) -> None:
    audit(ledger.folder)
    ledger.close()
    rewrite(ledger.folder, 292)
    audit(ledger.folder)
    data = (tmp_path / "fork.json").read_bytes()
    proof = parse_fork(data)
    assert format_fork(proof) == data
    trust = parse_trust(read_trust(ledger.folder / "trust.toml"))
    log = str(NoteSigner(trust.origin, signer_named("log")).key)
    other = str(NoteSigner(trust.origin, signer_named("another")).key)
    text = (ledger.folder / "trust.toml").read_text().replace(log, other)
    for wrong, by in (
        (proof, parse_trust(text.encode())),
        (replace(proof, new=proof.old), trust),
        (replace(proof, root=digest(3)), trust),
        (replace(proof, proof=(digest(1),)), trust),
    ):
        with pytest.raises(NoForkError):
            verify_fork(wrong, by)


def test_a_sample_leaves_no_state_and_says_how_much_it_left_out(
    ledger: BuiltLedger, audit: Audit, tmp_path: Path
) -> None:
    ledger.close()
    report = audit(ledger.folder, scope=Scope(sample=10, seed=b"x"))
    assert report.result is Result.VERIFIED
    assert 5 < report.summary.signatures < 60
    assert any("one statement in 10" in text for text in report.not_checked)
    assert not (tmp_path / "state.json").exists()
