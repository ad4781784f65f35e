"""A plan comes into force between two messages, whatever waits; a full spool loses nothing."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ingest import loops
from ingest.health import read_health
from ingest.inbox import Inbox
from ingest.link import Delivery
from ingest.loops import Shared
from ingest.outbox import Outbox
from ingest.pipeline import MESSAGES_PER_BATCH, open_signers
from ingest.planfile import parse_plan
from ingest.pulse import Clock, Pulse
from ingest.reads import CLOCK_TOPIC, QUOTA_TOPIC, SESSION_TOPIC, Arrival
from ingest.roster import ClockMessage, QuotaMessage, SessionMessage
from ingest.settings import Settings
from ingest.spool import Quota
from ledger.statement import Gap, Policy
from tests.ingest.scene import T0, make_folder, read_payload, serving, sgtin
from tests.ingest.test_mqtt import publish, publisher, wait_until
from tests.ingest.test_operate import PLAN_TEXT, live, problems
from tests.optional import Broker

S = 1_000_000
WIDER = PLAN_TEXT.replace('"gate/#"', '"gate/#", "shed/#"')
STEP = Arrival(CLOCK_TOPIC, msgspec.json.encode(ClockMessage(time_us=T0, step_us=S)), T0)
LOST = Arrival(SESSION_TOPIC, msgspec.json.encode(SessionMessage(from_us=T0, to_us=T0)), T0)


class Pressing(Pulse):
    """A pulse that calls `on_second` at the second beat of the processor."""

    def __init__(self, on_second: Callable[[], None]) -> None:
        super().__init__(Clock())
        self._beats = 0
        self._on_second = on_second

    def beat(self, name: str) -> None:
        super().beat(name)
        self._beats += name == "processor"
        if name == "processor" and self._beats == 2:
            self._on_second()


def shared_of(settings: Settings, pulse: Pulse, text: str = PLAN_TEXT) -> Shared:
    plan = parse_plan(text)
    signers = open_signers(settings, plan)
    return Shared(
        settings=settings, pulse=pulse, plan=plan, ledger_url="http://-", signers=signers
    )


@contextmanager
def looping(shared: Shared, loop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        shared.stopping.set()
        thread.join(60)
        assert not thread.is_alive()


def put(shared: Shared, *arrivals: Arrival) -> None:
    for one in arrivals:
        shared.put(Delivery(one, 0, 0, -1))


def kept(folder: Path) -> list[tuple[str, bytes]]:
    with Inbox(folder) as inbox:
        return [(one.topic, one.payload) for one in inbox.load_after(0, 1_000)]


def test_a_new_plan_does_not_wait_for_the_end_of_a_backlog(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    total = 3 * MESSAGES_PER_BATCH
    with Inbox(settings.folder) as inbox:
        inbox.keep(
            [Arrival("shed/r", read_payload(n, n / 1_000), T0 + n) for n in range(total)]
        )
    wider = parse_plan(WIDER)
    shared = shared_of(
        settings, Pressing(lambda: shared.news.append((wider, dict(shared.signers))))
    )

    def done() -> bool:
        with Outbox(settings.folder) as outbox:
            return outbox.cursor() >= total

    with looping(shared, lambda: loops.process(shared)):
        wait_until(done, "all of it is processed")
    assert read_health(settings.folder).faults == MESSAGES_PER_BATCH  # by the plan before


def test_plans_that_change_under_load_while_the_ledger_is_away_lose_and_double_nothing(
    mosquitto: Broker, tmp_path: Path
) -> None:
    settings = make_folder(tmp_path / "g")
    path = settings.folder / "plan.toml"
    stated = [parse_plan(PLAN_TEXT).sha256]
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        publish(client, 0, 1)
        wait_until(lambda: len(ledger.events) == 1, "the first is there")
        ledger.down = True
        sent = 1
        for turn in range(6):
            stop = threading.Event()
            first = sent

            def load(stop: threading.Event = stop, first: int = first) -> None:
                nonlocal sent
                for n in range(first, first + 300):
                    client.publish("gate/r", read_payload(n, 10 * n), qos=1)
                    sent = n + 1
                    if stop.wait(0.001):
                        break

            thread = threading.Thread(target=load, daemon=True)
            thread.start()
            try:
                path.write_text(PLAN_TEXT.replace("gap_ms", "gap_millis"))
                one.reload()
                wait_until(lambda: "plan" in problems(one), "the mistake is told of")
                text = WIDER if turn % 2 == 0 else PLAN_TEXT
                path.write_text(text)
                one.reload()
                wait_until(lambda: "plan" not in problems(one), "the plan is in force")
                stated.append(parse_plan(text).sha256)
            finally:
                stop.set()
                thread.join(30)
        path.write_text(WIDER)
        one.reload()
        stated.append(parse_plan(WIDER).sha256)
        client.publish("gate/r", read_payload(sent, 10 * sent), qos=1).wait_for_publish(10)
        ledger.down = False
        wait_until(lambda: len(ledger.events) > sent, "all of it is in the ledger", seconds=60)
        seen = Counter(epc for event in ledger.events for epc in event["epcList"])  # type: ignore[attr-defined]
        policies = [s.body.digest for s in ledger.statements if isinstance(s.body, Policy)]
    assert seen == Counter(map(sgtin, range(sent + 1)))
    assert policies == stated
    assert read_health(settings.folder).faults == 0


@pytest.fixture
def full(tmp_path: Path) -> Settings:
    """Return the settings of a gateway whose spool is full, by one message."""
    settings = make_folder(tmp_path / "g")
    with Inbox(settings.folder) as inbox:
        inbox.keep([Arrival("gate/r", read_payload(0, 0), T0)])
    return settings


def test_what_the_gateway_itself_says_is_never_refused(
    full: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.loops.REFUSE_PAUSE_SECONDS", 0.1)
    settings = replace(full, quota=Quota(messages_max=1, refuse_after_s=1))
    shared = shared_of(settings, Pulse(Clock()))
    put(shared, *(Arrival("gate/r", read_payload(n, n), T0 + n) for n in (1, 2)), STEP, LOST)
    acknowledged: list[Delivery] = []

    def acknowledge(batch: object) -> int:
        acknowledged.extend(batch)  # type: ignore[arg-type]
        return len(acknowledged)

    with looping(shared, lambda: loops.keep(shared, acknowledge)):
        wait_until(lambda: len(acknowledged) == 4, "all are dealt with")
    found = dict(kept(settings.folder)[1:])
    assert set(found) == {CLOCK_TOPIC, SESSION_TOPIC, QUOTA_TOPIC}
    told = msgspec.json.decode(found[QUOTA_TOPIC], type=QuotaMessage)
    assert told.topics == {"gate/r": 2}
    assert shared.steps_kept == 1


def test_what_the_gateway_itself_says_outlives_a_stop_while_the_spool_is_full(
    full: Settings,
) -> None:
    settings = replace(full, quota=Quota(messages_max=1))
    shared = shared_of(settings, Pulse(Clock()))
    put(shared, Arrival("gate/r", read_payload(1, 1), T0 + 1), STEP)
    with looping(shared, lambda: loops.keep(shared, len)):
        wait_until(lambda: any(p.part == "spool" for p in shared.pulse.problems()), "full")
    assert [topic for topic, _ in kept(settings.folder)] == ["gate/r", CLOCK_TOPIC]
    assert len(shared.queue) == 2, "the broker has the other still"


def test_a_full_spool_that_is_started_again_takes_the_rest_once_there_is_room(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.loops.REFUSE_PAUSE_SECONDS", 0.2)
    for patience in (0, 1):
        quota = Quota(bytes_max=10_000, refuse_after_s=patience)
        settings = replace(make_folder(tmp_path / f"g{patience}"), quota=quota)
        with serving() as ledger, publisher(mosquitto) as client:
            with live(settings, mosquitto, ledger) as one:
                wait_until(lambda: not problems(one), "it is ready")
                ledger.down = True
                publish(client, 0, 60)
                wait_until(lambda: "spool" in problems(one), "it is full")
            with live(settings, mosquitto, ledger) as one:
                wait_until(lambda: "spool" in problems(one), "it is full still")
                publish(client, 60, 60)
                if patience:
                    wait_until(
                        lambda: one.pulse.counts()["refused"] >= 60,
                        "some are refused",
                    )
                ledger.down = False

                def refused() -> int:
                    bodies = [s.body for s in ledger.statements if isinstance(s.body, Gap)]
                    return sum(one.count or 0 for one in bodies if one.what == 3)

                wait_until(lambda: len(ledger.events) + refused() == 120, "all are told of")
        assert (refused() > 0) is (patience > 0)
        epcs = Counter(epc for event in ledger.events for epc in event["epcList"])  # type: ignore[attr-defined]
        assert set(epcs.values()) == {1}
