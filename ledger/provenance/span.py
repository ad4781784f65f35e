"""Instants and intervals in the order of events.

Two events of one instant still have an order (`ledger.projection`), so an interval runs
between the order keys of the event that opens it and the event that closes it, both
included; a wall-clock interval could not tell a departure before unpacking from one after.

Pure: no I/O, no clock, no randomness.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from operator import attrgetter

from ledger.projection import CONTENT_BYTES, POSITION_BITS

Moment = tuple[int, bytes, int]
"""eventTime in microseconds, order of the document, position in it."""

TIME_MIN_US = -(1 << 62)
TIME_MAX_US = (1 << 62) - 1

FIRST: Moment = (TIME_MIN_US, b"", -1)
LAST: Moment = (TIME_MAX_US, b"\xff" * (CONTENT_BYTES + 1), 1 << POSITION_BITS)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `start` to `end`, both included."""

    start: Moment = FIRST
    end: Moment = LAST

    def holds(self, moment: Moment) -> bool:
        """Tell whether `moment` lies within."""
        return self.start <= moment <= self.end

    def meet(self, other: "Span") -> "Span | None":
        """Return what both have in common, if anything."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start, end) if start <= end else None

    @property
    def from_us(self) -> int | None:
        """Return the instant of the start, None if it has none."""
        return None if self.start[0] == TIME_MIN_US else self.start[0]

    @property
    def to_us(self) -> int | None:
        """Return the instant of the end, None if it has none."""
        return None if self.end[0] == TIME_MAX_US else self.end[0]


EVER = Span()


def until(time_us: int | None) -> Span:
    """Return everything up to and including the instant `time_us`; None is for ever."""
    if time_us is None:
        return EVER
    return Span(FIRST, (time_us, LAST[1], LAST[2]))


def at_instants(from_us: int, to_us: int) -> Span:
    """Return everything from instant `from_us` to instant `to_us`."""
    return Span((from_us, b"", -1), (to_us, LAST[1], LAST[2]))


@dataclass(slots=True)
class Coverage:
    """Spans that were walked already: disjoint but for their ends, in order."""

    _done: list[Span] = field(default_factory=list)

    def misses(self, span: Span) -> bool:
        """Tell whether any of `span` was not covered before."""
        first = bisect_left(self._done, span.start, key=attrgetter("end"))
        at = span.start
        for cover in self._done[first:]:
            if at < cover.start:
                return True
            at = max(at, cover.end)
            if span.end <= at:
                return False
        return True

    def take(self, span: Span) -> list[Span]:
        """Return the pieces of `span` that were not covered before, and cover them.

        The ends of a piece may touch what is covered.
        """
        first = bisect_left(self._done, span.start, key=attrgetter("end"))
        last = bisect_right(self._done, span.end, lo=first, key=attrgetter("start"))
        pieces: list[Span] = []
        at: Moment | None = span.start
        for cover in self._done[first:last]:
            if at is not None and at < cover.start:
                pieces.append(Span(at, cover.start))
            at = cover.end if cover.end < span.end else None
        if at is not None:
            pieces.append(Span(at, span.end))
        self._done[first:last] = sorted([*self._done[first:last], *pieces])
        return pieces
