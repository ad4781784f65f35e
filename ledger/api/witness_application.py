"""The HTTP interface of a witness, after C2SP tlog-witness.

POST /add-checkpoint            a signed checkpoint with a consistency proof
                                → 200 and signature lines, or 400, 403, 404, 409, 422
GET  /<sha256 of origin>/checkpoint   the newest checkpoint cosigned of that log
GET  /healthz
"""

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from ledger.api.body import read_body
from ledger.api.problems import describe_error
from ledger.errors import TagtrailError
from ledger.federation.witnessing import WitnessService
from ledger.tlog.witness import REQUEST_BYTES_MAX, Refusal

_HASH_DIGITS = 64
_NOT_FOUND = 404


def create_witness_application(witness: WitnessService) -> FastAPI:
    """Return the application of `witness`, which outlives it."""
    application = FastAPI(title="tagtrail witness", docs_url=None, redoc_url=None)

    @application.post("/add-checkpoint", response_model=None)
    async def add_checkpoint(request: Request) -> Response:
        """Cosign a checkpoint that extends what was cosigned before."""
        data = await read_body(request, REQUEST_BYTES_MAX)
        answer = await run_in_threadpool(witness.add_checkpoint, data)
        if isinstance(answer, Refusal):
            body = answer.body or f"{answer.why}\n"
            # As a header, since a media type of text would get a charset, which is not agreed.
            return Response(body, answer.status, {"Content-Type": answer.media_type})
        return PlainTextResponse(answer)

    @application.get("/{origin_hash}/checkpoint", response_model=None)
    async def get_checkpoint(origin_hash: str) -> Response:
        """Return the newest checkpoint that was cosigned of one log."""
        found = None
        if len(origin_hash) == _HASH_DIGITS and set(origin_hash) <= set("0123456789abcdef"):
            found = await run_in_threadpool(witness.latest, bytes.fromhex(origin_hash))
        if found is None:
            return PlainTextResponse("no checkpoint of that log was cosigned\n", _NOT_FOUND)
        return PlainTextResponse(found)

    @application.get("/healthz", response_model=None)
    async def get_health() -> Response:
        """Return `ok` while the process runs its event loop."""
        return PlainTextResponse("ok\n")

    application.add_exception_handler(TagtrailError, _answer_error)
    return application


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, TagtrailError)
    return describe_error(error).as_response()
