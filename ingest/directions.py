"""Which way a pass went: each tag votes by the order of its antennas, and the group decides.

The antennas of a station lie on two sides, outside and inside. A tag that went in was heard
outside earlier than inside: its vote is the difference of the mean times at both sides. One
tag alone is wrong in a quarter of the passes of a real gate, for a far antenna may hear it
first; a pallet moves together, so that the votes of its tags are counted. Tags that only one
side heard do not vote, nor do those whose means differ by less than chance would have it: by
one standard error, were the reads spread evenly over the time in which the tag was heard. Where
fewer than the plan's share agree, nobody knows the way.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ingest.plan import DirectionRule
from ingest.smoothing import Pass, Side, Tag

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
    inside, outside = _side(rule.inside, tag), _side(rule.outside, tag)
    if not inside.reads or not outside.reads:
        return None
    apart_us = inside.sum_us // inside.reads - outside.sum_us // outside.reads
    # The variance of an even spread is the span's square by twelve; by the reads, its mean's.
    reads, span_us = inside.reads * outside.reads, tag.last_us - tag.first_us
    is_chance = 12 * reads * apart_us**2 < span_us**2 * (inside.reads + outside.reads)
    if abs(apart_us) < LEAST_US or is_chance:
        return None
    return "in" if apart_us > 0 else "out"


def _side(antennas: Iterable[int], tag: Tag) -> Side:
    sides = [tag.sides[one] for one in antennas if one in tag.sides]
    return Side(sum(one.reads for one in sides), sum(one.sum_us for one in sides))
