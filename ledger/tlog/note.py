"""Signed notes and verifier keys, after C2SP signed-note.

A note is text that ends in a newline, an empty line, and one or more signature
lines, each an em dash, the name of a key, and base64 of key id and signature:

    This is an example message.

    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZ…

A verifier key (vkey) is a name, the key id in hex, and base64 of the signature
type and the public key:

    example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k

The key id is recomputed from the rest and a vkey with another one is refused:
SHA-256(name, newline, type, public key), its first four bytes. It only tells
keys apart; whoever verifies holds the whole key already.

Refused besides: Ed25519 keys that are not canonical or of small order, what is
not UTF-8, control characters other than newline, names that are empty or hold a
space or a plus, base64 with bits to spare, a signature of no bytes, more than 100
signatures, more than 1,000,000 bytes. Whatever `parse_note` and `parse_vkey`
take, the `format_` of the same name gives back.

Pure: no I/O, no clock, no randomness.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from ledger.cose import parse_public_key, verify_ed25519
from ledger.errors import ParseError, VerificationError

NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100
NAME_BYTES_MAX = 1024

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04
COSIGNATURE_ML_DSA_44 = 0x06

# Signature type: length of its public key in bytes.
PUBLIC_KEY_BYTES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1312}

_CURVE_KINDS = frozenset({ED25519, COSIGNATURE_ED25519})
_KEY_ID_BYTES = 4
_KEY_ID_DIGITS = 8
_DASH = "\N{EM DASH} "
_VKEY_PARTS = 3


class UnverifiedNoteError(VerificationError):
    """A note that no known key has signed."""


class BadSignatureError(VerificationError):
    """A signature under the name and id of a known key that this key did not make."""

    def __init__(self, name: str, key_id: int) -> None:
        super().__init__(f"signature of {name}+{key_id:08x} does not verify")
        self.name = name
        self.key_id = key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with the name it signs under and its signature type."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> int:
        """The 32-bit id that signature lines carry."""
        return compute_key_id(self.name, self.kind, self.public)

    def __str__(self) -> str:
        """Return the vkey."""
        return format_vkey(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line: who claims to have signed, and the bytes."""

    name: str
    key_id: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text, its final newline included, and the signatures under it, in order."""

    text: str
    signatures: tuple[Signature, ...]


class NoteVerifier(Protocol):
    """What knows whether a signature belongs to one key."""

    @property
    def name(self) -> str:
        """The name in the signature line."""

    @property
    def key_id(self) -> int:
        """The id in the signature line."""

    def verify(self, text: str, signature: bytes) -> None:
        """Raise `VerificationError` unless `signature` is this key's over `text`."""


class NoteSigner(Protocol):
    """What makes the signatures of one key."""

    @property
    def name(self) -> str:
        """The name in the signature line."""

    @property
    def key_id(self) -> int:
        """The id in the signature line."""

    def sign(self, text: str) -> bytes:
        """Return the signature over `text`, without the key id."""


class MessageSigner(Protocol):
    """A private key, wherever it is kept."""

    @property
    def x(self) -> bytes:
        """The public key: 32 bytes with Ed25519."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`: 64 bytes with Ed25519."""


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """Verifies signatures of type 0x01: Ed25519 over the text of the note."""

    key: VerifierKey

    def __post_init__(self) -> None:
        assert self.key.kind == ED25519

    @property
    def name(self) -> str:
        """The name in the signature line."""
        return self.key.name

    @property
    def key_id(self) -> int:
        """The id in the signature line."""
        return self.key.key_id

    def verify(self, text: str, signature: bytes) -> None:
        """Raise `BadSignatureError` unless the key signed `text`."""
        try:
            verify_ed25519(self.key.public, signature, text.encode())
        except VerificationError as error:
            raise BadSignatureError(self.name, self.key_id) from error


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """Signs notes with a private Ed25519 key under `name`, with type 0x01."""

    name: str
    private: MessageSigner

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(name=self.name, kind=ED25519, public=self.private.x)

    @property
    def key_id(self) -> int:
        """The id in the signature line."""
        return self.key.key_id

    def sign(self, text: str) -> bytes:
        """Return the signature over `text`, without the key id."""
        return self.private.sign(text.encode())


def compute_key_id(name: str, kind: int, public: bytes) -> int:
    """Return the key id that signed-note recommends and that tagtrail requires."""
    digest = sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()
    return int.from_bytes(digest[:_KEY_ID_BYTES], "big")


def parse_vkey(text: str) -> VerifierKey:
    """Return the key written as vkey `text`, or raise `ParseError`."""
    parts = text.split("+", _VKEY_PARTS - 1)  # Base64 may hold more pluses.
    if len(parts) != _VKEY_PARTS:
        raise ParseError("vkey", f"{text[:80]!r} is not NAME+ID+KEY")
    name, digits, encoded = parts
    check_key_name(name, "vkey name")
    material = decode_base64(encoded, "vkey")
    kind, public = (material[0], material[1:]) if material else (0, b"")
    if kind not in PUBLIC_KEY_BYTES:
        raise ParseError("vkey", f"signature type 0x{kind:02x} is not known here")
    if len(public) != PUBLIC_KEY_BYTES[kind]:
        want = PUBLIC_KEY_BYTES[kind]
        raise ParseError("vkey", f"public key is {len(public)} bytes long, want {want}")
    if kind in _CURVE_KINDS:
        _check_point(public)
    key = VerifierKey(name=name, kind=kind, public=public)
    if digits != f"{key.key_id:08x}":
        raise ParseError("vkey", f"key id is {digits!r}, computed {key.key_id:08x}")
    assert format_vkey(key) == text
    return key


