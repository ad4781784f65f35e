"""Events as values: every spelling alike, every complaint with its place."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.advice import check_event
from ledger.epcis.document import EPCIS_CONTEXT, events_of_document, format_document
from ledger.epcis.event import Event, join_parts, parse_event, split_event
from ledger.errors import ParseError

ITEM = "urn:epc:id:sgtin:9506000.013435.123"
ITEM_KEY = "https://id.gs1.org/01/09506000134352/21/123"
CASE = "urn:epc:id:sscc:9506000.1234567890"
DOCK = "urn:epc:id:sgln:9506000.00001.0"
WHEN = {"eventTime": "2024-05-31T07:05:00.000Z", "eventTimeZoneOffset": "+02:00"}


def observed(**fields: object) -> dict[str, object]:
    return {"type": "ObjectEvent", "action": "OBSERVE", "epcList": [ITEM], **WHEN} | fields


def packed(**fields: object) -> dict[str, object]:
    base = {"type": "AggregationEvent", "action": "ADD", "parentID": CASE, "childEPCs": [ITEM]}
    return base | WHEN | fields


def documents(shared_data: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield every foreign document of EPCIS 2.0 in JSON."""
    epcis = shared_data / "epcis"
    for folder in (epcis / "gs1" / "JSON", epcis / "openepcis" / "2.0" / "EPCIS" / "JSON"):
        for path in sorted((*folder.rglob("*.json"), *folder.rglob("*.jsonld"))):
            yield path, json.loads(path.read_text())


def test_every_example_of_gs1_and_openepcis_parses(shared_data: Path) -> None:
    found = [event for _, one in documents(shared_data) for _, event in events_of_document(one)]
    assert len(found) > 100
    for event in found:
        parse_event(event)


def test_every_example_survives_its_parts(shared_data: Path) -> None:
    for _, document in documents(shared_data):
        for _, event in events_of_document(document):
            event.pop("recordTime", None)
            joined = join_parts(split_event(event))
            assert joined == event
            assert parse_event(joined) == parse_event(event)


def test_no_example_of_gs1_or_openepcis_has_a_grave_fault(shared_data: Path) -> None:
    for path, document in documents(shared_data):
        for _, event in events_of_document(document):
            grave = [fault for fault in check_event(parse_event(event)) if fault.grave]
            assert not grave, path.name


def test_the_full_example_of_gs1_is_read_field_by_field(shared_data: Path) -> None:
    folder = shared_data / "epcis" / "gs1" / "JSON" / "WithFullCombinationOfFields"
    document = json.loads((folder / "object_event_all_possible_fields.jsonld").read_text())
    ((_, raw),) = events_of_document(document)
    event = parse_event(raw)
    assert event.event_time_us == 1_112_668_411_116_000
    assert event.offset == "-06:00"
    assert event.epc_list == ("https://id.gs1.org/01/10614141073464/21/2018",)
    assert event.biz_step == "receiving"
    assert event.persistent_set == ("completeness_verified",)
    assert event.persistent_unset == ("completeness_inferred",)
    assert event.sources[1] == ("possessing_party", "https://id.gs1.org/417/4012345002256")
    assert event.biz_transactions[0][0] == "po"
    (quantity,) = event.quantities
    assert (quantity.role, quantity.quantity, quantity.uom) == ("quantity", Decimal(200), "KGM")
    assert quantity.epc_class == "https://id.gs1.org/01/04012345123456/10/998877"
    (element,) = event.sensors
    assert element.device_id == "https://id.gs1.org/8004/4000001111"
    assert element.start_us is not None
    (report,) = element.reports
    assert (report.type, report.value, report.max) == (
        "Temperature",
        Decimal(26),
        Decimal("26.2"),
    )
    assert report.boolean_value is True
    assert event.error is not None
    assert event.error.reason == "incorrect_data"
    assert len(event.error.corrective_ids) == 1
    assert event.ilmd["cbvmda:lotNumber"] == "ABC123"
    assert event.certification == (
        "https://accreditation-council.example.org/certificate/ABC12345",
    )
    assert "ext1:float" in event.extensions
    assert "bizStep" not in event.extensions
    assert event.raw is raw


