"""`tagtrail verify`: audits a ledger's folder and says what is wrong, where, and what to do.

Exit codes: 0 verified, 1 tampering found, 2 policy not met, 3 cannot judge, 4 usage. It
needs no database toolkit, no server and no network, and it always ends.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ledger.audit.bundle_report import (
    bundle_report_to_json,
    format_bundle_report,
    report_bundle,
)
from ledger.audit.finding import Findings
from ledger.audit.index import IndexAudit, index_contradiction
from ledger.audit.log import LogAudit, LogSummary
from ledger.audit.report import Report, format_report, list_not_checked, report_to_json
from ledger.audit.trustfile import Trust, parse_trust
from ledger.client.bundlefile import read_bundle
from ledger.client.cores import JudgeCores
from ledger.client.files import (
    IndexFiles,
    LedgerFiles,
    UnreadableError,
    read_own_trust,
    read_trust,
)
from ledger.errors import ParseError, TagtrailError

ENTRIES_BETWEEN_SIGNS_OF_LIFE = 256
SECONDS_BETWEEN_LINES = 5.0

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trusting:
    """Whom this run trusts, where that came from, and what is wrong with it."""

    trust: Trust | None
    own: bool
    why_none: str = ""


@app.command()
def verify(
    target: Annotated[
        str, typer.Argument(help="A ledger's folder, or a bundle.", metavar="TARGET")
    ],
    *,
    trust: Annotated[
        Path | None,
        typer.Option(help="The log's key, entry 0 and witnesses, got from elsewhere."),
    ] = None,
    index: Annotated[
        bool, typer.Option("--index", help="Compare index.db with a rebuild, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Verify a ledger's evidence: 0 verified, 1 tampered, 2 policy, 3 cannot judge, 4 usage."""
    path = _parse_target(target)
    if path.is_file():
        _verify_bundle(path, trust, index=index, as_json=as_json)
    folder = path
    report = audit_folder(
        folder, trust_file=trust, index=index, show=_show_nothing if as_json else _show_progress
    )
    if as_json:
        typer.echo(json.dumps(report_to_json(report), indent=2))
    else:
        for line in format_report(report):
            typer.echo(line)
    raise typer.Exit(report.result.exit_code)


def _verify_bundle(
    path: Path, trust_file: Path | None, *, index: bool, as_json: bool
) -> NoReturn:
    """Verify the bundle in the file `path` and exit; refuse by name what is no bundle."""
    if index:
        raise typer.BadParameter("a bundle has no index", param_hint="--index")
    data = read_bundle(path)
    trust = None if trust_file is None else _load_trust(path, trust_file).trust
    report = report_bundle(data, trust, target=str(path))
    if as_json:
        typer.echo(json.dumps(bundle_report_to_json(report), indent=2))
    else:
        for line in format_bundle_report(report):
            typer.echo(line)
    raise typer.Exit(report.result.exit_code)


def audit_folder(
    folder: Path,
    *,
    trust_file: Path | None = None,
    index: bool = False,
    show: "ShowProgress | None" = None,
) -> Report:
    """Audit the ledger in `folder`; raise only for what the caller named wrongly."""
    trusting = _load_trust(folder, trust_file)
    findings = Findings()
    undecided = [trusting.why_none] if trusting.trust is None else []
    summary = LogSummary()
    try:
        with ExitStack() as stack:
            rebuilt = _open_index(folder, findings, stack) if index else None
            files = stack.enter_context(LedgerFiles(folder))
            cores = stack.enter_context(JudgeCores())
            if files.signed_before is None:
                undecided.append("signed.db is not here: a log cut short could pass.")
            advance = stack.enter_context((show or _show_nothing)(files.newest_index() + 1))
            audit = LogAudit(
                files, trusting.trust, judge=cores.judge, progress=advance, index=rebuilt
            )
            summary = audit.summary
            findings.extend(audit.run())
        if trusting.trust is not None and not summary.checkpoint_size:
            undecided.append("No checkpoint that the log signed covers any entry.")
    except UnreadableError as error:
        undecided.append(f"{error}.")
    return Report(
        target=str(folder),
        summary=summary,
        result=findings.result(undecided=bool(undecided)),
        findings=findings.kept(),
        more=findings.not_kept(),
        undecided=undecided,
        not_checked=list_not_checked(
            summary,
            own_trust=trusting.own,
            witnesses=trusting.trust is not None and trusting.trust.wants_witnesses,
            index=index,
        ),
    )


def _open_index(folder: Path, findings: Findings, stack: ExitStack) -> IndexAudit:
    """Open the index to be compared; what SQLite finds wrong in it goes to `findings`."""
    files = IndexFiles(folder)
    stack.callback(files.close)
    findings.extend(map(index_contradiction, files.contradictions()))
    return IndexAudit(
        events=files.events(), mentions=files.mentions(), progress=files.progress()
    )


def _parse_target(text: str) -> Path:
    """Return the folder that `text` names; refuse by name what is not one."""
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme:
        raise typer.BadParameter(
            f"{scheme}:// targets cannot be verified by this version; give a ledger's folder"
        )
    path = Path(text)
    if not path.is_dir() and not path.is_file():
        raise typer.BadParameter(f"there is no folder and no bundle {text!r}")
    return path


def _load_trust(folder: Path, trust_file: Path | None) -> _Trusting:
    if trust_file is not None:
        try:
            return _Trusting(trust=parse_trust(read_trust(trust_file)), own=False)
        except TagtrailError as error:
            raise typer.BadParameter(str(error), param_hint="--trust") from error
    try:
        data = read_own_trust(folder)
        if data is None:
            why = "There is no trust.toml and no --trust: nobody's signature is known."
            return _Trusting(trust=None, own=True, why_none=why)
        return _Trusting(trust=parse_trust(data), own=True)
    except (ParseError, UnreadableError) as error:
        return _Trusting(trust=None, own=True, why_none=f"The ledger's trust.toml: {error}.")


# --- Signs of life ------------------------------------------------------------------


Advance = Callable[[int], None]
"""Called with the index of each entry that was audited."""

ShowProgress = Callable[[int], AbstractContextManager[Advance]]
"""Shows how far an audit of that many entries is, until it is left."""


@contextmanager
def _show_nothing(total: int) -> Iterator[Advance]:  # noqa: ARG001 - as every ShowProgress
    yield lambda _: None


@contextmanager
def _show_progress(total: int) -> Iterator[Advance]:
    """Show a bar on a terminal, a line every few seconds elsewhere; always on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(total).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("auditing", total=total, rate="")

        def advance(index: int) -> None:
            if index % ENTRIES_BETWEEN_SIGNS_OF_LIFE == 0:
                rate = f"{_rate(index + 1, started):,.0f} entries/s"
                progress.update(task, completed=index + 1, rate=rate)

        yield advance


class _Lines:
    """Progress as plain lines, none before the first few seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = self._last = time.monotonic()

    def advance(self, index: int) -> None:
        if index % ENTRIES_BETWEEN_SIGNS_OF_LIFE:
            return
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        rate = _rate(index + 1, self._started)
        left = max(self._total - index - 1, 0) / rate
        typer.echo(
            f"audited {index + 1} of {self._total} entries, {rate:,.0f} a second, "
            f"{left:,.0f} s left",
            err=True,
        )


def _rate(count: int, started: float) -> float:
    return count / max(time.monotonic() - started, 1e-6)
