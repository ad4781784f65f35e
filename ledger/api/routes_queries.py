"""Named queries: EPCIS 2.0's `/queries`, and what they select.

    POST   /queries                   {"name": "cold", "query": {"GE_value_CEL": 8}}    201
    GET    /queries                   every query, a page at a time
    GET    /queries/{name}            its definition
    DELETE /queries/{name}            forgets it, and ends its subscriptions
    GET    /queries/{name}/events     what it selects now; over WebSocket `routes_stream`

The members of `query` are the parameters of an event query, as JSON; `@context` says what
prefixes mean. A name has up to 100 letters, digits and `. _ - ~`.
"""

import re
from collections.abc import Mapping

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.body import read_body
from ledger.api.epcis import (
    add_options,
    as_epcis,
    as_query_problem,
    check_request,
    next_link,
    no_content,
    parameters_of,
    take_one,
    take_per_page,
)
from ledger.api.problems import (
    MALFORMED,
    MEDIA_TYPE,
    NAME_EXISTS,
    NO_SUCH_NAME,
    QUERY_PARAMETER,
    ProblemError,
)
from ledger.api.routes_query import answer_query
from ledger.api.served import served
from ledger.epcis.parts import parse_json
from ledger.epcis.query_parse import parse_query
from ledger.errors import ParseError
from ledger.store.standing import QUERIES_MAX, NamedQuery

BODY_BYTES_MAX = 1024 * 1024
NAME = re.compile(r"[A-Za-z0-9._~-]{1,100}")

router = APIRouter(tags=["EPCIS named queries"])


async def read_object(request: Request) -> Mapping[str, object]:
    """Return the JSON object that a request brings, or end the request."""
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media not in ("application/json", "application/ld+json"):
        raise ProblemError(MEDIA_TYPE, f"{media[:60]!r} is not application/json")
    body = parse_json(await read_body(request, BODY_BYTES_MAX), "body")
    if not isinstance(body, dict):
        raise ProblemError(MALFORMED, "the body is no JSON object")
    return body


async def find_named(request: Request) -> NamedQuery:
    """Return the query that the path names, or end the request."""
    name = request.path_params["query_name"]
    found = served(request).standing.find_query(name)
    if found is None:
        raise ProblemError(NO_SUCH_NAME, f"there is no query {name[:100]!r}")
    return found


async def _check_named(request: Request) -> None:
    await find_named(request)


def describe_query(named: NamedQuery) -> dict[str, object]:
    """Return a named query as EPCIS 2.0 describes it."""
    return {"name": named.name, "query": msgspec.Raw(named.definition)}


add_options(router, "/queries", "GET, POST")
add_options(router, "/queries/{query_name}", "GET, DELETE", _check_named)
add_options(router, "/queries/{query_name}/events", "GET", _check_named)


@router.post("/queries", response_model=None, status_code=201, summary="Name a query")
async def create_query(request: Request) -> Response:
    """Keep a query under a name."""
    check_request(request)
    ledger = served(request)
    body = await read_object(request)
    name, query = body.get("name"), body.get("query")
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        why = "name is missing or has other than 1 to 100 letters, digits, . _ - ~"
        raise ProblemError(MALFORMED, why, where="name")
    if not isinstance(query, dict):
        raise ProblemError(MALFORMED, "query is missing or no object", where="query")
    try:
        parse_query(query)
    except ParseError as error:
        raise ProblemError(QUERY_PARAMETER, str(error), where=error.where) from error
    if len(ledger.standing.list_queries()) >= QUERIES_MAX:
        raise ProblemError(MALFORMED, f"there are {QUERIES_MAX} queries already")
    named = NamedQuery(name, msgspec.json.encode(query), ledger.now_us())
    if not await run_in_threadpool(ledger.standing.store_query, named):
        raise ProblemError(NAME_EXISTS, f"there is a query {name!r} already")
    return as_epcis(describe_query(named), 201, {"Location": f"/queries/{name}"})


@router.get("/queries", response_model=None, summary="List the named queries")
async def list_queries(request: Request) -> Response:
    """Return the named queries, in the order of their names."""
    check_request(request)
    parameters = parameters_of(request)
    with as_query_problem():
        per_page = take_per_page(parameters)
        after = take_one(parameters, "nextPageToken") or ""
    listed = [one for one in served(request).standing.list_queries() if one.name > after]
    page = listed[:per_page]
    headers = {}
    if len(listed) > per_page:
        headers = next_link(request, {}, per_page, page[-1].name)
    return as_epcis([describe_query(one) for one in page], headers=headers)


@router.get("/queries/{query_name}", response_model=None, summary="One named query")
async def get_query(request: Request, query_name: str) -> Response:  # noqa: ARG001 - `find_named` reads it
    """Return the definition of a query."""
    check_request(request)
    return as_epcis(describe_query(await find_named(request)))


@router.delete("/queries/{query_name}", response_model=None, status_code=204)
async def delete_query(request: Request, query_name: str) -> Response:
    """Forget a query, and end its subscriptions."""
    check_request(request)
    standing = served(request).standing
    if not await run_in_threadpool(standing.remove_query, query_name):
        raise ProblemError(NO_SUCH_NAME, f"there is no query {query_name[:100]!r}")
    return no_content()


@router.get("/queries/{query_name}/events", response_model=None, summary="What it selects")
async def get_events(request: Request, query_name: str) -> Response:
    """Return the events that a named query selects now, a page at a time."""
    check_request(request)
    named = await find_named(request)
    stored = msgspec.json.decode(named.definition)
    return await answer_query(request, {}, stored=stored, name=query_name)
