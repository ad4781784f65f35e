"""Zebra readers: the IoT Connector of the FX series, and the RFD40 and RFD90 sleds' dataEVT.

    {"type":"CUSTOM","timestamp":"2026-08-13T09:14:28.651+0000","data":{"format":"epc",
     "idHex":"aa0004ef55555555aa21bf43","PC":"3400","antenna":1,"peakRssi":-34,"eventNum":22}}
    {"type":"SimpleTagEvent","timestamp":1600000000000,"data":{"idHex":"E28011700001",…}}
    {"type":"BALANCED_PERFORMANCE","timestamp":"…","data":{"tagData":[{"EPCid":"…","EPC":"…"}]}}
    {"type":"heartbeat","eventNum":328,"data":{"reader_gateway":{"dataPathStatistics":[
     {"numDataMessagesDropped":0,…}]},"radio_control":{"radioConnection":"connected"},…}}
    {"type":"gpi","eventNum":329,"data":{"pin":2,"state":"LOW"}}

The type of tag data is the operating mode (SIMPLE, INVENTORY, PORTAL, CONVEYOR, CUSTOM) and
decides nothing: each mode sends some of the same fields. The FX sends one such object or an
array of them; the sled puts several tags into `tagData`. The time of the envelope holds for
each tag. `reads` and `seenCount` say how often a tag was heard since the last report.

A heartbeat says what the reader dropped since it started. Errors, warnings, firmware updates
and the sleds' other events (`…EVT`) are what the reader says of itself. Tag events and
management events are numbered, each kind by itself.

Where a mode asks for the bank, `EPC` beside `idHex` is all of it, with CRC and protocol control
word, or the words of it that were asked for; `idHex` is what counts.

Refused: `EPC` and `EPCid` that differ; a `format` other than epc; events of another type;
barcodes and Bluetooth beacons, which are no tags.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from typing import Literal

from ingest.readers.fields import (
    cdbm,
    collect,
    count_of,
    count_unknown,
    kind_of,
    loose_instant,
    parse_antenna,
    parse_hex,
    parse_object,
    parse_optional_ns,
    parse_pc,
)
from ingest.reads import Item, Parsed, PortChange, Sighting, Vital, not_a_read
from ledger.errors import ParseError

MANAGEMENT = "management"
KNOWN = frozenset(
    """idHex EPC EPCid PC CRC XPC TID USER MAC antenna antennaName channel peakRssi phase reads
    seenCount eventNum format accessResults hostName userDefined""".split()  # noqa: SIM905  # one word a line is longer
)
KNOWN_AROUND = frozenset({"type", "timestamp", "data"})
SEEN_MAX = 1_000_000

_ID_FIELDS = ("idHex", "EPCid")
_TAG_FIELDS = (*_ID_FIELDS, "EPC")
_EPC_AT = 8  # digits: in its bank the EPC follows the CRC and the protocol control word
_BANK_SHOWN = 200
_NO_TAGS = ("barcodeData", "beaconType")
_HEARTBEATS = {"heartbeat", "heartBeatEVT", "heartbeatEVT"}
_OWN_EVENTS = (
    *("gpi", "gpo", "firmwareUpdateProgress", "userapp", "userapp_event", "mqttConnEVT"),
    *("batteryEVT", "barcodeEVT", "statusEVT", "exceptionEVT"),
)
_TROUBLES = {"error", "warning", "alert", "alerts", "alertEVT"}


def is_zebra(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` has the envelope that both families share."""
    return isinstance(obj.get("data"), dict) and "type" in obj


def parse_envelope(obj: Mapping[str, object], where: str) -> Parsed:
    """Return the tags of one envelope; raises `ParseError` where its time is no time."""
    data = parse_object(obj.get("data"), f"{where}.data".lstrip("."))
    tags = data.get("tagData")
    if tags is None and not any(name in data for name in (*_TAG_FIELDS, "format")):
        return _parse_event(obj, data, where)
    time = parse_optional_ns(obj.get("timestamp"), f"{where}.timestamp".lstrip("."))

    def parse_one(value: object, place: str) -> Sighting:
        return _parse_tag(parse_object(value, place), place, time)

    place = f"{where}.data".lstrip(".")
    if tags is None:
        unknown = count_unknown(data, KNOWN) + count_unknown(obj, KNOWN_AROUND)
        return Parsed(items=(_parse_tag(data, place, time),), unknown=unknown)
    if not isinstance(tags, list):
        raise ParseError(f"{place}.tagData", "is no array")
    found = collect(((f"{place}.tagData[{n}]", tag) for n, tag in enumerate(tags)), parse_one)
    unknown = sum(count_unknown(tag, KNOWN) for tag in tags if isinstance(tag, dict))
    return Parsed(items=found.items, faults=found.faults, unknown=unknown)


