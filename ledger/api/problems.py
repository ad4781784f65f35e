"""Problems: what the HTTP API answers when it does not do what was asked (RFC 9457).

    HTTP/1.1 403 Forbidden
    Content-Type: application/problem+json

    {"type": "https://tagtrail.dev/problems/refused", "title": "The log's rules refuse it",
     "status": 403, "detail": "role: a gateway does not say tagtrail/key/v1", "check": "role"}

`type` is stable: programs branch on it, and on `check` where there is one (the first rule
of FORMATS section 2 that failed). `detail` is for people. The types are listed in
`docs/reference/http.md`; a test compares. On the resources of EPCIS 2.0 `type` is the
exception of the standard, such as `epcisException:QueryParameterException`, and `problem` is
the type that it has elsewhere.
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
    exception: str = ""
    """The exception of EPCIS 2.0 that it is, on the resources of that standard."""


MALFORMED = ProblemType("malformed", 400, "The request does not parse", "ValidationException")
NOT_FOUND = ProblemType(
    "not-found", 404, "There is no such thing here", "NoSuchResourceException"
)
METHOD = ProblemType("method-not-allowed", 405, "The resource has no such method")
EQUIVOCATION = ProblemType("equivocation", 409, "The key has signed another statement there")
TOO_LARGE = ProblemType(
    "too-large",
    413,
    "The request is larger than a named limit",
    "CaptureLimitExceededException",
)
MEDIA_TYPE = ProblemType(
    "unsupported-media-type",
    415,
    "The content type is not taken here",
    "UnsupportedMediaTypeException",
)
EVENT = ProblemType("event", 400, "An event breaks a rule", "ValidationException")
EVENT_EXISTS = ProblemType(
    "event-exists",
    409,
    "Another event has that eventID already",
    "ResourceAlreadyExistsException",
)
NO_RECEIPT = ProblemType("no-receipt-key", 501, "The ledger has no key to sign receipts with")
NO_CAPTURE = ProblemType(
    "no-capture-key",
    501,
    "The ledger has no key to sign documents with",
    "ImplementationException",
)
REFUSED = ProblemType("refused", 403, "The rules of the log refuse the statement")
NOT_COMMITTED = ProblemType("commitment", 422, "The events are not what the statement signs")
NOT_YET = ProblemType("not-yet", 404, "No checkpoint covers it yet")
BUSY = ProblemType("busy", 503, "The ledger takes no more at the moment")
DEFECT = ProblemType("defect", 500, "The ledger itself is at fault", "ImplementationException")
QUERY_PARAMETER = ProblemType(
    "query-parameter", 400, "A parameter of the query is wrong", "QueryParameterException"
)
SUBSCRIPTION = ProblemType(
    "subscription", 400, "The subscription cannot be made so", "SubscriptionControlsException"
)
NO_SUCH_RESOURCE = ProblemType(
    "no-such-resource", 404, "No event names it", "NoSuchResourceException"
)
NO_SUCH_NAME = ProblemType(
    "no-such-name", 404, "There is no query or subscription of that name", "NoSuchNameException"
)
NOT_ACCEPTABLE = ProblemType(
    "not-acceptable", 406, "It cannot be answered in that form", "NotAcceptableException"
)
NAME_EXISTS = ProblemType(
    "name-exists", 409, "There is a query of that name", "ResourceAlreadyExistsException"
)
QUERY_TOO_LARGE = ProblemType(
    "query-too-large", 413, "More events match than the query admits", "QueryTooLargeException"
)
URI_TOO_LONG = ProblemType(
    "uri-too-long", 414, "The query in the URL is too long", "URITooLongException"
)

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
    QUERY_PARAMETER,
    SUBSCRIPTION,
    NO_SUCH_RESOURCE,
    NO_SUCH_NAME,
    NOT_ACCEPTABLE,
    NAME_EXISTS,
    QUERY_TOO_LARGE,
    URI_TOO_LONG,
)

EPCIS_START = "epcisException:"
_EPCIS_PATHS = (
    *("capture", "events", "eventTypes", "epcs", "bizSteps", "bizLocations"),
    *("readPoints", "dispositions", "queries", "nextPageToken", ""),
)


def is_epcis_path(path: str) -> bool:
    """Say whether EPCIS 2.0 defines the resource at `path`, and the types of its problems."""
    return path.split("/", 2)[1:2] != [] and path.split("/", 2)[1] in _EPCIS_PATHS


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; `members` are the further members of its JSON object."""

    kind: ProblemType
    detail: str
    members: dict[str, object] = field(default_factory=dict)

    def as_json(self, *, epcis: bool = False) -> dict[str, object]:
        """Return the members of the JSON object; with `epcis` its type is the standard's."""
        own = TYPE_PREFIX + self.kind.slug
        standard = epcis and self.kind.exception
        return {
            "type": EPCIS_START + self.kind.exception if standard else own,
            **({"problem": own} if standard else {}),
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.members,
        }

    def as_response(self, *, epcis: bool = False) -> Response:
        """Return the HTTP response."""
        headers = {}
        retry_after = self.members.get("retry_after_s")
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        if self.kind is TOO_LARGE:
            headers["Connection"] = "close"  # The rest of the body is not read.
        return Response(
            msgspec.json.encode(self.as_json(epcis=epcis)),
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
