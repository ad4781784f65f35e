"""EPCIS 2.0 capture: documents in, jobs out.

    POST    /capture                     202, Location: /capture/{id}
    GET     /capture?perPage=&nextPageToken=   the newest jobs first
    GET     /capture/{id}                one job
    OPTIONS /capture                     the limits

Content types are those of `ledger.epcis.received`. The header GS1-Capture-Error-Behaviour is
`rollback` (also without it) or `proceed`; `Prefer: handling=strict` (RFC 7240) makes a fault of
each remark, and the answer says Preference-Applied. 202 means that the document is durable and
will be captured, whatever happens to the server; 400, 413 and 415 that nothing was taken.
"""

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.api.body import read_body
from ledger.api.epcis import CAPABILITIES, add_options, check_request
from ledger.api.problems import (
    MALFORMED,
    MEDIA_TYPE,
    NO_CAPTURE,
    NOT_FOUND,
    TOO_LARGE,
    ProblemError,
)
from ledger.api.served import served
from ledger.capture.handling import Handling, parse_handling
from ledger.capture.reception import Reception
from ledger.epcis.received import DOCUMENT_BYTES_MAX, EVENTS_MAX, MEDIA_TYPES, LimitError
from ledger.epcis.times import format_time
from ledger.errors import ParseError
from ledger.store.capture_jobs import Job

BEHAVIOUR_HEADER = "GS1-Capture-Error-Behaviour"
EPCIS_HEADERS = {
    "GS1-EPCIS-Version": "2.0.0",
    "GS1-EPCIS-Min": "1.2.0",
    "GS1-EPCIS-Max": "2.0.0",
    "GS1-CBV-Version": "2.0.0",
    "GS1-EPCIS-Capture-Limit": str(EVENTS_MAX),
    "GS1-EPCIS-Capture-File-Size-Limit": str(DOCUMENT_BYTES_MAX),
}
JOBS_A_PAGE = 30
JOBS_A_PAGE_MAX = 1000

router = APIRouter()


@router.options("/capture", response_model=None)
async def get_options(request: Request) -> Response:
    """Return the limits and versions."""
    check_request(request)
    allow = {"Allow": "OPTIONS, GET, POST", BEHAVIOUR_HEADER: "rollback"}
    return Response(status_code=204, headers=CAPABILITIES | EPCIS_HEADERS | allow)


async def _want_job(request: Request) -> None:
    capture_id = request.path_params["capture_id"]
    if await run_in_threadpool(reception_of(request).find_job, capture_id) is None:
        raise ProblemError(NOT_FOUND, f"there is no capture job {capture_id[:80]!r}")


add_options(router, "/capture/{capture_id}", "GET", _want_job)


@router.post("/capture", response_model=None)
async def post_capture(request: Request) -> Response:
    """Take a document; see the module."""
    reception = reception_of(request)
    media = media_type(request)
    handling = _read_handling(request)
    body = await read_body(request, DOCUMENT_BYTES_MAX)
    try:
        capture_id, _ = await run_in_threadpool(reception.accept, body, media, handling)
    except LimitError as error:
        raise ProblemError(TOO_LARGE, str(error)) from error
    headers = {"Location": f"/capture/{capture_id}", BEHAVIOUR_HEADER: handling.behaviour}
    answer = msgspec.json.encode({"captureID": capture_id})
    return _json(answer, 202, headers | applied(handling.strict))


@router.get("/capture", response_model=None)
async def get_captures(request: Request) -> Response:
    """Return the jobs, the newest first, a page at a time."""
    reception = reception_of(request)
    count = min(_number(request, "perPage") or JOBS_A_PAGE, JOBS_A_PAGE_MAX)
    before = _number(request, "nextPageToken")
    jobs = await run_in_threadpool(reception.jobs.load_newest, count, before)
    headers = {}
    if len(jobs) == count:
        link = f"/capture?perPage={count}&nextPageToken={jobs[-1].number}"
        headers["Link"] = f'<{link}>; rel="next"'
    return _json(msgspec.json.encode([describe_job(job) for job in jobs]), 200, headers)


@router.get("/capture/{capture_id}", response_model=None)
async def get_capture(request: Request, capture_id: str) -> Response:
    """Return one job."""
    job = await run_in_threadpool(reception_of(request).find_job, capture_id)
    if job is None:
        raise ProblemError(NOT_FOUND, f"there is no capture job {capture_id[:80]!r}")
    headers: dict[str, str] = {BEHAVIOUR_HEADER: parse_handling(job.behaviour).behaviour}
    return _json(msgspec.json.encode(describe_job(job)), 200, headers)


def describe_job(job: Job) -> dict[str, object]:
    """Return a job as EPCIS 2.0 describes it, and more."""
    running = job.outcome is None
    handling = parse_handling(job.behaviour)
    described: dict[str, object] = {
        "captureID": job.capture_id,
        "createdAt": format_time(job.created_us),
        "running": running,
        "success": True,
        "captureErrorBehaviour": handling.behaviour,
        "strict": handling.strict,
        "errors": [],
    }
    if job.finished_us is not None:
        described["finishedAt"] = format_time(job.finished_us)
    if job.outcome is not None:
        described.update(msgspec.json.decode(job.outcome))
    return described


def _read_handling(request: Request) -> Handling:
    text = request.headers.get(BEHAVIOUR_HEADER, "rollback").strip().lower()
    try:
        return Handling(parse_handling(text).behaviour, is_strict(request))
    except ParseError as error:
        raise ProblemError(MALFORMED, f"{BEHAVIOUR_HEADER} {error.why}") from error


def is_strict(request: Request) -> bool:
    """Say whether the sender prefers that remarks count as faults (RFC 7240, section 4.4)."""
    preferred = ",".join(request.headers.getlist("prefer")).replace(" ", "").lower()
    return any(one.split(";")[0] == "handling=strict" for one in preferred.split(","))


def applied(strict: bool) -> dict[str, str]:  # noqa: FBT001 - what the header says
    """Return the header that tells which preference was heeded."""
    return {"Preference-Applied": "handling=strict"} if strict else {}


def reception_of(request: Request) -> Reception:
    """Return what captures documents, or end the request."""
    reception = served(request).capture
    if reception is None:
        raise ProblemError(
            NO_CAPTURE,
            "make one with: tagtrail keys make DIR/keys/capture.key --iss URI --role capture, "
            "enrol it, and start the server again; or sign yourself and POST /statements",
        )
    return reception


def media_type(request: Request) -> str:
    """Return the content type of a document, or end the request."""
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media not in MEDIA_TYPES:
        raise ProblemError(MEDIA_TYPE, f"{media!r} is not one of {', '.join(MEDIA_TYPES)}")
    return media


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= len("1000000000000000")):
        raise ProblemError(MALFORMED, f"{name} is {text[:40]!r}, no number")
    return max(int(text), 1)


def _json(body: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(
        body, status, headers=EPCIS_HEADERS | headers, media_type="application/json"
    )
