import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from device_sim.library import load_scenario, store_run
from device_sim.play import Performance, Run, play
from device_sim.scenariofile import parse_scenario
from device_sim.workers import make_messages, worth
from device_sim.world import parse_time

DIGEST = """
from hashlib import sha256
from device_sim.library import load_scenario
from device_sim.play import play
run = play(load_scenario("dairy"), 20260302)
digest = sha256()
for one in run.messages:
    digest.update(f"{one.time_us} {one.topic} ".encode() + one.payload + b"\\n")
digest.update("\\n".join(run.truth).encode() + run.plan_text.encode())
print(digest.hexdigest())
"""


def test_a_seed_gives_the_same_bytes_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST], check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "4711")
    }  # fmt: skip
    assert len(digests) == 1


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_makes_the_same_bytes(workers: int) -> None:
    scenario = load_scenario("electronics", ["items=16"])  # with faults that last
    alone, shared = Performance(scenario, 9), Performance(scenario, 9)
    assert list(make_messages(shared, workers)) == list(alone.messages())
    assert list(shared.truth()) == list(alone.truth())
    assert shared.reads == alone.reads


def test_only_large_runs_are_worth_more_than_one_worker() -> None:
    assert worth(load_scenario("dairy")) == 1
    assert worth(load_scenario("stress", ["items=1000000"])) >= 1


def test_another_seed_gives_another_run(dairy_run: Run) -> None:
    other = play(load_scenario("dairy"), 2)
    assert not {one.identity for one in other.messages} & {
        one.identity for one in dairy_run.messages if one.topic.endswith("/reader")
    }


def test_one_more_reader_changes_nothing_else(dairy_text: str, dairy_run: Run) -> None:
    more = '\n[[station]]\nname = "centre/spare"\ndoes = "break"\nreader = "impinj"\n'
    run = play(parse_scenario(dairy_text + more), 1)
    assert run.messages == dairy_run.messages


def test_messages_are_in_order_of_time_and_unlike_one_another(dairy_run: Run) -> None:
    times = [one.time_us for one in dairy_run.messages]
    assert times == sorted(times)
    repeats = Counter(one.identity for one in dairy_run.messages)
    burst = next(
        one["touched"] for one in map(json.loads, dairy_run.truth)
        if one["kind"] == "fault" and one["fault"] == "duplicate_burst"
    )  # fmt: skip
    assert {identity for identity, count in repeats.items() if count > 1} == set(burst)
    assert max(repeats.values()) == 2


def test_stations_interleave(dairy_run: Run) -> None:
    topics = [one.topic for one in dairy_run.messages]
    changes = sum(a != b for a, b in pairwise(topics))
    assert changes > 500


def test_the_default_run_is_of_a_size_that_a_laptop_plays_in_no_time(dairy_run: Run) -> None:
    began = time.process_time()
    play(dairy_run.scenario, 3)
    assert time.process_time() - began < 2  # it takes about 0.5 s on an idle core
    assert 8_000 < dairy_run.reads < 25_000
    assert dairy_run.messages[-1].time_us - dairy_run.messages[0].time_us < 6 * 86_400 * 10**6


@pytest.mark.parametrize("seed", range(3))
def test_what_was_missed_is_labelled_and_nothing_else_is_missing(seed: int) -> None:
    run = play(load_scenario("dairy"), seed)
    truth = [json.loads(one) for one in run.truth]
    missed = {(one["epc"], one["station"]) for one in truth if one["kind"] == "missed"}
    heard = defaultdict(set)
    for message in run.messages:
        if message.topic.endswith("/reader"):
            station = message.topic.removeprefix("sites/").removesuffix("/reader")
            events = json.loads(message.payload)
            for one in events if isinstance(events, list) else [events]:
                inner = one.get("data") or one["tagInventoryEvent"]
                heard[station].add((inner.get("idHex") or inner["epcHex"]).upper())
    for item in (one for one in truth if one["kind"] == "item"):
        serial = int(item["epc"].rpartition(".")[2])
        at_filler = any(
            int(memory, 16) & (1 << 38) - 1 == serial for memory in heard["dairy/filler"]
        )
        assert at_filler == ((item["epc"], "dairy/filler") not in missed)


def test_a_run_on_disk_can_be_read_back(dairy_run: Run, tmp_path) -> None:
    store_run(dairy_run, tmp_path)
    with (tmp_path / "messages.ndjson").open() as file:
        stored = [json.loads(line) for line in file]
    assert [
        (parse_time(one["time"]), one["topic"], one["payload"].encode()) for one in stored
    ] == [(one.time_us, one.topic, one.payload) for one in dairy_run.messages]
    assert (tmp_path / "truth.jsonl").read_text().splitlines() == list(dairy_run.truth)
    assert (tmp_path / "plan.toml").read_text() == dairy_run.plan_text
