"""GET /keys: what the log says about every key, and where its chain stands.

    {"keys": [{"kid", "iss", "role", "x", "epoch", "next_seq", "last_id", "seen_size",
               "opened_at", "ended_at", "suspended", "suspect_since", "prefixes", …}, …]}

For whoever signs the next statement of a key away from the ledger's folder. It is what this
server says; the proof of it is in the log.
"""

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.served import served
from ledger.trust.state import ChainHead, TrustState

router = APIRouter()


@router.get("/keys", response_model=None)
async def get_keys(request: Request) -> Response:
    """Return every key that was ever enrolled, in the order of the log."""
    state = served(request).log.state
    answer = await run_in_threadpool(lambda: {"keys": describe_keys(state)})
    return Response(msgspec.json.encode(answer), media_type="application/json")


def describe_keys(state: TrustState) -> list[dict[str, object]]:
    """Return the keys of `state` as plain values, byte strings in hex."""
    described = []
    for record in sorted(dict(state.keys).values(), key=lambda one: one.opened_at):
        head = state.chains.get(record.kid, ChainHead(record.epoch))
        described.append(
            {
                "kid": record.kid.hex(),
                "iss": record.iss,
                "role": record.role,
                "x": record.x.hex(),
                "epoch": record.epoch,
                "next_seq": head.next_seq,
                "last_id": head.last_id.hex(),
                "seen_size": head.seen_size,
                "opened_at": record.opened_at,
                "ended_at": record.ended_at,
                "suspended": record.suspended,
                "suspect_since": record.suspect_since,
                "grade_max": record.grade_max,
                "heartbeat_s": record.heartbeat_s,
                "prefixes": list(record.prefixes),
            }
        )
    return described
