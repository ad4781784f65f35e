"""The CBV 2.0 event hash (section 8.9): an identity computed from what an event says.

    ni:///sha-256;49b13037c36e84ad9307c531671b00e901318c3957e4b1151f816ec49eb668da?ver=CBV2.0

It is SHA-256 over one string without separators, the pre-hash:

    eventType=ObjectEventeventTime=2020-04-01T14:00:00.000ZeventTimeZoneOffset=+01:00
    epcListepc=https://id.gs1.org/01/04012345111118/21/9876action=OBSERVEbizStep=https://…

The standard's fields come in the standard's order, what is left (ilmd, extensions) sorted;
the items of a list are sorted, identities are Digital Links, words are web URIs, times are
UTC rounded to milliseconds, the prefix of an extension is its namespace in braces. eventID,
recordTime, errorDeclaration and comments do not count.

Types are never guessed: a JSON number is written as its shortest decimal, a string stays as
it is, even where it looks like a number, a time or a link. The deviations from the reference
generator that follow are listed in `docs/reference/event-hash.md`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from hashlib import sha256

from ledger.epcis.times import format_time, parse_time_us
from ledger.errors import ParseError
from ledger.gs1 import cbv
from ledger.gs1.epc import canonical_key

_START, _END = "ni:///sha-256;", "?ver=CBV2.0"
_MS_US = 1000
_GS1_VOCABULARY = "https://gs1.org/voc/"
_NAMESPACES = {
    "gs1": _GS1_VOCABULARY,
    "cbv": "https://ref.gs1.org/cbv/",
    "epcis": "https://ref.gs1.org/epcis/",
    "cbvmda": "urn:epcglobal:cbv:mda:",
}
_UNCOUNTED = frozenset(
    {"@context", "type", "eventID", "recordTime", "errorDeclaration"}
    | {"rdfs:comment", "comment", "tagtrail:evidence"}
)

EXPANDED_CHARACTERS_MAX = 16 * 1024 * 1024
"""How much namespaces may add to one pre-hash: a long one for many fields fills memory."""

_Write = Callable[[object], str]


def hash_event(event: Mapping[str, object]) -> str:
    """Return the CBV event hash of a JSON event that has its contexts.

    Raises `ParseError` for a time that is none, and for namespaces that would make more of it
    than `EXPANDED_CHARACTERS_MAX`; whatever else an event may hold is hashed.
    """
    pre_hash = format_pre_hash(event)
    digest = sha256(pre_hash.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_START}{digest}{_END}"


def format_pre_hash(event: Mapping[str, object]) -> str:
    """Return the string over which the event hash is taken."""
    spaces = _namespaces(event.get("@context"))
    pieces = [f"eventType={event.get('type', '')}"]
    for field, write in _ORDER.items():
        if field in event:
            pieces.append(write(event[field]))
    return "".join((*pieces, *sorted(_leftovers(event, spaces))))


class _Spaces(dict[str, str]):
    """Namespaces by their prefix, and how many characters they may still add."""

    left = EXPANDED_CHARACTERS_MAX


def _leftovers(event: Mapping[str, object], spaces: _Spaces) -> Iterator[str]:
    """Yield what the order of the standard does not name, at any depth of its fields."""
    for field, value in event.items():
        if field in _UNCOUNTED:
            continue
        if field not in _ORDER:
            yield from _free(field, value, spaces)
        elif field == "sensorElementList":
            for element in _items(value):
                yield from _free_of_element(element, spaces)
        elif field in ("readPoint", "bizLocation") and isinstance(value, Mapping):
            rest = {key: one for key, one in value.items() if key != "id"}
            if rest:
                yield from _free(field, rest, spaces)


def _free_of_element(element: object, spaces: _Spaces) -> Iterator[str]:
    if not isinstance(element, Mapping):
        return
    rest: dict[str, object] = {}
    for field, value in element.items():
        known = _SENSOR_PARTS.get(field)
        if known is None:
            rest[field] = value
            continue
        parts = [
            {key: one for key, one in part.items() if key not in known}
            for part in _items(value)
            if isinstance(part, Mapping)
        ]
        kept: list[object] = [part for part in parts if part]
        if kept:
            rest[field] = kept
    if rest:
        yield from _free("sensorElement", rest, spaces)


def _free(field: str, value: object, spaces: _Spaces) -> Iterator[str]:
    """Yield an extension: one string for each item of a list, objects sorted inside."""
    name = _expand(field, spaces)
    for item in _items(value):
        if isinstance(item, Mapping):
            inner = (
                one
                for key, inside in item.items()
                if key not in ("rdfs:comment", "@context")
                for one in _free(key, inside, spaces)
            )
            yield name + "".join(sorted(inner))
        elif isinstance(item, list):
            yield from _free(field, item, spaces)
        else:
            text = _scalar(item)
            yield f"{name}={text}" if text else name


def _expand(field: str, spaces: _Spaces) -> str:
    prefix, colon, name = field.partition(":")
    space = spaces.get(prefix) if colon else None
    if space is None:
        return field
    spaces.left -= len(space)
    if spaces.left < 0:
        raise ParseError("@context", "holds a namespace that is too long for so many fields")
    return f"{{{space}}}{name}"


def _namespaces(context: object) -> _Spaces:
    spaces = _Spaces(_NAMESPACES)
    for one in _items(context):
        if isinstance(one, Mapping):
            spaces.update((k, v) for k, v in one.items() if isinstance(v, str))
    return spaces


def _items(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


# --- Values -------------------------------------------------------------------------------


def _scalar(value: object) -> str:
    """Return a JSON scalar as text: its type decides, never its looks."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() | Decimal():
            text = format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case str():
            return value.strip()
        case _:
            return ""


