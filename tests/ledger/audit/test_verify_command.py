"""`tagtrail verify` as a user runs it: exit codes, JSON, plain text, refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.forger import edit_time, forge, load_entry
from tests.attacks.ledgers import build_ledger, write_trust

USAGE = 4


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "ledger"
    build_ledger(folder, entries=12, unsigned=2).close()
    return folder


def verify(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ledger.cli", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_whole_ledger_exits_0_and_says_what_was_not_checked(ledger: Path) -> None:
    done = verify(ledger)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VERIFIED")
    assert "--trust" in done.stdout
    assert "That a sensor told the truth." in done.stdout
    assert done.stderr == ""


def test_the_json_has_the_agreed_shape(ledger: Path) -> None:
    done = verify(ledger, "--json", "--trust", write_trust(ledger))
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["target"] == str(ledger)
    assert report["origin"] == "tagtrail.example/test"
    assert report["size"] == 12
    assert report["result"] == "verified"
    assert report["findings"] == []
    assert report["summary"]["unsigned"] == 2
    assert not any("--trust" in text for text in report["not_checked"])


def test_tampering_exits_1_and_each_finding_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "attacked"
    build_ledger(folder, entries=12).close()
    with forge(folder) as evidence:
        data = edit_time(load_entry(evidence, 8))
        evidence.execute("UPDATE entry SET data = ? WHERE idx = 8", (data,))
    done = verify(folder, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["result"] == "tampered"
    for finding in report["findings"]:
        assert finding["index"] == 8
        keys = {"check", "index", "field", "expected", "computed", "what", "who", "todo"}
        assert keys <= finding.keys()
        assert all(finding[key] not in ("", None) for key in keys)
    plain = verify(folder)
    assert plain.returncode == 1
    assert "entry 8" in plain.stdout


def test_what_cannot_be_judged_exits_3(tmp_path: Path) -> None:
    done = verify(tmp_path, "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["result"] == "undecided"
    assert "evidence.db" in verify(tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "TARGET"),
        (["/nowhere"], "no folder"),
        ([__file__], "no bundle"),
        (["ftp://log.example/"], "ftp://"),
        (["https:///tile"], "no host"),
        (["mysql://localhost/ledger"], "mysql://"),
        ([".", "--seed", "00"], "--sample"),
        ([".", "--fork", "fork.json"], "--state"),
        (["http://127.0.0.1:1/", "--custody"], "--custody"),
        (["postgresql://127.0.0.1:1/x", "--state", "s", "--since", "--index"], "audited"),
        ([".", "--nonsense"], "--nonsense"),
        ([".", "--checks", "1-99"], "1 to 15"),
        ([".", "--checks", "seven"], "no number"),
        ([".", "--sample", "0"], "--sample"),
        ([".", "--sample", "2", "--seed", "xyz"], "not hex"),
        ([".", "--since"], "--state"),
        ([".", "--state", __file__], "state file"),
        (["http://127.0.0.1:1/", "--index"], "--index"),
        ([".", "--trust", "/nowhere.toml"], "nowhere.toml"),
        ([".", "--trust", __file__], "not TOML"),
    ],
)
def test_usage_exits_4_and_says_why(arguments: list[str], why: str) -> None:
    done = verify(*arguments)
    assert done.returncode == USAGE, done.stdout
    assert why in done.stderr
    assert done.stdout == ""


def test_the_auditor_loads_neither_server_nor_database_toolkit(ledger: Path) -> None:
    code = (
        "import sys\n"
        "from ledger.cli import main\n"
        f"try: main(['verify', {str(ledger)!r}])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "bad = [n for n in ('sqlmodel', 'sqlalchemy', 'fastapi', 'ledger.store', 'paho')"
        " if n in sys.modules]\n"
        "sys.exit(bool(bad))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
