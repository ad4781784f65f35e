"""The gateway's small HTTP server: is it alive, is it ready, what are its figures.

    GET /healthz   200 while every thread goes round, else 503 with their names
    GET /readyz    200 if nothing is wrong, else 503; JSON with the problems and the readers
    GET /metrics   the same for Prometheus

It listens where `[monitor] listen` in gateway.toml says, on loopback unless told otherwise,
and says nothing that is secret. Readers beyond `READERS_SHOWN_MAX` share one label, so that
invented topics cannot fill the memory of who collects the figures.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ingest.clockroom import ClockView
from ingest.pulse import Pulse
from ingest.roster import ReaderView
from ingest.settings import SettingsError
from ledger.epcis.times import format_time

READERS_SHOWN_MAX = 200
OTHERS = "(others)"
REQUEST_SECONDS_MAX = 10.0
_US = 1_000_000
_COUNTS = {
    "received": "Messages that the broker delivered.",
    "kept": "New messages that are durable in the inbox.",
    "repeats": "Messages that were there before.",
    "acknowledged": "Acknowledgements sent to the broker.",
    "refused": "Messages refused for want of room; each is in a gap statement.",
    "quarantined": "Messages, or parts of them, that could not be taken.",
    "gaps": "Gap statements.",
    "reads": "Tag reads.",
    "samples": "Samples of sensors.",
    "events": "EPCIS events.",
    "statements": "Signed statements.",
    "heartbeats": "Heartbeats that the gateway signed.",
    "rebirths": "Sparkplug nodes that were asked to be born anew.",
    "receipts": "Statements whose receipt was verified.",
}
_CLOCKS: tuple[tuple[str, str, Callable[[ClockView], float | None]], ...] = (
    ("skew_seconds", "Its clock less the gateway's.", lambda one: one.offset_us / _US),
    ("correction_seconds", "What is taken off its times.", lambda one: one.shift_us / _US),
    ("clock_error_seconds", "How far off they may be then.", lambda one: one.error_us / _US),
    ("drift_ppm", "How much faster it runs than the gateway's.", lambda one: one.drift_ppm),
)
_CONDITIONS = ("online", "degraded", "silent", "clock-bad", "offline")
_PARTS = ("broker", "certificate", "clock", "disk", "ledger", "parked", "plan", "spool")


class Figures:
    """What Prometheus collects, read from the pulse at each request."""

    def __init__(self, pulse: Pulse) -> None:
        """Read from `pulse`."""
        self._pulse = pulse

    def collect(self) -> Iterator[Metric]:
        """Yield the families of figures."""
        counts = self._pulse.counts()
        for name, says in _COUNTS.items():
            family = CounterMetricFamily(f"tagtrail_gateway_{name}", says)
            family.add_metric([], counts[name])
            yield family
        yield from self._spool()
        problems = {one.part for one in self._pulse.problems()}
        parts = GaugeMetricFamily(
            "tagtrail_gateway_ok", "1 where nothing is wrong with the part.", labels=["part"]
        )
        for part in _PARTS:
            parts.add_metric([part], float(part not in problems))
        yield parts
        yield from _reader_figures(self._pulse.readers(), self._pulse.clock.wall_us())

    def _spool(self) -> Iterator[Metric]:
        spooled, now_us = self._pulse.spooled(), self._pulse.clock.wall_us()
        oldest = spooled.oldest_us
        age = 0.0 if oldest is None else max(now_us - oldest, 0) / _US
        expires = self._pulse.expires_us()
        left = 0.0 if expires is None else (expires - now_us) / _US
        for name, says, value in (
            ("spool_messages", "Messages that are not processed yet.", spooled.messages),
            ("spool_statements", "Statements without a receipt.", spooled.statements),
            ("spool_bytes", "Bytes of both.", spooled.size),
            ("spool_age_seconds", "Age of the oldest of both.", age),
            ("certificate_seconds", "Until the certificate expires; 0 without one.", left),
        ):
            yield GaugeMetricFamily(f"tagtrail_gateway_{name}", says, value)


def _reader_figures(readers: Iterable[ReaderView], now_us: int) -> Iterator[Metric]:
    ordered = sorted(readers, key=lambda one: -one.heard_us)
    shown, others = ordered[:READERS_SHOWN_MAX], ordered[READERS_SHOWN_MAX:]
    for name, says in (
        ("messages", "Messages of a reader."),
        ("reads", "Tag reads of a reader."),
        ("faults", "What of its messages could not be taken."),
        ("gaps", "Gap statements about a reader."),
    ):
        family = CounterMetricFamily(f"tagtrail_reader_{name}", says, labels=["reader"])
        for one in shown:
            family.add_metric([one.name], getattr(one, name))
        if others:
            family.add_metric([OTHERS], sum(getattr(one, name) for one in others))
        yield family
    yield from _clock_figures(shown)
    heard = GaugeMetricFamily(
        "tagtrail_reader_heard_seconds", "Since its last message.", labels=["reader"]
    )
    state = GaugeMetricFamily(
        "tagtrail_reader_condition", "1 for its state.", labels=["reader", "condition"]
    )
    for one in shown:
        if one.heard_us:
            heard.add_metric([one.name], max(now_us - one.heard_us, 0) / _US)
        for condition in _CONDITIONS:
            state.add_metric([one.name, condition], float(one.condition == condition))
    yield from (heard, state)


def _clock_figures(shown: Iterable[ReaderView]) -> Iterator[Metric]:
    """Yield how the clock of each reader stands that says the time."""
    clocks = [(one.name, one.clock) for one in shown if one.clock is not None]
    for name, says, value_of in _CLOCKS:
        family = GaugeMetricFamily(f"tagtrail_reader_{name}", says, labels=["reader"])
        for reader, clock in clocks:
            value = value_of(clock)
            if value is not None:
                family.add_metric([reader], value)
        yield family


def describe(pulse: Pulse) -> dict[str, object]:
    """Return what /readyz says."""
    problems = pulse.problems()
    return {
        "ready": not problems,
        "problems": [
            {"part": one.part, "why": one.why, "since": format_time(one.since_us)}
            for one in problems
        ],
        "readers": [
            {
                "name": one.name,
                "condition": one.condition,
                "heard": format_time(one.heard_us) if one.heard_us else None,
                "skew_s": None if one.skew_us is None else one.skew_us / _US,
                "clock": None if one.clock is None else list(one.clock.flags),
            }
            for one in pulse.readers()[:READERS_SHOWN_MAX]
        ],
    }


class MonitorServer(ThreadingHTTPServer):
    """Answers from one pulse."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], pulse: Pulse) -> None:
        super().__init__(address, _Handler)
        self.pulse = pulse
        self.registry = CollectorRegistry()
        self.registry.register(Figures(pulse))

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class _Handler(BaseHTTPRequestHandler):
    server: MonitorServer
    timeout = REQUEST_SECONDS_MAX

    def do_GET(self) -> None:
        match self.path:
            case "/healthz":
                stalled = self.server.pulse.stalled()
                body = json.dumps({"alive": not stalled, "stalled": stalled})
                self._reply(503 if stalled else 200, "application/json", body.encode())
            case "/readyz":
                said = describe(self.server.pulse)
                body = json.dumps(said, indent=2)
                self._reply(200 if said["ready"] else 503, "application/json", body.encode())
            case "/metrics":
                kind = "text/plain; version=0.0.4; charset=utf-8"
                self._reply(200, kind, generate_latest(self.server.registry))
            case _:
                self._reply(404, "text/plain", b"there are /healthz, /readyz and /metrics\n")

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: who asks is not the gateway's business."""


@contextmanager
def monitoring(address: tuple[str, int], pulse: Pulse) -> Iterator[MonitorServer]:
    """Serve until the block ends; raises `SettingsError` where the address cannot be had."""
    try:
        server = MonitorServer(address, pulse)
    except OSError as error:
        host, port = address
        raise SettingsError(
            f"[monitor] listen = {host}:{port} in gateway.toml: {error.strerror}"
        ) from error
    with server:
        thread = threading.Thread(
            target=server.serve_forever, args=(0.1,), name="monitor", daemon=True
        )
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
