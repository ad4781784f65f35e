"""The outbox: signed statements on their way to the ledger, and how far processing got.

One transaction per batch of messages stores all that the batch led to: the statements, the
heads of their chains, the state of each place that changed, the id of the last message
processed, what did not resolve and the counts. So a crash at any instant leaves either
all of a batch or nothing of it, and the next start goes on from there: no event is lost and
none is made twice.

A statement leaves the outbox in one transaction with its receipt, and only once that was
verified: the entry at its index, and its proof under a signed checkpoint. That the ledger said
it has it is noted meanwhile (`idx`). A crash between the ledger's answer and that note sends
the statement again; the ledger knows it by its id. What the ledger refuses for good is parked
with the reason, and later statements of the same key wait behind it, because they name it.

Whoever owns this file can stop or delay statements; to drop one unseen is beyond him, for the
next statement of the key names it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from ingest.database import open_database, transaction
from ingest.drafts import Draft, Unresolved
from ingest.refusals import Stuck
from ingest.sealing import Head, Sealed
from ledger.statement import Seen
from ledger.tlog.merkle import Hash

VERSION = 2
FILE = "outbox.db"
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE chain (
  kid BLOB PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, prev BLOB NOT NULL
  ) WITHOUT ROWID;
CREATE TABLE statement (
  id INTEGER PRIMARY KEY, kid BLOB NOT NULL, seq INTEGER NOT NULL,
  statement_id BLOB NOT NULL UNIQUE, events INTEGER NOT NULL, created_us INTEGER NOT NULL,
  refused TEXT, submission BLOB NOT NULL, idx INTEGER);
CREATE TABLE receipt (
  statement_id BLOB PRIMARY KEY, kid BLOB NOT NULL, seq INTEGER NOT NULL,
  idx INTEGER NOT NULL, events INTEGER NOT NULL, proof BLOB NOT NULL DEFAULT x'')
  WITHOUT ROWID;
CREATE TABLE seen (
  one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL,
  note BLOB NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE evidence (root BLOB PRIMARY KEY, messages BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE unresolved (
  id INTEGER PRIMARY KEY, place TEXT NOT NULL, first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL, why TEXT NOT NULL, epcs TEXT NOT NULL);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID
"""
_UPGRADES = {
    1: """
ALTER TABLE statement ADD COLUMN idx INTEGER;
ALTER TABLE receipt ADD COLUMN proof BLOB NOT NULL DEFAULT x''
"""
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """All that one batch of messages led to.

    `forwarded` are statements that devices signed; one that is here or delivered is left out.
    """

    cursor: int
    sealed: Sequence[Sealed]
    heads: Mapping[bytes, Head]
    states: Mapping[str, bytes]
    gone: Sequence[str]
    drafts: Sequence[Draft]
    unresolved: Sequence[Unresolved]
    counts: Mapping[str, int]
    is_open: bool
    now_us: int
    forwarded: Sequence[Sealed] = ()
    plans: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A statement that the ledger does not have yet."""

    id: int
    kid: bytes
    statement_id: bytes
    submission: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """A statement that the ledger says it has, at this index."""

    id: int
    kid: bytes
    statement_id: bytes
    index: int


class Outbox:
    """One thread's hold on the outbox file; several may be open at once."""

    def __init__(self, folder: Path) -> None:
        """Open the outbox in `folder`, made where there is none."""
        self._db = open_database(folder / FILE, _SCHEMA, VERSION, _UPGRADES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def cursor(self) -> int:
        """Return the id of the last message that was processed, 0 before the first."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'cursor'").fetchone()
        return 0 if row is None else int(row[0])

    def states(self) -> dict[str, bytes]:
        """Return the state of each place as of the cursor."""
        return dict(self._db.execute("SELECT name, data FROM state"))

    def head(self, kid: bytes) -> Head:
        """Return where the chain of this key goes on."""
        row = self._db.execute(
            "SELECT epoch, seq, prev FROM chain WHERE kid = ?", (kid,)
        ).fetchone()
        if row is None:
            return Head(epoch=0, seq=0, prev=Hash(bytes(32)))
        return Head(epoch=row[0], seq=row[1], prev=Hash(row[2]))

    def commit(self, work: Work) -> None:
        """Store all of `work` or nothing of it; raises `SpoolError` where the disk refuses."""
        with transaction(self._db) as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (work.cursor,))
            db.execute("INSERT OR REPLACE INTO meta VALUES ('open', ?)", (int(work.is_open),))
            db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [(f"plan {kid.hex()}", digest) for kid, digest in work.plans.items()],
            )
            db.executemany(
                "INSERT INTO statement (kid, seq, statement_id, events, created_us, submission)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (s.kid, s.seq, s.statement_id, s.events, work.now_us, s.submission)
                    for s in work.sealed
                ],
            )
            db.executemany(
                "INSERT OR IGNORE INTO statement"
                " (kid, seq, statement_id, events, created_us, submission)"
                " SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS"
                " (SELECT 1 FROM receipt WHERE statement_id = ?3)",
                [
                    (s.kid, s.seq, s.statement_id, s.events, work.now_us, s.submission)
                    for s in work.forwarded
                ],
            )
            _note_heads(db, work.heads, work.now_us)
            db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", work.states.items())
            db.executemany("DELETE FROM state WHERE name = ?", [(one,) for one in work.gone])
            db.executemany(
                "INSERT OR IGNORE INTO evidence VALUES (?, ?)",
                [(draft.root, b"".join(draft.messages)) for draft in work.drafts],
            )
            db.executemany(
                "INSERT INTO unresolved (place, first_us, last_us, why, epcs)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        u.place,
                        u.first_us,
                        u.last_us,
                        u.why,
                        msgspec.json.encode(u.epcs).decode(),
                    )
                    for u in work.unresolved
                ],
            )
            db.executemany(
                "INSERT INTO counter VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                work.counts.items(),
            )

    def append(
        self, sealed: Sequence[Sealed], heads: Mapping[bytes, Head], now_us: int
    ) -> None:
        """Store statements that no message led to, and where their chains go on."""
        with transaction(self._db) as db:
            db.executemany(
                "INSERT INTO statement (kid, seq, statement_id, events, created_us, submission)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (s.kid, s.seq, s.statement_id, s.events, now_us, s.submission)
                    for s in sealed
                ],
            )
            _note_heads(db, heads, now_us)
            db.execute(
                "INSERT INTO counter VALUES ('statements', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                (len(sealed),),
            )

    def undelivered(self, kid: bytes) -> list[Waiting]:
        """Return the statements of this key that the ledger is not known to have, in order."""
        rows = self._db.execute(
            "SELECT id, statement_id, submission FROM statement WHERE kid = ? AND idx IS NULL"
            " ORDER BY id",
            (kid,),
        )
        return [Waiting(id=n, kid=kid, statement_id=own, submission=b) for n, own, b in rows]

    def sign_anew(
        self, signed: Sequence[tuple[int, Sealed]], heads: Mapping[bytes, Head], now_us: int
    ) -> None:
        """Replace statements, each by its id here, and the heads of their chains."""
        with transaction(self._db) as db:
            db.executemany(
                "UPDATE statement SET seq = ?, statement_id = ?, submission = ?, refused = NULL"
                " WHERE id = ?",
                [(s.seq, s.statement_id, s.submission, one) for one, s in signed],
            )
            _note_heads(db, heads, now_us)

    def said_us(self, kid: bytes) -> int:
        """Return when the newest statement of this key was signed, 0 before the first."""
        row = self._db.execute(
            "SELECT value FROM meta WHERE name = ?", (f"said {kid.hex()}",)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def is_waiting(self, kid: bytes) -> bool:
        """Return whether some statement of this key is on its way or was refused."""
        row = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM statement WHERE kid = ?"
            " AND (idx IS NULL OR refused IS NOT NULL))",
            (kid,),
        ).fetchone()
        return bool(row[0])

    def waiting(self, count: int) -> list[Waiting]:
        """Return up to `count` statements to deliver, in order; none behind a parked one."""
        rows = self._db.execute(
            "SELECT id, kid, statement_id, submission FROM statement WHERE idx IS NULL AND"
            " kid NOT IN (SELECT kid FROM statement WHERE refused IS NOT NULL)"
            " ORDER BY id LIMIT ?",
            (count,),
        )
        return [
            Waiting(id=n, kid=kid, statement_id=statement_id, submission=submission)
            for n, kid, statement_id, submission in rows
        ]

    def settle(
        self, accepted: Sequence[tuple[int, int]], refused: Sequence[tuple[int, str]]
    ) -> None:
        """Note at which index the ledger has each accepted one; park each refused one.

        Each is named by its `id` here.
        """
        with transaction(self._db) as db:
            db.executemany(
                "UPDATE statement SET idx = ? WHERE id = ?",
                [(index, one) for one, index in accepted],
            )
            db.executemany(
                "UPDATE statement SET refused = ? WHERE id = ?",
                [(why, one) for one, why in refused],
            )

    def unproven(self, count: int) -> list[Unproven]:
        """Return up to `count` statements whose receipt is not there yet, in order."""
        rows = self._db.execute(
            "SELECT id, kid, statement_id, idx FROM statement WHERE idx IS NOT NULL AND"
            " refused IS NULL ORDER BY id LIMIT ?",
            (count,),
        )
        return [
            Unproven(id=n, kid=kid, statement_id=statement_id, index=index)
            for n, kid, statement_id, index in rows
        ]

    def store_receipts(self, proven: Sequence[tuple[Unproven, bytes]]) -> None:
        """Replace each statement by its receipt, which was verified."""
        with transaction(self._db) as db:
            for one, proof in proven:
                db.execute(
                    "INSERT OR IGNORE INTO receipt SELECT statement_id, kid, seq, ?, events, ?"
                    " FROM statement WHERE id = ?",
                    (one.index, proof, one.id),
                )
                db.execute("DELETE FROM statement WHERE id = ?", (one.id,))

    def parked_keys(self) -> list[bytes]:
        """Return the keys of which the ledger refused a statement."""
        rows = self._db.execute("SELECT DISTINCT kid FROM statement WHERE refused IS NOT NULL")
        return sorted(row[0] for row in rows)

    def stuck(self, kid: bytes, count: int) -> list[Stuck]:
        """Return up to `count` statements with events of a parked key, none told of yet."""
        rows = self._db.execute(
            "SELECT id, seq, submission, (SELECT refused FROM statement WHERE kid = ?1"
            " AND refused IS NOT NULL ORDER BY id LIMIT 1) FROM statement"
            " WHERE kid = ?1 AND events > 0 AND (idx IS NULL OR refused IS NOT NULL)"
            " AND id > coalesce((SELECT value FROM meta WHERE name = ?2), 0)"
            " ORDER BY id LIMIT ?3",
            (kid, f"told {kid.hex()}", count),
        )
        return [
            Stuck(id=n, kid=kid, seq=seq, why=why or "", submission=submission)
            for n, seq, submission, why in rows
        ]

    def mark_told(self, kid: bytes, last: int) -> None:
        """Note that the statements of a parked key were told of, up to the id `last`."""
        with transaction(self._db) as db:
            row = (f"told {kid.hex()}", last)
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row)

    def parked(self) -> int:
        """Return how many statements were refused and wait for somebody."""
        row = self._db.execute("SELECT count(*) FROM statement WHERE refused IS NOT NULL")
        return int(row.fetchone()[0])

    def forget_indexes(self, ids: Sequence[int]) -> None:
        """Send these statements again: the ledger has no entry where it said it had one."""
        with transaction(self._db) as db:
            db.executemany(
                "UPDATE statement SET idx = NULL WHERE id = ?", [(one,) for one in ids]
            )

    def spool(self) -> tuple[int, int, int | None]:
        """Return how many statements are here, their bytes, and when the oldest was made."""
        count, size, oldest = self._db.execute(
            "SELECT count(*), coalesce(sum(length(submission)), 0), min(created_us)"
            " FROM statement"
        ).fetchone()
        return count, size, oldest

    def seen(self) -> Seen | None:
        """Return the newest checkpoint that was verified, None before the first."""
        row = self._db.execute("SELECT size, root FROM seen").fetchone()
        return None if row is None else Seen(row[0], Hash(row[1]))

    def store_seen(self, seen: Seen, note: bytes) -> None:
        """Keep a verified checkpoint with its signed note, if it is larger than the last."""
        with transaction(self._db) as db:
            db.execute(
                "INSERT INTO seen VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET"
                " size = excluded.size, root = excluded.root, note = excluded.note"
                " WHERE excluded.size > size",
                (seen.size, seen.root, note),
            )

    def unpark(self) -> int:
        """Let parked statements try again, and return how many there were."""
        with transaction(self._db) as db:
            return db.execute(
                "UPDATE statement SET refused = NULL, idx = NULL WHERE refused IS NOT NULL"
            ).rowcount

    def plan_in_force(self, kid: bytes) -> bytes | None:
        """Return the hash of the plan that this key last said to be in force, if any."""
        row = self._db.execute(
            "SELECT value FROM meta WHERE name = ?", (f"plan {kid.hex()}",)
        ).fetchone()
        return None if row is None else bytes(row[0])


def _note_heads(db: sqlite3.Connection, heads: Mapping[bytes, Head], now_us: int) -> None:
    """Store where chains go on, and that their keys spoke now."""
    db.executemany(
        "INSERT OR REPLACE INTO chain VALUES (?, ?, ?, ?)",
        [(kid, head.epoch, head.seq, head.prev) for kid, head in heads.items()],
    )
    db.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)",
        [(f"said {kid.hex()}", now_us) for kid in heads],
    )
