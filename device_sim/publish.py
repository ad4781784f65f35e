"""Publishing: sends a run to an MQTT broker at QoS 1 and remembers what was acknowledged.

At most `IN_FLIGHT_MAX` messages a connection wait for their PUBACK, so a slow broker slows
the run down (a closed loop). Thousands of readers share a few connections, each topic one.
When a connection is lost, its client connects again and sends what was not acknowledged
once more, with the same payload; the broker may then have it twice, never not at all.

Each acknowledgement is one line of `acks.jsonl`:

    {"n":17,"topic":"sites/dairy/filler/reader","sha256":"…","acked_us":1760000000000000}

`n` counts messages from 0, `sha256` is the identity of the message (`Message.identity`),
`acked_us` is wall-clock time. What survives a kill of the publisher: every line but those
of the last few milliseconds; a message without a line may or may not be with the broker.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue, SimpleQueue
from typing import IO, Self
from urllib.parse import urlsplit
from zlib import crc32

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
Numbered = tuple[int, Message]


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
    """What publishing a run came to; for `held_s` the broker was too slow to take more."""

    messages: int
    connections: int
    seconds: float
    held_s: float


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
    messages: Iterable[Message],
    broker: str,
    *,
    acks: Path | None = None,
    speed: float | None = None,
    progress: Progress | None = None,
    clients: int = 1,
) -> Published:
    """Publish `messages` and return when every one is acknowledged.

    `messages` are in order of time; none is kept once it is acknowledged. They are sent in
    order, over more than one of `clients` connections in order for each topic. `speed` is
    simulated seconds per second of wall clock, None as fast as the broker acknowledges.
    `acks` is appended to. `progress` is called with what is acknowledged: how many messages,
    and the time of the newest. Raises `PublishError` when the broker is not there or goes
    away for too long.
    """
    began, address = time.monotonic(), parse_broker(broker)
    with ExitStack() as stack:
        file = None if acks is None else stack.enter_context(acks.open("a", encoding="utf-8"))
        book = _Book(file, progress)
        senders = [stack.enter_context(_Sender(address, book)) for _ in range(clients)]
        if clients == 1:
            senders[0].send_all(_paced(enumerate(messages), speed, senders[0]))
        else:
            _fan_out(_paced(enumerate(messages), speed, None), senders)
        return Published(
            messages=book.done,
            connections=sum(one.connections for one in senders),
            held_s=max(one.held_s for one in senders),
            seconds=time.monotonic() - began,
        )


class _Book:
    """What is acknowledged so far, over all connections."""

    def __init__(self, file: IO[str] | None, progress: Progress | None) -> None:
        self.done = 0
        self._file = file
        self._progress = progress
        self._lock = threading.Lock()

    def enter(self, acked: Sequence[Numbered]) -> None:
        """Write down what a broker acknowledged."""
        with self._lock:
            self.done += len(acked)
            if self._file is not None:
                self._file.writelines(_line(n, message) for n, message in acked)
                self._file.flush()
            if self._progress is not None:
                self._progress(self.done, max(message.time_us for _, message in acked))


def _paced(
    messages: Iterable[Numbered], speed: float | None, sender: "_Sender | None"
) -> Iterator[Numbered]:
    """Yield each message when it is due; meanwhile `sender` collects acknowledgements."""
    started, first_us = time.monotonic(), None
    for n, message in messages:
        if speed is not None:
            first_us = message.time_us if first_us is None else first_us
            due = started + (message.time_us - first_us) / SECOND_US / speed
            while (left := due - time.monotonic()) > 0:
                if sender is None:
                    time.sleep(min(left, 0.2))
                else:
                    sender.wait(min(left, 0.2))
        yield n, message


def _fan_out(messages: Iterable[Numbered], senders: Sequence["_Sender"]) -> None:
    """Hand each message to the sender of its topic; a slow one slows all down."""
    queues: list[Queue[Numbered | None]] = [Queue(IN_FLIGHT_MAX) for _ in senders]
    with ThreadPoolExecutor(len(senders)) as threads:
        running = [
            threads.submit(sender.send_all, iter(queue.get, None))
            for sender, queue in zip(senders, queues, strict=True)
        ]
        try:
            for n, message in messages:
                at = crc32(message.topic.encode()) % len(queues)
                _put(queues[at], (n, message), running[at])
        finally:
            for queue, one in zip(queues, running, strict=True):
                _put(queue, None, one)
        for one in running:
            one.result()


def _put(queue: "Queue[Numbered | None]", entry: Numbered | None, by: Future[None]) -> None:
    """Put `entry` where `by` takes it, unless that has ended: then its error is raised."""
    while True:
        try:
            queue.put(entry, timeout=0.2)
        except Full:
            if by.done():
                by.result()
                return
        else:
            return


class _Sender:
    """One client; callbacks run in its network thread and only put into queues."""

    def __init__(self, address: Address, book: _Book) -> None:
        self.connections = 0
        self.held_s = 0.0
        self._address = address
        self._book = book
        self._room = threading.Semaphore(IN_FLIGHT_MAX)
        self._acked: SimpleQueue[int] = SimpleQueue()
        self._waiting: dict[int, tuple[int, Message]] = {}
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

    def send_all(self, messages: Iterable[Numbered]) -> None:
        """Publish everything and wait for the last acknowledgement."""
        for n, message in messages:
            self._make_room()
            handed = self._client.publish(message.topic, message.payload, qos=1)
            self._waiting[handed.mid] = n, message
            self._collect()
        while self._waiting:
            self._check_stall()
            self._collect(wait_s=0.2)

    def wait(self, seconds: float) -> None:
        """Collect acknowledgements while nothing is due."""
        if self._waiting:
            self._collect(wait_s=seconds)
        else:
            self._heard = time.monotonic()
            time.sleep(seconds)

    def _make_room(self) -> None:
        if not self._waiting:
            self._heard = time.monotonic()
        began = time.monotonic()
        while not self._room.acquire(timeout=0.2):
            self._collect()
            self._check_stall()
        self.held_s += time.monotonic() - began

    def _check_stall(self) -> None:
        if time.monotonic() - self._heard > STALL_S_MAX:
            raise PublishError(
                f"the broker has acknowledged nothing for {STALL_S_MAX:.0f} s; "
                f"{self._book.done} messages are acknowledged"
            )

    def _collect(self, wait_s: float = 0) -> None:
        """Write down the acknowledgements that came; wait for the first at most `wait_s`."""
        acked = []
        try:
            mid = self._acked.get(timeout=wait_s) if wait_s else self._acked.get_nowait()
            while True:
                acked.append(self._waiting.pop(mid))
                mid = self._acked.get_nowait()
        except Empty:
            pass
        if acked:
            self._heard = time.monotonic()
            self._book.enter(acked)


def _line(n: int, message: Message) -> str:
    line = {
        "n": n, "topic": message.topic, "sha256": message.identity,
        "acked_us": time.time_ns() // 1000,
    }  # fmt: skip
    return json.dumps(line, separators=(",", ":")) + "\n"
