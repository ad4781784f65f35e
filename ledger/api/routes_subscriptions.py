"""Subscriptions of named queries by webhook: EPCIS 2.0's `/queries/{name}/subscriptions`.

    POST {"dest": "https://client.example.com/callback", "signatureToken": "…", "stream": true}
    POST {"dest": "…", "schedule": {"hour": "1", "minute": "5"}, "reportIfEmpty": true}

`stream` and `schedule` exclude each other; one is required. `secret` is read as another name
of `signatureToken`, which GS1's schema requires under the one and describes under the other;
without it deliveries are not signed. The token is never shown again. `initialRecordTime` (by
default now) says from when on events are sent. Deliveries: `ledger.subscriptions.dispatcher`.
"""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.epcis import (
    add_options,
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
from ledger.api.problems import NO_SUCH_NAME, SUBSCRIPTION, ProblemError
from ledger.api.routes_queries import find_named, read_object
from ledger.api.served import Served, served
from ledger.epcis.query_schedule import next_time_us, parse_schedule
from ledger.epcis.times import format_time, parse_time_us
from ledger.errors import ParseError
from ledger.store.query_sql import below_entry
from ledger.store.standing import SUBSCRIPTIONS_MAX, Subscription
from ledger.subscriptions.guard import allowed_addresses, parse_destination

TOKEN_CHARS_MAX = 1000
_MEMBERS = (
    *("dest", "signatureToken", "secret", "stream", "schedule"),
    *("reportIfEmpty", "initialRecordTime"),
)
_ALL = "/queries/{query_name}/subscriptions"
_ONE = _ALL + "/{subscription_id}"

router = APIRouter(tags=["EPCIS subscriptions"])


async def _find(request: Request) -> Subscription:
    """Return the subscription that the path names, or end the request."""
    named = await find_named(request)
    subscription_id = request.path_params["subscription_id"]
    found = served(request).standing.find_subscription(named.name, subscription_id)
    if found is None:
        why = f"the query {named.name!r} has no subscription {subscription_id[:80]!r}"
        raise ProblemError(NO_SUCH_NAME, why)
    return found


async def _check_query(request: Request) -> None:
    await find_named(request)


async def _check_subscription(request: Request) -> None:
    await _find(request)


add_options(router, _ALL, "GET, POST", _check_query)
add_options(router, _ONE, "GET, DELETE", _check_subscription)


@router.post(_ALL, response_model=None, status_code=201, summary="Subscribe to a query")
async def subscribe(request: Request, query_name: str) -> Response:
    """Send the events of a query to a URL from now on."""
    check_request(request)
    ledger = served(request)
    named = await find_named(request)
    body = await read_object(request)
    try:
        wanted = _read(body, named.name, ledger, epc_format_of(request))
        destination = parse_destination(wanted.dest)
        networks = ledger.dispatcher.settings.networks
        with suppress(OSError):  # No address now: there may be one when it is needed.
            await run_in_threadpool(allowed_addresses, destination, networks)
    except ParseError as error:
        raise ProblemError(SUBSCRIPTION, str(error), where=error.where) from error
    one = await run_in_threadpool(_place, ledger, wanted)
    if len(ledger.standing.list_subscriptions()) >= SUBSCRIPTIONS_MAX:
        raise ProblemError(SUBSCRIPTION, f"there are {SUBSCRIPTIONS_MAX} subscriptions already")
    if not await run_in_threadpool(ledger.standing.store_subscription, one):
        raise ProblemError(NO_SUCH_NAME, f"there is no query {query_name[:100]!r}")
    location = {"Location": f"/queries/{named.name}/subscriptions/{one.id}"}
    return as_epcis(describe_subscription(one), 201, location)


def _place(ledger: Served, one: Subscription) -> Subscription:
    """Return a new subscription with the place of its first event."""
    if one.initial_us is None:
        place = below_entry(ledger.log.size)
    else:
        place = ledger.queries.find_recorded(one.initial_us)
    return replace(one, place=place)


def _read(
    body: Mapping[str, object], name: str, ledger: Served, epc_format: str
) -> Subscription:
    """Return the subscription that a request describes, or raise `ParseError`."""
    for member in body:
        if member not in _MEMBERS:
            why = f"is unknown; a subscription has {', '.join(_MEMBERS)}"
            raise ParseError(member[:60], why)
    dest = body.get("dest")
    if not isinstance(dest, str):
        raise ParseError("dest", "is missing or no text")
    now_us = ledger.now_us()
    schedule = _read_schedule(body)
    initial_us = _read_initial(body)
    due_us = None
    if schedule is not None:
        due_us = next_time_us(parse_schedule(json.loads(schedule)), now_us)
    return Subscription(
        id=str(UUID(bytes=secrets.token_bytes(16), version=4)),
        query=name,
        dest=dest,
        token=_read_token(body),
        schedule=schedule,
        report_if_empty=_read_flag(body, "reportIfEmpty"),
        initial_us=initial_us,
        epc_format=epc_format,
        created_us=now_us,
        last_notified_us=None,
        min_record_us=now_us if initial_us is None else initial_us,
        place=0,
        until=None,
        failures=0,
        retry_us=0,
        due_us=due_us,
        why=None,
    )


def _read_schedule(body: Mapping[str, object]) -> str | None:
    """Return the schedule as JSON, or None for a stream."""
    stream = _read_flag(body, "stream")
    schedule = body.get("schedule")
    if schedule is None:
        if not stream:
            raise ParseError("stream", "or a schedule is needed; write stream: true")
        return None
    if stream:
        raise ParseError("schedule", "and stream exclude each other")
    if not isinstance(schedule, dict):
        raise ParseError("schedule", "is no object")
    parse_schedule(schedule)
    return json.dumps(schedule)


def _read_flag(body: Mapping[str, object], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise ParseError(name, "is no truth value; write true or false")
    return value


def _read_token(body: Mapping[str, object]) -> str | None:
    for name in ("signatureToken", "secret"):
        value = body.get(name)
        if value is not None:
            if not isinstance(value, str) or not 0 < len(value) <= TOKEN_CHARS_MAX:
                raise ParseError(name, f"is no text of 1 to {TOKEN_CHARS_MAX} characters")
            return value
    return None


def _read_initial(body: Mapping[str, object]) -> int | None:
    value = body.get("initialRecordTime")
    if value is None:
        return None
    if not isinstance(value, str):
        raise ParseError("initialRecordTime", "is no time")
    return parse_time_us(value, "initialRecordTime")


def describe_subscription(one: Subscription) -> dict[str, object]:
    """Return a subscription as EPCIS 2.0 describes it, without its token."""
    described: dict[str, object] = {
        "subscriptionID": one.id,
        "dest": one.dest,
        "createdAt": format_time(one.created_us),
        "minRecordTime": format_time(one.min_record_us),
        "epcFormat": one.epc_format,
    }
    if one.schedule is None:
        described["stream"] = True
    else:
        described["schedule"] = json.loads(one.schedule)
        described["reportIfEmpty"] = bool(one.report_if_empty)
    if one.initial_us is not None:
        described["initialRecordTime"] = format_time(one.initial_us)
    if one.last_notified_us is not None:
        described["lastNotifiedAt"] = format_time(one.last_notified_us)
    if one.why is not None:
        described["tagtrail:lastError"] = one.why
        described["tagtrail:nextAttemptAt"] = format_time(one.retry_us)
    return described


@router.get(_ALL, response_model=None, summary="List the subscriptions of a query")
async def list_subscriptions(request: Request, query_name: str) -> Response:
    """Return the subscriptions of a query, the oldest first."""
    check_request(request)
    await find_named(request)
    parameters = parameters_of(request)
    with as_query_problem():
        per_page = take_per_page(parameters)
        after = take_one(parameters, "nextPageToken")
    listed = served(request).standing.list_subscriptions(query_name)
    start = next((n + 1 for n, one in enumerate(listed) if one.id == after), 0)
    page = listed[start : start + per_page]
    headers = {}
    if start + per_page < len(listed):
        headers = next_link(request, {}, per_page, page[-1].id)
    return as_epcis([describe_subscription(one) for one in page], headers=headers)


@router.get(_ONE, response_model=None, summary="One subscription")
async def get_subscription(request: Request, query_name: str, subscription_id: str) -> Response:  # noqa: ARG001 - `_find` reads them
    """Return how a subscription stands."""
    check_request(request)
    return as_epcis(describe_subscription(await _find(request)))


@router.delete(_ONE, response_model=None, status_code=204, summary="End a subscription")
async def unsubscribe(request: Request, query_name: str, subscription_id: str) -> Response:
    """End a subscription."""
    check_request(request)
    await _find(request)
    standing = served(request).standing
    await run_in_threadpool(standing.remove_subscription, query_name, subscription_id)
    return no_content()
