"""A receiver of deliveries on loopback that misbehaves as it is told."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 40.0


class _Server(ThreadingHTTPServer):
    request_queue_size = 512  # a hundred subscribers come at once
    daemon_threads = True


@dataclass
class Delivery:
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def event_ids(self) -> list[str]:
        listed = self.document["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        return [one["eventID"] for one in listed]


@dataclass
class Receiver:
    """Answers with what `answer` says of the nth delivery: a status, or bytes as they are."""

    answer: Callable[[int], int | bytes] = lambda _: 204
    deliveries: list[Delivery] = field(default_factory=list)
    slow_s: float = 0.0
    port: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/callback"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def acknowledged(self) -> list[str]:
        """Return the eventIDs of the deliveries that were answered with 2xx, in order."""
        with self._lock:
            done = [one for one in self.deliveries if 200 <= one.status < 300]
        return [event_id for one in done for event_id in one.event_ids]

    def await_acknowledged(self, count: int) -> list[str]:
        self.await_true(lambda: len(self.acknowledged()) >= count)
        return self.acknowledged()

    def await_true(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, [one.status for one in self.deliveries]
            time.sleep(0.02)

    def _take(self, headers: dict[str, str], body: bytes) -> int | bytes:
        with self._lock:
            said = self.answer(len(self.deliveries))
            status = int(said.split()[1]) if isinstance(said, bytes) and said else 0
            status = said if isinstance(said, int) else status
            self.deliveries.append(Delivery(headers, body, status))
        return said

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.slow_s)
                said = receiver._take(dict(self.headers), body)
                if isinstance(said, bytes):
                    self.wfile.write(said)
                    self.close_connection = True
                    return
                self.send_response(said)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler
