"""The instants of EPCIS: text with a zone in, microseconds since 1970 UTC out.

An EPCIS time is an xsd:dateTime with its zone, EPCIS 2.0 section 7.2.1:

    2005-04-03T20:33:31.116-06:00
    2023-02-02T11:04:03.123456789Z

Up to nine fraction digits are read; what is finer than a microsecond is cut off.
Refused: no zone, a zone beyond ±14:00, a leap second, 24:00:00, a space for the T, an instant
that is before the year 1 or after the year 9999 in UTC.

Pure: no I/O, no clock, no randomness.
"""

import re
from datetime import date

from ledger.errors import ParseError

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_OFFSET = re.compile(r"[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)", re.ASCII)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_HOURS, _MINUTES, _SECONDS = 24, 60, 60
_ZONE_MINUTES_MAX = 14 * 60
_US = 1_000_000
_DAY_US = 86_400 * _US
_US_DIGITS = 6
_FIRST_US = (date(1, 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY_US
_END_US = (date(9999, 12, 31).toordinal() + 1 - _EPOCH_ORDINAL) * _DAY_US


def parse_time_us(text: str, where: str = "time") -> int:
    """Return the instant that `text` names, in microseconds since the Unix epoch, UTC.

    Raises `ParseError` at `where` for anything but an xsd:dateTime with a zone.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ParseError(
            where, f"{text[:40]!r} is no time; write it as 2024-05-31T07:05:00.000Z"
        )
    year, month, day, hour, minute, second, fraction, sign, zone_h, zone_m = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        raise ParseError(where, f"the calendar has no day {text[:10]}") from None
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours >= _HOURS or minutes >= _MINUTES or seconds >= _SECONDS:
        raise ParseError(where, f"the clock has no {text[11:19]}; the last second is 23:59:59")
    fraction_us = int(fraction[:_US_DIGITS].ljust(_US_DIGITS, "0")) if fraction else 0
    at = days * _DAY_US + ((hours * 60 + minutes) * 60 + seconds) * _US + fraction_us
    if sign is None:
        return at
    return _in_utc(at, sign, zone_h, zone_m, where)


def _in_utc(at: int, sign: str, zone_h: str, zone_m: str, where: str) -> int:
    zone = int(zone_h) * 60 + int(zone_m)
    if zone > _ZONE_MINUTES_MAX or int(zone_m) >= _MINUTES:
        raise ParseError(where, f"the zone {sign}{zone_h}:{zone_m} is beyond ±14:00")
    at += (-zone if sign == "+" else zone) * 60 * _US
    if not _FIRST_US <= at < _END_US:
        raise ParseError(where, "is outside of the years 1 to 9999 in UTC")
    return at


def format_time(us: int) -> str:
    """Return the UTC text of an instant: milliseconds, or microseconds where it has them.

    Raises `ParseError` for an instant outside of the years 1 to 9999.
    """
    days, rest = divmod(us, _DAY_US)
    try:
        day = date.fromordinal(days + _EPOCH_ORDINAL)
    except (ValueError, OverflowError):
        raise ParseError("time", f"{us} µs is outside of the years 1 to 9999") from None
    seconds, fraction = divmod(rest, _US)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    digits = f"{fraction // 1000:03d}" if fraction % 1000 == 0 else f"{fraction:06d}"
    return f"{day.isoformat()}T{hour:02d}:{minute:02d}:{second:02d}.{digits}Z"


def parse_offset(text: str, where: str = "offset") -> int:
    """Return the minutes east of UTC of an eventTimeZoneOffset such as +02:00.

    Raises `ParseError` at `where` for any other spelling; the bound is ±14:00.
    """
    if _OFFSET.fullmatch(text) is None:
        raise ParseError(where, f"{text[:40]!r} is no offset; write it as +02:00 or -05:30")
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return -minutes if text[0] == "-" else minutes
