"""COSE receipts after RFC 9942: that an entry is in the log, for the tools of others.

A receipt is a COSE_Sign1 whose payload, the root of the tree, is left out: whoever verifies
computes it from the entry and the inclusion proof in the unprotected header.

    18([
      <<{1: -8, 4: kid, 15: {1: origin, 2: sub, 6: iat}, 395: 1}>>,
      {396: {-1: [<<[size, index, [hash, …]]>>]}},
      null,
      signature
    ])

`kid` is the thumbprint of a receipt-role key, `sub` that of the statement, `iat` when the
receipt was made, in seconds. The leaf is the entry (FORMATS section 3), verifiable data
structure 1 (RFC9162_SHA256). One spelling: deterministic CBOR, this order, one proof.

**A receipt proves membership only.** Its size and index are not signed: a proof of the same
root may be dressed up with others. Order, and whether a key was valid, are judged from a
checkpoint or a bundle. And a log could give receipts for a history that no witness has seen.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.cose import (
    SIGNATURE_SIZE,
    Signer,
    decode_cbor,
    encode_cbor,
    key_thumbprint,
    signature_input,
    verify_ed25519,
)
from ledger.errors import ParseError, VerificationError
from ledger.tlog.merkle import (
    HASH_SIZE,
    PROOF_HASHES_MAX,
    Hash,
    LeafIndex,
    TreeSize,
    inclusion_root,
    leaf_hash,
)

RECEIPT_BYTES_MAX = 16_384
RECEIPT_TYPE = "application/scitt-receipt+cose"

_TAG = b"\xd2"
_ALG, _KID, _CLAIMS, _VDS, _VDP = 1, 4, 15, 395, 396
_EDDSA, _RFC9162_SHA256, _INCLUSION = -8, 1, -1
_ISS, _SUB, _IAT = 1, 2, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the receipt's key says: the log's origin, about what kind of statement, when."""

    origin: str
    sub: str
    iat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CoseReceipt:
    """One receipt; `size` and `index` are as claimed, for nobody has signed them."""

    kid: bytes
    claims: Claims
    size: TreeSize
    index: LeafIndex
    path: tuple[Hash, ...]
    signature: bytes


def sign_receipt(
    signer: Signer,
    claims: Claims,
    *,
    index: LeafIndex,
    size: TreeSize,
    path: Sequence[Hash],
    root: Hash,
) -> bytes:
    """Return the receipt of the entry at `index` in the tree of `size` under `root`.

    `path` is its inclusion proof; nothing is signed where that does not fit `size`.
    """
    protected = _encode_protected(signer.kid, claims)
    receipt = CoseReceipt(
        kid=signer.kid,
        claims=claims,
        size=size,
        index=index,
        path=tuple(path),
        signature=signer.sign(signature_input(protected, root)),
    )
    return format_receipt(receipt)


def format_receipt(receipt: CoseReceipt) -> bytes:
    """Return the tagged message."""
    proof = encode_cbor([receipt.size, receipt.index, list(receipt.path)])
    message = [
        _encode_protected(receipt.kid, receipt.claims),
        {_VDP: {_INCLUSION: [proof]}},
        None,
        receipt.signature,
    ]
    return _TAG + encode_cbor(message)


def parse_receipt(data: bytes) -> CoseReceipt:
    """Return the receipt in `data`, nothing verified, or raise `ParseError`."""
    where = "receipt"
    if len(data) > RECEIPT_BYTES_MAX:
        raise ParseError(where, f"is longer than {RECEIPT_BYTES_MAX} bytes")
    if data[:1] != _TAG:
        raise ParseError(where, "is no tagged COSE_Sign1")
    match decode_cbor(data[1:], where):
        case [
            bytes() as protected,
            {396: {-1: [bytes() as proof]}},
            None,
            bytes() as signature,
        ] if len(signature) == SIGNATURE_SIZE:
            kid, claims = _parse_protected(protected)
            size, index, path = _parse_proof(proof)
        case _:
            raise ParseError(where, "is not [headers, {396: {-1: [proof]}}, null, signature]")
    receipt = CoseReceipt(
        kid=kid, claims=claims, size=size, index=index, path=path, signature=signature
    )
    if format_receipt(receipt) != data:
        raise ParseError(where, "is not in its one spelling")
    return receipt


def verify_receipt(receipt: CoseReceipt, entry: bytes, x: bytes) -> Hash:
    """Return the root under which `receipt` shows `entry`, or raise `VerificationError`.

    `x` is the public key of the log's receipt role, which the verifier knows already.
    """
    if key_thumbprint(x) != receipt.kid:
        raise VerificationError(f"the receipt is by the key {receipt.kid.hex()}, not by this")
    root = inclusion_root(
        receipt.path, leaf=leaf_hash(entry), index=receipt.index, size=receipt.size
    )
    protected = _encode_protected(receipt.kid, receipt.claims)
    verify_ed25519(x, receipt.signature, signature_input(protected, root))
    return root


def _encode_protected(kid: bytes, claims: Claims) -> bytes:
    named = {_ISS: claims.origin, _SUB: claims.sub, _IAT: claims.iat}
    return encode_cbor({_ALG: _EDDSA, _KID: kid, _CLAIMS: named, _VDS: _RFC9162_SHA256})


def _parse_protected(data: bytes) -> tuple[bytes, Claims]:
    match decode_cbor(data, "receipt protected"):
        case {
            1: -8,
            4: bytes() as kid,
            15: {1: str() as origin, 2: str() as sub, 6: int() as iat},
            395: 1,
        } if len(kid) == HASH_SIZE and iat >= 0:
            return kid, Claims(origin=origin, sub=sub, iat=iat)
        case _:
            raise ParseError(
                "receipt protected",
                "is not {1: -8, 4: kid, 15: {1: origin, 2: sub, 6: iat}, 395: 1}",
            )


def _parse_proof(data: bytes) -> tuple[TreeSize, LeafIndex, tuple[Hash, ...]]:
    match decode_cbor(data, "receipt proof"):
        case [int() as size, int() as index, [*path]] if (
            0 <= index < size and len(path) <= PROOF_HASHES_MAX
        ):
            pass
        case _:
            raise ParseError("receipt proof", "is not [size, index below it, [hash, …]]")
    hashes = tuple(
        Hash(one) for one in path if isinstance(one, bytes) and len(one) == HASH_SIZE
    )
    if len(hashes) != len(path):
        raise ParseError("receipt proof", f"holds what is no hash of {HASH_SIZE} bytes")
    return TreeSize(size), LeafIndex(index), hashes
