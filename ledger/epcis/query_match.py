"""Which events a query means: the specification of every parameter, as code.

An index may find candidates in any way; what it answers is what `matches` says, and
subscriptions ask nothing else. Each branch follows EPCIS 2.0 section 8.2.7.1. Where that
leaves a choice:

* conditions are independent: EQ_type and GE_value_CEL may be met by two sensor reports;
* a number with a unit is compared with all units of the same kind, converted exactly;
  without one in the parameter as it is written; a quantity without a unit counts pieces;
* what is withheld is not there: no condition holds for it.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from ledger.epcis.query import (
    NO_MASTER_RECORDS,
    Amount,
    Condition,
    EqualAttribute,
    Exists,
    Field,
    FieldName,
    HasAttribute,
    Instant,
    Listed,
    MasterRecords,
    MatchEpc,
    OneOf,
    Op,
    Query,
    SensorFlag,
    SensorText,
    Within,
)
from ledger.epcis.query_fields import compare_scalars, holds, values_of
from ledger.epcis.query_names import STANDARD_FIELDS
from ledger.epcis.values import Event, Report, SensorElement
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key, matches_pattern
from ledger.gs1.units import convert, convert_difference

_REPORT_NUMBERS = {
    "value": "value",
    "minValue": "min",
    "maxValue": "max",
    "meanValue": "mean",
}
_SHARED = ("deviceMetadata", "rawData", "dataProcessingMethod", "bizRules")
_PIECES = "C62"
_CLASS_ROLES = {
    "epcClass": ("quantity", "child"),
    "inputEPCClass": ("input",),
    "outputEPCClass": ("output",),
    "anyEPCClass": ("quantity", "child", "input", "output"),
}


def matches(
    query: Query, event: Event, record_time_us: int, master: MasterRecords = NO_MASTER_RECORDS
) -> bool:
    """Say whether every condition of `query` holds for `event`, recorded at that time."""
    return all(condition_holds(one, event, record_time_us, master) for one in query.conditions)


def condition_holds(
    condition: Condition, event: Event, record_time_us: int, master: MasterRecords
) -> bool:
    """Say whether one condition holds for `event`."""
    match condition:
        case OneOf(field, values):
            return any(one in values for one in _texts_of(event, field))
        case Within(field, values):
            place = event.read_point if field == "readPoint" else event.biz_location
            return place is not None and place in master.with_descendants(values)
        case MatchEpc(field, patterns):
            return _matches_any(patterns, _identities(event, field))
        case Listed():
            return any(
                kind == condition.type and key in condition.values
                for kind, key in _listed(event, condition.field)
            )
        case Instant(field, op, us):
            instants = _instants(event, field, record_time_us)
            return any(holds(op, found, us) for found in instants)
        case _:
            return _content_holds(condition, event, master)


def _content_holds(condition: Condition, event: Event, master: MasterRecords) -> bool:
    match condition:
        case Amount():
            return any(_amount_holds(condition, *one) for one in _amounts(event, condition))
        case SensorText(attribute, values):
            return any(one in values for one in _sensor_texts(event, attribute))
        case SensorFlag(value):
            return any(report.boolean_value is value for report in _reports(event))
        case _:
            return _foreign_holds(condition, event, master)


def _foreign_holds(condition: Condition, event: Event, master: MasterRecords) -> bool:
    match condition:
        case Field(scope, inner, name, op, values):
            found = list(values_of(event, scope, name, inner=inner))
            return any(compare_scalars(op, one, asked) for one in found for asked in values)
        case Exists(scope, inner, name):
            if scope == "event" and name.spelled in STANDARD_FIELDS:
                return name.spelled in event.raw
            return any(True for _ in values_of(event, scope, name, inner=inner))
        case HasAttribute(field, names):
            return any(
                name in master.attributes.get(key, {})
                for key in _vocabulary(event, field)
                for name in names
            )
        case EqualAttribute(field, name, values):
            return any(
                value in values
                for key in _vocabulary(event, field)
                for value in master.attributes.get(key, {}).get(name, ())
            )
        case _:  # Told apart in `condition_holds`.
            raise AssertionError(condition)


# --- Standard fields ----------------------------------------------------------------


def _texts_of(event: Event, field: str) -> Iterable[str]:
    """Return the canonical values of a standard field; none where it is not there."""
    error = event.error
    match field:
        case "persistentDisposition_set":
            return event.persistent_set
        case "persistentDisposition_unset":
            return event.persistent_unset
        case "correctiveEventID":
            return error.corrective_ids if error else ()
        case _:
            return _single_text(event, field)


def _single_text(event: Event, field: str) -> tuple[str, ...]:
    error = event.error
    found = {
        "type": event.type or None,
        "action": event.action,
        "bizStep": event.biz_step,
        "disposition": event.disposition,
        "readPoint": event.read_point,
        "bizLocation": event.biz_location,
        "transformationID": event.transformation_id,
        "eventID": event.event_id,
        "errorReason": error.reason if error else None,
    }[field]
    return () if found is None else (found,)


def _identities(event: Event, field: str) -> Iterator[str]:
    roles = _CLASS_ROLES.get(field)
    if roles is not None:
        yield from (one.epc_class for one in event.quantities if one.role in roles)
        return
    if field in ("epc", "anyEPC"):
        yield from event.epc_list
        yield from event.child_epcs
    if field in ("parentID", "anyEPC") and event.parent_id is not None:
        yield event.parent_id
    if field in ("inputEPC", "anyEPC"):
        yield from event.input_epcs
    if field in ("outputEPC", "anyEPC"):
        yield from event.output_epcs


def _matches_any(patterns: tuple[str, ...], keys: Iterator[str]) -> bool:
    exact = {canonical_key(one) for one in patterns}
    open_patterns = [one for one in patterns if "*" in one]
    return any(
        key in exact or any(matches_pattern(one, key) for one in open_patterns) for key in keys
    )


def _listed(event: Event, field: str) -> tuple[tuple[str, str], ...]:
    match field:
        case "bizTransaction":
            return event.biz_transactions
        case "source":
            return event.sources
        case _:
            return event.destinations


def _instants(event: Event, field: str, record_time_us: int) -> Iterator[int]:
    found: list[int | None] = []
    match field:
        case "eventTime":
            found = [event.event_time_us if event.is_timed else None]
        case "recordTime":
            found = [record_time_us]
        case "errorDeclarationTime":
            found = [event.error.declaration_time_us if event.error else None]
        case "startTime":
            found = [element.start_us for element in event.sensors]
        case "endTime":
            found = [element.end_us for element in event.sensors]
        case _:
            found = [element.time_us for element in event.sensors]
            found += [report.time_us for report in _reports(event)]
    return (one for one in found if one is not None)


# --- Amounts and sensors ------------------------------------------------------------


def _amounts(event: Event, asked: Amount) -> Iterator[tuple[Decimal, str | None]]:
    """Yield every number of the kind asked for, with the unit that it is in."""
    if asked.field == "quantity":
        for one in event.quantities:
            if one.quantity is not None:
                yield one.quantity, one.uom or _PIECES
        return
    for report in _reports(event):
        number = _report_number(report, asked.field)
        if number is not None:
            yield number, report.uom


def _report_number(report: Report, field: str) -> Decimal | None:
    attribute = _REPORT_NUMBERS.get(field)
    if attribute is not None:
        found = getattr(report, attribute)
        assert found is None or isinstance(found, Decimal)
        return found
    value = report.raw.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return Decimal(repr(value) if isinstance(value, float) else value)


def _amount_holds(asked: Amount, number: Decimal, uom: str | None) -> bool:
    if asked.uom is not None:
        converted = _in_unit(number, uom, asked)
        if converted is None:
            return False
        number = converted
    return any(_decimal_holds(asked.op, number, value) for value in asked.values)


def _decimal_holds(op: Op, number: Decimal, value: Decimal) -> bool:
    return number.is_finite() and holds(op, number, value)


def _in_unit(number: Decimal, uom: str | None, asked: Amount) -> Decimal | None:
    """Return `number` in the unit asked for; None where it cannot be said in that."""
    assert asked.uom is not None
    if uom == asked.uom:
        return number
    if uom is None:
        return None
    change = convert_difference if asked.field == "sDev" else convert
    try:
        return change(number, uom, asked.uom)
    except ParseError:
        return None


def _reports(event: Event) -> Iterator[Report]:
    return (report for element in event.sensors for report in element.reports)


def _sensor_texts(event: Event, attribute: str) -> Iterator[str]:
    for element in event.sensors:
        if attribute == "deviceID":
            devices = (element.device_id, *(report.device_id for report in element.reports))
            yield from (one for one in devices if one is not None)
        else:
            yield from _attribute_texts(element, attribute)


def _attribute_texts(element: SensorElement, attribute: str) -> Iterator[str]:
    metadata = element.raw.get("sensorMetadata")
    if attribute in _SHARED and isinstance(metadata, dict):
        shared = metadata.get(attribute)
        if isinstance(shared, str):
            yield canonical_key(shared)
    for report in element.reports:
        found = _report_text(report, attribute)
        if found is not None:
            yield found


def _report_text(report: Report, attribute: str) -> str | None:
    known = {
        "type": report.type,
        "exception": report.exception,
        "component": report.component,
        "stringValue": report.string_value,
        "uriValue": report.uri_value,
        "hexBinaryValue": (report.hex_binary_value or "").upper() or None,
    }
    if attribute in known:
        return known[attribute]
    value = report.raw.get(attribute)
    return canonical_key(value) if isinstance(value, str) else None


# --- Master data --------------------------------------------------------------------

_KEYS_OF = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_CLASSES_OF = {
    "quantityList": "quantity",
    "childQuantityList": "child",
    "inputQuantityList": "input",
    "outputQuantityList": "output",
}


def _vocabulary(event: Event, field: FieldName) -> Iterator[str]:
    """Yield the keys of the vocabulary elements that a field names."""
    named = field.spelled
    one = {
        "readPoint": event.read_point,
        "bizLocation": event.biz_location,
        "bizStep": event.biz_step,
        "disposition": event.disposition,
        "parentID": event.parent_id,
    }.get(named)
    if one is not None:
        yield one
    elif named in _KEYS_OF:
        listed = event.raw.get(named)
        texts = listed if isinstance(listed, list) else []
        yield from (canonical_key(text) for text in texts if isinstance(text, str))
    elif named in _CLASSES_OF:
        role = _CLASSES_OF[named]
        yield from (q.epc_class for q in event.quantities if q.role == role)
    elif named.removesuffix("List") in ("bizTransaction", "source", "destination"):
        yield from (key for _, key in _listed(event, named.removesuffix("List")))
    elif named not in STANDARD_FIELDS:
        values = values_of(event, "event", field, inner=False)
        yield from (canonical_key(value) for value in values if isinstance(value, str))
