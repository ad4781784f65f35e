"""The outcome of an audit of a bundle, in the shape of any audit's.

    {"target", "origin", "size", "result", "findings", "more", "not_checked", "undecided",
     "summary": {"entries", "statements", "signatures", "events", "parts", "issuers",
                 "answer", …}}

A bundle shows what its maker chose, so what it cannot prove is a longer list.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from ledger.audit.bundle import BundleAudit, BundleSummary
from ledger.audit.finding import CHECKS, Finding, Findings, Result
from ledger.audit.report import (
    HEADLINES,
    NO_WITNESSES,
    PERMANENT,
    finding_lines,
    finding_to_json,
    printable,
)
from ledger.audit.trustfile import Trust

NO_TRUST = "Without --trust nobody's signature is known: name the log's trust.toml."
OTHER_RULES = (
    "The answer was worked out by other rules than this version's, so its claims cannot be "
    "compared; its evidence was looked at."
)
TOO_LONG = (
    "The answer, or what it is worked out from, is too long to be worked out again, so its "
    "claims were not compared; make a bundle with --at, or with --no-answer."
)
ISSUERS_SHOWN_MAX = 20
_SHOWN = frozenset({1, 2, 4, 8, 9, 11, 12, 13})
_BY_TRUST, _BY_ANSWER = frozenset({5, 6}), frozenset({14})
_CHOSEN = (
    "That the bundle shows every event of the log that is about its item: its maker chose.",
    "That the log passed over no revocation: only an audit of the whole log finds that.",
    "What lies between the entries: checks 2, 10 and 12 saw only what is shown.",
    "Check 7, consistency with what this auditor saw before.",
    "Check 15, the physical story: containment, places and quantities of the goods.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReport:
    """What there is to say about one bundle."""

    target: str
    summary: BundleSummary
    result: Result
    findings: Sequence[Finding]
    more: dict[int, int]
    undecided: Sequence[str]
    not_checked: Sequence[str]
    trusted: bool = False

    @property
    def made(self) -> frozenset[int]:
        """The numbers of the checks that were made, as far as a bundle shows anything."""
        signed = _BY_TRUST if self.trusted else frozenset()
        return _SHOWN | signed | (_BY_ANSWER if self.summary.answer_compared else frozenset())


def report_bundle(data: bytes, trust: Trust | None, *, target: str) -> BundleReport:
    """Audit the bundle `data`, called `target`, and return what there is to say about it."""
    audit, findings = BundleAudit(data, trust), Findings()
    findings.extend(audit.run())
    undecided = [] if trust is not None else [NO_TRUST]
    if audit.summary.answer_by_other_rules:
        undecided.append(OTHER_RULES)
    if audit.summary.answer_too_long:
        undecided.append(TOO_LONG)
    return BundleReport(
        target=target,
        summary=audit.summary,
        result=findings.result(undecided=bool(undecided)),
        findings=findings.kept(),
        more=findings.not_kept(),
        undecided=undecided,
        not_checked=list(_list_not_checked(audit.summary, trust)),
        trusted=trust is not None,
    )


def _list_not_checked(summary: BundleSummary, trust: Trust | None) -> Iterator[str]:
    if trust is None:
        yield "Checks 5 and 6, who signed the checkpoint; of 9, whether entry 0 is the log's."
    elif not trust.wants_witnesses:
        yield NO_WITNESSES
    parts = summary.parts
    if parts.withheld:
        yield (
            f"{parts.withheld} withheld parts of {parts.with_withheld} events: what they say, "
            "and whether there is anything."
        )
    if parts.nameless:
        yield (
            f"Whether one of the {parts.nameless} events whose part 0 is withheld declares "
            "that another event is wrong."
        )
    if summary.unjudged:
        yield (
            f"{summary.unjudged} statements by rules that ask for an entry that is not in the "
            "bundle."
        )
    for iss in summary.edge_issuers[:ISSUERS_SHOWN_MAX]:
        yield f"That a party key of {iss} was valid when its gateways and devices signed."
    yield from _CHOSEN
    yield from PERMANENT


def bundle_report_to_json(report: BundleReport) -> dict[str, object]:
    """Return the report as a JSON object."""
    summary = report.summary
    return {
        "target": report.target,
        "origin": summary.origin,
        "size": summary.size,
        "result": report.result.value,
        "findings": [finding_to_json(finding) for finding in report.findings],
        "more": {str(number): count for number, count in report.more.items()},
        "not_checked": list(report.not_checked),
        "undecided": list(report.undecided),
        "summary": {
            "checkpoint_signed": summary.signed,
            "witnesses": list(summary.witnesses),
            "entries": summary.entries,
            "statements": dict(sorted(summary.statements.items())),
            "signatures": summary.signatures,
            "suspect_keys": summary.suspect_keys,
            "unjudged": summary.unjudged,
            "issuers": dict(sorted(summary.issuers.items())),
            "parts": asdict(summary.parts),
            "answer": _answer(summary),
        },
    }


def format_bundle_report(report: BundleReport) -> Iterator[str]:
    """Yield the report as lines without control characters."""
    for line in _lines(report):
        yield printable(line)


def _lines(report: BundleReport) -> Iterator[str]:
    yield HEADLINES[report.result]
    yield ""
    yield from _summary_lines(report.target, report.summary)
    for why in report.undecided:
        yield f"  undecided   {why}"
    for finding in report.findings:
        yield ""
        yield from finding_lines(finding)
    for number, count in report.more.items():
        yield ""
        yield f"check {number} ({CHECKS[number].name}): {count} more findings, not shown"
    yield ""
    yield "Not checked:"
    for text in report.not_checked:
        yield f"  - {text}"


def _summary_lines(target: str, summary: BundleSummary) -> Iterator[str]:
    parts = summary.parts
    signed = "signed by the log" if summary.signed else "whose signature is not verified"
    witnesses = ", ".join(summary.witnesses) or "no witness"
    yield f"  bundle      {target}"
    yield f"  log         {summary.origin or 'unknown'}"
    yield f"  checkpoint  of {summary.size or 0} entries, {signed}, cosigned by {witnesses}"
    yield f"  entries     {summary.entries}, {summary.signatures} signatures verified"
    yield (
        f"  events      {parts.events}: {parts.shown} parts shown, {parts.absent} shown to be "
        f"absent, {parts.withheld} withheld"
    )
    for iss, count in sorted(summary.issuers.items())[:ISSUERS_SHOWN_MAX]:
        yield f"  signed by   {iss}: {count} events"
    yield f"  answer      {_answer(summary)}"
    for key in summary.suspect_keys:
        yield f"  suspect     key {key}: it was reported compromised"


def _answer(summary: BundleSummary) -> str:
    if not summary.has_answer:
        return "none"
    return "worked out again from the events" if summary.answer_compared else "not compared"
