"""The coding tables before TDS 2.0 that stand alone: CPI-var, GID, US DoD and ADI.

CPI-var has a company prefix and a reference of 6-bit text; GID, US DoD and ADI (sections
14.6.9 and 14.6.12 to 14.6.14 of GS1 TDS 2.3) name things by other authorities' codes.

A decoder returns None or raises `ParseError` for bits that its table does not have; an
encoder raises `ParseError` for a URI that its table cannot hold.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable

from ledger.errors import ParseError
from ledger.gs1.bits import BitReader, BitWriter, put_text6, take_text6
from ledger.gs1.tagread import TagRead, read_of_body, strip_padding, want_number

_WHERE = "tag"
_CAGE = re.compile(r"[0-9A-HJ-NP-Z]{5,6}")
_CPI_HEADER, _GID_HEADER, _USDOD_HEADER, _ADI_HEADER = 0x3D, 0x35, 0x2F, 0x3B
_BITS = 96
_GID_BITS = (28, 24, 36)  # general manager, object class, serial number
_SERIAL_BITS = 36
_CPI_SERIAL_BITS = 40
_CPI_SERIAL_END = 10**12
_PREFIX_BITS = (40, 37, 34, 30, 27, 24, 20)  # of 12 to 6 digits
_PREFIX_DIGITS_MAX = 12
_CPI_CHARS_MAX = 30  # of company prefix and reference together
_ADI_PART_MAX, _ADI_SERIAL_MAX = 32, 30


def _decode_cpi(memory: int, bits: int) -> TagRead | None:
    reader = BitReader(memory, bits)
    reader.take(8)
    filter_value, partition = reader.take(3), reader.take(3)
    if partition >= len(_PREFIX_BITS):
        return None
    digits = _PREFIX_DIGITS_MAX - partition
    prefix = reader.take(_PREFIX_BITS[partition])
    reference = take_text6(reader, _CPI_CHARS_MAX - digits)
    serial = reader.take(_CPI_SERIAL_BITS)
    is_sound = prefix < 10**digits and reference and serial < _CPI_SERIAL_END
    if not is_sound or not reader.is_rest_zero():
        return None
    body = f"{prefix:0{digits}d}.{_escape(reference)}.{serial}"
    return read_of_body("cpi-var", "cpi", filter_value, body)


def _encode_cpi(body: str) -> str:
    filter_text, prefix, reference, serial = _split(body, 4)
    partition = _PREFIX_DIGITS_MAX - len(prefix)
    is_prefix = prefix.isascii() and prefix.isdigit() and 0 <= partition < len(_PREFIX_BITS)
    if not is_prefix or not reference:
        raise ParseError(_WHERE, f"company prefix {prefix[:20]!r} is not 6 to 12 digits")
    writer = BitWriter()
    writer.put(_CPI_HEADER, 8)
    writer.put(want_number(filter_text, 8), 3)
    writer.put(partition, 3)
    writer.put(int(prefix), _PREFIX_BITS[partition])
    put_text6(writer, _unescape(reference), _CPI_CHARS_MAX - len(prefix))
    writer.put(want_number(serial, _CPI_SERIAL_END), _CPI_SERIAL_BITS)
    return writer.to_hex()


def _decode_gid(memory: int, bits: int) -> TagRead | None:
    value = strip_padding(memory, bits, _BITS)
    if value is None:
        return None
    reader = BitReader(value, _BITS)
    reader.take(8)
    body = ".".join(str(reader.take(width)) for width in _GID_BITS)
    return read_of_body("gid-96", "gid", None, body)


def _encode_gid(body: str) -> str:
    writer = BitWriter()
    writer.put(_GID_HEADER, 8)
    for text, width in zip(_split(body, 3), _GID_BITS, strict=True):
        writer.put(want_number(text, 1 << width), width)
    return writer.to_hex()


def _decode_usdod(memory: int, bits: int) -> TagRead | None:
    value = strip_padding(memory, bits, _BITS)
    if value is None:
        return None
    reader = BitReader(value, _BITS)
    reader.take(8)
    filter_value = reader.take(4)
    code = "".join(chr(reader.take(8)) for _ in range(6)).removeprefix(" ")
    if _CAGE.fullmatch(code) is None:
        return None
    body = f"{code}.{reader.take(_SERIAL_BITS)}"
    return read_of_body("usdod-96", "usdod", filter_value, body)


def _encode_usdod(body: str) -> str:
    filter_text, code, serial = _split(body, 3)
    writer = BitWriter()
    writer.put(_USDOD_HEADER, 8)
    writer.put(want_number(filter_text, 16), 4)
    for char in _want_cage(code).rjust(6):
        writer.put(ord(char), 8)
    writer.put(want_number(serial, 1 << _SERIAL_BITS), _SERIAL_BITS)
    return writer.to_hex()


def _decode_adi(memory: int, bits: int) -> TagRead | None:
    reader = BitReader(memory, bits)
    reader.take(8)
    filter_value = reader.take(6)
    codes = [reader.take(6) for _ in range(6)]
    if codes[0] == ord(" "):
        del codes[0]
    # Six bits are the end of the character's ISO 646 code: letters lost a 64.
    code = "".join(chr(one if one >= ord(" ") else one + 64) for one in codes)
    part, serial = take_text6(reader, _ADI_PART_MAX), take_text6(reader, _ADI_SERIAL_MAX)
    is_sound = _CAGE.fullmatch(code) and "#" not in part and serial.lstrip("#")
    if not is_sound or "#" in serial[1:] or not reader.is_rest_zero():
        return None
    body = f"{code}.{_escape(part)}.{_escape(serial)}"
    return read_of_body("adi-var", "adi", filter_value, body)


def _encode_adi(body: str) -> str:
    filter_text, code, part_text, serial_text = _split(body, 4)
    part, serial = _unescape(part_text), _unescape(serial_text)
    if "#" in part or "#" in serial[1:] or not serial.lstrip("#"):
        raise ParseError(_WHERE, "an ADI has # only in front of its serial number")
    writer = BitWriter()
    writer.put(_ADI_HEADER, 8)
    writer.put(want_number(filter_text, 64), 6)
    for char in _want_cage(code).rjust(6):
        writer.put(ord(char) & 0x3F, 6)
    put_text6(writer, part, _ADI_PART_MAX)
    put_text6(writer, serial, _ADI_SERIAL_MAX)
    return writer.to_hex()


def _want_cage(code: str) -> str:
    if _CAGE.fullmatch(code) is None:
        raise ParseError(_WHERE, f"{code[:20]!r} is no CAGE code or DoDAAC")
    return code


def _split(body: str, count: int) -> list[str]:
    components = body.split(".")
    if len(components) != count:
        raise ParseError(_WHERE, f"has {len(components)} components, want {count}")
    return components


def _escape(text: str) -> str:
    return text.replace("#", "%23").replace("/", "%2F")


def _unescape(text: str) -> str:
    return text.replace("%23", "#").replace("%2F", "/").replace("%2f", "/")


DECODERS: dict[int, Callable[[int, int], TagRead | None]] = {
    _CPI_HEADER: _decode_cpi,
    _GID_HEADER: _decode_gid,
    _USDOD_HEADER: _decode_usdod,
    _ADI_HEADER: _decode_adi,
}
ENCODERS: dict[str, Callable[[str], str]] = {
    "cpi-var": _encode_cpi,
    "gid-96": _encode_gid,
    "usdod-96": _encode_usdod,
    "adi-var": _encode_adi,
}
