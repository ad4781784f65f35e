"""The Things Stack v3: uplinks of LoRaWAN sensors, as decoded by the network.

    {"end_device_ids":{"device_id":"my-sensor-1","dev_eui":"70B3D57ED0000001"},
     "received_at":"2020-01-15T16:02:10.668892406Z","uplink_message":{
     "received_at":"…","decoded_payload":{"temp":6,"voltage":3.6}}}

`normalized_payload` is taken where the network sends it: its names and units are fixed
(`air.temperature` in °C). Else, and where it holds none of them, each number of
`decoded_payload` is taken under the name that the payload's formatter gave it (`outer.inner`
for those within an object); the capture plan says which of them is a temperature, because
nobody else can. The raw `frm_payload` is the maker's secret and is not guessed at: an uplink
that was not decoded is a reading that is missing.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import replace

from ingest.readers.fields import (
    count_of,
    first_of,
    is_hex,
    parse_instant,
    parse_number,
    parse_numbers,
    parse_object,
    parse_text,
)
from ingest.reads import Fault, Parsed, Sample, Vital, not_a_read
from ledger.errors import ParseError

VALUES_MAX = 64
_EUI_DIGITS = 16
# Path in normalized_payload, the name it gets here, and what makes it that name's unit.
_NORMALIZED = (
    (("air", "temperature"), "temperature", 1.0),
    (("air", "relativeHumidity"), "humidity", 1.0),
    (("air", "pressure"), "pressure", 100.0),
)


def is_things_stack(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is a message of The Things Stack about one end device."""
    return "end_device_ids" in obj


def parse_uplink(obj: Mapping[str, object], where: str) -> Parsed:
    """Return the samples of one uplink, or why there are none; raises `ParseError`."""
    at = f"{where}.".lstrip(".")
    devices = _parse_devices(obj.get("end_device_ids"), f"{at}end_device_ids")
    if "uplink_message" not in obj:
        kinds = [name for name in obj if name.endswith(("_message", "_accept", "_error"))]
        fault = not_a_read(f"a message of The Things Stack about {kinds[:3]}", where)
        return Parsed(faults=(fault,))
    place = f"{at}uplink_message"
    uplink = parse_object(obj["uplink_message"], place)
    time = first_of(uplink, ("received_at",)) or first_of(obj, ("received_at",))
    time_us = None if time is None else parse_instant(time[1], f"{place}.received_at")
    normalized = uplink.get("normalized_payload")
    if isinstance(normalized, dict):
        normalized = [normalized]
    if isinstance(normalized, list) and normalized:
        found = _parse_normalized(normalized, f"{place}.normalized_payload", (devices, time_us))
        if found.faults or any(isinstance(one, Sample) and one.values for one in found.items):
            return replace(found, items=(*_counted(uplink, devices), *found.items))
    decoded = uplink.get("decoded_payload")
    if not isinstance(decoded, dict):
        why = f"an uplink of {devices[0]!r:.80} that its network did not decode"
        holds = bool(uplink.get("frm_payload") or normalized)
        fault = Fault(where=where, why=why) if holds else not_a_read(why, where)
        return Parsed(items=_counted(uplink, devices), faults=(fault,))
    values = parse_numbers(decoded, f"{place}.decoded_payload")
    sample = Sample(devices=devices, time_us=time_us, values=values)
    return Parsed(items=(*_counted(uplink, devices), sample))


def _parse_devices(value: object, place: str) -> tuple[str, ...]:
    ids = parse_object(value, place)
    name = parse_text(ids.get("device_id"), f"{place}.device_id")
    eui = ids.get("dev_eui")
    if isinstance(eui, str) and len(eui) == _EUI_DIGITS and is_hex(eui):
        return (eui.upper(), name)
    return (name,)


def _parse_normalized(
    measurements: list[object], place: str, source: tuple[tuple[str, ...], int | None]
) -> Parsed:
    devices, uplink_us = source
    items: list[Sample] = []
    faults: list[Fault] = []
    if len(measurements) > VALUES_MAX:
        why = f"holds {len(measurements)} measurements, at most {VALUES_MAX} are taken"
        raise ParseError(place, why)
    for n, measurement in enumerate(measurements):
        at = f"{place}[{n}]"
        try:
            one = parse_object(measurement, at)
            own = one.get("time")
            time_us = uplink_us if own is None else parse_instant(own, f"{at}.time")
            values = _normalized_values(one, at)
        except ParseError as error:
            faults.append(Fault(where=error.where, why=error.why))
            continue
        items.append(Sample(devices=devices, time_us=time_us, values=values))
    return Parsed(items=tuple(items), faults=tuple(faults))


def _normalized_values(one: Mapping[str, object], at: str) -> tuple[tuple[str, float], ...]:
    values: list[tuple[str, float]] = []
    for (group, field), name, scale in _NORMALIZED:
        inner = one.get(group)
        if isinstance(inner, dict) and inner.get(field) is not None:
            number = parse_number(inner[field], f"{at}.{group}.{field}")
            values.append((name, round(number * scale, 6)))
    return tuple(values)


def _counted(uplink: Mapping[str, object], devices: tuple[str, ...]) -> tuple[Vital, ...]:
    """Return the number that the device gave its uplink; `f_cnt` 0 is left out of JSON."""
    count = count_of(uplink.get("f_cnt", 0))
    if count is None:
        return ()
    return (Vital(reader=devices[0], number=count, why="uplink"),)
