"""Holds the received documents against the events that cite them (check 11).

An event that was made of a partner's document names its SHA-256 in part 7:

    "tagtrail:evidence": {"document": "<64 hex digits>"}

The hash is under the statement's signature, so a document that is there and has this hash is
the one that was received. One that is cited must be there, or be erased together with an
event of its own; one that nobody cites has no business there, unless events were erased,
which may have cited it.

In memory are the hashes of so many documents at most. Where there are more, those whose hash is
below a limit are followed, which is halved as often as it takes, and `left_out` says so; that a
document has the hash under which it is kept is looked at for all.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from ledger.audit.finding import Finding
from ledger.audit.stored import check_row
from ledger.epcis.event import EVIDENCE_FIELD
from ledger.epcis.parts import OTHER
from ledger.projection import ShownEvent
from ledger.tlog.merkle import HASH_SIZE

DOCUMENTS_MAX: Final = 400_000

_MARK = EVIDENCE_FIELD.encode()
_FIRST: Final = 4
"""How many bytes of a hash are compared with the limit."""


@dataclass(slots=True)
class DocumentAudit:
    """What the events cite, collected along the entries, then compared with the rows."""

    _cited: dict[bytes, int] = field(default_factory=dict)
    _may_be_erased: set[bytes] = field(default_factory=set)
    _any_erased: bool = False
    _any_unknown: bool = False
    """Whether all events of an entry were erased, so that nobody knows what they cited."""
    documents_max: int = DOCUMENTS_MAX
    _limit: int = 1 << 8 * _FIRST
    uncited: int = 0
    """The documents that no event left cites, which may have been to be erased."""

    @property
    def left_out(self) -> bool:
        """Whether some documents were not followed."""
        return self._limit < 1 << 8 * _FIRST

    def take_unknown(self) -> None:
        """Note that nobody knows what the events of some entry cite."""
        self._any_erased = self._any_unknown = True

    def take_events(self, index: int, shown: Sequence[ShownEvent | None]) -> None:
        """Note what the events of entry `index` cite; None was erased."""
        digests = {one for event in shown if event for one in _cited_by(event)}
        self.take_cited(index, digests)
        if None in shown:
            self._may_be_erased |= set(filter(self._is_followed, digests))
            self._any_erased = True
            self._any_unknown |= not digests

    def take_cited(self, index: int, digests: Iterable[bytes]) -> None:
        """Note what the events of entry `index`, none of them erased, cite."""
        for digest in filter(self._is_followed, digests):
            if index < self._cited.get(digest, index + 1):
                self._cited[digest] = index
        while len(self._cited) + len(self._may_be_erased) > self.documents_max:
            self._limit //= 2
            self._cited = {d: at for d, at in self._cited.items() if self._is_followed(d)}
            self._may_be_erased = set(filter(self._is_followed, self._may_be_erased))

    def check_rows(self, rows: Iterable[Sequence[object]]) -> Iterator[Finding]:
        """Yield what is wrong with rows of `document`."""
        for row in rows:
            wrong = check_row("document", row)
            if wrong is not None:
                yield wrong
            else:
                yield from self._check_row(row)

    def cited_at(self, digest: object) -> int | None:
        """Return the first entry that cites a document that was not checked yet, or None."""
        return self._cited.get(digest) if isinstance(digest, bytes) else None

    def finish(self) -> Iterator[Finding]:
        """Yield which documents are missing, after all rows were checked."""
        for digest, index in self._cited.items():
            yield _missing(index, digest, "cannot be found")

    def _check_row(self, row: Sequence[object]) -> Iterator[Finding]:
        digest, data = row
        assert isinstance(digest, bytes)
        index = self._cited.pop(digest, None)
        if not isinstance(data, bytes):
            known = digest in self._may_be_erased or self._any_unknown
            if index is not None and not known:
                yield _missing(index, digest, "was erased, and none of its events was")
        elif sha256(data).digest() != digest:
            yield _finding(index, digest, digest.hex(), sha256(data).hexdigest())
        elif index is None and self._is_followed(digest):
            if not self._any_erased:
                yield _finding(None, digest, "no such row", "a document that nobody cites")
            self.uncited += 1

    def _is_followed(self, digest: bytes) -> bool:
        return int.from_bytes(digest[:_FIRST], "big") < self._limit


def _cited_by(event: ShownEvent) -> Iterator[bytes]:
    part = event.parts[OTHER]
    if part is None or _MARK not in part:
        return
    try:
        fields: object = json.loads(part)
    except (ValueError, RecursionError):
        return
    digest = cited_in(fields) if isinstance(fields, dict) else None
    if digest is not None:
        yield digest


def cited_in(fields: Mapping[str, object]) -> bytes | None:
    """Return the SHA-256 of the document that an event with `fields` cites, or None."""
    match fields.get(EVIDENCE_FIELD):
        case {"document": str(text)} if len(text) == 2 * HASH_SIZE:
            with suppress(ValueError):
                return bytes.fromhex(text)
    return None


def _missing(index: int, digest: bytes, why: str) -> Finding:
    return Finding(
        check=11,
        index=index,
        field="document.data",
        expected=digest.hex(),
        computed="nothing",
        what=f"The document {digest.hex()[:16]}… that entry {index} cites {why}.",
    )


def _finding(index: int | None, digest: bytes, expected: str, computed: str) -> Finding:
    return Finding(
        check=11,
        index=index,
        field="document.data",
        expected=expected,
        computed=computed,
        what=f"The document {digest.hex()[:16]}… is not one that an event was made of.",
    )
