"""Sparkplug B: births, data and deaths of an edge node, as protobuf written by hand.

Sparkplug 3.0 sections 6.4 to 6.6. A node announces itself (NBIRTH, sequence number 0, with
its session number `bdSeq`), announces its device (DBIRTH, each metric with name and
alias), and then sends data (DDATA, alias only). The sequence number grows by one with each
message and wraps after 255. When it goes, the broker publishes its will (NDEATH), which
carries the same `bdSeq` and no sequence number.

    Payload  { 1: timestamp (ms)  2: Metric, repeated  3: seq }
    Metric   { 1: name  2: alias  3: timestamp (ms)  4: datatype  then one value:
               11: long_value (varint)  12: float_value  13: double_value  15: string_value }

Fields are written in the order of their numbers, as every protobuf library does.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import pack

NAMESPACE = "spBv1.0"
INT64, DOUBLE, STRING = 4, 10, 12
_VARINT, _EIGHT_BYTES, _LENGTH = 0, 1, 2
_MORE = 0x80
_SEQ_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One value; `name` is written in births only, `alias` wherever it is given."""

    time_ms: int
    value: float | int | str
    name: str | None = None
    alias: int | None = None


def encode_payload(time_ms: int, metrics: Iterable[Metric], seq: int | None) -> bytes:
    """Return a Sparkplug payload; `seq` counts the messages of a session, modulo 256."""
    body = _number(1, time_ms)
    body += b"".join(_bytes(2, _metric(one)) for one in metrics)
    return body if seq is None else body + _number(3, seq % _SEQ_MAX)


def births(
    time_ms: int, session: int, names: Sequence[str], first: Sequence[float]
) -> tuple[bytes, bytes]:
    """Return NBIRTH of a node in its `session` and DBIRTH of a device with these metrics."""
    node = [Metric(time_ms=time_ms, name="bdSeq", value=session)]
    device = [
        Metric(time_ms=time_ms, name=name, alias=alias, value=value)
        for alias, (name, value) in enumerate(zip(names, first, strict=True), start=1)
    ]
    return encode_payload(time_ms, node, 0), encode_payload(time_ms, device, 1)


def data(time_ms: int, values: Sequence[float], seq: int) -> bytes:
    """Return DDATA with the values of the device's metrics, in the order of its birth."""
    metrics = [
        Metric(time_ms=time_ms, alias=alias, value=value)
        for alias, value in enumerate(values, start=1)
    ]
    return encode_payload(time_ms, metrics, seq)


def death(time_ms: int, session: int) -> bytes:
    """Return NDEATH, the will that the broker publishes when the node is gone."""
    return encode_payload(time_ms, [Metric(time_ms=time_ms, name="bdSeq", value=session)], None)


def _metric(metric: Metric) -> bytes:
    body = b"" if metric.name is None else _bytes(1, metric.name.encode())
    if metric.alias is not None:
        body += _number(2, metric.alias)
    body += _number(3, metric.time_ms)
    match metric.value:
        case str():
            return body + _number(4, STRING) + _bytes(15, metric.value.encode())
        case int():
            return body + _number(4, INT64) + _number(11, metric.value)
        case _:
            return body + _number(4, DOUBLE) + _key(13, _EIGHT_BYTES) + pack("<d", metric.value)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _LENGTH) + _varint(len(value)) + value


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    """Return a whole number, not below zero, seven bits a byte, lowest first."""
    assert value >= 0
    written = bytearray()
    while value >= _MORE:
        written.append(value & (_MORE - 1) | _MORE)
        value >>= 7
    written.append(value)
    return bytes(written)
