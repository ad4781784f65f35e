"""POST /statements: receipts, problems, and nothing half-stored."""

import socket
from hashlib import sha256

import cbor2
import pytest

from ledger.api.problems import TYPE_PREFIX
from ledger.disclosure import Submission, encode_submission, encode_submission_json
from tests.ledger.api.conftest import ANSWER_S, MANY, ONE, Server


def slug(answer: object) -> str:
    assert isinstance(answer, dict)
    return str(answer["type"]).removeprefix(TYPE_PREFIX)


def test_a_new_statement_is_201_and_the_same_again_is_200(server: Server) -> None:
    body = encode_submission(server.gateway.capture(2))
    first, again = server.post(body), server.post(body)
    assert (first.status, again.status) == (201, 200)
    assert first.json()["known"] is False
    assert again.json() == {**first.json(), "known": True}
    assert len(bytes.fromhex(first.json()["statement_id"])) == 32


def test_many_are_applied_in_order_and_each_is_answered(server: Server) -> None:
    bodies = [encode_submission(server.gateway.capture(1)) for _ in range(5)]
    answer = server.post(cbor2.dumps([*bodies[:2], b"junk", *bodies[2:]]), MANY)
    results = answer.json()["results"]
    assert answer.status == 200
    indexes = [one["index"] for one in results if "index" in one]
    assert indexes == list(range(indexes[0], indexes[0] + 5))
    assert slug(results[2]["problem"]) == "malformed"


def test_json_carries_one_or_many(server: Server) -> None:
    one = server.post(encode_submission_json(server.gateway.capture(1)), "application/json")
    assert one.status == 201
    two = b",".join(encode_submission_json(server.gateway.capture(1)) for _ in range(2))
    many = server.post(b"[" + two + b"]", "application/json; charset=utf-8")
    assert [one["known"] for one in many.json()["results"]] == [False, False]


def test_the_wrong_events_are_a_commitment_problem_and_leave_nothing(server: Server) -> None:
    good = server.gateway.capture(2, moves_on=False)
    size = server.get("/status").json()["size"]
    answer = server.post(encode_submission(Submission(good.statement, good.events[:1])))
    assert (answer.status, slug(answer.json())) == (422, "commitment")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert server.get("/status").json()["size"] == size


def test_a_forged_signature_is_refused_by_name(server: Server) -> None:
    good = server.gateway.capture(1, moves_on=False)
    forged = good.statement[:-1] + bytes([good.statement[-1] ^ 1])
    answer = server.post(encode_submission(Submission(forged, good.events)))
    assert (answer.status, slug(answer.json())) == (403, "refused")
    assert answer.json()["check"] == "signature"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "problem"),
    [
        (b"", ONE, 400, "malformed"),
        (b"\xff" * 100, ONE, 400, "malformed"),
        (b"\x82\x41\x00\x80", ONE, 400, "malformed"),
        (b"\x82\x41\x00\x9b\xff\xff\xff\xff\xff\xff\xff\xff", ONE, 400, "malformed"),
        (b"\x80", MANY, 413, "too-large"),
        (b"\x99\x01\x01" + b"\x40" * 257, MANY, 413, "too-large"),
        (b"{", "application/json", 400, "malformed"),
        (b'{"statement": 1}', "application/json", 400, "malformed"),
        (b"[" * 5000 + b"]" * 5000, "application/json", 400, "malformed"),
        (b"hello", "text/plain", 415, "unsupported-media-type"),
    ],
)
def test_bad_bodies_get_a_problem_and_the_server_lives(
    server: Server, body: bytes, content_type: str, status: int, problem: str
) -> None:
    answer = server.post(body, content_type)
    assert (answer.status, slug(answer.json())) == (status, problem)
    assert server.get("/healthz").status == 200


def test_a_body_past_the_limit_is_refused_unread_and_the_connection_closed(
    server: Server,
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /statements HTTP/1.1\r\nHost: {host}\r\nContent-Type: {ONE}\r\n"
    with socket.create_connection((host, int(port)), timeout=ANSWER_S) as connection:
        connection.sendall(f"{head}Content-Length: {10**12}\r\n\r\nx".encode())
        answer = b""
        while part := connection.recv(4096):  # Ends because the server closes.
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"problems/too-large" in answer


def test_mutated_submissions_are_refused_and_never_reach_a_defect(server: Server) -> None:
    good = bytearray(encode_submission(server.gateway.capture(1, moves_on=False)))
    size = server.get("/status").json()["size"]
    bodies = []
    for seed in range(2_560):
        digest = sha256(f"mutate/{seed}".encode()).digest()
        one = bytearray(good)
        for at in range(1 + digest[0] % 3):
            place = int.from_bytes(digest[4 * at + 1 : 4 * at + 5], "big") % len(one)
            one[place] ^= 1 << digest[20 + at] % 8
        if one != good:  # Two flips of one bit cancel out.
            bodies.append(bytes(one))
    seen = set()
    for start in range(0, len(bodies), 256):
        answer = server.post(cbor2.dumps(bodies[start : start + 256]), MANY)
        assert answer.status == 200
        seen |= {slug(one["problem"]) for one in answer.json()["results"]}
    assert seen <= {"malformed", "commitment", "refused"}
    assert {"malformed", "refused"} <= seen
    assert server.get("/status").json()["size"] == size
