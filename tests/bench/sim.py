"""How fast the simulator makes reads and bytes, and how much memory a run takes.

    python -m tests.bench.sim [--quick]

* raw reads a second on one core: a dozen tags through a dock gate, against a floor that
  only makes the same tuples out of columns that are there already (median of five, in turns)
* signed submissions a second of a device that signs, against bare Ed25519 signatures
* the same reads as bytes of each reader family: reads and megabytes a second, bytes a read
* a whole run of `dairy`: story, reads, messages
* memory for 10^6 items (10^4 with --quick): what a process of its own holds once the story
  is told, less what it held before
"""

import argparse
import dataclasses
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from device_sim.chain import play_chain
from device_sim.library import load_scenario
from device_sim.play import play
from device_sim.radio import hear_pass
from device_sim.readers import station_messages
from device_sim.scenario import build_world
from device_sim.signing import Signing
from device_sim.tags import ITEM_FILTER, sgtin_tag, sscc_tag
from device_sim.world import SECOND_US, Pass, Read, ReaderModel, Station, Visit
from ledger.cose import Ed25519Signer

RUNS = 5
TAGS = 12
ITEMS, ITEMS_QUICK = 1_000_000, 10_000


def dock() -> Station:
    """Return a gate with two antennas."""
    return build_world(load_scenario("dairy")).stations["dairy/dock-1"]


def crossings(station: Station, count: int) -> list[Pass]:
    """Return passes of a dozen pallets each, a second apart from one another."""
    tags = [sscc_tag("9506000", n) for n in range(TAGS)]
    return [
        Pass(
            station=station, number=n, start_us=0, end_us=60 * SECOND_US,
            visits=tuple(
                Visit(tag, at * SECOND_US, 24 * SECOND_US) for at, tag in enumerate(tags)
            ),
        )
        for n in range(count)
    ]  # fmt: skip


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds that `work` takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def bench_reads(passes: list[Pass]) -> None:
    """Print raw reads a second, and beside it the floor."""
    every = [hear_pass(one, (), 1) for one in passes]
    count = sum(map(len, every))
    columns = [list(zip(*reads, strict=True)) for reads in every]

    def floor() -> None:
        for one in columns:
            list(map(Read._make, zip(*one, strict=True)))

    ours, floors = [], []
    for _ in range(RUNS):
        ours.append(count / cpu_seconds(lambda: [hear_pass(one, (), 1) for one in passes]))
        floors.append(count / cpu_seconds(floor))
    rate, bare = statistics.median(ours), statistics.median(floors)
    print(f"raw reads          {rate:>12,.0f} reads/s per core   (target 300,000)")
    print(f"  floor: tuples    {bare:>12,.0f} reads/s            ratio {rate / bare:.2f}")


def bench_families(passes: list[Pass]) -> None:
    """Print how fast reads become the bytes of each family."""
    every = [hear_pass(one, (), 1) for one in passes]
    count = sum(map(len, every))
    station = passes[0].station
    for reader in get_args(ReaderModel):
        if reader in {"none", "signed"}:
            continue
        own = type(station)(
            **{name: getattr(station, name) for name in station.__slots__} | {"reader": reader}
        )
        rates, size = [], 0
        for _ in range(RUNS):
            made = []

            def write(to: list[int] = made, at: Station = own) -> None:
                for reads in every:
                    to += [len(one.payload) for one in station_messages(at, reads)]

            rates.append(count / cpu_seconds(write))
            size = sum(made)
        rate = statistics.median(rates)
        print(
            f"  as {reader:<15}{rate:>12,.0f} reads/s  {rate * size / count / 1e6:>8.0f} MB/s"
            f"  {size / count:>6.0f} bytes/read"
        )


def bench_signing(count: int) -> None:
    """Print how many statements a second a signing device makes, beside bare signatures."""
    station = dataclasses.replace(dock(), does="sell", reader="signed", profile="till")
    tag = sgtin_tag("9506000", "013435", 1, ITEM_FILTER)
    visits = (Visit(tag, 0, 4 * SECOND_US),)
    every = [
        Pass(station=station, number=n, start_us=0, end_us=4 * SECOND_US, visits=visits)
        for n in range(count)
    ]
    reads = [hear_pass(one, (), 1) for one in every]
    key = Ed25519Signer(bytes(32))

    def sign() -> None:
        signing = Signing(1, "tagtrail.example/bench")
        for one in reads:
            signing.sign_pass(station, one)

    def bare() -> None:
        for _ in reads:
            key.sign(bytes(200))

    ours = statistics.median(count / cpu_seconds(sign) for _ in range(RUNS))
    floor = statistics.median(count / cpu_seconds(bare) for _ in range(RUNS))
    print(f"signed submissions {ours:>12,.0f} /s per core")
    print(f"  floor: Ed25519   {floor:>12,.0f} /s                  ratio {ours / floor:.2f}")


def bench_run() -> None:
    """Print how long a whole run of `dairy` takes."""
    scenario = load_scenario("dairy")
    run = play(scenario, 1)
    seconds = statistics.median(cpu_seconds(lambda: play(scenario, 1)) for _ in range(RUNS))
    size = sum(len(one.payload) for one in run.messages)
    print(
        f"dairy, whole run   {seconds:>12.2f} s: {run.reads} reads, {len(run.messages)} "
        f"messages, {size / 1e6:.1f} MB; {run.reads / seconds:,.0f} reads/s"
    )


def bench_memory(items: int) -> None:
    """Print the memory of a story with many items, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.sim", "--memory", str(items)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(f"memory             {said.strip()}")


def resident_kib() -> int:
    """Return the memory that this process holds, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4


def measure_memory(items: int) -> None:
    """Play the story of `items` items and print what it took."""
    scenario = load_scenario("dairy", [f"items={items}"])
    before = resident_kib()
    began = time.process_time()
    story = play_chain(scenario, build_world(scenario), 1)
    seconds = time.process_time() - began
    peak = resident_kib()
    print(
        f"{(peak - before) / 1024:,.0f} MiB for {items:,} items "
        f"({(peak - before) * 1024 / items:,.0f} bytes an item), "
        f"{len(story.passes):,} passes, story in {seconds:.1f} s"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small size")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.memory:
        measure_memory(words.memory)
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, one core")
    passes = crossings(dock(), 20 if words.quick else 200)
    bench_reads(passes)
    bench_families(passes)
    bench_signing(50 if words.quick else 500)
    bench_run()
    bench_memory(ITEMS_QUICK if words.quick else ITEMS)


if __name__ == "__main__":
    main()
