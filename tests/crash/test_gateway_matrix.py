"""SIGKILL to the gateway and to its broker under saturated load, at seeded instants.

A publisher keeps as many messages in flight as the broker takes and remembers which ones it
acknowledged. Meanwhile gateway and broker are killed and started again, over and over. At the
end every acknowledged message is in the inbox once and its tag is in one event of the ledger.

The broker is nats-server, which writes a message before it acknowledges it. mosquitto with its
safe settings acknowledges a moment before it writes: killed 13 times under this load it lost 7
of 3,585 acknowledged messages that the gateway never saw. Under it, only the gateway is killed.

`TAGTRAIL_KILLS` sets how many kills there are; 100 is the short form, 1,000 the long one.
"""

import os
import random
import re
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from ingest.database import SpoolError
from ingest.health import read_health
from ingest.inbox import InboxReader
from tests.crash.test_gateway_kill import stage_of
from tests.ingest.brokers import wait_for_port
from tests.ingest.scene import HEAD, STATION, Ledger, make_folder, read_payload, serving
from tests.ingest.test_site import OBJECT
from tests.optional import Broker, absent, find_program, free_port, start_mosquitto, stop

SEED = 20_260_106
KILLS = int(os.environ.get("TAGTRAIL_KILLS", "100"))
BROKER_SHARE = 0.3
SUBSCRIBED_SHARE = 0.6  # of the kills fall on a gateway that was subscribed
SUBSCRIBE_SECONDS = 4.0
IN_FLIGHT = 100
BACKLOG_MAX = 2_000
BURST = 250  # tags of one pass
ACKNOWLEDGED_PER_KILL = 20
SETTLE_SECONDS = 120.0


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
        try:
            with InboxReader(self._folder) as inbox:
                return inbox.counts().messages
        except SpoolError:
            return 0

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


class Gateway:
    """The gateway's process, started again after each kill."""

    def __init__(self, folder: Path, broker: Broker, ledger: Ledger) -> None:
        self.folder = folder
        self._log = (folder / "gateway.log").open("a")
        self._command = [
            *(sys.executable, "-m", "ledger.cli", "gateway", "run"),
            *("--dir", str(folder), "--broker", broker.url),
            *("--plan", str(folder / "plan.toml"), "--ledger", ledger.url),
        ]
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def wait_until_subscribed(self) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("subscribed"), (self.folder / "gateway.log").read_text()

    def wait_a_while_until_subscribed(self) -> None:
        """Wait for the subscription, but not for long: the broker may be dead."""
        assert self.process.stdout is not None
        select.select([self.process.stdout], [], [], SUBSCRIBE_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def start_again(self) -> None:
        self.process = self._start()

    def close(self) -> None:
        self.kill()
        self._log.close()


def settle(folder: Path, ledger: Ledger, acknowledged: set[int]) -> set[int]:
    """Return the numbers of the tags in the ledger once all that came is settled there."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        try:
            is_settled = read_health(folder).is_settled
        except SpoolError:
            is_settled = False
        if is_settled and acknowledged <= set(numbers_of(ledger)):
            break
        time.sleep(0.3)
    return set(numbers_of(ledger))


def numbers_of(ledger: Ledger) -> list[int]:
    with ledger.writing:
        events = list(ledger.events)
    return [
        int(re.fullmatch(r".*\.(\d+)", epc).group(1))  # type: ignore[union-attr]
        for event in events
        for epc in event["epcList"]  # type: ignore[attr-defined]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nats", "mosquitto"])
@pytest.mark.timeout(3_600)
def test_kills_lose_nothing_and_double_nothing(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "g"
    make_folder(folder)
    (folder / "plan.toml").write_text(
        HEAD + STATION.replace("idle_s = 5", "idle_s = 1") + OBJECT
    )
    kills = KILLS if kind == "nats" else max(KILLS // 4, 1)
    dice = random.Random(SEED)
    stages: Counter[str] = Counter()
    start = start_nats if kind == "nats" else start_mosquitto
    broker = start(tmp_path / "broker", free_port())
    with serving() as ledger:
        gateway = Gateway(folder, broker, ledger)
        try:
            gateway.wait_until_subscribed()  # from now on, the broker collects for it
            with publishing(broker, folder) as publisher:
                for _ in range(kills):
                    if dice.random() < SUBSCRIBED_SHARE:
                        gateway.wait_a_while_until_subscribed()
                    time.sleep(dice.uniform(0.0, 0.9))
                    if kind == "nats" and dice.random() < BROKER_SHARE:
                        broker.process.kill()
                        broker.process.wait()
                        stages["the broker"] += 1
                        time.sleep(dice.uniform(0.0, 0.2))
                        broker = start(broker.folder, broker.port)
                        continue
                    gateway.kill()
                    stages[stage_of(folder, ledger)] += 1
                    gateway.start_again()
            acknowledged = set(publisher.acknowledged)
            numbers = settle(folder, ledger, acknowledged)
            gateway.process.terminate()
            assert gateway.process.wait(30) == 0
        finally:
            gateway.close()
            stop(broker.process)
        with capsys.disabled():
            print(
                f"\n{kind}, seed {SEED}: {len(acknowledged)} acknowledged, {kills} kills fell"
            )
            for stage, count in stages.most_common():
                print(f"  {count:4} {stage}")
        assert len(acknowledged) >= ACKNOWLEDGED_PER_KILL * kills
        lost = sorted(acknowledged - numbers)
        assert not lost, f"{len(lost)} acknowledged were lost: {lost[:10]}"
        assert len(numbers_of(ledger)) == len(numbers), "a tag is in two events"
        with InboxReader(folder) as inbox:
            assert inbox.counts().messages >= len(acknowledged)
        assert [s.seq for s in ledger.statements] == list(range(len(ledger.statements)))
        if kind == "nats":  # The other broker's quarter of the kills may all fall alike.
            assert len(stages) >= min(3, kills // 8), (
                "the kills all fell at the same stages: that tests little"
            )
