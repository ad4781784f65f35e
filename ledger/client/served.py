"""Fetches the files of a log from a server of static files, whatever that server does.

A server may send too much, or so slowly that nobody lives to see the end: of each file so many
bytes are taken at most, and so many seconds are waited. What it packs is not unpacked.
"""

import time

import urllib3

from ledger.client.http import CONNECT_SECONDS_MAX, READ_SECONDS_MAX, parse_ledger_url
from ledger.client.reading import UnreadableError
from ledger.client.tilelog import FETCHES_AHEAD, TileLog

FILE_SECONDS_MAX = 120.0
_NOT_FOUND = 404
_OK = 200
_READ_BYTES = 65536


def open_url(url: str, *, file_seconds: float = FILE_SECONDS_MAX) -> TileLog:
    """Open the log that is served at `url`, http or https, or raise `UnreadableError`.

    So many seconds are waited for each file, however slowly it comes.
    """
    base = parse_ledger_url(url)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(
            connect=CONNECT_SECONDS_MAX, read=min(READ_SECONDS_MAX, file_seconds)
        ),
        retries=urllib3.Retry(2, redirect=0, backoff_factor=0.2),
        maxsize=FETCHES_AHEAD,
    )

    def fetch(path: str, most: int) -> bytes | None:
        deadline = time.monotonic() + file_seconds
        try:
            answer = pool.request(
                "GET",
                f"{base}/{path}",
                headers={"Accept-Encoding": "identity"},
                preload_content=False,
                decode_content=False,
            )
            try:
                data = read_within(answer, most, deadline)
            finally:
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreadableError(f"{base}/{path}", str(error)) from error
        if answer.status == _NOT_FOUND:
            return None
        if answer.status != _OK:
            raise UnreadableError(f"{base}/{path}", f"HTTP status {answer.status}")
        if data is None:
            raise UnreadableError(f"{base}/{path}", f"took longer than {file_seconds:g} s")
        return data

    return TileLog(fetch, name=base)


def read_within(answer: urllib3.BaseHTTPResponse, most: int, deadline: float) -> bytes | None:
    """Return the body, `most` bytes and a few at most; None if it takes too long."""
    data = bytearray()
    while len(data) <= most:
        # What there is, not a whole buffer: a drop now and then must not pass for progress.
        chunk = answer.read1(_READ_BYTES, decode_content=False)
        if not chunk:
            break
        data += chunk
        if time.monotonic() > deadline:
            answer.close()
            return None
    return bytes(data)
