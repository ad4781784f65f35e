"""The manners of EPCIS 2.0 over HTTP: versions, formats, OPTIONS, pages and collections.

Every answer says GS1-EPCIS-Version and GS1-CBV-Version. A client may ask for a range of
versions (GS1-EPCIS-Min and -Max, GS1-CBV-Min and -Max) and for JSON (Accept); where 2.0.0 or
JSON is not among what it takes, it gets 406. OPTIONS says what a resource can do, and 204.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from ledger.api.problems import NOT_ACCEPTABLE, QUERY_PARAMETER, URI_TOO_LONG, ProblemError
from ledger.epcis.document import EPCIS_CONTEXT
from ledger.epcis.query_show import DEFAULT_FORMAT, EpcFormat, parse_epc_format
from ledger.errors import ParseError
from ledger.tlog.checkpoint import parse_decimal

VERSION = "2.0.0"
VERSIONS = {"GS1-EPCIS-Version": VERSION, "GS1-CBV-Version": VERSION}
CAPABILITIES = VERSIONS | {
    "GS1-EPCIS-Min": "1.2.0",
    "GS1-EPCIS-Max": VERSION,
    "GS1-CBV-Min": "1.2.0",
    "GS1-CBV-Max": VERSION,
    "GS1-EPC-Format": DEFAULT_FORMAT,
    "GS1-CBV-XML-Format": "Never_Translates",
    "GS1-Extensions": "tagtrail=https://tagtrail.dev/voc/",
    "GS1-Vendor-Version": f"tagtrail-{version('tagtrail')}",
}
PER_PAGE = 30
PER_PAGE_MAX = 1000
QUERY_CHARS_MAX = 32_768
"""Characters of a URL's query; longer questions are named queries."""

_NUMBERS = re.compile(r"\d{1,4}(\.\d{1,4}){0,2}", re.ASCII)
_JSON_TYPES = ("application/json", "application/ld+json", "application/*", "*/*")
_RANGES = (
    ("gs1-epcis-min", False),
    ("gs1-epcis-max", True),
    ("gs1-cbv-min", False),
    ("gs1-cbv-max", True),
)


@contextmanager
def as_query_problem() -> Iterator[None]:
    """Turn what does not parse into the problem of a query's parameter, named by `where`."""
    try:
        yield
    except ParseError as error:
        raise ProblemError(QUERY_PARAMETER, str(error), where=error.where) from error


def check_request(request: Request) -> None:
    """Raise 406 where the client takes no version or no form that can be answered."""
    headers = request.headers
    for name, is_most in _RANGES:
        text = headers.get(name)
        if text is not None:
            _check_range(name, text, is_most=is_most)
    accept = headers.get("accept")
    if accept and not any(kind in accept for kind in _JSON_TYPES):
        why = f"answers are JSON; accept {', '.join(_JSON_TYPES[:2])}"
        raise ProblemError(NOT_ACCEPTABLE, why)


def _check_range(name: str, text: str, *, is_most: bool) -> None:
    if _NUMBERS.fullmatch(text.strip()) is None:
        raise ParseError(name, f"is {text[:40]!r}; write a version such as {VERSION}")
    asked, ours = _version(text.strip()), _version(VERSION)
    if (asked < ours) if is_most else (asked > ours):
        raise ProblemError(NOT_ACCEPTABLE, f"{name} is {text}; answers are of {VERSION}")


def _version(text: str) -> tuple[int, ...]:
    numbers = [int(one) for one in text.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def epc_format_of(request: Request) -> EpcFormat:
    """Return how identities are to be written."""
    return parse_epc_format(request.headers.get("gs1-epc-format"))


def parameters_of(request: Request) -> dict[str, list[str]]:
    """Return the parameters of the URL, each with all its values in order."""
    query = request.scope["query_string"]
    if len(query) > QUERY_CHARS_MAX:
        why = f"the query has over {QUERY_CHARS_MAX} characters; make it a named query"
        raise ProblemError(URI_TOO_LONG, why)
    found: dict[str, list[str]] = {}
    try:
        text = query.decode("ascii")
        for name, value in parse_qsl(text, keep_blank_values=True, errors="strict"):
            found.setdefault(name, []).append(value)
    except ValueError:
        raise ProblemError(QUERY_PARAMETER, "the query is no UTF-8") from None
    return found


def take_one(parameters: dict[str, list[str]], name: str) -> str | None:
    """Take a parameter out that may be there once."""
    values = parameters.pop(name, None)
    if values is None:
        return None
    if len(values) != 1:
        raise ParseError(name, "is there more than once")
    return values[0]


def take_per_page(parameters: dict[str, list[str]]) -> int:
    """Take `perPage` out: at least 1, and at most `PER_PAGE_MAX` whatever is asked for."""
    text = take_one(parameters, "perPage")
    if text is None:
        return PER_PAGE
    count = parse_decimal(text, "perPage")
    if count < 1:
        raise ParseError("perPage", "is 0; it goes from 1 on")
    return min(count, PER_PAGE_MAX)


def next_link(
    request: Request, parameters: Mapping[str, Sequence[str]], per_page: int, token: str
) -> dict[str, str]:
    """Return the Link header to the next page of what `parameters` ask."""
    pairs = [(name, value) for name, values in parameters.items() for value in values]
    pairs += [("perPage", str(per_page)), ("nextPageToken", token)]
    path = quote(request.scope["path"], safe="/:%")
    raw = request.scope.get("raw_path")
    path = raw.decode("ascii", "replace").partition("?")[0] if raw else path
    return {"Link": f'<{path}?{urlencode(pairs)}>; rel="next"'}


def as_collection(members: Iterable[str], headers: Mapping[str, str]) -> Response:
    """Return a JSON-LD collection."""
    return as_epcis(
        {"@context": EPCIS_CONTEXT, "type": "Collection", "member": list(members)},
        headers=headers,
    )


def as_epcis(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return `body`, bytes or what becomes JSON, with the versions."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(data, status, {**VERSIONS, **(headers or {})}, "application/json")


def no_content(headers: Mapping[str, str] | None = None) -> Response:
    """Return 204 with the versions."""
    return Response(status_code=204, headers={**VERSIONS, **(headers or {})})


def add_options(
    router: APIRouter,
    path: str,
    allow: str,
    check: Callable[[Request], Awaitable[None]] | None = None,
) -> None:
    """Let OPTIONS say what `path` can do; `check` raises where there is no such resource."""

    async def answer(request: Request) -> Response:
        check_request(request)
        if check is not None:
            await check(request)
        return Response(status_code=204, headers=CAPABILITIES | {"Allow": f"OPTIONS, {allow}"})

    router.add_api_route(
        path,
        answer,
        methods=["OPTIONS"],
        response_model=None,
        status_code=204,
        summary=f"What {path} can do",
        operation_id="options_" + (re.sub(r"\W+", "_", path).strip("_") or "root"),
    )
