"""Checkpoint bodies and signed checkpoints."""

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import (
    Checkpoint,
    format_checkpoint,
    format_signed_checkpoint,
    parse_checkpoint,
    parse_decimal,
    parse_signed_checkpoint,
    sign_checkpoint,
    verify_signed_checkpoint,
)
from ledger.tlog.merkle import EMPTY_ROOT, Hash, TreeSize, leaf_hash, tree_root
from ledger.tlog.note import Ed25519Signer, Ed25519Verifier, UnverifiedNoteError, parse_vkey
from tests.ledger.tlog.vectors import Ed25519Key, load

ORIGIN = "supplier.example/dairy-17"
SIGNER = Ed25519Signer(ORIGIN, Ed25519Key.of(ORIGIN))
VERIFIERS = [Ed25519Verifier(SIGNER.key)]


def test_checkpoints_have_one_spelling() -> None:
    vectors = load("checkpoint")
    for text in vectors["good"]:
        assert format_checkpoint(parse_checkpoint(text)) == text
    for text in vectors["bad"].values():
        with pytest.raises(ParseError):
            parse_checkpoint(text)
    with pytest.raises(ParseError, match="surrogate"):
        parse_checkpoint(vectors["good"][0].replace("dairy", "\udcff"))


def test_the_log_of_the_vector_is_signed_byte_for_byte() -> None:
    log = load("log")
    assert str(SIGNER.key) == log["vkey"]
    leaves = [leaf_hash(f"entry {number}".encode()) for number in range(300)]
    for text, note in log["checkpoints"].items():
        size = TreeSize(int(text))
        checkpoint = Checkpoint(origin=ORIGIN, size=size, root=tree_root(leaves[:size]))
        assert sign_checkpoint(checkpoint, [SIGNER]) == note.encode()
        signed = parse_signed_checkpoint(note.encode())
        assert signed.checkpoint == checkpoint
        assert format_signed_checkpoint(signed) == note.encode()
        key = parse_vkey(log["vkey"])
        verify_signed_checkpoint(signed, origin=ORIGIN, verifiers=[Ed25519Verifier(key)])


def signed(size: int, root: Hash) -> bytes:
    return sign_checkpoint(Checkpoint(origin=ORIGIN, size=TreeSize(size), root=root), [SIGNER])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    checkpoint = parse_signed_checkpoint(signed(0, EMPTY_ROOT))
    with pytest.raises(VerificationError, match="want 'other"):
        verify_signed_checkpoint(checkpoint, origin="other.example", verifiers=VERIFIERS)


def test_a_checkpoint_that_nobody_known_signed_is_refused() -> None:
    checkpoint = parse_signed_checkpoint(signed(0, EMPTY_ROOT))
    with pytest.raises(UnverifiedNoteError):
        verify_signed_checkpoint(checkpoint, origin=ORIGIN, verifiers=[])


def test_an_empty_log_with_a_root_of_its_own_is_refused() -> None:
    checkpoint = parse_signed_checkpoint(signed(0, leaf_hash(b"")))
    with pytest.raises(VerificationError, match="signed root"):
        verify_signed_checkpoint(checkpoint, origin=ORIGIN, verifiers=VERIFIERS)


@pytest.mark.parametrize("text", ["", "-0", "00", "1 ", " 1", "1_0", "8", "9" * 20, "²"])
def test_a_number_of_another_spelling_or_above_the_bound_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="up to 7"):
        parse_decimal(text, "test", most=7)
    assert parse_decimal("7", "test", most=7) == 7
