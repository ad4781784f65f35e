"""How many messages and reads a second a gateway keeps durably, beside a bare paho subscriber.

    python -m tests.bench.ingest [--quick]

A broker collects messages for a session that is away; then the subscriber comes and takes them
all, so that the publisher costs nothing meanwhile. `bare` is paho with its own acknowledgement,
which keeps nothing; `framed` is the gateway's subscriber, which goes past most of paho, and
keeps nothing either; `kept` has the gateway's keeper behind it: each message is durable before
it is acknowledged. They alternate in one run, and the ratio is of their medians. Then the
latency from publishing to durable at half of what was kept, and the whole line, to the
receipts of a real ledger. Every figure carries the broker's configuration of docs/deploy.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.brokerurl import parse_broker_url
from ingest.health import read_health
from ingest.link import Delivery, Link
from ingest.loops import Shared, keep
from ingest.mqtt import RECEIVE_MAX, Subscriber
from ingest.plan import Plan
from ingest.planfile import parse_plan
from ingest.pulse import Clock, Pulse
from ingest.replay import create_ledger, serve_ledger
from ingest.settings import Settings
from tests.ingest.brokers import start_shipped_mosquitto
from tests.ingest.scene import HEAD, OBSERVE, STATION, T0_S, hex_of
from tests.optional import free_port, stop

TOPIC = "gate/r"
BATCH = 100
TAGS_A_PASS, READS_A_TAG = 20, 48
WINDOW = 500
PLAN_TEXT = HEAD + STATION.replace("idle_s = 5", "idle_s = 1") + OBSERVE
DRAIN_SECONDS_MAX = 300.0


# --- What is sent -----------------------------------------------------------------------


def payloads(count: int, reads: int) -> list[bytes]:
    """Return messages of so many reads each: passes of 20 tags, 48 reads a tag."""
    made, n = [], 0
    a_pass = TAGS_A_PASS * READS_A_TAG
    for _ in range(count):
        batch = []
        for _ in range(reads):
            number, at = divmod(n, a_pass)
            tag = TAGS_A_PASS * number + at % TAGS_A_PASS
            batch.append(zebra(tag, T0_S + 60 * number + at / 100, 1 + at % 2))
            n += 1
        made.append(json.dumps(batch[0] if reads == 1 else batch).encode())
    return made


def zebra(tag: int, second: float, antenna: int) -> dict[str, object]:
    """Return one event of a Zebra FX reader, as its IoT connector sends it in arrays."""
    at = datetime.fromtimestamp(second, UTC)
    data = {
        "PC": "3000",
        "antenna": antenna,
        "channel": 866.3,
        "format": "epc",
        "idHex": hex_of(tag).lower(),
        "peakRssi": -61,
        "phase": 148.0,
    }
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    return {"data": data, "timestamp": stamp, "type": "CUSTOM"}


class RawPublisher:
    """MQTT 3.1.1 over a bare socket, QoS 1: costs next to nothing."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        name = b"bench"
        body = struct.pack("!H4sBBH", 4, b"MQTT", 4, 2, 0) + struct.pack("!H", len(name)) + name
        self._socket.sendall(bytes([0x10, len(body)]) + body)
        assert self._socket.recv(4)[0] == 0x20
        self._sent = self._acked = 0
        self._rest = b""

    def send(self, payload: bytes) -> None:
        """Publish one, waiting while `WINDOW` are on their way."""
        self._sent += 1
        head = struct.pack("!H", len(TOPIC)) + TOPIC.encode()
        body = head + struct.pack("!H", self._sent % 65_535 + 1) + payload
        self._socket.sendall(b"\x32" + _length(len(body)) + body)
        while self._sent - self._acked >= WINDOW:
            self._read()

    def finish(self) -> None:
        """Wait for every acknowledgement."""
        while self._acked < self._sent:
            self._read()
        self._socket.close()

    def _read(self) -> None:
        data = self._rest + self._socket.recv(65_536)
        whole = len(data) // 4
        self._acked += whole
        self._rest = data[4 * whole :]


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


# --- Who takes it, each in a process of its own --------------------------------------------


class Watch:
    """Time and processor time from the first message to the last of `count`."""

    def __init__(self, count: int) -> None:
        self._count, self.got = count, 0
        self._from = self._to = (0.0, 0.0)
        self.done = threading.Event()

    def see(self, more: int = 1) -> None:
        """Count messages; the clock starts at the first and stops at the last."""
        if not self._from[0]:
            self._from = time.perf_counter(), time.process_time()
        self.got += more
        if self.got >= self._count > 0 and not self._to[0]:
            self._to = time.perf_counter(), time.process_time()
            self.done.set()

    def wait(self) -> None:
        """Wait for the last; without any, as long as a subscription takes."""
        self.done.wait(DRAIN_SECONDS_MAX if self._count else 1.0)
        time.sleep(0.3)

    def said(self) -> dict[str, object]:
        seconds, cpu = (to - begun for to, begun in zip(self._to, self._from, strict=True))
        return {"seconds": seconds, "cpu": cpu, "count": self.got}


