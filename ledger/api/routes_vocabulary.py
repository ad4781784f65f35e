"""What events name, as EPCIS 2.0 resources: types, things, places, steps and dispositions.

    GET /bizSteps                    a collection, a page at a time
    GET /bizSteps/{bizStep}          its resources: events
    GET /bizSteps/{bizStep}/events   an event query, narrowed to it

Event types, steps and dispositions are those of the standard and whatever else events have;
things and places are those that events name, as far as this ledger shows them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.epcis import (
    add_options,
    as_collection,
    as_query_problem,
    check_request,
    epc_format_of,
    next_link,
    parameters_of,
    take_one,
    take_per_page,
)
from ledger.api.problems import NO_SUCH_RESOURCE, ProblemError
from ledger.api.routes_query import answer_query, known_prefixes, refuse_fixed
from ledger.api.served import Served, served
from ledger.epcis.query_show import EpcFormat, translate_key
from ledger.epcis.rules import EVENT_TYPES
from ledger.gs1 import cbv
from ledger.gs1.epc import canonical_key

router = APIRouter(tags=["EPCIS vocabulary"])


def _same(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Resource:
    """One top-level resource; `parameter` narrows a query to one of its members."""

    name: str
    member: str
    parameter: str
    column: str | None
    """The column of the index that holds it; None: things, which are keys."""
    standard: tuple[str, ...]
    canonical: Callable[[str], str]
    are_keys: bool = False


RESOURCES = (
    Resource("eventTypes", "eventType", "eventType", "type", EVENT_TYPES, _same),
    Resource("epcs", "epc", "MATCH_anyEPC", None, (), canonical_key, are_keys=True),
    Resource(
        "bizSteps",
        "bizStep",
        "EQ_bizStep",
        "biz_step",
        tuple(sorted(cbv.BIZ_STEP.words)),
        cbv.canonical_biz_step,
    ),
    Resource(
        "bizLocations",
        "bizLocation",
        "EQ_bizLocation",
        "biz_location",
        (),
        canonical_key,
        are_keys=True,
    ),
    Resource(
        "readPoints",
        "readPoint",
        "EQ_readPoint",
        "read_point",
        (),
        canonical_key,
        are_keys=True,
    ),
    Resource(
        "dispositions",
        "disposition",
        "EQ_disposition",
        "disposition",
        tuple(sorted(cbv.DISPOSITION.words)),
        cbv.canonical_disposition,
    ),
)


def _add_resource(resource: Resource) -> None:
    base, one = f"/{resource.name}", f"/{resource.name}/{{{resource.member}:path}}"

    async def list_members(request: Request) -> Response:
        return await _list(request, resource)

    async def describe(request: Request) -> Response:
        check_request(request)
        await _want(request, resource)
        return as_collection(["events"], {})

    async def list_events(request: Request) -> Response:
        text = request.path_params[resource.member]
        return await answer_query(request, {resource.parameter: [text]})

    async def check(request: Request) -> None:
        await _want(request, resource)

    # The events first: an identity may hold slashes, and takes what is left.
    for path, endpoint, what in (
        (base, list_members, f"List {resource.name}"),
        (f"{one}/events", list_events, f"Query events of one of {resource.name}"),
        (one, describe, f"The resources of one of {resource.name}"),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            response_model=None,
            summary=what,
            operation_id=f"{endpoint.__name__}_{resource.name}",
        )
        add_options(router, path, "GET", check if path == one else None)


async def _want(request: Request, resource: Resource) -> None:
    """Raise the problem that there is no such member, unless there is."""
    text = request.path_params[resource.member]
    key = resource.canonical(text)
    if key in resource.standard:
        return
    names = served(request).names
    known = await run_in_threadpool(names.knows, resource.column, key)
    if not known:
        why = f"no event that this ledger shows has the {resource.member} {text[:100]!r}"
        raise ProblemError(NO_SUCH_RESOURCE, why, key=key[:200])


async def _list(request: Request, resource: Resource) -> Response:
    check_request(request)
    parameters = parameters_of(request)
    with as_query_problem():
        per_page = take_per_page(parameters)
        token = take_one(parameters, "nextPageToken")
        epc_format = epc_format_of(request)
        refuse_fixed(parameters, parameters)
    ledger = served(request)
    found = await run_in_threadpool(_page, ledger, resource, token or "", per_page + 1)
    members, more = found[:per_page], len(found) > per_page
    headers = next_link(request, {}, per_page, members[-1]) if more else {}
    if resource.are_keys:
        prefixes = known_prefixes(ledger)
        members = [_write(one, epc_format, prefixes) for one in members]
    return as_collection(members, headers)


def _page(ledger: Served, resource: Resource, after: str, limit: int) -> list[str]:
    """Return the members past `after` in the order of their text."""
    found = set(ledger.names.list_names(resource.column, after, limit))
    found.update(one for one in resource.standard if one > after)
    return sorted(found)[:limit]


def _write(key: str, epc_format: EpcFormat, prefixes: tuple[str, ...]) -> str:
    return translate_key(key, epc_format, prefixes)


for each in RESOURCES:
    _add_resource(each)
