"""The coding tables before TDS 2.0: GS1 TDS 2.3 section 14.6 with 14.3 and 14.4.

`ENCODINGS` has one row for each table that begins alike: header, filter value, partition
value, and a company prefix and a reference whose widths the partition says. What follows
is a `Tail`: a serial number in one of four codings, or zeros.

A decoder returns None or raises `ParseError` for bits that its table does not have; an
encoder raises `ParseError` for a URI that its table cannot hold.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ledger.errors import ParseError
from ledger.gs1.bits import BitWriter, decode_text7, encode_text7
from ledger.gs1.keys import quote_urn, unquote
from ledger.gs1.tagread import TagRead, read_of_body, strip_padding, want_number

_WHERE = "tag"
_DIGITS = re.compile(r"[0-9]+")
_FILTERS = 8
# Bits of the company prefix for partition values 0 to 6, which have 12 to 6 digits.
_PREFIX_BITS = (40, 37, 34, 30, 27, 24, 20)
_PREFIX_DIGITS = (12, 11, 10, 9, 8, 7, 6)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a partition table: digits of the two fields, and where their bits lie."""

    prefix_digits: int
    prefix_shift: int
    prefix_mask: int
    prefix_end: int  # the first number with too many digits
    prefix_format: str
    reference_digits: int  # or characters
    reference_bits: int
    reference_mask: int
    reference_end: int
    reference_format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What follows the reference: how many bits and dotted components, and their coding."""

    bits: int
    components: int
    decode: Callable[[int], str]
    encode: Callable[[list[str]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One coding table with a company prefix and a fixed number of bits."""

    name: str
    scheme: str
    header: int
    bits: int
    rows: tuple[Row, ...]
    tail: Tail
    reference: str  # "digits" filled up with zeros, "number" without, or 7-bit "text"


def _rows(bits: int, digits: int, shift: int, kind: str) -> tuple[Row, ...]:
    """Return a partition table: two fields share `bits` and `digits`, `shift` bits follow."""
    rows = []
    for prefix_bits, prefix_digits in zip(_PREFIX_BITS, _PREFIX_DIGITS, strict=True):
        width = bits - prefix_bits
        count = digits - prefix_digits
        padded = f"%0{count}d" if count else "%.0s"
        rows.append(
            Row(
                prefix_digits=prefix_digits,
                prefix_shift=shift + width,
                prefix_mask=(1 << prefix_bits) - 1,
                prefix_end=10**prefix_digits,
                prefix_format=f"%0{prefix_digits}d",
                reference_digits=count,
                reference_bits=width,
                reference_mask=(1 << width) - 1,
                reference_end=10**count if kind == "digits" else 1 << width,
                reference_format=padded if kind == "digits" else "%d",
            )
        )
    return tuple(rows)


def _want_digits(text: str, count: int) -> int:
    if len(text) != count or (count and _DIGITS.fullmatch(text) is None):
        raise ParseError(_WHERE, f"{text[:40]!r} is not {count} digits")
    return int(text or "0")


def _integer(bits: int) -> Tail:
    return Tail(
        bits=bits,
        components=1,
        decode=str,
        encode=lambda texts: want_number(texts[0], 1 << bits),
    )


def _zeros(bits: int) -> Tail:
    def decode(value: int) -> str:
        if value:
            raise ParseError(_WHERE, "reserved bits are not zero")
        return ""

    return Tail(bits=bits, components=0, decode=decode, encode=lambda _: 0)


def _text(bits: int) -> Tail:
    return Tail(
        bits=bits,
        components=1,
        decode=lambda value: quote_urn(decode_text7(value, bits)),
        encode=lambda texts: encode_text7(unquote(texts[0], _WHERE), bits),
    )


def _numeric_string(bits: int) -> Tail:
    """Return the coding that keeps leading zeros by a 1 in front (section 14.3.6)."""

    def decode(value: int) -> str:
        digits = str(value)
        if digits[0] != "1" or len(digits) == 1:
            raise ParseError(_WHERE, "holds no numeric string")
        return digits[1:]

    def encode(texts: list[str]) -> int:
        digits = texts[0]
        if _DIGITS.fullmatch(digits) is None or 2 * 10 ** len(digits) >= 1 << bits:
            raise ParseError(_WHERE, f"{digits[:40]!r} does not fit in {bits} bits")
        return int("1" + digits)

    return Tail(bits=bits, components=1, decode=decode, encode=encode)


def _pieces(serial: Tail) -> Tail:
    """Return the tail of an ITIP: two digits each of piece and total, then the serial."""

    def decode(value: int) -> str:
        piece, total = value >> serial.bits + 7, value >> serial.bits & 0x7F
        if max(piece, total) > 99:  # noqa: PLR2004 — two digits
            raise ParseError(_WHERE, "piece or total has more than two digits")
        rest = serial.decode(value & (1 << serial.bits) - 1)
        return f"{piece:02d}.{total:02d}.{rest}"

    def encode(texts: list[str]) -> int:
        numbers = _want_digits(texts[0], 2) << 7 | _want_digits(texts[1], 2)
        return numbers << serial.bits | serial.encode(texts[2:])

    return Tail(bits=14 + serial.bits, components=3, decode=decode, encode=encode)


