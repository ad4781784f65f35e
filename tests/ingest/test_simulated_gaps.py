"""The simulator's faults, through the gateway's meaning: each loss is admitted, no other is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_sim.library import load_scenario
from device_sim.play import Run, play
from ingest.drafts import Outcome
from ingest.planfile import parse_plan
from ingest.reads import TICK_TOPIC, Arrival, Message, message_hash
from ingest.replay import replay
from ingest.site import Site, encode_tick
from ingest.watch import QUARANTINE
from tests.ingest.gap_scene import (
    answer_of,
    compare,
    injected,
    lossy_run,
    told_by,
    told_offline,
)
from tests.ingest.scene import SECRET

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
