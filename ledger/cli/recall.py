"""`tagtrail recall`: everything that a suspicion reaches, where it is, and whom to call.

    tagtrail recall '(01)09506000134369(10)A' --dir DIR
    tagtrail recall urn:epc:id:grai:9506000.00300.7 --from 2026-03-02T00:00:00Z --dir DIR
    tagtrail recall --place urn:epc:id:sgln:9506000.00001.0 --dir DIR

Things are suspected by name; `--place`, `--party` and `--device` suspect what was there, with
them or near it. Exit codes: 0 something is affected, 1 nothing is, 2 usage.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ledger.cli.timeline import short
from ledger.cli.trace import make_console, read_names
from ledger.client.http import CaptureClient
from ledger.epcis.times import format_time, parse_time_us
from ledger.gs1.item import parse_item
from ledger.provenance.recall import recall as find_affected
from ledger.provenance.seeds import Suspicion
from ledger.provenance.span import Span, at_instants, until
from ledger.provenance.twin import Asked

EXIT_NOTHING = 1
ROWS_SHOWN_MAX = 200

app = typer.Typer(add_completion=False)

Folder = Annotated[Path | None, typer.Option("--dir", help="The ledger's folder, read only.")]


@app.command()
def recall(  # noqa: PLR0913 - one for each option
    things: Annotated[
        list[str] | None, typer.Argument(help="Items, lots or containers, in any spelling.")
    ] = None,
    *,
    folder: Folder = None,
    url: Annotated[str | None, typer.Option(help="The ledger's server.")] = None,
    place: Annotated[list[str] | None, typer.Option(help="What was there.")] = None,
    party: Annotated[
        list[str] | None, typer.Option(help="What went through its hands.")
    ] = None,
    device: Annotated[list[str] | None, typer.Option(help="What it was near to.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Suspected from then on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Suspected until then.")] = None,
    at: Annotated[str | None, typer.Option(help="As things were then (ISO time).")] = None,
    known_at: Annotated[
        int | None, typer.Option(min=0, help="As known when the log had this size.")
    ] = None,
    names: Annotated[
        Path | None, typer.Option(help="A capture plan (TOML) that names the parties.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON row a line.")] = False,
) -> None:
    """Find what is affected, certainly and possibly, and who has it now."""
    body: dict[str, Any] = {
        "things": [parse_item(one) for one in things or ()],
        "places": [parse_item(one) for one in place or ()],
        "parties": [parse_item(one) for one in party or ()],
        "devices": [parse_item(one) for one in device or ()],
    }
    if not any(body.values()):
        raise typer.BadParameter("name a thing, or --place, --party or --device")
    if (folder is None) == (url is None):
        raise typer.BadParameter("give either --dir or --url", param_hint="--dir, --url")
    times = {"from": start, "to": end, "at": at}
    instants = {k: parse_time_us(v, f"--{k}") for k, v in times.items() if v is not None}
    if url is not None:
        body |= {name: format_time(us) for name, us in instants.items()}
        rows = _ask_server(url, body | ({} if known_at is None else {"known_at": known_at}))
    else:
        assert folder is not None
        rows = _ask_folder(folder, body, instants, known_at)
    known_names = {} if names is None else read_names(names)
    affected = _print_json(rows) if as_json else _draw(rows, known_names, make_console())
    if not affected:
        raise typer.Exit(EXIT_NOTHING)


def _ask_server(url: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with CaptureClient(url) as client:
        yield from client.recall(body)


def _ask_folder(
    folder: Path, body: dict[str, Any], instants: dict[str, int], known_at: int | None
) -> Iterator[dict[str, Any]]:
    # Only here, so that asking a server needs no database toolkit.
    from ledger.store.index_source import IndexReader  # noqa: PLC0415

    suspicion = Suspicion(
        things=tuple(body["things"]),
        places=tuple(body["places"]),
        parties=tuple(body["parties"]),
        devices=tuple(body["devices"]),
        span=_span(instants),
    )
    now_us = time.time_ns() // 1000
    asked = Asked(now_us=now_us, at_us=instants.get("at"), known_at=known_at)
    reader = IndexReader(folder)
    try:
        yield from find_affected(reader.source(), suspicion, asked)
    finally:
        reader.close()


def _span(instants: dict[str, int]) -> Span:
    if "from" not in instants:
        return until(instants.get("to"))
    if "to" not in instants:
        return Span(at_instants(instants["from"], instants["from"]).start)
    return at_instants(instants["from"], instants["to"])


def _print_json(rows: Iterator[dict[str, Any]]) -> int:
    affected = 0
    for row in rows:
        affected += row["kind"] == "affected"
        typer.echo(json.dumps(row, ensure_ascii=False))
    return affected


def _draw(rows: Iterator[dict[str, Any]], names: dict[str, str], console: Console) -> int:
    """Print the affected as a table, then whom to call; return how many there are."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("certainty", "item", "by way of", "place", "has it"):
        table.add_column(column)
    affected, summary = 0, {}
    for row in rows:
        if row["kind"] == "affected":
            affected += 1
            if affected <= ROWS_SHOWN_MAX:
                place, holder = row.get("place"), row.get("possessor")
                table.add_row(
                    row["certainty"],
                    short(row["epc"]),
                    " > ".join(short(one) for one in row["path"][:-1]),
                    _name(place, names),
                    _name(holder, names),
                )
        elif row["kind"] == "summary":
            summary = row
    console.print(table)
    if affected > ROWS_SHOWN_MAX:
        console.print(f"… and {affected - ROWS_SHOWN_MAX} more (--json has all)")
    console.print(
        f"{summary['certain']} certain, {summary['possible']} possible, "
        f"{summary['cleared']} cleared"
    )
    for row in summary["parties"]:
        console.print(
            f"call {_name(row['party'], names)}: {row['role']} of {row['items']} "
            f"({row['certainty']})"
        )
    if summary["truncated"]:
        console.print("the recall was cut: it reaches further than one recall may")
    return affected


def _name(key: str | None, names: dict[str, str]) -> str:
    return "unknown" if key is None else names.get(key, short(key))
