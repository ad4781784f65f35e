"""One EPCIS 2.0 event from its JSON object, in whatever spelling it came.

    {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "shipping",
     "eventTime": "2024-05-31T07:05:00Z", "eventTimeZoneOffset": "+02:00",
     "epcList": ["urn:epc:id:sgtin:9506000.013435.123"],
     "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.0"}}

Identities become keys (`ledger.gs1`), CBV words become bare, times become instants; the
object itself stays in `raw`. Refused with a JSON pointer and a mend: another type than the
five, unless it is a URI of an extension; a missing time, offset, action or parent; a field
that the type does not have; an event about nothing; a value of the wrong JSON type.

Of an event with withheld parts (`partial`) a required field may be missing, no more.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Iterator, Mapping

from ledger.epcis.parts import PART_FIELDS, PART_OF_FIELD, check_part, join_parts, split_event
from ledger.epcis.rules import verify_structure
from ledger.epcis.sensor import parse_sensor_elements
from ledger.epcis.shape import (
    fault,
    read_key,
    read_keys,
    read_number,
    read_object,
    read_objects,
    read_text,
    read_texts,
    read_time,
    want_text,
)
from ledger.epcis.times import format_time, parse_offset, parse_time_us
from ledger.epcis.values import (
    ErrorDeclaration,
    Event,
    Quantity,
    QuantityRole,
    Report,
    SensorElement,
)
from ledger.errors import ParseError
from ledger.gs1.cbv import (
    canonical_biz_step,
    canonical_biz_transaction_type,
    canonical_disposition,
    canonical_error_reason,
    canonical_source_dest_type,
)
from ledger.gs1.epc import canonical_key

__all__ = [
    "EVIDENCE_FIELD",
    "PART_FIELDS",
    "REQUIRED_FIELDS",
    "ErrorDeclaration",
    "Event",
    "Quantity",
    "Report",
    "SensorElement",
    "check_part",
    "format_time",
    "join_parts",
    "parse_event",
    "parse_time_us",
    "read_event",
    "split_event",
]

EVIDENCE_FIELD = "tagtrail:evidence"
"""The field in which an event cites the messages or the document that it was made of."""

REQUIRED_FIELDS = ("type", "eventTime", "eventTimeZoneOffset")
"""What every event has, whatever its type."""

_NOTHING: Mapping[str, object] = {}
_QUANTITY_LISTS: tuple[tuple[str, QuantityRole], ...] = (
    ("quantityList", "quantity"),
    ("childQuantityList", "child"),
    ("inputQuantityList", "input"),
    ("outputQuantityList", "output"),
)


def parse_event(obj: Mapping[str, object], *, partial: bool = False) -> Event:
    """Return the event that a JSON object says.

    `partial` admits that required fields are missing, as they are in withheld parts. Raises
    `ParseError`, whose `where` is a JSON pointer and whose `why` says how to mend it.
    """
    event = read_event(obj, partial=partial)
    verify_structure(event, partial=partial)
    return event


def read_event(obj: Mapping[str, object], *, partial: bool = False) -> Event:
    """Return the event that a JSON object says, which may break rules of its type.

    Raises `ParseError` as `parse_event` does, for values that are none of their field.
    """
    if not isinstance(obj, Mapping):
        raise ParseError("event", "is no JSON object; write {…}")
    event_time = _required(obj, "eventTime", partial=partial)
    offset = _required(obj, "eventTimeZoneOffset", partial=partial)
    if offset:
        parse_offset(offset, "/eventTimeZoneOffset")
    persistent = read_object(obj, "persistentDisposition") or _NOTHING
    return Event(
        type=_required(obj, "type", partial=partial),
        action=read_text(obj, "action"),
        event_id=read_text(obj, "eventID"),
        event_time_us=parse_time_us(event_time, "/eventTime") if event_time else 0,
        event_time=event_time,
        offset=offset,
        epc_list=read_keys(obj, "epcList"),
        parent_id=read_key(obj, "parentID"),
        child_epcs=read_keys(obj, "childEPCs"),
        input_epcs=read_keys(obj, "inputEPCList"),
        output_epcs=read_keys(obj, "outputEPCList"),
        quantities=tuple(_quantities(obj)),
        transformation_id=read_key(obj, "transformationID"),
        read_point=_place(obj, "readPoint"),
        biz_location=_place(obj, "bizLocation"),
        biz_step=_word(obj, "bizStep", canonical_biz_step),
        disposition=_word(obj, "disposition", canonical_disposition),
        persistent_set=_dispositions(persistent, "set"),
        persistent_unset=_dispositions(persistent, "unset"),
        sources=_pairs(obj, "sourceList", "source", canonical_source_dest_type),
        destinations=_pairs(obj, "destinationList", "destination", canonical_source_dest_type),
        biz_transactions=tuple(_biz_transactions(obj)),
        sensors=parse_sensor_elements(obj),
        error=_error(obj),
        ilmd=read_object(obj, "ilmd") or _NOTHING,
        certification=_certification(obj),
        extensions={
            f: v for f, v in obj.items() if f not in PART_OF_FIELD and f != "recordTime"
        },
        raw=obj,
    )


def _required(obj: Mapping[str, object], field: str, *, partial: bool) -> str:
    value = read_text(obj, field)
    if value is None and not partial:
        raise fault("", field, "is missing; every EPCIS event has one")
    return value or ""


def _word(obj: Mapping[str, object], field: str, canonical: Callable[[str], str]) -> str | None:
    value = read_text(obj, field)
    return None if value is None else canonical(value)


def _place(obj: Mapping[str, object], field: str) -> str | None:
    place = read_object(obj, field)
    return None if place is None else canonical_key(want_text(place, "id", f"/{field}"))


def _dispositions(persistent: Mapping[str, object], field: str) -> tuple[str, ...]:
    if field not in persistent:
        return ()
    words = read_texts(persistent, field, "/persistentDisposition")
    return tuple(map(canonical_disposition, words))


def _quantities(obj: Mapping[str, object]) -> Iterator[Quantity]:
    for field, role in _QUANTITY_LISTS:
        if field not in obj:
            continue
        for base, item in read_objects(obj, field):
            quantity = read_number(item, "quantity", base)
            if quantity is not None and quantity < 0:
                raise fault(base, "quantity", f"is {quantity}; a quantity is never negative")
            yield Quantity(
                role=role,
                epc_class=canonical_key(want_text(item, "epcClass", base)),
                quantity=quantity,
                uom=read_text(item, "uom", base),
            )


def _pairs(
    obj: Mapping[str, object], field: str, of: str, canonical: Callable[[str], str]
) -> tuple[tuple[str, str], ...]:
    if field not in obj:
        return ()
    return tuple(
        (canonical(want_text(item, "type", base)), canonical_key(want_text(item, of, base)))
        for base, item in read_objects(obj, field)
    )


def _biz_transactions(obj: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for base, item in read_objects(obj, "bizTransactionList"):
        kind = read_text(item, "type", base) or ""
        identity = want_text(item, "bizTransaction", base)
        yield canonical_biz_transaction_type(kind), canonical_key(identity)


def _error(obj: Mapping[str, object]) -> ErrorDeclaration | None:
    item = read_object(obj, "errorDeclaration")
    if item is None:
        return None
    base = "/errorDeclaration"
    declared_us = read_time(item, "declarationTime", base)
    if declared_us is None:
        raise fault(base, "declarationTime", "is missing; say when the error was declared")
    return ErrorDeclaration(
        declaration_time_us=declared_us,
        reason=_reason(item, base),
        corrective_ids=read_texts(item, "correctiveEventIDs", base),
    )


def _reason(item: Mapping[str, object], base: str) -> str | None:
    value = read_text(item, "reason", base)
    return None if value is None else canonical_error_reason(value)


def _certification(obj: Mapping[str, object]) -> tuple[str, ...]:
    if isinstance(obj.get("certificationInfo"), list):
        return read_texts(obj, "certificationInfo")
    one = read_text(obj, "certificationInfo")
    return () if one is None else (one,)
