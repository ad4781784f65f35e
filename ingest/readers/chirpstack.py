r"""ChirpStack 3 and 4: events of LoRaWAN devices, as decoded by the network's codec.

    {"deduplicationId":"…","time":"2026-08-27T14:39:44.530852140+00:00","deviceInfo":{
     "deviceName":"sensor0","devEui":"a840419edb62011c",…},"fCnt":7,"fPort":2,"data":"zOEJ…",
     "object":{"TempC_SHT":24.73,"Hum_SHT":45.2}}                               version 4
    {"applicationID":"8","deviceName":"sensor0","devEUI":"a840419edb62011c","fCnt":7,
     "objectJSON":"{\"temp\":4.5}","rxInfo":[{"time":"…"}]}                        version 3

Each number of the decoded object is taken under its name, those of objects within it under
`outer.inner`; the capture plan says which is a temperature. Raw `data` is the maker's secret
and is not guessed at. Joins and states of the device are what it says of itself. The frame
counter `fCnt` counts uplinks, also those that no gateway heard.

Pure: no I/O, no clock, no randomness.
"""

import binascii
from collections.abc import Mapping

import msgspec

from ingest.readers.fields import (
    is_hex,
    parse_numbers,
    parse_object,
    parse_optional_instant,
    parse_text,
)
from ingest.reads import Fault, Item, Parsed, Sample, Vital, not_a_read
from ledger.errors import ParseError

_EUI_DIGITS, _EUI_BYTES = 16, 8
_FCNT_MODULUS = 1 << 32


def is_chirpstack(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is an event of one device."""
    info = obj.get("deviceInfo")
    return ("devEUI" in obj and "deviceName" in obj) or (
        isinstance(info, dict) and "devEui" in info
    )


def parse_event(obj: Mapping[str, object], where: str) -> Parsed:
    """Return what one event says; raises `ParseError`."""
    at = f"{where}.".lstrip(".")
    devices = _devices(obj, at)
    time_us = parse_optional_instant(_time(obj), f"{at}time")
    count = obj.get("fCnt")
    items: list[Item] = []
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _FCNT_MODULUS:
        items.append(Vital(reader=devices[0], number=count, why="uplink"))
    decoded = _decoded(obj, at)
    if decoded is not None:
        values = parse_numbers(decoded, f"{at}object")
        items.append(Sample(devices=devices, time_us=time_us, values=values))
        return Parsed(items=tuple(items))
    if "data" in obj:
        why = f"an uplink of {devices[0]!r:.80} that its network did not decode"
        fault = Fault(where=where, why=why) if obj["data"] else not_a_read(why, where)
        return Parsed(items=tuple(items), faults=(fault,))
    items.append(Vital(reader=devices[0], time_us=time_us, why="a device's join or state"))
    return Parsed(items=tuple(items))


def _devices(obj: Mapping[str, object], at: str) -> tuple[str, ...]:
    info = obj.get("deviceInfo")
    if isinstance(info, dict):
        eui = parse_text(info.get("devEui"), f"{at}deviceInfo.devEui")
        name = info.get("deviceName")
    else:
        eui, name = parse_text(obj.get("devEUI"), f"{at}devEUI"), obj.get("deviceName")
    names = [_eui(eui, f"{at}devEUI")]
    if isinstance(name, str) and name:
        names.append(name)
    return tuple(names)


def _eui(text: str, where: str) -> str:
    """Return a device's EUI in hex; protobuf's JSON writes its eight bytes as base64."""
    if len(text) == _EUI_DIGITS and is_hex(text):
        return text.upper()
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        data = b""
    if len(data) != _EUI_BYTES:
        raise ParseError(where, f"{text[:40]!r} is no EUI of eight bytes")
    return data.hex().upper()


def _time(obj: Mapping[str, object]) -> object:
    if obj.get("time") is not None:
        return obj["time"]
    heard = obj.get("rxInfo")
    times = (
        [one.get("time") for one in heard if isinstance(one, dict)]
        if isinstance(heard, list)
        else []
    )
    return next((one for one in times if one is not None), None)


def _decoded(obj: Mapping[str, object], at: str) -> Mapping[str, object] | None:
    decoded = obj.get("object")
    text = obj.get("objectJSON")
    if decoded is None and isinstance(text, str) and text:
        try:
            decoded = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            raise ParseError(f"{at}objectJSON", "is no JSON") from None
    return None if decoded is None else parse_object(decoded, f"{at}object")
