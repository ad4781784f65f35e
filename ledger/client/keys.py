"""What a ledger's server says of its keys, and of its own clock: GET /keys.

It is what the server says; the proof of it is in the log (`tagtrail verify`). For who wants to
know before it signs whether its key may.
"""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import msgspec
import urllib3

from ledger.client.http import CONNECT_SECONDS_MAX, LedgerUnavailableError, parse_ledger_url
from ledger.client.served import read_within

ANSWER_BYTES_MAX = 64 * 1024 * 1024
_OK = 200
_US = 1_000_000


class LedgerKey(msgspec.Struct, frozen=True):
    """One key as the server describes it; byte strings are in hex."""

    kid: str
    iss: str
    role: str
    epoch: int
    next_seq: int
    suspended: bool
    ended_at: int | None = None
    grade_max: int = 0
    heartbeat_s: int = 0

    @property
    def is_valid(self) -> bool:
        """Whether it may sign: it is neither ended nor suspended."""
        return self.ended_at is None and not self.suspended


class _Keys(msgspec.Struct):
    keys: list[LedgerKey]


@dataclass(frozen=True, slots=True)
class KeysAnswer:
    """All keys by kid, and the server's clock in µs since 1970, None where it says none."""

    keys: dict[str, LedgerKey]
    clock_us: int | None


def fetch_keys(url: str, *, seconds: float) -> KeysAnswer:
    """Return what the server at `url` says within so many seconds.

    Raises `LedgerUnavailableError` where it says nothing that can be read.
    """
    where = f"{parse_ledger_url(url)}/keys"
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=seconds)
    deadline = time.monotonic() + seconds
    with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
        try:
            answer = pool.request("GET", where, redirect=False, preload_content=False)
            data = read_within(answer, ANSWER_BYTES_MAX, deadline)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise LedgerUnavailableError(f"GET {where}: {error}") from error
    if answer.status != _OK or data is None:
        raise LedgerUnavailableError(f"GET {where}: HTTP status {answer.status}")
    try:
        found = msgspec.json.decode(data, type=_Keys)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerUnavailableError(f"GET {where}: not as agreed: {error}") from error
    return KeysAnswer({one.kid: one for one in found.keys}, _clock(answer.headers.get("Date")))


def _clock(text: str | None) -> int | None:
    """Return the instant of a Date header (RFC 9110 section 6.6.1), which has whole seconds."""
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp() * _US) + _US // 2
    except (ValueError, TypeError):
        return None
