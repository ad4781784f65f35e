"""The clockwork of a ledger: publishes checkpoints and lets the index follow the log.

Two threads. The publisher signs every second when there is news, and verifies again once
an hour when there is none; each second it also sees whether the log may still be written, which
a lost connection to PostgreSQL ends. A checkpoint that must not be signed (storage gives back
something else, `signed.db` disagrees) ends the process: a log that cannot vouch for
itself takes no more statements. The follower may lag or fail without harm to evidence; it
tries again, and `/status` shows how far it is.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ledger.config import ServeSettings
from ledger.errors import TagtrailError
from ledger.store.index import Index
from ledger.store.log import Log
from ledger.store.publish import Publisher
from ledger.store.sequencer import EXIT_STORAGE

FOLLOW_AGAIN_S = 5.0
STOP_WAIT_S = 5.0

_T = TypeVar("_T")

_log = logging.getLogger("tagtrail.jobs")


class Clockwork:
    """The two threads of one open ledger."""

    def __init__(
        self,
        log: Log,
        publisher: Publisher,
        index: Index,
        settings: ServeSettings,
        *,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        """Start both; `end_process` is called with 70 where nothing may be signed."""
        self._log = log
        self._publisher = publisher
        self._index = index
        self._settings = settings
        self._end_process = end_process
        self._published: tuple[int, bytes] | None = log.reader.load_newest_checkpoint()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._publish_on_time, name="publish", daemon=True),
            threading.Thread(target=self._follow, name="follow", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def newest_checkpoint(self) -> tuple[int, bytes] | None:
        """Return size and note of the newest checkpoint, or None before the first."""
        return self._published

    def stop(self) -> None:
        """Stop both threads, then publish what is not yet under a checkpoint.

        To be called when nothing is appended any more.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_WAIT_S)
        self._publish()

    def _publish_on_time(self) -> None:
        due = 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            self._vouch(self._log.verify_writable)
            size = self._published[0] if self._published else 0
            if self._log.size > size or now >= due:
                self._publish()
                due = now + self._settings.publish_idle_s
            self._stop.wait(self._settings.publish_every_s)

    def _publish(self) -> None:
        """Publish the committed log, or end the process."""
        size, root = self._log.committed
        if not size:
            return
        note = self._vouch(lambda: self._publisher.publish(size, root))
        if note is not None:
            self._published = (size, note)

    def _vouch(self, step: Callable[[], _T]) -> _T:
        """Return what `step` does, or end the process: this one vouches for nothing more."""
        try:
            return step()
        except (TagtrailError, OSError) as error:
            _log.critical("nothing more is taken or signed, exit %d: %s", EXIT_STORAGE, error)
            logging.shutdown()
            self._end_process(EXIT_STORAGE)
            raise

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                moved = self._index.follow(self._log.size)
            except TagtrailError as error:
                _log.error("the index stands at entry %d: %s", self._index.next_index, error)
                self._stop.wait(FOLLOW_AGAIN_S)
                continue
            if not moved:
                self._stop.wait(self._settings.follow_every_s)
