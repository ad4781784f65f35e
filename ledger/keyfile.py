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

A key is named by its path, by `env:NAME`, where that variable of the environment holds the
text of such a file, or by a PKCS#11 URI (`ledger.tokenuri`), where it lives in a token. A
token does not say whom its key speaks for, so a file may say it in the token's stead, and
name the key's public half, which another key in its place would not have:

    {
      "format": "tagtrail/tokenkey/v1",
      "iss": "https://tagtrail.example/demo",
      "role": "log",
      "kid": "6f7d…", "x": "3b6a…",
      "uri": "pkcs11:token=log;object=key?module-path=/usr/lib/…&pin-source=env:LOG_PIN"
    }

It holds no secret, and may say anything: what it says counts when the log enrols it. Still
it must be private like the others, for who writes it chooses the driver that is loaded. The
PIN is a variable, or a file that only its owner can read; its last line break is dropped.

Logs and witnesses sign with ML-DSA-44 too (FIPS 204). The seed of that key is derived from
the one in the file: HKDF-SHA-256 (RFC 5869) without salt, info "tagtrail/ml-dsa-44/v1". So
one file holds both, and who breaks Ed25519 learns nothing about the other: to the seed leads
no way back from an Ed25519 key. A key in a token has no such twin.

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
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ledger.cose import Ed25519Signer, Signer
from ledger.errors import ParseError, TagtrailError
from ledger.tlog.cosignature import MlDsa44Signer, has_ml_dsa_44
from ledger.token import TokenSigner, open_token_key
from ledger.tokenuri import SCHEME as TOKEN_SCHEME
from ledger.tokenuri import parse_token_uri

FORMAT: Final = "tagtrail/keyfile/v1"
TOKEN_FORMAT: Final = "tagtrail/tokenkey/v1"  # noqa: S105 - the name of a format
SCRYPT_N: Final = 2**15
SCRYPT_N_LEAST: Final = 2**14
SCRYPT_N_MOST: Final = 2**20
KEYFILE_BYTES_MAX: Final = 16_384
_ML_DSA_INFO: Final = b"tagtrail/ml-dsa-44/v1"
_SCRYPT_R, _SCRYPT_P = 8, 1
_SEED_SIZE, _SALT_SIZE, _NONCE_SIZE, _KEY_SIZE = 32, 16, 12, 32
_ENVIRONMENT: Final = "env:"
NO_PATH: Final = (_ENVIRONMENT, TOKEN_SCHEME)
"""How the name of a key starts that is not the path of a file."""


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


class _Start(msgspec.Struct, frozen=True):
    """What both sorts of file start with, to tell them apart."""

    format: str


