"""One command that starts everything: broker, ledger, gateway and a simulated supply chain.

    tagtrail demo [--once] [--dir D] [--seed N] [--scenario dairy] [--port P]

It makes a ledger, plays the scenario through a real broker into a real gateway, waits until
every read is in the log, and then shows what a newcomer wants to see: how much went through,
one item's life, whether the ledger verifies, how the answers fare against the truth, and the
commands that repeat each step.

What survives a kill here: everything, because each program keeps its own state. A folder of
the same scenario and seed is taken up again; its messages are known and change nothing.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import urllib3
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from device_sim.broker import start_broker
from device_sim.devicekeys import enrol_devices
from device_sim.library import load_scenario, store_run
from device_sim.play import Run, play
from device_sim.publish import publish
from device_sim.score import ScoreReport, score
from device_sim.scoreboard import print_score
from device_sim.signing import ORIGIN, devices
from ingest.health import Health, read_health
from ledger.errors import TagtrailError

COMPLETE_SHARE_MIN = 0.95
START_S_MAX = 60.0
STOP_S_MAX = 10.0
SETTLE_S_MAX = 600.0
STALL_S_MAX = 60.0
POLL_S = 0.25
EXIT_NEGATIVE = 1
_TAGTRAIL = (sys.executable, "-m", "ledger.cli")
_MARK = "demo.json"

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


class DemoError(TagtrailError):
    """A part of the demonstration did not do what it should; the message names its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a demonstration plays: its folder, its ledger's URL, its broker's URL and name."""

    folder: Path
    url: str
    broker: str
    broker_name: str

    @property
    def gateway(self) -> Path:
        """Return the gateway's folder."""
        return self.folder / "gateway"

    @property
    def plan(self) -> Path:
        """Return the capture plan, which also names the parties."""
        return self.folder / "sim" / "plan.toml"

    @property
    def truth(self) -> Path:
        """Return the file of what truly happened."""
        return self.folder / "sim" / "truth.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a demonstration came to."""

    health: Health
    report: ScoreReport
    size: int
    verified: int
    traced: int
    seconds: float

    @property
    def failures(self) -> tuple[str, ...]:
        """Name everything that did not hold; empty when all of it did."""
        held = {
            "`tagtrail verify` found the ledger good": self.verified == 0,
            "`tagtrail trace` answered": self.traced == 0,
            "no answer contradicts the truth or hides a hole": self.report.ok,
            f"at least {COMPLETE_SHARE_MIN:.0%} of the sold items have complete answers": (
                self.report.sold_share >= COMPLETE_SHARE_MIN
            ),
            "nothing is parked, waiting or in quarantine": (
                self.health.is_settled
                and not self.health.parked
                and not self.health.quarantined_messages
            ),
        }
        return tuple(what for what, is_so in held.items() if not is_so)


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Exit when it is shown.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Keep everything here; else it is temporary.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same goods.")] = 1,
    scenario: Annotated[str, typer.Option(help="A name of `tagtrail sim list`.")] = "dairy",
    port: Annotated[int, typer.Option(help="The ledger's port; 0 takes a free one.")] = 0,
) -> None:
    """Show the whole line: tagged goods, a gateway, a ledger, one item's life, an audit.

    With --once the exit code is 0 only if all of it held.
    """
    console = Console()
    # A termination ends the children like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            place = folder or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="tagtrail-demo-"))
            )
            run = play(load_scenario(scenario), seed)
            _claim(place, run)
            stage = stack.enter_context(_raised(console, place, run, port))
            outcome = _perform(console, stage, run)
            _conclude(console, stage, run, outcome, kept=folder is not None)
            if not once:
                _wait_for_interrupt(console, stage)
    except KeyboardInterrupt:
        console.print("stopped")
        return
    if once and outcome.failures:
        raise typer.Exit(EXIT_NEGATIVE)


