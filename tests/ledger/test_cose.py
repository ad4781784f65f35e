"""CBOR, COSE_Sign1 and Ed25519 against vectors, foreign and own, and against cbor2."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.cose import (
    DEPTH_MAX,
    Ed25519Signer,
    Sign1,
    SignatureError,
    decode_cbor,
    decode_sign1,
    encode_cbor,
    encode_head,
    encode_sign1,
    key_thumbprint,
    parse_public_key,
    read_array_head,
    signature_input,
    verify_ed25519,
)
from ledger.errors import ParseError
from tests.ledger.mutants import fuzz, load_vectors

VECTORS = load_vectors("cose")
INTEGERS = st.integers(-(2**63), 2**63 - 1)
LEAVES = st.none() | INTEGERS | st.binary() | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(INTEGERS | st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


def of_kind(prefix: str) -> Any:
    names = [name for name in VECTORS if name.startswith(prefix)]
    return pytest.mark.parametrize("name", names)


@of_kind("cbor_")
def test_a_cbor_vector(name: str) -> None:
    vector = VECTORS[name]
    data = bytes.fromhex(vector["cbor"])
    if vector["accepted"]:
        assert encode_cbor(decode_cbor(data, "vector")) == data
    else:
        with pytest.raises(ParseError):
            decode_cbor(data, "vector")


@of_kind("sign1_")
def test_a_sign1_vector(name: str) -> None:
    vector = VECTORS[name]
    data = bytes.fromhex(vector["sign1"])
    if vector["accepted"]:
        parts = decode_sign1(data)
        assert encode_sign1(parts.protected, parts.payload, parts.signature) == data
        message = signature_input(parts.protected, parts.payload)
        assert message.hex() == vector["sig_structure"]
        verify_ed25519(bytes.fromhex(vector["x"]), parts.signature, message)
    else:
        with pytest.raises(ParseError):
            decode_sign1(data)


@of_kind("ed25519_")
def test_an_ed25519_vector(name: str) -> None:
    vector = VECTORS[name]
    x, signature, message = (
        bytes.fromhex(vector[key]) for key in ("x", "signature", "message")
    )
    if vector["accepted"]:
        verify_ed25519(x, signature, message)
    else:
        with pytest.raises(SignatureError):
            verify_ed25519(x, signature, message)


def test_the_thumbprint_vector() -> None:
    vector = VECTORS["thumbprint"]
    x = bytes.fromhex(vector["x"])
    assert key_thumbprint(x).hex() == vector["kid"]
    assert key_thumbprint(x) == sha256(cbor2.dumps({1: 1, -1: 6, -2: x})).digest()


def test_wycheproof_ed25519_all_cases(shared_data: Path) -> None:
    suite = json.loads((shared_data / "ledger/wycheproof/ed25519_test.json").read_text())
    wrong, count = [], 0
    for group in suite["testGroups"]:
        x = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            count += 1
            try:
                verify_ed25519(x, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
                result = "valid"
            except SignatureError:
                result = "invalid"
            if result != case["result"]:
                wrong.append(case["tcId"])
    assert (wrong, count) == ([], 151)


@given(VALUES)
def test_what_is_encoded_is_decoded(value: object) -> None:
    assert decode_cbor(encode_cbor(value), "value") == value


@given(VALUES)
def test_cbor2_reads_what_we_write(value: object) -> None:
    assert cbor2.loads(encode_cbor(value)) == value


@given(st.none() | INTEGERS | st.binary(max_size=300) | st.text("aü€😀", max_size=300))
def test_cbor2_writes_what_we_write(value: object) -> None:
    assert encode_cbor(value) == cbor2.dumps(value)


@given(st.binary(max_size=60))
@example(bytes.fromhex("a201020304"))
def test_any_bytes_have_one_spelling_or_none(data: bytes) -> None:
    try:
        value = decode_cbor(data, "any")
    except ParseError:
        return
    assert encode_cbor(value) == data


def test_mutants_of_valid_cbor_are_parsed_or_refused() -> None:
    samples = [bytes.fromhex(v["cbor"]) for v in VECTORS.values() if "cbor" in v]
    tally = fuzz(samples, lambda data: encode_cbor(decode_cbor(data, "mutant")), count=20_000)
    assert tally.accepted
    assert tally.refused


def test_mutants_of_a_signed_message_are_parsed_or_refused() -> None:
    def respell(data: bytes) -> bytes:
        parts = decode_sign1(data)
        return encode_sign1(parts.protected, parts.payload, parts.signature)

    tally = fuzz([bytes.fromhex(VECTORS["sign1_good"]["sign1"])], respell, count=10_000)
    assert tally.accepted
    assert tally.refused


def test_nesting_of_16_is_the_deepest() -> None:
    deepest = b"\x81" * DEPTH_MAX + b"\x00"
    assert encode_cbor(decode_cbor(deepest, "deep")) == deepest
    with pytest.raises(ParseError, match="nests deeper"):
        decode_cbor(b"\x81" + deepest, "deep")


@pytest.mark.parametrize(
    "value",
    [True, 1.5, 2**63, -(2**63) - 1, "\ud800", {b"key": 1}, {None: 1}, {1, 2}, [object]],
)
def test_what_cannot_be_said_is_not_encoded(value: object) -> None:
    with pytest.raises(ParseError):
        encode_cbor(value)


@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63])
def test_a_head_is_as_short_as_can_be(number: int) -> None:
    assert encode_head(0, number) == cbor2.dumps(number)


def test_an_array_head_is_of_an_array() -> None:
    assert read_array_head(b"\x82\x00\x00", 0, "array") == (2, 1)
    with pytest.raises(ParseError, match="does not start an array"):
        read_array_head(b"\x42\x00\x00", 0, "array")


def test_an_error_says_where_and_at_which_byte() -> None:
    with pytest.raises(
        ParseError, match="payload: the number at byte 1 is not in its shortest"
    ):
        decode_cbor(bytes.fromhex("811817"), "payload")


def test_a_seed_is_32_bytes() -> None:
    with pytest.raises(ParseError, match="31 bytes"):
        Ed25519Signer(bytes(31))


def test_a_signer_signs_what_its_key_verifies() -> None:
    signer = Ed25519Signer(bytes(range(32)))
    verify_ed25519(signer.x, signer.sign(b"message"), b"message")
    assert signer.kid == key_thumbprint(signer.x)


def test_a_public_key_is_looked_at_once() -> None:
    x = Ed25519Signer(bytes(32)).x
    assert parse_public_key(x) is parse_public_key(bytes(bytearray(x)))


def test_the_parts_of_a_message_are_what_was_put_in() -> None:
    assert decode_sign1(encode_sign1(b"p", b"load", bytes(64))) == Sign1(
        b"p", b"load", bytes(64)
    )
