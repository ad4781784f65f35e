"""A reader may tell of itself on another topic than of tags; it is heard on both."""

import json

from ingest.drafts import Outcome
from ingest.reads import Message
from ingest.workers import Worker, worker_filters
from tests.ingest.scene import (
    DAIRY,
    OBSERVE,
    T0,
    T0_S,
    events_of,
    hex_of,
    message,
    plan_of,
    run_site,
    sgtin,
)
from tests.ingest.test_site import END, tick

TRIGGER = 'trigger = {port = 1, level = "high", window_s = 20}\n'


def door(n: int) -> str:
    return f"""[[reader]]
name = "fx-{n}"
topics = ["fx/{n}/data", "fx/{n}/events"]
heartbeat_s = 10
[[station]]
name = "door-{n}"
party = "{DAIRY}"
topics = ["fx/{n}/data"]
read_point = "urn:epc:id:sgln:9506000.00001.{n}"
"""


PLAN = plan_of(door(1) + TRIGGER + OBSERVE, door(2) + OBSERVE)


def event(kind: str, second: float, data: dict[str, object], n: int = 1) -> Message:
    body = {"type": kind, "timestamp": (T0_S + second) * 1_000, "data": data}
    at = T0 + round(second * 1_000_000)
    return message(json.dumps(body).encode(), f"fx/{n}/events", number=round(second), at=at)


def beat(second: float, dropped: int = 0) -> Message:
    paths = [{"numDataMessagesDropped": dropped}]
    return event("heartbeat", second, {"reader_gateway": {"dataPathStatistics": paths}})


def read(n: int, second: float) -> Message:
    body = {"epc": hex_of(n), "timestamp": T0_S + second}
    at = T0 + round(second * 1_000_000)
    return message(json.dumps(body).encode(), "fx/1/data", number=100 + n, at=at)


def run(*messages: Message) -> Outcome:
    return run_site(PLAN, list(messages))[1]


def test_both_topics_are_subscribed_to() -> None:
    assert sorted(worker_filters(PLAN, None)) == [
        "fx/1/data",
        "fx/1/events",
        "fx/2/data",
        "fx/2/events",
    ]
    many = plan_of(*(door(n) + OBSERVE for n in range(8)))
    shares = [
        [one.split("/", 2)[2] for one in worker_filters(many, Worker(number, 2))]
        for number in (1, 2)
    ]
    assert sorted(shares[0] + shares[1]) == sorted(worker_filters(many, None))
    for share in shares:
        doors = {one.split("/")[1] for one in share}
        assert sorted(share) == [
            f"fx/{n}/{kind}" for n in sorted(doors) for kind in ("data", "events")
        ]


def test_heartbeats_on_the_other_topic_are_no_silence_and_their_end_is_one() -> None:
    beats = [read(1, 0), *(beat(5 * n) for n in range(1, 30))]
    quiet = [event("heartbeat", 5 * n, {}, 2) for n in range(40)]
    assert run(*sorted(beats + quiet, key=lambda one: one.received_us), tick(150)).notices == []
    (notice,) = run(*beats, *quiet, tick(199)).notices
    assert notice.source == "urn:epc:id:sgln:9506000.00001.1"


def test_what_a_reader_dropped_is_a_gap_at_its_stations() -> None:
    (notice,) = run(beat(1), beat(6, dropped=4)).notices
    assert (notice.source, notice.count) == ("urn:epc:id:sgln:9506000.00001.1", 4)


def test_inputs_on_the_other_topic_are_the_trigger_of_the_readers_station() -> None:
    up, down = {"pin": 1, "state": "HIGH"}, {"pin": 1, "state": "LOW"}
    outcome = run(read(1, 0), event("gpi", 1, up), read(2, 2), event("gpi", 3, down), END)
    assert [one["epcList"] for one in events_of(outcome)] == [[sgtin(2)]]
    assert outcome.faults == []
    other = run(event("gpi", 1, up, 2))
    assert "no station of the plan uses" in other.faults[0][1].why
