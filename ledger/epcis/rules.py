"""The rules of EPCIS 2.0 that JSON Schema does not say, or says where nobody reads it.

Two layers. `verify_structure` holds what an event must be for its meaning to exist at all
(EPCIS 2.0 section 7.4): `parse_event` raises on it. `check_event` adds what a careful
receiver tells a sender: each finding has a JSON pointer and says how to mend it, and is
**grave** where a capture refuses the event for it. What GS1's own examples do is never grave.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.epcis.values import Event
from ledger.errors import ParseError

EVENT_TYPES = (
    "ObjectEvent",
    "AggregationEvent",
    "AssociationEvent",
    "TransactionEvent",
    "TransformationEvent",
)
ACTIONS = ("ADD", "OBSERVE", "DELETE")

# The fields that say what an event is about, and which types have them.
_WHAT_OF_TYPE = {
    "ObjectEvent": {"epcList", "quantityList", "ilmd", "action"},
    "AggregationEvent": {"parentID", "childEPCs", "childQuantityList", "action"},
    "AssociationEvent": {"parentID", "childEPCs", "childQuantityList", "action"},
    "TransactionEvent": {"parentID", "epcList", "quantityList", "action"},
    "TransformationEvent": {
        "inputEPCList",
        "inputQuantityList",
        "outputEPCList",
        "outputQuantityList",
        "transformationID",
        "ilmd",
    },
}
_WHAT = tuple(sorted(set().union(*_WHAT_OF_TYPE.values())))


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule: where, what is wrong, how to mend it."""

    pointer: str
    why: str
    mend: str
    grave: bool = True


def verify_structure(event: Event, *, partial: bool = False) -> None:
    """Raise `ParseError` for the first structural rule that `event` breaks."""
    for one in check_structure(event, partial=partial):
        raise ParseError(one.pointer, f"{one.why}; {one.mend}")


def check_structure(event: Event, *, partial: bool = False) -> Iterator[Fault]:
    """Yield each structural rule that `event` breaks; what may be withheld is not missed."""
    if not event.type:
        return
    if event.type not in EVENT_TYPES:
        if ":" not in event.type:
            want = ", ".join(EVENT_TYPES)
            yield Fault("/type", f"{event.type[:40]!r} is unknown", f"want {want} or a URI")
        return
    allowed = _WHAT_OF_TYPE[event.type]
    for field in _WHAT:
        if field in event.raw and field not in allowed:
            mend = f"it has {', '.join(sorted(allowed))}"
            yield Fault(f"/{field}", f"is no field of an {event.type}", mend)
    if event.action is not None and event.action not in ACTIONS:
        yield Fault(
            "/action", f"{event.action[:20]!r} is unknown", f"want {', '.join(ACTIONS)}"
        )
    if event.type == "TransactionEvent" and not event.biz_transactions and not partial:
        yield Fault("/bizTransactionList", "is missing or empty", "name the transaction")
    is_withheld = partial and not any(field in event.raw for field in _WHAT)
    if not is_withheld:
        yield from _check_subject(event)


def _check_subject(event: Event) -> Iterator[Fault]:
    """Yield what is missing from what the event is about."""
    if event.type != "TransformationEvent" and event.action is None:
        yield Fault("/action", "is missing", f"say {', '.join(ACTIONS)}")
    match event.type:
        case "ObjectEvent":
            yield from _check_object(event)
        case "AggregationEvent" | "AssociationEvent":
            yield from _check_parent_child(event)
        case "TransformationEvent":
            yield from _check_transformation(event)
        case _:
            pass


def _check_object(event: Event) -> Iterator[Fault]:
    if not (event.epc_list or event.quantities or event.sensors or "epcList" in event.raw):
        yield Fault(
            "/epcList", "is missing", "name the things, their class, or give sensor data"
        )


def _check_parent_child(event: Event) -> Iterator[Fault]:
    is_needed = event.type == "AssociationEvent" or event.action != "OBSERVE"
    if event.parent_id is None and is_needed:
        yield Fault("/parentID", "is missing", "name the container; only OBSERVE may omit it")
    has_children = event.child_epcs or event.quantities
    if not has_children and event.action != "DELETE":
        mend = "name what is inside; only DELETE may omit it, and then means all"
        yield Fault("/childEPCs", "is missing or empty", mend)


def _check_transformation(event: Event) -> Iterator[Fault]:
    inputs = event.input_epcs or any(one.role == "input" for one in event.quantities)
    outputs = event.output_epcs or any(one.role == "output" for one in event.quantities)
    if event.transformation_id is not None and (inputs or outputs):
        return
    mend = "name it, or tie several events together by transformationID"
    if not inputs:
        yield Fault("/inputEPCList", "and inputQuantityList are missing or empty", mend)
    if not outputs:
        yield Fault("/outputEPCList", "and outputQuantityList are missing or empty", mend)
