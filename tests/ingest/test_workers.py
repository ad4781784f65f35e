"""Several workers say together what one would say alone, and nothing of the others' readers."""

import json

from ingest.drafts import Event, Notice, Outcome
from ingest.plan import Plan
from ingest.reads import SESSION_TOPIC, Message
from ingest.site import Site
from ingest.topics import topic_matches
from ingest.workers import Worker, plan_of_worker, worker_filters
from tests.ingest.scene import (
    DAIRY,
    OBSERVE,
    SECRET,
    T0,
    T0_S,
    events_of,
    hex_of,
    message,
    plan_of,
)
from tests.ingest.test_site import tick

DOORS = range(8)
WORKERS = [Worker(number, 2) for number in (1, 2)]


def door(n: int) -> str:
    return f"""[[reader]]
name = "reader-{n}"
topics = ["doors/{n}/#"]
heartbeat_s = 60
[[station]]
name = "door-{n}"
party = "{DAIRY}"
topics = ["doors/{n}/#"]
read_point = "urn:epc:id:sgln:9506000.00001.{n}"
{OBSERVE}
[[sensor]]
device = "logger-{n}"
device_uri = "urn:example:logger-{n}"
topics = ["trucks/{n}/#"]
party = "{DAIRY}"
asset = "urn:epc:id:grai:9506000.00300.{n}"
batch = 2
"""


PLAN = plan_of(*map(door, DOORS))


def messages() -> list[Message]:
    found = []
    for second in range(0, 300, 5):
        n, at = second // 5 % len(DOORS), T0 + second * 1_000_000
        read = {"epc": hex_of(second), "timestamp": T0_S + second}
        sample = {"device": f"logger-{n}", "time": T0_S + second, "temperature": n}
        for topic, body in ((f"doors/{n}/r", read), (f"trucks/{n}/l", sample)):
            found.append(message(json.dumps(body).encode(), topic, len(found), at))
    return found


def run(plan: Plan, filters: list[str], *more: Message) -> Outcome:
    site, outcome = Site(plan), Outcome(secret=SECRET)
    for one in messages():
        if any(topic_matches(each, one.topic) for each in filters):
            site.take_message(one, outcome)
    for one in (*more, tick(400, everything=True)):
        site.take_message(one, outcome)
    return outcome


def shares(*more: Message) -> list[Outcome]:
    found = []
    for worker in WORKERS:
        filters = [one.split("/", 2)[2] for one in worker_filters(PLAN, worker)]
        found.append(run(plan_of_worker(PLAN, worker), filters, *more))
    return found


def content(events: list[Event]) -> list[str]:
    """Return what events say, without the ids that each gateway's own secret makes."""
    return sorted(str(sorted(one.items())) for one in events)


def test_two_workers_make_the_events_that_one_makes() -> None:
    whole, parts = run(PLAN, worker_filters(PLAN, None)), shares()
    assert min(len(events_of(one)) for one in parts) > 10
    assert content([event for one in parts for event in events_of(one)]) == content(
        events_of(whole)
    )


def test_no_worker_tells_of_the_silence_of_another_ones_reader() -> None:
    assert not any(one.notices for one in shares())
    quiet = [tick(second) for second in range(300, 1_000, 10)]
    told = [one.source for part in shares(*quiet) for one in part.notices]
    assert sorted(told) == [f"urn:epc:id:sgln:9506000.00001.{n}" for n in DOORS]


def test_a_forgotten_session_is_a_gap_at_its_own_workers_places() -> None:
    lost = message(json.dumps({"from_us": T0, "to_us": T0 + 1}).encode(), SESSION_TOPIC)
    parts: list[list[Notice]] = [one.notices for one in shares(lost)]
    assert sorted(one.source for part in parts for one in part) == [
        f"urn:epc:id:sgln:9506000.00001.{n}" for n in DOORS
    ]
    assert all(parts)


def test_the_plans_hash_is_that_of_the_whole() -> None:
    assert {plan_of_worker(PLAN, one).sha256 for one in [None, *WORKERS]} == {PLAN.sha256}
