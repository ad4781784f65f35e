"""The auditor's tree against the plain one, over more than a full tile of level 1."""

import random
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

import pytest

from ledger.audit.finding import Finding
from ledger.audit.tree import AuditTree
from ledger.tlog.merkle import Hash, tree_root
from ledger.tlog.tiles import TileEdge

SIZE = 65_536 + 300
LEAVES = [Hash(sha256(n.to_bytes(4, "big")).digest()) for n in range(SIZE)]


def stored_tiles(leaves: Sequence[Hash]) -> dict[int, list[tuple[int, int, bytes]]]:
    """Return the full tiles over `leaves`, by level."""
    tiles: dict[int, list[tuple[int, int, bytes]]] = defaultdict(list)
    edge = TileEdge()
    for leaf in leaves:
        for tile, data in edge.append(leaf):
            assert tile.level is not None
            tiles[tile.level].append((tile.level, tile.index, data))
    return tiles


@pytest.fixture(scope="module")
def tiles() -> dict[int, list[tuple[int, int, bytes]]]:
    return stored_tiles(LEAVES)


def grow(
    tiles: dict[int, list[tuple[int, int, bytes]]], leaves: Sequence[Hash | None]
) -> tuple[AuditTree, list[Finding]]:
    """Return the tree over `leaves`, and what is wrong with `tiles`."""

    def fetch(level: int, n: int) -> object:
        return next((row[2] for row in tiles[level] if row[1] == n), None)

    tree = AuditTree(lambda level: tiles[level] if level is not None else (), fetch)
    found = [finding for leaf in leaves for finding in tree.append(leaf)]
    return tree, [*found, *tree.finish()]


def test_the_tree_agrees_with_all_tiles_and_knows_every_root(
    tiles: dict[int, list[tuple[int, int, bytes]]],
) -> None:
    tree, found = grow(tiles, LEAVES)
    assert found == []
    assert tree.root() == tree_root(LEAVES)
    dice = random.Random(3)
    sizes = [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, SIZE - 1, SIZE]
    for size in [*sizes, *(dice.randrange(1, SIZE) for _ in range(20))]:
        assert tree.root_at(size) == tree_root(LEAVES[:size]), size


def test_a_changed_hash_in_a_tile_of_level_1_names_its_entries(
    tiles: dict[int, list[tuple[int, int, bytes]]],
) -> None:
    level, n, data = tiles[1][0]
    spoilt = data[:320] + bytes(32) + data[352:]
    _, found = grow({**tiles, 1: [(level, n, spoilt)]}, LEAVES)
    assert [(one.check, one.index) for one in found] == [(3, 10 * 256)]


@pytest.mark.parametrize("level", [0, 1])
def test_a_missing_tile_and_one_too_many_are_found(
    tiles: dict[int, list[tuple[int, int, bytes]]], level: int
) -> None:
    last = tiles[level][-1]
    _, missing = grow({**tiles, level: tiles[level][:-1]}, LEAVES)
    assert [(one.check, one.computed) for one in missing] == [(3, "no such row")]
    stray = (level, last[1] + 1, last[2])
    _, added = grow({**tiles, level: [*tiles[level], stray]}, LEAVES)
    assert [(one.check, one.expected) for one in added] == [(3, "no such row")]


def test_a_tile_that_was_changed_gives_no_earlier_root(
    tiles: dict[int, list[tuple[int, int, bytes]]],
) -> None:
    level, n, data = tiles[0][1]
    spoilt = [tiles[0][0], (level, n, bytes(32) + data[32:]), *tiles[0][2:]]
    tree, _ = grow({**tiles, 0: spoilt}, LEAVES)
    assert tree.root_at(300) is None
    assert tree.root_at(512) == tree_root(LEAVES[:512])


def test_after_a_lost_leaf_there_are_no_roots(
    tiles: dict[int, list[tuple[int, int, bytes]]],
) -> None:
    tree, _ = grow(tiles, [*LEAVES[:10], None, *LEAVES[11:20]])
    assert not tree.is_known
    assert tree.root_at(10) == tree_root(LEAVES[:10])
    assert tree.root_at(11) is None
