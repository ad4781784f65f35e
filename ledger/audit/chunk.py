"""Judges signatures and events in chunks that stand by themselves, so that all cores can.

A `Chunk` holds what a worker needs and nothing of the log: signatures with their keys, and
captures with the rows of their events. The `Verdict` names the signatures that do not hold,
and the captures that are `odd`: anything but events that are all there, commit to what is
stored and signed, and are EPCIS events. Whoever handed out the chunk looks at those closely
(`ledger.audit.events`), so that findings are the same however many workers there are.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from ledger.audit.documents import cited_in
from ledger.audit.identity import find_foreign, find_other_identity
from ledger.cose import verify_ed25519
from ledger.disclosure import (
    commit_parts,
    commitment,
    decode_event,
    events_root,
    shown_parts,
    withheld,
)
from ledger.epcis.event import EVIDENCE_FIELD, parse_event
from ledger.epcis.parts import (
    PART_BYTES_MAX,
    PART_COUNT,
    PART_DEPTH_MAX,
    PART_FIELDS,
    PART_OF_FIELD,
    join_parts,
)
from ledger.errors import ParseError, VerificationError
from ledger.projection import ShownEvent, parse_shown
from ledger.tlog.merkle import Hash, leaf_hash

CHUNK_COUNT_MAX = 512
CHUNK_BYTES_MAX = 1024 * 1024

_WHOLE_START: Final = b"\x82\x58\x20"
_PARTS_HEAD: Final = b"\x88"
_KEY_END, _PARTS_AT = 35, 36
_NULL, _BYTES_0, _BYTES_8, _BYTES_16 = 0xF6, 0x40, 0x58, 0x59
_FIELDS: Final = tuple(map(frozenset, PART_FIELDS))
_OTHER: Final = PART_COUNT - 1
_NOT_OTHER: Final = frozenset({*PART_OF_FIELD, "recordTime"})
_DECODER: Final = msgspec.json.Decoder(list[dict[str, object]])
_ENCODER: Final = msgspec.json.Encoder()


class SignatureJob(NamedTuple):
    """One Ed25519 signature to verify, and the entry it is in."""

    at: int
    x: bytes
    signature: bytes
    message: bytes


class CaptureJob(NamedTuple):
    """The stored events of one capture in their order: (commitment, data) each.

    `prefixes` are the GS1 company prefixes of the key that signed it.
    """

    at: int
    root: bytes
    events: Sequence[tuple[bytes, bytes]]
    prefixes: tuple[str, ...] = ()


@dataclass(slots=True)
class Chunk:
    """Signatures and captures to judge, in the order of the log."""

    epcis: bool = True
    signatures: list[SignatureJob] = field(default_factory=list)
    captures: list[CaptureJob] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a chunk.

    `wrong` are (at, why), `cited` the documents (at, SHA-256) of captures that are not odd,
    whose events are counted.
    """

    wrong: Sequence[tuple[int, str]]
    odd: frozenset[int]
    cited: Sequence[tuple[int, bytes]]
    whole: int
    withheld: int


VerifyOne = Callable[[SignatureJob], str | None]
"""Returns what is wrong with a signature, or None."""

Pending = Callable[[], Verdict]
"""Returns the verdict on a chunk; may wait for it."""

JudgeChunk = Callable[[Chunk], Pending]
"""Starts to judge a chunk."""


def verify_job(job: SignatureJob) -> str | None:
    """Return what is wrong with the signature of `job`, or None."""
    try:
        verify_ed25519(job.x, job.signature, job.message)
    except VerificationError as error:
        return str(error)
    return None


def judge_chunk(chunk: Chunk, verify: VerifyOne = verify_job) -> Verdict:
    """Return the verdict on `chunk`."""
    wrong = []
    for job in chunk.signatures:
        why = verify(job)
        if why is not None:
            wrong.append((job.at, why))
    reader = _EventReader(epcis=chunk.epcis)
    odd = frozenset(job.at for job in chunk.captures if not reader.read(job))
    return Verdict(wrong, odd, reader.cited, reader.whole, reader.withheld)


def judge_later(chunk: Chunk) -> Pending:
    """Judge `chunk` when its verdict is asked for: the plain `JudgeChunk`."""
    return lambda: judge_chunk(chunk)


