"""A log that lets in what its rules refuse: each is named, with the check that it fails."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.audit.report import Report
from ledger.cli.verify import audit_folder
from ledger.cose import encode_sign1
from ledger.disclosure import commitment, events_root
from ledger.statement import (
    Capture,
    Gap,
    Key,
    KeyOp,
    Last,
    Policy,
    Seen,
    Statement,
    parse_statement,
)
from ledger.tlog.merkle import EMPTY_ROOT, Hash, tree_root
from tests.attacks.crooked import append_unjudged, load_leaves
from tests.attacks.forger import forge, load_entry
from tests.attacks.ledgers import BuiltLedger, build_ledger, digest, event
from tests.ledger.memory_log import DAIRY, FARM, TIME_S, Writer, enrolment, signer_named

HEARTBEAT = Capture(2, 0, EMPTY_ROOT)
SIZE = 30


@pytest.fixture
def ledger(tmp_path: Path) -> BuiltLedger:
    """Return a ledger of 30 entries, closed; its writers can still sign."""
    built = build_ledger(tmp_path / "ledger", entries=SIZE)
    built.close()
    return built


def found(report: Report) -> list[tuple[int, int | None, str]]:
    return [(one.check, one.index, one.field) for one in report.findings]


def say(writer: Writer, body: object, **changes: object) -> bytes:
    """Return a statement signed by `writer`, who then goes on from it."""
    raw = writer.sign(body, **changes)  # type: ignore[arg-type]
    writer.advance(parse_statement(raw))
    return raw


def seen_of(ledger: BuiltLedger) -> Seen | None:
    return ledger.seen


def audit_with(ledger: BuiltLedger, *said: bytes) -> Report:
    append_unjudged(ledger.folder, *said)
    return audit_folder(ledger.folder)


def test_what_the_rules_admit_is_no_finding(ledger: BuiltLedger) -> None:
    raw = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    assert audit_with(ledger, raw).result is Result.VERIFIED


# --- Signatures ----------------------------------------------------------------------


def forged(ledger: BuiltLedger) -> bytes:
    raw = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    other = signer_named("thief").sign(parse_statement(raw).message)
    return raw[:-64] + other


def test_a_forged_statement(ledger: BuiltLedger) -> None:
    report = audit_with(ledger, forged(ledger))
    assert found(report) == [(8, SIZE, "entry.data: statement signature")]
    assert report.result.exit_code == 1


def test_a_statement_of_a_key_that_nobody_enrolled(ledger: BuiltLedger) -> None:
    stranger = Writer(signer_named("stranger"), DAIRY)
    report = audit_with(ledger, say(stranger, HEARTBEAT))
    assert found(report) == [(9, SIZE, "entry.data: kid")]
    assert report.result.exit_code == 1


# --- The chain of a source -----------------------------------------------------------


def test_a_replayed_statement(ledger: BuiltLedger) -> None:
    raw = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    report = audit_with(ledger, raw, raw)
    assert (10, SIZE + 1, "entry.data: known") in found(report)
    assert {one.check for one in report.findings} == {10}


def test_two_statements_in_the_wrong_order(ledger: BuiltLedger) -> None:
    first, second = (say(ledger.gateway, HEARTBEAT, seen=ledger.seen) for _ in range(2))
    report = audit_with(ledger, second, first)
    assert found(report)[0] == (10, SIZE, "entry.data: seq")
    assert {one.check for one in report.findings} == {10}
    assert report.result.exit_code == 1


def test_a_statement_that_was_left_out(ledger: BuiltLedger) -> None:
    say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    after = [say(ledger.gateway, HEARTBEAT, seen=ledger.seen) for _ in range(3)]
    report = audit_with(ledger, *after)
    assert found(report) == [(10, SIZE, "entry.data: seq")]


def test_a_second_statement_for_a_used_place_is_an_equivocation(ledger: BuiltLedger) -> None:
    place = {"seen": ledger.seen}
    first = ledger.gateway.sign(HEARTBEAT, **place)  # type: ignore[arg-type]
    second = ledger.gateway.sign(Gap("gate", 2, 0, 1, None, "silence"), **place)  # type: ignore[arg-type]
    ledger.gateway.advance(parse_statement(first))
    after = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    report = audit_with(ledger, first, second, after)
    named = [one for one in found(report) if one[2] == "entry.data: equivocation"]
    assert named == [(10, SIZE + 1, "entry.data: equivocation")]
    assert {one.check for one in report.findings} == {10}


def test_a_device_that_was_reset_to_hide_a_period(ledger: BuiltLedger) -> None:
    reset = Writer(ledger.gateway.signer, DAIRY)
    report = audit_with(ledger, say(reset, Gap("gate", 2, 5, 6, None, "nothing")))
    assert (10, SIZE, "entry.data: equivocation") in found(report)
    assert report.result.exit_code == 1


def test_an_epoch_that_nobody_opened(ledger: BuiltLedger) -> None:
    reset = Writer(ledger.gateway.signer, DAIRY, epoch=1)
    report = audit_with(ledger, say(reset, HEARTBEAT))
    assert found(report) == [(10, SIZE, "entry.data: epoch")]


# --- Authority -----------------------------------------------------------------------


def ended(ledger: BuiltLedger, op: KeyOp, **fields: object) -> bytes:
    kid = Hash(ledger.gateway.signer.kid)
    body = Key(op=op, kid=kid, iss=DAIRY, role="gateway")
    return say(ledger.dairy, replace(body, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("op", [KeyOp.REVOKE, KeyOp.SUSPEND])
def test_a_key_that_is_used_after_its_end(ledger: BuiltLedger, op: KeyOp) -> None:
    last = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    stolen = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    report = audit_with(ledger, last, ended(ledger, op), stolen)
    assert found(report) == [(9, SIZE + 2, "entry.data: key")]
    assert report.result.exit_code == 1


def test_a_stolen_key_is_suspect_from_an_entry_on_and_said_so(ledger: BuiltLedger) -> None:
    stolen = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    report = audit_with(ledger, stolen, ended(ledger, KeyOp.COMPROMISED, suspect_since=SIZE))
    assert report.result is Result.VERIFIED
    assert report.summary.suspect_keys[0].endswith(f"from entry {SIZE} on")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"aud": "tagtrail.example/other"}, "aud"),
        ({"iss": FARM}, "iss"),
    ],
)
def test_a_statement_for_another_log_or_another_party(
    ledger: BuiltLedger, changes: dict[str, str], field: str
) -> None:
    report = audit_with(ledger, say(ledger.gateway, HEARTBEAT, seen=ledger.seen, **changes))
    assert found(report) == [(9, SIZE, f"entry.data: {field}")]


def test_a_gateway_that_enrols_keys(ledger: BuiltLedger) -> None:
    body = enrolment(signer_named("friend"), DAIRY, "gateway")
    report = audit_with(ledger, say(ledger.gateway, body, seen=ledger.seen))
    assert (9, SIZE, "entry.data: role") in found(report)


def test_a_grade_that_the_key_may_not_claim(ledger: BuiltLedger) -> None:
    raw = say(ledger.gateway, Capture(3, 0, EMPTY_ROOT), seen=ledger.seen)
    assert found(audit_with(ledger, raw)) == [(9, SIZE, "entry.data: grade")]


def test_a_rotation_that_forgets_the_newest_statement(ledger: BuiltLedger) -> None:
    new = signer_named("new")
    body = replace(
        enrolment(new, DAIRY, "gateway", grade_max=2),
        op=KeyOp.ROTATE,
        kid=Hash(ledger.gateway.signer.kid),
        last=Last(0, digest(1)),
    )
    assert (9, SIZE, "entry.data: body") in found(audit_with(ledger, say(ledger.dairy, body)))


def test_things_begun_under_a_foreign_prefix_are_a_remark(ledger: BuiltLedger) -> None:
    made = event(1, 0)
    parts = list(made.parts)
    parts[2] = b'{"action":"ADD","epcList":["urn:epc:id:sgtin:4012345.011111.1"]}'
    parts[5] = b'{"bizStep":"commissioning"}'
    made = replace(made, parts=tuple(parts))
    root = events_root([commitment(made)])
    raw = say(ledger.gateway, Capture(2, 1, root), seen=ledger.seen)
    append_unjudged(ledger.folder, (raw, [made]))
    report = audit_folder(ledger.folder)
    assert report.result is Result.VERIFIED
    assert found(report) == [(9, SIZE, "event.data (position 0)")]
    assert report.findings[0].remark
    assert "4012345.011111.1" in report.findings[0].computed


# --- Times ---------------------------------------------------------------------------


def test_a_record_time_that_falls(ledger: BuiltLedger) -> None:
    raw = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    append_unjudged(ledger.folder, raw, times_us=[TIME_S * 1_000_000])
    report = audit_folder(ledger.folder)
    assert found(report) == [(12, SIZE, "entry.data: record_time_us")]


def test_a_root_that_this_log_never_had(ledger: BuiltLedger) -> None:
    assert ledger.seen is not None
    raw = say(ledger.gateway, HEARTBEAT, seen=Seen(ledger.seen.size, digest(0)))
    report = audit_with(ledger, raw)
    assert (12, SIZE, "entry.data: seen") in found(report)
    assert report.result.exit_code == 1


def test_a_statement_dated_before_what_it_has_seen_is_a_remark(ledger: BuiltLedger) -> None:
    """Writers stamp TIME_S; the log's clock is moved on by a day before it is seen."""
    day = 86_400 * 1_000_000
    first = say(ledger.dairy, Policy(0, digest(9)))
    append_unjudged(ledger.folder, first, times_us=[TIME_S * 1_000_000 + day])
    leaves = load_leaves(ledger.folder)
    seen = Seen(len(leaves), tree_root(leaves))
    raw = say(ledger.gateway, HEARTBEAT, seen=seen)
    append_unjudged(ledger.folder, raw, times_us=[TIME_S * 1_000_000 + day])
    report = audit_folder(ledger.folder)
    assert report.result is Result.VERIFIED
    assert found(report) == [(12, SIZE + 1, "entry.data: iat")]


