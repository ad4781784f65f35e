"""Several gateways on one broker: which of them has which readers, and what keeps it so.

A broker deals the messages of a shared subscription out to whoever is connected, one by one
(MQTT 5.0 section 4.8.2), so two members of one share would each get half of a reader's
messages, and no place's passes would be whole. Hence the *topics* are divided, not the
messages: worker k of n subscribes to

    $share/tagtrail-k-of-n/FILTER

for the filters that are its own. A share has one member at a time, and a second one with the
same k takes over what comes from then on; what the first had in its session stays there.

Filters that take a common topic go together, with the stations and sensors that have them, so
that each place is one worker's. Places are dealt by rendezvous hashing of their names: where
n grows by one, only those move that the new worker gets. A plan of which everything meets (a
filter `#`) cannot be divided, and is refused.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from ingest.plan import Plan
from ingest.topics import filters_meet, simplify_filters
from ledger.errors import ParseError

WORKERS_MAX = 256
_WORKER = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Worker:
    """Worker `number`, from 1, of `count`."""

    number: int
    count: int


def parse_worker(text: str) -> Worker:
    """Return the worker that `text` names as K/N, or raise `ParseError`."""
    match = _WORKER.fullmatch(text)
    if match is None:
        raise ParseError("worker", f"{text!r:.40} is not K/N, such as 2/4")
    number, count = int(match[1]), int(match[2])
    if number > count or count > WORKERS_MAX:
        raise ParseError("worker", f"want K of 1 to N, and N of at most {WORKERS_MAX}")
    return Worker(number, count)


def worker_filters(plan: Plan, worker: Worker | None) -> list[str]:
    """Return what the gateway subscribes to: all of the plan, or its worker's share.

    Raises `ParseError` where the plan cannot be divided, or the worker would have nothing.
    """
    if worker is None or worker.count == 1:
        own = [topic for one in plan.readers for topic in one.topics]
        return simplify_filters([*(one for _, topics in _places(plan) for one in topics), *own])
    if len(divide(plan)) == 1:
        raise ParseError("worker", "the plan's topics all meet; it cannot be divided")
    mine = _own_topics(plan, worker)
    if not mine:
        raise ParseError("worker", f"{worker.number}/{worker.count} has no topics in this plan")
    mine += _topics_of_readers(plan, mine)
    share = f"$share/tagtrail-{worker.number}-of-{worker.count}"
    return [f"{share}/{topic}" for topic in simplify_filters(mine)]


def plan_of_worker(plan: Plan, worker: Worker | None) -> Plan:
    """Return the plan with the places and readers of one worker alone.

    So that it says nothing of the others: neither that their readers are silent nor that a
    broker forgot what it held for their places. The plan's hash is that of the whole.
    """
    if worker is None or worker.count == 1:
        return plan
    mine = _own_topics(plan, worker)
    return replace(
        plan,
        stations=tuple(one for one in plan.stations if one.topics[0] in mine),
        sensors=tuple(one for one in plan.sensors if one.topics[0] in mine),
        readers=tuple(one for one in plan.readers if _meet(one.topics, mine)),
    )


def divide(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    """Return the groups of filters that meet, each with its name, in the order of the plan."""
    groups: list[tuple[str, list[str]]] = []
    for name, topics in _places(plan):
        meeting = [one for one in groups if _meet(one[1], topics)]
        first = meeting[0] if meeting else (name, [])
        if not meeting:
            groups.append(first)
        first[1].extend(topics)
        for other in meeting[1:]:
            first[1].extend(other[1])
            groups.remove(other)
    return [(name, tuple(dict.fromkeys(topics))) for name, topics in groups]


def owner_of(name: str, count: int) -> int:
    """Return which of `count` workers, from 1, has the group called `name`."""

    def weight(number: int) -> bytes:
        return sha256(f"{number}\n{name}".encode()).digest()

    return max(range(1, count + 1), key=weight)


def _topics_of_readers(plan: Plan, mine: Sequence[str]) -> list[str]:
    """Return the topics on which readers of these places tell of themselves alone.

    One that meets another worker's places as well is left out: that worker has them.
    """
    others = [topic for _, topics in _places(plan) for topic in topics if topic not in mine]
    return [
        topic
        for one in plan.readers
        if _meet(one.topics, mine)
        for topic in one.topics
        if not _meet((topic,), others)
    ]


def _own_topics(plan: Plan, worker: Worker) -> list[str]:
    return [
        topic
        for name, topics in divide(plan)
        if owner_of(name, worker.count) == worker.number
        for topic in topics
    ]


def _places(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    stations = [(one.name, one.topics) for one in plan.stations]
    return stations + [(one.name, one.topics) for one in plan.sensors]


def _meet(left: Sequence[str], right: Sequence[str]) -> bool:
    return any(filters_meet(one, other) for one in left for other in right)
