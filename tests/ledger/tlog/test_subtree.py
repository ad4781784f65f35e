"""Proofs about subtrees, against the definition and every small tree."""

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog.merkle import LeafIndex, TreeSize, parse_hash, prove_inclusion, tree_root
from ledger.tlog.subtree import (
    Subtree,
    is_subtree,
    prove_subtree,
    verify_subtree,
    verify_subtree_inclusion,
)
from tests.ledger.tlog.test_merkle import LEAVES, node_at
from tests.ledger.tlog.vectors import load, names
from tests.vectors.tlog.make_tree import subtree_proof


def check(case: dict[str, object]) -> None:
    root = parse_hash(bytes.fromhex(case["old_root"]))
    verify_subtree(
        [parse_hash(bytes.fromhex(node)) for node in case["proof"]],
        subtree=Subtree(case["start"], case["end"], root),
        size=TreeSize(case["size"]),
        root=parse_hash(bytes.fromhex(case["new_root"])),
    )


@pytest.mark.parametrize("name", names("subtree"))
def test_subtree_vectors_verify_or_are_refused(name: str) -> None:
    for case in load(name):
        if case["verifies"]:
            check(case)
        else:
            with pytest.raises((ParseError, VerificationError)):
                check(case)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 21])
def test_every_subtree_is_proven_and_holds_its_leaves(size: int) -> None:
    for start in range(size):
        for end in range(start + 1, size + 1):
            if not is_subtree(start, end):
                continue
            subtree = Subtree(start, end, tree_root(LEAVES[start:end]))
            proof = prove_subtree(node_at, start, end, TreeSize(size))
            assert list(proof) == subtree_proof(start, end, LEAVES[:size], known=True)
            root = tree_root(LEAVES[:size])
            verify_subtree(proof, subtree=subtree, size=TreeSize(size), root=root)
            index = LeafIndex(end - 1)
            path = prove_inclusion(LEAVES[start:end], LeafIndex(index - start))
            verify_subtree_inclusion(path, leaf=LEAVES[index], index=index, subtree=subtree)


@pytest.mark.parametrize(
    ("start", "end"), [(1, 3), (3, 5), (0, 0), (4, 3), (-2, -1), (0, 2**63)]
)
def test_what_is_no_subtree_is_refused(start: int, end: int) -> None:
    assert not is_subtree(start, end)
    with pytest.raises(VerificationError, match="no subtree"):
        verify_subtree_inclusion(
            [], leaf=LEAVES[0], index=LeafIndex(0), subtree=Subtree(start, end, LEAVES[0])
        )


def test_a_leaf_outside_the_subtree_is_refused() -> None:
    subtree = Subtree(4, 5, LEAVES[4])
    with pytest.raises(VerificationError):
        verify_subtree_inclusion([], leaf=LEAVES[4], index=LeafIndex(3), subtree=subtree)
