"""Fetches the checkpoint and the tiles of another log (C2SP tlog-tiles), and proves growth.

Nothing that comes back is believed: the checkpoint's signature is verified here, and what
the tiles say only counts where it leads to a signed root.
"""

from types import TracebackType
from typing import Self

import urllib3

from ledger.client.exchange import Bounds, UnansweredError, exchange
from ledger.client.http import CONNECT_SECONDS_MAX, READ_SECONDS_MAX, parse_ledger_url
from ledger.errors import TagtrailError
from ledger.tlog.checkpoint import (
    SignedCheckpoint,
    parse_signed_checkpoint,
    verify_signed_checkpoint,
)
from ledger.tlog.cosignature import verifier_for
from ledger.tlog.merkle import TreeSize
from ledger.tlog.note import NOTE_BYTES_MAX, VerifierKey
from ledger.tlog.tiles import TILE_BYTES, TileTree, tile_path

_OK = 200


class ForeignLogError(TagtrailError):
    """Another log that does not answer, or not as C2SP says: ask again later."""


class ForeignLog:
    """A connection to another log; close it, or use `with`."""

    def __init__(self, url: str, key: VerifierKey) -> None:
        """Prepare for the log at `url` whose checkpoints `key` signs."""
        self.url = parse_ledger_url(url)
        self.key = key
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=READ_SECONDS_MAX),
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

    def fetch_checkpoint(self) -> tuple[SignedCheckpoint, bytes]:
        """Return the newest checkpoint, its signature verified, and the bytes of the note.

        Raises `ForeignLogError`, `ParseError`, or `VerificationError` where another key has
        signed it.
        """
        note = self._get("/checkpoint", NOTE_BYTES_MAX)
        signed = parse_signed_checkpoint(note)
        verifiers = [verifier_for(self.key)]
        verify_signed_checkpoint(signed, origin=self.key.name, verifiers=verifiers)
        return signed, note

    def tree(self, size: TreeSize) -> TileTree:
        """Return the log's tree of `size`, read through its tiles."""

        def fetch(level: int, index: int, width: int) -> bytes:
            return self._get(f"/{tile_path(level, index, width)}", TILE_BYTES)

        return TileTree(fetch, size)

    def _get(self, path: str, bytes_max: int) -> bytes:
        bounds = Bounds(bytes_max=bytes_max, seconds=READ_SECONDS_MAX)
        try:
            status, data = exchange(self._pool, "GET", self.url + path, bounds=bounds)
        except UnansweredError as error:
            raise ForeignLogError(str(error)) from error
        if status != _OK:
            raise ForeignLogError(f"{self.url}{path}: HTTP status {status}")
        return data
