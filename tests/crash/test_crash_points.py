"""Every write of append and publish fails, in each way a disk can fail.

The seeds choose the log (a small one, or one short of a full tile), the step and the fault.
After each, the log is opened as after a crash, gets another statement and a checkpoint, is
audited whole, and is compared with what was acknowledged. Where the faults fell is printed
(pytest -s). The quick run and the slow one take different seeds: 1,200 together.
"""

import os
import signal
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

import pytest

from ledger.store.publish import RollbackError
from tests.crash.faulty_vfs import Fault, load_library
from tests.crash.recovery import check_recovery
from tests.crash.victim import (
    EXIT_STORAGE,
    Plot,
    fork_victim,
    make_plot,
)
from tests.optional import absent

FAULTS = tuple(Fault)
NO_BLOW = (0, Fault.EIO)
ENTRIES = (6, 252)  # The second log fills a tile with its second batch.
SHARE_OF_FIRST = 7 / 8


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> list[Plot]:
    """Return the two logs, each with the number of steps of a whole life on it."""
    if load_library() is None:
        absent("libsqlite3", "this Python carries its own SQLite, which no shim can reach")
    made = []
    for entries in ENTRIES:
        folder = tmp_path_factory.mktemp("plot")
        plot = make_plot(folder / "template", entries)
        status, told = fork_victim(plot, folder / "whole", NO_BLOW)
        assert (status, told[-1]["kind"]) == (0, "end"), told
        plot.steps = int(str(told[-1]["steps"]))
        made.append(plot)
    return made


def pick(seed: int, plots: list[Plot]) -> tuple[Plot, tuple[int, Fault]]:
    """Return log, step and fault of `seed`."""
    digest = sha256(f"crash/{seed}".encode()).digest()
    plot = plots[digest[9] >= SHARE_OF_FIRST * 256]
    step = 1 + int.from_bytes(digest[:8], "big") % plot.steps
    return plot, (step, FAULTS[digest[8] % len(FAULTS)])


def crash_at(seeds: range, plots: list[Plot], folder: Path) -> Counter[str]:
    """Run the crash of every seed; return how many fell where."""
    stages: Counter[str] = Counter()
    for seed in seeds:
        plot, blow = pick(seed, plots)
        status, told = fork_victim(plot, folder, blow)
        stage = [line["name"] for line in told if line["kind"] == "stage"][-1]
        hits = [f"{line['call']} {line['file']}" for line in told if line["kind"] == "fault"]
        stages[f"{str(stage).split()[0]:<8} {hits[0] if hits else '-':<24} {blow[1]}"] += 1
        try:
            assert len(hits) == 1, "the step was never reached"
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            assert killed or os.waitstatus_to_exitcode(status) in {0, EXIT_STORAGE}
            check_recovery(replace(plot.world, folder=folder), told)
        except BaseException as error:
            error.add_note(f"seed {seed}: {blow[1]} at step {blow[0]} ({stage}, {hits})")
            raise
        rmtree(folder)
    print(f"\n{len(seeds)} crash points, seeds {seeds.start} to {seeds.stop - 1}:")
    for where, count in sorted(stages.items()):
        print(f"  {count:5}  {where}")
    return stages


def test_nothing_acknowledged_is_lost_at_150_crash_points(
    plots: list[Plot], tmp_path: Path
) -> None:
    stages = crash_at(range(150), plots, tmp_path / "one")
    assert {"append", "publish"} <= {name.split()[0] for name in stages}


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_at_1050_more_crash_points(
    plots: list[Plot], tmp_path: Path
) -> None:
    stages = crash_at(range(150, 1200), plots, tmp_path / "one")
    # Opening a log that was closed cleanly writes nothing, so no fault can fall there.
    assert {"append", "publish", "close"} == {name.split()[0] for name in stages}
    assert {str(fault) for fault in Fault} == {name[34:].strip() for name in stages}


@pytest.mark.parametrize("name", ["evidence.db", "signed.db"])
def test_yesterdays_copy_put_back_makes_the_log_refuse_to_open(
    plots: list[Plot], tmp_path: Path, name: str
) -> None:
    today = tmp_path / "today"
    status, _ = fork_victim(plots[0], today, NO_BLOW)
    assert status == 0
    for suffix in ("-wal", "-shm"):
        (today / (name + suffix)).unlink(missing_ok=True)
    (today / name).write_bytes((plots[0].world.folder / name).read_bytes())
    with pytest.raises(RollbackError, match="restored from an old backup"):
        replace(plots[0].world, folder=today).open()
