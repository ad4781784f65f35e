"""Runs one audit of one target and makes the report of it: what `tagtrail verify` does.

    a folder with evidence.db       a ledger, beside its server or a copy
    a folder with checkpoint        exported evidence (`tagtrail export`)
    http:// or https://             a log of static files (C2SP tlog-tiles)
    postgresql://                   the database of a ledger, without its folder

A state file is read before and written after an audit that found nothing wrong, so that the
next one compares with what was seen (check 7) and can go on from there (`--since`).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import typer

from ledger.audit.evidence import StoredEvidence
from ledger.audit.finding import Findings, Result
from ledger.audit.fork import format_fork
from ledger.audit.index import IndexAudit, index_contradiction
from ledger.audit.log import LogAudit
from ledger.audit.report import Report, list_not_checked
from ledger.audit.scope import ALL_CHECKS, Scope
from ledger.audit.state import STATE_BYTES_MAX, AuditorState, format_state, parse_state
from ledger.audit.summary import LogSummary
from ledger.audit.tree import LostError
from ledger.audit.trustfile import Trust, parse_trust
from ledger.client.cores import JudgeCores, collect_rarely
from ledger.client.files import (
    EVIDENCE_NAME,
    IndexFiles,
    LedgerFiles,
    open_database,
    read_own_trust,
    read_trust,
)
from ledger.client.reading import UnreadableError, read_bounded
from ledger.client.served import open_url
from ledger.client.tilelog import open_export
from ledger.errors import ParseError, TagtrailError
from ledger.tlog.checkpoint import parse_signed_checkpoint

CONSISTENCY = 7
FORK_NAME = "fork-proof.json"
_DATABASES = ("postgresql://", "postgres://")

Advance = Callable[[int], None]
"""Called with the index of an entry that was audited, now and then."""

ShowProgress = Callable[[int], AbstractContextManager[Advance]]
"""Shows how far an audit of that many entries is, until it is left."""


class Evidence(StoredEvidence, Protocol):
    """Evidence that says besides how much there is."""

    def newest_index(self) -> int:
        """Return the index of the last entry, or -1."""

    def newest_note(self) -> object:
        """Return the newest signed note, whatever it holds, or None."""


@contextmanager
def show_nothing(total: int) -> Iterator[Advance]:  # noqa: ARG001 - as every ShowProgress
    """Show no progress."""
    yield lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to audit; `fork` is where a fork proof goes if there is one."""

    trust_file: Path | None = None
    index: bool = False
    scope: Scope = field(default_factory=Scope)
    processes: int | None = None
    state_file: Path | None = None
    since: bool = False
    fork: Path | None = None
    show: ShowProgress = show_nothing

    def with_progress(self, show: ShowProgress) -> "Options":
        """Return the same options, shown."""
        return replace(self, show=show)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusting:
    """Whom this run trusts, where that came from, and what is wrong with it."""

    trust: Trust | None
    own: bool
    why_none: str = ""


@dataclass(slots=True)
class _Outcome:
    """What is known of an audit when it ends, well or not."""

    summary: LogSummary = field(default_factory=LogSummary)
    findings: Findings = field(default_factory=Findings)
    undecided: list[str] = field(default_factory=list)
    tables: frozenset[str] = frozenset()
    audit: LogAudit | None = None


def audit_folder(
    folder: Path,
    *,
    trust_file: Path | None = None,
    index: bool = False,
    show: ShowProgress = show_nothing,
) -> Report:
    """Audit the ledger in `folder`; raise only for what the caller named wrongly."""
    scope = Scope(checks=ALL_CHECKS - {15}) if index else Scope()
    return audit_target(
        str(folder), Options(trust_file=trust_file, index=index, scope=scope, show=show)
    )


