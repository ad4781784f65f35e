"""From the outbox to the ledger: in order, again and again until it has it or refuses it.

What the ledger says it took stays until its receipt is there: the entry, its index and its
proof under a checkpoint that the log's key signed, all verified. What the ledger refuses for
good is parked, and the statements of that key behind it wait, because each names the one
before; so is a statement whose receipt does not hold. When nobody can tell, everything stays
and is sent again later; the ledger knows a statement by its id. A ledger that has no entry
where it said it had one, as after an old backup, gets the statement again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ingest.outbox import Outbox, Unproven
from ledger.client.http import (
    SUBMISSIONS_MAX,
    Accepted,
    CaptureClient,
    LedgerRefusedError,
    LedgerUnavailableError,
)
from ledger.client.receipt import fetch_receipt
from ledger.errors import ParseError, VerificationError
from ledger.statement import Seen
from ledger.tlog.checkpoint import parse_signed_checkpoint, verify_signed_checkpoint
from ledger.tlog.note import Ed25519Verifier, parse_vkey
from ledger.tlog.policy import Policy

SEEN_SECONDS = 30.0
BACKOFF_SECONDS_MIN = 0.25
BACKOFF_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of one batch; `unavailable` says why nobody can tell, with a delay in s.

    With `is_receipt_pending` nothing is wrong: a checkpoint will soon cover the newest ones.
    """

    accepted: int = 0
    proven: int = 0
    refused: int = 0
    unavailable: str | None = None
    retry_after: float = 0.0
    is_receipt_pending: bool = False


def deliver_once(
    outbox: Outbox, client: CaptureClient, *, stage: Callable[[str], None]
) -> Delivered:
    """Send what waits, up to `SUBMISSIONS_MAX` statements, and settle what became of it."""
    waiting = outbox.waiting(SUBMISSIONS_MAX)
    if not waiting:
        return Delivered()
    stage("before the ledger")
    try:
        results = client.submit([one.submission for one in waiting])
    except LedgerUnavailableError as error:
        return Delivered(unavailable=error.why, retry_after=error.retry_after)
    stage("after the ledger")
    accepted: list[tuple[int, int]] = []
    refused: dict[bytes, tuple[int, str]] = {}
    for one, result in zip(waiting, results, strict=True):
        match result:
            case Accepted(index=index, statement_id=statement_id):
                if statement_id == one.statement_id:
                    accepted.append((one.id, index))
                else:
                    said = f"the ledger answered for the statement {statement_id.hex()}"
                    refused.setdefault(one.kid, (one.id, said))
            case LedgerRefusedError():
                # Only a key's first counts: those behind it are refused for its sake.
                refused.setdefault(one.kid, (one.id, str(result)))
    outbox.settle(accepted, list(refused.values()))
    stage("settled")
    return Delivered(accepted=len(accepted), refused=len(refused))


def collect_receipts(
    outbox: Outbox, client: CaptureClient, policy: Policy, *, stage: Callable[[str], None]
) -> Delivered:
    """Fetch and verify the receipts that are missing, up to `SUBMISSIONS_MAX`, in order.

    `unavailable` says why the next one is not to be had yet.
    """
    proven: list[tuple[Unproven, bytes]] = []
    forgotten: list[int] = []
    refused: dict[bytes, tuple[int, str]] = {}
    unavailable: LedgerUnavailableError | None = None
    for one in outbox.unproven(SUBMISSIONS_MAX):
        try:
            receipt = fetch_receipt(
                client, one.index, statement_id=one.statement_id, policy=policy
            )
            proven.append((one, receipt.data))
        except LedgerUnavailableError as error:
            unavailable = error
            break
        except LedgerRefusedError as error:
            forgotten.append(one.id)
            unavailable = LedgerUnavailableError(f"it has no entry {one.index}: {error}")
            break
        except ParseError as error:
            # A portal's or a proxy's page: it says nothing about the statement.
            unavailable = LedgerUnavailableError(f"it sent what is no receipt: {error}")
            break
        except VerificationError as error:
            refused.setdefault(one.kid, (one.id, f"its receipt does not hold: {error}"))
    stage("receipts verified")
    if proven:
        outbox.store_receipts(proven)
    if forgotten:
        outbox.forget_indexes(forgotten)
    if refused:
        outbox.settle([], list(refused.values()))
    stage("receipts stored")
    return Delivered(
        proven=len(proven),
        refused=len(refused),
        unavailable=unavailable.why if unavailable else None,
        retry_after=unavailable.retry_after if unavailable else 0.0,
        is_receipt_pending=unavailable is not None and unavailable.is_not_yet,
    )


def see_checkpoint(outbox: Outbox, client: CaptureClient, *, origin: str, vkey: str) -> None:
    """Fetch the log's newest checkpoint, verify it, and keep it for the next statements.

    A statement that names a checkpoint was not signed before it. Raises
    `LedgerUnavailableError` where there is none to be had, `VerificationError` where the log
    key did not sign it, or where the log now has another root at a size it showed before.
    """
    data = client.fetch_checkpoint()
    signed = parse_signed_checkpoint(data)
    verifier = Ed25519Verifier(parse_vkey(vkey))
    verify_signed_checkpoint(signed, origin=origin, verifiers=[verifier])
    checkpoint, last = signed.checkpoint, outbox.seen()
    if last is not None and last.size == checkpoint.size and last.root != checkpoint.root:
        raise VerificationError(
            f"the log shows two roots at size {last.size}: {last.root.hex()} before, now"
            f" {checkpoint.root.hex()}"
        )
    if checkpoint.size > 0:
        outbox.store_seen(Seen(checkpoint.size, checkpoint.root), data)


def next_delay(delay: float, delivered: Delivered) -> float:
    """Return how many seconds to wait after `delivered`, where the last wait was `delay`."""
    if delivered.unavailable is None:
        return 0.0
    doubled = min(max(2 * delay, BACKOFF_SECONDS_MIN), BACKOFF_SECONDS_MAX)
    return max(doubled, delivered.retry_after)