def test_a_checkpoint_that_a_source_has_seen_and_that_was_deleted(ledger: BuiltLedger) -> None:
    raw = say(ledger.gateway, HEARTBEAT, seen=ledger.seen)
    append_unjudged(ledger.folder, raw)
    with forge(ledger.folder) as evidence:
        evidence.execute("DELETE FROM checkpoint WHERE size = ?", (SIZE,))
    report = audit_folder(ledger.folder)
    assert found(report) == [(4, SIZE - 1, f"checkpoint (size {SIZE})")]
    assert "deleted" in report.findings[0].what


def test_a_source_that_promised_heartbeats_and_was_silent(ledger: BuiltLedger) -> None:
    beating = Writer(signer_named("beating"), DAIRY)
    body = enrolment(beating.signer, DAIRY, "gateway", grade_max=2, heartbeat_s=60)
    start = TIME_S * 1_000_000 + 10**9
    said = [say(ledger.dairy, body), *(say(beating, HEARTBEAT) for _ in range(3))]
    said.append(say(ledger.farm, HEARTBEAT))
    times = [start, start, start + 110 * 10**6, start + 231 * 10**6, start + 500 * 10**6]
    append_unjudged(ledger.folder, *said, times_us=times)
    report = audit_folder(ledger.folder)
    assert report.result is Result.VERIFIED
    field = "entry.data: record_time_us"
    assert found(report) == [(10, SIZE + 3, field), (10, SIZE + 4, field)]
    assert all(one.remark for one in report.findings)


