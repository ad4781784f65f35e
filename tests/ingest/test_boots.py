"""Event numbers across a reader's restarts: what came before is known, what did not is not."""

import json

from ingest import watch
from ingest.drafts import Outcome
from ingest.reads import Message
from ingest.site import Site
from tests.ingest.scene import (
    OBSERVE,
    SECRET,
    STATION,
    T0,
    T0_S,
    events_of,
    hex_of,
    message,
    plan_of,
    sgtin,
)
from tests.ingest.test_site import tick

PLAN = plan_of(STATION, OBSERVE)


def said(boot: str, seq: int, tag: int, second: float, sent: int = 0) -> Message:
    """Return a numbered report; `sent` changes its bytes, as a retransmission may."""
    body = {"reader": "dock", "boot": boot, "seq": seq, "site": sent}
    body |= {"reads": [{"epc": hex_of(tag), "ts": T0_S + tag}]}  # type: ignore[dict-item]
    at = T0 + round(second * 1_000_000)
    return message(json.dumps(body).encode(), number=round(1000 * second) + sent, at=at)


def run(*messages: Message) -> Outcome:
    site, outcome = Site(PLAN), Outcome(secret=SECRET)
    for one in [*messages, tick(500), tick(600, everything=True)]:
        site.take_message(one, outcome)
        parts = site.encode_parts()
        other = Site(PLAN)  # as after a restart
        other.restore(parts)
        site.restore(other.encode_parts() or parts)
    return outcome


def tags(outcome: Outcome) -> list[str]:
    return sorted(epc for one in events_of(outcome) for epc in one["epcList"])  # type: ignore[attr-defined]


def test_a_report_that_is_sent_again_in_other_bytes_is_taken_once() -> None:
    outcome = run(said("a", 1, 1, 1), said("a", 2, 2, 2), said("a", 2, 2, 3, sent=1))
    assert tags(outcome) == [sgtin(1), sgtin(2)]
    assert outcome.counts["repeats by number"] == 1
    assert outcome.notices == []


def test_the_same_numbers_after_a_restart_are_new() -> None:
    outcome = run(
        said("a", 1, 1, 1), said("a", 2, 2, 2), said("b", 1, 3, 3), said("b", 2, 4, 4)
    )
    assert tags(outcome) == [sgtin(n) for n in (1, 2, 3, 4)]
    assert outcome.counts["repeats by number"] == 0
    assert outcome.notices == []


def test_what_is_sent_again_from_before_a_restart_is_known() -> None:
    outcome = run(
        *(said("a", n, n, n) for n in (1, 2, 3)),
        said("b", 1, 11, 11),
        *(said("a", n, n, 20 + n, sent=1) for n in (2, 3)),
        said("a", 4, 4, 24),
        said("b", 2, 12, 30),
        said("b", 1, 11, 31, sent=1),
    )
    assert tags(outcome) == [sgtin(n) for n in (1, 11, 12, 2, 3, 4)]
    assert outcome.counts["repeats by number"] == 3
    assert outcome.notices == []


def test_a_number_from_before_a_restart_that_comes_late_leaves_no_gap() -> None:
    early = [said("a", 1, 1, 1), said("a", 3, 3, 3), said("b", 1, 11, 11)]
    assert run(*early, said("a", 2, 2, 20)).notices == []
    (notice,) = run(*early).notices
    assert notice.count == 1
    assert "numbers 2 to 2 never came" in notice.why


def test_the_numbers_of_so_many_boots_are_remembered() -> None:
    boots = [f"boot-{n}" for n in range(watch.BOOTS_MAX + 2)]
    site, outcome = Site(PLAN), Outcome(secret=SECRET)
    for n, boot in enumerate(boots):
        for seq in (1, 3):
            site.take_message(said(boot, seq, 10 * n + seq, n), outcome)
    (state,) = site.roster._states.values()
    assert len(state.counters) == watch.BOOTS_MAX
    assert len(outcome.notices) == 2  # the holes of the oldest can no longer be filled
