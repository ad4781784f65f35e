"""The decision of a witness."""

import pytest

from ledger.errors import ParseError
from ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from ledger.tlog.cosignature import verifier_for
from ledger.tlog.merkle import EMPTY_ROOT, TreeSize
from ledger.tlog.note import parse_vkey
from ledger.tlog.witness import (
    REQUEST_BYTES_MAX,
    SIZE_MEDIA_TYPE,
    Cosign,
    Refusal,
    decide,
    format_add_checkpoint,
    parse_add_checkpoint,
)
from tests.ledger.tlog.vectors import load

VECTORS = load("witness")
LOGS = {origin: [verifier_for(parse_vkey(vkey))] for origin, vkey in VECTORS["logs"].items()}
SEEN = parse_checkpoint(VECTORS["latest"])
LATEST = {SEEN.origin: SEEN}


@pytest.mark.parametrize("name", VECTORS["cases"])
def test_requests_get_the_status_of_the_specification(name: str) -> None:
    case = VECTORS["cases"][name]
    data = case["request"].encode()
    decision = decide(data, logs=LOGS, latest=LATEST)
    match decision:
        case Cosign(checkpoint, signed):
            assert case["status"] == 200
            assert signed.checkpoint == checkpoint
            assert format_add_checkpoint(parse_add_checkpoint(data)) == data
        case Refusal(status, why):
            assert status == case["status"]
            assert why


def test_a_conflict_tells_the_size_that_was_cosigned() -> None:
    data = VECTORS["cases"]["old-zero-to-ask"]["request"].encode()
    decision = decide(data, logs=LOGS, latest=LATEST)
    assert isinstance(decision, Refusal)
    assert (decision.body, decision.media_type) == ("4\n", SIZE_MEDIA_TYPE)
    fresh = VECTORS["cases"]["old-not-zero-for-new-log"]["request"].encode()
    decision = decide(fresh, logs=LOGS, latest=LATEST)
    assert isinstance(decision, Refusal)
    assert decision.body == "0\n"


def test_a_log_that_was_cosigned_while_empty_grows_without_a_proof() -> None:
    data = VECTORS["cases"]["first-checkpoint"]["request"].encode()
    origin = parse_add_checkpoint(data).signed.checkpoint.origin
    empty = Checkpoint(origin=origin, size=TreeSize(0), root=EMPTY_ROOT)
    assert isinstance(decide(data, logs=LOGS, latest={origin: empty}), Cosign)


def test_a_request_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(ParseError, match="longer than"):
        parse_add_checkpoint(bytes(REQUEST_BYTES_MAX + 1))
