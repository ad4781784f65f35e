"""How fast the log takes statements into PostgreSQL: against a bare COPY of the same bytes.

    .venv/bin/python -m tests.bench.append --db postgresql [--quick]

A private server is started, as durable as in production. In turns in the same run:

    bare     a COPY of the same bytes into two plain tables, as many statements a transaction
    floor    that COPY, and `hashlib` alone over just the hashes that the format requires
    append   the durable log, from submissions to receipts, without and with the index

Then the same log with and without a synchronous standby, 100 statements a transaction. CPU
is that of this process; the server's own is not in it.
"""

import os
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from ledger.disclosure import encode_event
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from ledger.store.sequencer import SequencerLimits
from tests.bench.append import (
    Measured,
    append_all,
    following,
    hash_required,
    measure_ed25519,
    show_append,
)
from tests.bench.workload import Work
from tests.postgres import Cluster, running_cluster
from tests.standby import primary_with_standby, set_synchronous

SIZES = (1, 8, 32, 256)
STANDBY_SIZES = (1, 8)
BATCH = 100
_numbers = count(1)


@contextmanager
def copy_of(work: Work, cluster: Cluster) -> Iterator[Log]:
    """Yield the log on a copy of its database, with which the run may do what it likes."""
    assert work.world.database is not None
    template = work.world.database.rsplit("/", 1)[1]
    name = f"{template}_{next(_numbers)}"
    with psycopg.connect(cluster.url(), autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        owner.execute("CHECKPOINT")
    with TemporaryDirectory() as folder:
        for file in work.world.folder.iterdir():
            if file.is_file():
                (Path(folder) / file.name).write_bytes(file.read_bytes())
        url = cluster.url(name, f"{template}_service")
        (Path(folder) / "database.toml").write_text(f'url = "{url}"\n')
        log = replace(work.world, folder=Path(folder)).open()
        try:
            yield log
        finally:
            log.close()
    with psycopg.connect(cluster.url(), autocommit=True) as owner:
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def measure_append(work: Work, cluster: Cluster, *, index: bool) -> Measured:
    """Put all submissions through a sequencer on a fresh copy of the log."""
    with copy_of(work, cluster) as log, following(log, log.home, wanted=index):
        return append_all(log, work)


def measure_bare(work: Work, cluster: Cluster) -> tuple[float, float, float]:
    """Return the events/s of a bare COPY, of that and the required hashes, and its CPU."""
    statements = [s.statement + bytes(79) for s in work.submissions]  # An entry's own bytes.
    events = [[encode_event(event) for event in s.events] for s in work.submissions]
    cpu = time.process_time()
    copied = copy_bare(cluster.create_database(), statements, events, work.group)
    hashed = hash_required(work)
    cpu = (time.process_time() - cpu) / work.events
    return work.events / copied, work.events / (copied + hashed), cpu


def copy_bare(
    url: str, statements: list[bytes], events: list[list[bytes]], group: int
) -> float:
    """Return the seconds of a durable COPY, `group` statements a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE entry (idx bigint PRIMARY KEY, data bytea)")
        connection.execute(
            "CREATE TABLE event (eid bigint PRIMARY KEY, commitment bytea, data bytea)"
        )
        began = time.perf_counter()
        for start in range(0, len(statements), group):
            indexes = range(start, min(start + group, len(statements)))
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy("COPY entry FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["int8", "bytea"])
                    for n in indexes:
                        copy.write_row((n, statements[n]))
                with cursor.copy("COPY event FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["int8", "bytea", "bytea"])
                    for n in indexes:
                        for at, one in enumerate(events[n]):
                            copy.write_row((n << 17 | at, bytes(32), one))
        return time.perf_counter() - began


def show_size(work: Work, cluster: Cluster, runs: int, seconds: float) -> None:
    """Measure everything in turns, `runs` times, and print the medians of one size."""
    alone, bare, plain, indexed = [], [], [], []
    for _ in range(runs):
        alone.append(measure_ed25519(work, seconds / 4))
        bare.append(measure_bare(work, cluster))
        plain.append(measure_append(work, cluster, index=False))
        indexed.append(measure_append(work, cluster, index=True))
    print(
        f"\n{work.size} event(s) a statement, {work.event_bytes / work.events:.0f} bytes each"
    )
    print(f"  bare COPY     {statistics.median(rate for rate, _, _ in bare):10,.0f} events/s")
    print(
        f"  floor         {statistics.median(rate for _, rate, _ in bare):10,.0f} events/s, "
        f"{statistics.median(cpu for _, _, cpu in bare) * 1e6:.0f} µs CPU each"
    )
    show_append("append", plain, work, alone, bare)
    show_append("with index", indexed, work, alone, bare)


def measure_batches(work: Work, cluster: Cluster) -> tuple[float, float]:
    """Return the statements/s from submissions to receipts, and of the writer alone.

    Both write `BATCH` statements a transaction.
    """
    work.group = BATCH
    with copy_of(work, cluster) as log:
        measured = append_all(log, work, SequencerLimits(batch_entries=BATCH))
    with copy_of(work, cluster) as log:
        ready = [verify_submission(one, log.keys()) for one in work.submissions]
        began = time.perf_counter()
        for start in range(0, len(ready), BATCH):
            log.append(ready[start : start + BATCH])
        alone = len(ready) / (time.perf_counter() - began)
    return measured.rate / work.size, alone


def show_standby(folder: Path, runs: int, seconds: float) -> None:
    """Print what waiting for a synchronous standby costs."""
    with primary_with_standby() as (primary, _):
        for size in STANDBY_SIZES:
            work = Work(size)
            database = primary.create_database()
            work.make(folder / f"standby{size}", seconds, database=database)
            pairs = []
            for _ in range(runs):
                set_synchronous(primary, wanted=False)
                without = measure_batches(work, primary)
                set_synchronous(primary, wanted=True)
                pairs.append((without, measure_batches(work, primary)))
            print(f"\nstandby, {size} event(s) a statement, {BATCH} statements a transaction")
            for n, name in enumerate(("append", "the writer alone")):
                rates = [(without[n], waiting[n]) for without, waiting in pairs]
                share = statistics.median(waiting / without for without, waiting in rates)
                print(
                    f"  {name:<18}{statistics.median(one for one, _ in rates):8,.0f} "
                    f"statements/s without, {statistics.median(one for _, one in rates):,.0f} "
                    f"with: {share:.0%}"
                )


def show(runs: int, seconds: float) -> None:
    """Print the tables."""
    with TemporaryDirectory() as name:
        with running_cluster(durable=True) as cluster:
            version = psycopg.connect(cluster.url()).info.server_version
            print(
                f"{platform.machine()}, {os.cpu_count()} cores, Python "
                f"{platform.python_version()}, PostgreSQL {version // 10_000}, psycopg "
                f"{psycopg.__version__}; medians of {runs}; load {os.getloadavg()[0]:.1f}"
            )
            for size in SIZES:
                work = Work(size)
                database = cluster.create_database()
                work.make(Path(name) / str(size), seconds, database=database)
                show_size(work, cluster, runs, seconds)
        show_standby(Path(name), runs, seconds)
