"""What an event query costs on a large index, beside the same reads in raw SQL.

    .venv/bin/python -m tests.bench.query [--quick]

An index of 10^7 mentions (`--quick`: 10^5) with items of 30 events each:

    empty    a request that asks the server for nothing (GET /healthz)
    raw      SQL that finds the newest 30 events of an item and reads their stored bytes
    HTTP     GET /events?MATCH_anyEPC=… of the same, over loopback, one after the other
    page     GET /events?perPage=1000, as Digital Links and as they came

then 100 webhook subscriptions of one query: the time from an event to its last delivery.
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from urllib.parse import quote

import urllib3

from ledger.api.application import create_application
from ledger.api.served import Served
from ledger.api.server import bind, run_server
from ledger.projection import ROLES
from ledger.store.index_source import IndexReader
from ledger.store.query_names import NameReader
from ledger.store.query_reader import QueryReader
from ledger.store.standing import NamedQuery, StandingQueries, Subscription
from ledger.subscriptions.dispatcher import DeliverySettings, Dispatcher
from ledger.subscriptions.guard import parse_networks
from tests.bench.provenance import NOW_US, World, at
from tests.ledger.api.receiver import Receiver
from tests.ledger.provenance.fakes import item, object_event

ITEMS, EVENTS_EACH = 200, 30
_ROLES = [ROLES.index(role) for role in ("epc", "parent", "child", "associated_parent", "associated_child", "input", "output")]  # fmt: skip  # noqa: E501


def fill(world: World, rows: int) -> list[str]:
    for n in range(ITEMS):
        world.add(
            *(
                object_event(at(n * 40 + k), item(f"i{n}"), bizStep="inspecting")
                for k in range(EVENTS_EACH)
            )
        )
    world.fill(rows)
    return [item(f"i{n}") for n in range(ITEMS)]


def raw_reads(folder: Path, key: str) -> Any:
    evidence = sqlite3.connect(folder / "evidence.db")
    index = sqlite3.connect(folder / "index.db")
    marks = ", ".join("?" * len(_ROLES))
    find = (
        "SELECT DISTINCT mention.event_time_us, mention.eid FROM key JOIN mention "
        f"ON mention.key = key.id AND mention.role IN ({marks}) WHERE key.text = ? "
        "ORDER BY mention.event_time_us DESC, mention.eid DESC LIMIT 31"
    )

    def read() -> int:
        found = [row[1] for row in index.execute(find, (*_ROLES, key)).fetchall()]
        several = ", ".join("?" * len(found))
        rows = f"SELECT eid, record_time_us, type FROM event WHERE eid IN ({several})"
        index.execute(rows, found).fetchall()
        data = f"SELECT eid, data FROM event WHERE eid IN ({several})"
        return len(evidence.execute(data, found).fetchall())

    return read


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    absent = cast("Any", None)
    queries, names, index = QueryReader(folder), NameReader(folder), IndexReader(folder)
    given = {"queries": queries, "names": names, "index": index, "now_us": lambda: NOW_US}
    given |= {"checkpoint": lambda: None, "indexed": lambda: 0}
    optional = ("capture", "cosigning", "released", "streams", "receipt_signer")
    for name in Served.__slots__:
        if name not in given and name not in optional:
            given[name] = absent
    listening = threading.Event()
    urls: list[str] = []
    listener = bind("127.0.0.1", 0)
    arguments = (
        create_application(Served(**given)),
        listener,
        lambda url: (urls.append(url), listening.set()),
    )
    threading.Thread(target=run_server, args=arguments, daemon=True).start()
    listening.wait(10)
    yield urls[0]
    listener.close()
    for one in (queries, names, index):
        one.close()


Timing = tuple[float, float]
"""Wall time, and processor time of client and server together, in ms."""


def row(name: str, times: Sequence[Timing]) -> tuple[float, float, float]:
    ordered = sorted(wall for wall, _ in times)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    cpu = statistics.median(cpu for _, cpu in times)
    print(f"  {name:20} p50 {p50:8.2f} ms   p99 {p99:8.2f} ms   processor {cpu:8.2f} ms")
    return p50, p99, cpu


def timed(work: Any) -> Timing:
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000


def measure(world: World, keys: list[str], rounds: int) -> None:
    # Interleaved, so that whatever else the machine does falls on all alike.
    empty, raw, asked = [], [], []
    reads = [raw_reads(world.folder, key) for key in keys]
    with serving(world.folder) as url, urllib3.PoolManager() as pool:
        never = {"GS1-EPC-Format": "Never_Translates"}
        paths = [f"{url}/events?MATCH_anyEPC={quote(key, safe='')}" for key in keys]
        for _ in range(rounds):
            for read, path in zip(reads, paths, strict=True):
                empty.append(timed(lambda: pool.request("GET", f"{url}/healthz")))
                raw.append(timed(read))
                asked.append(timed(lambda p=path: pool.request("GET", p)))
        answer = pool.request("GET", paths[0])
        events = answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        assert len(events) == EVENTS_EACH
        floor = [sum(pair) for pair in zip(row("empty", empty), row("raw", raw), strict=True)]
        found = row("HTTP MATCH_anyEPC", asked)
        for name, one, least in zip(("p50", "p99", "processor"), found, floor, strict=True):
            print(f"    {name}: {one / least:.2f} times raw and empty together (target 2.5)")
        page = f"{url}/events?perPage=1000"
        row("page of 1,000", [timed(lambda: pool.request("GET", page)) for _ in range(15)])
        plain = [timed(lambda: pool.request("GET", page, headers=never)) for _ in range(15)]
        row("page, as they came", plain)
        size = len(pool.request("GET", page, headers=never).data)
        print(f"    {size / 1e6:.1f} MB a page")


def measure_fan_out(world: World, count: int, events: int) -> None:
    receiver = Receiver()
    queries = QueryReader(world.folder)
    standing = StandingQueries(world.folder)
    standing.store_query(
        NamedQuery("all", json.dumps({"EQ_bizStep": ["inspecting"]}).encode(), 0)
    )
    first = 0
    for n in range(count):
        standing.store_subscription(
            Subscription(
                id=f"s{n}", query="all", dest=receiver.url, token="t", schedule=None,
                report_if_empty=0, initial_us=None, epc_format="Never_Translates", created_us=n,
                last_notified_us=None, min_record_us=0, place=first, until=None, failures=0,
                retry_us=0, due_us=None, why=None,
            )
        )  # fmt: skip
    start = time.perf_counter()
    dispatcher = Dispatcher(
        standing, queries, now_us=lambda: time.time_ns() // 1000, prefixes=tuple,
        settings=DeliverySettings(networks=parse_networks(("127.0.0.0/8",))),
    )  # fmt: skip
    try:
        receiver.await_true(lambda: len(receiver.deliveries) >= count)
        took = time.perf_counter() - start
        sent = sum(one.body.count(b'"recordTime"') for one in receiver.deliveries)
        assert sent == count * events, sent
        print(
            f"  fan-out: {events} events to {count} subscribers, "
            f"{count * events:,} in all, {took:.2f} s, {count * events / took:,.0f} a second"
        )
    finally:
        dispatcher.stop()
        standing.close()
        queries.close()
        receiver.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    rows = 100_000 if parser.parse_args().quick else 10_000_000
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"load {os.getloadavg()[0]:.1f}, {rows:,} mentions")  # fmt: skip
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        keys = fill(world, rows)
        with world.reader():
            measure(world, keys, 3)
        world.close()
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.add(
            *(object_event(at(k), item(f"f{k}"), bizStep="inspecting") for k in range(50))
        )
        with world.reader():
            measure_fan_out(world, 100, 50)
        world.close()


if __name__ == "__main__":
    main()
