"""Problems: what the HTTP API answers when it does not do what was asked (RFC 9457).

    HTTP/1.1 403 Forbidden
    Content-Type: application/problem+json

    {"type": "https://tagtrail.dev/problems/refused", "title": "The log's rules refuse it",
     "status": 403, "detail": "role: a gateway does not say tagtrail/key/v1", "check": "role"}

`type` is stable: programs branch on it, and on `check` where there is one (the first rule
of FORMATS section 2 that failed). `detail` is for people. The types are listed in
`docs/reference/http.md`; a test compares.
"""

from dataclasses import dataclass, field

import msgspec
from starlette.responses import Response

from ledger.errors import ParseError, RefusedError, TagtrailError, VerificationError
from ledger.store.sequencer import BusyError

TYPE_PREFIX = "https://tagtrail.dev/problems/"
CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One documented kind of problem."""

    slug: str
    status: int
    title: str


MALFORMED = ProblemType("malformed", 400, "The request does not parse")
NOT_FOUND = ProblemType("not-found", 404, "There is no such thing here")
METHOD = ProblemType("method-not-allowed", 405, "The resource has no such method")
EQUIVOCATION = ProblemType("equivocation", 409, "The key has signed another statement there")
TOO_LARGE = ProblemType("too-large", 413, "The request is larger than a named limit")
MEDIA_TYPE = ProblemType("unsupported-media-type", 415, "The content type is not taken here")
EVENT = ProblemType("event", 400, "An event breaks a rule")
EVENT_EXISTS = ProblemType("event-exists", 409, "Another event has that eventID already")
NO_CAPTURE = ProblemType("no-capture-key", 501, "The ledger has no key to sign documents with")
REFUSED = ProblemType("refused", 403, "The rules of the log refuse the statement")
NOT_COMMITTED = ProblemType("commitment", 422, "The events are not what the statement signs")
NOT_YET = ProblemType("not-yet", 404, "No checkpoint covers it yet")
BUSY = ProblemType("busy", 503, "The ledger takes no more at the moment")
DEFECT = ProblemType("defect", 500, "The ledger itself is at fault")

PROBLEM_TYPES = (
    MALFORMED,
    NOT_FOUND,
    NOT_YET,
    METHOD,
    EQUIVOCATION,
    EVENT,
    EVENT_EXISTS,
    NO_CAPTURE,
    TOO_LARGE,
    MEDIA_TYPE,
    REFUSED,
    NOT_COMMITTED,
    BUSY,
    DEFECT,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; `members` are the further members of its JSON object."""

    kind: ProblemType
    detail: str
    members: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the members of the JSON object."""
        return {
            "type": TYPE_PREFIX + self.kind.slug,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.members,
        }

    def as_response(self) -> Response:
        """Return the HTTP response."""
        headers = {}
        retry_after = self.members.get("retry_after_s")
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        if self.kind is TOO_LARGE:
            headers["Connection"] = "close"  # The rest of the body is not read.
        return Response(
            msgspec.json.encode(self.as_json()),
            self.kind.status,
            headers=headers,
            media_type=CONTENT_TYPE,
        )


class ProblemError(TagtrailError):
    """Ends a request with a problem."""

    def __init__(self, kind: ProblemType, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.problem = Problem(kind, detail, members)


def describe_error(error: TagtrailError) -> Problem:
    """Return the problem that tells the submitter what was wrong."""
    match error:
        case ProblemError():
            return error.problem
        case BusyError():
            return Problem(BUSY, str(error), {"retry_after_s": error.retry_after_s})
        case ParseError():
            return Problem(MALFORMED, str(error), {"where": error.where})
        case RefusedError():
            kind = EQUIVOCATION if error.check == EQUIVOCATION.slug else REFUSED
            return Problem(kind, str(error), {"check": error.check})
        case VerificationError():
            return Problem(NOT_COMMITTED, str(error), {"check": "commitment"})
        case _:
            return Problem(DEFECT, str(error))
