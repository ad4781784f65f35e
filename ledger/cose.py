"""The one spelling of CBOR, COSE_Sign1 and Ed25519 that tagtrail signs and accepts.

Hides RFC 8949, RFC 9052, RFC 9679 and RFC 8032 behind a handful of functions. A signed
message is always the tagged form with an attached payload and nothing unprotected:

    d2 84              tag 18, an array of four
       58 66 a3 …      protected header, a byte string
       a0              unprotected header: the empty map, nothing else
       59 01 0c 85 …   payload, a byte string
       58 40 …         signature, 64 bytes

CBOR is deterministic (RFC 8949 section 4.2.1) and small: integers from -2⁶³ to 2⁶³ - 1,
byte strings, text, arrays, maps with integer or text keys in ascending order of their
encoded bytes, and null. Refused: long forms of a number, indefinite lengths, tags (but
for the 18 above), booleans, undefined, simple values, floats, repeated or unordered map
keys, text that is not UTF-8, nesting deeper than 16, bytes after the end. No two byte
strings decode to the same value, so `encode_cbor(decode_cbor(data)) == data` always.

Ed25519 is cofactorless and strict: S < L, the public key canonical and of large order.
R needs no look of its own: OpenSSL encodes the point that it computes and compares bytes,
so an R that is spelled otherwise never matches; it is checked all the same.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from ledger.errors import ParseError, VerificationError

INTEGER_MAX: Final = 2**63 - 1
DEPTH_MAX: Final = 16
SIGNATURE_SIZE: Final = 64
PUBLIC_KEY_SIZE: Final = 32
KEYS_CACHED: Final = 4096

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = range(6)
_NULL: Final = 0xF6
# The least number that deserves each of the long forms, by the low five bits of a head.
_LEAST: Final = {24: 24, 25: 2**8, 26: 2**16, 27: 2**32}
_SHORT_MAX, _LONG_MAX = 23, 27

_SIGN1_START, _UNPROTECTED = b"\xd2\x84", b"\xa0"
_SIGNATURE_HEAD: Final = b"\x58\x40"
_SIG_STRUCTURE_START: Final = b"\x84\x6aSignature1"
_NO_EXTERNAL_AAD: Final = b"\x40"
_THUMBPRINT_START: Final = bytes.fromhex("a301012006215820")

_FIELD_PRIME: Final = 2**255 - 19
_GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT: Final = 2**255
# The y coordinates of the eight points whose order divides the cofactor.
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)


class SignatureError(VerificationError):
    """A signature that does not hold, or a key under which none can be trusted."""


class Signer(Protocol):
    """Whoever holds a private Ed25519 key: a key file, a device, a hardware module."""

    @property
    def kid(self) -> bytes:
        """The COSE Key Thumbprint of `x`, 32 bytes."""

    @property
    def x(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature over `message`."""


@dataclass(frozen=True, slots=True)
class Sign1:
    """The three byte strings of a COSE_Sign1 message."""

    protected: bytes
    payload: bytes
    signature: bytes


