"""Outputs whose reader was offline while their batch was made come into it all the same."""

import pytest

from device_sim.library import scenario_text
from device_sim.play import Run, play
from device_sim.scenariofile import parse_scenario
from ingest import batches
from ingest.drafts import Event, Outcome
from ingest.plan import Plan
from ingest.reads import Message
from ingest.site import Site
from tests.ingest.scene import (
    SECRET,
    STATION,
    T0,
    events_of,
    message,
    plan_of,
    read_payload,
    run_site,
    sgtin,
)
from tests.ingest.test_determinism import messages_of, outcome_of
from tests.ingest.test_site import END, FILL, batch, start, tick

PLAN = plan_of(STATION, FILL)
NO_ID = {"transformationID": None}


def late(n: int, second: float, heard: float = 3_600) -> Message:
    """Return the read of tag `n` at `second` that came `heard` seconds after T0."""
    at = T0 + round((heard + second / 100) * 1_000_000)
    return message(read_payload(n, second), number=100 + n, at=at)


def transformations(outcome: Outcome) -> list[Event]:
    return [one for one in events_of(outcome) if one["type"] == "TransformationEvent"]


def outputs(event: Event) -> object:
    return event.get("outputEPCList", [])


def made(*messages: Message, plan: Plan = PLAN) -> Outcome:
    return run_site(plan, [*messages, END])[1]


def test_late_outputs_go_into_a_further_event_of_their_batch() -> None:
    outcome = made(start(0), batch("end", 60), tick(70), late(1, 10), late(2, 50))
    whole, further = transformations(outcome)
    assert outputs(whole) == []
    assert whole["inputQuantityList"]
    assert outputs(further) == [sgtin(1), sgtin(2)]
    assert "inputQuantityList" not in further
    assert further["transformationID"] == whole["transformationID"]
    assert further["ilmd"] == whole["ilmd"]
    assert further["eventTime"] == whole["eventTime"]
    (told,) = outcome.unresolved
    assert "without an output" in told.why


def test_each_late_output_goes_into_the_batch_of_its_time() -> None:
    lines = [start(0), batch("end", 60), start(70, "B-2"), batch("end", 130, "B-2"), tick(200)]
    outcome = made(*lines, *(late(n, 10 * n) for n in range(1, 13)))
    found = {
        str(one["transformationID"])[-1]: outputs(one)
        for one in transformations(outcome)
        if outputs(one)
    }
    assert found == {
        "1": [sgtin(n) for n in range(1, 7)],
        "2": [sgtin(n) for n in range(7, 13)],
    }


def test_an_output_heard_in_time_and_again_late_is_one() -> None:
    in_time = message(read_payload(1, 20), number=5, at=T0 + 20_000_000)
    outcome = made(start(0), in_time, batch("end", 60), tick(70), late(1, 21), late(2, 22))
    assert [outputs(one) for one in transformations(outcome)] == [[sgtin(1)], [sgtin(2)]]
    again = made(start(0), in_time, batch("end", 60), tick(70), late(1, 21))
    assert [outputs(one) for one in transformations(again)] == [[sgtin(1)]]


def test_a_batch_without_an_id_waits_with_its_inputs_and_then_takes_no_more() -> None:
    lines = [start(0, **NO_ID), batch("end", 60), tick(70)]
    outcome = made(*lines, late(1, 10), tick(3_700), late(2, 20, heard=4_000))
    (event,) = transformations(outcome)
    assert outputs(event) == [sgtin(1)]
    assert event["inputQuantityList"]
    assert [one.epcs for one in outcome.unresolved if one.epcs] == [(sgtin(2),)]


def test_what_no_batch_made_stays_unresolved() -> None:
    outcome = made(start(10), batch("end", 60), tick(70), late(1, 5), late(2, 61))
    assert transformations(outcome)[1:] == []
    assert [one.epcs for one in outcome.unresolved if one.epcs] == [(sgtin(1),), (sgtin(2),)]


def test_so_many_batches_are_remembered() -> None:
    lines: list[Message] = []
    for n in range(batches.OVER_MAX + 2):
        lines += [start(100 * n, f"B-{n}"), batch("end", 100 * n + 60, f"B-{n}")]
    site, outcome = Site(PLAN), Outcome(secret=SECRET)
    for one in [*lines, tick(90_000), late(1, 10, 99_000), late(2, 210, 99_000), END]:
        site.take_message(one, outcome)
    (state,) = site._station_states.values()
    assert len(state.over) == batches.OVER_MAX
    assert [one.epcs for one in outcome.unresolved if one.epcs] == [(sgtin(1),)]
    assert [outputs(one) for one in transformations(outcome) if outputs(one)] == [[sgtin(2)]]


@pytest.fixture(scope="module")
def offline() -> Run:
    text, _, _ = scenario_text("electronics").partition("[[fault]]")
    fault = 'kind = "offline"\nstation = "chips/tester"\npass = 0\nminutes = 60\nrate = 5\n'
    return play(parse_scenario(f"{text}[[fault]]\n{fault}", "offline", {}), 3)


