"""The gateway as an operator meets it: mistakes, secrets, terminals, an honest watchdog."""

import io
import json
import logging
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from device_sim import sparkplug as world
from ingest.daemon import Gateway
from ingest.inbox import Inbox
from ingest.pipeline import Keeper, Processor
from ingest.planfile import parse_plan
from ingest.pulse import STALL_SECONDS
from ingest.reads import Arrival
from ingest.settings import Settings
from ledger.cli import main
from tests.certificates import Authority
from tests.ingest.brokers import DEPLOY, shipped_mosquitto
from tests.ingest.running import PLAN_TEXT, begun, publish, publisher, run_of, wait_until
from tests.ingest.scene import T0, hex_of, make_folder, read_payload, serving
from tests.ingest.test_deploy import careless_mosquitto, device, make_settings, secured
from tests.optional import Broker, find_program, free_port, stop

SECONDS_MAX = 60
SECRETS = ("hunter2", "for tests only")
PEM = "PRIVATE KEY"
STOPS = (signal.SIGTERM, signal.SIGINT)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ledger.cli", "gateway", *map(str, arguments)]


def tagtrail(*arguments: object, code: int = 0) -> str:
    """Run a command; return what it said, which is no traceback and holds no secret."""
    out, err = io.StringIO(), io.StringIO()
    level, handlers = logging.root.level, list(logging.root.handlers)
    signals = {one: signal.getsignal(one) for one in (*STOPS, signal.SIGHUP)}
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["gateway", *map(str, arguments)])
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for number, handler in signals.items():
        signal.signal(number, handler)
    said = out.getvalue() + err.getvalue()
    assert ended.value.code == code, said
    assert "Traceback" not in said
    assert not any(one in said for one in (*SECRETS, PEM)), said
    return said


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = make_folder(tmp_path / "g")
    (found.folder / "plan.toml").write_text(PLAN_TEXT)
    return found


