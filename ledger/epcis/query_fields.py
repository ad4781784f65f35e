"""The extension fields of an event, and how a query compares their values.

A field of somebody's own is `prefix:name`, with the prefix in the event's `@context`, or a
name without one. Its value is a scalar, a list of them, a JSON-LD `@value`, or, of an XML
element with attributes, `#text`. Text that is a number or a time on both sides is compared
as such; all other text by its characters.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TypeAlias

from ledger.epcis.parts import PART_OF_FIELD
from ledger.epcis.query import FieldName, Op, Scope
from ledger.epcis.times import parse_time_us
from ledger.epcis.values import Event
from ledger.errors import ParseError

_EVIDENCE = "tagtrail:evidence"  # what the event was made of; the ledger's own, never shown
_Object: TypeAlias = Mapping[str, object]
_Comparable: TypeAlias = tuple[str, str | Decimal | int]
_NUMBER = re.compile(r"[+-]?(\d{1,60}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,3})?", re.ASCII)
_TIME_LOOK = re.compile(r"\d{4}-\d\d-\d\dT", re.ASCII)
_SENSOR_FIELDS = frozenset(
    {
        *("sensorMetadata", "sensorReport", "time", "startTime", "endTime", "deviceID"),
        *("deviceMetadata", "rawData", "dataProcessingMethod", "bizRules", "type", "exception"),
        *("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue", "uom"),
        *("component", "stringValue", "booleanValue", "hexBinaryValue", "uriValue"),
        *("microorganism", "chemicalSubstance", "coordinateReferenceSystem"),
    }
)
STANDARD_IN: Mapping[Scope, frozenset[str]] = {
    "event": frozenset(PART_OF_FIELD) | {"recordTime"},
    "error": frozenset({"declarationTime", "reason", "correctiveEventIDs"}),
    "sensor_element": _SENSOR_FIELDS,
    "sensor_metadata": _SENSOR_FIELDS,
    "sensor_report": _SENSOR_FIELDS,
    "read_point": frozenset({"id"}),
    "biz_location": frozenset({"id"}),
    "ilmd": frozenset(),
}
_COMPARE: Mapping[Op, Callable[[object, object], bool]] = {
    "EQ": lambda a, b: a == b,
    "GT": lambda a, b: a > b,  # type: ignore[operator]
    "GE": lambda a, b: a >= b,  # type: ignore[operator]
    "LT": lambda a, b: a < b,  # type: ignore[operator]
    "LE": lambda a, b: a <= b,  # type: ignore[operator]
}


def holds(op: Op, left: object, right: object) -> bool:
    """Say whether `left` compares so with `right`, both numbers or both texts."""
    return _COMPARE[op](left, right)


def compare_scalars(op: Op, found: object, asked: str) -> bool:
    """Say whether a value of an event compares so with what a query writes."""
    left, right = comparable(found), comparable(asked)
    if left is None or right is None:
        return False
    if left[0] == right[0]:
        return holds(op, left[1], right[1])
    # A text that looks like a number or a time is still a text beside one that does not.
    return holds(op, _text(found), asked) if isinstance(found, str) else False


def comparable(value: object) -> _Comparable | None:
    """Return kind and value of a scalar, None for what is none."""
    if isinstance(value, str):
        return _comparable_text(value)
    if isinstance(value, bool):
        return "text", "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return "number", Decimal(repr(value) if isinstance(value, float) else value)
    return None


def _comparable_text(text: str) -> _Comparable:
    if _NUMBER.fullmatch(text):
        return "number", Decimal(text)
    if _TIME_LOOK.match(text):
        with suppress(ParseError):
            return "time", parse_time_us(text)
    return "text", text


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


# --- Finding fields -----------------------------------------------------------------


def values_of(event: Event, scope: Scope, name: FieldName, *, inner: bool) -> Iterator[object]:
    """Yield every value that `event` gives the field `name` in `scope`, lists one by one."""
    prefixes = prefixes_of(event)
    for spelled, value in fields_in(event, scope, inner=inner):
        if name.names(spelled, expand(spelled, prefixes)):
            yield from each_of(value)


def prefixes_of(event: Event) -> Mapping[str, str]:
    """Return the prefixes that the contexts of `event` define."""
    context = event.raw.get("@context")
    found: dict[str, str] = {}
    for one in context if isinstance(context, list) else [context]:
        if isinstance(one, Mapping):
            found.update((k, v) for k, v in one.items() if isinstance(v, str))
    return found


def expand(spelled: str, prefixes: Mapping[str, str]) -> str | None:
    """Return the URI of a field, or None where nothing says what its prefix means."""
    prefix, mark, local = spelled.partition(":")
    if mark and local.startswith("//"):
        return spelled
    return prefixes[prefix] + local if mark and prefix in prefixes else None


def fields_in(event: Event, scope: Scope, *, inner: bool) -> Iterator[tuple[str, object]]:
    """Yield name and value of every field in `scope` that is not the standard's."""
    standard = STANDARD_IN[scope]
    for item in _objects(event, scope):
        for field, value in item.items():
            if field in standard or field.startswith("@") or field == _EVIDENCE:
                continue
            if inner:
                yield from _nested(value)
            else:
                yield field, value


def _nested(value: object) -> Iterator[tuple[str, object]]:
    """Yield every field at any depth below `value`."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, Mapping):
            for field, below in one.items():
                if not field.startswith(("@", "#")):
                    yield field, below
                todo.append(below)
        elif isinstance(one, list):
            todo.extend(one)


def each_of(value: object) -> Iterator[object]:
    """Yield the scalars that a field's value is, and an object as such."""
    if isinstance(value, list):
        for one in value:
            yield from each_of(one)
    elif isinstance(value, Mapping) and ("@value" in value or "#text" in value):
        yield value.get("@value", value.get("#text"))
    else:
        yield value


def _objects(event: Event, scope: Scope) -> Iterator[_Object]:
    match scope:
        case "event":
            yield event.raw
        case "ilmd":
            yield event.ilmd
        case "error":
            yield from _mapping(event.raw.get("errorDeclaration"))
        case "read_point":
            yield from _mapping(event.raw.get("readPoint"))
        case "biz_location":
            yield from _mapping(event.raw.get("bizLocation"))
        case "sensor_element":
            yield from (element.raw for element in event.sensors)
        case "sensor_metadata":
            for element in event.sensors:
                yield from _mapping(element.raw.get("sensorMetadata"))
        case "sensor_report":
            yield from (report.raw for one in event.sensors for report in one.reports)


def _mapping(value: object) -> Iterator[_Object]:
    if isinstance(value, Mapping):
        yield value
