"""The league: every scenario through the whole line, and a page of how the answers fare.

Each scenario is played three times: `sound`, without a fault and without a missed read; with
one read in twenty missed; and as it ships, with its faults. Each run goes through a gateway
into a ledger of its own by `tagtrail gateway replay`, in a folder that is thrown away, and
the ledger is asked about every item.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from device_sim.devicekeys import enrol_devices, found_ledger
from device_sim.library import load_scenario, scenario_text, store_performance
from device_sim.play import Performance
from device_sim.scenario import Scenario
from device_sim.score import ScoreError, ScoreReport, opened_ledger, score
from device_sim.scoreboard import Scored, format_scores
from device_sim.signing import ORIGIN
from device_sim.trials import trials

MISSED = 0.05
INTRO = """\
# Scores

How the answers of gateway and ledger fare against the [truth](truth.md) of each
[scenario](scenarios.md), seed {seed}, over the whole line: readers' bytes, capture plan, signed
statements, log, index, answers. Made by

```
tagtrail sim scores -o docs/reference/scores.md
```

`sound` has no fault and no missed read. `5 % missed` has no fault, and every label crosses one
station in twenty unheard (more behind glass, liquid and metal). The others are the scenarios as
they ship. Shares have their 95 % interval; `-` is a share of nothing. What each measure means
is said in [truth.md](truth.md#measures)."""


def make_scores(names: Sequence[str], seed: int, say: Callable[[str], None]) -> str:
    """Play the scenarios through the whole line and return the page; `say` tells how far.

    With the dairy comes each kind of fault by itself.
    """

    def scored(runs: Iterable[tuple[str, Scenario]]) -> Iterator[Scored]:
        for title, scenario in runs:
            report, counted = score_whole_line(scenario, seed)
            wrong = sum(one.verdict in {"wrong", "silent"} for one in report.findings)
            say(f"{title}: {report.share:.1%} complete, {wrong} findings wrong or silent")
            yield replace(report, scenario=title), counted

    runs = list(scored(one for name in names for one in variants(load_scenario(name))))
    alone = list(scored(trials(scenario_text("dairy")))) if "dairy" in names else []
    return format_scores(runs, alone, INTRO.format(seed=seed).splitlines())


def variants(scenario: Scenario) -> Iterator[tuple[str, Scenario]]:
    """Yield a scenario without faults and misses, with misses alone, and as it ships."""
    for title, missed in (("sound", 0.0), ("5 % missed", MISSED)):
        radio = msgspec.structs.replace(
            scenario.radio, missed=missed, missed_at_encoder=missed / 5
        )
        yield (
            f"{scenario.name}, {title}",
            msgspec.structs.replace(scenario, radio=radio, fault=()),
        )
    yield scenario.name, scenario


def score_whole_line(scenario: Scenario, seed: int) -> tuple[ScoreReport, dict[str, int]]:
    """Play a scenario, replay it through a gateway into a new ledger, and ask the ledger.

    Returns also the numbers that the gateway counted: messages, reads, events and the rest.
    """
    with TemporaryDirectory(prefix="tagtrail-scores-") as name:
        out, ledger = Path(name) / "run", Path(name) / "ledger"
        show = Performance(scenario, seed, ORIGIN)
        store_performance(show, out)
        found_ledger(show.world, ledger, ORIGIN)
        enrol_devices(show.devices, ledger)
        told = _tagtrail(
            "gateway", "replay", out / "messages.ndjson",
            "--plan", out / "plan.toml", "--dir", ledger, "--json",
        )  # fmt: skip
        said = json.loads(told)
        status = json.loads(_tagtrail("gateway", "status", "--dir", ledger, "--json"))
        said["parked"] = sum(1 + int(one["behind"]) for one in status["parked"])
        counts = {name: value for name, value in said.items() if isinstance(value, int)}
        with opened_ledger(str(ledger)) as url:
            return score(out / "truth.jsonl", url), counts


def _tagtrail(*words: object) -> str:
    """Run a command of tagtrail; return what it printed, even if not all of it held."""
    command = [sys.executable, "-m", "ledger.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0 and not done.stdout.startswith("{"):
        told = f"{done.stdout[-500:]}{done.stderr[-500:]}".strip() or "nothing"
        raise ScoreError(f"`tagtrail {words[0]}` ended with {done.returncode}, said: {told}")
    return done.stdout
