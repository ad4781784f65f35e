import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from device_sim import broker as broker_module
from device_sim.broker import RunningBroker, find_mosquitto, start_broker
from tests.optional import absent

MESSAGES = 5_000
DEADLINE_S = 60.0


@pytest.fixture
def safe_mosquitto(tmp_path: Path) -> Iterator[RunningBroker]:
    if find_mosquitto() is None:
        absent("mosquitto", "install it with: apt-get install mosquitto")
    broker = start_broker(tmp_path / "broker")
    assert broker.name == "mosquitto"
    yield broker
    broker.stop()


def subscriber(port: int, received: list[bytes], enough: threading.Event) -> mqtt.Client:
    """Connect the durable session `counter`, collecting payloads."""
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id="counter", protocol=mqtt.MQTTv5
    )

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        received.append(message.payload)
        if len(set(received)) >= MESSAGES:
            enough.set()

    subscribed = threading.Event()
    client.on_message = on_message
    client.on_connect = lambda c, *_rest: c.subscribe("gate/#", qos=1)
    client.on_subscribe = lambda *_rest: subscribed.set()
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    assert subscribed.wait(DEADLINE_S)
    return client


def close(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()


def test_a_restarted_broker_still_has_all_that_an_offline_gateway_is_owed(
    safe_mosquitto: RunningBroker, tmp_path: Path
) -> None:
    received: list[bytes] = []
    enough = threading.Event()
    close(subscriber(safe_mosquitto.port, received, enough))

    publisher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="reader")
    publisher.max_inflight_messages_set(200)
    publisher.connect("127.0.0.1", safe_mosquitto.port)
    publisher.loop_start()
    sent = [publisher.publish("gate/1", b"read %d" % n, qos=1) for n in range(MESSAGES)]
    for info in sent:
        info.wait_for_publish(DEADLINE_S)
    assert all(info.is_published() for info in sent)
    close(publisher)

    safe_mosquitto.stop()
    again = start_broker(tmp_path / "broker", safe_mosquitto.port)
    try:
        client = subscriber(again.port, received, enough)
        assert enough.wait(DEADLINE_S), f"only {len(set(received))} of {MESSAGES} came back"
        close(client)
    finally:
        again.stop()
    assert set(received) == {b"read %d" % n for n in range(MESSAGES)}


def test_the_embedded_broker_delivers_where_mosquitto_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)
    broker = start_broker(tmp_path / "broker")
    try:
        assert broker.name == "amqtt"
        received = threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="one")
        client.on_connect = lambda c, *_rest: c.subscribe("gate/#", qos=1)
        client.on_subscribe = lambda c, *_rest: c.publish("gate/1", b"read", qos=1)
        client.on_message = lambda *_rest: received.set()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        assert received.wait(DEADLINE_S)
        close(client)
    finally:
        broker.stop()


def test_a_broker_that_cannot_listen_says_so_and_names_its_log(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(broker_module.BrokerError, match="did not listen") as caught:
            start_broker(tmp_path / "broker", port=port)
    assert str(tmp_path / "broker") in str(caught.value)
