"""How a gateway is: what it took in, what it made of it, what waits and what is stuck.

Read from the two databases of its folder, whether the gateway runs or not. Nothing here
changes anything.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from ingest import outbox
from ingest.database import open_reader
from ingest.drafts import Unresolved
from ingest.inboxreader import InboxReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A statement that the ledger refused for good, and how many wait behind it."""

    kid: str
    seq: int
    statement_id: str
    why: str
    behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The counts of one gateway since ever; `gaps` are notices of what is missing.

    `unprocessed` messages are in the inbox and not in the outbox's cursor; `waiting`
    statements are signed and without a verified receipt; `entries` have one. `is_open` says
    that some place has reads or samples which a tick will end.
    """

    messages: int
    repeats: int
    unprocessed: int
    is_open: bool
    reads: int
    samples: int
    line_messages: int
    events: int
    statements: int
    entries: int
    waiting: int
    gaps: int
    quarantined_messages: int
    faults: int
    unresolved: int
    parked: tuple[Parked, ...]

    @property
    def is_settled(self) -> bool:
        """Whether all that came in is processed, ended, and in the ledger."""
        return not self.unprocessed and not self.is_open and not self.waiting


def read_health(folder: Path) -> Health:
    """Return how the gateway in `folder` is; raises `SpoolError` where it never ran."""
    with InboxReader(folder) as inbox:
        counts = inbox.counts()
    db = open_reader(folder / outbox.FILE, outbox.VERSION)
    try:
        meta = dict(db.execute("SELECT name, value FROM meta"))
        counters = dict(db.execute("SELECT name, value FROM counter"))
        entries = db.execute("SELECT count(*) FROM receipt").fetchone()[0]
        waiting = db.execute("SELECT count(*) FROM statement").fetchone()[0]
        parked = db.execute(
            "SELECT s.kid, s.seq, s.statement_id, s.refused, (SELECT count(*) FROM statement b"
            " WHERE b.kid = s.kid AND b.id > s.id) FROM statement s"
            " WHERE s.refused IS NOT NULL ORDER BY s.id"
        ).fetchall()
    finally:
        db.close()
    return Health(
        messages=counts.messages,
        repeats=counts.repeats,
        unprocessed=max(counts.newest_id - meta.get("cursor", 0), 0),
        is_open=bool(meta.get("open", 0)),
        reads=counters.get("reads", 0),
        samples=counters.get("samples", 0),
        line_messages=counters.get("line messages", 0),
        events=counters.get("events", 0),
        statements=counters.get("statements", 0),
        entries=entries,
        waiting=waiting,
        gaps=counters.get("gaps", 0),
        quarantined_messages=counts.quarantined_messages,
        faults=counts.faults,
        unresolved=counters.get("unresolved", 0),
        parked=tuple(
            Parked(kid=kid.hex(), seq=seq, statement_id=sid.hex(), why=why, behind=behind)
            for kid, seq, sid, why, behind in parked
        ),
    )


def oldest_waiting_us(folder: Path) -> int | None:
    """Return when the oldest statement was signed that has no receipt, None without one."""
    db = open_reader(folder / outbox.FILE, outbox.VERSION)
    try:
        oldest: int | None = db.execute("SELECT min(created_us) FROM statement").fetchone()[0]
    finally:
        db.close()
    return oldest


def read_unresolved(folder: Path, count: int = -1) -> list[Unresolved]:
    """Return what did not add up to an event, in order, `count` at most."""
    db = open_reader(folder / outbox.FILE, outbox.VERSION)
    try:
        rows = db.execute(
            "SELECT place, first_us, last_us, why, epcs FROM unresolved ORDER BY id LIMIT ?",
            (count,),
        ).fetchall()
    finally:
        db.close()
    return [
        Unresolved(
            place=place,
            first_us=first,
            last_us=last,
            why=why,
            epcs=msgspec.json.decode(epcs, type=tuple[str, ...]),
        )
        for place, first, last, why, epcs in rows
    ]
