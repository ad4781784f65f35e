"""Entries: the leaves of the log, each chained to the one before; nobody signs them.

    [1, record_time_us, prev_leaf_hash, key_leaf_hash, statement]

as deterministic CBOR: 85 01 1b ‖ u64 ‖ 58 20 ‖ 32 bytes ‖ 58 20 ‖ 32 bytes ‖ 59 ‖ u16 ‖
the tagged statement. `record_time_us` is when the log took it, in microseconds since
1970-01-01 UTC, and never falls. `prev_leaf_hash` is the leaf hash of the entry before:
the log's own chain, which the tree commits to and a full audit follows, and which proves
nothing by itself. `key_leaf_hash` is the leaf hash of the newest earlier key entry about
the statement's kid. Both are 32 zero bytes at index 0. The index is not stored: it is
proven. The leaf hash of an entry is SHA-256(0x00 ‖ entry).

Refused: any other version than 1, long forms, more than 65,535 bytes (what an entry
bundle can hold), bytes after the end. The statement inside is not parsed here.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from ledger.cose import (
    INTEGER_MAX,
    encode_byte_string,
    encode_cbor,
    read_byte_string,
    read_head,
)
from ledger.errors import ParseError
from ledger.statement import EQUIVOCATION_BYTES_MAX
from ledger.tlog.merkle import Hash, leaf_hash

ENTRY_BYTES_MAX: Final = 65_535

_START: Final = b"\x85\x01"
_HASH_HEAD: Final = b"\x58\x20"
_UNSIGNED: Final = 0
# The spelling of every entry recorded since 1970-01-01T01:11:35Z whose statement is 256
# bytes or longer: start, head of the time, time, head, hash, head, hash, head, size.
_USUAL: Final = Struct(">2sBQ2s32s2s32sBH")
_TIME_HEAD: Final = 0x1B
_STATEMENT_HEAD: Final = 0x59
_TIME_LEAST: Final = 2**32
_STATEMENT_LEAST: Final = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf of the log."""

    record_time_us: int
    prev_leaf_hash: Hash
    key_leaf_hash: Hash
    statement: bytes


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes of `entry`, which are hashed and kept."""
    return b"".join(
        (
            _START,
            encode_cbor(entry.record_time_us),
            _HASH_HEAD,
            entry.prev_leaf_hash,
            _HASH_HEAD,
            entry.key_leaf_hash,
            encode_byte_string(entry.statement),
        )
    )


def parse_entry(data: bytes) -> Entry:
    """Return the entry that `data` spells, or raise `ParseError`."""
    if len(data) > _USUAL.size:
        start, time_head, time_us, head, prev, key_head, key, last_head, size = (
            _USUAL.unpack_from(data)
        )
        if (
            start == _START
            and time_head == _TIME_HEAD
            and _TIME_LEAST <= time_us <= INTEGER_MAX
            and head == key_head == _HASH_HEAD
            and last_head == _STATEMENT_HEAD
            and _STATEMENT_LEAST <= size <= EQUIVOCATION_BYTES_MAX
            and len(data) == _USUAL.size + size
        ):
            return Entry(time_us, prev, key, data[_USUAL.size :])
    return _parse_slowly(data)


def _parse_slowly(data: bytes) -> Entry:
    """Read an entry of unusual lengths, or say what is wrong with it."""
    where = "entry"
    if len(data) > ENTRY_BYTES_MAX:
        raise ParseError(where, f"is {len(data)} bytes long, want {ENTRY_BYTES_MAX} at most")
    if data[:2] != _START:
        raise ParseError(where, "does not start with an array of five and version 1 (85 01)")
    major, time_us, at = read_head(data, 2, where)
    if major != _UNSIGNED or time_us > INTEGER_MAX:
        raise ParseError(where, "has no record time from 0 to 2^63 - 1 microseconds")
    hashes = []
    for name in ("prev_leaf_hash", "key_leaf_hash"):
        if data[at : at + 2] != _HASH_HEAD:
            raise ParseError(where, f"has a {name} that is not 32 bytes")
        digest, at = read_byte_string(data, at, where)
        hashes.append(Hash(digest))
    statement, at = read_byte_string(data, at, where)
    if len(statement) > EQUIVOCATION_BYTES_MAX:
        raise ParseError(where, f"holds a statement of {len(statement)} bytes")
    if at != len(data):
        raise ParseError(where, f"ends at byte {at}, but {len(data) - at} more follow")
    return Entry(time_us, hashes[0], hashes[1], statement)


def next_entry(
    *,
    now_us: int,
    last_time_us: int,
    prev_leaf_hash: Hash,
    key_leaf_hash: Hash,
    statement: bytes,
) -> Entry:
    """Return the entry that follows one recorded at `last_time_us` (0 before index 0).

    The record time is `now_us`, or the last one where the clock has gone back.
    """
    return Entry(max(now_us, last_time_us), prev_leaf_hash, key_leaf_hash, statement)


def entry_leaf(data: bytes) -> Hash:
    """Return the leaf hash of the entry `data`."""
    return leaf_hash(data)