def take_bare(port: int, count: int) -> dict[str, object]:
    """Count messages with paho, which acknowledges by itself; keep nothing."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3_600
    properties.ReceiveMaximum = RECEIVE_MAX
    client = Client(CallbackAPIVersion.VERSION2, client_id="bare", protocol=MQTTv5)
    watch = Watch(count)
    client.on_message = lambda *_: watch.see()
    client.on_connect = lambda *_: client.subscribe(TOPIC, 1)
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    watch.wait()
    client.disconnect()
    client.loop_stop()
    return watch.said()


def take_framed(port: int, count: int) -> dict[str, object]:
    """Count messages with the gateway's subscriber, acknowledge each, and keep nothing."""
    watch = Watch(count)

    def take(delivery: Delivery) -> None:
        watch.see()
        subscriber.acknowledge([delivery])

    subscriber = subscribing(port, "framed", take)
    subscriber.start()
    watch.wait()
    subscriber.stop()
    return watch.said()


def subscribing(port: int, name: str, take: Callable[[Delivery], None]) -> Subscriber:
    broker = parse_broker_url(f"mqtt://127.0.0.1:{port}")
    return Subscriber(Link(broker=broker, client_id=name, on_delivery=take), [TOPIC])


def take_kept(port: int, count: int, folder: Path) -> dict[str, object]:
    """Keep messages as the gateway does, and tell when the last one was durable."""
    settings = Settings(
        folder=folder, ledger=None, origin="x", log=None, passphrase_file=None, keys=()
    )
    shared = Shared(
        settings=settings, pulse=Pulse(Clock()), plan=empty_plan(), ledger_url="http://x"
    )
    watch = Watch(count)
    waits: list[float] = []

    def arrived(delivery: Delivery) -> None:
        watch.see(0)
        shared.enqueue(delivery)

    def acknowledge(batch: Sequence[Delivery]) -> int:
        now = time.time()
        stamped = [one.arrival.payload for one in batch]
        waits.extend(now - float(one[1:20]) for one in stamped if one.startswith(b"@"))
        watch.see(len(batch))
        return subscriber.acknowledge(batch)

    subscriber = subscribing(port, "kept", arrived)
    thread = threading.Thread(target=keep, args=(shared, acknowledge), daemon=True)
    thread.start()
    subscriber.start()
    watch.wait()
    shared.stopping.set()
    subscriber.stop()
    thread.join(10)
    return watch.said() | {"waits": waits}


def empty_plan() -> Plan:
    return parse_plan(PLAN_TEXT)


