"""How fast an audit is: beside its hashes alone and its signatures alone, in the same run.

    .venv/bin/python -m tests.bench.verify [--quick] [--entries N] [--events N] [--keep DIR]

Makes a log of N entries (10^5, or 10^4 with --quick; 10^6 is the long form) and audits it
with 1 and 2 processes: checks 1 to 7, 1 to 11, and all. The limits are measured over the
same bytes: the hash of every leaf and of as many nodes, and Ed25519 signatures, in CPU time of
one core. Rates are by the wall clock; shares are by CPU time of all processes together, which
other work on the machine disturbs less. Memory is the most that all processes held; growth
compares with a tenth of the log.
"""

import argparse
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.audit.usual import read_statement
from ledger.cose import parse_public_key
from ledger.entry import parse_entry
from tests.bench.big_log import build_big_log
from tests.ledger.store.parties import signer

ENTRIES, ENTRIES_QUICK = 100_000, 10_000
RUNS = 3
SIGNATURES_TIMED = 5_000
SCOPES = ("1-7", "1-11", "1-13")
AUDIT = """
import json, resource, sys, time
from ledger.audit.scope import Scope, parse_checks
from ledger.cli.auditing import Options, audit_target
if __name__ == "__main__":
    folder, checks, processes = sys.argv[1:]
    wall, cpu = time.perf_counter(), time.process_time()
    options = Options(scope=Scope(checks=parse_checks(checks)), processes=int(processes))
    report = audit_target(folder, options)
    wall = time.perf_counter() - wall
    assert report.result.value == "verified", report
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    workers = int(processes) if int(processes) > 1 else 0
    cpu = time.process_time() - cpu + used[1].ru_utime + used[1].ru_stime
    # Not ru_maxrss, which starts with what the parent held.
    (held,) = [line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line]
    print(json.dumps([wall, cpu, int(held) + workers * used[1].ru_maxrss]))
"""


@dataclass(frozen=True)
class Limits:
    """Entries a second of one core that does nothing else."""

    hashes: float
    signatures: float


@dataclass(frozen=True)
class Audited:
    """What one audit took: seconds of wall and of CPU, and KiB held at most."""

    wall: float
    cpu: float
    memory: int


def measure_limits(folder: Path, entries: int) -> Limits:
    """Return how fast the hashes and the signatures of this log alone go."""
    connection = sqlite3.connect(folder / "evidence.db")
    taken = 0.0
    jobs = []
    for (data,) in connection.execute("SELECT data FROM entry"):
        jobs.append(data)
    connection.close()
    began = time.process_time()
    leaves = [sha256(b"\x00" + data).digest() for data in jobs]
    for leaf in leaves:
        sha256(b"\x01" + leaf + leaf).digest()
    taken = time.process_time() - began
    key = parse_public_key(signer("gateway").x)
    statements = [read_statement(parse_entry(d).statement) for d in jobs[-SIGNATURES_TIMED:]]
    statements = [one for one in statements if one.kid == signer("gateway").kid]
    began = time.process_time()
    for one in statements:
        key.verify(one.signature, one.message)
    return Limits(entries / taken, len(statements) / (time.process_time() - began))


def audit(folder: Path, checks: str, processes: int) -> Audited:
    """Audit in a process of its own, as the command does."""
    command = [sys.executable, "-c", AUDIT, str(folder), checks, str(processes)]
    if processes > 1:  # Spawned workers import the main module: it needs a file.
        script = folder.with_suffix(".py")
        script.write_text(AUDIT)
        command = [sys.executable, str(script), str(folder), checks, str(processes)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    wall, cpu, memory = map(float, done.stdout.strip("[]\n").split(","))
    return Audited(wall, cpu, int(memory))


@contextmanager
def big_log(keep: Path | None, entries: int, events: int) -> Iterator[Path]:
    """Lend a log of that size, made now or kept from the last time."""
    if keep is not None:
        folder = keep / f"log-{entries}-{events}"
        yield (
            folder if folder.is_dir() else build_big_log(folder, entries=entries, events=events)
        )
        return
    with TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        yield build_big_log(Path(name) / "log", entries=entries, events=events)


def run(
    folder: Path, entries: int, chosen: argparse.Namespace, show: Callable[[str], object]
) -> float:
    """Print the table of one log; return the CPU seconds of all checks with one process."""
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    events = chosen.events
    show(f"\n{entries:,} entries of {events} events, {size:,.0f} MB")
    show("checks  processes  entries/s   events/s   share of what a core can    memory MiB")
    last = 0.0
    for checks in SCOPES:
        for processes in (1, 2):
            limits, runs = [], []
            for _ in range(chosen.runs):
                limits.append(measure_limits(folder, entries))
                runs.append(audit(folder, checks, processes))
            seconds = statistics.median(one.wall for one in runs)
            worked = statistics.median(one.cpu for one in runs)
            hashes = statistics.median(one.hashes for one in limits)
            signatures = statistics.median(one.signatures for one in limits)
            limit, name = (hashes, "hashes") if checks == "1-7" else (signatures, "Ed25519")
            rate = entries / seconds
            last = worked if processes == 1 else last
            show(
                f"{checks:7}{processes:8}{rate:13,.0f}{rate * events:11,.0f}"
                f"{entries / worked / limit:8.0%} of {limit:9,.0f} {name:8}"
                f"{max(one.memory for one in runs) / 1024:8.0f}"
            )
    return last


def main(show: Callable[[str], object] = print) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{ENTRIES_QUICK} entries")
    parser.add_argument("--entries", type=int, help=f"how many entries (default {ENTRIES})")
    parser.add_argument("--events", type=int, default=1, help="events of each statement")
    parser.add_argument(
        "--runs", type=int, default=RUNS, help="runs of which medians are given"
    )
    parser.add_argument("--keep", type=Path, help="where logs are kept and found again")
    chosen = parser.parse_args()
    entries = chosen.entries or (ENTRIES_QUICK if chosen.quick else ENTRIES)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    show(f"Python {platform.python_version()}, {machine}; medians of {chosen.runs} runs")
    seconds = []
    for size in (entries // 10, entries):
        with big_log(chosen.keep, size, chosen.events) as folder:
            seconds.append(run(folder, size, chosen, show))
    show(f"\nten times the log takes {seconds[1] / seconds[0]:.1f} times as long")
    show(f"this process held {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
