"""Ruuvi Gateway: Bluetooth advertisements of Ruuvi sensor tags, data formats 3 and 5.

    {"gw_mac":"C8:25:2D:8E:9C:2C","rssi":-26,"ts":"1653668027",
     "data":"0201061BFF99040515AE4C6DC6D7000CFFF803F4ADB6AD697FF41F0C28CBD6"}

`data` is the advertisement in hex: structures of length, type and content; type FF with
manufacturer 0x0499 holds the sample. Format 5 ends in the tag's own address, so the sample
names the tag first and the gateway second; format 3 has none and names only the gateway.
Values: temperature in °C, humidity in %, pressure in Pa; those the tag marks as not
available are left out. Refused: an advertisement cut short; one of another maker or in
another format is no sample.

Pure: no I/O, no clock, no randomness.
"""

import re
import struct
from collections.abc import Mapping

from ingest.readers.fields import first_of, parse_instant, parse_text
from ingest.reads import Fault, Sample, not_a_read
from ledger.errors import ParseError

ADVERTISEMENT_BYTES_MAX = 255

_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}", re.ASCII)
_MANUFACTURER_SPECIFIC = 0xFF
_RUUVI = b"\x99\x04"
_FORMAT_3, _FORMAT_3_SIZE = 3, 14
_FORMAT_5, _FORMAT_5_SIZE = 5, 24
_PRESSURE_OFFSET_PA = 50_000
_NO_TEMPERATURE, _NO_UNSIGNED = -0x8000, 0xFFFF


def is_ruuvi(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` comes from a Ruuvi Gateway."""
    return "gw_mac" in obj


def parse_advertisement(obj: Mapping[str, object], where: str) -> Sample | Fault:
    """Return the sample in one advertisement, or why there is none; raises `ParseError`."""
    gateway = parse_text(obj.get("gw_mac"), f"{where}.gw_mac".lstrip(".")).upper()
    if _MAC.fullmatch(gateway) is None:
        raise ParseError(f"{where}.gw_mac".lstrip("."), f"{gateway[:40]!r} is no address")
    if "data" not in obj:
        return not_a_read("a Ruuvi Gateway's message about itself", where)
    place = f"{where}.data".lstrip(".")
    content = _find_ruuvi(_parse_bytes(obj["data"], place), place)
    if content is None:
        return not_a_read("a Bluetooth advertisement of another maker", where)
    if not content or content[0] not in (_FORMAT_3, _FORMAT_5):
        form = content[:1].hex() or "none"
        return not_a_read(f"a Ruuvi advertisement in data format {form}", where)
    time = first_of(obj, ("ts", "gwts"))
    decode = _decode_format_5 if content[0] == _FORMAT_5 else _decode_format_3
    tag, values = decode(content, place)
    return Sample(
        devices=(gateway,) if tag is None else (tag, gateway),
        time_us=None
        if time is None
        else parse_instant(time[1], f"{where}.{time[0]}".lstrip(".")),
        values=values,
    )


def _parse_bytes(value: object, place: str) -> bytes:
    text = parse_text(value, place)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise ParseError(place, f"{text[:80]!r} is broken hex") from None
    if 2 * len(data) != len(text) or len(data) > ADVERTISEMENT_BYTES_MAX:
        raise ParseError(place, "is no advertisement in hex, at most 255 bytes without blanks")
    return data


def _find_ruuvi(data: bytes, place: str) -> bytes | None:
    """Return what follows the manufacturer's number, None where another maker's is."""
    at = 0
    while at < len(data):
        size = data[at]
        structure = data[at + 1 : at + 1 + size]
        if len(structure) < size:
            raise ParseError(place, f"is cut short: byte {at} announces {size} bytes")
        if structure[:1] == bytes([_MANUFACTURER_SPECIFIC]) and structure[1:3] == _RUUVI:
            return structure[3:]
        at += 1 + size
    return None


def _decode_format_5(
    content: bytes, place: str
) -> tuple[str | None, tuple[tuple[str, float], ...]]:
    if len(content) != _FORMAT_5_SIZE:
        raise ParseError(place, f"format 5 has {len(content)} bytes, want {_FORMAT_5_SIZE}")
    temperature, humidity, pressure = struct.unpack_from(">hHH", content, 1)
    values: list[tuple[str, float]] = []
    if temperature != _NO_TEMPERATURE:
        values.append(("temperature", round(temperature * 0.005, 3)))
    if humidity != _NO_UNSIGNED:
        values.append(("humidity", round(humidity * 0.0025, 4)))
    if pressure != _NO_UNSIGNED:
        values.append(("pressure", float(pressure + _PRESSURE_OFFSET_PA)))
    return content[-6:].hex(":").upper(), tuple(values)


def _decode_format_3(
    content: bytes, place: str
) -> tuple[str | None, tuple[tuple[str, float], ...]]:
    if len(content) != _FORMAT_3_SIZE:
        raise ParseError(place, f"format 3 has {len(content)} bytes, want {_FORMAT_3_SIZE}")
    humidity, whole, hundredths, pressure = struct.unpack_from(">BBBH", content, 1)
    if hundredths > 99:  # noqa: PLR2004  # hundredths of a degree
        raise ParseError(place, f"{hundredths} hundredths of a degree are no fraction")
    degrees = (whole & 0x7F) + hundredths / 100
    values = (
        ("temperature", round(-degrees if whole & 0x80 else degrees, 2)),
        ("humidity", humidity * 0.5),
        ("pressure", float(pressure + _PRESSURE_OFFSET_PA)),
    )
    return None, values
