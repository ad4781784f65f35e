"""The gateway is killed while reads pour in: nothing acknowledged is lost, nothing is doubled.

The publisher writes down what the broker acknowledged. After the kills, each of those
messages is in the inbox once, and the ledger has exactly the events that an undisturbed
gateway makes of the same inbox, each once.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from device_sim.library import load_scenario, store_run
from device_sim.play import play
from device_sim.publish import publish
from ingest.cli import load_plan
from ingest.database import SpoolError
from ingest.health import Health, read_health
from ingest.pipeline import Processor
from ingest.settings import load_settings
from ledger.disclosure import decode_event, decode_submission, shown_parts
from ledger.epcis.event import join_parts
from tests.optional import Broker, stop

KILLS = int(os.environ.get("TAGTRAIL_KILLS", "20"))
SEED = int(os.environ.get("TAGTRAIL_KILL_SEED", "1"))
ALIVE_S = (0.2, 1.2)
PUBLISH_S = 1.6 * KILLS
SETTLE_S = 120.0
TAGTRAIL = (sys.executable, "-m", "ledger.cli")


@contextmanager
def started(
    ready: str, log: Path, *arguments: object
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a `tagtrail` command until the end; yields what its first line says."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*TAGTRAIL, *map(str, arguments)], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(ready), f"{arguments}: {line!r}; {log.read_text()[-2000:]}"
        yield line.removeprefix(ready).strip(), process
    finally:
        if process.poll() is None:
            stop(process)
        process.stdout.close()


def where_it_fell(folder: Path, size_of_ledger: int) -> str:
    """Name the stage at which the line stood when the gateway died, from what is durable."""
    try:
        health = read_health(folder)
    except SpoolError:
        return "before the first message"
    stages = []
    if health.unprocessed:
        stages.append("kept, not processed")
    if health.waiting:
        unsettled = size_of_ledger > health.entries
        stages.append("in the ledger, not settled" if unsettled else "signed, not delivered")
    if health.is_open:
        stages.append("passes open")
    return " + ".join(stages) or "idle"


def settled(folder: Path) -> Health:
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        health = read_health(folder)
        if health.is_settled:
            return health
        time.sleep(0.2)
    pytest.fail(f"the gateway did not settle: {read_health(folder)}")


def events_in_ledger(folder: Path) -> list[dict[str, object]]:
    db = sqlite3.connect(f"file:{folder / 'evidence.db'}?mode=ro", uri=True)
    try:
        rows = db.execute("SELECT data FROM event ORDER BY eid").fetchall()
    finally:
        db.close()
    return [join_parts(shown_parts(decode_event(data))) for (data,) in rows]


def events_of_undisturbed_gateway(
    gateway: Path, plan: Path, folder: Path
) -> list[dict[str, object]]:
    """Return what a gateway that was never killed makes of the same inbox."""
    shutil.copytree(gateway, folder, ignore=shutil.ignore_patterns("outbox*", "*.lock"))
    with Processor(load_settings(folder), load_plan(plan)) as processor:
        while processor.process():
            pass
    db = sqlite3.connect(folder / "outbox.db")
    try:
        rows = db.execute("SELECT submission FROM statement ORDER BY id").fetchall()
    finally:
        db.close()
    submissions = [decode_submission(data) for (data,) in rows]
    return [join_parts(shown_parts(one)) for each in submissions for one in each.events]


def by_id(events: list[dict[str, object]]) -> dict[str, str]:
    found = {str(one["eventID"]): json.dumps(one, sort_keys=True) for one in events}
    assert len(found) == len(events), "an event stands twice"
    return found


@pytest.mark.timeout(600)
def test_killed_gateway_loses_nothing_and_doubles_nothing(
    tmp_path: Path, mosquitto: Broker
) -> None:
    print(f"seed {SEED}: repeat with TAGTRAIL_KILL_SEED={SEED} TAGTRAIL_KILLS={KILLS}")
    dice = random.Random(SEED)
    run = play(load_scenario("dairy"), SEED)
    folder, gateway, log = (
        tmp_path / "ledger",
        tmp_path / "ledger" / "gateway",
        tmp_path / "log",
    )
    store_run(run, tmp_path / "sim")
    plan, acks = tmp_path / "sim" / "plan.toml", tmp_path / "sim" / "acks.jsonl"
    parties = [f"--party={one.id}={one.title}:{one.prefix}" for one in run.parties]
    init = [*TAGTRAIL, "init", "--dir", str(folder), "--origin", "tagtrail.example/kill"]
    subprocess.run([*init, *parties], check=True, capture_output=True)
    span_s = (run.messages[-1].time_us - run.messages[0].time_us) / 1e6
    fell: Counter[str] = Counter()
    serve = ("serve", "--dir", folder, "--port", 0)
    with started("listening on ", log, *serve) as (url, _), urllib3.PoolManager() as http:
        gate = ("gateway", "run", "--dir", gateway, "--broker", mosquitto.url, "--plan", plan)
        publisher = threading.Thread(
            target=publish,
            args=(run.messages, mosquitto.url),
            kwargs={"acks": acks, "speed": span_s / PUBLISH_S},
            daemon=True,
        )
        for n in range(KILLS):
            with started("subscribed at ", log, *gate, "--ledger", url) as (_, process):
                if n == 0:
                    publisher.start()
                time.sleep(dice.uniform(*ALIVE_S))
                process.send_signal(signal.SIGKILL)
                process.wait()
            size = http.request("GET", f"{url}/status").json()["size"]
            keys = 3 + 2 * len(run.parties)
            fell[where_it_fell(gateway, size - keys)] += 1
        publisher.join()
        with started("subscribed at ", log, *gate, "--ledger", url):
            acknowledged = [
                json.loads(line)["sha256"] for line in acks.read_text().splitlines()
            ]
            health = settled_with(gateway, len(set(acknowledged)))
    print("the kills fell at:")
    for stage, count in fell.most_common():
        print(f"{count:6} {stage}")

    assert len(acknowledged) == len(run.messages)
    inbox = sqlite3.connect(f"file:{gateway / 'inbox.db'}?mode=ro", uri=True)
    kept = Counter(
        row[0].hex()
        for row in inbox.execute("SELECT sha256 FROM message WHERE topic NOT LIKE '$%'")
    )
    inbox.close()
    assert set(kept) == set(acknowledged)
    assert set(kept.values()) == {1}
    assert not health.parked
    assert fell.total() == KILLS
    assert set(fell) != {"idle"}, "no kill fell while anything was under way"

    ours = by_id(events_in_ledger(folder))
    assert ours == by_id(events_of_undisturbed_gateway(gateway, plan, folder / "undisturbed"))
    verified = subprocess.run(
        [*TAGTRAIL, "verify", str(folder), "--trust", str(folder / "trust.toml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout


def settled_with(gateway: Path, messages: int) -> Health:
    """Wait until the gateway has taken all that the broker owed it, and settled."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        if read_health(gateway).messages >= messages:
            return settled(gateway)
        time.sleep(0.2)
    pytest.fail(f"{messages} were acknowledged: {read_health(gateway)}")
