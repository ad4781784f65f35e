"""Nothing is created, lost or in two places: held over a thousand small worlds."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

import pytest

from device_sim.chain import play_chain
from device_sim.chronicle import Life, Story
from device_sim.library import list_scenarios, load_scenario
from device_sim.scenario import Scenario, build_world
from device_sim.world import World

SEEDS = 1_050
FOREVER = 1 << 62
SMALL = {
    "pharma": ("items=6", "copies.pharmacy=4", "day.batches=2"),
    "electronics": ("items=4", "day.batches=1"),
    "marketplace": ("items=9", "copies.seller=2"),
    "luxury": ("items=7", "copies.boutique=4"),
    "produce": ("items=8", "copies.field=2", "copies.store=2", "day.batches=2"),
    "bulk": ("items=6", "copies.mill=3", "copies.buyer=2", "day.batches=2"),
    "stress": ("items=9", "copies.farm=1", "copies.store=3", "copies.truck=2"),
    "dairy": ("items=8", "day.batches=2"),
}


@lru_cache
def small(name: str) -> tuple[Scenario, World]:
    scenario = load_scenario(name, SMALL[name])
    return scenario, build_world(scenario)


def apart(spans: Iterable[tuple[int, int | None]]) -> bool:
    ordered = sorted((start, FOREVER if end is None else end) for start, end in spans)
    return all(end <= start for (_, end), (start, _) in pairwise(ordered))


def check_life(life: Life, world: World) -> None:
    """One place at a time, by roads that exist; one possessor and one owner, without a hole."""
    assert apart((one.from_us, one.to_us) for one in life.stays)
    roads = {(one.name, to.name) for one, to in world.roads}
    for a, b in pairwise(life.stays):  # by a road, or sold and brought back
        brought_back = a.site is b.site and a.to_us in life.sales
        assert brought_back or (a.site.name, b.site.name) in roads
    for held in (life.kept, life.owned):
        assert held[0].from_us == life.made_us
        assert held[-1].to_us == life.ended_us
        assert all(a.to_us == b.from_us and a.party is not b.party for a, b in pairwise(held))
    assert life.stays[0].from_us == life.made_us
    assert life.sales == sorted(set(life.sales))
    assert set(life.sales) <= {one.to_us for one in life.stays if one.site.role == "shop"}
    if life.sold_us is not None:
        assert life.stays[-1].from_us < life.sold_us


def check_fate(scenario: Scenario, world: World, story: Story) -> None:
    """Who is sold is with the buyers; who is destroyed or used up is nowhere."""
    buyers = scenario.fate.buyers
    for life in story.items.values():
        ended = life.ended_us is not None
        assert (life.stays[-1].to_us is None) == (not ended and life.sold_us is None)
        if buyers is not None and life.sold_us is not None:
            assert not ended
            assert life.kept[-1].party is life.owned[-1].party is world.parties[buyers]
    crossed = {
        (one.station.does, visit.tag.epc) for one in story.passes for visit in one.visits
    }
    for does, epc in crossed:
        if does == "destroy":
            assert story.items[epc].ended_us is not None
            assert story.items[epc].sold_us is None
        if does == "return":
            assert story.items[epc].sales


def check_nests(story: Story) -> None:
    """One parent at a time, never itself, and only while both are there."""
    inside = defaultdict(list)
    for one in story.nestings:
        assert one.child != one.parent
        assert one.to_us is None or one.from_us < one.to_us
        inside[one.child].append((one.from_us, one.to_us))
        life = story.items.get(one.child) or story.lots.get(one.child)
        assert life is None or life.made_us <= one.from_us
    assert all(apart(spans) for spans in inside.values())


def check_amounts(scenario: Scenario, story: Story) -> None:
    """As many as were ordered, of as many parts as each takes, of no more than there was."""
    made = Counter(
        next(one.name for one in scenario.product if f".{one.item}." in epc)
        for epc in story.items
    )
    assert sum(made[one.name] for one in scenario.finals) == scenario.items
    for product in scenario.product:
        for part, each in product.parts.items():
            users = [one for one in scenario.product if part in one.parts]
            assert made[part] == sum(made[one.name] * one.parts[part] for one in users)
            assert made[product.name] * each <= made[part]
    used: Counter[str] = Counter()
    for batch in story.batches:
        assert all(story.items[one].made_us == batch.end_us for one in batch.outputs)
        for lot, amount in batch.inputs:
            assert amount > 0
            assert story.lots[lot].made_us < batch.start_us
            used[lot] += round(amount * 10)
    for lot, tenths in used.items():
        assert tenths <= round((story.lots[lot].quantity or 0) * 10)
        assert (story.lots[lot].ended_us is not None) == (
            tenths == round((story.lots[lot].quantity or 0) * 10)
        )


@pytest.mark.parametrize("name", list_scenarios())
def test_nothing_is_created_lost_or_in_two_places(name: str) -> None:
    scenario, world = small(name)
    for seed in range(list_scenarios().index(name), SEEDS, len(list_scenarios())):
        story = play_chain(scenario, world, seed)
        try:
            check_amounts(scenario, story)
            check_nests(story)
            check_fate(scenario, world, story)
            for life in [*story.items.values(), *story.lots.values()]:
                check_life(life, world)
        except AssertionError as error:
            raise AssertionError(f"{name}, seed {seed}: {error}") from error


def test_what_is_not_sold_is_on_a_shelf_and_parts_share_the_fate_of_the_whole() -> None:
    scenario, world = small("electronics")
    for seed in range(20):
        story = play_chain(scenario, world, seed)
        parent = {one.child: one.parent for one in story.nestings if one.to_us is None}
        for epc, life in story.items.items():
            assert life.stays[-1].site.role == "shop"
            if parent.get(epc) in story.items:
                whole = story.items[parent[epc]]
                assert (life.sold_us, life.stays[-1]) == (whole.sold_us, whole.stays[-1])


def test_every_move_of_the_world_is_made_somewhere() -> None:
    moves: set[str] = set()
    for name in list_scenarios():
        scenario = load_scenario(name, ("items=60",))
        story = play_chain(scenario, build_world(scenario), 1)
        moves |= {one.station.does for one in story.passes}
    assert moves >= {
        "depart", "intake", "fill", "make", "assemble", "rework", "case", "palletise", "load",
        "receive", "store", "break", "open", "sell", "return", "recall", "destroy",
    }  # fmt: skip


def test_what_is_shipped_straight_belongs_to_who_had_it_sent() -> None:
    scenario = load_scenario("marketplace", ("items=60",))
    story = play_chain(scenario, build_world(scenario), 3)
    ways = {
        tuple(one.site.name for one in life.stays): [held.party.name for held in life.owned]
        for life in story.items.values()
    }
    assert ways["brand", "depot"] == ["brand", "seller-1"]
    assert ways["brand", "seller-2", "depot"] == ["brand", "seller-2"]


def test_a_lot_that_is_sold_as_such_ends_in_its_tank() -> None:
    scenario, world = small("bulk")
    story = play_chain(scenario, world, 3)
    sold = [one for one in story.lots.values() if one.stays[-1].site.role == "tank"]
    assert len(sold) == scenario.day.batches
    assert all(
        [one.party.name for one in life.owned] == ["mill-1", "soapworks"] for life in sold
    )
    inputs = {epc for batch in story.batches for epc, _ in batch.inputs}
    assert not inputs & {one.epc for one in sold}


def test_a_service_owns_nothing() -> None:
    for name in ("pharma", "marketplace"):
        scenario, world = small(name)
        service = {one.party.name for one in world.sites.values() if one.service}
        assert service
        story = play_chain(scenario, world, 3)
        for life in story.items.values():
            assert not service & {one.party.name for one in life.owned}
            assert service & {one.party.name for one in life.kept}
