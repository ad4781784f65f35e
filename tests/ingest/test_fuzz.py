"""Payloads broken at random: each is taken or in quarantine, both occur, nothing falls over."""

import json
import random
from collections import Counter

import pytest

from device_sim import sparkplug
from ingest.drafts import Outcome
from ingest.reads import TICK_TOPIC
from ingest.site import Site, encode_tick
from tests.ingest.scene import SECRET, STATION, T0, T0_S, hex_of, message, plan_of
from tests.ingest.test_decode import CHIRPSTACK, FORMAT_5, FX, LOT, R700, START, ruuvi, uplink
from tests.ingest.test_llrp import of as llrp
from tests.ingest.test_mapping import PAYLOAD, TAGS
from tests.ingest.test_signed import payload as signed
from tests.ingest.test_signed import submission
from tests.ingest.test_site import FILL, OBJECT, PACK, SENSOR

SEED = 20_260_105
ROUNDS, ROUNDS_LONG = 100_000, 1_000_000
KINDS = (
    *("reads", "samples", "line messages", "vitals", "inputs", "signed by devices"),
    "repeats by number",
)
BEAT = {"reader_gateway": {"dataPathStatistics": [{"numDataMessagesDropped": 3}]}}
SEEDS = [
    R700,
    FX,
    [FX, FX],
    llrp(),
    ruuvi(FORMAT_5),
    uplink(decoded_payload={"temp": 6}),
    CHIRPSTACK,
    LOT,
    START,
    PAYLOAD,
    signed(submission()),
    {"type": "heartbeat", "timestamp": T0_S, "eventNum": 3, "data": BEAT},
    {"type": "gpi", "timestamp": T0_S, "data": {"pin": 1, "state": "HIGH"}},
    {"eventType": "gpiTransition", "gpiTransitionEvent": {"gpi": 1, "transition": "x"}},
    {"type": "line.batch", "phase": "end", "time": T0_S, "batch": "B-1"},
    {"deviceId": "x", "seq": 4, "reads": [{"epc": "AAAA", "antenna": 1, "ts": T0_S}]},
    {"reader_name": "r", "tag_reads": [{"epc": hex_of(7), "isHeartBeat": False}]},
    {"device": "70B3D57ED0000001", "time": T0_S, "temperature": 4.5},
    {"Interface": "13.56", "Protocol": "NFC-A", "TagId": "047DAE02C84080"},
]
VALUES = [
    None,
    True,
    -1,
    0,
    1e300,
    10**30,
    "",
    "x",
    "AAAA",
    [],
    {},
    [[]],
    "2026-01-05T08:00:00Z",
]
NODE, DEVICE = sparkplug.births(T0_S * 1_000, 3, ("temperature",), (4.5,))
BINARY = [
    ("spBv1.0/G/NBIRTH/N", NODE),
    ("spBv1.0/G/DBIRTH/N/D", DEVICE),
    ("spBv1.0/G/DDATA/N/D", sparkplug.data(T0_S * 1_000, (4.5,), 2)),
    ("spBv1.0/G/NDEATH/N", sparkplug.death(T0_S * 1_000, 3)),
]


def break_bytes(dice: random.Random, data: bytes) -> bytes:
    broken = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(broken) or 1)
        match dice.randrange(3):
            case 0:
                broken[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del broken[at : at + dice.randrange(1, 9)]
            case _:
                broken[at:at] = broken[at : at + dice.randrange(1, 9)]
    return bytes(broken)


def break_value(dice: random.Random, value: object) -> object:
    """Return `value` with one thing in it replaced, dropped or moved."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        rest = {k: v for k, v in value.items() if k != key}
        return rest if dice.random() < 0.2 else rest | {key: break_value(dice, value[key])}
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], break_value(dice, value[at]), *value[at + 1 :]]
    return dice.choice(VALUES)


def break_message(dice: random.Random, texts: list[bytes]) -> tuple[str, bytes]:
    """Return topic and payload of a message with one thing wrong in it."""
    if dice.random() < 0.1:
        topic, payload = dice.choice(BINARY)
        return topic, break_bytes(dice, payload)
    at = dice.randrange(len(texts))
    topic = "acme/x" if SEEDS[at] is PAYLOAD else "gate/x"
    if dice.random() < 0.6:
        return topic, break_bytes(dice, texts[at])
    return topic, json.dumps(break_value(dice, SEEDS[at])).encode()


def run(rounds: int) -> Counter[str]:
    """Return what became of `rounds` broken messages; fails where one became nothing."""
    dice = random.Random(SEED)
    texts = [json.dumps(value).encode() for value in SEEDS]
    site = Site(plan_of(STATION, OBJECT, PACK, FILL, SENSOR, TAGS))
    became: Counter[str] = Counter()
    for n in range(rounds):
        topic, payload = break_message(dice, texts)
        outcome = Outcome(secret=SECRET)
        at = T0 + n * 50_000
        site.take_message(message(payload, topic, n, at), outcome)
        taken = sum(outcome.counts[kind] for kind in KINDS)
        assert taken or outcome.faults, f"seed {SEED}, round {n}: {topic} {payload!r}"
        became["taken"] += bool(taken)
        became["refused"] += bool(outcome.faults)
        if n % 500 == 0:
            end = message(encode_tick(at, everything=True), TICK_TOPIC, n, at)
            site.take_message(end, outcome)
            site.encode_parts()
        became["events"] += outcome.counts["events"]
    return became


def test_whatever_comes_is_read_or_has_a_reason() -> None:
    became = run(ROUNDS)
    assert min(became["taken"], became["refused"]) > ROUNDS // 10, became
    assert became["events"] > 100, became


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_whatever_comes_a_million_times_is_read_or_has_a_reason() -> None:
    became = run(ROUNDS_LONG)
    print(f"seed {SEED}: {dict(became)}")
    assert min(became["taken"], became["refused"]) > ROUNDS_LONG // 10, became
