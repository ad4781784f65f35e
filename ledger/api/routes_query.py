"""Event queries over HTTP: GET /events, and how every resource `…/events` answers.

Parameters are those of SimpleEventQuery (`ledger.epcis.query_parse`), with `perPage` (at most
1,000) and `nextPageToken`. The answer is an EPCISQueryDocument made of stored bytes; while
there are more pages it has `Link: <…>; rel="next"`. A page may be short, or empty, and still
have a next one. Pages of one walk see the events that were there when it began.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.epcis import (
    add_options,
    as_collection,
    as_epcis,
    as_query_problem,
    check_request,
    epc_format_of,
    next_link,
    no_content,
    parameters_of,
    take_one,
    take_per_page,
)
from ledger.api.page_token import check_token, digest_question, format_token, parse_token
from ledger.api.problems import QUERY_TOO_LARGE, ProblemError
from ledger.api.served import Served, served
from ledger.epcis.query import SIMPLE_EVENT_QUERY, Query, QueryTooLargeError
from ledger.epcis.query_parse import parse_extensions, parse_query
from ledger.epcis.query_show import EpcFormat, show_document, show_parts
from ledger.errors import ParseError
from ledger.store.query_reader import Found

TOP_LEVEL = (
    *("events", "eventTypes", "epcs", "bizSteps", "bizLocations"),
    *("readPoints", "dispositions", "capture", "queries"),
)

router = APIRouter(tags=["EPCIS queries"])


add_options(router, "/", "GET")


@router.get("/", response_model=None, summary="The top-level resources")
async def get_root(request: Request) -> Response:
    """Return the resources of this repository."""
    check_request(request)
    return as_collection(TOP_LEVEL, {})


@router.get("/events", response_model=None, summary="Query events")
async def get_events(request: Request) -> Response:
    """Return the events that match the parameters, a page at a time."""
    return await answer_query(request, {})


@router.delete("/nextPageToken/{token}", response_model=None, status_code=204)
async def release_token(request: Request, token: str) -> Response:
    """Release a page token: it is refused from now on."""
    with as_query_problem():
        check_token(token)
    served(request).released.release(token)
    return no_content()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One page that is asked for."""

    query: Query
    name: str
    per_page: int
    token: str | None
    digest: bytes
    epc_format: EpcFormat


async def answer_query(
    request: Request,
    given: Mapping[str, Sequence[str]],
    *,
    stored: Mapping[str, object] | None = None,
    name: str = SIMPLE_EVENT_QUERY,
) -> Response:
    """Answer the query of the URL, narrowed by `given`; or the named query `stored`."""
    check_request(request)
    ledger = served(request)
    parameters = parameters_of(request)
    asked = _read(request, parameters, given, stored, name)
    if asked.token is not None:
        with as_query_problem():
            ledger.released.refuse_released(asked.token)
    body, token = await run_in_threadpool(_answer, ledger, asked)
    headers = {} if token is None else next_link(request, parameters, asked.per_page, token)
    return as_epcis(body, headers=headers)


def _read(
    request: Request,
    parameters: dict[str, list[str]],
    given: Mapping[str, Sequence[str]],
    stored: Mapping[str, object] | None,
    name: str,
) -> _Asked:
    """Read a request; what is left in `parameters` is what its next page asks, too."""
    with as_query_problem():
        per_page = take_per_page(parameters)
        token = take_one(parameters, "nextPageToken")
        fixed = {**(stored or {}), **given}
        asked = {name: _listed(values) for name, values in parameters.items()}
        refuse_fixed(fixed, asked)
        prefixes = parse_extensions(request.headers.get("gs1-extensions", ""))
        query = parse_query({**fixed, **asked}, prefixes=prefixes)
        epc_format = epc_format_of(request)
    pairs = [(n, value) for n, values in parameters.items() for value in values]
    digest = digest_question([("path", request.scope["path"]), *pairs])
    return _Asked(query, name, per_page, token, digest, epc_format)


def refuse_fixed(fixed: Mapping[str, object], asked: Mapping[str, object]) -> None:
    """Raise `ParseError` where a parameter is given that the resource itself gives."""
    for parameter in asked:
        if parameter in fixed:
            raise ParseError(parameter, "cannot be asked of this resource")


def _listed(values: Sequence[str]) -> object:
    """Return the values of a parameter as a query takes them: one text, or a list."""
    if len(values) == 1:
        return values[0]
    return [one for value in values for one in value.split("|")]


def _answer(ledger: Served, asked: _Asked) -> tuple[bytes, str | None]:
    """Return the document of one page, and the token of the next."""
    with as_query_problem():
        position = parse_token(asked.token, asked.digest) if asked.token is not None else None
    try:
        page = ledger.queries.load_page(asked.query, asked.per_page, position)
    except QueryTooLargeError as error:
        raise ProblemError(QUERY_TOO_LARGE, str(error)) from error
    events = show_found(ledger, page.events, asked.epc_format)
    body = show_document(events, created_us=ledger.now_us(), query_name=asked.name)
    return body, format_token(page.position, asked.digest) if page.position else None


def show_found(ledger: Served, found: Sequence[Found], epc_format: EpcFormat) -> list[bytes]:
    """Return events as JSON objects, their identities written as asked."""
    prefixes = known_prefixes(ledger) if epc_format == "Always_EPC_URN" else ()
    return [
        show_parts(
            one.parts,
            record_time_us=one.record_time_us,
            epc_format=epc_format,
            prefixes=prefixes,
        )
        for one in found
    ]


def known_prefixes(ledger: Served) -> tuple[str, ...]:
    """Return the company prefixes of the parties that the log admitted."""
    records = ledger.log.keys().values()
    return tuple(sorted({prefix for record in records for prefix in record.prefixes}))
