"""What a sender hears: every fault with its place, remarks, and remarks as faults if asked."""

import json
from typing import Any

import pytest
import urllib3

from tests.ledger.api.conftest import Server
from tests.ledger.api.test_capture import LD, captured, document, event, post, size

STRICT = {"Content-Type": LD, "Prefer": "respond-async, Handling=Strict; x=1"}
TWICE = {"epcList": ["urn:epc:id:sgtin:9506000.013435.700"] * 2}


def post_strictly(server: Server, path: str, body: bytes) -> urllib3.BaseHTTPResponse:
    return server.pool.request("POST", server.url + path, body=body, headers=STRICT)


def one(answer: Any) -> Any:
    (only,) = answer
    return only


def test_a_remark_comes_back_with_the_job_and_with_the_event(server: Server) -> None:
    job = captured(server, document(event(700, **TWICE)))
    assert (job["success"], job["captured"], job["remarkCount"]) == (True, 1, 1)
    remark = one(job["remarks"])
    assert remark["pointer"] == "/epcisBody/eventList/0/epcList/0"
    assert remark["why"]
    assert remark["mend"]
    answer = post(server, "/events", json.dumps(event(701, **TWICE)).encode())
    assert one(answer.json()["remarks"])["pointer"] == "/epcList/0"


def test_a_strict_sender_has_remarks_refused(server: Server) -> None:
    before = size(server)
    body = document(event(702, **TWICE), event(703))
    answer = post_strictly(server, "/capture", body)
    assert answer.status == 202
    assert answer.headers["Preference-Applied"] == "handling=strict"
    job = captured_at(server, answer)
    assert (job["success"], job["strict"], job["captured"]) == (False, True, 0)
    assert one(job["errors"])["pointer"] == "/epcisBody/eventList/0/epcList/0"
    alone = post_strictly(server, "/events", json.dumps(event(702, **TWICE)).encode())
    assert alone.status == 400
    assert size(server) == before
    assert post_strictly(server, "/events", json.dumps(event(704)).encode()).status == 201


def captured_at(server: Server, answer: urllib3.BaseHTTPResponse) -> Any:
    while (job := server.get(answer.headers["Location"]).json())["running"]:
        pass
    return job


def test_all_that_is_wrong_is_told_at_once(server: Server) -> None:
    bad = event(705, action="LOOK", bizStep=7, epcList=["urn:epc:id:sgtin:1.2", 5])
    del bad["eventTimeZoneOffset"]
    lists = json.loads(document(event(706), bad))
    lists["epcisBody"]["eventList"].append("no event")
    job = captured(server, json.dumps(lists).encode(), behaviour="proceed")
    base = "/epcisBody/eventList"
    assert {problem["pointer"] for problem in job["errors"]} == {
        f"{base}/1/action",
        f"{base}/1/bizStep",
        f"{base}/1/epcList/0",
        f"{base}/1/epcList/1",
        f"{base}/1/eventTimeZoneOffset",
        f"{base}/2",
    }
    assert (job["captured"], job["errorCount"]) == (1, 6)
    assert all(problem["mend"] for problem in job["errors"])


def test_errors_past_the_limit_are_counted(server: Server) -> None:
    bad = event(707, epcList=["x"] * 60)
    job = captured(server, document(*([bad] * 20)))
    assert len(job["errors"]) == 1000
    assert job["errorCount"] == 20 * 60
    assert not job["success"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_has_no_year_for_stops_nothing(server: Server, time: str) -> None:
    strange = event(708, eventTime=time, eventID="urn:uuid:708")
    job = captured(server, document(strange, strange))
    assert job["errors"][0]["pointer"] == "/epcisBody/eventList/0/eventTime"
    assert captured(server, document(event(709, eventTime="9999-12-31T23:59:59Z")))["success"]


def test_a_document_without_a_body_is_no_event(server: Server) -> None:
    answer = post(server, "/capture", b'{"type": "EPCISDocument", "schemaVersion": "2.0"}')
    assert answer.status == 400
    assert "epcisBody" in answer.json()["detail"]