def test_two_spellings_of_one_event_are_one_value() -> None:
    bare = observed(bizStep="shipping", disposition="in_transit", readPoint={"id": DOCK})
    long = observed(
        bizStep="https://ref.gs1.org/cbv/BizStep-shipping",
        disposition="urn:epcglobal:cbv:disp:in_transit",
        readPoint={"id": "https://dairy.example/414/9506000000015/254/0"},
        epcList=["https://dairy.example/01/9506000134352/22/2A/21/%3123"],
        eventTime="2024-05-31T09:05:00+02:00",
    )
    one, two = parse_event(bare), parse_event(long)
    for field in ("epc_list", "biz_step", "disposition", "read_point", "event_time_us"):
        assert getattr(one, field) == getattr(two, field)


def test_a_quantity_is_the_decimal_that_json_spells() -> None:
    items = [{"epcClass": "urn:epc:class:lgtin:9506000.013435.L1", "quantity": 1180.1}]
    (quantity,) = parse_event(observed(quantityList=items)).quantities
    assert quantity.quantity == Decimal("1180.1")


@pytest.mark.parametrize(
    ("event", "place"),
    [
        ({}, "/eventTime"),
        ({"type": "ObjectEvent"} | WHEN, "/action"),
        (observed(type="Objectevent"), "/type"),
        (observed(type=7), "/type"),
        (observed(eventTime="yesterday"), "/eventTime"),
        (observed(eventTime=None), "/eventTime"),
        (observed(eventTimeZoneOffset="Z"), "/eventTimeZoneOffset"),
        (observed(action="observe"), "/action"),
        (observed(epcList=ITEM), "/epcList"),
        (observed(epcList=[ITEM, 7]), "/epcList/1"),
        (observed(epcList=[""]), "/epcList/0"),
        (observed(childEPCs=[ITEM]), "/childEPCs"),
        (observed(parentID=CASE), "/parentID"),
        (observed(readPoint=DOCK), "/readPoint"),
        (observed(readPoint={}), "/readPoint/id"),
        (observed(quantityList=[{"quantity": 1}]), "/quantityList/0/epcClass"),
        (
            observed(quantityList=[{"epcClass": ITEM, "quantity": "1"}]),
            "/quantityList/0/quantity",
        ),
        (
            observed(quantityList=[{"epcClass": ITEM, "quantity": True}]),
            "/quantityList/0/quantity",
        ),
        (
            observed(quantityList=[{"epcClass": ITEM, "quantity": -1}]),
            "/quantityList/0/quantity",
        ),
        (observed(sourceList=[{"source": DOCK}]), "/sourceList/0/type"),
        (observed(persistentDisposition={"set": "active"}), "/persistentDisposition/set"),
        (observed(sensorElementList=[{}]), "/sensorElementList/0/sensorReport"),
        (
            observed(
                sensorElementList=[{"sensorReport": [{"type": "Temperature", "value": "4"}]}]
            ),
            "/sensorElementList/0/sensorReport/0/value",
        ),
        (
            observed(sensorElementList=[{"sensorReport": [{"value": 4}]}]),
            "/sensorElementList/0/sensorReport/0/type",
        ),
        (observed(errorDeclaration={}), "/errorDeclaration/declarationTime"),
        (observed(ilmd=[]), "/ilmd"),
        (observed(certificationInfo=7), "/certificationInfo"),
        ({"type": "ObjectEvent", "action": "ADD"} | WHEN, "/epcList"),
        (packed(parentID=None), "/parentID"),
        ({k: v for k, v in packed().items() if k != "parentID"}, "/parentID"),
        (packed(childEPCs=[]), "/childEPCs"),
        (packed(epcList=[ITEM]), "/epcList"),
        (packed(ilmd={}), "/ilmd"),
        (packed(action="OBSERVE", type="AssociationEvent", parentID=None), "/parentID"),
        ({"type": "TransformationEvent", "inputEPCList": [ITEM]} | WHEN, "/outputEPCList"),
        ({"type": "TransformationEvent", "transformationID": "x:1"} | WHEN, "/inputEPCList"),
        (
            {"type": "TransformationEvent", "inputEPCList": [ITEM], "action": "ADD"} | WHEN,
            "/action",
        ),
        (observed(type="TransactionEvent"), "/bizTransactionList"),
    ],
)
def test_a_refusal_names_its_place(event: dict[str, object], place: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_event(event)
    assert caught.value.where == place
    assert caught.value.why


@pytest.mark.parametrize(
    "event",
    [
        packed(action="DELETE", childEPCs=[]),
        {k: v for k, v in packed(action="OBSERVE").items() if k != "parentID"},
        {"type": "TransformationEvent", "transformationID": "x:1", "inputEPCList": [ITEM]}
        | WHEN,
        observed(type="https://dairy.example/MilkingEvent"),
        {
            "type": "ObjectEvent",
            "action": "OBSERVE",
            "readPoint": {"id": DOCK},
            "sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 4}]}],
        }
        | WHEN,
    ],
)
def test_what_the_standard_admits_is_admitted(event: dict[str, object]) -> None:
    assert parse_event(event).type == event["type"]


def test_delete_without_children_means_all() -> None:
    event = parse_event(packed(action="DELETE", childEPCs=[]))
    assert event.parent_id == "https://id.gs1.org/00/195060002345678901"
    assert event.child_epcs == ()


@pytest.mark.parametrize("n", range(8))
def test_an_event_with_a_withheld_part_still_parses(n: int) -> None:
    for whole in (observed(bizStep="shipping", readPoint={"id": DOCK}), packed()):
        parts = list(split_event(whole))
        parts[n] = None
        event = parse_event(join_parts(parts), partial=True)
        assert event.is_timed is (n != 3)
        assert event.type == ("" if n == 1 else whole["type"])


def test_an_event_that_withholds_what_it_is_about_has_no_subject() -> None:
    parts = [None if n == 2 else part for n, part in enumerate(split_event(packed()))]
    event = parse_event(join_parts(parts), partial=True)
    assert (event.action, event.parent_id, event.child_epcs) == (None, None, ())
    with pytest.raises(ParseError):
        parse_event(join_parts(parts))


def test_a_part_that_is_shown_is_held_to_the_rules() -> None:
    parts = [None if n == 5 else part for n, part in enumerate(split_event(packed()))]
    parts[2] = b'{"action":"ADD","childEPCs":["urn:epc:id:sgtin:9506000.013435.123"]}'
    with pytest.raises(ParseError) as caught:
        parse_event(join_parts(parts), partial=True)
    assert caught.value.where == "/parentID"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = [
    "epcList",
    "quantityList",
    "persistentDisposition",
    "sensorElementList",
    "errorDeclaration",
    "readPoint",
    "sourceList",
    "bizTransactionList",
    "eventTime",
    "type",
    "action",
    "ilmd",
    "certificationInfo",
]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values), st.booleans())
def test_nothing_but_parse_error_leaves_an_event(fields: dict[str, Any], partial: bool) -> None:  # noqa: FBT001
    try:
        event = parse_event(observed(**fields), partial=partial)
    except ParseError:
        return
    list(check_event(event))


