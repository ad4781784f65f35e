"""A log of five entries, open for its one writer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.store.log import Log
from tests.ledger.store.parties import World


@pytest.fixture
def world(tmp_path: Path, database: str | None) -> World:
    """Return a new, closed log and everyone who speaks in it."""
    return World(tmp_path, database=database).found()


@pytest.fixture
def log(world: World) -> Iterator[Log]:
    """Yield the log of `world`, open."""
    opened = world.open()
    yield opened
    opened.close()
