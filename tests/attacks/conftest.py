"""The ledgers that the attacks are made on, built once and copied for each attack."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.ledgers import BuiltLedger, build_ledger

TINY, SMALL, TILED = 12, 16, 300


@pytest.fixture(scope="session")
def tiny_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a ledger with one statement of each kind; look only."""
    folder = tmp_path_factory.mktemp("tiny")
    build_ledger(folder, entries=TINY).close()
    return folder


@pytest.fixture(scope="session")
def small_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a ledger of 16 entries, all under one checkpoint; look only."""
    folder = tmp_path_factory.mktemp("small")
    build_ledger(folder, entries=SMALL).close()
    return folder


@pytest.fixture(scope="session")
def tiled_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a ledger of 300 entries, with tiles and 7 checkpoints; look only."""
    folder = tmp_path_factory.mktemp("tiled")
    build_ledger(folder, entries=TILED).close()
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Return what copies a ledger's folder to where it may be attacked."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "attacked", dirs_exist_ok=True))

    return copy


@pytest.fixture
def open_ledger(tmp_path: Path) -> Iterator[BuiltLedger]:
    """Yield a ledger of 30 entries that can be written on, signed up to its end."""
    ledger = build_ledger(tmp_path / "open", entries=30)
    yield ledger
    ledger.close()
