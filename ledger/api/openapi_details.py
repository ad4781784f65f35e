"""What each operation may answer, take and be asked, where the routes leave it to the reader.

Routes read requests by themselves, for speed; this says in OpenAPI what they read. Every status
that an operation may have is listed with its meaning, and no other may come: a test asks.
"""

import re
from collections.abc import Mapping
from typing import Any

from ledger.api.problems import CONTENT_TYPE, PROBLEM_TYPES
from ledger.epcis.query_names import AMOUNTS, MATCHES, ONE_OF, OPS, SENSOR_TEXTS, TIMES
from ledger.epcis.query_schedule import FIELDS

_READ = (400, 404)
_EPCIS = (400, 406)
_COLLECTIONS = ("eventTypes", "epcs", "bizSteps", "bizLocations", "readPoints", "dispositions")
# What operations may answer besides what their routes say: (method, path) or path.
_STATUSES: Mapping[str, tuple[int, ...]] = {
    "POST /statements": (200, 201, 400, 403, 409, 413, 415, 422, 503),
    "GET /capture": (200, 400, 501),
    "POST /capture": (202, 400, 413, 415, 501, 503),
    "OPTIONS /capture": (204, 406),
    "GET /capture/{capture_id}": (200, 400, 404, 501),
    "OPTIONS /capture/{capture_id}": (204, 400, 404, 406, 501),
    "POST /events": (200, 201, 400, 409, 413, 415, 501, 503),
    "GET /events/{event_id}": (200, 400, 404, 406),
    "GET /documents/{digest}": (200, *_READ),
    "DELETE /nextPageToken/{token}": (204, 400),
    "POST /queries": (201, *_EPCIS, 409, 413, 415),
    "DELETE /queries/{query_name}": (204, *_EPCIS, 404),
    "POST /queries/{query_name}/subscriptions": (201, *_EPCIS, 404, 413, 415),
    "DELETE /queries/{query_name}/subscriptions/{subscription_id}": (204, *_EPCIS, 404),
    "GET /checkpoint": (200, 404),
    "GET /tile/{path}": (200, *_READ),
    "GET /log/proof/{index}": (200, *_READ),
    "GET /log/consistency": (200, *_READ),
    "GET /log/receipt/{index}": (200, *_READ, 501),
    "POST /entries": (200, 201, 202, 303, 400, 403, 404, 409, 413, 415, 422, 501, 503),
    "GET /entries/{index}": (200, 202, 302, 303, *_READ, 501),
    "GET /.well-known/scitt-keys": (200, 404, 501),
    "GET /.well-known/scitt-keys/{kid}": (200, *_READ, 501),
    "POST /recall": (200, *_READ, 413, 415),
    "GET /keys": (200,),
    "GET /status": (200,),
    "GET /healthz": (200,),
    "GET /readyz": (200, 503),
    "GET /.well-known/gs1resolver": (200,),
}
_MEANINGS = {
    200: "The answer.",
    201: "It was made, and is durable.",
    202: "It was taken, and is durable.",
    204: "Done.",
    302: "It is not ready yet.",
    303: "It is there.",
    307: "It is there.",
}
_PARAMETER = re.compile(r"\{([a-zA-Z_]+)\}")


