"""Publishing: sends a run to an MQTT broker at QoS 1 and remembers what was acknowledged.

At most `IN_FLIGHT_MAX` messages wait for their PUBACK, so a slow broker slows the run down
(a closed loop). When the connection is lost, the client connects again and sends what was
not acknowledged once more, with the same payload; the broker may then have it twice, never
not at all.

Each acknowledgement is one line of `acks.jsonl`:

    {"n":17,"topic":"sites/dairy/filler/reader","sha256":"…","acked_us":1760000000000000}

`n` counts messages from 0, `sha256` is the identity of the message (`Message.identity`),
`acked_us` is wall-clock time. What survives a kill of the publisher: every line but those
of the last few milliseconds; a message without a line may or may not be with the broker.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Self
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_sim.world import SECOND_US, Message
from ledger.errors import ParseError, TagtrailError

IN_FLIGHT_MAX = 200
STALL_S_MAX = 60.0
_CONNECT_S_MAX = 10.0
_SCHEMES = {"mqtt": 1883, "mqtts": 8883}

Progress = Callable[[int, int], None]


class PublishError(TagtrailError):
    """The broker cannot be reached, or acknowledges nothing for `STALL_S_MAX` seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a broker listens."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What publishing a run came to."""

    messages: int
    connections: int
    seconds: float


def parse_broker(url: str) -> Address:
    """Return the address in `mqtt://[user:password@]host[:port]` (or mqtts)."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ParseError("broker", f"{url!r}: {error}") from error
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.path not in {"", "/"}:
        raise ParseError("broker", f"{url!r} is not mqtt://host[:port] or mqtts://host[:port]")
    return Address(
        host=parts.hostname, port=port or _SCHEMES[parts.scheme], tls=parts.scheme == "mqtts",
        user=parts.username, password=parts.password,
    )  # fmt: skip


def publish(
    messages: Sequence[Message],
    broker: str,
    *,
    acks: Path | None = None,
    speed: float | None = None,
    progress: Progress | None = None,
) -> Published:
    """Publish `messages` in order and return when every one is acknowledged.

    `speed` is simulated seconds per second of wall clock, None as fast as the broker
    acknowledges. `acks` is appended to. `progress` is called with (acknowledged, all).
    Raises `PublishError` when the broker is not there or goes away for too long.
    """
    began = time.monotonic()
    with _Sender(parse_broker(broker), messages, progress) as sender:
        if acks is None:
            sender.send_all(None, speed)
        else:
            with acks.open("a", encoding="utf-8") as file:
                sender.send_all(file, speed)
        return Published(
            messages=len(messages),
            connections=sender.connections,
            seconds=time.monotonic() - began,
        )


class _Sender:
    """One client; callbacks run in its network thread and only put into queues."""

    def __init__(
        self, address: Address, messages: Sequence[Message], progress: Progress | None
    ) -> None:
        self.connections = 0
        self._address = address
        self._messages = messages
        self._progress = progress
        self._room = threading.Semaphore(IN_FLIGHT_MAX)
        self._acked: SimpleQueue[int] = SimpleQueue()
        self._waiting: dict[int, int] = {}
        self._done = 0
        self._heard = time.monotonic()
        self._up = threading.Event()
        self._refused: str | None = None
        self._client = self._make_client()

    def _make_client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311, clean_session=True)
        client.max_inflight_messages_set(IN_FLIGHT_MAX)
        client.reconnect_delay_set(min_delay=1, max_delay=2)
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if self._address.tls:
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        return client

    def __enter__(self) -> Self:
        place = f"{self._address.host}:{self._address.port}"
        try:
            self._client.connect(self._address.host, self._address.port)
        except OSError as error:
            raise PublishError(f"no broker at {place}: {error}") from error
        self._client.loop_start()
        if not self._up.wait(_CONNECT_S_MAX) or self._refused is not None:
            self._client.loop_stop()
            why = self._refused or "it does not answer"
            raise PublishError(f"the broker at {place} refuses the connection: {why}")
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _client: Client, _user: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        if code.is_failure:
            self._refused = str(code)
        else:
            self.connections += 1
        self._up.set()

    def _on_publish(
        self, _client: Client, _user: object, mid: int, _code: ReasonCode, _p: Properties
    ) -> None:
        self._acked.put(mid)
        self._room.release()

    def send_all(self, acks: IO[str] | None, speed: float | None) -> None:
        """Publish everything, paced, and wait for the last acknowledgement."""
        started = time.monotonic()
        for n, message in enumerate(self._messages):
            if speed is not None:
                since_us = message.time_us - self._messages[0].time_us
                self._wait_until(started + since_us / SECOND_US / speed, acks)
            self._make_room(acks)
            handed = self._client.publish(message.topic, message.payload, qos=1)
            self._waiting[handed.mid] = n
            self._collect(acks)
        while self._waiting:
            self._check_stall()
            self._collect(acks, wait_s=0.2)

    def _wait_until(self, due: float, acks: IO[str] | None) -> None:
        while (left := due - time.monotonic()) > 0:
            if self._waiting:
                self._collect(acks, wait_s=min(left, 0.2))
            else:
                self._heard = time.monotonic()
                time.sleep(min(left, 0.2))

    def _make_room(self, acks: IO[str] | None) -> None:
        while not self._room.acquire(timeout=0.2):
            self._collect(acks)
            self._check_stall()

    def _check_stall(self) -> None:
        if time.monotonic() - self._heard > STALL_S_MAX:
            raise PublishError(
                f"the broker has acknowledged nothing for {STALL_S_MAX:.0f} s; "
                f"{self._done} of {len(self._messages)} messages are acknowledged"
            )

    def _collect(self, acks: IO[str] | None, wait_s: float = 0) -> None:
        """Write down the acknowledgements that came; wait for the first at most `wait_s`."""
        lines = []
        try:
            mid = self._acked.get(timeout=wait_s) if wait_s else self._acked.get_nowait()
            while True:
                lines.append(self._line(self._waiting.pop(mid)))
                mid = self._acked.get_nowait()
        except Empty:
            pass
        if not lines:
            return
        self._heard = time.monotonic()
        self._done += len(lines)
        if acks is not None:
            acks.writelines(lines)
            acks.flush()
        if self._progress is not None:
            self._progress(self._done, len(self._messages))

    def _line(self, n: int) -> str:
        message = self._messages[n]
        line = {
            "n": n, "topic": message.topic, "sha256": message.identity,
            "acked_us": time.time_ns() // 1000,
        }  # fmt: skip
        return json.dumps(line, separators=(",", ":")) + "\n"
