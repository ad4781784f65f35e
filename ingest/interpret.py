"""From a pass, a line message or samples to EPCIS 2.0 events, as the capture plan says.

Each event is one JSON object of EPCIS 2.0 with bare CBV words; identity and evidence are
added by `ingest.drafts`. `eventTime` is that of the last read of a pass, of a line message,
of the end of a batch, of the last sample.

What does not add up to an event (no parent, two parents, no batch) is said as an
`Unresolved`, with the EPCs it is about; nothing is guessed.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ingest.drafts import Event, Unresolved
from ingest.packing import Packed
from ingest.plan import (
    AggregationEmit,
    ObjectEmit,
    SensorRule,
    Station,
    TransactionEmit,
    TransformationEmit,
    When,
    Why,
)
from ingest.reads import ContainerEmptied, LotMade, Quantity
from ingest.smoothing import Pass
from ledger.epcis.event import format_time
from ledger.errors import ParseError
from ledger.gs1.epc import matches_pattern

LOT_NUMBER = "cbvmda:lotNumber"
OUTPUTS_PER_EVENT_MAX = 1_000
# The names of a sample's values, with EPCIS's type and the UN/ECE unit they are in.
QUANTITIES = {
    "temperature": ("Temperature", "CEL"),
    "humidity": ("RelativeHumidity", "P1"),
    "pressure": ("Pressure", "PAL"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchMade:
    """A batch that is over: what went in, what came out, in which order and when."""

    batch: str
    transformation_id: str | None
    inputs: tuple[Quantity, ...]
    lot: str | None
    start_us: int
    end_us: int
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a pass stands among others: which way it went, and what was there before it.

    `way` is None where nobody knows, `before` holds the tags of the pass before.
    """

    way: Literal["in", "out"] | None = None
    before: frozenset[str] = frozenset()


def interpret_pass(
    station: Station, one: Pass, course: Course
) -> tuple[list[Event], list[Unresolved]]:
    """Return the events of a pass in the order of the plan, and what did not add up.

    A station's transformation is not made here: it ends with its batch.
    """
    epcs = [epc for epc, _ in one.tags]
    events: list[Event] = []
    unresolved: list[Unresolved] = []
    unknown_way = False
    for emit in station.emits:
        if isinstance(emit, TransformationEmit) or getattr(emit, "packing", None) is not None:
            continue  # made by batches, and by `packed_events`
        if emit.when.way is not None and emit.when.way != course.way:
            unknown_way = unknown_way or course.way is None
            continue
        told = _report(emit.when, epcs, course)
        try:
            match emit:
                case ObjectEmit():
                    events += _object_event(station, emit, one, told)
                case TransactionEmit():
                    events += _transaction_event(station, emit, one, told)
                case AggregationEmit():
                    events += _aggregation_events(station, emit, one, told)
        except ParseError as error:
            unresolved.append(unresolved_pass(station, one, f"{error.where} {error.why}", told))
    if unknown_way and epcs:
        why = "the antennas do not tell which way it went"
        unresolved.append(unresolved_pass(station, one, why, epcs))
    return events, unresolved


def _report(when: When, epcs: list[str], course: Course) -> list[str]:
    """Return the tags that a report is about, after GS1 ALE 1.1 section 5.7."""
    match when.report:
        case "current":
            return epcs
        case "additions":
            return [epc for epc in epcs if epc not in course.before]
        case "deletions":
            return sorted(course.before.difference(epcs))


def packed_events(
    station: Station, emit: AggregationEmit, packed: Iterable[Packed]
) -> list[Event]:
    """Return the aggregations of cases that were packed one after the other."""
    return [
        _event(emit.type, station, one.at_us, emit.why)
        | {"action": emit.action, "parentID": one.parent, "childEPCs": one.children}
        for one in packed
    ]


def unresolved_pass(station: Station, one: Pass, why: str, epcs: Sequence[str]) -> Unresolved:
    """Return the record that the pass `one` does not add up, because of `why`."""
    return Unresolved(
        place=station.name,
        first_us=one.first_us,
        last_us=one.last_us,
        why=why,
        epcs=tuple(epcs),
    )


def interpret_lot(station: Station, made: LotMade) -> list[Event]:
    """Return the lot's commissioning, and its loading where it went into a container."""
    lot = _quantity(made.lot)
    why = Why(biz_step="commissioning", disposition="active")
    born = _event("ObjectEvent", station, made.time_us, why)
    born |= {"action": "ADD", "quantityList": [lot]}
    if made.into is None:
        return [born]
    loaded = _event("AggregationEvent", station, made.time_us, Why(biz_step="loading"))
    loaded |= {"action": "ADD", "parentID": made.into, "childQuantityList": [lot]}
    return [born, loaded]


def interpret_emptied(station: Station, emptied: ContainerEmptied) -> list[Event]:
    """Return the unloading of all that was in a container."""
    event = _event("AggregationEvent", station, emptied.time_us, Why(biz_step="unloading"))
    return [event | {"action": "DELETE", "parentID": emptied.container}]