def complete(document: dict[str, Any]) -> None:
    """Add to an OpenAPI `document` what the routes do not say of themselves."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            _complete_statuses(name, path, operation)
            _complete_path(path, operation)
            if method == "get" and path.endswith("/events"):
                operation["parameters"] += [*_query_parameters(), *_paging()]
            elif method == "get" and path.strip("/") in (*_COLLECTIONS, "queries", "capture"):
                operation["parameters"] += _paging()
            elif name in _BODIES:
                operation["requestBody"] = _BODIES[name]


def _complete_statuses(name: str, path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own: here it is 400, and 422 only where listed.
    for status in _STATUSES.get(name) or _usual(name, path):
        described = responses.setdefault(str(status), {"description": _meaning(status)})
        if status >= 400:  # noqa: PLR2004 - where problems begin
            described.setdefault("content", {CONTENT_TYPE: {"schema": {"type": "object"}}})


def _usual(name: str, path: str) -> tuple[int, ...]:
    """Return what the operations of EPCIS 2.0 may answer as a rule."""
    first = path.split("/")[1]
    if first not in (*_COLLECTIONS, "events", "queries", ""):
        return ()
    done = 204 if name.startswith("OPTIONS") else 200
    there = (404,) if "{" in path else ()
    large = (413,) if path.endswith("/events") else ()
    return (done, *_EPCIS, *there, *large, 414)


def _meaning(status: int) -> str:
    if status in _MEANINGS:
        return _MEANINGS[status]
    titles = [kind.title for kind in PROBLEM_TYPES if kind.status == status]
    return "; or ".join(titles) or "A problem."


def _complete_path(path: str, operation: dict[str, Any]) -> None:
    parameters = operation.setdefault("parameters", [])
    known = {one["name"] for one in parameters}
    for name in _PARAMETER.findall(path):
        if name not in known:
            schema = {"type": "string", "minLength": 1}
            parameters.append({"name": name, "in": "path", "required": True, "schema": schema})


def _text_parameter(name: str, **schema: object) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {"type": "string", **schema},
    }


def _paging() -> list[dict[str, Any]]:
    per_page = {"name": "perPage", "in": "query", "schema": {"type": "integer", "minimum": 1}}
    return [per_page, _text_parameter("nextPageToken")]


def _query_parameters() -> list[dict[str, Any]]:
    """Return the parameters of event queries with fixed names, and one of each other family."""
    times = [f"{op}_{field}" for field in TIMES for op in ("GE", "LT")]
    amounts = [
        f"{op}_{field}{'' if field in ('quantity', 'percRank') else '_CEL'}"
        for field in AMOUNTS
        for op in OPS
    ]
    texts = [
        *("eventType", "WD_readPoint", "WD_bizLocation", "EXISTS_errorDeclaration"),
        *(f"EQ_{field}" for field in (*ONE_OF, *SENSOR_TEXTS, "booleanValue")),
        *(f"MATCH_{field}" for field in MATCHES),
        *("EQ_bizTransaction_po", "EQ_source_owning_party", "EQ_destination_owning_party"),
        *("EQ_example:field", "EXISTS_INNER_ILMD_example:field", "HASATTR_bizLocation"),
        *("EQATTR_bizLocation_urn:epcglobal:cbv:mda#name", "orderBy"),
    ]
    return [
        *map(_text_parameter, texts),
        *(_text_parameter(name, format="date-time") for name in times),
        *({**_text_parameter(name), "schema": {"type": "number"}} for name in amounts),
        _text_parameter("orderDirection", enum=["ASC", "DESC"]),
        *(
            {**_text_parameter(name), "schema": {"type": "integer", "minimum": 1}}
            for name in ("eventCountLimit", "maxEventCount")
        ),
    ]


def _body(schema: dict[str, Any], *media: str) -> dict[str, Any]:
    content = {one: {"schema": schema} for one in media or ("application/json",)}
    return {"required": True, "content": content}


_OBJECT = {"type": "object"}
_JSON = ("application/json", "application/ld+json")
_BODIES = {
    "POST /capture": _body(_OBJECT, *_JSON),
    "POST /events": _body(_OBJECT, *_JSON),
    "POST /statements": _body({"type": "array"}),
    "POST /queries": _body(
        {
            "type": "object",
            "required": ["name", "query"],
            "properties": {
                "name": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,100}$"},
                "query": _OBJECT,
            },
        }
    ),
    "POST /queries/{query_name}/subscriptions": _body(
        {
            "type": "object",
            "required": ["dest"],
            "properties": {
                "dest": {"type": "string", "format": "uri"},
                "signatureToken": {"type": "string", "minLength": 1},
                "stream": {"type": "boolean"},
                "schedule": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in FIELDS},
                },
                "reportIfEmpty": {"type": "boolean"},
                "initialRecordTime": {"type": "string", "format": "date-time"},
            },
        }
    ),
}
