"""Instants and intervals in the order of events.

Two events of one instant still have an order (`ledger.projection`), so an interval runs
between the order keys of the event that opens it and the event that closes it, both
included; a wall-clock interval could not tell a departure before unpacking from one after.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass

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


def remainder(span: Span, done: Iterable[Span]) -> list[Span]:
    """Return the pieces of `span` that none of `done` covers; their ends may touch `done`."""
    pieces = [span]
    for cover in done:
        kept: list[Span] = []
        for piece in pieces:
            if piece.meet(cover) is None:
                kept.append(piece)
                continue
            if piece.start < cover.start:
                kept.append(Span(piece.start, cover.start))
            if cover.end < piece.end:
                kept.append(Span(cover.end, piece.end))
        pieces = kept
    return pieces
