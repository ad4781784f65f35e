"""Documents over HTTP: durable before 2xx, captured once, back as they came."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ledger.cli.verify import audit_folder
from ledger.epcis.received import DOCUMENT_BYTES_MAX, EVENTS_MAX
from ledger.store.evidence import EvidenceReader
from tests.ledger.api.conftest import Server

LD = "application/ld+json"
XML = "application/xml"
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def event(serial: int, **fields: object) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "eventTime": "2026-01-01T10:00:00Z",
        "eventTimeZoneOffset": "+00:00",
        "bizStep": "shipping",
        "epcList": [f"urn:epc:id:sgtin:9506000.013435.{serial}"],
    } | fields


def document(*events: dict[str, Any]) -> bytes:
    body = {"eventList": list(events)}
    head = {"@context": [CONTEXT], "type": "EPCISDocument", "schemaVersion": "2.0"}
    return json.dumps(
        head | {"creationDate": "2026-01-01T10:00:00Z", "epcisBody": body}
    ).encode()


def post(server: Server, path: str, body: bytes, media: str = LD, behaviour: str = "") -> Any:
    headers = {"Content-Type": media}
    if behaviour:
        headers["GS1-Capture-Error-Behaviour"] = behaviour
    return server.pool.request("POST", server.url + path, body=body, headers=headers)


def captured(server: Server, body: bytes, media: str = LD, behaviour: str = "") -> Any:
    """POST /capture, and return the job once it has ended."""
    answer = post(server, "/capture", body, media, behaviour)
    assert answer.status == 202, answer.data
    deadline = time.monotonic() + 20
    while True:
        job = server.get(answer.headers["Location"]).json()
        if not job["running"]:
            break
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    while server.get("/status").json()["indexed"] <= (job["index"] or 0):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def size(server: Server) -> int:
    return int(server.get("/status").json()["size"])


def shown(server: Server, event_id: str) -> Any:
    answer = server.pool.request(
        "GET",
        f"{server.url}/events/{quote(event_id, safe='')}",
        headers={"GS1-EPC-Format": "Never_Translates"},
    )
    assert answer.status == 200, answer.data
    return answer.json()


def test_a_document_is_captured_and_its_events_come_back(server: Server) -> None:
    mine = [event(1, eventID="urn:uuid:c1"), event(2, **{"example:lot": "0815"})]
    mine[1]["@context"] = {"example": "https://ns.example.com/epcis/"}
    job = captured(server, document(*mine))
    assert (job["success"], job["events"], job["captured"]) == (True, 2, 2)
    first = shown(server, "urn:uuid:c1")
    assert first.pop("recordTime")
    assert first.pop("@context") == [CONTEXT]
    assert first == mine[0]


def test_an_event_without_an_id_gets_its_hash(server: Server) -> None:
    answer = post(server, "/events", json.dumps(event(3)).encode())
    assert answer.status == 201
    event_id = answer.json()["eventID"]
    assert event_id.startswith("ni:///sha-256;")
    assert answer.headers["Location"] == f"/events/{quote(event_id, safe='')}"
    assert shown(server, event_id)["eventID"] == event_id


def test_the_same_document_again_adds_nothing(server: Server) -> None:
    body = document(event(10), event(11, eventID="urn:uuid:c11"))
    first = captured(server, body)
    before = size(server)
    again = captured(server, body)
    assert (again["success"], again["known"], again["captured"]) == (True, 2, 0)
    assert size(server) == before
    assert first["captureID"] != again["captureID"]


def test_the_same_document_many_times_at_once_is_captured_once(server: Server) -> None:
    body = document(*(event(n) for n in range(30, 34)))
    before = size(server)
    answers = [post(server, "/capture", body) for _ in range(10)]
    jobs = []
    for answer in answers:
        while (job := server.get(answer.headers["Location"]).json())["running"]:
            time.sleep(0.01)
        jobs.append(job)
    assert sum(job["captured"] for job in jobs) == 4
    assert size(server) == before + 1


def test_one_bad_event_under_rollback_leaves_no_trace(server: Server) -> None:
    bad = event(21, type="AggregationEvent", childEPCs=["urn:epc:id:sgtin:9506000.013435.1"])
    del bad["epcList"]
    bad["action"] = "ADD"
    before = size(server)
    good = event(200021, eventID="urn:uuid:c20")
    job = captured(server, document(good, bad))
    assert (job["success"], job["captured"], job["index"]) == (False, 0, None)
    (error,) = job["errors"]
    assert error["pointer"] == "/epcisBody/eventList/1/parentID"
    assert error["why"]
    assert error["mend"]
    assert size(server) == before
    assert server.get("/events/urn%3Auuid%3Ac20").status == 404
    assert server.get(f"/documents/{job['document']}").status == 404
    for path in server.folder.glob("*.db*"):
        assert b"013435.200021" not in path.read_bytes(), path


def test_proceed_captures_the_good_ones_and_lists_each_error(server: Server) -> None:
    events = [
        event(40, eventID="urn:uuid:c40"),
        event(41, action="LOOK"),
        event(42, epcList=["urn:epc:id:sgtin:9506000.13435.1"]),
        event(43, quantityList=[{"epcClass": "urn:x:y", "quantity": -1}]),
    ]
    job = captured(server, document(*events), behaviour="proceed")
    assert (job["success"], job["captured"]) == (False, 1)
    assert job["captureErrorBehaviour"] == "proceed"
    base = "/epcisBody/eventList"
    assert [one["pointer"] for one in job["errors"]] == [
        f"{base}/1/action",
        f"{base}/2/epcList/0",
        f"{base}/3/quantityList/0/quantity",
    ]
    assert all(one["mend"] for one in job["errors"])
    assert shown(server, "urn:uuid:c40")["epcList"] == events[0]["epcList"]


def test_another_event_under_a_taken_id_is_a_conflict(server: Server) -> None:
    mine = event(50, eventID="urn:uuid:c50")
    assert post(server, "/events", json.dumps(mine).encode()).status == 201
    assert post(server, "/events", json.dumps(mine).encode()).status == 200
    other = json.dumps(event(51, eventID="urn:uuid:c50")).encode()
    answer = post(server, "/events", other)
    assert answer.status == 409
    assert answer.json()["type"] == "epcisException:ResourceAlreadyExistsException"
    assert answer.json()["problem"].endswith("/event-exists")
    job = captured(server, document(event(52), event(53, eventID="urn:uuid:c50")))
    assert (job["success"], job["captured"]) == (False, 0)
    assert job["errors"][0]["pointer"] == "/epcisBody/eventList/1/eventID"


def test_an_error_declaration_is_captured_beside_its_event(server: Server) -> None:
    mine = event(60, eventID="urn:uuid:c60")
    declared = mine | {
        "errorDeclaration": {
            "declarationTime": "2026-01-02T00:00:00Z",
            "reason": "did_not_occur",
        }
    }
    assert captured(server, document(mine, declared))["captured"] == 2
    assert shown(server, "urn:uuid:c60")["errorDeclaration"]["reason"] == "did_not_occur"
    assert captured(server, document(declared))["known"] == 1


def test_the_document_is_kept_as_received_and_the_events_cite_it(server: Server) -> None:
    body = document(event(70, eventID="urn:uuid:c70")).replace(b'"2.0"', b'   "2.0"')
    job = captured(server, body)
    assert server.get(f"/documents/{job['document']}").data == body
    answer = server.get("/events/urn%3Auuid%3Ac70")
    assert f"/documents/{job['document']}" in answer.headers["Link"]
    assert "tagtrail:evidence" not in answer.json()
    with closing(EvidenceReader(server.folder)) as evidence:
        assert evidence.load_document(bytes.fromhex(job["document"])) == body


def test_what_was_captured_passes_an_audit(server: Server) -> None:
    captured(server, document(event(80)))
    report = audit_folder(server.folder)
    assert not report.findings, report.findings


def test_master_data_and_query_documents_are_taken(server: Server) -> None:
    query = json.loads(document(event(90, eventID="urn:uuid:c90")))
    query["type"] = "EPCISQueryDocument"
    query["epcisHeader"] = {"epcisMasterData": {"vocabularyList": [{"type": "urn:x"}]}}
    inner = {"resultsBody": query.pop("epcisBody"), "queryName": "SimpleEventQuery"}
    query["epcisBody"] = {"queryResults": inner}
    job = captured(server, json.dumps(query).encode(), "application/json")
    assert job["captured"] == 1
    kept = json.loads(server.get(f"/documents/{job['document']}").data)
    assert kept["epcisHeader"] == query["epcisHeader"]


def test_xml_is_captured_and_hostile_xml_is_refused(server: Server, shared_data: Path) -> None:
    folder = shared_data / "epcis" / "openepcis" / "1.2" / "EPCIS" / "XML" / "Capture"
    body = (folder / "Documents" / "All_eventTypes_in_single_document.xml").read_bytes()
    job = captured(server, body, XML)
    assert job["success"], job
    assert job["captured"] > 1
    laughs = b'<!DOCTYPE x [<!ENTITY a "b">]>' + body[body.index(b"<epcis") :]
    answer = post(server, "/capture", laughs, "text/xml")
    assert answer.status == 400
    assert "entity" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "media", "behaviour", "status"),
    [
        (b"{", LD, "", 400),
        (b'{"type": "EPCISDocument", "epcisBody": {}}', LD, "", 400),
        (b"[]", LD, "", 400),
        (document(event(1)), "text/csv", "", 415),
        (document(event(1)), LD, "perhaps", 400),
        (b"{" * 100_000, LD, "", 400),
        (document(*([{}] * (EVENTS_MAX + 1))), LD, "", 413),
    ],
    ids=["broken", "no list", "array", "media", "behaviour", "deep", "many"],
)
def test_what_is_no_document_is_refused_at_once(
    server: Server, body: bytes, media: str, behaviour: str, status: int
) -> None:
    jobs = server.get("/capture").json()
    assert post(server, "/capture", body, media, behaviour).status == status
    assert server.get("/capture").json() == jobs


def test_the_limits_are_advertised(server: Server) -> None:
    answers = [
        server.pool.request("OPTIONS", f"{server.url}/capture"),
        server.get("/capture"),
        post(server, "/capture", document(event(1))),
    ]
    for answer in answers:
        assert answer.headers["GS1-EPCIS-Capture-Limit"] == str(EVENTS_MAX)
        limit = answer.headers["GS1-EPCIS-Capture-File-Size-Limit"]
        assert limit == str(DOCUMENT_BYTES_MAX)
        assert answer.headers["GS1-EPCIS-Version"] == "2.0.0"


def test_jobs_are_listed_the_newest_first_in_pages(server: Server) -> None:
    ids = [captured(server, document(event(n)))["captureID"] for n in (100, 101, 102)]
    page = server.get("/capture?perPage=2")
    assert [job["captureID"] for job in page.json()] == [ids[2], ids[1]]
    following = page.headers["Link"].split(">")[0].removeprefix("<")
    assert server.get(following).json()[0]["captureID"] == ids[0]
    assert server.get("/capture/nothing").status == 404


def test_one_event_is_wanted_and_a_bad_one_is_told(server: Server) -> None:
    before = size(server)
    assert post(server, "/events", document(event(1), event(2))).status == 400
    answer = post(server, "/events", json.dumps(event(3, action="LOOK")).encode())
    assert answer.status == 400
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/action"
    forged = event(4, **{"tagtrail:evidence": {"document": "0" * 64}})
    assert post(server, "/events", json.dumps(forged).encode()).status == 400
    assert size(server) == before
