"""The outcome of an audit, for programs (JSON) and for people (plain lines).

    {"target", "origin", "size", "result": verified|tampered|policy|undecided,
     "findings": [{"check", "index", "field", "expected", "computed", "what", "who", "todo"}],
     "more": {check: findings that were only counted},
     "not_checked": […], "undecided": […], "summary": {…}}

`not_checked` is never empty: what a ledger cannot prove is said each time. Text that comes
out of a ledger is hostile: whatever could move a terminal's cursor, or turn the direction
of writing, is shown as an escape.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass

from ledger.audit.evidence import LOOKUPS
from ledger.audit.finding import CHECKS, Finding, Result, Weight
from ledger.audit.scope import Scope
from ledger.audit.summary import LogSummary

KEYS_FROM_LEDGER = (
    "Whom to trust: the log key and entry 0 came from the ledger itself, so that a wholly "
    "re-signed forgery would pass. Get trust.toml from the operator by another way and give "
    "it with --trust."
)
PERMANENT = (
    "That others are shown the same log: compare a checkpoint with what they have.",
    "That a key was not revoked, or an event not corrected, in entries after this copy.",
    "That the tag is on the right goods.",
    "That a tag was not cloned.",
    "That a sensor told the truth.",
)
_LEFT_OUT = {
    6: "Check 6, witnesses: whether others have cosigned the newest checkpoint.",
    7: "Check 7, consistency with what this auditor saw before: no earlier checkpoint is kept "
    "(--state FILE).",
    8: "Check 8, statement signatures: whether the parties signed what stands there.",
    9: "Check 9, authority: whether the keys were allowed to say it.",
    10: "Check 10, source chains: whether statements of a source are missing.",
    11: "Check 11, commitments: whether the stored events are those that were signed.",
    12: "Check 12, times: record times, clocks and what sources had seen.",
    13: "Check 13, events: whether they are EPCIS events, and whether an eventID that is a "
    "hash is that of its event.",
    14: "Check 14, the index: answers of this ledger come from index.db, which --index "
    "compares with a rebuild.",
    15: "Check 15, the physical story: containment, places and quantities of the goods "
    "(--custody).",
}
SIGNED_APART = (
    "What the log has signed at most: signed.db is a file of the ledger's folder, and not in "
    "its database, so that a log whose newest entries and checkpoints were cut off together "
    "would pass. Verify the folder, or keep a state file (--state)."
)
NO_WITNESSES = (
    "Check 6, witnesses: the trust file asks for none, so the log could show another history "
    "to somebody else."
)
# C0, DEL, C1, soft hyphen, zero widths, line separators, changes of direction, surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What there is to say about one target."""

    target: str
    summary: LogSummary
    result: Result
    findings: Sequence[Finding]
    more: dict[int, int]
    undecided: Sequence[str]
    not_checked: Sequence[str]
    notes: Sequence[str] = ()
    made: Collection[int] = ()


def list_not_checked(
    summary: LogSummary,
    scope: Scope,
    *,
    own_trust: bool,
    witnesses: bool,
    compared: bool,
    tables: Collection[str],
) -> list[str]:
    """Return what this audit did not check, the most important first.

    `compared` says that there was a state of an earlier audit, `tables` what there was to
    read.
    """
    listed = [KEYS_FROM_LEDGER] if own_trust else []
    listed += _skipped(summary, scope)
    if summary.signed_apart:
        listed.append(SIGNED_APART)
    if summary.unsigned > 0:
        listed.append(
            f"The newest {summary.unsigned} entries: no signed checkpoint covers them yet, so "
            "only the log's own chain and the sources' signatures vouch for them."
        )
    if summary.signed_size is not None and summary.signed_size > summary.checkpoint_size:
        listed.append(
            f"The signed note over {summary.signed_size} entries, which signed.db knows of, is "
            "not here: the log stopped before it was stored, or it was deleted."
        )
    if summary.unjudged:
        listed.append(
            f"{summary.unjudged} statements that depend on an entry that is damaged or gone."
        )
    if not witnesses:
        listed.append(NO_WITNESSES)
    made = set(scope.checks) - (set() if compared else {7})
    made -= set() if "event" in tables else {11, 13}
    listed += [text for number, text in _LEFT_OUT.items() if number not in made]
    if tables and not LOOKUPS.issubset(tables):
        listed.append(
            "What the log itself keeps beside its files: signed.db, older checkpoints, and the "
            "tables by which it finds statements again."
        )
    if summary.events.withheld:
        listed.append(f"The parts that sources withhold of {summary.events.withheld} events.")
    if summary.events.erased:
        listed.append(f"The content of {summary.events.erased} events, erased with notice.")
    return [*listed, *PERMANENT]


