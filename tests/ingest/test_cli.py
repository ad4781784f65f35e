"""`tagtrail gateway` as a person uses it, with a real ledger behind it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.pipeline import Keeper
from ingest.reads import Arrival
from tests.ingest.scene import T0, make_folder, read_payload, sgtin

R700_BAD = (
    b'data: {"timestamp":"2024-08-06T12:00:00Z","eventType":"tagInventory",'
    b'"tagInventoryEvent":{"epc":"2U3T7XY4z5tHhbvN","epcHex":"3500B6D9801234567890ABCDEF"}}\n'
)


def tagtrail(*arguments: str | Path, code: int = 0) -> str:
    """Run the command, expect its exit code, and return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code in (0, 1) else done.stderr


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    files = {
        "reads.ndjson": read_payload(7, 0) + b"\n" + read_payload(8, 60) + b"\n",
        "raw.json": b'["E28011700001", "nonsense"]',
        "sse.txt": R700_BAD,
        "will.txt": b"connection lost",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def replayed(
    recordings: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, object]]:
    """Return a ledger's folder after a replay into it, and what the replay said."""
    folder = tmp_path_factory.mktemp("ledger") / "new"
    said = tagtrail("gateway", "replay", *recordings, "--dir", folder, "--json")
    return folder, json.loads(said)


def test_a_replay_accounts_for_every_message(replayed: tuple[Path, dict[str, object]]) -> None:
    _, said = replayed
    assert said["complete"] is True
    assert said["messages"] == 5
    assert said["reads"] == 3
    assert said["events"] == 3
    assert said["entries"] == said["statements"]
    quarantined = said["quarantined"]
    assert isinstance(quarantined, list)
    reasons = [one["why"] for one in quarantined]
    assert any("broken hex" in why for why in reasons)
    assert any("disagree" in why for why in reasons)
    assert any("connection lost" in why for why in reasons)
    assert len(reasons) == 3


def test_what_was_replayed_can_be_verified(replayed: tuple[Path, dict[str, object]]) -> None:
    folder, _ = replayed
    assert "VERIFIED" in tagtrail("verify", folder)


def test_the_same_files_again_change_nothing(
    recordings: list[Path], replayed: tuple[Path, dict[str, object]]
) -> None:
    folder, _ = replayed
    said = json.loads(tagtrail("gateway", "replay", *recordings, "--dir", folder, "--json"))
    assert (said["messages"], said["repeats"], said["events"]) == (0, 5, 0)
    assert said["complete"] is True


def test_status_and_quarantine_show_what_became_of_it(
    replayed: tuple[Path, dict[str, object]],
) -> None:
    folder, _ = replayed
    status = json.loads(tagtrail("gateway", "status", "--dir", folder, "--json"))
    assert (status["messages"], status["waiting"], status["parked"]) == (5, 0, [])
    assert "quarantined" in tagtrail("gateway", "status", "--dir", folder)
    listed = json.loads(tagtrail("gateway", "quarantine", "list", "--dir", folder, "--json"))
    number = next(one["message"] for one in listed if "disagree" in one["why"])
    shown = tagtrail("gateway", "quarantine", "show", str(number), "--dir", folder)
    assert R700_BAD.decode().strip() in shown
    assert "epc and epcHex disagree" in shown


def test_a_replay_that_cannot_deliver_says_so_and_exits_1(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "gateway")
    with Keeper(settings.folder) as keeper:
        keeper.keep([Arrival("a", b"connection lost", T0)])
    (tmp_path / "f.json").write_bytes(read_payload(7, 0))
    command = ["gateway", "replay", tmp_path / "f.json", "--dir", tmp_path]
    said = tagtrail(*command, "--ledger", "http://127.0.0.1:9", "--patience", "0", code=1)
    assert "not delivered" in said
    assert sgtin(7) not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "missing.json", "--dir", "DIR"), "missing.json"),
        (("replay", "FILE", "--dir", "DIR", "--plan", "FILE"), "is no TOML"),
        (("replay", "FILE", "--dir", "DIR", "--plan", "none.toml"), "none.toml"),
        (("status", "--dir", "DIR"), "gateway.toml"),
        (("quarantine", "list", "--dir", "DIR"), "gateway.toml"),
        (("run", "--dir", "DIR", "--broker", "x", "--plan", "x"), "gateway.toml"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "file.json").write_bytes(b"{}")
    names = {"DIR": str(tmp_path / "new"), "FILE": str(tmp_path / "file.json")}
    error = tagtrail("gateway", *(names.get(one, one) for one in arguments), code=2)
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()
