"""Private keys at rest: a file that only its owner can read, encrypted under a passphrase.

One JSON object, its keys in this order, byte strings in hex, two blanks of indent:

    {
      "format": "tagtrail/keyfile/v1",
      "iss": "https://id.gs1.org/417/9506000134352",
      "role": "gateway",
      "kid": "6f7d…", "x": "3b6a…",
      "kdf": "scrypt", "n": 32768, "r": 8, "p": 1, "salt": "5c02…",
      "cipher": "chacha20poly1305", "nonce": "99ab…", "ciphertext": "07d1…"
    }

The plaintext is the 32-byte seed of RFC 8032. All fields before the nonce, as a JSON array
in this order, are the associated data: a file whose issuer or role somebody changed does
not open. Refused: any other spelling, a file that group or others may read or write, an n
outside 2¹⁴ to 2²⁰, a seed that does not lead to the x and kid beside it.

A key is named by its path, or by `env:NAME`, where that variable of the environment holds
the text of such a file. A PKCS#11 URI (RFC 7512) is recognised, and refused with a word on
the extra that would open it.

Whoever takes the file but not the passphrase can guess at the passphrase, offline, at the
price of scrypt. Whoever has both signs in its owner's name until the key is revoked.
"""

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ledger.cose import Ed25519Signer
from ledger.errors import ParseError, TagtrailError

FORMAT: Final = "tagtrail/keyfile/v1"
SCRYPT_N: Final = 2**15
SCRYPT_N_LEAST: Final = 2**14
SCRYPT_N_MOST: Final = 2**20
KEYFILE_BYTES_MAX: Final = 16_384
_SCRYPT_R, _SCRYPT_P = 8, 1
_SEED_SIZE, _SALT_SIZE, _NONCE_SIZE, _KEY_SIZE = 32, 16, 12, 32
_ENVIRONMENT: Final = "env:"
_PKCS11: Final = "pkcs11:"