# --- Spelling ------------------------------------------------------------------------


def respelt(ledger: BuiltLedger) -> Statement:
    return parse_statement(ledger.gateway.sign(HEARTBEAT, seen=ledger.seen))


def with_unprotected(statement: Statement) -> bytes:
    raw = statement.raw
    at = 4 + raw[3]
    return raw[:at] + b"\xa1\x01\x01" + raw[at + 1 :]


def with_long_form(statement: Statement) -> bytes:
    raw = statement.raw
    return raw[:2] + b"\x59" + raw[3:4].rjust(2, b"\0") + raw[4:]


def with_algorithm(statement: Statement) -> bytes:
    return statement.raw.replace(b"\xa3\x01\x27\x04", b"\xa3\x01\x26\x04", 1)


def with_unknown_kind(statement: Statement) -> bytes:
    return statement.raw.replace(b"tagtrail/capture/v1", b"tagtrail/capture/v2", 1)


def with_a_key_twice(statement: Statement) -> bytes:
    protected = b"\xa4\x01\x27" + b"\x01\x27\x04\x58\x20" + statement.kid
    tail = statement.raw[4 : 4 + statement.raw[3]].split(statement.kid, 1)[1]
    payload = b"\x80"
    return encode_sign1(protected + tail, payload, statement.signature)


