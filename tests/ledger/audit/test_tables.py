"""JUnit and CSV say what the report says, and do nothing to whoever opens them."""

import csv
import io
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from ledger.audit.finding import CHECKS, Finding, Findings, Result
from ledger.audit.report import Report
from ledger.audit.summary import LogSummary
from ledger.audit.tables import COLUMNS, format_csv, format_junit, harmless


def report_of(*found: Finding) -> Report:
    findings = Findings()
    findings.extend(found)
    return Report(
        target='lo"g<\x1b[2J',
        summary=LogSummary(),
        result=findings.result(undecided=False),
        findings=findings.kept(),
        more={},
        undecided=(),
        not_checked=["That a sensor told the truth."],
        made=frozenset({1, 2, 3, 4, 5, 8}),
    )


def finding(check: int, what: str = "Something.", *, remark: bool = False) -> Finding:
    return Finding(
        check=check,
        index=7,
        field="f",
        expected="a",
        computed="b",
        what=what,
        remark=remark,
    )


def test_junit_has_a_case_for_each_check() -> None:
    root = ET.fromstring(format_junit(report_of(finding(2), finding(10, remark=True))))
    cases = root.findall("testcase")
    assert len(cases) == len(CHECKS)
    assert [case.get("name") for case in cases if case.find("failure") is not None] == [
        f"2 {CHECKS[2].name}: {CHECKS[2].question}"
    ]
    assert sum(case.find("skipped") is not None for case in cases) == len(CHECKS) - 6
    assert root.get("failures") == "1"


def test_junit_of_a_ledger_that_cannot_be_judged_is_an_error() -> None:
    undecided = replace(report_of(), undecided=("a & b",), result=Result.UNDECIDED)
    root = ET.fromstring(format_junit(undecided))
    assert root.get("errors") == "1"
    assert [error.text for error in root.iter("error")] == ["a & b"]


def test_hostile_text_is_no_markup_and_no_control() -> None:
    hostile = "]]> <failure/> & \x00\x1b[31m \ufffe \ud800 \u202e"
    text = format_junit(report_of(finding(8, hostile)))
    root = ET.fromstring(text)
    assert len(list(root.iter("failure"))) == 1
    assert not set(text) & set("\x00\x1b\ufffe\ud800\u202e")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "|cmd", "%0A", "\uff1d1", "\t=1", "\r=1"]
)
def test_a_cell_that_would_be_a_formula_is_text(cell: str) -> None:
    assert (
        not harmless(cell).lstrip().startswith(("=", "+", "-", "@", "|", "%", "\uff1d", "\t"))
    )


def test_csv_reads_back_with_one_line_for_each_finding() -> None:
    hostile = '=HYPERLINK("http://evil.example","a,b")\n=2+2'
    text = format_csv(report_of(finding(2), finding(8, hostile)))
    rows = list(csv.reader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 3
    assert rows[2][-1] == '\'=HYPERLINK("http://evil.example","a,b")\\x0a=2+2'
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
