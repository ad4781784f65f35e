"""The engine and the oracle agree on every item of thousands of seeded random histories.

pytest tests/oracle                            a few hundred histories
pytest tests/oracle -m slow                    ten thousand and more, up to 500 events each
"""

import json
from random import Random
from typing import Any

import pytest

from tests.ledger.provenance.fakes import ListSource, ask
from tests.oracle.agreement import oracle_of
from tests.oracle.histories import THINGS, random_source

DAY_US = 86_400_000_000
MARCH_US = 1_772_323_200_000_000  # 2026-03-01


def check(seed: int, events: int) -> int:
    """Ask about every thing at a random (T, K); return how many answers were compared."""
    random = Random(seed)
    source = random_source(random, events)
    compared = 0
    for key in THINGS:
        size = random.choice([None, random.randint(1, source.size())])
        day = random.choice([None, random.randint(1, 9)])
        at_us = None if day is None else MARCH_US + (day - 1) * DAY_US + DAY_US // 2
        oracle = oracle_of(source, size=size, at_us=at_us)
        if oracle is None or not oracle.knows(key):
            continue
        at = None if day is None else f"{day} 12:00"
        try:
            ask(source, key, at=at, known_at=size)  # It asks the oracle too.
        except AssertionError as error:
            error.add_note(f"seed {seed}, {events} events, {key}, known_at={size}, at={at}")
            raise
        compared += 1
    return compared


@pytest.mark.parametrize("start", range(0, 300, 50))
def test_the_engine_says_what_the_rules_say(start: int) -> None:
    compared = sum(check(seed, 5 + seed % 26) for seed in range(start, start + 50))
    assert compared > 200


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("start", range(0, 10_000, 500))
def test_the_engine_says_what_the_rules_say_ten_thousand_times(start: int) -> None:
    for seed in range(start, start + 500):
        check(1_000_000 + seed, 5 + seed % 56 if seed % 100 else 500)


def names_of(source: ListSource) -> dict[tuple[int, int], str]:
    """Return a name for every place of an event that says what is there, and who said it.

    Two events that are the same in all have one name: nothing tells them apart but the log.
    """
    known = [one for entry in source.entries for one, _ in entry]
    told = {(k.pin.index, k.pin.position): (k.event.raw, k.pin.iss) for k in known}
    return {place: json.dumps(said, sort_keys=True) for place, said in told.items()}


def plain(answer: dict[str, Any], names: dict[tuple[int, int], str]) -> str:
    """Return an answer with the place of each event given by what the event says."""

    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: move(one) for name, one in value.items()}
        if isinstance(value, list) and tuple(map(type, value)) == (int, int):
            return names[value[0], value[1]]
        if isinstance(value, list):
            moved = [move(one) for one in value]
            pins = value and all(isinstance(one, list) and len(one) == 2 for one in value)
            return sorted(moved) if pins else moved
        return value

    moved = move(answer)
    for row in moved["events"]:
        del row["entry"], row["position"]
    return json.dumps(moved, sort_keys=True)


@pytest.mark.parametrize("start", range(0, 100, 25))
def test_capture_order_never_changes_an_answer(start: int) -> None:
    for seed in range(start, start + 25):
        random = Random(seed)
        source, other = random_source(random, 5 + seed % 20), ListSource()
        order = list(range(source.size()))
        random.shuffle(order)
        for n in order:
            entry = source.entries[n]
            other.capture(*(dict(k.event.raw) for k, _ in entry), iss=entry[0][0].pin.iss)
        one_names, other_names = names_of(source), names_of(other)
        for key in THINGS:
            if any(key in known.roles for entry in source.entries for known, _ in entry):
                one, two = ask(source, key), ask(other, key)
                same = plain(one, one_names) == plain(two, other_names)
                assert same, f"seed {seed}, {key}"


def test_the_same_log_gives_the_same_bytes() -> None:
    for seed in range(40):
        sources = [random_source(Random(seed), 20) for _ in range(2)]
        for key in THINGS:
            if any(key in known.roles for entry in sources[0].entries for known, _ in entry):
                one, two = (json.dumps(ask(source, key)) for source in sources)
                assert one == two
