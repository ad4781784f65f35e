"""Holds which fields the records inside of an event have, and what kind of value each takes.

    quantityList        epcClass · quantity · uom                    nothing else
    bizTransactionList  type · bizTransaction                        nothing else
    sensorReport        type · value · uom · rawData · …             and prefixed ones

EPCIS 2.0 sections 7.3.3.3 and 7.3.5 to 7.3.7 as one table. `parse_event` reads what the ledger
works with; this looks at the rest, so that what is captured is valid when it comes back. A
field of a sender's own has a prefix, or its name is a term of the event's `@context`.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ledger.epcis.rules import Fault
from ledger.epcis.shape import pointer
from ledger.epcis.values import Event
from ledger.gs1.units import UNITS

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x1f\x7f]+")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_UNIT = re.compile(r"[A-Z0-9]{2,3}")
_QUANTITY_LISTS = (
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputQuantityList",
)
_NUMBERS = ("sDev", "percRank", "percValue")
_SHARED_URIS = ("deviceMetadata", "rawData", "dataProcessingMethod", "bizRules")


@dataclass(frozen=True, slots=True)
class _Record:
    """What one kind of record may hold; an open one takes a sender's own fields, too."""

    name: str
    fields: frozenset[str]
    is_open: bool
    uris: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


def _record(
    name: str,
    fields: str,
    *,
    is_open: bool = False,
    uris: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
) -> _Record:
    return _Record(name, frozenset((*fields.split(), *uris, *numbers)), is_open, uris, numbers)


_QUANTITY = _record("quantity element", "epcClass quantity uom")
_LISTED = {
    **dict.fromkeys(_QUANTITY_LISTS, _QUANTITY),
    "bizTransactionList": _record("business transaction", "type bizTransaction"),
    "sourceList": _record("source", "type source"),
    "destinationList": _record("destination", "type destination"),
}
_PERSISTENT = _record("persistentDisposition", "set unset")
_ERROR = _record("errorDeclaration", "declarationTime reason correctiveEventIDs", is_open=True)
# The drafts of EPCIS 2.0 gave an element its type.
_ELEMENT = _record("sensorElement", "sensorMetadata sensorReport type", is_open=True)
_METADATA = _record(
    "sensorMetadata", "time startTime endTime deviceID", is_open=True, uris=_SHARED_URIS
)
_REPORT = _record(
    "sensorReport",
    """
    type exception time deviceID value minValue maxValue meanValue uom component stringValue
    booleanValue hexBinaryValue
    """,
    is_open=True,
    uris=(
        *_SHARED_URIS,
        *("microorganism", "chemicalSubstance", "coordinateReferenceSystem", "uriValue"),
    ),
    numbers=_NUMBERS,
)
# What JSON-LD has everywhere.
_ANYWHERE = frozenset({"@context", "@type", "@id", "id"})


def check_fields(event: Event) -> Iterator[Fault]:
    """Yield each field that its record does not have, and each value of the wrong kind."""
    terms = own_terms(event)
    for field, record in _LISTED.items():
        if field in event.raw:
            for place, item in _objects(event.raw[field], f"/{field}"):
                yield from _check_record(record, place, item, terms)
                if record is _QUANTITY:
                    yield from _check_quantity(place, item)
    yield from _check_persistent(event)
    declared = event.raw.get("errorDeclaration")
    if isinstance(declared, Mapping):
        yield from _check_record(_ERROR, "/errorDeclaration", declared, terms)
    if event.sensors:
        yield from _check_sensors(event, terms)
    for n, text in enumerate(event.certification):
        if _URI.fullmatch(text) is None:
            is_list = isinstance(event.raw.get("certificationInfo"), list)
            place = f"/certificationInfo/{n}" if is_list else "/certificationInfo"
            yield Fault(place, f"{text[:60]!r} is no URI", "write an absolute URI")


def is_own_name(field: str, terms: frozenset[str]) -> bool:
    """Say whether `field` can be a field of the sender's own: prefixed, or a term."""
    return ":" in field or field in terms


def own_terms(event: Event) -> frozenset[str]:
    """Return the names that the contexts of `event` give a meaning to."""
    contexts = event.raw.get("@context")
    listed = contexts if isinstance(contexts, list) else [contexts]
    return frozenset(term for one in listed if isinstance(one, Mapping) for term in one)