def _parse_tag(tag: Mapping[str, object], place: str, time: tuple[int | None, int]) -> Sighting:
    form = tag.get("format", "epc")
    if form != "epc":
        raise ParseError(f"{place}.format", f"{form!r:.40} is not understood, only 'epc' is")
    pc = tag.get("PC")
    pc_place = f"{place}.PC"
    return Sighting(
        where=place,
        hex=_epc_hex(tag, place),
        pc=None if pc is None else parse_pc(parse_hex(pc, pc_place), pc_place),
        time_us=time[0],
        ns=time[1],
        antenna=parse_antenna(tag.get("antenna"), f"{place}.antenna"),
        rssi_cdbm=cdbm(tag.get("peakRssi"), 100),
        seen=_seen(tag),
        number=count_of(tag.get("eventNum")),
    )


def _epc_hex(tag: Mapping[str, object], place: str) -> str:
    """Return the EPC in hex; `EPC` beside another name may be the bank it is in, or a part."""
    spelled = {
        name: parse_hex(tag[name], f"{place}.{name}")
        for name in _ID_FIELDS
        if tag.get(name) is not None
    }
    bank = tag.get("EPC")
    if bank is not None:
        epc = next(iter(spelled.values()), None)
        if epc is None or not isinstance(bank, str) or len(bank) == len(epc):
            spelled["EPC"] = parse_hex(bank, f"{place}.EPC")
        elif len(bank) > len(epc) and bank.upper()[_EPC_AT : _EPC_AT + len(epc)] != epc:
            spelled["EPC"] = bank[:_BANK_SHOWN]
    if not spelled:
        raise ParseError(place, "has none of idHex, EPC and EPCid")
    if len(set(spelled.values())) > 1:
        said = ", ".join(f"{name} is {value}" for name, value in spelled.items())
        raise ParseError(place, f"the spellings of the EPC disagree: {said}")
    return next(iter(spelled.values()))


def _seen(tag: Mapping[str, object]) -> int:
    """Return how often the tag was heard; a strange count does not cost the read."""
    count = count_of(tag.get("reads", tag.get("seenCount")))
    return 1 if count is None else min(max(count, 1), SEEN_MAX)


def _parse_event(obj: Mapping[str, object], data: Mapping[str, object], where: str) -> Parsed:
    """Return what the reader says of itself, or of one of its inputs."""
    kind = obj.get("type")
    if any(name in data for name in _NO_TAGS) or kind == "BLE_DATA":
        return Parsed(faults=(not_a_read("barcodes or Bluetooth beacons", where),))
    if not isinstance(kind, str) or not kind:
        raise ParseError(f"{where}.type".lstrip("."), f"is {kind_of(kind)}, want a text")
    if kind not in _HEARTBEATS | _TROUBLES and kind not in _OWN_EVENTS:
        why = f"an event of type {kind!r:.60}, which is not known and may be of a tag"
        raise ParseError(where, why)
    time_us = loose_instant(obj.get("timestamp"))
    items: list[Item] = []
    number = count_of(obj.get("eventNum"))
    if number is not None:
        items.append(Vital(reader=MANAGEMENT, number=number, why=kind))
    if kind == "gpi":
        items.append(_parse_input(data, f"{where}.data".lstrip("."), time_us))
    else:
        said = data.get("message")
        items.append(
            Vital(
                time_us=time_us,
                is_heartbeat=kind in _HEARTBEATS,
                state=_state(kind, data),
                dropped=_dropped(data.get("reader_gateway")),
                why=f"{kind:.60}: {said:.160}" if isinstance(said, str) else f"{kind:.60}",
            )
        )
    return Parsed(items=tuple(items))


def _parse_input(data: Mapping[str, object], place: str, time_us: int | None) -> PortChange:
    port, state = parse_antenna(data.get("pin"), f"{place}.pin"), data.get("state")
    if port is None or state not in ("HIGH", "LOW"):
        raise ParseError(place, "has no pin, or no state HIGH or LOW")
    return PortChange(port=port, is_high=state == "HIGH", time_us=time_us)


def _state(kind: str, data: Mapping[str, object]) -> Literal["online", "degraded"] | None:
    if kind in _TROUBLES:
        return "degraded"
    radio = data.get("radio_control")
    if kind in _HEARTBEATS and isinstance(radio, dict):
        connected = radio.get("radioConnection", "connected") == "connected"
        return "online" if connected else "degraded"
    return None


def _dropped(gateway: object) -> int | None:
    """Return how many data messages the reader dropped, over all of its data paths."""
    if not isinstance(gateway, dict):
        return None
    paths = gateway.get("dataPathStatistics")
    if not isinstance(paths, list):
        paths = [gateway]
    found = [
        count_of(one.get("numDataMessagesDropped")) for one in paths if isinstance(one, dict)
    ]
    counts = [one for one in found if one is not None]
    return sum(counts) if counts else None
