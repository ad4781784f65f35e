"""Events and query documents as JSON bytes, put together out of the bytes that are stored.

    {"@context": ["https://ref.gs1.org/…/epcis-context.jsonld"], "type": "EPCISQueryDocument",
     "schemaVersion": "2.0", "creationDate": "…", "epcisBody": {"queryResults":
       {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": [{…}, {…}]}}}}

An event is its parts without their braces, and the time of recording: nothing is parsed and
written again, so every number and every space inside a part stays what its signer wrote.
Left out is what the event was made of (`tagtrail:evidence`), the ledger's own field.

Identities are written as the header GS1-EPC-Format asks (EPCIS 2.0 section 12): as Digital
Links unless it says otherwise, as URNs where the length of the company prefix is known, or as
they came. Only what names things, places, parties and devices is translated: the ilmd and
extension fields are their owner's.

Pure: no I/O, no clock, no randomness.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from ledger.epcis.document import EPCIS_CONTEXT
from ledger.epcis.event import EVIDENCE_FIELD
from ledger.epcis.parts import OTHER, PART_FIELDS, PART_NAMES
from ledger.epcis.times import format_time
from ledger.errors import ParseError
from ledger.gs1.epc import parse_epc
from ledger.gs1.key_urn import format_urn

EpcFormat = Literal[
    "No_Preference", "Always_GS1_Digital_Link", "Always_EPC_URN", "Never_Translates"
]
EPC_FORMATS: tuple[EpcFormat, ...] = (
    "No_Preference",
    "Always_GS1_Digital_Link",
    "Always_EPC_URN",
    "Never_Translates",
)
DEFAULT_FORMAT: EpcFormat = "Always_GS1_Digital_Link"

_Translate = Callable[[str], str]
_WHAT, _WHERE, _WHY, _HOW = (PART_NAMES.index(one) for one in ("what", "where", "why", "how"))
_MARK = b'"' + EVIDENCE_FIELD.encode() + b'"'
# A part that holds the evidence alone, or holds it last.
_EVIDENCE_ALONE = re.compile(rb'\s*\{\s*"tagtrail:evidence"\s*:\s*\{[^{}]*\}\s*\}\s*')
_EVIDENCE_LAST = re.compile(rb',\s*"tagtrail:evidence"\s*:\s*\{[^{}]*\}\s*\}\s*\Z')
_URN_TEXT = re.compile(rb'"(urn:epc:(?:id|idpat|class):[^"\\\s]+)"')
_LINK_TEXT = re.compile(rb'"(https?://[^"\\\s]+)"')


def show_parts(
    parts: Sequence[bytes | None],
    *,
    record_time_us: int,
    epc_format: EpcFormat = "No_Preference",
    prefixes: tuple[str, ...] = (),
) -> bytes:
    """Return one event as a JSON object; `prefixes` are the company prefixes that are known."""
    translate = _translation(epc_format, prefixes)
    shown: list[bytes] = []
    for n, part in enumerate(parts):
        if part is None:
            continue
        has_evidence = n == OTHER and _MARK in part
        inner = _without_evidence(part) if has_evidence else part.strip()[1:-1]
        if translate is not None and n in _TRANSLATED:
            inner = _translate(inner, translate)
        if inner:
            shown.append(inner)
    shown.append(b'"recordTime":"' + _record_time(record_time_us) + b'"')
    return b"{" + b",".join(shown) + b"}"


def show_document(
    events: Iterable[bytes],
    *,
    created_us: int,
    query_name: str,
    subscription_id: str | None = None,
    document_id: str | None = None,
) -> bytes:
    """Return the EPCISQueryDocument with `events`, each a JSON object already."""
    head = {
        "@context": [EPCIS_CONTEXT],
        **({"id": document_id} if document_id else {}),
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": format_time(created_us),
    }
    result: dict[str, str] = {"queryName": query_name}
    if subscription_id is not None:
        result["subscriptionID"] = subscription_id
    return b"".join(
        (
            _dump(head)[:-1],
            b',"epcisBody":{"queryResults":',
            _dump(result)[:-1],
            b',"resultsBody":{"eventList":[',
            b",".join(events),
            b"]}}}}",
        )
    )


def parse_epc_format(text: str | None) -> EpcFormat:
    """Return the format that a GS1-EPC-Format header asks for; `ParseError` for another."""
    if text is None:
        return DEFAULT_FORMAT
    for one in EPC_FORMATS:
        if one.lower() == text.strip().lower():
            return one
    raise ParseError("GS1-EPC-Format", f"{text[:40]!r} is not one of {', '.join(EPC_FORMATS)}")


def translate_key(key: str, epc_format: EpcFormat, prefixes: tuple[str, ...]) -> str:
    """Return a canonical key as `epc_format` asks; it is a Digital Link where it can be."""
    return _as_urn(key, prefixes) if epc_format == "Always_EPC_URN" else key


def translate_event(
    event: Mapping[str, object], epc_format: EpcFormat, prefixes: tuple[str, ...]
) -> dict[str, object]:
    """Return a JSON event with its identities written as `epc_format` asks."""
    translate = _translation(epc_format, prefixes)
    if translate is None:
        return dict(event)
    translated = (
        PART_FIELDS[_WHAT] + PART_FIELDS[_WHERE] + PART_FIELDS[_WHY] + PART_FIELDS[_HOW]
    )
    return {
        field: _translate_value(value, translate)
        if field in translated and field != "ilmd"
        else value
        for field, value in event.items()
    }


@lru_cache(maxsize=4096)
def _record_time(us: int) -> bytes:
    return format_time(us).encode()


def _dump(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _without_evidence(part: bytes) -> bytes:
    """Return the inside of part 7 without the ledger's own field."""
    if _EVIDENCE_ALONE.fullmatch(part):
        return b""
    match = _EVIDENCE_LAST.search(part)
    # The mark once, closed by the two last braces: a field of the top, nothing deeper.
    if match is not None and part.count(_MARK) == 1:
        return part[: match.start()].strip()[1:]
    fields = json.loads(part)
    fields.pop(EVIDENCE_FIELD, None)
    return _dump(fields)[1:-1]


