"""COSE receipts: ours, those of another implementation, and what neither may believe."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import cbor2
import pytest
import scitt_cose
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from ledger.cose import Ed25519Signer, parse_public_key
from ledger.errors import ParseError, VerificationError
from ledger.receipt import Claims, format_receipt, parse_receipt, sign_receipt, verify_receipt
from ledger.tlog.merkle import LeafIndex, TreeSize, leaf_hash, prove_inclusion, tree_root

SIGNER = Ed25519Signer(sha256(b"receipts").digest())
CLAIMS = Claims(origin="tagtrail.example/log", sub="tagtrail/capture/v1", iat=1_767_225_600)
ENTRIES = [b"entry %d" % n for n in range(13)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
PEM = parse_public_key(SIGNER.x).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def make(index: int, size: int = 13) -> bytes:
    return sign_receipt(
        SIGNER,
        CLAIMS,
        index=LeafIndex(index),
        size=TreeSize(size),
        path=prove_inclusion(LEAVES[:size], LeafIndex(index)),
        root=tree_root(LEAVES[:size]),
    )


def theirs(receipt: bytes, entry: bytes) -> "scitt_cose.ReceiptResult":
    return scitt_cose.verify_receipt(
        receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=PEM
    )


@pytest.mark.parametrize("size", [1, 2, 7, 8, 13])
def test_another_implementation_accepts_each_of_our_receipts(size: int) -> None:
    for index in range(size):
        result = theirs(make(index, size), ENTRIES[index])
        assert result.ok, result.errors
        assert (result.tree_size, result.leaf_index) == (size, index)
        assert result.root == tree_root(LEAVES[:size]).hex()
        assert (result.issuer, result.subject, result.iat) == (
            CLAIMS.origin,
            CLAIMS.sub,
            CLAIMS.iat,
        )
        assert result.protected_header_ext == {4: SIGNER.kid}
        assert verify_receipt(parse_receipt(make(index, size)), ENTRIES[index], SIGNER.x) == (
            tree_root(LEAVES[:size])
        )


def test_the_headers_are_the_bytes_of_the_specification() -> None:
    protected, unprotected, payload, signature = cbor2.loads(make(5)).value
    assert protected.hex().startswith("a40127045820" + SIGNER.kid.hex())
    assert protected.hex().endswith("19018b01")
    assert payload is None
    assert len(signature) == 64
    assert list(unprotected) == [396]


def test_no_flipped_bit_of_a_receipt_is_believed_but_for_what_nobody_signed() -> None:
    receipt = make(5)
    honest = parse_receipt(receipt)
    dressed_up = set()
    for at in range(len(receipt) * 8):
        forged = bytearray(receipt)
        forged[at // 8] ^= 1 << at % 8
        data = bytes(forged)
        try:
            parsed = parse_receipt(data)
            root = verify_receipt(parsed, ENTRIES[5], SIGNER.x)
        except (ParseError, VerificationError):
            if at % 8 == 0:
                assert not theirs(data, ENTRIES[5]).ok
            continue
        # A tree of another size can have a proof of this shape: size and index prove nothing.
        assert root == tree_root(LEAVES)
        assert replace(parsed, size=honest.size, index=honest.index) == honest
        dressed_up.add((parsed.size, parsed.index))
    assert 0 < len(dressed_up) < 8


def test_a_receipt_of_another_entry_or_another_key_is_not_believed() -> None:
    receipt = parse_receipt(make(5))
    with pytest.raises(VerificationError):
        verify_receipt(receipt, ENTRIES[6], SIGNER.x)
    with pytest.raises(VerificationError, match="not by this"):
        verify_receipt(receipt, ENTRIES[5], Ed25519Signer(bytes(32)).x)
    assert not theirs(make(5), ENTRIES[6]).ok


def respell(**changes: object) -> bytes:
    """Return a receipt that `cbor2` spells, with some of its four items replaced."""
    names = ("protected", "unprotected", "payload", "signature")
    items = dict(zip(names, cbor2.loads(make(5)).value, strict=True))
    return bytes(cbor2.dumps(cbor2.CBORTag(18, [*(items | changes).values()]), canonical=True))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        make(5)[1:],
        make(5) + b"\0",
        respell(payload=tree_root(LEAVES)),
        respell(signature=bytes(63)),
        respell(unprotected={}),
        respell(unprotected={396: {-1: []}}),
        respell(unprotected={396: {-1: [cbor2.dumps([13, 13, []])]}}),
        respell(unprotected={396: {-1: [cbor2.dumps([13, 5, [b"short"]])]}}),
        respell(unprotected={396: {-1: [cbor2.dumps([13, 5, [bytes(32)] * 64])]}}),
        respell(unprotected={396: {-1: [b"\xff"]}}),
        respell(unprotected={396: {-1: [b"", b""]}}),
        respell(protected=cbor2.dumps({1: -8})),
        respell(
            protected=cbor2.dumps({1: -7, 4: SIGNER.kid, 15: {1: "a", 2: "b", 6: 1}, 395: 1})
        ),
        respell(
            protected=cbor2.dumps({1: -8, 4: SIGNER.kid, 15: {1: "a", 2: "b", 6: -1}, 395: 1})
        ),
        respell(
            protected=cbor2.dumps({1: -8, 4: SIGNER.kid, 15: {1: "a", 2: "b", 6: 1}, 395: 2})
        ),
        b"\xd2" + bytes(20_000),
    ],
)
def test_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_receipt(data)


@given(st.binary(max_size=300))
def test_whatever_comes_is_parsed_or_refused(data: bytes) -> None:
    for whole in (data, b"\xd2" + data, make(3)[:40] + data):
        try:
            receipt = parse_receipt(whole)
        except ParseError:
            continue
        assert format_receipt(receipt) == whole


def test_the_receipts_of_the_other_implementation_are_judged_alike(shared_data: Path) -> None:
    """Their receipts have headers of their own, so only ours parse; ours are a subset."""
    vectors = json.loads((shared_data / "ledger/scitt-cose/v1_vectors.json").read_text())
    seen = set()
    for name, files in vectors.items():
        expected = files["expected.json"]
        key = load_pem_public_key(files["log-key.pub"].encode())
        receipt = bytes.fromhex(files["receipt.cose"]["hex"])
        result = scitt_cose.verify_receipt(
            receipt,
            leaf_entry_hex=expected["leaf_entry"],
            log_public_key_pem=files["log-key.pub"].encode(),
        )
        assert result.ok == expected["receipt_valid"], name
        assert key is not None
        with pytest.raises(ParseError):
            parse_receipt(receipt)
        seen.add(result.ok)
    assert seen == {True, False}
