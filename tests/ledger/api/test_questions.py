"""What the server answers about items, containers, sites and recalls."""

import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from ledger.disclosure import (
    Submission,
    WholeEvent,
    commitment,
    encode_submission,
    events_root,
)
from ledger.epcis.event import split_event
from ledger.gs1.tds import encode_tag
from ledger.statement import Capture, Claims, Link, parse_statement, sign_statement
from tests.ledger.api.conftest import ANSWER_S, ORIGIN, Server
from tests.ledger.provenance.fakes import (
    AT_DAIRY,
    case,
    item,
    lot,
    object_event,
    pack,
    quantity,
    transform,
)
from tests.ledger.store.parties import DAIRY, START_US

EPC = item("ask1")
CASE = case("askc")
LOT = lot("ASKLOT")
PROBLEM = "application/problem+json"


def submit(server: Server, *events: dict[str, Any]) -> int:
    gateway = server.gateway
    whole = tuple(
        WholeEvent(
            bytes([n]) * 16 + gateway.link.seq.to_bytes(16, "big"), tuple(split_event(e))
        )
        for n, e in enumerate(events)
    )
    raw = sign_statement(
        gateway.key,
        Claims(DAIRY, ORIGIN, START_US // 1_000_000),
        gateway.link,
        Capture(2, len(whole), events_root(commitment(one) for one in whole)),
    )
    gateway.link = Link(0, gateway.link.seq + 1, parse_statement(raw).id)
    answer = server.post(encode_submission(Submission(raw, whole)))
    assert answer.status == 201, answer.data
    index: int = answer.json()["index"]
    return index


@pytest.fixture(scope="module")
def asked(server: Server) -> Server:
    index = submit(
        server,
        transform(
            "1 08:00", [(LOT, 5)], [EPC, item("ask2")], bizStep="commissioning",
            bizLocation=AT_DAIRY, ilmd={},
        ),
        pack("1 09:00", CASE, EPC, bizLocation=AT_DAIRY),
        object_event("1 10:00", CASE, bizStep="storing", bizLocation=AT_DAIRY),
        object_event("1 07:00", quantityList=[quantity(LOT, 5)], bizLocation=AT_DAIRY)
        | {"epcList": []},
    )  # fmt: skip
    deadline = time.monotonic() + ANSWER_S
    while server.get("/status").json()["indexed"] <= index:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return server


def get(server: Server, path: str, status: int = 200) -> Any:
    answer = server.get(path)
    assert answer.status == status, answer.data
    if status >= 400:
        assert answer.headers["Content-Type"] == PROBLEM
    return answer.json()


@pytest.mark.parametrize(
    "spelling",
    [
        "urn:epc:id:sgtin:9506000.013435.ask1",
        "https://id.gs1.org/01/09506000134352/21/ask1",
        "https://example.org/x/01/09506000134352/10/ANY/21/ask1",
        "(01)09506000134352(21)ask1",
        "(01)09506000134352(10)ANY(21)ask1",
    ],
)
def test_an_item_is_found_in_every_spelling(asked: Server, spelling: str) -> None:
    assert get(asked, f"/provenance/{quote(spelling, safe='')}")["epc"] == EPC


def test_an_item_is_found_by_the_hex_of_its_tag(asked: Server) -> None:
    tag = encode_tag("urn:epc:tag:sgtin-96:1.9506000.013435.77")
    assert get(asked, f"/provenance/{tag}", 404)["key"] == item(77)


def test_what_is_no_identifier_is_named_to_the_character(asked: Server) -> None:
    problem = get(asked, "/provenance/" + quote("(01)09506000134353(21)x", safe=""), 400)
    assert "check digit" in problem["detail"]
    for query in ("at=noon", "known_at=-1", "limit=0", "depth=x", "direction=up", "before=1"):
        problem = get(asked, f"/provenance/{quote(EPC, safe='')}?{query}", 400)
        assert query.partition("=")[0] in problem["detail"]


def test_forward_tells_what_an_input_went_into(asked: Server) -> None:
    path = f"/provenance/{quote(LOT, safe='')}"
    both = get(asked, f"{path}?direction=both")
    assert {row["epc"] for row in both["descendants"]} == {EPC, item("ask2")}
    assert both["events"]
    forward = get(asked, f"{path}?direction=forward")
    assert forward["descendants"] == both["descendants"]
    assert "events" not in forward
    assert "descendants" not in get(asked, path)


def test_a_long_answer_is_continued(asked: Server) -> None:
    path, query, entries = f"/provenance/{quote(EPC, safe='')}?limit=1", "", set()
    for _ in range(9):
        page = get(asked, path + query)
        entries |= {tuple(pin) for row in page["events"] for pin in row["entries"]}
        if page["continuation"] is None:
            break
        query = f"&before={page['continuation']['before']}"
    whole = get(asked, f"/provenance/{quote(EPC, safe='')}")
    assert query
    assert entries == {tuple(pin) for row in whole["events"] for pin in row["entries"]}


def test_the_graph_has_the_nodes_of_the_answer(asked: Server) -> None:
    graph = get(asked, f"/provenance/{quote(EPC, safe='')}/graph")
    nodes = {node["id"]: node["kind"] for node in graph["nodes"]}
    assert nodes[EPC] == "item"
    assert (nodes[CASE], nodes[LOT], nodes[AT_DAIRY]) == ("container", "input", "place")
    assert all({edge["from"], edge["to"]} <= nodes.keys() for edge in graph["edges"])


def test_contents_and_inventory_are_the_twin(asked: Server) -> None:
    contents = get(asked, f"/contents/{quote(CASE, safe='')}")
    assert [row["epc"] for row in contents["contents"]] == [EPC]
    assert (
        get(asked, f"/contents/{quote(CASE, safe='')}?at=2026-03-01T08:30:00Z")["contents"]
        == []
    )
    gln = AT_DAIRY.rsplit("/", 1)[1]
    told = get(asked, f"/sites/{gln}/inventory")
    assert {EPC, CASE} <= {row["epc"] for row in told["items"]}
    get(asked, "/sites/9521141000007/inventory", 404)
    get(asked, f"/contents/{quote(case('never'), safe='')}", 404)


def test_a_recall_is_streamed_line_by_line(asked: Server) -> None:
    body = json.dumps({"things": ["(01)09506000134369(10)ASKLOT"]}).encode()
    answer = asked.pool.request("POST", f"{asked.url}/recall", body=body)
    assert answer.status == 200, answer.data
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert [line["kind"] for line in lines] == ["recall", *["affected"] * 3, "summary"]
    assert {line["epc"] for line in lines[1:-1]} == {LOT, EPC, item("ask2")}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"things": ["nothing"]}', b'{"thing": []}', b'{"things": [1]}',
     *(b'{"things": ["(01)09506000134369"], ' + rest + b"}" for rest in (
         b'"from": "noon"', b'"limit": 0', b'"known_at": -1', b'"known_at": 1e3',
         b'"excursion": {"type": "Temperature", "low": "NaN"}',
         b'"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"'))],
)  # fmt: skip
def test_a_recall_of_nothing_is_refused_before_anything_is_sent(
    asked: Server, body: bytes
) -> None:
    answer = asked.pool.request("POST", f"{asked.url}/recall", body=body)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == PROBLEM


