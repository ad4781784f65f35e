"""Fixtures that more than one room uses."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.optional import ROOT, Broker, absent, free_port, start_mosquitto, stop
from tests.postgres import Cluster, running_cluster
from tests.tokens import Tokens, make_tokens

# The machines are noisy: no test fails for being slow, and a failure prints how to repeat it.
settings.register_profile(
    "tagtrail", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tagtrail")

_exit_status = 0


def pytest_sessionfinish(exitstatus: int) -> None:
    """Remember how the run ended, for the very last hook."""
    global _exit_status  # noqa: PLW0603  a hook has nowhere else to put it
    _exit_status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Name the threads that a failed test left behind, and end without waiting for them."""
    left = [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.daemon
    ]
    if left:
        print(f"threads left behind: {', '.join(left)}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_status or 1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of foreign vectors and payloads beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "MANIFEST.md").is_file():
        absent("shared", "the foreign vectors live in ../shared/data beside the checkout")
    return folder


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """Yield a real mosquitto on loopback, configured to lose nothing."""
    broker = start_mosquitto(tmp_path / "broker", free_port())
    yield broker
    stop(broker.process)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """Yield a private PostgreSQL on loopback, fast rather than durable."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """Yield the URL of a new, empty database, as its superuser."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    """Return None, or the URL of a new PostgreSQL database: each test runs on both."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """Return the tokens of a real SoftHSM2; the driver reads their place once a process."""
    return make_tokens(tmp_path_factory.mktemp("softhsm"))
