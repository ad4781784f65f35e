"""`tagtrail capture`: brings a file of events into a ledger, spreadsheets included.

    tagtrail capture events.csv --dir DIR
    tagtrail capture events.xlsx --url http://127.0.0.1:8080 --proceed --json

The file is a CSV file or workbook (`docs/reference/spreadsheet.md`), or an EPCIS document in
JSON or XML. Without --proceed one bad row or event means that nothing is captured. The same
file again adds nothing. Exit code 0: all of it is in the log; 1: something was rejected; 2: the
file cannot be read.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin

import msgspec
import typer

from ledger.capture.handling import Handling
from ledger.cli.sheets import SHEET_SUFFIXES, load_sheet
from ledger.epcis.document import format_document
from ledger.epcis.event import parse_time_us
from ledger.epcis.received import judge_event
from ledger.epcis.sheet import Rejection, Sheet, SheetEvent
from ledger.errors import ParseError, TagtrailError

app = typer.Typer()

MEDIA_OF_SUFFIX = {
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".xml": "application/xml",
}
ANSWER_S = 60.0
JOB_S = 600.0
_LOOK_AGAIN_S = 0.05
_EVENT_LIST = "/epcisBody/eventList/"
EXIT_REJECTED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What is sent: the document, and of a spreadsheet which rows each event has."""

    body: bytes
    media: str
    events: tuple[SheetEvent, ...] = ()
    rejections: tuple[Rejection, ...] = ()

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The rows of each event of a spreadsheet."""
        return tuple(one.rows for one in self.events)


@dataclass(slots=True)
class Report:
    """What became of the file."""

    job: dict[str, Any] = field(default_factory=dict)
    rejected: list[dict[str, object]] = field(default_factory=list)
    remarks: list[dict[str, object]] = field(default_factory=list)


@app.command()
def capture(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="csv, xlsx, json or xml.")],
    *,
    folder: Annotated[Path | None, typer.Option("--dir", help="The ledger's folder.")] = None,
    url: Annotated[str | None, typer.Option("--url", help="The URL of its server.")] = None,
    proceed: Annotated[
        bool, typer.Option("--proceed", help="Capture the good rows, list the bad ones.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Reject what would only be remarked on, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bring the events of a file into a ledger."""
    if (folder is None) == (url is None):
        raise ParseError("capture", "say --dir DIR or --url URL, one of them")
    ready = load_file(path, strict=strict)
    report = Report()
    report.rejected = [_describe(one) for one in ready.rejections]
    sends = bool(ready.events or path.suffix.lower() not in SHEET_SUFFIXES)
    if sends and (proceed or not report.rejected):
        handling = Handling("proceed" if proceed else "rollback", strict)
        if folder is not None:
            report.job = _capture_here(folder, ready, handling)
        else:
            report.job = _capture_there(url or "", ready, handling)
        report.rejected += [_locate(error, ready.events) for error in report.job["errors"]]
        report.remarks = [_locate(one, ready.events) for one in report.job.get("remarks", ())]
    _print(path, report, as_json=as_json)
    if report.rejected:
        raise typer.Exit(EXIT_REJECTED)


def load_file(path: Path, *, strict: bool = False) -> Ready:
    """Return what a file has to send; `ParseError` where it cannot be read."""
    suffix = path.suffix.lower()
    if suffix in SHEET_SUFFIXES:
        return convert_sheet(load_sheet(path), strict=strict)
    media = MEDIA_OF_SUFFIX.get(suffix)
    if media is None:
        known = ", ".join((*SHEET_SUFFIXES, *MEDIA_OF_SUFFIX))
        raise ParseError(path.name, f"ends with none of {known}")
    return Ready(body=path.read_bytes(), media=media)


def convert_sheet(sheet: Sheet, *, strict: bool = False) -> Ready:
    """Return the document of a spreadsheet, without the rows that break a rule.

    It is created when its newest event happened, so that the same rows are the same bytes.
    """
    rejections = list(sheet.rejections)
    good: list[SheetEvent] = []
    newest_us = 0
    for one in sheet.events:
        judged = judge_event("", one.raw, cites="")
        if judged.event is None or (strict and judged.faults):
            rejections += [
                Rejection(*one.locate(fault.pointer), fault.why, fault.mend)
                for fault in judged.faults
            ]
            continue
        newest_us = max(newest_us, parse_time_us(str(one.raw["eventTime"])))
        good.append(one)
    document = format_document((one.raw for one in good), created_us=newest_us)
    return Ready(
        body=msgspec.json.encode(document),
        media="application/ld+json",
        events=tuple(good),
        rejections=tuple(sorted(rejections, key=lambda one: one.row)),
    )


