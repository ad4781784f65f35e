"""GET /provenance/{epc}: where an item was, what it was made of, who had it, what is unknown.

    GET /provenance/urn:epc:id:sgtin:9506000.013435.21?at=2026-01-05T12:00:00Z&known_at=4096
    GET /provenance/(01)09506000134352(21)21?direction=forward
    GET /provenance/3034257BF400D1C000000015/graph
    GET /provenance/3034257BF400D1C000000015/bundle?withhold=why,how

The item in any spelling (URN, Digital Link, element string, tag hex), percent-encoded where
it has to be. `direction` is `back` (what it is made of; the default), `forward` (what it
went into) or `both`. 200 with the answer of `ledger.provenance`; 404 `not-found` where
nothing in the log names it; 400 `malformed` where it is no identifier. The bundle is the
file that proves the answer without this server (docs/spec/bundle.md).

A last word `graph` or `bundle` belongs to the item if its slash is encoded, or if no item
comes before it.
"""

from typing import Annotated
from urllib.parse import quote

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
    whole_item,
    with_root,
)
from ledger.api.examples import example_answer, example_graph
from ledger.api.problems import NOT_YET, ProblemError
from ledger.api.served import Served
from ledger.bundle import encode_bundle
from ledger.epcis.parts import PART_NAMES, parse_part_names
from ledger.epcis.times import format_time
from ledger.errors import ParseError
from ledger.gs1.item import parse_item
from ledger.provenance.answer import Answer, trace
from ledger.provenance.document import Document, assemble_answer
from ledger.provenance.graph import draw_graph
from ledger.provenance.reader import Limits
from ledger.provenance.recall import describe_descendants
from ledger.provenance.twin import Asked
from ledger.store.item_bundle import Question, bundle_item

DIRECTIONS = ("back", "forward", "both")
DESCENDANTS_MAX = 10_000

router = APIRouter(tags=["provenance"])

BUNDLE = "application/vnd.tagtrail.bundle+cbor"

Withhold = Annotated[
    str,
    Query(
        description=f"Parts to withhold, comma between, of {', '.join(PART_NAMES)}.",
        examples=["why,how"],
    ),
]
WithAnswer = Annotated[bool, Query(alias="answer", description="Put the answer in, too.")]
Direction = Annotated[str, Query(description="back, forward or both.", examples=["both"])]


@router.get(
    "/provenance/{epc:path}/graph",
    response_model=None,
    summary="The answer as nodes and edges",
    responses=documented(example_graph(), "Things, places and parties, and what joins them."),
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
    item = whole_item(request, epc, "graph")
    if item is not None:
        asked_for = {"at": at, "known_at": known_at, "before": before, "limit": limit}
        direction = request.query_params.get("direction", "back")
        return await get_provenance(
            request, item, **asked_for, depth=depth, direction=direction
        )
    key = parse_item(epc)
    ledger, asked = read_asked(request, at, known_at, read_limits(limit, depth, before))
    answer = await run_in_threadpool(_answer, ledger, key, asked, "back")
    if answer is None:
        raise unknown(epc, key)
    return as_json(draw_graph(answer))


@router.get(
    "/provenance/{epc:path}/bundle",
    response_model=None,
    response_class=Response,
    summary="The file that proves the answer",
    responses=documented(
        None, "A bundle: the events, their proof under a checkpoint, the answer.", BUNDLE
    ),
)
async def get_bundle(
    request: Request,
    epc: str,
    *,
    at: At = None,
    known_at: KnownAt = None,
    withhold: Withhold = "",
    with_answer: WithAnswer = True,
) -> Response:
    """Return what proves the answer about `epc`, to be verified anywhere, offline."""
    item = whole_item(request, epc, "bundle")
    if item is not None:
        direction = request.query_params.get("direction", "back")
        return await get_provenance(
            request, item, at=at, known_at=known_at, direction=direction
        )
    key, hidden = parse_item(epc), parse_part_names(withhold, "withhold")
    ledger, asked = read_asked(request, at, known_at, Limits())
    if ledger.checkpoint() is None:
        raise ProblemError(NOT_YET, "no checkpoint is signed yet", retry_after_s=1)
    question = Question(
        key=key,
        at_us=asked.now_us if asked.at_us is None else asked.at_us,
        known_at=asked.known_at,
        hidden=hidden,
        with_answer=with_answer,
    )
    source = ledger.index.source()
    made = await run_in_threadpool(bundle_item, source, ledger.reader, question)
    if made is None:
        raise unknown(epc, key)
    return Response(
        encode_bundle(made.bundle),
        media_type=BUNDLE,
        headers={"Content-Disposition": 'attachment; filename="item.bundle"'},
    )


@router.get(
    "/provenance/{epc:path}",
    response_model=None,
    summary="Where an item comes from, or what it went into",
    responses=documented(
        example_answer(), "The answer; every field: docs/reference/provenance.md."
    ),
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


def _proof_of(answer: Answer) -> str:
    """Return where the bundle is that proves the same answer, below the server's root."""
    then = "" if answer.at_us is None else f"&at={quote(format_time(answer.at_us))}"
    path = f"/provenance/{quote(answer.key, safe='')}/bundle"
    return f"{path}?known_at={answer.known_at}{then}"


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
    answer = with_root(ledger, assemble_answer(found))
    answer["proof"] = _proof_of(found)
    if direction != "back":
        answer |= describe_descendants(source, key, asked, items=DESCENDANTS_MAX)
    if direction == "forward":
        for upstream in ("events", "path", "containment", "conditions", "tiers", "handovers"):
            del answer[upstream]
        derivation = answer["derivation"]
        assert isinstance(derivation, dict)
        answer["derivation"] = {"outputs": derivation["outputs"]}
    return answer