def _claim(folder: Path, run: Run) -> None:
    """Make the ledger in a new folder, or take up the same demonstration again.

    Refuses a folder that holds anything else. The mark is written last: a folder that has
    one has a whole ledger.
    """
    mark = folder / _MARK
    said = {"scenario": run.scenario.name, "seed": run.seed}
    if not mark.exists():
        options = ["--dir", str(folder), "--origin", ORIGIN]
        for party in run.parties:
            options += ["--party", f"{party.id}={party.title}:{party.prefix}"]
        done = subprocess.run(  # noqa: S603 - our own command
            [*_TAGTRAIL, "init", *options], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DemoError(done.stderr.strip())
        enrol_devices(devices(run.world, run.seed), folder)
        mark.write_text(json.dumps(said) + "\n")
    found = json.loads(mark.read_text())
    if found != said:
        raise DemoError(
            f"{folder} holds the demonstration {found}: give that scenario and seed, "
            "or another --dir"
        )


@contextmanager
def _raised(console: Console, folder: Path, run: Run, port: int) -> Iterator[Stage]:
    """Start broker, ledger and gateway; stop them in the reverse order at the end."""
    (folder / "logs").mkdir(exist_ok=True)
    with ExitStack() as stack:
        broker = start_broker(folder / "broker")
        stack.callback(broker.stop)
        console.print(f"broker   {broker.name} at {broker.url}")
        store_run(run, folder / "sim")
        url = stack.enter_context(
            _started(folder, "serve", "listening on ", "--dir", folder, "--port", port)
        )
        console.print(f"ledger   {ORIGIN} at {url}")
        plan = folder / "sim" / "plan.toml"
        stack.enter_context(
            _started(
                folder, "gateway", "subscribed at ",
                "run", "--dir", folder / "gateway", "--broker", broker.url,
                "--plan", plan, "--ledger", url,
            )
        )  # fmt: skip
        console.print(f"gateway  signs for {len(run.parties)} parties by {plan}")
        yield Stage(folder=folder, url=url, broker=broker.url, broker_name=broker.name)


@contextmanager
def _started(folder: Path, name: str, ready: str, *arguments: object) -> Iterator[str]:
    """Run `tagtrail name …` until the end; yields what its first line says after `ready`."""
    log_path = folder / "logs" / f"{name}.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*_TAGTRAIL, name, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for the demonstration, which stops the rest
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith(ready):
            raise DemoError(f"tagtrail {name} did not start: see {log_path}")
        yield line.removeprefix(ready).strip()
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _perform(console: Console, stage: Stage, run: Run) -> Outcome:
    """Publish the run, wait until it is in the log, and ask the three questions."""
    began = time.monotonic()
    with _progress(console) as bar:
        task = bar.add_task("reads into the broker", total=len(run.messages))
        published = publish(
            run.messages,
            stage.broker,
            acks=stage.folder / "sim" / "acks.jsonl",
            progress=lambda done, _all: bar.update(task, completed=done),
        )
        console.print(
            f"played   {published.messages} messages in {published.seconds:.1f} s: "
            f"{run.reads} reads of {run.scenario.items} items, {run.samples} sensor samples",
            markup=False,
            highlight=False,
        )
        health, size = _settle(stage, bar)
        seconds = time.monotonic() - began
        task = bar.add_task("answers against the truth", total=None)
        report = score(
            stage.truth,
            stage.url,
            progress=lambda done, every: bar.update(task, completed=done, total=every),
        )
    console.rule("one item's life")
    traced = _show(
        "trace", _choose_item(run, report), "--url", stage.url, "--names", stage.plan
    )
    console.rule("the audit")
    verified = _show("verify", stage.folder, "--trust", stage.folder / "trust.toml")
    return Outcome(
        health=health, report=report, size=size,
        verified=verified, traced=traced, seconds=seconds,
    )  # fmt: skip


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:26}"), BarColumn(),
        MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _settle(stage: Stage, bar: Progress) -> tuple[Health, int]:
    """Wait until what was published is processed, delivered, indexed and under a checkpoint.

    The last passes end a few silent seconds after the last read, by a tick.
    """
    task = bar.add_task("messages into the log", total=None)
    published = _count_identities(stage.folder / "sim" / "acks.jsonl")
    deadline = time.monotonic() + SETTLE_S_MAX
    changed, seen = time.monotonic(), (-1, -1)
    with urllib3.PoolManager() as pool:
        while time.monotonic() < deadline:
            health = read_health(stage.gateway)
            status = pool.request("GET", f"{stage.url}/status").json()
            size = int(status["size"])
            done = health.messages - health.unprocessed
            bar.update(task, completed=done, total=max(published, health.messages))
            arrived = health.messages >= published and health.is_settled
            if arrived and size == status["indexed"] == status["checkpoint_size"]:
                return health, size
            if (done, size) != seen:
                changed, seen = time.monotonic(), (done, size)
            if health.parked or time.monotonic() - changed > STALL_S_MAX:
                break
            time.sleep(POLL_S)
    raise DemoError(
        f"the line stands still: see `tagtrail gateway status --dir {stage.folder}` "
        f"and {stage.folder / 'logs'}"
    )


