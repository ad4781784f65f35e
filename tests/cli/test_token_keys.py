"""A ledger whose log key, whose party's key and whose gateway's key never leave a token."""

import json
from pathlib import Path

import pytest

from ledger.app import open_ledger
from ledger.audit.finding import Result
from ledger.cli import main
from ledger.cli.verify import audit_folder
from ledger.disclosure import Submission, commitment, events_root
from ledger.founding import Voice, clock_us
from ledger.keyfile import load_signer
from ledger.statement import Capture
from tests.ledger.bundle_scene import item_event
from tests.tokens import PIN, Tokens

DAIRY = "https://id.gs1.org/417/9506000134352"
ORIGIN = "tagtrail.example/token"


class Command:
    """`tagtrail`, and all that it ever printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.printed = ""

    def __call__(self, *words: object) -> tuple[int, str]:
        """Run `tagtrail` in this process; return its exit code and what it printed."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        printed = "".join(self._capsys.readouterr())
        self.printed += printed
        return int(left.value.code or 0), printed


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.delenv("TAGTRAIL_PASSPHRASE", raising=False)
    return Command(capsys)


def test_a_ledger_lives_on_keys_in_a_token(
    softhsm: Tokens, run: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "ledger"
    to = ("--dir", folder)
    made = run("init", *to, "--origin", ORIGIN, "--log-token", softhsm.key("log"))
    assert made[0] == 0, made
    assert PIN not in (folder / "keys" / "log.key").read_text()
    party, gateway = folder / "party.key", folder / "gateway.key"
    for path, role in ((party, "party"), (gateway, "gateway")):
        words = ("--iss", DAIRY, "--role", role, "--token", softhsm.key(role))
        done = run("keys", "make", path, *words)
        assert done[0] == 0, done
    by_admin = ("--by", folder / "keys" / "admin.key")
    done = run("keys", "admit", party, *by_admin, "--prefix", "9506000", *to)
    assert done[0] == 0, done
    # The key that signs needs no file of its own: the URI names it.
    by_party = ("--by", softhsm.key("party"))
    done = run("keys", "enrol", gateway, *by_party, "--prefix", "9506000", *to)
    assert done[0] == 0, done

    submit(folder, softhsm)
    code, listed = run("keys", "list", "--json", *to)
    keys = {key["role"]: key for key in json.loads(listed)}
    assert (code, keys["gateway"]["next_seq"], keys["party"]["next_seq"]) == (0, 1, 1)
    assert keys["log"]["kid"] == load_signer(softhsm.key("log"), b"").kid.hex()
    audit = audit_folder(folder)
    assert audit.result is Result.VERIFIED, audit
    assert PIN not in run.printed


def submit(folder: Path, softhsm: Tokens) -> None:
    """Say one event with the gateway's key, under a checkpoint of the log's key."""
    voice = Voice(
        signer=load_signer(softhsm.key("gateway"), b""),
        iss=DAIRY,
        role="gateway",
        aud=ORIGIN,
        iat=clock_us() // 1_000_000,
    )
    events = (item_event(0),)
    raw = voice.say(Capture(2, len(events), events_root(map(commitment, events))))
    with open_ledger(folder) as ledger:
        assert ledger.sequencer.submit(Submission(raw, events)).result().index


def test_a_key_rotates_from_a_file_into_a_token(
    softhsm: Tokens, run: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "ledger"
    to = ("--dir", folder)
    assert run("init", *to, "--origin", ORIGIN)[0] == 0
    keys = json.loads(run("keys", "list", "--json", *to)[1])
    (old,) = [key["kid"] for key in keys if key["role"] == "admin"]
    by_recovery = ("--by", folder / "keys" / "recovery.key")
    done = run("keys", "rotate", old, softhsm.key("admin"), *by_recovery, *to)
    assert done[0] == 0, done
    shop = folder / "shop.key"
    words = ("--iss", "https://id.gs1.org/417/9506000134376", "--role", "party", *to)
    assert run("keys", "make", shop, *words)[0] == 0
    done = run("keys", "admit", shop, "--by", softhsm.key("admin"), *to)
    assert done[0] == 0, done
    assert audit_folder(folder).result is Result.VERIFIED


def test_a_ledger_whose_log_token_is_wrong_is_not_made(
    softhsm: Tokens, run: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "ledger"
    words = ("init", "--dir", folder, "--origin", ORIGIN, "--log-token")
    assert run(*words, softhsm.key("nobody"))[0] == 2
    code, printed = run(*words, softhsm.key("log") + f"&pin-value={PIN}")
    assert (code, "use pin-source" in printed) == (2, True)
    code, printed = run("keys", "enrol", softhsm.key("log"), "--by", "x", "--dir", tmp_path)
    assert (code, "tagtrail keys make FILE" in printed) == (2, True), printed
    assert list(tmp_path.iterdir()) == []
    assert PIN not in run.printed
