"""How fast a log of stored tiles proves: inclusion and consistency, beside hashing alone.

    .venv/bin/python -m tests.bench.prove [--quick]

The tree is made of random leaf hashes; its tiles lie in a SQLite table as those of a ledger
do. Each proof reads its tiles anew, as for a request that nobody asked before. The floor is
the work that no proof from tiles can avoid: `hashlib` over the nodes inside the tiles that
it has to open, and for verifying, over the nodes of the path.
"""

import argparse
import os
import platform
import random
import sqlite3
import statistics
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.tlog.merkle import (
    CompactRange,
    Hash,
    LeafIndex,
    TreeSize,
    verify_consistency,
    verify_inclusion,
)
from ledger.tlog.tiles import TILE_WIDTH, FetchTile, TileEdge, TileTree

SEED = 20260101


class StoredTiles:
    """Tiles in a SQLite table; counts what is read."""

    def __init__(self, path: Path, size: int) -> None:
        """Make a tree of `size` leaves."""
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA page_size = 8192")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute(
            "CREATE TABLE tile (level, n, data, PRIMARY KEY (level, n)) WITHOUT ROWID"
        )
        edge, self.range = TileEdge(), CompactRange()
        rows = []
        for number in range(size):
            leaf = Hash(sha256(number.to_bytes(8, "big")).digest())
            self.range.append(leaf)
            rows += [(tile.level, tile.index, data) for tile, data in edge.append(leaf)]
        rows += [(tile.level, tile.index, data) for tile, data in edge.partial()]
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO tile VALUES (?, ?, ?)", rows)
        self.connection.execute("COMMIT")
        self.size = TreeSize(size)
        self.read = 0

    def fetch(self, level: int, index: int, width: int) -> bytes:
        """Return a tile, read from the table."""
        self.read += 1
        sql = "SELECT data FROM tile WHERE level = ? AND n = ?"
        (data,) = self.connection.execute(sql, (level, index)).fetchone()
        return bytes(data[: width * 32])


def rate_of(work: Callable[[int], object], numbers: list[int]) -> float:
    """Return how often a second `work` is done."""
    began = time.perf_counter()
    for number in numbers:
        work(number)
    return len(numbers) / (time.perf_counter() - began)


def hash_nodes(count: int) -> None:
    """Hash `count` inner nodes."""
    node = bytes(65)
    for _ in range(count):
        sha256(node).digest()


def show(
    tiles: StoredTiles,
    name: str,
    prove: Callable[[FetchTile, int], tuple[Hash, ...]],
    verify: Callable[[tuple[Hash, ...], int], None],
    *,
    count: int,
    runs: int,
) -> None:
    """Print proofs/s and verifications/s beside hashing alone, medians of `runs`."""
    dice = random.Random(SEED)
    numbers = [dice.randrange(1, tiles.size - 1) for _ in range(count)]
    proofs = {number: prove(tiles.fetch, number) for number in numbers}
    for number, proof in proofs.items():
        verify(proof, number)  # What it is given is made here, outside the clock.
    tiles.read = 0
    proving = statistics.median(
        rate_of(lambda number: prove(tiles.fetch, number), numbers) for _ in range(runs)
    )
    opened = round(tiles.read / (runs * count))
    verifying = statistics.median(
        rate_of(lambda number: verify(proofs[number], number), numbers) for _ in range(runs)
    )
    hashes = statistics.median(len(proof) for proof in proofs.values())
    floor = rate_of(lambda _: hash_nodes(opened * (TILE_WIDTH - 1)), numbers)
    path = rate_of(lambda _: hash_nodes(round(hashes)), numbers)
    print(
        f"  {name:<12}{hashes:4.0f} hashes, {opened} tiles: {proving:9,.0f} proofs/s = "
        f"{proving / floor:4.1f} x hashing whole tiles; verified {verifying:9,.0f}/s = "
        f"{verifying / path:4.0%} of hashing the path"
    )


def measure(size: int, folder: Path, *, count: int, runs: int) -> None:
    """Print the two lines of a tree of `size`."""
    tiles = StoredTiles(folder / f"{size}.db", size)
    root = tiles.range.root()
    old_roots = OldRoots(tiles)
    print(f"{size:,} entries:")
    show(
        tiles,
        "inclusion",
        lambda fetch, n: TileTree(fetch, tiles.size).prove_inclusion(LeafIndex(n)),
        lambda proof, n: verify_inclusion(
            proof, leaf=old_roots.leaf(n), index=LeafIndex(n), size=tiles.size, root=root
        ),
        count=count,
        runs=runs,
    )
    show(
        tiles,
        "consistency",
        lambda fetch, n: TileTree(fetch, tiles.size).prove_consistency(TreeSize(n)),
        lambda proof, n: verify_consistency(
            proof, old=(TreeSize(n), old_roots.at(n)), new=(tiles.size, root)
        ),
        count=count,
        runs=runs,
    )
    tiles.connection.close()


class OldRoots:
    """Leaves and roots that verification is given, made once, outside the clock."""

    def __init__(self, tiles: StoredTiles) -> None:
        self._tree = TileTree(tiles.fetch, tiles.size)
        self._roots: dict[int, Hash] = {}
        self._leaves: dict[int, Hash] = {}

    def leaf(self, number: int) -> Hash:
        """Return a leaf hash."""
        if number not in self._leaves:
            self._leaves[number] = self._tree.node(0, number)
        return self._leaves[number]

    def at(self, size: int) -> Hash:
        """Return the root of the first `size` leaves."""
        if size not in self._roots:
            self._roots[size] = CompactRange.from_nodes(self._tree.node, TreeSize(size)).root()
        return self._roots[size]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small tree, one run")
    quick = parser.parse_args().quick
    runs = 1 if quick else 5
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"medians of {runs}"
    )
    with TemporaryDirectory() as name:
        for size in (5_000,) if quick else (100_000, 1_000_000):
            measure(size, Path(name), count=100 if quick else 500, runs=runs)


if __name__ == "__main__":
    main()
