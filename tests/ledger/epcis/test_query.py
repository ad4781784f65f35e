"""Event queries: what each parameter means, and what is no query."""

from decimal import Decimal
from typing import Any

import pytest

from ledger.conformance.cases import Case, all_names, make_cases
from ledger.conformance.events import Run, make_document, make_events
from ledger.epcis.document import events_of_document
from ledger.epcis.event import Event, parse_event
from ledger.epcis.query import MasterRecords, Query
from ledger.epcis.query_match import matches
from ledger.epcis.query_parse import parse_extensions, parse_query
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key

RUN = Run(77)
CASES = make_cases(RUN)
NAMES = list(make_events(RUN))
RECORDED_US = 1_000_000


def parsed() -> dict[str, Event]:
    listed = events_of_document(make_document(RUN))
    return {name: parse_event(raw) for name, (_, raw) in zip(NAMES, listed, strict=True)}


EVENTS = parsed()
NAME = "urn:epcglobal:cbv:mda#name"
PLACES = {n: canonical_key(RUN.place(n)) for n in (1, 2, 10, 11)}
MASTER = MasterRecords(
    children={PLACES[10]: frozenset({PLACES[11]}), PLACES[1]: frozenset({PLACES[2]})},
    attributes={
        PLACES[10]: {NAME: (f"BusinessLocation {RUN.number}",)},
        PLACES[1]: {NAME: (f"ReadPoint {RUN.number}",)},
    },
)


def selected(parameters: dict[str, Any]) -> set[str]:
    query = parse_query(parameters)
    return {name for name, one in EVENTS.items() if matches(query, one, RECORDED_US, MASTER)}


def as_text(value: object) -> str:
    """Return a JSON value as a URL writes it."""
    if isinstance(value, list):
        return "|".join(as_text(one) for one in value)
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.requirement)
def test_a_parameter_selects_what_it_says_in_json_and_in_text(case: Case) -> None:
    contexts = {"@context": case.contexts}
    assert selected(contexts | case.parameters) == case.expected
    written = {name: as_text(value) for name, value in case.parameters.items()}
    assert selected(contexts | written) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.requirement)
def test_a_case_tells_a_server_that_ignores_its_parameter(case: Case) -> None:
    assert case.expected
    assert case.expected < all_names(RUN)


def test_a_prefix_without_a_meaning_is_compared_as_it_is_written() -> None:
    assert selected({"EQ_example:word": "beta"}) == {"received"}
    assert selected({"@context": {"example": "https://other/"}, "EQ_example:word": "beta"}) == (
        set()
    )
    other = {"@context": {"ex": "https://ns.example.com/conformance/"}, "EQ_ex:word": "beta"}
    assert selected(other) == {"received"}
    assert selected({"EQ_https://ns.example.com/conformance/word": "beta"}) == {"received"}
    assert selected({"EQ_https://ns.example.com/conformance/#word": "beta"}) == {"received"}


def test_words_and_identities_match_in_every_spelling() -> None:
    assert selected({"EQ_bizStep": "urn:epcglobal:cbv:bizstep:shipping"}) == {"shipped"}
    assert selected({"EQ_bizStep": "https://ref.gs1.org/cbv/BizStep-shipping"}) == {"shipped"}
    assert selected({"MATCH_epc": canonical_key(RUN.item(2))}) == {"made", "packed"}
    assert selected({"EQ_readPoint": PLACES[2]}) == {"shipped"}
    party = RUN.link("party", 1)
    urn = "EQ_source_urn:epcglobal:cbv:sdt:owning_party"
    assert selected({urn: party}) == {"shipped"}


def test_the_time_of_recording_is_the_logs() -> None:
    assert selected({"GE_recordTime": "1970-01-01T00:00:01Z"}) == set(NAMES)
    assert selected({"LT_recordTime": "1970-01-01T00:00:01Z"}) == set()
    assert selected({"LT_recordTime": "1970-01-01T02:00:01.000001+02:00"}) == set(NAMES)


def test_what_is_withheld_meets_no_condition() -> None:
    raw = {"eventID": "urn:uuid:1", "readPoint": {"id": RUN.place(1)}}
    event = parse_event(raw, partial=True)
    late = parse_query({"LT_eventTime": "2000-01-01T00:00:00Z"})
    assert not matches(late, event, RECORDED_US)
    for name, value in (
        ("eventType", "ObjectEvent"),
        ("EQ_bizStep", "shipping"),
        ("MATCH_epc", RUN.item(1)),
        ("GE_eventTime", "1900-01-01T00:00:00Z"),
        ("EXISTS_epcList", "true"),
    ):
        assert not matches(parse_query({name: value}), event, RECORDED_US), name
    assert matches(parse_query({"EQ_readPoint": RUN.place(1)}), event, RECORDED_US)