class Ed25519Signer:
    """A signer whose private key is in this process's memory."""

    __slots__ = ("_key", "kid", "x")

    def __init__(self, seed: bytes) -> None:
        """Hold the key of RFC 8032 made from `seed`, 32 bytes of good randomness."""
        if len(seed) != PUBLIC_KEY_SIZE:
            raise ParseError("Ed25519 seed", f"is {len(seed)} bytes long, want 32")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.x: bytes = self._key.public_key().public_bytes_raw()
        self.kid: bytes = key_thumbprint(self.x)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature over `message`."""
        return self._key.sign(message)


# --- CBOR, RFC 8949 -----------------------------------------------------------------


def encode_head(major: int, argument: int) -> bytes:
    """Return the shortest head of a data item of type `major` (0 to 7)."""
    if argument <= _SHORT_MAX:
        return bytes((major << 5 | argument,))
    for low, width in ((24, 1), (25, 2), (26, 4)):
        if argument < 1 << 8 * width:
            return bytes((major << 5 | low,)) + argument.to_bytes(width, "big")
    return bytes((major << 5 | 27,)) + argument.to_bytes(8, "big")


def encode_byte_string(data: bytes) -> bytes:
    """Return `data` as a CBOR byte string."""
    size = len(data)
    return (_HEADS[size] if size < len(_HEADS) else encode_head(_BYTES, size)) + data


_HEADS: Final = tuple(encode_head(_BYTES, size) for size in range(1024))


def encode_cbor(value: object) -> bytes:
    """Return the deterministic encoding of `value`.

    Raises `ParseError` for a value that this CBOR cannot say.
    """
    chunks: list[bytes] = []
    _encode(value, chunks)
    return b"".join(chunks)


def _encode(value: object, chunks: list[bytes]) -> None:
    match value:
        case None:
            chunks.append(b"\xf6")
        case bytes():
            chunks.append(encode_byte_string(value))
        case bool():
            raise ParseError("CBOR", f"{value} has no place in this CBOR")
        case int():
            chunks.append(_encode_integer(value))
        case str():
            data = _encode_utf8(value)
            chunks.append(encode_head(_TEXT, len(data)) + data)
        case list() | tuple():
            chunks.append(encode_head(_ARRAY, len(value)))
            for item in value:
                _encode(item, chunks)
        case dict():
            chunks.append(encode_head(_MAP, len(value)))
            pairs = ((_encode_key(key), encode_cbor(item)) for key, item in value.items())
            chunks.extend(key + item for key, item in sorted(pairs))
        case _:
            raise ParseError("CBOR", f"a {type(value).__name__} has no place in this CBOR")


def _encode_integer(value: int) -> bytes:
    if not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
        raise ParseError("CBOR", f"{value} is no integer of 64 bits with a sign")
    return encode_head(_UNSIGNED, value) if value >= 0 else encode_head(_NEGATIVE, -1 - value)


def _encode_utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ParseError("CBOR", f"{text!r} holds a lone surrogate") from error


def _encode_key(key: object) -> bytes:
    if not isinstance(key, int | str):
        raise ParseError("CBOR", f"a map key is a {type(key).__name__}, want a number or text")
    return encode_cbor(key)


def decode_cbor(data: bytes, where: str) -> object:
    """Return the value that `data` spells, whole; `where` names it in the error.

    Raises `ParseError` for anything but the one deterministic spelling of one value.
    """
    value, end = _decode(data, 0, 0, where)
    if end != len(data):
        raise ParseError(where, f"ends at byte {end}, but {len(data) - end} more follow")
    return value


def read_head(data: bytes, at: int, where: str) -> tuple[int, int, int]:
    """Return the major type and argument of the head at byte `at`, and where it ends.

    Raises `ParseError` for a head that is cut short, of indefinite length, or longer
    than its number needs.
    """
    if at >= len(data):
        raise ParseError(where, f"ends at byte {at}, where an item should start")
    first = data[at]
    low = first & 0x1F
    if low <= _SHORT_MAX:
        return first >> 5, low, at + 1
    if low > _LONG_MAX:
        raise ParseError(where, f"byte {at} starts an item of indefinite or reserved length")
    end = at + 1 + (1 << low - 24)
    argument = int.from_bytes(data[at + 1 : end], "big")
    if end > len(data):
        raise ParseError(where, f"ends inside the number at byte {at}")
    if argument < _LEAST[low]:
        raise ParseError(where, f"the number at byte {at} is not in its shortest form")
    return first >> 5, argument, end


def read_byte_string(data: bytes, at: int, where: str) -> tuple[bytes, int]:
    """Return the byte string at byte `at` and where it ends, or raise `ParseError`."""
    if data[at : at + 1] == b"\x58" and data[at + 1 : at + 2] > b"\x17":
        start = at + 2  # The usual: 24 to 255 bytes.
        end = start + data[at + 1]
    else:
        major, size, start = read_head(data, at, where)
        if major != _BYTES:
            raise ParseError(where, f"byte {at} does not start a byte string")
        end = start + size
    if end > len(data):
        raise ParseError(where, f"the byte string at byte {at} runs past the end")
    return data[start:end], end


def read_array_head(data: bytes, at: int, where: str) -> tuple[int, int]:
    """Return the count of the array at byte `at` and where its head ends.

    Raises `ParseError`, also for a count that the bytes left could never hold.
    """
    major, count, end = read_head(data, at, where)
    if major != _ARRAY:
        raise ParseError(where, f"byte {at} does not start an array")
    if count > len(data) - end:
        raise ParseError(where, f"the array at byte {at} claims more items than bytes follow")
    return count, end


def _decode(data: bytes, at: int, depth: int, where: str) -> tuple[object, int]:
    major, argument, end = read_head(data, at, where)
    match major:
        case 0 | 1:
            if argument > INTEGER_MAX:
                raise ParseError(where, f"the number at byte {at} is not below 2^63")
            return (argument if major == _UNSIGNED else -1 - argument), end
        case 2:
            return read_byte_string(data, at, where)
        case 3:
            return _decode_text(data, end, argument, where), end + argument
        case 4 | 5:
            if depth == DEPTH_MAX:
                raise ParseError(where, f"nests deeper than {DEPTH_MAX}")
            if major == _MAP:
                return _decode_map(data, at, depth, where)
            return _decode_array(data, at, depth, where)
        case _:
            if data[at] != _NULL:
                raise ParseError(where, f"byte {at} starts a tag, a float or a simple value")
            return None, end


def _decode_text(data: bytes, start: int, size: int, where: str) -> str:
    if start + size > len(data):
        raise ParseError(where, f"the text at byte {start} runs past the end")
    try:
        return data[start : start + size].decode()
    except UnicodeDecodeError as error:
        raise ParseError(where, f"the text at byte {start} is not UTF-8") from error


def _decode_array(data: bytes, at: int, depth: int, where: str) -> tuple[object, int]:
    count, end = read_array_head(data, at, where)
    items = []
    for _ in range(count):
        item, end = _decode(data, end, depth + 1, where)
        items.append(item)
    return items, end


def _decode_map(data: bytes, at: int, depth: int, where: str) -> tuple[object, int]:
    _, count, end = read_head(data, at, where)
    items: dict[int | str, object] = {}
    last_key = b""
    for _ in range(count):
        start = end
        key, end = _decode(data, start, depth + 1, where)
        if not isinstance(key, int | str):
            raise ParseError(where, f"the map key at byte {start} is no number and no text")
        if data[start:end] <= last_key:
            raise ParseError(where, f"the map key at byte {start} is repeated or out of order")
        last_key = data[start:end]
        items[key], end = _decode(data, end, depth + 1, where)
    return items, end


# --- COSE_Sign1, RFC 9052 -----------------------------------------------------------


def encode_sign1(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    """Return the tagged message; `signature` is 64 bytes over `signature_input`."""
    assert len(signature) == SIGNATURE_SIZE
    return b"".join(
        (
            _SIGN1_START,
            encode_byte_string(protected),
            _UNPROTECTED,
            encode_byte_string(payload),
            _SIGNATURE_HEAD,
            signature,
        )
    )


def decode_sign1(data: bytes) -> Sign1:
    """Return the parts of the tagged message `data`; the signature is not verified.

    Raises `ParseError` for an untagged message, an unprotected header that is not the
    empty map, a detached payload, or a signature that is not 64 bytes.
    """
    where = "COSE_Sign1"
    if data[:2] != _SIGN1_START:
        raise ParseError(where, "does not start with tag 18 and an array of four (d2 84)")
    protected, at = read_byte_string(data, 2, where)
    if data[at : at + 1] != _UNPROTECTED:
        raise ParseError(where, "has an unprotected header other than the empty map (a0)")
    payload, at = read_byte_string(data, at + 1, where)
    if data[at : at + 2] != _SIGNATURE_HEAD or len(data) != at + 2 + SIGNATURE_SIZE:
        raise ParseError(where, "does not end with a signature of 64 bytes")
    return Sign1(protected, payload, data[at + 2 :])


def signature_input(protected: bytes, payload: bytes) -> bytes:
    """Return the bytes that are signed: the Sig_structure of RFC 9052 section 4.4."""
    return b"".join(
        (
            _SIG_STRUCTURE_START,
            encode_byte_string(protected),
            _NO_EXTERNAL_AAD,
            encode_byte_string(payload),
        )
    )


# --- Ed25519, RFC 8032, and its keys' names, RFC 9679 ------------------------------


def key_thumbprint(x: bytes) -> bytes:
    """Return the COSE Key Thumbprint (RFC 9679) of the Ed25519 public key `x`."""
    assert len(x) == PUBLIC_KEY_SIZE
    return sha256(_THUMBPRINT_START + x).digest()


@lru_cache(maxsize=KEYS_CACHED)
def parse_public_key(x: bytes) -> Ed25519PublicKey:
    """Return the public key `x`; the last 4,096 different ones are remembered.

    Raises `SignatureError` for a key that is not 32 bytes, not in its canonical
    encoding, or of small order (any message verifies under some signature of such a
    key). Whether `x` is on the curve shows with the first signature.
    """
    if len(x) != PUBLIC_KEY_SIZE:
        raise SignatureError(f"public key is {len(x)} bytes long, want 32")
    y = int.from_bytes(x, "little") % _SIGN_BIT
    if y >= _FIELD_PRIME:
        raise SignatureError(f"public key {x.hex()} is not in its canonical encoding")
    if y in _SMALL_ORDER_Y:
        raise SignatureError(f"public key {x.hex()} is of small order")
    return Ed25519PublicKey.from_public_bytes(x)


def verify_ed25519(x: bytes, signature: bytes, message: bytes) -> None:
    """Raise `SignatureError` unless `signature` over `message` holds under the key `x`."""
    key = parse_public_key(x)
    if len(signature) != SIGNATURE_SIZE:
        raise SignatureError(f"signature is {len(signature)} bytes long, want 64")
    if int.from_bytes(signature[:32], "little") % _SIGN_BIT >= _FIELD_PRIME:
        raise SignatureError("signature has an R that is not in its canonical encoding")
    if int.from_bytes(signature[32:], "little") >= _GROUP_ORDER:
        raise SignatureError("signature has an S that is not below the order of the group")
    try:
        key.verify(signature, message)
    except InvalidSignature as error:
        raise SignatureError(f"signature does not hold under the key {x.hex()}") from error