def audit_target(target: str, options: Options) -> Report:
    """Audit what `target` names; raise only for what the caller named wrongly."""
    folder = None if "://" in target else Path(target)
    trusting = load_trust(folder, options.trust_file)
    state = _load_state(options, trusting.trust)
    outcome = _Outcome(undecided=[trusting.why_none] if trusting.trust is None else [])
    try:
        with ExitStack() as stack:
            rebuilt = _open_index(folder or target, outcome.findings, stack, options)
            evidence = stack.enter_context(_open(target, folder))
            stack.enter_context(collect_rarely())
            cores = stack.enter_context(JudgeCores(options.processes))
            audit = LogAudit(
                evidence,
                trusting.trust,
                judge=cores.judge,
                progress=stack.enter_context(options.show(evidence.newest_index() + 1)),
                index=rebuilt,
                scope=options.scope,
            )
            _run(audit, evidence, state, outcome, options, folder)
    except UnreadableError as error:
        outcome.undecided.append(f"{error}.")
    result = outcome.findings.result(undecided=bool(outcome.undecided))
    notes = _write_files(outcome, options, result)
    return Report(
        target=_without_password(target),
        summary=outcome.summary,
        result=result,
        findings=outcome.findings.kept(),
        more=outcome.findings.not_kept(),
        undecided=outcome.undecided,
        notes=notes,
        made=frozenset()
        if outcome.audit is None
        else options.scope.checks - (frozenset() if state is not None else {7}),
        not_checked=list_not_checked(
            outcome.summary,
            options.scope,
            own_trust=trusting.own,
            witnesses=trusting.trust is not None and trusting.trust.wants_witnesses,
            compared=state is not None,
            tables=outcome.tables,
        ),
    )


def _run(
    audit: LogAudit,
    evidence: Evidence,
    state: AuditorState | None,
    outcome: _Outcome,
    options: Options,
    folder: Path | None,
) -> None:
    outcome.audit, outcome.summary = audit, audit.summary
    outcome.tables = frozenset(evidence.tables)
    if "key_entry" in outcome.tables and evidence.signed_before is None:
        if folder is not None:
            outcome.undecided.append("signed.db is not here: a log cut short could pass.")
        outcome.summary.signed_apart = folder is None
    if state is not None:
        if options.since:
            _resume(audit, state, outcome)
        audit.compare_with(state)
    if options.state_file is not None:
        audit.remember_at(_newest_size(evidence))
    outcome.findings.extend(audit.run())
    if not outcome.undecided and not audit.summary.checkpoint_size:
        outcome.undecided.append("No checkpoint that the log signed covers any entry.")
    left_out = audit.summary.erasures_left_out
    if left_out:
        outcome.undecided.append(
            f"{left_out} erased events, or notices of erasure, were too many to be compared."
        )


def _resume(audit: LogAudit, state: AuditorState, outcome: _Outcome) -> None:
    try:
        audit.resume(state)
    except LostError:
        audit.start_over()
        outcome.undecided.append(
            f"The first {state.folded.size} entries are not in the tiles as they were when "
            "this auditor saw them, so all was audited again."
        )


def _without_password(target: str) -> str:
    """Return `target` as it may be shown: reports are kept and sent around."""
    if not is_database(target):
        return target
    parts = urlsplit(target)
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{host}" if user else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def is_database(target: str) -> bool:
    """Tell whether `target` is the URL of a PostgreSQL database."""
    return target.lower().startswith(_DATABASES)


def _newest_size(evidence: Evidence) -> int:
    note = evidence.newest_note()
    try:
        signed = parse_signed_checkpoint(note) if isinstance(note, bytes) else None
    except ParseError:
        return 0
    return int(signed.checkpoint.size) if signed is not None else 0


def _open(target: str, folder: Path | None) -> AbstractContextManager[Evidence]:
    if folder is None:
        return open_database(target) if is_database(target) else open_url(target)
    if not (folder / EVIDENCE_NAME).exists() and (folder / "checkpoint").exists():
        return open_export(folder)
    return LedgerFiles(folder)


