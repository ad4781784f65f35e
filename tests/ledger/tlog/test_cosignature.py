"""Cosignatures with Ed25519 and ML-DSA-44."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from ledger.errors import ParseError, VerificationError
from ledger.tlog import cosignature
from ledger.tlog.checkpoint import Checkpoint, format_checkpoint, sign_checkpoint
from ledger.tlog.cosignature import (
    CosignatureVerifier,
    Cosigner,
    DatedSigner,
    MlDsa44Signer,
    add_cosignatures,
    cosign_checkpoint,
    cosignature_time,
    has_ml_dsa_44,
    ml_dsa_44_message,
    verifier_for,
)
from ledger.tlog.merkle import TreeSize, leaf_hash, parse_hash
from ledger.tlog.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    BadSignatureError,
    Ed25519Signer,
    Ed25519Verifier,
    NoteVerifier,
    parse_note,
    parse_vkey,
    verified_signatures,
    verify_note,
)
from ledger.tlog.subtree import Subtree
from tests.ledger.tlog.vectors import Ed25519Key, MlDsaKey, load

ORIGIN = "supplier.example/dairy-17"
LOG = Ed25519Signer(ORIGIN, Ed25519Key.of(ORIGIN))
CHECKPOINT = Checkpoint(origin=ORIGIN, size=TreeSize(7), root=leaf_hash(b"root"))
TEXT = format_checkpoint(CHECKPOINT)
NOTE = sign_checkpoint(CHECKPOINT, [LOG])
NOW_S = 1_700_000_000

needs_ml_dsa = pytest.mark.skipif(
    not has_ml_dsa_44(), reason="the installed cryptography has no ML-DSA-44"
)


def ed25519(name: str, time_s: int = NOW_S) -> Cosigner:
    key = Ed25519Key.of(name)
    return Cosigner(name=name, kind=COSIGNATURE_ED25519, private=key, time_s=time_s)


def ml_dsa(name: str, time_s: int = NOW_S) -> Cosigner:
    key = MlDsaKey(b"test key that guards nothing 123")
    return Cosigner(name=name, kind=COSIGNATURE_ML_DSA_44, private=key, time_s=time_s)


def verifiers(*cosigners: Cosigner) -> Sequence[NoteVerifier]:
    return [verifier_for(cosigner.key) for cosigner in cosigners]


@pytest.mark.parametrize(
    "name", ["cosignature/ed25519", pytest.param("cosignature/ml-dsa-44", marks=needs_ml_dsa)]
)
def test_cosignature_vectors_verify_and_tell_their_time(name: str) -> None:
    case = load(name)
    (found,) = verified_signatures(
        parse_note(case["note"].encode()), [verifier_for(parse_vkey(case["vkey"]))]
    )
    assert found.name == case["name"]
    assert cosignature_time(found.signature) == case["time"]


def test_the_message_of_ml_dsa_has_the_layout_of_the_specification() -> None:
    case = load("cosignature/ml-dsa-44")
    root = parse_hash(bytes.fromhex(case["message_hex"])[-32:])
    message = ml_dsa_44_message(case["name"], case["time"], ORIGIN, Subtree(0, 7, root))
    assert message.hex() == case["message_hex"]


def test_ed25519_cosigns_as_the_vector_does() -> None:
    case = load("cosignature/ed25519")
    note = parse_note(case["note"].encode())
    lines = cosign_checkpoint(note.text, [ed25519(case["name"], case["time"])])
    assert case["note"].encode().endswith(lines)


@pytest.mark.parametrize("make", [ed25519, pytest.param(ml_dsa, marks=needs_ml_dsa)])
def test_a_cosignature_joins_the_note_and_verifies(make: type[Cosigner]) -> None:
    witness = make("witness.example/w1")
    lines = cosign_checkpoint(TEXT, [witness])
    note = parse_note(add_cosignatures(NOTE, lines, verifiers(witness)))
    verify_note(note, [Ed25519Verifier(LOG.key)])
    assert [s.name for s in note.signatures] == [ORIGIN, "witness.example/w1"]
    verify_note(note, verifiers(witness))


@pytest.mark.parametrize("make", [ed25519, pytest.param(ml_dsa, marks=needs_ml_dsa)])
@pytest.mark.parametrize("at", [0, 7, 8, -1])
def test_a_changed_time_or_signature_is_refused(make: type[Cosigner], at: int) -> None:
    witness = make("witness.example/w1")
    signature = bytearray(witness.sign(TEXT))
    signature[at] ^= 0x80
    with pytest.raises(BadSignatureError):
        CosignatureVerifier(witness.key).verify(TEXT, bytes(signature))


@pytest.mark.parametrize("make", [ed25519, pytest.param(ml_dsa, marks=needs_ml_dsa)])
def test_a_cosignature_holds_for_its_checkpoint_only(make: type[Cosigner]) -> None:
    witness = make("witness.example/w1")
    signature = witness.sign(TEXT)
    other = Checkpoint(origin=ORIGIN, size=TreeSize(8), root=CHECKPOINT.root)
    for text in (format_checkpoint(other), TEXT + "extension\n", "no checkpoint\n"):
        with pytest.raises(BadSignatureError):
            CosignatureVerifier(witness.key).verify(text, signature)


@needs_ml_dsa
def test_ml_dsa_binds_the_name_of_the_cosigner_and_ed25519_does_not() -> None:
    for make, binds in ((ml_dsa, True), (ed25519, False)):
        one = make("one.example")
        two = Cosigner(
            name="two.example", kind=one.kind, private=one.private, time_s=one.time_s
        )
        if binds:
            with pytest.raises(BadSignatureError):
                CosignatureVerifier(two.key).verify(TEXT, one.sign(TEXT))
        else:
            CosignatureVerifier(two.key).verify(TEXT, one.sign(TEXT))


@pytest.mark.parametrize(
    "signature", [b"", bytes(64), bytes(71), bytes(73), b"\xff" * 72, b"\x80" + bytes(71)]
)
def test_a_signature_without_a_time_in_range_is_refused(signature: bytes) -> None:
    with pytest.raises(ParseError, match="cosignature"):
        cosignature_time(signature)
    with pytest.raises(BadSignatureError):
        CosignatureVerifier(ed25519("w.example").key).verify(TEXT, signature)


def test_only_a_checkpoint_is_cosigned() -> None:
    with pytest.raises(ParseError, match="checkpoint"):
        cosign_checkpoint("no checkpoint\n", [ed25519("w.example")])


def test_names_that_do_not_fit_one_byte_of_length_are_refused() -> None:
    whole = Subtree(0, 7, CHECKPOINT.root)
    for name, origin in (("", "o"), ("n" * 256, "o"), ("n", "o" * 256)):
        with pytest.raises(ParseError, match="255"):
            ml_dsa_44_message(name, 0, origin, whole)


def test_a_line_of_an_unknown_witness_is_dropped() -> None:
    lines = cosign_checkpoint(TEXT, [ed25519("known.example"), ed25519("unknown.example")])
    note = parse_note(add_cosignatures(NOTE, lines, verifiers(ed25519("known.example"))))
    assert [s.name for s in note.signatures] == [ORIGIN, "known.example"]


def test_a_newer_cosignature_takes_the_place_of_the_older() -> None:
    witness, later = ed25519("w.example"), ed25519("w.example", NOW_S + 1)
    first = add_cosignatures(NOTE, cosign_checkpoint(TEXT, [witness]), verifiers(witness))
    second = add_cosignatures(first, cosign_checkpoint(TEXT, [later]), verifiers(later))
    times = [cosignature_time(s.signature) for s in parse_note(second).signatures[1:]]
    assert times == [NOW_S + 1]


def test_an_answer_that_rewrites_the_checkpoint_is_refused() -> None:
    witness = ed25519("w.example")
    lines = cosign_checkpoint(TEXT, [witness])
    with pytest.raises(ParseError, match="more than signature lines"):
        add_cosignatures(NOTE, b"\n\n" + lines, verifiers(witness))
    with pytest.raises(ParseError):
        add_cosignatures(NOTE, b"not a line\n", verifiers(witness))


def test_an_answer_without_a_time_or_with_a_broken_signature_is_refused() -> None:
    timeless = ed25519("w.example", 0)
    with pytest.raises(VerificationError, match="no time"):
        add_cosignatures(NOTE, cosign_checkpoint(TEXT, [timeless]), verifiers(timeless))
    other = format_checkpoint(Checkpoint(origin=ORIGIN, size=TreeSize(8), root=CHECKPOINT.root))
    with pytest.raises(BadSignatureError):
        add_cosignatures(NOTE, cosign_checkpoint(other, [timeless]), verifiers(timeless))


def test_without_ml_dsa_its_signatures_are_refused_and_the_error_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = parse_vkey(load("cosignature/ml-dsa-44")["vkey"])

    def unsupported(_: bytes) -> None:
        raise UnsupportedAlgorithm("old OpenSSL")

    old = SimpleNamespace(
        MLDSA44PrivateKey=SimpleNamespace(from_seed_bytes=unsupported),
        MLDSA44PublicKey=SimpleNamespace(from_public_bytes=unsupported),
    )
    for module in (None, old):
        monkeypatch.setattr(cosignature, "_mldsa", module)
        assert not has_ml_dsa_44()
        with pytest.raises(VerificationError) as caught:
            CosignatureVerifier(key).verify(TEXT, bytes(8 + 2420))
        assert "has no ML-DSA-44" in str(caught.value.__cause__)
    assert cosignature._import_if_there("cryptography.no_such_module") is None


@needs_ml_dsa
def test_a_log_signs_its_own_checkpoints_with_ml_dsa_dated_by_its_clock() -> None:
    private = MlDsa44Signer(b"test key that guards nothing 123")
    assert private.x == ml_dsa(ORIGIN).private.x
    signer = DatedSigner(name=ORIGIN, private=private, now_s=lambda: NOW_S)
    assert signer.key == ml_dsa(ORIGIN).key
    note = parse_note(sign_checkpoint(CHECKPOINT, [LOG, signer]))
    (found,) = verified_signatures(note, [verifier_for(signer.key)])
    assert found.key_id == signer.key_id
    assert cosignature_time(found.signature) == NOW_S
