r"""One proof for many leaves: FORMATS section 5 gives a bundle its nodes this way.

Walk the tree depth first, left first, splitting as RFC 6962 does. The proof is
the tree hash of each maximal subtree that holds no listed leaf, in the order in
which the walk meets it. In a tree of seven leaves of which 1 and 4 are listed,
that is: leaf 0, the node over 2 and 3, leaf 5, leaf 6:

               root
           /         \
         .             .
       /   \         /   \
      .    [2 3]    .    [6]
     / \           / \
    [0] 1         4  [5]

The shape follows from the size and the listed indexes, so the proof holds no
positions and has one spelling. All of its hashes are used, none is left. With
one leaf listed it holds the same hashes as an inclusion proof, left to right.
Refused: no listed leaf at all, since such a proof would show nothing.

Pure: no I/O, no clock, no randomness.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

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
    tree_root,
)


def prove_leaves(leaves: Sequence[Hash], indexes: Sequence[LeafIndex]) -> tuple[Hash, ...]:
    """Return the proof of the leaves at `indexes`, ascending, in the tree over `leaves`."""
    parts = _unlisted_ranges(indexes, len(leaves))
    return tuple(tree_root(leaves[start:end]) for start, end in parts)


def prove_leaves_from(
    node_at: NodeAt, indexes: Sequence[LeafIndex], size: TreeSize
) -> tuple[Hash, ...]:
    """Return the proof of the leaves at `indexes`, ascending, in the tree of `size`."""
    parts = _unlisted_ranges(indexes, size)
    return tuple(range_root(node_at, start, end) for start, end in parts)


def verify_leaves(
    nodes: Sequence[Hash],
    *,
    leaves: Sequence[tuple[LeafIndex, Hash]],
    size: TreeSize,
    root: Hash,
) -> None:
    """Raise unless `nodes` shows each of `leaves`, by ascending index, under `root`.

    The work is bounded by the number of leaves times the height of the tree.
    """
    indexes = [index for index, _ in leaves]
    if not indexes or any(a >= b for a, b in pairwise(indexes)):
        raise ProofShapeError("a multiproof lists one leaf or more, by ascending index")
    if indexes[0] < 0 or not indexes[-1] < size <= TREE_SIZE_MAX:
        raise ProofShapeError(f"no leaf {indexes[-1]} in a tree of size {size}")
    proof = iter(nodes)
    computed = _compute_root(proof, leaves, indexes, size)
    if next(proof, None) is not None:
        raise ProofShapeError("multiproof has hashes left over")
    match_roots(signed=root, computed=computed)


def _compute_root(
    proof: Iterator[Hash],
    leaves: Sequence[tuple[LeafIndex, Hash]],
    indexes: Sequence[int],
    size: int,
) -> Hash:
    """Return the root that `proof` and `leaves` lead to, using up what it needs of `proof`."""
    known: list[Hash] = []
    for start, end, listed, ready in _walk(indexes, size):
        if ready:  # Both halves are known.
            right, left = known.pop(), known.pop()
            known.append(node_hash(left, right))
        elif listed is None:
            node = next(proof, None)
            if node is None:
                raise ProofShapeError(f"multiproof has no hash for leaves {start} to {end}")
            known.append(node)
        else:
            known.append(leaves[listed][1])
    (root,) = known
    return root


def _unlisted_ranges(indexes: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Yield the maximal subtrees without a listed leaf as leaf ranges, left to right."""
    assert indexes
    assert all(a < b for a, b in pairwise(indexes))
    assert indexes[0] >= 0
    assert indexes[-1] < size <= TREE_SIZE_MAX
    for start, end, listed, ready in _walk(indexes, size):
        if listed is None and not ready:
            yield start, end


def _walk(indexes: Sequence[int], size: int) -> Iterator[tuple[int, int, int | None, bool]]:
    """Yield, children first, the subtrees that a multiproof is about.

    Each is (start, end, which of `indexes` it is, whether both halves came before):
    a listed leaf, a maximal subtree without one, or a node above those.
    """
    # One pending subtree or node for each level at most: the stack stays below 130.
    pending: list[tuple[int, int, bool]] = [(0, size, False)]
    while pending:
        start, end, ready = pending.pop()
        listed = bisect_left(indexes, start)
        if ready:
            yield start, end, None, True
        elif listed == len(indexes) or indexes[listed] >= end:
            yield start, end, None, False
        elif end - start == 1:
            yield start, end, listed, False
        else:
            middle = start + split_size(end - start)
            pending += [(start, end, True), (middle, end, False), (start, middle, False)]