def run(settings: Settings, *more: object, plan: str = "plan.toml", code: int = 2) -> str:
    """Run a gateway that must not start; return the one line that it says."""
    where = ("--dir", settings.folder, "--plan", settings.folder / plan)
    said = tagtrail("run", *where, "--ledger", "http://127.0.0.1:9", *more, code=code)
    assert len(said.strip().splitlines()) == 1, said
    return said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gap_ms = 3000", 'gap_ms = "x"', "line 17: station[1].gap_ms: is a text"),
        ('biz_step = "shipping"', 'biz_step = "shiping"', "no word of CBV's bizStep"),
        ("[[station.emit]]", "[[station.emits]]", "emits: is no key of this table"),
        ("9506000134352", "9506000134353", "check digit"),
        ('"gate/#"', '"gate/#/x"', "the # must be the whole last level"),
        ("[[station]]", "[[station", "is no TOML"),
    ],
)
def test_a_slip_of_the_pen_in_a_plan_is_named_with_its_place(
    settings: Settings, old: str, new: str, said: str
) -> None:
    assert old in PLAN_TEXT
    (settings.folder / "bad.toml").write_text(PLAN_TEXT.replace(old, new))
    line = run(settings, "--broker", "mqtt://127.0.0.1:9", plan="bad.toml")
    assert "bad.toml" in line
    assert said in line


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--broker", "mqtt://me:hunter2/x@h:1"), "broker URL"),
        (("--broker", "mqtt://me:hunter2#x@h:1"), "broker URL"),
        (("--broker", "mqtt://me:hunter2@h:hunter2"), "broker URL"),
        (("--broker", "mqtt://me:hunter2@h/t"), "topics are in the plan"),
        (("--broker", "me:hunter2@h"), "broker URL"),
        (("--broker", "http://me:hunter2@h"), "broker URL"),
        (("--broker", "mqtt://me:hun[ter2@h"), "broker URL"),
        (("--broker", "mqtt://h", "--ledger", "http://me:hunter2@h"), "ledger URL"),
        (("--broker", "mqtt://h", "--ledger", "http://me:hunter2/x@h"), "ledger URL"),
        (("--broker", "mqtt://h", "--ledger", "me:hunter2@h"), "ledger URL"),
        (("--broker", "mqtt://h", "--worker", "3/2"), "worker"),
        (("--broker", "mqtt://h", "--client-id", "a b"), "client id"),
        ((), "no broker"),
    ],
)
def test_a_wrong_option_is_named_and_its_password_is_not(
    settings: Settings, more: tuple[str, ...], said: str
) -> None:
    assert said in run(settings, *more)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[broker]\nurl = "mqtt://me:hunter2/x@h:1"', "broker URL"),
        ('[broker]\nurl = "mqtt://h"\nuser = "me"\npassword_file = "none"', "none"),
        ('[broker]\nurl = "mqtts://h"\nca = "none.pem"', "none.pem"),
        ('[broker]\nurl = "mqtt://h"\nca = "none.pem"', "mqtts://"),
        ('[broker]\nurl = "mqtts://h"\ncertificate = "c.pem"', "go together"),
        ("[brokr]", "brokr: is no key"),
        ("x = [", "is no TOML"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(
    settings: Settings, lines: str, said: str
) -> None:
    with (settings.folder / "gateway.toml").open("a") as file:
        file.write(lines + "\n")
    assert said in run(settings)


def test_a_key_that_is_gone_and_a_wrong_passphrase_are_named(settings: Settings) -> None:
    (settings.folder / "passphrase").write_text("hunter2\n")
    assert "0.key: wrong passphrase" in run(settings, "--broker", "mqtt://h")
    (settings.folder / "passphrase").unlink()
    assert "passphrase" in run(settings, "--broker", "mqtt://h")
    (settings.folder / "keys" / "0.key").unlink()
    assert "0.key" in run(settings, "--broker", "mqtt://h")


def test_a_port_that_is_in_use_is_named(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (settings.folder / "gateway.toml").open("a") as file:
            file.write(f'[monitor]\nlisten = "127.0.0.1:{port}"\n')
        line = run(settings, "--broker", "mqtt://127.0.0.1:9")
    assert f"listen = 127.0.0.1:{port}" in line
    assert "in use" in line


class Live:
    """A gateway as a process of its own; `log` is what it says on standard error."""

    def __init__(self, settings: Settings, *more: object, env: dict[str, str]) -> None:
        self.log = settings.folder / "log"
        where = ("--dir", settings.folder, "--plan", settings.folder / "plan.toml")
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                command("run", *where, *more),
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=os.environ | env,
            )

    def lines(self) -> list[dict[str, str]]:
        return [json.loads(one) for one in self.log.read_text().splitlines()]

    def said(self, part: str) -> bool:
        return any(part in one["message"] for one in self.lines())


@contextmanager
def live(
    settings: Settings, *more: object, env: dict[str, str] | None = None
) -> Iterator[Live]:
    one = Live(settings, *more, env=env or {})
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()
    said = one.log.read_text()
    assert not any(secret in said for secret in (*SECRETS, PEM)), said


def test_two_gateways_do_not_share_a_folder(mosquitto: Broker, settings: Settings) -> None:
    with (
        serving() as ledger,
        live(settings, "--broker", mosquitto.url, "--ledger", ledger.url) as one,
    ):
        assert one.process.stdout is not None
        assert one.process.stdout.readline().startswith("subscribed at mqtt://127.0.0.1")
        assert "another gateway runs in" in run(settings, "--broker", mosquitto.url)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(SECONDS_MAX) == 0


def test_a_broker_that_is_not_there_is_told_of_in_the_log_once(settings: Settings) -> None:
    broker = f"mqtt://me:hunter2@127.0.0.1:{free_port()}"
    with live(settings, "--broker", broker, "--ledger", "http://127.0.0.1:9") as one:
        wait_until(lambda: one.said("cannot be reached"), "it says so")
        time.sleep(2.5)
        told = [line for line in one.lines() if "cannot be reached" in line["message"]]
        assert len(told) == 1
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(SECONDS_MAX) == 0


def test_no_secret_is_in_any_log_of_a_gateway_in_trouble(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    (settings.folder / "plan.toml").write_text(PLAN_TEXT.replace("gate/#", "sites/#"))
    (settings.folder / "broker.password").write_text("hunter2\n")
    config = settings.folder / "gateway.toml"
    signed_in = 'password_file = "broker.password"\nuser = "me"\n[spool]\n'
    config.write_text(config.read_text() + signed_in)
    with shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker:
        url = f"mqtts://localhost:{broker.port}"
        with live(settings, "--broker", url, "--ledger", "http://127.0.0.1:9") as one:
            wait_until(lambda: one.said("connected to"), "it is connected")
            (tmp_path / "broker" / "gw-1.pem").write_text(
                "-----BEGIN PRIVATE KEY-----\nhunter2"
            )
            (settings.folder / "plan.toml").write_text("hunter = [")
            one.process.send_signal(signal.SIGHUP)
            wait_until(lambda: one.said("cannot be used"), "it says what is wrong")
            wait_until(lambda: one.said("the old plan goes on"), "and of the plan")
            wait_until(lambda: one.said("ledger is not available"), "and of the ledger")


def test_a_password_that_was_mended_is_taken_at_the_next_try(
    tmp_path: Path, settings: Settings
) -> None:
    program = find_program("mosquitto_passwd")
    assert program is not None, "it comes with mosquitto"
    (tmp_path / "b").mkdir()
    names = tmp_path / "b" / "names"
    names.touch()
    subprocess.run([program, "-b", str(names), "me", "hunter2"], check=True)
    names.chmod(0o644)
    text = (DEPLOY / "mosquitto-fast.conf").read_text()
    guarded = text.replace(
        "allow_anonymous true", f"allow_anonymous false\npassword_file {names}"
    )
    password = settings.folder / "broker.password"
    password.write_text("mistyped\n")
    with (settings.folder / "gateway.toml").open("a") as file:
        file.write('[broker]\nuser = "me"\npassword_file = "broker.password"\n')
    with (
        serving() as ledger,
        careless_mosquitto(tmp_path / "b", guarded) as broker,
        live(settings, "--broker", broker.url, "--ledger", ledger.url) as one,
    ):
        wait_until(lambda: one.said("see [broker] user and password_file"), "it is refused")
        assert not one.said("Protocol error")
        password.write_text("hunter2\n")
        wait_until(lambda: one.said("connected to"), "it is let in")


def test_each_line_of_the_log_is_one_object(mosquitto: Broker, settings: Settings) -> None:
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, "--broker", mosquitto.url, "--ledger", ledger.url) as one,
    ):
        assert one.process.stdout is not None
        one.process.stdout.readline()
        client.publish("gate/gone", b"offline", qos=1)
        publish(client, 0, 3)
        wait_until(lambda: len(ledger.events) == 3, "they are in the ledger")
        wait_until(lambda: one.said("is offline"), "a reader is offline")
    for line in one.lines():
        assert line.keys() >= {"time", "level", "logger", "thread", "message"}
    assert one.said("'gate/gone' is offline")


