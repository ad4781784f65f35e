"""The part of a plan that says which reads of a station count, and when: ALE's filters.

    [[station]]
    …
    gap_min_ms = 800
    include = ["urn:epc:idpat:sgtin:9506000.*.*", "urn:epc:idpat:sscc:9506000.*"]
    exclude = ["urn:epc:idpat:grai:*.*.*"]
    rssi_min_dbm = -65
    stray_percent = 10
    direction = {outside = [1], inside = [2], percent = 60}
    trigger = {port = 1, level = "high", window_s = 30}

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass

from ingest.plan import DirectionRule, PackingRule, Station, TriggerRule, When
from ingest.readers.fields import ANTENNA_MAX
from ingest.tomltable import Table
from ledger.gs1.epc import matches_pattern

_RSSI_BOUNDS = (-200, 100)
_PERCENT_BOUNDS = (0, 100)
_WAY_PERCENT, _WAY_BOUNDS = 60, (51, 100)
_WINDOW_S, _WINDOW_BOUNDS = 30, (1, 86_400)
_CYCLE_BOUNDS = (0, 86_400_000)
_NO_LEVEL = -1_000
_PAUSE_S, _PAUSE_BOUNDS = 60, (1, 86_400)
_COUNT_BOUNDS = (0, 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a `[[station]]` says about its reads; the names are those of `plan.Station`."""

    gap_least_us: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    rssi_least_cdbm: int | None
    stray_percent: int
    cycle_us: int
    direction: DirectionRule | None
    trigger: TriggerRule | None


def parse_filters(table: Table, gap_ms: int) -> Filters:
    """Return the filters of a station whose gap is `gap_ms`; raises `ParseError`."""
    rssi = (
        table.number("rssi_min_dbm", _NO_LEVEL, _RSSI_BOUNDS)
        if table.has("rssi_min_dbm")
        else None
    )
    if rssi is None:
        table.optional_text("rssi_min_dbm")
    return Filters(
        gap_least_us=table.number("gap_min_ms", gap_ms, (1, gap_ms)) * 1_000,
        include=_patterns(table, "include"),
        exclude=_patterns(table, "exclude"),
        rssi_least_cdbm=None if rssi is None else rssi * 100,
        stray_percent=table.number("stray_percent", 0, _PERCENT_BOUNDS),
        cycle_us=table.number("cycle_ms", 0, _CYCLE_BOUNDS) * 1_000,
        direction=_parse_direction(table),
        trigger=_parse_trigger(table),
    )


def parse_when(table: Table) -> When:
    """Return which passes and tags an emit is about; raises `ParseError`."""
    way, report = table.text("way", "any"), table.text("report", "current")
    if way not in {"any", "in", "out"}:
        raise table.error("way", f"is {way!r:.40}, want in, out or any")
    match report:
        case "current" | "additions" | "deletions":
            pass
        case _:
            why = f"is {report!r:.40}, want current, additions or deletions"
            raise table.error("report", why)
    match way:
        case "in" | "out":
            return When(way=way, report=report)
        case _:
            return When(report=report)


def parse_packing(table: Table) -> PackingRule | None:
    """Return how cases are packed one after the other, None where they are not."""
    if not table.has("packing"):
        table.mapping("packing")
        return None
    one = table.table("packing")
    rule = PackingRule(
        pause_us=one.number("pause_s", _PAUSE_S, _PAUSE_BOUNDS) * 1_000_000,
        count=one.number("count", 0, _COUNT_BOUNDS),
    )
    one.close()
    return rule


def check_station(table: Table, station: Station) -> None:
    """Raise `ParseError` where an emit asks for a way that the station cannot tell."""
    for n, emit in enumerate(station.emits, start=1):
        when = getattr(emit, "when", None)
        if when is not None and when.way is not None and station.direction is None:
            why = f"is missing; the emit number {n} asks for the way {when.way!r}"
            raise table.error("direction", why)
    packers = [one for one in station.emits if getattr(one, "packing", None) is not None]
    if len(packers) > 1:
        raise table.error("packing", "may be in one emit of a station")


def _patterns(table: Table, key: str) -> tuple[str, ...]:
    patterns = table.texts(key, ())
    for pattern in patterns:
        table.check(key, lambda text: matches_pattern(text, "urn:x:y"), pattern)
    return patterns


def _parse_direction(table: Table) -> DirectionRule | None:
    if not table.has("direction"):
        table.mapping("direction")
        return None
    one = table.table("direction")
    inside = one.numbers("inside", (0, ANTENNA_MAX))
    outside = one.numbers("outside", (0, ANTENNA_MAX))
    if inside is None or outside is None or set(inside) & set(outside):
        raise one.error("inside", "and outside must each name antennas, none of them twice")
    rule = DirectionRule(
        inside=inside,
        outside=outside,
        percent=one.number("percent", _WAY_PERCENT, _WAY_BOUNDS),
    )
    one.close()
    return rule


def _parse_trigger(table: Table) -> TriggerRule | None:
    if not table.has("trigger"):
        table.mapping("trigger")
        return None
    one = table.table("trigger")
    level = one.text("level", "high")
    if level not in {"high", "low"}:
        raise one.error("level", f"is {level!r:.40}, want high or low")
    rule = TriggerRule(
        port=one.number("port", _NO_LEVEL, (0, ANTENNA_MAX)),
        is_high=level == "high",
        window_us=one.number("window_s", _WINDOW_S, _WINDOW_BOUNDS) * 1_000_000,
    )
    one.close()
    return rule
