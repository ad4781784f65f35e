"""What an auditor keeps of a log between two audits: the state file.

    {"format": "tagtrail/audit-state/v1", "origin": "…", "note": "<signed checkpoint>",
     "checks": [1, 2, …], "time_us": 1767225600000000, "last_leaf": "<hex>",
     "keys": […], "chains": […], "anchors": […], "erased": […], "heard": […]}

as JSON. The note is the newest one that was verified; the rest is what the statements under
it came to, so that the next audit can go on from there (`--since`). With or without that,
the next audit compares the log with the note (check 7). The file is the auditor's own and
is believed; who can write it can make the auditor blind to what lies before it.

Refused: another format, a missing or an unknown key, a value of another shape.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from ledger.errors import ParseError
from ledger.tlog.checkpoint import SignedCheckpoint, parse_signed_checkpoint
from ledger.tlog.merkle import HASH_SIZE, Hash
from ledger.trust.state import AnchorHead, ChainHead, KeyRecord, TrustState

STATE_FORMAT = "tagtrail/audit-state/v1"
STATE_BYTES_MAX = 256 * 1024 * 1024

_HASHES = frozenset({"kid", "x", "newest_key_leaf"})


class _KeyShape(msgspec.Struct, forbid_unknown_fields=True):
    kid: str
    iss: str
    role: str
    x: str
    epoch: int
    opened_at: int
    ended_at: int | None
    suspended: bool
    suspect_since: int | None
    accused_at: int | None
    grade_max: int
    heartbeat_s: int
    prefixes: tuple[str, ...]
    newest_key_leaf: str


class _StateShape(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    origin: str
    note: str
    checks: list[int]
    time_us: int
    last_leaf: str
    keys: list[_KeyShape]
    chains: list[tuple[str, int, int, str, int | None, int]]
    anchors: list[tuple[str, int, str]]
    erased: list[tuple[int, str, str]]
    heard: list[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What the entries under a checkpoint came to.

    `erased` are the events without data and without notice yet, by row id, with the issuer
    and key of their source; `heard` is when each key was last heard of.
    """

    size: int
    time_us: int
    last_leaf: Hash
    trust: TrustState
    erased: Mapping[int, tuple[str, bytes]]
    heard: Mapping[bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditorState:
    """A note that was verified, by which checks, and what was folded under it."""

    note: bytes
    signed: SignedCheckpoint
    checks: frozenset[int]
    folded: Folded


def format_state(note: bytes, checks: frozenset[int], folded: Folded) -> bytes:
    """Return the state file of an audit that ended well."""
    trust = folded.trust
    shape = _StateShape(
        format=STATE_FORMAT,
        origin=trust.origin,
        note=note.decode(),
        checks=sorted(checks),
        time_us=folded.time_us,
        last_leaf=folded.last_leaf.hex(),
        keys=[_KeyShape(**_spell(record)) for record in trust.keys.values()],
        chains=[
            (
                kid.hex(),
                head.epoch,
                head.next_seq,
                head.last_id.hex(),
                head.last_index,
                head.seen_size,
            )
            for kid, head in trust.chains.items()
        ],
        anchors=[(origin, a.size, a.root.hex()) for origin, a in trust.anchors.items()],
        erased=[(at, iss, kid.hex()) for at, (iss, kid) in sorted(folded.erased.items())],
        heard=[(kid.hex(), time_us) for kid, time_us in sorted(folded.heard.items())],
    )
    return msgspec.json.encode(shape) + b"\n"


def parse_state(data: bytes) -> AuditorState:
    """Return the state that `data` spells, or raise `ParseError`."""
    where = "state file"
    if len(data) > STATE_BYTES_MAX:
        raise ParseError(where, f"is longer than {STATE_BYTES_MAX} bytes")
    try:
        shape = msgspec.json.decode(data, type=_StateShape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ParseError(where, str(error)) from error
    if shape.format != STATE_FORMAT:
        raise ParseError(where, f"has the format {shape.format[:60]!r}, want {STATE_FORMAT}")
    note = shape.note.encode(errors="surrogatepass")
    signed = parse_signed_checkpoint(note)
    if signed.checkpoint.origin != shape.origin:
        raise ParseError(where, "holds a note of another origin")
    trust = TrustState(shape.origin)
    for key in shape.keys:
        trust.set_key(_read_key(key))
    for kid, epoch, next_seq, last_id, last_index, seen_size in shape.chains:
        head = ChainHead(epoch, next_seq, _hash(last_id), last_index, seen_size)
        trust.set_chain(_hash(kid), head)
    for origin, size, root in shape.anchors:
        trust.set_anchor(origin, AnchorHead(size, _hash(root)))
    folded = Folded(
        size=int(signed.checkpoint.size),
        time_us=shape.time_us,
        last_leaf=_hash(shape.last_leaf),
        trust=trust,
        erased={at: (iss, _hash(kid)) for at, iss, kid in shape.erased},
        heard={_hash(kid): time_us for kid, time_us in shape.heard},
    )
    return AuditorState(note=note, signed=signed, checks=frozenset(shape.checks), folded=folded)


def copy_trust(trust: TrustState) -> TrustState:
    """Return a copy of `trust` that is folded by itself from here on."""
    copy = TrustState(trust.origin)
    for record in trust.keys.values():
        copy.set_key(record)
    for kid, head in trust.chains.items():
        copy.set_chain(kid, head)
    for origin, anchor in trust.anchors.items():
        copy.set_anchor(origin, anchor)
    return copy


def _spell(record: KeyRecord) -> dict[str, Any]:
    values = {one.name: getattr(record, one.name) for one in fields(record)}
    return {name: v.hex() if name in _HASHES else v for name, v in values.items()}


def _read_key(key: _KeyShape) -> KeyRecord:
    values = {name: getattr(key, name) for name in key.__struct_fields__}
    spelled: dict[str, Any] = {n: _hash(v) if n in _HASHES else v for n, v in values.items()}
    return KeyRecord(**spelled)


def _hash(text: str) -> Hash:
    try:
        digest = bytes.fromhex(text)
    except ValueError as error:
        raise ParseError("state file", f"{text[:80]!r} is not hex") from error
    if len(digest) != HASH_SIZE or digest.hex() != text:
        raise ParseError("state file", f"{text[:80]!r} is not 64 lower-case hex digits")
    return Hash(digest)
