"""Shapes that many readers and bridges share: objects and lists that name an EPC plainly.

    {"epc":"E28011606000020934D6FAF7","rssi":-61,"antennaPort":3,"timestamp":1600000000}
    {"deviceId":"…","reads":[{"epc":"AAAA","rssi":-50},{"tag":"BBBB"}]}
    {"reader_name":"…","tag_reads":[{"epc":"…","firstSeenTimestamp":"…","isHeartBeat":false}]}
    ["AAAA","BBBB",{"epc":"CCCC"}]
    {"reader":"dock-1","boot":"7f3a","seq":17,"dropped":0,"reads":[…]}   numbered by the sender
    {"type":"heartbeat","reader":"dock-1"}                               it lives
    {"device":"C8:25:2D:8E:9C:2C","time":"…","temperature":4.2}          a sensor

The third is what SmartReader sends for an Impinj reader. An EPC is hex of whole bytes, base64
in a field that says so (`epcBase64`), or an EPC URI or Digital Link; anything else is refused
and not guessed at. Where several fields name the EPC they must agree. An object in a list that
says no time takes that of the object around it.

`seq` counts the sender's messages within its `boot`; `dropped` is what it lost since then.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ingest.readers.fields import (
    cdbm,
    collect,
    count_of,
    count_unknown,
    first_of,
    first_time,
    loose_instant,
    may_name_tag,
    parse_antenna,
    parse_base64,
    parse_hex,
    parse_instant,
    parse_number,
    parse_optional_ns,
    parse_text,
)
from ingest.reads import Fault, Item, Parsed, Sample, Sighting, Vital, not_a_read
from ledger.errors import ParseError

BASE64_FIELDS = ("epcBase64", "epc_base64", "epcB64")
EPC_FIELDS = ("epc", "epcHex", "epc_hex", "EPC", "EPCid", "idHex", "tag", *BASE64_FIELDS)
LIST_FIELDS = ("reads", "tag_reads", "tagReads", "tags", "tagData")
TIME_FIELDS = (
    "timestamp",
    "time",
    "ts",
    "lastSeenTimestamp",
    "lastSeenTime",
    "firstSeenTimestamp",
    "firstSeenTime",
    *("eventTime", "readTime", "timeStamp", "epochMillis", "timestampMs", "timestamp_ms"),
)
ANTENNA_FIELDS = ("antenna", "antennaPort", "antenna_port", "port")
SENSOR_FIELDS = ("temperature", "humidity", "pressure")
DEVICE_FIELDS = ("device", "deviceId", "device_id", "sensor")
READER_FIELDS = ("reader", "reader_name", "readerName", "mac_address", "hostname", "deviceId")
NUMBER_FIELDS = ("seq", "sequence", "eventNumber")
BOOT_FIELDS = ("boot", "bootId", "session")
KNOWN = frozenset(
    (
        *EPC_FIELDS,
        *TIME_FIELDS,
        *ANTENNA_FIELDS,
        *"""rssi peakRssi peakRssiCdbm tid tidHex pc isHeartBeat seenCount count reads user
        frequency channel phase rfPhase phaseAngle doppler txPower antennaName""".split(),  # noqa: SIM905  # one word a line is longer
    )
)
KNOWN_AROUND = frozenset(
    (
        *LIST_FIELDS,
        *TIME_FIELDS,
        *DEVICE_FIELDS,
        *READER_FIELDS,
        *NUMBER_FIELDS,
        *BOOT_FIELDS,
        *("dropped", "type", "site", "bearer"),
    )
)
SEEN_MAX = 1_000_000

_URI_STARTS = ("urn:", "http://", "https://")
_KEYS_SHOWN = 6


def is_heartbeat(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` only says that its sender lives: one with tags says more."""
    is_beat = obj.get("type") in ("heartbeat", "keepalive") or obj.get("heartbeat") is True
    return is_beat and not any(obj.get(name) for name in (*EPC_FIELDS, *LIST_FIELDS))


def parse_heartbeat(obj: Mapping[str, object], _where: str) -> Vital:
    """Return what a sender says of itself."""
    time = first_time(obj, TIME_FIELDS)
    return Vital(
        reader=_source(obj) or None,
        time_us=None if time is None else loose_instant(time[1]),
        is_heartbeat=True,
        dropped=count_of(obj.get("dropped")),
        why="heartbeat",
    )


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
    time = first_time(obj, TIME_FIELDS)
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
    lists = [one for one in LIST_FIELDS if isinstance(obj.get(one), list) and obj[one]]
    found = (lists[0], obj[lists[0]]) if lists else first_of(obj, LIST_FIELDS)
    source = _source(obj)
    if found is None or not isinstance(found[1], list):
        is_count = found is not None and isinstance(found[1], int | float)
        if found is not None and found[0] not in KNOWN and not is_count:
            raise ParseError(f"{where}.{found[0]}".lstrip("."), "is no array")
        parsed = collect(
            [(where, obj)], lambda one, place: parse_element(one, place, (None, 0), source)
        )
        unknown = count_unknown(obj, KNOWN | KNOWN_AROUND) if parsed.items else 0
        return _with_vital(obj, parsed, unknown)
    name, elements = found[0], list(found[1])
    place = f"{where}.{name}".lstrip(".")
    if not elements:
        return _with_vital(obj, Parsed(faults=(not_a_read("a report of no tags", place),)), 0)
    time = first_time(obj, TIME_FIELDS)
    around: tuple[int | None, int] = (None, 0)
    if time is not None:
        around = parse_optional_ns(time[1], f"{where}.{time[0]}".lstrip("."))
    parsed = collect(
        ((f"{place}[{n}]", element) for n, element in enumerate(elements)),
        lambda one, at: parse_element(one, at, around, source),
    )
    parsed = replace(parsed, faults=(*parsed.faults, *_beside(obj, name, lists, where)))
    unknown = count_unknown(obj, KNOWN_AROUND)
    unknown += sum(count_unknown(one, KNOWN) for one in elements if isinstance(one, dict))
    return _with_vital(obj, parsed, unknown)


