"""LLRP on MQTT: bridges that write each message of an LLRP reader as JSON.

    {"reader":"dock-1","message":"RO_ACCESS_REPORT","TagReportData":[
      {"EPC-96":"3034257bf400b7800004cb2f","AntennaID":1,"PeakRSSI":-53,"C1G2PC":12288,
       "FirstSeenTimestampUTC":1772431200000000,"LastSeenTimestampUTC":1772431200950000,
       "TagSeenCount":7}]}

The names are those of LLRP 1.1 section 14.2.3; bridges differ in the wrapping, so that each of
these is taken: `EPC-96`, `EPC_96`, `EPC96`, `EPCData` or `EPC`, as a text or as an object that
holds `EPC`; a number alone, in an object or an array of one; the whole in an object called
`RO_ACCESS_REPORT`. Times are microseconds since 1970, UTC: LLRP knows no other unit, so that
none is guessed from the size. A reader without UTC sends `…Uptime`, which is no time of day:
the time of receipt stands in.

`READER_EVENT_NOTIFICATION` and `KEEPALIVE` are vitals: connection, antenna, buffer overflow
(reports were lost, nobody knows how many), and `GPIEvent`, an input that changed.

Refused: an EPC whose bits are fewer than its digits say, times that are no whole numbers.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from typing import Literal

from ingest.readers.fields import (
    PC_MAX,
    cdbm,
    check_instant,
    collect,
    first_of,
    kind_of,
    parse_antenna,
    parse_hex,
    parse_object,
    parse_pc,
    parse_text,
)
from ingest.reads import Item, Parsed, PortChange, Sighting, Vital, not_a_read
from ledger.errors import ParseError

REPORT, EVENT, KEEPALIVE = "RO_ACCESS_REPORT", "READER_EVENT_NOTIFICATION", "KEEPALIVE"
TAG_REPORT = "TagReportData"
EPC_FIELDS = ("EPC-96", "EPC_96", "EPC96", "EPCData", "EPC")
TIME_FIELDS = ("LastSeenTimestampUTC", "FirstSeenTimestampUTC")
READER_FIELDS = ("reader", "reader_name", "readerName", "hostname", "host")
SEEN_MAX = 0xFFFF  # TagSeenCount has 16 bits

_KINDS = {REPORT, EVENT, KEEPALIVE}
_MESSAGE_FIELDS = ("message", "type", "msg")
_EVENT_DATA = "ReaderEventNotificationData"
_DIGIT_BITS = 4
_STATES: dict[str, Literal["online", "degraded", "offline"]] = {
    "ConnectionCloseEvent": "offline",
    "ReaderExceptionEvent": "degraded",
    "ReportBufferOverflowErrorEvent": "degraded",
}


def is_llrp(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is an LLRP message that a bridge wrote as JSON."""
    return TAG_REPORT in obj or _kind(obj) is not None


def parse_message(obj: Mapping[str, object], where: str) -> Parsed:
    """Return the tags, events or heartbeat of one LLRP message; raises `ParseError`."""
    at = f"{where}.".lstrip(".")
    source = _source(obj)
    kind = _kind(obj) or REPORT
    inner = obj.get(kind)
    if isinstance(inner, dict):
        at, obj = f"{at}{kind}.", inner
    if kind == KEEPALIVE:
        return Parsed(items=(Vital(reader=source or None, is_heartbeat=True, why=kind),))
    if kind == EVENT:
        return _parse_events(obj, at, source)
    reports = obj.get(TAG_REPORT)
    place = f"{at}{TAG_REPORT}"
    if isinstance(reports, dict):
        reports = [reports]
    if not isinstance(reports, list):
        raise ParseError(place, f"is {kind_of(reports)}, want an array")
    if not reports:
        return Parsed(faults=(not_a_read("a report of no tags", place),))
    return collect(
        ((f"{place}[{n}]", one) for n, one in enumerate(reports)),
        lambda one, one_place: _parse_report(parse_object(one, one_place), one_place, source),
    )


def _kind(obj: Mapping[str, object]) -> str | None:
    for name in _KINDS:
        if isinstance(obj.get(name), dict):
            return name
    found = first_of(obj, _MESSAGE_FIELDS)
    kind = None if found is None else found[1]
    return kind if isinstance(kind, str) and kind in _KINDS else None


