"""The EPCIS document around events: EPCIS 2.0 section 9, JSON-LD.

    {"@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {…}],
     "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2024-05-31T…Z",
     "epcisBody": {"eventList": [{…}, {…}]}}

Read are an EPCISDocument, an EPCISQueryDocument and one event alone. An event that leaves
its document takes the document's contexts along, without which the names of its extension
fields would mean nothing. The standard's context counts as one under all its addresses, the
"simple" one of the drafts included; `id` of an event is its `eventID` (both are JSON-LD's
@id), and a field that is a list may be one item without brackets, as JSON-LD allows.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Mapping

from ledger.epcis.shape import fault, read_items, read_object
from ledger.epcis.times import format_time
from ledger.errors import ParseError

EPCIS_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_STANDARD_CONTEXTS = frozenset(
    {
        EPCIS_CONTEXT,
        "https://ref.gs1.org/standards/epcis/epcis-context.jsonld",
        "https://gs1.github.io/EPCIS/epcis-context.jsonld",
        "https://gs1.github.io/EPCIS/epcis-context-simple.jsonld",
        "https://gs1.org/epcis/2.0.0/epcis-context.jsonld",
    }
)
TAGTRAIL_CONTEXT = {"tagtrail": "https://tagtrail.dev/voc/"}

_CONTEXT = "@context"
_DOCUMENTS = ("EPCISDocument", "EPCISQueryDocument")
_LISTS = frozenset(
    {"epcList", "childEPCs", "inputEPCList", "outputEPCList", "quantityList"}
    | {"childQuantityList", "inputQuantityList", "outputQuantityList", "bizTransactionList"}
    | {"sourceList", "destinationList", "sensorElementList"}
)


def format_document(
    events: Iterable[Mapping[str, object]], *, created_us: int
) -> dict[str, object]:
    """Return an EPCISDocument of `events`, created at `created_us` (µs since the epoch)."""
    return {
        _CONTEXT: [EPCIS_CONTEXT, TAGTRAIL_CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": format_time(created_us),
        "epcisBody": {"eventList": [dict(event) for event in events]},
    }


def events_of_document(
    document: Mapping[str, object],
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each event of a document with its JSON pointer, its contexts made its own.

    Raises `ParseError` with a JSON pointer where the document has no list of events, or one
    holds something else.
    """
    for place, event in items_of_document(document):
        if event is None:
            raise ParseError(place, "is no object; write an event there")
        yield place, event


def items_of_document(
    document: Mapping[str, object],
) -> Iterator[tuple[str, dict[str, object] | None]]:
    """Yield what `events_of_document` does, and None for what is no object."""
    outer = _contexts(document.get(_CONTEXT))
    if "epcisBody" not in document:
        if document.get("type") in _DOCUMENTS:
            raise fault("", "epcisBody", "is missing; put the events there")
        yield "", _with_contexts(document, [])
        return
    body = read_object(document, "epcisBody") or {}
    base = "/epcisBody"
    for step in ("queryResults", "resultsBody"):
        inner = read_object(body, step, base)
        if inner is not None:
            body, base = inner, f"{base}/{step}"
    if "eventList" not in body:
        raise fault(base, "eventList", "is missing; put the events there")
    for n, event in enumerate(read_items(body, "eventList", base)):
        known = _with_contexts(event, outer) if isinstance(event, dict) else None
        yield f"{base}/eventList/{n}", known


def show_event(
    event: Mapping[str, object], *, record_time_us: int, hide: Iterable[str] = ()
) -> dict[str, object]:
    """Return one event as a JSON-LD document of its own, without the fields `hide`."""
    shown = {field: value for field, value in event.items() if field not in set(hide)}
    own = [one for one in _contexts(event.get(_CONTEXT)) if one != EPCIS_CONTEXT]
    shown[_CONTEXT] = [EPCIS_CONTEXT, *own]
    shown["recordTime"] = format_time(record_time_us)
    return shown


def _contexts(value: object) -> list[object]:
    if value is None:
        return []
    listed = list(value) if isinstance(value, list) else [value]
    return [
        EPCIS_CONTEXT if isinstance(one, str) and one in _STANDARD_CONTEXTS else one
        for one in listed
    ]


def _plain(event: Mapping[str, object]) -> Mapping[str, object]:
    """Return `event` in the form of EPCIS 2.0 where JSON-LD leaves a choice."""
    if "id" in event and "eventID" not in event:
        event = {"eventID" if field == "id" else field: v for field, v in event.items()}
    lone = [f for f in _LISTS & event.keys() if isinstance(event[f], str | dict)]
    return {**event, **{field: [event[field]] for field in lone}} if lone else event


def _with_contexts(event: Mapping[str, object], outer: list[object]) -> dict[str, object]:
    """Return `event` with the contexts of its document before its own, none of them twice."""
    contexts: list[object] = []
    for one in (*outer, *_contexts(event.get(_CONTEXT))):
        if one not in contexts:
            contexts.append(one)
    event = _plain(event)
    # An event with the standard context alone says nothing by it; the document says it again.
    if not contexts or contexts == [EPCIS_CONTEXT]:
        return {field: value for field, value in event.items() if field != _CONTEXT}
    return {**event, _CONTEXT: contexts}