def run_child(kind: str, port: int, count: int, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.bench.ingest", "--take", kind, str(port)]
    return subprocess.Popen(
        [*command, str(count), str(folder)], stdout=subprocess.PIPE, text=True
    )


def result_of(child: "subprocess.Popen[str]") -> dict[str, object]:
    out, _ = child.communicate(timeout=DRAIN_SECONDS_MAX + 30)
    said: dict[str, object] = json.loads(out.strip().splitlines()[-1])
    return said


# --- The measurements -----------------------------------------------------------------------


def drain(
    config: str, kind: str, messages: Sequence[bytes], folder: Path
) -> tuple[float, float]:
    """Return messages/s of one drain of a fresh broker, and messages per second of CPU."""
    broker = start_shipped_mosquitto(folder / "broker", config, free_port())
    try:
        store = folder / "kept"
        store.mkdir(parents=True)
        result_of(run_child(kind, broker.port, 0, store))
        publisher = RawPublisher(broker.port)
        for one in messages:
            publisher.send(one)
        publisher.finish()
        said = result_of(run_child(kind, broker.port, len(messages), store))
    finally:
        stop(broker.process)
    assert said["count"] == len(messages), said
    seconds, cpu = float(str(said["seconds"])), float(str(said["cpu"]))
    return len(messages) / seconds, len(messages) / cpu


def compare(config: str, messages: Sequence[bytes], reads: int, rounds: int) -> float:
    """Print bare beside kept, alternating, and return kept messages/s."""
    rates: dict[str, list[tuple[float, float]]] = {"bare": [], "framed": [], "kept": []}
    for _ in range(rounds):
        for kind, found in rates.items():
            with tempfile.TemporaryDirectory() as folder:
                found.append(drain(config, kind, messages, Path(folder)))
    bare, framed, kept = (statistics.median(r for r, _ in found) for found in rates.values())
    of_cpu = [statistics.median(c for _, c in found) for found in rates.values()]
    print(
        f"{config:<22} {reads:>3} reads a message: bare paho {bare:>8,.0f} messages/s,"
        f" framed {framed:>8,.0f}, kept {kept:>8,.0f} ({kept * reads:>9,.0f} reads/s),"
        f" kept / bare {kept / bare:.2f}; per second of CPU {of_cpu[0]:,.0f},"
        f" {of_cpu[1]:,.0f} and {of_cpu[2]:,.0f}, kept / bare {of_cpu[2] / of_cpu[0]:.2f}"
    )
    return kept


def latency(config: str, reads: int, rate: float, seconds: float) -> None:
    """Print p50 and p99 from publishing to durable at `rate` messages/s."""
    body = b" " * len(payloads(1, reads)[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "kept").mkdir()
        broker = start_shipped_mosquitto(path / "broker", config, free_port())
        try:
            count = int(rate * seconds)
            result_of(run_child("kept", broker.port, 0, path / "kept"))
            child = run_child("kept", broker.port, count, path / "kept")
            time.sleep(2.0)
            publisher = RawPublisher(broker.port)
            start = time.perf_counter()
            for n in range(count):
                ahead = start + n / rate - time.perf_counter()
                if ahead > 0:
                    time.sleep(ahead)
                publisher.send(b"@%19.6f" % time.time() + b"%d" % n + body)
            publisher.finish()
            waits = sorted(result_of(child)["waits"])  # type: ignore[call-overload]
        finally:
            stop(broker.process)
    p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    print(
        f"{config:<22} {reads:>3} reads a message at {rate:,.0f} messages/s:"
        f" publish to durable p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms"
    )


def whole_line(config: str, count: int) -> None:
    """Print reads/s from the broker to the receipts of a real ledger."""
    messages = payloads(count, BATCH)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        plan = path / "plan.toml"
        plan.write_text(PLAN_TEXT)
        create_ledger(path / "ledger", parse_plan(PLAN_TEXT), "tagtrail.example/bench")
        broker = start_shipped_mosquitto(path / "broker", config, free_port())
        gateway = path / "ledger" / "gateway"
        try:
            with serve_ledger(path / "ledger") as url:
                command = [sys.executable, "-m", "ledger.cli", "gateway", "run"]
                command += ["--dir", str(gateway), "--plan", str(plan), "--ledger", url]
                command += ["--broker", broker.url]
                with subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                ) as process:
                    assert process.stdout is not None
                    process.stdout.readline()
                    publisher = RawPublisher(broker.port)
                    started = time.perf_counter()
                    for one in messages:
                        publisher.send(one)
                    publisher.finish()
                    published = time.perf_counter() - started
                    while True:
                        time.sleep(0.1)
                        health = read_health(gateway)
                        if health.messages >= count and health.is_settled:
                            break
                    seconds = time.perf_counter() - started
                    process.terminate()
        finally:
            stop(broker.process)
    print(
        f"{config:<22} {BATCH:>3} reads a message, whole line: {count * BATCH:,} reads in"
        f" {seconds:.1f} s = {count * BATCH / seconds:,.0f} reads/s to {health.entries}"
        f" entries with receipts ({health.events} events; published in {published:.1f} s,"
        " 1 s of it waits for the end of the last pass)"
    )


def main() -> None:
    """Measure, or be the process that takes messages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--take", nargs=4, metavar=("KIND", "PORT", "COUNT", "FOLDER"))
    given = parser.parse_args()
    if given.take:
        kind, port, count, folder = given.take
        if kind in ("bare", "framed"):
            take = take_bare if kind == "bare" else take_framed
            print(json.dumps(take(int(port), int(count))))
        else:
            print(json.dumps(take_kept(int(port), int(count), Path(folder))))
        return
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}")
    rounds = 3 if given.quick else 5
    singles = payloads(5_000 if given.quick else 30_000, 1)
    batches = payloads(1_000 if given.quick else 6_000, BATCH)
    with suppress(KeyboardInterrupt):
        one = compare("mosquitto-fast.conf", singles, 1, rounds)
        many = compare("mosquitto-fast.conf", batches, BATCH, rounds)
        compare("mosquitto-safe.conf", singles[: len(singles) // 10], 1, rounds)
        compare("mosquitto-safe.conf", batches[: len(batches) // 10], BATCH, rounds)
        latency("mosquitto-fast.conf", 1, one / 2, 5.0)
        latency("mosquitto-fast.conf", BATCH, many / 2, 5.0)
        whole_line("mosquitto-fast.conf", 1_000 if given.quick else 5_000)


if __name__ == "__main__":
    main()
