from collections import defaultdict
from itertools import pairwise

import pytest

from device_sim.chain import play_chain
from device_sim.chronicle import Chronicle, Story
from device_sim.library import load_scenario
from device_sim.scenario import Scenario, build_world
from device_sim.world import SECOND_US

SEEDS = range(40)
GAP_US = 30 * SECOND_US


@pytest.fixture(scope="module")
def dairy() -> Scenario:
    return load_scenario("dairy")


@pytest.fixture(scope="module")
def stories(dairy: Scenario) -> dict[int, Story]:
    return {seed: play_chain(dairy, build_world(dairy), seed) for seed in SEEDS}


def overlapping(spans: list[tuple[int, int]]) -> bool:
    ordered = sorted(spans)
    return any(end > start for (_, end), (start, _) in pairwise(ordered))


def test_every_item_is_made_once_and_of_lots_that_exist(stories: dict[int, Story]) -> None:
    for seed, story in stories.items():
        made = [epc for batch in story.batches for epc in batch.outputs]
        assert len(made) == len(set(made)) == len(story.items) == 300, seed
        for batch in story.batches:
            lots = tuple(epc for epc, _ in batch.inputs)
            assert all(story.items[epc].origin == lots for epc in batch.outputs), seed
            assert set(lots) <= set(story.lots), seed
            assert all(story.lots[lot].made_us < batch.start_us for lot in lots), seed


def test_no_lot_gives_more_than_it_had(stories: dict[int, Story]) -> None:
    for seed, story in stories.items():
        used: dict[str, float] = defaultdict(float)
        for batch in story.batches:
            for lot, amount in batch.inputs:
                assert amount > 0, seed
                used[lot] += amount
        for lot, amount in used.items():
            held = story.lots[lot].quantity
            assert held is not None
            assert amount <= held + 1e-9, seed


def test_nothing_is_in_two_places_or_with_two_parties(stories: dict[int, Story]) -> None:
    for seed, story in stories.items():
        for life in [*story.items.values(), *story.lots.values()]:
            end_us = 1 << 62
            assert not overlapping([(s.from_us, s.to_us or end_us) for s in life.stays]), seed
            for holdings in (life.kept, life.owned):
                held = [(one.from_us, one.to_us or end_us) for one in holdings]
                assert not overlapping(held), seed
                assert held[0][0] == life.made_us, seed


def test_a_child_is_in_one_parent_at_a_time(stories: dict[int, Story]) -> None:
    for seed, story in stories.items():
        inside = defaultdict(list)
        for one in story.nestings:
            inside[one.child].append((one.from_us, one.to_us or 1 << 62))
        assert not [child for child, spans in inside.items() if overlapping(spans)], seed


def test_a_station_is_silent_long_enough_between_two_passes(stories: dict[int, Story]) -> None:
    for seed, story in stories.items():
        busy = defaultdict(list)
        for one in story.passes:
            busy[one.station.name].append((one.start_us, one.end_us + GAP_US))
        for note in story.notes:
            busy[note.station.name].append((note.time_us, note.time_us + GAP_US))
        assert not [name for name, spans in busy.items() if overlapping(spans)], seed
        for name in busy:
            numbers = [one.number for one in story.passes if one.station.name == name]
            assert numbers == list(range(len(numbers))), seed


def test_a_vehicle_is_on_one_trip_at_a_time_and_used_again(stories: dict[int, Story]) -> None:
    for seed, story in stories.items():
        trips = defaultdict(list)
        for trip in story.trips:
            assert trip.start_us < trip.loaded_us < trip.emptied_us < trip.end_us
            trips[trip.vehicle.name].append((trip.start_us, trip.end_us))
        assert not [name for name, spans in trips.items() if overlapping(spans)], seed
        assert all(len(spans) > 1 for spans in trips.values()), seed


def test_no_sample_falls_into_the_loading_or_emptying_of_a_trailer(
    dairy: Scenario, stories: dict[int, Story]
) -> None:
    period_us = dairy.climate.sample_seconds * SECOND_US
    for seed, story in stories.items():
        clock = Chronicle(seed, dairy.climate.sample_seconds)
        for trip in (one for one in story.trips if one.vehicle.kind == "trailer"):
            for start_us, end_us in trip.doors:
                phase_us = clock.phase_us(trip.vehicle)
                next_us = start_us + (phase_us - start_us) % period_us
                assert next_us > end_us, seed


def test_what_is_sold_went_all_the_way(stories: dict[int, Story]) -> None:
    for seed, story in stories.items():
        sold = [one for one in story.items.values() if one.ended_us is not None]
        assert 0.85 < len(sold) / len(story.items) < 1, seed
        for life in story.items.values():
            assert [one.site.role for one in life.stays] == ["plant", "hub", "shop"], seed
            assert len({one.party.name for one in life.owned}) == 3, seed


@pytest.mark.parametrize("items", [1, 2, 7, 2_000])
def test_any_number_of_items_goes_through(dairy: Scenario, items: int) -> None:
    scenario = type(dairy)(**{**_fields(dairy), "items": items})
    story = play_chain(scenario, build_world(scenario), 5)
    assert len(story.items) == items
    inside = defaultdict(list)
    for one in story.nestings:
        inside[one.child].append((one.from_us, one.to_us or 1 << 62))
    assert not [child for child, spans in inside.items() if overlapping(spans)]


def _fields(scenario: Scenario) -> dict[str, object]:
    return {name: getattr(scenario, name) for name in scenario.__struct_fields__}
