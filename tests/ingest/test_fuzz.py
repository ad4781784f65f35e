"""Payloads broken at random: each is read or has a reason, and nothing falls over."""

import json
import random
from collections import Counter

from ingest.drafts import Outcome
from ingest.site import Site
from tests.ingest.scene import SECRET, STATION, T0_S, message, plan_of
from tests.ingest.test_decode import FORMAT_5, FX, LOT, R700, START, ruuvi, uplink
from tests.ingest.test_site import FILL, OBJECT, PACK, SENSOR

SEED = 20_260_105
ROUNDS = 6_000
KINDS = ("reads", "samples", "line messages", "vitals")
SEEDS = [
    R700,
    FX,
    [FX, FX],
    ruuvi(FORMAT_5),
    uplink(decoded_payload={"temp": 6}),
    LOT,
    START,
    {"type": "line.batch", "phase": "end", "time": T0_S, "batch": "B-1"},
    {"deviceId": "x", "reads": [{"epc": "AAAA", "antenna": 1, "ts": T0_S}]},
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


def test_whatever_comes_is_read_or_has_a_reason() -> None:
    dice = random.Random(SEED)
    site = Site(plan_of(STATION, OBJECT, PACK, FILL, SENSOR))
    became: Counter[str] = Counter()
    for n in range(ROUNDS):
        value = dice.choice(SEEDS)
        if dice.random() < 0.5:
            payload = break_bytes(dice, json.dumps(value).encode())
        else:
            payload = json.dumps(break_value(dice, value)).encode()
        outcome = Outcome(secret=SECRET)
        site.take_message(message(payload, "gate/x", n), outcome)
        taken = sum(outcome.counts[kind] for kind in KINDS)
        assert taken or outcome.faults, f"seed {SEED}, round {n}: {payload!r}"
        became["taken"] += bool(taken)
        became["refused"] += bool(outcome.faults)
        became["events"] += outcome.counts["events"]
    assert min(became.values()) > ROUNDS // 50, became
