"""Which way a pass went: each tag votes by the order of its antennas, and the group decides.

The antennas of a station lie on two sides, outside and inside. A tag that went in was heard
outside earlier than inside: its vote is the difference of the mean times at both sides. One
tag alone is wrong in a quarter of the passes of a real gate, for a far antenna may hear it
first; a pallet moves together, so that the votes of its tags are counted. Tags that only one
side heard do not vote. Where fewer than the plan's share agree, nobody knows the way.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ingest.plan import DirectionRule
from ingest.smoothing import Pass, Tag

Way = Literal["in", "out"]
LEAST_US = 10_000  # closer mean times are no order


@dataclass(frozen=True, slots=True)
class Votes:
    """How the tags of a pass voted; those that could not are in neither."""

    inward: int
    outward: int


def find_way(rule: DirectionRule, one: Pass) -> tuple[Way | None, Votes]:
    """Return which way a pass went, None where nobody knows, and the votes."""
    ways = [_vote(rule, tag) for _, tag in one.tags]
    votes = Votes(ways.count("in"), ways.count("out"))
    total = votes.inward + votes.outward
    way: Way = "in" if votes.inward >= votes.outward else "out"
    most = max(votes.inward, votes.outward)
    if not total or votes.inward == votes.outward or 100 * most < rule.percent * total:
        return None, votes
    return way, votes


def _vote(rule: DirectionRule, tag: Tag) -> Way | None:
    inside, outside = _mean_us(rule.inside, tag), _mean_us(rule.outside, tag)
    if inside is None or outside is None or abs(inside - outside) < LEAST_US:
        return None
    return "in" if outside < inside else "out"


def _mean_us(antennas: Iterable[int], tag: Tag) -> int | None:
    sides = [tag.sides[one] for one in antennas if one in tag.sides]
    reads = sum(one.reads for one in sides)
    return sum(one.sum_us for one in sides) // reads if reads else None
