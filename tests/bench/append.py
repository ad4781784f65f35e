"""How fast the log takes statements: against a bare insert, hashing alone and Ed25519 alone.

    .venv/bin/python -m tests.bench.append [--db postgresql] [--quick]

For statements of 1, 8, 32 and 256 events, each a packing that names 4 EPCs as a gateway
writes it, prints beside each other, measured in turns in the same run:

    bare     an insert of the same bytes into two plain tables, as durable, as many a commit
    floor    that insert, and `hashlib` alone over just the hashes that the format requires
    append   the durable log, from submissions to receipts, without and with the index

and for each, p50 and p99 of the acknowledgement under this load, bytes written per event,
flushes, and what is kept per byte of event. Statements of one event are held against what
Ed25519 verification alone allows. All are medians of several runs.
"""

import argparse
import os
import platform
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from ledger.disclosure import Submission, encode_event, shown_parts
from ledger.statement import parse_statement, verify_signature
from ledger.store.batch import Receipt
from ledger.store.database import Where
from ledger.store.index import open_index
from ledger.store.log import Log
from ledger.store.sequencer import Answer, Sequencer, SequencerLimits
from tests.bench.workload import Work
from tests.crash.faulty_vfs import FaultyVfs, load_library
from tests.ledger.store.parties import World

SIZES = (1, 8, 32, 256)
UNDER_WAY_MAX = 6
LENGTH_PREFIX_BYTES = 2
TILE_BYTES_PER_ENTRY = 32 * 256 / 255


@dataclass
class Measured:
    """What one run took."""

    events: int
    seconds: float
    cpu_seconds: float
    bytes_written: int
    waits: list[float]
    kept: int = 0
    public: float = 0.0

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


# --- The log ------------------------------------------------------------------------------


def measure_append(work: Work, *, index: bool) -> Measured:
    """Put all submissions through a sequencer on a fresh copy of the log."""
    with copy_of(work.world.folder) as folder:
        before = stored_bytes(folder)
        log = World(folder, log_key=work.world.log_key).open()
        first = int(log.size)
        with following(log, folder, wanted=index):
            measured = append_all(log, work)
        entries = log.reader.load_entries(first, int(log.size))
        log.close()
        measured.kept = stored_bytes(folder) - before
        public = sum(len(one) + LENGTH_PREFIX_BYTES + TILE_BYTES_PER_ENTRY for one in entries)
        measured.public = public / work.events
        return measured


def append_all(log: Log, work: Work, limits: SequencerLimits | None = None) -> Measured:
    """Submit group after group with at most six under way; return what it took."""
    sequencer = Sequencer(log, limits)
    waits: list[float] = []
    under_way: list[Future[list[Answer]]] = []
    written, cpu, began = bytes_written(), time.process_time(), time.perf_counter()

    def submit(group: list[Submission]) -> Future[list[Answer]]:
        sent = time.perf_counter()
        answers = sequencer.submit_all(group)
        answers.add_done_callback(lambda _: waits.append(time.perf_counter() - sent))
        return answers

    for group in work.groups():
        under_way.append(submit(group))
        if len(under_way) == UNDER_WAY_MAX:
            settle(under_way.pop(0))
    for answers in under_way:
        settle(answers)
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    sequencer.stop()
    return Measured(work.events, taken, cpu, bytes_written() - written, waits)


def settle(answers: Future[list[Answer]]) -> None:
    """Wait for receipts; a refusal fails the run."""
    assert all(isinstance(answer, Receipt) for answer in answers.result())


@contextmanager
def following(log: Log, where: Where, *, wanted: bool) -> Iterator[None]:
    """Let the index follow the log meanwhile, where `wanted`."""
    if not wanted:
        yield
        return
    index, stop = open_index(where, log.reader), Event()

    def follow() -> None:
        while not stop.is_set():
            if not index.follow(log.size):
                stop.wait(0.01)

    thread = Thread(target=follow)
    thread.start()
    yield
    stop.set()
    thread.join()
    index.close()


# --- What it is held against --------------------------------------------------------------


