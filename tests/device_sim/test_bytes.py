"""One seed, the same bytes: on every platform, in every process, with any number of workers.

The digests are of small runs with all faults of the scenario. A change of the simulator that
means to change what it plays changes them here; nothing else may.
"""

from collections.abc import Iterable
from hashlib import sha256
from heapq import merge

import pytest

from device_sim.library import list_scenarios, load_scenario
from device_sim.play import Performance
from device_sim.scenario import Scenario
from device_sim.world import Message

SEED = 20260302
SIZES = {
    "bulk": ("items=24", "day.batches=2"),
    "dairy": ("items=36",),
    "electronics": ("items=16",),
    "luxury": ("items=36",),
    "marketplace": ("items=36",),
    "pharma": ("items=48",),
    "produce": ("items=40",),
    "stress": ("items=60", "copies.store=4", "copies.farm=3"),
}
DIGESTS = {
    "bulk": "944f7869cd9bef2ca2044194e1e93224895add86c4e26322fdcda18d7f851df3",
    "dairy": "13201b428f4a10f180336c727dc392dda0ef0445cb3f92b8e04b8d324b0ef29e",
    "electronics": "c04e5ae3745f609496fef4bb7efa8394fc11e68553010ccd97b6a8ad1f056566",
    "luxury": "403ce6d168e770ebe4e3cf8818bdb29ae6fc037268b787f0f3b8b102e945d5f3",
    "marketplace": "139bb9af14023840d7dcfa779a8ff220f265570bc8e53989b3e809affb48efd9",
    "pharma": "401aca6ccb0825444d6f4c12b7f7703da5530be13c9c4f5fcd4ef22a1a2f73d9",
    "produce": "46ccc2d0a26d85b9f0c7a1b78056cdff2a48bf78a4d73a0289bed18dc1cfa916",
    "stress": "6bdf0b5dccbaa35cd0debb987144f2ae104a409d4bbff16c2c93a09f9069eeb0",
}


def scenario(name: str) -> Scenario:
    return load_scenario(name, SIZES[name])


def digest(messages: Iterable[Message], truth: Iterable[str], plan: str) -> str:
    hasher = sha256()
    for one in messages:
        hasher.update(f"{one.time_us} {one.topic} ".encode() + one.payload + b"\n")
    hasher.update("\n".join(truth).encode() + plan.encode())
    return hasher.hexdigest()


def of_shards(show: Performance, shards: int) -> str:
    """Return the digest of a run made in shards, each by a performance of its own."""
    others = [Performance(show.scenario, show.seed) for _ in range(shards)]
    made = [list(one.ordered(n, shards)) for n, one in enumerate(others)]
    for one in others:
        show.absorb(one.labels())
    messages = (ordered[-1] for ordered in merge(*made))
    return digest(messages, show.truth(), show.plan_text)


def test_every_scenario_has_its_digest() -> None:
    assert set(DIGESTS) == set(SIZES) == set(list_scenarios())


@pytest.mark.parametrize("name", list_scenarios())
def test_a_seed_gives_these_bytes(name: str) -> None:
    show = Performance(scenario(name), SEED)
    assert digest(show.messages(), show.truth(), show.plan_text) == DIGESTS[name]


@pytest.mark.parametrize("name", list_scenarios())
@pytest.mark.parametrize("shards", [2, 5])
def test_any_number_of_shards_gives_the_same_bytes(name: str, shards: int) -> None:
    assert of_shards(Performance(scenario(name), SEED), shards) == DIGESTS[name]
