"""Cosignatures, after C2SP tlog-cosignature: "I have seen only this history".

A cosignature is a note signature over a checkpoint. It begins with the time at
which it was made, 8 bytes big-endian, in seconds since the Unix epoch. There are
two kinds. Ed25519 (type 0x04) signs the text of the checkpoint after two lines:

    cosignature/v1
    time 1679315147
    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

ML-DSA-44 (type 0x06) signs a structure: the label "subtree/v1", a newline, a
zero byte; the cosigner's name after its length in one byte; the time; the log's
origin after its length in one byte; start, end and root of the subtree, which
for a checkpoint starts at 0. Numbers have 8 bytes, big-endian. A log may sign
its own checkpoints that way too.

A time of zero says nothing about which tree was the newest; `cosignature_time`
shows it. Refused: times of 2**63 and more, signatures of another length,
a text that is no checkpoint, and with type 0x06 names and origins longer than
255 bytes.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ledger.cose import verify_ed25519
from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import parse_checkpoint
from ledger.tlog.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    ED25519,
    BadSignatureError,
    Ed25519Verifier,
    MessageSigner,
    Note,
    NoteSigner,
    NoteVerifier,
    Signature,
    VerifierKey,
    format_note,
    format_signature_line,
    parse_note,
    verified_signatures,
)
from ledger.tlog.subtree import Subtree

TIME_MAX_S = 2**63 - 1
SIGNATURE_BYTES = {COSIGNATURE_ED25519: 64, COSIGNATURE_ML_DSA_44: 2420}

_TIME_BYTES = 8
_LABEL = b"subtree/v1\n\0"
_TEXT_BYTES_MAX = 255


def _import_if_there(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


# Older releases of cryptography lack it, and OpenSSL before 3.5 cannot do it.
_mldsa = _import_if_there("cryptography.hazmat.primitives.asymmetric.mldsa")


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """Verifies the cosignatures of one key of type 0x04 or 0x06."""

    key: VerifierKey

    def __post_init__(self) -> None:
        assert self.key.kind in SIGNATURE_BYTES

    @property
    def name(self) -> str:
        """The name in the signature line."""
        return self.key.name

    @property
    def key_id(self) -> int:
        """The id in the signature line."""
        return self.key.key_id

    def verify(self, text: str, signature: bytes) -> None:
        """Raise `BadSignatureError` unless the key cosigned the checkpoint `text`."""
        try:
            time_s = cosignature_time(signature)
            message = _message(self.key.kind, self.name, text, time_s)
            if self.key.kind == COSIGNATURE_ED25519:
                verify_ed25519(self.key.public, signature[_TIME_BYTES:], message)
            else:
                verify_ml_dsa_44(self.key.public, signature[_TIME_BYTES:], message)
        except (ParseError, VerificationError) as error:
            raise BadSignatureError(self.name, self.key_id) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """Cosigns checkpoints under `name` with a private key of type `kind`, 0x04 or 0x06.

    `time_s` is the time it claims, in seconds since the Unix epoch: now.
    """

    name: str
    kind: int
    private: MessageSigner
    time_s: int

    def __post_init__(self) -> None:
        assert self.kind in SIGNATURE_BYTES
        assert 0 <= self.time_s <= TIME_MAX_S

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(name=self.name, kind=self.kind, public=self.private.x)

    @property
    def key_id(self) -> int:
        """The id in the signature line."""
        return self.key.key_id

    def sign(self, text: str) -> bytes:
        """Return the cosignature of the checkpoint `text`, without the key id.

        Raises `ParseError` if it is no checkpoint, or its origin is too long for 0x06.
        """
        message = _message(self.kind, self.name, text, self.time_s)
        return self.time_s.to_bytes(_TIME_BYTES, "big") + self.private.sign(message)


class MlDsa44Signer:
    """Makes ML-DSA-44 signatures with a private key in this process's memory.

    FIPS 204, pure, with an empty context. The signatures of one message differ from call to
    call: the standard mixes fresh randomness in.
    """

    __slots__ = ("_key", "x")

    def __init__(self, seed: bytes) -> None:
        """Hold the key made from `seed`, 32 bytes; to be asked for first: `has_ml_dsa_44`."""
        assert _mldsa is not None
        self._key = _mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
        self.x: bytes = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 2,420 bytes of the signature over `message`."""
        signature: bytes = self._key.sign(message)
        return signature


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedSigner:
    """Signs a log's own checkpoints with ML-DSA-44 under its origin, dated by `now_s`."""

    name: str
    private: MessageSigner
    now_s: Callable[[], int]

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(name=self.name, kind=COSIGNATURE_ML_DSA_44, public=self.private.x)

    @property
    def key_id(self) -> int:
        """The id in the signature line."""
        return self.key.key_id

    def sign(self, text: str) -> bytes:
        """Return the signature of the checkpoint `text`; raises as `Cosigner.sign` does."""
        return Cosigner(
            name=self.name,
            kind=COSIGNATURE_ML_DSA_44,
            private=self.private,
            time_s=self.now_s(),
        ).sign(text)