SPELLINGS: list[Callable[[Statement], bytes]] = [
    with_unprotected,
    with_long_form,
    with_algorithm,
    with_unknown_kind,
    with_a_key_twice,
    lambda statement: statement.raw + b"\0",
    lambda statement: statement.raw[:-1],
    lambda _: b"\xd2\x84" + b"\x9b" * 300,
]


@pytest.mark.parametrize("spell", SPELLINGS, ids=range(len(SPELLINGS)))
def test_another_spelling_of_a_statement(
    ledger: BuiltLedger, spell: Callable[[Statement], bytes]
) -> None:
    report = audit_with(ledger, spell(respelt(ledger)))
    assert found(report) == [(1, SIZE, "entry.data: statement")]
    assert report.result.exit_code == 1


def test_an_entry_that_no_bundle_can_hold(ledger: BuiltLedger) -> None:
    with forge(ledger.folder) as evidence:
        long = load_entry(evidence, SIZE - 1) + bytes(70_000)
        evidence.execute("UPDATE entry SET data = ? WHERE idx = ?", (long, SIZE - 1))
    report = audit_folder(ledger.folder)
    assert (1, SIZE - 1, "entry.data") in found(report)
    assert {one.index for one in report.findings} == {SIZE - 1}


def test_an_event_that_nests_without_end(ledger: BuiltLedger) -> None:
    made = event(1, 0)
    deep = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    made = replace(made, parts=(*made.parts[:7], deep))
    raw = say(ledger.gateway, Capture(2, 1, events_root([commitment(made)])), seen=ledger.seen)
    append_unjudged(ledger.folder, (raw, [made]))
    report = audit_folder(ledger.folder)
    assert found(report) == [(11, SIZE, "event.data (position 0)")]


def test_an_identity_that_is_the_hash_of_another_event_is_a_remark(ledger: BuiltLedger) -> None:
    made = event(1, 0)
    other = b'{"eventID":"ni:///sha-256;%b?ver=CBV2.0"}' % sha256(b"").hexdigest().encode()
    made = replace(made, parts=(other, *made.parts[1:]))
    raw = say(ledger.gateway, Capture(2, 1, events_root([commitment(made)])), seen=ledger.seen)
    append_unjudged(ledger.folder, (raw, [made]))
    report = audit_folder(ledger.folder)
    assert report.result is Result.VERIFIED
    assert found(report) == [(13, SIZE, "event.data (position 0): eventID")]
