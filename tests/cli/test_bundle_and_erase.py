"""One item by command: put into a file, verified, erased, and the file still holds."""

from pathlib import Path

import pytest

from ledger.app import open_ledger
from ledger.bundle import parse_bundle
from ledger.cli import main
from ledger.cli.erase import commit_who
from ledger.config import find_passphrase
from ledger.disclosure import Submission, WholeEvent, commitment, events_root
from ledger.founding import Founding, FoundingParty, Voice, clock_us, create_ledger
from ledger.keyfile import load_signer
from ledger.statement import Capture, Erasure
from tests.ledger.bundle_scene import ITEM, item_event

DAIRY = "https://id.gs1.org/417/9506000134352"
GATEWAY_KEY = Path("gateway", "keys", "9506000134352.key")
# The founding entries: admin, recovery, log, capture key, party, gateway.
CAPTURE, NOTICE = 7, 8


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Run `tagtrail` in this process; return exit code and all it printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out + printed.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str | None) -> Path:
    """Return the folder of a ledger with two events about the item and one about another."""
    monkeypatch.delenv("TAGTRAIL_PASSPHRASE", raising=False)
    made = tmp_path / "ledger"
    party = FoundingParty(iss=DAIRY, prefixes=("9506000",))
    founding = Founding(
        origin="tagtrail.example/one", parties=(party,), database=database or ""
    )
    create_ledger(made, founding)
    events = (item_event(0), item_event(1, serial=8), item_event(2))
    submit(made, events)
    return made


def submit(folder: Path, events: tuple[WholeEvent, ...]) -> None:
    signer = load_signer(folder / GATEWAY_KEY, find_passphrase(folder))
    gateway = Voice(
        signer=signer,
        iss=DAIRY,
        role="gateway",
        aud="tagtrail.example/one",
        iat=clock_us() // 1_000_000,
    )
    raw = gateway.say(Capture(2, len(events), events_root(map(commitment, events))))
    with open_ledger(folder) as ledger:
        assert ledger.sequencer.submit(Submission(raw, events)).result().index == CAPTURE


def verify(capsys: pytest.CaptureFixture[str], folder: Path, path: Path) -> tuple[int, str]:
    return run(capsys, "verify", path, "--trust", folder / "trust.toml")


def test_an_item_is_put_into_a_file_that_verifies(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "item.bundle"
    code, printed = run(
        capsys, "bundle", ITEM, "--dir", folder, "-o", path, "--withhold", "why, how"
    )
    assert code == 0, printed
    assert "2 events of 1 statements" in printed
    assert "5 why    shown in 0, absent in 0, withheld in 2" in printed
    assert "the answer differs from the ledger's in: custody, events, gaps," in printed
    assert [one.position for one in parse_bundle(path.read_bytes()).events] == [0, 2]
    code, printed = verify(capsys, folder, path)
    assert code == 0, printed
    assert "worked out again from the events" in printed
    assert b"owning_party" not in path.read_bytes()
    assert b"shipping" not in path.read_bytes()


def test_a_dry_run_lists_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "item.bundle"
    code, printed = run(capsys, "bundle", ITEM, "--dir", folder, "-o", path, "--dry-run")
    assert code == 0, printed
    assert "discloses" in printed
    assert "differs" not in printed
    assert not path.exists()


def test_what_cannot_be_bundled_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "item.bundle"
    unknown = ITEM + "000"
    assert run(capsys, "bundle", unknown, "--dir", folder, "-o", path)[0] == 1
    code, printed = run(capsys, "bundle", ITEM, "--dir", folder, "-o", path, "--withhold", "me")
    assert code == 2
    assert "none of id, about" in printed
    assert run(capsys, "bundle", "no item", "--dir", folder, "-o", path)[0] == 2
    early = run(capsys, "bundle", ITEM, "--dir", folder, "-o", path, "--known-at", 5)
    assert early[0] == 1
    assert not path.exists()


def test_an_erased_event_is_gone_and_the_old_bundle_holds(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.bundle", tmp_path / "new.bundle"
    assert run(capsys, "bundle", ITEM, "--dir", folder, "-o", old)[0] == 0
    words = ("--entry", CAPTURE, "--position", 0, "--reason", 1, "--who", "Ann")
    code, printed = run(capsys, "erase", "--dir", folder, *words)
    assert code == 0, printed
    assert f"entry {NOTICE}: notice of the erasure of 1 events of entry {CAPTURE}" in printed
    code, printed = run(capsys, "verify", folder, "--index")
    assert code == 0, printed
    assert "1 erased with notice, 0 missing" in printed
    assert verify(capsys, folder, old)[0] == 0
    assert run(capsys, "bundle", ITEM, "--dir", folder, "-o", new)[0] == 0
    assert [one.position for one in parse_bundle(new.read_bytes()).events] == [2]
    assert verify(capsys, folder, new)[0] == 0


def test_who_asked_is_a_salted_commitment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--entry", CAPTURE, "--position", 1, "--reason", 1, "--who", "Ann")
    _, printed = run(capsys, "erase", "--dir", folder, *words)
    salt = bytes.fromhex(printed.split("with the salt ")[1][:32])
    with open_ledger(folder) as ledger:
        body = ledger.log.statement_at(NOTICE).body
    assert body == Erasure(((CAPTURE, 1),), 1, commit_who(salt, "Ann"))


def test_who_may_not_erase_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("erase", "--dir", folder, "--reason", 1)
    at = ("--entry", CAPTURE, "--position")
    gateway = ("--by", folder / GATEWAY_KEY)
    code, printed = run(capsys, *words, *at, 0, *gateway)
    assert code == 1
    assert "--last-word" in printed
    admin = ("--by", folder / "keys" / "admin.key")
    code, printed = run(capsys, *words, *at, 0, *admin)
    assert code == 1
    assert "admin key says no" in printed
    assert run(capsys, *words, *at, 9)[0] == 1
    assert run(capsys, *words, "--entry", 99, "--position", 0)[0] == 2
    assert run(capsys, *words, "--entry", 1, "--position", 0)[0] == 2
    with open_ledger(folder) as ledger:
        assert [one.data is not None for one in ledger.log.reader.load_events(CAPTURE)] == [
            True,
            True,
            True,
        ]
    assert run(capsys, *words, *at, 0, *gateway, "--last-word")[0] == 0


def test_a_privacy_key_may_erase_any_event(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = folder / "keys" / "privacy.key"
    to = ("--dir", folder)
    made = ("--iss", "https://privacy.example", "--role", "privacy")
    assert run(capsys, "keys", "make", key, *made, *to)[0] == 0
    by_admin = ("--by", folder / "keys" / "admin.key")
    assert run(capsys, "keys", "enrol", key, *by_admin, *to)[0] == 0
    words = ("--entry", CAPTURE, "--position", 0, "--position", 2, "--reason", 1, "--by", key)
    code, printed = run(capsys, "erase", *to, *words)
    assert code == 0, printed
    assert run(capsys, "verify", folder, "--index")[0] == 0
