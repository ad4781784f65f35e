"""Impinj R700 and R510, the IoT device interface: one event, an array, or SSE lines.

    {"timestamp":"2022-09-01T12:00:00.000Z","hostname":"impinj-01-23-45",
     "eventType":"tagInventory","tagInventoryEvent":{"epc":"ftqQOAUQAnEAAsCu",
     "epcHex":"7EDA9038051002710002C0AE","pc":"NAA=","antennaPort":1,
     "peakRssiCdbm":-7000,"lastSeenTime":"2022-09-01T12:00:00.000Z"}}

`epc` is base64 and `epcHex` hex; a reader sends either or both. The time is `lastSeenTime`,
else `timestamp`. `gpiTransition` is an input that changed. Other events (`inventoryStatus`,
`diagnostic`, `overflow`, …; with SmartReader on the reader also `heartbeat`, `disconnected`)
are what the reader says of itself.

Refused: the two spellings of the EPC name different bytes; `epc` alone which is hex as well as
base64 (24 hex digits are valid base64 of 18 other bytes); events of another type.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from typing import Literal

from ingest.readers.fields import (
    cdbm,
    count_unknown,
    is_hex,
    loose_instant,
    parse_antenna,
    parse_base64,
    parse_hex,
    parse_object,
    parse_optional_ns,
    parse_pc,
    parse_text,
)
from ingest.reads import Item, Parsed, PortChange, Sighting, Vital
from ledger.errors import ParseError

KNOWN = frozenset(
    """epc epcHex tid tidHex pc xpc xpcHex antennaPort antennaName peakRssiCdbm frequency
    transmitPowerCdbm lastSeenTime firstSeenTime phaseAngle runId tagAuthenticationResponse
    tagMemoryReads tagSeenCount""".split()  # noqa: SIM905  # one word a line is longer
)
KNOWN_AROUND = frozenset({"timestamp", "hostname", "eventType", "tagInventoryEvent", "eventId"})

_EVENT = "tagInventoryEvent"
_OWN_EVENTS = (
    *("inventoryStatus", "inventoryTermination", "diagnostic", "overflow", "antennaStatus"),
    *("heartbeat", "status", "connected", "disconnected", "keepalive"),
)
_STATES: dict[str, Literal["online", "degraded", "offline"]] = {
    "running": "online",
    "armed": "online",
    "connected": "online",
    "overflow": "degraded",
    "disconnected": "offline",
}


def is_impinj(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` has the envelope of the IoT device interface."""
    return "eventType" in obj or _EVENT in obj


def parse_event(obj: Mapping[str, object], where: str) -> Parsed | Item:
    """Return what one event says; raises `ParseError`."""
    kind = parse_text(obj.get("eventType", "tagInventory"), f"{where}.eventType".lstrip("."))
    if kind != "tagInventory":
        return _parse_other(obj, kind, where)
    place = f"{where}.{_EVENT}".lstrip(".")
    event = parse_object(obj.get(_EVENT), place)
    pc = event.get("pc")
    seen = ("lastSeenTime", event.get("lastSeenTime"))
    if seen[1] in (None, ""):
        seen = ("timestamp", obj.get("timestamp"))
    time_place = f"{place}.{seen[0]}" if seen[0] == "lastSeenTime" else f"{where}.timestamp"
    time_us, ns = parse_optional_ns(seen[1], time_place.lstrip("."))
    sighting = Sighting(
        where=place,
        hex=_epc_hex(event, place),
        pc=None if pc is None else parse_pc(parse_base64(pc, f"{place}.pc"), f"{place}.pc"),
        time_us=time_us,
        ns=ns,
        antenna=parse_antenna(event.get("antennaPort"), f"{place}.antennaPort"),
        rssi_cdbm=cdbm(event.get("peakRssiCdbm"), 1),
        source=_hostname(obj),
    )
    unknown = count_unknown(event, KNOWN) + count_unknown(obj, KNOWN_AROUND)
    return Parsed(items=(sighting,), unknown=unknown) if unknown else sighting


def _hostname(obj: Mapping[str, object]) -> str:
    name = obj.get("hostname")
    return name if isinstance(name, str) else ""


def _parse_other(obj: Mapping[str, object], kind: str, where: str) -> Item:
    """Return an input that changed, or what the reader says of itself."""
    place = f"{where}.{kind}Event".lstrip(".")
    event = obj.get(f"{kind}Event")
    time_us = loose_instant(obj.get("timestamp"))
    if kind == "gpiTransition":
        change = parse_object(event, place)
        port = parse_antenna(change.get("gpi"), f"{place}.gpi")
        way = change.get("transition")
        if port is None or way not in ("low-to-high", "high-to-low"):
            raise ParseError(place, "has no gpi, or no transition low-to-high or high-to-low")
        return PortChange(
            port=port, is_high=way == "low-to-high", time_us=time_us, source=_hostname(obj)
        )
    if kind not in _OWN_EVENTS or _EVENT in obj:
        raise ParseError(place, "is of no type that is known, and may be of a tag")
    status = event.get(kind) if isinstance(event, dict) else None
    said = status if isinstance(status, str) else kind
    return Vital(
        reader=_hostname(obj) or None,
        time_us=time_us,
        is_heartbeat=kind == "heartbeat",
        state=_STATES.get(said),
        why=kind if said == kind else f"{kind}: {said[:80]}",
    )


def _epc_hex(event: Mapping[str, object], place: str) -> str:
    """Return the EPC bank in hex from its one or two spellings."""
    in_hex, in_base64 = event.get("epcHex"), event.get("epc")
    if in_hex is None and in_base64 is None:
        raise ParseError(place, "has neither epc nor epcHex; switch one on in the reader")
    if in_hex is None:
        text = parse_text(in_base64, f"{place}.epc")
        if is_hex(text) and len(text) % 4 == 0:
            raise ParseError(
                f"{place}.epc",
                f"{text[:80]!r} is hex as well as base64, without epcHex nobody can tell which",
            )
        return parse_base64(text, f"{place}.epc")
    epc_hex = parse_hex(in_hex, f"{place}.epcHex")
    if in_base64 is not None:
        other = parse_base64(in_base64, f"{place}.epc")
        if other != epc_hex:
            raise ParseError(
                place, f"epc and epcHex disagree: epc is {other}, epcHex {epc_hex}"
            )
    return epc_hex