def _skipped(summary: LogSummary, scope: Scope) -> Iterator[str]:
    if summary.resumed_at:
        yield (
            f"The first {summary.resumed_at} entries: this auditor has verified them before, "
            "and they were not read again, nor their events: one that was changed or erased "
            "without notice since then is not missed (--since)."
        )
    if scope.sample > 1:
        yield (
            f"The signatures and events of all but one statement in {scope.sample}, drawn by "
            f"the seed {scope.seed.hex()} (--sample)."
        )
    if summary.story_left_out:
        yield f"The physical story of {summary.story_left_out} events: they are too many."
    if summary.documents_left_out:
        yield (
            "Whether all received documents are there, and cited: they are too many, so that "
            "only a part was followed, drawn by their hashes."
        )
    if summary.documents_uncited:
        yield (
            f"Whether {summary.documents_uncited} received documents that no event left cites "
            "were to be erased together with the events that did."
        )
    if summary.unread:
        yield (
            f"What the events of {summary.unread} statements say, and which documents they "
            "cite: they are too long to be read."
        )
    if scope.sample == 1 and summary.events.skipped:
        yield f"{summary.events.skipped} events: they are not here, or not asked for."


def report_to_json(report: Report) -> dict[str, object]:
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
        "notes": list(report.notes),
        "summary": {
            "checkpoint_size": summary.checkpoint_size,
            "signed_size": summary.signed_size,
            "unsigned": summary.unsigned,
            "statements": dict(sorted(summary.statements.items())),
            "signatures": summary.signatures,
            "keys": summary.keys,
            "suspect_keys": summary.suspect_keys,
            "unjudged": summary.unjudged,
            "witnessed_size": summary.witnessed_size,
            "witnesses": list(summary.witnesses),
            "resumed_at": summary.resumed_at,
            "events": asdict(summary.events),
        },
    }


def finding_to_json(finding: Finding) -> dict[str, object]:
    """Return the finding as a JSON object."""
    return asdict(finding) | {"weight": finding.weight.value}


def format_report(report: Report) -> Iterator[str]:
    """Yield the report as lines without control characters."""
    for line in _lines(report):
        yield printable(line)


def printable(text: str) -> str:
    """Return `text` with everything that a terminal would act on as an escape."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004


HEADLINES = {
    Result.VERIFIED: "VERIFIED: everything that was checked holds.",
    Result.TAMPERED: "TAMPERING FOUND: what is stored is not what was signed and logged.",
    Result.POLICY: "POLICY NOT MET: the evidence holds, but somebody did not do a duty.",
    Result.UNDECIDED: "CANNOT JUDGE: nothing wrong was found, but too little could be checked.",
}


def _lines(report: Report) -> Iterator[str]:
    yield HEADLINES[report.result]
    yield ""
    yield from _summary_lines(report.target, report.summary)
    for why in report.undecided:
        yield f"  undecided   {why}"
    for note in report.notes:
        yield f"  note        {note}"
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


def _summary_lines(target: str, summary: LogSummary) -> Iterator[str]:
    events = summary.events
    kinds = ", ".join(
        f"{count} {sub.removeprefix('tagtrail/').removesuffix('/v1')}"
        for sub, count in sorted(summary.statements.items())
    )
    yield f"  target      {target}"
    yield f"  log         {summary.origin or 'unknown'}"
    yield (
        f"  entries     {summary.size}, of which {summary.checkpoint_size} are under a signed "
        "checkpoint"
    )
    yield f"  statements  {kinds or 'none'}"
    yield f"  signatures  {summary.signatures} verified, of {summary.keys} keys"
    yield (
        f"  events      {events.shown} whole, {events.withheld} partly withheld, "
        f"{events.erased} erased with notice, {events.missing} missing"
    )
    if summary.witnessed_size:
        who = ", ".join(summary.witnesses)
        yield f"  witnesses   {who}: {summary.witnessed_size} entries"
    if summary.resumed_at:
        yield f"  resumed at  entry {summary.resumed_at}"
    for key in summary.suspect_keys:
        yield f"  suspect     key {key}: it was reported compromised"


def finding_lines(finding: Finding) -> Iterator[str]:
    """Yield a finding for people; not yet `printable`."""
    where = "" if finding.index is None else f", entry {finding.index}"
    kind = "remark, " if finding.weight is Weight.NOTE else ""
    name = CHECKS[finding.check].name
    yield f"{kind}check {finding.check} ({name}){where}: {finding.field}"
    yield f"  {finding.what}"
    yield f"  expected  {finding.expected}"
    yield f"  found     {finding.computed}"
    yield f"  who       {finding.who}"
    yield f"  to do     {finding.todo}"
