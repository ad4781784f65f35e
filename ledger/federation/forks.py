"""Makes fork proofs out of what a witness refused (`ledger.audit.fork`).

A log that tells two stories has to show the second one to somebody. If that is a witness of
the first, then the witness holds two signed notes: the one it cosigned, and the one it
refused. Of equal size they are the proof. Otherwise the consistency proof that came with the
second tells which root that story has at the size of the first, unless the first tree is
complete; then the two notes alone prove nothing to others, and the log has to be asked.
"""

from dataclasses import dataclass
from pathlib import Path

from ledger.audit.fork import format_fork, make_fork
from ledger.audit.trustfile import Trust
from ledger.errors import ParseError, VerificationError
from ledger.federation.witnessing import load_logs
from ledger.store.witnessed import KeptRequest, Witnessed
from ledger.tlog.checkpoint import format_signed_checkpoint, parse_signed_checkpoint
from ledger.tlog.merkle import HASH_SIZE, Hash, consistency_roots
from ledger.tlog.policy import Policy
from ledger.tlog.witness import parse_add_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCheckpoint:
    """A signed checkpoint that was refused; `proof` is the file that convicts its log."""

    origin: str
    time_s: int
    why: str
    proof: bytes | None


def find_forks(folder: Path) -> list[RefusedCheckpoint]:
    """Return every signed checkpoint that the witness in `folder` has refused, oldest first."""
    policy = load_logs(folder)
    memory = Witnessed(folder)
    try:
        return [
            RefusedCheckpoint(
                origin=kept.origin,
                time_s=kept.time_s,
                why=kept.why,
                proof=_prove(kept, policy),
            )
            for kept in memory.load_refused()
        ]
    finally:
        memory.close()


def _prove(kept: KeptRequest, policy: Policy) -> bytes | None:
    """Return the fork proof that `kept` is against what was cosigned before, if it is one."""
    request = parse_add_checkpoint(kept.request)
    refused, seen = request.signed.checkpoint, parse_signed_checkpoint(kept.seen).checkpoint
    proof = request.proof
    if refused.size == seen.size:
        root, proof = refused.root, ()
    elif seen.size < refused.size and request.old_size == seen.size:
        try:
            root, _ = consistency_roots(
                proof, old=(seen.size, Hash(bytes(HASH_SIZE))), new_size=refused.size
            )
        except VerificationError:
            return None
    else:
        return None
    trust = Trust(origin=kept.origin, entry0=Hash(bytes(HASH_SIZE)), policy=policy)
    note = format_signed_checkpoint(request.signed)
    try:
        fork = make_fork(kept.seen, note, root=root, proof=proof, trust=trust)
    except ParseError:
        return None
    return None if fork is None else format_fork(fork)
