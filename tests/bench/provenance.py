"""What an answer costs: as the index grows, beside the raw reads it must do, and at the bounds.

    .venv/bin/python -m tests.bench.provenance [--quick] [--cpu] [--rows 6]

Items with 30 events of their own and 100 inherited ones at depth 3 (case, pallet, trailer),
among filler in an index of 10^5, 10^6 and 10^7 rows (`--quick`: 10^4 and 10^5):

    raw      the SQL that finds and reads the same events, and nothing else
    cold     an answer as JSON bytes, its events read and parsed anew
    warm     the same with its events kept in memory
    HTTP     the same over loopback, one request after the other

`--cpu` counts the processor time of the process instead of the clock's, for a busy machine
(over HTTP it is that of client and server together); `--rows 6` stops at 10^6 rows. The
collector of cycles is set as the server sets it.

Then a recall of a lot that 100,000 items were made of, and the bounded cases: a pallet with
100,000 children, containers 50 deep, a lot with a million events.
"""

import argparse
import gc
import platform
import resource
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import msgspec
import urllib3

from ledger.api.application import create_application
from ledger.api.served import Served
from ledger.api.server import COLLECT_AFTER, bind, run_server
from ledger.disclosure import WholeEvent, commitment, encode_event
from ledger.epcis.event import format_time, split_event
from ledger.projection import ROLES, CaptureHead, ShownEvent, event_row_id, project_capture
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.provenance.recall import recall
from ledger.provenance.seeds import Suspicion
from ledger.provenance.twin import Asked, list_contents
from ledger.store.index_source import IndexReader
from ledger.store.schema import create_evidence_tables, create_index_tables
from ledger.store.sqlite import create_database
from tests.ledger.provenance.fakes import (
    case,
    item,
    lot,
    object_event,
    pack,
    pallet,
    quantity,
    trailer,
    transform,
    unpack,
)

Raw = dict[str, Any]
DAIRY = "https://id.gs1.org/417/9506000134352"
START_US = 1_772_323_200_000_000
NOW_US = START_US + 365 * 86_400_000_000
MINUTE_US = 60_000_000
SHARES = {role: number for number, role in enumerate(ROLES)}


def at(minute: float) -> str:
    return format_time(START_US + int(minute * MINUTE_US))


class World:
    """An index and an evidence database that are filled directly: no log is measured here."""

    def __init__(self, folder: Path) -> None:
        create_database(folder / "evidence.db", create_evidence_tables)
        create_database(folder / "index.db", create_index_tables)
        self.folder, self.entry, self.rows, self.filler = folder, 0, 0, 0
        self.evidence = sqlite3.connect(folder / "evidence.db", isolation_level=None)
        self.index = sqlite3.connect(folder / "index.db", isolation_level=None)
        self.keys: dict[str, int] = {}
        for one in (self.evidence, self.index):
            one.execute("PRAGMA synchronous = OFF")
            one.execute("BEGIN")

    def add(self, *events: Raw) -> None:
        """Keep events as one statement would, with the rows of the projection."""
        shown, stored = [], []
        for n, raw in enumerate(events):
            parts = tuple(split_event(raw))
            whole = WholeEvent(sha256(f"{self.entry}/{n}".encode()).digest(), parts)
            shown.append(ShownEvent(commitment(whole), parts))
            data = encode_event(whole)
            stored.append((event_row_id(self.entry, n), shown[-1].commitment, data))
        head = CaptureHead(index=self.entry, record_time_us=NOW_US, iss=DAIRY, grade=2)
        rows = project_capture(head, shown)
        self.evidence.executemany("INSERT INTO event VALUES (?, ?, ?)", stored)
        columns = [[getattr(one, name) for name in one.__slots__] for one in rows.events]
        marks = ", ".join("?" * len(columns[0]))
        self.index.executemany(f"INSERT INTO event VALUES ({marks})", columns)
        self.index.executemany(
            "INSERT OR IGNORE INTO mention VALUES (?, ?, ?, ?)",
            [
                (self.key(m.key), SHARES[m.role], m.event_time_us, m.eid)
                for m in sorted(rows.mentions, key=lambda m: m.key)
            ],
        )
        self.rows += len(rows.mentions)
        self.entry += 1

    def key(self, text: str) -> int:
        number = self.keys.get(text)
        if number is None:
            number = self.keys[text] = len(self.keys) + self.filler + 1
            self.index.execute("INSERT INTO key (id, text) VALUES (?, ?)", (number, text))
        return number

    def fill(self, rows: int) -> None:
        """Add mentions of strangers until there are so many."""
        first = len(self.keys) + self.filler + 1
        more = max(0, rows - self.rows) // 8
        self.index.executemany(
            "INSERT INTO key (id, text) VALUES (?, ?)",
            ((first + n, item(f"filler{first + n}")) for n in range(more)),
        )
        self.index.executemany(
            "INSERT INTO mention VALUES (?, ?, ?, ?)",
            (
                (first + n, 0, START_US + k * MINUTE_US, (1 << 40) + 8 * (first + n) + k)
                for n in range(more)
                for k in range(8)
            ),
        )
        self.filler += more
        self.rows += 8 * more

    @contextmanager
    def reader(self) -> Iterator[IndexReader]:
        """Lend a reader of what was added so far."""
        self.index.execute("UPDATE progress SET next_idx = ?", (1 << 30,))
        for one in (self.evidence, self.index):
            one.execute("COMMIT")
        reader = IndexReader(self.folder)
        yield reader
        reader.close()
        for one in (self.evidence, self.index):
            one.execute("BEGIN")

    def close(self) -> None:
        for one in (self.evidence, self.index):
            one.close()