def faults(**fields: object) -> dict[str, bool]:
    return {one.pointer: one.grave for one in check_event(parse_event(observed(**fields)))}


def sensor(report: object, **metadata: object) -> list[object]:
    return [{"sensorMetadata": metadata, "sensorReport": [report]}]


@pytest.mark.parametrize(
    ("fields", "place", "grave"),
    [
        ({"epcList": ["urn:epc:id:sgtin:9506000.0134.1"]}, "/epcList/0", True),
        ({"epcList": ["https://id.gs1.org/01/09506000134353"]}, "/epcList/0", False),
        ({"epcList": ["milk"]}, "/epcList/0", True),
        ({"epcList": ["(01)09506000134352(21)1"]}, "/epcList/0", True),
        ({"epcList": ["urn:epc:class:lgtin:9506000.013435.L1"]}, "/epcList/0", False),
        ({"epcList": [ITEM, ITEM_KEY]}, "/epcList/0", False),
        ({"bizStep": "teleporting"}, "/bizStep", True),
        ({"disposition": "gone"}, "/disposition", True),
        (
            {"persistentDisposition": {"set": ["active"], "unset": ["active"]}},
            "/persistentDisposition/set/0",
            True,
        ),
        ({"sourceList": [{"type": "owner", "source": DOCK}]}, "/sourceList/0/type", True),
        ({"note": "x"}, "/note", True),
        ({"a/b": "x"}, "/a~1b", True),
        ({"ilmd": {"x:y": 1}}, "/ilmd", False),
        ({"action": "ADD", "ilmd": {"lotNumber": "L1"}}, "/ilmd/lotNumber", False),
        ({"readPoint": {"id": "dock 1"}}, "/readPoint/id", True),
        (
            {
                "errorDeclaration": {
                    "declarationTime": "2024-06-01T00:00:00Z",
                    "reason": "did_not_occur",
                    "correctiveEventIDs": ["urn:uuid:1"],
                }
            },
            "/errorDeclaration/correctiveEventIDs",
            True,
        ),
        (
            {
                "sensorElementList": sensor(
                    {"type": "Temperature", "minValue": 5, "maxValue": 4}
                )
            },
            "/sensorElementList/0/sensorReport/0/minValue",
            True,
        ),
        (
            {
                "sensorElementList": sensor(
                    {"type": "Temperature", "value": 5, "uom": "CEL"},
                    startTime="2024-05-31T07:00:00Z",
                    endTime="2024-05-31T06:00:00Z",
                )
            },
            "/sensorElementList/0/sensorMetadata/endTime",
            True,
        ),
        (
            {
                "sensorElementList": sensor(
                    {
                        "type": "Temperature",
                        "value": 5,
                        "uom": "CEL",
                        "time": "2024-06-01T00:00:00Z",
                    }
                )
            },
            "/sensorElementList/0/sensorReport/0/time",
            False,
        ),
        (
            {
                "sensorElementList": sensor(
                    {"type": "Temperature", "value": 5, "uom": "CEL", "deviceID": "x:1"},
                    deviceID="x:1",
                )
            },
            "/sensorElementList/0/sensorReport/0/deviceID",
            False,
        ),
    ],
)
def test_a_fault_has_its_place_and_its_weight(
    fields: dict[str, object],
    place: str,
    grave: bool,  # noqa: FBT001
) -> None:
    assert faults(**fields)[place] is grave


