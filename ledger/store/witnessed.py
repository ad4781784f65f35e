"""What one witness has cosigned: `witness.db`, and the two notes of every fork it was shown.

    latest(origin, size, root, note)            the last checkpoint cosigned, per log
    refused(text, origin, time_s, why, request, seen)   signed requests that do not fit it

`add` judges a request and records the new checkpoint in one transaction: no two requests can
cross so that the size falls. When it returns, what is to be cosigned is on the disk; a crash
before the answer costs the log a repetition, never the witness its memory.

A request that a log's own key signed and that still does not extend what was cosigned may be
the proof that the log tells two stories: the first 1,000 of each log are kept.

Who owns this file can make the witness cosign a fork; a policy asks for several witnesses
because of that. Reading it tells nothing that is not public.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection as OrmConnection

from ledger.store.dialect import Connection
from ledger.store.sqlite import create_database, open_writer
from ledger.tlog.checkpoint import Checkpoint, parse_signed_checkpoint
from ledger.tlog.note import Note, NoteVerifier, format_note, verified_signatures
from ledger.tlog.witness import (
    CONFLICT,
    UNPROCESSABLE,
    Refusal,
    decide,
    parse_add_checkpoint,
)

WITNESS_NAME = "witness.db"
REFUSED_MAX = 1000

_TABLES = (
    """CREATE TABLE latest (
        origin TEXT NOT NULL PRIMARY KEY,
        size INTEGER NOT NULL,
        root BLOB NOT NULL CHECK (length(root) = 32),
        note BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE refused (
        text TEXT NOT NULL PRIMARY KEY,
        origin TEXT NOT NULL,
        time_s INTEGER NOT NULL,
        why TEXT NOT NULL,
        request BLOB NOT NULL,
        seen BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER latest_never_falls BEFORE UPDATE ON latest WHEN NEW.size < OLD.size
       BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END""",
    """CREATE TRIGGER latest_stays BEFORE DELETE ON latest
       BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END""",
    """CREATE TRIGGER refused_stays BEFORE DELETE ON refused
       BEGIN SELECT RAISE(ABORT, 'evidence against a log stays'); END""",
)


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request that was refused although the log's key had signed it."""

    origin: str
    time_s: int
    why: str
    request: bytes
    seen: bytes
    """The note that was cosigned last then."""


def create_witnessed(folder: Path) -> None:
    """Create `witness.db` of a witness that has cosigned nothing yet."""

    def create(connection: OrmConnection) -> None:
        for statement in _TABLES:
            connection.exec_driver_sql(statement)

    create_database(folder / WITNESS_NAME, create)


class Witnessed:
    """The memory of one witness; threads may share it, and processes too."""

    def __init__(self, folder: Path) -> None:
        """Open `witness.db`; raise `StorageError` if there is none."""
        self._database = open_writer(folder / WITNESS_NAME)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(
        self,
        data: bytes,
        logs: Mapping[str, Sequence[NoteVerifier]],
        cosign: Callable[[str], bytes],
        *,
        now_s: int,
    ) -> bytes | Refusal:
        """Judge the request `data`; return the cosignature lines once they may be shown.

        `logs` are the keys trusted for each origin, `cosign` makes the lines for a checkpoint,
        `now_s` is the time in seconds.
        """
        # Outside of the transaction: who is no log of ours never holds up the others.
        early = decide(data, logs=logs, latest={})
        if isinstance(early, Refusal) and early.status not in (CONFLICT, UNPROCESSABLE):
            return early
        signed = parse_add_checkpoint(data).signed
        checkpoint = signed.checkpoint
        with self._database.transaction() as connection:
            seen = _find_latest(connection, checkpoint.origin)
            latest = {} if seen is None else {checkpoint.origin: seen[0]}
            answer = decide(data, logs=logs, latest=latest)
            if isinstance(answer, Refusal):
                if seen is not None and _may_convict(answer, checkpoint, seen[0]):
                    _keep(
                        connection,
                        signed.note.text,
                        KeptRequest(checkpoint.origin, now_s, answer.why, data, seen[1]),
                    )
                return answer
            lines = cosign(signed.note.text)
            own = verified_signatures(signed.note, logs[checkpoint.origin])
            note = format_note(Note(text=signed.note.text, signatures=own)) + lines
            connection.execute(
                "INSERT INTO latest (origin, size, root, note) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (origin) DO UPDATE SET"
                " size = excluded.size, root = excluded.root, note = excluded.note",
                (checkpoint.origin, checkpoint.size, checkpoint.root, note),
            )
        return lines

    def load_latest(self, origin_hash: bytes) -> bytes | None:
        """Return the newest note of the log whose origin has this SHA-256, cosigned."""
        for origin, note in self._latest():
            if sha256(origin.encode()).digest() == origin_hash:
                return note
        return None

    def load_sizes(self) -> dict[str, int]:
        """Return the size last cosigned of each log that has one."""
        return {o: parse_signed_checkpoint(n).checkpoint.size for o, n in self._latest()}

    def load_refused(self) -> list[KeptRequest]:
        """Return the kept requests, the oldest first."""
        with self._database.lend() as connection:
            rows = connection.execute(
                "SELECT origin, time_s, why, request, seen FROM refused ORDER BY time_s"
            ).fetchall()
        return [KeptRequest(*row) for row in rows]

    def _latest(self) -> list[tuple[str, bytes]]:
        with self._database.lend() as connection:
            return connection.execute("SELECT origin, note FROM latest").fetchall()


def _find_latest(connection: Connection, origin: str) -> tuple[Checkpoint, bytes] | None:
    row = connection.execute("SELECT note FROM latest WHERE origin = ?", (origin,)).fetchone()
    return None if row is None else (parse_signed_checkpoint(row[0]).checkpoint, row[0])


def _may_convict(refusal: Refusal, asked: Checkpoint, seen: Checkpoint) -> bool:
    """Return whether the refused checkpoint may not be of the history that was cosigned."""
    other = asked.size == seen.size and asked.root != seen.root
    return other or refusal.status == UNPROCESSABLE


def _keep(connection: Connection, text: str, kept: KeptRequest) -> None:
    (count,) = connection.execute(
        "SELECT count(*) FROM refused WHERE origin = ?", (kept.origin,)
    ).fetchone()
    if count < REFUSED_MAX:
        connection.execute(
            "INSERT INTO refused (text, origin, time_s, why, request, seen)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (text, kept.origin, kept.time_s, kept.why, kept.request, kept.seen),
        )