# --- One answer ---------------------------------------------------------------------------


def add_items(world: World, count: int) -> list[str]:
    """Add items with 30 events of their own, and 100 of what each of them was in."""
    for n in range(count):
        start = n * 3
        box, skid, lorry = case(f"b{n}"), pallet(10_000 + n), trailer(f"t{n}")
        world.add(pack(at(start), box, item(f"i{n}")), pack(at(start + 1), skid, box))
        world.add(pack(at(start + 2), lorry, skid, bizStep="loading"))
        for key, times, since in (
            (item(f"i{n}"), 28, 100), (box, 33, 200), (skid, 33, 300), (lorry, 34, 400)
        ):  # fmt: skip
            for k in range(times):
                fields = {"bizStep": "inspecting", "disposition": "in_progress"}
                world.add(object_event(at(start + since + k), key, **fields))
        world.add(unpack(at(start + 600), box, item(f"i{n}")))
    return [item(f"i{n}") for n in range(count)]


def answer(reader: IndexReader, key: str) -> bytes:
    found = trace(reader.source(), key, now_us=NOW_US)
    assert found is not None
    return msgspec.json.encode(assemble_answer(found))


def raw_reads(world: World, n: int) -> Callable[[], int]:
    """Return what reads the events of item `n` with plain SQL, one query a level."""
    evidence = sqlite3.connect(world.folder / "evidence.db")
    index = sqlite3.connect(world.folder / "index.db")
    keys = (item(f"i{n}"), case(f"b{n}"), pallet(10_000 + n), trailer(f"t{n}"))

    def read() -> int:
        count = 0
        for key in keys:
            (number,) = index.execute("SELECT id FROM key WHERE text = ?", (key,)).fetchone()
            eids = [
                row[0]
                for row in index.execute(
                    "SELECT eid FROM mention WHERE key = ? AND role IN (0, 1, 2)", (number,)
                )
            ]
            marks = ", ".join("?" * len(eids))
            pins = f"SELECT eid, iss, grade, record_time_us FROM event WHERE eid IN ({marks})"
            index.execute(pins, eids).fetchall()
            data = f"SELECT eid, commitment, data FROM event WHERE eid IN ({marks})"
            count += len(evidence.execute(data, eids).fetchall())
        return count

    return read


CLOCKS = {True: time.process_time, False: time.perf_counter}
clock = CLOCKS[False]


def timed(work: Callable[[], object]) -> float:
    start = clock()
    work()
    return (clock() - start) * 1000


def row(name: str, times: Sequence[float], floor: float | None = None) -> float:
    """Print p50 and p99 in ms; return p50."""
    ordered = sorted(times)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    beside = "" if floor is None else f"   {p50 / floor:5.1f} times the raw reads"
    print(f"  {name:8} p50 {p50:8.2f} ms   p99 {p99:8.2f} ms{beside}")
    return p50


def measure_answers(world: World, keys: Sequence[str]) -> None:
    with world.reader() as reader:
        source = reader.source()
        found = trace(source, keys[0], now_us=NOW_US)
        assert found is not None
        told = len(found.story.things[keys[0]].told)
        print(
            f"{world.rows:,} rows: {told} events, {source.batches} batches, {source.rows} rows"
        )
        raws = [raw_reads(world, n) for n in range(len(keys))]
        floor = row("raw", [timed(read) for _ in range(3) for read in raws])
        cold = []
        for key in keys:
            fresh = IndexReader(world.folder)
            cold.append(timed(lambda key=key, fresh=fresh: answer(fresh, key)))
            fresh.close()
        row("cold", cold, floor)
        row("warm", [timed(lambda key=key: answer(reader, key)) for key in [*keys] * 3], floor)
        with serving(reader) as url, urllib3.PoolManager() as pool:
            paths = [f"{url}/provenance/{quote(key, safe='')}" for key in keys]
            assert {pool.request("GET", path).status for path in paths} == {200}
            times = [timed(lambda p=p: pool.request("GET", p)) for p in [*paths] * 3]
            row("HTTP", times, floor)


