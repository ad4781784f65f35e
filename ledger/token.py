"""Private keys in hardware: opens the key that a PKCS#11 URI names, and signs with it.

    signer = open_token_key(parse_token_uri(text), pin)

The key is an Ed25519 key (`CKK_EC_EDWARDS`) that signs by `CKM_EDDSA`, as PKCS#11 3.0 has
both; it never leaves its token. Its public half is read from the public key beside it, with
the same id or label, and believed only after a probe: a random message is signed by the
token, and the signature verified here.

The library `python-pkcs11` comes with the extra tagtrail[pkcs11] and is imported when a key
is opened. PKCS#11 keeps one login for each token and process. So a session stays open as
long as the process: to close one would log out every other, and a second key of the same
token is opened under the first one's login.

Whoever holds the token and its PIN signs in its owner's name, but has to come to the token:
there is no copy to take away. No message of this module holds a PIN.
"""

import secrets
from types import ModuleType
from typing import Any, Final

from ledger.cose import PUBLIC_KEY_SIZE, key_thumbprint, verify_ed25519
from ledger.errors import TagtrailError, VerificationError
from ledger.tokenuri import TokenUri

PROBE_START: Final = b"tagtrail/token-probe/v1\n"
_PROBE_BYTES: Final = 32
# CKA_EC_POINT: an OCTET STRING (PKCS#11 3.1), a BIT STRING, or the 32 bytes bare (3.0).
_POINT_HEADS: Final = (b"\x04\x20", b"\x03\x21\x00", b"")


class TokenError(TagtrailError):
    """A key in a token that cannot be used: no driver, no such token or key, a wrong PIN."""


class TokenSigner:
    """A signer whose private key is in a token. Its `sign` may be called by any thread."""

    __slots__ = ("_key", "_mechanism", "_refusal", "kid", "x")

    def __init__(self, key: Any, x: bytes, library: ModuleType) -> None:
        """Hold the private key `key` of an open session, whose public half is `x`."""
        self._key = key
        self._mechanism = library.Mechanism.EDDSA
        self._refusal: type[Exception] = library.PKCS11Error
        self.x: bytes = x
        self.kid: bytes = key_thumbprint(x)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature over `message`.

        Raises `TokenError` where the token does not sign, such as when it was taken out.
        """
        try:
            signature: bytes = self._key.sign(message, mechanism=self._mechanism)
        except self._refusal as error:
            raise TokenError(f"the token does not sign: {_name(error)}") from error
        return signature


def open_token_key(uri: TokenUri, pin: str) -> TokenSigner:
    """Return the signer of the key that `uri` names, proved to sign under its public key.

    Raises `TokenError`, which says whether the library, the driver, the token, the PIN or
    the key is at fault.
    """
    library = _import_library()
    token = _find_token(library, uri)
    try:
        session = _open_session(library, token, uri, pin)
        private, public = _find_pair(library, session, uri)
        x = _read_point(public[library.Attribute.EC_POINT], uri)
        signer = TokenSigner(private, x, library)
    except library.PKCS11Error as error:
        raise TokenError(
            f"the key {uri.describe_key()} of the token {uri.describe_token()} "
            f"cannot be used: {_name(error)}"
        ) from error
    _probe(signer, uri)
    return signer


def _import_library() -> ModuleType:
    try:
        import pkcs11  # noqa: PLC0415 - optional, so only where a key asks for it
    except ImportError as error:
        raise TokenError(
            "keys in a token need a library that is not installed: "
            "pip install 'tagtrail[pkcs11]'"
        ) from error
    return pkcs11


def _find_token(library: ModuleType, uri: TokenUri) -> Any:
    """Return the one token that `uri` names, of those that its driver can see."""
    try:
        tokens = list(library.lib(uri.module_path).get_tokens())
    except (library.PKCS11Error, OSError) as error:
        raise TokenError(
            f"{uri.module_path} is no PKCS#11 module that works here: {_name(error)}"
        ) from error
    found = [token for token in tokens if _is_meant(token, uri)]
    if len(found) != 1:
        labels = ", ".join(sorted(repr(token.label) for token in tokens)) or "none"
        raise TokenError(
            f"{len(found)} tokens are {uri.describe_token()}, want one; "
            f"{uri.module_path} sees {labels}"
        )
    return found[0]


def _is_meant(token: Any, uri: TokenUri) -> bool:
    serial = token.serial.decode("utf-8", errors="replace").rstrip()
    pairs = (
        (uri.token, token.label),
        (uri.serial, serial),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
    )
    return all(wanted is None or wanted == actual for wanted, actual in pairs)


def _open_session(library: ModuleType, token: Any, uri: TokenUri, pin: str) -> Any:
    try:
        return token.open(user_pin=pin)
    except library.UserAlreadyLoggedIn:
        return token.open()
    except (library.PinIncorrect, library.PinInvalid, library.PinLenRange) as error:
        raise TokenError(
            f"the token {uri.describe_token()} refuses the PIN of {uri.pin_source}; "
            "it may lock itself after a few wrong ones"
        ) from error
    except library.PinLocked as error:
        raise TokenError(
            f"the token {uri.describe_token()} is locked after too many wrong PINs"
        ) from error


def _find_pair(library: ModuleType, session: Any, uri: TokenUri) -> tuple[Any, Any]:
    """Return the private key that `uri` names and the public key that belongs to it."""
    attribute, sort = library.Attribute, library.ObjectClass
    template: dict[Any, Any] = {}
    if uri.object is not None:
        template[attribute.LABEL] = uri.object
    if uri.id is not None:
        template[attribute.ID] = uri.id
    private = _find_one(session, template | {attribute.CLASS: sort.PRIVATE_KEY}, uri)
    if private[attribute.KEY_TYPE] != library.KeyType.EC_EDWARDS:
        raise TokenError(f"the key {uri.describe_key()} is no Ed25519 key")
    if not private[attribute.SIGN]:
        raise TokenError(f"the key {uri.describe_key()} may not sign: its CKA_SIGN is false")
    shared = private[attribute.ID]
    twin = {attribute.ID: shared} if shared else template
    return private, _find_one(session, twin | {attribute.CLASS: sort.PUBLIC_KEY}, uri)


def _find_one(session: Any, template: dict[Any, Any], uri: TokenUri) -> Any:
    found = list(session.get_objects(template))
    if len(found) != 1:
        sort = next(reversed(template.values())).name.lower().replace("_", " ")
        raise TokenError(
            f"the token {uri.describe_token()} has {len(found)} {sort}s for "
            f"{uri.describe_key()}, want one"
        )
    return found[0]


def _read_point(point: bytes, uri: TokenUri) -> bytes:
    """Return the 32 bytes of the public key in a token's spelling of it."""
    for head in _POINT_HEADS:
        if point.startswith(head) and len(point) == len(head) + PUBLIC_KEY_SIZE:
            return point.removeprefix(head)
    raise TokenError(f"the key {uri.describe_key()} is no Ed25519 key")


def _probe(signer: TokenSigner, uri: TokenUri) -> None:
    message = PROBE_START + secrets.token_bytes(_PROBE_BYTES)
    try:
        verify_ed25519(signer.x, signer.sign(message), message)
    except VerificationError as error:
        raise TokenError(
            f"what the key {uri.describe_key()} signs does not verify under the public key "
            "beside it in the token"
        ) from error


def _name(error: Exception) -> str:
    """Return the name of a PKCS#11 return code, with what the library adds to it."""
    return f"{type(error).__name__} {error}".strip()
