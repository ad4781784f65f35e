"""Verdicts: what a judgement of one answer consists of.

What each verdict means is said in `device_sim.judge`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["right", "named", "unknowable", "silent", "wrong"]

VERDICTS: tuple[Verdict, ...] = ("right", "named", "unknowable", "silent", "wrong")
ASPECTS = (
    "events", "farm lots", "path", "custody", "containment", "exposure", "sale", "state",
    "upstream",
)  # fmt: skip
MEASURES = ("events", "path", "containment", "derivation", "custody", "exposure")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not right about one aspect of one item."""

    epc: str
    aspect: str
    verdict: Verdict
    what: str


@dataclass(slots=True)
class Tally:
    """Claims that were made and held, and true things that were there and were found."""

    claimed: int = 0
    right: int = 0
    true: int = 0
    found: int = 0

    def add(self, other: "Tally") -> None:
        """Add the counts of `other`."""
        self.claimed += other.claimed
        self.right += other.right
        self.true += other.true
        self.found += other.found


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the answer says it does not know."""

    kind: str
    thing: str
    from_us: int | None
    to_us: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is not right about one answer, how its claims count, and its gaps."""

    findings: tuple[Finding, ...]
    tallies: Mapping[str, Tally]
    gaps: tuple[Gap, ...]


def is_possible(row: Mapping[str, Any]) -> bool:
    """Tell whether an answer is not certain of a row."""
    return row.get("precision") == "possible" or bool(row.get("partial"))
