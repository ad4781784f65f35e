"""Merkle tree mathematics of an append-only log, after RFC 6962 section 2.1.

The log is the list of its leaf hashes. Its root commits to every leaf and to
their order; an inclusion proof shows that one leaf is under a root; a
consistency proof shows that an older root is a prefix of a newer one.

An index counts from zero and a size counts leaves, so the last leaf of a tree
of size n has index n - 1; the two types never mix. Sizes stay below 2**63.

A node is named (level, index): it is the root over the 2**level leaves from
index * 2**level on, and it exists once all of them do. A `NodeAt` is any way
to get at one: a list, tiles, a database. The root over leaves that do not
fill a power of two is made of such nodes and has no name.

Proofs are checked as RFC 9162 sections 2.1.3.2 and 2.1.4.2 prescribe, which
state iteratively what RFC 6962 leaves to the reader. Whatever reads a size or
a proof from outside bounds it first; here a wrong one is a programmer's
mistake when proving and a `VerificationError` when verifying.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NewType

from ledger.errors import ParseError, VerificationError

Hash = NewType("Hash", bytes)
LeafIndex = NewType("LeafIndex", int)
TreeSize = NewType("TreeSize", int)

NodeAt = Callable[[int, int], Hash]
"""Returns the node (level, index); it is only asked for nodes that exist."""

HASH_SIZE = 32
EMPTY_ROOT = Hash(sha256(b"").digest())
TREE_SIZE_MAX = 2**63 - 1
PROOF_HASHES_MAX = 63

# Different first bytes keep a leaf from ever being passed off as a node.
_LEAF_PREFIX = b"\x00"
_NODE_PREFIX = b"\x01"


class ProofShapeError(VerificationError):
    """A proof that cannot belong to a tree of the claimed size."""


class RootMismatchError(VerificationError):
    """A proof that leads to another root than the one that was signed."""

    def __init__(self, signed: Hash, computed: Hash) -> None:
        super().__init__(f"proof leads to {computed.hex()}, signed root is {signed.hex()}")
        self.signed = signed
        self.computed = computed


def parse_hash(data: bytes) -> Hash:
    """Return `data` as a hash, or raise `ParseError`: the only way in for foreign bytes."""
    if len(data) != HASH_SIZE:
        raise ParseError("hash", f"is {len(data)} bytes long, want {HASH_SIZE}")
    return Hash(data)


def leaf_hash(data: bytes) -> Hash:
    """Return the hash under which `data` enters the tree."""
    return Hash(sha256(_LEAF_PREFIX + data).digest())


def node_hash(left: Hash, right: Hash) -> Hash:
    """Return the hash of the node above `left` and `right`."""
    return Hash(sha256(_NODE_PREFIX + left + right).digest())


def tree_root(leaves: Sequence[Hash]) -> Hash:
    """Return the root over `leaves`, in order: about a second for a million.

    Level by level from below, a last node without a sibling rises as it is.
    That is where RFC 6962 splits, at the largest power of two below the size.
    """
    if not leaves:
        return EMPTY_ROOT
    row: list[bytes] = list(leaves)
    while len(row) > 1:
        single = row.pop() if len(row) % 2 else None
        pairs = iter(row)
        row = [
            sha256(_NODE_PREFIX + left + right).digest()
            for left, right in zip(pairs, pairs, strict=True)
        ]
        if single is not None:
            row.append(single)
    return Hash(row[0])


def range_nodes(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the (level, index) of the nodes that make up leaves `start` to `end`, in order.

    `start` must be a multiple of the least power of two that holds the range,
    as it is for every part into which RFC 6962 splits a tree.
    """
    while start < end:
        level = (end - start).bit_length() - 1
        assert start % (1 << level) == 0
        yield level, start >> level
        start += 1 << level


def range_root(node_at: NodeAt, start: int, end: int) -> Hash:
    """Return the root over leaves `start` to `end` (exclusive), out of nodes."""
    return _fold([node_at(level, index) for level, index in range_nodes(start, end)])


def root_from(node_at: NodeAt, size: TreeSize) -> Hash:
    """Return the root of the tree of `size`, out of at most 63 nodes."""
    return range_root(node_at, 0, size)


