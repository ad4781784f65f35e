"""EPCIS 1.2 and 2.0 in XML, read into the JSON of EPCIS 2.0.

    <epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0" …>
      <EPCISBody><EventList><ObjectEvent>
        <eventTime>2024-05-31T07:05:00Z</eventTime> …
        <epcList><epc>urn:epc:id:sgtin:9506000.013435.123</epc></epcList>

becomes what `ledger.epcis.document` reads. Documents, query documents and one event alone are
read. The wrappers `extension` and `baseExtension` of EPCIS 1.2 vanish, CBV words become
bare, numbers of the standard's fields become numbers. A foreign element becomes the field
`prefix:name` and its namespace goes into the event's `@context`; it is text unless its
`xsi:type` says integer, decimal or boolean, a list where it repeats, an object where it has
children; text beside attributes or children becomes `#text`.

Refused is what `ledger.epcis.xmltree` refuses, and more than `NAMESPACES_MAX`. A value that
does not fit its field stays as it is (text, or an object where elements stand), for the rules
to complain about by its place.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from ledger.epcis.document import EPCIS_CONTEXT
from ledger.epcis.xmltree import parse_tree
from ledger.errors import ParseError
from ledger.gs1 import cbv

NAMESPACES_MAX = 256
"""Foreign namespaces of one event."""

_EPCIS = re.compile(r"urn:epcglobal:epcis(?:-query|-masterdata)?:xsd:[12]")
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_MDA = "urn:epcglobal:cbv:mda"
_NUMBER = re.compile(r"[+-]?(\d+)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,300}", re.ASCII)
_WRAPPERS = frozenset({"extension", "baseExtension"})
_BODY_PATH = ("EPCISBody", "QueryResults", "resultsBody")
# Prefixes that mean something else in the standard's own context.
_TAKEN = frozenset({"", "gs1", "cbv", "epcis", "cbvmda", "xsd", "xml", "tagtrail"})

_Spaces = dict[str, str]
_Read = Callable[[Any, "_Spaces"], object]


def parse_xml(data: bytes) -> dict[str, object]:
    """Return the JSON document, or the one JSON event, that an XML document says.

    Raises `ParseError`, with the line where there is one.
    """
    root = parse_tree(data)
    name = _name(root)
    if name in _EVENTS:
        return {"@context": [EPCIS_CONTEXT], **_event(root)}
    if name not in ("EPCISDocument", "EPCISQueryDocument"):
        raise ParseError("XML", f"<{root.tag}> is no EPCISDocument and no event")
    body = root
    for step in _BODY_PATH:
        inner = _child(body, step)
        body = body if inner is None else inner
    events = _child(body, "EventList")
    document: dict[str, object] = {"@context": [EPCIS_CONTEXT], "type": "EPCISDocument"}
    document["schemaVersion"] = "2.0"
    if created := root.get("creationDate"):
        document["creationDate"] = created
    if events is None:
        raise ParseError("XML", "has no <EventList>; put the events there")
    document["epcisBody"] = {"eventList": [_event(one) for one in _children(events)]}
    return document


# --- Elements -----------------------------------------------------------------------------


def _split(tag: str) -> tuple[str, str]:
    """Return namespace and local name; EPCIS's own namespaces count as none."""
    space, _, name = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    return ("", name) if _EPCIS.fullmatch(space) else (space, name)


def _name(element: Any) -> str:
    """Return the name of one of EPCIS's own elements, "" for a foreign one."""
    space, name = _split(element.tag)
    return "" if space else name


def _child(element: Any, name: str) -> Any:
    return next((one for one in _children(element) if _name(one) == name), None)


def _children(element: Any) -> Iterator[Any]:
    """Yield the children, those inside of EPCIS 1.2's wrappers in their place."""
    for one in element:
        if _name(one) in _WRAPPERS:
            yield from _children(one)
        else:
            yield one


def _plain_text(element: Any) -> str:
    """Return the text of an element, of what stands behind its children, too."""
    pieces = (element.text, *(one.tail for one in element))
    return "".join(piece for piece in pieces if piece).strip()


