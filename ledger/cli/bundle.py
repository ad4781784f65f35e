"""`tagtrail bundle`: puts what a ledger knows of one item into a file that proves itself.

    tagtrail bundle urn:epc:id:sgtin:9506000.013435.7 --dir DIR -o item.bundle
    tagtrail bundle EPC --dir DIR -o item.bundle --withhold why,how

What the file will disclose is listed first, on standard output; `--dry-run` stops there. The
bundle is audited before it is written, with the trust of the ledger's own folder. Exit codes:
0 written, 1 the ledger never heard of the item or has signed no checkpoint yet, 2 usage.
"""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.app import open_source
from ledger.audit.bundle_report import report_bundle
from ledger.audit.disclosed import list_disclosures
from ledger.audit.finding import Result
from ledger.audit.report import printable
from ledger.bundle import encode_bundle
from ledger.config import load_trust
from ledger.epcis.event import parse_time_us
from ledger.epcis.parts import PART_NAMES, parse_part_names
from ledger.errors import VerificationError
from ledger.gs1.item import parse_item
from ledger.store.evidence import EvidenceReader
from ledger.store.item_bundle import Made, Question, bundle_item

EXIT_UNKNOWN = 1

app = typer.Typer(add_completion=False)


@app.command()
def bundle(  # noqa: PLR0913 - one for each option
    epc: Annotated[
        str, typer.Argument(help="URN, Digital Link, element string, or the tag's hex.")
    ],
    *,
    folder: Annotated[Path, typer.Option("--dir", help="The ledger's folder, read only.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    withhold: Annotated[
        str, typer.Option(help=f"Parts to withhold, of {', '.join(PART_NAMES)}.")
    ] = "",
    at: Annotated[str | None, typer.Option(help="As things were then (ISO time).")] = None,
    known_at: Annotated[
        int | None, typer.Option(min=0, help="As known when the log had this size.")
    ] = None,
    answer: Annotated[
        bool, typer.Option("--answer/--no-answer", help="Put the answer in, too.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be disclosed; write nothing.")
    ] = False,
) -> None:
    """Make a bundle about one item: events, proof and answer, verified anywhere, offline."""
    key, hidden = parse_item(epc), parse_part_names(withhold, "--withhold")
    at_us = time.time_ns() // 1000 if at is None else parse_time_us(at, "--at")
    question = Question(
        key=key, at_us=at_us, known_at=known_at, hidden=hidden, with_answer=answer
    )
    made = make_bundle(folder, question)
    if made is None:
        typer.echo(f"tagtrail bundle: no event under a checkpoint names {key}", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    data = encode_bundle(made.bundle)
    typer.echo(f"{output} discloses, in {len(data)} bytes:")
    for line in (*list_disclosures(made.bundle, about=key), *made.remarks):
        typer.echo(f"  {printable(line)}")
    if dry_run:
        return
    _audit(data, folder)
    _write(output, data)
    typer.echo(f"written; verify it with: tagtrail verify {output} --trust {folder}/trust.toml")


def make_bundle(folder: Path, question: Question) -> Made | None:
    """Return the bundle; None where no event under a checkpoint names the item."""
    with open_source(folder) as source:
        evidence = EvidenceReader(folder)
        try:
            return bundle_item(source, evidence, question)
        finally:
            evidence.close()


def _audit(data: bytes, folder: Path) -> None:
    """Raise `VerificationError` for a bundle that would not verify: the ledger is damaged."""
    report = report_bundle(data, load_trust(folder), target="bundle")
    if report.result is Result.TAMPERED:
        first = report.findings[0]
        raise VerificationError(
            f"the ledger is damaged, run tagtrail verify {folder}: check {first.check}, "
            f"{first.what}"
        )


def _write(path: Path, data: bytes) -> None:
    """Write `data` to `path`; after a crash there is the old file or the whole new one."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
