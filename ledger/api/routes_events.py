"""EPCIS 2.0 events one by one: in, and out again by eventID.

    POST    /events              201 Location: /events/{eventID}; 200 where it is captured
                                 already; 409 where another event has its eventID
    GET     /events/{eventID}    the event as JSON-LD, with recordTime; the newest of that name
    GET     /documents/{sha256}  a captured document as it was received

201 means that the event is durable in the log. What the ledger added to the event, the
citation of the document, is not shown with it: the Link header leads there.
"""

import asyncio
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.body import read_body
from ledger.api.epcis import add_options, check_request, epc_format_of
from ledger.api.problems import (
    DEFECT,
    EVENT,
    EVENT_EXISTS,
    MALFORMED,
    NOT_FOUND,
    ProblemError,
)
from ledger.api.routes_capture import (
    EPCIS_HEADERS,
    applied,
    is_strict,
    media_type,
    reception_of,
)
from ledger.api.routes_query import known_prefixes
from ledger.api.served import Served, served
from ledger.epcis.document import show_event
from ledger.epcis.event import EVIDENCE_FIELD
from ledger.epcis.parts import PART_BYTES_MAX
from ledger.epcis.query_show import translate_event
from ledger.provenance.source import KnownEvent

EVENT_BYTES_MAX = 8 * PART_BYTES_MAX
JSON_LD = "application/ld+json"
SHOWN_WAIT_S = 2.0
_LOOK_AGAIN_S = 0.005
_DIGEST_CHARS = 64

router = APIRouter()


add_options(router, "/events", "GET, POST")
add_options(router, "/events/{event_id:path}", "GET")


@router.post("/events", response_model=None)
async def post_event(request: Request) -> Response:
    """Take one event; see the module."""
    reception = reception_of(request)
    media = media_type(request)
    body = await read_body(request, EVENT_BYTES_MAX)
    strict = is_strict(request)
    done = await run_in_threadpool(reception.capture, body, media, strict=strict)
    outcome = await asyncio.wrap_future(done)
    if outcome.errors:
        detail = str(outcome.errors[0]["detail"])
        if outcome.failed:
            raise ProblemError(DEFECT, detail)
        kind = EVENT_EXISTS if outcome.conflict else EVENT
        raise ProblemError(kind, detail, errors=outcome.errors)
    (event_id,) = outcome.event_ids
    if outcome.index is not None:
        await _await_index(served(request), outcome.index)
    headers = {"Location": f"/events/{quote(event_id, safe='')}"} | applied(strict)
    answer = {"eventID": event_id} | outcome.as_json()
    return _json(msgspec.json.encode(answer), 201 if outcome.captured else 200, headers)


async def _await_index(ledger: Served, index: int) -> None:
    """Wait until the event can be asked for, but not for long: it is durable anyway."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SHOWN_WAIT_S
    while ledger.indexed() <= index and loop.time() < deadline:  # noqa: ASYNC110 - another thread's
        await asyncio.sleep(_LOOK_AGAIN_S)


@router.get("/events/{event_id:path}", response_model=None)
async def get_event(request: Request, event_id: str) -> Response:
    """Return the newest event with this eventID."""
    check_request(request)
    epc_format = epc_format_of(request)
    ledger = served(request)
    found = await run_in_threadpool(
        lambda: list(ledger.index.source().events_by_id([event_id]))
    )
    found = [one for one in found if _may_be_shown(one)]
    if not found:
        why = f"no event that this ledger shows has the eventID {event_id[:100]!r}"
        raise ProblemError(NOT_FOUND, why)
    newest = found[-1]
    raw = newest.event.raw
    shown = show_event(raw, record_time_us=newest.pin.record_time_us, hide=[EVIDENCE_FIELD])
    shown = translate_event(shown, epc_format, known_prefixes(ledger))
    headers = {}
    evidence = raw.get(EVIDENCE_FIELD)
    if isinstance(evidence, dict) and isinstance(evidence.get("document"), str):
        headers["Link"] = f'</documents/{quote(evidence["document"])}>; rel="derivedfrom"'
    return _json(msgspec.json.encode(shown), 200, headers, JSON_LD)


def _may_be_shown(known: KnownEvent) -> bool:
    """Say whether the name of an event gives nothing away that its source withholds."""
    name = known.event.event_id or ""
    return not (known.pin.withheld and name.startswith("ni:"))


@router.get("/documents/{digest}", response_model=None)
async def get_document(request: Request, digest: str) -> Response:
    """Return a document as it was received."""
    try:
        key = bytes.fromhex(digest) if len(digest) == _DIGEST_CHARS else b""
    except ValueError:
        key = b""
    if not key:
        raise ProblemError(MALFORMED, f"{digest[:80]!r} is no SHA-256 in hex")
    data = await run_in_threadpool(served(request).reader.load_document, key)
    if data is None:
        raise ProblemError(NOT_FOUND, f"this ledger keeps no document {digest}")
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(data, headers=headers, media_type="application/octet-stream")


def _json(
    body: bytes, status: int, headers: dict[str, str], media: str = "application/json"
) -> Response:
    return Response(body, status, headers=EPCIS_HEADERS | headers, media_type=media)
