"""One identity, whatever the spelling: the front door of the GS1 keys.

    urn:epc:id:sgtin:9506000.013435.123                     ┐
    urn:epc:tag:sgtin-96:1.9506000.013435.123               │ one thing, one key:
    https://example.com/01/09506000134352/22/2A/21/123?a=b  │ https://id.gs1.org/01/
    (01)09506000134352(10)LOT1(21)123                       ┘   09506000134352/21/123

`parse_epc` is for what a person or a setting says: it refuses what is malformed.
`canonical_key` is for what an event says: it never raises, and what is no GS1 identifier
is its own key, as written.

Pure: no I/O, no clock, no randomness.
"""

import re
from functools import lru_cache

from ledger.errors import ParseError
from ledger.gs1.digital_link import is_web_uri, parse_digital_link, parse_element_string
from ledger.gs1.keys import DOMAIN, FORM_OF_SCHEME, Epc, Form, check_digit
from ledger.gs1.urn import URN_START, parse_urn

__all__ = [
    "EPC_CHARS_MAX",
    "Epc",
    "canonical_key",
    "check_digit",
    "matches_pattern",
    "parse_epc",
]

EPC_CHARS_MAX = 1024
_CACHE = 65_536
# The spellings that nearly every event has, read in one go; `parse_epc` agrees with them.
_SGTIN_URN = re.compile(
    r"urn:epc:id:sgtin:(\d{6,12})\.(\d)(\d{0,6})\.([A-Za-z0-9\-._]{1,20})", re.ASCII
)
_SSCC_URN = re.compile(r"urn:epc:id:sscc:(\d{6,12})\.(\d)(\d{4,10})", re.ASCII)
_SGTIN_KEY = re.compile(
    r"https://id\.gs1\.org/01/(\d{13})(\d)/21/[A-Za-z0-9\-._]{1,20}", re.ASCII
)
_GTIN_DIGITS, _SSCC_DIGITS = 13, 17
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x1f\x7f]+")


def parse_epc(text: str) -> Epc:
    """Return the identity that `text` spells: URN, Digital Link or element string.

    Another absolute URI is of the scheme "other" and its own key. Raises `ParseError`, with
    the character's place where there is one, for what is malformed.
    """
    if len(text) > EPC_CHARS_MAX:
        raise ParseError("EPC", f"has {len(text)} characters, at most {EPC_CHARS_MAX} are read")
    if text[: len(URN_START)].lower() == URN_START:
        return parse_urn(URN_START + text[len(URN_START) :])
    if text.startswith("("):
        return parse_element_string(text)
    if is_web_uri(text):
        epc = parse_digital_link(text)
        if epc is not None:
            return epc
    if _URI.fullmatch(text) is None:
        raise ParseError(
            f"EPC {text[:80]!r}", "is no EPC URN, no Digital Link, no element string and no URI"
        )
    return Epc(scheme="other", key=text, urn=None)


@lru_cache(maxsize=_CACHE)
def canonical_key(text: str) -> str:
    """Return the key of what `text` names, or `text` where it is no GS1 identifier.

    Never raises: a malformed identifier in an event stays what it is, and matches itself.
    """
    common = _common_key(text)
    if common is not None:
        return common
    try:
        return parse_epc(text).key
    except ParseError:
        return text


def _common_key(text: str) -> str | None:
    """Return the key of a plainly spelled carton or pallet, None for all that is not."""
    if match := _SGTIN_URN.fullmatch(text):
        prefix, indicator, reference, serial = match.groups()
        digits = indicator + prefix + reference
        if len(digits) == _GTIN_DIGITS:
            return f"{DOMAIN}/01/{digits}{check_digit(digits)}/21/{serial}"
    elif match := _SGTIN_KEY.fullmatch(text):
        if check_digit(match[1]) == match[2]:
            return text
    elif match := _SSCC_URN.fullmatch(text):
        digits = match[2] + match[1] + match[3]
        if len(digits) == _SSCC_DIGITS:
            return f"{DOMAIN}/00/{digits}{check_digit(digits)}"
    return None


def matches_pattern(pattern: str, text: str) -> bool:
    """Say whether what `text` names is one of those that `pattern` names.

    A pattern is `*`, an EPC pattern such as `urn:epc:idpat:sgtin:9506000.134352.*`, or any
    one identity. Both are compared by key, so a Digital Link matches a URN's pattern.
    Raises `ParseError` for a malformed pattern, never for a malformed `text`.
    """
    if pattern == "*":
        return True
    return _compile(pattern).fullmatch(canonical_key(text)) is not None


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str]:
    """Return the regular expression over keys that `pattern` means."""
    epc = parse_epc(pattern)
    exact = re.escape(epc.key)
    body = pattern[len(f"{URN_START}idpat:") :]
    scheme, _, components = body.partition(":")
    form = FORM_OF_SCHEME.get(scheme)
    if not pattern.startswith(f"{URN_START}idpat:"):
        return re.compile(exact)
    if form is None:  # a scheme without GS1 keys: gid, usdod, adi …
        head = re.escape(f"{URN_START}id:{scheme}:{components.rstrip('.*')}")
        return re.compile(rf"{head}(?:\..+)?" if components.strip(".*") else rf"{head}.+")
    fixed = [one for one in components.split(".") if one != "*"]
    return re.compile(rf"{exact}|{_instances(form, fixed)}")


def _instances(form: Form, fixed: list[str]) -> str:
    """Return the expression for keys of the instances that begin with components `fixed`."""
    head = re.escape(f"{DOMAIN}/{form.ai}/{form.lead}")
    prefix = fixed[0] if fixed else ""
    reference = fixed[1] if len(fixed) > 1 else None
    if not form.digits:
        value = re.escape(prefix + (reference or "")) + ("" if reference else r"[^/]+")
        tail = rf"/{form.serial_ai}/[^/]+" if form.serial_ai else ""
        return head + value + tail
    rest = form.digits - len(prefix)
    if reference is None and form.indicator_first:
        value = rf"\d{prefix}\d{{{rest - 1}}}"
    elif reference is None:
        value = rf"{prefix}\d{{{rest}}}"
    else:
        value = (
            reference[0] + prefix + reference[1:]
            if form.indicator_first
            else prefix + reference
        )
    middle = "".join(fixed[2:]) + "".join(rf"\d{{{n}}}" for n in form.middle[len(fixed[2:]) :])
    return head + value + r"\d" + middle + _tail(form)


def _tail(form: Form) -> str:
    if not form.serial_max:
        return ""
    if not form.serial_ai:
        return "[^/]+"
    tail = rf"/{form.serial_ai}/[^/]+"
    return tail if form.serial_required else f"(?:{tail})?"
