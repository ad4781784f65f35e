"""Bad input at every door of a running line: a clear answer, nothing lost, everything lives."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import urllib3

from tests.optional import ROOT, Broker, stop

TAGTRAIL = (sys.executable, "-m", "ledger.cli")
PARTY = "https://id.gs1.org/417/9506000134352"
PLAN = ROOT / "docs" / "examples" / "plan.toml"
SETTLE_S = 60.0
GOOD = b'{"epc":"3066C4409047E140075BCD15","timestamp":"2026-01-01T00:00:00Z"}'
BAD = (
    b"",
    b"\x00\xff\xfe not text",
    b"{",
    b"[" * 100_000,
    b'{"epc":"zz"}',
    b'{"epc":1e999}',
    b'{"epc":null,"epc":"' + b"A" * 400_000 + b'"}',
    b'"\\ud800"',
    os.urandom(50_000),
    b'{"type":"line.lot","quantity":"NaN"}',
)


@dataclass(frozen=True, slots=True)
class Line:
    """A running ledger and gateway, and the broker between the world and them."""

    url: str
    folder: Path
    broker: Broker
    processes: tuple["subprocess.Popen[str]", ...]


@contextmanager
def started(
    ready: str, log: Path, *arguments: object
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*TAGTRAIL, *map(str, arguments)], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(ready), log.read_text()
        yield line.removeprefix(ready).strip(), process
    finally:
        stop(process)
        process.stdout.close()


@pytest.fixture
def line(tmp_path: Path, mosquitto: Broker) -> Iterator[Line]:
    folder, log = tmp_path / "ledger", tmp_path / "log"
    subprocess.run(
        [*TAGTRAIL, "init", "--dir", str(folder), "--origin", "tagtrail.example/bad",
         "--party", f"{PARTY}=Example:9506000"],
        check=True, capture_output=True,
    )  # fmt: skip
    with ExitStack() as stack:
        url, serve = stack.enter_context(
            started("listening on ", log, "serve", "--dir", folder, "--port", 0)
        )
        _, gateway = stack.enter_context(
            started(
                "subscribed at ", log,
                "gateway", "run", "--dir", folder / "gateway", "--broker", mosquitto.url,
                "--plan", PLAN, "--ledger", url,
            )
        )  # fmt: skip
        yield Line(url, folder, mosquitto, (serve, gateway))


def publish(broker: Broker, payloads: tuple[bytes, ...]) -> None:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bad-reader")
    client.connect(broker.host, broker.port)
    client.loop_start()
    sent = [client.publish("gate/1", payload, qos=1) for payload in payloads]
    for one in sent:
        one.wait_for_publish(SETTLE_S)
    client.disconnect()
    client.loop_stop()


def status(folder: Path) -> dict[str, int]:
    done = subprocess.run(
        [*TAGTRAIL, "gateway", "status", "--dir", str(folder), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_bad_payloads_go_to_quarantine_and_the_next_good_read_is_an_event(line: Line) -> None:
    publish(line.broker, (*BAD, GOOD))
    deadline = time.monotonic() + SETTLE_S
    found = status(line.folder)
    while found["events"] == 0 and time.monotonic() < deadline:
        time.sleep(0.5)
        found = status(line.folder)
    assert all(process.poll() is None for process in line.processes)
    assert found["quarantined_messages"] == len(BAD)
    assert found["events"] == 1
    assert found["entries"] >= 1, "the event; the gap that quarantine leaves may come later"
    listed = subprocess.run(
        [*TAGTRAIL, "gateway", "quarantine", "list", "--dir", str(line.folder), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(one["why"] for one in json.loads(listed.stdout))


@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "want"),
    [
        ("POST", "/statements", "application/vnd.tagtrail.submission+cbor", b"\xff" * 100, 400),
        ("POST", "/statements", "application/vnd.tagtrail.submission+cbor", b"", 400),
        ("POST", "/statements", "application/json", b"[" * 50_000, 400),
        ("POST", "/statements", "text/plain", b"hello", 415),
        ("GET", "/provenance/urn:epc:id:sgtin:95060001343.05", "", b"", 400),
        ("GET", "/provenance/urn:epc:id:sgtin:9506000.013435.77", "", b"", 404),
        ("GET", "/provenance/urn:epc:id:sgtin:9506000.013435.7?at=yesterday", "", b"", 400),
        ("GET", "/tile/0/999", "", b"", 404),
        ("GET", "/log/proof/99999999", "", b"", 404),
        ("GET", "/nowhere", "", b"", 404),
        ("DELETE", "/checkpoint", "", b"", 405),
    ],
)
def test_bad_requests_get_a_problem_with_a_stable_type(
    served: str, method: str, path: str, kind: str, body: bytes, want: int
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    with urllib3.PoolManager() as http:
        answer = http.request(method, served + path, body=body or None, headers=headers)
        assert answer.status == want, answer.data
        assert answer.headers["content-type"].startswith("application/problem+json")
        problem = answer.json()
        assert re.fullmatch(r"https://tagtrail\.dev/problems/[a-z-]+", problem["type"])
        assert problem["status"] == want
        assert http.request("GET", f"{served}/healthz").status == 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    ledger = folder / "ledger"
    init = [*TAGTRAIL, "init", "--dir", str(ledger), "--origin", "tagtrail.example/bad"]
    subprocess.run(init, check=True, capture_output=True)
    with started("listening on ", folder / "log", "serve", "--dir", ledger, "--port", 0) as (
        url,
        _,
    ):
        yield url


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "nowhere"),
        ("trace", "nonsense", "--dir", "nowhere"),
        ("trace", "urn:epc:id:sgtin:9506000.013435.7", "--dir", "nowhere"),
        ("serve", "--dir", "nowhere"),
        ("gateway", "run", "--dir", "nowhere", "--broker", "mqtt://127.0.0.1:1", "--plan", "x"),
        ("gateway", "replay", "nowhere.json", "--dir", "x"),
        ("sim", "run", "nothing", "--out", "x"),
        ("demo", "--scenario", "nothing"),
        ("unknown",),
        ("verify", "--unknown"),
    ],
    ids=" ".join,
)
def test_the_users_mistake_is_one_clear_line_and_never_a_traceback(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [*TAGTRAIL, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode in {2, 3, 4}
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "nothing half-made is left behind"
