"""A proof of one entry as a text file, after C2SP tlog-proof.

It holds all that an offline verifier lacks: where the entry is, the audit path
from the leaf's sibling up, and the signed checkpoint with its cosignatures.

    c2sp.org/tlog-proof@v1
    extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
    B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=

    example.com/fancylog
    109482
    sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

    — example.com/fancylog hI2DJw…
    — witness1.example mJirIklj…

The `extra` line is optional and nothing vouches for it. Refused: more than 63
hashes, numbers with leading zeroes, an extra line without bytes, and whatever
`note` and `checkpoint` refuse. Whatever `parse_tlog_proof` takes,
`format_tlog_proof` gives back.

Pure: no I/O, no clock, no randomness.
"""

from base64 import b64encode
from dataclasses import dataclass

from ledger.errors import ParseError
from ledger.tlog.checkpoint import (
    SignedCheckpoint,
    format_hash,
    format_signed_checkpoint,
    parse_decimal,
    parse_hash_line,
    parse_signed_checkpoint,
)
from ledger.tlog.merkle import (
    PROOF_HASHES_MAX,
    TREE_SIZE_MAX,
    Hash,
    LeafIndex,
    verify_inclusion,
)
from ledger.tlog.note import NOTE_BYTES_MAX, decode_base64
from ledger.tlog.policy import Endorsement, Policy, evaluate_policy

PROOF_SUFFIX = ".tlog-proof"
PROOF_BYTES_MAX = 2 * NOTE_BYTES_MAX

_HEADER = "c2sp.org/tlog-proof@v1"
_EXTRA = "extra "
_INDEX = "index "


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """An entry's place in a log and what shows it; `extra` is vouched for by nobody."""

    index: LeafIndex
    path: tuple[Hash, ...]
    signed: SignedCheckpoint
    extra: bytes | None = None


def format_tlog_proof(proof: TlogProof) -> bytes:
    """Return the bytes of the file."""
    lines = [_HEADER]
    if proof.extra is not None:
        assert proof.extra
        lines.append(_EXTRA + b64encode(proof.extra).decode("ascii"))
    lines.append(f"{_INDEX}{proof.index}")
    lines += map(format_hash, proof.path)
    head = "".join(f"{line}\n" for line in lines)
    return f"{head}\n".encode() + format_signed_checkpoint(proof.signed)


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Return the proof in `data`, nothing verified, or raise `ParseError`."""
    if len(data) > PROOF_BYTES_MAX:
        raise ParseError("tlog-proof", f"is longer than {PROOF_BYTES_MAX} bytes")
    lines, rest = split_head(data, "tlog-proof")
    if lines.pop(0) != _HEADER:
        raise ParseError("tlog-proof", f"does not begin with {_HEADER}")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = decode_base64(lines.pop(0).removeprefix(_EXTRA), "tlog-proof extra")
        if not extra:
            raise ParseError("tlog-proof extra", "is empty: leave the line out")
    if not lines or not lines[0].startswith(_INDEX):
        raise ParseError("tlog-proof", "has no index line")
    where = "tlog-proof index"
    index = parse_decimal(lines.pop(0).removeprefix(_INDEX), where, most=TREE_SIZE_MAX - 1)
    return TlogProof(
        index=LeafIndex(index),
        path=parse_hash_lines(lines, "tlog-proof"),
        signed=parse_signed_checkpoint(rest),
        extra=extra,
    )


def verify_tlog_proof(proof: TlogProof, *, leaf: Hash, policy: Policy) -> None:
    """Raise unless `proof` shows the leaf hash `leaf` in a log that meets `policy`.

    Raises what `evaluate_policy` and `verify_inclusion` raise.
    """
    endorse_tlog_proof(proof, leaf=leaf, policy=policy)


def endorse_tlog_proof(proof: TlogProof, *, leaf: Hash, policy: Policy) -> Endorsement:
    """Return who stands behind the checkpoint of a `proof` that holds, or raise."""
    endorsement = evaluate_policy(policy, proof.signed)
    checkpoint = endorsement.checkpoint
    verify_inclusion(
        proof.path, leaf=leaf, index=proof.index, size=checkpoint.size, root=checkpoint.root
    )
    return endorsement


def split_head(data: bytes, where: str) -> tuple[list[str], bytes]:
    """Return the one or more lines before the first empty line, and the bytes after it."""
    head, gap, rest = data.partition(b"\n\n")
    if not gap:
        raise ParseError(where, "has no empty line before the checkpoint")
    try:
        return head.decode("ascii").split("\n"), rest
    except UnicodeDecodeError as error:
        raise ParseError(where, f"is not ASCII at byte {error.start}") from error


def parse_hash_lines(lines: list[str], where: str) -> tuple[Hash, ...]:
    """Return up to 63 hashes, one a line in base64, or raise `ParseError`."""
    if len(lines) > PROOF_HASHES_MAX:
        raise ParseError(where, f"has more than {PROOF_HASHES_MAX} hashes")
    return tuple(parse_hash_line(line, f"{where} hash") for line in lines)
