"""Rebuilds the tree from leaf hashes and holds the stored tiles and roots against it.

The auditor's own tree keeps, for each level of tiles, the hashes of the tile that is being
filled, and the root of every tile that is full (32 bytes for 256 entries): enough to know
the root of any earlier size again, with one look at the leaf tile of that size, which is
trusted only if it has the root that was computed here.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from ledger.audit.finding import Finding
from ledger.audit.stored import check_row, describe_row, row_index, show
from ledger.tlog.merkle import (
    HASH_SIZE,
    CompactRange,
    Hash,
    TreeSize,
    range_nodes,
    root_from,
    tree_root,
)
from ledger.tlog.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH

TILE_LEVELS = 8
NO_HASH = Hash(bytes(HASH_SIZE))
ROOTS_REMEMBERED_MAX = 64

Rows = Iterable[Sequence[object]]
TilesOfLevel = Callable[[int | None], Rows]
"""Returns the stored rows of a level, 0 to 7, in the order of n; of None those of no level."""

FetchTile = Callable[[int, int], object]
"""Returns the data of the stored tile (level, n), or None; whatever it is, it is checked."""

FetchPartial = Callable[[int, int, int], object]
"""Returns the data of the tile (level, n) so many hashes wide, or None; it is checked."""


class LostError(Exception):
    """What an earlier entry or tile says cannot be known, because it is damaged."""


class _Level:
    """The tiles of one level: the one that is being filled, and the roots of the full ones.

    `full` is the tile that was filled last.
    """

    __slots__ = ("full", "hashes", "roots")

    def __init__(self) -> None:
        self.hashes: list[Hash] = []
        self.full: list[Hash] = []
        self.roots = bytearray()

    @property
    def count(self) -> int:
        """The number of full tiles."""
        return len(self.roots) // HASH_SIZE

    def root_of(self, n: int) -> Hash:
        """Return the root of full tile `n`."""
        return Hash(bytes(self.roots[n * HASH_SIZE : (n + 1) * HASH_SIZE]))

    def start_next(self) -> Hash:
        """Leave the tile, which is full, for the next; return its root."""
        root = tree_root(self.hashes)
        self.roots += root
        self.full, self.hashes = self.hashes, []
        return root

    def peaks(self) -> list[Hash]:
        """Return the complete subtrees in the tile that is being filled, largest first."""
        nodes = range_nodes(0, len(self.hashes))
        parts = ((index << height, 1 << height) for height, index in nodes)
        return [tree_root(self.hashes[start : start + width]) for start, width in parts]


class AuditTree:
    """The tree over the leaf hashes as the audit goes along."""

    def __init__(self, tiles: TilesOfLevel, fetch_tile: FetchTile) -> None:
        """Compare with the stored `tiles`."""
        self._levels = [_Level()]
        self._stored = [_StoredTiles(tiles(0))]
        self._tiles = tiles
        self._fetch_tile = fetch_tile
        self._size = 0
        self._lost_at: int | None = None
        self._remembered: dict[int, Hash] = {}

    @property
    def size(self) -> TreeSize:
        """The number of leaves so far."""
        return TreeSize(self._size)

    @property
    def is_known(self) -> bool:
        """Whether every leaf is known, so that the root can be."""
        return self._lost_at is None

    def resume(self, size: TreeSize, root: Hash, leaves: Sequence[Hash]) -> None:
        """Start with the tree of `size` and `root`, out of its tiles and its last `leaves`.

        `leaves` are those that fill no tile. Raises `LostError` if the stored tiles are not
        those of this tree.
        """
        assert self._size == 0
        count = size // TILE_WIDTH
        nodes: list[Hash] = list(leaves)
        for level in range(TILE_LEVELS):
            if level:
                self._levels.append(_Level())
                self._stored.append(_StoredTiles(self._tiles(level)))
            filling = self._levels[level]
            filling.hashes = nodes
            if not count:
                break
            above = count // TILE_WIDTH
            for n in range(above):
                filling.roots += self._tile_of_root(level + 1, n)
            for n in range(above * TILE_WIDTH, count):
                filling.roots += tree_root(split_hashes(self._tile_of_root(level, n)))
            nodes = split_hashes(bytes(filling.roots[above * TILE_BYTES :]))
            count = above
        self._size = size
        for below, level_above in pairwise(self._levels):
            for n in range(level_above.count):
                tile = bytes(below.roots[n * TILE_BYTES : (n + 1) * TILE_BYTES])
                if tree_root(split_hashes(tile)) != level_above.root_of(n):
                    raise LostError
        if self.root() != root:
            raise LostError

    def _tile_of_root(self, level: int, n: int) -> bytes:
        data = self._fetch_tile(level, n)
        if not isinstance(data, bytes) or len(data) != TILE_BYTES:
            raise LostError
        return data

    def append(self, leaf: Hash | None) -> Iterator[Finding]:
        """Add a leaf; yield what is wrong with the stored tiles that it fills.

        None is a leaf that nobody knows any more: from there on there are no roots.
        """
        if leaf is None and self._lost_at is None:
            self._lost_at = self._size
        yield from self.append_run([leaf or NO_HASH])

    def append_run(self, leaves: Sequence[Hash]) -> Iterator[Finding]:
        """Add known `leaves`, which end in the tile that is being filled, or fill it."""
        self._size += len(leaves)
        for level in range(TILE_LEVELS):
            if level == len(self._levels):
                self._levels.append(_Level())
                self._stored.append(_StoredTiles(self._tiles(level)))
            filling = self._levels[level]
            filling.hashes += leaves
            if len(filling.hashes) < TILE_WIDTH:
                return
            yield from self._stored[level].compare(level, filling.count, filling.hashes)
            leaves = (filling.start_next(),)

    def finish(self) -> Iterator[Finding]:
        """Yield the stored tiles that lie beyond the end of the log."""
        for level in range(TILE_LEVELS):
            if level == len(self._stored):
                self._stored.append(_StoredTiles(self._tiles(level)))
            yield from self._stored[level].rest()
        yield from _StoredTiles(self._tiles(None)).rest()

    def check_partial(self, fetch: FetchPartial) -> Iterator[Finding]:
        """Yield how the tiles at the tree's edge differ from those that `fetch` returns."""
        for level, filling in enumerate(self._levels):
            width = len(filling.hashes)
            if width and self.is_known:
                data = fetch(level, filling.count, width)
                if data != b"".join(filling.hashes):
                    yield from _partial_differs(level, filling, data)

    def node(self, level: int, index: int) -> Hash:
        """Return the node (level, index), or raise `LostError` if it is not known any more."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        leaves = () if tile_level else self._leaves_of_tile((index << height) // TILE_WIDTH)
        if leaves is None or self._lost_at is not None:
            raise LostError
        return self._node(level, index, leaves)

    def root(self) -> Hash:
        """Return the root over all leaves so far."""
        return self._edge().root()

    def root_with(self, leaves: Sequence[Hash]) -> Hash:
        """Return the root that the tree would have with `leaves` added."""
        edge = self._edge()
        edge.extend(leaves)
        return edge.root()

    def remember(self, size: int, root: Hash) -> None:
        """Keep the root of a `size` at hand: somebody may have seen it."""
        while len(self._remembered) >= ROOTS_REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[size] = root

    def root_at(self, size: int) -> Hash | None:
        """Return the root of an earlier `size`, or None if it cannot be known any more.

        That is so if an entry before it is lost, or if the leaf tile of that size is missing
        or is not what was computed.
        """
        assert 0 < size <= self._size
        if self._lost_at is not None and size > self._lost_at:
            return None
        if size in self._remembered:
            return self._remembered[size]
        leaves = self._leaves_of_tile(size // TILE_WIDTH) if size % TILE_WIDTH else ()
        if leaves is None:
            return None
        return root_from(lambda level, index: self._node(level, index, leaves), TreeSize(size))

    def _edge(self) -> CompactRange:
        peaks = [node for level in reversed(self._levels) for node in level.peaks()]
        return CompactRange.from_hashes(self.size, peaks)

    def _node(self, level: int, index: int, leaves: Sequence[Hash]) -> Hash:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first, width = index << height, 1 << height
        if tile_level == 0:
            start = first % TILE_WIDTH
            return tree_root(leaves[start : start + width])
        roots = self._levels[tile_level - 1].roots
        nodes = range(first, first + width)
        return tree_root(
            [Hash(bytes(roots[n * HASH_SIZE : (n + 1) * HASH_SIZE])) for n in nodes]
        )

    def _leaves_of_tile(self, n: int) -> Sequence[Hash] | None:
        level = self._levels[0]
        if n == level.count:
            return level.hashes
        if n == level.count - 1 and level.full:
            return level.full
        data = self._fetch_tile(0, n)
        if not isinstance(data, bytes) or len(data) != TILE_BYTES:
            return None
        leaves = split_hashes(data)
        return leaves if tree_root(leaves) == level.root_of(n) else None


class _StoredTiles:
    """The stored tiles of one level, read along with the tree."""

    def __init__(self, rows: Rows) -> None:
        self._rows = iter(rows)
        self._row = next(self._rows, None)

    def compare(self, level: int, n: int, hashes: Sequence[Hash]) -> Iterator[Finding]:
        """Yield how the stored tile (level, n) differs from `hashes`."""
        while self._row is not None and not _reaches(self._row, n):
            yield _stray_tile(self._row)
            self._row = next(self._rows, None)
        if self._row is None or self._row[1] != n:
            yield _missing_tile(level, n)
            return
        row, self._row = self._row, next(self._rows, None)
        wrong = check_row("tile", row)
        if wrong is not None:
            yield wrong
            return
        data = row[2]
        assert isinstance(data, bytes)
        if data != b"".join(hashes):
            yield from _differences(level, n, split_hashes(data), hashes)

    def rest(self) -> Iterator[Finding]:
        """Yield the tiles that no one asked for."""
        while self._row is not None:
            yield check_row("tile", self._row) or _stray_tile(self._row)
            self._row = next(self._rows, None)


def split_hashes(data: bytes) -> list[Hash]:
    """Return the hashes of which a tile is made."""
    return [Hash(data[at : at + HASH_SIZE]) for at in range(0, len(data), HASH_SIZE)]


def _reaches(row: Sequence[object], n: int) -> bool:
    return isinstance(row[1], int) and row[1] >= n


def _differences(
    level: int, n: int, stored: Sequence[Hash], computed: Sequence[Hash]
) -> Iterator[Finding]:
    for offset, (tile, tree) in enumerate(zip(stored, computed, strict=True)):
        if tile != tree:
            index = (n * TILE_WIDTH + offset) << TILE_HEIGHT * level
            what = (
                f"Tile {n} of level 0 holds another hash for entry {index} than the entry has."
                if level == 0
                else f"Tile {n} of level {level} holds another hash for the entries from "
                f"{index} to {index + (1 << TILE_HEIGHT * level) - 1} than they have."
            )
            yield Finding(
                check=3,
                index=index,
                field=f"tile.data (level {level}, n {n}, hash {offset})",
                expected=tree.hex(),
                computed=tile.hex(),
                what=what,
            )


def _missing_tile(level: int, n: int) -> Finding:
    return Finding(
        check=3,
        index=n * TILE_WIDTH << TILE_HEIGHT * level,
        field=f"tile (level {level}, n {n})",
        expected="a full tile",
        computed="no such row",
        what=f"Tile {n} of level {level} is missing, though the log has all its entries.",
    )


def _stray_tile(row: Sequence[object]) -> Finding:
    return Finding(
        check=3,
        index=row_index("tile", row),
        field="tile",
        expected="no such row",
        computed=show(row[2]),
        what=f"The {describe_row('tile', row)} belongs to no full tile of this log.",
    )


def _partial_differs(level: int, filling: _Level, data: object) -> Iterator[Finding]:
    width, n = len(filling.hashes), filling.count
    if isinstance(data, bytes) and len(data) == width * HASH_SIZE:
        yield from _differences(level, n, split_hashes(data), filling.hashes)
        return
    yield Finding(
        check=3 if data is None else 1,
        index=n * TILE_WIDTH << TILE_HEIGHT * level,
        field=f"tile (level {level}, n {n}, width {width})",
        expected=f"{width} hashes",
        computed=show(data),
        what=f"The last tile of level {level} is missing or is not {width} hashes wide.",
    )