def _encoding(
    name: str, header: int, fields: tuple[int, int], tail: Tail, kind: str = "digits"
) -> Encoding:
    """Return one table; `fields` are bits and digits of prefix and reference together."""
    bits, digits = fields
    return Encoding(
        name=name,
        scheme=name.rpartition("-")[0],
        header=header,
        bits=14 + bits + tail.bits,
        rows=_rows(bits, digits, tail.bits, kind),
        tail=tail,
        reference=kind,
    )


_GTIN, _SSCC, _GRAI, _GLN = (44, 13), (58, 17), (44, 12), (41, 12)
ENCODINGS = (
    _encoding("gdti-96", 0x2C, _GLN, _integer(41)),
    _encoding("gsrn-96", 0x2D, _SSCC, _zeros(24)),
    _encoding("gsrnp-96", 0x2E, _SSCC, _zeros(24)),
    _encoding("sgtin-96", 0x30, _GTIN, _integer(38)),
    _encoding("sscc-96", 0x31, _SSCC, _zeros(24)),
    _encoding("sgln-96", 0x32, _GLN, _integer(41)),
    _encoding("grai-96", 0x33, _GRAI, _integer(38)),
    _encoding("giai-96", 0x34, (82, 25), _zeros(0), "number"),
    _encoding("sgtin-198", 0x36, _GTIN, _text(140)),
    _encoding("grai-170", 0x37, _GRAI, _text(112)),
    _encoding("giai-202", 0x38, (188, 30), _zeros(0), "text"),
    _encoding("sgln-195", 0x39, _GLN, _text(140)),
    _encoding("gdti-113", 0x3A, _GLN, _numeric_string(58)),
    _encoding("cpi-96", 0x3C, (51, 15), _integer(31), "number"),
    _encoding("gdti-174", 0x3E, _GLN, _text(119)),
    _encoding("sgcn-96", 0x3F, _GLN, _numeric_string(41)),
    _encoding("itip-110", 0x40, _GTIN, _pieces(_integer(38))),
    _encoding("itip-212", 0x41, _GTIN, _pieces(_text(140))),
)


def _decode(encoding: Encoding, memory: int, bits: int) -> TagRead | None:
    value = strip_padding(memory, bits, encoding.bits)
    if value is None:
        return None
    at = encoding.bits - 14
    partition = value >> at & 7
    if partition >= len(encoding.rows):
        return None
    row = encoding.rows[partition]
    tail = encoding.tail
    prefix = value >> row.prefix_shift & row.prefix_mask
    number = value >> tail.bits & row.reference_mask
    if prefix >= row.prefix_end or number >= row.reference_end:
        return None
    if encoding.reference == "text":
        text = decode_text7(number, row.reference_bits)
        if len(text) > row.reference_digits:
            return None
        reference = quote_urn(text)
    else:
        reference = row.reference_format % number
    body = f"{row.prefix_format % prefix}.{reference}"
    rest = tail.decode(value & (1 << tail.bits) - 1)
    if rest:
        body = f"{body}.{rest}"
    return read_of_body(encoding.name, encoding.scheme, value >> at + 3 & 7, body)


def _encode(encoding: Encoding, body: str) -> str:
    tail = encoding.tail
    want = 3 + tail.components
    components = body.split(".", want - 1)
    if len(components) != want:
        raise ParseError(
            _WHERE, f"has {len(components)} components, {encoding.name} has {want}"
        )
    filter_text, prefix, reference, *rest = components
    partition, row = _row_of(encoding, prefix)
    if encoding.reference == "digits":
        number = _want_digits(reference, row.reference_digits)
    elif encoding.reference == "number":
        number = want_number(reference, row.reference_end)
    else:
        text = unquote(reference, _WHERE)
        number = encode_text7(text[: row.reference_digits + 1], row.reference_bits)
        if len(text) > row.reference_digits:
            raise ParseError(
                _WHERE, f"the reference has over {row.reference_digits} characters"
            )
    writer = BitWriter()
    writer.put(encoding.header, 8)
    writer.put(want_number(filter_text, _FILTERS), 3)
    writer.put(partition, 3)
    writer.put(int(prefix), row.prefix_mask.bit_length())
    writer.put(number, row.reference_bits)
    writer.put(tail.encode(rest), tail.bits)
    return writer.to_hex()


def _row_of(encoding: Encoding, prefix: str) -> tuple[int, Row]:
    if _DIGITS.fullmatch(prefix):
        for partition, row in enumerate(encoding.rows):
            if len(prefix) == row.prefix_digits:
                return partition, row
    raise ParseError(_WHERE, f"company prefix {prefix[:20]!r} is not 6 to 12 digits")


DECODERS: dict[int, Callable[[int, int], TagRead | None]] = {
    one.header: partial(_decode, one) for one in ENCODINGS
}
ENCODERS: dict[str, Callable[[str], str]] = {
    one.name: partial(_encode, one) for one in ENCODINGS
}
