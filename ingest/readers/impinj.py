"""Impinj R700 and R510, the IoT device interface: one event, an array, or SSE lines.

    {"timestamp":"2022-09-01T12:00:00.000Z","hostname":"impinj-01-23-45",
     "eventType":"tagInventory","tagInventoryEvent":{"epc":"ftqQOAUQAnEAAsCu",
     "epcHex":"7EDA9038051002710002C0AE","pc":"NAA=","antennaPort":1,
     "peakRssiCdbm":-7000,"lastSeenTime":"2022-09-01T12:00:00.000Z"}}

`epc` is base64 and `epcHex` hex; a reader sends either or both. The time is `lastSeenTime`,
else `timestamp`. Refused: the two spellings of the EPC name different bytes; `epc` alone
which is hex as well as base64 (24 hex digits are valid base64 of 18 other bytes); other
events than tagInventory, which are no reads.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping

from ingest.readers.fields import (
    cdbm,
    first_of,
    is_hex,
    parse_antenna,
    parse_base64,
    parse_hex,
    parse_object,
    parse_optional_instant,
    parse_pc,
    parse_text,
)
from ingest.reads import Fault, Sighting, not_a_read
from ledger.errors import ParseError

_EVENT = "tagInventoryEvent"


def is_impinj(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` has the envelope of the IoT device interface."""
    return "eventType" in obj or _EVENT in obj


def parse_event(obj: Mapping[str, object], where: str) -> Sighting | Fault:
    """Return the sighting in one event, or why there is none; raises `ParseError`."""
    kind = obj.get("eventType", "tagInventory")
    if kind != "tagInventory" or (_EVENT not in obj and "eventType" not in obj):
        return not_a_read(f"an Impinj event of type {kind!r:.60}", where)
    place = f"{where}.{_EVENT}".lstrip(".")
    event = parse_object(obj.get(_EVENT), place)
    pc = event.get("pc")
    seen = first_of(event, ("lastSeenTime",)) or ("timestamp", obj.get("timestamp"))
    time_place = f"{place}.{seen[0]}" if seen[0] == "lastSeenTime" else f"{where}.timestamp"
    return Sighting(
        where=place,
        hex=_epc_hex(event, place),
        pc=None if pc is None else parse_pc(parse_base64(pc, f"{place}.pc"), f"{place}.pc"),
        time_us=parse_optional_instant(seen[1], time_place.lstrip(".")),
        antenna=parse_antenna(event.get("antennaPort"), f"{place}.antennaPort"),
        rssi_cdbm=cdbm(event.get("peakRssiCdbm"), 1),
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
