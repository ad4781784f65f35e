"""Names of keys in hardware tokens: PKCS#11 URIs as RFC 7512 spells them, strictly read.

    pkcs11:token=log;object=key?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=env:PIN

In the path, parted by `;`: which token (`token` is its label; `serial`, `manufacturer`,
`model`) and which key (`object` is its label; `id` in bytes; `type=private`). One attribute
of each sort must be there. In the query, parted by `&`, both must be there: `module-path`,
the absolute path of the token's driver, and `pin-source`, where the PIN is: `env:NAME`, an
absolute path, or that path as `file:/…` or `file:///…`.

Refused: an attribute twice, an empty one, or one that nobody here would check, such as
`slot-id` or `library-version`; characters outside section 2.3 of the RFC, or escapes that
are no UTF-8; `pin-value`, because a PIN in a command line or a settings file is no secret; a
program as the source of a PIN. A refusal quotes no value, for it might be a PIN.

Pure: no I/O, no clock, no randomness.
"""

import re
from dataclasses import dataclass
from typing import Final

from ledger.errors import ParseError

SCHEME: Final = "pkcs11:"
TOKEN_URI_CHARACTERS_MAX: Final = 4096
_WHERE: Final = "PKCS#11 URI"
_TOKEN_ATTRIBUTES: Final = ("token", "serial", "manufacturer", "model")
_KEY_ATTRIBUTES: Final = ("object", "id")
_PATH_ATTRIBUTES: Final = frozenset((*_TOKEN_ATTRIBUTES, *_KEY_ATTRIBUTES, "type"))
_QUERY_ATTRIBUTES: Final = frozenset(("module-path", "pin-source"))
# Section 2.3: pk11-pchar and pk11-qchar.
_ESCAPED: Final = r"[A-Za-z0-9._~:\[\]@!$'()*+,=%s-]|%%[0-9A-Fa-f]{2}"
_PATH_VALUE: Final = re.compile(rf"(?:{_ESCAPED % '&'})+")
_QUERY_VALUE: Final = re.compile(rf"(?:{_ESCAPED % '/?|'})+")
_PIECE: Final = re.compile(r"%([0-9A-Fa-f]{2})|([^%])")
_ABSOLUTE: Final = re.compile(r"/|[A-Za-z]:[\\/]")
_FILE: Final = re.compile(r"file:(?://)?/(?!/)")
_VARIABLE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUri:
    """Which key of which token, behind which driver, opened by the PIN from where.

    `pin_source` is `env:NAME` or an absolute path. What is None may be anything.
    """

    module_path: str
    pin_source: str
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    object: str | None = None
    id: bytes | None = None

    def describe_token(self) -> str:
        """Return the attributes that choose the token, for messages."""
        return self._describe(_TOKEN_ATTRIBUTES)

    def describe_key(self) -> str:
        """Return the attributes that choose the key in its token, for messages."""
        return self._describe(_KEY_ATTRIBUTES)

    def _describe(self, names: tuple[str, ...]) -> str:
        given = [(name, getattr(self, name)) for name in names]
        texts = [
            f"{name}={value.hex() if isinstance(value, bytes) else value}"
            for name, value in given
            if value is not None
        ]
        return ";".join(texts)


def parse_token_uri(text: str) -> TokenUri:
    """Return what the PKCS#11 URI `text` names; raises `ParseError`, which quotes no value."""
    if not text.startswith(SCHEME):
        raise ParseError(_WHERE, f"does not start with {SCHEME}")
    if len(text) > TOKEN_URI_CHARACTERS_MAX:
        raise ParseError(_WHERE, f"is longer than {TOKEN_URI_CHARACTERS_MAX} characters")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    named = _parse_attributes(path, ";", _PATH_VALUE, _PATH_ATTRIBUTES)
    asked = _parse_attributes(query, "&", _QUERY_VALUE, _QUERY_ATTRIBUTES)
    for sort in (_TOKEN_ATTRIBUTES, _KEY_ATTRIBUTES):
        if not named.keys() & set(sort):
            raise ParseError(_WHERE, f"has none of {', '.join(sort)}; give one at least")
    identity = named.pop("id", None)
    texts = {name: _as_text(name, value) for name, value in (named | asked).items()}
    if texts.pop("type", "private") != "private":
        raise ParseError(_WHERE, "has a type other than private: only that key signs")
    chosen = {name: texts.get(name) for name in (*_TOKEN_ATTRIBUTES, "object")}
    return TokenUri(
        module_path=_parse_module_path(texts.get("module-path")),
        pin_source=_parse_pin_source(texts.get("pin-source")),
        id=identity,
        **chosen,
    )


def _parse_attributes(
    text: str, separator: str, value: re.Pattern[str], known: frozenset[str]
) -> dict[str, bytes]:
    """Return the attributes of one half of the URI, their values without escapes."""
    found: dict[str, bytes] = {}
    for number, piece in enumerate(text.split(separator) if text else [], 1):
        name, _, escaped = piece.partition("=")
        if name == "pin-value":
            raise ParseError(_WHERE, "has a pin-value, which others can see: use pin-source")
        if name not in known:
            # Unnamed, for it might be a PIN.
            choice = ", ".join(sorted(known))
            raise ParseError(_WHERE, f"has as {separator}-attribute {number} none of {choice}")
        if name in found:
            raise ParseError(_WHERE, f"has the attribute {name} twice")
        if not value.fullmatch(escaped):
            raise ParseError(_WHERE, f"has a {name} that is empty or not escaped as %XX")
        found[name] = b"".join(
            bytes.fromhex(octet) if octet else character.encode()
            for octet, character in _PIECE.findall(escaped)
        )
    return found


def _as_text(name: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise ParseError(_WHERE, f"has a {name} that is no UTF-8") from None
    if not text.isprintable():
        raise ParseError(_WHERE, f"has a {name} with characters that nobody can see")
    return text


def _parse_module_path(text: str | None) -> str:
    if text is None:
        raise ParseError(_WHERE, "has no module-path, the path of the token's driver")
    if not _ABSOLUTE.match(text):
        raise ParseError(_WHERE, "has a module-path that is not absolute")
    return text


def _parse_pin_source(text: str | None) -> str:
    if text is None:
        raise ParseError(_WHERE, "has no pin-source; give env:NAME or the path of a file")
    path = _FILE.sub("/", text)
    if _VARIABLE.fullmatch(text) or _ABSOLUTE.match(path):
        return path
    raise ParseError(_WHERE, "has a pin-source that is neither env:NAME nor an absolute path")
