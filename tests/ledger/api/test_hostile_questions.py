"""Questions asked with the enemy's hand, and the documentation held against the answers."""

import json
import time
from base64 import b64decode
from urllib.parse import quote

import pytest

from ledger.audit.bundle_report import report_bundle
from ledger.audit.finding import Result
from ledger.bundle import parse_bundle
from ledger.config import load_trust
from tests.ledger.api.conftest import ANSWER_S, Server
from tests.ledger.api.test_questions import CASE, EPC, PROBLEM, asked, get, submit
from tests.ledger.provenance.fakes import AT_DAIRY, item, object_event

__all__ = ["asked"]


@pytest.fixture(scope="module")
def odd(asked: Server) -> Server:
    """Items whose serials look like something else."""
    index = submit(
        asked,
        object_event("1 08:00", *(item(serial) for serial in ODD), bizLocation=AT_DAIRY),
    )
    deadline = time.monotonic() + ANSWER_S
    while min(asked.get("/status").json()[n] for n in ("indexed", "checkpoint_size")) <= index:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return asked


ODD = ("graph", "bundle", "7%2Fgraph", "a%2Fb%2Fbundle", "%26%25%3F%3D", "inventory")


@pytest.mark.parametrize("serial", ODD)
def test_a_serial_that_looks_like_a_path_is_a_serial(odd: Server, serial: str) -> None:
    key = item(serial)
    assert get(odd, f"/provenance/{quote(key, safe='')}")["epc"] == key
    assert get(odd, f"/provenance/{quote(key, safe='')}/graph")["epc"] == key
    assert odd.get(f"/provenance/{quote(key, safe='')}/bundle").status == 200
    assert get(odd, f"/contents/{quote(key, safe='')}")["epc"] == key
    answer = odd.pool.request("GET", f"{odd.url}/01/09506000134352/21/{serial}", redirect=False)
    assert answer.headers["Location"] == f"{odd.url}/provenance/{quote(key, safe='')}"
    if "%" not in serial:
        assert get(odd, f"/provenance/{key}")["epc"] == key


HOSTILE = (
    "", "%00", "%0d%0aX:%20y", "%ff", "%C3%28", "..%2f..%2fetc", "(01)",
    "(01)09506000134352(21)", "(01)09506000134352(21)a%00b", "(01)09506000134352(21)%E2%82%AC",
    "(01)09506000134352(21)" + "1" * 21, "urn:epc:id:sgtin:9506000.013435.", "urn:epc:idpat:*",
    "urn:epc:class:lgtin:9506000.013435",
    "https%3A%2F%2Fid.gs1.org%2F01%2F0950600013435%2F21%2F7", "30" * 4096, "x" * 8192,
    "https%3A%2F%2F" + "a" * 8100, "3034257BF400D1C0000000FFFFFFFFFF", "%252e%252e", "*",
    "(01)09506000134352(21)7" + "(10)A" * 500,
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:24])
def test_what_is_no_item_is_a_problem_and_no_defect(asked: Server, text: str) -> None:
    for path in ("/provenance/{}", "/provenance/{}/graph", "/provenance/{}/bundle",
                 "/contents/{}", "/sites/{}/inventory", "/01/{}"):  # fmt: skip
        answer = asked.get(path.format(text))
        assert answer.status in (400, 404), (path, answer.data)
        assert answer.headers["Content-Type"] == PROBLEM
        if answer.status == 400:
            assert answer.json()["where"]


@pytest.mark.parametrize(
    "query",
    ["at=", "at=-1", "at=2026-02-30T00:00:00Z", "at=9999-12-31T23:59:59Z%00", "known_at=",
     "known_at=1e9", "known_at=%2B1", "known_at=-0", "known_at=" + "9" * 40, "limit=",
     "limit=20001", "limit=%D9%A1", "depth=0", "depth=1001", "before=soon", "before=1"],
)  # fmt: skip
def test_a_bound_that_is_none_names_the_parameter(asked: Server, query: str) -> None:
    problem = get(asked, f"/provenance/{quote(EPC, safe='')}?{query}", 400)
    assert query.partition("=")[0] in problem["where"] + problem["detail"]


def test_before_the_first_entry_nothing_is_known(asked: Server) -> None:
    path = quote(EPC, safe="")
    for known_at in (0, 1):
        assert get(asked, f"/provenance/{path}?known_at={known_at}", 404)["key"] == EPC
        get(asked, f"/provenance/{path}/bundle?known_at={known_at}", 404)
    told = get(asked, f"/provenance/{path}?known_at={10**15}")
    assert told["as_of"]["size"] <= asked.get("/status").json()["size"]
    assert get(asked, f"/provenance/{path}?at=1970-01-01T00:00:00Z")["events"] == []