class KeyfileError(TagtrailError):
    """A key that cannot be used: too open a file, another passphrase, no such key."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key, and whom and what it was made for."""

    kid: bytes
    x: bytes
    iss: str
    role: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON object of a key file, its fields in their order."""

    format: str
    iss: str
    role: str
    kid: str
    x: str
    kdf: str
    n: int
    r: int
    p: int
    salt: str
    cipher: str
    nonce: str
    ciphertext: str


def create_keyfile(
    path: Path, *, passphrase: bytes, iss: str = "", role: str = "", n: int = SCRYPT_N
) -> PublicKey:
    """Make a key, write it to `path`, which must not exist, and return its public half.

    The file appears whole or not at all, and survives a crash once this returns: it is
    written and synced under another name, then linked, then the folder is synced.
    """
    return store_seed(path, secrets.token_bytes(_SEED_SIZE), passphrase, (iss, role), n=n)


def store_seed(
    path: Path, seed: bytes, passphrase: bytes, owner: tuple[str, str], *, n: int = SCRYPT_N
) -> PublicKey:
    """Write the key made of `seed` for `owner`, (iss, role), as `create_keyfile` does."""
    data = _format_envelope(_seal(seed, passphrase, owner, n))
    _write_durably(path, data)
    return _public_half(_parse_envelope(data, str(path)))


def load_signer(source: Path | str, passphrase: bytes) -> Ed25519Signer:
    """Return the signer whose key `source` names, a path or `env:NAME`.

    Raises `KeyfileError` where the file is too open or the passphrase is another one,
    `ParseError` where it is no key file.
    """
    envelope = _parse_envelope(_read_source(str(source)), str(source))
    box = ChaCha20Poly1305(_derive_key(passphrase, bytes.fromhex(envelope.salt), envelope.n))
    nonce, ciphertext = bytes.fromhex(envelope.nonce), bytes.fromhex(envelope.ciphertext)
    try:
        seed = box.decrypt(nonce, ciphertext, _associated_data(envelope))
    except InvalidTag as error:
        raise KeyfileError(f"{source}: wrong passphrase, or the file was changed") from error
    signer = Ed25519Signer(seed)
    if (signer.kid.hex(), signer.x.hex()) != (envelope.kid, envelope.x):
        raise KeyfileError(f"{source}: holds another key than it names")
    return signer


def read_public_key(source: Path | str) -> PublicKey:
    """Return what the key file says of itself; only the passphrase could vouch for it."""
    return _public_half(_parse_envelope(_read_source(str(source)), str(source)))


def _seal(seed: bytes, passphrase: bytes, owner: tuple[str, str], n: int) -> _Envelope:
    signer = Ed25519Signer(seed)
    salt, nonce = secrets.token_bytes(_SALT_SIZE), secrets.token_bytes(_NONCE_SIZE)
    iss, role = owner
    envelope = _Envelope(
        format=FORMAT,
        iss=iss,
        role=role,
        kid=signer.kid.hex(),
        x=signer.x.hex(),
        kdf="scrypt",
        n=n,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        salt=salt.hex(),
        cipher="chacha20poly1305",
        nonce=nonce.hex(),
        ciphertext="",
    )
    box = ChaCha20Poly1305(_derive_key(passphrase, salt, n))
    ciphertext = box.encrypt(nonce, seed, _associated_data(envelope))
    return msgspec.structs.replace(envelope, ciphertext=ciphertext.hex())


def _associated_data(envelope: _Envelope) -> bytes:
    fields = [getattr(envelope, name) for name in envelope.__struct_fields__]
    return msgspec.json.encode(fields[: envelope.__struct_fields__.index("nonce")])


def _derive_key(passphrase: bytes, salt: bytes, n: int) -> bytes:
    scrypt = Scrypt(salt=salt, length=_KEY_SIZE, n=n, r=_SCRYPT_R, p=_SCRYPT_P)
    return scrypt.derive(passphrase)


def _public_half(envelope: _Envelope) -> PublicKey:
    kid, x = bytes.fromhex(envelope.kid), bytes.fromhex(envelope.x)
    return PublicKey(kid, x, envelope.iss, envelope.role)


def _format_envelope(envelope: _Envelope) -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"


def _parse_envelope(data: bytes, where: str) -> _Envelope:
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(where, f"is no key file: {error}") from error
    fixed = (envelope.format, envelope.kdf, envelope.r, envelope.p, envelope.cipher)
    if fixed != (FORMAT, "scrypt", _SCRYPT_R, _SCRYPT_P, "chacha20poly1305"):
        raise ParseError(where, f"is not of the format {FORMAT}")
    n = envelope.n
    if n.bit_count() != 1 or not SCRYPT_N_LEAST <= n <= SCRYPT_N_MOST:
        raise ParseError(where, "has an n that is no power of two from 2^14 to 2^20")
    sizes = {"kid": 32, "x": 32, "salt": 16, "nonce": 12, "ciphertext": _SEED_SIZE + 16}
    for name, size in sizes.items():
        _require_hex(getattr(envelope, name), size, f"{where}: {name}")
    if _format_envelope(envelope) != data:
        raise ParseError(where, "is not in its one spelling")
    return envelope


def _require_hex(text: str, size: int, where: str) -> None:
    digits = set(text) <= set("0123456789abcdef")
    if not digits or len(text) != 2 * size:
        raise ParseError(where, f"is not {size} bytes in lower-case hex")


def _read_source(source: str) -> bytes:
    if source.startswith(_PKCS11):
        raise KeyfileError(
            f"{source}: keys in hardware need the extra tagtrail[pkcs11], which is not "
            "installed and not in this version; use a key file"
        )
    if source.startswith(_ENVIRONMENT):
        name = source.removeprefix(_ENVIRONMENT)
        text = os.environ.get(name)  # noqa: TID251 - the key's owner named this variable
        if text is None:
            raise KeyfileError(f"{source}: no such variable in the environment")
        return (text.removesuffix("\n") + "\n").encode(errors="surrogateescape")
    try:
        with Path(source).open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyfileError(f"{source}: mode is {mode:04o}; make it private: chmod 600")
            return file.read(KEYFILE_BYTES_MAX)
    except OSError as error:
        raise KeyfileError(f"{source}: {error.strerror}") from error


def _write_durably(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except OSError as error:
        raise KeyfileError(f"{path}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
