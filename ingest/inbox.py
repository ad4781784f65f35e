"""The inbox: every message exactly as received, durable before it is acknowledged.

The identity of a message is SHA-256 over topic, a zero byte and payload. A second delivery
of the same (the broker's, after a lost acknowledgement; or the publisher's) is recorded as a
repeat, counted and timed, and never processed again. Ids grow in the order of receipt.

But a payload without time and number, such as a heartbeat, is the same each time. A repeat that
the broker does not flag as one (DUP), `AGAIN_US` after the last that was kept or later, is kept
once more, in a message of the gateway's own (`$again`); who decodes it says whether it is news.

Payloads are in the journal (`ingest.journal`), the rest is in `inbox.db`. What is in both is
durable in the journal, so that `keep` flushes once; where the database is behind, as after a
power cut, it is made good when the inbox is next opened or written.

What survives a crash: whatever `keep` returned from. A message that `keep` did not return
from was not acknowledged either, and the broker delivers it again.

Of a payload over `MESSAGE_BYTES_MAX` only its hash and its length are kept. `prune` deletes old
payloads; that they came, when and with which hash, stays.

Quarantine lists what of which message could not be taken. It is computed from the messages
again and again with the same result, so writing it twice changes nothing. `taken` says how
much of the message was taken all the same.

Whoever owns these files can read and delete what was received; the events that cite a
message by its hash show that it was there.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from ingest.database import open_database, transaction
from ingest.drafts import SECRET_SIZE
from ingest.inboxrows import (
    FILE,
    IN_ROW,
    PRUNED,
    SCHEMA,
    UPGRADES,
    VERSION,
    count_repeats,
    find_message,
    hash_arrival,
    insert_rows,
    load_messages,
    note_rows,
    split_repeats,
    store_tail,
)
from ingest.journal import Group, Journal, Place, Repeat
from ingest.reads import Arrival, Fault, Message

_EMPTY = Place(segment=1, offset=0)


@dataclass(frozen=True, slots=True)
class Kept:
    """What one call of `keep` made of its arrivals."""

    new: int
    repeats: int


class Pruned(NamedTuple):
    """How many files of the journal were deleted, and their bytes."""

    files: int
    size: int


class Inbox:
    """One thread's hold on the inbox; several may be open at once."""

    def __init__(self, folder: Path) -> None:
        """Open the inbox in `folder`, made where there is none."""
        self._db = open_database(folder / FILE, SCHEMA, VERSION, UPGRADES)
        self._journal = Journal(folder)
        with transaction(self._db) as db:
            secret = secrets.token_bytes(SECRET_SIZE)
            db.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secret,))
            self._recover(db)
        row = self._db.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
        self.secret: bytes = row[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the files back."""
        self._journal.close()
        self._db.close()

    def keep(self, arrivals: Sequence[Arrival]) -> Kept:
        """Make the arrivals durable in their order, all with one flush; then return.

        Raises `SpoolError` where the disk refuses: nothing is acknowledged then.
        """
        if not arrivals:
            return Kept(new=0, repeats=0)
        rows = [hash_arrival(one) for one in arrivals]
        with self._journaled() as db:
            tail = self._recover(db)
            newest = self.newest_id()
            fresh, payloads_at = rows, self._journal.next_place(tail)
            repeats: list[Repeat] = []
            new = len(rows)
            db.execute("SAVEPOINT fresh")
            noted = note_rows(fresh, newest)
            if insert_rows(db, noted, payloads_at) < len(rows):
                db.execute("ROLLBACK TO fresh")
                fresh, repeats = split_repeats(db, rows, arrivals)
                new -= len(repeats)
                noted = note_rows(fresh, newest)
                insert_rows(db, noted, payloads_at)
                count_repeats(db, repeats)
            group = Group(noted, [one.payload for one in fresh], repeats)
            store_tail(db, self._journal.append(tail, group), noted)
        return Kept(new=new, repeats=len(repeats))

    @contextmanager
    def _journaled(self) -> Iterator[sqlite3.Connection]:
        """Commit without a flush of the database: the journal has it, and was flushed."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with transaction(self._db) as db:
                yield db
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def _recover(self, db: sqlite3.Connection) -> Place:
        """Note what the journal has and the database does not; return the journal's tail."""
        row = db.execute("SELECT n, size FROM segment ORDER BY n DESC LIMIT 1").fetchone()
        tail = _EMPTY if row is None else Place(*row)
        if self._journal.is_at_end(tail):
            return tail
        groups, tail = self._journal.recover(tail)
        for one in groups:
            insert_rows(db, one.noted, one.place)
            count_repeats(db, one.repeats)
            store_tail(db, one.tail, one.noted)
        return tail

    def load_after(self, cursor: int, count: int) -> list[Message]:
        """Return up to `count` messages with an id above `cursor`, in order.

        It stops early past `BATCH_BYTES`, so that a few large messages fit in memory, and
        leaves out those whose payload was pruned.
        """
        return load_messages(
            self._db, self._journal, "id > ? ORDER BY id LIMIT ?", (cursor, count)
        )

    def session_us(self) -> int | None:
        """Return when the broker last had a session of ours, None if it never had."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'session'").fetchone()
        return None if row is None else int(row[0])

    def store_session(self, at_us: int) -> None:
        """Note that the broker has a session of ours at `at_us`."""
        with transaction(self._db) as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('session', ?)", (at_us,))

    def newest_id(self) -> int:
        """Return the id of the newest message, 0 where there is none; or see `number_after`."""
        row = self._db.execute(
            "SELECT max(coalesce((SELECT max(id) FROM message), 0),"
            " coalesce((SELECT value FROM meta WHERE name = 'numbered_after'), 0))"
        ).fetchone()
        return int(row[0])

    def number_after(self, cursor: int) -> None:
        """Give new messages ids above `cursor`, up to which the outbox has processed.

        They are anyway, but where the inbox was lost, or is an older copy: then what comes
        would have the ids of what was processed long ago, and would never be.
        """
        if self.newest_id() < cursor:
            with transaction(self._db) as db:
                db.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('numbered_after', ?)", (cursor,)
                )

    def pending(self, cursor: int) -> tuple[int, int, int | None]:
        """Return how many messages are above `cursor`, their bytes, and when the first came."""
        count, size, oldest = self._db.execute(
            "SELECT count(*), coalesce(sum(size), 0), min(received_us)"
            " FROM message WHERE id > ?",
            (cursor,),
        ).fetchone()
        return count, size, oldest

    def store_faults(
        self,
        after: int,
        faults: Iterable[tuple[int, Fault]],
        *,
        taken: Mapping[int, int] | None = None,
        again: Iterable[int] = (),
    ) -> None:
        """Write the faults of the messages above `after`, in place of any they had.

        Those of the messages in `again`, taken once more, are written anew too. `taken` says
        how many items of a message were taken, 0 if it does not say.
        """
        counts = {} if taken is None else taken
        rows = [
            (message, n, fault.where, fault.why, counts.get(message, 0))
            for n, (message, fault) in enumerate(faults)
        ]
        with transaction(self._db) as db:
            db.execute("DELETE FROM quarantine WHERE message > ?", (after,))
            db.executemany(
                "DELETE FROM quarantine WHERE message = ?", [(one,) for one in again]
            )
            db.executemany("INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?)", rows)

    def message(self, message_id: int) -> Message | None:
        """Return one message, None where there is none of this id, or not any more."""
        return find_message(self._db, self._journal, message_id)

    def prune(self, *, before_us: int, through: int, files_max: int) -> Pruned:
        """Delete the payloads received before `before_us` with ids up to `through`.

        They go file by file, up to `files_max`, once all of a file may go, and never the
        newest file. Of messages in quarantine the payloads stay. A crash on the way leaves a
        file that the next call deletes.
        """
        files = size = 0
        for segment in self._journal.segments():
            if files == files_max or not self._forget(segment, before_us, through):
                break
            files, size = files + 1, size + self._journal.remove(segment)
        return Pruned(files, size)

    def _forget(self, segment: int, before_us: int, through: int) -> bool:
        """Note that what is in a file of the journal is gone; False where it may not go."""
        with transaction(self._db) as db:
            found = db.execute(
                "SELECT last, newest_us, n = (SELECT max(n) FROM segment), (SELECT"
                " coalesce(max(last), 0) FROM segment WHERE n < ?1) FROM segment WHERE n = ?1",
                (segment,),
            ).fetchone()
            if found is None or found[0] > through or found[1] >= before_us or found[2]:
                return False
            its = (segment, found[3], found[0])
            held = db.execute(
                "SELECT id, offset, size FROM message WHERE segment = ? AND id > ? AND id <= ?"
                " AND oversize = 0 AND id IN (SELECT message FROM quarantine)",
                its,
            ).fetchall()
            for n, offset, size in held:
                payload = self._journal.read(Place(segment, offset), size)
                db.execute(
                    f"UPDATE message SET segment = {IN_ROW}, payload = ? WHERE id = ?",  # noqa: S608  # our own words
                    (payload, n),
                )
            db.execute(
                f"UPDATE message SET segment = {PRUNED}"  # noqa: S608  # our own words
                " WHERE segment = ? AND id > ? AND id <= ?",
                its,
            )
        return True
