"""`tagtrail trace`: draws where an item comes from, who had it, and what nobody knows.

    tagtrail trace urn:epc:id:sgtin:9506000.013435.7 --dir DIR
    tagtrail trace '(01)09506000134352(21)7' --url http://127.0.0.1:8080 --known-at 4096
    tagtrail trace '(01)09506000134369(10)A' --dir DIR --forward

The answer comes from a ledger's folder (read only) or from its server. Exit codes: 0 found,
1 the ledger never heard of the item, 2 usage.
"""

import json
import time
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ledger.cli.timeline import draw_answer
from ledger.client.http import CaptureClient, LedgerRefusedError
from ledger.epcis.event import format_time, parse_time_us
from ledger.errors import ParseError
from ledger.gs1.epc import parse_epc
from ledger.gs1.item import parse_item
from ledger.provenance.answer import trace as trace_item
from ledger.provenance.document import assemble_answer
from ledger.provenance.recall import ITEMS_MAX, describe_descendants
from ledger.provenance.twin import Asked

EXIT_UNKNOWN = 1
WIDTH_IN_A_PIPE = 400
NOT_FOUND = 404

app = typer.Typer(add_completion=False)


@app.command()
def trace(  # noqa: PLR0913 - one for each option
    epc: Annotated[
        str, typer.Argument(help="URN, Digital Link, element string, or the tag's hex.")
    ],
    *,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="The ledger's folder, read only.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The ledger's server.")] = None,
    at: Annotated[str | None, typer.Option(help="As things were then (ISO time).")] = None,
    known_at: Annotated[
        int | None, typer.Option(min=0, help="As known when the log had this size.")
    ] = None,
    names: Annotated[
        Path | None, typer.Option(help="A capture plan (TOML) that names the parties.")
    ] = None,
    forward: Annotated[
        bool, typer.Option("--forward", help="What it went into, and where that is now.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Trace an item back through packings, makers and hand-overs, or forward, with its gaps."""
    key = parse_item(epc)
    at_us = None if at is None else parse_time_us(at, "--at")
    known_names = {} if names is None else read_names(names)
    if (folder is None) == (url is None):
        raise typer.BadParameter("give either --dir or --url", param_hint="--dir, --url")
    if url is not None:
        answer = _ask_server(url, key, at_us, known_at, forward=forward)
    else:
        assert folder is not None
        answer = _ask_folder(folder, key, at_us, known_at, forward=forward)
    if answer is None:
        typer.echo(f"tagtrail trace: no event in this ledger names {key}", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        draw_answer(answer, known_names | answer["names"], make_console())


def make_console() -> Console:
    """Return a console on standard output: colours on a terminal, wide plain text in a pipe."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=WIDTH_IN_A_PIPE)
    return console


def read_names(path: Path) -> dict[str, str]:
    """Return the names of parties and places, by key, that the plan at `path` gives.

    Parties are named by `[[party]]`; a place is named by the part of its station's name
    before the first slash. Raises `ParseError` for what is no TOML.
    """
    try:
        plan = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParseError(str(path), f"is no TOML: {error}") from error
    found: dict[str, str] = {}
    for station in _tables(plan, "station"):
        place, name = station.get("biz_location"), station.get("name")
        if isinstance(place, str) and isinstance(name, str):
            found[parse_epc(place).key] = name.partition("/")[0]
    for party in _tables(plan, "party"):
        iri, name = party.get("id"), party.get("name")
        if isinstance(iri, str) and isinstance(name, str):
            found[parse_epc(iri).key] = name
    return found


def _tables(plan: dict[str, Any], name: str) -> list[dict[str, Any]]:
    tables = plan.get(name, [])
    return [one for one in tables if isinstance(one, dict)] if isinstance(tables, list) else []


def _ask_server(
    url: str, key: str, at_us: int | None, known_at: int | None, *, forward: bool
) -> dict[str, Any] | None:
    at = None if at_us is None else format_time(at_us)
    known = None if known_at is None else str(known_at)
    with CaptureClient(url) as client:
        try:
            direction = "both" if forward else None
            return client.provenance(key, at=at, known_at=known, direction=direction)
        except LedgerRefusedError as error:
            if error.status == NOT_FOUND:
                return None
            raise


def _ask_folder(
    folder: Path, key: str, at_us: int | None, known_at: int | None, *, forward: bool
) -> dict[str, Any] | None:
    # Only here, so that asking a server needs no database toolkit.
    from ledger.store.evidence import EvidenceReader  # noqa: PLC0415
    from ledger.store.index_source import IndexReader  # noqa: PLC0415

    evidence = EvidenceReader(folder)
    try:
        reader = IndexReader(folder)
        try:
            source = reader.source()
            behind = evidence.load_size() - source.size()
            if behind > 0 and known_at is None:
                typer.echo(f"the index is {behind} entries behind the log", err=True)
            now_us = time.time_ns() // 1000
            answer = trace_item(source, key, now_us=now_us, at_us=at_us, known_at=known_at)
            if answer is None:
                return None
            told: dict[str, Any] = assemble_answer(answer)
            if forward:
                asked = Asked(now_us=now_us, at_us=at_us, known_at=known_at)
                told |= describe_descendants(source, key, asked, items=ITEMS_MAX)
            return told
        finally:
            reader.close()
    finally:
        evidence.close()
