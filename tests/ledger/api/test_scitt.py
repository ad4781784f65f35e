"""SCITT's tools against a real server: registration, receipts, and the key to verify them."""

import time
from pathlib import Path

import cbor2
import pytest
import scitt_cose
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.audit.trustfile import parse_trust
from ledger.cli import main
from ledger.cose import parse_public_key
from ledger.receipt import parse_receipt, verify_receipt
from ledger.statement import Capture, Claims, Gap, parse_statement, sign_statement
from ledger.tlog.merkle import EMPTY_ROOT
from tests.ledger.api.conftest import ANSWER_S, DAIRY, ORIGIN, Gateway, Server
from tests.ledger.store.parties import START_US

COSE = "application/cose"


def gap(gateway: Gateway) -> bytes:
    raw = sign_statement(
        gateway.key,
        Claims(DAIRY, ORIGIN, START_US // 1_000_000),
        gateway.link,
        Gap("https://id.gs1.org/414/9506000134352", 2, 1, 2, None, "asleep"),
    )
    gateway.link = type(gateway.link)(0, gateway.link.seq + 1, parse_statement(raw).id)
    return raw


def register(server: Server, raw: bytes, content_type: str = COSE) -> "tuple[int, bytes, str]":
    answer = server.pool.request(
        "POST",
        f"{server.url}/entries",
        body=raw,
        headers={"Content-Type": content_type},
        redirect=False,
    )
    return answer.status, answer.data, answer.headers.get("Location", "")


def wait_for(server: Server, place: str) -> bytes:
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        answer = server.pool.request("GET", server.url + place, redirect=False)
        if answer.status == 200:
            assert answer.headers["Content-Type"] == "application/scitt-receipt+cose"
            return answer.data
        assert (answer.status, answer.headers["Location"]) == (302, place)
        time.sleep(0.05)
    raise AssertionError(f"no receipt at {place}")


def test_a_registered_statement_gets_a_receipt_that_others_can_verify(server: Server) -> None:
    status, _, place = register(server, gap(server.gateway))
    assert status in (201, 303)
    receipt = wait_for(server, place)
    index = int(place.rpartition("/")[2])
    (key,) = cbor2.loads(server.get("/.well-known/scitt-keys").data)
    x, kid = key[-2], key[2]
    assert server.get(f"/.well-known/scitt-keys/{kid.hex()}").status == 200
    assert server.get(f"/.well-known/scitt-keys/{'0' * 64}").status == 404
    bundle = server.get(f"/log/proof/{index}").data
    entry = _entry(bundle)
    pem = parse_public_key(x).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    result = scitt_cose.verify_receipt(
        receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=pem
    )
    assert result.ok, result.errors
    assert (result.issuer, result.subject) == (ORIGIN, "tagtrail/gap/v1")
    verify_receipt(parse_receipt(receipt), entry, x)


def _entry(tlog_proof: bytes) -> bytes:
    from ledger.tlog.proof import parse_tlog_proof  # noqa: PLC0415

    extra = parse_tlog_proof(tlog_proof).extra
    assert extra is not None
    return extra


def test_the_same_statement_again_leads_to_the_same_place(server: Server) -> None:
    raw = gap(server.gateway)
    _, _, place = register(server, raw)
    wait_for(server, place)
    status, data, again = register(server, raw, "application/scitt-statement+cose")
    assert (status, again) == (201, place)
    parse_receipt(data)


def test_a_statement_with_events_is_sent_elsewhere(server: Server) -> None:
    submission = server.gateway.capture(1, moves_on=False)
    status, data, _ = register(server, submission.statement)
    assert status == 415
    assert b"POST /statements takes both" in data


def test_a_heartbeat_is_a_statement_without_events(server: Server) -> None:
    gateway = server.gateway
    raw = sign_statement(
        gateway.key,
        Claims(DAIRY, ORIGIN, START_US // 1_000_000),
        gateway.link,
        Capture(2, 0, EMPTY_ROOT),
    )
    gateway.link = type(gateway.link)(0, gateway.link.seq + 1, parse_statement(raw).id)
    status, _, place = register(server, raw)
    assert status in (201, 303)
    wait_for(server, place)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"rubbish", COSE, 400),
        (b"", COSE, 400),
        (b"x" * 70_000, COSE, 413),
        (b"{}", "application/json", 415),
    ],
)
def test_what_is_no_statement_is_a_problem(
    server: Server, body: bytes, kind: str, status: int
) -> None:
    found, data, _ = register(server, body, kind)
    assert found == status
    assert b"tagtrail.dev/problems" in data


@pytest.mark.parametrize("path", ["/entries/99999", "/log/receipt/99999"])
def test_an_entry_that_is_not_there_has_no_receipt(server: Server, path: str) -> None:
    assert server.get(path).status == 404


def test_the_command_writes_both_kinds_of_proof(server: Server, tmp_path: Path) -> None:
    trust = parse_trust((server.folder / "trust.toml").read_bytes())
    assert trust.origin == ORIGIN
    for way in (("--url", server.url), ("--dir", str(server.folder))):
        for option, name in (((), "p"), (("--cose",), "c")):
            with pytest.raises(SystemExit) as ended:
                main(["proof", "0", *way, *option, "-o", str(tmp_path / name)])
            assert ended.value.code == 0
        receipt = parse_receipt((tmp_path / "c").read_bytes())
        entry = _entry((tmp_path / "p").read_bytes())
        (key,) = cbor2.loads(server.get("/.well-known/scitt-keys").data)
        verify_receipt(receipt, entry, key[-2])


def test_the_command_needs_one_way_to_the_log() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proof", "0"])
    assert ended.value.code == 2
