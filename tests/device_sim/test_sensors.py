import json
from itertools import pairwise

from device_sim.library import load_scenario
from device_sim.play import Run, play
from device_sim.scenario import Scenario


def lines(run: Run, kind: str) -> list[dict[str, object]]:
    return [one for one in map(json.loads, run.truth) if one["kind"] == kind]


def without_faults(scenario: Scenario) -> Scenario:
    fields = {name: getattr(scenario, name) for name in scenario.__struct_fields__}
    return type(scenario)(**{**fields, "fault": ()})


def test_goods_are_cold_but_for_the_trip_whose_cooling_fails(dairy_run: Run) -> None:
    (fault,) = [one for one in lines(dairy_run, "fault") if one["fault"] == "excursion"]
    warm = {}
    for item in lines(dairy_run, "item"):
        for one in item["exposure"]:
            warm[one["trailer"], one["from"]] = one["max_c"]
    hot = [key for key, max_c in warm.items() if max_c > 7]
    assert hot == [(fault["things"][0], hot[0][1])]
    assert hot[0][1] <= fault["from"] < fault["to"]
    assert all(max_c < 6 for key, max_c in warm.items() if key not in hot)


def test_without_the_fault_nothing_gets_warm(dairy_run: Run) -> None:
    run = play(without_faults(load_scenario("dairy")), 1)
    for item in lines(run, "item"):
        assert all(2 < one["min_c"] <= one["max_c"] < 6 for one in item["exposure"])
    assert len(run.messages) == len(dairy_run.messages) - 40


def test_a_vehicle_is_warm_before_it_is_loaded(dairy_run: Run) -> None:
    for series in lines(dairy_run, "samples"):
        assert series["values"][0][1] > 8


def test_the_samples_of_one_logger_are_a_period_apart(dairy_run: Run) -> None:
    for series in lines(dairy_run, "samples"):
        times = [time_us for time_us, _ in series["values"]]
        assert {b - a for a, b in pairwise(times)} == {300_000_000}
