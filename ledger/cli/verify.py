"""`tagtrail verify`: audits a ledger, or a file, and says what is wrong, where, and what to do.

Exit codes: 0 verified, 1 tampering found, 2 policy not met, 3 cannot judge, 4 usage. It
needs no database toolkit and no server, and a network only for a log that is served; and it
always ends.
"""

import io
import json
import os
import secrets
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar
from urllib.parse import urlsplit

import typer

from ledger.audit.bundle_report import (
    bundle_report_to_json,
    format_bundle_report,
    report_bundle,
)
from ledger.audit.finding import Result
from ledger.audit.fork import FORK_BYTES_MAX, parse_fork, verify_fork
from ledger.audit.report import HEADLINES, format_report, printable, report_to_json
from ledger.audit.scope import ALL_CHECKS, ON_REQUEST, SAMPLE_MAX, Scope, parse_checks
from ledger.audit.tables import Tabled, format_csv, format_junit
from ledger.cli.auditing import (
    Options,
    audit_folder,
    audit_target,
    is_database,
    load_trust,
)
from ledger.cli.progress import show_progress
from ledger.client.bundlefile import read_bundle
from ledger.client.reading import read_bounded
from ledger.errors import TagtrailError, VerificationError

__all__ = ["app", "audit_folder"]

SEED_BYTES = 8
INDEX_CHECK, CUSTODY_CHECK = 14, 15
_SERVED = frozenset({"http", "https"})
NOTHING_CHECKED = "Everything: the audit did not end, and says nothing about its target."

T = TypeVar("T")

app = typer.Typer(add_completion=False)


