"""The description of the API in OpenAPI, with the examples as the routes give them.

FastAPI leaves nulls out of what it describes, so that an example would lack every member
whose value is null; here the examples are put back whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from ledger.api.openapi_details import complete

DESCRIPTION = "A tamper-evident ledger of supply-chain events, and what it says about items."


def describe_api(
    application: FastAPI, routers: Sequence[APIRouter]
) -> Callable[[], dict[str, Any]]:
    """Return what describes `application` of these `routers`, once and when it is asked."""

    def openapi() -> dict[str, Any]:
        if application.openapi_schema is None:
            document = get_openapi(
                title=application.title,
                version=application.version,
                description=DESCRIPTION,
                routes=application.routes,
            )
            for route in (route for router in routers for route in router.routes):
                if isinstance(route, APIRoute) and route.include_in_schema:
                    _restore(document, route)
            complete(document)
            application.openapi_schema = document
        return application.openapi_schema

    return openapi


def _restore(document: dict[str, Any], route: APIRoute) -> None:
    for method in route.methods or ():
        described = document["paths"][route.path_format][method.lower()]["responses"]
        for status, media_type, example in _examples(route.responses):
            described[str(status)]["content"][media_type]["example"] = example


def _examples(
    responses: Mapping[int | str, dict[str, Any]],
) -> Iterator[tuple[int | str, str, object]]:
    for status, response in responses.items():
        for media_type, content in response.get("content", {}).items():
            if "example" in content:
                yield status, media_type, content["example"]
