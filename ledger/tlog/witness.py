"""What a witness answers to a checkpoint, after C2SP tlog-witness `add-checkpoint`.

A log asks for a cosignature with the size that the witness saw last, a
consistency proof from it, an empty line, and the signed checkpoint:

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDe…

`decide` says what to do; whoever calls it stores the new checkpoint and only
then answers, and both in one atomic step against the state it passed in, or two
requests at once could roll the witness back. In this order:

    400  the request does not parse
    404  the origin is not known
    403  no key of that origin has signed, or a known key's signature is broken
    400  the old size is above the checkpoint's
    409  the old size is not the one last cosigned; the answer tells that one
    422  an empty log with another root, or a proof that does not verify

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    format_hash,
    format_signed_checkpoint,
    parse_decimal,
    parse_signed_checkpoint,
)
from ledger.tlog.merkle import (
    EMPTY_ROOT,
    Hash,
    ProofShapeError,
    TreeSize,
    match_roots,
    verify_consistency,
)
from ledger.tlog.note import NOTE_BYTES_MAX, NoteVerifier, verify_note
from ledger.tlog.proof import parse_hash_lines, split_head

REQUEST_BYTES_MAX = NOTE_BYTES_MAX + 4096
SIZE_MEDIA_TYPE = "text/x.tlog.size"

BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
UNPROCESSABLE = 422

_OLD = "old "


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A log's request to cosign `signed`, which it says extends `old_size`."""

    old_size: TreeSize
    proof: tuple[Hash, ...]
    signed: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class Cosign:
    """The checkpoint to store as the latest of its origin, and then to cosign."""

    checkpoint: Checkpoint
    signed: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP status to answer with, why, and the body and media type it must have."""

    status: int
    why: str
    body: str = ""
    media_type: str = "text/plain; charset=utf-8"


def format_add_checkpoint(request: AddCheckpoint) -> bytes:
    """Return the bytes of `request`."""
    lines = [f"{_OLD}{request.old_size}", *map(format_hash, request.proof)]
    head = "".join(f"{line}\n" for line in lines)
    return f"{head}\n".encode() + format_signed_checkpoint(request.signed)


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Return the request in `data`, nothing verified, or raise `ParseError`."""
    if len(data) > REQUEST_BYTES_MAX:
        raise ParseError("add-checkpoint", f"is longer than {REQUEST_BYTES_MAX} bytes")
    (first, *hashes), rest = split_head(data, "add-checkpoint")
    if not first.startswith(_OLD):
        raise ParseError("add-checkpoint", f"{first[:80]!r} is no old size line")
    old_size = parse_decimal(first.removeprefix(_OLD), "add-checkpoint old size")
    return AddCheckpoint(
        old_size=TreeSize(old_size),
        proof=parse_hash_lines(hashes, "add-checkpoint"),
        signed=parse_signed_checkpoint(rest),
    )


def decide(
    data: bytes,
    *,
    logs: Mapping[str, Sequence[NoteVerifier]],
    latest: Mapping[str, Checkpoint],
) -> Cosign | Refusal:
    """Return whether to cosign the checkpoint in the request `data`.

    `logs` holds the keys trusted for each origin, `latest` the checkpoint last
    cosigned for each origin that has one.
    """
    try:
        request = parse_add_checkpoint(data)
    except ParseError as error:
        return Refusal(BAD_REQUEST, str(error))
    checkpoint = request.signed.checkpoint
    if checkpoint.origin not in logs:
        return Refusal(NOT_FOUND, f"log {checkpoint.origin!r} is not known here")
    try:
        verify_note(request.signed.note, logs[checkpoint.origin])
    except VerificationError as error:
        return Refusal(FORBIDDEN, str(error))
    seen = latest.get(checkpoint.origin)
    return _judge_growth(request, seen)


def _judge_growth(request: AddCheckpoint, seen: Checkpoint | None) -> Cosign | Refusal:
    """Return whether a signed checkpoint may follow the one `seen` before."""
    checkpoint = request.signed.checkpoint
    seen_size = seen.size if seen else 0
    if request.old_size > checkpoint.size:
        return Refusal(BAD_REQUEST, f"old size {request.old_size} is above the checkpoint's")
    if request.old_size != seen_size:
        why = f"old size is {request.old_size}, last cosigned was {seen_size}"
        return Refusal(CONFLICT, why, f"{seen_size}\n", SIZE_MEDIA_TYPE)
    try:
        if checkpoint.size == 0:
            match_roots(signed=checkpoint.root, computed=EMPTY_ROOT)
        if seen is None or seen.size == 0:
            # Every tree extends the empty one; there is nothing to prove.
            if request.proof:
                raise ProofShapeError("the empty tree needs no proof")
        else:
            new = checkpoint.size, checkpoint.root
            verify_consistency(request.proof, old=(seen.size, seen.root), new=new)
    except VerificationError as error:
        return Refusal(UNPROCESSABLE, str(error))
    return Cosign(checkpoint, request.signed)