def test_a_continuation_that_was_changed_gives_another_page_and_no_more(asked: Server) -> None:
    path = f"/provenance/{quote(EPC, safe='')}"
    whole = get(asked, path)
    for before in ("2030-01-01T00:00:00Z", "2026-03-01T08:30:00Z", "0001-01-01T00:00:00Z"):
        page = get(asked, f"{path}?before={before}&limit=2")
        names = [(row["entry"], row["position"]) for row in page["events"]]
        assert set(names) <= {(row["entry"], row["position"]) for row in whole["events"]}
    contents = f"/contents/{quote(CASE, safe='')}"
    assert get(asked, f"{contents}?after=%00")["contents"]
    assert get(asked, f"{contents}?after={'z' * 4000}")["contents"] == []


def test_the_bundle_proves_the_answer_that_links_to_it(asked: Server) -> None:
    told = get(asked, f"/provenance/{quote(EPC, safe='')}?at=2026-03-01T12:00:00Z")
    answer = asked.get(told["proof"])
    assert answer.status == 200, answer.data
    assert answer.headers["Content-Type"] == "application/vnd.tagtrail.bundle+cbor"
    trust = load_trust(asked.folder)
    report = report_bundle(answer.data, trust, target="bundle")
    assert report.result is not Result.TAMPERED
    assert not report.findings
    claims = json.loads(parse_bundle(answer.data).answer or b"")
    assert claims["as_of"]["size"] == told["as_of"]["size"]
    for name in claims.keys() - {"as_of", "rules"}:
        assert claims[name] == told[name], name
    assert parse_bundle(answer.data).events
    assert AT_DAIRY.encode() in answer.data
    kept = asked.get(told["proof"] + "&withhold=where,why&answer=false")
    assert parse_bundle(kept.data).answer is None
    assert AT_DAIRY.encode() not in kept.data
    problem = get(asked, told["proof"] + "&withhold=everything", 400)
    assert problem["where"] == "withhold"


def test_an_answer_names_the_root_of_the_log_it_is_as_of(asked: Server) -> None:
    (leaf, *_) = asked.get("/checkpoint").data.decode().splitlines()[2:3]
    size = int(asked.get("/checkpoint").data.decode().splitlines()[1])
    for path in (f"/provenance/{quote(EPC, safe='')}", f"/contents/{quote(CASE, safe='')}"):
        as_of = get(asked, f"{path}?known_at={size}")["as_of"]
        assert as_of["size"] == size
        assert bytes.fromhex(as_of["root"]) == b64decode(leaf)


EXAMPLES = (
    ("/provenance/{epc}", f"/provenance/{quote(EPC, safe='')}"),
    ("/provenance/{epc}/graph", f"/provenance/{quote(EPC, safe='')}/graph"),
    ("/contents/{epc}", f"/contents/{quote(CASE, safe='')}"),
    ("/sites/{gln}/inventory", f"/sites/{AT_DAIRY.rsplit('/', 1)[1]}/inventory"),
    ("/01/{rest}", "/01/09506000134352/21/ask1?linkType=linkset"),
)


@pytest.mark.parametrize(("path", "real"), EXAMPLES)
def test_an_example_has_the_shape_of_a_real_answer(asked: Server, path: str, real: str) -> None:
    operation = get(asked, "/openapi.json")["paths"][path]["get"]
    (shown,) = operation["responses"]["200"]["content"].values()
    answer = get(asked, real)
    assert shown["example"].keys() == answer.keys()
    assert "…" not in json.dumps(shown)
    for name, rows in shown["example"].items():
        if isinstance(rows, list) and rows and answer[name] and isinstance(rows[0], dict):
            assert rows[0].keys() == answer[name][0].keys(), name
    for status in ("400", "404"):
        (problem,) = operation["responses"][status]["content"].values()
        assert problem["example"]["status"] == int(status)


def test_the_examples_of_an_answer_leave_no_part_empty(asked: Server) -> None:
    operation = get(asked, "/openapi.json")["paths"]["/provenance/{epc}"]["get"]
    shown = operation["responses"]["200"]["content"]["application/json"]["example"]
    parts = (
        "events",
        "path",
        "containment",
        "custody",
        "handovers",
        "tiers",
        "conditions",
        "gaps",
    )
    assert [name for name in parts if not shown[name]] == []
    assert shown["derivation"]["inputs"]


def test_a_site_resolves_to_its_inventory(asked: Server) -> None:
    path = AT_DAIRY.removeprefix("https://id.gs1.org")
    answer = asked.pool.request("GET", asked.url + path, redirect=False)
    assert answer.status == 307
    assert get(asked, answer.headers["Location"].removeprefix(asked.url))["site"] == AT_DAIRY
    assert asked.pool.request("HEAD", asked.url + path, redirect=False).status == 307
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    get(asked, "/417/9506000134352", 404)
    get(asked, "/01/09506000134369/10/NEVER", 404)