def measure_bare(work: Work) -> tuple[float, float, float]:
    """Return the events/s of a bare insert, of that and the required hashes, and its CPU.

    The last is in seconds an event.
    """
    statements = [s.statement + bytes(79) for s in work.submissions]  # An entry's own bytes.
    events = [[encode_event(event) for event in s.events] for s in work.submissions]
    cpu = time.process_time()
    with TemporaryDirectory() as name:
        inserted = insert_bare(Path(name) / "bare.db", statements, events, work.group)
    hashed = hash_required(work)
    cpu = (time.process_time() - cpu) / work.events
    return work.events / inserted, work.events / (inserted + hashed), cpu


def insert_bare(
    path: Path, statements: list[bytes], events: list[list[bytes]], group: int
) -> float:
    """Return the seconds of a durable insert, `group` statements a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entry (idx INTEGER PRIMARY KEY, data BLOB)")
    connection.execute(
        "CREATE TABLE event (eid INTEGER PRIMARY KEY, commitment BLOB, data BLOB)"
    )
    began = time.perf_counter()
    for start in range(0, len(statements), group):
        indexes = range(start, min(start + group, len(statements)))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO entry VALUES (?, ?)", [(n, statements[n]) for n in indexes]
        )
        connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?)",
            [
                (n << 17 | at, bytes(32), one)
                for n in indexes
                for at, one in enumerate(events[n])
            ],
        )
        connection.execute("COMMIT")
    taken = time.perf_counter() - began
    connection.close()
    return taken


def hash_required(work: Work) -> float:
    """Return the seconds of `hashlib` alone over the hashes that the format requires."""
    statements = [s.statement + bytes(79) for s in work.submissions]
    parts = [[p or b"" for p in shown_parts(e)] for s in work.submissions for e in s.events]
    began = time.perf_counter()
    for eight in parts:
        hash_event(eight)
    for statement in statements:
        sha256(b"\x00" + statement).digest()  # The leaf of the entry.
        sha256(statement).digest()  # The id of the statement.
        sha256(bytes(65)).digest()  # About one node of the tree.
    return time.perf_counter() - began


def hash_event(parts: list[bytes]) -> None:
    """Compute just the hashes that one event requires: 8 salts, 8 leaves, 7 nodes, its leaf."""
    for part in parts:
        sha256(bytes(50)).digest()
        sha256(bytes(34) + part).digest()
    for _ in range(9):
        sha256(bytes(65)).digest()


def measure_ed25519(work: Work, seconds: float) -> tuple[float, float]:
    """Return how many signatures a second two threads verify, and the CPU seconds of each."""
    statement = parse_statement(work.submissions[0].statement)
    counts = [0, 0]
    cpu, deadline = time.process_time(), time.perf_counter() + seconds

    def verify(slot: int) -> None:
        while time.perf_counter() < deadline:
            verify_signature(statement, work.world.gateway.key.x)
            counts[slot] += 1

    threads = [Thread(target=verify, args=(slot,)) for slot in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds, (time.process_time() - cpu) / sum(counts)


def count_flushes(works: list[Work]) -> list[str]:
    """Return a line for each size: flushes per statement, counted under SQLite."""
    library = load_library()
    if library is None:
        return ["flushes: this Python carries its own SQLite, nothing can count under it"]
    vfs = CountingVfs(library)
    lines = []
    for work in works:
        vfs.calls.clear()
        measure_append(work, index=False)
        per = vfs.calls["flush"] / len(work.submissions)
        lines.append(
            f"flushes at {work.size:3}: {per:.3f} a statement, {per / work.size:.4f} an event, "
            f"{vfs.calls['write'] / work.events:.2f} writes an event"
        )
    return lines


class CountingVfs(FaultyVfs):
    """Counts SQLite's calls and fails none."""

    def __init__(self, library: object) -> None:
        super().__init__(library)  # type: ignore[arg-type]
        self.calls: Counter[str] = Counter()

    def _step(self, call: str, _file: int, perform: Callable[[float], int], _: int) -> int:
        self.calls[call] += 1
        return perform(1.0)


# --- The machine --------------------------------------------------------------------------


