"""A gateway killed before its PUBACK gets what says no time again, and takes it once."""

import json
import random
import time
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from ingest.inbox import Inbox
from ingest.inboxreader import InboxReader
from ingest.reads import AGAIN_TOPIC, OWN_TOPICS
from tests.crash.marked_gateway import read_marks
from tests.crash.matrix_parts import BrokerServer, Gateway
from tests.ingest.scene import HEAD, STATION, hex_of, make_folder, serving
from tests.ingest.test_site import OBJECT
from tests.optional import stop

MESSAGES = 40
AWAY_SECONDS = 1.5  # longer than the copies of one message are apart
WAIT_SECONDS = 20.0


def publish(broker: BrokerServer) -> None:
    client = Client(CallbackAPIVersion.VERSION2, client_id="publisher", protocol=MQTTv311)
    client.connect(broker.now.host, broker.now.port)
    client.loop_start()
    try:
        sent = [
            client.publish("gate/r", json.dumps([hex_of(n)]), qos=1) for n in range(MESSAGES)
        ]
        for one in sent:
            one.wait_for_publish(WAIT_SECONDS)
    finally:
        client.disconnect()
        client.loop_stop()


def repeats(folder: Path) -> int:
    with InboxReader(folder) as inbox:
        return inbox.counts().repeats


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nats", "mosquitto"])
def test_what_says_no_time_is_taken_once_though_it_is_delivered_twice(
    kind: str, tmp_path: Path
) -> None:
    folder = tmp_path / "g"
    make_folder(folder)
    (folder / "plan.toml").write_text(HEAD + STATION + OBJECT)
    broker = BrokerServer(kind, tmp_path / "broker")
    with serving() as ledger:
        gateway = Gateway(folder, broker.now, ledger.url)
        try:
            gateway.wait_until_subscribed()
            gateway.kill()
            gateway.start_again("after keep:1")
            gateway.wait_until_subscribed()
            publish(broker)
            gateway.process.wait(WAIT_SECONDS)
            gateway.kill()
            assert read_marks(folder / "marks")["keeper"] == "after keep"
            time.sleep(AWAY_SECONDS)
            if broker.is_safe:
                broker.kill_and_start_again(random.Random(1))
            gateway.start_again("")
            deadline = time.monotonic() + WAIT_SECONDS
            while not repeats(folder) and time.monotonic() < deadline:
                time.sleep(0.05)
            gateway.wait_until_subscribed()
            time.sleep(1.0)
        finally:
            gateway.close()
            stop(broker.now.process)
    assert repeats(folder) > 0
    with Inbox(folder) as inbox:
        kept = [one.topic for one in inbox.load_after(0, 10_000)]
    assert kept.count(AGAIN_TOPIC) == 0
    assert sum(topic not in OWN_TOPICS for topic in kept) == MESSAGES
