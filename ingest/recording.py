r"""Recorded reader output: files of payloads, turned back into the messages they were.

A file is one of

* one JSON value: one message, whatever reader wrote it, an array of reads included
* an array of which each element has a topic: one message each
* lines of which at least one stands alone as JSON or starts with `data:`: one message each
* anything else (the text of a will, broken JSON): one message, as it is

With a topic around it, a message says where and when it was received:

    {"topic":"sites/dairy/dock/reader","time":"2026-01-05T06:00:00Z","payload":{"epc":"…"}}

`payload` is JSON, of which the very bytes are taken, or a text, which is taken as it is;
`payload_base64` holds other bytes. Without one, the topic is `replay/` and the file's name, and
the time of receipt is now; what says no time and was replayed before is a repeat.

Pure: no I/O, no clock, no randomness.
"""

import binascii
from dataclasses import dataclass

import msgspec

from ingest.readers.fields import parse_optional_instant
from ingest.reads import Arrival
from ingest.topics import check_topic
from ledger.epcis.times import format_time
from ledger.errors import ParseError

RECORDING_BYTES_MAX = 1024 * 1024 * 1024
TOPIC_START = "replay/"


# msgspec takes no `Raw | None`: a field that is absent is an empty Raw, which no JSON is.
_ABSENT = msgspec.Raw(b"")


class _Wrapped(msgspec.Struct, frozen=True):
    topic: str
    payload: msgspec.Raw = _ABSENT
    payload_base64: str | None = None
    time: msgspec.Raw = _ABSENT

    @property
    def is_whole(self) -> bool:
        return bytes(self.payload) != b"" or self.payload_base64 is not None


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    topic: str
    now_us: int


def parse_recording(name: str, data: bytes, now_us: int) -> list[Arrival]:
    """Return the messages in the file called `name`, in order.

    Raises `ParseError` only for a topic or a time around a message that cannot be one: the
    payloads themselves are the gateway's to judge.
    """
    if len(data) > RECORDING_BYTES_MAX:
        raise ParseError(name, f"is over {RECORDING_BYTES_MAX} bytes")
    plain = "".join("_" if one in "+#\0" else one for one in name)
    source = _Source(name, TOPIC_START + plain, now_us)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        return []
    if _is_json(data):
        elements = _wrapped_elements(data)
        if elements is not None:
            return [_unwrap(one, source, n) for n, one in enumerate(elements, start=1)]
        return [_parse_one(data.strip(), source, 1)]
    lines = [(n, line.strip()) for n, line in enumerate(data.split(b"\n"), start=1)]
    if any(_stands_alone(line) for _, line in lines):
        return [_parse_one(line, source, n) for n, line in lines if line]
    return [Arrival(source.topic, data, now_us, is_dup=True)]


def format_recorded(topic: str, payload: bytes, received_us: int) -> bytes:
    """Return the line that says where and when this message was received."""
    said: dict[str, object] = {"topic": topic, "time": format_time(received_us)}
    try:
        said["payload"] = _as_text(payload)
    except UnicodeDecodeError:
        said["payload_base64"] = binascii.b2a_base64(payload, newline=False).decode()
    return msgspec.json.encode(said) + b"\n"


def _as_text(payload: bytes) -> object:
    """Return the payload as a JSON value of which it is the very bytes, or as a text."""
    text = payload.decode()
    is_one_line = text.startswith(("{", "[")) and "\n" not in text and text == text.strip()
    return msgspec.Raw(payload) if is_one_line and _is_json(payload) else text


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return False
    return True


def _stands_alone(line: bytes) -> bool:
    return line.startswith(b"data:") or (line[:1] in (b"{", b"[") and _is_json(line))


def _wrapped_elements(data: bytes) -> list[_Wrapped] | None:
    """Return the elements of an array of messages with topics, None for anything else."""
    try:
        elements = msgspec.json.decode(data, type=list[_Wrapped])
    except (msgspec.ValidationError, RecursionError):
        return None
    whole = all(one.is_whole for one in elements)
    return elements if elements and whole else None


def _parse_one(data: bytes, source: _Source, number: int) -> Arrival:
    if data.startswith(b"{"):
        try:
            wrapped = msgspec.json.decode(data, type=_Wrapped)
        except (ValueError, RecursionError):
            return Arrival(source.topic, data, source.now_us, is_dup=True)
        if wrapped.is_whole:
            return _unwrap(wrapped, source, number)
    return Arrival(source.topic, data, source.now_us, is_dup=True)


def _unwrap(wrapped: _Wrapped, source: _Source, number: int) -> Arrival:
    where = f"{source.name}, message {number}"
    check_topic(wrapped.topic, f"{where}: topic")
    if wrapped.topic.startswith("$"):
        raise ParseError(f"{where}: topic", f"{wrapped.topic!r:.80} is the broker's own")
    at = None
    if bytes(wrapped.time):
        at = parse_optional_instant(msgspec.json.decode(wrapped.time), f"{where}: time")
    payload = _payload(wrapped, where)
    received_us = source.now_us if at is None else at
    return Arrival(wrapped.topic, payload, received_us, is_dup=at is None)


def _payload(wrapped: _Wrapped, where: str) -> bytes:
    if wrapped.payload_base64 is not None:
        try:
            return binascii.a2b_base64(wrapped.payload_base64, strict_mode=True)
        except ValueError as error:
            raise ParseError(f"{where}: payload_base64", f"is no base64: {error}") from None
    raw = bytes(wrapped.payload).strip()
    if raw.startswith(b'"'):
        text: str = msgspec.json.decode(raw)
        return text.encode()
    return raw