def _source(obj: Mapping[str, object]) -> str:
    found = first_of(obj, READER_FIELDS)
    return found[1] if found is not None and isinstance(found[1], str) else ""


def _parse_report(report: Mapping[str, object], place: str, source: str) -> Sighting:
    times = [_micros(report, name, place) for name in TIME_FIELDS]
    last_us, first_us = times
    seen = _number(report, "TagSeenCount", place)
    antenna = _unwrap(report.get("AntennaID"))
    return Sighting(
        where=place,
        hex=_epc_hex(report, place),
        pc=_pc(report, place),
        time_us=first_us if last_us is None else last_us,
        since_us=first_us,
        antenna=parse_antenna(antenna, f"{place}.AntennaID"),
        rssi_cdbm=cdbm(_unwrap(report.get("PeakRSSI")), 100),
        seen=1 if seen is None else min(max(seen, 1), SEEN_MAX),
        source=source,
    )


def _epc_hex(report: Mapping[str, object], place: str) -> str:
    found = first_of(report, EPC_FIELDS)
    if found is None:
        raise ParseError(place, f"has none of {', '.join(EPC_FIELDS)}")
    name, value = found
    bits = None
    if isinstance(value, dict):
        bits = value.get("EPCLengthBits", value.get("EPCBits"))
        value = _unwrap(value.get("EPC", value.get("Data")))
    text = parse_hex(value, f"{place}.{name}")
    if isinstance(bits, int) and bits > _DIGIT_BITS * len(text):
        raise ParseError(
            f"{place}.{name}", f"has {_DIGIT_BITS * len(text)} bits, EPCLengthBits says {bits}"
        )
    return text


def _pc(report: Mapping[str, object], place: str) -> int | None:
    value = _unwrap(report.get("C1G2PC"))
    if value is None:
        return None
    where = f"{place}.C1G2PC"
    if isinstance(value, str):
        return parse_pc(parse_hex(value, where), where)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= PC_MAX:
        raise ParseError(where, f"{value!r:.40} is no protocol control word of 16 bits")
    return value


def _micros(report: Mapping[str, object], name: str, place: str) -> int | None:
    number = _number(report, name, place)
    return None if number is None else check_instant(number, number, f"{place}.{name}")


def _number(report: Mapping[str, object], name: str, place: str) -> int | None:
    """Return a whole number, written as one or in decimal digits; raises `ParseError`."""
    value = _unwrap(report.get(name))
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:  # noqa: PLR2004  # a 64-bit number
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParseError(f"{place}.{name}", f"is {kind_of(value)}, want a whole number")
    return value


def _unwrap(value: object) -> object:
    """Return what an object or an array of one element holds, anything else as it is."""
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value.values()))
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def _parse_events(obj: Mapping[str, object], at: str, source: str) -> Parsed:
    data = obj
    if isinstance(obj.get(_EVENT_DATA), dict):
        at, data = f"{at}{_EVENT_DATA}.", parse_object(obj[_EVENT_DATA], _EVENT_DATA)
    time_us = _micros(data, "UTCTimestamp", at.rstrip("."))
    items: list[Item] = []
    for name, value in data.items():
        if name == "GPIEvent":
            items.append(_parse_input(value, f"{at}{name}", (source, time_us)))
        elif name.endswith(("Event", "Warning")):
            said = parse_text(name, at)
            state = _STATES.get(said)
            items.append(Vital(reader=source or None, time_us=time_us, state=state, why=said))
    if not items:
        return Parsed(faults=(not_a_read("an LLRP notification of no event", at.rstrip(".")),))
    return Parsed(items=tuple(items))


def _parse_input(value: object, place: str, about: tuple[str, int | None]) -> PortChange:
    event = parse_object(value, place)
    port = parse_antenna(_unwrap(event.get("GPIPortNumber")), f"{place}.GPIPortNumber")
    state = _unwrap(event.get("GPIEvent"))
    if port is None or not isinstance(state, bool | int):
        raise ParseError(place, "has no GPIPortNumber or no GPIEvent that is true or false")
    return PortChange(port=port, is_high=bool(state), source=about[0], time_us=about[1])
