"""How one talks to a ledger's server: the paths, the problems, when to come again.

    POST /statements                  submissions in, one result each, in order
    GET  /checkpoint                  the newest signed note
    GET  /log/proof/{index}           the receipt of an entry
    GET  /status                      sizes of the log and of its index
    GET  /provenance/{epc}?at=&known_at=

Three things can happen to a request. The ledger takes it; the ledger refuses it for
good, which only a problem document (RFC 9457) of its own with a 4xx status can say; or
nobody can tell yet, which is everything else: no connection, a time-out, a 5xx, a proxy's
error page, an answer that is no JSON. A caller parks what was refused and sends
the rest again: a statement is known by its id, so sending it twice adds nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import urllib3

from ledger.cose import encode_cbor
from ledger.errors import ParseError, TagtrailError

SUBMISSIONS_TYPE = "application/vnd.tagtrail.submissions+cbor"
SUBMISSIONS_MAX = 256
BATCH_BYTES_MAX = 4 * 1024 * 1024
ANSWER_BYTES_MAX = 64 * 1024 * 1024
ANSWER_SECONDS_MAX = 60.0
CONNECT_SECONDS_MAX = 5.0
READ_SECONDS_MAX = 60.0
RETRY_AFTER_SECONDS = 1.0
RETRY_AFTER_SECONDS_MAX = 3600.0
PROBLEM_BASE = "https://tagtrail.dev/problems/"
NOT_YET = "not-yet"

_OK = (200, 201)
_LATER = (408, 425, 429)
_TOO_LARGE = 413
_READ_BYTES = 65_536


class LedgerUnavailableError(TagtrailError):
    """Nobody can say yet whether the ledger took it: send the same again later.

    `retry_after` is in seconds, from the server's `Retry-After` where it gave one. With
    `is_not_yet` the ledger is there, and what was asked for will be. With `is_too_large` the
    request may pass in smaller pieces.
    """

    def __init__(
        self,
        why: str,
        *,
        retry_after: float = RETRY_AFTER_SECONDS,
        is_not_yet: bool = False,
        is_too_large: bool = False,
    ) -> None:
        super().__init__(f"the ledger is not available: {why}")
        self.why = why
        self.retry_after = retry_after
        self.is_not_yet = is_not_yet
        self.is_too_large = is_too_large


class LedgerRefusedError(TagtrailError):
    """The ledger refused for good; sending the same bytes again changes nothing.

    `problem` is the slug of the RFC 9457 type, `check` the first rule that
    failed (`ledger.errors.RefusedError`) or None, `detail` the sentence for people.
    """

    def __init__(self, *, status: int, problem: str, check: str | None, detail: str) -> None:
        super().__init__(f"the ledger refused ({check or problem}): {detail}")
        self.status = status
        self.problem = problem
        self.check = check
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A statement that is in the log; `known` if it was there before this request."""

    index: int
    statement_id: bytes
    known: bool


Result = Accepted | LedgerRefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStatus:
    """Where a server stands: entries in the log, in the index, under a checkpoint."""

    origin: str
    size: int
    indexed: int
    checkpoint_size: int


