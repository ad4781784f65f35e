"""Bundles: entries, events and their proof in one file that outlives the service.

A bundle is one CBOR array, deterministic (`ledger.cose`), FORMATS section 5:

    ["tagtrail/bundle/v1",
     note,                                         the signed checkpoint, with cosignatures
     [[index, entry], …],                          ascending, at least one
     [node, …],                                    the one multiproof of these entries
     [[index, position, [path hash, …],            ascending; the event's audit path in the
       8 * ([salt, part / null] / leaf hash)], …]  tree that its statement signs
     answer / null]                                the provenance answer, JSON

The size of the tree comes from the note. A part is shown with its salt, shown to be absent
by its salt alone, or withheld behind its leaf hash. There are no trust roots in it: the
log's keys, the witnesses and the leaf hash of entry 0 come from whoever verifies.

Refused: another name or version, anything not in its one spelling, bytes after the end,
an index or a position that does not ascend, a hash that is not 32 bytes, a path longer than
a statement's tree is high, a part that may not be one, and an eventID `ni:///sha-256…` beside
a withheld part. What note, entries and answer say is not looked at here.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from ledger.cose import (
    INTEGER_MAX,
    encode_byte_string,
    encode_cbor,
    encode_head,
    read_array_head,
    read_byte_string,
    read_head,
)
from ledger.disclosure import EVENTS_MAX, WithheldEvent, encode_disclosure, read_disclosure
from ledger.errors import ParseError
from ledger.tlog.merkle import Hash, parse_hash

BUNDLE_FORMAT: Final = "tagtrail/bundle/v1"
BUNDLE_BYTES_MAX: Final = 256 * 1024 * 1024
ENTRIES_MAX: Final = 65_536
EVENTS_SHOWN_MAX: Final = 65_536
# A statement commits to 65,536 events at most.
PATH_HASHES_MAX: Final = 16

_ITEMS: Final = 6
_UNSIGNED, _ARRAY = 0, 4
_NULL: Final = b"\xf6"
_START: Final = encode_head(_ARRAY, _ITEMS) + encode_cbor(BUNDLE_FORMAT)
_ANY_START: Final = encode_head(_ARRAY, _ITEMS)
_ANY_NAME: Final = b"tagtrail/bundle/"

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class BundledEntry:
    """An entry and its place in the log."""

    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BundledEvent:
    """An event as far as it is shown: which one of its statement's, and how that is proven."""

    index: int
    position: int
    path: tuple[Hash, ...]
    event: WithheldEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The parts of a bundle, none of them verified."""

    note: bytes
    entries: tuple[BundledEntry, ...]
    nodes: tuple[Hash, ...]
    events: tuple[BundledEvent, ...]
    answer: bytes | None = None


def is_bundle(data: bytes) -> bool:
    """Tell whether `data` starts as a bundle of this version does."""
    return data.startswith(_START)


def names_a_bundle(data: bytes) -> bool:
    """Tell whether `data` starts as a bundle of any version does."""
    return data.startswith(_ANY_START) and data.find(_ANY_NAME, 1, 4 + len(_ANY_NAME)) > 0


def encode_bundle(bundle: Bundle) -> bytes:
    """Return the bytes of `bundle`."""
    return b"".join(_chunks(bundle))


def _chunks(bundle: Bundle) -> list[bytes]:
    chunks = [_START, encode_byte_string(bundle.note)]
    chunks.append(encode_head(_ARRAY, len(bundle.entries)))
    for entry in bundle.entries:
        chunks += (b"\x82", encode_cbor(entry.index), encode_byte_string(entry.data))
    chunks += _encode_hashes(bundle.nodes)
    chunks.append(encode_head(_ARRAY, len(bundle.events)))
    for shown in bundle.events:
        chunks += (b"\x84", encode_cbor(shown.index), encode_cbor(shown.position))
        chunks += _encode_hashes(shown.path)
        chunks.append(encode_disclosure(shown.event))
    chunks.append(_NULL if bundle.answer is None else encode_byte_string(bundle.answer))
    return chunks


def parse_bundle(data: bytes) -> Bundle:
    """Return the bundle that `data` spells, or raise `ParseError`."""
    if len(data) > BUNDLE_BYTES_MAX:
        raise ParseError("bundle", f"is longer than {BUNDLE_BYTES_MAX} bytes")
    if not data.startswith(_START):
        raise ParseError("bundle", f"does not start with an array of 6 and {BUNDLE_FORMAT!r}")
    note, at = read_byte_string(data, len(_START), "bundle note")
    entries, at = _read_list(data, at, _read_entry, ("bundle entries", ENTRIES_MAX))
    nodes, at = _read_list(data, at, _read_hash, ("bundle nodes", ENTRIES_MAX * 64))
    events, at = _read_list(data, at, _read_event, ("bundle events", EVENTS_SHOWN_MAX))
    answer: bytes | None = None
    if data[at : at + 1] == _NULL:
        at += 1
    else:
        answer, at = read_byte_string(data, at, "bundle answer")
    if at != len(data):
        raise ParseError("bundle", f"ends at byte {at}, but {len(data) - at} more follow")
    if not entries:
        raise ParseError("bundle entries", "are none: a proof of nothing proves nothing")
    _require_ascending([(one.index,) for one in entries], "bundle entries")
    _require_ascending([(one.index, one.position) for one in events], "bundle events")
    bundle = Bundle(
        note=note,
        entries=tuple(entries),
        nodes=tuple(nodes),
        events=tuple(events),
        answer=answer,
    )
    if not _is_spelled(bundle, data):
        raise ParseError("bundle", "is not in its one spelling")
    return bundle


def _is_spelled(bundle: Bundle, data: bytes) -> bool:
    """Whether `data` is `encode_bundle(bundle)`, which is not made for it as a whole."""
    at = 0
    for chunk in _chunks(bundle):
        if not data.startswith(chunk, at):
            return False
        at += len(chunk)
    return at == len(data)


def _encode_hashes(hashes: Sequence[Hash]) -> list[bytes]:
    return [encode_head(_ARRAY, len(hashes)), *(b"\x58\x20" + one for one in hashes)]


def _read_list(
    data: bytes,
    at: int,
    read: Callable[[bytes, int, str], tuple[_Item, int]],
    limits: tuple[str, int],
) -> tuple[list[_Item], int]:
    """Return the items of the array at byte `at`, each read by `read`, and where it ends."""
    where, most = limits
    count, at = read_array_head(data, at, where)
    if count > most:
        raise ParseError(where, f"are {count}, want {most} at most")
    items: list[_Item] = []
    for n in range(count):
        item, at = read(data, at, f"{where}[{n}]")
        items.append(item)
    return items, at


def _read_entry(data: bytes, at: int, where: str) -> tuple[BundledEntry, int]:
    at = _expect_array(data, at, 2, where)
    index, at = _read_number(data, at, f"{where} index", INTEGER_MAX)
    entry, at = read_byte_string(data, at, where)
    return BundledEntry(index, entry), at


def _read_event(data: bytes, at: int, where: str) -> tuple[BundledEvent, int]:
    at = _expect_array(data, at, 4, where)
    index, at = _read_number(data, at, f"{where} index", INTEGER_MAX)
    position, at = _read_number(data, at, f"{where} position", EVENTS_MAX - 1)
    path, at = _read_list(data, at, _read_hash, (f"{where} path", PATH_HASHES_MAX))
    try:
        event, at = read_disclosure(data, at)
    except ParseError as error:
        raise ParseError(where, str(error)) from error
    return BundledEvent(index, position, tuple(path), event), at


def _read_hash(data: bytes, at: int, where: str) -> tuple[Hash, int]:
    digest, at = read_byte_string(data, at, where)
    try:
        return parse_hash(digest), at
    except ParseError as error:
        raise ParseError(where, error.why) from error


def _read_number(data: bytes, at: int, where: str, most: int) -> tuple[int, int]:
    major, number, at = read_head(data, at, where)
    if major != _UNSIGNED or number > most:
        raise ParseError(where, f"is no number from 0 to {most}")
    return number, at


def _expect_array(data: bytes, at: int, count: int, where: str) -> int:
    if data[at : at + 1] != encode_head(_ARRAY, count):
        raise ParseError(where, f"byte {at} does not start an array of {count}")
    return at + 1


def _require_ascending(places: Sequence[tuple[int, ...]], where: str) -> None:
    for n, (before, after) in enumerate(pairwise(places), start=1):
        if before >= after:
            raise ParseError(f"{where}[{n}]", "is repeated, or does not ascend")
