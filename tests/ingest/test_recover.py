"""What befalls a gateway: it lives, says so on /readyz, and goes on by itself afterwards."""

import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.daemon import Gateway
from ingest.database import SpoolError, transaction
from ingest.health import read_health
from ingest.pipeline import Courier, Keeper, Processor, open_signers
from ingest.pulse import Clock
from ingest.reads import Arrival
from ledger.epcis.times import parse_time_us
from ledger.statement import Gap
from tests.certificates import Authority
from tests.ingest.brokers import shipped_mosquitto, start_shipped_mosquitto
from tests.ingest.running import (
    PLAN,
    PLAN_TEXT,
    Hands,
    ask,
    attended,
    figures,
    is_ready,
    live,
    problems,
    publish,
    publisher,
    secured_run,
    wait_until,
)
from tests.ingest.scene import T0, T0_S, make_folder, read_payload, serving
from tests.ingest.test_deploy import PLAN as SITE_PLAN
from tests.ingest.test_deploy import device, make_settings
from tests.optional import Broker, free_port, start_mosquitto, stop

HOUR_US = 3_600_000_000


@dataclass
class Passing:
    """Both clocks of a host, with time that has passed only for them."""

    ahead_us: int = 0

    @property
    def clock(self) -> Clock:
        return Clock(
            wall_us=lambda: time.time_ns() // 1_000 + self.ahead_us,
            steady_us=lambda: time.monotonic_ns() // 1_000 + self.ahead_us,
        )


def test_a_disk_that_is_full_for_a_while_costs_no_message(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    port = free_port()
    folder = settings.folder
    with (folder / "gateway.toml").open("a") as file:
        file.write(f'[monitor]\nlisten = "127.0.0.1:{port}"\n')
    (folder / "plan.toml").write_text(PLAN_TEXT)
    url = f"http://127.0.0.1:{port}"
    with serving() as ledger, publisher(mosquitto) as client:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ledger.cli", "gateway", "run", "--dir", str(folder)),
                *("--broker", mosquitto.url, "--plan", str(folder / "plan.toml")),
                *("--ledger", ledger.url),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("subscribed")
            publish(client, 0, 10)
            wait_until(lambda: len(ledger.events) == 10, "ten are in the ledger")
            # No file of the process may grow past 16 KiB: what a full disk is to SQLite.
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (16_384, -1))
            publish(client, 10, 200)
            wait_until(lambda: parts(url) >= {"disk"}, "it says that the disk refuses")
            assert process.poll() is None
            assert len(ledger.events) < 210
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (-1, -1))
            wait_until(lambda: len(ledger.events) == 210, "all 210 are in the ledger")
            wait_until(lambda: ask(url, "/readyz")[0] == 200, "it is ready again")
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    assert read_health(folder).messages == 210


def parts(url: str) -> set[str]:
    return {row["part"] for row in json.loads(ask(url, "/readyz")[1])["problems"]}