def test_a_clean_event_has_no_fault() -> None:
    assert faults(bizStep="shipping", readPoint={"id": DOCK}) == {}


def test_a_parent_among_its_children_is_a_fault_and_no_refusal() -> None:
    event = parse_event(packed(childEPCs=[ITEM, "https://a.example/00/195060002345678901"]))
    assert [one.pointer for one in check_event(event)] == ["/childEPCs/1"]


def test_a_document_holds_its_events_and_gives_them_back() -> None:
    events = [observed(), packed() | {"@context": {"dairy": "https://dairy.example/"}}]
    document = format_document(events, created_us=0)
    assert document["creationDate"] == "1970-01-01T00:00:00.000Z"
    found = [event for _, event in events_of_document(document)]
    assert [parse_event(one).epc_list for one in found] == [
        parse_event(one).epc_list for one in events
    ]
    assert found[1]["@context"] == [
        EPCIS_CONTEXT,
        {"tagtrail": "https://tagtrail.dev/voc/"},
        {"dairy": "https://dairy.example/"},
    ]


def test_an_event_alone_is_a_document_of_one() -> None:
    assert list(events_of_document(observed())) == [("", observed())]


def test_a_document_without_events_is_refused() -> None:
    bodies: list[dict[str, object]] = [{}, {"eventList": {}}, {"eventList": [7]}]
    for body in bodies:
        with pytest.raises(ParseError) as caught:
            list(events_of_document({"type": "EPCISDocument", "epcisBody": body}))
        assert caught.value.where.startswith("/epcisBody/eventList")


def test_an_event_is_frozen() -> None:
    event = parse_event(observed())
    assert isinstance(event, Event)
    with pytest.raises(AttributeError):
        event.type = "x"  # type: ignore[misc]
