"""Gateways that run in a test's own process, what is published to them, and how they are."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client.parser import text_string_to_metric_families

from ingest.brokerurl import parse_broker_url
from ingest.daemon import Gateway, GatewayRun
from ingest.planfile import parse_plan
from ingest.pulse import Clock
from ingest.settings import Settings
from ingest.start import choose_client_id, find_broker
from tests.ingest.scene import HEAD, STATION, Ledger, read_payload
from tests.ingest.test_site import OBJECT
from tests.optional import Broker

GATE = STATION.replace("idle_s = 5", "idle_s = 1")
PLAN_TEXT = HEAD + GATE + OBJECT
PLAN = parse_plan(PLAN_TEXT)
WAIT_SECONDS = 40.0


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.02)
    pytest.fail(f"waited {seconds} s in vain until {what}")


@contextmanager
def publisher(broker: Broker) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.connect(broker.host, broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def publish(client: Client, first: int, count: int) -> None:
    """Publish tags one second apart and wait for each acknowledgement."""
    sent = [
        client.publish("gate/r", read_payload(n, 10 * n), qos=1)
        for n in range(first, first + count)
    ]
    for one in sent:
        one.wait_for_publish(WAIT_SECONDS)


def tags(ledger: Ledger) -> list[str]:
    return [epc for event in ledger.events for epc in event["epcList"]]  # type: ignore[attr-defined]


def run_of(
    settings: Settings, broker: Broker, ledger: Ledger | None = None, /, **more: Any
) -> GatewayRun:
    """Return what a gateway is started with; without a ledger, one that is away."""
    url = "http://127.0.0.1:9" if ledger is None else ledger.url
    said = {"plan": PLAN, "client_id": "gateway-under-test", "ledger_url": url}
    said["broker"] = parse_broker_url(broker.url)
    return GatewayRun(settings=settings, **said | more)


def secured_run(settings: Settings, broker: Broker, ledger: Ledger, **more: Any) -> GatewayRun:
    """Return what a gateway is started with that shows its certificate."""
    url, credentials = find_broker(settings, f"mqtts://localhost:{broker.port}")
    name = choose_client_id(settings, credentials, "", "own")
    said = {"broker": url, "credentials": credentials, "client_id": name}
    return run_of(settings, broker, ledger, **said | more)


@contextmanager
def begun(one: Gateway) -> Iterator[threading.Thread]:
    """Run a gateway, subscribed or not, until the block ends."""
    thread = threading.Thread(target=one.run, args=(lambda: None,), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        one.stop()
        thread.join(WAIT_SECONDS)


@contextmanager
def attended(one: Gateway) -> Iterator[Gateway]:
    is_ready = threading.Event()
    thread = threading.Thread(target=one.run, args=(is_ready.set,), daemon=True)
    thread.start()
    try:
        wait_until(lambda: is_ready.is_set() or not thread.is_alive(), "it is subscribed")
        yield one
    finally:
        one.stop()
        thread.join(WAIT_SECONDS)


class Clocks(Protocol):
    """Where a gateway under test has its clock from."""

    @property
    def clock(self) -> Clock: ...


class Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.step_us = 0

    @property
    def clock(self) -> Clock:
        return Clock(wall_us=lambda: time.time_ns() // 1_000 + self.step_us)


@contextmanager
def live(
    settings: Settings, broker: Broker, ledger: Ledger, hands: Clocks | None = None
) -> Iterator[Gateway]:
    """Run a gateway with a monitor; its plan is in plan.toml of its folder."""
    path = settings.folder / "plan.toml"
    if not path.exists():
        path.write_text(PLAN_TEXT)
    how = run_of(
        replace(settings, listen=("127.0.0.1", 0)),
        broker,
        ledger,
        plan=parse_plan(path.read_text()),
        load_plan=lambda: parse_plan(path.read_text()),
        clock=(hands or Hands()).clock,
    )
    with attended(Gateway(how)) as one:
        yield one


def ask(one: Gateway | str, path: str) -> tuple[int, str]:
    url = one if isinstance(one, str) else str(one.monitor_url)
    try:
        with urllib.request.urlopen(url + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def problems(one: Gateway) -> list[str]:
    return [row["part"] for row in json.loads(ask(one, "/readyz")[1])["problems"]]


def is_ready(one: Gateway) -> bool:
    return ask(one, "/readyz")[0] == 200


def figures(one: Gateway) -> dict[str, float]:
    return {
        " ".join([sample.name, *(v for _, v in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(ask(one, "/metrics")[1])
        for sample in family.samples
    }
