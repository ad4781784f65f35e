"""Puts the routes of one open ledger together into an ASGI application."""

import logging

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from ledger.api import (
    routes_capture,
    routes_events,
    routes_keys,
    routes_links,
    routes_log,
    routes_provenance,
    routes_queries,
    routes_query,
    routes_scitt,
    routes_statements,
    routes_stream,
    routes_subscriptions,
    routes_twin,
    routes_vocabulary,
)
from ledger.api.openapi import describe_api
from ledger.api.problems import (
    DEFECT,
    MALFORMED,
    METHOD,
    NOT_FOUND,
    Problem,
    describe_error,
    is_epcis_path,
)
from ledger.api.served import Served, describe_witnesses, served
from ledger.errors import TagtrailError

_log = logging.getLogger("tagtrail.api")
_METHOD_NOT_ALLOWED = 405

ROUTERS = (
    routes_statements.router,
    routes_capture.router,
    routes_query.router,
    routes_queries.router,
    routes_subscriptions.router,
    routes_stream.router,
    routes_vocabulary.router,
    routes_events.router,
    routes_log.router,
    routes_scitt.router,
    routes_keys.router,
    routes_provenance.router,
    routes_twin.router,
    routes_links.router,
)


def create_application(ledger: Served) -> FastAPI:
    """Return the application that serves `ledger`, which outlives it."""
    application = FastAPI(title="tagtrail", docs_url=None, redoc_url=None)
    application.state.served = ledger
    for router in ROUTERS:
        application.include_router(router)
    application.add_api_route("/status", get_status, response_model=None)
    application.add_api_route("/healthz", get_health, response_model=None)
    application.add_api_route("/readyz", get_readiness, response_model=None)
    application.add_exception_handler(TagtrailError, _answer_error)
    application.add_exception_handler(HTTPException, _answer_http)
    application.add_exception_handler(RequestValidationError, _answer_invalid)
    application.add_exception_handler(Exception, _answer_defect)
    application.openapi = describe_api(application, ROUTERS)  # type: ignore[method-assign]
    return application


async def get_status(request: Request) -> Response:
    """Return how far the log, the index and the newest checkpoint are, in entries."""
    ledger = served(request)
    newest = ledger.checkpoint()
    answer = {
        "origin": ledger.log.origin,
        "size": ledger.log.size,
        "indexed": ledger.indexed(),
        "checkpoint_size": newest[0] if newest else 0,
        "witnesses": describe_witnesses(ledger),
    }
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def get_health(request: Request) -> Response:  # noqa: ARG001 - the same for all
    """Return `ok` while the process runs its event loop."""
    return PlainTextResponse("ok\n")


async def get_readiness(request: Request) -> Response:
    """Return `ready` while submissions are taken and a checkpoint is out, else 503."""
    ledger = served(request)
    ready = ledger.sequencer.is_taking and ledger.checkpoint() is not None
    return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TagtrailError)
    return describe_error(error).as_response(epcis=is_epcis_path(request.url.path))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = METHOD if error.status_code == _METHOD_NOT_ALLOWED else NOT_FOUND
    epcis = is_epcis_path(request.url.path)
    return Problem(kind, str(error.detail)).as_response(epcis=epcis)


async def _answer_invalid(_: Request, error: Exception) -> Response:
    return Problem(MALFORMED, " ".join(str(error).split())).as_response()


async def _answer_defect(request: Request, error: Exception) -> Response:
    """Answer what no rule of ours raised; the server logs its traceback."""
    _log.error("%s %s: %r", request.method, request.url.path, error)
    epcis = is_epcis_path(request.url.path)
    return Problem(DEFECT, "see the server's log").as_response(epcis=epcis)
