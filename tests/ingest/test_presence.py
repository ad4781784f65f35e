"""What the gateway says on the broker: whether it is there, and which node must be reborn."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from device_sim import sparkplug as world
from ingest.brokerurl import parse_broker_url
from ingest.daemon import Gateway
from ingest.health import read_health
from ingest.link import Link
from ingest.mqtt import Subscriber
from ingest.plan import Plan
from ingest.readers.sparkplugwire import parse_payload
from ingest.rebirths import AGAIN_US, BURST, Rebirths
from ingest.settings import BrokerSetting, Settings, load_settings
from ingest.start import state_topic
from ledger.errors import ParseError
from tests.certificates import Authority
from tests.ingest.brokers import shipped_mosquitto
from tests.ingest.running import attended, run_of, secured_run, wait_until
from tests.ingest.scene import DAIRY, STATION, Ledger, make_folder, plan_of, serving
from tests.ingest.test_deploy import PLAN, make_settings
from tests.ingest.test_site import OBJECT
from tests.optional import Broker

STATE = "tagtrail/gateways/gw-1"
SENSOR = f"""[[sensor]]
device = "D1"
device_uri = "urn:x:d1"
topics = ["spBv1.0/#"]
party = "{DAIRY}"
asset = "urn:epc:id:grai:9506000.00300.7"
batch = 1
"""
SPARKPLUG = plan_of(STATION, OBJECT, SENSOR)


class Ear:
    """A client that hears topics, what was retained there included."""

    def __init__(self, broker: Broker, *topics: str) -> None:
        self.heard: list[MQTTMessage] = []
        self.on_message = lambda _message: None
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.client.on_message = self._take
        self.is_subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: self.is_subscribed.set()
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        self.client.subscribe([(one, 1) for one in topics])
        assert self.is_subscribed.wait(20)

    def _take(self, _client: object, _data: object, message: MQTTMessage) -> None:
        self.heard.append(message)
        self.on_message(message)

    def states(self) -> list[str]:
        return [json.loads(one.payload)["state"] for one in self.heard]


@contextmanager
def hearing(broker: Broker, *topics: str) -> Iterator[Ear]:
    ear = Ear(broker, *topics)
    try:
        yield ear
    finally:
        ear.client.disconnect()
        ear.client.loop_stop()
        ear.client.on_message = ear.client.on_subscribe = None  # no cycle keeps its sockets
        ear.on_message = lambda _message: None


def gateway(settings: Settings, broker: Broker, ledger: Ledger, plan: Plan = PLAN) -> Gateway:
    return Gateway(run_of(settings, broker, ledger, plan=plan, client_id="gw-1"))


def test_the_gateway_shows_that_it_comes_and_that_it_goes(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger, hearing(mosquitto, STATE) as ear:
        with attended(gateway(settings, mosquitto, ledger)):
            wait_until(lambda: ear.states() == ["online"], "it says that it is there")
            assert json.loads(ear.heard[0].payload)["gateway"] == "gw-1"
            with hearing(mosquitto, STATE) as late:
                wait_until(lambda: late.states() == ["online"], "who asks later is told too")
                assert late.heard[0].retain
        wait_until(lambda: ear.states() == ["online", "offline"], "it says that it goes")
        with hearing(mosquitto, STATE) as late:
            wait_until(lambda: late.states() == ["offline"], "it is away")


def test_the_broker_tells_of_a_gateway_that_died(
    mosquitto: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.mqtt._WILL_DELAY_SECONDS", 1)
    with hearing(mosquitto, STATE) as ear:
        link = Link(
            broker=parse_broker_url(mosquitto.url),
            client_id="gw-1",
            on_delivery=lambda _: None,
            state_topic=STATE,
        )
        one = Subscriber(link, ["gate/#"])
        one.start()
        try:
            wait_until(lambda: ear.states() == ["online"], "it is there")
            one._client.reconnect_delay_set(60, 60)
            sock = one._client.socket()
            assert sock is not None
            sock.shutdown(2)  # no farewell: as after a kill or a cut line
            wait_until(lambda: ear.states() == ["online", "offline"], "its will is told")
        finally:
            one.stop()


def test_the_gateway_of_the_shipped_access_list_may_show_its_state(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker,
    ):
        how = secured_run(settings, broker, ledger, plan=PLAN)
        with attended(Gateway(how)) as one:
            sent = one._subscriber._client.publish(STATE, b"{}", qos=1, retain=True)
            sent.wait_for_publish(20)
            assert sent.is_published()
            assert one._subscriber._has_will


def test_a_broker_that_forbids_the_state_is_met_without_it(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-safe.conf") as broker,
        attended(gateway(settings, broker, ledger)) as one,
    ):
        one._subscriber._is_will_refused = True  # as its refusal of the connection says
        one._subscriber.subscribed.clear()
        assert one._subscriber.try_other_version()
        assert not one._subscriber._has_will
        assert one._subscriber.is_v5
        wait_until(one._subscriber.subscribed.is_set, "it is connected without its will")
        assert not one._subscriber.try_other_version()


@pytest.mark.parametrize(
    ("setting", "topic"),
    [
        ("", "tagtrail/gateways/gw-1"),
        ('state_topic = "site/a/gateway"', "site/a/gateway"),
        ('state_topic = "none"', ""),
    ],
)
def test_the_settings_say_where_the_state_is(tmp_path: Path, setting: str, topic: str) -> None:
    settings = make_folder(tmp_path / "g")
    with (settings.folder / "gateway.toml").open("a") as file:
        file.write(f"[broker]\n{setting}\n")
    assert state_topic(load_settings(settings.folder).broker, "gw-1") == topic


def test_a_state_topic_that_is_none_is_refused(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with (settings.folder / "gateway.toml").open("a") as file:
        file.write('[broker]\nstate_topic = "a/+/b"\n')
    with pytest.raises(ParseError, match="state_topic"):
        load_settings(settings.folder)
    assert state_topic(BrokerSetting(), "a/b+#") == "tagtrail/gateways/a-b--"


# Sparkplug ----------------------------------------------------------------------------


class Node:
    """An edge node that sends data by alias, and its births only when it is asked."""

    def __init__(self, ear: Ear) -> None:
        self.ear, self.seq, self.asked = ear, 5, 0
        ear.on_message = self._take

    def _take(self, message: MQTTMessage) -> None:
        (metric,) = parse_payload(message.payload).metrics
        assert (metric.name, metric.value) == ("Node Control/Rebirth", True)
        assert message.topic == "spBv1.0/G/NCMD/N"
        assert not message.retain
        self.asked += 1
        node, device = world.births(_now_ms(), 1, ("temperature",), (4.5,))
        self.ear.client.publish("spBv1.0/G/NBIRTH/N", node, qos=1)
        self.ear.client.publish("spBv1.0/G/DBIRTH/N/D1", device, qos=1)
        self.seq = 2

    def send(self, value: float) -> None:
        payload = world.data(_now_ms(), (value,), self.seq)
        self.ear.client.publish("spBv1.0/G/DDATA/N/D1", payload, qos=1).wait_for_publish(20)
        self.seq += 1


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_sparkplug_node_whose_births_were_missed_is_asked_for_them_once(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        hearing(mosquitto, "spBv1.0/+/NCMD/+") as ear,
        attended(gateway(settings, mosquitto, ledger, SPARKPLUG)) as one,
    ):
        node = Node(ear)
        for n in range(5):
            node.send(float(n))
        wait_until(lambda: node.asked == 1, "it is asked for its births")
        wait_until(lambda: len(ledger.events) >= 1, "its birth is an event")
        node.send(7.5)
        wait_until(lambda: len(ledger.events) >= 2, "its data can be read")
        reports = ledger.events[-1]["sensorElementList"][0]["sensorReport"]  # type: ignore[index]
        assert reports[0]["value"] == 7.5
        assert one.pulse.counts()["rebirths"] == node.asked == 1
    health = read_health(settings.folder)
    assert health.faults == 5, "the gateway heard its own command"


def test_a_node_is_asked_once_in_a_while_and_all_together_not_too_often() -> None:
    rebirths = Rebirths()
    assert [topic for topic, _ in rebirths.commands({"G/N", "G/M"}, 0)] == [
        "spBv1.0/G/NCMD/M",
        "spBv1.0/G/NCMD/N",
    ]
    assert rebirths.commands({"G/N"}, AGAIN_US - 1) == []
    assert len(rebirths.commands({"G/N"}, AGAIN_US)) == 1
    invented = {f"G/{n}" for n in range(10_000)}
    assert len(rebirths.commands(invented, 10 * AGAIN_US)) == BURST
    assert rebirths.commands(invented, 10 * AGAIN_US + 1) == []
    assert len(rebirths.commands(invented, 11 * AGAIN_US)) == BURST
    assert len(rebirths._asked_us) == BURST


@pytest.mark.parametrize("name", ["G/N#", "+/N", "G/\0", "#/#"])
def test_a_name_that_no_topic_can_hold_is_never_published(name: str) -> None:
    assert Rebirths().commands({name}, 0) == []


def test_the_plain_clients_of_a_capture_show_no_state(mosquitto: Broker) -> None:
    link = Link(
        broker=parse_broker_url(mosquitto.url),
        client_id="gw-1-capture",
        on_delivery=lambda _: None,
        is_passing=True,
    )
    with hearing(mosquitto, "tagtrail/#") as ear:
        one = Subscriber(link, ["gate/#"])
        one.start()
        wait_until(one.subscribed.is_set, "it is subscribed")
        one.stop()
        ear.client.publish("tagtrail/last", b'{"state":"x"}', qos=1).wait_for_publish(20)
        wait_until(lambda: len(ear.heard) == 1, "nothing else was said")
