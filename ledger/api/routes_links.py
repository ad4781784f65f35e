"""A GS1 Digital Link resolver for what this ledger knows (GS1-Conformant Resolver 1.2).

    GET /01/09506000134352/21/7                      307 to /provenance/…
    GET /414/9521321000003                           307 to /sites/…/inventory
    GET /01/09506000134352/21/7?linkType=linkset     application/linkset+json (RFC 9264)
    GET /.well-known/gs1resolver                     what this resolver is

The path is the Digital Link, read as it was sent: a slash that is encoded belongs to the
serial. Asked for the link set, by `linkType=linkset` (or `all`) or by
`Accept: application/linkset+json`, it answers it; else it redirects to the default link, the
provenance answer of a thing or the inventory of a site, and passes `at` and `known_at` on.
Another link type is 404, as is what no event names. HEAD answers as GET does, and any page
of the web may ask (CORS).
"""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ledger.api.asked import as_json, documented, is_named, unknown
from ledger.api.examples import ITEM
from ledger.api.problems import NOT_FOUND, ProblemError
from ledger.api.routes_provenance import BUNDLE
from ledger.api.routes_twin import SITES
from ledger.api.served import served
from ledger.gs1.epc import parse_epc
from ledger.provenance.source import EventSource

LINKSET = "application/linkset+json"
VOCABULARY = "https://ref.gs1.org/voc/"
PRIMARY_KEYS = (
    *("00", "01", "253", "255", "401", "402", "414"),
    *("417", "8003", "8004", "8006", "8010", "8017", "8018"),
)
DEFAULT = "defaultLink"
_TEMPORARY = 307
_ANYBODY = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Link"}
_CONTEXT = (
    "<https://ref.gs1.org/standards/resolver/linkset-context>; "
    'rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
)

Links = dict[str, list[dict[str, str]]]
LinkType = Annotated[
    str,
    Query(
        alias="linkType",
        description="`linkset` (or `all`) for the link set; else the type of one link.",
        examples=["linkset"],
    ),
]

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


async def get_link(
    request: Request,
    rest: str,  # noqa: ARG001 - the path is read whole
    link_type: LinkType = "",
) -> Response:
    """Redirect a Digital Link to its default link, or return its link set."""
    path = bytes(request.scope["raw_path"]).decode("latin-1")
    key = parse_epc("https://id.gs1.org" + path).key
    source = served(request).index.source()
    root = str(request.base_url).rstrip("/")
    links = await run_in_threadpool(_links_of, source, root, key)
    if not links:
        raise unknown(path, key)
    header = {"Link": _link_header(root, path, key)}
    if link_type in ("linkset", "all") or LINKSET in request.headers.get("accept", ""):
        answer = as_json(_linkset(key, links), LINKSET)
        header["Link"] += f", {_CONTEXT}"
        answer.headers.update(header | _ANYBODY | {"Vary": "Accept"})
        return answer
    word = link_type.removeprefix("gs1:").removeprefix(VOCABULARY)
    if word and word not in links:
        why = f"there is no link of type {link_type[:80]!r} to {key}"
        raise ProblemError(NOT_FOUND, why, key=key)
    kept = [(k, v) for k, v in request.query_params.multi_items() if k in ("at", "known_at")]
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in kept)
    target = f"{links[word or DEFAULT][0]['href']}{'?' + query if query else ''}"
    return RedirectResponse(target, _TEMPORARY, headers=header | _ANYBODY)


def _links_of(source: EventSource, root: str, key: str) -> Links:
    """Return the links to `key` by their type; none where no event names it."""
    if is_named(source, key):
        return thing_links(root, key)
    if key.startswith(SITES) and source.keys_under(key):
        gln = quote(key, safe="")
        site = _link(f"{root}/sites/{gln}/inventory", "What is there", "application/json")
        return {DEFAULT: [site], "locationInfo": [site]}
    return {}


def thing_links(root: str, key: str) -> Links:
    """Return the links to a thing: its provenance, as JSON, as a graph, as a proof."""
    target = f"{root}/provenance/{quote(key, safe='')}"
    answer = _link(target, "Provenance", "application/json")
    graph = _link(f"{target}/graph", "Provenance, as a graph", "application/json")
    proof = _link(f"{target}/bundle", "Provenance, with its proof", BUNDLE)
    return {DEFAULT: [answer], "traceability": [answer, graph, proof]}


def _link(href: str, title: str, media_type: str) -> dict[str, str]:
    return {"href": href, "title": title, "type": media_type}


def _link_header(root: str, path: str, key: str) -> str:
    whole = quote(path, safe="/%")
    anchor = quote(key, safe=":/%")
    return (
        f'<{root}{whole}?linkType=linkset>; rel="linkset"; type="{LINKSET}"; anchor="{anchor}"'
    )


def _linkset(key: str, links: Links) -> dict[str, object]:
    named = {VOCABULARY + word: those for word, those in links.items()}
    return {"linkset": [{"anchor": key, **named}]}


_ROOT = "https://ledger.example"
_EXAMPLE = thing_links(_ROOT, ITEM)
_PATH = ITEM.removeprefix("https://id.gs1.org")
_RESPONSES = documented(_linkset(ITEM, _EXAMPLE), "The link set (RFC 9264).", LINKSET) | {
    307: {
        "description": "To the default link: a provenance answer, or an inventory.",
        "headers": {
            "Location": {"schema": {"type": "string"}, "example": _EXAMPLE[DEFAULT][0]["href"]},
            "Link": {
                "schema": {"type": "string"},
                "example": _link_header(_ROOT, _PATH, ITEM),
            },
        },
    }
}

for ai in PRIMARY_KEYS:
    router.add_api_route(
        f"/{ai}/{{rest:path}}",
        get_link,
        response_model=None,
        response_class=Response,
        name=f"resolve {ai}",
        operation_id=f"resolve_{ai}",
        summary="Resolve a GS1 Digital Link",
        responses=_RESPONSES,
    )
    router.add_api_route(
        f"/{ai}/{{rest:path}}",
        get_link,
        methods=["HEAD"],
        response_model=None,
        include_in_schema=False,
    )
