"""Vectors of CBOR, COSE_Sign1 and Ed25519: what is accepted, and each way to be refused."""

from collections.abc import Iterator
from hashlib import sha256

from ledger.cose import Ed25519Signer, encode_cbor, encode_sign1, signature_input
from tests.ledger.memory_log import signer_named
from tests.vectors.edwards import (
    BASE,
    IDENTITY,
    L,
    P,
    add,
    challenge,
    encode,
    multiply,
    order_of,
    recover_x,
    secret_scalar,
)

Vector = tuple[str, dict[str, object]]
MESSAGE = b"a case left the dairy"

CBOR_ACCEPTED = {
    "number_0": (0, "00"),
    "number_23": (23, "17"),
    "number_24": (24, "1818"),
    "number_255": (255, "18ff"),
    "number_256": (256, "190100"),
    "number_65536": (65536, "1a00010000"),
    "number_4294967296": (2**32, "1b0000000100000000"),
    "number_greatest": (2**63 - 1, "1b7fffffffffffffff"),
    "number_minus_8": (-8, "27"),
    "number_least": (-(2**63), "3b7fffffffffffffff"),
    "null": (None, "f6"),
    "byte_string_empty": (b"", "40"),
    "byte_string_of_24": (bytes(24), "5818" + "00" * 24),
    "text_empty": ("", "60"),
    "text_of_two_bytes_a_letter": ("ü", "62c3bc"),
    "array_empty": ([], "80"),
    "array_in_array": ([1, [2, None]], "82018202f6"),
    "map_keys_ascending": ({1: -8, 4: b"", 15: {}}, "a301270440" + "0fa0"),
    "map_text_after_numbers": ({100: 1, "a": 2}, "a2186401" + "616102"),
}

CBOR_REFUSED = {
    "number_23_in_two_bytes": ("1817", "A number below 24 fits into its head."),
    "number_255_in_three_bytes": ("1900ff", "The long form of a number is another spelling."),
    "number_65535_in_five_bytes": ("1a0000ffff", "The long form of a number."),
    "number_of_32_bits_in_nine_bytes": ("1b00000000ffffffff", "The long form of a number."),
    "number_2_to_the_63": ("1b8000000000000000", "Numbers stay below 2^63."),
    "number_minus_2_to_the_63_minus_1": ("3b8000000000000000", "And above -2^63 - 1."),
    "head_of_reserved_length": ("1c", "Additional information 28 to 30 is reserved."),
    "byte_string_of_indefinite_length": ("5f4100ff", "Lengths are definite."),
    "text_of_indefinite_length": ("7f6161ff", "Lengths are definite."),
    "array_of_indefinite_length": ("9f01ff", "Lengths are definite."),
    "map_of_indefinite_length": ("bf0101ff", "Lengths are definite."),
    "byte_string_length_in_two_bytes": ("580100", "A length is a number in its shortest form."),
    "false": ("f4", "There are no booleans."),
    "true": ("f5", "There are no booleans."),
    "undefined": ("f7", "There is no undefined."),
    "null_in_two_bytes": ("f816", "Null is f6."),
    "simple_value": ("f820", "There are no simple values."),
    "float_of_16_bits": ("f93c00", "There are no floats."),
    "float_of_64_bits": ("fb3ff0000000000000", "There are no floats."),
    "tag_of_a_bignum": ("c24101", "There are no tags, so no second spelling of a number."),
    "tag_of_a_shared_value": ("d81c80", "There are no tags, so no cycles."),
    "map_key_repeated": ("a201010102", "A map says each key once."),
    "map_keys_length_first": ("a20f000400", "Keys ascend by their bytes."),
    "map_text_before_number": ("a2616102186401", "Keys ascend by their bytes, not by length."),
    "map_key_of_bytes": ("a1410000", "Keys are numbers or text."),
    "map_key_null": ("a1f600", "Keys are numbers or text."),
    "text_not_utf8": ("61ff", "Text is UTF-8."),
    "text_lone_surrogate": ("63eda080", "Half of a surrogate pair is not UTF-8."),
    "text_overlong": ("62c080", "UTF-8 has one spelling too."),
    "bytes_after_the_end": ("0000", "One value, and nothing after it."),
    "nothing": ("", "One value, not none."),
    "number_cut_short": ("1901", "The input ends inside a number."),
    "byte_string_cut_short": ("4201", "The input ends inside a byte string."),
    "text_cut_short": ("6261", "The input ends inside text."),
    "array_cut_short": ("820101"[:4], "The input ends inside an array."),
    "array_claims_too_much": ("9a7fffffff00", "A count that the bytes left cannot hold."),
    "map_cut_short": ("a201", "The input ends inside a map."),
    "nesting_17_deep": ("81" * 17 + "00", "Nothing nests deeper than 16."),
    "break_alone": ("ff", "A break ends nothing here."),
}


def vectors() -> Iterator[Vector]:
    """Yield (name, content) of each vector of this module."""
    for name, (value, data) in CBOR_ACCEPTED.items():
        assert encode_cbor(value).hex() == data, name
        yield f"cose/cbor_{name}", {"says": "Accepted.", "accepted": True, "cbor": data}
    for name, (data, says) in CBOR_REFUSED.items():
        yield f"cose/cbor_{name}", {"says": says, "accepted": False, "cbor": data}
    yield from _sign1_vectors()
    yield from _ed25519_vectors()
    yield _thumbprint_vector()


