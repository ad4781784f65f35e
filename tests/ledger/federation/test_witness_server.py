"""A witness over HTTP: the statuses of C2SP tlog-witness, and a memory that never goes back."""

import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import urllib3

from ledger.audit.fork import parse_fork, verify_fork
from ledger.audit.trustfile import Trust
from ledger.errors import ParseError, RefusedError
from ledger.federation.forks import find_forks
from ledger.federation.witnessing import create_witness, load_logs, load_witness_keys, trust_log
from ledger.keyfile import Ed25519Signer
from ledger.store.witnessed import Witnessed
from ledger.tlog.checkpoint import Checkpoint, parse_signed_checkpoint, sign_checkpoint
from ledger.tlog.cosignature import add_cosignatures, verifier_for
from ledger.tlog.merkle import Hash, TreeSize, leaf_hash, prove_consistency, tree_root
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.note import format_vkey, verify_note
from ledger.tlog.policy import parse_policy
from ledger.tlog.witness import AddCheckpoint, format_add_checkpoint
from tests.ledger.federation.neighbours import Neighbour, neighbours

ORIGIN = "tagtrail.example/log"
SIGNER = NoteSigner(ORIGIN, Ed25519Signer(sha256(b"log").digest()))
HONEST = [leaf_hash(bytes([n])) for n in range(40)]
FORKED = [*HONEST[:5], *(leaf_hash(bytes([n, 1])) for n in range(5, 40))]


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Neighbour]:
    with neighbours(tmp_path, format_vkey(SIGNER.key), names="north") as (one,):
        yield one


def note(leaves: list[Hash], size: int, signer: NoteSigner = SIGNER) -> bytes:
    root = tree_root(leaves[:size])
    return sign_checkpoint(
        Checkpoint(origin=signer.name, size=TreeSize(size), root=root), [signer]
    )


def request(leaves: list[Hash], old: int, size: int) -> bytes:
    proof = prove_consistency(leaves[:size], TreeSize(old)) if 0 < old < size else ()
    signed = parse_signed_checkpoint(note(leaves, size))
    return format_add_checkpoint(AddCheckpoint(TreeSize(old), proof, signed))


def post(one: Neighbour, body: bytes) -> tuple[int, bytes, str]:
    with urllib3.PoolManager(retries=False) as http:
        answer = http.request("POST", f"{one.url}/add-checkpoint", body=body)
        return answer.status, answer.data, answer.headers["Content-Type"]


def test_it_cosigns_with_both_of_its_keys_and_shows_what_it_cosigned(north: Neighbour) -> None:
    status, lines, _ = post(north, request(HONEST, 0, 7))
    assert status == 200
    keys = load_witness_keys(north.folder).public
    verifiers = [verifier_for(key) for key in keys]
    whole = add_cosignatures(note(HONEST, 7), lines, verifiers)
    assert len(parse_signed_checkpoint(whole).note.signatures) == 1 + len(keys)
    path = sha256(ORIGIN.encode()).hexdigest()
    with urllib3.PoolManager(retries=False) as http:
        shown = http.request("GET", f"{north.url}/{path}/checkpoint")
        assert shown.status == 200
        signed = parse_signed_checkpoint(shown.data)
        for verifier in (*verifiers, verifier_for(SIGNER.key)):
            verify_note(signed.note, [verifier])
        assert http.request("GET", f"{north.url}/{'0' * 64}/checkpoint").status == 404
        assert http.request("GET", f"{north.url}/nonsense/checkpoint").status == 404


def test_it_says_each_refusal_with_the_status_of_the_specification(north: Neighbour) -> None:
    assert post(north, request(HONEST, 0, 7))[0] == 200
    assert post(north, b"hello\n")[0] == 400
    assert post(north, b"x" * 2_000_000)[0] == 413
    assert post(north, request(HONEST, 7, 7))[0] == 200
    stranger = NoteSigner("stranger.example/log", Ed25519Signer(bytes(32)))
    unknown = parse_signed_checkpoint(note(HONEST, 7, stranger))
    assert post(north, format_add_checkpoint(AddCheckpoint(TreeSize(0), (), unknown)))[0] == 404
    imposter = NoteSigner(ORIGIN, Ed25519Signer(bytes(32)))
    forged = parse_signed_checkpoint(note(HONEST, 9, imposter))
    assert post(north, format_add_checkpoint(AddCheckpoint(TreeSize(7), (), forged)))[0] == 403
    assert post(north, request(HONEST, 3, 9)) == (409, b"7\n", "text/x.tlog.size")
    assert post(north, request(FORKED, 7, 9))[0] == 422
    assert post(north, request(HONEST, 9, 8).replace(b"old 9", b"old 10"))[0] == 400
    assert post(north, request(HONEST, 7, 9))[0] == 200


