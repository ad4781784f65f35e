"""Going on with a key in the epoch that its party opened for it at the ledger.

A key that was suspended, or whose folder lost its state, goes on in a new epoch: the party
opens it (`tagtrail keys epoch`), which closes the old chain where the log has it. What was
signed in the old one and is not in the log says the same in the new one, signed anew.

Each such statement is offered to the ledger as it is first, for its answer may have been lost:
it knows what it has by its id, and takes nothing more of the old epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ingest.outbox import Outbox
from ingest.sealing import Head, Sealed
from ledger.client.http import Accepted, CaptureClient
from ledger.client.keys import LedgerKey
from ledger.cose import Signer
from ledger.disclosure import Submission, decode_submission, encode_submission
from ledger.errors import RefusedError
from ledger.statement import NO_HASH, Claims, Link, parse_statement, sign_statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Where a key goes on: its epoch, how much the ledger had, how much was signed anew."""

    epoch: int
    known: int = 0
    signed: int = 0


def move_to_epoch(
    outbox: Outbox,
    client: CaptureClient,
    signer: Signer,
    key: LedgerKey,
    clock_us: Callable[[], int],
) -> Moved | None:
    """Go on with `signer` in the epoch of `key`, as the ledger has it; None if it is there.

    Raises `RefusedError` where somebody signed in the new epoch already, and
    `LedgerUnavailableError` where nobody can tell what the ledger has: nothing is changed then.
    """
    head = outbox.head(signer.kid)
    if key.epoch == head.epoch:
        return None
    if key.epoch < head.epoch or key.next_seq:
        raise RefusedError(
            "epoch",
            f"{key.kid[:16]}… is in epoch {head.epoch} here; the ledger has {key.next_seq}"
            f" statements of its epoch {key.epoch}: another gateway goes on with it",
        )
    waiting = outbox.undelivered(signer.kid)
    results = client.submit([one.submission for one in waiting])
    known = [
        (one.id, result.index)
        for one, result in zip(waiting, results, strict=True)
        if isinstance(result, Accepted)
    ]
    outbox.settle(known, [])
    there = {one for one, _ in known}
    left = [one for one in waiting if one.id not in there]
    seq, prev, signed = 0, NO_HASH, []
    for one in left:
        old = decode_submission(one.submission)
        said = parse_statement(old.statement)
        link = Link(epoch=key.epoch, seq=seq, prev=prev, seen=said.seen)
        raw = sign_statement(signer, Claims(said.iss, said.aud, said.iat), link, said.body)
        prev = parse_statement(raw).id
        sealed = Sealed(
            kid=signer.kid,
            seq=seq,
            statement_id=prev,
            submission=encode_submission(Submission(statement=raw, events=old.events)),
            events=len(old.events),
        )
        signed.append((one.id, sealed))
        seq += 1
    outbox.sign_anew(
        signed, {signer.kid: Head(epoch=key.epoch, seq=seq, prev=prev)}, clock_us()
    )
    return Moved(epoch=key.epoch, known=len(known), signed=len(signed))