@contextmanager
def copy_of(folder: Path) -> Iterator[Path]:
    """Yield a copy of the files of a closed ledger."""
    with TemporaryDirectory() as name:
        for file in folder.iterdir():
            (Path(name) / file.name).write_bytes(file.read_bytes())
        yield Path(name)


def stored_bytes(folder: Path) -> int:
    """Return the size of the evidence database once its log is folded in."""
    connection = sqlite3.connect(folder / "evidence.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return (folder / "evidence.db").stat().st_size


def bytes_written() -> int:
    """Return the bytes that this process has handed to the kernel to write."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar"):
            return int(line.split()[1])
    return 0


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of `values` lies, in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1e3


# --- The table ----------------------------------------------------------------------------


def show_size(work: Work, runs: int, seconds: float) -> None:
    """Measure everything in turns, `runs` times, and print the medians of one size."""
    alone, bare, plain, indexed = [], [], [], []
    for _ in range(runs):
        alone.append(measure_ed25519(work, seconds / 4))
        bare.append(measure_bare(work))
        plain.append(measure_append(work, index=False))
        indexed.append(measure_append(work, index=True))
    each = work.event_bytes / work.events
    print(
        f"\n{work.size} event(s) a statement, {each:.0f} bytes of JSON each: evidence "
        f"{plain[0].kept / work.event_bytes:.2f} x the events, "
        f"{plain[0].public:.1f} public bytes an event"
    )
    print(
        f"  Ed25519 alone {statistics.median(rate for rate, _ in alone):10,.0f} statements/s, "
        f"{statistics.median(cpu for _, cpu in alone) * 1e6:.0f} µs CPU each"
    )
    print(f"  bare insert   {statistics.median(rate for rate, _, _ in bare):10,.0f} events/s")
    print(
        f"  floor         {statistics.median(rate for _, rate, _ in bare):10,.0f} events/s, "
        f"{statistics.median(cpu for _, _, cpu in bare) * 1e6:.0f} µs CPU each"
    )
    show_append("append", plain, work, alone, bare)
    show_append("with index", indexed, work, alone, bare)


def show_append(
    name: str,
    group: list[Measured],
    work: Work,
    alone: list[tuple[float, float]],
    bare: list[tuple[float, float, float]],
) -> None:
    """Print how the log did, as shares of the floor and of Ed25519 in the same turn."""
    cpus = [m.cpu_seconds / m.events for m in group]
    of_floor = statistics.median(m.rate / f for m, (_, f, _) in zip(group, bare, strict=True))
    cpu_floor = statistics.median(f / cpu for cpu, (_, _, f) in zip(cpus, bare, strict=True))
    of_ed = statistics.median(
        m.rate / work.size / a for m, (a, _) in zip(group, alone, strict=True)
    )
    cpu_ed = statistics.median(
        a / (cpu * work.size) for cpu, (_, a) in zip(cpus, alone, strict=True)
    )
    waits = [wait for m in group for wait in m.waits]
    print(
        f"  {name:<14}{statistics.median(m.rate for m in group):10,.0f} events/s, "
        f"{statistics.median(cpus) * 1e6:.0f} µs CPU each: {of_floor:.0%} of the floor "
        f"(CPU {cpu_floor:.0%}), {of_ed:.0%} of Ed25519 (CPU {cpu_ed:.0%}); "
        f"p50 {percentile(waits, 0.5):.0f} ms, p99 {percentile(waits, 0.99):.0f} ms; "
        f"{statistics.median(m.bytes_written / m.events for m in group):,.0f} B written each"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--db", choices=("sqlite", "postgresql"), default="sqlite")
    chosen = parser.parse_args()
    runs, seconds = (1, 0.5) if chosen.quick else (5, 2.0)
    if chosen.db == "postgresql":
        from tests.bench.append_postgres import show  # noqa: PLC0415 - it imports this module

        show(runs, seconds)
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}; medians of {runs}"
    )
    with TemporaryDirectory() as name:
        works = []
        for size in SIZES:
            work = Work(size)
            work.make(Path(name) / str(size), seconds)
            show_size(work, runs, seconds)
            works.append(work)
        print()
        for line in count_flushes(works):
            print(line)


if __name__ == "__main__":
    main()