def test_a_smaller_size_is_never_cosigned_after_a_larger_one(north: Neighbour) -> None:
    assert post(north, request(HONEST, 0, 20))[0] == 200
    for old in (0, 7, 20):
        assert post(north, request(HONEST, min(old, 7), 7))[0] == 409
    north.stop()
    north.start()
    assert post(north, request(HONEST, 7, 9)) == (409, b"20\n", "text/x.tlog.size")


def test_requests_that_cross_leave_the_largest_size(north: Neighbour) -> None:
    assert post(north, request(HONEST, 0, 3))[0] == 200
    bodies = [request(HONEST, 3, size) for size in range(4, 40)]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda b=body: statuses.append(post(north, b)[0]), daemon=True)
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(set(statuses)) == [200, 409]
    assert statuses.count(200) == 1, "one extends size 3; the others come too late"


@pytest.mark.parametrize(("first", "second"), [(9, 9), (7, 12), (9, 30)])
def test_a_log_that_shows_two_histories_leaves_the_proof_behind(
    north: Neighbour, first: int, second: int
) -> None:
    assert post(north, request(HONEST, 0, first))[0] == 200
    assert post(north, request(FORKED, first, second))[0] == 422
    (found,) = find_forks(north.folder)
    assert found.proof is not None
    policy = parse_policy(f"log {format_vkey(SIGNER.key)}\nquorum none\n")
    trust = Trust(origin=ORIGIN, entry0=Hash(bytes(32)), policy=policy)
    verify_fork(parse_fork(found.proof), trust)  # Raises where it convinces nobody.


def test_a_wrong_proof_for_an_honest_tree_is_refused_and_convicts_nobody(
    north: Neighbour,
) -> None:
    assert post(north, request(HONEST, 0, 9))[0] == 200
    honest = parse_signed_checkpoint(note(HONEST, 12))
    proof = prove_consistency(HONEST[:12], TreeSize(9))
    for wrong in (proof[:-1], (*proof, proof[0]), proof[::-1], ()):
        body = format_add_checkpoint(AddCheckpoint(TreeSize(9), tuple(wrong), honest))
        assert post(north, body)[0] == 422
    assert [one.proof for one in find_forks(north.folder)] == [None]
    assert post(north, request(HONEST, 9, 12))[0] == 200


def test_a_flood_of_refused_checkpoints_does_not_wash_the_first_one_away(
    north: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.witnessed.REFUSED_MAX", 3)
    assert post(north, request(HONEST, 0, 9))[0] == 200
    for size in range(10, 20):
        assert post(north, request(FORKED, 9, size))[0] == 422
    memory = Witnessed(north.folder)
    try:
        kept = memory.load_refused()
    finally:
        memory.close()
    assert len(kept) == 3
    assert b"\n10\n" in kept[0].request


def test_a_log_that_is_trusted_later_is_cosigned_without_a_restart(north: Neighbour) -> None:
    other = NoteSigner("other.example/log", Ed25519Signer(sha256(b"other").digest()))
    signed = parse_signed_checkpoint(note(HONEST, 4, other))
    body = format_add_checkpoint(AddCheckpoint(TreeSize(0), (), signed))
    assert post(north, body)[0] == 404
    trust_log(north.folder, format_vkey(other.key))
    assert post(north, body)[0] == 200
    (north.folder / "logs.policy").write_text("rubbish\n")
    assert post(north, body)[0] == 409, "the old list stays in force"


def test_a_witness_is_made_once_and_trusts_a_log_once(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    create_witness(folder, "west.example")
    with pytest.raises(RefusedError, match="not empty"):
        create_witness(folder, "west.example")
    with pytest.raises(ParseError):
        create_witness(tmp_path / "v", "a name with spaces")
    trust_log(folder, format_vkey(SIGNER.key))
    with pytest.raises(ParseError):
        trust_log(folder, format_vkey(SIGNER.key))
    assert [log.key.name for log in load_logs(folder).logs] == [ORIGIN]