def _objects(value: object, base: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    if isinstance(value, list):
        for n, item in enumerate(value):
            if isinstance(item, Mapping):
                yield f"{base}/{n}", item


def _check_record(
    record: _Record, place: str, item: Mapping[str, object], terms: frozenset[str]
) -> Iterator[Fault]:
    if not item.keys() <= record.fields:
        for field in item.keys() - record.fields - _ANYWHERE:
            if not record.is_open:
                mend = (
                    f"a {record.name} has {', '.join(sorted(record.fields))}; put it elsewhere"
                )
                yield Fault(pointer(place, field), f"is no field of a {record.name}", mend)
            elif not is_own_name(field, terms):
                mend = "prefix your own field and say in @context what the prefix means"
                yield Fault(pointer(place, field), f"is no field of a {record.name}", mend)
    for field in record.uris:
        if field in item:
            value = item[field]
            if not isinstance(value, str) or _URI.fullmatch(value) is None:
                yield Fault(f"{place}/{field}", "is no URI", "write an absolute URI")
    for field in record.numbers:
        value = item.get(field, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield Fault(f"{place}/{field}", "is no number", "write a JSON number such as 0.5")


def _check_quantity(place: str, item: Mapping[str, object]) -> Iterator[Fault]:
    unit, amount = item.get("uom"), item.get("quantity")
    if unit is None:
        if isinstance(amount, float) and not amount.is_integer():
            mend = "give the unit, or count whole pieces"
            yield Fault(f"{place}/quantity", f"{amount} of pieces", mend, grave=False)
        return
    if not isinstance(unit, str) or _UNIT.fullmatch(unit) is None:
        mend = (
            "write its UN/ECE Recommendation 20 code, such as KGM, or leave it out for pieces"
        )
        yield Fault(f"{place}/uom", f"{str(unit)[:20]!r} is no unit code", mend)
    elif unit not in UNITS:
        mend = "check the code; goods are counted all the same"
        yield Fault(f"{place}/uom", f"{unit} is no unit known here", mend, grave=False)
    if amount is None:
        mend = "give the quantity, or leave the unit out"
        yield Fault(f"{place}/uom", "is given without a quantity", mend)


def _check_persistent(event: Event) -> Iterator[Fault]:
    item = event.raw.get("persistentDisposition")
    if not isinstance(item, Mapping):
        return
    yield from _check_record(_PERSISTENT, "/persistentDisposition", item, frozenset())
    if not item:
        mend = "set or unset a disposition, or leave the field out"
        yield Fault("/persistentDisposition", "is empty", mend)
    both = {"set": event.persistent_set, "unset": event.persistent_unset}
    for field, words in both.items():
        place = f"/persistentDisposition/{field}"
        if field in item and not words:
            yield Fault(place, "is empty", "name a disposition, or leave it out")
        if len(set(words)) < len(words):
            yield Fault(place, "names a disposition twice", "name each once")
    if event.type in ("AggregationEvent", "AssociationEvent", "TransactionEvent"):
        mend = "say it in an ObjectEvent about the same things"
        why = f"is no field of an {event.type}"
        yield Fault(
            "/persistentDisposition", why, mend, grave=False
        )  # GS1's XML example has it


def _check_sensors(event: Event, terms: frozenset[str]) -> Iterator[Fault]:
    for place, element in _objects(event.raw.get("sensorElementList"), "/sensorElementList"):
        yield from _check_record(_ELEMENT, place, element, terms)
        metadata = element.get("sensorMetadata")
        if isinstance(metadata, Mapping):
            yield from _check_record(_METADATA, f"{place}/sensorMetadata", metadata, terms)
        for inner, report in _objects(element.get("sensorReport"), f"{place}/sensorReport"):
            yield from _check_record(_REPORT, inner, report, terms)
            digits = report.get("hexBinaryValue")
            if isinstance(digits, str) and _HEX.fullmatch(digits) is None:
                mend = "write pairs of the digits 0-9 and A-F"
                yield Fault(f"{inner}/hexBinaryValue", "is no hex", mend)