def prove_inclusion(leaves: Sequence[Hash], index: LeafIndex) -> tuple[Hash, ...]:
    """Return the audit path from the leaf at `index` up to the root of `leaves`."""
    ranges = _inclusion_ranges(index, len(leaves))
    return tuple(tree_root(leaves[start:end]) for start, end in ranges)


def prove_inclusion_from(node_at: NodeAt, index: LeafIndex, size: TreeSize) -> tuple[Hash, ...]:
    """Return what `prove_inclusion` returns for the tree of `size`, out of nodes."""
    return tuple(range_root(node_at, *part) for part in _inclusion_ranges(index, size))


def prove_consistency(leaves: Sequence[Hash], old_size: TreeSize) -> tuple[Hash, ...]:
    """Return the proof that the first `old_size` leaves, at least one, begin `leaves`."""
    ranges = _consistency_ranges(old_size, len(leaves))
    return tuple(tree_root(leaves[start:end]) for start, end in ranges)


def prove_consistency_from(
    node_at: NodeAt, old_size: TreeSize, new_size: TreeSize
) -> tuple[Hash, ...]:
    """Return what `prove_consistency` returns for the tree of `new_size`, out of nodes."""
    ranges = _consistency_ranges(old_size, new_size)
    return tuple(range_root(node_at, *part) for part in ranges)


def verify_inclusion(
    proof: Sequence[Hash], *, leaf: Hash, index: LeafIndex, size: TreeSize, root: Hash
) -> None:
    """Raise unless `proof` shows `leaf` at `index` in the tree of `size` under `root`."""
    match_roots(signed=root, computed=inclusion_root(proof, leaf=leaf, index=index, size=size))


def inclusion_root(
    proof: Sequence[Hash], *, leaf: Hash, index: LeafIndex, size: TreeSize
) -> Hash:
    """Return the root of the tree of `size` to which `proof` leads from `leaf` at `index`.

    Raises `ProofShapeError` for a proof of another length, or no such leaf.
    """
    if not 0 <= index < size:
        raise ProofShapeError(f"no leaf {index} in a tree of size {size}")
    computed = leaf
    for sibling, on_left in zip(proof, _sides(index, size - 1, len(proof)), strict=True):
        computed = node_hash(sibling, computed) if on_left else node_hash(computed, sibling)
    return computed


def verify_consistency(
    proof: Sequence[Hash], *, old: tuple[TreeSize, Hash], new: tuple[TreeSize, Hash]
) -> None:
    """Raise unless `proof` shows that the tree `old` is a prefix of the tree `new`.

    An empty old tree is refused: it is a prefix of every tree, so a proof from
    it would say nothing while looking like evidence.
    """
    (old_size, old_root), (new_size, new_root) = old, new
    if not 0 < old_size <= new_size:
        raise ProofShapeError(f"a tree of size {old_size} cannot grow to size {new_size}")
    if old_size == new_size:
        if proof:
            raise ProofShapeError("a tree needs no proof that it extends itself")
        match_roots(signed=old_root, computed=new_root)
        return
    computed_old, computed_new = consistency_roots(proof, old=old, new_size=new_size)
    match_roots(signed=old_root, computed=computed_old)
    match_roots(signed=new_root, computed=computed_new)


def consistency_roots(
    proof: Sequence[Hash], *, old: tuple[TreeSize, Hash], new_size: TreeSize
) -> tuple[Hash, Hash]:
    """Return the roots of the two trees that `proof` is about, or raise `ProofShapeError`.

    They need not be the roots that anyone signed. A proof from a complete tree leaves its
    root out, so there the root of `old` is taken; otherwise only its size counts, and a proof
    of another history tells the root that this history had at that size.
    """
    old_size, old_root = old
    assert 0 < old_size < new_size
    # A complete old tree is itself a node of the new one, so its root is not repeated.
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
    if not path:
        raise ProofShapeError("proof is empty")
    # Start at the root of the largest complete subtree that ends the old tree.
    height = _trailing_ones(old_size - 1)
    sides = _sides((old_size - 1) >> height, (new_size - 1) >> height, len(path) - 1)
    computed_old = computed_new = path[0]
    for sibling, on_left in zip(path[1:], sides, strict=True):
        if on_left:
            computed_old = node_hash(sibling, computed_old)
            computed_new = node_hash(sibling, computed_new)
        else:
            computed_new = node_hash(computed_new, sibling)
    return computed_old, computed_new


