"""Event cycles: what a pass is compared with, and the empty ones that no read ends.

GS1 ALE 1.1 section 5.7: a report of additions or deletions is against the cycle before. At a
station whose cycles follow each other, a period in which nothing was heard is a cycle too; a
tick ends it, and it stands on the last message of the one before.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass, field

from ingest.plan import Station
from ingest.smoothing import Pass


@dataclass(slots=True)
class Before:
    """The cycle before: its tags, when it ended, when the gateway last looked, its message."""

    tags: list[str] = field(default_factory=list)
    end_us: int = 0
    received_us: int = 0
    message: bytes = b""


def remember(before: Before, one: Pass) -> None:
    """Keep `one` as what the next pass is compared with."""
    before.tags = [epc for epc, _ in one.tags]
    before.end_us, before.message = one.last_us, one.messages[-1]
    before.received_us = max(before.received_us, one.received_us)


def due_us(before: Before, station: Station) -> int | None:
    """Return when an empty cycle would end, None where there is none to tell of."""
    if not station.cycle_us or not before.tags:
        return None
    return before.received_us + station.cycle_us + station.idle_us


def empty_pass(before: Before, station: Station) -> Pass:
    """Return the cycle in which no tag was heard."""
    at = before.end_us + station.cycle_us
    return Pass(
        first_us=at,
        last_us=at,
        tags=(),
        strays=(),
        untimed=0,
        messages=(before.message,),
        received_us=before.received_us,
    )
