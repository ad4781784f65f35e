r"""Commitments to the parts of an event, so that each part can be shown or withheld.

An event is eight parts (`ledger.epcis.parts`), each absent or a JSON object as bytes.
Its source draws an event key of 32 random bytes, and every leaf is salted from it:

    salt(n)    = SHA-256("tagtrail/salt/v1\n" ‖ u8(n) ‖ event_key)[:16]
    leaf n     = leaf hash of "tagtrail/part/v1\n" ‖ u8(n) ‖ salt(n) ‖ part bytes
    commitment = tree hash over the eight leaves

An absent part is hashed with no bytes after the salt, so showing the salt proves that
there is nothing, and without it nobody can tell absent from withheld.

A submission carries a statement with its events, in the order of the tree, as CBOR:

    [statement, [event, …]]
    event = [event_key, [8 * (part / null)]]                    the whole event
          / [null, [8 * ([salt, part / null] / leaf hash)]]     parts are withheld

The same in JSON writes every byte string as unpadded base64url. Refused: long forms of
numbers and lengths, wrong counts, salts that are not 16 bytes, hashes and keys that are
not 32, parts that `check_part` refuses, base64 in another than its canonical spelling, and
an eventID `ni:///sha-256…` beside a withheld part: it is an unsalted hash over the whole
event, so whoever guesses what is withheld could confirm the guess.

Pure: no I/O, no clock, no randomness.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from ledger.cose import (
    decode_cbor,
    encode_byte_string,
    encode_cbor,
    encode_head,
    read_array_head,
    read_byte_string,
)
from ledger.epcis.parts import PART_COUNT, check_part, join_parts
from ledger.errors import ParseError, VerificationError
from ledger.tlog.merkle import Hash, leaf_hash, parse_hash, tree_root

EVENT_KEY_SIZE: Final = 32
SALT_SIZE: Final = 16
EVENTS_MAX: Final = 65_536

Part: TypeAlias = bytes | None
Shown: TypeAlias = tuple[bytes, Part]
"""A part that is shown: its salt, and its bytes or None where it is absent."""

_SALT_STARTS: Final = tuple(b"tagtrail/salt/v1\n" + bytes((n,)) for n in range(PART_COUNT))
# With the 0x00 of a leaf in front, so that one call of SHA-256 gives the leaf hash.
_LEAF_STARTS: Final = tuple(b"\x00tagtrail/part/v1\n" + bytes((n,)) for n in range(PART_COUNT))
_PART_NAMES: Final = tuple(f"part {n}" for n in range(PART_COUNT))
_ARRAY, _NULL, _PAIR = 4, b"\xf6", b"\x82"
_WHOLE_START: Final = b"\x82\x58\x20"
_WITHHELD_START: Final = b"\x82\xf6"
_PARTS_HEAD: Final = b"\x88"
_WHOLE_HASH: Final = "ni:///sha-256"


class CommitmentError(VerificationError):
    """Events that are not the ones a statement commits to."""


@dataclass(frozen=True, slots=True)
class WholeEvent:
    """An event with its key: everything can be shown."""

    event_key: bytes
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class WithheldEvent:
    """An event of which each part is shown with its salt, or only its leaf hash is."""

    shown: tuple[Shown | Hash, ...]


SubmittedEvent: TypeAlias = WholeEvent | WithheldEvent


@dataclass(frozen=True, slots=True)
class Submission:
    """A tagged statement and the events that it commits to, in the order of the tree."""

    statement: bytes
    events: tuple[SubmittedEvent, ...]


# --- Commitments --------------------------------------------------------------------


def salt(event_key: bytes, n: int) -> bytes:
    """Return the 16 bytes that salt part `n` of the event with this key."""
    return sha256(_SALT_STARTS[n] + event_key).digest()[:SALT_SIZE]


def part_leaf(n: int, part_salt: bytes, part: Part) -> Hash:
    """Return the leaf hash of part `n`; None and no bytes hash alike: the part is absent."""
    return Hash(sha256(_LEAF_STARTS[n] + part_salt + (part or b"")).digest())


def commit_parts(event_key: bytes, parts: Sequence[Part]) -> Hash:
    """Return the commitment to the eight `parts` under `event_key`."""
    leaves = [
        sha256(
            leaf_start + sha256(salt_start + event_key).digest()[:16] + (part or b"")
        ).digest()
        for salt_start, leaf_start, part in zip(_SALT_STARTS, _LEAF_STARTS, parts, strict=True)
    ]
    return _root_of_eight(leaves)


def commitment(event: SubmittedEvent) -> Hash:
    """Return the commitment to `event`, whole or not."""
    if isinstance(event, WholeEvent):
        return commit_parts(event.event_key, event.parts)
    return _root_of_eight(leaf_hashes(event))


def leaf_hashes(event: SubmittedEvent) -> tuple[Hash, ...]:
    """Return the eight leaf hashes under the commitment to `event`."""
    return tuple(
        part_leaf(n, *item) if isinstance(item, tuple) else item
        for n, item in enumerate(_shown(event))
    )


def _shown(event: SubmittedEvent) -> tuple[Shown | Hash, ...]:
    if isinstance(event, WithheldEvent):
        return event.shown
    return tuple((salt(event.event_key, n), part) for n, part in enumerate(event.parts))


def _root_of_eight(leaves: Sequence[bytes]) -> Hash:
    """Return the tree hash over eight leaf hashes: seven nodes, nothing to decide."""
    a, b, c, d, e, f, g, h = leaves
    left = sha256(
        b"\x01" + sha256(b"\x01" + a + b).digest() + sha256(b"\x01" + c + d).digest()
    ).digest()
    right = sha256(
        b"\x01" + sha256(b"\x01" + e + f).digest() + sha256(b"\x01" + g + h).digest()
    ).digest()
    return Hash(sha256(b"\x01" + left + right).digest())


def events_root(commitments: Iterable[Hash]) -> Hash:
    """Return the root that a capture statement signs: each commitment is a leaf input."""
    return tree_root([leaf_hash(one) for one in commitments])


def verify_events(events: Sequence[SubmittedEvent], *, count: int, root: Hash) -> list[Hash]:
    """Return the commitments to `events`, or raise `CommitmentError`.

    They must be `count` and their root must be `root`: what a capture statement says.
    """
    if len(events) != count:
        raise CommitmentError(f"{len(events)} events came, the statement counts {count}")
    commitments = [commitment(event) for event in events]
    computed = events_root(commitments)
    if computed != root:
        raise CommitmentError(
            f"the events have the root {computed.hex()}, the statement signs {root.hex()}"
        )
    return commitments


# --- Showing and withholding --------------------------------------------------------


def withhold(event: SubmittedEvent, parts: Iterable[int]) -> WithheldEvent:
    """Return `event` with the `parts` (0 to 7) reduced to their leaf hashes.

    Raises `ParseError` where part 0 stays and its eventID is a hash over the event.
    """
    hidden = frozenset(parts)
    leaves = leaf_hashes(event)
    shown = enumerate(_shown(event))
    result = WithheldEvent(tuple(leaves[n] if n in hidden else item for n, item in shown))
    _require_salted_identity(result)
    return result


def _require_salted_identity(event: WithheldEvent) -> None:
    identity = shown_parts(event)[0]
    if identity is None or not withheld(event):
        return
    event_id = join_parts((identity, *[None] * (PART_COUNT - 1))).get("eventID")
    if isinstance(event_id, str) and event_id.lower().startswith(_WHOLE_HASH):
        raise ParseError("event", f"a part is withheld, and {event_id[:60]!r} hashes it all")


def shown_parts(event: SubmittedEvent) -> tuple[Part, ...]:
    """Return the eight parts; None where a part is absent or withheld."""
    if isinstance(event, WholeEvent):
        return event.parts
    return tuple(item[1] if isinstance(item, tuple) else None for item in event.shown)


def withheld(event: SubmittedEvent) -> frozenset[int]:
    """Return the numbers of the parts of which `event` shows the leaf hash alone."""
    if isinstance(event, WholeEvent):
        return frozenset()
    items = enumerate(event.shown)
    return frozenset(n for n, item in items if not isinstance(item, tuple))


# --- CBOR ---------------------------------------------------------------------------


def encode_event(event: SubmittedEvent) -> bytes:
    """Return `event` as CBOR."""
    if isinstance(event, WithheldEvent):
        return _WITHHELD_START + encode_disclosure(event)
    chunks = [_WHOLE_START, event.event_key, _PARTS_HEAD]
    chunks += [_NULL if part is None else encode_byte_string(part) for part in event.parts]
    return b"".join(chunks)


def encode_disclosure(event: WithheldEvent) -> bytes:
    """Return the eight items of a disclosure as one CBOR array."""
    return _PARTS_HEAD + b"".join(map(encode_shown, event.shown))


def encode_shown(item: Shown | Hash) -> bytes:
    """Return one of the eight items of a disclosure as CBOR."""
    if not isinstance(item, tuple):
        return encode_byte_string(item)
    part_salt, part = item
    return (
        _PAIR
        + encode_byte_string(part_salt)
        + (_NULL if part is None else encode_byte_string(part))
    )


def decode_event(data: bytes) -> SubmittedEvent:
    """Return the event that `data` spells, every shown part checked, or raise `ParseError`."""
    event, end = _read_event(data, 0)
    _expect_end(data, end, "event")
    return event


def encode_submission(submission: Submission) -> bytes:
    """Return `submission` as CBOR."""
    chunks = [
        _PAIR,
        encode_byte_string(submission.statement),
        encode_head(_ARRAY, len(submission.events)),
    ]
    chunks += map(encode_event, submission.events)
    return b"".join(chunks)


def decode_submission(data: bytes) -> Submission:
    """Return the submission that `data` spells, or raise `ParseError`.

    The statement is bytes yet, and the events are not yet held against it.
    """
    where = "submission"
    _expect_pair(data, 0, where)
    statement, at = read_byte_string(data, 1, where)
    count, at = read_array_head(data, at, where)
    if count > EVENTS_MAX:
        raise ParseError(where, f"holds {count} events, want at most {EVENTS_MAX}")
    events = []
    for _ in range(count):
        event, at = _read_event(data, at)
        events.append(event)
    _expect_end(data, at, where)
    return Submission(statement, tuple(events))


def _read_event(data: bytes, at: int) -> tuple[SubmittedEvent, int]:
    where = "event"
    _expect_pair(data, at, where)
    whole = data[at + 1 : at + 2] != _NULL
    if not whole:
        return read_disclosure(data, at + 2)
    event_key, at = read_byte_string(data, at + 1, where)
    at = _expect_parts(data, at)
    _expect_size(event_key, EVENT_KEY_SIZE, "event key")
    parts = []
    for n in range(PART_COUNT):
        part, at = _read_part(data, at, n)
        parts.append(part)
    return WholeEvent(event_key, tuple(parts)), at


def read_disclosure(data: bytes, at: int) -> tuple[WithheldEvent, int]:
    """Return the disclosure whose array of eight starts at byte `at`, and where it ends."""
    at = _expect_parts(data, at)
    shown = []
    for n in range(PART_COUNT):
        item, at = read_shown(data, at, n)
        shown.append(item)
    event = WithheldEvent(tuple(shown))
    _require_salted_identity(event)
    return event, at


def _read_part(data: bytes, at: int, n: int) -> tuple[Part, int]:
    if data[at : at + 1] == _NULL:
        return None, at + 1
    part, at = read_byte_string(data, at, _PART_NAMES[n])
    check_part(n, part)
    return part, at


def read_shown(data: bytes, at: int, n: int) -> tuple[Shown | Hash, int]:
    """Return item `n` of a disclosure, from byte `at`, and where it ends."""
    if data[at : at + 1] != _PAIR:
        digest, at = read_byte_string(data, at, _PART_NAMES[n])
        return parse_hash(digest), at
    part_salt, at = read_byte_string(data, at + 1, f"salt {n}")
    _expect_size(part_salt, SALT_SIZE, f"salt {n}")
    part, at = _read_part(data, at, n)
    return (part_salt, part), at


# --- JSON: the same with every byte string as unpadded base64url -------------------


_JSON_SHAPE: Final = msgspec.json.Decoder(
    tuple[str, list[tuple[str | None, list[str | tuple[str, str | None] | None]]]]
)


def encode_submission_json(submission: Submission) -> bytes:
    """Return `submission` as compact JSON."""
    return msgspec.json.encode(_to_text(decode_cbor(encode_submission(submission), "")))


def decode_submission_json(data: bytes) -> Submission:
    """Return the submission that the JSON `data` spells, or raise `ParseError`.

    White space between tokens is free; each string has one spelling.
    """
    try:
        tree = _JSON_SHAPE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError("submission", str(error)) from error
    return decode_submission(encode_cbor(_to_bytes(tree)))


def _to_text(tree: object) -> object:
    if isinstance(tree, bytes):
        return urlsafe_b64encode(tree).rstrip(b"=").decode()
    return [_to_text(item) for item in tree] if isinstance(tree, list) else tree


def _to_bytes(tree: object) -> object:
    if isinstance(tree, str):
        return _parse_base64url(tree)
    return [_to_bytes(item) for item in tree] if isinstance(tree, list | tuple) else tree


def _parse_base64url(text: str) -> bytes:
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise ParseError("submission", f"{text[:60]!r} is not base64url") from error
    if urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ParseError("submission", f"{text[:60]!r} is not unpadded canonical base64url")
    return data


def _expect_parts(data: bytes, at: int) -> int:
    if data[at : at + 1] != _PARTS_HEAD:
        raise ParseError("event", f"byte {at} does not start an array of {PART_COUNT} parts")
    return at + 1


def _expect_pair(data: bytes, at: int, where: str) -> None:
    if data[at : at + 1] != _PAIR:
        raise ParseError(where, f"byte {at} does not start an array of two")


def _expect_end(data: bytes, end: int, where: str) -> None:
    if end != len(data):
        raise ParseError(where, f"ends at byte {end}, but {len(data) - end} more follow")


def _expect_size(data: bytes, size: int, where: str) -> None:
    if len(data) != size:
        raise ParseError(where, f"is {len(data)} bytes long, want {size}")
