"""One EPCIS 2.0 event as a value, in whatever spelling it came.

Pure: no I/O, no clock, no randomness.
"""

from ledger.epcis.parts import PART_FIELDS, check_part, join_parts, split_event
from ledger.epcis.times import format_time, parse_time_us

__all__ = [
    "PART_FIELDS",
    "check_part",
    "format_time",
    "join_parts",
    "parse_time_us",
    "split_event",
]
