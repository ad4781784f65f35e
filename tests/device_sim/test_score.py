import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from rich.console import Console

from device_sim.facts import parse_truth
from device_sim.library import load_scenario
from device_sim.play import Run, play
from device_sim.score import ScoreError, opened_ledger, score
from device_sim.scoreboard import print_score
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key
from tests.device_sim.whole_line import answers, capture


@contextmanager
def answering(told: dict[str, Any], status: int = 200) -> Iterator[str]:
    """Yield the address of a server that gives these answers, by canonical key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = told.get(canonical_key(unquote(self.path.removeprefix("/provenance/"))))
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def small() -> Run:
    return play(load_scenario("dairy", ["items=24"]), 4)


@pytest.fixture(scope="module")
def told(small: Run) -> dict[str, Any]:
    return answers(capture(small), parse_truth(small.truth).items)


@pytest.fixture
def truth(small: Run, tmp_path: Path) -> Path:
    path = tmp_path / "truth.jsonl"
    path.write_text("\n".join(small.truth) + "\n")
    return path


def test_a_ledger_is_asked_about_every_item(truth: Path, told: dict[str, Any]) -> None:
    asked: list[tuple[int, int]] = []
    with answering(told) as url:
        report = score(truth, url, progress=lambda done, total: asked.append((done, total)))
    assert asked[-1] == (24, 24)
    assert report.ok
    assert (report.scenario, report.seed, report.items) == ("dairy", 4, 24)
    assert report.share > 0.9


def test_an_item_that_is_not_found_is_counted_and_printed(
    truth: Path, told: dict[str, Any]
) -> None:
    lost = next(iter(told))
    with answering({key: answer for key, answer in told.items() if key != lost}) as url:
        report = score(truth, url)
    assert not report.ok
    assert report.aspects["path"]["silent"] == 1
    console = Console(record=True, width=120)
    print_score(report, console)
    printed = console.export_text()
    assert "silent hole" in printed
    assert "never heard of the item" in printed


def test_a_ledger_that_fails_is_no_score(truth: Path, told: dict[str, Any]) -> None:
    with answering(told, status=500) as url, pytest.raises(ScoreError, match="500"):
        score(truth, url)
    with answering(dict.fromkeys(told, "no object")) as url, pytest.raises(ScoreError):
        score(truth, url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ScoreError, match="does not answer"):
            score(truth, f"http://127.0.0.1:{taken.getsockname()[1]}")


def test_what_is_neither_url_nor_folder_is_refused(truth: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ParseError, match="neither"),
        opened_ledger(str(tmp_path / "nothing")),
    ):
        pass
    with pytest.raises(ParseError, match="neither"):
        score(truth, "ftp://host")
    with pytest.raises(ParseError, match="cannot be read"):
        score(tmp_path / "absent.jsonl", "http://127.0.0.1:1")
