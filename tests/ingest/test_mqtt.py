"""The live gateway against a real broker: kept before acknowledged, across every restart."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.brokerurl import BrokerUrl, check_client_id, parse_broker_url
from ingest.daemon import Gateway
from ingest.database import SpoolError
from ingest.health import read_health
from ingest.inbox import Inbox
from ingest.settings import Settings
from ledger.errors import ParseError
from tests.ingest.running import (
    WAIT_SECONDS,
    attended,
    publish,
    publisher,
    run_of,
    tags,
    wait_until,
)
from tests.ingest.scene import Ledger, make_folder, read_payload, serving
from tests.optional import Broker, start_mosquitto, stop


@contextmanager
def gateway(settings: Settings, broker: Broker, ledger: Ledger) -> Iterator[Gateway]:
    """Run a gateway in this process until the block ends."""
    with attended(Gateway(run_of(settings, broker, ledger))) as one:
        yield one


def test_each_message_becomes_one_event_also_those_sent_while_it_was_away(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger, publisher(mosquitto) as client:
        with gateway(settings, mosquitto, ledger):
            publish(client, 0, 50)
        publish(client, 50, 50)
        with gateway(settings, mosquitto, ledger):
            publish(client, 100, 50)
            client.publish("gate/r", b"connection lost", qos=1).wait_for_publish(WAIT_SECONDS)
            wait_until(lambda: len(ledger.events) == 150, "all 150 are in the ledger")
        health = read_health(settings.folder)
        assert (health.messages, health.faults) == (151, 1)
        assert len(set(tags(ledger))) == len(tags(ledger)) == 150


def test_the_properties_of_a_message_are_kept_with_it(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        gateway(settings, mosquitto, ledger),
    ):
        said = Properties(PacketTypes.PUBLISH)
        said.ContentType = "application/json"
        said.UserProperty = ("reader", "dock-1")
        client.publish("gate/r", read_payload(0, 0), qos=1, properties=said)
        publish(client, 1, 1)
        wait_until(lambda: read_health(settings.folder).messages == 2, "both are kept")
    with Inbox(settings.folder) as inbox:
        first, second = [one for one in inbox.load_after(0, 9) if one.topic == "gate/r"]
    assert json.loads(first.properties) == {
        "ContentType": "application/json",
        "UserProperty": [["reader", "dock-1"]],
    }
    assert second.properties == b""
    assert 0 < first.monotonic_us < second.monotonic_us


def test_what_the_disk_refuses_is_not_acknowledged_and_comes_again(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_folder(tmp_path / "g")
    keep, refusals = Inbox.keep, [0]

    def keep_or_refuse(self: Inbox, arrivals: list[object]) -> object:
        if refusals[0] < 2:
            refusals[0] += 1
            raise SpoolError("database or disk is full")
        return keep(self, arrivals)  # type: ignore[arg-type]

    with serving() as ledger, publisher(mosquitto) as client:
        with gateway(settings, mosquitto, ledger):
            pass
        publish(client, 0, 20)
        monkeypatch.setattr(Inbox, "keep", keep_or_refuse)
        monkeypatch.setattr("ingest.loops.DISK_RETRY_SECONDS", 0.1)
        with gateway(settings, mosquitto, ledger):
            wait_until(lambda: len(ledger.events) == 20, "the disk took them")
        assert refusals[0] == 2


def test_a_broker_that_restarts_is_met_again(mosquitto: Broker, tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger, gateway(settings, mosquitto, ledger):
        with publisher(mosquitto) as client:
            publish(client, 0, 5)
        stop(mosquitto.process)
        again = start_mosquitto(mosquitto.folder, mosquitto.port)
        try:
            with publisher(again) as client:
                publish(client, 5, 5)
            wait_until(lambda: len(ledger.events) == 10, "all 10 are in the ledger")
        finally:
            stop(again.process)


def test_a_ledger_that_is_away_is_waited_for(mosquitto: Broker, tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger, publisher(mosquitto) as client:
        ledger.down = True
        with gateway(settings, mosquitto, ledger):
            publish(client, 0, 5)
            wait_until(lambda: read_health(settings.folder).waiting > 0, "a statement waits")
            ledger.down = False
            wait_until(lambda: len(ledger.events) == 5, "all 5 are in the ledger")


def test_a_gateway_whose_keys_are_gone_does_not_start(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    (settings.folder / "keys" / "0.key").unlink()
    with pytest.raises(Exception, match="0.key"):  # noqa: RUF043
        Gateway(run_of(settings, mosquitto)).run(lambda: None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://broker", BrokerUrl(host="broker", port=1883, tls=False)),
        ("mqtts://broker/", BrokerUrl(host="broker", port=8883, tls=True)),
        (
            "mqtt://a:b%40c@[::1]:1",
            BrokerUrl(host="::1", port=1, tls=False, user="a", password="b@c"),
        ),
    ],
)
def test_a_broker_url_says_where_and_who(text: str, expected: BrokerUrl) -> None:
    assert parse_broker_url(text) == expected


@pytest.mark.parametrize(
    "text", ["broker:1883", "http://broker", "mqtt://", "mqtt://b:x", "mqtt://b/topic"]
)
def test_what_is_no_broker_url_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="broker URL"):
        parse_broker_url(text)


def test_a_password_shows_in_no_message() -> None:
    url = parse_broker_url("mqtt://me:secret@broker")
    assert "secret" not in f"{url} {url!r}"


@pytest.mark.parametrize("text", ["", "a b", "x" * 129, "a\n"])
def test_a_client_id_is_checked_before_a_broker_sees_it(text: str) -> None:
    with pytest.raises(ParseError, match="client id"):
        check_client_id(text)
