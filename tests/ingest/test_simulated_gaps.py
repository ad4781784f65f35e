"""The simulator's faults, through the gateway's meaning: each loss is admitted, no other is."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_sim.library import load_scenario
from device_sim.play import Run, play
from ingest.drafts import Outcome
from ingest.health import read_health
from ingest.planfile import parse_plan
from ingest.reads import TICK_TOPIC, Arrival, Message, message_hash
from ingest.replay import replay
from ingest.site import Site, encode_tick
from ingest.watch import QUARANTINE
from ledger.statement import Gap
from tests.ingest.gap_scene import (
    REASONS,
    Told,
    answer_of,
    compare,
    injected,
    lossy_run,
    numbers_in,
    told_by,
    told_offline,
)
from tests.ingest.running import is_ready, live, publisher, wait_until
from tests.ingest.scene import SECRET, make_folder, serving
from tests.optional import Broker

FEWEST = 8
SEEDS = (1, 2, 4)
WITH_LOSSES = {"electronics", "luxury"}  # messages cut off, or changed, on their way


def messages(run: Run) -> Iterator[Message]:
    last = 0
    for n, one in enumerate(run.messages, start=1):
        last = one.time_us
        yield Message(
            id=n,
            topic=one.topic,
            payload=one.payload,
            received_us=one.time_us,
            sha256=message_hash(one.topic, one.payload),
        )
    tick = encode_tick(last + 1, everything=True)
    yield Message(
        id=len(run.messages) + 1,
        topic=TICK_TOPIC,
        payload=tick,
        received_us=last + 1,
        sha256=message_hash(TICK_TOPIC, tick),
    )


@pytest.mark.parametrize("name", ["dairy", "electronics", "stress", "produce", "luxury"])
def test_each_message_that_could_not_be_read_is_in_a_gap_and_no_gap_is_without_one(
    name: str,
) -> None:
    run = play(load_scenario(name), 7)
    site, outcome = Site(parse_plan(run.plan_text)), Outcome(secret=SECRET)
    times: dict[int, int] = {}
    known: set[int] = set()
    for message in messages(run):
        site.take_message(message, outcome)
        times[message.id] = message.received_us
        if site.roster._sources_of(message.topic):
            known.add(message.id)
    hidden = {n for n, fault in outcome.faults if fault.hides_reads and n in known}
    gaps = [one for one in outcome.notices if one.what == QUARANTINE]
    for n in hidden:
        assert any(one.from_us <= times[n] <= one.to_us for one in gaps), outcome.faults
    for one in gaps:
        assert any(one.from_us <= times[n] <= one.to_us for n in hidden), one
    assert {one.what for one in outcome.notices} <= {QUARANTINE}, outcome.notices[:3]
    assert bool(gaps) == (name in WITH_LOSSES)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_injected_gap_is_told_of_and_no_other(seed: int) -> None:
    run = lossy_run(seed)
    truth, told = injected(run), told_offline(run)
    assert compare(truth, told) == []
    assert len(truth) >= FEWEST, "the run has losses"
    assert told_offline(run, every=1_997) == told, "a restart changes nothing"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 400))
def test_each_injected_gap_is_told_of_with_any_seed(seed: int) -> None:
    run = lossy_run(seed)
    assert compare(injected(run), told_offline(run)) == []


@pytest.mark.parametrize("seed", range(2))
def test_of_a_sound_run_no_gap_is_told(seed: int) -> None:
    run = lossy_run(seed, faults=False)
    assert injected(run) == []
    assert told_offline(run) == []


def test_every_kind_of_gap_is_injected_and_every_comparison_can_fail() -> None:
    runs = [lossy_run(seed) for seed in SEEDS]
    kinds = {one["what"] for run in runs for one in injected(run)}
    assert kinds == {"event_numbers", "reader_drops", "silence", "quarantine"}
    for run in runs:
        truth, told = injected(run), told_offline(run)
        for n in range(len(truth)):
            assert compare([*truth[:n], *truth[n + 1 :]], told), truth[n]
        for n in range(len(told)):
            assert compare(truth, [*told[:n], *told[n + 1 :]]), told[n]


def test_the_ledger_holds_each_injected_gap_and_answers_tell_of_them(tmp_path: Path) -> None:
    run = lossy_run(2)
    arrivals = [
        Arrival(topic=one.topic, payload=one.payload, received_us=one.time_us)
        for one in run.messages
    ]
    done = replay(arrivals, parse_plan(run.plan_text), tmp_path)
    assert done.is_complete
    truth, told = injected(run), told_by(tmp_path)
    assert compare(truth, told) == []
    assert len(truth) >= FEWEST
    asked = [json.loads(one) for one in run.truth]
    items = [one["epc"] for one in asked if one["kind"] == "item"]
    found = {
        one["why"]
        for item in items
        for one in answer_of(tmp_path, item)["gaps"]
        if one["stated_in"] is not None
    }
    assert found <= {one.why for one in told}
    assert len(found) > len(truth) // 2, "items were where something was missed"


def test_the_daemon_tells_of_what_was_lost_before_the_broker(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are the wall clock's here, so numbers, counts and places are compared."""
    monkeypatch.setattr("ingest.watch.QUARANTINE_WINDOW_US", 1_000_000)
    run = lossy_run(2)
    parties = [one.id for one in run.parties]
    settings = make_folder(tmp_path / "g", *parties)
    lines = [one for one in run.plan_text.splitlines() if not one.startswith("heartbeat_s")]
    plan_text = "\n".join(lines).replace("[[reader]]", "[[reader]]\ngrace_s = 2")
    (settings.folder / "plan.toml").write_text(plan_text)
    lost = [gap for gap in injected(run) if gap["what"] != "silence"]
    wanted = Counter(map(_what_of, lost))
    with (
        serving() as ledger,
        publisher(mosquitto) as client,
        live(settings, mosquitto, ledger) as one,
    ):
        wait_until(lambda: is_ready(one), "it is ready")
        # In each of these streams all comes in order: no stall of this machine makes a hole.
        readers = {f"sites/{gap['reader']}/reader" for gap in lost}
        for message in run.messages:
            if message.topic in readers:
                client.publish(message.topic, message.payload, qos=1)

        def told() -> Counter[tuple[object, ...]]:
            found: Counter[tuple[object, ...]] = Counter()
            for said in ledger.statements:
                if isinstance(said.body, Gap):
                    told_one = Told.of(said.iss, said.body)
                    key, count = _told_of(told_one)
                    found[key] += count
            return found

        wait_until(lambda: told() == wanted, f"each of {wanted} is told of")
        wait_until(lambda: read_health(settings.folder).unprocessed == 0, "all is processed")
        time.sleep(3)
        assert told() == wanted, "and nothing else"


def _what_of(gap: dict[str, Any]) -> tuple[object, ...]:
    """Return what a gap of the truth is, without its time."""
    return (gap["party"], gap["read_point"], gap["what"], gap["first"], gap["last"])


def _told_of(one: Told) -> tuple[tuple[object, ...], int]:
    """Return what a statement tells of, without its time, and of how many such gaps."""
    what = REASONS[one.what]
    numbers = numbers_in(one)
    count = one.count if what == "quarantine" else 1
    return (one.party, one.source, what, *numbers), count or 1
