"""EPC URNs: pure identities, classes, tag URIs and raw tags (TDS 2.3 sections 6, 7, 12).

    urn:epc:id:sgtin:9506000.134352.32a%2Fb       one thing
    urn:epc:class:lgtin:9506000.134352.LOT1       a lot
    urn:epc:idpat:sgtin:9506000.134352.*          a product, whatever its serial number
    urn:epc:tag:sgtin-96:3.9506000.134352.123     a thing as its tag spells it, with a filter
    urn:epc:raw:96.xE28011700000020F9D5A4C1B      a tag that is no GS1 EPC

The company prefix has 6 to 12 digits, and prefix and reference together have the number
of digits that the scheme says. A URN leaves the check digit out; it is computed. Refused
with the character's place, counting from 1: another number of components, a character
outside of the scheme's set, a bad percent-escape, a serial number that is too long.

Pure: no I/O, no clock, no randomness.
"""

import re
from dataclasses import dataclass

from ledger.errors import ParseError
from ledger.gs1.keys import (
    FORM_OF_SCHEME,
    PREFIX_DIGITS,
    Epc,
    Form,
    check_digit,
    format_key,
    quote_urn,
    unquote,
)

URN_START = "urn:epc:"
# Identities that are no GS1 keys: they are their own keys, as written.
FOREIGN_SCHEMES = {
    "gid": re.compile(r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)", re.ASCII),
    "usdod": re.compile(r"[0-9A-HJ-NP-Z]{5,6}\.(?:0|[1-9]\d*)", re.ASCII),
    "adi": re.compile(
        r"[0-9A-HJ-NP-Z]{5,6}\.(?:%2F|[0-9A-Z\-])*\.(?:%23)?(?:%2F|[0-9A-Z\-])+", re.ASCII
    ),
    "bic": re.compile(r"[A-Z]{3}[JUZ]\d{7}", re.ASCII),
    "imovn": re.compile(r"\d{7}", re.ASCII),
}
# Name in a tag URI → scheme of the pure identity. `gid-96` alone has no filter value.
TAG_NAMES = {
    "sgtin-96": "sgtin",
    "sgtin-198": "sgtin",
    "sscc-96": "sscc",
    "sgln-96": "sgln",
    "sgln-195": "sgln",
    "grai-96": "grai",
    "grai-170": "grai",
    "giai-96": "giai",
    "giai-202": "giai",
    "gsrn-96": "gsrn",
    "gsrnp-96": "gsrnp",
    "gdti-96": "gdti",
    "gdti-113": "gdti",
    "gdti-174": "gdti",
    "cpi-96": "cpi",
    "cpi-var": "cpi",
    "sgcn-96": "sgcn",
    "itip-110": "itip",
    "itip-212": "itip",
    "gid-96": "gid",
    "usdod-96": "usdod",
    "adi-var": "adi",
}
_RAW = re.compile(r"([1-9]\d*)\.(?:x([0-9A-Fa-f]*)|(\d+))|([1-9]\d*)\.x[0-9A-F]{2}\.x[0-9A-F]*")
_PREFIX_SPAN = f"{PREFIX_DIGITS.start} to {PREFIX_DIGITS.stop - 1} digits"


@dataclass(frozen=True, slots=True)
class _Body:
    """The components of a URN after the scheme's name, and where they stand in it."""

    text: str
    start: int
    components: tuple[str, ...]

    def fail(self, n: int, why: str, offset: int = 0) -> ParseError:
        """Return the error for which component `n`, or what follows the last, is to blame."""
        at = self.start + sum(len(one) + 1 for one in self.components[:n]) + offset + 1
        return ParseError(f"EPC {self.text[:80]!r}", f"character {at}: {why}")