class _EventReader:
    """Reads captures and counts and collects what their events hold."""

    def __init__(self, *, epcis: bool) -> None:
        self.whole = self.withheld = 0
        self.cited: list[tuple[int, bytes]] = []
        self._epcis = epcis
        self._known: list[dict[bytes | None, dict[str, object]]] = [
            {None: {}} for _ in range(PART_COUNT)
        ]

    def read(self, job: CaptureJob) -> bool:
        """Tell whether the events are all as they should be."""
        whole = 0
        cited: list[tuple[int, bytes]] = []
        for stored, data in job.events:
            parts = split_whole(data)
            try:
                if parts is None:
                    event = decode_event(data)
                    computed, hidden = commitment(event), withheld(event)
                    fields = self._join(ShownEvent(computed, shown_parts(event), hidden))
                else:
                    computed, hidden = commit_parts(data[3:_KEY_END], parts), frozenset()
                    fields = self._read_parts(parts)
            except ParseError:
                return False
            if computed != stored or (self._epcis and self._is_odd(fields, hidden, job)):
                return False
            whole += not hidden
            digest = cited_in(fields) if EVIDENCE_FIELD in fields else None
            if digest is not None:
                cited.append((job.at, digest))
        if _root_of(job.events) != job.root:
            return False
        self.cited += cited
        self.whole += whole
        self.withheld += len(job.events) - whole
        return True

    def _is_odd(
        self, fields: Mapping[str, object], hidden: AbstractSet[int], job: CaptureJob
    ) -> bool:
        """Tell whether there is a remark about what the event says."""
        other = not hidden and find_other_identity(fields) is not None
        return other or find_foreign(fields, job.prefixes) is not None

    def _join(self, shown: ShownEvent) -> Mapping[str, object]:
        """Return the fields that are shown, or raise `ParseError` if they are no event."""
        if self._epcis:
            parse_shown(shown)
        return join_parts(shown.parts)

    def _read_parts(self, parts: Sequence[bytes | None]) -> Mapping[str, object]:
        """Return the fields of a whole event, or raise `ParseError`.

        Without `epcis` those of part 7 are enough: all parts are read, for their spelling.
        Most parts of most events were read before; what was read is never changed.
        """
        known = self._known
        new = [n for n, part in enumerate(parts) if part is not None and part not in known[n]]
        if new:
            read = read_parts(parts, new)
            if read is None:
                fields = join_parts(parts)
                if self._epcis:
                    parse_event(fields)
                return fields
            for n, item in zip(new, read, strict=True):
                known[n][parts[n]] = item
        if not self._epcis:
            return known[_OTHER][parts[_OTHER]]
        fields = {}
        for part, items in zip(parts, known, strict=True):
            fields.update(items[part])
        parse_event(fields)
        return fields


def _root_of(events: Sequence[tuple[bytes, bytes]]) -> Hash:
    if len(events) == 1:
        return leaf_hash(events[0][0])
    return events_root([Hash(stored) for stored, _ in events])


def split_whole(data: bytes) -> list[bytes | None] | None:
    """Return the eight parts of a whole event of the usual spelling, nothing read, else None.

    Usual are parts of up to 65,535 bytes; see `ledger.disclosure.decode_event` for the rest.
    """
    if data[:3] != _WHOLE_START or data[_KEY_END:_PARTS_AT] != _PARTS_HEAD:
        return None
    parts: list[bytes | None] = []
    at = _PARTS_AT
    try:
        for _ in range(PART_COUNT):
            head = data[at]
            if head == _BYTES_8:
                start, count, least = at + 2, data[at + 1], 24
            elif head == _NULL:
                parts.append(None)
                at += 1
                continue
            elif head == _BYTES_16:
                start, count, least = at + 3, data[at + 1] << 8 | data[at + 2], 256
            else:
                start, count, least = at + 1, head - _BYTES_0, 1
                if count >= 24:  # noqa: PLR2004 - the next heads mean something else
                    return None
            if count < least:
                return None
            at = start + count
            parts.append(data[start:at])
    except IndexError:
        return None
    return parts if at == len(data) else None


def read_parts(
    parts: Sequence[bytes | None], numbers: Sequence[int]
) -> list[dict[str, object]] | None:
    """Return the fields of each of these `parts` if they are spelled as usual, else None.

    What a strict and quick reader writes again with the same bytes holds no key twice and
    nothing else that `ledger.epcis.parts.check_part` refuses, but the depth and the fields'
    places, which are looked at here.
    """
    present = [part for n in numbers if (part := parts[n]) is not None]
    text = b",".join(present)
    if len(text) > PART_BYTES_MAX or text.count(b"[") + text.count(b"{") > PART_DEPTH_MAX:
        return None
    try:
        items = _DECODER.decode(b"[%b]" % text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if len(items) != len(present):
        return None
    for n, item, part in zip(numbers, items, present, strict=True):
        placed = _NOT_OTHER.isdisjoint(item) if n == _OTHER else _FIELDS[n] >= item.keys()
        if not item or not placed or _ENCODER.encode(item) != part:
            return None
    return items