Target = Annotated[
    str,
    typer.Argument(
        help="A ledger's folder or postgresql:// database, exported evidence, an http(s):// "
        "log, a bundle or a fork proof.",
        metavar="TARGET",
    ),
]
TrustFile = Annotated[
    Path | None,
    typer.Option(help="The log's key, entry 0 and witnesses, got from elsewhere."),
]
Index = Annotated[bool, typer.Option("--index", help="Compare index.db with a rebuild, too.")]
Custody = Annotated[bool, typer.Option("--custody", help="Look at the physical story, too.")]
Checks = Annotated[
    str | None, typer.Option(help="Only these checks, such as 1-7; 1 to 5 always.")
]
Sample = Annotated[
    int,
    typer.Option(help="Signatures and events of one statement in N.", min=1, max=SAMPLE_MAX),
]
Seed = Annotated[
    str | None, typer.Option(help="What --sample draws by, in hex; else by chance.")
]
State = Annotated[
    Path | None, typer.Option(help="What this auditor keeps from one audit to the next.")
]
Since = Annotated[
    bool, typer.Option("--since", help="Go on from the last verified checkpoint.")
]
Fork = Annotated[
    Path | None, typer.Option(help="Where the proof of a fork goes, if there is one.")
]
Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")]
Csv = Annotated[Path | None, typer.Option(help="Write the findings as CSV.")]
Processes = Annotated[
    int | None, typer.Option(help="How many workers; by default one a core.", min=1)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@app.command()
def verify(  # noqa: PLR0913 - a command's options are its arguments
    target: Target,
    *,
    trust: TrustFile = None,
    index: Index = False,
    custody: Custody = False,
    checks: Checks = None,
    sample: Sample = 1,
    seed: Seed = None,
    state: State = None,
    since: Since = False,
    fork: Fork = None,
    junit: Junit = None,
    csv: Csv = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Verify a ledger's evidence: 0 verified, 1 tampered, 2 policy, 3 cannot judge, 4 usage."""
    for stream in (sys.stdout, sys.stderr):  # A terminal that cannot write it gets an escape.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    path = _parse_target(target)
    tables = Tables(junit, csv)
    if path is not None and path.is_file():
        given = {
            "--index": index,
            "--custody": custody,
            "--checks": checks,
            "--sample": sample != 1,
            "--seed": seed,
            "--state": state,
            "--since": since,
            "--fork": fork,
            "--processes": processes,
        }
        _verify_file(path, trust, tables, as_json=as_json, given=given)
    options = Options(
        trust_file=trust,
        index=index,
        scope=Scope(
            checks=_parse_checks(checks, index=index, custody=custody),
            sample=sample,
            seed=_parse_seed(seed, sample=sample),
        ),
        processes=processes,
        state_file=state,
        since=since,
        fork=fork,
    )
    _refuse_combinations(options, served=path is None and not is_database(target))
    if not as_json:
        options = options.with_progress(show_progress)
    report = _judge(target, lambda: audit_target(target, options), as_json=as_json)
    _print(
        [json.dumps(report_to_json(report), indent=2)] if as_json else format_report(report),
        report.result,
    )
    tables.write(report)
    raise typer.Exit(report.result.exit_code)


def _refuse_combinations(options: Options, *, served: bool) -> None:
    """Refuse what would be passed over in silence."""
    wants_custody = options.scope.wants(CUSTODY_CHECK)
    if options.since and options.state_file is None:
        raise typer.BadParameter("needs --state FILE", param_hint="--since")
    if options.fork is not None and options.state_file is None:
        why = "needs --state FILE: a fork shows beside what was seen before"
        raise typer.BadParameter(why, param_hint="--fork")
    if options.index and (served or options.since):
        why = "is for a ledger's folder, audited whole"
        raise typer.BadParameter(why, param_hint="--index")
    if wants_custody and (served or options.since):
        why = "needs all events: it is for a ledger's folder or an export, audited whole"
        raise typer.BadParameter(why, param_hint="--custody")


@dataclass(frozen=True, slots=True)
class Tables:
    """Where the findings go besides, for other programs."""

    junit: Path | None
    csv: Path | None

    def write(self, report: Tabled) -> None:
        """Write the files that were asked for; exit with 4 where one cannot be written."""
        for file, text in ((self.junit, format_junit), (self.csv, format_csv)):
            if file is not None:
                try:
                    file.write_text(text(report), encoding="utf-8", newline="")
                except OSError as error:
                    why = f"{file} cannot be written: {error.strerror}"
                    raise TagtrailError(why) from error


def _judge(target: str, audit: Callable[[], T], *, as_json: bool) -> T:
    """Return what `audit` returns; where it breaks, that is no verdict, but exit code 3."""
    try:
        return audit()
    except (typer.Exit, typer.TyperException):
        raise
    except Exception as error:
        traceback.print_exc()
        result, what = Result.UNDECIDED, f"{type(error).__name__}: {error}"
        why = f"The audit broke off, which is a fault of its own: {what}"
        broken: dict[str, object] = {"target": target, "result": result.value, "findings": []}
        broken |= {"undecided": [why], "not_checked": [NOTHING_CHECKED]}
        lines = [HEADLINES[result], "", f"  undecided   {why}", "", "Not checked:"]
        lines.append(f"  - {NOTHING_CHECKED}")
        _print([json.dumps(broken, indent=2)] if as_json else map(printable, lines), result)
        raise typer.Exit(result.exit_code) from error


def _print(lines: Iterable[str], result: Result) -> None:
    """Print `lines`; if nobody reads them any more, the exit code still says the result."""
    try:
        for line in lines:
            typer.echo(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(result.exit_code) from None


# --- Files: bundles and fork proofs ----------------------------------------------------


def _verify_file(
    path: Path,
    trust_file: Path | None,
    tables: Tables,
    *,
    as_json: bool,
    given: Mapping[str, object],
) -> NoReturn:
    """Verify the bundle or fork proof in the file `path` and exit."""
    for name, value in given.items():
        if value:
            why = "a file has no index and no history: this is for a ledger"
            raise typer.BadParameter(why, param_hint=name)
    if read_bounded(path, 0) == b"{":
        if tables != Tables(None, None):
            why = "there are no tables of a fork proof"
            raise typer.BadParameter(why, param_hint="--junit, --csv")
        _verify_fork(path, trust_file, as_json=as_json)
    data = read_bundle(path)
    trust = None if trust_file is None else load_trust(path, trust_file).trust
    report = _judge(
        str(path), lambda: report_bundle(data, trust, target=str(path)), as_json=as_json
    )
    lines = (
        [json.dumps(bundle_report_to_json(report), indent=2)]
        if as_json
        else format_bundle_report(report)
    )
    _print(lines, report.result)
    tables.write(report)
    raise typer.Exit(report.result.exit_code)


def _verify_fork(path: Path, trust_file: Path | None, *, as_json: bool) -> NoReturn:
    """Say whether the file convicts the log: 1 if it does, 3 if it proves nothing."""
    if trust_file is None:
        raise typer.BadParameter("a fork proof needs the log's key", param_hint="--trust")
    trust = load_trust(path, trust_file).trust
    assert trust is not None
    try:
        old, new = verify_fork(parse_fork(read_bounded(path, FORK_BYTES_MAX)), trust)
    except VerificationError as error:
        result, text = Result.UNDECIDED, f"This proves no fork: {error}"
    else:
        result = Result.TAMPERED
        text = (
            f"The log {trust.origin} signed two histories: over {old.checkpoint.size} entries "
            f"it signed the root {old.checkpoint.root.hex()}, and later another."
        )
        if old.checkpoint.size != new.checkpoint.size:
            text += f" Its checkpoint over {new.checkpoint.size} entries does not extend it."
    answer = {"target": str(path), "result": result.value, "what": text}
    answer_json = json.dumps(answer | {"not_checked": ["Which of the two is true."]}, indent=2)
    plain = (printable(text), "Not checked:\n  - Which of the two is true.")
    _print([answer_json] if as_json else plain, result)
    raise typer.Exit(result.exit_code)


# --- What was typed --------------------------------------------------------------------


def _parse_target(text: str) -> Path | None:
    """Return the folder or file that `text` names, None for a URL; refuse what is neither."""
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in _SERVED:
        if not urlsplit(text).hostname:
            raise typer.BadParameter(f"{text!r} names no host")
        return None
    if is_database(text):
        if find_spec("psycopg") is None:
            why = f"{scheme}:// targets need psycopg: pip install 'tagtrail[postgres]'"
            raise typer.BadParameter(why)
        return None
    if scheme:
        raise typer.BadParameter(
            f"{scheme}:// targets are not known; give a folder, a file, an http(s):// log "
            "or a postgresql:// database"
        )
    path = Path(text)
    if not path.is_dir() and not path.is_file():
        raise typer.BadParameter(f"there is no folder and no file {text!r}")
    return path


def _parse_checks(text: str | None, *, index: bool, custody: bool) -> frozenset[int]:
    """Return the numbers of the checks to make."""
    try:
        checks = ALL_CHECKS - ON_REQUEST if text is None else parse_checks(text) - ON_REQUEST
    except TagtrailError as error:
        raise typer.BadParameter(str(error), param_hint="--checks") from error
    more = {INDEX_CHECK: index, CUSTODY_CHECK: custody}
    return checks | {number for number, wanted in more.items() if wanted}


def _parse_seed(text: str | None, *, sample: int) -> bytes:
    if sample == 1:
        if text is not None:
            raise typer.BadParameter("is for --sample N", param_hint="--seed")
        return b""
    if text is None:
        return secrets.token_bytes(SEED_BYTES)
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not hex", param_hint="--seed") from error
