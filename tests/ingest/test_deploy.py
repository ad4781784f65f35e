"""What docs/deploy ships, on real brokers: the settings hold, and the access lists bite."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from ingest.cli import app
from ingest.daemon import Gateway
from ingest.doctor import Ask, Finding, examine
from ingest.health import read_health
from ingest.settings import Settings, load_settings
from tests.certificates import Authority
from tests.ingest import brokers
from tests.ingest.brokers import DEPLOY, shipped_mosquitto, shipped_nats
from tests.ingest.running import WAIT_SECONDS, attended, begun, secured_run, tags, wait_until
from tests.ingest.scene import (
    HEAD,
    STATION,
    Ledger,
    make_folder,
    plan_of,
    read_payload,
    serving,
)
from tests.ingest.test_site import OBJECT
from tests.optional import Broker, find_program

SITE = STATION.replace('"gate/#"', '"sites/+/dock-1/#"').replace("idle_s = 5", "idle_s = 1")
PLAN = plan_of(SITE, OBJECT)


def make_settings(folder: Path, authority: Authority, name: str = "gw-1") -> Settings:
    settings = make_folder(folder)
    path, key = authority.issue(name)
    lines = [
        "[broker]",
        f'ca = "{authority.path}"',
        f'certificate = "{path}"',
        f'key = "{key}"',
    ]
    with (folder / "gateway.toml").open("a") as file:
        file.write("\n".join(lines) + "\n")
    return load_settings(settings.folder)


class Device:
    """A reader with a certificate of its own; remembers what became of what it sent."""

    def __init__(
        self,
        broker: Broker,
        authority: Authority,
        name: str,
        client_id: str,
        *,
        v5: bool = True,
    ) -> None:
        self.refused: list[int] = []
        self.state: list[str] = []
        path, key = authority.issue(name, file=f"{name}-as-{client_id}")
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if v5 else MQTTv311,
        )
        context = ssl.create_default_context(cafile=str(authority.path))
        context.load_cert_chain(path, key)
        self.client.tls_set_context(context)
        self.client.on_connect = lambda *args: self.state.append(str(args[3]))
        self.client.on_publish = self._published
        self.client.connect("localhost", broker.port)
        self.client.loop_start()

    def _published(
        self, _client: object, _data: object, mid: int, reason: object, *_: object
    ) -> None:
        if getattr(reason, "is_failure", False):
            self.refused.append(mid)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish, and return whether the broker took it."""
        info = self.client.publish(topic, payload, qos=1)
        info.wait_for_publish(WAIT_SECONDS)
        return info.is_published() and info.mid not in self.refused

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def device(*args: object, v5: bool = True) -> Iterator[Device]:
    one = Device(*args, v5=v5)  # type: ignore[arg-type]
    try:
        yield one
    finally:
        one.close()


@contextmanager
def secured(settings: Settings, broker: Broker, ledger: Ledger) -> Iterator[Gateway]:
    """Run a gateway with its certificate until the block ends."""
    with attended(Gateway(secured_run(settings, broker, ledger, plan=PLAN))) as one:
        yield one


def test_with_mutual_tls_a_device_publishes_under_its_own_name_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker,
        secured(settings, broker, ledger),
    ):
        with device(broker, authority, "dock-1", "dock-1") as dock:
            assert dock.publish("sites/dairy/dock-1/r", read_payload(1, 0))
        with device(broker, authority, "dock-2", "dock-2") as thief:
            assert not thief.publish("sites/dairy/dock-1/r", read_payload(66, 0))
        wait_until(lambda: len(ledger.events) == 1, "the event is there")
        assert len(tags(ledger)) == 1


def test_a_device_cannot_take_over_the_session_of_the_gateway(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker,
        secured(settings, broker, ledger) as gateway,
    ):
        with (
            device(broker, authority, "dock-2", "gw-1") as thief,
            device(broker, authority, "dock-1", "dock-1") as dock,
        ):
            wait_until(lambda: thief.state != [], "the thief is answered")
            assert dock.publish("sites/dairy/dock-1/r", read_payload(1, 0))
            wait_until(lambda: len(ledger.events) == 1, "the event is there")
        assert "broker" not in [one.part for one in gateway.pulse.problems()]


