"""GET /provenance/{epc}: where an item was, what it was made of, who had it, what is unknown.

    GET /provenance/urn:epc:id:sgtin:9506000.013435.21?at=2026-01-05T12:00:00Z&known_at=4096

The item in any spelling (URN, Digital Link, element string), percent-encoded where it has
to be. `at` is the asked instant as an EPCIS time, `known_at` a size of the log: the answer
is given as it could have been given then. 200 with the answer of `ledger.provenance`; 404
`not-found` where nothing in the log names it; 400 `malformed` where it is no identifier.
"""

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.problems import NOT_FOUND, ProblemError
from ledger.api.served import Served, served
from ledger.epcis.times import parse_time_us
from ledger.gs1.epc import parse_epc
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.tlog.checkpoint import parse_decimal

router = APIRouter()


@router.get("/provenance/{epc:path}", response_model=None)
async def get_provenance(request: Request, epc: str) -> Response:
    """Return what the log knows about `epc`."""
    key = parse_epc(epc).key
    at = request.query_params.get("at")
    at_us = None if at is None else parse_time_us(at)
    known = request.query_params.get("known_at")
    known_at = None if known is None else parse_decimal(known, "known_at")
    body = await run_in_threadpool(_answer, served(request), key, at_us, known_at)
    if body is None:
        raise ProblemError(
            NOT_FOUND, f"no event that this ledger shows names {key}", epc=epc, key=key
        )
    return Response(body, media_type="application/json")


def _answer(ledger: Served, key: str, at_us: int | None, known_at: int | None) -> bytes | None:
    answer = trace(
        ledger.index.source(), key, now_us=ledger.now_us(), at_us=at_us, known_at=known_at
    )
    return None if answer is None else msgspec.json.encode(assemble_answer(answer))