class CaptureClient:
    """A connection pool to one ledger; threads may share it. Close it, or use `with`."""

    def __init__(
        self,
        url: str,
        *,
        read_seconds: float = READ_SECONDS_MAX,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare for the server at `url` (http or https); connects at the first request.

        `before` is called before each of the requests that one call may need.
        """
        self.url = parse_ledger_url(url)
        self._before = before
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=read_seconds),
            retries=False,
            maxsize=4,
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
        """Give the connections back."""
        self._pool.clear()

    def submit(self, submissions: Sequence[bytes]) -> list[Result]:
        """Send encoded submissions in order and return what became of each, in order.

        Any number may be given; they travel in batches of at most `SUBMISSIONS_MAX`
        and about `BATCH_BYTES_MAX` bytes. Raises `LedgerUnavailableError` if the fate of
        any is unknown; the whole may then be sent again.
        """
        results: list[Result] = []
        waiting = list(reversed(list(_batches(submissions))))
        while waiting:
            batch = waiting.pop()
            try:
                results.extend(self._submit_batch(batch))
            except LedgerRefusedError as error:
                if len(batch) == 1:
                    results.append(error)
                    continue
                # The request as a whole was refused: halve it to find whose fault it is.
                waiting += _halves(batch)
            except LedgerUnavailableError as error:
                # A proxy before the ledger may take less at once than the ledger does.
                if not error.is_too_large or len(batch) == 1:
                    raise
                waiting += _halves(batch)
        return results

    def fetch_checkpoint(self) -> bytes:
        """Return the newest signed note as the server has it; not verified."""
        return self._get("/checkpoint")

    def fetch_proof(self, index: int) -> bytes:
        """Return the tlog-proof of the entry at `index`, not verified: see `client.receipt`.

        Raises `LedgerUnavailableError` while no checkpoint covers the entry.
        """
        return self._get_once_covered(f"/log/proof/{index}")

    def fetch_cose_receipt(self, index: int) -> bytes:
        """Return the COSE receipt of the entry at `index`, not verified.

        Raises `LedgerUnavailableError` while no checkpoint covers the entry.
        """
        return self._get_once_covered(f"/log/receipt/{index}")

    def _get_once_covered(self, path: str) -> bytes:
        try:
            return self._get(path)
        except LedgerRefusedError as error:
            if error.problem == NOT_YET:
                raise LedgerUnavailableError(error.detail, is_not_yet=True) from error
            raise

    def status(self) -> LedgerStatus:
        """Return how far the server is, as it says itself."""
        answer = _json_object(self._get("/status"))
        try:
            return msgspec.convert(answer, LedgerStatus, strict=True)
        except msgspec.ValidationError as error:
            raise LedgerUnavailableError(f"/status is not as agreed: {error}") from error

    def provenance(
        self,
        epc: str,
        *,
        at: str | None = None,
        known_at: str | None = None,
        direction: str | None = None,
    ) -> dict[str, object]:
        """Return the provenance answer for `epc`, any spelling of it.

        Raises `LedgerRefusedError` if the server does not know it (status 404) or cannot read
        it (status 400).
        """
        asked = {"at": at, "known_at": known_at, "direction": direction}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        path = f"/provenance/{quote(epc, safe='')}"
        return _json_object(self._get(f"{path}?{query}" if query else path))

    def recall(self, body: Mapping[str, object]) -> Iterator[dict[str, object]]:
        """Yield the rows of a recall as they come; `body` as docs/reference/http.md says.

        Raises `LedgerRefusedError` if the server cannot read it, `LedgerUnavailableError`
        if the answer breaks off before its summary.
        """
        url, row = self.url + "/recall", b""
        try:
            answer = self._pool.request(
                "POST", url, body=msgspec.json.encode(body), preload_content=False
            )
            if answer.status not in _OK:
                retry = answer.headers.get("Retry-After")
                raise _failure(answer.status, _read_bounded(answer), retry)
            kept = b""
            for chunk in answer.stream(65536, decode_content=True):
                *rows, kept = (kept + chunk).split(b"\n")
                for row in rows:
                    yield _json_object(row)
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise LedgerUnavailableError(f"POST {url}: {error}") from error
        if _json_object(row or b"{}").get("kind") != "summary":
            raise LedgerUnavailableError(f"POST {url}: its answer breaks off")

    def _submit_batch(self, batch: Sequence[bytes]) -> list[Result]:
        body = encode_cbor(list(batch))
        data = self._request("POST", "/statements", body, {"Content-Type": SUBMISSIONS_TYPE})
        items = _json_object(data).get("results")
        if not isinstance(items, list) or len(items) != len(batch):
            raise LedgerUnavailableError("its answer does not hold one result per submission")
        return [_result(item) for item in items]

    def _get(self, path: str) -> bytes:
        return self._request("GET", path, None, {})

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        url = self.url + path
        self._before()
        try:
            answer = self._pool.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            )
            data = _read_bounded(answer)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise LedgerUnavailableError(f"{method} {url}: {error}") from error
        if answer.status in _OK:
            return data
        raise _failure(answer.status, data, answer.headers.get("Retry-After"))


def parse_ledger_url(text: str) -> str:
    """Return `text` without its last slash, or raise `ParseError` if it is no http(s) URL."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # Reading it is what checks it.
    except ValueError:
        raise ParseError("ledger URL", "has no number as its port, or no host") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ParseError("ledger URL", "is not http://host[:port] or https://host[:port]")
    if parts.query or parts.fragment or parts.username is not None:
        raise ParseError("ledger URL", "has a query, a fragment or a user in it")
    return text.rstrip("/")


def _read_bounded(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Return the body, which has so many bytes and takes so many seconds at most."""
    data = bytearray()
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    try:
        # What there is, not a whole buffer: a byte now and then must not pass for progress.
        while chunk := answer.read1(_READ_BYTES, decode_content=True):
            data += chunk
            if len(data) > ANSWER_BYTES_MAX:
                answer.close()
                raise LedgerUnavailableError(f"its answer is over {ANSWER_BYTES_MAX} bytes")
            if time.monotonic() > deadline:
                answer.close()
                raise LedgerUnavailableError(f"its answer took over {ANSWER_SECONDS_MAX:g} s")
    finally:
        answer.release_conn()
    return bytes(data)


def _halves(batch: list[bytes]) -> list[list[bytes]]:
    """Return both halves of a batch, the first one last."""
    middle = len(batch) // 2
    return [batch[middle:], batch[:middle]]


def _batches(submissions: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    held = 0
    for submission in submissions:
        if batch and (
            len(batch) == SUBMISSIONS_MAX or held + len(submission) > BATCH_BYTES_MAX
        ):
            yield batch
            batch, held = [], 0
        batch.append(submission)
        held += len(submission)
    if batch:
        yield batch


def _result(item: object) -> Result:
    if not isinstance(item, dict):
        raise LedgerUnavailableError("a result in its answer is no object")
    if "problem" in item:
        return _refusal_of_item(item["problem"])
    index, statement_id, known = (item.get(k) for k in ("index", "statement_id", "known"))
    if not (
        isinstance(index, int) and isinstance(statement_id, str) and isinstance(known, bool)
    ):
        raise LedgerUnavailableError("a result in its answer is not as agreed")
    try:
        return Accepted(index=index, statement_id=bytes.fromhex(statement_id), known=known)
    except ValueError as error:
        raise LedgerUnavailableError("a statement id in its answer is not hex") from error


def _refusal_of_item(problem: object) -> LedgerRefusedError:
    status = problem.get("status") if isinstance(problem, dict) else None
    refused = _refusal(status if isinstance(status, int) else 400, problem)
    if refused is None:
        raise LedgerUnavailableError(f"it could not take one of them: {problem!r:.300}")
    return refused


def _failure(status: int, data: bytes, retry_after: str | None) -> TagtrailError:
    try:
        problem: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = None
    detail = problem.get("detail", "") if isinstance(problem, dict) else ""
    is_too_large = status == _TOO_LARGE
    if is_too_large and not detail:
        detail = "from something before the ledger that takes less at once; raise its limit"
    return _refusal(status, problem) or LedgerUnavailableError(
        f"HTTP status {status} {detail}".rstrip(),
        retry_after=_seconds(retry_after),
        is_too_large=is_too_large,
    )


def _refusal(status: int, problem: object) -> LedgerRefusedError | None:
    """Return the refusal that `problem` is, or None if it is not the ledger's final word."""
    kind = problem.get("type") if isinstance(problem, dict) else None
    final = 400 <= status < 500 and status not in _LATER  # noqa: PLR2004
    if not (isinstance(problem, dict) and final and isinstance(kind, str)):
        return None
    if not kind.startswith(PROBLEM_BASE):
        return None
    check = problem.get("check")
    return LedgerRefusedError(
        status=status,
        problem=kind.removeprefix(PROBLEM_BASE),
        check=check if isinstance(check, str) else None,
        detail=str(problem.get("detail") or problem.get("title") or kind),
    )


def _seconds(retry_after: str | None) -> float:
    """Return `Retry-After` in seconds (RFC 9110 section 10.2.3, number form only)."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return RETRY_AFTER_SECONDS
    return min(float(retry_after), RETRY_AFTER_SECONDS_MAX)


def _json_object(data: bytes) -> dict[str, object]:
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerUnavailableError(f"its answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise LedgerUnavailableError("its answer is not a JSON object")
    return value
