"""A log that signs with ML-DSA-44 beside Ed25519, where its founder asked for it."""

from contextlib import closing
from pathlib import Path

import pytest

from ledger.app import Founding, clock_us, create_ledger, open_ledger
from ledger.audit.trustfile import parse_trust
from ledger.cli.verify import audit_folder
from ledger.config import ServeSettings, find_passphrase, load_trust
from ledger.keyfile import load_signer
from ledger.store.log import Log
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.cosignature import has_ml_dsa_44
from ledger.tlog.note import format_vkey
from ledger.tlog.policy import Policy, PolicyNotMetError, evaluate_policy
from tests.attacks.forger import forge
from tests.ledger.federation.anchors import say_anchor

ORIGIN = "tagtrail.example/twice"
pytestmark = pytest.mark.skipif(
    not has_ml_dsa_44(), reason="the installed cryptography has no ML-DSA-44"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_ledger(tmp_path / "log", Founding(origin=ORIGIN, ml_dsa=True))
    return tmp_path / "log"


def newest(folder: Path) -> bytes:
    with closing(Log(folder, ORIGIN, now_us=clock_us)) as log:
        found = log.reader.load_newest_checkpoint()
    assert found is not None
    return found[1]


def test_both_keys_of_the_log_sign_and_the_trust_file_lists_both(folder: Path) -> None:
    policy = load_trust(folder).policy
    assert [log.key.kind for log in policy.logs] == [0x01, 0x06]
    endorsed = evaluate_policy(policy, parse_signed_checkpoint(newest(folder)))
    assert len(endorsed.logs) == 2


def test_a_server_goes_on_signing_with_both(folder: Path) -> None:
    with open_ledger(folder, ServeSettings(publish_every_s=0.05)) as ledger:
        note = ledger.clockwork.newest_checkpoint()
    assert note is not None
    assert len(parse_signed_checkpoint(note[1]).note.signatures) == 2


def test_without_being_asked_the_log_signs_with_ed25519_alone(tmp_path: Path) -> None:
    create_ledger(tmp_path / "plain", Founding(origin=ORIGIN))
    trust = parse_trust((tmp_path / "plain" / "trust.toml").read_bytes())
    assert [log.key.kind for log in trust.policy.logs] == [0x01]
    assert len(parse_signed_checkpoint(newest(tmp_path / "plain")).note.signatures) == 1


def test_an_auditor_without_ml_dsa_judges_by_the_other_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = parse_signed_checkpoint(newest(folder))
    policy = load_trust(folder).policy
    monkeypatch.setattr("ledger.tlog.cosignature._mldsa", None)
    (only,) = evaluate_policy(policy, note).logs
    assert format_vkey(only) == str(policy.logs[0].key)
    alone = Policy(logs=policy.logs[1:], witnesses=(), groups=(), quorum="none")
    with pytest.raises(PolicyNotMetError, match="cannot judge"):
        evaluate_policy(alone, note)


def test_a_signature_of_the_second_key_cannot_be_taken_away_unseen(folder: Path) -> None:
    key = load_signer(folder / "keys" / "log.key", find_passphrase(folder))
    with open_ledger(folder, ServeSettings(publish_every_s=0.05)) as ledger:
        say_anchor(ledger.log, key, "neighbour")
        size = ledger.log.size
    assert not audit_folder(folder).findings
    kept, _, _ = newest(folder).decode().rpartition("\u2014 ")
    with forge(folder) as evidence:
        evidence.execute("UPDATE checkpoint SET note = ? WHERE size = ?", (kept.encode(), size))
    (finding,) = audit_folder(folder).findings
    assert (finding.check, finding.index) == (5, size - 1)
    assert "lacks the signature" in finding.what