def interpret_batch(station: Station, made: BatchMade) -> list[Event]:
    """Return the transformation of a batch; one of many outputs is split, inputs said once.

    The events of a split batch share their transformationID.
    """
    emit = station.transformation
    assert emit is not None
    at_most = OUTPUTS_PER_EVENT_MAX if made.transformation_id else max(len(made.outputs), 1)
    ilmd = dict(emit.ilmd)
    if made.lot is not None:
        ilmd[LOT_NUMBER] = made.lot
    events = []
    for start in range(0, max(len(made.outputs), 1), at_most):
        event = _event("TransformationEvent", station, made.end_us, emit.why)
        outputs = made.outputs[start : start + at_most]
        if start == 0 and made.inputs:
            event["inputQuantityList"] = [_quantity(one) for one in made.inputs]
        if outputs:
            event["outputEPCList"] = list(outputs)
        if made.transformation_id is not None:
            event["transformationID"] = made.transformation_id
        if ilmd:
            event["ilmd"] = ilmd
        events.append(event)
    return events


def interpret_samples(
    rule: SensorRule, samples: Iterable[tuple[int, Mapping[str, float]]]
) -> Event:
    """Return the sensor event of `samples`, each an instant and quantities by name."""
    in_order = sorted(samples, key=lambda sample: sample[0])
    elements = [
        {
            "sensorMetadata": {"time": format_time(at), "deviceID": rule.device_uri},
            "sensorReport": [
                {"type": QUANTITIES[name][0], "value": value, "uom": QUANTITIES[name][1]}
                for name, value in values.items()
            ],
        }
        for at, values in in_order
    ]
    event: Event = {
        "type": "ObjectEvent",
        "eventTime": format_time(in_order[-1][0]),
        "eventTimeZoneOffset": rule.timezone,
        "action": "OBSERVE",
        "bizStep": rule.biz_step,
        "epcList": [] if rule.asset is None else [rule.asset],
        "sensorElementList": elements,
    }
    if rule.asset is None:
        del event["epcList"]
    if rule.place is not None:
        event["readPoint"] = {"id": rule.place}
    return event


def select_quantities(
    rule: SensorRule, values: Iterable[tuple[str, float]]
) -> dict[str, float]:
    """Return the values of a sample that are quantities, by the plan's names for them."""
    if rule.values:
        return {rule.values[name]: value for name, value in values if name in rule.values}
    return {name: value for name, value in values if name in QUANTITIES}


def match_any(patterns: Sequence[str], epcs: Iterable[str]) -> list[str]:
    """Return those of `epcs` that one of `patterns` takes, in order."""
    return [epc for epc in epcs if any(matches_pattern(one, epc) for one in patterns)]


def _event(kind: str, station: Station, at_us: int, why: Why) -> Event:
    event: Event = {
        "type": kind,
        "eventTime": format_time(at_us),
        "eventTimeZoneOffset": station.timezone,
        "readPoint": {"id": station.read_point},
    }
    if station.biz_location is not None:
        event["bizLocation"] = {"id": station.biz_location}
    if why.biz_step is not None:
        event["bizStep"] = why.biz_step
    if why.disposition is not None:
        event["disposition"] = why.disposition
    if why.transactions:
        event["bizTransactionList"] = [
            {"bizTransaction": name} if kind is None else {"type": kind, "bizTransaction": name}
            for kind, name in why.transactions
        ]
    if why.sources:
        event["sourceList"] = [{"type": kind, "source": name} for kind, name in why.sources]
    if why.destinations:
        event["destinationList"] = [
            {"type": kind, "destination": name} for kind, name in why.destinations
        ]
    return event


def _object_event(
    station: Station, emit: ObjectEmit, one: Pass, epcs: list[str]
) -> list[Event]:
    found = match_any(emit.epcs, epcs)
    if not found:
        return []
    event = _event("ObjectEvent", station, one.last_us, emit.why)
    event |= {"action": emit.action, "epcList": found}
    if emit.ilmd:
        event["ilmd"] = dict(emit.ilmd)
    return [event]


def _transaction_event(
    station: Station, emit: TransactionEmit, one: Pass, epcs: list[str]
) -> list[Event]:
    found = match_any(emit.epcs, epcs)
    if not found:
        return []
    event = _event("TransactionEvent", station, one.last_us, emit.why)
    return [event | {"action": emit.action, "epcList": found}]


def _aggregation_events(
    station: Station, emit: AggregationEmit, one: Pass, epcs: list[str]
) -> list[Event]:
    """Return the aggregation of a pass; raises `ParseError` where it does not add up."""
    parents = match_any(emit.parent, epcs)
    children: list[str] | None = None
    if emit.children is not None:
        children = [epc for epc in match_any(emit.children, epcs) if epc not in parents]
    if not parents and not children and (children is not None or not epcs):
        return []
    where = f"{emit.type} {emit.action}:"
    if not parents:
        raise ParseError(where, "no tag of the pass is a parent")
    if children is not None and not children:
        raise ParseError(where, f"the parent {parents[0]} passed without a child")
    if len(parents) > 1 and (emit.action != "DELETE" or children is not None):
        raise ParseError(where, f"{len(parents)} tags of the pass are parents, want one")
    events = []
    for parent in parents:
        event = _event(emit.type, station, one.last_us, emit.why)
        event |= {"action": emit.action, "parentID": parent}
        if children is not None:
            event["childEPCs"] = children
        events.append(event)
    return events


def _quantity(one: Quantity) -> Event:
    said: Event = {"epcClass": one.epc_class}
    if one.quantity is not None:
        said["quantity"] = _number(one.quantity)
    if one.uom is not None:
        said["uom"] = one.uom
    return said


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