# Terminals ----------------------------------------------------------------------------


def fill(settings: Settings) -> None:
    evil = [b"\x1b[31mred", b'{"epc":"\\u001b[31mX"}', read_payload(1, 0)]
    with Inbox(settings.folder) as inbox:
        inbox.keep([Arrival("gate/\x1b[2J", one, T0 + n) for n, one in enumerate(evil)])


def on_terminal(*arguments: object) -> bytes:
    """Return what a command shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command(*arguments), stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + SECONDS_MAX
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                try:
                    chunk = os.read(ours, 65_536)
                except OSError:
                    break
                if not chunk:
                    break
                shown += chunk
        process.wait(SECONDS_MAX)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown


def test_what_a_reader_sent_steers_no_terminal(settings: Settings) -> None:
    fill(settings)
    shown = on_terminal("tail", "--dir", settings.folder, "--count", 3)
    assert b"epc:id:sgtin" in shown
    assert b"\x1b[2J" not in shown
    assert b"\x1b[31mred" not in shown
    assert b"\\x1b[2J" in shown


def test_a_tail_reads_what_the_gateway_reads(settings: Settings) -> None:
    node, device = world.births(T0 // 1_000, 1, ("temperature",), (4.5,))
    data = world.data(T0 // 1_000 + 1_000, (5.5,), 2)
    mapped = json.dumps({"hits": [{"code": hex_of(7)}]}).encode()
    mapping = """[[mapping]]
