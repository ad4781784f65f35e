import json

from device_sim.play import Run
from ingest.planfile import parse_plan
from tests.device_sim.whole_line import interpret


def test_the_gateway_accepts_the_plan_of_a_scenario(dairy_run: Run) -> None:
    plan = parse_plan(dairy_run.plan_text)
    assert [one.id for one in plan.parties] == [one.id for one in dairy_run.parties]
    assert {one.name for one in plan.stations} == set(dairy_run.world.stations)
    assert {one.device for one in plan.sensors} == {
        one.logger for one in dairy_run.world.vehicles.values()
    }


def test_every_message_is_understood_and_every_pass_means_something(dairy_run: Run) -> None:
    outcome = interpret(dairy_run)
    assert outcome.faults == []
    assert outcome.unresolved == []
    assert outcome.counts["samples"] == dairy_run.samples
    crossings = json.loads(dairy_run.truth[0])["passes"]
    unheard = sum('"missed"' in one and '"does":"sell"' in one for one in dairy_run.truth)
    assert outcome.counts["passes"] == crossings - unheard


def test_goods_that_leave_are_nowhere_until_they_are_received(dairy_run: Run) -> None:
    for station in parse_plan(dairy_run.plan_text).stations:
        does = dairy_run.world.stations[station.name].does
        assert (station.biz_location is None) == (does in {"depart", "load"})
