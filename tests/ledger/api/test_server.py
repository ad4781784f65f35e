"""The process: starts, is alone, stops quickly, and keeps what it acknowledged."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3

from ledger.api.problems import PROBLEM_TYPES
from ledger.audit.finding import Result
from ledger.cli.verify import audit_folder
from ledger.disclosure import encode_submission
from ledger.entry import parse_entry
from ledger.keyfile import load_signer
from ledger.statement import parse_statement
from ledger.store.evidence import EvidenceReader
from tests.ledger.api.conftest import ONE, Gateway, Server, start, stop
from tests.optional import ROOT


@pytest.fixture
def fresh(untouched: Path, tmp_path: Path) -> Path:
    """Return a new ledger of its own for one test."""
    return Path(shutil.copytree(untouched, tmp_path / "fresh"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_cleanly_though_a_connection_is_kept(
    fresh: Path, number: int
) -> None:
    process, url = start(fresh)
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", f"{url}/healthz").status == 200
        began = time.monotonic()
        assert stop(process, number) == 0
        print(f"stopped by itself after {time.monotonic() - began:.2f} s")
    log = EvidenceReader(fresh)
    newest = log.load_newest_checkpoint()
    assert newest is not None
    assert newest[0] == log.load_size()
    log.close()


def test_a_second_server_says_who_has_the_folder(server: Server) -> None:
    with pytest.raises(AssertionError, match=rf"written by process {server.process.pid} on"):
        start(server.folder)


def test_a_port_in_use_is_one_clear_line(server: Server, fresh: Path) -> None:
    port = server.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "ledger.cli", "serve", "--dir", str(fresh), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("tagtrail serve: cannot listen on 127.0.0.1")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_server_has_every_statement_that_it_acknowledged(
    fresh: Path, seed: int
) -> None:
    process, url = start(fresh, "--publish-every", "0.05")
    gateway = Gateway(load_signer(fresh / "gateway" / "keys" / "9506000134352.key", b"test"))
    receipts = []
    with urllib3.PoolManager(retries=False) as pool:
        for _ in range(10 + 17 * seed):
            answer = pool.request(
                "POST",
                f"{url}/statements",
                body=encode_submission(gateway.capture(1)),
                headers={"Content-Type": ONE},
            )
            assert answer.status == 201
            receipts.append(answer.json())
    assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    reader = EvidenceReader(fresh)
    for receipt in receipts:
        entry = parse_entry(reader.load_entry(receipt["index"]))
        assert parse_statement(entry.statement).id.hex() == receipt["statement_id"]
    reader.close()
    process, _ = start(fresh)
    assert stop(process) == 0
    assert audit_folder(fresh, index=True).result == Result.VERIFIED


def test_every_problem_type_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "http.md").read_text()
    assert [kind.slug for kind in PROBLEM_TYPES if f"`{kind.slug}`" not in text] == []
