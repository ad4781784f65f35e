"""Statements: what a party signs, in one spelling, each linked to the one before.

A statement is a COSE_Sign1 message (`ledger.cose`) of at most 64,000 bytes, an
equivocation of at most 65,400:

    protected  {1: -8, 4: kid, 15: {1: iss, 2: sub, 3: aud, 6: iat}}
    payload    [epoch, seq, prev, seen, body]

`sub` names the kind, and the kind the shape of `body` (CDDL; h is 32 bytes):

    tagtrail/capture/v1       [grade: 0..3, count: 0..65536, root: h]
    tagtrail/key/v1           [op: 0..5, kid: h, iss: tstr, role: tstr, x: h / null,
                               epoch: uint, last: [seq: uint, id: h] / null,
                               grade_max: 0..3, heartbeat_s: uint, prefixes: [* tstr],
                               suspect_since: uint / null, pop: bstr .size 64 / null]
    tagtrail/anchor/v1        [vkey: tstr, note: bstr, proof: [* h]]
    tagtrail/erasure/v1       [positions: [1*1024 [uint, uint]], reason: uint, who: h]
    tagtrail/policy/v1        [kind: 0..1, h]
    tagtrail/gap/v1           [source: tstr, what: 0..4, from: uint, to: uint,
                               count: uint / null, why: tstr]
    tagtrail/equivocation/v1  [index: uint, other: bstr]

The id of a statement is the SHA-256 of its Sig_structure, the bytes that are signed, so
that a second signature over the same bytes is the same statement. `prev` is the id of the
statement that the same key signed before in the same epoch, 32 zero bytes at `seq` 0.

Refused: all that `ledger.cose` refuses, header fields beyond these, `iss` or `aud` of
other than 1 to 512 bytes, other text of more than 1,024, control characters, positions
that do not ascend, a count of 0 without the empty tree's root and the reverse, another
kind. What a statement may say at its place in the log is for `ledger.trust` to judge.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache, partial
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

from ledger import cose
from ledger.disclosure import EVENTS_MAX
from ledger.errors import ParseError
from ledger.tlog.merkle import EMPTY_ROOT, HASH_SIZE, Hash

STATEMENT_BYTES_MAX: Final = 64_000
EQUIVOCATION_BYTES_MAX: Final = 65_400
NAME_BYTES_MAX: Final = 512
TEXT_BYTES_MAX: Final = 1_024
GRADE_MAX: Final = 3
POSITIONS_MAX: Final = 1_024
HEADERS_CACHED: Final = 4_096
NO_HASH: Final = Hash(bytes(HASH_SIZE))
"""What stands where there is nothing before: the `prev` of seq 0, the links of entry 0."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_USUAL_IAT: Final = 2**16
_POP_START: Final = "tagtrail/pop/v1\n"
_Shape: TypeAlias = Callable[[object], Any]


class KeyOp(IntEnum):
    """What a key statement does."""

    ENROL = 0
    ROTATE = 1
    NEW_EPOCH = 2
    REVOKE = 3
    COMPROMISED = 4
    SUSPEND = 5


class Seen(NamedTuple):
    """The newest checkpoint of the log that the source verified before it signed."""

    size: int
    root: Hash


class Last(NamedTuple):
    """A statement of a chain, as a key statement names it: its `seq` and its id."""

    seq: int
    id: Hash


@dataclass(frozen=True, slots=True)
class Capture:
    """These events happened; `count` 0 is a heartbeat. `grade` says how well it is known.

    3 signed on the device · 2 observed by a gateway · 1 a partner's document · 0 typed.
    """

    grade: int
    count: int
    root: Hash


@dataclass(frozen=True, slots=True)
class Key:
    """A key is enrolled, rotated, given a new epoch, revoked, compromised or suspended."""

    op: int
    kid: Hash
    iss: str
    role: str
    x: bytes | None = None
    epoch: int = 0
    last: Last | None = None
    grade_max: int = 0
    heartbeat_s: int = 0
    prefixes: tuple[str, ...] = ()
    suspect_since: int | None = None
    pop: bytes | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """Another log's checkpoint, with the proof that it extends the one anchored before."""

    vkey: str
    note: bytes
    proof: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class Erasure:
    """Events at these (entry index, position) are erased; `who` is a salted commitment."""

    positions: tuple[tuple[int, int], ...]
    reason: int
    who: Hash


@dataclass(frozen=True, slots=True)
class Policy:
    """A capture plan (0) or a sharing policy (1), named by its hash, comes into force."""

    kind: int
    digest: Hash


@dataclass(frozen=True, slots=True)
class Gap:
    """Something is missing from `start` to `end`, and the source says so itself.

    `what` is 0 event numbers · 1 reader drops · 2 silence · 3 quota · 4 quarantine.
    """

    source: str
    what: int
    start: int
    end: int
    count: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Equivocation:
    """The statement `other` and the one at `index` share a key, an epoch and a seq."""

    index: int
    other: bytes


