"""`tagtrail bundle`: puts what a ledger knows of one item into a file that proves itself.

    tagtrail bundle urn:epc:id:sgtin:9506000.013435.7 --dir DIR -o item.bundle
    tagtrail bundle EPC --dir DIR -o item.bundle --withhold why,how

What the file will disclose is listed first, on standard output; `--dry-run` stops there. The
bundle is audited before it is written, with the trust of the ledger's own folder. Exit codes:
0 written, 1 the ledger never heard of the item or has signed no checkpoint yet, 2 usage.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from ledger.app import open_source
from ledger.audit.bundle import known_events
from ledger.audit.bundle_answer import Asked, Row, collect_places, encode_answer, work_out
from ledger.audit.bundle_report import report_bundle
from ledger.audit.disclosed import list_disclosures
from ledger.audit.finding import Result
from ledger.audit.report import printable
from ledger.bundle import Bundle, encode_bundle
from ledger.config import load_trust
from ledger.epcis.event import parse_time_us
from ledger.epcis.parts import PART_NAMES
from ledger.errors import ParseError, VerificationError
from ledger.gs1.item import parse_item
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.store.bundles import load_signed, take_bundle
from ledger.store.evidence import EvidenceReader

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
    key, hidden = parse_item(epc), parse_parts(withhold)
    at_us = time.time_ns() // 1000 if at is None else parse_time_us(at, "--at")
    made = make_bundle(folder, key, hidden, at_us=at_us, known_at=known_at, with_answer=answer)
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


def parse_parts(text: str) -> frozenset[int]:
    """Return the numbers of the parts that `text` names, comma between, or raise."""
    numbers = set()
    for name in filter(None, (word.strip() for word in text.split(","))):
        if name not in PART_NAMES:
            raise ParseError("--withhold", f"{name!r} is none of {', '.join(PART_NAMES)}")
        numbers.add(PART_NAMES.index(name))
    return frozenset(numbers)


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle, and what its reader will miss."""

    bundle: Bundle
    remarks: tuple[str, ...] = ()


def make_bundle(
    folder: Path,
    key: str,
    hidden: frozenset[int],
    *,
    at_us: int,
    known_at: int | None = None,
    with_answer: bool = True,
) -> Made | None:
    """Return a bundle about the item `key`; None where no event under a checkpoint names it.

    The answer in it is worked out from what it shows, so that it says nothing that is
    withheld.
    """
    with open_source(folder) as source:
        evidence = EvidenceReader(folder)
        try:
            signed = load_signed(evidence)
            sizes = (signed.size, source.size(), signed.size if known_at is None else known_at)
            size = min(sizes)
            story = trace(source, key, now_us=at_us, at_us=at_us, known_at=size)
            if story is None:
                return None
            root = signed.root.hex() if size == signed.size else None
            asked = Asked(key, size=size, root=root, at_us=at_us)
            told = json.loads(json.dumps(assemble_answer(story)))
            made = take_bundle(evidence, signed, set(collect_places(told)), hidden)
        finally:
            evidence.close()
    if not with_answer:
        return Made(made)
    claims = work_out(known_events(made), asked)
    if claims is None:
        return Made(made, ("no answer: what is shown no longer names the item",))
    answer = encode_answer(claims)
    return Made(replace(made, answer=answer), tuple(_compare(told, json.loads(answer))))


def _compare(told: Row, claims: Row) -> Iterator[str]:
    """Yield what the answer in the bundle lacks of the one that the ledger gives."""
    if told.get("truncated"):
        yield "the answer is cut: there is more than one answer may tell; ask with --at"
    lost = [
        name
        for name in told.keys() - {"as_of"}
        if claims.get(name) != told[name] and name in claims
    ]
    if lost:
        yield f"the answer differs from the ledger's in: {', '.join(sorted(lost))}"


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
