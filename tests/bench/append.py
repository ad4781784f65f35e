"""How fast the log takes statements: against a bare insert, hashing alone and Ed25519 alone.

    .venv/bin/python tests/bench/append.py [--seconds 3]

For statements of 1, 8, 32 and 256 events of 4 EPCs each, prints events/s, p50 and p99 of the
acknowledgement, flushes and bytes written per event, and what is kept per byte of event. In
the same run: the floor, which is a bare insert of the same bytes plus `hashlib` over just the
hashes that the format requires, and how many signatures Ed25519 alone verifies.
"""

import argparse
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from ledger.disclosure import Submission, encode_event, shown_parts
from ledger.statement import parse_statement, verify_signature
from ledger.store.index import open_index
from ledger.store.log import Log
from ledger.store.sequencer import Sequencer
from tests.ledger.store.parties import World

EPCS = 4
GROUP = 64
SIZES = (1, 8, 32, 256)


@dataclass
class Measured:
    """What one run took."""

    events: int
    seconds: float
    waits: list[float]
    bytes_written: int

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


def written() -> int:
    """Return the bytes that this process has handed to the kernel to write."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar"):
            return int(line.split()[1])
    return 0


def make_submissions(world: World, size: int, seconds: float) -> list[Submission]:
    """Return enough statements of `size` events for about `seconds`."""
    count = max(GROUP, int(seconds * min(4000, 40_000 / size)))
    return [world.gateway.capture(size, epcs=EPCS) for _ in range(count)]


def append_all(log: Log, submissions: list[Submission], size: int) -> Measured:
    """Put `submissions` through a sequencer, a group at a time with two under way."""
    sequencer = Sequencer(log)
    waits: list[float] = []
    groups = [submissions[at : at + GROUP] for at in range(0, len(submissions), GROUP)]
    before, began = written(), time.perf_counter()
    under_way: list[tuple[float, list[object]]] = []

    def settle() -> None:
        sent, futures = under_way.pop(0)
        for future in futures:
            future.result()  # type: ignore[attr-defined]
        waits.append(time.perf_counter() - sent)

    for group in groups:
        under_way.append((time.perf_counter(), list(sequencer.submit_all(group))))
        if len(under_way) > 2:
            settle()
    while under_way:
        settle()
    taken = time.perf_counter() - began
    sequencer.stop()
    return Measured(len(submissions) * size, taken, waits, written() - before)


@contextmanager
def following(log: Log, folder: Path, *, wanted: bool) -> Iterator[None]:
    """Let the index follow the log meanwhile, where `wanted`."""
    if not wanted:
        yield
        return
    index, stop = open_index(folder, log.reader), Event()

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


def run(size: int, seconds: float, *, index: bool) -> tuple[Measured, int, int]:
    """Return the measurement, the bytes of all events and the bytes of evidence kept."""
    with TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        world = World(folder).found()
        log = world.open()
        start = stored_bytes(folder)
        submissions = make_submissions(world, size, seconds)
        raw = sum(
            len(part or b"") for s in submissions for e in s.events for part in shown_parts(e)
        )
        with following(log, folder, wanted=index):
            measured = append_all(log, submissions, size)
        log.close()
        return measured, raw, stored_bytes(folder) - start


def stored_bytes(folder: Path) -> int:
    """Return the size of the evidence database once its log is folded in."""
    connection = sqlite3.connect(folder / "evidence.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return (folder / "evidence.db").stat().st_size


def floor(size: int, seconds: float) -> float:
    """Return the events/s of a bare insert of the same bytes and of the required hashes."""
    with TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        world = World(Path(name) / "log")
        world.folder.mkdir()
        world.found()
        submissions = make_submissions(world, size, seconds)
        rows = [(s.statement, [encode_event(e) for e in s.events]) for s in submissions]
        parts = [[p or b"" for p in shown_parts(e)] for s in submissions for e in s.events]
        connection = sqlite3.connect(Path(name) / "bare.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE entry (idx INTEGER PRIMARY KEY, data BLOB)")
        connection.execute(
            "CREATE TABLE event (idx INTEGER, position INTEGER, commitment BLOB, data BLOB, "
            "PRIMARY KEY (idx, position)) WITHOUT ROWID"
        )
        began = time.perf_counter()
        for start in range(0, len(rows), GROUP):
            group = rows[start : start + GROUP]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO entry VALUES (?, ?)",
                [(start + n, statement) for n, (statement, _) in enumerate(group)],
            )
            connection.executemany(
                "INSERT INTO event VALUES (?, ?, ?, ?)",
                [
                    (start + n, at, bytes(32), data)
                    for n, (_, events) in enumerate(group)
                    for at, data in enumerate(events)
                ],
            )
            connection.execute("COMMIT")
        for eight in parts:
            hash_event(eight)
        for statement, _ in rows:
            sha256(b"\x00" + statement).digest()  # The leaf of the entry.
            sha256(statement).digest()  # The id of the statement.
            sha256(bytes(65)).digest()  # About one node of the tree.
        taken = time.perf_counter() - began
        connection.close()
        return len(parts) / taken


def hash_event(parts: list[bytes]) -> None:
    """Compute just the hashes that one event requires: 8 salts, 8 leaves, 7 nodes, its leaf."""
    for part in parts:
        sha256(bytes(50)).digest()
        sha256(bytes(34) + part).digest()
    for _ in range(9):
        sha256(bytes(65)).digest()


def verify_rate(seconds: float) -> float:
    """Return how many signatures a second `cryptography` verifies on two threads."""
    with TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        world = World(Path(name)).found()
        statement = parse_statement(world.gateway.capture(1).statement)
        counts = [0, 0]
        deadline = time.perf_counter() + seconds / 2

        def verify(slot: int) -> None:
            while time.perf_counter() < deadline:
                verify_signature(statement, world.gateway.key.x)
                counts[slot] += 1

        threads = [Thread(target=verify, args=(slot,)) for slot in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (seconds / 2)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of `values` lies, in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1e3


def main(show: Callable[[str], object] = print) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each run is")
    seconds = parser.parse_args().seconds
    verifies = verify_rate(seconds)
    show(f"Ed25519 alone, two threads: {verifies:,.0f} signatures/s")
    show(
        "events   index    events/s   floor   share   p50 ms  p99 ms  written B/event  kept/raw"
    )
    for size in SIZES:
        bare = statistics.median(floor(size, seconds / 2) for _ in range(3))
        for index in (False, True):
            measured, raw, kept = run(size, seconds, index=index)
            of = measured.rate / bare if size > 1 else measured.rate / verifies
            show(
                f"{size:6}   {'follows' if index else 'no':<7}{measured.rate:10,.0f}"
                f"{bare:9,.0f}{of:7.0%}{'' if size > 1 else ' of Ed25519'}"
                f"{percentile(measured.waits, 0.5):9.1f}{percentile(measured.waits, 0.99):8.1f}"
                f"{measured.bytes_written / measured.events:13,.0f}{kept / raw:14.2f}"
            )


if __name__ == "__main__":
    main()
