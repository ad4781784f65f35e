"""What the index knows of an event: one function for the index and for whoever rebuilds it.

An event becomes one `EventRow` and a `MentionRow` for each thing, place, party or device
that it names, by role. The rows hold no evidence: an audit computes them again.

    row id (eid)   entry index << 17 | position in its statement
    key            the canonical identity of what is named: a GS1 Digital Link on
                   https://id.gs1.org, or the text itself where it is no GS1 identifier

Some roles repeat a mention on purpose, so that a narrow question stays a narrow read:
`emptied` marks the parent of a DELETE without children, `sensed` the things of an event
with sensor readings, `located` the place of an event that names no thing, `lot` the lot of
items that come into being. Unpacking never ends associations: they have roles of their own.
What only event queries ask for (`query_terms`) has roles of its own, too.
Order of events: the instant of eventTime; then the document (the statement), by the
content hash of its first event; then the position in it. The entry index never decides,
so that capture order never changes an answer.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from ledger.epcis.event import Event, join_parts, parse_event
from ledger.epcis.lot import lots_named
from ledger.epcis.query_terms import BIZ_TRANSACTION, FIELD, SENSOR_TYPE, facets_of, terms_of
from ledger.errors import ParseError
from ledger.indexed import SEARCHED, bounded

POSITION_BITS = 17
"""A statement holds up to 65,536 events (FORMATS section 2)."""

CONTENT_BYTES = 16
"""How much of SHA-256 a content hash keeps: it tells events apart, it proves nothing."""
EPC = "epc"
PARENT = "parent"
CHILD = "child"
EMPTIED = "emptied"
ASSOCIATED_PARENT = "associated_parent"
ASSOCIATED_CHILD = "associated_child"
INPUT = "input"
OUTPUT = "output"
QUANTITY = "quantity"
CHILD_QUANTITY = "child_quantity"
INPUT_QUANTITY = "input_quantity"
OUTPUT_QUANTITY = "output_quantity"
SENSED = "sensed"
DEVICE = "device"
LOCATED = "located"
READ_POINT = "read_point"
BIZ_LOCATION = "biz_location"
SOURCE = "source"
DESTINATION = "destination"
LOT = "lot"

ROLES: tuple[str, ...] = (
    EPC,
    PARENT,
    CHILD,
    EMPTIED,
    ASSOCIATED_PARENT,
    ASSOCIATED_CHILD,
    INPUT,
    OUTPUT,
    QUANTITY,
    CHILD_QUANTITY,
    INPUT_QUANTITY,
    OUTPUT_QUANTITY,
    SENSED,
    DEVICE,
    LOCATED,
    READ_POINT,
    BIZ_LOCATION,
    SOURCE,
    DESTINATION,
    LOT,
    BIZ_TRANSACTION,
    SENSOR_TYPE,
    FIELD,
)
"""Every role, in the order that numbers them in the index; new ones are added at the end."""

THING_ROLES = frozenset(
    {
        EPC,
        PARENT,
        CHILD,
        ASSOCIATED_PARENT,
        ASSOCIATED_CHILD,
        INPUT,
        OUTPUT,
        QUANTITY,
        CHILD_QUANTITY,
        INPUT_QUANTITY,
        OUTPUT_QUANTITY,
    }
)
"""The roles in which an event is a thing's own event."""

UNREADABLE = "unreadable"
"""The type of a row whose event is kept in the log and is no EPCIS event."""

