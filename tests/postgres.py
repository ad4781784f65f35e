"""A private PostgreSQL on loopback, made for one run of the tests and gone with it.

The server refuses to run as root, so there it runs as the user `postgres`, in a folder of its
own under the system's temporary one: pytest's folders are closed to that user. Where
`setpriv` is there, the kernel ends the server with the process that started it, so a run that
is cut off leaves none behind.

    with running_cluster() as cluster:            # fast: a crash of the machine loses it all
    with running_cluster(durable=True) as ...:    # as in production, for crashes and figures
        url = cluster.create_database()           # postgresql://postgres@127.0.0.1:port/t1
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.optional import absent, find_program, free_port

USER = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
_START_S = 60.0
_STOP_S = 20.0
_COMMON = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
shared_buffers = 64MB
max_connections = 60
timezone = 'UTC'
lc_messages = 'C'
"""
_FAST = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off\n"
_DURABLE = "fsync = on\nsynchronous_commit = on\n"


def find_binaries() -> Path | None:
    """Return the folder of the newest server's programs, or None where there is none."""
    versions = sorted(
        (path.parent for path in _DEBIAN.glob("*/bin/initdb")),
        key=lambda path: float(path.parent.name),
    )
    if versions:
        return versions[-1]
    found = find_program("initdb")
    return None if found is None else Path(found).resolve().parent


@dataclass
class Cluster:
    """One server with its data; `start`, `stop` and `kill` as often as a test likes."""

    folder: Path
    binaries: Path
    port: int
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server has written to its log."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str = "postgres", user: str = USER) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make a new, empty database; return its URL."""
        name = f"t{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Throw a database away, whoever is still connected to it."""
        name = url.rsplit("/", 1)[1]
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*as_postgres(), str(self.binaries / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # A Ctrl-C at the terminal is pytest's alone.
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        self.kill()
        pytest.fail(f"PostgreSQL did not start: {self.log[-2000:]}")

    def is_running(self) -> bool:
        """Say whether the server is there and takes connections."""
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop the server: by default fast; SIGQUIT is its immediate stop."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_S)

    def kill(self) -> None:
        """Kill the postmaster, which gets no time to tell its children anything."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(_STOP_S)
        # Its children see the closed pipe and go by themselves; a new server waits for that.
        deadline = time.monotonic() + _STOP_S
        while time.monotonic() < deadline and self._is_held():
            time.sleep(0.01)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _is_held(self) -> bool:
        """Say whether a process of this server is still there."""
        needle = str(self.data).encode()
        for path in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if os.fsencode(path.readlink()) == needle:
                    return True
            except OSError:  # It went meanwhile, or is not ours to see.
                continue
        return False


def as_postgres() -> list[str]:
    """Return how a command is run as a user that the server accepts."""
    if os.geteuid() != 0:
        return []
    if find_program("setpriv"):
        ids = (f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
        return ["setpriv", *ids, "--pdeathsig", "INT", "--"]
    return ["runuser", "-u", USER, "--"]


def make_cluster(*, durable: bool = False, parent: Path | None = None) -> Cluster:
    """Make the data of a new cluster, not yet started; skip where there is no PostgreSQL.

    Its folder is made in `parent`, which the server's user must reach.
    """
    binaries = find_binaries()
    if binaries is None:
        absent("postgresql", "install it with: apt-get install postgresql")
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="tagtrail-postgres-", dir=parent))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        cluster = Cluster(folder, binaries, free_port())
        run_program(
            cluster,
            *("initdb", "-D", str(cluster.data), "-U", USER, "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=4"),
        )
        configure(cluster, _COMMON + (_DURABLE if durable else _FAST))
        configure(cluster, f"port = {cluster.port}\n")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return cluster


def configure(cluster: Cluster, lines: str) -> None:
    """Add lines to the configuration; they hold from the next start on."""
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write(lines)


def run_program(cluster: Cluster, name: str, *arguments: str) -> None:
    """Run one of the server's programs to its end, as the server's user."""
    done = subprocess.run(
        [*as_postgres(), str(cluster.binaries / name), *arguments],
        cwd=cluster.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_START_S * 2,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running_cluster(*, durable: bool = False, parent: Path | None = None) -> Iterator[Cluster]:
    """Yield a new cluster that runs; it and its data are gone afterwards."""
    cluster = make_cluster(durable=durable, parent=parent)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop(signal.SIGQUIT)
        shutil.rmtree(cluster.folder, ignore_errors=True)
