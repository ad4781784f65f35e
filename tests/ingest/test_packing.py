"""A case is scanned, then its items: each goes into the case before it; nothing is guessed."""

import pytest

from ingest.drafts import Outcome
from ingest.packing import PACKED_MAX, SPANS_MAX
from ingest.plan import AggregationEmit, PackingRule
from ingest.planfile import parse_plan
from ingest.reads import Message
from ingest.site import Site
from ledger.errors import ParseError
from tests.ingest.scene import (
    HEAD,
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
from tests.ingest.test_site import END

CASES = range(900, 1_000)
PARENTS = ", ".join(f'"{sgtin(n)}"' for n in CASES)


def rule(more: str = "") -> str:
    return f"""[[station.emit]]
event = "aggregation"
action = "ADD"
biz_step = "packing"
parent = [{PARENTS}]
children = ["urn:epc:idpat:sgtin:9506000.013435.*"]
packing = {{pause_s = 20{more}}}
"""


PLAN = plan_of(STATION, rule())
OF_TWO = plan_of(STATION, rule(", count = 2"))


def scans(*tags: tuple[int, float]) -> list[Message]:
    """Return one message for each (serial number, second)."""
    return [
        message(read_payload(n, second), number=k, at=T0 + round(second * 1_000_000))
        for k, (n, second) in enumerate(tags, start=1)
    ]


def packed(outcome: Outcome) -> list[tuple[object, object]]:
    return [(one["parentID"], one["childEPCs"]) for one in events_of(outcome)]


def wrong(outcome: Outcome) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.why.removeprefix("packing: "), one.epcs) for one in outcome.unresolved]


def run(*tags: tuple[int, float], plan: object = PLAN) -> Outcome:
    return run_site(plan, [*scans(*tags), END])[1]  # type: ignore[arg-type]


def holds(*cases: tuple[int, list[int]]) -> list[tuple[object, object]]:
    return [(sgtin(case), [sgtin(n) for n in items]) for case, items in cases]


def test_cases_of_one_pass_hold_the_items_after_them() -> None:
    outcome = run((900, 0), (1, 1), (2, 2), (901, 3), (3, 4), (4, 5))
    assert packed(outcome) == holds((900, [1, 2]), (901, [3, 4]))
    assert wrong(outcome) == []
    assert [str(one["eventTime"])[17:19] for one in events_of(outcome)] == ["02", "05"]


def test_a_case_may_take_several_passes() -> None:
    outcome = run((900, 0), (1, 10), (2, 20), (901, 30), (3, 40))
    assert packed(outcome) == holds((900, [1]), (900, [2]), (901, [3]))
    assert wrong(outcome) == []


def test_an_item_without_a_case_before_it_is_in_none() -> None:
    outcome = run((1, 0), (900, 1), (2, 2), (3, 30))
    assert packed(outcome) == holds((900, [2]))
    assert wrong(outcome) == [
        ("no case was scanned before it", (sgtin(1),)),
        ("no case was scanned before it", (sgtin(3),)),
    ]


def test_an_item_that_is_heard_again_stays_where_it_is() -> None:
    outcome = run((900, 0), (1, 1), (1, 10), (901, 15), (2, 16), (1, 25))
    assert packed(outcome) == holds((900, [1]), (901, [2]))
    assert wrong(outcome) == [(f"it was put into {sgtin(900)} before", (sgtin(1),))]


def test_nobody_can_tell_while_an_earlier_case_is_in_view() -> None:
    outcome = run((900, 0), (1, 1), (901, 2), (2, 3), (900, 4), (3, 5))
    assert packed(outcome) == holds((900, [1]), (901, [3]))
    assert wrong(outcome) == [(f"{sgtin(900)} was in view as well", (sgtin(2),))]


def test_a_case_that_is_scanned_anew_goes_on() -> None:
    outcome = run((900, 0), (1, 1), (901, 10), (2, 11), (900, 20), (3, 21))
    assert packed(outcome) == holds((900, [1]), (901, [2]), (900, [3]))
    assert wrong(outcome) == []


def test_a_case_into_which_nothing_went_is_told_of() -> None:
    outcome = run((900, 0), (901, 1), (1, 2))
    assert packed(outcome) == holds((901, [1]))
    assert wrong(outcome) == [
        ("it was scanned as a case and nothing was put into it", (sgtin(900),))
    ]


def test_a_missing_case_shows_where_the_plan_says_how_many_one_holds() -> None:
    tags = [(900, 0), *((n, n) for n in range(1, 5)), (901, 5), (5, 6), (902, 7), (6, 8)]
    outcome = run(*tags, plan=OF_TWO)
    assert packed(outcome) == holds((900, [1, 2]), (901, [5]), (902, [6]))
    assert wrong(outcome) == [
        (f"{sgtin(900)} holds 2 already", (sgtin(3), sgtin(4))),
        ("the case holds 1 of 2", (sgtin(901),)),
    ]


def test_items_of_a_backlog_go_into_the_case_of_their_time() -> None:
    late = [
        message(read_payload(n, second), number=90 + n, at=T0 + 600_000_000)
        for n, second in ((1, 2), (2, 3), (3, 41))
    ]
    early = scans((900, 0), (901, 40))
    outcome = run_site(PLAN, [*early, *late, END])[1]
    assert (sgtin(900), [sgtin(1), sgtin(2)]) in packed(outcome)
    assert (sgtin(901), [sgtin(3)]) in packed(outcome)


def test_restarts_change_nothing() -> None:
    messages = scans(*((900 + n // 5 if n % 5 == 0 else n, 4 * n) for n in range(60)))
    outcome = run_site(PLAN, [*messages, END])[1]
    site, other, parts = Site(PLAN), Outcome(secret=SECRET), dict[str, bytes]()
    for one in [*messages, END]:
        site.take_message(one, other)
        parts |= site.encode_parts()
        site = Site(PLAN)
        site.restore(parts)
    assert len(events_of(outcome)) > 10
    assert events_of(other) == events_of(outcome)
    assert other.unresolved == outcome.unresolved


def test_the_memory_of_cases_is_bounded() -> None:
    site, outcome = Site(PLAN), Outcome(secret=SECRET)
    for n in range(3 * PACKED_MAX):
        tag = 900 + n // 60 if n % 60 == 0 else 10_000 + n
        for one in scans((tag, 4 * n)):
            site.take_message(one, outcome)
    (state,) = site._station_states.values()
    assert len(state.packing.spans) == SPANS_MAX
    assert len(state.packing.packed) == PACKED_MAX
    assert len(events_of(outcome)) > 2 * PACKED_MAX


def test_the_plan_says_how_cases_are_packed() -> None:
    (emit,) = OF_TWO.stations[0].emits
    assert isinstance(emit, AggregationEmit)
    assert emit.packing == PackingRule(pause_us=20_000_000, count=2)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (rule(", count = 1001"), "count"),
        (rule(", x = 1"), "x"),
        (rule().replace('"ADD"', '"OBSERVE"'), "packing"),
        (rule() + 'report = "additions"\n', "packing"),
        (rule() * 2, "one emit"),
    ],
)
def test_a_plan_that_packs_otherwise_is_refused(block: str, why: str) -> None:
    with pytest.raises(ParseError) as error:
        parse_plan(HEAD + STATION + block)
    assert why in str(error.value)
