"""Asks one witness for cosignatures and for what it has cosigned (C2SP tlog-witness).

    POST <url>/add-checkpoint                        → signature lines
    GET  <url>/<sha256 of the origin>/checkpoint     → the newest checkpoint it cosigned

Nothing that comes back is believed here: whoever asks verifies signatures and proofs.
"""

from hashlib import sha256
from types import TracebackType
from typing import Self

import urllib3

from ledger.client.exchange import Bounds, UnansweredError, exchange
from ledger.client.http import parse_ledger_url
from ledger.errors import ParseError, TagtrailError
from ledger.tlog.checkpoint import parse_decimal
from ledger.tlog.note import NOTE_BYTES_MAX
from ledger.tlog.witness import CONFLICT, AddCheckpoint, format_add_checkpoint

CONNECT_SECONDS_MAX = 2.0
READ_SECONDS_MAX = 10.0
_OK = 200
_NOT_FOUND = 404
_WHY_CHARACTERS_MAX = 200
_BOUNDS = Bounds(bytes_max=NOTE_BYTES_MAX, seconds=READ_SECONDS_MAX)


class WitnessUnavailableError(TagtrailError):
    """A witness that does not answer, or not as agreed: ask again later."""


class WitnessRefusedError(TagtrailError):
    """A witness that does not cosign; `status` says why, after tlog-witness."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"the witness refused with status {status}: {why}")
        self.status = status


class WitnessConflictError(TagtrailError):
    """The witness has last cosigned another size than the request said: `size`."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness has cosigned size {size}")
        self.size = size


class WitnessClient:
    """A connection to one witness; close it, or use `with`."""

    def __init__(self, url: str, *, read_seconds: float = READ_SECONDS_MAX) -> None:
        """Prepare for the witness at `url`, both its submission and its monitoring prefix."""
        self.url = parse_ledger_url(url)
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=read_seconds),
            retries=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._pool.clear()

    def add_checkpoint(self, request: AddCheckpoint) -> bytes:
        """Return the signature lines for `request`.

        Raises `WitnessConflictError` where its old size is not the witness's,
        `WitnessRefusedError` for another refusal, `WitnessUnavailableError` otherwise.
        """
        status, data = self._ask("POST", "/add-checkpoint", format_add_checkpoint(request))
        if status == _OK:
            return data
        text = data.decode("utf-8", errors="replace").strip()
        if status == CONFLICT:
            try:
                raise WitnessConflictError(parse_decimal(text, "size"))
            except ParseError as error:
                raise WitnessUnavailableError(
                    f"{self.url}: a conflict without a size"
                ) from error
        if status in range(400, 500):
            raise WitnessRefusedError(status, text[:_WHY_CHARACTERS_MAX])
        raise WitnessUnavailableError(f"{self.url}: HTTP status {status}")

    def fetch_checkpoint(self, origin: str) -> bytes | None:
        """Return the newest note that the witness cosigned of `origin`, or None.

        Raises `WitnessUnavailableError`.
        """
        path = f"/{sha256(origin.encode()).hexdigest()}/checkpoint"
        status, data = self._ask("GET", path, None)
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise WitnessUnavailableError(f"{self.url}{path}: HTTP status {status}")
        return data

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            return exchange(self._pool, method, self.url + path, bounds=_BOUNDS, body=body)
        except UnansweredError as error:
            raise WitnessUnavailableError(str(error)) from error