def parse_urn(text: str) -> Epc:
    """Return what the EPC URN `text` names. Raises `ParseError` with the character's place."""
    kind, _, rest = text[len(URN_START) :].partition(":")
    start = len(URN_START) + len(kind) + 1
    match kind:
        case "id":
            return _parse_id(text, start)
        case "class":
            scheme, _, body = rest.partition(":")
            if scheme != "lgtin":
                raise _unknown(text, start, f"the class scheme {scheme[:20]!r}", "lgtin")
            return _parse_components(text, "lgtin", len(text) - len(body))
        case "idpat":
            return _parse_idpat(text, start)
        case "tag":
            return _parse_tag(text, start)
        case "raw":
            return _parse_raw(text, start)
        case _:
            want = "id, class, idpat, tag or raw"
            raise _unknown(text, len(URN_START), f"{kind[:20]!r}", want)


def _unknown(text: str, at: int, what: str, want: str) -> ParseError:
    return ParseError(
        f"EPC {text[:80]!r}", f"character {at + 1}: {what} is unknown, want {want}"
    )


def _parse_id(text: str, start: int) -> Epc:
    scheme, _, body = text[start:].partition(":")
    at = start + len(scheme) + 1
    if scheme in FOREIGN_SCHEMES:
        return _foreign(text, scheme, body, at)
    if scheme not in FORM_OF_SCHEME or scheme == "lgtin":
        raise _unknown(text, start, f"the EPC scheme {scheme[:20]!r}", "sgtin, sscc, sgln …")
    return _parse_components(text, scheme, at)


def _foreign(text: str, scheme: str, body: str, at: int) -> Epc:
    if FOREIGN_SCHEMES[scheme].fullmatch(body) is None:
        raise ParseError(f"EPC {text[:80]!r}", f"character {at + 1}: is no {scheme} body")
    return Epc(scheme=scheme, key=text, urn=text)


def component_count(form: Form) -> int:
    """Return how many components the URN of `form` has."""
    return 2 + len(form.middle) + (1 if form.serial_max else 0)


def _parse_components(text: str, scheme: str, start: int) -> Epc:
    form = FORM_OF_SCHEME[scheme]
    want = component_count(form)
    body = _Body(text, start, tuple(text[start:].split(".", want - 1)))
    if len(body.components) != want:
        raise body.fail(
            len(body.components) - 1,
            f"{scheme} has {want} components between dots, found {len(body.components)}",
        )
    value, reference = _value(form, body)
    kind = "class" if scheme == "lgtin" else "id"
    head = f"{URN_START}{kind}:{scheme}:{body.components[0]}.{quote_urn(reference)}"
    middle = "".join(f".{one}" for one in body.components[2:-1] if form.middle)
    if not form.serial_max:
        return Epc(scheme=scheme, key=format_key(form.ai, value), urn=head + middle)
    serial = _serial(form, body)
    urn = f"{head}{middle}.{quote_urn(serial)}"
    is_class = scheme == "lgtin"
    if not form.serial_ai:
        key = format_key(form.ai, value + serial)
    elif not form.serial_required and serial == "0":
        key = format_key(form.ai, value)  # TDS 6.3.3: extension 0 is no extension
    else:
        key = format_key(form.ai, value, (form.serial_ai, serial))
    return Epc(scheme=scheme, key=key, urn=urn, is_class=is_class)


def _value(form: Form, body: _Body) -> tuple[str, str]:
    """Return the value of the primary identifier, without serial, and the decoded reference."""
    prefix, reference = body.components[:2]
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) in PREFIX_DIGITS):
        raise body.fail(0, f"the company prefix {prefix[:20]!r} is not {_PREFIX_SPAN}")
    if not form.digits:
        return _text_value(form, body)
    want = form.digits - len(prefix)
    # isdigit() is False for "", which is right unless the prefix takes all digits.
    if len(reference) != want or not (
        not want or (reference.isascii() and reference.isdigit())
    ):
        raise body.fail(
            1,
            f"the reference {reference[:20]!r} is not {want} digits, "
            f"which make {form.digits} with the prefix",
        )
    if form.indicator_first:
        digits = reference[0] + prefix + reference[1:]
    else:
        digits = form.lead + prefix + reference
    value = digits + check_digit(digits)
    for n, width in enumerate(form.middle, start=2):
        number = body.components[n]
        if len(number) != width or not (number.isascii() and number.isdigit()):
            raise body.fail(n, f"{number[:20]!r} is not {width} digits")
        value += number
    return value, reference