class CompactRange:
    """The right edge of a tree: enough to append to it and to know its root.

    It holds the complete subtrees of which the tree is made, largest first: one
    for each bit of its size, so at most 63 hashes. Appending hashes one node on
    average. This is the one mutable value of the module; `copy` it to branch.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self) -> None:
        """Start with the empty tree."""
        self._hashes: list[Hash] = []
        self._size = 0

    @classmethod
    def from_hashes(cls, size: TreeSize, hashes: Sequence[Hash]) -> "CompactRange":
        """Return the edge of a tree of `size`; raise `ParseError` if the count does not fit."""
        if len(hashes) != size.bit_count() or not 0 <= size <= TREE_SIZE_MAX:
            raise ParseError("compact range", f"{len(hashes)} hashes do not fit size {size}")
        edge = cls()
        edge._hashes, edge._size = list(hashes), size
        return edge

    @classmethod
    def from_nodes(cls, node_at: NodeAt, size: TreeSize) -> "CompactRange":
        """Return the edge of the tree of `size`, out of nodes."""
        return cls.from_hashes(size, [node_at(*node) for node in range_nodes(0, size)])

    @property
    def size(self) -> TreeSize:
        """The number of leaves."""
        return TreeSize(self._size)

    @property
    def hashes(self) -> tuple[Hash, ...]:
        """The complete subtrees, largest first."""
        return tuple(self._hashes)

    def append(self, leaf: Hash) -> None:
        """Add one leaf on the right."""
        node, rest, hashes = leaf, self._size, self._hashes
        while rest & 1:
            node = node_hash(hashes.pop(), node)
            rest >>= 1
        hashes.append(node)
        self._size += 1

    def extend(self, leaves: Iterable[Hash]) -> None:
        """Add `leaves` on the right, in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> Hash:
        """Return the root of the tree as it is now."""
        return _fold(self._hashes)

    def copy(self) -> "CompactRange":
        """Return another edge that grows by itself."""
        return CompactRange.from_hashes(self.size, self._hashes)


def match_roots(*, signed: Hash, computed: Hash) -> None:
    """Raise `RootMismatchError` unless the two are the same."""
    if computed != signed:
        raise RootMismatchError(signed=signed, computed=computed)


def split_size(size: int) -> int:
    """Return the largest power of two below `size` (2 or more): where RFC 6962 splits."""
    return 1 << (size - 1).bit_length() - 1


def _fold(nodes: Sequence[Hash]) -> Hash:
    """Return the root over complete subtrees that stand side by side, largest first."""
    if not nodes:
        return EMPTY_ROOT
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return the siblings of PATH(m, D[n]) as leaf ranges, lowest first."""
    assert 0 <= index < size <= TREE_SIZE_MAX
    start, end, ranges = 0, size, []
    while end - start > 1:
        middle = start + split_size(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """Return SUBPROOF(m, D[n], true) of RFC 6962 section 2.1.2 as leaf ranges, lowest first."""
    assert 0 < old_size <= new_size <= TREE_SIZE_MAX
    start, end, ranges = 0, new_size, []
    while old_size != end:
        middle = start + split_size(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start > 0:  # Otherwise the subtree left over is the old tree, whose root is known.
        ranges.append((start, end))
    return ranges[::-1]


def _trailing_ones(number: int) -> int:
    return (~number & number + 1).bit_length() - 1


def _sides(node: int, last: int, count: int) -> list[bool]:
    """Return for each of `count` siblings, going up, whether it hangs on the left.

    `node` is where the path starts and `last` where its level of the tree ends.
    A path must reach the root with its last sibling, neither sooner nor later.
    """
    sides = []
    for _ in range(count):
        if last == 0:
            raise ProofShapeError("proof is longer than the tree is high")
        on_left = node % 2 == 1 or node == last
        while on_left and node % 2 == 0:  # No sibling here: climb past it.
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
        sides.append(on_left)
    if last != 0:
        raise ProofShapeError("proof stops below the root")
    return sides
