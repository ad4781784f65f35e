"""The short way of the hot shapes gives what the long way gives, or nothing."""

import json
import random

import pytest

from ingest import decode
from ingest.decode import Decoded, Known, decode_message
from ingest.reads import Message
from tests.bench.decode import SHAPES, messages_of
from tests.ingest.scene import T0, message
from tests.ingest.test_fuzz import break_bytes, break_value

SEED = 1_105
ROUNDS = 1_500


def long_way(monkeypatch: pytest.MonkeyPatch, one: Message) -> Decoded:
    with monkeypatch.context() as patch:
        patch.setattr(decode, "_try_hot", lambda _message, _known: None)
        return decode_message(one)


def said(decoded: Decoded) -> tuple[object, ...]:
    return (list(decoded.reads), list(decoded.others), decoded.faults, decoded.unknown)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 100])
def test_each_hot_shape_takes_the_short_way(
    shape: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = messages_of(shape, 1, size)
    found = decode._try_hot(one, Known())
    assert found is not None
    assert len(found.reads) == size
    assert found.is_uniform
    assert said(found) == said(long_way(monkeypatch, one))


@pytest.mark.parametrize("shape", SHAPES)
def test_broken_hot_shapes_are_read_alike_both_ways(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(SEED)
    short = 0
    for n in range(ROUNDS):
        (one,) = messages_of(shape, 1, dice.choice((1, 2, 5)))
        value = json.loads(one.payload)
        if dice.random() < 0.5:
            payload = break_bytes(dice, one.payload)
        else:
            payload = json.dumps(break_value(dice, value)).encode()
        broken = message(payload, "gate/r", n, T0)
        found = decode._try_hot(broken, Known())
        if found is not None:
            short += 1
            assert said(found) == said(long_way(monkeypatch, broken)), payload
    assert 0 < short < ROUNDS