def test_an_offline_backlog_loses_no_output_of_a_simulated_line(offline: Run) -> None:
    text, _, _ = scenario_text("electronics").partition("[[fault]]")
    calm = play(parse_scenario(text, "calm", {}), 3)
    expected, found = (
        {
            (one["transformationID"], epc)
            for one in transformations(outcome_of(run, messages_of(run), None))
            for epc in outputs(one)  # type: ignore[attr-defined]
        }
        for run in (calm, offline)
    )
    assert len(expected) > 100
    assert found == expected


def test_an_offline_backlog_is_the_same_after_restarts(offline: Run) -> None:
    messages = messages_of(offline)
    calm = events_of(outcome_of(offline, messages, None))
    assert events_of(outcome_of(offline, messages, 11)) == calm


def test_outputs_of_a_line_that_was_offline_go_into_its_batch() -> None:
    reads = [
        message(read_payload(n, second), number=n, at=T0 + second * 1_000_000)
        for n, second in ((1, 10), (2, 50), (3, 90))
    ]
    outcome = made(*reads, tick(100), start(0), batch("end", 60), tick(200))
    (event,) = transformations(outcome)
    assert outputs(event) == [sgtin(1), sgtin(2)]
    assert event["tagtrail:evidence"]["messages"] == 4  # type: ignore[index]
    assert [one.epcs for one in outcome.unresolved] == [(sgtin(n),) for n in (1, 2, 3)]


def test_so_many_outputs_wait_for_their_batch() -> None:
    site, outcome = Site(PLAN), Outcome(secret=SECRET)
    for n in range(batches.HOMELESS_MAX + 5):
        one = message(read_payload(n, 4 * n), number=n, at=T0 + 4 * n * 1_000_000)
        site.take_message(one, outcome)
    (state,) = site._station_states.values()
    assert len(state.homeless) == batches.HOMELESS_MAX


def test_a_batch_never_ends_before_it_starts() -> None:
    outcome = made(start(100, "B-2"), start(0, "B-1"), batch("end", 60, "B-1"))
    times = {
        str(one["transformationID"])[-1]: one["eventTime"] for one in transformations(outcome)
    }
    assert times == {"2": "2026-01-05T08:01:40.000Z", "1": "2026-01-05T08:01:00.000Z"}


def pass_of(n: int, second: float) -> Message:
    at = T0 + round(second * 1_000_000)
    return message(read_payload(n, second), number=1_000 + round(second), at=at)


@pytest.mark.parametrize("bound", ["OUTPUTS_MAX", "MESSAGES_MAX"])
def test_a_batch_of_hours_says_its_outputs_in_parts_and_stays_bounded(
    monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(batches, bound, 3)
    site, outcome = Site(PLAN), Outcome(secret=SECRET)
    parts: dict[str, bytes] = {}
    for one in (
        *(start(0), *(pass_of(n, 10 * n) for n in range(1, 11))),
        *(batch("end", 110), END),
    ):
        site.take_message(one, outcome)
        parts |= site.encode_parts()
        site = Site(PLAN)  # as after a restart
        site.restore(parts)
    told = transformations(outcome)
    assert len(told) > 3
    assert [epc for one in told for epc in outputs(one)] == [sgtin(n) for n in range(1, 11)]  # type: ignore[attr-defined]
    assert [("inputQuantityList" in one) for one in told] == [True] + [False] * (len(told) - 1)
    assert len({str(one["transformationID"]) for one in told}) == 1
    times = [str(one["eventTime"]) for one in told]
    assert times == sorted(times)
    assert times[0] < times[-1]
    assert outcome.unresolved == []


def test_what_was_said_in_a_part_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "OUTPUTS_MAX", 2)
    passes = [pass_of(n, 10 * k) for k, n in enumerate((1, 2, 1, 2, 3, 1), 1)]
    outcome = made(start(0), *passes, batch("end", 80), tick(200), late(2, 75), late(4, 76))
    told = [outputs(one) for one in transformations(outcome)]
    assert told == [[sgtin(1), sgtin(2)], [sgtin(3)], [sgtin(4)]]


def test_a_batch_whose_outputs_are_all_said_ends_without_another_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "OUTPUTS_MAX", 2)
    passes = [pass_of(1, 10), pass_of(2, 20), pass_of(1, 30)]
    outcome = made(start(0), *passes, batch("end", 50))
    assert [outputs(one) for one in transformations(outcome)] == [[sgtin(1), sgtin(2)]]
    assert outcome.unresolved == []


def test_a_tag_that_never_leaves_makes_its_batch_no_larger() -> None:
    site, outcome = Site(PLAN), Outcome(secret=SECRET)
    for one in (start(0), *(pass_of(1, 10 * n) for n in range(1, 200))):
        site.take_message(one, outcome)
    (size,) = (len(data) for name, data in site.encode_parts().items() if name[0] == "s")
    assert size < 1_000


def test_late_outputs_of_a_large_batch_cost_no_look_at_all_of_it_each() -> None:
    given = b"".join(n.to_bytes(8) for n in range(50_000))
    one = batches.OpenBatch("B", "urn:x", (), None, 0, 0, given=given, again=True)
    before = batches._digests.cache_info().misses
    assert all(batches.add_output(one, sgtin(n), n) for n in range(2_000))
    assert batches._digests.cache_info().misses == before + 1
