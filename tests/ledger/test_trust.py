"""Who may say what: the vectors of `tests/vectors/trust`, and the fold that they stand on."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import parse_entry
from ledger.errors import RefusedError
from ledger.statement import NO_HASH, Capture, Equivocation, KeyOp, parse_statement
from ledger.tlog.merkle import leaf_hash
from ledger.trust.authority import EquivocationError, KnownError, authorise, key_leaf_for
from ledger.trust.state import (
    TrustState,
    fold_entry,
    kids_about,
    restore,
    shapes_trust,
)
from tests.ledger.memory_log import (
    DAIRY,
    HEARTBEAT,
    OPERATOR,
    ORIGIN,
    MemoryLog,
    Writer,
    enrolment,
    full_cast,
    signer_named,
)
from tests.vectors.scene import Scene, ending, new_epoch, rotation
from tests.vectors.trust_body_cases import anchor

VECTORS = Path(__file__).parents[1] / "vectors" / "trust"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))


def load_vector(name: str) -> dict[str, Any]:
    vector: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return vector


def submit(log: MemoryLog, raw: bytes) -> str:
    """Return what became of the statement: `logged`, or the check that refused it."""
    try:
        log.append(raw)
    except RefusedError as refusal:
        return refusal.check
    return "logged"


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_plays_as_it_says(name: str) -> None:
    vector = load_vector(name)
    log = MemoryLog(TrustState(vector["origin"]))
    if vector["base"] != "empty":
        for step in load_vector(vector["base"])["steps"]:
            log.append(bytes.fromhex(step["statement"]))
    outcomes = [submit(log, bytes.fromhex(step["statement"])) for step in vector["steps"]]
    assert outcomes == [step["expect"] for step in vector["steps"]]
    assert (log.size, log.root_at(log.size).hex()) == (vector["size"], vector["root"])


def test_the_vectors_reach_every_check() -> None:
    seen = {step["expect"] for name in NAMES for step in load_vector(name)["steps"]}
    order = "aud kid signature known equivocation key iss role grade epoch seq prev seen body"
    assert seen == {"logged", *order.split()}


def test_a_refusal_names_the_first_check_that_fails() -> None:
    cast = full_cast()
    log, dairy, gateway = cast.log, cast.dairy, cast.gateway
    log.say(gateway, HEARTBEAT)
    log.say(dairy, ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway"))
    wrong: dict[str, Any] = {"iss": OPERATOR, "epoch": 7, "seq": 9, "prev": bytes(range(32))}
    assert submit(log, gateway.sign(HEARTBEAT, aud="other", **wrong)) == "aud"
    stranger = Writer(signer_named("stranger"), DAIRY)
    assert submit(log, stranger.sign(HEARTBEAT, **wrong)[:-64] + bytes(64)) == "kid"
    assert submit(log, gateway.sign(HEARTBEAT, **wrong)[:-64] + bytes(64)) == "signature"
    assert submit(log, gateway.sign(Capture(3, 1, NO_HASH), epoch=0, seq=0)) == "equivocation"
    assert submit(log, gateway.sign(HEARTBEAT, **wrong)) == "key"
    over = Capture(3, 1, leaf_hash(b""))
    assert submit(log, dairy.sign(anchor(3), **wrong)) == "iss"
    del wrong["iss"]
    assert submit(log, dairy.sign(anchor(3), **wrong)) == "role"
    weak = Writer(signer_named("weak"), DAIRY)
    log.say(dairy, enrolment(weak.signer, DAIRY, "gateway", grade_max=1))
    assert submit(log, weak.sign(over, **wrong)) == "grade"
    for check in ("epoch", "seq", "prev"):
        assert submit(log, weak.sign(HEARTBEAT, **wrong)) == "grade"
        low = Capture(1, 1, leaf_hash(b""))
        assert submit(log, weak.sign(low, **wrong)) == check
        del wrong[check]
    assert submit(log, weak.sign(Capture(1, 1, leaf_hash(b"")))) == "logged"


def test_known_and_equivocation_say_where_the_first_one_is() -> None:
    cast = full_cast()
    raw, other = cast.gateway.sign(HEARTBEAT), cast.gateway.sign(Capture(2, 1, leaf_hash(b"")))
    index = cast.log.append(raw)
    with pytest.raises(KnownError) as known:
        cast.log.append(raw)
    with pytest.raises(EquivocationError) as equivocation:
        cast.log.append(other)
    assert known.value.index == equivocation.value.index == index


def test_a_signature_verified_elsewhere_is_not_verified_again() -> None:
    cast = full_cast()
    unsigned = parse_statement(cast.gateway.sign(HEARTBEAT)[:-64] + bytes(64))
    authorise(cast.log.state, unsigned, 5, cast.log, signature_verified=True)
    with pytest.raises(RefusedError, match="signature"):
        authorise(cast.log.state, unsigned, 5, cast.log)


def test_each_entry_names_the_newest_key_entry_about_its_kid() -> None:
    cast = full_cast()
    log, dairy, gateway = cast.log, cast.dairy, cast.gateway
    log.say(gateway, HEARTBEAT)
    log.say(dairy, new_epoch(Scene("", "", log), "gateway", 1))
    gateway.open_epoch(1)
    log.say(gateway, HEARTBEAT)
    log.say(dairy, rotation(Scene("", "", log), "gateway", "gateway 2"))
    log.say(Writer(signer_named("gateway 2"), DAIRY), HEARTBEAT)
    keys = [parse_entry(data).key_leaf_hash for data in log.entries]
    leaf = log.leaves
    assert keys[0] == NO_HASH
    assert keys[1] == leaf[0]
    assert keys[2] == keys[4] == leaf[0]
    assert keys[3] == leaf[2]
    assert [keys[5], keys[7], keys[9]] == [leaf[3], leaf[6], leaf[8]]


def test_nobody_s_key_leaf_is_zero() -> None:
    cast = full_cast()
    stranger = Writer(signer_named("stranger"), DAIRY)
    assert key_leaf_for(cast.log.state, parse_statement(stranger.sign(HEARTBEAT))) == NO_HASH


def test_a_rotation_is_about_both_keys() -> None:
    cast = full_cast()
    dairy = cast.dairy
    body = rotation(Scene("", "", cast.log), "gateway", "gateway 2")
    statement = parse_statement(dairy.sign(body))
    assert kids_about(statement) == (cast.gateway.signer.kid, signer_named("gateway 2").kid)
    revoke = parse_statement(dairy.sign(ending(KeyOp.REVOKE, "gateway", DAIRY, "gateway")))
    assert kids_about(revoke) == (cast.gateway.signer.kid,)
    assert kids_about(parse_statement(dairy.sign(HEARTBEAT))) == ()


def snapshot(state: TrustState) -> tuple[object, ...]:
    parties = {iss: state.has_valid_party(iss) for iss in (DAIRY, OPERATOR, "nobody")}
    return dict(state.keys), dict(state.chains), dict(state.anchors), parties


def eventful_log() -> MemoryLog:
    """Return a log in which every kind of change to the state has happened."""
    cast = full_cast()
    log, admin, dairy, gateway = cast.log, cast.admin, cast.dairy, cast.gateway
    operator = Writer(signer_named("log"), OPERATOR)
    scene = Scene("", "", log)
    log.say(admin, enrolment(operator.signer, OPERATOR, "log"))
    log.say(operator, anchor(3))
    other = gateway.sign(Capture(2, 1, leaf_hash(b"")))
    log.say(gateway, HEARTBEAT, seen=log.seen())
    log.say(operator, Equivocation(log.size - 1, other))
    log.say(operator, ending(KeyOp.SUSPEND, "gateway", DAIRY, "gateway"))
    log.say(dairy, new_epoch(scene, "gateway", 1))
    gateway.open_epoch(1)
    log.say(gateway, HEARTBEAT, seen=log.seen())
    log.say(dairy, rotation(scene, "gateway", "gateway 2"))
    log.say(dairy, ending(KeyOp.COMPROMISED, "gateway", DAIRY, "gateway", epoch=1))
    log.say(admin, ending(KeyOp.SUSPEND, "farm", cast.farm.iss, "party"))
    log.say(Writer(signer_named("gateway 2"), DAIRY), HEARTBEAT)
    log.say(dairy, new_epoch(scene, "gateway 2", 1))
    log.say(admin, ending(KeyOp.REVOKE, "dairy", DAIRY, "party"))
    return log


def newest_of_each(log: MemoryLog) -> list[tuple[int, Any]]:
    newest: dict[bytes, tuple[int, Any]] = {}
    for index, statement in enumerate(log.statements):
        newest[statement.kid] = index, statement
    return list(newest.values())


def test_a_state_restored_from_few_entries_is_the_state_folded_from_all() -> None:
    log = eventful_log()
    few = [
        (index, statement, log.leaves[index])
        for index, statement in enumerate(log.statements)
        if shapes_trust(statement)
    ]
    assert len(few) < log.size
    assert snapshot(restore(ORIGIN, few, newest_of_each(log))) == snapshot(log.state)


def test_the_end_of_a_key_is_where_it_first_ended() -> None:
    record = eventful_log().state.keys[signer_named("gateway").kid]
    assert (record.ended_at, record.suspect_since, record.is_valid) == (12, 0, False)


@given(st.integers(0, 17), st.integers(0, 17))
def test_a_batch_that_is_undone_leaves_no_trace(kept: int, tried: int) -> None:
    log = eventful_log()
    state = TrustState(ORIGIN)
    kept, end = min(kept, log.size), min(kept + tried, log.size)
    for index in range(kept):
        fold_entry(state, index, log.statements[index], log.leaves[index])
    before = snapshot(state)
    state.begin()
    for index in range(kept, end):
        fold_entry(state, index, log.statements[index], log.leaves[index])
    state.undo()
    assert snapshot(state) == before
    state.begin()
    for index in range(kept, log.size):
        fold_entry(state, index, log.statements[index], log.leaves[index])
    state.keep()
    assert snapshot(state) == snapshot(log.state)
