"""The parameters that questions share: parsed at the door, documented in OpenAPI.

`at` and `before` are EPCIS times, `known_at` a size of the log, `limit` how many events (or
items) one answer may have. What does not parse is a 400 that names the parameter.
"""

from typing import Annotated

import msgspec
from fastapi import Query, Request
from starlette.responses import Response

from ledger.api.examples import ITEM
from ledger.api.problems import (
    CONTENT_TYPE,
    NOT_FOUND,
    Problem,
    ProblemError,
    describe_error,
)
from ledger.api.served import Served, served
from ledger.epcis.times import parse_time_us
from ledger.errors import ParseError
from ledger.gs1.item import parse_item
from ledger.provenance.document import Document
from ledger.provenance.reader import Limits
from ledger.provenance.source import EventSource, Wanted
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


def whole_item(request: Request, epc: str, suffix: str) -> str | None:
    """Return the item if the last word of the path belongs to it, as in serial `graph`.

    It does if its slash was encoded, or if what comes before it is no item and both are.
    """
    text = f"{epc}/{suffix}"
    if not bytes(request.scope["raw_path"]).endswith(b"/" + suffix.encode()):
        return text
    return text if not _is_item(epc) and _is_item(text) else None


def _is_item(text: str) -> bool:
    try:
        parse_item(text)
    except ParseError:
        return False
    return True


def is_named(source: EventSource, key: str) -> bool:
    """Tell whether an event names the thing `key` itself; what is below it does not count."""
    return any(True for _ in source.events_of([Wanted(key=key, oldest=1)]))


def with_root(ledger: Served, document: Document) -> Document:
    """Return `document` with the root of the log at the size that it is as of."""
    as_of = document["as_of"]
    assert isinstance(as_of, dict)
    as_of["root"] = ledger.log.root_at(as_of["size"]).hex()
    return document


def as_json(body: bytes | object, media_type: str = "application/json") -> Response:
    """Return a response with `body`, or with the JSON of it."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(data, media_type=media_type)


def unknown(text: str, key: str) -> ProblemError:
    """Return the problem that nothing names `key`, which was asked for as `text`."""
    return ProblemError(
        NOT_FOUND, f"no event that this ledger shows names {key}", epc=text, key=key
    )


def documented(
    example: object, what: str, media_type: str = "application/json"
) -> dict[int | str, dict[str, object]]:
    """Return what OpenAPI says about the answers of a route."""
    is_object = media_type.endswith(("/json", "+json"))
    content: dict[str, object] = {"schema": {"type": "object" if is_object else "string"}}
    if example is not None:
        content["example"] = example
    return {
        200: {"description": what, "content": {media_type: content}},
        400: {
            "description": "It does not parse; `where` names it.",
            "content": _problem(example_malformed()),
        },
        404: {
            "description": "Nothing names it; `key` is what was looked for.",
            "content": _problem(unknown(ITEM, ITEM).problem),
        },
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {CONTENT_TYPE: {"schema": {"type": "object"}, "example": problem.as_json()}}


def example_malformed() -> Problem:
    """Return what is said of an identifier with a wrong check digit."""
    try:
        parse_item("(01)09506000134353(21)7")
    except ParseError as error:
        return describe_error(error)
    raise AssertionError("the example is no example")
