"""Proof files."""

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog.merkle import LeafIndex, RootMismatchError, leaf_hash, parse_hash
from ledger.tlog.policy import PolicyNotMetError, parse_policy
from ledger.tlog.proof import (
    PROOF_BYTES_MAX,
    TlogProof,
    endorse_tlog_proof,
    format_tlog_proof,
    parse_tlog_proof,
    verify_tlog_proof,
)
from tests.ledger.tlog.vectors import load

VECTORS = load("proof")
POLICY = parse_policy(VECTORS["policy"])
LEAF = parse_hash(bytes.fromhex(VECTORS["leaf"]))


@pytest.mark.parametrize("name", VECTORS["good"])
def test_a_proof_file_comes_back_and_verifies(name: str) -> None:
    data = VECTORS["good"][name].encode()
    proof = parse_tlog_proof(data)
    assert format_tlog_proof(proof) == data
    verify_tlog_proof(proof, leaf=LEAF, policy=POLICY)
    assert endorse_tlog_proof(proof, leaf=LEAF, policy=POLICY).witnesses == {"w"}
    assert proof.extra == (b"\0\1\2" if name == "extra" else None)


@pytest.mark.parametrize("name", VECTORS["bad"])
def test_a_malformed_proof_file_is_refused(name: str) -> None:
    with pytest.raises(ParseError):
        parse_tlog_proof(VECTORS["bad"][name].encode())


def test_a_proof_of_another_leaf_or_index_does_not_verify() -> None:
    proof = parse_tlog_proof(VECTORS["good"]["plain"].encode())
    with pytest.raises(RootMismatchError):
        verify_tlog_proof(proof, leaf=leaf_hash(b"other"), policy=POLICY)
    moved = TlogProof(index=LeafIndex(5), path=proof.path, signed=proof.signed)
    with pytest.raises(VerificationError):
        verify_tlog_proof(moved, leaf=LEAF, policy=POLICY)


def test_a_proof_whose_checkpoint_misses_the_policy_does_not_verify() -> None:
    proof = parse_tlog_proof(VECTORS["good"]["plain"].encode())
    strict = VECTORS["policy"].replace("quorum w", "group g all w\nquorum g")
    verify_tlog_proof(proof, leaf=LEAF, policy=parse_policy(strict))
    other = next(line for line in VECTORS["policy"].splitlines() if line.startswith("log"))
    vkey = load("policy")["good"]["one-witness"]
    text = bytes.fromhex(vkey["policy_hex"]).decode()
    assert text.startswith(other)
    with pytest.raises(PolicyNotMetError):
        verify_tlog_proof(proof, leaf=LEAF, policy=parse_policy(text))


def test_a_proof_file_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(ParseError, match="longer than"):
        parse_tlog_proof(bytes(PROOF_BYTES_MAX + 1))
