"""The rows of the inbox's database, and how messages go into them and out again.

`message` has a row for each message: what `ingest.journal.Noted` says, and where its payload
is: `segment` and `offset` in the journal; in the row itself (segment 0), if it is of an older
version or was in quarantine when its file went; or nowhere any more (-1). `segment` has a row
for each file of the journal: its size, the id of its last message, when its newest came.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from ingest.journal import Journal, Noted, Place, Repeat
from ingest.reads import (
    AGAIN_TOPIC,
    MESSAGE_BYTES_MAX,
    OWN_TOPICS,
    AgainMessage,
    Arrival,
    Message,
    message_hash,
)

VERSION = 3
FILE = "inbox.db"
AGAIN_US = 1_000_000
BATCH_BYTES = 16 * 1024 * 1024
# Where a payload is, if not in the file of the journal with this number.
IN_ROW, PRUNED = 0, -1
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE message (
  id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, topic TEXT NOT NULL,
  payload BLOB NOT NULL, received_us INTEGER NOT NULL,
  monotonic_us INTEGER NOT NULL DEFAULT 0, properties BLOB NOT NULL DEFAULT x'',
  oversize INTEGER NOT NULL DEFAULT 0, segment INTEGER NOT NULL DEFAULT 0,
  offset INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0);
CREATE TABLE repeat (
  message INTEGER PRIMARY KEY, count INTEGER NOT NULL, last_us INTEGER NOT NULL);
CREATE TABLE quarantine (
  message INTEGER NOT NULL, n INTEGER NOT NULL, place TEXT NOT NULL, why TEXT NOT NULL,
  taken INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (message, n)) WITHOUT ROWID;
CREATE TABLE segment (
  n INTEGER PRIMARY KEY, size INTEGER NOT NULL, last INTEGER NOT NULL,
  newest_us INTEGER NOT NULL)
"""
UPGRADES = {
    1: """
ALTER TABLE message ADD COLUMN monotonic_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN properties BLOB NOT NULL DEFAULT x'';
ALTER TABLE message ADD COLUMN oversize INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN taken INTEGER NOT NULL DEFAULT 1
""",
    2: """
ALTER TABLE message ADD COLUMN segment INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN offset INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
UPDATE message SET size = length(payload);
CREATE TABLE segment (
  n INTEGER PRIMARY KEY, size INTEGER NOT NULL, last INTEGER NOT NULL,
  newest_us INTEGER NOT NULL)
""",
}
_COLUMNS = (
    "id, sha256, topic, size, received_us, monotonic_us, properties, oversize, segment, offset"
)
_ROWS_PER_INSERT = (512, 32, 1)
_INSERT = (
    f"INSERT INTO message ({_COLUMNS}, payload) VALUES {{}} ON CONFLICT (sha256) DO NOTHING"  # noqa: S608  # our own words
)
_INSERTS = {
    rows: _INSERT.format(", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'')"] * rows))
    for rows in _ROWS_PER_INSERT
}


class Hashed(NamedTuple):
    """An arrival with its identity; `payload` is empty of one that is too long."""

    sha256: bytes
    topic: str
    payload: bytes
    received_us: int
    monotonic_us: int
    properties: bytes
    oversize: int


def hash_arrival(one: Arrival) -> Hashed:
    """Return what is kept of `one`; of a payload that is too long, its hash and length."""
    topic, payload, received_us, monotonic_us, properties, _is_dup, digest = one
    digest, size = digest or message_hash(topic, payload), len(payload)
    if size > MESSAGE_BYTES_MAX:
        return Hashed(digest, topic, b"", received_us, monotonic_us, properties, size)
    return Hashed(digest, topic, payload, received_us, monotonic_us, properties, 0)


def note_rows(rows: Sequence[Hashed], newest: int) -> list[Noted]:
    """Return what is noted of `rows`, with the ids after `newest`."""
    return [
        Noted(n, digest, topic, len(payload), received_us, monotonic_us, properties, oversize)
        for n, (
            digest,
            topic,
            payload,
            received_us,
            monotonic_us,
            properties,
            oversize,
        ) in enumerate(rows, newest + 1)
    ]


def insert_rows(db: sqlite3.Connection, noted: Sequence[Noted], place: Place) -> int:
    """Insert rows in order, whose payloads begin at `place`; return how many were new."""
    (segment, offset), values, new, at = place, [], 0, 0
    for one in noted:
        values.append((*one, segment, offset))
        offset += one.size
    for count in _ROWS_PER_INSERT:
        while len(values) - at >= count:
            flat = [value for row in values[at : at + count] for value in row]
            new += db.execute(_INSERTS[count], flat).rowcount
            at += count
    return new


