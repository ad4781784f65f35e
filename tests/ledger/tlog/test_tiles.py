"""Tiles: paths, widths, bytes, and trees that are read and written through them."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import ParseError
from ledger.tlog.merkle import (
    Hash,
    LeafIndex,
    TreeSize,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    tree_root,
)
from ledger.tlog.tiles import (
    TILE_BYTES,
    Tile,
    TileEdge,
    TileTree,
    bundle_path,
    decode_bundle,
    decode_tile,
    encode_bundle,
    encode_tile,
    finished_tiles,
    hash_from_tiles,
    parse_tile_path,
    partial_tiles,
    tile_path,
    tile_width,
)
from tests.ledger.tlog.vectors import load

COUNT = 70_000
LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(COUNT)]


class Site:
    """The tiles of a log as it grew, full ones and the last partial ones."""

    def __init__(self) -> None:
        self.full: dict[Tile, bytes] = {}
        self.edge = TileEdge()
        self.asked: list[tuple[int, int, int]] = []
        for leaf in LEAVES:
            self.full.update(self.edge.append(leaf))
        self.tiles = {(t.level, t.index): data for t, data in self.full.items()}
        self.tiles |= {(t.level, t.index): data for t, data in self.edge.partial()}

    def fetch(self, level: int, index: int, width: int) -> bytes:
        self.asked.append((level, index, width))
        return self.tiles[level, index][: 32 * width]


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


def test_paths_have_one_spelling() -> None:
    vectors = load("tile-path")
    for name, path in vectors["good"].items():
        level, index, width = name.split()
        tile = Tile(None if level == "entries" else int(level), int(index), int(width))
        assert str(tile) == path
        assert parse_tile_path(path) == tile
    for path in vectors["bad"]:
        with pytest.raises(ParseError, match="tile"):
            parse_tile_path(path)
    assert tile_path(1, 0, 17) == "tile/1/000.p/17"
    assert bundle_path(5) == "tile/entries/005"


def test_a_tree_of_70000_has_the_tiles_that_the_specification_counts(site: Site) -> None:
    size = TreeSize(COUNT)
    assert [str(tile) for tile in partial_tiles(size)] == [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert [tile for tile, _ in site.edge.partial()] == list(partial_tiles(size))
    assert sorted(map(str, site.full)) == sorted(map(str, finished_tiles(TreeSize(0), size)))
    assert len(site.full) == 273 + 1
    assert all(len(data) == TILE_BYTES for data in site.full.values())


def test_a_tree_of_256_has_a_tile_of_one_hash_above_the_full_one() -> None:
    assert [str(t) for t in finished_tiles(TreeSize(0), TreeSize(256))] == ["tile/0/000"]
    assert [str(t) for t in partial_tiles(TreeSize(256))] == ["tile/1/000.p/1"]
    assert tile_width(0, 0, TreeSize(256)) == 256
    assert tile_width(0, 1, TreeSize(256)) == 0


@settings(deadline=None)
@given(st.integers(0, COUNT), st.integers(0, COUNT))
def test_finished_tiles_of_two_steps_are_those_of_one(first: int, second: int) -> None:
    old, new = sorted((first, second))
    steps = [
        *finished_tiles(TreeSize(0), TreeSize(old)),
        *finished_tiles(TreeSize(old), TreeSize(new)),
    ]
    whole = list(finished_tiles(TreeSize(0), TreeSize(new)))
    assert sorted(map(str, steps)) == sorted(map(str, whole))
    assert all(tile_width(t.level or 0, t.index, TreeSize(new)) == 256 for t in whole)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 65_535, 65_536, 65_537, COUNT])
def test_roots_come_out_of_tiles(site: Site, size: int) -> None:
    tree = TileTree(site.fetch, TreeSize(size))
    assert tree.root() == tree_root(LEAVES[:size])
    assert tree.size == size


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_536, 65_537])
def test_an_edge_goes_on_where_tiles_end(site: Site, size: int) -> None:
    edge = TileEdge.from_tiles(site.fetch, TreeSize(size))
    finished = [tile for leaf in LEAVES[size:] for tile in edge.append(leaf)]
    assert edge.size == COUNT
    assert edge.partial() == site.edge.partial()
    assert [tile for tile, _ in finished] != []
    assert all(site.full[tile] == data for tile, data in finished)


def test_proofs_out_of_tiles_are_those_out_of_leaves(site: Site) -> None:
    for size in (300, 65_537, COUNT):
        tree = TileTree(site.fetch, TreeSize(size))
        leaves = LEAVES[:size]
        for index in (0, 255, 256, size // 2, size - 1):
            proof = prove_inclusion(leaves, LeafIndex(index))
            assert tree.prove_inclusion(LeafIndex(index)) == proof
        for old in (1, 255, 256, size // 2, size - 1, size):
            assert tree.prove_consistency(TreeSize(old)) == prove_consistency(
                leaves, TreeSize(old)
            )


def test_one_proof_fetches_each_tile_once(site: Site) -> None:
    site.asked.clear()
    TileTree(site.fetch, TreeSize(COUNT)).prove_inclusion(LeafIndex(12_345))
    assert len(site.asked) == len(set(site.asked)) <= 6


def test_any_node_comes_out_of_tiles(site: Site) -> None:
    for level, index in ((0, 69_999), (3, 100), (8, 272), (9, 100), (16, 0)):
        want = tree_root(LEAVES[index << level : (index + 1) << level])
        assert hash_from_tiles(site.fetch, TreeSize(COUNT), level, index) == want


@pytest.mark.parametrize("change", [-1, 1, -32])
def test_a_tile_of_another_length_is_refused(change: int) -> None:
    data = encode_tile(LEAVES[:3])
    with pytest.raises(ParseError, match="want 96"):
        decode_tile(bytes(len(data) + change), 3)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bundles_come_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_the_longest_entry_fits_and_one_byte_more_does_not() -> None:
    assert decode_bundle(encode_bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    with pytest.raises(OverflowError):
        encode_bundle([bytes(65_536)])


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0\1", b"\0\1a\0", b"\0\1a\0\1b", b"\0\0\0"], ids=repr
)
def test_a_bundle_that_does_not_hold_its_entries_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match="entry bundle"):
        decode_bundle(data, 1)


def test_a_log_of_300_entries_has_the_tiles_of_the_vector() -> None:
    digests = load("log")["tile_sha256"]
    entries = [f"entry {number}".encode() for number in range(300)]
    leaves = [leaf_hash(entry) for entry in entries]
    edge = TileEdge()
    made = {str(tile): data for leaf in leaves for tile, data in edge.append(leaf)}
    made |= {str(tile): data for tile, data in edge.partial()}
    made["tile/0/000.p/17"] = encode_tile(leaves[:17])
    made["tile/entries/000"] = encode_bundle(entries[:256])
    made["tile/entries/001.p/44"] = encode_bundle(entries[256:])
    assert {name: sha256(data).hexdigest() for name, data in made.items()} == digests
    assert decode_tile(made["tile/0/001.p/44"], 44) == leaves[256:]
    assert Hash(made["tile/1/000.p/1"]) == tree_root(leaves[:256])
