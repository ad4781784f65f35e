"""The read path: checkpoint, tiles, bundles and proofs that a client can verify alone."""

import time
from base64 import b64decode
from urllib.parse import quote

import cbor2
import pytest

from ledger.disclosure import WholeEvent, encode_submission
from ledger.epcis.event import join_parts
from ledger.gs1.epc import canonical_key
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.merkle import Hash, TreeSize, leaf_hash, verify_consistency, verify_inclusion
from ledger.tlog.proof import parse_tlog_proof
from ledger.tlog.tiles import TileTree, bundle_path, decode_bundle, tile_path
from tests.ledger.api.conftest import ANSWER_S, MANY, Server


def grow_past(server: Server, size: int) -> tuple[TreeSize, Hash]:
    """Submit until the newest checkpoint covers more than `size`; return it."""
    while server.get("/status").json()["size"] <= size:
        bodies = [encode_submission(server.gateway.capture(1)) for _ in range(64)]
        server.post(cbor2.dumps(bodies), MANY)
    deadline = time.monotonic() + ANSWER_S
    while True:
        checkpoint = parse_signed_checkpoint(server.get("/checkpoint").data).checkpoint
        if checkpoint.size > size:
            return checkpoint.size, checkpoint.root
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_root_can_be_made_of_served_tiles(server: Server) -> None:
    size, root = grow_past(server, 300)
    tree = TileTree(lambda *name: server.get(f"/{tile_path(*name)}").data, size)
    assert tree.root() == root


def test_bundles_hold_the_entries_under_the_tiles(server: Server) -> None:
    size, _ = grow_past(server, 300)
    full = server.get(f"/{bundle_path(0)}")
    part = server.get(f"/{bundle_path(1, size - 256)}")
    entries = [*decode_bundle(full.data, 256), *decode_bundle(part.data, size - 256)]
    tile = server.get(f"/{tile_path(0, 0)}")
    assert b"".join(map(leaf_hash, entries[:256])) == tile.data
    assert {one.headers["Cache-Control"] for one in (full, part, tile)} == {
        "public, max-age=31536000, immutable"
    }
    assert tile.headers["Content-Type"] == "application/octet-stream"


def test_a_tlog_proof_verifies_against_its_own_checkpoint(server: Server) -> None:
    receipt = server.submit(1)
    size, root = grow_past(server, int(str(receipt["index"])))
    proof = parse_tlog_proof(server.get(f"/log/proof/{receipt['index']}?size={size}").data)
    n, at = divmod(int(str(receipt["index"])), 256)
    width = min(256, size - n * 256)
    entry = decode_bundle(server.get(f"/{bundle_path(n, width)}").data, width)[at]
    verify_inclusion(proof.path, leaf=leaf_hash(entry), index=proof.index, size=size, root=root)


def test_a_consistency_proof_leads_from_an_old_checkpoint_to_a_new_one(server: Server) -> None:
    old = grow_past(server, 0)
    new = grow_past(server, old[0])
    answer = server.get(f"/log/consistency?old={old[0]}&new={new[0]}").json()
    verify_consistency([Hash(b64decode(one)) for one in answer["proof"]], old=old, new=new)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tile/0/0", 400),
        ("/tile/64/000", 400),
        ("/tile/0/000.p/256", 400),
        ("/tile/0/000.p/0", 400),
        ("/tile/0/..%2f..%2fsigned.db", 400),
        ("/tile/0/999", 404),
        ("/tile/entries/x999/999", 404),
        ("/log/proof/-1", 400),
        ("/log/proof/99999999", 404),
        ("/log/proof/1?size=999999", 404),
        ("/log/proof/1?size=x", 400),
        ("/log/consistency?old=0", 400),
        ("/log/consistency", 400),
        ("/log/consistency?old=1&new=99999999", 404),
        ("/provenance/nothing", 400),
        ("/provenance/urn:epc:id:sgtin:9506000.013435.NEVER", 404),
        ("/provenance/urn:epc:id:sgtin:9506000.013435.1?at=yesterday", 400),
        ("/nothing", 404),
    ],
)
def test_what_is_not_there_or_not_well_formed_is_a_problem(
    server: Server, path: str, status: int
) -> None:
    answer = server.get(path)
    assert answer.status == status, answer.data
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_an_item_is_answered_once_the_index_has_followed(server: Server) -> None:
    submission = server.gateway.capture(1)
    index = server.post(encode_submission(submission)).json()["index"]
    deadline = time.monotonic() + ANSWER_S
    while server.get("/status").json()["indexed"] <= index:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    event = submission.events[0]
    assert isinstance(event, WholeEvent)
    (epc,) = join_parts(event.parts)["epcList"]
    answer = server.get(f"/provenance/{quote(epc, safe='')}?known_at={index + 1}")
    assert answer.status == 200, answer.data
    assert answer.json()["epc"] == canonical_key(epc)
    assert server.get(f"/provenance/{epc}?known_at={index}").status == 404


def test_keys_tell_where_every_chain_stands(server: Server) -> None:
    server.submit(1)
    keys = server.get("/keys").json()["keys"]
    assert [key["role"] for key in keys] == [
        "admin",
        "recovery",
        "log",
        "capture",
        "receipt",
        "party",
        "gateway",
    ]
    assert keys[-1]["next_seq"] == server.gateway.link.seq