class _TokenEnvelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON object of a file that names a key in a token, its fields in their order."""

    format: str
    iss: str
    role: str
    kid: str
    x: str
    uri: str


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


def store_token_key(path: Path, uri: str, owner: tuple[str, str]) -> PublicKey:
    """Write to `path` that the key `uri` of a token is `owner`'s, (iss, role).

    The token must be there, and the key must sign; raises as `load_signer` does. The file
    appears as that of `create_keyfile` does.
    """
    signer = _open_token(uri)
    iss, role = owner
    envelope = _TokenEnvelope(
        format=TOKEN_FORMAT,
        iss=iss,
        role=role,
        kid=signer.kid.hex(),
        x=signer.x.hex(),
        uri=uri,
    )
    _write_durably(path, _format_envelope(envelope))
    return _public_half(envelope)


def load_signer(source: Path | str, passphrase: bytes) -> Signer:
    """Return the signer whose key `source` names: a path, `env:NAME` or a PKCS#11 URI.

    Raises `KeyfileError` where the file is too open, the passphrase another one or the key
    not the one that the file names, `ParseError` where it is no key file or no good URI,
    `TokenError` where the token does not let the key sign. `passphrase` opens files only:
    a token has its PIN, from where its URI says.
    """
    text = str(source)
    if text.startswith(TOKEN_SCHEME):
        return _open_token(text)
    envelope = _parse_envelope(_read_source(text), text)
    signer: Signer
    if isinstance(envelope, _TokenEnvelope):
        signer = _open_token(envelope.uri)
    else:
        signer = Ed25519Signer(_open_seed(envelope, passphrase, text))
    if (signer.kid.hex(), signer.x.hex()) != (envelope.kid, envelope.x):
        raise KeyfileError(f"{source}: holds another key than it names")
    return signer


def load_ml_dsa_signer(source: Path | str, passphrase: bytes) -> MlDsa44Signer | None:
    """Return the ML-DSA-44 twin of the key `source`, or None where there is none.

    That is for a key in a token, and where the installed cryptography has no ML-DSA-44.
    Raises as `load_signer` does.
    """
    text = str(source)
    if text.startswith(TOKEN_SCHEME) or not has_ml_dsa_44():
        return None
    envelope = _parse_envelope(_read_source(text), text)
    if isinstance(envelope, _TokenEnvelope):
        return None
    return MlDsa44Signer(derive_ml_dsa_seed(_open_seed(envelope, passphrase, text)))


def derive_ml_dsa_seed(seed: bytes) -> bytes:
    """Return the 32-byte seed of the ML-DSA-44 twin of the Ed25519 key made from `seed`."""
    return HKDF(SHA256(), length=_SEED_SIZE, salt=None, info=_ML_DSA_INFO).derive(seed)


def needs_passphrase(source: Path | str) -> bool:
    """Tell whether `load_signer` decrypts the key `source`, which is then in no token."""
    text = str(source)
    if text.startswith(TOKEN_SCHEME):
        return False
    return isinstance(_parse_envelope(_read_source(text), text), _Envelope)


def _open_seed(envelope: _Envelope, passphrase: bytes, source: str) -> bytes:
    box = ChaCha20Poly1305(_derive_key(passphrase, bytes.fromhex(envelope.salt), envelope.n))
    nonce, ciphertext = bytes.fromhex(envelope.nonce), bytes.fromhex(envelope.ciphertext)
    try:
        return box.decrypt(nonce, ciphertext, _associated_data(envelope))
    except InvalidTag as error:
        raise KeyfileError(f"{source}: wrong passphrase, or the file was changed") from error


def _open_token(text: str) -> TokenSigner:
    uri = parse_token_uri(text)
    try:
        pin = _read_source(uri.pin_source).decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Not chained: that error carries the bytes.
        raise KeyfileError(f"{uri.pin_source}: holds a PIN that is no UTF-8") from None
    if not pin or "\n" in pin:
        raise KeyfileError(f"{uri.pin_source}: holds no PIN on one line")
    return open_token_key(uri, pin)


def read_public_key(source: Path | str) -> PublicKey:
    """Return what the key file says of itself; only `load_signer` could vouch for it."""
    if str(source).startswith(TOKEN_SCHEME):
        raise KeyfileError(
            "a token does not say whom its key speaks for; write a file that does: "
            "tagtrail keys make FILE --iss URI --role ROLE --token URI"
        )
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


def _public_half(envelope: _Envelope | _TokenEnvelope) -> PublicKey:
    kid, x = bytes.fromhex(envelope.kid), bytes.fromhex(envelope.x)
    return PublicKey(kid, x, envelope.iss, envelope.role)


def _format_envelope(envelope: _Envelope | _TokenEnvelope) -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"


def _parse_envelope(data: bytes, where: str) -> _Envelope | _TokenEnvelope:
    envelope: _Envelope | _TokenEnvelope
    try:
        if msgspec.json.decode(data, type=_Start).format == TOKEN_FORMAT:
            envelope = msgspec.json.decode(data, type=_TokenEnvelope)
        else:
            envelope = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(where, f"is no key file: {error}") from error
    if isinstance(envelope, _TokenEnvelope):
        _check_token_envelope(envelope, where)
    else:
        _check_envelope(envelope, where)
    for name in ("kid", "x"):
        _require_hex(getattr(envelope, name), 32, f"{where}: {name}")
    if _format_envelope(envelope) != data:
        raise ParseError(where, "is not in its one spelling")
    return envelope


def _check_token_envelope(envelope: _TokenEnvelope, where: str) -> None:
    try:
        parse_token_uri(envelope.uri)
    except ParseError as error:
        raise ParseError(f"{where}: uri", str(error)) from error


def _check_envelope(envelope: _Envelope, where: str) -> None:
    fixed = (envelope.format, envelope.kdf, envelope.r, envelope.p, envelope.cipher)
    if fixed != (FORMAT, "scrypt", _SCRYPT_R, _SCRYPT_P, "chacha20poly1305"):
        raise ParseError(where, f"is not of the format {FORMAT}")
    n = envelope.n
    if n.bit_count() != 1 or not SCRYPT_N_LEAST <= n <= SCRYPT_N_MOST:
        raise ParseError(where, "has an n that is no power of two from 2^14 to 2^20")
    sizes = {"salt": 16, "nonce": 12, "ciphertext": _SEED_SIZE + 16}
    for name, size in sizes.items():
        _require_hex(getattr(envelope, name), size, f"{where}: {name}")


def _require_hex(text: str, size: int, where: str) -> None:
    digits = set(text) <= set("0123456789abcdef")
    if not digits or len(text) != 2 * size:
        raise ParseError(where, f"is not {size} bytes in lower-case hex")


def _read_source(source: str) -> bytes:
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
