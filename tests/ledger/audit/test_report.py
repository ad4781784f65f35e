"""What a report says, and that nothing in a ledger can make it say something else."""

from ledger.audit.finding import CHECKS, Finding, Findings, Result
from ledger.audit.report import PERMANENT, Report, format_report, list_not_checked, printable
from ledger.audit.scope import Scope
from ledger.audit.summary import LogSummary
from ledger.client.files import LedgerFiles


def finding(check: int, index: int | None, what: str = "Something.") -> Finding:
    return Finding(check=check, index=index, field="f", expected="a", computed="b", what=what)


def not_checked(summary: LogSummary, *, own_trust: bool, witnesses: bool) -> list[str]:
    return list_not_checked(
        summary,
        Scope(),
        own_trust=own_trust,
        witnesses=witnesses,
        compared=False,
        tables=LedgerFiles.tables,
    )


def report_of(*found: Finding) -> Report:
    findings = Findings()
    findings.extend(found)
    summary = LogSummary(origin="log.example\x1b]0;owned\x07", size=3)
    return Report(
        target="/tmp/\x1b[2Jx",
        summary=summary,
        result=findings.result(undecided=False),
        findings=findings.kept(),
        more=findings.not_kept(),
        undecided=(),
        not_checked=not_checked(summary, own_trust=True, witnesses=False),
    )


def test_hostile_names_cannot_drive_the_terminal() -> None:
    hostile = "name \x1b[31m \x9b2J \u202egnp.exe \u2066 \x07 \r\n \u200b \udc80"
    text = "\n".join(format_report(report_of(finding(8, 1, hostile))))
    assert not set(text) & set("\x1b\x9b\u202e\u2066\x07\r\u200b\udc80")
    assert "\\x1b[31m" in text
    assert "\\u202egnp.exe" in text


def test_names_in_other_scripts_are_left_as_they_are() -> None:
    assert (
        printable("Molkerei Grüezi 乳业 Ελλάς 🚚 עברית")
        == "Molkerei Grüezi 乳业 Ελλάς 🚚 עברית"
    )


def test_findings_are_kept_up_to_a_cap_and_counted_beyond_it() -> None:
    findings = Findings(per_check_max=3)
    findings.extend(finding(2, index) for index in (9, 5, None, 7, 1))
    assert [one.index for one in findings.kept()] == [1, 5, 7]
    assert findings.not_kept() == {2: 2}


def test_tampering_outweighs_doubt_and_doubt_outweighs_policy() -> None:
    findings = Findings()
    assert findings.result(undecided=False) is Result.VERIFIED
    findings.add(finding(13, 1))
    assert findings.result(undecided=False) is Result.VERIFIED
    findings.add(finding(6, 1))
    assert findings.result(undecided=False) is Result.POLICY
    assert findings.result(undecided=True) is Result.UNDECIDED
    findings.add(finding(2, 1))
    assert findings.result(undecided=True) is Result.TAMPERED
    assert [one.exit_code for one in Result] == [0, 1, 2, 3]


def test_what_no_ledger_can_prove_is_always_listed() -> None:
    listed = not_checked(LogSummary(), own_trust=False, witnesses=True)
    assert listed[-len(PERMANENT) :] == list(PERMANENT)
    assert len(listed) > len(PERMANENT)


def test_the_checks_are_numbered_without_a_hole() -> None:
    assert list(CHECKS) == list(range(1, 16))
