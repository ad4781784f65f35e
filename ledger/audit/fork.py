"""A fork proof: two notes that a log signed and that no one log can have.

    {"format": "tagtrail/fork/v1", "old": "<signed note>", "new": "<signed note>",
     "root": "<hex>", "proof": ["<hex>", …]}

as JSON. Where both notes are about one size, their roots differ and nothing else is needed:
`root` is the new one and `proof` is empty. Where the new note is about a larger size,
`proof` shows by RFC 6962 that the new tree had `root` at the old size, and the old note
says another. Who holds the log's public key needs nothing more to be convinced; no key and
no trust comes with the file.

Refused: notes that are not signed by a log of the policy, of two origins, or in the other
order, a proof that does not verify, roots that agree.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ledger.audit.trustfile import Trust
from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import SignedCheckpoint, parse_signed_checkpoint
from ledger.tlog.merkle import (
    HASH_SIZE,
    PROOF_HASHES_MAX,
    Hash,
    verify_consistency,
)
from ledger.tlog.policy import PolicyNotMetError, evaluate_policy

FORK_FORMAT = "tagtrail/fork/v1"
FORK_BYTES_MAX = 4 * 1024 * 1024


class NoForkError(VerificationError):
    """A fork proof that proves nothing against the log."""


class _ForkShape(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    old: str
    new: str
    root: str
    proof: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkProof:
    """Two signed notes, and how the new tree looked at the old size."""

    old: bytes
    new: bytes
    root: Hash
    proof: tuple[Hash, ...]


def format_fork(fork: ForkProof) -> bytes:
    """Return the bytes of the file."""
    shape = _ForkShape(
        format=FORK_FORMAT,
        old=fork.old.decode(),
        new=fork.new.decode(),
        root=fork.root.hex(),
        proof=[one.hex() for one in fork.proof],
    )
    return msgspec.json.format(msgspec.json.encode(shape), indent=1) + b"\n"


def parse_fork(data: bytes) -> ForkProof:
    """Return the proof that `data` spells, nothing verified yet, or raise `ParseError`."""
    where = "fork proof"
    if len(data) > FORK_BYTES_MAX:
        raise ParseError(where, f"is longer than {FORK_BYTES_MAX} bytes")
    try:
        shape = msgspec.json.decode(data, type=_ForkShape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ParseError(where, str(error)) from error
    if shape.format != FORK_FORMAT:
        raise ParseError(where, f"has the format {shape.format[:60]!r}, want {FORK_FORMAT}")
    if len(shape.proof) > PROOF_HASHES_MAX + 1:
        raise ParseError(where, "has a proof that is longer than any tree is high")
    return ForkProof(
        old=shape.old.encode(errors="surrogatepass"),
        new=shape.new.encode(errors="surrogatepass"),
        root=_hash(shape.root),
        proof=tuple(map(_hash, shape.proof)),
    )


def verify_fork(fork: ForkProof, trust: Trust) -> tuple[SignedCheckpoint, SignedCheckpoint]:
    """Return the two notes that convict the log, or raise `NoForkError`."""
    old, new = (_verify_note(data, trust) for data in (fork.old, fork.new))
    sizes = old.checkpoint.size, new.checkpoint.size
    if sizes[0] > sizes[1]:
        raise NoForkError(f"the notes are about {sizes[0]} entries and then {sizes[1]}")
    try:
        verify_consistency(
            fork.proof,
            old=(old.checkpoint.size, fork.root),
            new=(new.checkpoint.size, new.checkpoint.root),
        )
    except VerificationError as error:
        raise NoForkError(f"its proof does not lead to the new root: {error}") from error
    if fork.root == old.checkpoint.root:
        raise NoForkError(f"both histories have one root at size {sizes[0]}")
    return old, new


def _verify_note(data: bytes, trust: Trust) -> SignedCheckpoint:
    signed = parse_signed_checkpoint(data)
    if signed.checkpoint.origin != trust.origin:
        raise NoForkError(f"a note is of {signed.checkpoint.origin!r}, not of {trust.origin!r}")
    try:
        evaluate_policy(trust.policy, signed)
    except PolicyNotMetError:
        pass  # A fork needs no witnesses.
    except VerificationError as error:
        raise NoForkError(f"a note is not signed by the log: {error}") from error
    return signed


def make_fork(
    old: bytes, new: bytes, *, root: Hash, proof: Sequence[Hash], trust: Trust
) -> ForkProof | None:
    """Return the fork proof of these notes, or None if they prove nothing."""
    fork = ForkProof(old=old, new=new, root=root, proof=tuple(proof))
    try:
        verify_fork(fork, trust)
    except (ParseError, VerificationError):
        return None
    return fork


def _hash(text: str) -> Hash:
    try:
        digest = bytes.fromhex(text)
    except ValueError as error:
        raise ParseError("fork proof", f"{text[:80]!r} is not hex") from error
    if len(digest) != HASH_SIZE or digest.hex() != text:
        raise ParseError("fork proof", f"{text[:80]!r} is not 64 lower-case hex digits")
    return Hash(digest)
