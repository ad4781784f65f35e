"""The same inbox gives the same events: again, in pieces, and with the state in between."""

import pytest

from device_sim.library import load_scenario
from device_sim.play import Run, play
from ingest.drafts import Outcome
from ingest.planfile import parse_plan
from ingest.reads import TICK_TOPIC, Message, message_hash
from ingest.site import Site, encode_tick
from tests.ingest.scene import SECRET, events_of

SCENARIOS = ("electronics", "produce")


@pytest.fixture(scope="module", params=SCENARIOS)
def run(request: pytest.FixtureRequest) -> Run:
    return play(load_scenario(request.param), 3)


def messages_of(run: Run) -> list[Message]:
    found: list[Message] = []
    seen: set[bytes] = set()
    last_us = run.messages[-1].time_us + 10**9
    end = (TICK_TOPIC, encode_tick(last_us, everything=True), last_us)
    for topic, payload, at in [*((m.topic, m.payload, m.time_us) for m in run.messages), end]:
        digest = message_hash(topic, payload)
        if digest not in seen:
            seen.add(digest)
            number = len(found) + 1
            found.append(
                Message(id=number, topic=topic, payload=payload, received_us=at, sha256=digest)
            )
    return found


def outcome_of(run: Run, messages: list[Message], every: int | None) -> Outcome:
    """Feed the messages; write the state out and read it back after each `every`."""
    site, outcome = Site(parse_plan(run.plan_text)), Outcome(secret=SECRET)
    parts: dict[str, bytes] = {}
    for n, one in enumerate(messages, start=1):
        site.take_message(one, outcome)
        if every is not None and n % every == 0:
            parts |= site.encode_parts()
            site = Site(parse_plan(run.plan_text))
            site.restore(parts)
    return outcome


def test_the_same_inbox_gives_the_same_events_however_often_the_gateway_restarts(
    run: Run,
) -> None:
    messages = messages_of(run)
    calm = outcome_of(run, messages, None)
    assert len(events_of(calm)) > 300
    for every in (97, 1_009):
        other = outcome_of(run, messages, every)
        assert events_of(other) == events_of(calm)
        assert other.faults == calm.faults
        assert other.unresolved == calm.unresolved
        assert other.notices == calm.notices
