"""Sparkplug B: births name the aliases, data uses them, numbers that are missing are a gap."""

import json
import math

import pytest

from device_sim import sparkplug as world
from ingest.decode import Decoded, Known, decode_message
from ingest.drafts import Outcome
from ingest.readers.sparkplug import NODES_MAX, Nodes, encode_rebirth
from ingest.readers.sparkplugwire import METRICS_MAX, parse_payload, quantity
from ingest.reads import TICK_TOPIC, Sample, Vital
from ingest.site import Site, encode_tick
from tests.ingest.scene import DAIRY, SECRET, T0, T0_S, events_of, message, plan_of

MS = T0_S * 1_000
NAMES = ("temperature", "humidity")
SENSOR = f"""[[sensor]]
device = "D1"
device_uri = "urn:x:d1"
topics = ["spBv1.0/+/+/+/D1", "spBv1.0/+/+/+"]
party = "{DAIRY}"
asset = "urn:epc:id:grai:9506000.00300.7"
batch = 2
"""


def topic(kind: str) -> str:
    return f"spBv1.0/G/{kind}/N" + ("" if kind[0] == "N" else "/D1")


def births(session: int = 3) -> list[tuple[str, bytes]]:
    node, device = world.births(MS, session, NAMES, (4.5, 60.0))
    return [(topic("NBIRTH"), node), (topic("DBIRTH"), device)]


def data(seq: int, *values: float) -> tuple[str, bytes]:
    return topic("DDATA"), world.data(MS + seq * 1_000, values, seq)


def decode_all(messages: list[tuple[str, bytes]], nodes: Nodes | None = None) -> list[Decoded]:
    known = Known() if nodes is None else Known(nodes=nodes)
    return [decode_message(message(payload, where), known) for where, payload in messages]


def samples(decoded: Decoded) -> list[Sample]:
    return [one for one in decoded.items if isinstance(one, Sample)]


def test_data_is_read_by_the_aliases_of_its_birth() -> None:
    *_, last = decode_all([*births(), data(2, 5.25, 61.0)])
    assert last.faults == ()
    assert samples(last) == [
        Sample(
            devices=("D1", "G/N/D1"),
            time_us=T0 + 2_000_000,
            values=(("temperature", 5.25), ("humidity", 61.0)),
        )
    ]


def vitals(decoded: Decoded) -> list[Vital]:
    return [one for one in decoded.items if isinstance(one, Vital)]


def test_a_birth_says_that_the_node_is_online_and_is_a_sample() -> None:
    node, device = decode_all(births())
    assert [(one.state, one.number) for one in vitals(node)] == [("online", 0)]
    assert samples(node) == []
    assert dict(samples(device)[0].values) == {"temperature": 4.5, "humidity": 60.0}


def test_an_alias_that_no_birth_gave_is_refused_and_a_rebirth_is_wanted() -> None:
    (decoded,) = decode_all([data(2, 5.0)])
    assert "no birth came before" in decoded.faults[0].why
    assert [one.needs_birth for one in vitals(decoded)] == [True]
    where, payload = encode_rebirth("G/N")
    assert where == "spBv1.0/G/NCMD/N"
    (metric,) = parse_payload(payload).metrics
    assert (metric.name, metric.value) == ("Node Control/Rebirth", True)


def test_a_new_birth_of_the_node_forgets_the_old_aliases() -> None:
    node = births(4)[0]
    *_, decoded = decode_all([*births(3), node, data(1, 5.0)])
    assert samples(decoded) == []
    assert "births name no such alias" in decoded.faults[0].why


def test_the_will_of_an_earlier_session_says_nothing() -> None:
    late, own = (
        (topic("NDEATH"), world.death(MS, 2)),
        (topic("NDEATH"), world.death(MS, 3)),
    )
    *_, first, second = decode_all([*births(3), late, own])
    assert "session 2" in first.faults[0].why
    assert [one.state for one in vitals(second)] == ["offline"]


def told_missing(sent: list[tuple[str, bytes]]) -> list[int | None]:
    site, outcome = Site(plan_of(SENSOR)), Outcome(secret=SECRET)
    for n, (where, payload) in enumerate(sent):
        site.take_message(message(payload, where, n, T0 + n), outcome)
    late = T0 + 10**9
    site.take_message(
        message(encode_tick(late, everything=True), TICK_TOPIC, 999, late), outcome
    )
    assert outcome.faults == []
    return [one.count for one in outcome.notices]