def test_who_shows_no_certificate_is_not_let_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    stranger = Authority(tmp_path / "stranger", "stranger")
    (tmp_path / "stranger" / "ca.pem").write_bytes(authority.path.read_bytes())
    settings = make_settings(tmp_path / "g", stranger)
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker,
    ):
        one = Gateway(secured_run(settings, broker, ledger, plan=PLAN))
        with begun(one):
            wait_until(lambda: bool(one.pulse.problems()), "it says so")
            assert not one._subscriber.subscribed.wait(2)
            assert [p.part for p in one.pulse.problems()] == ["broker"]


def findings(settings: Settings, broker: str, ledger: str) -> dict[str, list[Finding]]:
    plan = settings.folder / "plan.toml"
    plan.write_text(HEAD + SITE + OBJECT)
    found: dict[str, list[Finding]] = {}
    for one in examine(
        Ask(folder=settings.folder, plan_path=plan, broker=broker, ledger=ledger)
    ):
        found.setdefault(one.part, []).append(one)
    return found


def test_the_safe_and_the_fast_settings_keep_what_waits(tmp_path: Path) -> None:
    for name in ("mosquitto-safe.conf", "mosquitto-fast.conf"):
        settings = make_folder(tmp_path / name / "g")
        with serving() as ledger, shipped_mosquitto(tmp_path / name, name) as broker:
            found = findings(settings, broker.url, ledger.url)
        said = [one.said for one in found["broker"] if one.level == "ok"]
        assert any("messages for a client that was away" in one for one in said), name
        assert not [one for one in found["broker"] if one.level == "fault"], name
        assert any("not TLS" in one.said for one in found["broker"])
        assert [one.level for one in found["plan"]] == ["ok"]


def test_the_doctor_sees_a_broker_that_loses_what_waits(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    text = (DEPLOY / "mosquitto-safe.conf").read_text()
    careless = text.replace("max_queued_messages 0", "max_queued_messages 1000")
    (tmp_path / "b").mkdir()
    with serving() as ledger, careless_mosquitto(tmp_path / "b", careless) as broker:
        found = findings(settings, broker.url, ledger.url)
    (fault,) = [one for one in found["broker"] if one.level == "fault"]
    assert "max_queued_messages" in fault.mend


@contextmanager
def careless_mosquitto(folder: Path, text: str) -> Iterator[Broker]:
    shipped = brokers.DEPLOY
    (folder / "careless.conf").write_text(text)
    (folder / "mosquitto.acl").write_text("")
    brokers.DEPLOY = folder
    try:
        with shipped_mosquitto(folder / "run", "careless.conf") as broker:
            yield broker
    finally:
        brokers.DEPLOY = shipped


def test_the_doctor_leaves_the_session_of_a_gateway_alone_that_shares_its_id(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker,
    ):
        with secured(settings, broker, ledger):
            pass
        with device(broker, authority, "dock-1", "dock-1") as dock:
            for n in range(30):
                assert dock.publish("sites/dairy/dock-1/r", read_payload(n, 10 * n))
        found = findings(settings, f"mqtts://localhost:{broker.port}", ledger.url)
        assert any("own id" in one.said for one in found["broker"]), found["broker"]
        with secured(settings, broker, ledger):
            wait_until(lambda: len(ledger.events) == 30, "all 30 are there")
        assert read_health(settings.folder).gaps == 0


def test_nats_lets_a_device_publish_under_its_own_name_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with (
        serving() as ledger,
        shipped_nats(tmp_path / "broker") as broker,
        secured(settings, broker, ledger),
        device(broker, authority, "dock-1", "dock-1", v5=False) as dock,
    ):
        dock.publish("sites/dairy/dock-2/r", read_payload(66, 0))
        dock.publish("sites/dairy/dock-1/r", read_payload(1, 0))
        wait_until(lambda: len(ledger.events) == 1, "the event is there")
        assert len(tags(ledger)) == 1


def test_the_unit_starts_what_there_is() -> None:
    text = (DEPLOY / "tagtrail-gateway.service").read_text()
    assert "Type=notify" in text
    assert "WatchdogSec=" in text
    command = next(one for one in text.splitlines() if one.startswith("ExecStart="))
    options = {one for one in command.split() if one.startswith("--")}
    known = {one.name for one in app.registered_commands}
    assert command.split()[1:3] == ["gateway", "run"]
    assert "run" in known
    assert options == {"--dir", "--plan"}


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = find_program("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here")
    text = (DEPLOY / "tagtrail-gateway.service").read_text()
    unit = tmp_path / "tagtrail-gateway.service"
    unit.write_text(text.replace("/opt/tagtrail/bin/tagtrail", sys.executable))
    done = subprocess.run(
        [program, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, unit.name in done.stderr) == (0, False), done.stderr
