"""The names of query parameters: which condition each one states.

    EQ_bizStep                     a standard field
    GE_value_CEL                   a sensor value in degrees Celsius
    EQ_bizTransaction_po           a purchase order
    EQ_INNER_ILMD_example:lot      an extension field at any depth of the ilmd
    EXISTS_sensorElementList       a field that is there

Every value becomes canonical here, as the event's own values are: identities are keys, CBV
words are bare, times are instants, numbers are decimals.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from ledger.epcis.parts import PART_OF_FIELD
from ledger.epcis.query import (
    Amount,
    Condition,
    EqualAttribute,
    Exists,
    Field,
    FieldName,
    HasAttribute,
    Instant,
    Listed,
    MatchEpc,
    OneOf,
    Op,
    Scope,
    SensorFlag,
    SensorText,
    Within,
)
from ledger.epcis.rules import ACTIONS, EVENT_TYPES
from ledger.epcis.times import parse_time_us
from ledger.errors import ParseError
from ledger.gs1 import cbv
from ledger.gs1.epc import canonical_key, matches_pattern

_Value = str | Decimal | bool
_Values = Sequence[_Value]
_Canon = Callable[[str], str]


def _same(text: str) -> str:
    return text


def _hex(text: str) -> str:
    return text.upper()


ONE_OF: Mapping[str, _Canon] = {
    "action": _same,
    "bizStep": cbv.canonical_biz_step,
    "disposition": cbv.canonical_disposition,
    "persistentDisposition_set": cbv.canonical_disposition,
    "persistentDisposition_unset": cbv.canonical_disposition,
    "readPoint": canonical_key,
    "bizLocation": canonical_key,
    "transformationID": canonical_key,
    "eventID": _same,
    "errorReason": cbv.canonical_error_reason,
    "correctiveEventID": _same,
}
"""The standard fields that `EQ_` compares, with the canonical form of their values."""

MATCHES = (
    *("epc", "parentID", "inputEPC", "outputEPC", "anyEPC"),
    *("epcClass", "inputEPCClass", "outputEPCClass", "anyEPCClass"),
)
TIMES = ("eventTime", "recordTime", "errorDeclarationTime", "time", "startTime", "endTime")
AMOUNTS = (
    *("quantity", "value", "minValue", "maxValue", "meanValue", "sDev"),
    *("percRank", "percValue"),
)
SENSOR_TEXTS: Mapping[str, _Canon] = {
    "type": cbv.canonical_measurement,
    "exception": cbv.canonical_measurement,
    "component": cbv.canonical_component,
    "deviceID": canonical_key,
    "deviceMetadata": canonical_key,
    "rawData": canonical_key,
    "dataProcessingMethod": canonical_key,
    "bizRules": canonical_key,
    "microorganism": canonical_key,
    "chemicalSubstance": canonical_key,
    "coordinateReferenceSystem": canonical_key,
    "stringValue": _same,
    "hexBinaryValue": _hex,
    "uriValue": _same,
}
"""The attributes of sensor reports and their metadata that are compared as text."""

STANDARD_FIELDS = frozenset(PART_OF_FIELD) - {"@context", "type", "eventTime"}
"""The fields of an event that `EXISTS_` may name."""

OPS: tuple[Op, ...] = ("EQ", "GT", "GE", "LT", "LE")
_TIME_OPS: tuple[Op, ...] = ("GE", "LT")
_SCOPES: tuple[tuple[str, Scope], ...] = (
    ("ILMD_", "ilmd"),
    ("ERROR_DECLARATION_", "error"),
    ("SENSORELEMENT_", "sensor_element"),
    ("SENSORMETADATA_", "sensor_metadata"),
    ("SENSORREPORT_", "sensor_report"),
    ("readPoint_", "read_point"),
    ("bizLocation_", "biz_location"),
)
_LISTED = ("bizTransaction", "source", "destination")
_UOM = re.compile(r"[A-Z0-9]{2,4}")
_NAME_CHARS_MAX = 400
_CURIE = re.compile(r"[^\s:/?#\[\]@!$&'()*+,;=]+:[^\s]+")


def parse_condition(name: str, values: _Values, prefixes: Mapping[str, str]) -> Condition:
    """Return the condition that parameter `name` states. Raises `ParseError` at `name`."""
    if len(name) > _NAME_CHARS_MAX:
        raise ParseError(name[:60], f"has over {_NAME_CHARS_MAX} characters")
    if name == "eventType":
        return OneOf("type", frozenset(_one(name, one, EVENT_TYPES) for one in values))
    head, mark, rest = name.partition("_")
    if head == "MATCH" and rest in MATCHES:
        return MatchEpc(rest, tuple(_pattern(name, one) for one in values))
    if mark and rest:
        found = _compare_or_none(name, head, rest, values, prefixes)
        if found is not None:
            return found
    raise _unknown(name)


def _compare_or_none(
    name: str, head: str, rest: str, values: _Values, prefixes: Mapping[str, str]
) -> Condition | None:
    match head:
        case "EQ" | "GT" | "GE" | "LT" | "LE":
            return _compare(name, head, rest, values, prefixes)
        case "WD":
            return _within(name, rest, values)
        case "EXISTS":
            return _exists(name, rest, prefixes)
        case "HASATTR":
            field = _attribute_field(name, rest, prefixes)
            return HasAttribute(field, tuple(_text(name, one) for one in values))
        case "EQATTR":
            return _equal_attribute(name, rest, values, prefixes)
        case _:
            return None


def _within(name: str, rest: str, values: _Values) -> Within | None:
    keys = frozenset(canonical_key(_text(name, one)) for one in values)
    match rest:
        case "readPoint" | "bizLocation":
            return Within(rest, keys)
        case _:
            return None


def parse_field_name(text: str, prefixes: Mapping[str, str], where: str) -> FieldName:
    """Return an extension field's name, its prefix expanded where that is known."""
    if "://" in text or text.startswith("urn:"):
        return FieldName(text, text)
    if _CURIE.fullmatch(text) is None:
        raise ParseError(where, f"{text[:60]!r} is no field: write prefix:name or a URI")
    prefix, _, local = text.partition(":")
    return FieldName(text, prefixes[prefix] + local if prefix in prefixes else None)


