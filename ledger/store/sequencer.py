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
from dataclasses import dataclass

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

_Group = list[tuple[VerifiedSubmission, "Future[Receipt]"]]
_Task = Future[_Group]
"""A group that is being verified."""


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
        self._queue: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._held: _Task | None = None  # Taken from the queue by the writer, not yet done.
        self._lock = threading.Lock()
        self._waiting = 0  # Submissions that are taken and not yet answered.
        self._stopping = False
        self._ended = False
        self._writer = threading.Thread(target=self._write, name="writer", daemon=True)
        self._writer.start()

    def submit(self, submission: Submission) -> "Future[Receipt]":
        """Return the receipt to come; it fails with what `submit_all` tells."""
        return self.submit_all([submission])[0]

    def submit_all(
        self, submissions: Sequence[Submission], documents: Sequence[bytes | None] = ()
    ) -> "list[Future[Receipt]]":
        """Return the receipts to come of `submissions`, applied in this order.

        `documents` are what the events of each were made of, kept with them; or none at all.
        Each fails by itself: `ParseError`, `VerificationError` (commitments),
        `RefusedError` (the rules of the log). Raises `BusyError` if they do not fit.
        """
        futures: list[Future[Receipt]] = [Future() for _ in submissions]
        for future in futures:
            future.set_running_or_notify_cancel()  # From now on nobody can cancel it.
            future.add_done_callback(self._answered)
        documents = documents or [None] * len(futures)
        group = list(zip(submissions, documents, futures, strict=True))
        with self._lock:
            self._reserve(len(group))
            self._queue.put(self._pool.submit(self._verify, group))
        return futures

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

    def _answered(self, _: "Future[Receipt]") -> None:
        with self._lock:
            self._waiting -= 1

    # --- In the pool --------------------------------------------------------------------

    def _verify(
        self, group: "list[tuple[Submission, bytes | None, Future[Receipt]]]"
    ) -> _Group:
        """Return what of `group` is sound; the rest is answered at once."""
        verified: _Group = []
        try:
            for submission, document, future in group:
                try:
                    one = verify_submission(
                        submission,
                        self._log.keys(),
                        origin=self._log.origin,
                        document=document,
                    )
                    verified.append((one, future))
                except TagtrailError as error:
                    future.set_exception(error)
        except BaseException as error:
            _log.critical("verification failed: %r", error)
            _fail([future for _, _, future in group], error)
            raise
        return verified

    # --- On the writer's thread ---------------------------------------------------------

    def _write(self) -> None:
        while not self._ended:
            if batch := self._gather():
                self._commit(batch)

    def _gather(self) -> _Group:
        """Return the next batch: at least one group, unless the end has come."""
        batch: _Group = []
        deadline = 0.0
        while len(batch) < self._limits.batch_entries:
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
                batch.extend(self._held.result())
            self._held = None
            deadline = deadline or time.monotonic() + self._limits.batch_wait_us / 1e6
        return batch

    def _commit(self, batch: _Group) -> None:
        """Append `batch` and answer it; whatever fails here ends the process instead.

        A rule that refuses a statement is an outcome. An exception is a disk that failed,
        or a defect after which this process cannot vouch for what it holds in memory.
        """
        try:
            outcomes = self._log.append([submission for submission, _ in batch])
        except BaseException as error:
            _log.critical("append failed, nothing more is acknowledged: %r", error)
            logging.shutdown()
            self._end_process(EXIT_STORAGE)
            _fail([future for _, future in batch], error)
            raise
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)


def _fail(futures: "Sequence[Future[Receipt]]", error: BaseException) -> None:
    """Give `error` to every one of `futures` that has no answer yet."""
    for future in futures:
        if not future.done():
            future.set_exception(error)
