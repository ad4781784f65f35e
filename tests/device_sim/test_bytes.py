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
    "bulk": "1fa3d5bd0ba0bbe1d96b07d98220917a75f2bfbda761d8218290468eb8ca0244",
    "dairy": "2ae449c1c667608f1569cad730b442c72425375c1817d0a28b042e2d5e36a4c3",
    "electronics": "ba16400fdceba719a7462de9d8aca1197236cc68b65fb9e3de3f00a97e99e620",
    "luxury": "53bac0910e28317ad8ce5fbecc9da63b7c6ffd3768dc0a63b7153b8440d204eb",
    "marketplace": "ada14833989a2e84161c12c3da1ef553270737c251d131c0270e120da944e592",
    "pharma": "a08d67b3e9271b1e894b1081b93805660c089b0a9ffa0be094914ff2b59885bf",
    "produce": "9a6ce2ead205bec500e7194334bb2ebce3f71dee352436a8e65facf7489e12ec",
    "stress": "f46451faa7fca58458ad5352246483bb304d03bc22d3f4b10dc6a7ad796d1481",
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
