"""Puts submissions into the log in one order: one writer, group commit, bounded queue.

    submit → pool: parse, verify signature and commitments → writer: judge, append, COMMIT
           → only now the receipt

Signatures are verified off the writer's thread, because that is 97 % of the work of a
small statement and releases the interpreter's lock. The writer takes what is there, up to
`batch_entries`, and waits for more at most `batch_wait_us`, and only while more is being
verified: a lone submitter never waits. What one call of `submit_all` brings stays in its
order; different calls may overtake each other while they are verified.

Whoever submits faster than the disk takes it gets `BusyError`, before any work is done.

What survives a crash: every submission whose receipt was given. One that was not yet
acknowledged may be in the log or not; submitting it again finds out (same statement id,
same index). After a failure of storage nothing is acknowledged any more and the process
ends with exit code 70, because nobody knows what reached the disk.
"""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from ledger.disclosure import Submission
from ledger.errors import TagtrailError
from ledger.store.batch import Receipt
from ledger.store.intake import VerifiedSubmission, verify_submission
from ledger.store.log import Log

EXIT_STORAGE = 70
RETRY_AFTER_S = 1
STOP_WAIT_S = 5.0
# Of the process. A thread back from Ed25519 waits this long for the interpreter's lock while
# the writer holds it; with Python's own 5 ms the cores idle for a third of the time.
SWITCH_INTERVAL_S = 0.001

_log = logging.getLogger("tagtrail.sequencer")

Answer = Receipt | TagtrailError
"""What became of one submission: its place, or why it has none."""


