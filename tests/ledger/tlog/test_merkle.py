"""The tree against its definition, its own vectors and its properties."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import ParseError, VerificationError
from ledger.tlog.merkle import (
    EMPTY_ROOT,
    CompactRange,
    Hash,
    LeafIndex,
    ProofShapeError,
    RootMismatchError,
    TreeSize,
    leaf_hash,
    node_hash,
    parse_hash,
    prove_consistency,
    prove_consistency_from,
    prove_inclusion,
    prove_inclusion_from,
    root_from,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from tests.ledger.tlog.vectors import load, names
from tests.vectors.tlog.make_tree import leaf_hashes, mth, path, subtree_proof

LEAVES = [Hash(leaf) for leaf in leaf_hashes(70)]
sizes = st.integers(1, len(LEAVES))


def node_at(level: int, index: int) -> Hash:
    """Return a node of the tree over LEAVES, as a database would."""
    nodes = LEAVES[index << level : (index + 1) << level]
    assert len(nodes) == 1 << level
    return tree_root(nodes)


def check_inclusion(case: dict[str, object]) -> None:
    """Verify a vector as a door would: hashes are parsed first."""
    verify_inclusion(
        [parse_hash(bytes.fromhex(node)) for node in case["proof"]],
        leaf=parse_hash(bytes.fromhex(case["leaf"])),
        index=LeafIndex(case["index"]),
        size=TreeSize(case["size"]),
        root=parse_hash(bytes.fromhex(case["root"])),
    )


def check_consistency(case: dict[str, object]) -> None:
    verify_consistency(
        [parse_hash(bytes.fromhex(node)) for node in case["proof"]],
        old=(TreeSize(case["old_size"]), parse_hash(bytes.fromhex(case["old_root"]))),
        new=(TreeSize(case["new_size"]), parse_hash(bytes.fromhex(case["new_root"]))),
    )


@pytest.mark.parametrize("name", names("inclusion"))
def test_inclusion_vectors_verify_or_are_refused(name: str) -> None:
    for case in load(name):
        if case["verifies"]:
            check_inclusion(case)
        else:
            with pytest.raises((ParseError, VerificationError)):
                check_inclusion(case)


@pytest.mark.parametrize("name", names("consistency"))
def test_consistency_vectors_verify_or_are_refused(name: str) -> None:
    for case in load(name):
        if case["verifies"]:
            check_consistency(case)
        else:
            with pytest.raises((ParseError, VerificationError)):
                check_consistency(case)


def test_the_empty_tree_has_the_root_of_no_bytes() -> None:
    assert (
        tree_root([]) == EMPTY_ROOT == CompactRange().root() == root_from(node_at, TreeSize(0))
    )


def test_a_leaf_is_never_a_node() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_of_another_length_is_refused_at_the_door(length: int) -> None:
    with pytest.raises(ParseError, match="want 32"):
        parse_hash(bytes(length))


@pytest.mark.parametrize("size", range(len(LEAVES) + 1))
def test_roots_follow_the_definition_at_every_size(size: int) -> None:
    edge = CompactRange()
    edge.extend(LEAVES[:size])
    want = mth(LEAVES[:size])
    assert tree_root(LEAVES[:size]) == edge.root() == root_from(node_at, TreeSize(size)) == want


@settings(deadline=None)
@given(sizes, st.data())
def test_inclusion_proofs_follow_the_definition_and_verify(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = LEAVES[:size]
    proof = prove_inclusion(leaves, LeafIndex(index))
    assert list(proof) == path(index, leaves)
    assert prove_inclusion_from(node_at, LeafIndex(index), TreeSize(size)) == proof
    root = tree_root(leaves)
    verify_inclusion(
        proof, leaf=leaves[index], index=LeafIndex(index), size=TreeSize(size), root=root
    )


@settings(deadline=None)
@given(sizes, st.data())
def test_consistency_proofs_follow_the_definition_and_verify(
    size: int, data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, size))
    leaves = LEAVES[:size]
    proof = prove_consistency(leaves, TreeSize(old))
    assert list(proof) == subtree_proof(0, old, leaves, known=True)
    assert prove_consistency_from(node_at, TreeSize(old), TreeSize(size)) == proof
    verify_consistency(
        proof,
        old=(TreeSize(old), tree_root(leaves[:old])),
        new=(TreeSize(size), tree_root(leaves)),
    )


@settings(deadline=None)
@given(sizes, st.data())
def test_a_tree_with_one_other_leaf_is_not_consistent(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    changed = data.draw(st.integers(0, old - 1))
    fork = [*LEAVES[:changed], Hash(b"\xff" * 32), *LEAVES[changed + 1 : size]]
    proof = prove_consistency(fork, TreeSize(old))
    with pytest.raises(RootMismatchError):
        verify_consistency(
            proof,
            old=(TreeSize(old), tree_root(LEAVES[:old])),
            new=(TreeSize(size), tree_root(fork)),
        )


def test_nothing_is_consistent_with_the_empty_tree() -> None:
    with pytest.raises(ProofShapeError, match="cannot grow"):
        verify_consistency([], old=(TreeSize(0), EMPTY_ROOT), new=(TreeSize(1), LEAVES[0]))


def test_a_mismatch_tells_both_roots() -> None:
    with pytest.raises(RootMismatchError) as caught:
        verify_inclusion(
            [], leaf=LEAVES[0], index=LeafIndex(0), size=TreeSize(1), root=LEAVES[1]
        )
    assert (caught.value.signed, caught.value.computed) == (LEAVES[1], LEAVES[0])


@settings(deadline=None)
@given(sizes)
def test_an_edge_grows_alike_from_nodes_hashes_and_leaves(size: int) -> None:
    from_nodes = CompactRange.from_nodes(node_at, TreeSize(size))
    from_hashes = CompactRange.from_hashes(TreeSize(size), from_nodes.hashes)
    branch = from_hashes.copy()
    branch.append(LEAVES[0])
    assert from_hashes.size == size
    assert branch.size == size + 1
    assert from_hashes.root() == tree_root(LEAVES[:size])
    assert branch.root() == tree_root([*LEAVES[:size], LEAVES[0]])


@pytest.mark.parametrize(("size", "count"), [(1, 0), (3, 1), (0, 1), (2**63, 1), (-1, 1)])
def test_an_edge_with_the_wrong_number_of_hashes_is_refused(size: int, count: int) -> None:
    with pytest.raises(ParseError, match="do not fit"):
        CompactRange.from_hashes(TreeSize(size), LEAVES[:count])
