"""Where a broker is, and by what name one meets it.

    mqtt://[user[:password]@]host[:1883]      mqtts://… over TLS, port 8883

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ledger.errors import ParseError

CLIENT_ID_CHARS_MAX = 128
_PORT, _TLS_PORT = 1883, 8883


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """Where a broker is; the password shows in no message."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def parse_broker_url(text: str) -> BrokerUrl:
    """Return where the broker is, or raise `ParseError`."""
    where = "broker URL"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Not what it says: it would show a part of the password.
        why = "has no number as its port; what is not plain in a password is written as %2F"
        raise ParseError(where, f"{why}, or it is in password_file") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ParseError(where, "is not mqtt://host[:port] or mqtts://host[:port]")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ParseError(where, "has something after the port; topics are in the plan")
    tls = parts.scheme == "mqtts"
    return BrokerUrl(
        host=parts.hostname,
        port=port or (_TLS_PORT if tls else _PORT),
        tls=tls,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def check_client_id(text: str) -> str:
    """Return `text` if a broker can take it as a client id, or raise `ParseError`."""
    if not 0 < len(text) <= CLIENT_ID_CHARS_MAX or not text.isprintable() or " " in text:
        raise ParseError("client id", f"want 1 to {CLIENT_ID_CHARS_MAX} characters, no blanks")
    return text