def test_a_broker_that_is_away_for_an_hour_is_silence_and_no_loss(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    reader = '[[reader]]\nname = "dock"\ntopics = ["gate/#"]\nheartbeat_s = 600\n'
    (settings.folder / "plan.toml").write_text(PLAN_TEXT + reader)
    host = Passing()
    broker = start_mosquitto(tmp_path / "broker", free_port())
    try:
        with serving() as ledger, live(settings, broker, ledger, host) as one:
            with publisher(broker) as client:
                publish(client, 0, 5)
                wait_until(lambda: len(ledger.events) == 5, "five are in the ledger")
            stop(broker.process)
            wait_until(lambda: "broker" in problems(one), "it says that the broker is away")
            host.ahead_us += HOUR_US
            wait_until(lambda: count_gaps(ledger.statements) == 1, "the silence is stated")
            wait_until(lambda: ask(one, "/healthz")[0] == 200, "it is alive")
            wait_until(lambda: '"silent"' in ask(one, "/readyz")[1], "the reader is silent")
            broker = start_mosquitto(tmp_path / "broker", broker.port)
            wait_until(lambda: is_ready(one), "the broker is met again", seconds=60)
            with publisher(broker) as client:
                publish(client, 5, 5)
                wait_until(lambda: len(ledger.events) == 10, "all ten are in the ledger")
            assert count_gaps(ledger.statements) == 2
            for gap in gaps(ledger.statements):
                assert gap.what == 2
            assert sum(g.end - g.start for g in gaps(ledger.statements)) >= HOUR_US
    finally:
        stop(broker.process)


def gaps(statements: object) -> list[Gap]:
    return [s.body for s in statements if isinstance(s.body, Gap)]  # type: ignore[attr-defined]


def count_gaps(statements: object) -> int:
    return len(gaps(statements))


def test_a_ledger_that_is_away_shows_and_is_met_again(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        ledger.down = True
        publish(client, 0, 20)
        wait_until(lambda: "ledger" in problems(one), "it says that the ledger is away")
        assert ask(one, "/healthz")[0] == 200
        ledger.down = False
        wait_until(lambda: is_ready(one), "it is ready again")
        wait_until(lambda: len(ledger.events) == 20, "all 20 are in the ledger")
        wait_until(lambda: read_health(settings.folder).is_settled, "with their receipts")


ANSWERS = (
    (500, b"", "500"),
    (413, b"<h1>Request Entity Too Large</h1>", "raise its limit"),
    (200, b"<h1>Welcome to our network</h1>", "not JSON"),
    (200, b"{}", "does not hold one result"),
)


def test_whatever_a_ledger_answers_that_is_no_refusal_is_waited_out(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        for n, (status, body, said) in enumerate(ANSWERS):
            ledger.answer = (status, body)
            publish(client, n, 1)
            wait_until(lambda: said in expect(one)("ledger"), f"it says {said}")  # noqa: B023
            assert ask(one, "/healthz")[0] == 200
            ledger.answer = None
            wait_until(lambda: len(ledger.events) == n + 1, "it is in the ledger")  # noqa: B023
            wait_until(lambda: is_ready(one), "it is ready again")
        wait_until(lambda: read_health(settings.folder).is_settled, "with their receipts")
        assert read_health(settings.folder).parked == ()


def test_a_page_in_place_of_a_receipt_parks_nothing(mosquitto: Broker, tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        ledger.page = b"<h1>Welcome to our network</h1>"
        publish(client, 0, 3)
        wait_until(lambda: "no receipt" in expect(one)("ledger"), "it says so")
        wait_until(lambda: len(ledger.events) == 3, "they are in the ledger")
        ledger.page = b""
        wait_until(lambda: read_health(settings.folder).is_settled, "the receipts are there")
        assert read_health(settings.folder).parked == ()


def test_a_ledger_that_does_not_answer_holds_nothing_else(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        ledger.slow.clear()
        try:
            publish(client, 0, 20)
            wait_until(lambda: read_health(settings.folder).events == 20, "they are signed")
            assert ask(one, "/healthz")[0] == 200
            assert ledger.events == []
        finally:
            ledger.slow.set()
        wait_until(lambda: len(ledger.events) == 20, "all 20 are in the ledger")
        wait_until(lambda: is_ready(one), "it is ready again")


class SmallDisk:
    """An outbox on a disk that has so many pages left: the database itself refuses more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        monkeypatch.setattr("ingest.outbox.transaction", self._transaction)

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        most = 1 << 30
        if self.left is not None:
            most = db.execute("PRAGMA page_count").fetchone()[0] + self.left
            most -= db.execute("PRAGMA freelist_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {most}")
        with transaction(db):
            yield db


def test_an_outbox_that_is_full_shows_for_as_long_as_it_is(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.loops.DISK_RETRY_SECONDS", 0.2)
    settings = make_folder(tmp_path / "g")
    disk = SmallDisk(monkeypatch)
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        disk.left = 0
        publish(client, 0, 50)
        wait_until(lambda: "processing stopped" in expect(one)("disk"), "it says so")
        before = figures(one)["tagtrail_gateway_kept_total"]
        publish(client, 50, 50)
        wait_until(
            lambda: figures(one)["tagtrail_gateway_kept_total"] == before + 50,
            "the inbox goes on",
        )
        time.sleep(0.5)
        assert "processing stopped" in expect(one)("disk"), "what the inbox keeps hid it"
        assert ledger.events == []
        disk.left = None
        wait_until(lambda: is_ready(one), "it is ready again, though nothing more came")
        wait_until(lambda: len(ledger.events) == 100, "all 100 are in the ledger")
    assert len({tag for event in ledger.events for tag in event["epcList"]}) == 100  # type: ignore[attr-defined]


def test_wherever_the_disk_ends_within_a_commit_nothing_of_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_folder(tmp_path / "g")
    signers = open_signers(settings, PLAN)
    with Keeper(settings.folder) as keeper:
        keeper.keep(
            [
                Arrival(f"gate/{n % 40}", read_payload(n, 20 * n), T0 + n * 20_000_000)
                for n in range(150)
            ]
        )
    disk = SmallDisk(monkeypatch)
    refusals = 0
    for left in range(200):
        disk.left = None
        with Processor(settings, PLAN, signers=signers) as processor:
            disk.left = left
            try:
                assert processor.process() == 150
                break
            except SpoolError:
                refusals += 1
        health = read_health(settings.folder)
        assert (health.events, health.reads, health.unprocessed) == (0, 0, 150)
    assert refusals > 10, "the commit was too small to be cut"
    disk.left = None
    with serving() as ledger, Processor(settings, PLAN, signers=signers) as processor:
        processor.keep_tick(everything=True)
        processor.process()
        with Courier(settings, ledger.url) as courier:
            while courier.deliver().accepted:
                pass
        assert len(ledger.events) == 150
        assert [one.seq for one in ledger.statements] == list(range(len(ledger.statements)))


def test_a_clock_that_is_set_while_a_tag_passes_moves_and_splits_nothing(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    hands = Hands()
    reader = '[[reader]]\nname = "dock"\ntopics = ["gate/#"]\nheartbeat_s = 60\n'
    (settings.folder / "plan.toml").write_text(PLAN_TEXT + reader)

    def a_pass(tag: int, step_s: int) -> float:
        """Let a tag pass, the gateway's clock set amid it; return when it was last read."""
        at = 0.0
        for n in range(40):
            at = time.time()
            client.publish("gate/r", read_payload(tag, at - T0_S), qos=1)
            time.sleep(0.02)
            if n == 20:
                hands.step_us += step_s * 1_000_000
        return at

    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger, hands) as one,
    ):
        last = [a_pass(1, 3_600)]
        wait_until(lambda: "clock" in problems(one), "the step is told of")
        wait_until(lambda: len(ledger.events) == 1, "one event")
        last.append(a_pass(2, -3_600))
        wait_until(lambda: len(ledger.events) == 2, "another, back in the right hour")
        last.append(a_pass(3, -3_600))
        wait_until(lambda: len(ledger.events) == 3, "and one by a clock that is behind")
        assert count_gaps(ledger.statements) == 0
    for event, at in zip(ledger.events, last, strict=True):
        told = parse_time_us(str(event["eventTime"])) / 1_000_000
        assert abs(told - at) < 2, (event["eventTime"], at)


def test_a_clock_that_is_behind_at_the_start_holds_nothing_up(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    text = PLAN_TEXT.replace("idle_s = 1", "idle_s = 3")
    (settings.folder / "plan.toml").write_text(text)
    hands = Hands()
    with serving() as ledger, publisher(mosquitto) as client:
        with live(settings, mosquitto, ledger, hands):
            at = time.time()
            client.publish("gate/r", read_payload(1, at - T0_S), qos=1).wait_for_publish(20)
            wait_until(lambda: read_health(settings.folder).reads == 1, "it was read")
        assert ledger.events == [], "the pass is open"
        hands.step_us = -3_600_000_000  # as of a host whose battery is empty
        with live(settings, mosquitto, ledger, hands) as one:
            wait_until(lambda: len(ledger.events) == 1, "the pass ended all the same")
            hands.step_us = 0
            wait_until(lambda: "clock" in problems(one), "its clock is set right")
            again = client.publish("gate/r", read_payload(2, time.time() - T0_S), qos=1)
            again.wait_for_publish(20)
            wait_until(lambda: len(ledger.events) == 2, "it goes on")
        assert count_gaps(ledger.statements) == 0
        told = [parse_time_us(str(one["eventTime"])) / 1_000_000 for one in ledger.events]
        assert all(abs(one - at) < 60 for one in told)


def test_an_expired_certificate_shows_and_a_new_one_is_taken(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    authority.issue("gw-1", valid=timedelta(seconds=4))
    with serving() as ledger:
        broker = start_shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf", free_port())
        how = secured_run(settings, broker, ledger, plan=SITE_PLAN)
        try:
            with attended(Gateway(how)) as one:
                said = expect(one)
                wait_until(lambda: "expired" in said("certificate"), "it says that it expired")
                stop(broker.process)
                broker = start_shipped_mosquitto(
                    tmp_path / "broker", "mosquitto-tls.conf", broker.port
                )
                wait_until(lambda: said("broker") != "", "the broker lets it in no more")
                authority.issue("gw-1")
                wait_until(lambda: said("certificate") == "", "the new one is in use")
                wait_until(lambda: said("broker") == "", "it is connected again", seconds=60)
                with device(broker, authority, "dock-1", "dock-1") as dock:
                    assert dock.publish("sites/dairy/dock-1/r", read_payload(1, 0))
                wait_until(lambda: len(ledger.events) == 1, "the event is there")
        finally:
            stop(broker.process)


def expect(one: Gateway) -> Callable[[str], str]:
    def said(part: str) -> str:
        return next((p.why for p in one.pulse.problems() if p.part == part), "")

    return said


def test_a_new_certificate_that_cannot_be_used_leaves_the_old_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker,
    ):
        how = secured_run(settings, broker, ledger, plan=SITE_PLAN)
        with attended(Gateway(how)) as one:
            (tmp_path / "broker" / "gw-1.pem").write_text("half a certif")
            one.reload()
            wait_until(lambda: "cannot be used" in expect(one)("certificate"), "it says so")
            authority.issue("gw-2", file="gw-1")
            one.reload()
            wait_until(lambda: "is now of 'gw-2'" in expect(one)("certificate"), "and this")
            with device(broker, authority, "dock-1", "dock-1") as dock:
                assert dock.publish("sites/dairy/dock-1/r", read_payload(1, 0))
            wait_until(lambda: len(ledger.events) == 1, "the old one goes on")
