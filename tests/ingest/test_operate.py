"""The gateway told from outside: health, metrics, reload, quota, workers, capture, doctor."""

import json
import logging
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import operate, systemd
from ingest.brokerurl import parse_broker_url
from ingest.daemon import Gateway
from ingest.health import read_health
from ingest.inbox import Inbox
from ingest.monitor import OTHERS, READERS_SHOWN_MAX, Figures, monitoring
from ingest.planfile import parse_plan
from ingest.pulse import STALL_SECONDS, Clock, Pulse, Spooled
from ingest.reads import Arrival
from ingest.recording import format_recorded, parse_recording
from ingest.roster import ReaderView
from ingest.settings import load_settings
from ingest.spool import Quota, Room, Spool
from ingest.workers import divide, owner_of, parse_worker, worker_filters
from ledger.errors import ParseError
from ledger.statement import Gap, Policy
from tests.ingest.running import (
    GATE,
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
    run_of,
    wait_until,
)
from tests.ingest.scene import (
    T0,
    Ledger,
    make_folder,
    plan_of,
    read_payload,
    serving,
)
from tests.ingest.test_site import OBJECT
from tests.optional import Broker, start_mosquitto, stop

S = 1_000_000


def test_what_comes_in_shows_in_the_figures(mosquitto: Broker, tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        publish(client, 0, 10)
        publish(client, 0, 5)
        client.publish("gate/r", b'{"epc": "30', qos=1)
        wait_until(lambda: len(ledger.events) == 10, "the events are there")
        wait_until(lambda: figures(one)["tagtrail_gateway_receipts_total"] >= 2, "receipts")
        wait_until(lambda: is_ready(one), "it is ready")
        found = figures(one)
        assert found["tagtrail_gateway_kept_total"] == 11
        assert found["tagtrail_gateway_repeats_total"] == 5
        assert found["tagtrail_gateway_acknowledged_total"] == 16
        assert found["tagtrail_gateway_reads_total"] == 10
        assert found["tagtrail_gateway_events_total"] == 10
        assert found["tagtrail_gateway_quarantined_total"] == 1
        assert found["tagtrail_gateway_ok broker"] == 1
        wait_until(lambda: "tagtrail_reader_messages_total gate/r" in figures(one), "a reader")
        assert figures(one)["tagtrail_reader_condition online gate/r"] == 1
        assert json.loads(ask(one, "/healthz")[1]) == {"alive": True, "stalled": []}
        assert ask(one, "/other")[0] == 404


def test_readers_beyond_a_number_share_one_label() -> None:
    pulse = Pulse(Clock())
    pulse.show(
        readers=tuple(
            ReaderView(
                name=f"topic/{n}",
                condition="online",
                heard_us=n,
                skew_us=None,
                messages=1,
                reads=2,
                faults=0,
                gaps=0,
            )
            for n in range(READERS_SHOWN_MAX + 50)
        )
    )
    families = {one.name: one for one in Figures(pulse).collect()}
    samples = families["tagtrail_reader_reads"].samples
    assert len(samples) == READERS_SHOWN_MAX + 1
    assert samples[-1].labels == {"reader": OTHERS}
    assert sum(one.value for one in samples) == 2 * (READERS_SHOWN_MAX + 50)


def test_a_thread_that_does_not_go_round_makes_it_unhealthy() -> None:
    now = [0]
    pulse = Pulse(Clock(steady_us=lambda: now[0]))
    pulse.beat("keeper")
    with monitoring(("127.0.0.1", 0), pulse) as server:
        assert ask(server.url, "/healthz")[0] == 200
        now[0] = int((STALL_SECONDS + 1) * S)
        status, body = ask(server.url, "/healthz")
        assert (status, json.loads(body)["stalled"]) == (503, ["keeper"])


def test_a_new_plan_is_taken_whole_and_a_mistaken_one_not_at_all(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        publish(client, 0, 3)
        path = settings.folder / "plan.toml"
        path.write_text(PLAN_TEXT.replace("gap_ms", "gap_millis"))
        one.reload()
        wait_until(lambda: "plan" in problems(one), "the mistake is told of")
        assert "gap_millis" in ask(one, "/readyz")[1]
        publish(client, 3, 3)
        wait_until(lambda: len(ledger.events) == 6, "the old plan goes on")
        wider = PLAN_TEXT.replace('"gate/#"', '"gate/#", "shed/#"')
        path.write_text(wider)
        one.reload()
        wait_until(lambda: "plan" not in problems(one), "the new plan is in force")
        for n in range(3):
            client.publish("shed/r", read_payload(100 + n, 10 * n), qos=1)
        wait_until(lambda: len(ledger.events) == 9, "the new topic is heard")
        stated = [s.body.digest for s in ledger.statements if isinstance(s.body, Policy)]
        assert stated == [parse_plan(PLAN_TEXT).sha256, parse_plan(wider).sha256]
        path.write_text(PLAN_TEXT)
        one.reload()
        wait_until(lambda: len(_policies(ledger)) == 3, "the old plan is back")
        client.publish("shed/r", read_payload(200, 0), qos=1).wait_for_publish(10)
        publish(client, 10, 1)
        wait_until(lambda: len(ledger.events) == 10, "the gate is heard")
    assert read_health(settings.folder).faults == 0, "a topic was heard that nobody asked for"


def _policies(ledger: Ledger) -> list[object]:
    return [s for s in ledger.statements if isinstance(s.body, Policy)]


def test_a_full_spool_leaves_messages_to_the_broker_until_there_is_room(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = replace(make_folder(tmp_path / "g"), quota=Quota(messages_max=2))
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        ledger.down = True
        for n in range(2):
            publish(client, n, 1)
            wait_until(lambda: read_health(settings.folder).waiting > n, "it waits")  # noqa: B023
        wait_until(lambda: "spool" in problems(one), "the spool is full")
        publish(client, 100, 100)
        assert figures(one)["tagtrail_gateway_kept_total"] == 2
        assert figures(one)["tagtrail_gateway_spool_statements"] == 2
        ledger.down = False
        wait_until(lambda: is_ready(one), "there is room again")
        wait_until(lambda: len(ledger.events) == 102, "all of it is in the ledger")
        assert figures(one)["tagtrail_gateway_refused_total"] == 0


def test_what_is_refused_after_long_is_told_of_to_the_last_message(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.loops.REFUSE_PAUSE_SECONDS", 0.2)
    quota = Quota(messages_max=2, refuse_after_s=1)
    settings = replace(make_folder(tmp_path / "g"), quota=quota)
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        ledger.down = True
        publish(client, 0, 1)
        wait_until(lambda: read_health(settings.folder).waiting >= 1, "a statement waits")
        publish(client, 1, 1)
        wait_until(lambda: "spool" in problems(one), "the spool is full")
        publish(client, 100, 60)
        wait_until(
            lambda: figures(one)["tagtrail_gateway_refused_total"] == 60, "60 are refused"
        )
        ledger.down = False
        wait_until(lambda: is_ready(one), "there is room again")
        wait_until(lambda: sum(_refused(ledger)) == 60, "all 60 are in the ledger as a gap")
        publish(client, 300, 1)
        wait_until(lambda: len(ledger.events) == 3, "it takes messages again")


def _refused(ledger: Ledger) -> list[int]:
    bodies = [s.body for s in ledger.statements if isinstance(s.body, Gap)]
    return [one.count or 0 for one in bodies if one.what == 3]


def test_old_payloads_are_deleted_while_the_gateway_runs_once_they_are_delivered(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.journal.SEGMENT_BYTES", 1_000)
    monkeypatch.setattr("ingest.spool.PRUNE_SECONDS", 0.1)
    settings = replace(make_folder(tmp_path / "g"), quota=Quota(retain_days=1))
    with Inbox(
        settings.folder
    ) as inbox:  # received by the calendar of the test's reads, long ago
        for n in range(50):
            inbox.keep([Arrival("gate/r", read_payload(n, 10 * n), n)])
    journal = settings.folder / "inbox"
    files = len(list(journal.iterdir()))
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        publish(client, 60, 1)
        wait_until(lambda: bool(ledger.events), "something is in the ledger")
        wait_until(lambda: len(list(journal.iterdir())) == 1, f"the old of {files} files go")
        publish(client, 0, 20)
        wait_until(lambda: figures(one)["tagtrail_gateway_repeats_total"] == 20, "known still")
    assert files > 5


def test_each_limit_of_the_quota_counts(tmp_path: Path) -> None:
    now_us = time.time_ns() // 1_000
    with Inbox(tmp_path) as inbox:
        inbox.keep([Arrival("t", b"x" * 1_000, now_us - 60 * S)])
    for quota, room in (
        (Quota(), Room.TAKE),
        (Quota(messages_max=2, bytes_max=2_000, age_max_s=120), Room.TAKE),
        (Quota(messages_max=1), Room.WAIT),
        (Quota(bytes_max=1_000), Room.WAIT),
        (Quota(age_max_s=60), Room.WAIT),
    ):
        with Spool(tmp_path, quota) as spool:
            assert spool.look(now_us) is room, quota
            assert (spool.why is None) == (room is Room.TAKE)
            assert spool.spooled == Spooled(
                messages=1, statements=0, size=1_000, oldest_us=now_us - 60 * S
            )


def test_a_step_of_the_clock_is_told_of_and_ends_nothing(
    mosquitto: Broker, tmp_path: Path
) -> None:
    for hours in (1, -1):
        settings = make_folder(tmp_path / f"g{hours}")
        hands = Hands()
        reader = '[[reader]]\nname = "r"\ntopics = ["gate/#"]\nheartbeat_s = 60\n'
        (settings.folder / "plan.toml").write_text(PLAN_TEXT + reader)
        with (
            serving() as ledger,
            publisher(mosquitto) as client,
            live(settings, mosquitto, ledger, hands) as one,
        ):
            publish(client, 0, 5)
            wait_until(lambda: len(ledger.events) == 5, "five are there")
            hands.step_us = hours * 3_600 * S
            wait_until(lambda: "clock" in problems(one), "the step is told of")
            publish(client, 5, 5)
            wait_until(lambda: len(ledger.events) == 10, "it goes on")
            assert not [s for s in ledger.statements if isinstance(s.body, Gap)]


def test_a_broker_that_forgot_the_session_leaves_a_gap(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    broker = start_mosquitto(tmp_path / "broker", _port())
    try:
        with serving() as ledger, live(settings, broker, ledger) as one:
            wait_until(lambda: is_ready(one), "it is ready")
            stop(broker.process)
            wait_until(lambda: "broker" in problems(one), "it is away")
            (broker.folder / "mosquitto.db").unlink()
            broker = start_mosquitto(tmp_path / "broker", broker.port)
            wait_until(lambda: is_ready(one), "it is met again")
            wait_until(lambda: bool(_gaps(ledger)), "the gap is in the ledger")
            (gap,) = _gaps(ledger)
            assert (gap.what, "forgotten" in gap.why) == (2, True)
    finally:
        stop(broker.process)


def _gaps(ledger: Ledger) -> list[Gap]:
    return [s.body for s in ledger.statements if isinstance(s.body, Gap)]


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- Workers ------------------------------------------------------------------------


def site(n: int) -> str:
    return GATE.replace('"gate"', f'"gate-{n}"').replace('"gate/#"', f'"site-{n}/+/r"') + OBJECT


MANY = plan_of(*map(site, range(20)))


def test_the_workers_have_each_topic_once() -> None:
    whole = worker_filters(MANY, None)
    shares: list[str] = []
    for number in range(1, 5):
        mine = worker_filters(MANY, parse_worker(f"{number}/4"))
        share = f"$share/tagtrail-{number}-of-4/"
        assert all(one.startswith(share) for one in mine)
        shares += [one.removeprefix(share) for one in mine]
    assert sorted(shares) == sorted(whole)
    assert worker_filters(MANY, parse_worker("1/1")) == whole


def test_stations_that_share_a_topic_are_one_workers() -> None:
    plan = plan_of(
        site(1), site(2), GATE.replace('"gate/#"', '"site-1/#", "other"') + OBJECT, site(3)
    )
    assert [sorted(topics) for _, topics in divide(plan)] == [
        ["other", "site-1/#", "site-1/+/r"],
        ["site-2/+/r"],
        ["site-3/+/r"],
    ]


def test_one_more_worker_moves_only_what_it_gets() -> None:
    for n in range(200):
        before, after = owner_of(f"place {n}", 4), owner_of(f"place {n}", 5)
        assert after in (before, 5)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/257", "01/2"])
def test_what_is_no_worker_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="worker"):
        parse_worker(text)


def test_a_plan_that_cannot_be_divided_says_so() -> None:
    plan = plan_of(site(1), GATE.replace('"gate/#"', '"#"') + OBJECT)
    with pytest.raises(ParseError, match="cannot be divided"):
        worker_filters(plan, parse_worker("1/2"))


def test_one_readers_messages_always_reach_one_worker(
    mosquitto: Broker, tmp_path: Path
) -> None:
    count = 3
    with serving() as ledger, publisher(mosquitto) as client:
        gateways = []
        for number in range(1, count + 1):
            settings = make_folder(tmp_path / f"g{number}")
            gateways.append(
                run_of(
                    settings,
                    mosquitto,
                    ledger,
                    plan=MANY,
                    client_id=f"worker-{number}",
                    worker=parse_worker(f"{number}/{count}"),
                )
            )
        with (
            attended(Gateway(gateways[0])),
            attended(Gateway(gateways[1])),
            attended(Gateway(gateways[2])),
        ):
            for n in range(200):
                client.publish(f"site-{n % 20}/x/r", read_payload(n, 10 * n), qos=1)
            wait_until(lambda: len(ledger.events) == 200, "all are in the ledger")
        heard: dict[str, set[int]] = {}
        for number, how in enumerate(gateways):
            with Inbox(how.settings.folder) as inbox:
                for message in inbox.load_after(0, 10_000):
                    heard.setdefault(message.topic, set()).add(number)
        topics = {topic: who for topic, who in heard.items() if not topic.startswith("$")}
        assert len(topics) == 20
        assert all(len(who) == 1 for who in topics.values())
        assert len({next(iter(who)) for who in topics.values()}) == count
        assert len({s.kid for s in ledger.statements}) == count


# --- Beside the running gateway -------------------------------------------------------


def test_what_was_captured_is_the_very_messages() -> None:
    payloads = [b'{"a": 1 }', b"[1,2]", b" text\n", b"\xff\x00", b'"quoted"', b"", b'{"x":\n1}']
    data = b"".join(format_recorded("a/b", one, T0 + n) for n, one in enumerate(payloads))
    found = parse_recording("f.ndjson", data, 0)
    assert [one.payload for one in found] == payloads
    assert [one.topic for one in found] == ["a/b"] * len(payloads)
    assert [one.received_us for one in found] == [T0 + n for n in range(len(payloads))]


def test_a_capture_beside_the_gateway_takes_nothing_from_it(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger),
    ):
        over = threading.Event()
        link = operate.Link(
            broker=parse_broker_url(mosquitto.url),
            client_id="captures",
            on_delivery=lambda _: over.set(),
            is_passing=True,
        )
        thread = threading.Thread(
            target=operate.listen, args=(link, ["gate/#"], over, 10.0), daemon=True
        )
        thread.start()
        n = 0
        while not over.is_set() and n < 100:
            publish(client, n, 1)
            n += 1
        thread.join(15)
        assert over.is_set()
        wait_until(lambda: len(ledger.events) == n, "the gateway has them all")


def test_the_log_is_lines_of_json_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    record = logging.LogRecord(
        "ingest.mqtt", logging.INFO, "f", 1, "connected to %s", (_secret_url(),), None
    )
    said = json.loads(operate._JsonLines().format(record))
    assert said["message"] == "connected to mqtt://broker:1883"
    assert said["level"] == "info"
    del caplog


def _secret_url() -> object:
    return parse_broker_url("mqtt://me:secret@broker")


def test_systemd_is_told_what_it_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(path)
        line.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        assert systemd.notify("READY=1")
        assert line.recv(100) == b"READY=1"
    assert not systemd.notify("READY=1")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert systemd.watchdog_seconds() == 15.0
    monkeypatch.delenv("WATCHDOG_USEC")
    assert systemd.watchdog_seconds() is None
    assert os.environ.get("WATCHDOG_USEC") is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[monitor]\nlisten = "nowhere"', "HOST:PORT"),
        ('[monitor]\nlisten = "a:99999"', "HOST:PORT"),
        ("[spool]\nmessages_max = -1", "messages_max"),
        ("[spool]\nmessage_max = 1", "message_max"),
        ('[broker]\nuri = "x"', "uri"),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path: Path, lines: str, said: str) -> None:
    settings = make_folder(tmp_path / "g")
    with (settings.folder / "gateway.toml").open("a") as file:
        file.write(lines + "\n")
    with pytest.raises(ParseError, match=said):
        load_settings(settings.folder)
