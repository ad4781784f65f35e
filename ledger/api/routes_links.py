"""A GS1 Digital Link resolver for what this ledger knows (GS1-Conformant Resolver 1.2).

    GET /01/09506000134352/21/7                      307 to /provenance/…
    GET /01/09506000134352/21/7?linkType=linkset     application/linkset+json (RFC 9264)
    GET /.well-known/gs1resolver                     what this resolver is

The path is the Digital Link. Asked for the link set, by `linkType=linkset` (or `all`) or by
`Accept: application/linkset+json`, it answers it; else it redirects to the default link, the
provenance answer, and passes the rest of the query on. Another link type is 404, as is what
no event names.
"""

from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ledger.api.asked import as_json, unknown
from ledger.api.problems import NOT_FOUND, ProblemError
from ledger.api.served import served
from ledger.gs1.epc import parse_epc

LINKSET = "application/linkset+json"
VOCABULARY = "https://ref.gs1.org/voc/"
PRIMARY_KEYS = (
    *("00", "01", "253", "255", "401", "402", "414"),
    *("417", "8003", "8004", "8006", "8010", "8017", "8018"),
)
_TEMPORARY = 307

router = APIRouter(tags=["resolver"])


@router.get("/.well-known/gs1resolver", response_model=None, summary="What this resolver is")
async def get_description(request: Request) -> Response:
    """Return the resolver description file."""
    root = str(request.base_url).rstrip("/")
    return as_json(
        {
            "name": f"tagtrail {served(request).log.origin}",
            "resolverRoot": root,
            "supportedPrimaryKeys": PRIMARY_KEYS,
            "linkTypeDefaultCanBeLinkset": False,
        }
    )


async def get_link(request: Request, rest: str) -> Response:  # noqa: ARG001 - the path is read whole
    """Redirect a Digital Link to its default link, or return its link set."""
    path = request.url.path
    key = parse_epc("https://id.gs1.org" + path).key
    source = served(request).index.source()
    if not await run_in_threadpool(source.keys_under, key):
        raise unknown(path, key)
    root = str(request.base_url).rstrip("/")
    asked = request.query_params.get("linkType", "")
    header = {
        "Link": f'<{root}{quote(path)}?linkType=linkset>; rel="linkset"; type="{LINKSET}"; '
        f'anchor="{key}"'
    }
    if asked in ("linkset", "all") or LINKSET in request.headers.get("accept", ""):
        answer = as_json(_linkset(root, key), LINKSET)
        answer.headers.update(header)
        return answer
    word = asked.removeprefix("gs1:").removeprefix(VOCABULARY)
    if word not in ("", "defaultLink", "traceability"):
        raise ProblemError(
            NOT_FOUND, f"there is no link of type {asked[:80]} to {key}", key=key
        )
    kept = [(k, v) for k, v in request.query_params.multi_items() if k in ("at", "known_at")]
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in kept)
    target = f"{_answer_of(root, key)}{'?' + query if query else ''}"
    return RedirectResponse(target, _TEMPORARY, headers=header)


def _answer_of(root: str, key: str) -> str:
    return f"{root}/provenance/{quote(key, safe='')}"


def _linkset(root: str, key: str) -> dict[str, object]:
    target = _answer_of(root, key)
    json_type = "application/json"
    answer = {"href": target, "title": "Provenance", "type": json_type}
    graph = {"href": f"{target}/graph", "title": "Provenance, as a graph", "type": json_type}
    return {
        "linkset": [
            {
                "anchor": key,
                VOCABULARY + "defaultLink": [answer],
                VOCABULARY + "traceability": [answer, graph],
            }
        ]
    }


for ai in PRIMARY_KEYS:
    router.add_api_route(
        f"/{ai}/{{rest:path}}",
        get_link,
        response_model=None,
        name=f"resolve {ai}",
        operation_id=f"resolve_{ai}",
        summary="Resolve a GS1 Digital Link",
    )
