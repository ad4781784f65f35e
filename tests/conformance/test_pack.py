"""The conformance pack: our server meets it all, one that says one thing to all hardly any."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ledger.cli.conformance import app
from ledger.conformance.events import Run
from ledger.conformance.operations import OPERATIONS
from ledger.conformance.pack import Result, run_pack
from tests.ledger.api.conftest import founded, start, stop, untouched  # noqa: F401 - fixtures

NEARLY_ALL = 0.97


@pytest.fixture(scope="module")
def url(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: F811
    folder = Path(shutil.copytree(untouched, tmp_path_factory.mktemp("pack") / "ledger"))
    process, found = start(folder, "--callback-network", "127.0.0.0/8")
    yield found
    assert stop(process) == 0


def unmet(results: list[Result]) -> list[str]:
    return [f"{one.group} {one.requirement}: {one.why}" for one in results if not one.is_met]


def test_the_operations_are_those_of_the_standard(shared_data: Path) -> None:
    path = shared_data / "epcis" / "gs1" / "REST Bindings" / "openapi.json"
    methods = {"get", "post", "put", "delete", "options", "head", "patch"}
    published = {
        (method.upper(), path)
        for path, operations in json.loads(path.read_text())["paths"].items()
        for method in operations
        if method in methods
    }
    assert len(published) == 63
    assert set(OPERATIONS) == published
    assert len(OPERATIONS) == 63


def test_our_server_meets_every_requirement(url: str) -> None:
    results = list(run_pack(url, Run(11)))
    assert not unmet(results)
    assert len(results) > 240
    groups = {one.group for one in results}
    assert groups == {"preparation", "operation", "parameter", "behaviour"}


def test_it_can_be_run_again_and_as_a_command(url: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    asked = [url, "--run", "12", "--failed", "--json", str(report)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "requirements met (run 12)" in done.output
    assert all(one["met"] for one in json.loads(report.read_text())["results"])


@contextmanager
def saying(*, everything: bool) -> Iterator[str]:
    """Yield the URL of a server that shows all it was given, or nothing, to any question."""
    events: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer()

        do_POST = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the library's names

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path = self.path.partition("?")[0]
            status, headers = 200, {}
            if self.command == "POST" and path == "/capture":
                events.extend(
                    json.loads(body or b"{}").get("epcisBody", {}).get("eventList", [])
                )
                status, headers = 202, {"Location": "/capture/1"}
            found = {
                "eventList": events if everything else [],
                "running": False,
                "success": everything,
            }
            shown = {
                "type": "EPCISQueryDocument",
                "member": ["events", "shipping"] if everything else [],
                "epcisBody": {"queryResults": {"resultsBody": found}},
                **found,
            }
            data = json.dumps(shown).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.send_header("GS1-EPCIS-Version", "2.0.0")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize("everything", [True, False], ids=["everything", "nothing"])
def test_a_server_that_says_one_thing_to_all_fails_nearly_all(*, everything: bool) -> None:
    with saying(everything=everything) as url:
        results = list(run_pack(url, Run(13), wait_s=0.5))
    met = [f"{one.group} {one.requirement}" for one in results if one.is_met]
    assert len(met) <= (1 - NEARLY_ALL) * len(results), met
