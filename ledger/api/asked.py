"""The parameters that questions share: parsed at the door, documented in OpenAPI.

`at` and `before` are EPCIS times, `known_at` a size of the log, `limit` how many events (or
items) one answer may have. What does not parse is a 400 that names the parameter.
"""

from typing import Annotated

import msgspec
from fastapi import Query, Request
from starlette.responses import Response

from ledger.api.problems import CONTENT_TYPE, NOT_FOUND, ProblemError
from ledger.api.served import Served, served
from ledger.epcis.times import parse_time_us
from ledger.errors import ParseError
from ledger.provenance.reader import Limits
from ledger.provenance.twin import Asked
from ledger.tlog.checkpoint import parse_decimal

LIMIT_MAX = 20_000
"""Events that one answer may read; more is another page."""

DEPTH_MAX = 1_000

At = Annotated[
    str | None,
    Query(description="The asked instant, an EPCIS time.", examples=["2026-01-05T12:00:00Z"]),
]
KnownAt = Annotated[
    str | None,
    Query(description="A size of the log: as could be known then.", examples=["4096"]),
]
Before = Annotated[
    str | None,
    Query(description="`continuation.before` of the page after this one."),
]
Limit = Annotated[
    str | None,
    Query(description=f"Events that the answer may read, 1 to {LIMIT_MAX}.", examples=["3000"]),
]
After = Annotated[str, Query(description="`continuation.after` of the answer before this one.")]
Depth = Annotated[
    str | None,
    Query(description=f"Levels of containers or inputs, 1 to {DEPTH_MAX}.", examples=["3"]),
]


def read_time(text: str | None, name: str) -> int | None:
    """Return the instant of a parameter, or None where it is absent."""
    return None if text is None else parse_time_us(text, name)


def read_count(text: str | None, name: str, most: int) -> int | None:
    """Return the number of a parameter from 1 to `most`, or None where it is absent."""
    if text is None:
        return None
    count = parse_decimal(text, name)
    if not 1 <= count <= most:
        raise ParseError(name, f"is {count}; it goes from 1 to {most}")
    return count


def read_limits(limit: str | None, depth: str | None, before: str | None) -> Limits:
    """Return the limits that these parameters say."""
    usual = Limits()
    return Limits(
        events=read_count(limit, "limit", LIMIT_MAX) or usual.events,
        levels=read_count(depth, "depth", DEPTH_MAX) or usual.levels,
        before_us=read_time(before, "before"),
    )


def read_asked(
    request: Request, at: str | None, known_at: str | None, limits: Limits
) -> tuple[Served, Asked]:
    """Return the ledger, and when and as known when it is asked."""
    ledger = served(request)
    known = None if known_at is None else parse_decimal(known_at, "known_at")
    asked = Asked(
        now_us=ledger.now_us(), at_us=read_time(at, "at"), known_at=known, limits=limits
    )
    return ledger, asked


def as_json(body: bytes | object, media_type: str = "application/json") -> Response:
    """Return a response with `body`, or with the JSON of it."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(data, media_type=media_type)


def unknown(text: str, key: str) -> ProblemError:
    """Return the problem that nothing names `key`, which was asked for as `text`."""
    return ProblemError(
        NOT_FOUND, f"no event that this ledger shows names {key}", epc=text, key=key
    )


def documented(example: object, what: str) -> dict[int | str, dict[str, object]]:
    """Return what OpenAPI says about the answers of a route."""
    problem: dict[str, object] = {CONTENT_TYPE: {"schema": {"type": "object"}}}
    return {
        200: {"description": what, "content": {"application/json": {"example": example}}},
        400: {"description": "It does not parse; `where` names it.", "content": problem},
        404: {
            "description": "Nothing names it; `key` is what was looked for.",
            "content": problem,
        },
    }
