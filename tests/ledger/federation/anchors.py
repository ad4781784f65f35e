"""Lets a log say something by itself: that it has seen a checkpoint of a made-up log."""

from hashlib import sha256

from ledger.cose import Ed25519Signer, Signer
from ledger.statement import Anchor, Claims, Link, parse_statement, sign_statement
from ledger.store.intake import VerifiedSubmission
from ledger.store.log import Log
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import Hash, TreeSize, leaf_hash
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.note import format_vkey


def say_anchor(log: Log, key: Signer, name: str) -> None:
    """Append an anchor of the log called `name` to `log`, signed by its own `key`."""
    other = NoteSigner(
        f"{name.replace(' ', '-')}.example", Ed25519Signer(sha256(name.encode()).digest())
    )
    checkpoint = Checkpoint(
        origin=other.name, size=TreeSize(1), root=Hash(leaf_hash(name.encode()))
    )
    body = Anchor(format_vkey(other.key), sign_checkpoint(checkpoint, [other]), ())
    record, head = log.keys()[Hash(key.kid)], log.state.chains[Hash(key.kid)]
    raw = sign_statement(
        key,
        Claims(record.iss, log.origin, 1_767_225_600),
        Link(epoch=head.epoch, seq=head.next_seq, prev=head.last_id),
        body,
    )
    (outcome,) = log.append([VerifiedSubmission(parse_statement(raw))])
    assert not isinstance(outcome, Exception), outcome
