"""Tiles and entry bundles: a log as static files, after C2SP tlog-tiles.

A tile holds 256 hashes side by side. At level 0 they are leaf hashes; each hash
of a higher level is the root over one full tile of the level below. The last
tile of a level may be partial: 1 to 255 hashes wide. An entry bundle holds the
entries under a tile of level 0, each after its length in two bytes, big-endian.

    tile/0/x001/x234/067           full tile 1,234,067 of level 0
    tile/1/000.p/17                the first tile of level 1, 17 hashes wide
    tile/entries/000.p/112         the first 112 entries

A tree of 70,000 leaves is 273 full tiles and one of width 112 at level 0, one
full tile and one of width 17 at level 1, and one of width 1 at level 2. A width
of 0 is no tile. Tiles of a size never change; wider ones of the same name do
not contradict narrower ones.

A `FetchTile` is asked for the first `width` hashes of a tile and returns their
bytes. What comes from it is checked for its length only: a root that is made of
it has to be compared with a signed one, and a proof that is made of it verifies
or does not.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ledger.errors import ParseError
from ledger.tlog.checkpoint import parse_decimal
from ledger.tlog.merkle import (
    HASH_SIZE,
    TREE_SIZE_MAX,
    Hash,
    LeafIndex,
    TreeSize,
    prove_consistency_from,
    prove_inclusion_from,
    root_from,
    tree_root,
)

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_SIZE
TILE_LEVEL_MAX = 63
TILE_INDEX_MAX = TREE_SIZE_MAX >> TILE_HEIGHT
ENTRY_BYTES_MAX = 0xFFFF
BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + ENTRY_BYTES_MAX)

FetchTile = Callable[[int, int, int], bytes]
"""Asked (level, index, width), returns the first `width` hashes of the tile as bytes."""

_PATH = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?"
)
_LENGTH_BYTES = 2
_GROUP = 1000


@dataclass(frozen=True, slots=True)
class Tile:
    """The name of a tile, or of an entry bundle where `level` is None."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __str__(self) -> str:
        """Return the path."""
        level = "entries" if self.level is None else self.level
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_format_index(self.index)}{partial}"


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile of 1 to 256 hashes, relative to the log's URL."""
    return str(Tile(level, index, width))


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle of 1 to 256 entries, relative to the log's URL."""
    return str(Tile(None, index, width))


