"""A look into the inbox of a gateway that may be running, and that changes nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ingest.database import open_reader
from ingest.inboxrows import FILE, VERSION, find_message
from ingest.journal import Journal
from ingest.reads import OWN_TOPICS, Message


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
        self._db = open_reader(folder / FILE, VERSION)
        self._journal = Journal(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()
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
        """Return one message, None where there is none of this id, or not any more."""
        return find_message(self._db, self._journal, message_id)
