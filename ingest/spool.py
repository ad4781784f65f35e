"""The gateway's quota: how much may wait here, and what happens when it is reached.

What waits is the messages that are not processed and the statements without a receipt. Where
one of the limits is reached, the gateway takes nothing more: it neither keeps nor acknowledges,
so the broker holds what comes. After `refuse_after_s` of that, if it is set, messages are
refused: they are acknowledged without being kept, and how many of which topic is in the inbox
before the acknowledgement goes out. Nothing is dropped that no statement tells of.

Where it says for how many days payloads are retained, older ones are deleted once they are
processed, and no statement from before that time waits. A file at a time, so that keeping
messages never waits for long.

Between two looks at the databases at least `LOOK_SECONDS` pass, and twenty times as long as the
last look took.
"""

import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from ingest.inbox import Inbox, Pruned
from ingest.outbox import Outbox
from ingest.pulse import Spooled

LOOK_SECONDS = 0.5
PRUNE_SECONDS = 10.0
_DAY_US = 86_400_000_000
_LOOK_SHARE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The limits; 0 means none.

    `refuse_after_s` of 0 means that nothing is ever refused, `retain_days` of 0 that no
    payload is ever deleted.
    """

    messages_max: int = 0
    bytes_max: int = 0
    age_max_s: int = 0
    refuse_after_s: int = 0
    retain_days: int = 0


class Room(Enum):
    """Whether there is room for more."""

    TAKE = "take"
    WAIT = "wait"
    REFUSE = "refuse"


class Spool:
    """One thread's look at what waits in a folder."""

    def __init__(self, folder: Path, quota: Quota) -> None:
        """Open the folder's databases; raises `SpoolError` where the disk refuses."""
        self._quota = quota
        self._inbox = Inbox(folder)
        self._outbox = Outbox(folder)
        self._next_look = self._next_prune = 0.0
        self._full_since: float | None = None
        self.spooled = Spooled()
        self.why: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inbox.close()
        self._outbox.close()

    def look(self, now_us: int) -> Room:
        """Return whether there is room, at `now_us` by the gateway's clock."""
        started = time.monotonic()
        if started >= self._next_look:
            self.spooled = self._measure()
            took = time.monotonic() - started
            self._next_look = started + max(LOOK_SECONDS, _LOOK_SHARE * took)
            self.why = self._reached(now_us)
        if self.why is None:
            self._full_since = None
            return Room.TAKE
        if self._full_since is None:
            self._full_since = started
        patience = self._quota.refuse_after_s
        if patience and started - self._full_since >= patience:
            return Room.REFUSE
        return Room.WAIT

    def prune(self, now_us: int) -> Pruned:
        """Delete a file of payloads that need not be retained, now and then; see `Quota`."""
        if not self._quota.retain_days or time.monotonic() < self._next_prune:
            return Pruned(0, 0)
        _, _, oldest_us = self._outbox.spool()
        before_us = now_us - self._quota.retain_days * _DAY_US
        pruned = self._inbox.prune(
            before_us=before_us if oldest_us is None else min(before_us, oldest_us),
            through=self._outbox.cursor(),
            files_max=1,
        )
        self._next_prune = time.monotonic() + PRUNE_SECONDS
        return pruned

    def _measure(self) -> Spooled:
        messages, size, oldest = self._inbox.pending(self._outbox.cursor())
        statements, more, first = self._outbox.spool()
        ages = [one for one in (oldest, first) if one is not None]
        return Spooled(
            messages=messages,
            statements=statements,
            size=size + more,
            oldest_us=min(ages, default=None),
        )

    def _reached(self, now_us: int) -> str | None:
        quota, now = self._quota, self.spooled
        waiting = now.messages + now.statements
        if quota.messages_max and waiting >= quota.messages_max:
            return f"{waiting} messages and statements wait, at most {quota.messages_max} may"
        if quota.bytes_max and now.size >= quota.bytes_max:
            return f"{now.size} bytes wait, at most {quota.bytes_max} may"
        age_s = 0 if now.oldest_us is None else (now_us - now.oldest_us) // 1_000_000
        if quota.age_max_s and age_s >= quota.age_max_s:
            return f"the oldest waits for {age_s} s, at most {quota.age_max_s} s are allowed"
        return None
