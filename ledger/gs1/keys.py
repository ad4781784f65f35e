"""The GS1 keys as one table, and their canonical spelling.

A thing has many spellings and one identity, its **key**: the GS1 Digital Link on
https://id.gs1.org, without link attributes, with every character outside of the
unreserved ones of RFC 3986 percent-encoded in upper-case hex:

    https://id.gs1.org/01/09506000134352/21/32a%2Fb

Each row of `FORMS` says how one EPC scheme (TDS 2.3 sections 6 and 7) lies in GS1
element strings (GS1 General Specifications section 3): which application identifier,
how many digits, where the check digit and the serial number go.

Pure: no I/O, no clock, no randomness.
"""

import re
from dataclasses import dataclass

from ledger.errors import ParseError

DOMAIN = "https://id.gs1.org"
PREFIX_DIGITS = range(6, 13)

# Which characters a serial number may hold: GS1 General Specifications 7.11.
_CSET82 = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+")
_CSET39 = re.compile(r"[#\-/0-9A-Z]+")
_DIGITS = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"0|[1-9][0-9]*")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN = re.compile(r"[A-Za-z0-9\-._~]*")
# TDS 2.3 table I.3.1: what a URN may not hold as it is, "%" first.
_URN_ESCAPES = {c: f"%{ord(c):02X}" for c in '%"&/<>?#'}
_URN_PLAIN = re.compile(r"[^%\"&/<>?#]*")
_HEX_PAIR = re.compile(r"%(?:([0-9A-Fa-f]{2})|)")
_ASCII_END = 0x7F
_ASCII_START = 0x20


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one EPC scheme lies in element strings."""

    scheme: str
    ai: str
    digits: int = 0  # of company prefix and reference together; 0: the reference is text
    indicator_first: bool = False  # the first digit of the reference leads the key
    lead: str = ""  # constant digits before the company prefix
    check: bool = True  # a check digit follows
    serial_ai: str = ""  # qualifier of the serial number; "" with a serial: appended
    serial_max: int = 0  # characters; 0: the scheme has no serial number
    serial_charset: re.Pattern[str] = _CSET82
    reference_charset: re.Pattern[str] = _DIGITS
    reference_max: int = 0  # characters of prefix and reference together, where they are text
    middle: tuple[int, ...] = ()  # lengths of further numbers between reference and serial
    serial_required: bool = True


FORMS: tuple[Form, ...] = (
    Form(
        scheme="sgtin", ai="01", digits=13, indicator_first=True, serial_ai="21", serial_max=20
    ),
    Form(
        scheme="lgtin", ai="01", digits=13, indicator_first=True, serial_ai="10", serial_max=20
    ),
    Form(
        scheme="upui", ai="01", digits=13, indicator_first=True, serial_ai="235", serial_max=28
    ),
    Form(
        scheme="itip",
        ai="8006",
        digits=13,
        indicator_first=True,
        middle=(2, 2),
        serial_ai="21",
        serial_max=20,
    ),
    Form(scheme="sscc", ai="00", digits=17, indicator_first=True),
    Form(
        scheme="sgln",
        ai="414",
        digits=12,
        serial_ai="254",
        serial_max=20,
        serial_required=False,
    ),
    Form(scheme="pgln", ai="417", digits=12),
    Form(scheme="grai", ai="8003", digits=12, lead="0", serial_max=16),
    Form(scheme="gdti", ai="253", digits=12, serial_max=17),
    Form(scheme="sgcn", ai="255", digits=12, serial_max=12, serial_charset=_DIGITS),
    Form(scheme="gsrn", ai="8018", digits=17),
    Form(scheme="gsrnp", ai="8017", digits=17),
    Form(scheme="gsin", ai="402", digits=16),
    Form(scheme="giai", ai="8004", check=False, reference_charset=_CSET82, reference_max=30),
    Form(scheme="ginc", ai="401", check=False, reference_charset=_CSET82, reference_max=30),
    Form(
        scheme="cpi",
        ai="8010",
        check=False,
        reference_charset=_CSET39,
        reference_max=30,
        serial_ai="8011",
        serial_max=12,
        serial_charset=_NUMBER,
    ),
)
FORM_OF_SCHEME = {form.scheme: form for form in FORMS}
FORMS_OF_AI: dict[str, tuple[Form, ...]] = {
    form.ai: tuple(one for one in FORMS if one.ai == form.ai) for form in FORMS
}
# Qualifiers that a Digital Link may carry and that do not make another thing: consumer
# product variant, lot beside a serial number, GLN component, service relation instance.
_QUALIFIERS = {"01": ("22", "10", "21", "235"), "8006": ("22", "10", "21")}
_QUALIFIERS |= {"414": ("254", "7040"), "417": ("7040",), "8010": ("8011",)}
_QUALIFIERS |= {"8017": ("8019",), "8018": ("8019",)}
QUALIFIERS_OF_AI = {ai: _QUALIFIERS.get(ai, ()) for ai in FORMS_OF_AI}


def check_digit(digits: str) -> str:
    """Return the GS1 check digit that belongs after `digits` (General Specifications 7.9).

    Raises `ParseError` for anything but ASCII digits.
    """
    if not (digits.isascii() and digits.isdigit()):
        raise ParseError("check digit", f"{digits[:40]!r} is not made of digits")
    codes = digits.encode()
    # Each code is 48 more than its digit; 48 weighs the same as 8 modulo 10.
    odd, even = codes[::-2], codes[-2::-2]
    total = 3 * (sum(odd) - 48 * len(odd)) + sum(even) - 48 * len(even)
    return str(-total % 10)


def quote_key(value: str) -> str:
    """Return `value` as it stands in a path segment of a canonical key."""
    if _PLAIN.fullmatch(value):
        return value
    return "".join(chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in value.encode())


def quote_urn(value: str) -> str:
    """Return `value` as it stands in an EPC URN (TDS 2.3 table I.3.1)."""
    if _URN_PLAIN.fullmatch(value):
        return value
    return "".join(_URN_ESCAPES.get(char, char) for char in value)


def unquote(value: str, where: str) -> str:
    """Return `value` with its percent-escapes decoded, each of which must name ASCII."""
    if "%" not in value:
        return value

    def decode(match: re.Match[str]) -> str:
        pair = match.group(1)
        if pair is None:
            raise ParseError(where, f"character {match.start() + 1}: % without two hex digits")
        code = int(pair, 16)
        if not _ASCII_START < code < _ASCII_END:
            raise ParseError(where, f"character {match.start() + 1}: %{pair} is not printable")
        return chr(code)

    return _HEX_PAIR.sub(decode, value)


def format_key(ai: str, value: str, qualifier: tuple[str, str] | None = None) -> str:
    """Return the canonical key of a primary identifier and its one deciding qualifier."""
    key = f"{DOMAIN}/{ai}/{quote_key(value)}"
    return key if qualifier is None else f"{key}/{qualifier[0]}/{quote_key(qualifier[1])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epc:
    """One identity: what kind it is of, its key, and its URN where that can be known."""

    scheme: str
    key: str
    urn: str | None  # None: a Digital Link does not say how long the company prefix is
    is_class: bool = False