@contextmanager
def serving(reader: IndexReader) -> Iterator[str]:
    """Serve the questions of `reader` over loopback; nothing else of a ledger is there."""
    absent = cast("Any", None)
    log = cast("Any", SimpleNamespace(root_at=lambda _: bytes(32)))
    served = Served(
        log=log, sequencer=absent, reader=absent, index=reader,
        checkpoint=lambda: None, indexed=lambda: 0, now_us=lambda: NOW_US,
        **{name: absent for name in Served.__slots__ if name not in USED},
    )  # fmt: skip
    listening = threading.Event()
    urls: list[str] = []

    def on_listening(url: str) -> None:
        urls.append(url)
        listening.set()

    listener = bind("127.0.0.1", 0)
    application = create_application(served)
    arguments = (application, listener, on_listening)
    threading.Thread(target=run_server, args=arguments, daemon=True).start()
    listening.wait(10)
    yield urls[0]
    listener.close()


USED = ("log", "sequencer", "reader", "index", "checkpoint", "indexed", "now_us")


# --- Recall and bounds --------------------------------------------------------------------


def measure_recall(world: World, items: int) -> None:
    """Recall a lot that so many items were made of, in batches of 1,000, packed by the ten."""
    bad, made = lot("RECALL"), 0
    while made < items:
        batch = [item(f"r{made + n}") for n in range(min(1000, items - made))]
        world.add(transform(at(made / 100), [(bad, 5)], batch, bizLocation=DAIRY))
        for n in range(0, len(batch), 10):
            world.add(pack(at(made / 100 + 1), case(f"r{made + n}"), *batch[n : n + 10]))
        made += len(batch)
    with world.reader() as reader:
        asked = Asked(now_us=NOW_US)
        start = clock()
        rows = recall(reader.source(), Suspicion(things=(bad,)), asked)
        next(rows)
        first = clock() - start
        *_, summary = rows
        took = clock() - start
        count = summary["affected"]
        print(f"recall of {count:,}: found in {first:.2f} s, all told in {took:.2f} s")


def measure_bounds(world: World, children: int, events: int) -> None:
    wide, deep, busy = pallet(999_999), case("deep0"), lot("BUSY")
    for first in range(0, children, 50_000):  # A part of an event has at most 4 MiB.
        those = range(first, min(children, first + 50_000))
        world.add(pack(at(0), wide, *(item(f"w{n}") for n in those)))
    for n in range(50):
        world.add(pack(at(n), case(f"deep{n + 1}"), case(f"deep{n}")))
    world.add(object_event(at(60), case("deep50"), bizStep="departing"))
    for n in range(events // 100):
        world.add(
            *(
                object_event(at(n + k / 100), quantityList=[quantity(busy, 1)])
                for k in range(100)
            )
        )
    cases: list[tuple[str, Callable[[IndexReader], object]]] = [
        (f"one of {children:,} children", lambda r: answer(r, item("w7"))),
        (f"a pallet of {children:,}", lambda r: answer(r, wide)),
        (f"contents of {children:,}", lambda r: list_contents(r.source(), wide, ASKED)),
        ("50 deep", lambda r: answer(r, deep)),
        (f"a lot with {events:,} events", lambda r: answer(r, busy)),
    ]
    with world.reader():
        for name, work in cases:
            reader = IndexReader(world.folder)
            took = timed(lambda work=work, reader=reader: work(reader))
            reader.close()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"  {name:32} {took / 1000:6.2f} s   peak of the process {peak} MB")


ASKED = Asked(now_us=NOW_US)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--rows", type=int, default=7, help="the power of ten to stop at")
    asked = parser.parse_args()
    quick = asked.quick
    global clock  # noqa: PLW0603 - one switch for all that is measured
    clock = CLOCKS[asked.cpu]
    gc.set_threshold(*COLLECT_AFTER)
    print(f"{platform.machine()}, Python {platform.python_version()}, {sqlite3.sqlite_version}")
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        keys = add_items(world, 20 if quick else 60)
        for power in (4, 5) if quick else range(5, asked.rows + 1):
            rows = 10**power
            world.fill(rows)
            measure_answers(world, keys)
        measure_recall(world, 10_000 if quick else 100_000)
        measure_bounds(world, *((10_000, 20_000) if quick else (100_000, 1_000_000)))
        world.close()


if __name__ == "__main__":
    main()
