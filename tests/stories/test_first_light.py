"""A newcomer's first hour: the demonstration, twice, a trace, an audit, a recording."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.optional import ROOT

TAGTRAIL = (sys.executable, "-m", "ledger.cli")
DEMO_S_MAX = 280
SAID = ("one item's life", "the audit", "VERIFIED", "complete answers", "what went through")


def tagtrail(*arguments: object, want: int = 0) -> str:
    """Run the command, check its exit code, return what it printed."""
    done = subprocess.run(
        [*TAGTRAIL, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEMO_S_MAX,
        cwd=ROOT,
    )
    assert done.returncode == want, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Play the demonstration once; return its folder and what it printed."""
    folder = tmp_path_factory.mktemp("first-light") / "demo"
    return folder, tagtrail("demo", "--once", "--dir", folder)


def test_the_demonstration_reaches_a_verified_answer(shown: tuple[Path, str]) -> None:
    _, output = shown
    for text in SAID:
        assert text in output
    assert "NOT SO" not in output


def test_the_demonstration_again_changes_nothing(shown: tuple[Path, str]) -> None:
    folder, _ = shown
    before = json.loads(tagtrail("verify", folder, "--json"))
    tagtrail("demo", "--once", "--dir", folder)
    after = json.loads(tagtrail("verify", folder, "--json"))
    assert after["size"] == before["size"]
    assert after["result"] == "verified"


def test_a_folder_of_another_demonstration_is_refused(shown: tuple[Path, str]) -> None:
    folder, _ = shown
    tagtrail("demo", "--once", "--dir", folder, "--seed", 2, want=2)


def test_the_audit_prints_the_shape_that_programs_read(shown: tuple[Path, str]) -> None:
    folder, _ = shown
    report = json.loads(tagtrail("verify", folder, "--json", "--trust", folder / "trust.toml"))
    assert {"target", "origin", "size", "result", "findings", "not_checked"} <= set(report)
    assert report["result"] == "verified"
    assert report["findings"] == []
    assert not any("came from the ledger itself" in line for line in report["not_checked"])
    untrusting = json.loads(tagtrail("verify", folder, "--json"))
    assert "came from the ledger itself" in untrusting["not_checked"][0]


def test_the_index_is_what_a_rebuild_gives(shown: tuple[Path, str]) -> None:
    folder, _ = shown
    report = json.loads(tagtrail("verify", folder, "--json", "--index"))
    assert report["result"] == "verified"


def test_a_trace_names_lots_places_custody_and_temperature(shown: tuple[Path, str]) -> None:
    folder, output = shown
    item = next(line for line in output.splitlines() if "tagtrail trace" in line).split()[2]
    answer = json.loads(tagtrail("trace", item, "--dir", folder, "--json"))
    assert len(answer["derivation"]["inputs"]) >= 3
    assert {span["role"] for span in answer["custody"]} == {"owner", "possessor"}
    assert len({one["party"] for one in answer["tiers"]}) >= 4
    assert any(one["type"] == "Temperature" for one in answer["conditions"])
    assert all(isinstance(one["entry"], int) for one in answer["events"])
    text = tagtrail("trace", item, "--dir", folder)
    assert "\x1b" not in text, "no colours in a pipe"


def test_an_unknown_item_is_a_negative_answer_and_a_malformed_one_a_usage_error(
    shown: tuple[Path, str],
) -> None:
    folder, _ = shown
    tagtrail("trace", "urn:epc:id:sgtin:9506000.013435.1", "--dir", folder, want=1)
    tagtrail("trace", "(01)09506000134353(21)1", "--dir", folder, want=2)


def test_ctrl_c_stops_the_demonstration_and_all_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = subprocess.Popen(
        [*TAGTRAIL, "demo", "--dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell starts its background jobs deaf to Ctrl-C; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("gateway"):
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert not running_below(folder)


def running_below(folder: Path) -> list[str]:
    """Return the command lines of the processes that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command and int(path.parent.name) != os.getpid():
            found.append(command)
    return found
