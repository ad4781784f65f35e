"""What the kill matrix is played with: publisher, broker, gateway and ledger, each killable."""

import random
import re
import select
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from ingest.database import SpoolError, open_reader
from ingest.inboxrows import FILE as INBOX_FILE
from ingest.inboxrows import VERSION as INBOX_VERSION
from ledger.disclosure import decode_event, shown_parts
from ledger.epcis.parts import join_parts
from tests.crash.marked_gateway import read_marks
from tests.ingest.brokers import wait_for_port
from tests.ingest.scene import read_payload
from tests.optional import Broker, absent, find_program, free_port, start_mosquitto

ORDERED_SECONDS = 3.0  # an ordered death that does not come is no order
SUBSCRIBED_SHARE = 0.6  # of the other kills fall on a gateway that was subscribed
SUBSCRIBE_SECONDS = 2.5
IN_FLIGHT = 100
BACKLOG_MAX = 2_000
BURST = 250  # tags of one pass


class Publisher(threading.Thread):
    """Keeps `IN_FLIGHT` messages on their way; `acknowledged` are those the broker has.

    It rests while the broker holds `BACKLOG_MAX` messages for the gateway: that is saturated.
    """

    def __init__(self, broker: Broker, folder: Path) -> None:
        super().__init__(name="publisher", daemon=True)
        self.acknowledged: set[int] = set()
        self.sent = 0
        self._folder = folder
        self.stopping = threading.Event()
        self._room = threading.Semaphore(IN_FLIGHT)
        self._number_of: dict[int, int] = {}
        self._early: set[int] = set()
        self._lock = threading.Lock()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id="publisher",
            protocol=MQTTv311,
            clean_session=False,
        )
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._published
        self._client.connect(broker.host, broker.port)

    def _published(self, _client: object, _data: object, mid: int, *_: object) -> None:
        with self._lock:
            number = self._number_of.pop(mid, None)
            if number is None:
                self._early.add(mid)  # before `publish` returned
                return
        self._take(number)

    def _take(self, number: int) -> None:
        self.acknowledged.add(number)
        self._room.release()

    def _kept(self) -> int:
        """Return how much is in the inbox, with a few messages of the gateway's own."""
        try:
            db = open_reader(self._folder / INBOX_FILE, INBOX_VERSION)
        except SpoolError:
            return 0
        try:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()[0])
        finally:
            db.close()

    def run(self) -> None:
        self._client.loop_start()
        while not self.stopping.is_set():
            if self.sent % BURST == 0 and self.sent - self._kept() > BACKLOG_MAX:
                self.stopping.wait(0.05)
                continue
            if not self._room.acquire(timeout=0.1):
                continue
            n = self.sent
            second = 10 * (n // BURST) + (n % BURST) / 100
            # Not under the lock: paho holds one of its own around the callback.
            mid = self._client.publish("gate/r", read_payload(n, second), qos=1).mid
            self.sent += 1
            with self._lock:
                is_early = mid in self._early
                self._early.discard(mid)
                if not is_early:
                    self._number_of[mid] = n
            if is_early:
                self._take(n)
        deadline = time.monotonic() + 20
        while self._number_of and time.monotonic() < deadline:
            time.sleep(0.05)
        self._client.disconnect()


@contextmanager
def publishing(broker: Broker, folder: Path) -> Iterator[Publisher]:
    publisher = Publisher(broker, folder)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stopping.set()
        publisher.join()


def start_nats(folder: Path, port: int) -> Broker:
    program = find_program("nats-server")
    if program is None:
        absent("nats", "install it with: apt-get install nats-server")
    assert program is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nats.conf").write_text(
        f'server_name: broker\nlisten: "127.0.0.1:{free_port()}"\n'
        f'jetstream {{ store_dir: "{folder}/store" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{port}", max_ack_pending: 1000, ack_wait: "5s" }}\n'
    )
    log = folder / "nats.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [program, "-c", str(folder / "nats.conf")], stdout=file, stderr=file
        )
    wait_for_port(port, log, process)
    return Broker("127.0.0.1", port, process, folder)


class BrokerServer:
    """The broker, started again on its port after each kill."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._start = start_nats if kind == "nats" else start_mosquitto
        self.is_safe = kind == "nats"
        self.now = self._start(folder, free_port())

    def kill_and_start_again(self, dice: random.Random) -> None:
        time.sleep(dice.uniform(0.0, 0.5))
        self.now.process.kill()
        self.now.process.wait()
        time.sleep(dice.uniform(0.0, 0.2))
        self.now = self._start(self.now.folder, self.now.port)


class Gateway:
    """The gateway's process, started again after each kill."""

    def __init__(self, folder: Path, broker: Broker, ledger_url: str) -> None:
        self.folder = folder
        self._marks = folder / "marks"
        self._log = (folder / "gateway.log").open("a")
        self._arguments = [
            *("gateway", "run", "--dir", str(folder), "--broker", broker.url),
            *("--plan", str(folder / "plan.toml"), "--ledger", ledger_url),
        ]
        self.fell: Counter[tuple[str, str]] = Counter()
        self.met: Counter[str] = Counter()
        self._order = ""
        self.process = self._start("")

    def _start(self, order: str) -> "subprocess.Popen[str]":
        self._order = order
        command = [sys.executable, "-m", "tests.crash.marked_gateway", str(self._marks), order]
        return subprocess.Popen(
            [*command, *self._arguments], stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def wait_until_subscribed(self) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("subscribed"), (self.folder / "gateway.log").read_text()

    def die(self, dice: random.Random) -> None:
        """Die as ordered, or at an instant that the dice choose."""
        if self._order:
            try:
                self.process.wait(ORDERED_SECONDS)
                self.met[self._order.split(":")[0]] += 1
            except subprocess.TimeoutExpired:
                pass
        else:
            if dice.random() < SUBSCRIBED_SHARE:  # but not for long: the broker may be dead
                assert self.process.stdout is not None
                select.select([self.process.stdout], [], [], SUBSCRIBE_SECONDS)
            time.sleep(dice.uniform(0.0, 0.5))
        self.kill()
        self.fell.update(read_marks(self._marks).items())

    def kill(self) -> None:
        self.process.kill()
        code = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        # A gateway that fell over by itself must not pass as one that was killed.
        log = self.folder / "gateway.log"
        assert code in (-9, 0), f"the gateway ended with {code}: {log.read_text()[-2_000:]}"

    def start_again(self, order: str) -> None:
        self.process = self._start(order)

    def close(self) -> None:
        self.kill()
        self._log.close()


class LedgerServer:
    """`tagtrail serve` on one port, started again after each kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = self._start()
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("listening on ")

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "ledger.cli", "serve", "--dir", str(self.folder)]
        with (self.folder / "serve.log").open("a") as log:
            return subprocess.Popen(
                [*command, "--port", str(self.port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def kill_and_start_again(self) -> None:
        self.kill()
        self.process = self._start()

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def stop(self) -> None:
        self.process.terminate()
        self._end()

    def _end(self) -> None:
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def numbers(self) -> list[int]:
        """Return the numbers of the tags in the ledger, as often as they are in its events."""
        db = sqlite3.connect(f"file:{self.folder / 'evidence.db'}?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT data FROM event ORDER BY eid").fetchall()
        finally:
            db.close()
        events = [join_parts(shown_parts(decode_event(data))) for (data,) in rows]
        return [
            int(re.fullmatch(r".*\.(\d+)", epc).group(1))  # type: ignore[union-attr]
            for event in events
            for epc in event["epcList"]  # type: ignore[attr-defined]
        ]
