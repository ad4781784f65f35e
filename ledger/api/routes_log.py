"""The log as static files (C2SP tlog-tiles), and proofs for those who fetch no tiles.

    GET /checkpoint                              the newest signed note
    GET /tile/<L>/<N>[.p/<W>]                    hashes of the tree
    GET /tile/entries/<N>[.p/<W>]                the entries themselves
    GET /log/proof/{index}?size=                 a C2SP tlog-proof under a checkpoint
    GET /log/consistency?old=&new=               {"old", "new", "proof": [base64, ...]}

Tiles, bundles and proofs are given for what a checkpoint covers, nothing past it: what no
checkpoint covers yet may still differ in another history, and answers of `not-yet` say so.
A tile and a bundle never change, so they may be cached for ever.
"""

from base64 import b64encode

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from ledger.api.problems import MALFORMED, NOT_FOUND, NOT_YET, ProblemError
from ledger.api.served import Served, served
from ledger.tlog.checkpoint import parse_decimal, parse_signed_checkpoint
from ledger.tlog.merkle import LeafIndex, TreeSize
from ledger.tlog.proof import TlogProof, format_tlog_proof
from ledger.tlog.tiles import Tile, encode_bundle, parse_tile_path, tile_width

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FOR_A_SECOND = {"Cache-Control": "public, max-age=1"}
NEXT_CHECKPOINT_S = 1

router = APIRouter()


@router.get("/checkpoint", response_model=None)
async def get_checkpoint(request: Request) -> Response:
    """Return the newest signed note."""
    _, note = newest_checkpoint(served(request))
    return PlainTextResponse(note, headers=FOR_A_SECOND)


@router.get("/tile/{path:path}", response_model=None)
async def get_tile(request: Request, path: str) -> Response:
    """Return a tile or an entry bundle."""
    tile = parse_tile_path(f"tile/{path}")
    ledger = served(request)
    size, _ = newest_checkpoint(ledger)
    if tile_width(tile.level or 0, tile.index, TreeSize(size)) < tile.width:
        raise ProblemError(
            NOT_FOUND, f"{tile} is not part of the newest checkpoint's tree of size {size}"
        )
    data = await run_in_threadpool(_load_tile, ledger, tile)
    return Response(data, headers=FOR_EVER, media_type="application/octet-stream")


@router.get("/log/proof/{index}", response_model=None)
async def get_proof(request: Request, index: str) -> Response:
    """Return the tlog-proof of the entry at `index`, under the newest checkpoint or `size`.

    Its `extra` line is the entry, so that the answer is a whole receipt.
    """
    ledger = served(request)
    number = parse_decimal(index, "index")
    size, note = newest_checkpoint(ledger)
    asked = request.query_params.get("size")
    if asked is not None:
        size = parse_decimal(asked, "size")
        stored = await run_in_threadpool(ledger.reader.load_checkpoint, size)
        if stored is None:
            raise ProblemError(NOT_FOUND, f"there is no checkpoint of size {size}")
        note = stored
    if number >= size:
        refuse_uncovered(ledger, number, size)
    text = await run_in_threadpool(_prove, ledger, number, note)
    return PlainTextResponse(text, headers=FOR_EVER if asked else FOR_A_SECOND)


@router.get("/log/consistency", response_model=None)
async def get_consistency(request: Request) -> Response:
    """Return the proof that the tree of size `old` begins the tree of size `new`."""
    ledger = served(request)
    newest, _ = newest_checkpoint(ledger)
    old = parse_decimal(request.query_params.get("old", ""), "old")
    new = parse_decimal(request.query_params.get("new", str(newest)), "new")
    if new > newest:
        raise ProblemError(NOT_YET, f"no checkpoint covers size {new}, the newest is {newest}")
    if not 0 < old <= new:
        raise ProblemError(MALFORMED, f"a tree of size {old} cannot grow to size {new}")
    proof = await run_in_threadpool(_prove_consistency, ledger, TreeSize(old), TreeSize(new))
    answer = {"old": old, "new": new, "proof": [b64encode(h).decode() for h in proof]}
    return Response(
        msgspec.json.encode(answer), headers=FOR_EVER, media_type="application/json"
    )


def newest_checkpoint(ledger: Served) -> tuple[int, bytes]:
    """Return size and note of the newest checkpoint, or raise the problem `not-yet`."""
    newest = ledger.checkpoint()
    if newest is None:
        raise ProblemError(NOT_YET, "nothing is published yet", retry_after_s=NEXT_CHECKPOINT_S)
    return newest


def refuse_uncovered(ledger: Served, index: int, size: int) -> None:
    """Raise the problem that says why the checkpoint of `size` shows no entry `index`."""
    if index < ledger.log.size:
        raise ProblemError(
            NOT_YET,
            f"entry {index} is durable, but not under the checkpoint of size {size}",
            retry_after_s=NEXT_CHECKPOINT_S,
        )
    raise ProblemError(NOT_FOUND, f"the log has no entry {index}")


def _prove(ledger: Served, index: int, note: bytes) -> bytes:
    signed = parse_signed_checkpoint(note)
    path = ledger.reader.prove_inclusion(LeafIndex(index), signed.checkpoint.size)
    entry = ledger.reader.load_entry(index)
    return format_tlog_proof(
        TlogProof(index=LeafIndex(index), path=path, signed=signed, extra=entry)
    )


def _load_tile(ledger: Served, tile: Tile) -> bytes:
    if tile.level is not None:
        return ledger.reader.fetch_tile(tile.level, tile.index, tile.width)
    start = tile.index * 256
    return encode_bundle(ledger.reader.load_entries(start, start + tile.width))


def _prove_consistency(ledger: Served, old: TreeSize, new: TreeSize) -> tuple[bytes, ...]:
    return ledger.reader.tree(new).prove_consistency(old) if old < new else ()
