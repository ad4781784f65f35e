"""`tagtrail sim`: play a scenario into files or a broker, and hold answers against its truth.

    tagtrail sim list
    tagtrail sim describe dairy
    tagtrail sim plan dairy --seed 7 -o plan.toml
    tagtrail sim run dairy --seed 7 --out DIR [--broker mqtt://HOST:PORT] [--speed 60|max]
    tagtrail sim score DIR/truth.jsonl --ledger URL|DIR [--json]

Exit codes: 0 done, and for `score` nothing was wrong or silently missing; 1 something was;
2 usage or input that does not parse.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from device_sim.library import list_scenarios, load_scenario, store_run
from device_sim.network import draw_network
from device_sim.plan import format_plan
from device_sim.play import Run, play
from device_sim.publish import Progress as Report
from device_sim.publish import publish
from device_sim.scenario import build_world
from device_sim.score import ScoreReport, opened_ledger, score
from ledger.errors import ParseError

EXIT_NEGATIVE = 1
FINDINGS_SHOWN = 20

app = typer.Typer(
    help="Play a simulated supply chain, and hold a ledger's answers against the truth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ScenarioName = Annotated[str, typer.Argument(help="A name of `sim list`, or a TOML file.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same bytes.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a number: --set items=1000."),
]


@app.command("list")
def list_all() -> None:
    """List the scenarios that ship with the simulator."""
    for name in list_scenarios():
        typer.echo(f"{name:12} {load_scenario(name).title}")


@app.command()
def describe(scenario: ScenarioName) -> None:
    """Draw the network of a scenario: sites, doors, roads, vehicles, faults."""
    Console().print(draw_network(load_scenario(scenario)))


@app.command()
def plan(
    scenario: ScenarioName,
    seed: Seed = 1,  # noqa: ARG001 - taken as by `run`; every seed has the same doors
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it here instead of showing it.")
    ] = None,
) -> None:
    """Write the capture plan that a gateway needs for a scenario."""
    loaded = load_scenario(scenario)
    text = format_plan(loaded, build_world(loaded))
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


@app.command()
def run(
    scenario: ScenarioName,
    seed: Seed = 1,
    broker: Annotated[
        str | None, typer.Option(help="mqtt://host:port; without it only files are written.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for messages, truth, plan, acknowledgements.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Times as fast as real time, or `max`.")] = "max",
    changes: Settings = None,
) -> None:
    """Play a scenario into files (--out), a broker (--broker), or both."""
    if broker is None and out is None:
        raise typer.BadParameter("say where to: --broker URL, --out DIR, or both")
    factor = _parse_speed(speed)
    played = play(load_scenario(scenario, changes or ()), seed)
    if out is not None:
        store_run(played, out)
    _say(_summary(played))
    if broker is not None:
        with _progress("publishing") as report:
            published = publish(
                played.messages,
                broker,
                acks=None if out is None else out / "acks.jsonl",
                speed=factor,
                progress=report,
            )
        rate = published.messages / max(published.seconds, 0.001)
        _say(
            f"{published.messages} messages acknowledged in {published.seconds:.1f} s "
            f"({rate:.0f}/s, {published.connections} connections)"
        )


@app.command("score")
def score_answers(
    truth: Annotated[Path, typer.Argument(help="The truth.jsonl of a run.")],
    ledger: Annotated[str, typer.Option(help="URL of a ledger, or its folder.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a ledger's answer about every item with the truth."""
    with opened_ledger(ledger) as url, _progress("asking") as progress:
        report = score(truth, url, progress=progress)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        print_score(report, Console())
    if not report.ok:
        raise typer.Exit(EXIT_NEGATIVE)


def print_score(report: ScoreReport, console: Console) -> None:
    """Print the table of a score and the first findings."""
    title = f"{report.scenario}, seed {report.seed}: {report.items} items, {report.sold} sold"
    table = Table("claim", title=title, title_justify="left")
    for column in ("right", "named gap", "unknowable", "silent hole", "wrong"):
        table.add_column(column, justify="right")
    for aspect, counts in report.aspects.items():
        table.add_row(aspect, *(str(count) for count in counts.values()))
    console.print(table)
    console.print(
        f"complete answers: {report.complete} of {report.items} ({report.share:.1%}); "
        f"sold items: {report.sold_complete} of {report.sold} ({report.sold_share:.1%})"
    )
    for finding in report.findings[:FINDINGS_SHOWN]:
        text = f"  {finding.verdict}: {finding.epc} {finding.aspect}: {finding.what}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    hidden = len(report.findings) - FINDINGS_SHOWN
    if hidden > 0:
        console.print(f"  and {hidden} more; --json prints all")


def _summary(played: Run) -> str:
    return (
        f"{played.scenario.name}, seed {played.seed}: {len(played.messages)} messages with "
        f"{played.reads} reads and {played.samples} samples about {played.scenario.items} items"
    )


def _parse_speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError as error:
        raise ParseError("--speed", f"{text!r} is neither a number nor `max`") from error
    if not 0 < factor < 1e9:  # noqa: PLR2004 - faster is `max`
        raise ParseError("--speed", f"{text} is not above 0 and below 1e9")
    return factor


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _progress(what: str) -> Iterator[Report]:
    """Yield a callback that draws a bar on a terminal and is silent elsewhere."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
