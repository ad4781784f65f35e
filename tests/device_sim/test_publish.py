import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from device_sim.play import Run
from device_sim.publish import IN_FLIGHT_MAX, PublishError, parse_broker, publish
from device_sim.world import Message
from ledger.errors import ParseError
from tests.optional import Broker, free_port, start_mosquitto, stop

DEADLINE_S = 30.0


class Ear:
    """A durable subscriber to everything; it counts what it hears."""

    def __init__(self, broker: Broker) -> None:
        self.heard: Counter[tuple[str, bytes]] = Counter()
        self.order: list[tuple[str, bytes]] = []
        self.ready = threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id="ear", clean_session=False
        )
        self.client.on_connect = lambda c, *_rest: c.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_rest: self.ready.set()
        self.client.on_message = self.hear
        self.client.reconnect_delay_set(1, 1)
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert self.ready.wait(DEADLINE_S)

    def hear(self, _client: object, _user: object, message: mqtt.MQTTMessage) -> None:
        self.heard[message.topic, message.payload] += 1
        self.order.append((message.topic, message.payload))

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while len(self.heard) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def some(count: int) -> list[Message]:
    return [Message(n * 1000, f"sites/x/{n % 3}", b'{"n":%d}' % n) for n in range(count)]


def test_every_message_arrives_and_every_acknowledgement_is_written_down(
    mosquitto: Broker, dairy_run: Run, tmp_path: Path
) -> None:
    ear, messages = Ear(mosquitto), dairy_run.messages[:2_000]
    seen: list[tuple[int, int]] = []
    published = publish(
        messages, mosquitto.url, acks=tmp_path / "acks.jsonl",
        progress=lambda done, time_us: seen.append((done, time_us)),
    )  # fmt: skip
    ear.wait_for(len({one.identity for one in messages}))
    ear.close()
    assert (published.messages, published.connections) == (len(messages), 1)
    assert seen[-1][0] == len(messages)
    assert max(time_us for _, time_us in seen) == messages[-1].time_us
    assert ear.heard == Counter((one.topic, one.payload) for one in messages)
    acks = [json.loads(one) for one in (tmp_path / "acks.jsonl").read_text().splitlines()]
    assert sorted(one["n"] for one in acks) == list(range(len(messages)))
    assert all(messages[one["n"]].identity == one["sha256"] for one in acks)


def test_a_broker_that_goes_away_gets_the_same_payloads_again(tmp_path: Path) -> None:
    port = free_port()
    broker = start_mosquitto(tmp_path / "broker", port)
    ear, messages = Ear(broker), some(2_000)
    result: list[object] = []

    def run() -> None:
        result.append(
            publish(messages, broker.url, acks=tmp_path / "acks.jsonl", speed=1.0)
        )  # two seconds of it

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    time.sleep(0.7)
    stop(broker.process)
    time.sleep(0.5)
    again = start_mosquitto(tmp_path / "broker", port)
    thread.join(DEADLINE_S)
    ear.wait_for(len(messages))
    ear.close()
    stop(again.process)
    assert result
    assert getattr(result[0], "connections", 0) >= 2
    assert set(ear.heard) == {(one.topic, one.payload) for one in messages}
    lines = (tmp_path / "acks.jsonl").read_text().splitlines()
    assert sorted(json.loads(one)["n"] for one in lines) == list(range(len(messages)))


def test_many_readers_share_a_few_connections_each_in_its_order(
    mosquitto: Broker, dairy_run: Run, tmp_path: Path
) -> None:
    ear, messages = Ear(mosquitto), dairy_run.messages[:1_500]
    published = publish(messages, mosquitto.url, acks=tmp_path / "acks.jsonl", clients=4)
    ear.wait_for(len({one.identity for one in messages}))
    ear.close()
    assert (published.messages, published.connections) == (len(messages), 4)
    order: dict[str, list[bytes]] = {}
    for topic, payload in ear.order:
        order.setdefault(topic, []).append(payload)
    for topic, payloads in order.items():
        assert payloads == [one.payload for one in messages if one.topic == topic]
    lines = (tmp_path / "acks.jsonl").read_text().splitlines()
    assert sorted(json.loads(one)["n"] for one in lines) == list(range(len(messages)))


def test_a_run_without_end_is_published_as_it_is_made(mosquitto: Broker) -> None:
    def endless() -> Iterator[Message]:
        for n in count():
            if n == 3_000:
                return
            made.append(n)
            yield Message(n, f"t/{n % 7}", b"%d" % n)

    made: list[int] = []
    told: list[int] = []
    publish(endless(), mosquitto.url, progress=lambda done, _: told.append(len(made) - done))
    assert max(told) <= IN_FLIGHT_MAX + 1


def test_a_broker_that_stands_still_holds_the_run_back_and_it_shows(tmp_path: Path) -> None:
    broker = start_mosquitto(tmp_path / "broker", free_port())
    made: list[int] = []

    def messages() -> Iterator[Message]:
        for n in range(3 * IN_FLIGHT_MAX):
            if n == 1:
                os.kill(broker.process.pid, signal.SIGSTOP)
                threading.Timer(1.0, os.kill, (broker.process.pid, signal.SIGCONT)).start()
            made.append(n)
            yield Message(n, "t", b"%d" % n)

    try:
        published = publish(messages(), broker.url)
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
        stop(broker.process)
    assert published.messages == len(made) == 3 * IN_FLIGHT_MAX
    assert published.held_s > 0.1


def test_the_speed_is_simulated_seconds_per_second(mosquitto: Broker) -> None:
    messages = [Message(n * 10**6, "t", b"%d" % n) for n in range(11)]
    began = time.monotonic()
    publish(messages, mosquitto.url, speed=20)
    assert 0.4 < time.monotonic() - began < 10


def test_no_broker_is_said_at_once() -> None:
    with pytest.raises(PublishError, match="no broker at"):
        publish(some(1), f"mqtt://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    "url", ["localhost:1883", "http://x", "mqtt://", "mqtt://h:no", "mqtt://h/p"]
)
def test_what_is_no_broker_is_refused(url: str) -> None:
    with pytest.raises(ParseError, match="broker"):
        parse_broker(url)


def test_an_address_has_a_default_port_and_may_have_a_user() -> None:
    address = parse_broker("mqtts://ann:secret@broker.example")
    assert (address.host, address.port, address.tls) == ("broker.example", 8883, True)
    assert (address.user, address.password) == ("ann", "secret")
