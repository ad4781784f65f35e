"""Zebra readers: the IoT Connector of the FX series, and the RFD40 sled's dataEVT.

    {"type":"CUSTOM","timestamp":"2026-08-13T09:14:28.651+0000","data":{"format":"epc",
     "idHex":"aa0004ef55555555aa21bf43","PC":"3400","antenna":1,"peakRssi":-34}}
    {"type":"SimpleTagEvent","timestamp":1600000000000,"data":{"idHex":"E28011700001",…}}
    {"type":"BALANCED_PERFORMANCE","timestamp":"…","data":{"tagData":[{"EPCid":"…","EPC":"…"}]}}

The FX sends one such object or an array of them; the sled puts several tags into `tagData`.
The time of the envelope holds for each tag. Refused: `EPC` and `EPCid` that differ; a
`format` other than epc; heartbeats and management events, which are no reads.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping

from ingest.readers.fields import (
    cdbm,
    collect,
    parse_antenna,
    parse_hex,
    parse_object,
    parse_optional_instant,
    parse_pc,
)
from ingest.reads import Fault, Parsed, Sighting, not_a_read
from ledger.errors import ParseError

_TAG_FIELDS = ("idHex", "EPC", "EPCid")


def is_zebra(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` has the envelope that both families share."""
    return isinstance(obj.get("data"), dict) and "type" in obj


def parse_envelope(obj: Mapping[str, object], where: str) -> Parsed:
    """Return the tags of one envelope; raises `ParseError` where its time is no time."""
    data = parse_object(obj.get("data"), f"{where}.data".lstrip("."))
    kind = obj.get("type")
    tags = data.get("tagData")
    if tags is None and not any(name in data for name in (*_TAG_FIELDS, "format")):
        fault = not_a_read(f"a Zebra management event of type {kind!r:.60}", where)
        return Parsed(faults=(fault,))
    time_us = parse_optional_instant(obj.get("timestamp"), f"{where}.timestamp".lstrip("."))

    def parse_one(value: object, place: str) -> Sighting | Fault:
        return _parse_tag(parse_object(value, place), place, time_us)

    place = f"{where}.data".lstrip(".")
    if tags is None:
        return collect([(place, data)], parse_one)
    if not isinstance(tags, list):
        raise ParseError(f"{place}.tagData", "is no array")
    return collect(((f"{place}.tagData[{n}]", tag) for n, tag in enumerate(tags)), parse_one)


def _parse_tag(tag: Mapping[str, object], place: str, time_us: int | None) -> Sighting:
    form = tag.get("format", "epc")
    if form != "epc":
        raise ParseError(f"{place}.format", f"{form!r:.40} is not understood, only 'epc' is")
    spelled = {
        name: parse_hex(tag[name], f"{place}.{name}")
        for name in _TAG_FIELDS
        if tag.get(name) is not None
    }
    if not spelled:
        raise ParseError(place, "has none of idHex, EPC and EPCid")
    if len(set(spelled.values())) > 1:
        said = ", ".join(f"{name} is {value}" for name, value in spelled.items())
        raise ParseError(place, f"the spellings of the EPC disagree: {said}")
    pc = tag.get("PC")
    pc_place = f"{place}.PC"
    return Sighting(
        where=place,
        hex=next(iter(spelled.values())),
        pc=None if pc is None else parse_pc(parse_hex(pc, pc_place), pc_place),
        time_us=time_us,
        antenna=parse_antenna(tag.get("antenna"), f"{place}.antenna"),
        rssi_cdbm=cdbm(tag.get("peakRssi"), 100),
    )