def _count_identities(acks: Path) -> int:
    """Return how many different messages the broker has acknowledged, over all runs."""
    with acks.open(encoding="utf-8") as lines:
        return len({json.loads(line)["sha256"] for line in lines})


def _choose_item(run: Run, report: ScoreReport) -> str:
    """Return the sold item with the story most worth reading.

    Its answer is complete, it is made of few lots, and it was in the warmest trailer.
    """
    doubtful = {finding.epc for finding in report.findings}
    items = [json.loads(line) for line in run.truth if '"kind":"item"' in line]
    sold = [one for one in items if one.get("sold_at") is not None] or items
    clear = [one for one in sold if one["epc"] not in doubtful] or sold

    def worth(item: dict[str, Any]) -> tuple[int, float]:
        return -len(item["farm_lots"]), max((e["max_c"] for e in item["exposure"]), default=0.0)

    return str(max(clear, key=worth)["epc"])


def _show(*arguments: object) -> int:
    """Run a `tagtrail` command on this terminal and return its exit code."""
    sys.stdout.flush()
    command = [*_TAGTRAIL, *map(str, arguments)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own command


def _conclude(
    console: Console, stage: Stage, run: Run, outcome: Outcome, *, kept: bool
) -> None:
    health = outcome.health
    console.rule("the answers against the truth")
    print_score(outcome.report, console)
    console.rule("what went through")
    rate = health.reads / max(outcome.seconds, 0.001)
    _print(
        console,
        f"messages    {health.messages:>8}   ({health.repeats} more were repeats)",
        f"reads       {health.reads:>8}   and {health.samples} sensor samples",
        f"events      {health.events:>8}",
        f"statements  {health.statements:>8}",
        f"entries     {outcome.size:>8}   with those that enrol keys",
        f"took        {outcome.seconds:>8.1f} s from the first read to the last entry "
        f"under a checkpoint: {rate:.0f} reads/s",
    )
    console.rule("again, step by step")
    item = _choose_item(run, outcome.report)
    folder = stage.folder
    note = "" if kept else "   (this folder goes at the end; --dir D keeps it)"
    _print(
        console,
        f"data        {folder}{note}",
        f"broker      {stage.broker_name} at {stage.broker}",
        f"API         {stage.url}/provenance/{item}",
        "",
        f"tagtrail sim run {run.scenario.name} --seed {run.seed} --broker {stage.broker}",
        f"tagtrail gateway status --dir {folder}",
        f"tagtrail trace {item} --dir {folder} --names {stage.plan}",
        f"tagtrail verify {folder} --trust {folder / 'trust.toml'}",
        f"tagtrail sim score {stage.truth} --ledger {stage.url}",
    )
    for failure in outcome.failures:
        console.print(f"NOT SO: {failure}", style="bold red", markup=False)


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _wait_for_interrupt(console: Console, stage: Stage) -> None:
    console.print(f"\nserving {stage.url} until Ctrl-C", markup=False)
    while True:
        time.sleep(1)