class BusyError(TagtrailError):
    """The queue is full, or the ledger is stopping: submit again after `retry_after_s`."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the ledger is busy: {why}")
        self.retry_after_s = RETRY_AFTER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencerLimits:
    """How much is taken at once, in entries, microseconds and threads."""

    batch_entries: int = 256
    batch_wait_us: int = 20_000
    queue_submissions_max: int = 4096
    verify_threads: int = 2


class Sequencer:
    """The one way into a log while a server runs."""

    def __init__(
        self,
        log: Log,
        limits: SequencerLimits | None = None,
        *,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        """Start the writer's thread on `log`; `end_process` is called with 70 to die."""
        self._log = log
        self._limits = limits or SequencerLimits()
        self._end_process = end_process
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._pool = ThreadPoolExecutor(self._limits.verify_threads, "verify")
        self._queue: queue.SimpleQueue[Future[_Group] | None] = queue.SimpleQueue()
        self._held: Future[_Group] | None = (
            None  # Taken from the queue by the writer, not yet done.
        )
        self._lock = threading.Lock()
        self._waiting = 0  # Submissions that are taken and not yet answered.
        self._stopping = False
        self._ended = False
        self._writer = threading.Thread(target=self._write, name="writer", daemon=True)
        self._writer.start()

    def submit(self, submission: Submission) -> "Future[Receipt]":
        """Return the receipt to come; it fails with what `submit_all` would answer."""
        one: Future[Receipt] = Future()
        one.set_running_or_notify_cancel()
        self.submit_all([submission]).add_done_callback(lambda group: _unwrap(group, one))
        return one

    def submit_all(
        self, submissions: Sequence[Submission], documents: Sequence[bytes | None] = ()
    ) -> "Future[list[Answer]]":
        """Return the answers to come to `submissions`, applied in this order.

        `documents` are what the events of each were made of, kept with them; or none at all.
        Each is answered by itself: a receipt, `ParseError`, `VerificationError`
        (commitments) or `RefusedError` (the rules of the log). Raises `BusyError` if they do
        not fit.
        """
        group = _Group(submissions, documents or [None] * len(submissions))
        group.answers.set_running_or_notify_cancel()  # From now on nobody can cancel it.
        with self._lock:
            self._reserve(len(submissions))
            self._queue.put(self._pool.submit(self._verify, group))
        return group.answers

    @property
    def waiting(self) -> int:
        """How many submissions are taken and not yet answered."""
        return self._waiting

    @property
    def is_taking(self) -> bool:
        """Whether submissions are taken: not after `stop`, not without a writer."""
        return not self._stopping and self._writer.is_alive()

    def stop(self) -> None:
        """Take nothing more, finish what was taken, and end the writer's thread."""
        with self._lock:
            self._stopping = True
        self._pool.shutdown(wait=True)
        self._queue.put(None)
        self._writer.join(STOP_WAIT_S)

    def _reserve(self, count: int) -> None:
        if self._stopping:
            raise BusyError("it is stopping")
        if self._waiting + count > self._limits.queue_submissions_max:
            raise BusyError(f"{self._waiting} submissions are waiting")
        self._waiting += count

    def _release(self, group: "_Group") -> None:
        with self._lock:
            self._waiting -= len(group.submissions)

    # --- In the pool --------------------------------------------------------------------

    def _verify(self, group: "_Group") -> "_Group":
        """Verify each submission of `group` as far as it goes without the log's end."""
        try:
            for submission, document in zip(group.submissions, group.documents, strict=True):
                group.verified.append(self._try_verify(submission, document))
        except BaseException as error:
            _log.critical("verification failed: %r", error)
            self._fail([group], error)
            raise
        return group

    def _try_verify(
        self, submission: Submission, document: bytes | None
    ) -> VerifiedSubmission | TagtrailError:
        try:
            return verify_submission(
                submission, self._log.keys(), origin=self._log.origin, document=document
            )
        except TagtrailError as error:
            return error

    # --- On the writer's thread ---------------------------------------------------------

    def _write(self) -> None:
        while not self._ended:
            if batch := self._gather():
                self._commit(batch)

    def _gather(self) -> "list[_Group]":
        """Return what the next batch is made of: a group at least, unless the end has come."""
        batch: list[_Group] = []
        taken, deadline = 0, 0.0
        while taken < self._limits.batch_entries:
            if self._held is None:
                if batch and self._queue.empty():
                    break
                self._held = self._queue.get()
                if self._held is None:
                    self._ended = True
                    break
            if batch:
                wait((self._held,), max(0.0, deadline - time.monotonic()))
                if not self._held.done():
                    break
            if self._held.exception() is None:
                batch.append(self._held.result())
                taken += len(batch[-1].submissions)
            self._held = None
            deadline = deadline or time.monotonic() + self._limits.batch_wait_us / 1e6
        return batch

    def _commit(self, batch: "list[_Group]") -> None:
        """Append `batch` and answer it; whatever fails here ends the process instead.

        A rule that refuses a statement is an outcome. An exception is a disk that failed,
        or a defect after which this process cannot vouch for what it holds in memory.
        """
        sound = [
            one
            for group in batch
            for one in group.verified
            if isinstance(one, VerifiedSubmission)
        ]
        try:
            outcomes = iter(self._log.append(sound))
        except BaseException as error:
            _log.critical("append failed, nothing more is acknowledged: %r", error)
            logging.shutdown()
            self._end_process(EXIT_STORAGE)
            self._fail(batch, error)
            raise
        for group in batch:
            answers: list[Answer] = [
                one if isinstance(one, TagtrailError) else next(outcomes)
                for one in group.verified
            ]
            self._release(group)
            group.answers.set_result(answers)

    def _fail(self, groups: "Sequence[_Group]", error: BaseException) -> None:
        """Answer `groups` with an `error` that is not theirs."""
        for group in groups:
            self._release(group)
            group.answers.set_exception(error)


@dataclass(slots=True)
class _Group:
    """What one call of `submit_all` brought: verified in one task, answered at once."""

    submissions: Sequence[Submission]
    documents: Sequence[bytes | None]
    verified: list[VerifiedSubmission | TagtrailError] = field(default_factory=list)
    answers: "Future[list[Answer]]" = field(default_factory=Future)


def _unwrap(group: "Future[list[Answer]]", one: "Future[Receipt]") -> None:
    """Give the only answer of `group` to `one`."""
    failed = group.exception()
    answer = failed or group.result()[0]
    if isinstance(answer, BaseException):
        one.set_exception(answer)
    else:
        one.set_result(answer)
