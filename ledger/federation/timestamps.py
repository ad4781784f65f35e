"""Timestamps of checkpoints by an outside authority (RFC 3161).

    DIR/timestamps/<size>.note     the signed checkpoint, as it was sent
    DIR/timestamps/<size>.tsr      the authority's answer: a TimeStampResp

The token is over SHA-256 of the note's bytes. It shows that the log was signed, at that size,
no later than the authority says: so an operator cannot make up a year of history in a day.
What the authority signed is verified before it is kept, against the root certificate that
the operator names; `openssl ts -verify` judges the same two files.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import urllib3
from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client import VerificationError as TokenError

from ledger.client.exchange import Bounds, UnansweredError, exchange
from ledger.client.http import parse_ledger_url
from ledger.errors import ParseError, TagtrailError, VerificationError
from ledger.tlog.checkpoint import parse_signed_checkpoint

FOLDER_NAME = "timestamps"
ANSWER_BYTES_MAX = 256 * 1024
CONNECT_SECONDS_MAX = 5.0
READ_SECONDS_MAX = 30.0
CERTIFICATES_BYTES_MAX = 1_000_000
EVERY_S = 86_400.0
AGAIN_S = 300.0
STOP_WAIT_S = 5.0
_OK = 200
_QUERY_TYPE = "application/timestamp-query"

_log = logging.getLogger("tagtrail.timestamps")


class AuthorityError(TagtrailError):
    """An authority that does not answer, or refuses: ask again later."""


def load_roots(path: Path) -> list[Certificate]:
    """Return the certificates in the PEM file `path`, one at least, or raise `ParseError`."""
    try:
        data = path.read_bytes()
        if len(data) > CERTIFICATES_BYTES_MAX:
            raise ParseError(str(path), f"is longer than {CERTIFICATES_BYTES_MAX} bytes")
        return load_pem_x509_certificates(data)
    except ValueError as error:
        raise ParseError(str(path), f"holds no PEM certificates: {error}") from error


def stamp_checkpoint(
    folder: Path, note: bytes, authority: str, roots: Sequence[Certificate]
) -> datetime:
    """Have `note` timestamped by the authority at this URL; keep both; return the time.

    Raises `AuthorityError`, or `VerificationError` where the token does not hold.
    """
    size = parse_signed_checkpoint(note).checkpoint.size
    request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = _ask(authority, request.as_bytes())
    when = verify_timestamp(answer, note, roots, request=request)
    kept = folder / FOLDER_NAME
    kept.mkdir(exist_ok=True)
    for suffix, data in (("note", note), ("tsr", answer)):
        draft = kept / f"{size}.{suffix}.new"
        draft.write_bytes(data)
        draft.rename(kept / f"{size}.{suffix}")
    return when


def verify_timestamp(
    answer: bytes,
    note: bytes,
    roots: Sequence[Certificate],
    *,
    request: TimeStampRequest | None = None,
) -> datetime:
    """Return when the authority saw `note`, or raise.

    Raises `ParseError` where `answer` is no TimeStampResp, `VerificationError` where it is of
    something else, its signature or certificates do not hold, or its nonce is not that of
    `request`.
    """
    response = _decode(answer)
    builder = VerifierBuilder() if request is None else VerifierBuilder.from_request(request)
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        builder.build().verify_message(response, note)
    except (TokenError, ValueError) as error:
        raise VerificationError(f"the timestamp does not hold: {error}") from error
    when: datetime = response.tst_info.gen_time
    return when


def _decode(answer: bytes) -> TimeStampResponse:
    if len(answer) > ANSWER_BYTES_MAX:
        raise ParseError("timestamp", f"is longer than {ANSWER_BYTES_MAX} bytes")
    try:
        return decode_timestamp_response(answer)
    except ValueError as error:
        raise ParseError("timestamp", f"is no TimeStampResp: {error}") from error


def _ask(authority: str, query: bytes) -> bytes:
    url = parse_ledger_url(authority)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=READ_SECONDS_MAX)
    bounds = Bounds(bytes_max=ANSWER_BYTES_MAX, seconds=READ_SECONDS_MAX)
    kind = {"Content-Type": _QUERY_TYPE}
    with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
        try:
            status, data = exchange(pool, "POST", url, bounds=bounds, body=query, headers=kind)
        except UnansweredError as error:
            raise AuthorityError(str(error)) from error
    if status != _OK:
        raise AuthorityError(f"{url}: HTTP status {status}")
    return data


class Stamper:
    """Has the newest checkpoint dated at the start and once a day, on a thread of its own."""

    def __init__(
        self,
        folder: Path,
        newest: Callable[[], tuple[int, bytes] | None],
        authority: str,
        roots: Sequence[Certificate],
        *,
        every_s: float = EVERY_S,
        again_s: float = AGAIN_S,
    ) -> None:
        """Start; `newest` returns the newest checkpoint, None before the first."""
        self._folder, self._authority, self._roots = folder, authority, roots
        self._newest = newest
        self._every_s, self._again_s = every_s, again_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timestamp", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the answer that is awaited."""
        self._stop.set()
        self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._every_s if self._stamp() else self._again_s)

    def _stamp(self) -> bool:
        newest = self._newest()
        if newest is None:
            return False
        try:
            when = stamp_checkpoint(self._folder, newest[1], self._authority, self._roots)
        except (TagtrailError, OSError) as error:
            _log.warning("the checkpoint over %d entries is not dated: %s", newest[0], error)
            return False
        _log.info("the checkpoint over %d entries is dated %s", newest[0], when.isoformat())
        return True
