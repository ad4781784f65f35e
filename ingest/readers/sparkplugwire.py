"""The payload of Sparkplug B as protobuf or JSON, turned into plain values.

The message is that of Sparkplug 3.0 section 6.4.1, of which the fields that carry a
measurement are described here, the others are skipped as protobuf skips what it does not know:

    Payload { 1 timestamp ms · 2 Metric, repeated · 3 seq }
    Metric  { 1 name · 2 alias · 3 timestamp ms · 4 datatype · 5 is_historical · 7 is_null,
              one of 10 int_value · 11 long_value · 12 float_value · 13 double_value ·
              14 boolean_value · 15 string_value }

Negative numbers travel as their two's complement in `int_value` and `long_value`; the type
says how many bits it has. Refused: bytes that are no protobuf, more than `METRICS_MAX`
metrics, JSON of another shape.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from ingest.readers.fields import count_of, kind_of, parse_object
from ledger.errors import ParseError

METRICS_MAX = 10_000
BOOLEAN = 11

_PACKAGE = "tagtrail.sparkplug"
_FIELD = descriptor_pb2.FieldDescriptorProto
_PAYLOAD_FIELDS = (("timestamp", 1, _FIELD.TYPE_UINT64), ("seq", 3, _FIELD.TYPE_UINT64))
_METRIC_FIELDS = (
    ("name", 1, _FIELD.TYPE_STRING),
    ("alias", 2, _FIELD.TYPE_UINT64),
    ("timestamp", 3, _FIELD.TYPE_UINT64),
    ("datatype", 4, _FIELD.TYPE_UINT32),
    ("is_historical", 5, _FIELD.TYPE_BOOL),
    ("is_null", 7, _FIELD.TYPE_BOOL),
)
_VALUE_FIELDS = (
    ("int_value", 10, _FIELD.TYPE_UINT32),
    ("long_value", 11, _FIELD.TYPE_UINT64),
    ("float_value", 12, _FIELD.TYPE_FLOAT),
    ("double_value", 13, _FIELD.TYPE_DOUBLE),
    ("boolean_value", 14, _FIELD.TYPE_BOOL),
    ("string_value", 15, _FIELD.TYPE_STRING),
)
# The types of whole numbers with a sign, by how many bits they have.
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_DATETIME = 13

Value = int | float | str | bool | None

_JSON_NAMES = (
    "Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float Double Boolean String DateTime"
)
_JSON_TYPES = {name: number for number, name in enumerate(_JSON_NAMES.split(), start=1)}


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a payload; None is a null, or a value that is no plain one."""

    name: str | None
    alias: int | None
    time_ms: int | None
    datatype: int | None
    value: Value


@dataclass(frozen=True, slots=True)
class Payload:
    """One message: when it was sent, what it says, its number in the session."""

    time_ms: int | None
    metrics: tuple[Metric, ...]
    seq: int | None


def _describe() -> Any:  # a class made at import has no type of its own
    """Return the protobuf class of a payload, from the table of fields above."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tagtrail/sparkplug.proto", package=_PACKAGE, syntax="proto2"
    )
    metric, payload = file.message_type.add(), file.message_type.add()
    metric.name, payload.name = "Metric", "Payload"
    metric.oneof_decl.add().name = "value"
    one_of = {name for name, _, _ in _VALUE_FIELDS}
    for message, fields in (
        (metric, (*_METRIC_FIELDS, *_VALUE_FIELDS)),
        (payload, _PAYLOAD_FIELDS),
    ):
        for name, number, kind in fields:
            field = message.field.add(
                name=name, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL
            )
            if name in one_of:
                field.oneof_index = 0
    payload.field.add(
        name="metrics",
        number=2,
        type=_FIELD.TYPE_MESSAGE,
        label=_FIELD.LABEL_REPEATED,
        type_name=f".{_PACKAGE}.Metric",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


_PAYLOAD = _describe()


def parse_payload(data: bytes) -> Payload:
    """Return the payload that `data` encodes as protobuf, or raise `ParseError`."""
    message = _PAYLOAD()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise ParseError("", f"{len(data)} bytes that are no Sparkplug B payload") from None
    _check_count(len(message.metrics))
    return Payload(
        time_ms=message.timestamp if message.HasField("timestamp") else None,
        metrics=tuple(_metric(one) for one in message.metrics),
        seq=message.seq if message.HasField("seq") else None,
    )


def encode_payload(payload: Payload) -> bytes:
    """Return the protobuf of a payload whose values are true or false."""
    message = _PAYLOAD()
    if payload.time_ms is not None:
        message.timestamp = payload.time_ms
    for one in payload.metrics:
        metric = message.metrics.add(name=one.name, datatype=one.datatype)
        metric.boolean_value = bool(one.value)
    data: bytes = message.SerializeToString()
    return data


def parse_json_payload(value: object) -> Payload:
    """Return the payload that a bridge wrote as JSON, or raise `ParseError`."""
    payload = parse_object(value, "payload")
    metrics = payload.get("metrics", [])
    if not isinstance(metrics, list):
        raise ParseError("payload.metrics", f"is {kind_of(metrics)}, want an array")
    _check_count(len(metrics))
    return Payload(
        time_ms=_whole(payload, "timestamp", "payload"),
        metrics=tuple(
            _json_metric(parse_object(one, f"payload.metrics[{n}]"), f"payload.metrics[{n}]")
            for n, one in enumerate(metrics)
        ),
        seq=_whole(payload, "seq", "payload"),
    )


def quantity(value: Value, datatype: int | None) -> float | None:
    """Return a metric's number with its sign, None where it is no quantity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or datatype == _DATETIME:
        return None
    bits = _SIGNED.get(datatype or 0)
    if bits is None or isinstance(value, float) or value < 0:
        return float(value)
    value &= (1 << bits) - 1
    return float(value - (1 << bits) if value >> (bits - 1) else value)


def _metric(one: Any) -> Metric:  # a class made at import has no type of its own
    kind = one.WhichOneof("value")
    return Metric(
        name=one.name if one.HasField("name") else None,
        alias=one.alias if one.HasField("alias") else None,
        time_ms=one.timestamp if one.HasField("timestamp") else None,
        datatype=one.datatype if one.HasField("datatype") else None,
        value=None if kind is None or one.is_null else getattr(one, kind),
    )


def _json_metric(one: Mapping[str, object], where: str) -> Metric:
    name, kind, value = one.get("name"), one.get("dataType", one.get("type")), one.get("value")
    if name is not None and not isinstance(name, str):
        raise ParseError(f"{where}.name", f"is {kind_of(name)}, want a text")
    plain = value if isinstance(value, str | int | float | bool) else None
    return Metric(
        name=name,
        alias=_whole(one, "alias", where),
        time_ms=_whole(one, "timestamp", where),
        datatype=_JSON_TYPES.get(kind) if isinstance(kind, str) else None,
        value=plain,
    )


def _whole(obj: Mapping[str, object], name: str, where: str) -> int | None:
    value = obj.get(name)
    if value is None:
        return None
    count = count_of(value)
    if count is None:
        raise ParseError(f"{where}.{name}", f"{value!r:.40} is no whole number from 0 on")
    return count


def _check_count(count: int) -> None:
    if count > METRICS_MAX:
        raise ParseError("metrics", f"are {count}, at most {METRICS_MAX} are read")
