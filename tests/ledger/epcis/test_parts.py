"""The eight parts of an event: one place for each field, and nothing that hides."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.event import PART_FIELDS, check_part, join_parts, split_event
from ledger.epcis.parts import PART_BYTES_MAX, PART_DEPTH_MAX
from ledger.errors import ParseError

FIELDS = [field for fields in PART_FIELDS for field in fields]
SHIPPED = {
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
    "eventID": "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "type": "ObjectEvent",
    "action": "OBSERVE",
    "eventTime": "2024-05-31T07:05:00.000Z",
    "eventTimeZoneOffset": "+02:00",
    "recordTime": "2024-05-31T07:05:01.000Z",
    "epcList": ["urn:epc:id:sgtin:9506000.013435.123"],
    "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.0"},
    "bizStep": "shipping",
    "dairy:note": "läuft ✓",
}

names = st.sampled_from(FIELDS) | st.text().filter(lambda name: name != "recordTime")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def test_there_are_eight_parts_and_no_field_is_in_two() -> None:
    assert len(PART_FIELDS) == 8
    assert PART_FIELDS[7] == ()
    assert len(FIELDS) == len(set(FIELDS)) == 28


def test_each_field_goes_to_its_part_and_record_time_to_none() -> None:
    parts = split_event(SHIPPED)
    assert [part and list(json.loads(part)) for part in parts] == [
        ["eventID"],
        ["@context", "type"],
        ["action", "epcList"],
        ["eventTime", "eventTimeZoneOffset"],
        ["readPoint"],
        ["bizStep"],
        None,
        ["dairy:note"],
    ]
    assert parts[7] == '{"dairy:note":"läuft ✓"}'.encode()
    assert join_parts(parts) == {k: v for k, v in SHIPPED.items() if k != "recordTime"}


@given(st.dictionaries(names, values))
def test_splitting_and_joining_lose_nothing(event: dict[str, object]) -> None:
    parts = split_event(event)
    assert join_parts(parts) == event
    for n, part in enumerate(parts):
        if part is not None:
            check_part(n, part)


def test_a_withheld_part_leaves_its_fields_out() -> None:
    parts = list(split_event(SHIPPED))
    parts[5] = None
    assert "bizStep" not in join_parts(parts)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "empty"),
        (b"", "no JSON"),
        (b"[]", "no JSON object"),
        (b"null", "no JSON object"),
        (b'{"type":"ObjectEvent"', "no JSON"),
        (b'{"type":"ObjectEvent"} x', "no JSON"),
        (b"{'type':1}", "no JSON"),
        (b'{"type":01}', "no JSON"),
        (b'{"type":"a\nb"}', "no JSON"),
        (b'\xef\xbb\xbf{"type":1}', "byte order mark"),
        (b'{"type":"\xff"}', "no UTF-8"),
        (b'{"type":"\xed\xa0\x80"}', "no UTF-8"),
        (b'{"type":"\\ud800"}', "surrogate"),
        (b'{"type":{"\\udc00":1}}', "surrogate"),
        (b'{"type":1,"type":1}', "twice"),
        (b'{"type":{"a":1,"b":{"c":1,"c":2}}}', "twice"),
        (b'{"type":NaN}', "NaN"),
        (b'{"type":-Infinity}', "Infinity"),
        (b'{"type":1e999}', "beyond a double"),
        (b'{"type":' + b"9" * 5000 + b"}", "4300"),
        (b'{"bizStep":"shipping"}', "belongs in part 5"),
        (b'{"type":1,"dairy:note":1}', "belongs in part 7"),
        (b'{"recordTime":"2024-05-31T07:05:00Z"}', "only the log"),
    ],
)
def test_a_part_that_is_not_strict_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        check_part(1, data)


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    check_part(1, b'{"type":"\\ud83d\\ude00"}')


def test_record_time_is_refused_among_the_extensions_too() -> None:
    with pytest.raises(ParseError, match="only the log"):
        check_part(7, b'{"recordTime":1}')
    with pytest.raises(ParseError, match="not one of"):
        check_part(8, b'{"a":1}')


def test_nesting_and_size_have_named_limits() -> None:
    deep = b"[" * (PART_DEPTH_MAX - 1) + b"]" * (PART_DEPTH_MAX - 1)
    check_part(1, b'{"type":' + deep + b"}")
    with pytest.raises(ParseError, match="deeper"):
        check_part(1, b'{"type":[' + deep + b"]}")
    check_part(1, b'{"type":"' + b"[" * 1000 + b'"}')
    filling = PART_BYTES_MAX - len(b'{"type":""}')
    check_part(1, b'{"type":"' + b"x" * filling + b'"}')
    with pytest.raises(ParseError, match="at most"):
        check_part(1, b'{"type":"' + b"x" * (filling + 1) + b'"}')


@pytest.mark.parametrize(
    "data",
    [
        b"[" * PART_BYTES_MAX,
        b'{"a":' * (PART_BYTES_MAX // 5),
        b"[" * 65 + b'"' + b'\\"' * (PART_BYTES_MAX // 2 - 40),
        b"[" * 65 + b'"' + b"\\" * (PART_BYTES_MAX - 67),
    ],
)
def test_hostile_nesting_is_refused_in_linear_time(data: bytes) -> None:
    before = time.perf_counter()
    with pytest.raises(ParseError):
        check_part(1, data)
    assert time.perf_counter() - before < 2


@given(st.integers(0, 7), st.binary() | st.text().map(str.encode))
def test_nothing_but_parse_error_leaves_a_part(n: int, data: bytes) -> None:
    try:
        check_part(n, data)
    except ParseError:
        return
    assert isinstance(json.loads(data), dict)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "a", "x:y": float("nan")},
        {"type": "\ud800"},
        {"x:y": object()},
        {"x:y": {1: "a", "1": "b"}},
    ],
)
def test_an_event_that_json_cannot_say_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(ParseError):
        split_event(event)


def test_eight_parts_are_wanted() -> None:
    with pytest.raises(ParseError, match="want 8"):
        join_parts([None] * 7)
