"""One HTTP request to somebody who need not be friendly: so many bytes, so many seconds.

A server may send too much, or so slowly that nobody lives to see the end. The time-out
of a pool only bounds the pause between two bytes; here the whole answer has a deadline. What is
packed is not unpacked, and no redirect is followed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3

from ledger.client.served import read_within
from ledger.errors import TagtrailError


class UnansweredError(TagtrailError):
    """A server that does not answer, or not within the bounds: ask again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an answer may cost: bytes of its body, and seconds until its end."""

    bytes_max: int
    seconds: float


def exchange(
    pool: urllib3.PoolManager,
    method: str,
    url: str,
    *,
    bounds: Bounds,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Return status and body of the answer, or raise `UnansweredError` naming the URL."""
    deadline = time.monotonic() + bounds.seconds
    try:
        answer = pool.request(
            method,
            url,
            body=body,
            headers={"Accept-Encoding": "identity", **(headers or {})},
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            data = read_within(answer, bounds.bytes_max, deadline)
        finally:
            answer.release_conn()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnansweredError(f"{url}: {error}") from error
    if data is None:
        raise UnansweredError(f"{url}: took longer than {bounds.seconds:g} s")
    if len(data) > bounds.bytes_max:
        raise UnansweredError(f"{url}: is longer than {bounds.bytes_max} bytes")
    return answer.status, data
