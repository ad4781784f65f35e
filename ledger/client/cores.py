"""Judges chunks of signatures and events on all cores.

A worker is a process of its own, because all but the signatures is work of the interpreter,
which one process does on one core at a time. Workers start when there is enough to do for
them; a small log is judged in this process.
"""

import gc
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from ledger.audit.chunk import Chunk, Pending, Verdict, judge_chunk, judge_later

CHUNKS_BEFORE_WORKERS = 4
OBJECTS_BETWEEN_LOOKS = 200_000
"""How many objects are made before Python looks for cycles among them, of which there are none:
at its usual 700 that takes a twentieth of an audit."""


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def collect_rarely() -> Iterator[None]:
    """Let Python look for cycles less often, until this is left."""
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _start_worker() -> None:
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)


class JudgeCores:
    """Workers that judge; use `with`."""

    def __init__(self, count: int | None = None) -> None:
        """Use `count` workers, by default one for each core; with 1 there is none."""
        self._count = count or count_cores()
        self._pool: ProcessPoolExecutor | None = None
        self._chunks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def judge(self, chunk: Chunk) -> Pending:
        """Start to judge `chunk`: a `ledger.audit.chunk.JudgeChunk`."""
        self._chunks += 1
        if self._count == 1 or self._chunks <= CHUNKS_BEFORE_WORKERS:
            return judge_later(chunk)
        if self._pool is None:
            # Forked workers would inherit the threads' locks of whoever calls this.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=context, initializer=_start_worker
            )
        try:
            judged = self._pool.submit(judge_chunk, chunk)
        except BrokenProcessPool:
            return judge_later(chunk)
        return lambda: _await_or_judge(judged, chunk)


def _await_or_judge(judged: "Future[Verdict]", chunk: Chunk) -> Verdict:
    """Return the verdict of a worker, or judge here what a worker left when it was killed."""
    try:
        return judged.result()
    except BrokenProcessPool:
        return judge_chunk(chunk)
