"""EPC memory of a tag: bits to EPC and back, after GS1 TDS 2.3 section 14.

The first eight bits, the header, say which encoding follows; `ENCODINGS` has one row for
each. All rows begin alike: header, filter value, partition value, and a company prefix
and a reference whose widths the partition says (tables of section 14.6).

    3066C4409047E140075BCD15   →  urn:epc:id:sgtin:95060001343.05.123456789, filter 3

A tag that is no GS1 EPC is kept as it is and never guessed: `urn:epc:raw:<bits>.x<HEX>`.
That is a header which is unknown or of another number of bits, a partition value of 7, a
number with more digits than its field may have, padding which is not zero, and a tag whose
PC word says that it holds an ISO application family (section 12).

Pure: no I/O, no clock, no randomness.
"""

import re
from dataclasses import dataclass

from ledger.errors import ParseError

EPC_BITS_MAX = 512

_HEX = re.compile(r"[0-9A-Fa-f]+")
_NUMBER = re.compile(r"0|[1-9][0-9]*")
_WORD_BITS = 16
_PC_LENGTH_SHIFT = 11
_PC_TOGGLE = 0x100
_PC_AFI = 0xFF
_FILTER_BITS = 3
_HEADER_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRead:
    """What one EPC memory says."""

    epc_uri: str
    tag_uri: str | None
    scheme: str | None  # the name in the tag URI, such as "sgtin-96"
    filter_value: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a partition table: digits of the two fields, and where their bits lie."""

    prefix_digits: int
    reference_digits: int
    prefix_shift: int
    prefix_mask: int
    reference_shift: int
    reference_mask: int
    prefix_end: int  # the first number with too many digits
    reference_end: int
    urn_format: str  # of prefix and reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One binary coding table with a fixed number of bits."""

    name: str
    scheme: str
    header: int
    bits: int
    rows: tuple[Row, ...]
    serial_bits: int  # 0: the rest after prefix and reference must be zero


# Bits of the company prefix for partition values 0 to 6, which have 12 to 6 digits.
_PREFIX_BITS = (40, 37, 34, 30, 27, 24, 20)
_PREFIX_DIGITS = (12, 11, 10, 9, 8, 7, 6)


def _rows(bits: int, end: int, digits: int, *, pad: bool = True) -> tuple[Row, ...]:
    """Return a partition table: `bits` shared by two fields of `digits`, ending at `end`."""
    rows = []
    for prefix_bits, prefix_digits in zip(_PREFIX_BITS, _PREFIX_DIGITS, strict=True):
        reference_bits = bits - prefix_bits
        reference_digits = digits - prefix_digits
        padded = f"%0{reference_digits}d" if reference_digits else "%.0s"
        rows.append(
            Row(
                prefix_digits=prefix_digits,
                reference_digits=reference_digits,
                prefix_shift=end + reference_bits,
                prefix_mask=(1 << prefix_bits) - 1,
                reference_shift=end,
                reference_mask=(1 << reference_bits) - 1,
                prefix_end=10**prefix_digits,
                reference_end=10**reference_digits,
                urn_format=f"%0{prefix_digits}d.{padded if pad else '%d'}",
            )
        )
    return tuple(rows)


ENCODINGS: tuple[Encoding, ...] = (
    Encoding(
        name="sgtin-96",
        scheme="sgtin",
        header=0x30,
        bits=96,
        rows=_rows(44, 38, 13),
        serial_bits=38,
    ),
    Encoding(
        name="sscc-96",
        scheme="sscc",
        header=0x31,
        bits=96,
        rows=_rows(58, 24, 17),
        serial_bits=0,
    ),
    Encoding(
        name="sgln-96",
        scheme="sgln",
        header=0x32,
        bits=96,
        rows=_rows(41, 41, 12),
        serial_bits=41,
    ),
    Encoding(
        name="grai-96",
        scheme="grai",
        header=0x33,
        bits=96,
        rows=_rows(44, 38, 12),
        serial_bits=38,
    ),
)
_OF_HEADER = {one.header: one for one in ENCODINGS}
_OF_NAME = {one.name: one for one in ENCODINGS}


