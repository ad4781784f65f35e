"""Documents on their way into the log, and what became of them: `capture.db`.

    job(id, capture_id, created_us, finished_us, behaviour, media, sha256, data, outcome)

A job is durable before its sender is told of it, with the document; when it has ended, the
document is let go and the outcome (JSON) stays. No evidence: what was captured is in the log,
and who owns this database can only forget or invent jobs, never events.

What survives a crash here: every job that was answered. One that had not ended is worked
off again after the start; what of it was captured before is then found in the log.
"""

import threading
from dataclasses import dataclass

from ledger.store.database import (
    CAPTURE,
    Where,
    home_of,
    make_again,
    open_reader,
    open_writer,
    version_of,
)
from ledger.store.dialect import LIMIT_NONE
from ledger.store.schema import CAPTURE_LAYOUT

CAPTURE_VERSION = 0
JOBS_KEPT_MAX = 100_000

_SHOWN = "id, capture_id, created_us, finished_us, behaviour, outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A document that came, `media` its type, `behaviour` what is done about faults."""

    capture_id: str
    created_us: int
    behaviour: str
    media: str
    sha256: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a job; `outcome` is None while it runs."""

    number: int
    capture_id: str
    created_us: int
    finished_us: int | None
    behaviour: str
    outcome: bytes | None


class CaptureJobs:
    """The jobs of one ledger; any thread may ask and write."""

    def __init__(self, where: Where) -> None:
        """Open the jobs of the ledger at `where`, made where they are missing."""
        home = home_of(where)
        if version_of(home, CAPTURE) is None:
            make_again(home, CAPTURE, CAPTURE_LAYOUT, CAPTURE_VERSION)
        self._database = open_writer(home, CAPTURE)
        self._reader = open_reader(home, CAPTURE)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the database."""
        self._reader.close()
        self._database.close()

    def store(self, job: NewJob) -> int:
        """Keep a job, durably, and return its number; jobs over the limit are forgotten."""
        values = (
            *(job.capture_id, job.created_us, job.behaviour, job.media),
            *(job.sha256, job.data),
        )
        with self._lock, self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO job (capture_id, created_us, behaviour, media, sha256, data) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                values,
            ).fetchone()
            number = int(row[0])
            connection.execute(
                "DELETE FROM job WHERE id <= ? AND finished_us IS NOT NULL",
                (number - JOBS_KEPT_MAX,),
            )
        return number

    def finish(self, ended: list[tuple[int, bytes]], now_us: int) -> None:
        """Keep what became of jobs (number, outcome), durably, and let their data go.

        What was refused leaves no trace, and what is erased from the log later has left none
        here, so what is let go is overwritten.
        """
        with self._lock, self._database.transaction(erasing=True) as connection:
            for number, outcome in ended:
                connection.execute(
                    "UPDATE job SET finished_us = ?, outcome = ?, data = NULL WHERE id = ?",
                    (now_us, outcome, number),
                )

    def load_unfinished(self) -> list[tuple[int, NewJob]]:
        """Return the jobs that had not ended, oldest first."""
        with self._reader.lend() as connection:
            rows = connection.execute(
                "SELECT id, capture_id, created_us, behaviour, media, sha256, data FROM job "
                "WHERE finished_us IS NULL ORDER BY id"
            ).fetchall()
        names = ("capture_id", "created_us", "behaviour", "media", "sha256", "data")
        return [(row[0], NewJob(**dict(zip(names, row[1:], strict=True)))) for row in rows]

    def find(self, capture_id: str) -> Job | None:
        """Return the job with this id, or None."""
        with self._reader.lend() as connection:
            row = connection.execute(
                f"SELECT {_SHOWN} FROM job WHERE capture_id = ?",  # noqa: S608 - our own names
                (capture_id,),
            ).fetchone()
        return None if row is None else Job(*row)

    def load_newest(self, count: int, before: int | None = None) -> list[Job]:
        """Return at most `count` jobs, newest first, with numbers below `before`."""
        limit = LIMIT_NONE if before is None else before
        with self._reader.lend() as connection:
            rows = connection.execute(
                f"SELECT {_SHOWN} FROM job WHERE id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608 - our own names
                (limit, count),
            ).fetchall()
        return [Job(*row) for row in rows]
