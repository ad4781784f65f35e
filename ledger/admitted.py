"""What a source admits to have missed: a gap statement as a row of the index.

A gateway states `tagtrail/gap/v1` (FORMATS section 2): at a read point, or about what a sensor
is on, something is missing between two instants. Whoever asks about an item wants those
of the sites where it was, at the times when it was there. So a row is found by

    site    the key of the source without its extension: the GLN of the whole site, or the
            asset, or the text itself where it is no GS1 identifier
    scale   0 to 6: how long it is, in steps of 16, from a minute at most to any length, so
            that a span is met by a search from its start less the longest of that scale

One function makes the row, for the index, for the auditor's rebuild and for a bundle.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass
from typing import Final

from ledger.gs1.epc import canonical_key
from ledger.indexed import bounded, indexed_text
from ledger.statement import Body, Gap

MICROSECONDS_MAX: Final = 2**62
"""Later instants are taken for this one, so that every database can hold them."""
_SCALE_BITS: Final = (26, 30, 34, 38, 42, 46)
SCALES: Final = tuple(range(len(_SCALE_BITS) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRow:
    """One gap statement; times in microseconds since the epoch, `source` as a key."""

    idx: int
    iss: str
    site: str
    source: str
    scale: int
    what: int
    from_us: int
    to_us: int
    count: int | None
    why: str


def project_gap(index: int, iss: str, body: Body) -> GapRow | None:
    """Return the row of what `iss` states in entry `index`, None where it is no gap."""
    if not isinstance(body, Gap):
        return None
    from_us, to_us = min(body.start, MICROSECONDS_MAX), min(body.end, MICROSECONDS_MAX)
    source = canonical_key(body.source)
    row = GapRow(
        idx=index,
        iss=iss,
        site=site_of(source),
        source=source,
        scale=scale_of(to_us - from_us),
        what=body.what,
        from_us=from_us,
        to_us=to_us,
        count=None if body.count is None else min(body.count, MICROSECONDS_MAX),
        why=body.why,
    )
    return bounded((row,), ("site", "source", "why"))[0]


def site_of(place: str) -> str:
    """Return the place without its extension: the GLN that stands for the whole site."""
    return place.partition("/254/")[0]


def searched_site(place: str) -> str:
    """Return what the index calls the site of `place`."""
    return indexed_text(site_of(place))


def scale_of(length_us: int) -> int:
    """Return the scale of a span of that length."""
    return sum(length_us > 1 << bits for bits in _SCALE_BITS)


def longest_of(scale: int) -> int:
    """Return how long a span of that scale is at most, in microseconds."""
    return 1 << _SCALE_BITS[scale] if scale < len(_SCALE_BITS) else MICROSECONDS_MAX
