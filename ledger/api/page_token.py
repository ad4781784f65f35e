"""The opaque token of a next page: where a walk goes on, bound to what was asked.

base64url of: version, first row id that was not there, event time and row id of the last event
looked at, events given so far, and eight bytes of a hash over the question. It holds no secret
and grants nothing: a forged one at most skips or repeats events of the same question. A token
of another question is refused, as is one that was released.
"""

import struct
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import sha256

from ledger.errors import ParseError
from ledger.store.query_reader import Position

_LAYOUT = struct.Struct(">BqqqQ8s")
_VERSION = 1
_WHERE = "nextPageToken"
RELEASED_MAX = 10_000
TOKEN_CHARS_MAX = 128


def digest_question(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return what binds a token to a question: its path and parameters in any order."""
    text = "".join(f"{len(name)} {len(value)} {name}{value}" for name, value in sorted(pairs))
    return sha256(text.encode(errors="surrogatepass")).digest()[:8]


def format_token(position: Position, digest: bytes) -> str:
    """Return the token of the page at `position`."""
    time_us, eid = position.after
    data = _LAYOUT.pack(_VERSION, position.below, time_us, eid, position.taken, digest)
    return urlsafe_b64encode(data).decode().rstrip("=")


def parse_token(text: str, digest: bytes) -> Position:
    """Return the position that a token of the question with `digest` says."""
    position, found = _parse(text)
    if found != digest:
        raise ParseError(_WHERE, "belongs to another query: follow the link as it is")
    return position


def check_token(text: str) -> None:
    """Raise `ParseError` unless `text` is a token of some question."""
    _parse(text)


def _parse(text: str) -> tuple[Position, bytes]:
    why = "is no token of this server; follow the link of the page before"
    try:
        data = urlsafe_b64decode(text[:TOKEN_CHARS_MAX].encode("ascii") + b"==")
        version, below, time_us, eid, taken, digest = _LAYOUT.unpack(data)
    except (ValueError, struct.error):
        raise ParseError(_WHERE, why) from None
    position = Position(below, (time_us, eid), taken)
    if version != _VERSION or format_token(position, digest) != text:
        raise ParseError(_WHERE, why)
    return position, digest


class ReleasedTokens:
    """Tokens that a client gave back; the newest `RELEASED_MAX` are remembered."""

    def __init__(self) -> None:
        """Start with none."""
        self._released: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def release(self, token: str) -> None:
        """Refuse `token` from now on."""
        with self._lock:
            self._released[token] = None
            if len(self._released) > RELEASED_MAX:
                self._released.popitem(last=False)

    def refuse_released(self, token: str) -> None:
        """Raise `ParseError` where `token` was released."""
        if token in self._released:
            raise ParseError(_WHERE, "was released; ask for the first page again")
