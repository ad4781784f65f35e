"""Holds the clocks of sources against record time (checks 10 and 12): remarks, no tampering.

A source's `iat` says when it signed, by its own clock. It cannot be later than the entry was
recorded, nor earlier than the entries that it says it has seen: `seen` brackets the moment
from below, record time from above. Clocks are off by some minutes without anybody's fault;
what is off by more is a remark.

A key that promised a heartbeat is overdue where it was silent for more than two of them:
between two of its statements, or up to the end of the log while it was still open. Whether
that was an empty store or somebody who held statements back, the log cannot tell.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from ledger.audit.finding import Finding
from ledger.statement import Statement
from ledger.trust.state import KeyRecord

CLOCK_SKEW_S_MAX = 300
HEARTBEATS_MISSED_MAX = 2
TIMES_REMEMBERED_MAX = 256

_US = 1_000_000
_SKEW_US = CLOCK_SKEW_S_MAX * _US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TimeOf = Callable[[int], int | None]
"""Returns the record time of an earlier entry, or None if it cannot be known."""


class Clocks:
    """When each source was heard of, and what is odd about its clock."""

    def __init__(self, time_of: TimeOf) -> None:
        """Look up the record times of earlier entries by `time_of`."""
        self._time_of = time_of
        self._remembered: dict[int, int | None] = {}
        self.heard: dict[bytes, int] = {}

    def check(
        self, index: int, time_us: int, statement: Statement, record: KeyRecord | None
    ) -> Iterator[Finding]:
        """Yield remarks on the statement in entry `index`, recorded at `time_us`."""
        signed_us = statement.iat * _US
        if signed_us > time_us + _SKEW_US:
            yield _skew(
                index,
                signed_us,
                f"{format_time_us(time_us)} or earlier",
                "after it was recorded",
            )
        if statement.seen is not None:
            seen_us = self._remember(statement.seen.size - 1)
            if seen_us is not None and signed_us + _US + _SKEW_US < seen_us:
                yield _skew(
                    index,
                    signed_us,
                    f"{format_time_us(seen_us)} or later",
                    f"before entry {statement.seen.size - 1} was recorded, which it has seen",
                )
        if record is not None and record.heartbeat_s:
            last_us = self.heard.get(statement.kid)
            if last_us is not None:
                yield from _overdue(index, record, last_us, time_us)
            self.heard[statement.kid] = time_us

    def finish(
        self, index: int, time_us: int, keys: Mapping[bytes, KeyRecord]
    ) -> Iterator[Finding]:
        """Yield which open keys were silent up to the last entry, `index`."""
        for kid, last_us in self.heard.items():
            record = keys.get(kid)
            if record is not None and record.is_valid:
                yield from _overdue(index, record, last_us, time_us)

    def _remember(self, index: int) -> int | None:
        if index not in self._remembered:
            while len(self._remembered) >= TIMES_REMEMBERED_MAX:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[index] = self._time_of(index)
        return self._remembered[index]


def needs_look(statement: Statement, time_us: int, record: KeyRecord | None) -> bool:
    """Tell whether `Clocks` could have to say or to remember anything, for the common no."""
    heartbeat_s = record.heartbeat_s if record is not None else 0
    return bool(heartbeat_s) or statement.iat * _US > time_us + _SKEW_US


def format_time_us(time_us: int) -> str:
    """Return microseconds since the epoch as people read them, or as they are."""
    try:
        return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return f"{time_us} microseconds"


def _overdue(index: int, record: KeyRecord, last_us: int, time_us: int) -> Iterator[Finding]:
    silent_s = (time_us - last_us) // _US
    if silent_s > HEARTBEATS_MISSED_MAX * record.heartbeat_s:
        yield Finding(
            check=10,
            index=index,
            field="entry.data: record_time_us",
            expected=f"a statement every {record.heartbeat_s} seconds",
            computed=f"none for {silent_s} seconds since {format_time_us(last_us)}",
            what=f"The {record.role} key {record.kid.hex()} of {record.iss} was silent for "
            "more than two heartbeats.",
            who="The source or its connection; or the operator, by leaving statements out.",
            todo="Ask the source what it signed in that time.",
            remark=True,
        )


def _skew(index: int, signed_us: int, expected: str, when: str) -> Finding:
    return Finding(
        check=12,
        index=index,
        field="entry.data: iat",
        expected=expected,
        computed=format_time_us(signed_us),
        what=f"The statement in entry {index} was signed {when}, by its source's own clock.",
        who="The source: its clock is wrong.",
        todo="Do not rely on the times that this source states; set its clock.",
        remark=True,
    )
