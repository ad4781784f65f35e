"""Fetches and verifies the receipt of a statement: index, entry and C2SP tlog-proof.

    c2sp.org/tlog-proof@v1
    extra hQEbAAZH…                 the entry itself, base64
    index 12
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=

    tagtrail.example/demo           the signed checkpoint, which covers the entry
    13
    …

The server answers a submission with an index. Once a checkpoint covers that index, this is
what outlives the server: whoever holds the file, the statement and the log's vkey verifies
offline that the log took the statement, at this index and no other. `extra` is vouched for
here, because the audit path starts at its leaf hash and its statement is compared.

Not shown: that the statement's key was valid at that index. An audit or a bundle shows it.
"""

from dataclasses import dataclass

from ledger.client.http import CaptureClient
from ledger.entry import entry_leaf, parse_entry
from ledger.errors import VerificationError
from ledger.statement import parse_statement
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.policy import Policy, parse_policy
from ledger.tlog.proof import endorse_tlog_proof, parse_tlog_proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A statement that is in the log; `data` is the file that shows it to anyone."""

    index: int
    statement_id: bytes
    record_time_us: int
    checkpoint: Checkpoint
    data: bytes


def fetch_receipt(
    client: CaptureClient, index: int, *, statement_id: bytes, policy: Policy
) -> Receipt:
    """Return the verified receipt of the statement that the ledger says is entry `index`.

    Raises `LedgerUnavailableError` while no checkpoint covers it, `LedgerRefusedError` where
    the ledger has no such entry, and what `verify_receipt` raises.
    """
    receipt = verify_receipt(
        client.fetch_proof(index), statement_id=statement_id, policy=policy
    )
    if receipt.index != index:
        raise VerificationError(f"the receipt is of entry {receipt.index}, not of {index}")
    return receipt


def verify_receipt(data: bytes, *, statement_id: bytes, policy: Policy) -> Receipt:
    """Return the receipt in `data`, or raise unless it shows that statement in that log.

    `policy` names the log (`pin_log`) and the witnesses that have to have cosigned. Raises
    `ParseError` for what is no receipt, `VerificationError` where it does not hold.
    """
    proof = parse_tlog_proof(data)
    if proof.extra is None:
        raise VerificationError("the receipt does not carry its entry")
    entry = parse_entry(proof.extra)
    own_id = parse_statement(entry.statement).id
    if own_id != statement_id:
        raise VerificationError(
            f"the receipt is of statement {own_id.hex()}, not of {statement_id.hex()}"
        )
    endorsed = endorse_tlog_proof(proof, leaf=entry_leaf(proof.extra), policy=policy)
    return Receipt(
        index=proof.index,
        statement_id=own_id,
        record_time_us=entry.record_time_us,
        checkpoint=endorsed.checkpoint,
        data=data,
    )


def pin_log(vkey: str) -> Policy:
    """Return the policy that trusts the log with this verification key, and no witness."""
    return parse_policy(f"log {vkey}\nquorum none\n")