def parse_tile_path(path: str) -> Tile:
    """Return the tile or bundle that `path` names, or raise `ParseError`.

    Refused: levels above 63, leading zeroes, a width of 0 or above 255 after
    `.p/`, and indexes that no tree below 2**63 leaves has.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise ParseError("tile path", f"{path[:80]!r} names no tile")
    level_text, index_text, width_text = match.groups()
    level = None
    if level_text != "entries":
        level = parse_decimal(level_text, "tile level", most=TILE_LEVEL_MAX)
    width = TILE_WIDTH
    if width_text is not None:
        width = parse_decimal(width_text, "tile width", most=TILE_WIDTH - 1)
    tile = Tile(level, int(index_text.replace("x", "").replace("/", "")), width)
    if width == 0 or tile.index > TILE_INDEX_MAX or str(tile) != path:
        raise ParseError("tile path", f"{path[:80]!r} is not its one spelling")
    return tile


def tile_width(level: int, index: int, size: TreeSize) -> int:
    """Return how wide tile (level, index) is in the tree of `size`: 0 to 256."""
    hashes = size >> TILE_HEIGHT * level
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def partial_tiles(size: TreeSize) -> Iterator[Tile]:
    """Yield the partial tiles of the tree of `size`, lowest level first."""
    level, hashes = 0, int(size)
    while hashes:
        if width := hashes % TILE_WIDTH:
            yield Tile(level, hashes // TILE_WIDTH, width)
        level, hashes = level + 1, hashes // TILE_WIDTH


def finished_tiles(old_size: TreeSize, new_size: TreeSize) -> Iterator[Tile]:
    """Yield the tiles that become full while the tree grows, lowest level first."""
    level, old, new = 0, old_size // TILE_WIDTH, new_size // TILE_WIDTH
    while new:
        yield from (Tile(level, index) for index in range(old, new))
        level, old, new = level + 1, old // TILE_WIDTH, new // TILE_WIDTH


def encode_tile(hashes: Sequence[Hash]) -> bytes:
    """Return the bytes of a tile of 1 to 256 `hashes`."""
    assert 0 < len(hashes) <= TILE_WIDTH
    return b"".join(hashes)


def decode_tile(data: bytes, width: int) -> list[Hash]:
    """Return the hashes of a tile of `width`, or raise `ParseError`."""
    if len(data) != width * HASH_SIZE:
        raise ParseError("tile", f"is {len(data)} bytes long, want {width * HASH_SIZE}")
    return [Hash(data[at : at + HASH_SIZE]) for at in range(0, len(data), HASH_SIZE)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bytes of a bundle of 1 to 256 `entries` of up to 65,535 bytes."""
    assert 0 < len(entries) <= TILE_WIDTH
    # An entry that does not fit raises OverflowError: the writer bounds it long before.
    return b"".join(len(e).to_bytes(_LENGTH_BYTES, "big") + e for e in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle, or raise `ParseError`."""
    entries, at = [], 0
    for number in range(width):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise ParseError("entry bundle", f"ends inside entry {number} of {width}")
        entries.append(data[start:at])
    if at != len(data):
        raise ParseError("entry bundle", f"has {len(data) - at} bytes after {width} entries")
    return entries


class TileTree:
    """A tree of one size, read through its tiles, each fetched and decoded once.

    The tiles are kept for as long as the tree is: one proof needs two or so for
    each level. Raises `ParseError` for a tile of the wrong length, besides what
    the fetch raises.
    """

    __slots__ = ("_fetch", "_size", "_tiles")

    def __init__(self, fetch_tile: FetchTile, size: TreeSize) -> None:
        """Read the tree of `size` leaves through `fetch_tile`."""
        self._fetch = fetch_tile
        self._size = size
        self._tiles: dict[tuple[int, int], list[Hash]] = {}

    @property
    def size(self) -> TreeSize:
        """The number of leaves."""
        return self._size

    def node(self, level: int, index: int) -> Hash:
        """Return the node (level, index), which the tree must have: a `NodeAt`."""
        assert min(level, index) >= 0
        assert (index + 1) << level <= self._size
        row, height = divmod(level, TILE_HEIGHT)
        tile, start = divmod(index << height, TILE_WIDTH)
        return tree_root(self._tile(row, tile)[start : start + (1 << height)])

    def root(self) -> Hash:
        """Return the root."""
        return root_from(self.node, self._size)

    def prove_inclusion(self, index: LeafIndex) -> tuple[Hash, ...]:
        """Return the audit path of the leaf at `index`."""
        return prove_inclusion_from(self.node, index, self._size)

    def prove_consistency(self, old_size: TreeSize) -> tuple[Hash, ...]:
        """Return the proof that the tree of `old_size`, 1 or more, is a prefix."""
        return prove_consistency_from(self.node, old_size, self._size)

    def _tile(self, level: int, index: int) -> list[Hash]:
        hashes = self._tiles.get((level, index))
        if hashes is None:
            width = tile_width(level, index, self._size)
            hashes = decode_tile(self._fetch(level, index, width), width)
            self._tiles[level, index] = hashes
        return hashes


class TileEdge:
    """The unfinished tiles on the right: what it takes to append and to write tiles.

    Rows of hashes, one for each level, each shorter than 256. Mutable, as
    `merkle.CompactRange` is, which knows the root that this edge does not keep.
    """

    __slots__ = ("_rows", "_size")

    def __init__(self) -> None:
        """Start with the empty tree."""
        self._rows: list[list[Hash]] = []
        self._size = 0

    @classmethod
    def from_tiles(cls, fetch_tile: FetchTile, size: TreeSize) -> "TileEdge":
        """Return the edge of the tree of `size`, out of its partial tiles."""
        edge = cls()
        edge._size = size
        for level in range((size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT):
            hashes = size >> TILE_HEIGHT * level
            index, width = divmod(hashes, TILE_WIDTH)
            data = fetch_tile(level, index, width) if width else b""
            edge._rows.append(decode_tile(data, width))
        return edge

    @property
    def size(self) -> TreeSize:
        """The number of leaves."""
        return TreeSize(self._size)

    def append(self, leaf: Hash) -> list[tuple[Tile, bytes]]:
        """Add a leaf; return the tiles that it made full with their bytes, lowest first."""
        finished: list[tuple[Tile, bytes]] = []
        node, level = leaf, 0
        while True:
            if level == len(self._rows):
                self._rows.append([])
            row = self._rows[level]
            row.append(node)
            if len(row) < TILE_WIDTH:
                break
            index = self._size >> TILE_HEIGHT * (level + 1)
            finished.append((Tile(level, index), encode_tile(row)))
            node = tree_root(row)
            row.clear()
            level += 1
        self._size += 1
        return finished

    def partial(self) -> list[tuple[Tile, bytes]]:
        """Return the partial tiles of the tree as it is now, lowest level first."""
        tiles = partial_tiles(self.size)
        return [(tile, encode_tile(self._rows[tile.level or 0])) for tile in tiles]


def hash_from_tiles(fetch_tile: FetchTile, size: TreeSize, level: int, index: int) -> Hash:
    """Return the node (level, index) of the tree of `size`, out of its tiles."""
    return TileTree(fetch_tile, size).node(level, index)


def _format_index(index: int) -> str:
    groups = [f"{index % _GROUP:03d}"]
    while index := index // _GROUP:
        groups.append(f"x{index % _GROUP:03d}")
    return "/".join(reversed(groups))
