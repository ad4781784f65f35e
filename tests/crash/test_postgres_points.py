"""A ledger in PostgreSQL, harmed at every message that its service sends to the server.

The seeds choose the message and the harm: the connection is cut before it, within it, or
before its reply; the service is killed; the server is stopped at once or killed; its disk is
full. After each, the server is started again where it is down, the log is opened as after a
crash, gets another statement and a checkpoint, is audited whole, and is compared with what was
acknowledged. Where the harm fell is printed (pytest -s).
"""

import json
import os
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import psycopg
import pytest

from ledger.errors import RefusedError, TagtrailError
from tests.crash.proxy import Harm, Proxy
from tests.crash.recovery import check_recovery
from tests.crash.victim import EXIT_STORAGE, Plot, copy_folder, live, make_plot
from tests.ledger.store.parties import World
from tests.postgres import Cluster, running_cluster

HARMS = tuple(harm for harm in Harm if harm != Harm.DISK_FULL)
WRITING = ("BEGIN", "COPY", "copy data", "copy end", "COMMIT")
LIFE_S = 120.0
LOCK_S = 30.0
TMPFS_MIB = 128
EVENTS_FULL = 200

Told = list[dict[str, object]]


@dataclass
class Stage:
    """A server, a ledger on it to copy, and the messages that a whole life on it sends."""

    cluster: Cluster
    plot: Plot
    template: str
    names: Iterator[int]
    messages: tuple[str, ...] = ()
    ballast: Path | None = None

    def fill_disk(self) -> None:
        """Leave no block of the server's disk free."""
        assert self.ballast is not None
        with self.ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass

    def free_disk(self) -> None:
        """Give the blocks back."""
        if self.ballast is not None:
            self.ballast.unlink(missing_ok=True)


def make_stage(cluster: Cluster, folder: Path, *, events: int = 1) -> Stage:
    """Make the ledger that is copied for each point, and count the steps of a life."""
    url = cluster.create_database()
    plot = make_plot(folder / "template", 6, database=url, events=events)
    stage = Stage(cluster, plot, url.rsplit("/", 1)[1], count(1))
    with copy_of(stage, folder / "whole") as (name, world):
        _, told, proxy = live_through(stage, name, world, (0, Harm.CUT))
        assert told[-1]["kind"] == "end", told
        stage.messages = tuple(proxy.seen)
    return stage


@contextmanager
def copy_of(stage: Stage, folder: Path) -> Iterator[tuple[str, World]]:
    """Yield the name of a copy of the database, and the world around a copy of the folder."""
    name = f"{stage.template}_{next(stage.names)}"
    admin = stage.cluster.url()
    with psycopg.connect(admin, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name} TEMPLATE {stage.template}")
    copy_folder(stage.plot.world.folder, folder)
    try:
        yield name, replace(stage.plot.world, folder=folder)
    finally:
        rmtree(folder)
        with psycopg.connect(admin, autocommit=True) as owner:
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


def live_through(
    stage: Stage, name: str, world: World, blow: tuple[int, Harm]
) -> tuple[int, Told, Proxy]:
    """Let a service live on a copy through `blow`; return how it ended, and what it said."""
    step, harm = blow
    proxy = Proxy(stage.cluster, step, harm, fill_disk=stage.fill_disk)
    point_at(stage, name, world, proxy.port)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        run_service(replace(stage.plot, world=world), world.folder, writing)
    os.close(writing)
    proxy.victim = pid
    proxy.start()
    try:
        with os.fdopen(reading, "rb") as told:
            lines = read_until_end(told.fileno(), pid)
        _, status = os.waitpid(pid, 0)
    finally:
        proxy.close()
        stage.free_disk()
    return status, [json.loads(line) for line in lines], proxy


def read_until_end(pipe: int, pid: int) -> list[bytes]:
    """Return the lines of a pipe; a process that hangs is killed, and its point fails."""
    data, deadline = b"", time.monotonic() + LIFE_S
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("the service hangs")
        more = os.read(pipe, 65536)
        if not more:
            return data.splitlines()
        data += more


def run_service(plot: Plot, folder: Path, pipe: int) -> None:
    """Live as a service does, and end as one; never returns."""
    code = EXIT_STORAGE

    def tell(kind: str, **said: object) -> None:
        os.write(pipe, json.dumps({"kind": kind, **said}).encode() + b"\n")

    try:
        live(plot, folder, tell)
        code = 0
    except (OSError, TagtrailError) as error:
        tell("error", why=str(error))
    finally:
        os._exit(code)