# --- Translation --------------------------------------------------------------------

_TRANSLATED = frozenset({_WHAT, _WHERE, _WHY, _HOW})


def _translation(epc_format: EpcFormat, prefixes: tuple[str, ...]) -> _Translate | None:
    match epc_format:
        case "Always_GS1_Digital_Link":
            return _as_link
        case "Always_EPC_URN":
            return lambda text: _as_urn(text, prefixes)
        case _:
            return None


_NAME_WITH_COLON = re.compile(rb'"[^"\\]*:[^"\\]*"\s*:')


def _translate(inner: bytes, translate: _Translate) -> bytes:
    """Return the inside of a part with its identities translated."""
    to_link = translate is _as_link
    if (b'"urn:epc:' if to_link else b'"http') not in inner:
        return inner
    pattern = _URN_TEXT if to_link else _LINK_TEXT
    fields = msgspec.json.decode(b"{" + inner + b"}", type=dict[str, msgspec.Raw])
    return b",".join(
        msgspec.json.encode(name) + b":" + _translate_raw(name, bytes(raw), pattern, translate)
        for name, raw in fields.items()
    )


def _translate_raw(
    name: str, raw: bytes, pattern: re.Pattern[bytes], translate: _Translate
) -> bytes:
    if name == "ilmd" or ":" in name:
        return raw
    if _NAME_WITH_COLON.search(raw) is None:
        return pattern.sub(lambda m: b'"' + translate(m[1].decode()).encode() + b'"', raw)
    value = _translate_value(json.loads(raw), translate)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _translate_fields(value: Mapping[str, object], translate: _Translate) -> dict[str, object]:
    """Return the standard's fields of a JSON object translated, foreign ones as they are."""
    return {
        field: one if field == "ilmd" or ":" in field else _translate_value(one, translate)
        for field, one in value.items()
    }


def _translate_value(value: object, translate: _Translate) -> object:
    if isinstance(value, str):
        return translate(value)
    if isinstance(value, list):
        return [_translate_value(one, translate) for one in value]
    if isinstance(value, dict):
        return _translate_fields(value, translate)
    return value


@lru_cache(maxsize=65_536)
def _as_link(text: str) -> str:
    if not text.startswith("urn:epc:"):
        return text
    try:
        return parse_epc(text).key
    except ParseError:
        return text


@lru_cache(maxsize=65_536)
def _as_urn(text: str, prefixes: tuple[str, ...]) -> str:
    try:
        epc = parse_epc(text)
    except ParseError:
        return text
    return epc.urn or format_urn(epc.key, prefixes) or text
