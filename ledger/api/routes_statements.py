"""POST /statements: takes submissions, one or many, and answers once they are durable.

    Content-Type                                    body
    application/vnd.tagtrail.submission+cbor        one submission (FORMATS 1)
    application/vnd.tagtrail.submissions+cbor       a CBOR array of 1 to 256 byte strings,
                                                    each one submission, applied in order
    application/json                                the same two in JSON: ["...", [...]] or
                                                    an array of such arrays

One: 201 {"index", "statement_id", "known": false}, or 200 with `known` true if the log had
it already; else a problem. Many: 200 {"results": [...]} with one of the same objects or
{"problem": {...}} for each, in order; each is taken or refused by itself.

A 2xx answer follows COMMIT, never comes before it. What was refused left nothing behind.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.body import read_body
from ledger.api.problems import MEDIA_TYPE, TOO_LARGE, ProblemError, describe_error
from ledger.api.served import served
from ledger.cose import read_array_head, read_byte_string
from ledger.disclosure import Submission, decode_submission, decode_submission_json
from ledger.errors import ParseError, TagtrailError
from ledger.store.sequencer import Answer

ONE_CBOR = "application/vnd.tagtrail.submission+cbor"
MANY_CBOR = "application/vnd.tagtrail.submissions+cbor"
JSON = "application/json"

BODY_BYTES_MAX = 64 * 1024 * 1024
SUBMISSIONS_MAX = 256
# Smaller bodies are decoded at once; larger ones would hold up the other requests.
DECODE_AT_ONCE_BYTES = 64 * 1024

_Decoded = Submission | TagtrailError

router = APIRouter()


@router.post("/statements", response_model=None)
async def post_statements(request: Request) -> Response:
    """Take one submission or many; see the module."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    decode = _DECODERS.get(content_type)
    if decode is None:
        raise ProblemError(MEDIA_TYPE, f"{content_type!r} is not one of {', '.join(_DECODERS)}")
    body = await read_body(request, BODY_BYTES_MAX)
    if len(body) <= DECODE_AT_ONCE_BYTES:
        decoded = decode(body)
    else:
        decoded = await run_in_threadpool(decode, body)
    if isinstance(decoded, Submission):
        (answer,) = await _submit(request, [decoded])
        if isinstance(answer, TagtrailError):
            raise answer
        return _answer(200 if answer.known else 201, _describe(answer))
    answers = iter(
        await _submit(request, [item for item in decoded if isinstance(item, Submission)])
    )
    results = [next(answers) if isinstance(item, Submission) else item for item in decoded]
    return _answer(200, {"results": [_describe(result) for result in results]})


async def _submit(request: Request, submissions: Sequence[Submission]) -> Sequence[Answer]:
    """Submit what was decoded, in order; return what became of each."""
    if not submissions:
        return ()
    return await asyncio.wrap_future(served(request).sequencer.submit_all(submissions))


def _describe(answer: Answer) -> dict[str, object]:
    if isinstance(answer, TagtrailError):
        return {"problem": describe_error(answer).as_json()}
    return {
        "index": answer.index,
        "statement_id": answer.statement_id.hex(),
        "known": answer.known,
    }


def _answer(status: int, value: object) -> Response:
    return Response(msgspec.json.encode(value), status, media_type=JSON)


# --- Decoding -----------------------------------------------------------------------


def _decode_many_cbor(body: bytes) -> list[_Decoded]:
    where = "submissions"
    count, at = read_array_head(body, 0, where)
    _check_count(count)
    items = []
    for _ in range(count):
        item, at = read_byte_string(body, at, where)
        items.append(item)
    if at != len(body):
        raise ParseError(where, f"ends at byte {at}, but {len(body) - at} more follow")
    return [_try_decode(decode_submission, item) for item in items]


def _decode_json(body: bytes) -> "Submission | list[_Decoded]":
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError("submission", str(error)) from error
    if items and bytes(items[0]).lstrip()[:1] == b"[":
        _check_count(len(items))
        return [_try_decode(decode_submission_json, bytes(item)) for item in items]
    return decode_submission_json(body)


def _try_decode(decode: Callable[[bytes], Submission], data: bytes) -> _Decoded:
    try:
        return decode(data)
    except TagtrailError as error:
        return error


def _check_count(count: int) -> None:
    if not 1 <= count <= SUBMISSIONS_MAX:
        raise ProblemError(
            TOO_LARGE, f"{count} submissions came, want 1 to {SUBMISSIONS_MAX} a request"
        )


_DECODERS: "dict[str, Callable[[bytes], Submission | list[_Decoded]]]" = {
    ONE_CBOR: decode_submission,
    MANY_CBOR: _decode_many_cbor,
    JSON: _decode_json,
}
