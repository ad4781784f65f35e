"""Shapes that many readers and bridges share: objects and lists that name an EPC plainly.

    {"epc":"E28011606000020934D6FAF7","rssi":-61,"antennaPort":3,"timestamp":1600000000}
    {"deviceId":"…","reads":[{"epc":"AAAA","rssi":-50},{"tag":"BBBB"}]}
    {"reader_name":"…","tag_reads":[{"epc":"…","firstSeenTimestamp":"…","isHeartBeat":false}]}
    ["AAAA","BBBB",{"epc":"CCCC"}]
    {"device":"C8:25:2D:8E:9C:2C","time":"…","temperature":4.2}          a sensor

An EPC is hex of whole bytes, or an EPC URI or Digital Link; anything else is refused and not
guessed at. Where several fields name the EPC they must agree. An object in a list that says
no time takes that of the object around it.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping

from ingest.readers.fields import (
    cdbm,
    collect,
    first_of,
    parse_antenna,
    parse_hex,
    parse_instant,
    parse_number,
    parse_text,
)
from ingest.reads import Fault, Parsed, Sample, Sighting, not_a_read
from ledger.errors import ParseError

EPC_FIELDS = ("epc", "epcHex", "epc_hex", "EPC", "EPCid", "idHex", "tag")
LIST_FIELDS = ("reads", "tag_reads", "tagReads", "tags", "tagData")
TIME_FIELDS = (
    "timestamp",
    "time",
    "ts",
    "lastSeenTimestamp",
    "lastSeenTime",
    "firstSeenTimestamp",
    "firstSeenTime",
)
ANTENNA_FIELDS = ("antenna", "antennaPort", "antenna_port", "port")
SENSOR_FIELDS = ("temperature", "humidity", "pressure")
DEVICE_FIELDS = ("device", "deviceId", "device_id", "sensor")

_URI_STARTS = ("urn:", "http://", "https://")
_KEYS_SHOWN = 6


def is_sensor(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is a plain sensor's: a device and a quantity, and no tag."""
    names = obj.keys()
    return (
        not names.isdisjoint(SENSOR_FIELDS)
        and not names.isdisjoint(DEVICE_FIELDS)
        and names.isdisjoint((*EPC_FIELDS, *LIST_FIELDS))
    )


def parse_sample(obj: Mapping[str, object], where: str) -> Sample:
    """Return a plain sensor's sample; raises `ParseError`."""
    at = f"{where}.".lstrip(".")
    device = first_of(obj, DEVICE_FIELDS) or ("device", None)
    time = first_of(obj, TIME_FIELDS)
    values = [
        (name, parse_number(obj[name], f"{at}{name}"))
        for name in SENSOR_FIELDS
        if obj.get(name) is not None
    ]
    return Sample(
        devices=(parse_text(device[1], f"{at}{device[0]}"),),
        time_us=None if time is None else parse_instant(time[1], f"{at}{time[0]}"),
        values=tuple(values),
    )


def parse_object_of_reads(obj: Mapping[str, object], where: str) -> Parsed:
    """Return the tags that one object names; raises `ParseError` where its time is no time."""
    found = first_of(obj, LIST_FIELDS)
    if found is None:
        return collect([(where, obj)], lambda one, place: parse_element(one, place, None))
    name, elements = found
    place = f"{where}.{name}".lstrip(".")
    if not isinstance(elements, list):
        raise ParseError(place, "is no array")
    if not elements:
        return Parsed(faults=(not_a_read("a report of no tags", place),))
    time = first_of(obj, TIME_FIELDS)
    around_us = None
    if time is not None:
        around_us = parse_instant(time[1], f"{where}.{time[0]}".lstrip("."))
    return collect(
        ((f"{place}[{n}]", element) for n, element in enumerate(elements)),
        lambda one, at: parse_element(one, at, around_us),
    )


def parse_element(element: object, where: str, around_us: int | None) -> Sighting | Fault:
    """Return the tag that a text or an object names; raises `ParseError`."""
    if isinstance(element, str):
        return _sighting_of_text(element, where, around_us)
    if not isinstance(element, dict):
        raise ParseError(where, "is neither an object nor a text that names a tag")
    if element.get("isHeartBeat") is True:
        return not_a_read("a heartbeat", where)
    at = f"{where}.".lstrip(".")
    spelled = {
        name: _spelling(element[name], f"{at}{name}")
        for name in EPC_FIELDS
        if element.get(name) is not None
    }
    if not spelled:
        shown = ", ".join(sorted(map(repr, element))[:_KEYS_SHOWN])
        return not_a_read(f"no field names a tag; the fields are {shown:.200}", where)
    if len(set(spelled.values())) > 1:
        said = ", ".join(f"{name} is {text}" for name, (text, _) in spelled.items())
        raise ParseError(where, f"the spellings of the EPC disagree: {said}")
    text, is_uri = next(iter(spelled.values()))
    time = first_of(element, TIME_FIELDS)
    antenna = first_of(element, ANTENNA_FIELDS) or ("antenna", None)
    return Sighting(
        where=where,
        hex=None if is_uri else text,
        uri=text if is_uri else None,
        time_us=around_us if time is None else parse_instant(time[1], f"{at}{time[0]}"),
        antenna=parse_antenna(antenna[1], f"{at}{antenna[0]}"),
        rssi_cdbm=_strength(element),
    )


def _sighting_of_text(text: str, where: str, around_us: int | None) -> Sighting:
    spelled, is_uri = _spelling(text, where)
    return Sighting(
        where=where,
        hex=None if is_uri else spelled,
        uri=spelled if is_uri else None,
        time_us=around_us,
    )


def _spelling(value: object, where: str) -> tuple[str, bool]:
    """Return the EPC as hex or URI, and whether it is a URI."""
    text = parse_text(value, where)
    if text.startswith(_URI_STARTS):
        return text, True
    return parse_hex(text, where), False


def _strength(element: Mapping[str, object]) -> int | None:
    in_hundredths = element.get("peakRssiCdbm")
    if in_hundredths is not None:
        return cdbm(in_hundredths, 1)
    found = first_of(element, ("rssi", "peakRssi"))
    return None if found is None else cdbm(found[1], 100)
