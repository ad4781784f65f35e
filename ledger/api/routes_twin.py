"""What is where, and what a recall reaches.

    GET  /contents/{epc}?at=&known_at=&depth=
    GET  /sites/{gln}/inventory?at=&known_at=&before=
    POST /recall   {"things": ["(01)09506000134369(10)A"], "from": "…", "to": "…"}

A recall is answered as it is found: one JSON object a line (`application/x-ndjson`), first
what it is as of, then the affected, the cleared, and last a summary with the parties to
call. A body that does not parse is a 400 before anything is sent.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from ledger.api.asked import (
    After,
    At,
    Before,
    Depth,
    KnownAt,
    Limit,
    as_json,
    documented,
    is_named,
    read_asked,
    read_limits,
    read_time,
    unknown,
    with_root,
)
from ledger.api.examples import example_contents, example_inventory, example_recall
from ledger.api.problems import TOO_LARGE, ProblemError
from ledger.errors import ParseError
from ledger.gs1.item import parse_item
from ledger.provenance.document import Document
from ledger.provenance.reader import Limits
from ledger.provenance.recall import ITEMS_MAX, recall
from ledger.provenance.seeds import Excursion, Suspicion
from ledger.provenance.span import Span, at_instants, until
from ledger.provenance.twin import list_contents, list_inventory

RECALL_BYTES_MAX = 1 << 20
SEEDS_MAX = 1_000
SITES = "https://id.gs1.org/414/"
NDJSON = "application/x-ndjson"

router = APIRouter(tags=["twin"])


class ExcursionBody(msgspec.Struct, forbid_unknown_fields=True):
    """Readings below `low` or above `high`, in `unit`."""

    type: str
    unit: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None


class RecallBody(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """What is suspected; times are EPCIS times."""

    things: list[str] = []
    places: list[str] = []
    parties: list[str] = []
    devices: list[str] = []
    excursion: ExcursionBody | None = None
    from_: str | None = None
    to: str | None = None
    at: str | None = None
    known_at: int | None = None
    limit: int = ITEMS_MAX
    after: str = ""


def _body_schema() -> dict[str, object]:
    """Return the JSON schema of a recall, with nothing to look up elsewhere."""
    _, parts = msgspec.json.schema_components([RecallBody])
    body = parts["RecallBody"]
    body["properties"]["excursion"]["anyOf"] = [{"type": "null"}, parts["ExcursionBody"]]
    return dict(body)


def _lines(rows: Iterable[Document]) -> Iterator[bytes]:
    for row in rows:
        yield msgspec.json.encode(row) + b"\n"


@router.get(
    "/contents/{epc:path}",
    response_model=None,
    summary="What is inside a container",
    responses=documented(example_contents(), "What is inside, level by level."),
)
async def get_contents(
    request: Request,
    epc: str,
    at: At = None,
    known_at: KnownAt = None,
    depth: Depth = None,
    after: After = "",
) -> Response:
    """Return what is in `epc` at the asked instant."""
    key = parse_item(epc)
    limits = read_limits(None, depth, None)
    ledger, asked = read_asked(request, at, known_at, limits)
    source = ledger.index.source()
    if not await run_in_threadpool(is_named, source, key):
        raise unknown(epc, key)
    levels = None if depth is None else limits.levels
    told = await run_in_threadpool(list_contents, source, key, asked, depth=levels, after=after)
    return as_json(with_root(ledger, told))


@router.get(
    "/sites/{gln:path}/inventory",
    response_model=None,
    summary="Who and what is at a site",
    responses=documented(example_inventory(), "What is at the places of the site."),
)
async def get_inventory(
    request: Request,
    gln: str,
    at: At = None,
    known_at: KnownAt = None,
    before: Before = None,
    limit: Limit = None,
) -> Response:
    """Return what is at the site `gln` (13 digits, or any spelling of a place)."""
    site = parse_item(f"https://id.gs1.org/414/{gln}" if gln.isdigit() else gln)
    ledger, asked = read_asked(request, at, known_at, read_limits(limit, None, before))
    source = ledger.index.source()
    if not site.startswith(SITES) or not await run_in_threadpool(source.keys_under, site):
        raise unknown(gln, site)
    told = await run_in_threadpool(list_inventory, source, site, asked)
    return as_json(with_root(ledger, told))


@router.post(
    "/recall",
    response_model=None,
    response_class=Response,
    summary="Everything that a suspicion reaches",
    responses=documented(
        b"".join(_lines(example_recall())).decode(),
        "One JSON object a line: recall, affected, cleared, summary.",
        NDJSON,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _body_schema(),
                    "example": {
                        "things": ["(01)09506000134369(10)A"],
                        "from": "2026-03-01T00:00:00Z",
                        "to": "2026-03-02T00:00:00Z",
                    },
                }
            },
        }
    },
)
async def post_recall(request: Request) -> Response:
    """Return, line by line, what a suspicion reaches and where it is."""
    data = await request.body()
    if len(data) > RECALL_BYTES_MAX:
        raise ProblemError(TOO_LARGE, f"a recall has at most {RECALL_BYTES_MAX} bytes")
    try:
        body = msgspec.json.decode(data, type=RecallBody)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ParseError("body", str(error)) from error
    known = None if body.known_at is None else str(body.known_at)
    ledger, asked = read_asked(request, body.at, known, Limits())
    if not 1 <= body.limit <= ITEMS_MAX:
        raise ParseError("limit", f"is {body.limit}; it goes from 1 to {ITEMS_MAX}")
    rows = recall(
        ledger.index.source(), read_suspicion(body), asked, items=body.limit, after=body.after
    )
    first = await run_in_threadpool(next, rows)  # What fails, fails before anything is sent.
    with_root(ledger, first)
    return StreamingResponse(_lines(chain([first], rows)), media_type=NDJSON)


def read_suspicion(body: RecallBody) -> Suspicion:
    """Return what a body suspects, or raise `ParseError` with the member that is wrong."""
    members = ("things", "places", "parties", "devices")
    keys = {name: tuple(parse_item(one) for one in getattr(body, name)) for name in members}
    count = sum(map(len, keys.values()))
    if not 1 <= count <= SEEDS_MAX:
        raise ParseError("body", f"suspects {count} things; name 1 to {SEEDS_MAX} of them")
    excursion = body.excursion
    for bound in () if excursion is None else (excursion.low, excursion.high):
        if bound is not None and not bound.is_finite():
            raise ParseError("excursion", f"{bound} is no limit of a reading")
    return Suspicion(
        **keys,
        excursion=None
        if excursion is None
        else Excursion(
            type=excursion.type, unit=excursion.unit, low=excursion.low, high=excursion.high
        ),
        span=_span(read_time(body.from_, "from"), read_time(body.to, "to")),
    )


def _span(from_us: int | None, to_us: int | None) -> Span:
    if from_us is None:
        return until(to_us)
    if to_us is None:
        return Span(at_instants(from_us, from_us).start)
    if to_us < from_us:
        raise ParseError("to", "is before from")
    return at_instants(from_us, to_us)
