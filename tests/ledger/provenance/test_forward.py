"""Forward: what something went into, what a container held, what a recall reaches."""

import json
from decimal import Decimal
from typing import Any

import pytest

from ledger.epcis.event import parse_time_us
from ledger.gs1.epc import canonical_key
from ledger.provenance.document import describe_state
from ledger.provenance.recall import describe_descendants, recall
from ledger.provenance.seeds import Excursion, Suspicion
from ledger.provenance.span import EVER, at_instants
from ledger.provenance.twin import Asked, list_contents, list_inventory, states_of
from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    AT_STORE,
    DAIRY,
    FARM,
    NOW,
    STORE,
    ListSource,
    ask,
    bolt,
    case,
    commission,
    gap_kinds,
    item,
    ledger_of,
    lot,
    object_event,
    pack,
    pallet,
    quantity,
    receive,
    ship,
    temperature,
    time,
    trailer,
    transform,
    unpack,
)
from tests.ledger.provenance.test_histories import LEVELS, random_source

LOGGER = canonical_key("urn:epc:id:giai:9506000.logger1")


def asked(at: str | None = None, **fields: Any) -> Asked:
    at_us = None if at is None else parse_time_us(time(at))
    return Asked(now_us=parse_time_us(NOW), at_us=at_us, **fields)


def contents(source: ListSource, key: str, at: str | None = None) -> list[tuple[Any, ...]]:
    rows: Any = list_contents(source, key, asked(at))["contents"]
    return [(row["epc"], row["parent"], row["depth"]) for row in rows]


def rows(source: ListSource, suspicion: Suspicion, at: str | None = None) -> dict[str, Any]:
    told = json.loads(json.dumps(list(recall(source, suspicion, asked(at)))))
    assert told[0]["kind"] == "recall"
    assert told[-1]["kind"] == "summary"
    found = {name: {} for name in ("certain", "possible", "cleared")}
    for row in told[1:-1]:
        found[row.get("certainty", "cleared")][row["epc"]] = row
    for name, those in found.items():
        assert told[-1][name] == len(those)
    return {**found, "summary": told[-1]}


def between(start: str, end: str) -> Any:
    return at_instants(parse_time_us(time(start)), parse_time_us(time(end)))


def test_a_container_holds_what_was_added_and_not_taken_out() -> None:
    source = ledger_of(
        pack("1 08:00", case(1), item(1), item(2), item(3)),
        pack("1 09:00", pallet(1), case(1), case(2)),
        unpack("1 10:00", case(1), item(2)),
        pack("1 11:00", case(9), item(3)),
    )
    assert contents(source, pallet(1)) == [
        (case(1), pallet(1), 1),
        (case(2), pallet(1), 1),
        (item(1), case(1), 2),
    ]
    assert len(contents(source, pallet(1), "1 09:30")) == 5
    assert contents(source, pallet(1), "1 08:30") == []


def test_a_crate_does_not_hold_what_it_held_on_an_earlier_trip() -> None:
    source = ledger_of(
        pack("1 08:00", case(1), item(1)),
        unpack("2 08:00", case(1)),
        pack("3 08:00", case(1), item(2)),
    )
    assert contents(source, case(1)) == [(item(2), case(1), 1)]
    assert contents(source, case(1), "1 09:00") == [(item(1), case(1), 1)]
    assert contents(source, case(1), "2 09:00") == []


def test_what_is_inside_something_is_what_has_it_as_its_container() -> None:
    for seed in range(120):
        source = random_source(seed)
        keys = [key for level in LEVELS for key in level]
        known = [k for k in keys if any(k in one.roles for e in source.entries for one, _ in e)]
        down = {
            (row["epc"], row["parent"])
            for key in known
            for row in list_contents(source, key, asked(), depth=1)["contents"]  # type: ignore[attr-defined]
        }
        up = set()
        for key in known:
            for row in ask(source, key)["containment"]:
                if row["to"] is None and row["child"] == key and len(row["path"]) == 2:
                    up.add((key, row["parent"]))
        cyclic = any("containment_cycle" in gap_kinds(ask(source, key)) for key in known)
        possible = {
            (row["child"], row["parent"])
            for key in known
            for row in ask(source, key)["containment"]
            if row["precision"] == "possible"
        }
        assert cyclic or down - possible == up - possible, f"seed {seed}"


