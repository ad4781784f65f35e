"""From a canonical key back to its EPC URN, where the company prefix is known.

    https://id.gs1.org/01/09506000134352/21/123   with the prefix 9506000
    urn:epc:id:sgtin:9506000.013435.123

A Digital Link does not say how long the company prefix is, a URN does. So there is a URN only
for keys under prefixes that somebody names; the longest that fits is taken. A GTIN alone
becomes the pattern of its instances, as EPCIS writes a class.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable

from ledger.errors import ParseError
from ledger.gs1.keys import DOMAIN, FORMS_OF_AI, Form, quote_urn, unquote
from ledger.gs1.urn import URN_START, parse_urn

_PATH_PIECES = (2, 4)


def format_urn(key: str, prefixes: Iterable[str]) -> str | None:
    """Return the URN of `key`, or None where no prefix fits or it has no URN."""
    if not key.startswith(DOMAIN + "/"):
        return None
    pieces = key[len(DOMAIN) + 1 :].split("/")
    if len(pieces) not in _PATH_PIECES or pieces[0] not in FORMS_OF_AI:
        return None
    qualifier = pieces[2] if len(pieces) > len(("ai", "value")) else ""
    for form in FORMS_OF_AI[pieces[0]]:
        if form.serial_ai != qualifier and (qualifier or form.serial_required):
            continue
        for prefix in sorted(prefixes, key=len, reverse=True):
            urn = _write(form, unquote(pieces[1], key), pieces[3:], prefix)
            if urn is not None and _names(urn, key):
                return urn
    return _class_of(pieces, prefixes, key) if not qualifier else None


def _write(form: Form, value: str, serial: list[str], prefix: str) -> str | None:
    """Return what should be the URN, components in the order of the scheme."""
    rest = value.removeprefix(form.lead) if form.lead else value
    if form.digits:
        digits, after = rest[: form.digits], rest[form.digits + form.check :]
        indicator = digits[:1] if form.indicator_first else ""
        body = digits[len(indicator) :]
        if len(digits) != form.digits or not body.startswith(prefix):
            return None
        parts = [prefix, indicator + body[len(prefix) :]]
        for width in form.middle:
            parts.append(after[:width])
            after = after[width:]
    elif rest.startswith(prefix):
        parts, after = [prefix, quote_urn(rest[len(prefix) :])], ""
    else:
        return None
    if form.serial_max:
        plain = unquote(serial[0], "serial") if serial else after
        if not plain and form.serial_required:
            return None
        parts.append(quote_urn(plain) if plain else "0")
    kind = "class" if form.scheme == "lgtin" else "id"
    return f"{URN_START}{kind}:{form.scheme}:{'.'.join(parts)}"


def _class_of(pieces: list[str], prefixes: Iterable[str], key: str) -> str | None:
    """Return the pattern of all instances of a GTIN."""
    if pieces[0] != "01":
        return None
    form = next(one for one in FORMS_OF_AI["01"] if one.scheme == "sgtin")
    for prefix in sorted(prefixes, key=len, reverse=True):
        urn = _write(form, pieces[1], ["x"], prefix)
        if urn is not None:
            pattern = urn.replace(":id:", ":idpat:").removesuffix("x") + "*"
            if _names(pattern, key):
                return pattern
    return None


def _names(urn: str, key: str) -> bool:
    try:
        return parse_urn(urn).key == key
    except ParseError:
        return False
