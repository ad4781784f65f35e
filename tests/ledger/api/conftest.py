"""A real server on loopback, and someone who signs for the party it admitted."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3

from ledger.app import Founding, FoundingParty, create_ledger
from ledger.cose import Signer
from ledger.disclosure import Submission, commitment, encode_submission, events_root
from ledger.keyfile import load_signer
from ledger.statement import Capture, Claims, Link, parse_statement, sign_statement
from tests.ledger.store.parties import DAIRY, START_US, make_event

ORIGIN = "tagtrail.example/api"
ANSWER_S = 20.0
ONE = "application/vnd.tagtrail.submission+cbor"
MANY = "application/vnd.tagtrail.submissions+cbor"


@dataclass
class Gateway:
    """The enrolled gateway key, with its place in its chain."""

    key: Signer
    link: Link = field(default_factory=Link)

    def capture(self, count: int, *, moves_on: bool = True, label: str = "") -> Submission:
        """Return a submission of `count` events."""
        name = f"api/{label}{self.link.seq}"
        events = tuple(make_event(f"{name}/{n}", 1) for n in range(count))
        root = events_root(commitment(event) for event in events)
        raw = sign_statement(
            self.key,
            Claims(DAIRY, ORIGIN, START_US // 1_000_000),
            self.link,
            Capture(2, count, root),
        )
        if moves_on:
            self.link = Link(0, self.link.seq + 1, parse_statement(raw).id)
        return Submission(raw, events)


@dataclass
class Server:
    """One running server."""

    folder: Path
    url: str
    process: subprocess.Popen[str]
    gateway: Gateway
    pool: urllib3.PoolManager

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """GET, whatever the status."""
        return self.pool.request("GET", self.url + path)

    def post(self, body: bytes, content_type: str = ONE) -> urllib3.BaseHTTPResponse:
        """POST to /statements."""
        headers = {"Content-Type": content_type}
        return self.pool.request("POST", f"{self.url}/statements", body=body, headers=headers)

    def submit(self, count: int) -> dict[str, object]:
        """Submit a new capture; return its receipt."""
        answer: dict[str, object] = self.post(
            encode_submission(self.gateway.capture(count))
        ).json()
        return answer


def start(folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server on any port; return it and its URL."""
    command = [sys.executable, "-m", "ledger.cli", "serve", "--dir", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("listening on http://127.0.0.1:"):
        _, errors = process.communicate(timeout=ANSWER_S)
        raise AssertionError(f"{line!r} {errors}")
    return process, line.removeprefix("listening on ").strip()


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    """Send a signal; return the exit code."""
    if process.poll() is None:
        os.kill(process.pid, number)
    process.communicate(timeout=ANSWER_S)
    return process.returncode


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a ledger that admits one party."""
    folder = tmp_path_factory.mktemp("api") / "ledger"
    create_ledger(
        folder, Founding(origin=ORIGIN, parties=(FoundingParty(iss=DAIRY),)), passphrase=b"test"
    )
    (folder / "keys" / "passphrase").touch(0o600)
    (folder / "keys" / "passphrase").write_bytes(b"test\n")
    return folder


@pytest.fixture(scope="session")
def untouched(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the ledger as it was founded, which no server ever has."""
    return Path(shutil.copytree(founded, tmp_path_factory.mktemp("untouched") / "ledger"))


@pytest.fixture(scope="session")
def server(founded: Path, untouched: Path) -> Iterator[Server]:
    """Yield a running server; tests share it and its log."""
    del untouched  # Copied before the server changes anything.
    process, url = start(founded, "--publish-every", "0.1")
    key = load_signer(founded / "gateway" / "keys" / "9506000134352.key", b"test")
    with urllib3.PoolManager(retries=False, timeout=ANSWER_S) as pool:
        yield Server(founded, url, process, Gateway(key), pool)
    assert stop(process) == 0
