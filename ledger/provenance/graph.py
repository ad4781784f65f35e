"""An answer as a graph for drawing: things, places and parties, and what joins them.

    {"epc": …, "as_of": {…}, "nodes": [{"id", "kind", "label"}, …],
     "edges": [{"from", "to", "kind", "since", "until", "precision", "entries"}, …]}

Kinds of nodes: item, input, output, container, place, party. Kinds of edges: `contained` and
`associated` lead from a thing to what it was in, `made_from` from an output to its input,
`at` from a thing to a place, `possessed_by` and `owned_by` to a party. It is made of the
document of an answer, so that it never says anything else.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]

_KINDS = {"aggregation": "contained", "association": "associated"}
_ENDS = {
    "made_from": "input",
    "contained": "container",
    "associated": "container",
    "at": "place",
    "possessed_by": "party",
    "owned_by": "party",
}
_ROLES = {"possessor": "possessed_by", "owner": "owned_by"}


def draw_graph(answer: Row) -> dict[str, object]:
    """Return the graph of an answer (`ledger.provenance.document`)."""
    edges = list(_edges(answer))
    nodes: dict[str, str] = {answer["epc"]: "item"}
    for edge in edges:
        nodes.setdefault(edge["to"], _ENDS[edge["kind"]])
        if edge["kind"] == "made_from":
            nodes.setdefault(edge["from"], "output")
    for edge in edges:
        nodes.setdefault(edge["from"], "container")
    names = answer["names"]
    return {
        "epc": answer["epc"],
        "as_of": answer["as_of"],
        "nodes": [
            {"id": key, "kind": kind, "label": names.get(key, key)}
            for key, kind in sorted(nodes.items())
        ],
        "edges": edges,
        "truncated": answer["truncated"],
        "continuation": answer["continuation"],
    }


def _edges(answer: Row) -> Iterator[dict[str, Any]]:
    for row in answer["derivation"]["inputs"]:
        since = (row["time"], row["time"], row["precision"], row["entries"])
        yield _edge(row["output"], row["input"], "made_from", since)
    for row in answer["derivation"]["outputs"]:
        since = (row["time"], row["time"], row["precision"], row["entries"])
        yield _edge(row["output"], row["input"], "made_from", since)
    for row in answer["containment"]:
        entries = [one for one in (row["opened_by"], row["closed_by"]) if one is not None]
        since = (row["from"], row["to"], row["precision"], entries)
        yield _edge(row["child"], row["parent"], _KINDS[row["kind"]], since)
    for row in answer["path"]:
        if row["place"] is not None:
            since = (row["from"], row["to"], row["precision"], row["entries"])
            yield _edge(row["epc"], row["place"], "at", since)
    for row in answer["custody"]:
        since = (row["from"], row["to"], row["precision"], row["evidence"])
        yield _edge(row["epc"], row["party"], _ROLES[row["role"]], since)


def _edge(start: str, end: str, kind: str, claim: tuple[Any, ...]) -> dict[str, Any]:
    since, until, precision, entries = claim
    return {
        "from": start,
        "to": end,
        "kind": kind,
        "since": since,
        "until": until,
        "precision": precision,
        "entries": entries,
    }