def test_a_digital_link_resolves(asked: Server) -> None:
    path = "/01/09506000134352/21/ask1"
    answer = asked.pool.request("GET", asked.url + path, redirect=False)
    assert answer.status == 307
    assert answer.headers["Location"] == f"{asked.url}/provenance/{quote(EPC, safe='')}"
    assert 'rel="linkset"' in answer.headers["Link"]
    for query, headers in (
        ("?linkType=linkset", {}),
        ("", {"Accept": "application/linkset+json"}),
    ):
        answer = asked.pool.request("GET", asked.url + path + query, headers=headers)
        assert answer.headers["Content-Type"] == "application/linkset+json"
        (context,) = answer.json()["linkset"]
        assert context["anchor"] == EPC
        (default,) = context["https://ref.gs1.org/voc/defaultLink"]
        assert asked.pool.request("GET", default["href"]).status == 200
    get(asked, path + "?linkType=gs1:recipeInfo", 404)
    get(asked, "/01/09506000134352/21/never", 404)
    get(asked, "/01/09506000134353/21/ask1", 400)
    assert "01" in get(asked, "/.well-known/gs1resolver")["supportedPrimaryKeys"]


def test_every_question_is_documented_with_an_example(asked: Server) -> None:
    document = get(asked, "/openapi.json")
    for path in ("/provenance/{epc}", "/provenance/{epc}/graph", "/contents/{epc}"):
        operation = document["paths"][path]["get"]
        assert operation["summary"]
        assert operation["responses"]["200"]["content"]["application/json"]["example"]
        assert {"at", "known_at"} <= {one["name"] for one in operation["parameters"]}
    recall = document["paths"]["/recall"]["post"]
    assert recall["requestBody"]["content"]["application/json"]["example"]
