"""SIGKILL to a live gateway at seeded instants: no acknowledged message lost, no event twice.

A publisher sends tags to a real broker and records each acknowledgement. The gateway, a
process of its own, is killed and started again and again. At the end every acknowledged
message is in the inbox once, and its event is in the ledger once. What each kill left behind
shows at which stage it fell; the histogram is printed.
"""

import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from ingest.database import SpoolError
from ingest.health import read_health
from ingest.inboxreader import InboxReader
from tests.ingest.scene import HEAD, STATION, Ledger, make_folder, read_payload, serving
from tests.ingest.test_site import OBJECT
from tests.optional import Broker

SEED = 20_260_105
KILLS = 20
ACKNOWLEDGED_MIN = 1_000
PUBLISH_PAUSE_SECONDS = 0.004
BURST = 200  # messages between two rests, so that kills also fall when all is worked off
REST_SECONDS = 1.2
SETTLE_SECONDS = 60.0


class Publisher(threading.Thread):
    """Publishes one tag after the other and remembers which ones the broker acknowledged."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(name="publisher", daemon=True)
        self.acknowledged: set[int] = set()
        self.stopping = threading.Event()
        self._number_of: dict[int, int] = {}
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="publisher", protocol=MQTTv5
        )
        self._client.max_inflight_messages_set(20)
        self._client.connect(broker.host, broker.port)
        self._sent: list[tuple[int, object]] = []

    def run(self) -> None:
        self._client.loop_start()
        n = 0
        while not self.stopping.wait(PUBLISH_PAUSE_SECONDS if n % BURST else REST_SECONDS):
            message = self._client.publish("gate/r", read_payload(n, 10 * n), qos=1)
            self._sent.append((n, message))
            n += 1
        for number, message in self._sent:
            message.wait_for_publish(10)  # type: ignore[attr-defined]
            if message.is_published():  # type: ignore[attr-defined]
                self.acknowledged.add(number)
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def publishing(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(broker)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stopping.set()
        publisher.join()


@contextmanager
def running(folder: Path, broker: Broker, ledger: Ledger) -> Iterator["subprocess.Popen[str]"]:
    """Run the gateway, from its subscription on; kill it at the end if it still runs."""
    log = (folder / "gateway.log").open("a")
    with log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ledger.cli", "gateway", "run"),
                *("--dir", str(folder), "--broker", broker.url),
                *("--plan", str(folder / "plan.toml"), "--ledger", ledger.url),
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("subscribed"), (folder / "gateway.log").read_text()
            yield process
        finally:
            process.kill()


def stage_of(folder: Path, ledger: Ledger) -> str:
    """Return how far the dead gateway had come with what it held."""
    try:
        health = read_health(folder)
    except SpoolError:
        return "before the first message"
    if len(ledger.statements) > health.entries:
        return "in the ledger, without its receipt"
    if health.waiting:
        return "signed, not delivered"
    if health.unprocessed:
        return "kept, not processed"
    return "processed, pass still open" if health.is_open else "at rest"


def wait_until_settled(folder: Path, ledger: Ledger, count: int) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        health = read_health(folder)
        if health.messages >= count and health.is_settled and len(ledger.events) >= count:
            return
        time.sleep(0.1)
    pytest.fail(
        f"not settled after {SETTLE_SECONDS} s: {count} acknowledged, {len(ledger.events)}"
        f" events in the ledger, {read_health(folder)}"
    )


def test_twenty_kills_lose_nothing_and_double_nothing(
    mosquitto: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "g"
    make_folder(folder)
    plan = HEAD + STATION.replace("idle_s = 5", "idle_s = 1") + OBJECT
    (folder / "plan.toml").write_text(plan)
    dice = random.Random(SEED)
    stages: Counter[str] = Counter()
    with serving() as ledger:
        with running(folder, mosquitto, ledger):
            pass  # from its first subscription on, the broker collects for it
        with publishing(mosquitto) as publisher:
            for _ in range(KILLS):
                with running(folder, mosquitto, ledger):
                    time.sleep(dice.uniform(0.0, 0.9))
                stages[stage_of(folder, ledger)] += 1
        acknowledged = publisher.acknowledged
        with running(folder, mosquitto, ledger) as process:
            wait_until_settled(folder, ledger, len(acknowledged))
            process.terminate()
            assert process.wait(10) == 0
        with capsys.disabled():
            print(f"\nseed {SEED}: {len(acknowledged)} acknowledged, {KILLS} kills fell")
            for stage, count in stages.most_common():
                print(f"  {count:3} {stage}")
        assert len(acknowledged) >= ACKNOWLEDGED_MIN
        with InboxReader(folder) as inbox:
            assert inbox.counts().messages >= len(acknowledged)
        numbers = [
            int(re.fullmatch(r".*\.(\d+)", epc).group(1))  # type: ignore[union-attr]
            for event in ledger.events
            for epc in event["epcList"]  # type: ignore[attr-defined]
        ]
        assert len(numbers) == len(set(numbers))
        assert acknowledged <= set(numbers)
        assert len(stages) > 1, "the kills all fell at one stage: that tests little"
