"""Schedules: when a standing query runs next."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.epcis.query_schedule import next_time_us, parse_schedule
from ledger.epcis.times import format_time, parse_time_us
from ledger.errors import ParseError


@pytest.mark.parametrize(
    ("fields", "after", "expected"),
    [
        ({"hour": "1", "minute": "5"}, "2026-01-01T00:00:00Z", "2026-01-01T01:05:00.000Z"),
        ({"hour": "1", "minute": "5"}, "2026-01-01T01:05:00Z", "2026-01-02T01:05:00.000Z"),
        ({"second": "0,30"}, "2026-01-01T00:00:00.1Z", "2026-01-01T00:00:30.000Z"),
        ({"second": "[10-12]"}, "2026-01-01T00:00:12Z", "2026-01-01T00:01:10.000Z"),
        ({"minute": "59"}, "2026-12-31T23:59:00Z", "2027-01-01T00:59:00.000Z"),
        ({"dayOfWeek": "1"}, "2026-01-01T00:00:00Z", "2026-01-05T00:00:00.000Z"),
        ({"dayOfMonth": "31"}, "2026-02-01T00:00:00Z", "2026-03-31T00:00:00.000Z"),
        (
            {"month": "2", "dayOfMonth": "29", "hour": "12"},
            "2026-01-01T00:00:00Z",
            "2028-02-29T12:00:00.000Z",
        ),
        (
            {"hour": "[8-17]", "dayOfWeek": "[1-5]"},
            "2026-01-02T17:30:00Z",
            "2026-01-05T08:00:00.000Z",
        ),
    ],
    ids=str,
)
def test_the_next_time(fields: dict[str, str], after: str, expected: str) -> None:
    found = next_time_us(parse_schedule(fields), parse_time_us(after))
    assert found is not None
    assert format_time(found) == expected
    assert datetime.fromtimestamp(found / 1e6, UTC).microsecond == 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"hours": "1"},
        {"hour": "24"},
        {"minute": "60"},
        {"dayOfMonth": "0"},
        {"dayOfWeek": "8"},
        {"second": "[5-1]"},
        {"second": "a"},
        {"second": ""},
        {"second": True},
        {"second": ["1"]},
        {"month": "4", "dayOfMonth": "31"},
    ],
    ids=str,
)
def test_what_is_no_schedule_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ParseError):
        parse_schedule(fields)
