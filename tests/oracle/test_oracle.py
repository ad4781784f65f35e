"""The engine and the oracle agree on every item of thousands of seeded random histories.

pytest tests/oracle                             a few hundred histories
pytest tests/oracle -m slow                     ten thousand, of 5 to 500 events, in portions
pytest tests/oracle -m slow -k "portion[2500"   one portion of 250 seeds
"""

import json
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from ledger.audit.bundle_answer import ANSWER_RULES
from ledger.epcis.event import parse_time_us
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from tests.ledger.provenance.fakes import NOW, ListSource, ask
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


def length_of(seed: int) -> int:
    """Return how many events a history has: 5 to 500, half of them fewer than 16."""
    return round(5 * 100 ** (Random(seed).random() ** 2))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("portion", range(0, 10_000, 250))
def test_the_engine_says_what_the_rules_say_ten_thousand_times(portion: int) -> None:
    for seed in range(1_000_000 + portion, 1_000_000 + portion + 250):
        check(seed, length_of(seed))


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


def shuffled(source: ListSource, random: Random) -> ListSource:
    """Return a log of the same statements in another order."""
    other, order = ListSource(), list(range(source.size()))
    random.shuffle(order)
    for n in order:
        entry = source.entries[n]
        other.capture(*(dict(k.event.raw) for k, _ in entry), iss=entry[0][0].pin.iss)
    return other


def check_order(seed: int, events: int) -> None:
    """Ask two logs of the same statements, and one of them again, about every thing."""
    source = random_source(Random(seed), events)
    other = shuffled(source, Random(-seed))
    one_names, other_names = names_of(source), names_of(other)
    assert sorted(one_names.values()) == sorted(other_names.values())
    for key in THINGS:
        if any(key in known.roles for entry in source.entries for known, _ in entry):
            one, two = answer_of(source, key), answer_of(other, key)
            assert plain(one, one_names) == plain(two, other_names), f"seed {seed}, {key}"
            assert json.dumps(answer_of(source, key)) == json.dumps(one), f"seed {seed}, {key}"


def answer_of(source: ListSource, key: str) -> dict[str, Any]:
    """Return the answer; the oracle is asked in other tests."""
    answer = trace(source, key, now_us=parse_time_us(NOW))
    assert answer is not None
    document: dict[str, Any] = json.loads(json.dumps(assemble_answer(answer)))
    return document


@pytest.mark.parametrize("start", range(0, 160, 40))
def test_capture_order_never_changes_an_answer(start: int) -> None:
    for seed in range(start, start + 40):
        check_order(seed, 5 + seed % 40)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("portion", range(0, 2_000, 250))
def test_capture_order_never_changes_an_answer_of_long_histories(portion: int) -> None:
    for seed in range(2_000_000 + portion, 2_000_000 + portion + 250):
        check_order(seed, length_of(seed))


def test_the_same_log_gives_the_same_bytes() -> None:
    for seed in range(40):
        sources = [random_source(Random(seed), 20) for _ in range(2)]
        for key in THINGS:
            if any(key in known.roles for entry in sources[0].entries for known, _ in entry):
                one, two = (json.dumps(answer_of(source, key)) for source in sources)
                assert one == two


ANSWERS = {3: "cdcbec56e60ce01bf2888d9ef8f9ec2799bb2bcbf31f18d0498c698e68c5f784"}
"""What the answers to the histories below are, by the number of their rules."""


def test_answers_change_only_with_the_number_of_their_rules() -> None:
    """A bundle names the rules of its answer: another answer under one number is a lie.

    Where this fails because the engine answers otherwise, count `ANSWER_RULES` on; where
    the histories were changed, only the digest.
    """
    digest = sha256()
    for seed in range(25):
        source = random_source(Random(seed), 12)
        for key in THINGS:
            if any(key in known.roles for entry in source.entries for known, _ in entry):
                digest.update(json.dumps(answer_of(source, key), sort_keys=True).encode())
    assert digest.hexdigest() == ANSWERS[ANSWER_RULES]
