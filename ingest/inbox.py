"""The inbox: every message exactly as received, durable before it is acknowledged.

The identity of a message is SHA-256 over topic, a zero byte and payload. A second delivery
of the same (the broker's, after a lost acknowledgement; or the publisher's) is recorded as a
repeat, counted and timed, and never processed again. Ids grow in the order of receipt.

But a payload without time and number, such as a heartbeat, is the same each time. A repeat that
the broker does not flag as one (DUP), `AGAIN_US` after the last that was kept or later, is kept
once more, in a message of the gateway's own (`$again`); who decodes it says whether it is news.

What survives a crash: whatever `keep` returned from. A message that `keep` did not return
from was not acknowledged either, and the broker delivers it again.

Of a payload over `MESSAGE_BYTES_MAX` only its hash and its length are kept.

Quarantine lists what of which message could not be taken. It is computed from the messages
again and again with the same result, so writing it twice changes nothing. `taken` says how
much of the message was taken all the same.

Whoever owns this file can read and delete what was received; the events that cite a
message by its hash show that it was there.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import msgspec

from ingest.database import open_database, open_reader, transaction
from ingest.drafts import SECRET_SIZE
from ingest.reads import (
    AGAIN_TOPIC,
    MESSAGE_BYTES_MAX,
    OWN_TOPICS,
    AgainMessage,
    Arrival,
    Fault,
    Message,
    message_hash,
)

_Row: TypeAlias = tuple[bytes, str, bytes, int, int, bytes, int]

VERSION = 2
FILE = "inbox.db"
AGAIN_US = 1_000_000
AGAIN_BYTES_MAX = MESSAGE_BYTES_MAX // 2  # it is kept in base64
BATCH_BYTES = 16 * 1024 * 1024
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE message (
  id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, topic TEXT NOT NULL,
  payload BLOB NOT NULL, received_us INTEGER NOT NULL,
  monotonic_us INTEGER NOT NULL DEFAULT 0, properties BLOB NOT NULL DEFAULT x'',
  oversize INTEGER NOT NULL DEFAULT 0);
CREATE TABLE repeat (
  message INTEGER PRIMARY KEY, count INTEGER NOT NULL, last_us INTEGER NOT NULL);
CREATE TABLE quarantine (
  message INTEGER NOT NULL, n INTEGER NOT NULL, place TEXT NOT NULL, why TEXT NOT NULL,
  taken INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (message, n)) WITHOUT ROWID
"""
_UPGRADES = {
    1: """
ALTER TABLE message ADD COLUMN monotonic_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN properties BLOB NOT NULL DEFAULT x'';
ALTER TABLE message ADD COLUMN oversize INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN taken INTEGER NOT NULL DEFAULT 1
"""
}
_COLUMNS = "id, topic, payload, received_us, sha256, monotonic_us, properties, oversize"
_ROWS_PER_INSERT = (512, 32, 1)
_INSERT = (
    "INSERT INTO message (sha256, topic, payload, received_us, monotonic_us, properties,"
    " oversize) VALUES {} ON CONFLICT (sha256) DO NOTHING"
)
_INSERTS = {
    rows: _INSERT.format(", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows))
    for rows in _ROWS_PER_INSERT
}


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
    taken: int


class Inbox:
    """One thread's hold on the inbox file; several may be open at once."""

    def __init__(self, folder: Path) -> None:
        """Open the inbox in `folder`, made where there is none."""
        self._db = open_database(folder / FILE, _SCHEMA, VERSION, _UPGRADES)
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
        rows = [_row(one) for one in arrivals]
        with transaction(self._db) as db:
            newest = self.newest_id()
            new = sum(_insert(db, rows))
            if new < len(rows):
                again = self._count_repeats(db, rows, arrivals, newest)
                sum(_insert(db, [_row(one) for one in again]))
        return Kept(new=new, repeats=len(rows) - new)

    def _count_repeats(
        self,
        db: sqlite3.Connection,
        rows: Sequence[_Row],
        arrivals: Sequence[Arrival],
        newest: int,
    ) -> list[Arrival]:
        """Count each of `rows` that is not the one of its digest added above `newest`.

        Returns what is to be kept once more: see the module.
        """
        again: list[Arrival] = []
        added = {
            digest
            for (digest,) in db.execute("SELECT sha256 FROM message WHERE id > ?", (newest,))
        }
        for row, one in zip(rows, arrivals, strict=True):
            if row[0] in added:
                added.remove(row[0])
                continue
            (last_us,) = db.execute(
                "SELECT coalesce(r.last_us, m.received_us) FROM message m"
                " LEFT JOIN repeat r ON r.message = m.id WHERE m.sha256 = ?",
                (row[0],),
            ).fetchone()
            said = _again(one, last_us)
            again += said
            db.execute(
                "INSERT INTO repeat SELECT id, 1, ? FROM message WHERE sha256 = ?"
                " ON CONFLICT (message) DO UPDATE SET count = count + 1,"
                " last_us = excluded.last_us",
                (one.received_us if said else last_us, row[0]),
            )
        return again

    def load_after(self, cursor: int, count: int) -> list[Message]:
        """Return up to `count` messages with an id above `cursor`, in order.

        It stops early past `BATCH_BYTES`, so that a few large messages fit in memory.
        """
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM message WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  # our own names
            (cursor, count),
        )
        messages: list[Message] = []
        held = 0
        for row in rows:
            messages.append(_message(row))
            held += len(row[2])
            if held > BATCH_BYTES:
                break
        rows.close()
        return messages

    def session_us(self) -> int | None:
        """Return when the broker last had a session of ours, None if it never had."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'session'").fetchone()
        return None if row is None else int(row[0])

    def store_session(self, at_us: int) -> None:
        """Note that the broker has a session of ours at `at_us`."""
        with transaction(self._db) as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('session', ?)", (at_us,))

    def newest_id(self) -> int:
        """Return the id of the newest message, 0 where there is none."""
        row = self._db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
        return int(row[0])

    def pending(self, cursor: int) -> tuple[int, int, int | None]:
        """Return how many messages are above `cursor`, their bytes, and when the first came."""
        count, size, oldest = self._db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0), min(received_us)"
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
        """Return one message, None where there is none of this id."""
        return _find(self._db, message_id)


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
            "SELECT coalesce(max(id), 0), coalesce(sum(topic NOT IN"  # noqa: S608  # marks only
            f" ({', '.join('?' * len(OWN_TOPICS))})), 0) FROM message",
            OWN_TOPICS,
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
            "SELECT q.message, q.n, m.topic, m.received_us, q.place, q.why, q.taken"
            " FROM quarantine q JOIN message m ON m.id = q.message"
            " WHERE q.message > ? ORDER BY q.message, q.n LIMIT ?",
            (after, count),
        )
        return [
            Quarantined(
                message=n, n=k, topic=topic, received_us=at, place=place, why=why, taken=taken
            )
            for n, k, topic, at, place, why, taken in rows
        ]

    def message(self, message_id: int) -> Message | None:
        """Return one message, None where there is none of this id."""
        return _find(self._db, message_id)


def _row(one: Arrival) -> _Row:
    """Return what is kept of `one`; of a payload that is too long, its hash and length."""
    topic, payload, received_us, monotonic_us, properties, _is_dup = one
    digest = message_hash(topic, payload)
    size = len(payload)
    if size > MESSAGE_BYTES_MAX:
        return (digest, topic, b"", received_us, monotonic_us, properties, size)
    return (digest, topic, payload, received_us, monotonic_us, properties, 0)


def _again(one: Arrival, last_us: int) -> list[Arrival]:
    """Return what is kept of a repeat that may be news, where the last one was at `last_us`."""
    is_late = abs(one.received_us - last_us) >= AGAIN_US
    if one.is_dup or not is_late or one.topic in OWN_TOPICS:
        return []
    if len(one.payload) > AGAIN_BYTES_MAX:
        return []
    said = AgainMessage(topic=one.topic, payload=one.payload, time_us=one.received_us)
    data = msgspec.json.encode(said)
    return [Arrival(AGAIN_TOPIC, data, one.received_us, one.monotonic_us, one.properties)]


def _insert(db: sqlite3.Connection, rows: Sequence[_Row]) -> Iterator[int]:
    """Insert `rows` in order, many a statement, and yield how many of each were new."""
    at = 0
    for count in _ROWS_PER_INSERT:
        while len(rows) - at >= count:
            values = [value for row in rows[at : at + count] for value in row]
            yield db.execute(_INSERTS[count], values).rowcount
            at += count


def _find(db: sqlite3.Connection, message_id: int) -> Message | None:
    row = db.execute(
        f"SELECT {_COLUMNS} FROM message WHERE id = ?",  # noqa: S608  # our own names
        (message_id,),
    ).fetchone()
    return None if row is None else _message(row)


def _message(row: tuple[Any, ...]) -> Message:
    n, topic, payload, received_us, digest, monotonic_us, properties, oversize = row
    return Message(
        id=n,
        topic=topic,
        payload=payload,
        received_us=received_us,
        sha256=digest,
        monotonic_us=monotonic_us,
        properties=properties,
        oversize=oversize,
    )
