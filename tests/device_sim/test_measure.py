import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from device_sim.facts import Facts, Fault, parse_truth
from device_sim.judge import judge_answer
from device_sim.library import load_scenario
from device_sim.measure import Share, measure_claims, measure_faults
from device_sim.play import play
from device_sim.score import ScoreReport, report_on, strangers_of
from device_sim.scoreboard import format_scores, print_score
from device_sim.verdicts import MEASURES, Gap, Judgement
from tests.device_sim.whole_line import answers, capture


def judged(name: str, *settings: str, seed: int = 3) -> tuple[Facts, dict[str, Judgement], Any]:
    run = play(load_scenario(name, settings), seed)
    facts, source = parse_truth(run.truth), capture(run, faulty=True)
    told = answers(source, facts.items)
    found = {key: judge_answer(facts, item, told[key]) for key, item in facts.items.items()}
    return facts, found, answers(source, strangers_of(facts))


@pytest.fixture(scope="module")
def luxury() -> tuple[Facts, dict[str, Judgement], Any]:
    return judged("luxury", "items=60")


@pytest.fixture(scope="module")
def report(luxury: tuple[Facts, dict[str, Judgement], Any]) -> ScoreReport:
    return report_on(*luxury)


def test_a_share_has_the_interval_that_wilson_gives() -> None:
    """Worked examples: 8 of 10, and the ends, where the interval has one open side."""
    low, high = Share(8, 10).interval or (0, 0)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
    low, high = Share(10, 10).interval or (0, 0)
    assert (low, high) == (pytest.approx(0.7225, abs=1e-3), 1.0)
    assert (Share(0, 10).interval or (1, 1))[0] == 0.0
    assert (Share(0, 0).value, Share(0, 0).interval) == (None, None)


def test_claims_of_honest_goods_are_right_and_whole(
    luxury: tuple[Facts, dict[str, Judgement], Any],
) -> None:
    facts, found, _ = luxury
    deceived = frozenset[str]().union(*(one.things for one in facts.faults))
    measures = measure_claims(facts, {k: one for k, one in found.items() if k not in deceived})
    assert list(measures) == [*MEASURES, "gaps"]
    for name in ("events", "path", "containment", "custody", "exposure"):
        assert measures[name].precision.value == 1.0, name
    assert measures["events"].recall.value == 1.0
    assert measures["derivation"].precision.value is None  # bags are made of no lots


def test_a_clone_alarms_and_harms_and_costs_precision(report: ScoreReport) -> None:
    (clone,) = [one for one in report.faults if one.kind == "clone"]
    assert clone.touched == clone.harmed == 5
    assert clone.complete == 0
    assert 1 <= clone.alarmed <= 5
    assert (report.measures["events"].precision.value or 0) < 1.0


def test_what_is_quarantined_in_time_harms_nobody(report: ScoreReport) -> None:
    (tampered,) = [one for one in report.faults if one.kind == "tampered"]
    assert tampered.touched > 0
    assert (tampered.harmed, tampered.measure.recall.value) == (0, None)


def test_a_fake_is_known_by_its_lack_of_origin() -> None:
    facts, found, strangers = judged("marketplace", "items=60")
    assert len(strangers) == 6
    (fakes,) = [one for one in report_on(facts, found, strangers).faults if one.kind == "fakes"]
    assert (fakes.touched, fakes.alarmed, fakes.harmed) == (6, 6, 0)
    assert fakes.measure.recall.value == 1.0
    believed: dict[str, list[Gap] | None] = {key: [] for key in strangers}
    fakes = next(one for one in measure_faults(facts, found, believed) if one.kind == "fakes")
    assert (fakes.alarmed, fakes.harmed, fakes.measure.recall.value) == (0, 6, 0.0)
    unheard = dict.fromkeys(strangers)
    fakes = next(one for one in measure_faults(facts, found, unheard) if one.kind == "fakes")
    assert fakes.alarmed == 6


def test_a_gap_that_nothing_explains_costs_precision(
    luxury: tuple[Facts, dict[str, Judgement], Any],
) -> None:
    facts, found, _ = luxury
    touched = set().union(*(one.things for one in facts.faults))
    before = measure_claims(facts, found)["gaps"].precision
    key = next(one for one in found if one not in touched and not found[one].gaps)
    invented = replace(found[key], gaps=(Gap("moved_unseen", key, None, None),))
    after = measure_claims(facts, found | {key: invented})["gaps"].precision
    assert (after.hits, after.of) == (before.hits, before.of + 1)


def test_a_fault_without_things_touches_nothing(
    luxury: tuple[Facts, dict[str, Judgement], Any],
) -> None:
    facts, found, _ = luxury
    idle = Fault(kind="poison", where="x", from_us=0, to_us=1, things=frozenset())
    (one,) = measure_faults(replace(facts, faults=[idle]), found, {})
    assert (one.touched, one.measure.precision.value) == (0, None)


def test_a_board_shows_every_measure_and_a_page_every_run(report: ScoreReport) -> None:
    console = Console(record=True, width=160)
    print_score(report, console)
    printed = console.export_text()
    assert "containment" in printed
    assert "boutique-4/till" in printed
    both = [report, replace(report, scenario="again")]
    alone = [(replace(report, scenario="clone"), {"parked": 42})]
    page = format_scores([(both[0], {"reads": 4711}), (both[1], {})], alone, ["# Scores"])
    assert page.startswith("# Scores\n")
    assert "| 4711 |" in page
    assert "| 42 |" in page[page.index("## Each fault by itself") :]
    assert page.count("| again |") == 4 + len(report.faults)
    assert all(line.count("|") > 3 for line in page.splitlines() if line.startswith("|"))


def test_a_report_is_plain_json(report: ScoreReport) -> None:
    said = json.loads(json.dumps(report.to_json()))
    assert set(said["measures"]) == {*MEASURES, "gaps"}
    assert said["measures"]["path"]["precision"]["interval"][1] == 1.0
    assert {one["fault"] for one in said["faults"]} == {"clone", "forged", "tampered"}
