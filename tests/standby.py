"""A primary and its synchronous standby, both private and on loopback."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import rmtree

import psycopg

from tests.postgres import Cluster, configure, make_cluster, run_program

NAME = "standby1"
_PRIMARY = """
wal_level = replica
max_wal_senders = 4
wal_keep_size = '256MB'
"""


@contextmanager
def primary_with_standby() -> Iterator[tuple[Cluster, Cluster]]:
    """Yield a durable primary that waits for its standby at COMMIT, and that standby."""
    primary = make_cluster(durable=True)
    standby = make_cluster(durable=True)
    try:
        configure(primary, _PRIMARY)
        primary.start()
        rmtree(standby.data)
        run_program(
            standby,
            *("pg_basebackup", "-D", str(standby.data), "-X", "stream", "-c", "fast", "-R"),
            *("-d", f"{primary.url()}?application_name={NAME}"),
        )
        configure(standby, f"port = {standby.port}\n")
        standby.start()
        wait_for_standby(primary)
        set_synchronous(primary, wanted=True)
        yield primary, standby
    finally:
        for cluster in (primary, standby):
            cluster.stop(signal.SIGQUIT)
            rmtree(cluster.folder, ignore_errors=True)


def set_synchronous(primary: Cluster, *, wanted: bool) -> None:
    """Let the primary wait for its standby at every COMMIT, or for nobody."""
    names = f"'{NAME}'" if wanted else "''"
    with psycopg.connect(primary.url(), autocommit=True) as owner:
        owner.execute(f"ALTER SYSTEM SET synchronous_standby_names = {names}".encode())
        owner.execute("SELECT pg_reload_conf()")
        state = "sync" if wanted else "async"
        for _ in range(2000):
            row = owner.execute("SELECT sync_state FROM pg_stat_replication").fetchone()
            if row == (state,):
                return
            owner.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"the standby is not {state}: {primary.log[-2000:]}")


def wait_for_standby(primary: Cluster) -> None:
    """Wait until the standby streams."""
    with psycopg.connect(primary.url(), autocommit=True) as owner:
        for _ in range(3000):
            row = owner.execute("SELECT state FROM pg_stat_replication").fetchone()
            if row == ("streaming",):
                return
            owner.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"no standby streams: {primary.log[-2000:]}")


def promote(standby: Cluster) -> None:
    """Make the standby a primary that takes writes."""
    with psycopg.connect(standby.url(), autocommit=True) as owner:
        owner.execute("SELECT pg_promote(true, 60)")
