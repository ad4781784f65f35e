"""The client against a small real HTTP server on loopback."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cbor2
import pytest

from ledger.client.http import (
    PROBLEM_BASE,
    Accepted,
    CaptureClient,
    LedgerRefusedError,
    LedgerStatus,
    LedgerUnavailableError,
    parse_ledger_url,
)
from ledger.errors import ParseError

PROBLEM = "application/problem+json"


class Ledger(ThreadingHTTPServer):
    """A server that takes all but submissions that start with `bad`, and obeys `answer`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[bytes] = []
        self.requests = 0
        self.batch_max = 256
        self.proxy_bytes_max = 1 << 30
        self.drip = False
        self.answer: tuple[int, dict[str, str], bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Ledger

    def do_POST(self) -> None:
        self.server.requests += 1
        data = self.rfile.read(int(self.headers["Content-Length"]))
        batch = cbor2.loads(data)
        if len(data) > self.server.proxy_bytes_max:
            self.reply(413, {"Content-Type": "text/html"}, b"<h1>Request Entity Too Large</h1>")
        elif self.server.answer is not None:
            self.reply(*self.server.answer)
        elif len(batch) > self.server.batch_max:
            self.reply(413, {"Content-Type": PROBLEM}, problem("too-large", 413))
        else:
            results = [self.take(one) for one in batch]
            self.reply(200, {}, json.dumps({"results": results}).encode())

    def take(self, one: bytes) -> dict[str, object]:
        if one.startswith(b"bad"):
            return {"problem": json.loads(problem("refused", 409, check="seq"))}
        self.server.taken.append(one)
        index = len(self.server.taken) - 1
        return {"index": index, "statement_id": bytes(32).hex(), "known": False}

    def do_GET(self) -> None:
        if self.server.answer is not None:
            self.reply(*self.server.answer)
        elif self.path == "/status":
            body = {"origin": "o.example/x", "size": 3, "indexed": 2, "checkpoint_size": 1}
            self.reply(200, {}, json.dumps(body).encode())
        else:
            self.reply(200, {}, json.dumps({"path": self.path}).encode())

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.close_connection |= "Content-Length" in headers
        for n in range(len(body)) if self.server.drip else ():
            self.wfile.write(body[n : n + 1])
            time.sleep(0.05)
        if not self.server.drip:
            self.wfile.write(body)

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that would wait no longer
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def problem(slug: str, status: int, check: str | None = None) -> bytes:
    body = {"type": PROBLEM_BASE + slug, "status": status, "detail": "because", "check": check}
    return json.dumps(body).encode()


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    server = Ledger()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_submission_gets_its_own_result_in_order(ledger: Ledger) -> None:
    with CaptureClient(ledger.url + "/") as client:
        first, second, third = client.submit([b"one", b"bad two", b"three"])
    assert first == Accepted(index=0, statement_id=bytes(32), known=False)
    assert isinstance(second, LedgerRefusedError)
    assert (second.problem, second.check, second.status) == ("refused", "seq", 409)
    assert isinstance(third, Accepted)


def test_many_submissions_travel_in_batches_of_256(ledger: Ledger) -> None:
    with CaptureClient(ledger.url) as client:
        assert len(client.submit([b"%d" % n for n in range(600)])) == 600
    assert ledger.requests == 3
    assert ledger.taken == [b"%d" % n for n in range(600)]


def test_a_batch_refused_as_a_whole_is_halved_and_stays_in_order(ledger: Ledger) -> None:
    ledger.batch_max = 3
    with CaptureClient(ledger.url) as client:
        assert len(client.submit([b"%d" % n for n in range(20)])) == 20
    assert ledger.taken == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (503, {"Retry-After": "7", "Content-Type": PROBLEM}, problem("busy", 503)),
        (404, {"Content-Type": "text/html"}, b"<h1>proxy</h1>"),
        (302, {"Location": "http://127.0.0.1:9/"}, b""),
        (200, {}, b"no json"),
        (200, {}, b'{"results": []}'),
        (200, {}, b'{"results": [{"index": "0"}]}'),
        (200, {}, b'{"results": [{"problem": {"type": "about:blank", "status": 500}}]}'),
    ],
)
def test_what_is_no_final_word_of_the_ledger_is_sent_again(
    ledger: Ledger, status: int, headers: dict[str, str], body: bytes
) -> None:
    ledger.answer = (status, headers, body)
    with CaptureClient(ledger.url) as client, pytest.raises(LedgerUnavailableError) as raised:
        client.submit([b"one"])
    assert raised.value.retry_after == (7 if status == 503 else 1)


def test_what_a_proxy_takes_only_in_pieces_is_sent_in_pieces(ledger: Ledger) -> None:
    ledger.proxy_bytes_max = 60
    with CaptureClient(ledger.url) as client:
        sent = [b"%d" % n for n in range(40)]
        assert len(client.submit(sent)) == 40
        assert ledger.taken == sent
        with pytest.raises(LedgerUnavailableError, match="raise its limit") as caught:
            client.submit([b"small", b"x" * 100])
    assert caught.value.is_too_large


def test_an_answer_that_comes_a_byte_at_a_time_is_not_waited_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.client.http.ANSWER_SECONDS_MAX", 0.2)
    ledger.drip = True
    with (
        CaptureClient(ledger.url) as client,
        pytest.raises(LedgerUnavailableError, match="took over"),
    ):
        client.status()


@pytest.mark.parametrize("length", [0, 10])
def test_an_answer_that_breaks_off_is_no_answer(ledger: Ledger, length: int) -> None:
    ledger.answer = (200, {"Content-Length": "1000"}, b"x" * length)
    with CaptureClient(ledger.url) as client, pytest.raises(LedgerUnavailableError):
        client.status()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with CaptureClient("http://127.0.0.1:1") as client, pytest.raises(LedgerUnavailableError):
        client.submit([b"one"])


def test_status_and_provenance_are_read(ledger: Ledger) -> None:
    with CaptureClient(ledger.url) as client:
        status = LedgerStatus(origin="o.example/x", size=3, indexed=2, checkpoint_size=1)
        assert client.status() == status
        path = "/provenance/urn%3Aepc%3Aid%3Asscc%3A9506000.1?at=2026-01-01T00%3A00%3A00Z"
        answer = client.provenance("urn:epc:id:sscc:9506000.1", at="2026-01-01T00:00:00Z")
        assert answer == {"path": path}
        ledger.answer = (404, {"Content-Type": PROBLEM}, problem("not-found", 404))
        with pytest.raises(LedgerRefusedError, match="because"):
            client.provenance("urn:epc:id:sscc:9506000.2")


@pytest.mark.parametrize("text", ["ftp://x", "http://", "x", "http://a:b:c", "http://u@h", ""])
def test_what_is_no_http_url_is_refused_by_name(text: str) -> None:
    with pytest.raises(ParseError, match="ledger URL"):
        parse_ledger_url(text)
