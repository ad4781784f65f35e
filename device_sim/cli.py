"""`tagtrail sim`: play a scenario into files or a broker, and hold answers against its truth.

    tagtrail sim list
    tagtrail sim describe dairy
    tagtrail sim plan dairy -o plan.toml
    tagtrail sim enrol pharma --seed 7 --dir LEDGER
    tagtrail sim run dairy --seed 7 --out DIR [--broker mqtt://HOST:PORT] [--speed 60|max|max/8]
    tagtrail sim score DIR/truth.jsonl --ledger URL|DIR [--json]
    tagtrail sim scores -o docs/reference/scores.md

Exit codes: 0 done, and for `score` nothing was wrong or silently missing; 1 something was;
2 usage or input that does not parse.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from device_sim.devicekeys import enrol_devices, found_ledger
from device_sim.league import make_scores
from device_sim.library import list_scenarios, load_scenario, store_performance
from device_sim.network import draw_network
from device_sim.plan import format_plan
from device_sim.play import Performance
from device_sim.publish import Progress as Report
from device_sim.publish import publish
from device_sim.scenario import build_world
from device_sim.score import opened_ledger, score
from device_sim.scoreboard import print_score
from device_sim.signing import ORIGIN, devices
from device_sim.workers import make_messages, worth
from ledger.errors import ParseError

EXIT_NEGATIVE = 1
CONNECTIONS_MAX = 64

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

Origin = Annotated[
    str, typer.Option(help="The ledger's origin, for devices that sign for themselves.")
]
Speed = Annotated[
    str,
    typer.Option(help="Times as fast as real time, or `max`; `max/8` is over 8 connections."),
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
def enrol(
    scenario: ScenarioName,
    folder: Annotated[Path, typer.Option("--dir", help="The ledger's folder.")],
    seed: Seed = 1,
    origin: Origin = ORIGIN,
) -> None:
    """Enrol the keys of the devices that sign for themselves, each under its party's.

    A folder without a ledger gets one, with the parties of the scenario.
    """
    loaded = load_scenario(scenario)
    world = build_world(loaded)
    if found_ledger(world, folder, origin):
        _say(f"made the ledger {origin} in {folder} with {len(world.parties)} parties")
    every = devices(world, seed)
    new = enrol_devices(every, folder)
    _say(f"{len(every)} devices of {loaded.name} sign for themselves; {new} keys are new here")


@app.command()
def run(  # noqa: PLR0913 - one parameter for each option
    scenario: ScenarioName,
    *,
    seed: Seed = 1,
    broker: Annotated[
        str | None, typer.Option(help="mqtt://host:port; without it only files are written.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for messages, truth, plan, acknowledgements.")
    ] = None,
    speed: Speed = "max",
    changes: Settings = None,
    origin: Origin = ORIGIN,
) -> None:
    """Play a scenario into files (--out), a broker (--broker), or both."""
    if broker is None and out is None:
        raise typer.BadParameter("say where to: --broker URL, --out DIR, or both")
    factor, clients = _parse_speed(speed)
    loaded = load_scenario(scenario, changes or ())
    show = Performance(loaded, seed, origin)
    if out is not None:
        with _progress("making", show) as report:
            made = store_performance(show, out, report)
        _say(
            f"{loaded.name}, seed {seed}: {made} messages with {show.reads} reads and "
            f"{show.samples} samples about {loaded.items} items"
        )
        show = Performance(loaded, seed, origin)
    if broker is not None:
        with _progress("publishing", show) as report:
            published = publish(
                make_messages(show, worth(loaded)),
                broker,
                acks=None if out is None else out / "acks.jsonl",
                speed=factor,
                progress=report,
                clients=clients,
            )
        rate = published.messages / max(published.seconds, 0.001)
        _say(
            f"{published.messages} messages acknowledged in {published.seconds:.1f} s "
            f"({rate:.0f}/s, {published.connections} connections); "
            f"held back by the broker for {published.held_s:.1f} s"
        )


@app.command()
def scores(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the page here.")
    ] = None,
    seed: Seed = 1,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A scenario; all of them by default.")
    ] = None,
) -> None:
    """Play every scenario through gateway and ledger, and print how the answers fare."""
    names = only or [one for one in list_scenarios() if one != "stress"]
    page = make_scores(names, seed, say=_say)
    if out is None:
        typer.echo(page, nl=False)
    else:
        out.write_text(page, encoding="utf-8")


@app.command("score")
def score_answers(
    truth: Annotated[Path, typer.Argument(help="The truth.jsonl of a run.")],
    ledger: Annotated[str, typer.Option(help="URL of a ledger, or its folder.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a ledger's answer about every item with the truth."""
    with opened_ledger(ledger) as url, _asking() as progress:
        report = score(truth, url, progress=progress)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        print_score(report, Console())
    if not report.ok:
        raise typer.Exit(EXIT_NEGATIVE)


def _parse_speed(text: str) -> tuple[float | None, int]:
    """Return how fast, None as fast as possible, and over how many connections."""
    pace, _, over = text.partition("/")
    if "/" in text and not (over.isdecimal() and 1 <= int(over) <= CONNECTIONS_MAX):
        raise ParseError("--speed", f"{over!r} connections are not 1 to {CONNECTIONS_MAX}")
    clients = int(over or 1)
    if pace == "max":
        return None, clients
    try:
        factor = float(pace)
    except ValueError as error:
        raise ParseError("--speed", f"{pace!r} is neither a number nor `max`") from error
    if not 0 < factor < 1e9:  # noqa: PLR2004 - faster is `max`
        raise ParseError("--speed", f"{pace} is not above 0 and below 1e9")
    return factor, clients


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _progress(what: str, show: Performance) -> Iterator[Report]:
    """Yield a callback that draws simulated time, rate and time left on a terminal."""
    began = time.monotonic()
    from_us, to_us = show.span_us
    with _bar(what) as bar:
        task = bar.add_task(what, total=to_us - from_us, said="")

        def report(done: int, time_us: int) -> None:
            rate = done / max(time.monotonic() - began, 0.001)
            said = f"{done:,} messages, {rate:,.0f}/s"
            bar.update(task, completed=time_us - from_us, said=said)

        yield report


@contextmanager
def _asking() -> Iterator[Callable[[int, int], None]]:
    with _bar("asking") as bar:
        task = bar.add_task("asking", total=None, said="")
        yield lambda done, every: bar.update(
            task, completed=done, total=every, said=f"{done} of {every}"
        )


def _bar(what: str) -> Progress:
    """Return a progress bar that is silent where there is no terminal."""
    columns = (
        TextColumn(what), BarColumn(), TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
