"""Spans: what held from one instant to another, and what is left of one without others.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from device_sim.world import format_time

BEGINNING_US = 0


@dataclass(frozen=True, slots=True)
class During:
    """`what` held from one instant to another; None is an open end."""

    what: str
    from_us: int
    to_us: int | None

    def meets(self, from_us: int, to_us: int, slack_us: int) -> bool:
        """Tell whether this overlaps a span widened by `slack_us` on both sides."""
        end_us = self.to_us if self.to_us is not None else to_us
        return self.from_us <= to_us + slack_us and from_us - slack_us <= end_us

    def common(self, other: "During") -> "During | None":
        """Return when both held, as `other`; None where they never did."""
        ends = [one for one in (self.to_us, other.to_us) if one is not None]
        both = During(other.what, max(self.from_us, other.from_us), min(ends, default=None))
        return both if both.to_us is None or both.from_us < both.to_us else None


def or_else(time_us: int | None, open_us: int) -> int:
    """Return an instant, or `open_us` in place of an open one."""
    return open_us if time_us is None else time_us


def before(to_us: int | None, end_us: int) -> int:
    """Return the earlier of an end, which may be open, and `end_us`."""
    return end_us if to_us is None else min(to_us, end_us)


def without(
    span: tuple[int, int], covers: Iterable[During], slack_us: int
) -> list[tuple[int, int]]:
    """Return what `covers` leave of `span`, but for pieces not longer than the slack."""
    pieces = [span]
    for one in covers:
        end_us = span[1] if one.to_us is None else one.to_us
        pieces = [
            piece
            for start, end in pieces
            for piece in ((start, min(end, one.from_us)), (max(start, end_us), end))
            if piece[0] < piece[1]
        ]
    return [piece for piece in pieces if piece[1] - piece[0] > slack_us]


def format_span(from_us: int, to_us: int) -> str:
    """Return a span for people."""
    return f"from {format_time(from_us)} to {format_time(to_us)}"
