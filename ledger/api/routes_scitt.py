"""What the tools of SCITT ask for: registration, COSE receipts, and the key they verify with.

    GET  /log/receipt/{index}       the COSE receipt of an entry (RFC 9942)
    POST /entries                   a signed statement without events, application/cose
                                    → 201 and its receipt, or 303 to /entries/{index}
    GET  /entries/{index}           its receipt, or 302 to itself while no checkpoint covers it
    GET  /.well-known/scitt-keys    a COSE Key Set with the receipt key

After draft-ietf-scitt-scrapi-09 as far as that is settled; errors are RFC 9457 problems in
JSON. A receipt proves membership only (`ledger.receipt`). A statement with events comes in
by POST /statements, because here its events could not come with it.
"""

import asyncio

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ledger.api.body import read_body
from ledger.api.problems import (
    MEDIA_TYPE,
    NO_RECEIPT,
    NOT_FOUND,
    ProblemError,
)
from ledger.api.routes_log import newest_checkpoint, refuse_uncovered
from ledger.api.served import Served, served
from ledger.cose import Signer, encode_cbor
from ledger.disclosure import Submission
from ledger.entry import parse_entry
from ledger.receipt import RECEIPT_TYPE, Claims, sign_receipt
from ledger.statement import STATEMENT_BYTES_MAX, Capture, parse_statement
from ledger.tlog.checkpoint import parse_decimal
from ledger.tlog.merkle import LeafIndex, TreeSize

STATEMENT_TYPES = ("application/cose", "application/scitt-statement+cose")
KEY_SET_TYPE = "application/cose-key-set"
AGAIN_AFTER_S = "1"
_US = 1_000_000

router = APIRouter()


@router.get("/log/receipt/{index}", response_model=None)
async def get_receipt(request: Request, index: str) -> Response:
    """Return the COSE receipt of the entry at `index`, under the newest checkpoint."""
    ledger = served(request)
    return await _receipt(ledger, parse_decimal(index, "index"))


@router.post("/entries", response_model=None)
async def post_entry(request: Request) -> Response:
    """Register one signed statement that has no events."""
    ledger = served(request)
    _signer(ledger)
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type not in STATEMENT_TYPES:
        wanted = " or ".join(STATEMENT_TYPES)
        raise ProblemError(MEDIA_TYPE, f"{content_type!r} is not {wanted}")
    raw = await read_body(request, STATEMENT_BYTES_MAX)
    statement = parse_statement(raw)
    if isinstance(statement.body, Capture) and statement.body.count:
        raise ProblemError(
            MEDIA_TYPE,
            f"this statement is about {statement.body.count} events, which have to come with "
            "it: POST /statements takes both",
        )
    answer = await asyncio.wrap_future(ledger.sequencer.submit(Submission(raw, ())))
    place = f"/entries/{answer.index}"
    newest = ledger.checkpoint()
    if newest is None or answer.index >= newest[0]:
        return RedirectResponse(place, 303, {"Retry-After": AGAIN_AFTER_S})
    done = await _receipt(ledger, answer.index, status=201)
    done.headers["Location"] = place
    return done


@router.get("/entries/{index}", response_model=None)
async def get_entry(request: Request, index: str) -> Response:
    """Return the receipt of a registered statement, once a checkpoint covers it."""
    ledger = served(request)
    number = parse_decimal(index, "index")
    newest = ledger.checkpoint()
    covered = newest[0] if newest else 0
    if covered <= number < ledger.log.size:
        return RedirectResponse(f"/entries/{number}", 302, {"Retry-After": AGAIN_AFTER_S})
    return await _receipt(ledger, number)


@router.get("/.well-known/scitt-keys", response_model=None)
async def get_keys(request: Request) -> Response:
    """Return the COSE Key Set (RFC 9052 section 7) of the receipt key."""
    return Response(encode_cbor([_cose_key(_signer(served(request)))]), media_type=KEY_SET_TYPE)


@router.get("/.well-known/scitt-keys/{kid}", response_model=None)
async def get_key(request: Request, kid: str) -> Response:
    """Return the receipt key as a COSE Key, if `kid` is its thumbprint in hex."""
    signer = _signer(served(request))
    if kid != signer.kid.hex():
        raise ProblemError(NOT_FOUND, f"there is no receipt key {kid!r}")
    return Response(encode_cbor(_cose_key(signer)), media_type="application/cose-key")


async def _receipt(ledger: Served, index: int, *, status: int = 200) -> Response:
    size, _ = newest_checkpoint(ledger)
    if index >= size:
        refuse_uncovered(ledger, index, size)
    data = await run_in_threadpool(_make_receipt, ledger, LeafIndex(index), TreeSize(size))
    return Response(data, status, media_type=RECEIPT_TYPE)


def _make_receipt(ledger: Served, index: LeafIndex, size: TreeSize) -> bytes:
    statement = parse_statement(parse_entry(ledger.reader.load_entry(index)).statement)
    claims = Claims(origin=ledger.log.origin, sub=statement.sub, iat=ledger.now_us() // _US)
    return sign_receipt(
        _signer(ledger),
        claims,
        index=index,
        size=size,
        path=ledger.reader.prove_inclusion(index, size),
        root=ledger.reader.tree(size).root(),
    )


def _signer(ledger: Served) -> Signer:
    if ledger.receipt_signer is None:
        raise ProblemError(
            NO_RECEIPT,
            "make one with: tagtrail keys make DIR/keys/receipt.key --iss URI --role receipt, "
            "then: tagtrail keys enrol DIR/keys/receipt.key --by DIR/keys/admin.key",
        )
    return ledger.receipt_signer


def _cose_key(signer: Signer) -> dict[int, object]:
    """Return the key as a COSE_Key of type OKP, curve Ed25519 (RFC 9053 section 7.2)."""
    return {1: 1, 2: signer.kid, 3: -8, -1: 6, -2: signer.x}
