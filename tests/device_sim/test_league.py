"""Every scenario: a sound run scores 1.0, and one that misses reads says nothing wrong."""

from collections.abc import Iterator

import msgspec
import pytest

from device_sim.facts import parse_truth
from device_sim.judge import judge_answer
from device_sim.league import score_whole_line, variants
from device_sim.library import list_scenarios, load_scenario, scenario_text
from device_sim.play import play
from device_sim.scenario import Scenario
from device_sim.scenariofile import parse_scenario
from device_sim.score import ScoreReport, report_on
from tests.device_sim.whole_line import answers, capture

SMALL = {
    "bulk": {"items": 16, "day.batches": 2},
    "dairy": {"items": 36, "day.batches": 2},
    "electronics": {"items": 8, "day.batches": 1},
    "luxury": {"items": 24, "day.batches": 1},
    "marketplace": {"items": 24, "day.batches": 1},
    "pharma": {"items": 32, "day.batches": 1},
    "produce": {"items": 24, "day.batches": 2},
    "stress": {"items": 36, "day.batches": 1, "copies.store": 3, "copies.farm": 2},
}


def small(name: str) -> Scenario:
    """Return a scenario, small and without faults."""
    text = scenario_text(name).partition("# Faults")[0]
    return parse_scenario(text, name, SMALL[name])


def report(scenario: Scenario, seed: int) -> ScoreReport:
    run = play(scenario, seed)
    facts, source = parse_truth(run.truth), capture(run)
    told = answers(source, facts.asked)
    found = {key: judge_answer(facts, item, told[key]) for key, item in facts.asked.items()}
    return report_on(facts, found, {})


def missing(scenario: Scenario, missed: float) -> Scenario:
    radio = msgspec.structs.replace(scenario.radio, missed=missed, missed_at_encoder=missed / 5)
    return msgspec.structs.replace(scenario, radio=radio)


@pytest.mark.parametrize("name", list_scenarios())
def test_a_sound_run_scores_one(name: str) -> None:
    said = report(missing(small(name), 0.0), 7)
    assert [one for one in said.findings if one.verdict in {"wrong", "silent"}] == []
    for measure in ("events", "path", "containment", "derivation", "custody", "exposure"):
        one = said.measures[measure]
        assert one.precision.value in (None, 1.0), measure
        assert one.recall.value in (None, 1.0), measure
    assert said.measures["custody"].precision.of > 0
    assert said.share == 1.0


@pytest.mark.parametrize("name", list_scenarios())
def test_a_run_that_misses_one_read_in_twenty_says_nothing_wrong(name: str) -> None:
    said = report(missing(small(name), 0.05), 8)
    assert [one for one in said.findings if one.verdict in {"wrong", "silent"}] == []


def test_what_left_its_case_unseen_and_what_was_packed_unheard_is_doubted() -> None:
    scenario = load_scenario("electronics", ["items=24"])
    scenario = msgspec.structs.replace(missing(scenario, 0.12), fault=())
    for seed in (2, 4, 6):
        said = report(scenario, seed)
        assert [one for one in said.findings if one.verdict in {"wrong", "silent"}] == [], seed


def all_variants(name: str) -> Iterator[str]:
    return (title for title, _ in variants(load_scenario(name)))


def test_a_scenario_is_scored_sound_with_misses_and_as_it_ships() -> None:
    assert list(all_variants("dairy")) == ["dairy, sound", "dairy, 5 % missed", "dairy"]
    sound = next(scenario for _, scenario in variants(load_scenario("dairy")))
    assert (sound.fault, sound.radio.missed) == ((), 0.0)


@pytest.mark.slow
def test_the_whole_line_answers_as_the_rooms_do_together() -> None:
    scenario = missing(load_scenario("luxury", ["items=8", "copies.boutique=4"]), 0.0)
    scenario = msgspec.structs.replace(scenario, fault=())
    (whole, counts), rooms = score_whole_line(scenario, 4), report(scenario, 4)
    assert whole.share == 1.0
    assert (counts["quarantined_messages"], counts["repeats"]) == (0, 0)
    assert counts["reads"] > 100
    assert whole.to_json() == rooms.to_json()