def test_numbers_that_never_come_are_a_gap_and_late_ones_are_none() -> None:
    sent = [*births(), *(data(n, n / 10) for n in (2, 3, 7, 6, 8))]
    assert told_missing(sent) == [2]


def test_the_count_wraps_and_a_new_session_starts_it_anew() -> None:
    sent = [*births(), *(data(n, n / 10) for n in range(2, 600)), *births(4), data(2, 9.0)]
    assert told_missing(sent) == []


def test_a_number_that_is_missing_after_the_wrap_is_seen() -> None:
    numbers = [n for n in range(2, 600) if n != 520]
    assert told_missing([*births(), *(data(n, n / 10) for n in numbers)]) == [1]


def test_births_survive_a_restart_of_the_gateway() -> None:
    plan = plan_of(SENSOR)
    first, second, outcome = Site(plan), Site(plan), Outcome(secret=SECRET)
    for where, payload in births():
        first.take_message(message(payload, where), outcome)
    second.restore(first.encode_parts())
    second.take_message(message(data(2, 7.5, 1.0)[1], data(2, 7.5, 1.0)[0]), outcome)
    (event,) = events_of(outcome)
    reports = [one["sensorReport"][0]["value"] for one in event["sensorElementList"]]  # type: ignore[index,attr-defined]
    assert reports == [4.5, 7.5]
    assert outcome.notices == []


@pytest.mark.parametrize(
    ("value", "datatype", "number"),
    [
        (0xFFFF_FFFF, 3, -1.0),
        (0xFF, 1, -1.0),
        (0xFFFF, 6, 65_535.0),
        ((1 << 64) - 5, 4, -5.0),
        (2.5, 10, 2.5),
        (True, 11, None),
        ("x", 12, None),
        (MS, 13, None),
        (None, 10, None),
    ],
)
def test_a_number_has_the_sign_of_its_type(
    value: float | str | None, datatype: int, number: float | None
) -> None:
    assert quantity(value, datatype) == number


@pytest.mark.parametrize(
    ("where", "payload", "reason"),
    [
        ("spBv1.0/G/DDATA/N", b"", "no topic of Sparkplug"),
        ("spBv1.0/G/NDATA/N", b"\xff\xff\xff", "no Sparkplug B payload"),
        ("spBv1.0/STATE/host", b'{"online":true}', "type 'STATE'"),
        ("spBv1.0/G/NCMD/N", b"", "type 'NCMD'"),
        ("spBv1.0", b"", "no topic of Sparkplug"),
        ("spBv1.0/G/NBIRTH/N", b"\x12\x00" * (METRICS_MAX + 1), "at most"),
    ],
)
def test_what_is_no_message_of_a_node_has_its_reason(
    where: str, payload: bytes, reason: str
) -> None:
    (decoded,) = decode_all([(where, payload)])
    assert reason in decoded.faults[0].why


def test_made_up_nodes_do_not_fill_the_memory() -> None:
    nodes = Nodes()
    for n in range(NODES_MAX + 5):
        decoded = decode_all([(f"spBv1.0/G/NBIRTH/N{n}", b"")], nodes)
    assert len(nodes.known) == NODES_MAX
    assert "beyond" in decoded[0].faults[0].why


def test_a_value_that_is_no_number_is_left_out() -> None:
    *_, decoded = decode_all([*births(), data(2, math.nan, 61.0)])
    assert samples(decoded)[0].values == (("humidity", 61.0),)


def test_json_of_a_bridge_is_read_the_same_way() -> None:
    def as_json(kind: str, **payload: object) -> tuple[str, bytes]:
        who = {"namespace": "spBv1.0", "type": kind, "groupId": "G", "edgeNodeId": "N"}
        if kind[0] == "D":
            who["deviceId"] = "D1"
        return "bridge", json.dumps({"topic": who, "payload": payload}).encode()

    metric = {"name": "temperature", "alias": 9, "dataType": "Double", "value": 4.0}
    *_, decoded = decode_all(
        [
            as_json("NBIRTH", timestamp=MS, metrics=[], seq=0),
            as_json("DBIRTH", timestamp=MS, metrics=[metric], seq=1),
            as_json("DDATA", timestamp=MS, metrics=[{"alias": 9, "value": -2.5}], seq=2),
        ]
    )
    assert samples(decoded)[0].values == (("temperature", -2.5),)