def _text_value(form: Form, body: _Body) -> tuple[str, str]:
    prefix, written = body.components[:2]
    reference = unquote(written, f"EPC {body.text[:80]!r} reference")
    if form.reference_charset.fullmatch(reference) is None:
        raise body.fail(1, f"the reference {written[:40]!r} has a character outside of its set")
    if len(prefix) + len(reference) > form.reference_max:
        raise body.fail(1, f"prefix and reference have over {form.reference_max} characters")
    return prefix + reference, reference


def _serial(form: Form, body: _Body) -> str:
    n = len(body.components) - 1
    written = body.components[n]
    serial = unquote(written, f"EPC {body.text[:80]!r} serial number")
    if form.serial_charset.fullmatch(serial) is None:
        raise body.fail(
            n, f"the serial number {written[:40]!r} is empty or has a bad character"
        )
    if len(serial) > form.serial_max:
        raise body.fail(n, f"the serial number has over {form.serial_max} characters")
    return serial


def _parse_idpat(text: str, start: int) -> Epc:
    scheme, _, body = text[start:].partition(":")
    at = start + len(scheme) + 1
    if scheme in FOREIGN_SCHEMES:
        return Epc(scheme=scheme, key=text, urn=text, is_class=True)
    form = FORM_OF_SCHEME.get(scheme)
    if form is None:
        raise _unknown(text, start, f"the pattern scheme {scheme[:20]!r}", "sgtin, grai …")
    components = body.split(".")
    want = component_count(form)
    fixed = _Body(text, at, tuple(one for one in components if one != "*"))
    if len(components) != want or components[len(fixed.components) :] != ["*"] * (
        want - len(fixed.components)
    ):
        raise fixed.fail(0, f"a {scheme} pattern has {want} components, the last ones *")
    is_product = len(fixed.components) == want - 1 and form.serial_required and form.serial_max
    if not is_product:
        return Epc(scheme=scheme, key=text, urn=text, is_class=True)
    value, _reference = _value(form, fixed)
    name = "gtin" if form.ai == "01" else scheme
    return Epc(scheme=name, key=format_key(form.ai, value), urn=text, is_class=True)


def _parse_tag(text: str, start: int) -> Epc:
    name, _, body = text[start:].partition(":")
    scheme = TAG_NAMES.get(name)
    if scheme is None:
        raise _unknown(text, start, f"the tag encoding {name[:20]!r}", "sgtin-96, sscc-96 …")
    if name == "gid-96":
        return _parse_id(f"{URN_START}id:gid:{body}", len(URN_START) + 3)
    filter_text, _, identity = body.partition(".")
    limit = 64 if name == "adi-var" else 16 if name == "usdod-96" else 8
    is_number = (
        filter_text.isascii() and filter_text.isdigit() and str(int(filter_text)) == filter_text
    )
    if not is_number or int(filter_text) >= limit:
        at = start + len(name) + 2
        why = f"character {at}: the filter value {filter_text[:20]!r} is not 0 to {limit - 1}"
        raise ParseError(f"EPC {text[:80]!r}", why)
    return _parse_id(f"{URN_START}id:{scheme}:{identity}", len(URN_START) + 3)


def _parse_raw(text: str, start: int) -> Epc:
    if _RAW.fullmatch(text, start) is None:
        why = f"character {start + 1}: a raw tag is <bits>.x<hex> or <bits>.<decimal>"
        raise ParseError(f"EPC {text[:80]!r}", why)
    return Epc(scheme="raw", key=text, urn=text)