def parse_element(
    element: object, where: str, around: tuple[int | None, int] = (None, 0), source: str = ""
) -> Sighting | Vital | Fault:
    """Return the tag that a text or an object names; raises `ParseError`.

    `around` is the time of the object around it, in microseconds and nanoseconds beyond.
    """
    if isinstance(element, str):
        return _sighting_of_text(element, where, around, source)
    if not isinstance(element, dict):
        raise ParseError(where, "is neither an object nor a text that names a tag")
    if element.get("isHeartBeat") is True:
        return Vital(reader=source or None, is_heartbeat=True, why="heartbeat")
    at = f"{where}.".lstrip(".")
    spelled = {
        name: _spelling(name, element[name], f"{at}{name}")
        for name in EPC_FIELDS
        if element.get(name) is not None
    }
    if not spelled:
        shown = ", ".join(sorted(map(repr, element))[:_KEYS_SHOWN])
        why = f"no field that is known names a tag; the fields are {shown:.200}"
        return Fault(where=where, why=why) if may_name_tag(element) else not_a_read(why, where)
    if len(set(spelled.values())) > 1:
        said = ", ".join(f"{name} is {text}" for name, (text, _) in spelled.items())
        raise ParseError(where, f"the spellings of the EPC disagree: {said}")
    text, is_uri = next(iter(spelled.values()))
    time = first_time(element, TIME_FIELDS)
    antenna = first_of(element, ANTENNA_FIELDS) or ("antenna", None)
    time_us, ns = around if time is None else parse_optional_ns(time[1], f"{at}{time[0]}")
    return Sighting(
        where=where,
        hex=None if is_uri else text,
        uri=text if is_uri else None,
        time_us=time_us,
        ns=ns,
        antenna=parse_antenna(antenna[1], f"{at}{antenna[0]}"),
        rssi_cdbm=_strength(element),
        seen=min(max(count_of(element.get("seenCount")) or 1, 1), SEEN_MAX),
        source=source,
    )


def _beside(
    obj: Mapping[str, object], name: str, lists: list[str], where: str
) -> Iterator[Fault]:
    """Yield a fault for each tag, or list of them, that stands beside the list `name`."""
    named = [one for one in EPC_FIELDS if one != "tag" and obj.get(one)]
    for other in (*lists[1:], *named):
        why = f"stands beside {name}; nobody can tell how they belong together"
        yield Fault(where=f"{where}.{other}".lstrip("."), why=why)


def _with_vital(obj: Mapping[str, object], parsed: Parsed, unknown: int) -> Parsed:
    """Return `parsed` with what the sender says of its own counting, if it says anything."""
    number = first_of(obj, NUMBER_FIELDS)
    dropped = count_of(obj.get("dropped"))
    count = None if number is None else count_of(number[1])
    items: tuple[Item, ...] = parsed.items
    if count is not None or dropped is not None:
        boot = first_of(obj, BOOT_FIELDS)
        vital = Vital(
            reader=_source(obj) or None,
            boot=None if boot is None else f"{boot[1]!s:.120}",
            number=count,
            dropped=dropped,
        )
        items = (vital, *items)
    return Parsed(items=items, faults=parsed.faults, unknown=unknown)


def _source(obj: Mapping[str, object]) -> str:
    found = first_of(obj, READER_FIELDS)
    return found[1] if found is not None and isinstance(found[1], str) else ""


def _sighting_of_text(
    text: str, where: str, around: tuple[int | None, int], source: str
) -> Sighting:
    spelled, is_uri = _spelling("epc", text, where)
    return Sighting(
        where=where,
        hex=None if is_uri else spelled,
        uri=spelled if is_uri else None,
        time_us=around[0],
        ns=around[1],
        source=source,
    )


def _spelling(name: str, value: object, where: str) -> tuple[str, bool]:
    """Return the EPC as hex or URI, and whether it is a URI."""
    text = parse_text(value, where)
    if name in BASE64_FIELDS:
        return parse_base64(text, where), False
    if text.startswith(_URI_STARTS):
        return text, True
    return parse_hex(text, where), False


def _strength(element: Mapping[str, object]) -> int | None:
    in_hundredths = element.get("peakRssiCdbm")
    if in_hundredths is not None:
        return cdbm(in_hundredths, 1)
    found = first_of(element, ("rssi", "peakRssi"))
    return None if found is None else cdbm(found[1], 100)
