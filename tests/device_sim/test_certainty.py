"""Where every read happened, nothing is only possible: the label hides no laziness."""

import msgspec

from device_sim.facts import parse_truth
from device_sim.library import load_scenario
from device_sim.play import play
from tests.device_sim.whole_line import answers, capture

LISTS = ("events", "path", "containment", "custody", "conditions")


def test_a_network_that_misses_nothing_makes_no_claim_that_is_only_possible() -> None:
    scenario = load_scenario("dairy", ["items=72"])
    radio = msgspec.structs.replace(scenario.radio, missed=0.0, missed_at_encoder=0.0)
    run = play(msgspec.structs.replace(scenario, radio=radio), 11)
    told = answers(capture(run), parse_truth(run.truth).items)
    assert len(told) == 72
    for key, answer in told.items():
        assert answer is not None
        doubted = [
            (part, row)
            for part in LISTS
            for row in answer[part]
            if row["precision"] == "possible" and row["epc"] == key
        ]
        assert doubted == []
        assert "left_unseen" not in {gap["kind"] for gap in answer["gaps"]}