def format_vkey(key: VerifierKey) -> str:
    """Return `key` as NAME+ID+KEY."""
    material = b64encode(bytes([key.kind]) + key.public).decode("ascii")
    return f"{key.name}+{key.key_id:08x}+{material}"


def parse_note(data: bytes) -> Note:
    """Return the note in `data`, nothing verified yet, or raise `ParseError`."""
    if len(data) > NOTE_BYTES_MAX:
        raise ParseError("note", f"is longer than {NOTE_BYTES_MAX} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise ParseError("note", f"is not UTF-8 at byte {error.start}") from error
    if any(character < " " and character != "\n" for character in whole):
        raise ParseError("note", "holds a control character")
    head, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise ParseError("note", "does not end in an empty line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise ParseError("note", f"has more than {SIGNATURES_MAX} signatures")
    note = Note(text=head + "\n", signatures=tuple(map(parse_signature_line, lines)))
    assert format_note(note) == data
    return note


def format_note(note: Note) -> bytes:
    """Return the bytes of `note`."""
    lines = "".join(format_signature_line(signature) for signature in note.signatures)
    return f"{note.text}\n{lines}".encode()


def parse_signature_line(line: str) -> Signature:
    """Return the signature in `line`, its newline taken off, or raise `ParseError`."""
    if not line.startswith(_DASH):
        raise ParseError("note", f"{line[:80]!r} is not a signature line")
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    check_key_name(name, "note signature")
    data = decode_base64(encoded, "note signature")
    if len(data) <= _KEY_ID_BYTES:
        raise ParseError("note signature", f"of {name} is empty")
    key_id = int.from_bytes(data[:_KEY_ID_BYTES], "big")
    return Signature(name=name, key_id=key_id, signature=data[_KEY_ID_BYTES:])


def format_signature_line(signature: Signature) -> str:
    """Return the line of `signature`, its newline included."""
    data = signature.key_id.to_bytes(_KEY_ID_BYTES, "big") + signature.signature
    return f"{_DASH}{signature.name} {b64encode(data).decode('ascii')}\n"


def sign_note(
    text: str, signers: Sequence[NoteSigner], *, existing: Sequence[Signature] = ()
) -> bytes:
    """Return the note over `text`, signed by each of `signers` after the `existing` lines.

    An existing signature of one of the signers gives way to the new one. Raises
    `ParseError` where the outcome would not be a note.
    """
    if not text.endswith("\n"):
        raise ParseError("note", "text does not end in a newline")
    for name in (*(signer.name for signer in signers), *(old.name for old in existing)):
        check_key_name(name, "note signature")
    new = tuple(
        Signature(name=signer.name, key_id=signer.key_id, signature=signer.sign(text))
        for signer in signers
    )
    replaced = {(signature.name, signature.key_id) for signature in new}
    kept = tuple(old for old in existing if (old.name, old.key_id) not in replaced)
    data = format_note(Note(text=text, signatures=kept + new))
    parse_note(data)
    return data


def verify_note(note: Note, verifiers: Sequence[NoteVerifier]) -> None:
    """Raise unless a known key has signed `note` and each known key's lines verify.

    Raises what `verified_signatures` raises, and `UnverifiedNoteError` if none is left.
    """
    if not verified_signatures(note, verifiers):
        raise UnverifiedNoteError("no known key has signed the note")


def verified_signatures(note: Note, verifiers: Sequence[NoteVerifier]) -> tuple[Signature, ...]:
    """Return the signatures of known keys, the first of each; raise if one does not hold.

    Signatures of unknown keys are ignored, as signed-note section "Signatures"
    demands, even where one shares a name or an id with a known key. Raises
    `BadSignatureError` for a known key's line that does not verify. Two verifiers
    for one name and id are refused when the note has such a line: neither may speak
    for both.
    """
    found: dict[tuple[str, int], Signature] = {}
    for signature in note.signatures:
        known = [v for v in verifiers if (v.name, v.key_id) == _identity(signature)]
        if len(known) > 1:
            raise VerificationError(
                f"two keys are known as {signature.name}+{signature.key_id:08x}"
            )
        for verifier in known:
            verifier.verify(note.text, signature.signature)
            found.setdefault(_identity(signature), signature)
    return tuple(found.values())


def check_key_name(name: str, where: str) -> None:
    """Raise `ParseError` unless `name` may name a key."""
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise ParseError(where, f"{name[:80]!r} is not the name of a key")
    if len(name.encode(errors="surrogatepass")) > NAME_BYTES_MAX:
        raise ParseError(where, f"name is longer than {NAME_BYTES_MAX} bytes")
    if any("\ud800" <= c <= "\udfff" for c in name):
        raise ParseError(where, f"{name[:80]!r} has no UTF-8")


def decode_base64(text: str, where: str) -> bytes:
    """Return the bytes that `text` spells in standard base64, or raise `ParseError`."""
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise ParseError(where, f"{text[:80]!r} is not base64") from error
    if b64encode(data).decode("ascii") != text:
        raise ParseError(where, f"{text[:80]!r} is not the one base64 spelling")
    return data


def _check_point(public: bytes) -> None:
    try:
        parse_public_key(public)
    except VerificationError as error:
        raise ParseError("vkey", str(error)) from error


def _identity(signature: Signature) -> tuple[str, int]:
    return signature.name, signature.key_id