def _key(value: object) -> str:
    return canonical_key(value.strip()) if isinstance(value, str) else _scalar(value)


def _time(value: object) -> str:
    if not isinstance(value, str):
        raise ParseError("time", "is no string; write it as 2024-05-31T07:05:00.000Z")
    us = parse_time_us(value) + _MS_US // 2  # half a millisecond and more is rounded up
    return format_time(us - us % _MS_US)


def _word(vocabulary: cbv.Vocabulary, canonical: Callable[[str], str]) -> _Write:
    def write(value: object) -> str:
        if not isinstance(value, str):
            return _scalar(value)
        word = canonical(value.strip())
        return word if ":" in word else cbv.format_web(vocabulary, word)

    return write


def _measurement(value: object) -> str:
    word = cbv.canonical_measurement(_scalar(value)).removeprefix("gs1:")
    return word if ":" in word else _GS1_VOCABULARY + word


# --- Fields, in the order of CBV 2.0 table 8.9.2 -----------------------------------------


def _named(name: str, write: _Write) -> _Write:
    def write_field(value: object) -> str:
        text = write(value)
        return f"{name}={text}" if text else ""

    return write_field


def _listed(head: str, item: _Write) -> _Write:
    """Return the writer of a list: `head` once, then its items sorted, nothing if empty."""

    def write_list(value: object) -> str:
        texts = sorted(filter(None, map(item, _items(value))))
        return head + "".join(texts) if texts else ""

    return write_list


def _record(head: str, fields: Mapping[str, _Write]) -> _Write:
    """Return the writer of an object with `fields` in this order, nothing if it has none."""

    def write_record(value: object) -> str:
        if not isinstance(value, Mapping):
            return ""
        texts = [write(value[field]) for field, write in fields.items() if field in value]
        return head + "".join(texts) if any(texts) else ""

    return write_record


def _fields(**writers: _Write) -> dict[str, _Write]:
    return {name: _named(name, write) for name, write in writers.items()}


_BIZ_STEP = _word(cbv.BIZ_STEP, cbv.canonical_biz_step)
_DISPOSITION = _word(cbv.DISPOSITION, cbv.canonical_disposition)
_BTT = _word(cbv.BIZ_TRANSACTION_TYPE, cbv.canonical_biz_transaction_type)
_SDT = _word(cbv.SOURCE_DEST_TYPE, cbv.canonical_source_dest_type)
_COMPONENT = _word(cbv.COMPONENT, cbv.canonical_component)
_ITEM = _named("epc", _key)
_QUANTITY = _record("quantityElement", _fields(epcClass=_key, quantity=_scalar, uom=_scalar))
_SHARED = {
    "deviceID": _key,
    "deviceMetadata": _key,
    "rawData": _key,
    "dataProcessingMethod": _key,
}
_METADATA = _fields(time=_time, startTime=_time, endTime=_time, **_SHARED, bizRules=_key)
_REPORT = _fields(
    type=_measurement,
    exception=_measurement,
    **_SHARED,
    time=_time,
    microorganism=_key,
    chemicalSubstance=_key,
    value=_scalar,
    component=_COMPONENT,
    stringValue=_scalar,
    booleanValue=_scalar,
    hexBinaryValue=_scalar,
    uriValue=_key,
    minValue=_scalar,
    maxValue=_scalar,
    meanValue=_scalar,
    sDev=_scalar,
    percRank=_scalar,
    percValue=_scalar,
    uom=_scalar,
    coordinateReferenceSystem=_scalar,
)
_SENSOR_PARTS: dict[str, Mapping[str, _Write]] = {
    "sensorMetadata": _METADATA,
    "sensorReport": _REPORT,
}
_ELEMENT = _record(
    "sensorElement",
    {
        "sensorMetadata": _record("sensorMetadata", _METADATA),
        "sensorReport": _listed("", _record("sensorReport", _REPORT)),
    },
)
_ORDER: dict[str, _Write] = {
    **_fields(eventTime=_time, eventTimeZoneOffset=_scalar),
    "epcList": _listed("epcList", _ITEM),
    "parentID": _named("parentID", _key),
    "inputEPCList": _listed("inputEPCList", _ITEM),
    "childEPCs": _listed("childEPCs", _ITEM),
    "quantityList": _listed("quantityList", _QUANTITY),
    "childQuantityList": _listed("childQuantityList", _QUANTITY),
    "inputQuantityList": _listed("inputQuantityList", _QUANTITY),
    "outputEPCList": _listed("outputEPCList", _ITEM),
    "outputQuantityList": _listed("outputQuantityList", _QUANTITY),
    **_fields(action=_scalar, transformationID=_key),
    **_fields(bizStep=_BIZ_STEP, disposition=_DISPOSITION),
    "persistentDisposition": _record(
        "persistentDisposition",
        {
            "set": _listed("", _named("set", _DISPOSITION)),
            "unset": _listed("", _named("unset", _DISPOSITION)),
        },
    ),
    "readPoint": _record("readPoint", _fields(id=_key)),
    "bizLocation": _record("bizLocation", _fields(id=_key)),
    "bizTransactionList": _listed(
        "bizTransactionList", _record("", _fields(type=_BTT, bizTransaction=_key))
    ),
    "sourceList": _listed("sourceList", _record("", _fields(type=_SDT, source=_key))),
    "destinationList": _listed(
        "destinationList", _record("", _fields(type=_SDT, destination=_key))
    ),
    "sensorElementList": _listed("sensorElementList", _ELEMENT),
}
