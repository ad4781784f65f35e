"""The coding tables since TDS 2.0, whose names end in + and ++ (TDS 2.3 section 14.6).

Header, one bit that announces more data after the EPC, three of filter value; then the
key as it stands in a barcode, check digit and all, the company prefix not told apart; then
the serial number. A ++ table adds the host name of the Digital Link, a DSGTIN has a date
in front. They have no tag URI: the EPC is the Digital Link,

    F73795211411234538566CB0AFC4 → https://id.gs1.org/01/79521141123453/21/32a%2Fb

Decoded is what parses as that link, check digit included; all else raises `ParseError`.

Pure: no I/O, no clock, no randomness.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from typing import Literal

from ledger.errors import ParseError
from ledger.gs1.bits import (
    BitReader,
    BitWriter,
    put_alphanumeric,
    put_delimited,
    put_digits,
    put_number,
    take_alphanumeric,
    take_delimited,
    take_digits,
    take_number,
)
from ledger.gs1.digital_link import parse_digital_link
from ledger.gs1.hostname import put_hostname, take_hostname
from ledger.gs1.keys import DOMAIN, FORMS_OF_AI, quote_key, unquote
from ledger.gs1.tagread import TagRead

_WHERE = "+ tag"
_CANONICAL_HOST = "id.gs1.org"
_LINK = re.compile(r"https://([^/?#]+)/[^?#]*(?:\?([^#]*))?")
_DATE_AIS = ("11", "13", "15", "16", "17", "7006", "7007")
_NUMBER_LENGTH_BITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plus:
    """One table: the digits of its primary key and where its serial number goes."""

    name: str
    header: int
    ai: str
    digits: int  # 0: the key is text that begins with digits, see `take_delimited`
    serial: Literal["none", "text", "number"]
    is_dated: bool = False

    @property
    def has_host(self) -> bool:
        """Say whether the table carries a host name."""
        return self.name.endswith("++")


def _pair(
    name: str,
    headers: tuple[int, int],
    key: tuple[str, int],
    serial: Literal["none", "text", "number"],
    *,
    is_dated: bool = False,
) -> tuple[Plus, Plus]:
    ai, digits = key
    one, two = (
        Plus(
            name=name + sign,
            header=header,
            ai=ai,
            digits=digits,
            serial=serial,
            is_dated=is_dated,
        )
        for sign, header in zip(("+", "++"), headers, strict=True)
    )
    return one, two


PLUS: tuple[Plus, ...] = (
    *_pair("sgtin", (0xF7, 0xFD), ("01", 14), "text"),
    *_pair("dsgtin", (0xFB, 0xFC), ("01", 14), "text", is_dated=True),
    *_pair("sscc", (0xF9, 0xEF), ("00", 18), "none"),
    *_pair("sgln", (0xF2, 0xE9), ("414", 13), "text"),
    *_pair("grai", (0xF1, 0xEB), ("8003", 14), "text"),
    *_pair("giai", (0xFA, 0xEE), ("8004", 0), "none"),
    *_pair("gsrn", (0xF4, 0xE7), ("8018", 18), "none"),
    *_pair("gsrnp", (0xF5, 0xE8), ("8017", 18), "none"),
    *_pair("gdti", (0xF6, 0xEA), ("253", 13), "text"),
    *_pair("cpi", (0xF0, 0xE6), ("8010", 0), "number"),
    *_pair("sgcn", (0xF8, 0xEC), ("255", 13), "number"),
    *_pair("itip", (0xF3, 0xED), ("8006", 18), "text"),
)
PLUS_OF_HEADER = {one.header: one for one in PLUS}
PLUS_OF_NAME = {one.name: one for one in PLUS}


def _serial_of(plus: Plus) -> tuple[str, int]:
    """Return the qualifier ("" where it is appended) and the longest serial number."""
    form = FORMS_OF_AI[plus.ai][0]
    return form.serial_ai, form.serial_max


def decode_plus(plus: Plus, reader: BitReader) -> TagRead:
    """Return what a tag with the header of `plus` says. Raises `ParseError` for no EPC."""
    reader.take(8)
    has_data = reader.take(1)
    filter_value = reader.take(3)
    date = _take_date(reader) if plus.is_dated else None
    if plus.digits:
        value = take_digits(reader, plus.digits)
    else:
        value = take_delimited(reader, FORMS_OF_AI[plus.ai][0].reference_max)
    qualifier, longest = _serial_of(plus)
    serial = ""
    if plus.serial == "text":
        serial = take_alphanumeric(reader, longest)
    elif plus.serial == "number":
        serial = take_number(reader, _NUMBER_LENGTH_BITS, longest)
    host = take_hostname(reader) if plus.has_host else _CANONICAL_HOST
    if not has_data and not reader.is_rest_zero():
        raise ParseError(_WHERE, "bits follow the EPC that it does not announce")
    link = f"https://{host}/{plus.ai}/{quote_key(value + ('' if qualifier else serial))}"
    if qualifier:
        link = f"{link}/{qualifier}/{quote_key(serial)}"
    if parse_digital_link(link) is None:
        raise ParseError(_WHERE, "holds no GS1 key")
    return TagRead(
        epc_uri=link,
        tag_uri=None,
        scheme=plus.name,
        filter_value=filter_value,
        date=date,
    )


def encode_plus(name: str, link: str, *, filter_value: int = 0) -> str:
    """Return the EPC memory, as upper-case hex in whole words, of a + or ++ tag.

    `link` is the Digital Link: its host goes into a ++ tag and must be id.gs1.org for a +
    tag; a DSGTIN takes its date from the query, `?17=220630`. Raises `ParseError`.
    """
    where = f"{name} {link[:80]!r}"
    plus = PLUS_OF_NAME.get(name)
    match = _LINK.fullmatch(link)
    epc = parse_digital_link(link) if match else None
    if plus is None or match is None or epc is None:
        raise ParseError(where, f"want a Digital Link and one of {', '.join(PLUS_OF_NAME)}")
    host, query = match.groups()
    value, serial = _parts_of(plus, epc.key, where)
    writer = BitWriter()
    writer.put(plus.header, 8)
    writer.put(filter_value, 4)  # the bit that announces more data is 0
    if plus.is_dated:
        _put_date(writer, query or "", where)
    if plus.digits:
        put_digits(writer, value)
    else:
        put_delimited(writer, value, FORMS_OF_AI[plus.ai][0].reference_max)
    if plus.serial == "text":
        put_alphanumeric(writer, serial, _serial_of(plus)[1])
    elif plus.serial == "number":
        put_number(writer, serial, _NUMBER_LENGTH_BITS)
    if plus.has_host:
        put_hostname(writer, host)
    elif host != _CANONICAL_HOST:
        raise ParseError(where, f"a + tag has no host name; want {_CANONICAL_HOST}")
    return writer.to_hex()


def _parts_of(plus: Plus, key: str, where: str) -> tuple[str, str]:
    """Return the value and the serial number in a canonical key, each decoded."""
    ai, segment, *rest = key.removeprefix(DOMAIN + "/").split("/")
    qualifier, _ = _serial_of(plus)
    if ai == plus.ai == "414" and not rest:
        rest = [qualifier, "0"]  # an extension of 0 is no extension, and its key has none
    if ai != plus.ai or (rest[0] if rest else "") != qualifier:
        raise ParseError(where, f"want /{plus.ai}/…{f'/{qualifier}/…' if qualifier else ''}")
    value = unquote(segment, where)
    if rest:
        return value, unquote(rest[1], where)
    return (value[: plus.digits], value[plus.digits :]) if plus.digits else (value, "")


def _take_date(reader: BitReader) -> tuple[str, str]:
    kind = reader.take(4)
    year, month, day = reader.take(7), reader.take(4), reader.take(5)
    if kind >= len(_DATE_AIS):
        raise ParseError(_WHERE, f"date type {kind} is reserved")
    _check_date(year, month, day)
    return _DATE_AIS[kind], f"{year:02d}{month:02d}{day:02d}"


def _put_date(writer: BitWriter, query: str, where: str) -> None:
    ai, _, text = query.partition("=")
    if ai not in _DATE_AIS or re.fullmatch(r"[0-9]{6}", text) is None:
        raise ParseError(where, "a DSGTIN has a date in its query, such as ?17=220630")
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:])
    _check_date(year, month, day)
    writer.put(_DATE_AIS.index(ai), 4)
    writer.put(year, 7)
    writer.put(month, 4)
    writer.put(day, 5)


def _check_date(year: int, month: int, day: int) -> None:
    # Day 0 is the last of the month. Years have two digits, and 2000 was a leap year.
    months, years = 12, 99
    if year > years or not 1 <= month <= months or day > monthrange(2000 + year, month)[1]:
        raise ParseError(_WHERE, f"{year}-{month}-{day} is no date")
