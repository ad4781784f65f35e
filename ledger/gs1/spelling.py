"""Spells a key in the other ways to name its thing: Digital Link, element string, URN.

    https://id.gs1.org/01/09506000134352/21/32a%2Fb        the key
    https://shop.example/01/09506000134352/21/32a%2Fb      Digital Link on another domain
    (01)09506000134352(21)32a/b                            element string
    urn:epc:id:sgtin:9506000.013435.32a%2Fb                URN, for a prefix of 7 digits

A key does not say how long its company prefix is, so whoever wants a URN says so. What comes
out leads back to the key by `parse_epc`.

Pure: no I/O, no clock, no randomness.
"""

import re

from ledger.errors import ParseError
from ledger.gs1.keys import DOMAIN, FORMS_OF_AI, PREFIX_DIGITS, Form, quote_urn, unquote
from ledger.gs1.urn import URN_START, parse_urn

_ORIGIN = re.compile(r"https?://[^/?#\s]+(?:/[^?#\s]*)?", re.ASCII)


def format_digital_link(key: str, origin: str = DOMAIN) -> str:
    """Return the Digital Link of `key` below `origin`, such as `https://shop.example/milk`.

    Raises `ParseError` for what is no key of a GS1 identifier, and for an origin that is none.
    """
    _split(key)
    if _ORIGIN.fullmatch(origin) is None:
        raise ParseError("origin", f"{origin[:80]!r} is no http or https URI without a query")
    return origin.rstrip("/") + key.removeprefix(DOMAIN)


def format_element_string(key: str) -> str:
    """Return the bracketed element string of `key`, as it is printed below a barcode."""
    return "".join(f"({ai}){value}" for ai, value in _split(key))


def format_urn(key: str, prefix_digits: int) -> str:
    """Return the EPC URN of `key`, whose company prefix has `prefix_digits`, 6 to 12.

    A product becomes a pattern (`urn:epc:idpat:sgtin:…*`), a lot a class. Raises `ParseError`
    for what is no key, and where the key has no such prefix.
    """
    if prefix_digits not in PREFIX_DIGITS:
        raise ParseError("company prefix", f"has {prefix_digits} digits, not 6 to 12")
    (ai, value), *rest = _split(key)
    form = _form_of(ai, rest[0][0] if rest else "")
    fixed = len(form.lead) + form.digits
    if form.digits and fixed - len(form.lead) - prefix_digits < form.indicator_first:
        raise ParseError(key[:80], f"leaves no reference to a prefix of {prefix_digits} digits")
    components = _components(form, value, prefix_digits)
    serial = rest[0][1] if rest else _inline_serial(form, value)
    if form.serial_max and not serial and not form.serial_required:
        serial = "0"  # no extension is extension 0 (TDS 6.3.3)
    kind = "class" if form.scheme == "lgtin" else "id"
    if form.serial_max and not serial:
        kind, tail = "idpat", ["*"]
    else:
        tail = [quote_urn(serial)] if serial else []
    urn = f"{URN_START}{kind}:{form.scheme}:{'.'.join((*components, *tail))}"
    if parse_urn(urn).key != key:
        raise ParseError(key[:80], "has no EPC URN")
    return urn


def _split(key: str) -> list[tuple[str, str]]:
    """Return the application identifiers of a key with their values, decoded."""
    segments = key.removeprefix(f"{DOMAIN}/").split("/")
    is_key = key.startswith(f"{DOMAIN}/") and len(segments) in (2, 4)
    if not is_key or segments[0] not in FORMS_OF_AI:
        raise ParseError(f"key {key[:80]!r}", "is no key of a GS1 identifier")
    values = [unquote(one, f"key {key[:80]!r}") for one in segments[1::2]]
    return list(zip(segments[::2], values, strict=True))


def _form_of(ai: str, qualifier: str) -> Form:
    fitting = [one for one in FORMS_OF_AI[ai] if qualifier in ("", one.serial_ai)]
    if not fitting:
        raise ParseError("key", f"({ai}) has no qualifier ({qualifier})")
    return fitting[0]


def _components(form: Form, value: str, prefix_digits: int) -> list[str]:
    if not form.digits:
        return [value[:prefix_digits], quote_urn(value[prefix_digits:])]
    digits = value[len(form.lead) : len(form.lead) + form.digits]
    if form.indicator_first:
        head = [digits[1 : 1 + prefix_digits], digits[0] + digits[1 + prefix_digits :]]
    else:
        head = [digits[:prefix_digits], digits[prefix_digits:]]
    at = len(form.lead) + form.digits + form.check
    middle = []
    for width in form.middle:
        middle.append(value[at : at + width])
        at += width
    return head + middle


def _inline_serial(form: Form, value: str) -> str:
    if form.serial_ai or not form.serial_max:
        return ""
    return value[len(form.lead) + form.digits + form.check :]