def _text(element: Any, spaces: _Spaces) -> object:
    """Return the text of an element; where it has elements, all it has: that is no text."""
    return _foreign(element, spaces) if len(element) else (element.text or "").strip()


def _amount(element: Any, spaces: _Spaces) -> object:
    """Return the number in an element, None where it is empty: that much is not said."""
    text = _text(element, spaces)
    return _number(text) if isinstance(text, str) and text else text or None


def _number(text: str) -> object:
    """Return the number that `text` spells, or the text itself."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        value = float(text)
        return value if abs(value) != float("inf") else text
    return text


# --- Events -------------------------------------------------------------------------------


def _event(element: Any) -> dict[str, object]:
    spaces: _Spaces = {}
    event: dict[str, object] = {"type": _field(element.tag, element, spaces)}
    event.update(_record(element, spaces, _FIELDS))
    used = {prefix: uri for uri, prefix in spaces.items() if uri != _MDA}
    if used:
        event["@context"] = [used]
    return event


def _record(
    element: Any,
    spaces: _Spaces,
    fields: dict[str, _Read],
) -> dict[str, object]:
    """Return the children of `element` as fields, foreign ones included."""
    record: dict[str, object] = {}
    for one in _children(element):
        name = _name(one)
        if name in fields:
            value = fields[name](one, spaces)
            if value is not None:
                _put(record, name, value, is_list=isinstance(value, list))
        else:
            _put(record, _field(one.tag, one, spaces), _foreign(one, spaces))
    return record


def _put(record: dict[str, object], name: str, value: object, *, is_list: bool = False) -> None:
    """Set a field; where it is there already, make a list of both."""
    if name not in record:
        record[name] = value
        return
    old = record[name]
    if not isinstance(old, list):
        old = record[name] = [old]
    if is_list:
        assert isinstance(value, list)
        old.extend(value)
    else:
        old.append(value)


def _field(tag: str, element: Any, spaces: _Spaces) -> str:
    """Return the JSON name of a foreign element or attribute, and note its namespace."""
    space, name = _split(tag)
    if not space:
        return name
    if space == _MDA:
        return f"cbvmda:{name}"
    if space not in spaces:
        if len(spaces) >= NAMESPACES_MAX:
            where = f"XML line {element.sourceline}"
            raise ParseError(where, f"has over {NAMESPACES_MAX} namespaces in one event")
        wanted = next((p for p, uri in element.nsmap.items() if p and uri == space), "ns")
        taken = _TAKEN | set(spaces.values())
        prefix, n = wanted, 1
        while prefix in taken:
            n += 1
            prefix = f"{wanted}{n}"
        spaces[space] = prefix
    return f"{spaces[space]}:{name}"


def _foreign(element: Any, spaces: _Spaces) -> object:
    kind = element.get(_XSI_TYPE, "").rpartition(":")[2]
    attributes = {
        _field(name, element, spaces): value
        for name, value in element.attrib.items()
        if not name.startswith(_XSI)
    }
    inner = [(_field(one.tag, one, spaces), _foreign(one, spaces)) for one in element]
    text = _plain_text(element)
    if not inner and not attributes:
        return _typed(text, kind)
    record: dict[str, object] = dict(attributes)
    for name, value in inner:
        _put(record, name, value)
    if text:
        record["#text"] = _typed(text, kind)
    return record


def _typed(text: str, kind: str) -> object:
    if kind == "boolean" and text in ("true", "false", "1", "0"):
        return text in ("true", "1")
    if kind in _NUMERIC:
        return _number(text)
    return text


_NUMERIC = frozenset(
    {"integer", "int", "long", "short", "byte", "decimal", "double", "float"}
    | {"nonNegativeInteger", "positiveInteger", "unsignedInt", "unsignedLong"}
)

# --- Fields of the standard ---------------------------------------------------------------


def _word(canonical: Callable[[str], str]) -> _Read:
    def read(element: Any, spaces: _Spaces) -> object:
        text = _text(element, spaces)
        return canonical(text) if isinstance(text, str) else text

    return read


def _listed(name: str, read: _Read) -> _Read:
    """Return the reader of a list of `name` elements; what else is in it becomes an object."""

    def read_list(element: Any, spaces: _Spaces) -> object:
        items = []
        for one in element:
            if _name(one) == name:
                items.append(read(one, spaces))
            else:
                items.append({_field(one.tag, one, spaces): _foreign(one, spaces)})
        if text := _plain_text(element):
            items.append({"#text": text})
        return items

    return read_list


def _quantity(element: Any, spaces: _Spaces) -> object:
    fields: dict[str, _Read] = {
        "epcClass": _text,
        "quantity": _amount,
        "uom": lambda one, names: _text(one, names) or None,
    }
    return _record(element, spaces, fields)


def _place(element: Any, spaces: _Spaces) -> object:
    return _record(element, spaces, {"id": _text})


def _typed_pair(name: str, canonical: Callable[[str], str]) -> _Read:
    """Return the reader of one `name` element with a type attribute."""

    def read(element: Any, spaces: _Spaces) -> object:
        kind = element.get("type")
        pair: dict[str, object] = {} if kind is None else {"type": canonical(kind)}
        return {**pair, name: _text(element, spaces)}

    return read


def _typed_pairs(name: str, canonical: Callable[[str], str]) -> _Read:
    return _listed(name, _typed_pair(name, canonical))


def _dispositions(element: Any, spaces: _Spaces) -> object:
    read = _word(cbv.canonical_disposition)
    record: dict[str, object] = {}
    for one in element:
        _put(record, _field(one.tag, one, spaces), [read(one, spaces)], is_list=True)
    return record


def _error(element: Any, spaces: _Spaces) -> object:
    fields: dict[str, _Read] = {
        "declarationTime": _text,
        "reason": _word(cbv.canonical_error_reason),
        "correctiveEventIDs": _listed("correctiveEventID", _text),
    }
    return _record(element, spaces, fields)


def _sensor_element(element: Any, spaces: _Spaces) -> object:
    fields: dict[str, _Read] = {
        "sensorMetadata": _attributes,
        "sensorReport": lambda one, names: [_attributes(one, names)],
    }
    return _record(element, spaces, fields)


_NUMBERS = frozenset(
    {"value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"}
)


def _attributes(element: Any, spaces: _Spaces) -> dict[str, object]:
    record: dict[str, object] = {}
    for name, text in element.attrib.items():
        value: object = text
        if name in _NUMBERS:
            value = _number(text)
        elif name == "booleanValue":
            value = _typed(text, "boolean")
        elif name in ("type", "exception"):
            value = cbv.canonical_measurement(text)
        elif name == "component":
            value = cbv.canonical_component(text)
        record[_field(name, element, spaces)] = value
    for one in element:
        _put(record, _field(one.tag, one, spaces), _foreign(one, spaces))
    return record


def _ilmd(element: Any, spaces: _Spaces) -> object:
    return _record(element, spaces, {}) or None


_EVENTS = frozenset(
    {"ObjectEvent", "AggregationEvent", "AssociationEvent"}
    | {"TransactionEvent", "TransformationEvent"}
)
_FIELDS: dict[str, _Read] = {
    **dict.fromkeys(("eventTime", "recordTime", "eventTimeZoneOffset", "eventID"), _text),
    **dict.fromkeys(("parentID", "action", "transformationID", "certificationInfo"), _text),
    "bizStep": _word(cbv.canonical_biz_step),
    "disposition": _word(cbv.canonical_disposition),
    **dict.fromkeys(
        ("epcList", "childEPCs", "inputEPCList", "outputEPCList"), _listed("epc", _text)
    ),
    **dict.fromkeys(
        ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"),
        _listed("quantityElement", _quantity),
    ),
    **dict.fromkeys(("readPoint", "bizLocation"), _place),
    "bizTransactionList": _typed_pairs("bizTransaction", cbv.canonical_biz_transaction_type),
    "sourceList": _typed_pairs("source", cbv.canonical_source_dest_type),
    "destinationList": _typed_pairs("destination", cbv.canonical_source_dest_type),
    "persistentDisposition": _dispositions,
    "errorDeclaration": _error,
    "sensorElementList": _listed("sensorElement", _sensor_element),
    "ilmd": _ilmd,
}