def _sign1_vectors() -> Iterator[Vector]:
    protected, payload = encode_cbor({1: -8}), encode_cbor([1, 2])
    signer = signer_named("dairy")
    signature = signer.sign(signature_input(protected, payload))
    good = encode_sign1(protected, payload, signature)
    yield (
        "cose/sign1_good",
        {
            "says": "Tagged, nothing unprotected, the payload attached, 64 bytes signed.",
            "accepted": True,
            "sign1": good.hex(),
            "x": signer.x.hex(),
            "sig_structure": signature_input(protected, payload).hex(),
        },
    )
    tail = good[3 + len(protected) + 1 :]
    refused = {
        "untagged": (good[1:], "The tag belongs to the message."),
        "tag_98": (b"\xd8\x62" + good[1:], "COSE_Sign has another tag."),
        "tag_in_two_bytes": (b"\xd8\x12" + good[1:], "The long form of tag 18."),
        "unprotected_not_empty": (
            good[: 3 + len(protected)] + b"\xa1\x04\x41\x00" + tail,
            "What nobody signs is not carried.",
        ),
        "unprotected_in_two_bytes": (
            good[: 3 + len(protected)] + b"\xb8\x00" + tail,
            "The long form of the empty map.",
        ),
        "payload_detached": (
            good[: 3 + len(protected)] + b"\xa0\xf6" + tail[1 + len(payload) :],
            "The payload is always there.",
        ),
        "protected_length_in_two_bytes": (
            b"\xd2\x84\x58\x03" + good[3:],
            "The long form of a length.",
        ),
        "signature_of_63_bytes": (good[:-66] + b"\x58\x3f" + good[-63:], "64 bytes."),
        "signature_of_65_bytes": (good[:-66] + b"\x58\x41" + good[-65:], "64 bytes."),
        "five_elements": (b"\xd2\x85" + good[2:] + b"\x00", "Four."),
        "byte_after_the_end": (good + b"\x00", "Nothing follows the signature."),
        "cut_short": (good[:-1], "The signature is cut off."),
        "header_alone": (good[: 3 + len(protected)], "All but the header is cut off."),
    }
    for name, (data, says) in refused.items():
        yield f"cose/sign1_{name}", {"says": says, "accepted": False, "sign1": data.hex()}


def _ed25519_vectors() -> Iterator[Vector]:
    signer = Ed25519Signer(sha256(b"dairy").digest())
    signature = signer.sign(MESSAGE)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    yield _ed25519("good", "As RFC 8032 signs.", signer.x, signature, accepted=True)
    yield _ed25519(
        "s_plus_the_group_order",
        "S < L, or anybody could make a second signature out of the first.",
        signer.x,
        r + (s + L).to_bytes(32, "little"),
    )
    torsion = _point_of_order_8()
    yield _ed25519(
        "cofactored_alone",
        "R is off by a point of order 8: who multiplies by the cofactor accepts it.",
        signer.x,
        _sign_with_torsion(torsion),
    )
    for n in range(8):
        point = multiply(n, torsion)
        yield _ed25519(
            f"key_of_order_{order_of(point)}_number_{n}",
            "A key of small order: some signature holds for a share of all messages.",
            encode(point),
            encode(IDENTITY) + bytes(32),
        )
    for name, y in {"p_plus_1": P + 1, "p": P, "p_plus_3": P + 3}.items():
        yield _ed25519(
            f"key_y_is_{name}",
            "y is not below p: a second spelling of a key.",
            y.to_bytes(32, "little"),
            signature,
        )
    yield _ed25519(
        "key_minus_zero",
        "x is 0 with its sign bit set: a second spelling of the neutral point.",
        (1 | 1 << 255).to_bytes(32, "little"),
        encode(IDENTITY) + bytes(32),
    )
    yield _ed25519(
        "key_not_on_the_curve", "No x belongs to y = 2.", (2).to_bytes(32, "little"), signature
    )
    yield _ed25519(
        "r_y_is_p_plus_1",
        "R has one spelling.",
        signer.x,
        (P + 1).to_bytes(32, "little") + signature[32:],
    )
    yield _ed25519("other_key", "Another key signed.", signer_named("farm").x, signature)
    yield _ed25519("key_of_31_bytes", "A key is 32 bytes.", signer.x[:31], signature)
    yield _ed25519("signature_of_63_bytes", "64 bytes.", signer.x, signature[:63])


def _ed25519(
    name: str, says: str, x: bytes, signature: bytes, *, accepted: bool = False
) -> Vector:
    content: dict[str, object] = {"says": says, "accepted": accepted, "x": x.hex()}
    return f"cose/ed25519_{name}", content | {
        "signature": signature.hex(),
        "message": MESSAGE.hex(),
    }


def _point_of_order_8() -> tuple[int, int]:
    y = 2
    while True:
        try:
            point = multiply(L, (recover_x(y, 0), y))
        except AssertionError:
            point = IDENTITY
        if order_of(point) == 8:
            return point
        y += 1


def _sign_with_torsion(torsion: tuple[int, int]) -> bytes:
    """Return R, S with 8SB = 8R + 8hA, but not SB = R + hA."""
    a = secret_scalar(sha256(b"dairy").digest())
    x = encode(multiply(a, BASE))
    nonce = 54321
    r = encode(add(multiply(nonce, BASE), torsion))
    return r + ((nonce + challenge(r, x, MESSAGE) * a) % L).to_bytes(32, "little")


def _thumbprint_vector() -> Vector:
    signer = signer_named("dairy")
    return "cose/thumbprint", {
        "says": "RFC 9679: SHA-256 of {1: 1, -1: 6, -2: x}.",
        "accepted": True,
        "x": signer.x.hex(),
        "kid": signer.kid.hex(),
    }