def _open_index(
    where: Path | str, findings: Findings, stack: ExitStack, options: Options
) -> IndexAudit | None:
    """Open the index to be compared; what SQLite finds wrong in it goes to `findings`."""
    if not options.index:
        return None
    files = IndexFiles(where)
    stack.callback(files.close)
    findings.extend(map(index_contradiction, files.contradictions()))
    return IndexAudit(
        events=files.events(),
        mentions=files.mentions(),
        gaps=files.gaps(),
        masters=files.masters(),
        progress=files.progress(),
    )


def load_trust(folder: Path | None, trust_file: Path | None) -> Trusting:
    """Return whom to trust: by the file that was named, else by the ledger's own."""
    if trust_file is not None:
        try:
            return Trusting(trust=parse_trust(read_trust(trust_file)), own=False)
        except TagtrailError as error:
            raise typer.BadParameter(str(error), param_hint="--trust") from error
    try:
        data = None if folder is None else read_own_trust(folder)
        if data is None:
            why = "There is no trust.toml and no --trust: nobody's signature is known."
            return Trusting(trust=None, own=True, why_none=why)
        return Trusting(trust=parse_trust(data), own=True)
    except (ParseError, UnreadableError) as error:
        return Trusting(trust=None, own=True, why_none=f"The ledger's trust.toml: {error}.")


# --- State and proofs ---------------------------------------------------------------


def _load_state(options: Options, trust: Trust | None) -> AuditorState | None:
    """Return the state of the last audit, None before the first; refuse another log's."""
    path = options.state_file
    if path is None or not path.exists():
        if options.since:
            raise typer.BadParameter(
                "there is no state file of an earlier audit: leave it out the first time",
                param_hint="--since",
            )
        return None
    try:
        state = parse_state(read_bounded(path, STATE_BYTES_MAX))
    except TagtrailError as error:
        raise typer.BadParameter(str(error), param_hint="--state") from error
    origin = state.signed.checkpoint.origin
    if trust is not None and origin != trust.origin:
        why = f"{path} is about the log {origin!r}, not {trust.origin!r}"
        raise typer.BadParameter(why, param_hint="--state")
    if options.since and not state.checks >= options.scope.checks:
        missing = sorted(options.scope.checks - state.checks)
        why = f"the earlier audit left out check {missing[0]}: audit once without --since"
        raise typer.BadParameter(why, param_hint="--since")
    return state


def _write_files(outcome: _Outcome, options: Options, result: Result) -> list[str]:
    """Write the new state, or the fork proof; return what to say about that."""
    audit = outcome.audit
    if audit is None:
        return []
    try:
        if any(finding.check == CONSISTENCY for finding in outcome.findings.kept()):
            return [_write_fork(audit, options.fork or Path(FORK_NAME))]
        if options.state_file is None or result not in (Result.VERIFIED, Result.POLICY):
            return []
        return [_write_state(audit, options.state_file, options.scope)]
    except OSError as error:  # What was found is said all the same.
        return [f"NOT WRITTEN: {error.filename}: {error.strerror}."]


def _write_fork(audit: LogAudit, path: Path) -> str:
    fork = audit.prove_fork()
    if fork is None:
        return "There is no proof of a fork: the signed notes do not contradict each other."
    path.write_bytes(format_fork(fork))
    return f"{path} proves to anyone with the log's public key that it forked."


def _write_state(audit: LogAudit, path: Path, scope: Scope) -> str:
    folded, note = audit.folded, audit.summary.checkpoint_note
    if scope.sample > 1 or not scope.statements:
        return f"{path} was not written: only a part of the statements was looked at."
    if folded is None or folded.size != audit.summary.checkpoint_size:
        return f"{path} holds what it held: there is no newer checkpoint."
    replace_file(path, format_state(note, frozenset(scope.checks), folded))
    return f"{path} holds what was verified up to entry {folded.size - 1}."


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file at `path`, all or nothing."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
