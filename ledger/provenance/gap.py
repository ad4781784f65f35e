"""What an answer does not know, by name.

Whatever the events do not show becomes a gap: its kind, the instants between which it
lies, the things, places or parties between which it lies, and why it is one. The kinds are
stable names; docs/reference/provenance.md explains each.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.provenance import span
from ledger.provenance.span import Moment

NO_EVENTS = "no_events"
NO_ORIGIN = "no_origin"
UNKNOWN_INPUTS = "unknown_inputs"
UNKNOWN_LOT = "unknown_lot"
INPUT_NEVER_SEEN = "input_never_seen"
SPLIT_TRANSFORMATION = "split_transformation"
IMBALANCE = "quantity_imbalance"

MISSING_ADD = "missing_add"
SEEN_TOGETHER = "seen_together"
LEFT_UNSEEN = "left_unseen"
IMPLICIT_UNPACK = "implicit_unpack"
STILL_INSIDE = "destroyed_with_contents"
CYCLE = "containment_cycle"

MOVED_UNSEEN = "moved_unseen"
NO_VEHICLE = "no_vehicle"
UNKNOWN_PLACE = "unknown_place"
MISSING_SHIPPING = "missing_shipping"
MISSING_RECEIVING = "missing_receiving"
IN_TRANSIT = "not_received_yet"
CONFLICTING_CUSTODY = "conflicting_custody"
UNKNOWN_CUSTODY = "unknown_custody"
UNKNOWN_OWNER = "unknown_owner"

NO_CONDITIONS = "no_conditions"
PARTIAL_WINDOW = "partial_sensor_window"

WITHHELD_PART = "withheld"
FUTURE = "future_event"
BEFORE_ORIGIN = "before_commissioning"
AFTER_END = "after_decommissioning"
SOLD_TWICE = "sold_twice"
REUSED_KEY = "reused_key"
IDENTICAL_EVENTS = "identical_events"
COLLIDING_IDS = "event_id_collision"
AFTER_RECORD = "after_record_time"
MISSED_NUMBERS = "missed_event_numbers"
READER_DROPS = "dropped_by_reader"
READER_SILENT = "reader_silent"
MESSAGES_REFUSED = "messages_refused"
NOT_TAKEN = "messages_not_taken"
TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Gap:
    """Something unknown about `thing`; `start` and `end` are None where unknown too."""

    kind: str
    thing: str
    start: Moment | None
    end: Moment | None
    between: tuple[str, ...]
    why: str
    stated_in: int | None = None
    """The entry with the gap statement in which a gateway admits it, if one does."""


def in_order(gaps: Iterable[Gap]) -> list[Gap]:
    """Return the gaps once each, in the order of time, kind and thing: in one order only."""
    return sorted(set(gaps), key=_order)


def _order(gap: Gap) -> tuple[object, ...]:
    start = gap.start or gap.end
    at_us = start[0] if start is not None else 0
    what = (gap.kind, gap.thing, gap.between, gap.why, gap.stated_in or 0)
    return at_us, *what, gap.start or span.FIRST, gap.end or span.LAST