def chain() -> ListSource:
    """A farm's lot becomes two lots of cheese, and these serialised items, and one is sold."""
    return ledger_of(
        (FARM, commission("1 06:00", quantityList=[quantity(lot("MILK"), 100)])),
        (FARM, commission("1 06:00", quantityList=[quantity(lot("GOOD"), 100)])),
        transform("2 08:00", [(lot("MILK"), 30)], [(lot("C1"), 10)]),
        transform("2 09:00", [(lot("GOOD"), 30)], [(lot("C2"), 10)]),
        transform("2 10:00", [(lot("MILK"), 1)], [(lot("C3"), 5)]),
        transform("2 11:00", [(lot("GOOD"), 1)], [(lot("C3"), 5)]),
        transform("3 08:00", [(lot("C1"), 10)], [item(1), item(2)], bizLocation=AT_DAIRY),
        transform("3 09:00", [(lot("C2"), 10)], [item(3)], bizLocation=AT_DAIRY),
        transform("3 10:00", [(lot("C3"), 10)], [item(4)], bizLocation=AT_DAIRY),
        pack("4 08:00", case(1), item(1), item(3)),
        ship("4 09:00", case(1), giver=DAIRY, taker=STORE),
        (STORE, receive("5 09:00", case(1), giver=DAIRY, taker=STORE, bizLocation=AT_STORE)),
    )


def test_a_recall_reaches_what_was_made_and_nothing_else() -> None:
    found = rows(chain(), Suspicion(things=(lot("MILK"),)))
    assert set(found["certain"]) == {lot("MILK"), lot("C1"), item(1), item(2)}
    assert set(found["possible"]) == {lot("C3"), item(4)}
    assert found["certain"][item(1)]["path"] == [lot("MILK"), lot("C1"), item(1)]
    assert found["certain"][item(1)]["place"] == AT_STORE
    assert found["certain"][item(2)]["place"] == AT_DAIRY
    assert {"party": STORE, "role": "possessor", "certainty": "certain", "items": 1} in found[
        "summary"
    ]["parties"]
    assert {"uom": "KGM", "certainty": "certain", "quantity": 10} in found["summary"][
        "quantities"
    ]


def test_forward_and_back_agree_on_what_was_made_of_what() -> None:
    source = chain()
    for key in (item(1), item(2), item(3), item(4), lot("C1"), lot("C3")):
        back = {row["input"] for row in ask(source, key)["derivation"]["inputs"]}
        for origin in (lot("MILK"), lot("GOOD"), lot("C1"), lot("C2"), lot("C3")):
            rows_of: Any = describe_descendants(source, origin, asked(), items=99)
            forward = {row["epc"] for row in rows_of["descendants"]}
            assert (key in forward) == (origin in back)


def test_what_a_lot_number_says_is_reached_from_the_lot() -> None:
    source = ledger_of(
        commission("1 08:00", item(1), ilmd={"cbvmda:lotNumber": "L7"}),
        commission("1 08:10", item(2), ilmd={"cbvmda:lotNumber": "L8"}),
    )
    seven = canonical_key("https://id.gs1.org/01/09506000134352/10/L7")
    found = rows(source, Suspicion(things=(seven,)))
    assert set(found["certain"]) == {seven, item(1)}
    assert found["certain"][item(1)]["precision"] == "lot"


def test_a_recall_as_of_an_instant_does_not_look_past_it() -> None:
    found = rows(chain(), Suspicion(things=(lot("MILK"),)), at="2 12:00")
    assert set(found["certain"]) == {lot("MILK"), lot("C1")}


def test_what_was_at_a_place_in_the_window_is_affected_with_what_it_held() -> None:
    source = ledger_of(
        pack("1 08:00", case(1), item(1)),
        unpack("1 09:00", case(1), item(1)),
        pack("2 08:00", case(1), item(2)),
        object_event("2 09:00", case(1), bizLocation=AT_CENTRE),
        object_event("8 09:00", case(3), bizLocation=AT_CENTRE),
    )
    window = between("2 00:00", "3 00:00")
    found = rows(source, Suspicion(places=(AT_CENTRE,), span=window))
    assert set(found["certain"]) == {case(1), item(2)}


def test_a_crate_that_is_suspected_for_a_day_clears_its_other_trips() -> None:
    source = ledger_of(
        pack("1 08:00", case(1), item(1)),
        unpack("1 09:00", case(1), item(1)),
        pack("2 08:00", case(1), item(2)),
    )
    found = rows(source, Suspicion(things=(case(1),), span=between("2 00:00", "3 00:00")))
    assert set(found["certain"]) == {case(1), item(2)}
    assert set(found["cleared"]) == {item(1)}


