"""Findings for other programs: JUnit for continuous integration, CSV for spreadsheets.

JUnit: one test case for each check, failed where it found something that counts, skipped
where it was not made. CSV: one line for each finding, after a line of names.

Text out of a ledger is hostile here, too. XML gets no character that it does not know, and
a cell that a spreadsheet would take for a formula starts with an apostrophe (OWASP, CSV
injection); control characters are shown as escapes in both.

Pure: no I/O, no clock, no randomness.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol
from xml.sax.saxutils import escape, quoteattr

from ledger.audit.finding import CHECKS, Finding, Weight
from ledger.audit.report import printable

COLUMNS = ("check", "name", "weight", "index", "field", "expected", "computed", "what")

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORMULA_STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "|",
    "%",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)


class Tabled(Protocol):
    """A report of an audit of whatever it was."""

    @property
    def target(self) -> str:
        """What was audited."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found."""

    @property
    def undecided(self) -> Sequence[str]:
        """Why it cannot be judged, if so."""

    @property
    def made(self) -> Collection[int]:
        """The numbers of the checks that were made."""


def format_csv(report: Tabled) -> str:
    """Return the findings as CSV (RFC 4180)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in report.findings:
        index = "" if one.index is None else one.index
        cells = (one.field, one.expected, one.computed, one.what)
        name = CHECKS[one.check].name
        writer.writerow([one.check, name, one.weight.value, index, *map(harmless, cells)])
    return text.getvalue()


def harmless(cell: str) -> str:
    """Return `cell` so that a spreadsheet shows it and does nothing."""
    shown = printable(cell)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown


def format_junit(report: Tabled) -> str:
    """Return the report as JUnit XML, one test case for each check."""
    found: dict[int, list[Finding]] = {}
    for finding in report.findings:
        if finding.weight is not Weight.NOTE:
            found.setdefault(finding.check, []).append(finding)
    cases = "".join(_case(number, found.get(number, []), report) for number in CHECKS)
    undecided = "".join(
        f'  <testcase classname="tagtrail.verify" name="could be judged">'
        f"<error>{_text(why)}</error></testcase>\n"
        for why in report.undecided
    )
    skipped = len(set(CHECKS) - set(report.made))
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<testsuite name={_attribute(f'tagtrail verify {report.target}')} "
        f'tests="{len(CHECKS) + len(report.undecided)}" failures="{len(found)}" '
        f'errors="{len(report.undecided)}" skipped="{skipped}">\n'
        f"{cases}{undecided}</testsuite>\n"
    )


def _case(number: int, found: list[Finding], report: Tabled) -> str:
    check = CHECKS[number]
    head = (
        '  <testcase classname="tagtrail.verify" '
        f"name={_attribute(f'{number} {check.name}: {check.question}')}"
    )
    if found:
        lines = "\n\n".join("\n".join(_lines(finding)) for finding in found)
        message = _attribute(found[0].what)
        return f"{head}><failure message={message}>{_text(lines)}</failure></testcase>\n"
    if number not in report.made:
        return f"{head}><skipped/></testcase>\n"
    return f"{head}/>\n"


def _lines(finding: Finding) -> Iterator[str]:
    where = "" if finding.index is None else f"entry {finding.index}, "
    yield f"{where}{finding.field}"
    yield finding.what
    yield f"expected {finding.expected}"
    yield f"found {finding.computed}"
    yield f"who: {finding.who}"
    yield f"to do: {finding.todo}"


def _text(text: str) -> str:
    lines = text.split("\n")
    return escape(_NO_XML.sub("?", "\n".join(map(printable, lines))))


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("?", printable(text)))
