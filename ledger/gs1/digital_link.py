"""GS1 Digital Links and element strings: application identifiers and their values.

    https://id.gs1.org/01/09506000134352/10/LOT1/21/123?17=261231      GS1 Digital Link 1.2+
    (01)09506000134352(21)123                                          element string

Any domain and any path before the primary identifier will do; the query, the fragment
and one closing slash are ignored. The names that version 1.2 withdrew (/gtin/… for /01/…)
are read. A GTIN-8, -12 or -13 is filled to 14 digits. The check digit is verified. Compressed
links are no Digital Links here.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.errors import ParseError
from ledger.gs1.keys import (
    FORMS_OF_AI,
    QUALIFIERS_OF_AI,
    Epc,
    Form,
    check_digit,
    format_key,
    unquote,
)

_GTIN_LENGTHS = (8, 12, 13, 14)
_GTIN_DIGITS = 14
_NAMES = {
    "gtin": "01",
    "sscc": "00",
    "gln": "414",
    "party": "417",
    "grai": "8003",
    "giai": "8004",
    "gsrn": "8018",
    "gsrnp": "8017",
    "gdti": "253",
    "gcn": "255",
    "ginc": "401",
    "gsin": "402",
    "itip": "8006",
    "cpid": "8010",
    "ser": "21",  # codespell:ignore ser
    "lot": "10",
    "cpv": "22",
    "tpx": "235",
    "glnx": "254",
    "cpsn": "8011",
    "srin": "8019",
}
_WEB = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#]+")
_ELEMENT = re.compile(r"\((\d{2,4})\)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """A primary identifier with its qualifiers, as decoded text."""

    ai: str
    value: str
    qualifiers: Mapping[str, str]


def is_web_uri(text: str) -> bool:
    """Say whether `text` is an http or https URI with a host, so that it may be a link."""
    return _WEB.match(text) is not None


def parse_digital_link(text: str) -> Epc | None:
    """Return what the Digital Link `text` names, or None where it is another web address.

    Raises `ParseError` for a wrong check digit on any domain, and for whatever is malformed
    below id.gs1.org, which serves nothing else.
    """
    match = _WEB.match(text)
    if match is None:
        raise ParseError(f"Digital Link {text[:80]!r}", "is no http or https URI")
    path = text[match.end() :]
    for stop in "?#":
        path = path.partition(stop)[0]
    segments = path.removesuffix("/").split("/")[1:]
    where = f"Digital Link {text[:80]!r}"
    for n, name in enumerate(segments[:-1]):
        ai = _NAMES.get(name, name)
        if ai in FORMS_OF_AI and _shape_fits(ai, segments[n + 1]):
            elements = _elements(segments[n:], where)
            if elements is not None:
                return epc_of_elements(elements, where)
    if match.group().lower().endswith("//id.gs1.org"):
        raise ParseError(where, "has no primary identifier such as /01/ and a GTIN")
    return None


def parse_element_string(text: str) -> Epc:
    """Return what a bracketed element string such as `(01)09506000134352(21)1` names."""
    where = f"element string {text[:80]!r}"
    pieces = _ELEMENT.split(text)
    if pieces[0] or len(pieces) < len(("", "ai", "value")):
        raise ParseError(where, "does not start with an application identifier such as (01)")
    ais, values = pieces[1::2], pieces[2::2]
    found = dict(zip(ais, values, strict=True))
    if len(found) != len(ais):
        raise ParseError(where, "has the same application identifier twice")
    primary = next((ai for ai in ais if ai in FORMS_OF_AI), None)
    if primary is None:
        raise ParseError(where, "has no primary identifier such as (01) or (00)")
    wanted = QUALIFIERS_OF_AI[primary]
    qualifiers = {ai: value for ai, value in found.items() if ai in wanted}
    elements = Elements(ai=primary, value=found[primary], qualifiers=qualifiers)
    return epc_of_elements(elements, where)


def _shape_fits(ai: str, segment: str) -> bool:
    """Say whether `segment` may be a value of `ai`, judged by digits and length alone."""
    form = FORMS_OF_AI[ai][0]
    if not form.digits:
        return bool(segment)
    if ai == "01":
        return len(segment) in _GTIN_LENGTHS and segment.isascii() and segment.isdigit()
    width = _digits_of(form)
    fixed = segment[:width]
    is_numeric = len(fixed) == width and fixed.isascii() and fixed.isdigit()
    return is_numeric and (len(segment) == width or _is_serial_inline(form))


def _digits_of(form: Form) -> int:
    return len(form.lead) + form.digits + form.check + sum(form.middle)


def _is_serial_inline(form: Form) -> bool:
    return bool(form.serial_max) and not form.serial_ai


def _elements(segments: list[str], where: str) -> Elements | None:
    """Return the identifiers in alternating path segments, or None where they are none."""
    name, value, *rest = segments
    ai = _NAMES.get(name, name)
    ais = [_NAMES.get(one, one) for one in rest[::2]]
    allowed = QUALIFIERS_OF_AI[ai]
    if len(rest) % 2 or len(set(ais)) != len(ais) or not set(ais) <= set(allowed):
        return None
    qualifiers = {one: unquote(text, where) for one, text in zip(ais, rest[1::2], strict=True)}
    return Elements(ai=ai, value=unquote(value, where), qualifiers=qualifiers)


def epc_of_elements(elements: Elements, where: str) -> Epc:
    """Return the identity that `elements` make. Raises `ParseError` for a malformed value."""
    ai, value = elements.ai, elements.value
    form = _form_of(elements)
    if not form.digits:
        return _text_key(form, elements, where)
    if ai == "01" and len(value) in _GTIN_LENGTHS:
        value = value.zfill(_GTIN_DIGITS)
    width = _digits_of(form)
    fixed, inline = value[:width], value[width:]
    if len(fixed) != width or not (fixed.isascii() and fixed.isdigit()):
        raise ParseError(where, f"({ai}) {value[:40]!r} does not start with {width} digits")
    if not fixed.startswith(form.lead):
        raise ParseError(where, f"({ai}) starts with {form.lead!r} by definition")
    _check(form, fixed, where)
    if _is_serial_inline(form):
        if inline:
            _check_serial(form, inline, where)
        return Epc(scheme=form.scheme, key=format_key(ai, value), urn=None, is_class=not inline)
    if inline:
        raise ParseError(where, f"({ai}) has {len(value)} digits, want {width}")
    return _with_qualifier(form, value, elements, where)


def _form_of(elements: Elements) -> Form:
    forms = FORMS_OF_AI[elements.ai]
    order = {"21": 0, "235": 1, "10": 2}
    fitting = [form for form in forms if form.serial_ai in elements.qualifiers]
    return min(fitting, key=lambda form: order.get(form.serial_ai, 0), default=forms[0])


def _check(form: Form, fixed: str, where: str) -> None:
    end = len(form.lead) + form.digits
    want, found = check_digit(fixed[:end]), fixed[end]
    if found != want:
        raise ParseError(
            where, f"({form.ai}) {fixed} has check digit {found}, it should be {want}"
        )


def _check_serial(form: Form, serial: str, where: str) -> None:
    if form.serial_charset.fullmatch(serial) is None:
        raise ParseError(where, f"the serial number {serial[:40]!r} has a bad character")
    if len(serial) > form.serial_max:
        raise ParseError(where, f"the serial number has over {form.serial_max} characters")


def _with_qualifier(form: Form, value: str, elements: Elements, where: str) -> Epc:
    ai = form.ai
    serial = elements.qualifiers.get(form.serial_ai) if form.serial_ai else None
    if serial is not None:
        _check_serial(form, serial, where)
        if form.serial_required or serial != "0":  # TDS 6.3.3: extension 0 is no extension
            key = format_key(ai, value, (form.serial_ai, serial))
            return Epc(scheme=form.scheme, key=key, urn=None, is_class=form.scheme == "lgtin")
    is_class = bool(form.serial_ai) and form.serial_required
    scheme = "gtin" if ai == "01" else form.scheme
    return Epc(scheme=scheme, key=format_key(ai, value), urn=None, is_class=is_class)


def _text_key(form: Form, elements: Elements, where: str) -> Epc:
    value = elements.value
    if form.reference_charset.fullmatch(value) is None or len(value) > form.reference_max:
        raise ParseError(
            where,
            f"({form.ai}) {value[:40]!r} has a bad character or over {form.reference_max}",
        )
    prefix = value[:6]
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) == len("123456")):
        raise ParseError(where, f"({form.ai}) does not start with a company prefix")
    return _with_qualifier(form, value, elements, where)
