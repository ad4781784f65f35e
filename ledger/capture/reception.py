"""Captures documents: judges their events, signs them, brings them into the log.

    accept: capture.db has the document (durable) → the sender gets its capture id
    worker: judge → leave out what is known → sign → log (durable) → outcome into capture.db

One worker thread captures in the order in which documents came; several go into one
transaction. Of a document one statement is made, so it is logged whole or not at all: under
`rollback` one bad event leaves nothing in the log; under `proceed` the good ones are captured
and the outcome lists the bad ones.

What survives a crash: every document that was accepted. One that had not ended is judged
again after the start; the events of it that reached the log are known by their eventIDs
(given or computed), so that nothing is captured twice. The worker therefore begins once the
index has followed all that is stored.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.capture.handling import Handling, parse_handling
from ledger.capture.known import KnownEvents
from ledger.capture.outcome import ERRORS_KEPT_MAX, Outcome
from ledger.capture.sealing import Sealer
from ledger.cose import Signer
from ledger.disclosure import Submission
from ledger.epcis.received import ReceivedEvent, judge_event, list_events, read_document
from ledger.epcis.rules import Fault
from ledger.errors import ParseError, TagtrailError
from ledger.store.batch import Receipt
from ledger.store.capture_jobs import CaptureJobs, Job, NewJob
from ledger.store.database import Where
from ledger.store.index_source import IndexReader
from ledger.store.log import Log
from ledger.store.sequencer import Answer, BusyError, Sequencer

WAITING_DOCUMENTS_MAX = 256
WAITING_BYTES_MAX = 256 * 1024 * 1024
BATCH_DOCUMENTS = 32
BATCH_BYTES = 8 * 1024 * 1024
LARGE_DOCUMENT_BYTES = 1024 * 1024
CAPTURE_ID_BYTES = 16
STOP_WAIT_S = 30.0
_LOOK_AGAIN_S = 0.02
# What a defect of ours raises where a document is such as nobody foresaw.
_DEFECTS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)

_log = logging.getLogger("tagtrail.capture")


_Events = Sequence[tuple[str, Mapping[str, object] | None]]


@dataclass(slots=True, kw_only=True)
class _Task:
    """One document on its way; `number` is that of its job, if it has one.

    A large document is read again when it is its turn: parsed, it takes ten times its bytes.
    """

    data: bytes
    media: str
    events: _Events | None
    handling: Handling
    done: "Future[Outcome]"
    number: int | None
    outcome: Outcome
    new: list[ReceivedEvent] = field(default_factory=list)


class Reception:
    """The one way for documents into an open ledger."""

    def __init__(
        self,
        *,
        home: Where,
        log: Log,
        sequencer: Sequencer,
        index: IndexReader,
        signer: Signer,
        now_us: Callable[[], int],
    ) -> None:
        """Start the worker; `signer` is the ledger's capture key."""
        self.jobs = CaptureJobs(home)
        self._log = log
        self._sequencer = sequencer
        self._index = index
        self._now_us = now_us
        self._sealer = Sealer(log, signer)
        self._known = KnownEvents(index)
        self._condition = threading.Condition()
        self._large = threading.Lock()  # One large document is parsed at a time.
        self._waiting: list[_Task] = []
        self._waiting_bytes = 0
        self._stopping = False
        self._unfinished = self.jobs.load_unfinished()
        self._worker = threading.Thread(target=self._work, name="capture", daemon=True)
        self._worker.start()

    # --- For the doors -------------------------------------------------------------------

    def accept(
        self, data: bytes, media: str, handling: Handling
    ) -> tuple[str, Future[Outcome]]:
        """Take a document; once this returns, it is durable and will be captured.

        Returns its capture id, and the outcome to come. Raises `ParseError` for what is no
        document, `BusyError` where too much waits.
        """
        self._refuse_if_busy(len(data))
        events = self._read(data, media)
        digest = sha256(data).digest()
        job = NewJob(
            capture_id=secrets.token_hex(CAPTURE_ID_BYTES),
            created_us=self._now_us(),
            behaviour=str(handling),
            media=media,
            sha256=digest,
            data=data,
        )
        task = _make_task(data, media, events, handling, number=self.jobs.store(job))
        self._put(task)
        return job.capture_id, task.done

    def capture(self, data: bytes, media: str, *, strict: bool = False) -> "Future[Outcome]":
        """Capture one event without a job; the outcome is durable. `ParseError` for more."""
        self._refuse_if_busy(len(data))
        events = self._read(data, media)
        if len(events) != 1:
            raise ParseError("document", f"has {len(events)} events, want one")
        task = _make_task(data, media, events, Handling(strict=strict), number=None)
        self._put(task)
        return task.done

    def _read(self, data: bytes, media: str) -> _Events:
        if len(data) <= LARGE_DOCUMENT_BYTES:
            return list_events(read_document(data, media))
        with self._large:
            return list_events(read_document(data, media))

    def find_job(self, capture_id: str) -> Job | None:
        """Return the job with this id, or None."""
        return self.jobs.find(capture_id)

    def stop(self) -> None:
        """Take nothing more; what waits goes on after the next start."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self._worker.join(STOP_WAIT_S)
        self._give_up()
        self.jobs.close()

    def _give_up(self, batch: Sequence[_Task] = ()) -> None:
        """Answer what waits; with a job it goes on after the next start."""
        with self._condition:
            self._stopping = True
            waiting, self._waiting = self._waiting, []
        for task in (*batch, *waiting):
            if not task.done.done():
                task.done.set_exception(BusyError("it is stopping"))

    def _refuse_if_busy(self, size: int) -> None:
        with self._condition:
            if self._stopping:
                raise BusyError("it is stopping")
            too_many = len(self._waiting) >= WAITING_DOCUMENTS_MAX
            if too_many or self._waiting_bytes + size > WAITING_BYTES_MAX:
                raise BusyError(f"{len(self._waiting)} documents are waiting")

    def _put(self, task: _Task) -> None:
        with self._condition:
            if self._stopping:  # Since the sender was told to come in.
                task.done.set_exception(BusyError("it is stopping"))
                return
            self._waiting.append(task)
            self._waiting_bytes += len(task.data)
            self._condition.notify_all()

    # --- On the worker's thread ----------------------------------------------------------

    def _work(self) -> None:
        batch: list[_Task] = []
        try:
            self._await_index(self._log.size)
            self._resume()
            while batch := self._take():
                self._capture(batch)
        except BaseException as error:  # A defect: what waits is kept for the next start.
            _log.critical("capture ended: %r", error)
            self._give_up(batch)
            raise

    def _await_index(self, size: int) -> None:
        while not self._stopping and self._index.source().size() < size:
            time.sleep(_LOOK_AGAIN_S)

    def _resume(self) -> None:
        """Put what had not ended before everything that came since the start."""
        tasks, spoilt = [], []
        for number, job in self._unfinished:
            try:
                events = self._read(job.data, job.media)
                handling = parse_handling(job.behaviour)
            except ParseError as error:  # Taken by a version that read what this one does not.
                outcome = Outcome(document=sha256(job.data).hexdigest())
                outcome.fail("The document is no longer read", str(error))
                spoilt.append((number, outcome.encode()))
                continue
            tasks.append(_make_task(job.data, job.media, events, handling, number=number))
        if spoilt:
            self.jobs.finish(spoilt, self._now_us())
        self._unfinished = []
        with self._condition:
            self._waiting[:0] = tasks
            self._waiting_bytes += sum(len(task.data) for task in tasks)

    def _take(self) -> list[_Task]:
        """Return the documents that wait, at most a batch; none at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._stopping)
            if self._stopping:
                return []
            count, size = 1, len(self._waiting[0].data)
            for task in self._waiting[1:BATCH_DOCUMENTS]:
                size += len(task.data)
                if size > BATCH_BYTES:
                    break
                count += 1
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            self._waiting_bytes -= sum(len(task.data) for task in batch)
        return batch

    def _capture(self, batch: Sequence[_Task]) -> None:
        sealed: list[tuple[_Task, Submission, bytes]] = []
        for task in batch:
            try:
                self._judge(task)
                if not task.new:
                    continue
                sealed.append((task, *self._sealer.seal(task.new, self._now_us())))
            except TagtrailError as error:
                task.outcome.fail("The ledger cannot sign what it receives", str(error))
                continue
            except _DEFECTS as error:  # In one document, which is none of the others'.
                _log.exception("document %s cannot be captured", task.outcome.document)
                why = f"{type(error).__name__}: see the server's log"
                task.outcome.fail("The ledger itself is at fault", why)
                continue
            self._known.remember(task.new)
        if sealed:
            self._log_sealed(sealed)
        ended = [(t.number, t.outcome.encode()) for t in batch if t.number is not None]
        if ended:
            self.jobs.finish(ended, self._now_us())
        for task in batch:
            task.done.set_result(task.outcome)

    def _judge(self, task: _Task) -> None:
        """Decide which events of a document go into the log."""
        outcome = task.outcome
        if self._log.reader.is_document_erased(bytes.fromhex(outcome.document)):
            mend = "it is not captured a second time; send a document of its own"
            outcome.refuse([Fault("", "is of a document that was erased here", mend)])
            return
        good: list[ReceivedEvent] = []
        for pointer, raw in task.events or self._read(task.data, task.media):
            is_full = len(outcome.errors) >= ERRORS_KEPT_MAX
            one = judge_event(pointer, raw, cites=outcome.document, all_faults=not is_full)
            if one.event is None or (task.handling.strict and one.faults):
                outcome.refuse(one.faults)
            else:
                good.append(one)
                outcome.remark(one)
        new, known, conflicts = self._known.sort_out(good)
        outcome.conflict = bool(conflicts)
        outcome.refuse(conflicts)
        if outcome.errors and task.handling.behaviour == "rollback":
            return
        task.new = new
        outcome.known, outcome.captured = known, len(new)
        outcome.event_ids = [str(one.raw["eventID"]) for one in good]

    def _submit(self, sealed: Sequence[tuple[_Task, Submission, bytes]]) -> list[Answer]:
        """Return what the log says to each statement, once the sequencer had room."""
        while True:
            try:
                return self._sequencer.submit_all(
                    [submission for _, submission, _ in sealed],
                    [task.data for task, _, _ in sealed],
                ).result()
            except BusyError as busy:
                if not self._sequencer.is_taking:
                    raise
                time.sleep(busy.retry_after_s)

    def _log_sealed(self, sealed: Sequence[tuple[_Task, Submission, bytes]]) -> None:
        """Bring statements into the log, in order, and note what became of each."""
        failed = False
        answers = self._submit(sealed)
        for (task, _, statement_id), answer in zip(sealed, answers, strict=True):
            if isinstance(answer, Receipt):
                task.outcome.index = answer.index
                task.outcome.statement_id = statement_id.hex()
                self._known.settle(task.new, answer.index)
                continue
            failed = True
            self._known.settle(task.new, None)
            task.outcome.fail("The log refuses what the ledger signs", str(answer))
        if failed:
            self._sealer.resume()


def _make_task(
    data: bytes, media: str, events: _Events, handling: Handling, *, number: int | None
) -> _Task:
    outcome = Outcome(document=sha256(data).hexdigest(), events=len(events))
    done: Future[Outcome] = Future()
    done.set_running_or_notify_cancel()
    return _Task(
        data=data,
        media=media,
        events=events if len(data) <= LARGE_DOCUMENT_BYTES else None,
        handling=handling,
        done=done,
        number=number,
        outcome=outcome,
    )