def decode_epc_memory(hex_text: str, *, pc: int | None = None) -> TagRead:
    """Return what the EPC memory bank `hex_text` says, from the header on.

    `pc` is the protocol control word in front of it where the reader gives it: it says how
    many words hold the EPC and whether it is a GS1 one. Raises `ParseError` only for what is
    not hex, is empty or has more than `EPC_BITS_MAX` bits.
    """
    if _HEX.fullmatch(hex_text) is None:
        raise ParseError("EPC memory", f"{hex_text[:80]!r} is not hex")
    bits = 4 * len(hex_text)
    if bits > EPC_BITS_MAX:
        raise ParseError("EPC memory", f"has {bits} bits, at most {EPC_BITS_MAX} are read")
    if pc is not None:
        held = (pc >> _PC_LENGTH_SHIFT) * _WORD_BITS
        if 0 < held < bits:
            hex_text, bits = hex_text[: held // 4], held
        if pc & _PC_TOGGLE:
            return _raw(bits, f"x{pc & _PC_AFI:02X}.x{hex_text.upper()}")
    value = int(hex_text, 16)
    encoding = _OF_HEADER.get(value >> bits - _HEADER_BITS) if bits > _HEADER_BITS else None
    read = None if encoding is None else _decode(encoding, value, bits)
    return read if read is not None else _raw(bits, f"x{hex_text.upper()}")


def _raw(bits: int, rest: str) -> TagRead:
    uri = f"urn:epc:raw:{bits}.{rest}"
    return TagRead(epc_uri=uri, tag_uri=None, scheme=None, filter_value=None)


def _decode(encoding: Encoding, value: int, bits: int) -> TagRead | None:
    """Return the EPC in `value`, or None where the bits break a rule of their table."""
    excess = bits - encoding.bits
    if excess < 0 or value & ((1 << excess) - 1):
        return None
    value >>= excess
    rows_end = encoding.bits - 14
    partition = value >> rows_end & 7
    if partition >= len(encoding.rows):
        return None
    row = encoding.rows[partition]
    prefix = value >> row.prefix_shift & row.prefix_mask
    reference = value >> row.reference_shift & row.reference_mask
    if prefix >= row.prefix_end or reference >= row.reference_end:
        return None
    body = row.urn_format % (prefix, reference)
    rest = value & ((1 << row.reference_shift) - 1)
    if encoding.serial_bits:
        body = f"{body}.{rest}"
    elif rest:
        return None
    filter_value = value >> (rows_end + 3) & 7
    return TagRead(
        epc_uri=f"urn:epc:id:{encoding.scheme}:{body}",
        tag_uri=f"urn:epc:tag:{encoding.name}:{filter_value}.{body}",
        scheme=encoding.name,
        filter_value=filter_value,
    )


def encode_tag(tag_uri: str) -> str:
    """Return the EPC memory, as upper-case hex, that holds `urn:epc:tag:…`.

    Raises `ParseError` where the URI is malformed or does not fit the encoding it names.
    """
    where = f"tag URI {tag_uri[:80]!r}"
    name, _, body = tag_uri.removeprefix("urn:epc:tag:").partition(":")
    encoding = _OF_NAME.get(name)
    if encoding is None or not tag_uri.startswith("urn:epc:tag:"):
        raise ParseError(where, f"names no encoding; want one of {', '.join(_OF_NAME)}")
    components = body.split(".")
    want = 4 if encoding.serial_bits else 3
    if len(components) != want:
        raise ParseError(where, f"has {len(components)} components, {name} has {want}")
    filter_text, prefix, reference = components[:3]
    filter_value = _number(where, "filter value", filter_text, 1 << _FILTER_BITS)
    partition, row = _row(where, encoding, prefix, reference)
    serial = (
        _number(where, "serial number", components[3], 1 << encoding.serial_bits)
        if encoding.serial_bits
        else 0
    )
    value = (encoding.header << 3 | filter_value) << 3 | partition
    value = value << (encoding.bits - 14)
    value |= int(prefix) << row.prefix_shift
    value |= int(reference or "0") << row.reference_shift
    return f"{value | serial:0{encoding.bits // 4}X}"


def _number(where: str, what: str, text: str, end: int) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) >= end:
        raise ParseError(where, f"{what} {text[:40]!r} is not a number below {end}")
    return int(text)


def _row(where: str, encoding: Encoding, prefix: str, reference: str) -> tuple[int, Row]:
    for partition, row in enumerate(encoding.rows):
        if len(prefix) == row.prefix_digits:
            fits = len(reference) == row.reference_digits
            if fits and (prefix + reference).isascii() and (prefix + reference).isdigit():
                return partition, row
            raise ParseError(
                where, f"reference {reference[:20]!r} is not {row.reference_digits} digits"
            )
    raise ParseError(where, f"company prefix {prefix[:20]!r} is not 6 to 12 digits")
