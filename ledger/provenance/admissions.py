"""What gateways admit to have missed where a thing was, and when.

A gap statement concerns a thing if it is about the site of one of its events, and meets the
time between the event before and the event after that one: it may have been read there then,
and nobody would know. Before its first event an hour counts. After its last it is as long as it
may still be at that site, which is an hour once it was sold, sent off or is no more; where it
was sent to a place, it may have arrived there ever since. It also concerns what was inside
something, or bolted to it, while a sensor on that was silent.

Who speaks is a party that signed an event of the story, or that one of them names as taker.
Of an answer's gap statements the newest `ADMITTED_MAX` are told.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Mapping

from ledger.admitted import GapRow, searched_site
from ledger.provenance import gap as gaps
from ledger.provenance.gap import Gap
from ledger.provenance.journey import Journey
from ledger.provenance.lineage import is_ending
from ledger.provenance.reader import Reader
from ledger.provenance.source import GapsWanted
from ledger.provenance.span import FIRST, LAST, TIME_MAX_US, Moment
from ledger.provenance.story import Story, Thing, Told

ADMITTED_MAX = 500
ROWS_MAX = 2_000
"""One gap statement may concern many things of an answer; those of the asked one come first."""
BEFORE_US = 3_600_000_000
_GONE = frozenset({"retail_selling", "dispensing"})
_PLACE = "https://id.gs1.org/414/"
KINDS = (
    gaps.MISSED_NUMBERS,
    gaps.READER_DROPS,
    gaps.READER_SILENT,
    gaps.MESSAGES_REFUSED,
    gaps.NOT_TAKEN,
)
_Window = tuple[str, int, int]


def find_admissions(
    story: Story, reader: Reader, present: Moment, journeys: Mapping[str, Journey]
) -> list[Gap]:
    """Return the gaps that gap statements leave in the story of each thing, up to `present`."""
    windows = {
        key: list(_joined(_windows(story.things[key], reader, present, way)))
        for key, way in journeys.items()
    }
    wanted = sorted({one for those in windows.values() for one in those})
    if not wanted:
        return []
    rows = reader.source.gaps_of(
        [GapsWanted(site, low, high) for site, low, high in wanted],
        _speakers(story),
        before_entry=reader.before_entry,
        limit=ADMITTED_MAX,
    )
    found = sorted(set(rows), key=lambda row: row.idx)
    met = [(key, row) for key, those in windows.items() for row in _met(those, found)]
    met.sort(key=lambda one: (one[0] != story.root, -one[1].idx, one[0]))
    told = [_gap(key, row) for key, row in met[:ROWS_MAX]]
    if len(found) >= ADMITTED_MAX or len(met) > ROWS_MAX:
        why = f"gateways admit more gaps there than the newest {ADMITTED_MAX}"
        told.append(Gap(gaps.TRUNCATED, story.root, None, None, (story.root,), why))
    return told


def _speakers(story: Story) -> list[str]:
    """Return who may speak: whoever signed an event of the story, or is named as its taker.

    Nobody else fills an answer with what he says to have missed.
    """
    told = [one for thing in story.things.values() for one in thing.told.values()]
    found = {one.node.pin.iss for one in told}
    found |= {party for one in told for _, party in one.node.event.destinations}
    return sorted(found)


def _windows(
    thing: Thing, reader: Reader, present: Moment, journey: Journey
) -> Iterator[_Window]:
    """Yield at which sites, and when, something may have been missed of a thing."""
    here = None if journey.place is None else searched_site(journey.place)
    end_us = min(present, thing.end, reader.top, (TIME_MAX_US, b"", 0))[0]
    told = [one for one in thing.sure() if one.node.moment[0] <= end_us]
    for n, one in enumerate(told):
        at_us = one.node.moment[0]
        low = told[n - 1].node.moment[0] if n else max(at_us - BEFORE_US, reader.horizon[0])
        is_last = n + 1 == len(told)
        high = end_us if is_last else told[n + 1].node.moment[0]
        for site in _sites(one):
            left = is_last and (site != here or _is_gone(one, thing.key))
            yield site, low, min(high, at_us + BEFORE_US if left else high)
        if is_last:
            yield from ((site, at_us, high) for site in _destinations(one))
    for holder in thing.holders:
        start, until = max(holder.span.start, reader.horizon), min(holder.span.end, present)
        if FIRST < start <= until < LAST:
            yield searched_site(holder.key), start[0], until[0]


def _is_gone(told: Told, key: str) -> bool:
    """Tell whether nobody at the site will read the thing again after this event."""
    return told.node.event.biz_step in _GONE or is_ending(told.node.event, key)


def _destinations(told: Told) -> set[str]:
    named = (place for _, place in told.node.event.destinations)
    return {searched_site(place) for place in named if place.startswith(_PLACE)}


def _sites(told: Told) -> set[str]:
    event = told.node.event
    places = (event.read_point, event.biz_location)
    return {searched_site(place) for place in places if place is not None}


def _joined(windows: Iterable[_Window]) -> Iterator[_Window]:
    """Yield the windows of each site, those that meet as one."""
    open_one: _Window | None = None
    for site, low, high in sorted(windows):
        if open_one is not None and open_one[0] == site and low <= open_one[2]:
            open_one = site, open_one[1], max(open_one[2], high)
            continue
        if open_one is not None:
            yield open_one
        open_one = site, low, high
    if open_one is not None:
        yield open_one


def _met(windows: Iterable[_Window], rows: Iterable[GapRow]) -> Iterator[GapRow]:
    own = list(windows)
    for row in rows:
        if any(
            row.site == site and row.from_us <= high and low <= row.to_us
            for site, low, high in own
        ):
            yield row


def _gap(thing: str, row: GapRow) -> Gap:
    span = (row.from_us, b"", -1), (row.to_us, b"", -1)
    return Gap(KINDS[row.what], thing, *span, (row.source, row.iss), row.why, row.idx)
