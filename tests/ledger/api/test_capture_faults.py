"""What a sender hears: every fault with its place, remarks, and remarks as faults if asked."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import urllib3

from ledger.app import Founding, create_ledger, open_ledger
from ledger.capture.handling import Handling
from ledger.capture.reception import LARGE_DOCUMENT_BYTES
from ledger.epcis.advice import OWN_FIELDS_MAX
from ledger.store.capture_jobs import CaptureJobs, NewJob
from tests.ledger.api.conftest import Server
from tests.ledger.api.test_capture import LD, captured, document, event, post, shown, size

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


def test_a_job_that_is_no_longer_read_ends_and_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    create_ledger(folder, Founding(origin="tagtrail.example/poison"))
    jobs = CaptureJobs(folder)
    names = ("{", document(event(1)).decode(), "[]")
    for name in names:
        data = name.encode()
        jobs.store(
            NewJob(
                capture_id=sha256(data).hexdigest(),
                created_us=0,
                behaviour="rollback",
                media=LD,
                sha256=sha256(data).digest(),
                data=data,
            )
        )
    jobs.close()
    with open_ledger(folder) as ledger:
        assert ledger.capture is not None
        # Documents are captured in the order in which they came.
        _, done = ledger.capture.accept(document(event(2)), LD, Handling())
        assert done.result(20).captured == 1
        newest = ledger.capture.jobs.load_newest(10)
    outcomes = [json.loads(job.outcome or b"{}") for job in reversed(newest)]
    assert [one["success"] for one in outcomes] == [False, True, False, True]
    assert [one["captured"] for one in outcomes] == [0, 1, 0, 1]
    assert "no longer read" in outcomes[0]["errors"][0]["title"]


def test_a_large_document_is_read_again_when_it_is_its_turn(server: Server) -> None:
    large = event(710, eventID="urn:uuid:710", **{"example:photo": "x" * LARGE_DOCUMENT_BYTES})
    large["@context"] = {"example": "https://ns.example.com/epcis/"}
    assert captured(server, document(large))["captured"] == 1
    assert captured(server, document(large))["known"] == 1
    assert len(shown(server, "urn:uuid:710")["example:photo"]) == LARGE_DOCUMENT_BYTES


def test_fields_without_end_are_told_in_one_sentence(server: Server) -> None:
    many = {f"own{n}": 1 for n in range(OWN_FIELDS_MAX + 1)}
    answer = post(server, "/events", json.dumps(event(711) | many).encode())
    assert answer.status == 400
    assert str(OWN_FIELDS_MAX) in one(answer.json()["errors"])["mend"]
