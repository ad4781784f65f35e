"""GET /provenance/{epc}: where an item was, what it was made of, who had it, what is unknown.

    GET /provenance/urn:epc:id:sgtin:9506000.013435.21?at=2026-01-05T12:00:00Z&known_at=4096
    GET /provenance/(01)09506000134352(21)21?direction=forward
    GET /provenance/3034257BF400D1C000000015/graph

The item in any spelling (URN, Digital Link, element string, tag hex), percent-encoded where
it has to be. `direction` is `back` (what it is made of; the default), `forward` (what it
went into) or `both`. 200 with the answer of `ledger.provenance`; 404 `not-found` where
nothing in the log names it; 400 `malformed` where it is no identifier.
"""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.asked import (
    At,
    Before,
    Depth,
    KnownAt,
    Limit,
    as_json,
    documented,
    read_asked,
    read_limits,
    unknown,
)
from ledger.api.served import Served
from ledger.errors import ParseError
from ledger.gs1.item import parse_item
from ledger.provenance.answer import trace
from ledger.provenance.document import Document, assemble_answer
from ledger.provenance.graph import draw_graph
from ledger.provenance.recall import describe_descendants
from ledger.provenance.twin import Asked

DIRECTIONS = ("back", "forward", "both")
DESCENDANTS_MAX = 10_000

router = APIRouter(tags=["provenance"])

_EPC = "https://id.gs1.org/01/09506000134352/21/7"
_EXAMPLE: Document = {
    "epc": _EPC,
    "as_of": {"size": 412, "root": None, "time": None, "before": None},
    "state": {
        "place": "https://id.gs1.org/414/9521321000010",
        "owner": "https://id.gs1.org/417/9521321000003",
    },
    "events": [{"entry": 17, "biz_step": "commissioning", "via": "direct", "path": [_EPC]}],
    "gaps": [{"kind": "moved_unseen", "from": None, "to": None, "between": [], "why": "…"}],
    "truncated": False,
    "continuation": None,
}

Direction = Annotated[str, Query(description="back, forward or both.", examples=["both"])]


@router.get(
    "/provenance/{epc:path}/graph",
    response_model=None,
    summary="The answer as nodes and edges",
    responses=documented(
        {
            "epc": _EPC,
            "nodes": [{"id": _EPC, "kind": "item", "label": _EPC}],
            "edges": [{"from": _EPC, "to": "…", "kind": "contained", "precision": "exact"}],
        },
        "Things, places and parties, and what joins them.",
    ),
)
async def get_graph(  # noqa: PLR0913 - one for each parameter
    request: Request,
    epc: str,
    *,
    at: At = None,
    known_at: KnownAt = None,
    before: Before = None,
    limit: Limit = None,
    depth: Depth = None,
) -> Response:
    """Return the graph of the answer about `epc`, for drawing."""
    key = parse_item(epc)
    ledger, asked = read_asked(request, at, known_at, read_limits(limit, depth, before))
    answer = await run_in_threadpool(_answer, ledger, key, asked, "back")
    if answer is None:
        raise unknown(epc, key)
    return as_json(draw_graph(answer))


@router.get(
    "/provenance/{epc:path}",
    response_model=None,
    summary="Where an item comes from, or what it went into",
    responses=documented(_EXAMPLE, "The answer; every field: docs/reference/provenance.md."),
)
async def get_provenance(  # noqa: PLR0913 - one for each parameter
    request: Request,
    epc: str,
    *,
    at: At = None,
    known_at: KnownAt = None,
    before: Before = None,
    limit: Limit = None,
    depth: Depth = None,
    direction: Direction = "back",
) -> Response:
    """Return what the log knows about `epc`."""
    key = parse_item(epc)
    if direction not in DIRECTIONS:
        raise ParseError("direction", f"{direction[:40]!r} is none of {', '.join(DIRECTIONS)}")
    ledger, asked = read_asked(request, at, known_at, read_limits(limit, depth, before))
    body = await run_in_threadpool(_encoded, ledger, key, asked, direction)
    if body is None:
        raise unknown(epc, key)
    return as_json(body)


def _encoded(ledger: Served, key: str, asked: Asked, direction: str) -> bytes | None:
    answer = _answer(ledger, key, asked, direction)
    return None if answer is None else msgspec.json.encode(answer)


def _answer(ledger: Served, key: str, asked: Asked, direction: str) -> Document | None:
    source = ledger.index.source()
    found = trace(
        source,
        key,
        now_us=asked.now_us,
        at_us=asked.at_us,
        known_at=asked.known_at,
        limits=asked.limits,
    )
    if found is None:
        return None
    answer = assemble_answer(found)
    if direction != "back":
        answer |= describe_descendants(source, key, asked, items=DESCENDANTS_MAX)
    if direction == "forward":
        for upstream in ("events", "path", "containment", "conditions", "tiers", "handovers"):
            del answer[upstream]
        derivation = answer["derivation"]
        assert isinstance(derivation, dict)
        answer["derivation"] = {"outputs": derivation["outputs"]}
    return answer