def _compare(
    name: str, op: Op, rest: str, values: _Values, prefixes: Mapping[str, str]
) -> Condition:
    if op == "EQ" and rest.startswith("ATTR_"):
        return _equal_attribute(name, rest.removeprefix("ATTR_"), values, prefixes)
    if op == "EQ":
        found = _equal(name, rest, values)
        if found is not None:
            return found
    if op in _TIME_OPS:
        time = "errorDeclarationTime" if rest == "errorDeclaration_Time" else rest
        if time in TIMES:
            return Instant(time, op, parse_time_us(_text(name, _single(name, values)), name))
    amount, _, uom = rest.partition("_")
    if amount in AMOUNTS and (not uom or _UOM.fullmatch(uom)):
        numbers = values if op == "EQ" else (_single(name, values),)
        return Amount(amount, op, tuple(_number(name, n) for n in numbers), uom or None)
    scope, inner, field = _scoped(rest)
    if ":" not in field:
        raise _unknown(name)
    texts = tuple(_written(one) for one in values)
    if op != "EQ" and len(texts) != 1:
        raise ParseError(name, "compares with one value")
    return Field(scope, inner, parse_field_name(field, prefixes, name), op, texts)


def _equal(name: str, rest: str, values: _Values) -> Condition | None:
    """Return the condition of an EQ_ parameter over text, or None where it is another one."""
    if rest == "action":
        return OneOf(rest, frozenset(_one(name, v, ACTIONS, closed=True) for v in values))
    if rest in ONE_OF:
        canon = ONE_OF[rest]
        return OneOf(rest, frozenset(canon(_text(name, one)) for one in values))
    if rest in SENSOR_TEXTS:
        canon = SENSOR_TEXTS[rest]
        return SensorText(rest, frozenset(canon(_text(name, one)) for one in values))
    if rest == "booleanValue":
        return SensorFlag(_boolean(name, _single(name, values)))
    for field in _LISTED:
        if rest.startswith(f"{field}_"):
            return _listed(name, field, rest.removeprefix(f"{field}_"), values)
    return None