def split_repeats(
    db: sqlite3.Connection, rows: Sequence[Hashed], arrivals: Sequence[Arrival]
) -> tuple[list[Hashed], list[Repeat]]:
    """Return what is kept of `rows`, each once, and those that are repeats.

    What is kept once more, see `ingest.inbox`, has its place among them.
    """
    fresh: dict[bytes, Hashed] = {}
    repeats: list[Repeat] = []
    kept: dict[bytes, tuple[int, int]] = {}
    for row, one in zip(rows, arrivals, strict=True):
        digest = row.sha256
        times = kept.get(digest) or _kept_us(db, digest)
        if times is None:
            fresh[digest], kept[digest] = row, (row.received_us, row.received_us)
            continue
        first_us, last_us = times
        for said in map(hash_arrival, _again(one, first_us, last_us)):
            if said.sha256 not in fresh and _kept_us(db, said.sha256) is None:
                fresh[said.sha256] = said
            last_us = row.received_us
        kept[digest] = (first_us, last_us)
        repeats.append(Repeat(digest, last_us))
    return list(fresh.values()), repeats


def _kept_us(db: sqlite3.Connection, digest: bytes) -> tuple[int, int] | None:
    """Return when a message of this digest was first and last kept, None if it never was."""
    row: tuple[int, int] | None = db.execute(
        "SELECT m.received_us, coalesce(r.last_us, m.received_us) FROM message m"
        " LEFT JOIN repeat r ON r.message = m.id WHERE m.sha256 = ?",
        (digest,),
    ).fetchone()
    return row


def _again(one: Arrival, first_us: int, last_us: int) -> list[Arrival]:
    """Return what is kept of a repeat that may be news: it was kept at these times.

    One that was received when the first was is the first: a recording that is replayed twice.
    """
    is_late = abs(one.received_us - last_us) >= AGAIN_US
    if one.is_dup or not is_late or one.received_us == first_us or one.topic in OWN_TOPICS:
        return []
    said = AgainMessage(topic=one.topic, payload=one.payload, time_us=one.received_us)
    data = msgspec.json.encode(said)
    if len(data) > MESSAGE_BYTES_MAX:
        return []  # a topic of control characters, say
    return [Arrival(AGAIN_TOPIC, data, one.received_us, one.monotonic_us, one.properties)]


def count_repeats(db: sqlite3.Connection, repeats: Iterable[Repeat]) -> None:
    """Count each of `repeats` for the message that it is one of."""
    db.executemany(
        "INSERT INTO repeat SELECT id, 1, ?2 FROM message WHERE sha256 = ?1"
        " ON CONFLICT (message) DO UPDATE SET count = count + 1, last_us = excluded.last_us",
        repeats,
    )


def store_tail(db: sqlite3.Connection, tail: Place, noted: Sequence[Noted]) -> None:
    """Note where the journal ends, and what the newest message of its last file is."""
    last = noted[-1].id if noted else 0
    newest_us = max([one.received_us for one in noted], default=0)
    db.execute(
        "INSERT INTO segment VALUES (?, ?, ?, ?) ON CONFLICT (n) DO UPDATE SET"
        " size = excluded.size, last = max(last, excluded.last),"
        " newest_us = max(newest_us, excluded.newest_us)",
        (*tail, last, newest_us),
    )


def find_message(db: sqlite3.Connection, journal: Journal, message_id: int) -> Message | None:
    """Return one message, None where there is none of this id, or not any more."""
    found = load_messages(db, journal, "id = ?", (message_id,))
    return found[0] if found else None


def load_messages(
    db: sqlite3.Connection, journal: Journal, which: str, values: tuple[int, ...]
) -> list[Message]:
    """Return the messages of the rows `which`, up to `BATCH_BYTES`, without the pruned."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM message WHERE segment <> {PRUNED} AND {which}",  # noqa: S608  # our own words
        values,
    )
    taken: list[tuple[Any, ...]] = []
    held = 0
    for row in rows:
        taken.append(row)
        held += row[3]
        if held > BATCH_BYTES:
            break
    rows.close()
    payloads = _payloads(db, journal, taken)
    return [
        Message(
            id=n,
            topic=topic,
            payload=payload,
            received_us=received_us,
            sha256=digest,
            monotonic_us=monotonic_us,
            properties=properties,
            oversize=oversize,
        )
        for (
            n,
            digest,
            topic,
            _,
            received_us,
            monotonic_us,
            properties,
            oversize,
            *_,
        ), payload in zip(taken, payloads, strict=True)
    ]


def _payloads(
    db: sqlite3.Connection, journal: Journal, rows: Sequence[tuple[Any, ...]]
) -> Iterator[bytes]:
    """Yield the payload of each of `rows`; what lies together is read together."""
    first = 0
    while first < len(rows):
        n, size, (segment, offset) = rows[first][0], rows[first][3], rows[first][8:]
        if segment == IN_ROW:
            yield db.execute("SELECT payload FROM message WHERE id = ?", (n,)).fetchone()[0]
            first += 1
            continue
        last, end = first + 1, offset + size
        while last < len(rows) and rows[last][8:] == (segment, end):
            end += rows[last][3]
            last += 1
        data, at = journal.read(Place(segment, offset), end - offset), 0
        for row in rows[first:last]:
            yield data[at : at + row[3]]
            at += row[3]
        first = last
