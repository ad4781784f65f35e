"""Hands out signatures and events in chunks, and takes the verdicts in the order of the log.

Verifying is nearly all of the work of an audit. A chunk is given to a `JudgeChunk`, which
starts on it and returns at once; its verdict is asked for when enough chunks are under way.
How much waits is bounded in count and in bytes. Captures that come back as odd are looked
at closely here, so that what is found does not depend on who judged.

Pure: no I/O, no clock, no randomness.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ledger.audit.chunk import (
    CHUNK_BYTES_MAX,
    CHUNK_COUNT_MAX,
    CaptureJob,
    Chunk,
    JudgeChunk,
    Pending,
    SignatureJob,
)
from ledger.audit.documents import DocumentAudit
from ledger.audit.events import EventAudit
from ledger.audit.finding import Finding
from ledger.statement import Capture, Statement

CHUNKS_WAITING_MAX = 6


@dataclass(slots=True)
class _Open:
    """A chunk that is being filled, with what is needed to report on it."""

    chunk: Chunk
    size: int = 0
    signed: list[int] = field(default_factory=list)
    captured: list[tuple[int, Statement]] = field(default_factory=list)


class Handout:
    """The chunks under way."""

    def __init__(self, judge: JudgeChunk, events: EventAudit, documents: DocumentAudit) -> None:
        """Judge by `judge`, look at odd `events`, tell `documents` what is cited."""
        self._judge = judge
        self._events = events
        self._documents = documents
        self._open = _Open(Chunk(epcis=events.epcis))
        self._waiting: deque[tuple[_Open, Pending]] = deque()
        self.signatures = 0

    def add_signature(self, index: int, statement: Statement, x: bytes) -> None:
        """Take on the signature of the statement in entry `index` under the key `x`."""
        filling = self._open
        jobs = filling.chunk.signatures
        jobs.append(SignatureJob(len(jobs), x, statement.signature, statement.message))
        filling.signed.append(index)
        filling.size += len(statement.message)
        self.signatures += 1

    def add_capture(
        self,
        index: int,
        statement: Statement,
        events: Sequence[tuple[bytes, bytes]],
        prefixes: tuple[str, ...],
    ) -> None:
        """Take on all events of the capture in entry `index`, by a key with `prefixes`."""
        assert isinstance(statement.body, Capture)
        filling = self._open
        jobs = filling.chunk.captures
        jobs.append(CaptureJob(len(jobs), statement.body.root, events, prefixes))
        filling.captured.append((index, statement))
        for _, data in events:
            filling.size += len(data)

    @property
    def is_full(self) -> bool:
        """Whether what was taken on is enough to start on it."""
        filling = self._open
        count = len(filling.signed) + len(filling.captured)
        return count >= CHUNK_COUNT_MAX or filling.size >= CHUNK_BYTES_MAX

    def go_on(self) -> Iterator[Finding]:
        """Start on what was taken on if it is enough; yield what comes back meanwhile."""
        if not self.is_full:
            return
        self._start()
        if len(self._waiting) > CHUNKS_WAITING_MAX:
            yield from self._take()

    def finish(self) -> Iterator[Finding]:
        """Yield what is wrong with all that is left."""
        self._start()
        while self._waiting:
            yield from self._take()

    def _start(self) -> None:
        filling = self._open
        if filling.signed or filling.captured:
            self._waiting.append((filling, self._judge(filling.chunk)))
            self._open = _Open(Chunk(epcis=self._events.epcis))

    def _take(self) -> Iterator[Finding]:
        done, pending = self._waiting.popleft()
        verdict = pending()
        for at, why in verdict.wrong:
            yield _wrong_signature(done.signed[at], done.chunk.signatures[at].x, why)
        counts = self._events.counts
        counts.shown += verdict.whole
        counts.withheld += verdict.withheld
        for at, digest in verdict.cited:
            self._documents.take_cited(done.captured[at][0], (digest,))
        for at in sorted(verdict.odd):
            index, statement = done.captured[at]
            job = done.chunk.captures[at]
            yield from self._events.check_odd(index, statement, job.events, job.prefixes)
            self._documents.take_events(index, self._events.shown or ())


def _wrong_signature(index: int, x: bytes, why: str) -> Finding:
    return Finding(
        check=8,
        index=index,
        field="entry.data: statement signature",
        expected=f"a signature of the key {x.hex()}",
        computed=why,
        what=f"The statement in entry {index} was not signed by the key that it names: it was "
        "changed after it was signed, or never was.",
    )
