"""Judges a received document event by event: what can be captured, and what is wrong.

Read are EPCIS 2.0 in JSON or JSON-LD and EPCIS 1.2 or 2.0 in XML: an EPCISDocument, an
EPCISQueryDocument, or one event alone. An event without an eventID gets its CBV event hash.
JSON is UTF-8 without NaN, at most `DEPTH_MAX` levels deep, and of at most `VALUES_MAX` values.

A document that is none is a `ParseError`; an event that breaks a rule is a `ReceivedEvent`
with faults, each with a JSON pointer into the document (of an XML document: into the JSON
that it becomes) and a mend.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ledger.epcis.advice import check_event
from ledger.epcis.diagnosis import describe_error, list_faults
from ledger.epcis.document import items_of_document
from ledger.epcis.event import EVIDENCE_FIELD, Event, parse_event, split_event
from ledger.epcis.event_hash import hash_event
from ledger.epcis.parts import PART_DEPTH_MAX, parse_json
from ledger.epcis.rules import Fault
from ledger.epcis.xml import parse_xml
from ledger.errors import ParseError

EVENTS_MAX = 20_000
DOCUMENT_BYTES_MAX = 64 * 1024 * 1024
DEPTH_MAX = PART_DEPTH_MAX + 8
"""Levels of a document: those of an event, and of what is around it."""

VALUES_MAX = 4_000_000
"""Values of a JSON document, counted as its commas and brackets: what memory it will take."""

FAULTS_MAX = 1000
"""Faults that one event is told, and remarks likewise."""

MEDIA_TYPES: Mapping[str, str] = {
    "application/json": "json",
    "application/ld+json": "json",
    "application/xml": "xml",
    "text/xml": "xml",
}


class LimitError(ParseError):
    """A document that is past a named limit: split it."""


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event of a document: `event` is None where it cannot be captured.

    `raw` has its eventID and its contexts. `faults` are grave where `event` is None, and
    remarks where it is not; their pointers lead into the document.
    """

    pointer: str
    raw: Mapping[str, object]
    event: Event | None
    parts: tuple[bytes | None, ...] = ()
    faults: tuple[Fault, ...] = field(default=())


def read_document(data: bytes, media: str) -> dict[str, object]:
    """Return the JSON of a received document, whatever its form: `media` as in MEDIA_TYPES.

    Raises `ParseError` for another media type and for what does not parse.
    """
    form = MEDIA_TYPES.get(media)
    if form is None:
        raise ParseError("media type", f"{media[:60]!r} is none of {', '.join(MEDIA_TYPES)}")
    if len(data) > DOCUMENT_BYTES_MAX:
        why = f"has {len(data)} bytes, at most {DOCUMENT_BYTES_MAX} are read; split it"
        raise LimitError("document", why)
    if form == "xml":
        return parse_xml(data)
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if values > VALUES_MAX:
        why = f"has some {values} values, at most {VALUES_MAX} are read; split it"
        raise LimitError("document", why)
    document = parse_json(data, "document", depth_max=DEPTH_MAX)
    if not isinstance(document, dict):
        raise ParseError("document", "is no JSON object")
    return document


def list_events(document: Mapping[str, object]) -> list[tuple[str, dict[str, object] | None]]:
    """Return the events of a document with their pointers, at most `EVENTS_MAX`.

    None stands for what is no object.
    """
    events = list(items_of_document(document))
    if len(events) > EVENTS_MAX:
        why = f"has {len(events)} events, at most {EVENTS_MAX} are captured at once; split it"
        raise LimitError("document", why)
    return events


def judge_event(
    pointer: str, raw: Mapping[str, object] | None, *, cites: str, all_faults: bool = True
) -> ReceivedEvent:
    """Return what one event of a document is, and what is wrong with it.

    `cites` is the SHA-256 of the document in hex, which goes into the captured parts. Without
    `all_faults` the first fault of an event that cannot be read is enough.
    """
    if raw is None:
        nothing = Fault(pointer, "is no object", "write an event there")
        return ReceivedEvent(pointer, {}, None, (), (nothing,))
    if EVIDENCE_FIELD in raw:
        own = Fault(f"{pointer}/{EVIDENCE_FIELD}", "is the ledger's own", "leave it out")
        return ReceivedEvent(pointer, raw, None, (), (own,))
    try:
        event = parse_event(raw)
        grave, remarks = _sort_faults(check_event(event))
        if grave:
            return ReceivedEvent(pointer, raw, None, (), _moved(pointer, grave))
        if event.event_id is None:
            raw = {**raw, "eventID": hash_event(raw)}
            event = replace(event, event_id=str(raw["eventID"]), raw=raw)
        parts = split_event({**raw, EVIDENCE_FIELD: {"document": cites}}, is_parsed=True)
    except ParseError as error:
        found = (list_faults(raw) if all_faults else []) or [describe_error(error)]
        return ReceivedEvent(pointer, raw, None, (), _moved(pointer, found))
    return ReceivedEvent(pointer, raw, event, parts, _moved(pointer, remarks))


def judge_document(document: Mapping[str, object], *, cites: str) -> Iterator[ReceivedEvent]:
    """Yield each event of a document, judged."""
    for pointer, raw in list_events(document):
        yield judge_event(pointer, raw, cites=cites)


def _sort_faults(found: Iterable[Fault]) -> tuple[list[Fault], list[Fault]]:
    """Return the grave ones and the others, at most `FAULTS_MAX` of each."""
    grave: list[Fault] = []
    remarks: list[Fault] = []
    for fault in found:
        if fault.grave:
            grave.append(fault)
            if len(grave) == FAULTS_MAX:
                break
        elif len(remarks) < FAULTS_MAX:
            remarks.append(fault)
    return grave, remarks


def _moved(pointer: str, faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(replace(fault, pointer=pointer + fault.pointer) for fault in faults)