Body: TypeAlias = Capture | Key | Anchor | Erasure | Policy | Gap | Equivocation


@dataclass(frozen=True, slots=True)
class Claims:
    """The issuer's URI, the origin of the log it speaks to, and when, in whole seconds."""

    iss: str
    aud: str
    iat: int


@dataclass(frozen=True, slots=True)
class Link:
    """The place of a statement in its key's chain, and the checkpoint seen before it."""

    epoch: int = 0
    seq: int = 0
    prev: Hash = NO_HASH
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement; `raw` is the tagged bytes and `message` the bytes signed."""

    kid: Hash
    iss: str
    sub: str
    aud: str
    iat: int
    epoch: int
    seq: int
    prev: Hash
    seen: Seen | None
    body: Body
    id: Hash
    raw: bytes = field(repr=False)
    message: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse_statement(raw: bytes) -> Statement:
    """Return the statement that the tagged bytes `raw` spell, or raise `ParseError`.

    The signature is not verified: that takes the key, which `ledger.trust` knows.
    """
    if len(raw) > EQUIVOCATION_BYTES_MAX:
        raise ParseError("statement", f"is longer than {EQUIVOCATION_BYTES_MAX} bytes")
    sign1 = cose.decode_sign1(raw)
    kid, iss, sub, aud, iat = parse_header(sign1.protected)
    if len(raw) > STATEMENT_BYTES_MAX and sub != _sub_of(Equivocation):
        raise ParseError("statement", f"is longer than {STATEMENT_BYTES_MAX} bytes")
    epoch, seq, prev, seen, items = _parse_payload(sign1.payload)
    body = _parse_body(sub, items)
    message = cose.signature_input(sign1.protected, sign1.payload)
    own_id = Hash(sha256(message).digest())
    place = iat, epoch, seq, prev, seen
    return Statement(kid, iss, sub, aud, *place, body, own_id, raw, message, sign1.signature)


def sign_statement(signer: cose.Signer, claims: Claims, link: Link, body: Body) -> bytes:
    """Return the tagged bytes of a new statement, signed.

    Raises `ParseError` for what `parse_statement` would refuse, before it is signed:
    a signature over two statements of one seq cannot be taken back.
    """
    names = {1: claims.iss, 2: _sub_of(type(body)), 3: claims.aud, 6: claims.iat}
    items = [getattr(body, name) for name in body.__slots__]  # Declared in their order.
    protected = cose.encode_cbor({1: -8, 4: signer.kid, 15: names})
    payload = cose.encode_cbor([link.epoch, link.seq, link.prev, link.seen, items])
    parse_statement(cose.encode_sign1(protected, payload, bytes(cose.SIGNATURE_SIZE)))
    signature = signer.sign(cose.signature_input(protected, payload))
    return cose.encode_sign1(protected, payload, signature)


def verify_signature(statement: Statement, x: bytes) -> None:
    """Raise `SignatureError` unless the key `x` signed `statement`."""
    cose.verify_ed25519(x, statement.signature, statement.message)


def proof_of_possession(signer: cose.Signer, *, aud: str, iss: str) -> bytes:
    """Return the signature by which a new key consents to be enrolled for `iss` at `aud`."""
    return signer.sign(f"{_POP_START}{aud}\n{iss}".encode())


def verify_possession(x: bytes, pop: bytes, *, aud: str, iss: str) -> None:
    """Raise `SignatureError` unless the key `x` consents to be enrolled for `iss` at `aud`."""
    cose.verify_ed25519(x, pop, f"{_POP_START}{aud}\n{iss}".encode())


def _array(value: object, count: int, where: str) -> list[object]:
    if not isinstance(value, list) or len(value) != count:
        raise ParseError(where, f"is not an array of {count}")
    return value


def _uint(where: str, most: int = cose.INTEGER_MAX) -> _Shape:
    def parse(value: object) -> int:
        if not isinstance(value, int) or not 0 <= value <= most:
            raise ParseError(where, f"is not a number from 0 to {most}")
        return value

    return parse


def _bytes(where: str, size: int | None = None) -> _Shape:
    def parse(value: object) -> bytes:
        if not isinstance(value, bytes) or len(value) != (size or len(value)):
            raise ParseError(where, "is not a byte string" + (f" of {size}" if size else ""))
        return value

    return parse


def _text(where: str, least: int = 0, most: int = TEXT_BYTES_MAX) -> _Shape:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not least <= len(value.encode()) <= most:
            raise ParseError(where, f"is not text of {least} to {most} bytes")
        if _CONTROL.search(value):
            raise ParseError(where, f"{value!r} holds a control character")
        return value

    return parse


def _null_or(shape: _Shape) -> _Shape:
    return lambda value: None if value is None else shape(value)


def _pair(where: str, make: Callable[..., object], left: _Shape, right: _Shape) -> _Shape:
    def parse(value: object) -> object:
        first, second = _array(value, 2, where)
        return make(left(first), right(second))

    return parse


def _list_of(where: str, shape: _Shape) -> _Shape:
    def parse(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise ParseError(where, "is not an array")
        return tuple(map(shape, value))

    return parse


def _sub_of(kind: type) -> str:
    return f"tagtrail/{kind.__name__.lower()}/v1"


_hash = partial(_bytes, size=HASH_SIZE)
_name = partial(_text, least=1, most=NAME_BYTES_MAX)
_position = _pair("position", lambda *pair: pair, _uint("entry index"), _uint("position"))
_last = _null_or(_pair("last", Last, _uint("last seq"), _hash("last id")))
_seen = _null_or(_pair("seen", Seen, _uint("seen size"), _hash("seen root")))
_kid, _iss, _aud, _iat = _hash("kid"), _name("iss"), _name("aud"), _uint("iat")
_epoch, _seq, _prev = _uint("epoch"), _uint("seq"), _hash("prev")

_SHAPES: Final[dict[type[Any], tuple[_Shape, ...]]] = {
    Capture: (_uint("grade", GRADE_MAX), _uint("count", EVENTS_MAX), _hash("root")),
    Key: (
        *(_uint("op", max(KeyOp)), _kid, _iss, _text("role"), _null_or(_hash("x")), _epoch),
        *(_last, _uint("grade_max", GRADE_MAX), _uint("heartbeat_s")),
        *(_list_of("prefixes", _text("prefix")), _null_or(_uint("suspect_since"))),
        _null_or(_bytes("pop", cose.SIGNATURE_SIZE)),
    ),
    Anchor: (_text("vkey"), _bytes("note"), _list_of("proof", _hash("proof"))),
    Erasure: (_list_of("positions", _position), _uint("reason"), _hash("who")),
    Policy: (_uint("kind", 1), _hash("hash")),
    Gap: (
        *(_text("source"), _uint("what", 4), _uint("from"), _uint("to")),
        *(_null_or(_uint("count")), _text("why")),
    ),
    Equivocation: (_uint("index"), _bytes("other")),
}
_BODIES: Final = {_sub_of(kind): (kind, shapes) for kind, shapes in _SHAPES.items()}


def parse_header(protected: bytes) -> tuple[Any, ...]:
    """Return kid, iss, sub, aud and iat.

    What one key says of a kind differs in the last four bytes alone, the usual iat.
    """
    try:
        usual = _parse_usual(protected[:-4])
    except ParseError:
        return _decode_header(protected)
    iat = int.from_bytes(protected[-4:], "big")
    return (*usual, iat) if iat >= _USUAL_IAT else _decode_header(protected)


@lru_cache(maxsize=HEADERS_CACHED)
def _parse_usual(start: bytes) -> tuple[Any, ...]:
    """Return what a header says before an iat of four bytes, where it ends in one."""
    *usual, iat = _decode_header(start + _USUAL_IAT.to_bytes(4, "big"))
    if iat != _USUAL_IAT:
        raise ParseError("iat", "is not a number of four bytes")
    return tuple(usual)


def _decode_header(protected: bytes) -> tuple[Any, ...]:
    match cose.decode_cbor(protected, "protected header"):
        case {1: -8, 4: kid, 15: {1: iss, 2: str(sub), 3: aud, 6: iat, **more}, **rest} if (
            sub in _BODIES and not more and not rest
        ):
            return _kid(kid), _iss(iss), sub, _aud(aud), _iat(iat)
        case _:
            want = "{1: -8, 4: kid, 15: {1: iss, 2: sub, 3: aud, 6: iat}}"
            raise ParseError("protected header", f"is not {want} of a known kind")


def _parse_payload(payload: bytes) -> tuple[Any, ...]:
    items = cose.decode_cbor(payload, "payload")
    epoch, seq, prev, seen, body = _array(items, 5, "payload")
    return _epoch(epoch), _seq(seq), _prev(prev), _seen(seen), body


def _parse_body(sub: str, value: object) -> Body:
    make, shapes = _BODIES[sub]
    items = _array(value, len(shapes), sub)
    body: Body = make(*[shape(item) for shape, item in zip(shapes, items, strict=True)])
    if isinstance(body, Capture) and (body.count == 0) != (body.root == EMPTY_ROOT):
        raise ParseError(sub, f"{body.count} events cannot have the root {body.root.hex()}")
    if isinstance(body, Erasure):
        if not 1 <= len(body.positions) <= POSITIONS_MAX:
            raise ParseError(sub, f"{len(body.positions)} positions, want 1 to {POSITIONS_MAX}")
        if any(a >= b for a, b in pairwise(body.positions)):
            raise ParseError(sub, "positions are repeated or do not ascend")
    return body
