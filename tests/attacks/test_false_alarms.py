"""What honest parties do, with all its accidents, is never called tampering."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.audit.report import Report, format_report, report_to_json
from ledger.cli.verify import audit_folder
from ledger.disclosure import Submission, WholeEvent, commitment, events_root
from ledger.errors import RefusedError
from ledger.statement import Capture, Key, KeyOp, Last
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from ledger.tlog.merkle import Hash
from tests.attacks.ledgers import BuiltLedger, Clock, event, found_ledger
from tests.ledger.memory_log import (
    DAIRY,
    OPERATOR,
    ORIGIN,
    Writer,
    enrolment,
    signer_named,
)


@pytest.fixture
def ledger(tmp_path: Path) -> BuiltLedger:
    return found_ledger(tmp_path / "ledger")


def audit(ledger: BuiltLedger) -> Report:
    ledger.publish()
    ledger.close()
    return audit_folder(ledger.folder)


def ending(ledger: BuiltLedger, op: KeyOp, writer: Writer, **fields: object) -> Key:
    """Return a body that ends or suspends the key of `writer`."""
    record = ledger.log.keys()[writer.signer.kid]
    body = Key(
        op=op, kid=Hash(writer.signer.kid), iss=record.iss, role=record.role, epoch=record.epoch
    )
    return replace(body, **fields)  # type: ignore[arg-type]


def test_rotation_suspension_new_epochs_and_the_end_of_keys(ledger: BuiltLedger) -> None:
    ledger.capture(ledger.gateway, [event(1, 0)])
    ledger.say(ledger.dairy, ending(ledger, KeyOp.SUSPEND, ledger.gateway))
    last = Last(ledger.gateway.seq - 1, ledger.gateway.prev)
    again = replace(
        enrolment(ledger.gateway.signer, DAIRY, "gateway", grade_max=2),
        op=KeyOp.NEW_EPOCH,
        epoch=1,
        last=last,
        pop=None,
    )
    ledger.say(ledger.dairy, again)
    ledger.gateway.open_epoch(1)
    ledger.publish()
    ledger.capture(ledger.gateway, [event(2, 0)])
    new = Writer(signer_named("new gateway"), DAIRY)
    last = Last(ledger.gateway.seq - 1, ledger.gateway.prev)
    rotation = replace(
        enrolment(new.signer, DAIRY, "gateway", grade_max=2),
        op=KeyOp.ROTATE,
        kid=Hash(ledger.gateway.signer.kid),
        last=last,
    )
    ledger.say(ledger.dairy, rotation)
    ledger.capture(new, [event(3, 0)])
    ledger.say(ledger.dairy, ending(ledger, KeyOp.COMPROMISED, new, suspect_since=5))
    ledger.say(ledger.admin, ending(ledger, KeyOp.REVOKE, ledger.farm))
    report = audit(ledger)
    assert report.result is Result.VERIFIED, report.findings
    assert report.summary.suspect_keys[0].endswith("from entry 5 on")


def test_a_revocation_that_names_the_last_honest_statement(ledger: BuiltLedger) -> None:
    ledger.capture(ledger.gateway, [event(1, 0)])
    honest = Last(ledger.gateway.seq - 1, ledger.gateway.prev)
    ledger.capture(ledger.gateway, [event(2, 0)])  # By the thief.
    ledger.say(ledger.dairy, ending(ledger, KeyOp.REVOKE, ledger.gateway, last=honest))
    report = audit(ledger)
    assert report.result is Result.VERIFIED, report.findings


def test_an_equivocation_that_the_log_proves(ledger: BuiltLedger) -> None:
    log_signer = signer_named("statements of the log")
    ledger.say(ledger.admin, enrolment(log_signer, OPERATOR, "log"))
    ledger.log.close()
    ledger.log = Log(ledger.folder, ORIGIN, now_us=Clock(), log_key=log_signer)
    first, second = ([event(n, 0)] for n in (1, 2))
    raw = ledger.gateway.sign(body_of(second))
    ledger.capture(ledger.gateway, first)
    submission = verify_submission(Submission(raw, tuple(second)), ledger.log.keys())
    (outcome,) = ledger.log.append([submission])
    assert isinstance(outcome, RefusedError)
    assert outcome.check == "equivocation"
    ledger.log.close()
    report = audit_folder(ledger.folder)
    assert report.findings == []
    assert report.summary.statements["tagtrail/equivocation/v1"] == 1


def body_of(events: list[WholeEvent]) -> Capture:
    return Capture(2, len(events), events_root(map(commitment, events)))


def test_repeated_statements_and_clocks_that_go_back(ledger: BuiltLedger) -> None:
    clock = ledger.log._now_us
    assert isinstance(clock, Clock)
    raw = ledger.gateway.sign(body_of([event(1, 0)]))
    ledger.capture(ledger.gateway, [event(1, 0)])
    clock.now_us -= 3_600_000_000
    submission = verify_submission(Submission(raw, (event(1, 0),)), ledger.log.keys())
    ledger.log.append([submission, submission])
    ledger.capture(ledger.gateway, [event(1, 0), event(1, 0)])
    ledger.capture(ledger.farm, [])
    report = audit(ledger)
    assert report.result is Result.VERIFIED, report.findings


def test_a_log_with_nothing_but_its_founding_entries(ledger: BuiltLedger) -> None:
    report = audit(ledger)
    assert report.result is Result.VERIFIED, report.findings


def test_a_log_that_has_signed_nothing_cannot_be_judged(ledger: BuiltLedger) -> None:
    ledger.close()
    report = audit_folder(ledger.folder)
    assert report.result is Result.UNDECIDED
    assert report.findings == []
    assert "No checkpoint" in report.undecided[0]


def test_hostile_names_of_parties_come_out_as_escapes(ledger: BuiltLedger) -> None:
    evil = "=cmd|' /C calc'!A0 \u202egnp.\u2066\u200b"
    thief = Writer(signer_named("evil"), evil)
    ledger.say(ledger.admin, enrolment(thief.signer, evil, "party"))
    ledger.say(ledger.admin, ending(ledger, KeyOp.COMPROMISED, thief, suspect_since=5))
    report = audit(ledger)
    assert report.result is Result.VERIFIED, report.findings
    printed = "\n".join(format_report(report))
    assert "\\u202egnp.\\u2066\\u200b" in printed
    assert all(one == "\n" or one.isprintable() for one in printed)
    assert evil not in json.dumps(report_to_json(report))
