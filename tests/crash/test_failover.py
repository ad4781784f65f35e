"""The primary is lost: its synchronous standby has all that was acknowledged, and no more.

Real servers: a primary, a standby that it waits for, and a service that appends and publishes
while the primary is killed. What was acknowledged is on the standby once it is promoted, the
log goes on there, and `signed.db` refuses a standby that was behind.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import psycopg
import pytest

from ledger.errors import RefusedError, TagtrailError
from ledger.store.dialect import StorageError
from ledger.store.intake import verify_submission
from ledger.store.publish import RollbackError
from tests.crash.recovery import check_recovery
from tests.crash.test_postgres_points import read_until_end, wait_for_lock
from tests.crash.victim import Plot, make_plot, make_publisher
from tests.ledger.store.parties import World
from tests.postgres import Cluster, running_cluster
from tests.standby import primary_with_standby, promote, set_synchronous, wait_for_standby

ANSWER_S = 60.0
LIFE_STATEMENTS = 4000


@pytest.fixture
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """Yield a primary and its synchronous standby."""
    with primary_with_standby() as both:
        yield both


def point_at(world: World, cluster: Cluster) -> None:
    """Let the folder name the database on another server."""
    assert world.database is not None
    name = world.database.rsplit("/", 1)[1]
    url = cluster.url(name, f"{name}_service")
    (world.folder / "database.toml").write_text(f'url = "{url}"\n')


def serve_until_it_ends(plot: Plot, pipe: int) -> None:
    """Append a statement at a time and publish now and then, until storage fails."""

    def tell(kind: str, **said: object) -> None:
        os.write(pipe, json.dumps({"kind": kind, **said}).encode() + b"\n")

    try:
        log = plot.world.open()
        publisher = make_publisher(plot.world, log)
        for number in range(LIFE_STATEMENTS):
            submission = plot.world.gateway.capture(1, label="life")
            for outcome in log.append([verify_submission(submission, log.keys())]):
                tell("ack", index=outcome.index, id=outcome.statement_id.hex())  # type: ignore[union-attr]
            if number % 3 == 0:
                note = publisher.publish(*log.committed)
                assert note is not None
                tell("note", size=log.size, note=note.decode())
    except (TagtrailError, OSError) as error:
        tell("error", why=str(error))
    finally:
        os._exit(70)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nothing_acknowledged_is_lost_with_the_primary(
    pair: tuple[Cluster, Cluster], tmp_path: Path, seed: int
) -> None:
    primary, standby = pair
    plot = make_plot(tmp_path / "ledger", 6, database=primary.create_database())
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        serve_until_it_ends(plot, writing)
    os.close(writing)
    killer = threading.Timer(Random(seed).uniform(0.3, 1.5), primary.kill)
    killer.start()
    try:
        with os.fdopen(reading, "rb") as told:
            lines = [json.loads(line) for line in read_until_end(told.fileno(), pid)]
        os.waitpid(pid, 0)
    finally:
        killer.join()
    acknowledged = [line for line in lines if line["kind"] == "ack"]
    print(f"\nseed {seed}: {len(acknowledged)} statements acknowledged before the primary fell")
    assert acknowledged
    promote(standby)
    point_at(plot.world, standby)
    wait_for_lock(plot.world)
    with closing(plot.world.open()) as log:
        index, position = int(str(acknowledged[-1]["index"])), 0
        assert log.size > index
        assert log.reader.load_event(index, position) is not None
    world = replace(plot.world)
    check_recovery(world, lines)


@pytest.mark.slow
def test_signed_db_refuses_a_standby_that_was_behind(
    pair: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    primary, standby = pair
    plot = make_plot(tmp_path / "ledger", 6, database=primary.create_database())
    set_synchronous(primary, wanted=False)  # As an operator does who wants to get going.
    wait_until_replayed(primary)
    standby.stop()
    with closing(plot.world.open()) as log:
        submission = plot.world.gateway.capture(1, label="lost")
        log.append([verify_submission(submission, log.keys())])
        make_publisher(plot.world, log).publish(*log.committed)
    primary.kill()
    standby.start()
    promote(standby)
    point_at(plot.world, standby)
    with pytest.raises(RollbackError, match="restored from an old backup"):
        plot.world.open()


def wait_until_replayed(primary: Cluster) -> None:
    """Wait until the standby has all that the primary has."""
    wait_for_standby(primary)
    with psycopg.connect(primary.url(), autocommit=True) as owner:
        for _ in range(3000):
            row = owner.execute(
                "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication"
            ).fetchone()
            if row == (True,):
                return
            owner.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("the standby does not catch up")


def test_a_commit_that_the_server_stops_waiting_for_is_not_acknowledged(
    tmp_path: Path,
) -> None:
    with running_cluster(durable=True) as cluster:
        plot = make_plot(tmp_path / "ledger", 6, database=cluster.create_database())
        with (
            psycopg.connect(cluster.url(), autocommit=True) as owner,
            closing(plot.world.open()) as log,
        ):
            owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            owner.execute("SELECT pg_reload_conf()")
            canceller = threading.Thread(target=cancel_waiting, args=(cluster.url(),))
            canceller.start()
            try:
                submission = plot.world.gateway.capture(1)
                with pytest.raises(StorageError, match="COMMIT is in doubt"):
                    log.append([verify_submission(submission, log.keys())])
                with pytest.raises(StorageError, match="takes nothing after"):
                    log.append([verify_submission(submission, log.keys())])
            finally:
                canceller.join(ANSWER_S)


def cancel_waiting(url: str) -> None:
    """Tell the backend that waits for a standby to stop waiting."""
    deadline = time.monotonic() + ANSWER_S
    with psycopg.connect(url, autocommit=True) as owner:
        while time.monotonic() < deadline:
            found = owner.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                "WHERE wait_event = 'SyncRep'"
            ).fetchall()
            if found:
                return
            time.sleep(0.02)


def test_the_lock_is_free_once_the_writer_is_gone(
    tmp_path: Path, postgres: Cluster, postgres_url: str
) -> None:
    del postgres
    world = World(tmp_path, database=postgres_url).found()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        log = world.open()
        os.write(writing, b"open")
        signal.pause()
        log.close()
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 4) == b"open"
    os.close(reading)
    elsewhere = replace(world, folder=tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    for name in ("database.toml", "signed.db"):
        (elsewhere.folder / name).write_bytes((tmp_path / name).read_bytes())
    with pytest.raises(RefusedError, match="is being written by tagtrail"):
        elsewhere.open()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for_lock(elsewhere)
