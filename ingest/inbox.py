"""The inbox: every message exactly as received, durable before it is acknowledged.

The identity of a message is SHA-256 over topic, a zero byte and payload. A second delivery
of the same (the broker's, after a lost acknowledgement; or the publisher's) is recorded as a
repeat, counted and timed, and never processed again. Ids grow in the order of receipt.

What survives a crash: whatever `keep` returned from. A message that `keep` did not return
from was not acknowledged either, and the broker delivers it again.

Quarantine lists what of which message could not be taken. It is computed from the messages
again and again with the same result, so writing it twice changes nothing.

Whoever owns this file can read and delete what was received; the events that cite a
message by its hash show that it was there.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ingest.database import open_database, open_reader, transaction
from ingest.drafts import SECRET_SIZE
from ingest.reads import TICK_TOPIC, Arrival, Fault, Message, message_hash

VERSION = 1
FILE = "inbox.db"
BATCH_BYTES = 16 * 1024 * 1024
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE message (
  id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, topic TEXT NOT NULL,
  payload BLOB NOT NULL, received_us INTEGER NOT NULL);
CREATE TABLE repeat (
  message INTEGER PRIMARY KEY, count INTEGER NOT NULL, last_us INTEGER NOT NULL);
CREATE TABLE quarantine (
  message INTEGER NOT NULL, n INTEGER NOT NULL, place TEXT NOT NULL, why TEXT NOT NULL,
  PRIMARY KEY (message, n)) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one call of `keep` made of its arrivals."""

    new: int
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One thing that could not be taken, with the message it was in."""

    message: int
    n: int
    topic: str
    received_us: int
    place: str
    why: str


class Inbox:
    """One thread's hold on the inbox file; several may be open at once."""

    def __init__(self, folder: Path) -> None:
        """Open the inbox in `folder`, made where there is none."""
        self._db = open_database(folder / FILE, _SCHEMA, VERSION)
        with transaction(self._db):
            secret = secrets.token_bytes(SECRET_SIZE)
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secret,))
        row = self._db.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
        self.secret: bytes = row[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def keep(self, arrivals: Sequence[Arrival]) -> Kept:
        """Make the arrivals durable in their order, all in one commit; then return.

        Raises `SpoolError` where the disk refuses: nothing is kept then, and nothing may
        be acknowledged.
        """
        new = 0
        with transaction(self._db) as db:
            for one in arrivals:
                digest = message_hash(one.topic, one.payload)
                row = (digest, one.topic, one.payload, one.received_us)
                added = db.execute(
                    "INSERT INTO message (sha256, topic, payload, received_us)"
                    " VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
                    row,
                ).rowcount
                new += added
                if not added:
                    db.execute(
                        "INSERT INTO repeat SELECT id, 1, ? FROM message WHERE sha256 = ?"
                        " ON CONFLICT (message) DO UPDATE SET count = count + 1,"
                        " last_us = excluded.last_us",
                        (one.received_us, digest),
                    )
        return Kept(new=new, repeats=len(arrivals) - new)

    def load_after(self, cursor: int, count: int) -> list[Message]:
        """Return up to `count` messages with an id above `cursor`, in order.

        It stops early past `BATCH_BYTES`, so that a few large messages fit in memory.
        """
        rows = self._db.execute(
            "SELECT id, topic, payload, received_us, sha256 FROM message"
            " WHERE id > ? ORDER BY id LIMIT ?",
            (cursor, count),
        )
        messages: list[Message] = []
        held = 0
        for n, topic, payload, at, digest in rows:
            messages.append(
                Message(id=n, topic=topic, payload=payload, received_us=at, sha256=digest)
            )
            held += len(payload)
            if held > BATCH_BYTES:
                break
        rows.close()
        return messages

    def newest_id(self) -> int:
        """Return the id of the newest message, 0 where there is none."""
        row = self._db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
        return int(row[0])

    def store_faults(self, after: int, faults: Iterable[tuple[int, Fault]]) -> None:
        """Write the faults of the messages above `after`, in place of any they had."""
        rows = [
            (message, n, fault.where, fault.why) for n, (message, fault) in enumerate(faults)
        ]
        with transaction(self._db) as db:
            db.execute("DELETE FROM quarantine WHERE message > ?", (after,))
            db.executemany("INSERT INTO quarantine VALUES (?, ?, ?, ?)", rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxCounts:
    """How much is in an inbox; `messages` does not count the gateway's own ticks."""

    messages: int
    repeats: int
    newest_id: int
    quarantined_messages: int
    faults: int


class InboxReader:
    """A look into the inbox of a gateway that may be running; changes nothing."""

    def __init__(self, folder: Path) -> None:
        """Open the inbox in `folder`; raises `SpoolError` where there is none."""
        self._db = open_reader(folder / FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def counts(self) -> InboxCounts:
        """Return how much is there."""
        newest, messages = self._db.execute(
            "SELECT coalesce(max(id), 0), coalesce(sum(topic <> ?), 0) FROM message",
            (TICK_TOPIC,),
        ).fetchone()
        repeats = self._db.execute("SELECT coalesce(sum(count), 0) FROM repeat").fetchone()
        held, faults = self._db.execute(
            "SELECT count(DISTINCT message), count(*) FROM quarantine"
        ).fetchone()
        return InboxCounts(
            messages=messages,
            repeats=repeats[0],
            newest_id=newest,
            quarantined_messages=held,
            faults=faults,
        )

    def quarantine(self, *, after: int = 0, count: int = -1) -> list[Quarantined]:
        """Return the faults of messages above `after` in their order, `count` at most."""
        rows = self._db.execute(
            "SELECT q.message, q.n, m.topic, m.received_us, q.place, q.why"
            " FROM quarantine q JOIN message m ON m.id = q.message"
            " WHERE q.message > ? ORDER BY q.message, q.n LIMIT ?",
            (after, count),
        )
        return [
            Quarantined(message=n, n=k, topic=topic, received_us=at, place=place, why=why)
            for n, k, topic, at, place, why in rows
        ]

    def message(self, message_id: int) -> Message | None:
        """Return one message, None where there is none of this id."""
        row = self._db.execute(
            "SELECT id, topic, payload, received_us, sha256 FROM message WHERE id = ?",
            (message_id,),
        ).fetchone()
        if row is None:
            return None
        n, topic, payload, at, digest = row
        return Message(id=n, topic=topic, payload=payload, received_us=at, sha256=digest)
