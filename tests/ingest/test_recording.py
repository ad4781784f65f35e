"""Files of recorded payloads: each becomes the messages that it was."""

import json

import pytest

from ingest.reads import Arrival
from ingest.recording import parse_recording
from ledger.errors import ParseError
from tests.ingest.scene import T0

WRAPPED = b'{"topic":"a/b","time":"2026-01-05T08:00:01Z","payload":{"epc" : "AAAA"}}'


def split(data: bytes, name: str = "file.json") -> list[tuple[str, bytes]]:
    return [(one.topic, one.payload) for one in parse_recording(name, data, T0)]


def test_one_json_value_is_one_message_an_array_of_reads_too() -> None:
    for data in (b'{"epc":\n "AAAA"}', b'["AAAA", "BBBB"]', b'"AAAA"', b"17"):
        assert split(data + b"\n") == [("replay/file.json", data)]


def test_lines_are_messages_and_a_broken_one_is_kept_as_it_is() -> None:
    data = b'{"epc":"AAAA"}\n\n{"epc":\r\n["BBBB"]\nconnection lost'
    assert [payload for _, payload in split(data)] == [
        b'{"epc":"AAAA"}',
        b'{"epc":',
        b'["BBBB"]',
        b"connection lost",
    ]


def test_server_sent_events_are_messages_by_line() -> None:
    assert len(split(b"data: {}\n\ndata: {}\n")) == 2


def test_a_text_that_is_no_json_is_one_message() -> None:
    assert split(b"connection\nlost") == [("replay/file.json", b"connection\nlost")]
    assert split(b"\xff\x00") == [("replay/file.json", b"\xff\x00")]


def test_a_topic_around_a_message_is_taken_off_and_its_bytes_stay() -> None:
    expected = Arrival("a/b", b'{"epc" : "AAAA"}', T0 + 1_000_000)
    for data in (WRAPPED, b"[" + WRAPPED + b"]", WRAPPED + b"\n" + WRAPPED):
        assert set(parse_recording("x", data, T0)) == {expected}


def test_a_payload_may_be_a_text_or_base64() -> None:
    lines = [
        {"topic": "a", "payload": "connection lost"},
        {"topic": "b", "payload_base64": "/wA="},
    ]
    data = "\n".join(map(json.dumps, lines)).encode()
    assert split(data) == [("a", b"connection lost"), ("b", b"\xff\x00")]


def test_an_object_with_a_topic_of_its_own_kind_is_no_wrapper() -> None:
    sparkplug = b'{"topic":{"namespace":"spBv1.0"},"payload":{}}'
    assert split(sparkplug) == [("replay/file.json", sparkplug)]


def test_a_file_name_becomes_a_topic_without_wildcards() -> None:
    assert split(b"17", "a+b#.json")[0][0] == "replay/a_b_.json"


def test_an_empty_file_holds_nothing() -> None:
    assert split(b" \n") == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"topic":"$tick","payload":{}}', "the broker's own"),
        (b'{"topic":"a/#","payload":{}}', "is a filter"),
        (b'{"topic":"","payload":{}}', "is empty"),
        (b'{"topic":"a","payload":{},"time":"noon"}', "message 2: time"),
        (b'{"topic":"a","payload_base64":"?"}', "is no base64"),
    ],
)
def test_a_wrapper_that_cannot_be_is_refused_with_its_place(line: bytes, said: str) -> None:
    with pytest.raises(ParseError, match=r"file\.json, message 2") as caught:
        split(WRAPPED + b"\n" + line)
    assert said in str(caught.value)
