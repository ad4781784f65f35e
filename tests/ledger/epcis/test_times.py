"""Instants of EPCIS."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.event import format_time, parse_time_us
from ledger.epcis.times import parse_offset
from ledger.errors import ParseError

# So far from the ends that every zone is within the years 1 to 9999.
EARLY = datetime.fromisoformat("0001-01-02")
LATE = datetime.fromisoformat("9999-12-30")


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1969-12-31T23:59:59.9999999Z", -1),
        ("2005-04-03T20:33:31.116-06:00", 1_112_582_011_116_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
    ],
)
def test_an_instant_is_microseconds_of_utc(text: str, us: int) -> None:
    assert parse_time_us(text) == us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-05-31",
        "2024-05-31T07:05:00",
        "2024-05-31 07:05:00Z",
        "2024-05-31t07:05:00z",
        "2024-02-30T07:05:00Z",
        "2024-05-31T24:00:00Z",
        "2024-05-31T23:59:60Z",
        "2024-05-31T07:60:00Z",
        "2024-05-31T07:05:00.Z",
        "2024-05-31T07:05:00.1234567890Z",
        "2024-05-31T07:05:00+14:01",
        "2024-05-31T07:05:00+01:60",
        "2024-05-31T07:05:00+0100",
        "24-05-31T07:05:00Z",
        "٢٠٢٤-05-31T07:05:00Z",
        "2024-05-31T07:05:00Z\n",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_what_is_no_time_is_refused_where_it_stands(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_time_us(text, "/eventTime")
    assert caught.value.where == "/eventTime"


@given(st.datetimes(EARLY, LATE), st.integers(-14 * 60, 14 * 60))
def test_instants_agree_with_the_calendar(moment: datetime, zone: int) -> None:
    sign, minutes = ("-", -zone) if zone < 0 else ("+", zone)
    text = f"{moment.isoformat()}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    epoch = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    want = (moment - epoch - timedelta(minutes=zone)) // timedelta(microseconds=1)
    assert parse_time_us(text) == want


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_formatting_and_parsing_are_inverse(us: int) -> None:
    assert parse_time_us(format_time(us)) == us


def test_an_instant_beyond_the_calendar_has_no_text() -> None:
    assert format_time(1_500) == "1970-01-01T00:00:00.001500Z"
    assert format_time(2_000) == "1970-01-01T00:00:00.002Z"
    for us in (10**20, -(10**20)):
        with pytest.raises(ParseError):
            format_time(us)


def test_an_offset_is_minutes_east() -> None:
    assert parse_offset("+02:00") == 120
    assert parse_offset("-05:30") == -330
    assert parse_offset("+14:00") == 840
    for text in ("Z", "+2:00", "02:00", "+14:30", "+15:00", "+01:60", "+01:00 "):
        with pytest.raises(ParseError):
            parse_offset(text)
