"""When a scheduled query runs: EPCIS 2.0 section 8.2.5.3, in UTC.

    {"minute": "5", "hour": "1"}            every day at 01:05:00
    {"second": "0,30"}                      twice a minute
    {"hour": "[8-17]", "dayOfWeek": "[1-5]"}   on the hour, on working days

Each field is a list of numbers and ranges. A field that is not given and is finer than the
finest one that is, is its first value; any other takes every value. Monday is 1.

Refused: a schedule without a field, an unknown field, a number out of its range, a date that
no year has.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ledger.errors import ParseError

FIELDS: Mapping[str, range] = {
    "second": range(60),
    "minute": range(60),
    "hour": range(24),
    "dayOfMonth": range(1, 32),
    "month": range(1, 13),
    "dayOfWeek": range(1, 8),
}
_ITEM = re.compile(r"\[?(\d{1,2})(?:-(\d{1,2}))?\]?", re.ASCII)
_DAYS_AHEAD_MAX = 8 * 366 + 2
"""29 February on a given day of the week comes within 40 years; on any within 8."""

_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The values of each field at which a query runs."""

    second: frozenset[int]
    minute: frozenset[int]
    hour: frozenset[int]
    day_of_month: frozenset[int]
    month: frozenset[int]
    day_of_week: frozenset[int]


def parse_schedule(fields: Mapping[str, object]) -> Schedule:
    """Return the schedule that `fields` say. Raises `ParseError` at the field."""
    for name in fields:
        if name not in FIELDS:
            raise ParseError(
                "schedule", f"has no field {name[:40]!r}; it has {', '.join(FIELDS)}"
            )
    if not fields:
        raise ParseError("schedule", "is empty; give a field, or stream: true")
    values: dict[str, frozenset[int]] = {}
    given = False
    for name, span in FIELDS.items():  # From the finest on.
        given = given or name in fields
        if name in fields:
            values[name] = _parse_field(name, fields[name], span)
        else:
            values[name] = frozenset(span) if given or name in _DATES else frozenset((span[0],))
    schedule = Schedule(
        second=values["second"],
        minute=values["minute"],
        hour=values["hour"],
        day_of_month=values["dayOfMonth"],
        month=values["month"],
        day_of_week=values["dayOfWeek"],
    )
    if next_time_us(schedule, 0) is None:
        raise ParseError("schedule", "names a day that does not come")
    return schedule


_DATES = ("dayOfMonth", "month", "dayOfWeek")


def _parse_field(name: str, value: object, span: range) -> frozenset[int]:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    found: set[int] = set()
    for item in text.replace(" ", "").split(","):
        match = _ITEM.fullmatch(item)
        first = int(match[1]) if match else -1
        last = int(match[2]) if match and match[2] else first
        if first not in span or last not in span or last < first:
            why = f"{item[:20]!r} is not within {span[0]} to {span[-1]}"
            raise ParseError(f"schedule.{name}", why)
        found.update(range(first, last + 1))
    return frozenset(found)


def next_time_us(schedule: Schedule, after_us: int) -> int | None:
    """Return the first instant after `after_us` at which the schedule holds, or None."""
    now = _EPOCH + timedelta(microseconds=after_us)
    start = now.replace(microsecond=0) + timedelta(seconds=1)
    day = start.replace(hour=0, minute=0, second=0)
    for _ in range(_DAYS_AHEAD_MAX):
        if _is_day(schedule, day):
            found = _time_of_day(schedule, day, start)
            if found is not None:
                return int((found - _EPOCH).total_seconds()) * _US
        day += timedelta(days=1)
    return None


def _is_day(schedule: Schedule, day: datetime) -> bool:
    return (
        day.month in schedule.month
        and day.day in schedule.day_of_month
        and day.isoweekday() in schedule.day_of_week
    )


def _time_of_day(schedule: Schedule, day: datetime, start: datetime) -> datetime | None:
    for hour in sorted(schedule.hour):
        for minute in sorted(schedule.minute):
            if day.replace(hour=hour, minute=minute, second=59) < start:
                continue
            for second in sorted(schedule.second):
                moment = day.replace(hour=hour, minute=minute, second=second)
                if moment >= start:
                    return moment
    return None
