"""One proof for many leaves, against the definition and every small tree."""

from itertools import combinations

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog.merkle import Hash, LeafIndex, TreeSize, parse_hash, prove_inclusion, tree_root
from ledger.tlog.multiproof import prove_leaves, prove_leaves_from, verify_leaves
from tests.ledger.tlog.test_merkle import LEAVES, node_at
from tests.ledger.tlog.vectors import load, names
from tests.vectors.tlog.make_tree import unlisted


def check(case: dict[str, object]) -> None:
    verify_leaves(
        [parse_hash(bytes.fromhex(node)) for node in case["proof"]],
        leaves=[(LeafIndex(i), parse_hash(bytes.fromhex(leaf))) for i, leaf in case["leaves"]],
        size=TreeSize(case["size"]),
        root=parse_hash(bytes.fromhex(case["root"])),
    )


@pytest.mark.parametrize("name", names("multiproof"))
def test_multiproof_vectors_verify_or_are_refused(name: str) -> None:
    for case in load(name):
        if case["verifies"]:
            check(case)
        else:
            with pytest.raises((ParseError, VerificationError)):
                check(case)


@pytest.mark.parametrize("size", range(1, 11))
def test_every_set_of_leaves_of_every_small_tree_is_proven(size: int) -> None:
    leaves = LEAVES[:size]
    for count in range(1, size + 1):
        for indexes in combinations(range(size), count):
            listed = [LeafIndex(index) for index in indexes]
            nodes = prove_leaves(leaves, listed)
            assert list(nodes) == unlisted(list(indexes), leaves)
            assert prove_leaves_from(node_at, listed, TreeSize(size)) == nodes
            shown = [(index, leaves[index]) for index in listed]
            verify_leaves(nodes, leaves=shown, size=TreeSize(size), root=tree_root(leaves))


def test_one_leaf_needs_the_hashes_of_its_inclusion_proof() -> None:
    for index in range(13):
        single = prove_leaves(LEAVES[:13], [LeafIndex(index)])
        assert set(single) == set(prove_inclusion(LEAVES[:13], LeafIndex(index)))


def test_all_leaves_need_no_hash() -> None:
    assert prove_leaves(LEAVES[:9], [LeafIndex(index) for index in range(9)]) == ()


def test_a_proof_in_a_tree_of_2_to_the_63_leaves_stays_small() -> None:
    size = TreeSize(2**63 - 1)
    asked: list[tuple[int, int]] = []

    def record(level: int, index: int) -> Hash:
        asked.append((level, index))
        return Hash(bytes(32))

    nodes = prove_leaves_from(record, [LeafIndex(0), LeafIndex(size - 1)], size)
    assert len(nodes) < 130
    with pytest.raises(VerificationError):
        verify_leaves(
            nodes,
            leaves=[(LeafIndex(0), LEAVES[0]), (LeafIndex(size - 1), LEAVES[1])],
            size=size,
            root=LEAVES[2],
        )
