"""Proofs about a subtree, after draft-ietf-plants-merkle-tree-certs-03 section 4.

A subtree is the leaves from `start` to `end` (exclusive) where `start` is a
multiple of the least power of two that holds `end - start`. Its root is that of
a tree of its own. An ML-DSA-44 cosignature may be over one; a checkpoint is the
subtree that starts at 0.

Valid: [0, 7), [4, 7), [8, 13). Refused: [3, 5), [1, 15), and what is empty.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.tlog.merkle import (
    TREE_SIZE_MAX,
    Hash,
    LeafIndex,
    NodeAt,
    ProofShapeError,
    TreeSize,
    match_roots,
    node_hash,
    range_root,
    split_size,
    verify_inclusion,
)


@dataclass(frozen=True, slots=True)
class Subtree:
    """Leaves `start` to `end` (exclusive) and the root over them."""

    start: int
    end: int
    root: Hash


def is_subtree(start: int, end: int) -> bool:
    """Return whether leaves `start` to `end` (exclusive) make a subtree, section 4.1."""
    if not 0 <= start < end <= TREE_SIZE_MAX:
        return False
    return start % (1 << (end - start - 1).bit_length()) == 0


def prove_subtree(node_at: NodeAt, start: int, end: int, size: TreeSize) -> tuple[Hash, ...]:
    """Return the proof that a subtree is part of the tree of `size`, section 4.4.1."""
    assert is_subtree(start, end)
    assert end <= size <= TREE_SIZE_MAX
    low, high, parts, known = 0, int(size), [], True
    while (low, high) != (start, end):
        middle = low + split_size(high - low)
        if end <= middle:
            parts.append((middle, high))
            high = middle
        elif start >= middle:
            parts.append((low, middle))
            low = middle
        else:  # The subtree ends in the right half: from here on, prove that part of it.
            parts.append((low, middle))
            low = start = middle
            known = False
    if not known:
        parts.append((low, high))
    return tuple(range_root(node_at, *part) for part in reversed(parts))


def verify_subtree_inclusion(
    proof: Sequence[Hash], *, leaf: Hash, index: LeafIndex, subtree: Subtree
) -> None:
    """Raise unless `proof` shows `leaf` at `index` of the log in `subtree`, section 4.3.2."""
    _check_shape(subtree)
    verify_inclusion(
        proof,
        leaf=leaf,
        index=LeafIndex(index - subtree.start),
        size=TreeSize(subtree.end - subtree.start),
        root=subtree.root,
    )


def verify_subtree(
    proof: Sequence[Hash], *, subtree: Subtree, size: TreeSize, root: Hash
) -> None:
    """Raise unless `proof` shows `subtree` in a tree of `size` and `root`, section 4.4.3."""
    _check_shape(subtree)
    if not subtree.end <= size <= TREE_SIZE_MAX:
        raise ProofShapeError(f"no leaf {subtree.end - 1} in a tree of size {size}")
    first, last, top = subtree.start, subtree.end - 1, size - 1
    # Start at the root of the largest complete subtree that ends `subtree`.
    while first != last and (last == top or last % 2):
        first, last, top = first >> 1, last >> 1, top >> 1
    path = [subtree.root, *proof] if first == last else list(proof)
    if not path:
        raise ProofShapeError("proof is empty")
    computed_part = computed_whole = path[0]
    for sibling in path[1:]:
        if top == 0:
            raise ProofShapeError("proof is longer than the tree is high")
        if last % 2 or last == top:
            if first < last:
                computed_part = node_hash(sibling, computed_part)
            computed_whole = node_hash(sibling, computed_whole)
            while last % 2 == 0:  # No sibling here: climb past it.
                first, last, top = first >> 1, last >> 1, top >> 1
        else:
            computed_whole = node_hash(computed_whole, sibling)
        first, last, top = first >> 1, last >> 1, top >> 1
    if top != 0:
        raise ProofShapeError("proof stops below the root")
    match_roots(signed=subtree.root, computed=computed_part)
    match_roots(signed=root, computed=computed_whole)


def _check_shape(subtree: Subtree) -> None:
    if not is_subtree(subtree.start, subtree.end):
        raise ProofShapeError(f"leaves {subtree.start} to {subtree.end} make no subtree")