def test_exists_false_asks_for_nothing() -> None:
    assert parse_query({"EXISTS_errorDeclaration": "false"}) == Query()
    assert parse_query({"EXISTS_example:x": 0}) == Query()
    assert len(parse_query({"EXISTS_errorDeclaration": None}).conditions) == 1
    assert len(parse_query({"EXISTS_errorDeclaration": ""}).conditions) == 1


def test_units_of_another_kind_never_match() -> None:
    assert selected({"GE_quantity_MTR": 0}) == set()
    assert selected({"GE_value_BAR": "-1000"}) == set()
    assert selected({"GE_value_ZZZ": "-1000"}) == set()


def test_descendants_in_a_loop_end() -> None:
    loop = MasterRecords(children={"a": frozenset("b"), "b": frozenset("a")})
    assert loop.with_descendants(frozenset("a")) == {"a", "b"}


def test_controls() -> None:
    query = parse_query({"orderBy": "eventTime", "eventCountLimit": "5"})
    assert (query.order_by, query.direction, query.event_count_limit) == (
        "eventTime",
        "DESC",
        5,
    )
    query = parse_query({"maxEventCount": 7, "orderDirection": "ASC", "orderBy": "example:n"})
    assert (query.max_event_count, query.direction) == (7, "ASC")
    assert not isinstance(query.order_by, str | None)


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"EQ_nothing": "x"}, "EQ_nothing"),
        ({"nothing": "x"}, "nothing"),
        ({"MATCH_": "x"}, "MATCH_"),
        ({"WD_bizStep": "x"}, "WD_bizStep"),
        ({"GT_eventTime": "2026-01-01T00:00:00Z"}, "GT_eventTime"),
        ({"EQ_action": "MOVE"}, "EQ_action"),
        ({"eventType": "Event"}, "eventType"),
        ({"GE_eventTime": "yesterday"}, "GE_eventTime"),
        ({"GE_eventTime": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]}, "GE_eventTime"),
        ({"GE_eventTime": 5}, "GE_eventTime"),
        ({"GE_quantity": "many"}, "GE_quantity"),
        ({"GE_quantity": "NaN"}, "GE_quantity"),
        ({"GE_quantity": "1e999999"}, "GE_quantity"),
        ({"GE_value_C": "1"}, "GE_value_C"),
        ({"MATCH_epc": "no epc"}, "MATCH_epc"),
        ({"MATCH_epc": "urn:epc:idpat:sgtin:*.1.*"}, "MATCH_epc"),
        ({"EQ_bizStep": ""}, "EQ_bizStep"),
        ({"EQ_bizStep": []}, "EQ_bizStep"),
        ({"EQ_bizStep": {"a": 1}}, "EQ_bizStep"),
        ({"EQ_bizStep": ["x"] * 1001}, "EQ_bizStep"),
        ({"EXISTS_errorDeclaration": "maybe"}, "EXISTS_errorDeclaration"),
        ({"EQ_booleanValue": "yes"}, "EQ_booleanValue"),
        ({"EQATTR_readPoint": "x"}, "EQATTR_readPoint"),
        ({"orderBy": "bizStep"}, "orderBy"),
        ({"orderBy": ["eventTime"]}, "orderBy"),
        ({"orderDirection": "UP"}, "orderDirection"),
        ({"eventCountLimit": "5"}, "eventCountLimit"),
        ({"eventCountLimit": "0", "orderBy": "eventTime"}, "eventCountLimit"),
        ({"eventCountLimit": True, "orderBy": "eventTime"}, "eventCountLimit"),
        ({"maxEventCount": "1.5"}, "maxEventCount"),
        ({"maxEventCount": 1, "eventCountLimit": 1, "orderBy": "eventTime"}, "eventCountLimit"),
        ({"@context": 5}, "@context"),
        ({f"EQ_{'x' * 500}:y": "1"}, f"EQ_{'x' * 57}"),
    ],
    ids=str,
)
def test_what_is_no_query_is_refused_with_its_parameter(
    parameters: dict[str, object], where: str
) -> None:
    with pytest.raises(ParseError) as refused:
        parse_query(parameters)
    assert refused.value.where == where


def test_the_header_names_prefixes() -> None:
    assert parse_extensions("a=https://a/, b = x,c") == {"a": "https://a/", "b ": " x"}


def test_numbers_in_text_are_compared_as_numbers() -> None:
    raw = {
        **dict(EVENTS["shipped"].raw),
        "example:number": "010",
        "example:word": "2026-01-01T",
    }
    event = parse_event(raw)
    assert matches(parse_query({"EQ_example:number": "10.0"}), event, 0)
    assert matches(parse_query({"GT_example:number": 9}), event, 0)
    assert not matches(parse_query({"GT_example:number": 10}), event, 0)
    assert matches(parse_query({"EQ_example:word": "2026-01-01T"}), event, 0)
    assert matches(parse_query({"EQ_example:number": Decimal(10)}), event, 0)