def _capture_here(folder: Path, ready: Ready, handling: Handling) -> dict[str, Any]:
    from ledger.app import open_ledger  # noqa: PLC0415 - lazily: the server's packages

    with open_ledger(folder) as ledger:
        if ledger.capture is None:
            raise TagtrailError(f"{folder} has no capture key: see docs/reference/capture.md")
        _, done = ledger.capture.accept(ready.body, ready.media, handling)
        outcome: dict[str, Any] = done.result(JOB_S).as_json()
        # The index would follow at the next start; then it is there for the next question.
        while ledger.index.next_index < ledger.log.size:
            time.sleep(_LOOK_AGAIN_S)
    return outcome


def _capture_there(url: str, ready: Ready, handling: Handling) -> dict[str, Any]:
    import urllib3  # noqa: PLC0415 - lazily

    headers = {"Content-Type": ready.media}
    headers["GS1-Capture-Error-Behaviour"] = handling.behaviour
    if handling.strict:
        headers["Prefer"] = "handling=strict"
    try:
        with urllib3.PoolManager(retries=False, timeout=ANSWER_S) as pool:
            base = url.rstrip("/") + "/"
            posted = pool.request(
                "POST", urljoin(base, "capture"), body=ready.body, headers=headers
            )
            answer = msgspec.json.decode(posted.data)
            if posted.status != 202:  # noqa: PLR2004 - HTTP's number
                detail = answer.get("detail", f"status {posted.status}")
                raise ParseError(url, str(detail))
            deadline = time.monotonic() + JOB_S
            while time.monotonic() < deadline:
                job: dict[str, Any] = msgspec.json.decode(
                    pool.request("GET", urljoin(base, f"capture/{answer['captureID']}")).data
                )
                if not job["running"]:
                    return job
                time.sleep(_LOOK_AGAIN_S)
    except (urllib3.exceptions.HTTPError, msgspec.DecodeError, LookupError) as error:
        raise TagtrailError(f"{url} does not answer as a ledger does: {error}") from error
    raise TagtrailError(f"{url} has taken the file and not ended in {JOB_S:.0f} s; ask later")


def _describe(one: Rejection) -> dict[str, object]:
    return {"row": one.row, "column": one.column, "why": one.why, "mend": one.mend}


def _locate(error: dict[str, Any], events: tuple[SheetEvent, ...]) -> dict[str, object]:
    """Return an error of a job, with row and column where its event has some."""
    pointer = str(error.get("pointer", ""))
    found: dict[str, object] = {
        "pointer": pointer,
        "why": error.get("why", error.get("detail", "")),
        "mend": error.get("mend", ""),
    }
    number, _, inner = pointer.removeprefix(_EVENT_LIST).partition("/")
    if events and pointer.startswith(_EVENT_LIST) and number.isdigit():
        found["row"], found["column"] = events[int(number)].locate(inner)
    return found


def _print(path: Path, report: Report, *, as_json: bool) -> None:
    names = ("success", "events", "captured", "known", "index", "statementID", "document")
    job = {name: report.job.get(name) for name in names}
    job["success"] = not report.rejected
    if as_json:
        lists = {"rejected": report.rejected, "remarks": report.remarks}
        answer = {"file": str(path), **job, **lists}
        typer.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
        return
    for one in report.rejected:
        typer.echo(_sentence(one))
    for one in report.remarks:
        typer.echo(f"captured all the same: {_sentence(one)}")
    if not report.job:
        typer.echo("nothing was captured")
        return
    typer.echo(f"captured {job['captured'] or 0} events, knew {job['known'] or 0} already")
    if job["index"] is not None:
        typer.echo(f"entry {job['index']}, document {job['document']}")


def _sentence(one: dict[str, object]) -> str:
    where = f"row {one['row']}" if "row" in one else str(one.get("pointer") or "the file")
    column = f", {one['column']}" if one.get("column") else ""
    mend = str(one["mend"])
    return f"{where}{column}: {one['why']}. {mend[:1].upper()}{mend[1:]}."