_CONTAINING_TYPES = frozenset({"AggregationEvent", "AssociationEvent"})
_QUANTITY_ROLES = {
    "quantity": QUANTITY,
    "child": CHILD_QUANTITY,
    "input": INPUT_QUANTITY,
    "output": OUTPUT_QUANTITY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Where the evidence of one event lies, and who answers for it.

    `document` orders statements whose events share an instant; `withheld` holds the
    numbers of the parts (FORMATS section 1) that the source keeps to itself.
    """

    index: int
    position: int
    commitment: bytes
    iss: str
    grade: int
    record_time_us: int
    document: bytes
    withheld: frozenset[int] = frozenset()

    @property
    def eid(self) -> int:
        """Return the row id of the event."""
        return event_row_id(self.index, self.position)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event of the index; times in microseconds since the epoch, UTC."""

    eid: int
    commitment: bytes
    iss: str
    grade: int
    record_time_us: int
    document: bytes
    content: bytes
    event_time_us: int
    type: str
    action: str | None = None
    biz_step: str | None = None
    disposition: str | None = None
    read_point: str | None = None
    biz_location: str | None = None
    transformation_id: str | None = None
    event_id: str | None = None
    error_time_us: int | None = None
    error_reason: str | None = None
    withheld: int
    """Bit n is set where part n is withheld."""
    facets: int
    """The sum of those `query_terms.FACETS` that the event has."""


@dataclass(frozen=True, slots=True)
class MentionRow:
    """One key named by one event in one role; repeats within a role are dropped."""

    key: str
    role: str
    event_time_us: int
    eid: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What one or more events add to the index, in the order of the log."""

    events: tuple[EventRow, ...]
    mentions: tuple[MentionRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureHead:
    """What all events of one capture statement share."""

    index: int
    record_time_us: int
    iss: str
    grade: int


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event as far as the ledger holds it: the eight parts that are shown, or None each."""

    commitment: bytes
    parts: tuple[bytes | None, ...]
    withheld: frozenset[int] = frozenset()


def event_row_id(index: int, position: int) -> int:
    """Return the row id of the event at `position` of the statement in entry `index`."""
    return index << POSITION_BITS | position


def split_row_id(eid: int) -> tuple[int, int]:
    """Return (entry index, position) of a row id."""
    return eid >> POSITION_BITS, eid & (1 << POSITION_BITS) - 1


def parse_shown(shown: ShownEvent) -> Event:
    """Return the event that the shown parts say, or raise `ParseError`.

    A field of a withheld part is missing without fault.
    """
    return parse_event(join_parts(shown.parts), partial=bool(shown.withheld))


def content_hash(event: Event) -> bytes:
    """Return what the event says, hashed: equal for every spelling of the same event.

    Identifiers, times and vocabulary words are canonical; the order of lists, recordTime
    and errorDeclaration do not count; eventID does.
    """
    raw = event.raw
    said = [
        [event.type, event.action, event.event_id, event.event_time_us, event.offset],
        [sorted(event.epc_list), event.parent_id, sorted(event.child_epcs)],
        [sorted(event.input_epcs), sorted(event.output_epcs), event.transformation_id],
        sorted(
            [q.role, q.epc_class, _number(q.quantity), q.uom or ""] for q in event.quantities
        ),
        [event.read_point, event.biz_location, event.biz_step, event.disposition],
        [sorted(event.persistent_set), sorted(event.persistent_unset)],
        [sorted(map(list, event.sources)), sorted(map(list, event.destinations))],
        sorted(map(list, event.biz_transactions)),
        [raw.get("sensorElementList"), raw.get("ilmd"), raw.get("certificationInfo")],
        dict(event.extensions),
    ]
    text = json.dumps(said, sort_keys=True, default=str, separators=(",", ":"))
    return sha256(text.encode(errors="surrogatepass")).digest()[:CONTENT_BYTES]


def project_event(pin: Pin, event: Event) -> Rows:
    """Return the rows of one event."""
    row = EventRow(
        eid=pin.eid,
        commitment=pin.commitment,
        iss=pin.iss,
        grade=pin.grade,
        record_time_us=pin.record_time_us,
        document=pin.document,
        content=content_hash(event),
        event_time_us=event.event_time_us,
        type=event.type,
        action=event.action,
        biz_step=event.biz_step,
        disposition=event.disposition,
        read_point=event.read_point,
        biz_location=event.biz_location,
        transformation_id=event.transformation_id,
        event_id=event.event_id,
        error_time_us=event.error.declaration_time_us if event.error else None,
        error_reason=event.error.reason if event.error else None,
        withheld=sum(1 << n for n in pin.withheld),
        facets=facets_of(event),
    )
    named = sorted({*mentions_of(event), *terms_of(event)})
    mentions = (MentionRow(key, role, event.event_time_us, pin.eid) for key, role in named)
    return Rows((row,), tuple(mentions))


def project_capture(head: CaptureHead, events: Sequence[ShownEvent | None]) -> Rows:
    """Return the rows of a capture statement; None stands for an event that was erased.

    What the log keeps and is no EPCIS event gets a row of type `unreadable` and no
    mentions, so that it is counted and found in nobody's history.
    """
    parsed = [_parse_or_none(shown) for shown in events]
    document = _document(events, parsed)
    rows = [
        _project_shown(_pin(head, position, shown, document), event)
        for position, (shown, event) in enumerate(zip(events, parsed, strict=True))
        if shown is not None
    ]
    return Rows(
        bounded((row for one in rows for row in one.events), SEARCHED),
        bounded((row for one in rows for row in one.mentions), ("key",)),
    )


def _parse_or_none(shown: ShownEvent | None) -> Event | None:
    if shown is None:
        return None
    try:
        return parse_shown(shown)
    except ParseError:
        return None


def _document(events: Sequence[ShownEvent | None], parsed: Sequence[Event | None]) -> bytes:
    for shown, event in zip(events, parsed, strict=True):
        if event is not None:
            return content_hash(event)
        if shown is not None:
            return shown.commitment[:CONTENT_BYTES]
    return bytes(CONTENT_BYTES)


def _pin(head: CaptureHead, position: int, shown: ShownEvent, document: bytes) -> Pin:
    return Pin(
        index=head.index,
        position=position,
        commitment=shown.commitment,
        iss=head.iss,
        grade=head.grade,
        record_time_us=head.record_time_us,
        document=document,
        withheld=shown.withheld,
    )


def _project_shown(pin: Pin, event: Event | None) -> Rows:
    if event is not None:
        return project_event(pin, event)
    row = EventRow(
        eid=pin.eid,
        commitment=pin.commitment,
        iss=pin.iss,
        grade=pin.grade,
        record_time_us=pin.record_time_us,
        document=pin.document,
        content=pin.commitment[:CONTENT_BYTES],
        event_time_us=pin.record_time_us,
        type=UNREADABLE,
        withheld=sum(1 << n for n in pin.withheld),
        facets=0,
    )
    return Rows((row,), ())


def mentions_of(event: Event) -> Iterator[tuple[str, str]]:
    """Yield every (key, role) that the event names, repeats included."""
    yield from _thing_mentions(event)
    yield from _sensor_mentions(event)
    yield from _keys(((event.read_point,),), READ_POINT)
    yield from _keys(((event.biz_location,),), BIZ_LOCATION)
    yield from ((key, SOURCE) for _, key in event.sources)
    yield from ((key, DESTINATION) for _, key in event.destinations)
    yield from _keys(((lot for _, lot in lots_named(event)),), LOT)


def _thing_mentions(event: Event) -> Iterator[tuple[str, str]]:
    associated = event.type == "AssociationEvent"
    yield from _keys((event.epc_list,), EPC)
    yield from _keys(((event.parent_id,),), ASSOCIATED_PARENT if associated else PARENT)
    yield from _keys((event.child_epcs,), ASSOCIATED_CHILD if associated else CHILD)
    yield from _keys((event.input_epcs,), INPUT)
    yield from _keys((event.output_epcs,), OUTPUT)
    for quantity in event.quantities:
        role = _QUANTITY_ROLES[quantity.role]
        if associated and role == CHILD_QUANTITY:
            role = ASSOCIATED_CHILD
        yield quantity.epc_class, role
    if event.parent_id is not None and empties_parent(event):
        yield event.parent_id, EMPTIED


def _sensor_mentions(event: Event) -> Iterator[tuple[str, str]]:
    if not event.sensors:
        return
    things = {key for key, _ in _thing_mentions(event)}
    yield from _keys((things,), SENSED)
    for element in event.sensors:
        devices = (element.device_id, *(report.device_id for report in element.reports))
        yield from _keys((devices,), DEVICE)
    if not things:
        yield from _keys(((event.biz_location or event.read_point,),), LOCATED)


def empties_parent(event: Event) -> bool:
    """Tell whether the event takes every child off its parent (EPCIS 2.0, 7.4.3 and 7.4.7)."""
    named = event.child_epcs or any(q.role == "child" for q in event.quantities)
    return event.type in _CONTAINING_TYPES and event.action == "DELETE" and not named


def _keys(groups: Iterable[Iterable[str | None]], role: str) -> Iterator[tuple[str, str]]:
    for group in groups:
        yield from ((key, role) for key in group if key is not None)


def _number(value: Decimal | None) -> str:
    """Return a number in its one spelling, so that 10, 10.0 and 1E1 are equal."""
    if value is None:
        return ""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
