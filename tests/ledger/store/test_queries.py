"""Queries on the index: what the matcher says, in one order, in stable pages, and no leak."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.conformance.cases import make_cases
from ledger.conformance.events import Run, make_document, name_of
from ledger.disclosure import WholeEvent, withhold
from ledger.epcis.document import events_of_document
from ledger.epcis.parts import PART_NAMES, split_event
from ledger.epcis.query import Query, QueryTooLargeError
from ledger.epcis.query_parse import parse_query
from ledger.statement import Erasure
from ledger.store.index import Index, open_index
from ledger.store.query_names import NameReader
from ledger.store.query_reader import Position, QueryReader
from tests.attacks.ledgers import BuiltLedger, digest, found_ledger

RUN = Run(77)
MASTER = ("WD_", "HASATTR_", "EQATTR_")  # of documents, which no test here captures
CASES = [case for case in make_cases(RUN) if not case.requirement.startswith(MASTER)]
STEPS = ("shipping", "receiving", "packing")
SECRET = "https://secret.example/party"


@dataclass
class Asked:
    """A ledger with an index that follows when it is told."""

    made: BuiltLedger
    index: Index
    queries: QueryReader
    names: NameReader

    def add(self, *raws: dict[str, Any], hide: tuple[str, ...] = ()) -> int:
        events = []
        for n, raw in enumerate(raws):
            key = sha256(f"{self.made.log.size}/{n}".encode()).digest()
            whole = WholeEvent(key, split_event(raw))
            hidden = [PART_NAMES.index(name) for name in hide]
            events.append(withhold(whole, hidden) if hidden else whole)
        index = self.made.capture(self.made.gateway, events)
        self.follow()
        return index

    def follow(self) -> None:
        while self.index.follow(self.made.log.size):
            pass

    def ids(self, per_page: int = 1000, **parameters: object) -> list[str]:
        """Return the eventIDs of all pages, in order."""
        found, position = [], None
        query = parse_query(parameters)
        while True:
            page = self.queries.load_page(query, per_page, position)
            found += [one.event().event_id or "" for one in page.events]
            position = page.position
            if position is None:
                return found

    def close(self) -> None:
        self.names.close()
        self.queries.close()
        self.index.close()
        self.made.close()


def open_asked(folder: Path, database: str | None) -> Asked:
    made = found_ledger(folder, database=database)
    index = open_index(folder, made.log.reader)
    return Asked(made, index, QueryReader(folder), NameReader(folder))


@pytest.fixture
def asked(tmp_path: Path, database: str | None) -> Iterator[Asked]:
    made = open_asked(tmp_path / "ledger", database)
    yield made
    made.close()


def make(n: int, **fields: object) -> dict[str, Any]:
    return {
        "eventID": f"urn:uuid:{n}",
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "eventTime": f"2026-01-01T10:{n % 7:02}:00Z",
        "eventTimeZoneOffset": "+00:00",
        "bizStep": STEPS[n % 3],
        "readPoint": {"id": f"urn:epc:id:sgln:9506000.0000{n % 4}.0"},
        "epcList": [f"urn:epc:id:sgtin:9506000.013435.{n % 5}"],
        "example:n": n % 6,
    } | fields


def test_the_index_answers_what_the_matcher_says(asked: Asked) -> None:
    raws = [raw for _, raw in events_of_document(make_document(RUN))]
    asked.add(*(make(n) for n in range(20)))
    asked.add(*raws[:6])
    asked.add(*raws[6:])
    wrong = {}
    assert len(CASES) > 150
    for case in CASES:
        query = parse_query({"@context": case.contexts, **RUN.window, **case.parameters})
        found = {
            name_of(RUN, dict(one.event().raw))
            for one in asked.queries.load_page(query, 50).events
        }
        if found != case.expected:
            wrong[case.requirement] = (found, case)
    assert not wrong


@pytest.mark.parametrize("order", ["eventTime", "recordTime", "example:n", None])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_pages_of_any_size_are_the_whole_answer_in_order(
    asked: Asked, order: str | None, direction: str
) -> None:
    for start in range(0, 40, 8):
        asked.add(*(make(n) for n in range(start, start + 8)))
    control = {} if order is None else {"orderBy": order, "orderDirection": direction}
    for narrowed in ({}, {"EQ_bizStep": list(STEPS[:2])}, {"GE_example:n": 2}):
        whole = asked.ids(**control, **narrowed)
        assert len(set(whole)) == len(whole) > 10
        for per_page in (1, 3, 7):
            assert asked.ids(per_page, **control, **narrowed) == whole
        if order is not None:
            assert asked.ids(4, eventCountLimit=10, **control, **narrowed) == whole[:10]


def test_time_decides_and_the_log_among_equals(asked: Asked) -> None:
    asked.add(*(make(n) for n in range(14)))
    found = [int(one.rpartition(":")[2]) for one in asked.ids(orderBy="eventTime")]
    assert found == sorted(range(14), key=lambda n: (n % 7, n), reverse=True)


@given(
    seed=st.integers(0, 2**32),
    order=st.sampled_from(["eventTime", "recordTime", "example:n"]),
    direction=st.sampled_from(["ASC", "DESC"]),
    per_page=st.integers(1, 5),
)
@settings(max_examples=12)
def test_pages_stay_stable_while_events_arrive(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    order: str,
    direction: str,
    per_page: int,
) -> None:
    asked = open_asked(tmp_path_factory.mktemp("stable") / "ledger", None)
    try:
        chance = random.Random(seed)
        asked.add(*(make(chance.randrange(10_000) * 10) for _ in range(1)))
        known = [
            make(n * 10 + 1, eventTime=_time(chance)) for n in range(chance.randrange(5, 25))
        ]
        asked.add(*known)
        query = parse_query({"orderBy": order, "orderDirection": direction})
        at_first = asked.ids(orderBy=order, orderDirection=direction)
        got: list[str] = []
        position: Position | None = None
        for turn in range(100):
            page = asked.queries.load_page(query, per_page, position)
            got += [one.event().event_id or "" for one in page.events]
            position = page.position
            if position is None:
                break
            asked.add(make(100_000 + turn, eventTime=_time(chance)))
        assert got == at_first
    finally:
        asked.close()


def _time(chance: random.Random) -> str:
    return f"2026-01-01T{chance.randrange(24):02}:{chance.randrange(60):02}:00Z"


def test_both_databases_answer_the_same_in_the_same_order(
    tmp_path: Path, postgres_url: str
) -> None:
    answers = []
    for name, url in (("files", None), ("server", postgres_url)):
        one = open_asked(tmp_path / name, url)
        try:
            for start in range(0, 60, 12):
                one.add(
                    *(
                        make(n, **{"example:w": "äzZa-é"[n % 6]})
                        for n in range(start, start + 12)
                    )
                )
            questions: list[dict[str, object]] = [
                {"orderBy": order, "orderDirection": direction, **narrowed}
                for order in ("eventTime", "recordTime", "example:w", "example:n")
                for direction in ("ASC", "DESC")
                for narrowed in (
                    {},
                    {"EQ_bizStep": ["packing", "shipping"]},
                    {
                        "MATCH_anyEPC": [
                            f"urn:epc:id:sgtin:9506000.013435.{n}" for n in range(3)
                        ]
                    },
                    {"EQ_example:w": "z"},
                    {"EQ_readPoint": "urn:epc:id:sgln:9506000.00001.0", "GE_example:n": 1},
                )
            ]
            lists = [
                one.names.list_names(column, "", 50)
                for column in ("biz_step", "read_point", None)
            ]
            answers.append(([one.ids(5, **asked) for asked in questions], lists))
        finally:
            one.close()
    assert answers[0] == answers[1]
    assert all(answers[0][0])


def test_more_than_max_event_count_is_no_answer(asked: Asked) -> None:
    asked.add(*(make(n) for n in range(5)))
    assert len(asked.ids(maxEventCount=5)) == 5
    with pytest.raises(QueryTooLargeError):
        asked.ids(maxEventCount=4)


def test_what_is_withheld_is_in_no_answer_list_or_count(asked: Asked) -> None:
    secret = {
        "bizStep": "destroying",
        "disposition": "stolen",
        "sourceList": [{"type": "owning_party", "source": SECRET}],
        "bizTransactionList": [{"type": "po", "bizTransaction": SECRET}],
        "example:secret": "x",
    }
    asked.add(make(1, **secret), hide=("why", "other"))
    asked.add(make(2, eventTime="1980-01-01T00:00:00Z"), hide=("when",))
    asked.add(make(3, type="ObjectEvent"), hide=("about",))
    asked.add(make(4), hide=("where", "what"))
    # What shows its type and its time is there, as far as it is shown.
    assert sorted(asked.ids()) == ["urn:uuid:1", "urn:uuid:4"]
    for parameters in (
        {"EQ_bizStep": "destroying"},
        {"EQ_disposition": "stolen"},
        {"EQ_source_owning_party": SECRET},
        {"EQ_bizTransaction_po": SECRET},
        {"EXISTS_example:secret": "true"},
        {"EQ_example:secret": "x"},
        {"LT_eventTime": "2000-01-01T00:00:00Z"},
        {"GE_eventTime": "1900-01-01T00:00:00Z", "EQ_eventID": "urn:uuid:2"},
        {"EQ_eventID": "urn:uuid:3"},
        {"MATCH_epc": "urn:epc:id:sgtin:9506000.013435.4"},
    ):
        assert asked.ids(**parameters) == [], parameters
        assert asked.ids(maxEventCount=1, **parameters) == []
    assert "destroying" not in asked.names.list_names("biz_step", "", 10)
    assert asked.names.list_names("disposition", "", 10) == []
    assert not asked.names.knows("biz_step", "destroying")
    shown = b"".join(
        part or b"" for one in asked.queries.load_page(Query(), 9).events for part in one.parts
    )
    assert SECRET.encode() not in shown


def test_what_is_erased_is_in_no_answer_list_or_count_even_before_the_index_knows(
    asked: Asked,
) -> None:
    index = asked.add(
        make(1), make(2, bizStep="destroying", epcList=["urn:epc:id:sgtin:9506000.013435.99"])
    )
    asked.add(make(3))
    first = asked.queries.load_page(
        parse_query({"orderBy": "recordTime", "orderDirection": "ASC"}), 1
    )
    asked.made.say(asked.made.gateway, Erasure(((index, 1),), 1, digest(0)))
    key = "https://id.gs1.org/01/09506000134352/21/99"
    for followed in (False, True):
        if followed:
            asked.follow()
        assert sorted(asked.ids()) == ["urn:uuid:1", "urn:uuid:3"]
        assert asked.ids(maxEventCount=2) != []
        assert asked.ids(EQ_bizStep="destroying", maxEventCount=1) == []
        assert not asked.names.knows("biz_step", "destroying")
        assert "destroying" not in asked.names.list_names("biz_step", "", 50)
        assert key not in asked.names.list_names(None, "", 50)
        assert not asked.names.knows(None, key)
    later = asked.queries.load_page(
        parse_query({"orderBy": "recordTime", "orderDirection": "ASC"}), 5, first.position
    )
    assert [one.event().event_id for one in later.events] == ["urn:uuid:3"]


def test_new_events_are_found_in_the_order_of_recording_without_a_gap(asked: Asked) -> None:
    for start in range(0, 30, 10):
        asked.add(*(make(n) for n in range(start, start + 10)))
    query = parse_query({"EQ_bizStep": "shipping"})
    below = asked.queries.size() << 17
    got, place = [], 0
    while place < below:
        found, reached = asked.queries.load_recorded(query, place, below, 3)
        assert reached > place
        got += [one.event().event_id for one in found]
        place = reached
    assert got == [f"urn:uuid:{n}" for n in range(0, 30, 3)]
