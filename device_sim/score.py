"""Scoring: asks a ledger about every item of a run and counts how its answers fare.

The ledger is asked over HTTP like by anybody else (`GET /provenance/{epc}`); a ledger's
folder is opened by starting `tagtrail serve` on it for as long as the questions last.
What a verdict means is said in `device_sim.judge`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from device_sim.facts import Facts, parse_truth
from device_sim.judge import gaps_of, judge_answer
from device_sim.measure import FaultMeasure, Measure, measure_claims, measure_faults
from device_sim.verdicts import ASPECTS, VERDICTS, Finding, Judgement, Verdict
from ledger.errors import ParseError, TagtrailError

ASKING = 4
ANSWER_S_MAX = 120.0
_STOP_S_MAX = 15.0
_LISTENING = "listening on "
_OK = 200
_NOT_FOUND = 404


class ScoreError(TagtrailError):
    """The ledger did not answer, so that nothing can be said about its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """How the answers of a ledger fare against the truth of a run.

    `complete` answers have every aspect right. `aspects` counts items by verdict.
    """

    scenario: str
    seed: int
    items: int
    complete: int
    sold: int
    sold_complete: int
    aspects: Mapping[str, Mapping[Verdict, int]]
    findings: tuple[Finding, ...]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    faults: tuple[FaultMeasure, ...] = ()

    @property
    def ok(self) -> bool:
        """No claim is wrong and nothing is missing silently."""
        return not any(one.verdict in {"wrong", "silent"} for one in self.findings)

    @property
    def share(self) -> float:
        """The share of all items whose answer is complete."""
        return self.complete / self.items if self.items else 1.0

    @property
    def sold_share(self) -> float:
        """The share of the sold items whose answer is complete."""
        return self.sold_complete / self.sold if self.sold else 1.0

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values; every finding is in it."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "items": self.items,
            "complete": self.complete,
            "sold": self.sold,
            "sold_complete": self.sold_complete,
            "aspects": self.aspects,
            "measures": {name: one.to_json() for name, one in self.measures.items()},
            "faults": [one.to_json() for one in self.faults],
            "share": self.share,
            "sold_share": self.sold_share,
            "ok": self.ok,
            "findings": [asdict(one) for one in self.findings],
        }


def score(
    truth_path: Path, url: str, *, progress: Callable[[int, int], None] | None = None
) -> ScoreReport:
    """Ask the ledger at `url` about every item of the truth file and return the report.

    Lots of which no item is made are asked about as well. `progress` is called with (asked,
    all). Raises `ParseError` for a file that is no truth file or an answer that is none, and
    `ScoreError` when the ledger does not answer.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ParseError("--ledger", f"{url!r} is neither an http(s) URL nor a folder")
    try:
        with truth_path.open(encoding="utf-8") as file:
            facts = parse_truth(file, str(truth_path))
    except (OSError, UnicodeDecodeError) as error:
        raise ParseError(str(truth_path), f"cannot be read: {error}") from error
    judged: dict[str, Judgement] = {}
    with (
        urllib3.PoolManager(maxsize=ASKING, block=True, timeout=ANSWER_S_MAX) as pool,
        ThreadPoolExecutor(ASKING) as threads,
    ):
        asked = threads.map(lambda one: _ask(pool, url, one.epc), facts.asked.values())
        for item, answer in zip(facts.asked.values(), asked, strict=True):
            judged[item.key] = judge_answer(facts, item, answer)
            if progress is not None:
                progress(len(judged), len(facts.asked))
        strangers = {key: _ask(pool, url, key) for key in strangers_of(facts)}
    return report_on(facts, judged, strangers)


def strangers_of(facts: Facts) -> list[str]:
    """Return the items that only faults know: fakes, which nobody made."""
    things = {key for one in facts.faults if one.kind == "fakes" for key in one.things}
    return sorted(things - facts.items.keys())


def report_on(
    facts: Facts,
    judged: Mapping[str, Judgement],
    strangers: Mapping[str, Mapping[str, Any] | None],
) -> ScoreReport:
    """Return the report on all judgements, and on the answers about strangers."""
    report = tally(facts, {key: list(one.findings) for key, one in judged.items()})
    gaps = {
        key: None if answer is None else gaps_of(answer) for key, answer in strangers.items()
    }
    return replace(
        report,
        measures=measure_claims(facts, judged),
        faults=tuple(measure_faults(facts, judged, gaps)),
    )


def tally(facts: Facts, found: Mapping[str, list[Finding]]) -> ScoreReport:
    """Count the findings by aspect; each item counts once per aspect, by its worst."""
    aspects: dict[str, dict[Verdict, int]] = {
        one: dict.fromkeys(VERDICTS, 0) for one in ASPECTS
    }
    for findings in found.values():
        for aspect, counts in aspects.items():
            verdicts = {one.verdict for one in findings if one.aspect == aspect}
            counts[max(verdicts, key=VERDICTS.index, default="right")] += 1
    sold = [one.key for one in facts.items.values() if one.sales]
    return ScoreReport(
        scenario=facts.scenario, seed=facts.seed, items=len(found),
        complete=sum(not one for one in found.values()),
        sold=len(sold), sold_complete=sum(not found[key] for key in sold),
        aspects=aspects,
        findings=tuple(
            sorted(
                (one for findings in found.values() for one in findings),
                key=lambda one: -VERDICTS.index(one.verdict),
            )
        ),
    )  # fmt: skip


@contextmanager
def opened_ledger(place: str) -> Iterator[str]:
    """Yield a URL for `place`: itself if it is one, else that of a server on the folder."""
    if urlsplit(place).scheme in {"http", "https"}:
        yield place
        return
    if not Path(place).is_dir():
        raise ParseError("--ledger", f"{place!r} is neither an http(s) URL nor a folder")
    command = [sys.executable, "-m", "ledger.cli", "serve", "--dir", place, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line.startswith(_LISTENING):
                raise ScoreError(f"`tagtrail serve --dir {place}` does not start: {line!r}")
            yield line.removeprefix(_LISTENING)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


def _ask(pool: urllib3.PoolManager, url: str, epc: str) -> dict[str, object] | None:
    address = f"{url.rstrip('/')}/provenance/{quote(epc, safe='')}"
    try:
        response = pool.request("GET", address)
    except urllib3.exceptions.HTTPError as error:
        raise ScoreError(f"the ledger does not answer {address}: {error}") from error
    if response.status == _NOT_FOUND:
        return None
    if response.status != _OK:
        raise ScoreError(f"{address} answers {response.status}: {response.data[:300]!r}")
    try:
        answer = json.loads(response.data)
    except ValueError as error:
        raise ScoreError(f"{address} answers no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ScoreError(f"{address} answers no JSON object")
    return answer
