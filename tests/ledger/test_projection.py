"""The rows of the index: every mention once, and the same rows for every rebuild."""

from typing import Any

import pytest

from ledger.epcis.event import parse_event, split_event
from ledger.projection import (
    CONTENT_BYTES,
    ROLES,
    UNREADABLE,
    CaptureHead,
    ShownEvent,
    content_hash,
    event_row_id,
    project_capture,
    split_row_id,
)

ITEM = "https://id.gs1.org/01/09506000134352/21/7"
CASE = "https://id.gs1.org/01/19506000134359/21/1"
LOT = "https://id.gs1.org/01/09506000134369/10/A"
DOCK = "https://id.gs1.org/414/9506000134352"
PARTY = "https://id.gs1.org/417/9506000134352"
HEAD = CaptureHead(index=5, record_time_us=1_800_000_000_000_000, iss=PARTY, grade=2)
WHEN = {"eventTime": "2026-03-01T08:00:00Z", "eventTimeZoneOffset": "+00:00"}


def shown(*events: dict[str, Any]) -> list[ShownEvent]:
    return [ShownEvent(bytes([n]) * 32, split_event(one)) for n, one in enumerate(events)]


def mentions(event: dict[str, Any]) -> set[tuple[str, str]]:
    rows = project_capture(HEAD, shown(event))
    return {(one.role, one.key) for one in rows.mentions}


def packing(**fields: Any) -> dict[str, Any]:
    return {
        "type": "AggregationEvent",
        "action": "ADD",
        "parentID": CASE,
        "childEPCs": [ITEM],
        **WHEN,
        **fields,
    }


def test_every_thing_place_and_party_is_mentioned_by_its_role() -> None:
    event = packing(
        childQuantityList=[{"epcClass": LOT, "quantity": 3, "uom": "KGM"}],
        readPoint={"id": DOCK + "/254/gate"},
        bizLocation={"id": DOCK},
        sourceList=[{"type": "owning_party", "source": PARTY}],
    )
    assert mentions(event) == {
        ("parent", CASE),
        ("child", ITEM),
        ("child_quantity", LOT),
        ("read_point", DOCK + "/254/gate"),
        ("biz_location", DOCK),
        ("source", PARTY),
    }


def test_a_delete_without_children_empties_its_parent() -> None:
    event = packing(action="DELETE")
    assert ("emptied", CASE) not in mentions(event)
    del event["childEPCs"]
    assert mentions(event) == {("parent", CASE), ("emptied", CASE)}


def test_associations_have_roles_of_their_own() -> None:
    assert mentions(packing(type="AssociationEvent")) == {
        ("associated_parent", CASE),
        ("associated_child", ITEM),
    }


def test_a_transformation_mentions_both_sides() -> None:
    event = {
        "type": "TransformationEvent",
        **WHEN,
        "inputEPCList": [CASE],
        "inputQuantityList": [{"epcClass": LOT}],
        "outputEPCList": [ITEM],
        "transformationID": "urn:epc:id:gdti:9506000.00001.1",
    }
    rows = project_capture(HEAD, shown(event))
    assert {(one.role, one.key) for one in rows.mentions} == {
        ("input", CASE),
        ("input_quantity", LOT),
        ("output", ITEM),
    }
    assert rows.events[0].transformation_id == "https://id.gs1.org/253/95060000000151"


@pytest.mark.parametrize(
    ("epcs", "wanted"), [([], {"located", "device"}), ([CASE], {"epc", "sensed", "device"})]
)
def test_readings_are_found_by_thing_or_else_by_place(
    epcs: list[str], wanted: set[str]
) -> None:
    event = {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        **WHEN,
        "epcList": epcs,
        "bizLocation": {"id": DOCK},
        "sensorElementList": [
            {
                "sensorMetadata": {"deviceID": "urn:epc:id:giai:9506000.s1"},
                "sensorReport": [{"type": "Temperature", "value": 4, "uom": "CEL"}],
            }
        ],
    }
    assert {role for role, _ in mentions(event)} == wanted | {"biz_location", "sensor_type"}


def test_every_spelling_of_an_event_has_one_content_hash() -> None:
    first = packing(bizStep="packing", childEPCs=[CASE, ITEM])
    second = packing(
        bizStep="urn:epcglobal:cbv:bizstep:packing",
        childEPCs=["urn:epc:id:sgtin:9506000.013435.7", CASE],
        eventTime="2026-03-01T10:00:00.000+02:00",
        recordTime="2026-03-02T00:00:00Z",
        errorDeclaration={"declarationTime": "2026-04-01T00:00:00Z"},
    )
    assert content_hash(parse_event(first)) == content_hash(parse_event(second))
    assert len(content_hash(parse_event(first))) == CONTENT_BYTES


@pytest.mark.parametrize(
    "other",
    [
        {"eventTime": "2026-03-01T08:00:00.000001Z"},
        {"eventTimeZoneOffset": "+01:00"},
        {"eventID": "urn:uuid:1"},
        {"action": "OBSERVE"},
        {"bizStep": "packing"},
        {"example:note": "x"},
        {"childQuantityList": [{"epcClass": LOT, "quantity": 1}]},
        {"readPoint": {"id": DOCK}},
        {"bizTransactionList": [{"type": "po", "bizTransaction": "urn:x:1"}]},
        {"destinationList": [{"type": "owning_party", "destination": PARTY}]},
        {"persistentDisposition": {"set": ["recalled"]}},
    ],
)
def test_whatever_an_event_says_changes_its_content_hash(other: dict[str, Any]) -> None:
    assert content_hash(parse_event(packing())) != content_hash(parse_event(packing(**other)))


def test_rows_of_a_statement_share_its_document_and_keep_their_positions() -> None:
    rows = project_capture(HEAD, shown(packing(), packing(bizStep="packing")))
    assert [split_row_id(one.eid) for one in rows.events] == [(5, 0), (5, 1)]
    assert len({one.document for one in rows.events}) == 1
    assert rows.events[0].document == rows.events[0].content != rows.events[1].content
    assert event_row_id(5, 1) == rows.events[1].eid


def test_an_erased_event_has_no_row_and_a_foreign_one_no_mention() -> None:
    foreign = ShownEvent(b"f" * 32, (None, b'{"type":"ObjectEvent"}', *[None] * 6))
    rows = project_capture(HEAD, [None, foreign, *shown(packing())])
    assert [one.type for one in rows.events] == [UNREADABLE, "AggregationEvent"]
    assert {split_row_id(one.eid)[1] for one in rows.mentions} == {2}


def test_withheld_parts_are_missing_without_fault_and_marked() -> None:
    (whole,) = shown(packing())
    parts = tuple(None if n == 5 else part for n, part in enumerate(whole.parts))
    rows = project_capture(HEAD, [ShownEvent(whole.commitment, parts, frozenset({5}))])
    assert rows.events[0].withheld == 1 << 5
    assert rows.events[0].type == "AggregationEvent"


def test_projecting_twice_gives_the_same_rows_and_known_roles_only() -> None:
    events = shown(packing(), packing(action="DELETE"))
    assert project_capture(HEAD, events) == project_capture(HEAD, events)
    assert {one.role for one in project_capture(HEAD, events).mentions} <= set(ROLES)