def point_at(stage: Stage, name: str, world: World, port: int) -> None:
    """Let the folder of a copy name its database, behind `port`."""
    url = f"postgresql://{stage.template}_service@127.0.0.1:{port}/{name}"
    url += "?sslmode=disable&gssencmode=disable"
    (world.folder / "database.toml").write_text(f'url = "{url}"\n')


def wait_for_lock(world: World) -> None:
    """Wait until the server has seen that the old service is gone."""
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            with closing(world.open()):
                return
        except RefusedError as error:
            if error.check != "lock" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def crash_at(seeds: range, stage: Stage, harms: tuple[Harm, ...], folder: Path) -> Counter[str]:
    """Do the harm of every seed; return how many fell where."""
    fell: Counter[str] = Counter()
    for seed in seeds:
        step, harm = pick_step(seed, stage), harms[seed % len(harms)]
        with copy_of(stage, folder / "one") as (name, world):
            status, told, proxy = live_through(stage, name, world, (step, harm))
            at = [line["name"] for line in told if line["kind"] == "stage"]
            where = f"{str(at[-1]).split()[0] if at else 'open':<8} {proxy.struck:<10} {harm}"
            if harm == Harm.DISK_FULL and told[-1]["kind"] == "error":
                where += ", and writing ended"
            fell[where] += 1
            try:
                assert proxy.struck, "the step was never reached"
                killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                assert killed or os.waitstatus_to_exitcode(status) in {0, EXIT_STORAGE}
                start_again(stage.cluster)
                point_at(stage, name, world, stage.cluster.port)
                wait_for_lock(world)
                check_recovery(world, told)
            except BaseException as error:
                error.add_note(f"seed {seed}: {harm} at step {step} ({where}); {told[-3:]}")
                raise
    print(f"\n{len(seeds)} points, seeds {seeds.start} to {seeds.stop - 1}:")
    for where, number in sorted(fell.items()):
        print(f"  {number:5}  {where}")
    return fell


def pick_step(seed: int, stage: Stage) -> int:
    """Return the message of `seed`: of four, three are those of a transaction that writes."""
    digest = sha256(f"postgres/{seed}".encode()).digest()
    steps = list(range(1, len(stage.messages) + 1))
    if digest[8] % 4:
        steps = [n for n in steps if stage.messages[n - 1] in WRITING]
    return steps[int.from_bytes(digest[:8], "big") % len(steps)]


def start_again(cluster: Cluster) -> None:
    """Start the server where it is down, whoever stopped it."""
    if not cluster.is_running():
        cluster.kill()
        cluster.start()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield a ledger on a durable server of its own."""
    with running_cluster(durable=True) as cluster:
        yield make_stage(cluster, tmp_path_factory.mktemp("stage"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Stage]:
    """Yield a ledger on a server whose disk is small, and of events that fill it."""
    # The server's user reaches it there, and not in pytest's folders.
    disk = Path(mkdtemp(prefix="tagtrail-disk-"))
    disk.chmod(0o755)
    options = ["-t", "tmpfs", "-o", f"size={TMPFS_MIB}m,mode=0777", "tmpfs", str(disk)]
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        disk.rmdir()
        pytest.skip(f"no small disk can be mounted here: {error}")
    try:
        with running_cluster(durable=True, parent=disk) as cluster:
            made = make_stage(cluster, tmp_path, events=EVENTS_FULL)
            made.ballast = disk / "ballast"
            yield made
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
        rmtree(disk, ignore_errors=True)


def test_nothing_acknowledged_is_lost_at_9_harmed_messages(
    stage: Stage, tmp_path: Path
) -> None:
    assert crash_at(range(9), stage, HARMS, tmp_path).total() == 9


@pytest.mark.slow
@pytest.mark.timeout(1800)  # Two minutes where nothing else runs.
def test_nothing_acknowledged_is_lost_at_108_more_harmed_messages(
    stage: Stage, tmp_path: Path
) -> None:
    fell = crash_at(range(9, 117), stage, HARMS, tmp_path)
    assert {"append", "publish"} <= {where.split()[0] for where in fell}
    assert {harm.value for harm in HARMS} == {where[20:] for where in fell}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_where_the_servers_disk_is_full(
    small_disk: Stage, tmp_path: Path
) -> None:
    fell = crash_at(range(12), small_disk, (Harm.DISK_FULL,), tmp_path)
    assert fell.total() == 12
    assert any(where.endswith("ended") for where in fell)