name = "vendor"
topics = ["gate/#"]
items = "hits"
[mapping.read]
epc = "code"
"""
    plan = settings.folder / "mapped.toml"
    plan.write_text(PLAN_TEXT + mapping)
    arrivals = [
        Arrival("spBv1.0/G/NBIRTH/N", node, T0),
        Arrival("spBv1.0/G/DBIRTH/N/D", device, T0),
        *(Arrival("gate/x", b"[%d]" % n, T0) for n in range(20)),
        Arrival("spBv1.0/G/DDATA/N/D", data, T0),
        Arrival("gate/x", mapped, T0),
    ]
    with Keeper(settings.folder) as keeper:
        keeper.keep(arrivals)
    with Processor(settings, parse_plan(plan.read_text())) as processor:
        processor.process()
    where = ("--dir", settings.folder, "--plan", plan, "--back", 2, "--count", 2)
    lines = tagtrail("tail", *where).splitlines()
    assert "0 reads, 2 other" in lines[0]
    assert "born" not in lines[0]
    assert "urn:epc:id:sgtin:9506000.013435.7" in lines[1]
    assert "[gate]" in lines[1]


def test_a_tail_makes_no_inbox(settings: Settings) -> None:
    assert "does not exist" in tagtrail("tail", "--dir", settings.folder, code=2)
    assert not (settings.folder / "inbox.db").exists()


def test_a_tail_in_a_pipe_ends_with_the_pipe(settings: Settings) -> None:
    fill(settings)
    with subprocess.Popen(
        command("tail", "--dir", settings.folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert "gate/" in process.stdout.readline()
            process.stdout.close()
            fill(settings)
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS_MAX)
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_a_capture_that_never_subscribed_says_why(settings: Settings) -> None:
    broker = f"mqtt://me:hunter2@127.0.0.1:{free_port()}"
    out = settings.folder / "out.ndjson"
    where = ("--dir", settings.folder, "--topic", "gate/#", "--broker", broker)
    said = tagtrail("capture", out, *where, "--seconds", 2, code=2)
    assert "cannot be reached" in said


def test_a_capture_does_not_take_the_gateways_session_away(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with (
        serving() as ledger,
        shipped_mosquitto(tmp_path / "broker", "mosquitto-tls.conf") as broker,
    ):
        url = f"mqtts://localhost:{broker.port}"
        with secured(settings, broker, ledger):
            pass
        with device(broker, authority, "dock-1", "dock-1") as dock:
            assert dock.publish("sites/dairy/dock-1/r", read_payload(1, 0))
        out = settings.folder / "out.ndjson"
        where = ("--dir", settings.folder, "--topic", "sites/#", "--broker", url)
        said = tagtrail("capture", out, *where, "--seconds", 2, code=2)
        assert "lose its session" in said
        with secured(settings, broker, ledger):
            wait_until(lambda: len(ledger.events) == 1, "what waited for it is there")


def test_a_capture_with_a_certificate_leaves_no_session_behind(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    (tmp_path / "b" / "run").mkdir(parents=True)
    folder = tmp_path / "b" / "run"
    authority.issue("localhost", file="broker")
    for name in ("broker.pem", "broker.key", "ca.pem"):
        (folder / name).write_bytes((tmp_path / "ca" / name).read_bytes())
    settings = make_settings(tmp_path / "g", authority)
    text = (DEPLOY / "mosquitto-tls.conf").read_text()
    text = text.replace("use_username_as_clientid true", "").replace("acl_file", "#")
    with careless_mosquitto(tmp_path / "b", text) as broker:
        url = f"mqtts://localhost:{broker.port}"
        out = settings.folder / "out.ndjson"
        where = ("--dir", settings.folder, "--topic", "sites/#", "--broker", url)
        assert "0 messages" in tagtrail("capture", out, *where, "--seconds", 1)
        stop(broker.process)
        store = folder / "store" / "mosquitto.db"
        assert not store.exists() or b"-capture" not in store.read_bytes()


# The watchdog -------------------------------------------------------------------------


class Bark:
    """A service manager that hears what the gateway says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0.1)

    def heard(self, seconds: float) -> list[str]:
        until = time.monotonic() + seconds
        found = []
        while time.monotonic() < until:
            try:
                found.append(self.socket.recv(200).decode())
            except TimeoutError:
                continue
        return found


def test_a_thread_that_hangs_stops_the_watchdog(
    mosquitto: Broker, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bark = Bark(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(bark.path))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setattr("ingest.pulse.STALL_SECONDS", 1.0)
    hang = threading.Event()
    go_on = threading.Event()
    process = Processor.process

    def process_or_hang(self: Processor) -> int:
        if hang.is_set():
            go_on.wait(SECONDS_MAX)
        return process(self)

    monkeypatch.setattr(Processor, "process", process_or_hang)
    with serving() as ledger:
        one = Gateway(run_of(settings, mosquitto, ledger))
        try:
            with begun(one):
                wait_until(lambda: "WATCHDOG=1" in bark.heard(0.5), "the watchdog is fed")
                hang.set()
                wait_until(lambda: one.pulse.stalled() == ["processor"], "it hangs")
                bark.heard(0.5)
                assert "WATCHDOG=1" not in bark.heard(1.5)
                go_on.set()
                hang.clear()
                wait_until(lambda: "WATCHDOG=1" in bark.heard(0.5), "it is fed again")
        finally:
            go_on.set()
            said = bark.heard(0.2)
            bark.socket.close()
    assert "STOPPING=1" in said or said == []
    assert STALL_SECONDS > 60


def test_a_gateway_whose_listener_ended_does_not_live_on_deaf(
    mosquitto: Broker, settings: Settings
) -> None:
    with serving() as ledger:
        one = Gateway(run_of(settings, mosquitto, ledger))
        failed: list[BaseException] = []

        def attempt() -> None:
            try:
                one.run(lambda: None)
            except Exception as error:  # noqa: BLE001  # whatever it is, it ends the process
                failed.append(error)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        try:
            wait_until(one._subscriber.subscribed.is_set, "it is subscribed")
            one._subscriber._client.loop_stop()
            wait_until(lambda: not thread.is_alive(), "it ends")
            assert "has ended" in str(failed[0])
        finally:
            one.stop()
            thread.join(SECONDS_MAX)