def can_verify(key: VerifierKey) -> bool:
    """Return whether signatures of `key` can be judged with the installed cryptography."""
    return key.kind != COSIGNATURE_ML_DSA_44 or has_ml_dsa_44()


def verifier_for(key: VerifierKey) -> NoteVerifier:
    """Return what verifies the signatures of `key`, whatever its type."""
    return Ed25519Verifier(key) if key.kind == ED25519 else CosignatureVerifier(key)


def has_ml_dsa_44() -> bool:
    """Return whether the installed cryptography can sign and verify with ML-DSA-44."""
    if _mldsa is None:
        return False
    try:
        _mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    except UnsupportedAlgorithm:
        return False
    return True


def cosignature_time(signature: bytes) -> int:
    """Return the time in a cosignature, seconds since the Unix epoch, or raise `ParseError`."""
    if len(signature) - _TIME_BYTES not in SIGNATURE_BYTES.values():
        raise ParseError("cosignature", f"is {len(signature)} bytes long")
    time_s = int.from_bytes(signature[:_TIME_BYTES], "big")
    if time_s > TIME_MAX_S:
        raise ParseError("cosignature time", "is 2**63 or more")
    return time_s


def cosign_checkpoint(text: str, cosigners: Sequence[NoteSigner]) -> bytes:
    """Return the signature lines of `cosigners` under the checkpoint `text`."""
    signatures = (
        Signature(name=c.name, key_id=c.key_id, signature=c.sign(text)) for c in cosigners
    )
    return "".join(map(format_signature_line, signatures)).encode()


def add_cosignatures(data: bytes, lines: bytes, witnesses: Sequence[NoteVerifier]) -> bytes:
    """Return the note `data` with those of the signature `lines` that `witnesses` made.

    `lines` is what a witness answers. A line of an unknown key is dropped, one of
    a known key that does not verify, or that has no time, refuses them all with
    `VerificationError`. An older cosignature of the same key gives way.
    """
    note, both = parse_note(data), parse_note(data + lines)
    if both.text != note.text:
        raise ParseError("cosignatures", "hold more than signature lines")
    answer = Note(text=note.text, signatures=both.signatures[len(note.signatures) :])
    new = verified_signatures(answer, witnesses)
    if any(cosignature_time(signature.signature) == 0 for signature in new):
        raise VerificationError("cosignature has no time")
    replaced = {(signature.name, signature.key_id) for signature in new}
    kept = tuple(s for s in note.signatures if (s.name, s.key_id) not in replaced)
    return format_note(Note(text=note.text, signatures=kept + new))


def ed25519_message(text: str, time_s: int) -> bytes:
    """Return what a cosignature of type 0x04 signs for the checkpoint `text`."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def ml_dsa_44_message(name: str, time_s: int, origin: str, subtree: Subtree) -> bytes:
    """Return what a cosignature of type 0x06 signs, or raise `ParseError`.

    A subtree that does not start at 0 must come with a time of 0.
    """
    assert subtree.start == 0 or time_s == 0
    return b"".join(
        (
            _LABEL,
            _prefixed(name, "cosigner name"),
            time_s.to_bytes(_TIME_BYTES, "big"),
            _prefixed(origin, "checkpoint origin"),
            subtree.start.to_bytes(8, "big"),
            subtree.end.to_bytes(8, "big"),
            subtree.root,
        )
    )


def verify_ml_dsa_44(public: bytes, signature: bytes, message: bytes) -> None:
    """Raise `VerificationError` unless the ML-DSA-44 key `public` signed `message`.

    FIPS 204, pure, with an empty context. Where the installed cryptography has no
    ML-DSA-44, every signature is refused and the error says so.
    """
    if _mldsa is None:
        raise VerificationError("the installed cryptography has no ML-DSA-44")
    try:
        _mldsa.MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except UnsupportedAlgorithm as error:
        raise VerificationError("the installed OpenSSL has no ML-DSA-44") from error
    except (InvalidSignature, ValueError) as error:
        raise VerificationError("ML-DSA-44 signature does not verify") from error


def _message(kind: int, name: str, text: str, time_s: int) -> bytes:
    checkpoint = parse_checkpoint(text)
    if kind == COSIGNATURE_ED25519:
        return ed25519_message(text, time_s)
    whole = Subtree(0, checkpoint.size, checkpoint.root)
    return ml_dsa_44_message(name, time_s, checkpoint.origin, whole)


def _prefixed(text: str, where: str) -> bytes:
    data = text.encode()
    if not 0 < len(data) <= _TEXT_BYTES_MAX:
        raise ParseError(where, f"is not 1 to {_TEXT_BYTES_MAX} bytes long")
    return len(data).to_bytes(1, "big") + data
