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
STRANGE_ROUNDS = 4_000
TIMES = [
    *("", None, True, 0, -1, 1_600_000_000, 1_600_000_000.25, 10**11, 10**14, 10**18),
    *("1600000000", "1600000000.123456789", "/Date(1600000000000)/", "20260813T091428.651Z"),
    *("2026-08-13T09:14:28.651Z", "2026-08-13T09:14:28,651+0000", "2026-08-13T09:14:28Z"),
    *("2026-08-13T09:14:28.651123Z", "2026-08-13T09:14:28.651123456Z", "1999-12-31T23:59:59Z"),
    *("2026-08-13 09:14:28.651+02:00", "2026-08-13T09:14:28.\u0663\u0663\u0663Z"),
    *("20260813T091428.6511234Z", "20260813T091428.65112345+0000"),
    *("20260813T091428.6511234567Z", "2026-02-30T00:00:00.000Z", "2100-01-01T00:00:00.000Z"),
    *("Thu, 13 Aug 2026 09:14:28 GMT", "2026-01-01T23:59:60.000Z", "2026-01-01T24:00:00.000Z"),
]
NUMBERS = [
    *(0, 1, -1, 1.0, 1.5, -0.0, 1024, 1025, -70, -50.005, 20_000, 65_535, 65_536, 1e300),
    *(2**31, 2**53, 2**63, 2**64, 10**30, "1", "-1", True, None, "", [], {}),
]
TEXTS = [
    *("", "0", "AA", "zz", "AAAA\n", " AAAA", "A" * 124, "A" * 126, "*****", "é", None, 5),
    *("urn:epc:id:sgtin:9506000.013435.1", "https://id.gs1.org/01/09506000134352/21/1"),
    *("3000", "3400", "NAA=", "ftqQOAUQAnEAAsCu", "heartbeat", "CUSTOM", "custom", "KEEPALIVE"),
]
FIELDS = [
    *("reads", "seenCount", "eventNum", "PC", "antenna", "antennaPort", "rssi", "peakRssi"),
    *("epc", "epcHex", "EPC", "idHex", "tag", "format", "timestamp", "time", "ts", "data"),
    *("lastSeenTime", "firstSeenTime", "hostname", "reader", "deviceId", "seq", "boot", "pc"),
    *("dropped", "type", "isHeartBeat", "gw_mac", "device", "temperature", "TagId", "message"),
    *("TagReportData", "TagSeenCount", "heartbeat", "eventType", "tag_reads"),
]


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


def places_in(value: object) -> list[tuple[dict[str, object], str]]:
    """Return each field of each object within `value`."""
    found: list[tuple[dict[str, object], str]] = []
    if isinstance(value, dict):
        found += [(value, name) for name in value]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            found += places_in(one)
    return found


def make_strange(dice: random.Random, value: object) -> bytes:
    """Return `value` with some of its fields filled with what they may hold, or should not."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        held, name = dice.choice(places_in(value))
        low = name.lower()
        pool: list[object] = [*TIMES, *NUMBERS, *TEXTS]
        if dice.random() < 0.7:
            is_text = any(part in low for part in ("epc", "hex", "pc", "type", "format"))
            pool = list(TIMES if "time" in low else TEXTS if is_text else NUMBERS)
        drawn = json.loads(json.dumps(dice.choice(pool)))
        match dice.randrange(8):
            case 0:
                held[dice.choice(FIELDS)] = drawn
            case 1 if len(held) > 1:
                del held[name]
            case _:
                held[name] = drawn
    return json.dumps(value, ensure_ascii=dice.random() < 0.5).encode()


@pytest.mark.parametrize("shape", SHAPES)
def test_strange_fields_are_read_alike_both_ways(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(SEED)
    short = 0
    for n in range(STRANGE_ROUNDS):
        (one,) = messages_of(shape, 1, dice.choice((1, 2, 3)))
        payload = make_strange(dice, json.loads(one.payload))
        found = decode._try_hot(message(payload, "gate/r", n, T0), Known())
        if found is not None:
            short += 1
            expected = long_way(monkeypatch, message(payload, "gate/r", n, T0))
            assert said(found) == said(expected), payload
            if found.is_uniform:
                assert len({(read.source, read.time_source) for read in found.reads}) == 1
    assert STRANGE_ROUNDS // 20 < short < STRANGE_ROUNDS
