"""Events are changed, deleted, erased with and without notice, or swapped."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.audit.documents import DocumentAudit
from ledger.audit.erasures import Erasures
from ledger.audit.finding import Result, Weight
from ledger.audit.report import Report
from ledger.cli.verify import audit_folder
from ledger.disclosure import SubmittedEvent, decode_event, encode_event
from ledger.statement import Erasure
from tests.attacks.forger import forge
from tests.attacks.ledgers import NOTICE, BuiltLedger, digest, event, paper

CAPTURE_OF_TWO, CAPTURE_OF_THREE, WITHHELD = 12, 13, 9
ERASE = "UPDATE event SET data = NULL WHERE eid = ? << 17 | ?"


@pytest.fixture
def attacked(small_ledger: Path, copy_of: Callable[[Path], Path]) -> Path:
    return copy_of(small_ledger)


def found(report: Report) -> list[tuple[int, int | None]]:
    return [(finding.check, finding.index) for finding in report.findings]


def test_a_changed_event_is_named_by_its_position(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute(
            "UPDATE event SET data = ? WHERE eid = ? << 17 | 1",
            (encode_event(event(99, 9)), CAPTURE_OF_TWO),
        )
    report = audit_folder(attacked)
    assert found(report) == [(11, CAPTURE_OF_TWO)]
    assert report.findings[0].field == "event.data (position 1)"


def test_two_swapped_events_of_one_statement_are_named(attacked: Path) -> None:
    with forge(attacked) as evidence:
        select = "SELECT data FROM event WHERE eid >> 17 = ? ORDER BY eid"
        rows = evidence.execute(select, (CAPTURE_OF_TWO,)).fetchall()
        for position, (data,) in enumerate(reversed(rows)):
            evidence.execute(
                "UPDATE event SET data = ? WHERE eid = ? << 17 | ?",
                (data, CAPTURE_OF_TWO, position),
            )
    assert found(audit_folder(attacked)) == [(11, CAPTURE_OF_TWO)] * 2


def test_a_deleted_event_is_missing(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute("DELETE FROM event WHERE eid = ? << 17 | 1", (CAPTURE_OF_THREE,))
    report = audit_folder(attacked)
    assert set(found(report)) == {(11, CAPTURE_OF_THREE)}
    assert report.summary.events.missing == 1


def test_an_added_event_belongs_to_no_statement(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute(
            "INSERT INTO event VALUES (? << 17 | 2, ?, NULL)", (CAPTURE_OF_TWO, digest(1))
        )
    assert found(audit_folder(attacked)) == [(11, CAPTURE_OF_TWO)]


def test_an_event_erased_without_notice_is_a_finding(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute(ERASE, (CAPTURE_OF_TWO, 1))
    report = audit_folder(attacked)
    assert found(report) == [(11, CAPTURE_OF_TWO)]
    assert "without notice" in report.findings[0].what
    # One more was erased with notice.
    assert (report.summary.events.erased, report.summary.events.missing) == (1, 1)


def test_an_event_erased_after_notice_is_none(open_ledger: BuiltLedger) -> None:
    open_ledger.say(open_ledger.gateway, Erasure(((CAPTURE_OF_TWO, 1),), 0, digest(0)))
    open_ledger.publish()
    open_ledger.close()
    report = audit_folder(open_ledger.folder)
    assert report.result is Result.VERIFIED, report.findings
    assert report.summary.events.erased == 2
    assert any("2 events, erased with notice" in text for text in report.not_checked)


def test_a_notice_about_another_event_does_not_cover_an_erasure(
    open_ledger: BuiltLedger,
) -> None:
    open_ledger.say(open_ledger.gateway, Erasure(((CAPTURE_OF_TWO, 0),), 0, digest(0)))
    open_ledger.publish()
    open_ledger.close()
    with forge(open_ledger.folder) as evidence:
        evidence.execute(ERASE, (CAPTURE_OF_TWO, 1))
    assert found(audit_folder(open_ledger.folder)) == [(11, CAPTURE_OF_TWO)]


def test_a_notice_row_that_no_statement_gives_excuses_nothing(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute("INSERT INTO notice VALUES (? << 17 | 1, 14)", (CAPTURE_OF_TWO,))
        evidence.execute(ERASE, (CAPTURE_OF_TWO, 1))
    assert found(audit_folder(attacked)) == [(11, CAPTURE_OF_TWO), (11, 14)]


def test_a_notice_row_that_is_gone_is_missed(attacked: Path) -> None:
    with forge(attacked) as evidence:
        evidence.execute("DELETE FROM notice")
    assert found(audit_folder(attacked)) == [(11, NOTICE)]


def test_withheld_parts_are_counted_and_said_not_to_be_checked(small_ledger: Path) -> None:
    report = audit_folder(small_ledger)
    assert report.result is Result.VERIFIED
    assert report.summary.events.withheld == 2
    assert any("withhold of 2 events" in text for text in report.not_checked)


@pytest.mark.parametrize("published", [True, False], ids=["signed", "under way"])
def test_an_event_that_is_kept_although_its_erasure_is_logged(
    open_ledger: BuiltLedger, *, published: bool
) -> None:
    kept = encode_event(open_ledger_event(open_ledger, CAPTURE_OF_TWO, 1))
    notice = open_ledger.say(open_ledger.gateway, Erasure(((CAPTURE_OF_TWO, 1),), 0, digest(0)))
    if published:
        open_ledger.publish()
    open_ledger.close()
    with forge(open_ledger.folder) as evidence:
        evidence.execute(
            "UPDATE event SET data = ? WHERE eid = ? << 17 | 1", (kept, CAPTURE_OF_TWO)
        )
    report = audit_folder(open_ledger.folder)
    assert found(report) == [(11, CAPTURE_OF_TWO)]
    (finding,) = report.findings
    assert f"entry {notice} says that it is erased" in finding.what
    # The server erases right after it has logged the notice.
    assert finding.weight is (Weight.POLICY if published else Weight.NOTE)
    assert report.result.exit_code == (2 if published else 0)


def open_ledger_event(ledger: BuiltLedger, index: int, position: int) -> SubmittedEvent:
    """Return an event that is still kept, as it is stored."""
    with forge(ledger.folder) as evidence:
        select = "SELECT data FROM event WHERE eid = ? << 17 | ?"
        (data,) = evidence.execute(select, (index, position)).fetchone()
    return decode_event(data)


def test_a_second_notice_about_an_erased_event_is_none(open_ledger: BuiltLedger) -> None:
    for _ in range(2):
        open_ledger.say(open_ledger.gateway, Erasure(((CAPTURE_OF_TWO, 1),), 0, digest(0)))
    open_ledger.publish()
    open_ledger.close()
    report = audit_folder(open_ledger.folder)
    assert report.result is Result.VERIFIED, report.findings


def test_more_erased_events_than_are_remembered_cannot_be_judged() -> None:
    erasures = Erasures(erased_max=2, named_max=1)
    for place in range(3):
        erasures.take_erased(place, ("", b""))
    assert erasures.left_out == 1
    assert [place for place, _ in erasures.unsettled()] == [0, 1]


def test_more_documents_than_are_remembered_are_followed_in_part() -> None:
    documents = DocumentAudit(documents_max=4)
    for n in range(64):
        documents.take_cited(n, [digest(n)])
    assert documents.left_out
    assert len(documents._cited) <= 4
    gone = [digest(n) for n in range(64) if digest(n) in documents._cited]
    kept = [(sha256(paper(n)).digest(), paper(n)) for n in range(3)]
    findings = [*documents.check_rows(kept), *documents.finish()]
    assert len([one for one in findings if "cannot be found" in one.what]) == len(gone)