def _listed(name: str, field: str, kind: str, values: _Values) -> Listed:
    keys = frozenset(canonical_key(_text(name, one)) for one in values)
    if not kind:
        raise _unknown(name)
    match field:
        case "bizTransaction":
            return Listed(field, cbv.canonical_biz_transaction_type(kind), keys)
        case "source":
            return Listed(field, cbv.canonical_source_dest_type(kind), keys)
        case _:
            return Listed("destination", cbv.canonical_source_dest_type(kind), keys)


def _exists(name: str, rest: str, prefixes: Mapping[str, str]) -> Exists:
    if rest in STANDARD_FIELDS:
        return Exists("event", inner=False, name=FieldName(rest))
    scope, inner, field = _scoped(rest)
    if ":" not in field:
        raise _unknown(name)
    return Exists(scope, inner, parse_field_name(field, prefixes, name))


def _scoped(rest: str) -> tuple[Scope, bool, str]:
    """Return where a field lies, whether at any depth, and its name."""
    field = rest.removeprefix("INNER_")
    inner = field != rest
    for start, scope in _SCOPES:
        if field.startswith(start):
            return scope, inner, field.removeprefix(start)
    return "event", inner, field


def _attribute_field(name: str, field: str, prefixes: Mapping[str, str]) -> FieldName:
    if field in STANDARD_FIELDS:
        return FieldName(field)
    if ":" not in field:
        raise _unknown(name)
    return parse_field_name(field, prefixes, name)


def _equal_attribute(
    name: str, rest: str, values: _Values, prefixes: Mapping[str, str]
) -> EqualAttribute:
    """Read `EQATTR_field_attribute`; an attribute's name may hold underscores, a field none."""
    field, mark, attribute = rest.partition("_")
    if not mark or not attribute:
        raise _unknown(name)
    texts = tuple(_written(one) for one in values)
    return EqualAttribute(_attribute_field(name, field, prefixes), attribute, texts)


# --- Values -------------------------------------------------------------------------


def _single(name: str, values: _Values) -> _Value:
    if len(values) != 1:
        raise ParseError(name, f"has {len(values)} values; it takes one")
    return values[0]


def _text(name: str, value: _Value) -> str:
    if not isinstance(value, str):
        raise ParseError(name, f"is {str(value)[:40]}; write a text")
    return value


def _written(value: _Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else format(value, "f")


def _number(name: str, value: _Value) -> Decimal:
    try:
        number = Decimal(value) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _EXPONENT_MAX:
        raise ParseError(name, f"{str(value)[:40]!r} is no number")
    return number


_EXPONENT_MAX = 300


def _boolean(name: str, value: _Value) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ParseError(name, f"is {str(value)[:40]!r}; write true or false")
    return text == "true"


def _one(name: str, value: _Value, known: Sequence[str], *, closed: bool = False) -> str:
    """Return one of `known` words, or, unless the list is closed, a URI of somebody's own."""
    text = _text(name, value)
    if text in known or (not closed and ":" in text):
        return text
    raise ParseError(name, f"{text[:60]!r} is not one of {', '.join(known)}")


def _pattern(name: str, value: _Value) -> str:
    """Return a pattern that `matches_pattern` takes."""
    text = _text(name, value)
    try:
        matches_pattern(text, "")
    except ParseError as error:
        raise ParseError(name, str(error)) from error
    return text


def _unknown(name: str) -> ParseError:
    return ParseError(name[:100], "is no parameter of an event query")