def test_a_sensor_excursion_reaches_what_was_in_there_then() -> None:
    source = ledger_of(
        bolt("1 07:00", trailer(1), LOGGER),
        pack("1 08:00", trailer(1), pallet(1), bizStep="loading"),
        pack("1 07:30", pallet(1), item(1)),
        temperature("1 09:00", trailer(1), values=[4], metadata={"deviceID": LOGGER}),
        unpack("1 10:00", trailer(1)),
        pack("2 08:00", trailer(1), pallet(2), bizStep="loading"),
        pack("2 07:30", pallet(2), item(2)),
        temperature("2 09:00", trailer(1), values=[12], metadata={"deviceID": LOGGER}),
    )
    limit = Excursion(type="Temperature", unit="CEL", high=Decimal(8))
    for suspicion in (
        Suspicion(things=(trailer(1),), excursion=limit),
        Suspicion(devices=(LOGGER,), excursion=limit),
    ):
        found = rows(source, suspicion)
        assert {pallet(2), item(2)} <= set(found["certain"])
        assert item(1) not in found["certain"]


def test_a_party_is_suspected_with_all_that_went_through_its_hands() -> None:
    found = rows(chain(), Suspicion(parties=(STORE,), span=EVER))
    assert {case(1), item(1), item(3)} == set(found["certain"])


def test_a_loop_of_rework_ends() -> None:
    source = ledger_of(
        transform("1 08:00", [item(1)], [item(2)]),
        transform("1 09:00", [item(2)], [item(1)]),
    )
    assert set(rows(source, Suspicion(things=(item(1),)))["certain"]) == {item(1), item(2)}


def test_a_recall_in_pieces_is_the_recall() -> None:
    source, suspicion = chain(), Suspicion(things=(lot("MILK"),))
    keys, after = [], ""
    while True:
        told: Any = list(recall(source, suspicion, asked(), items=2, after=after))
        keys += [row["epc"] for row in told if row["kind"] == "affected"]
        if told[-1]["continuation"] is None:
            break
        assert told[-1]["truncated"]
        after = told[-1]["continuation"]["after"]
    assert len(keys) == len(set(keys)) == 6


@pytest.mark.parametrize(
    ("at", "here"), [("3 12:00", {1, 2, 3, 4}), ("4 12:00", {2, 4}), (None, {2, 4})]
)
def test_the_twin_of_a_site_holds_what_was_last_seen_there(
    at: str | None, here: set[int]
) -> None:
    told: Any = list_inventory(chain(), AT_DAIRY, asked(at))
    items = {row["epc"] for row in told["items"] if "/21/" in row["epc"]}
    assert items == {item(n) for n in here}


def test_the_twin_of_a_site_looks_into_what_stands_there() -> None:
    told: Any = list_inventory(chain(), AT_STORE, asked())
    within = {row["epc"]: row["within"] for row in told["items"]}
    assert within == {case(1): [], item(1): [case(1)], item(3): [case(1)]}
    assert told["parties"][1] == {"party": STORE, "role": "possessor", "items": 3}


def test_what_holds_for_many_things_is_what_holds_for_each() -> None:
    for seed in range(60):
        source = random_source(seed)
        keys = [key for level in LEVELS for key in level]
        known = [k for k in keys if any(k in one.roles for e in source.entries for one, _ in e)]
        told = {
            key: describe_state(state)
            for key, state in states_of(source, known, asked()).items()
        }
        assert told == {key: ask(source, key)["state"] for key in known}, f"seed {seed}"


def test_contents_of_a_large_container_come_in_portions() -> None:
    source = ledger_of(
        pack("1 08:00", pallet(1), *(case(f"{n:04}") for n in range(2600))),
        pack("1 07:00", case("0000"), item(1)),
        unpack("1 09:00", pallet(1), case("0003")),
    )
    first: Any = list_contents(source, pallet(1), asked())
    assert first["truncated"]
    rest: Any = list_contents(source, pallet(1), asked(), after=first["continuation"]["after"])
    assert rest["continuation"] is None
    keys = [row["epc"] for row in (*first["contents"], *rest["contents"])]
    assert len(keys) == len(set(keys)) == 2600
    assert item(1) in keys
    assert case("0003") not in keys
