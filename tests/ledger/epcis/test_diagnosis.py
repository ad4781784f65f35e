"""An event that cannot be read tells all that is wrong with it, each at its own place."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.advice import check_event
from ledger.epcis.diagnosis import FAULTS_MAX, list_faults
from ledger.epcis.event import parse_event
from ledger.errors import ParseError

GOOD: dict[str, Any] = {
    "type": "AggregationEvent",
    "action": "ADD",
    "eventTime": "2024-05-31T07:05:00Z",
    "eventTimeZoneOffset": "+02:00",
    "parentID": "urn:epc:id:sscc:9506000.1234567890",
    "childEPCs": [f"urn:epc:id:sgtin:9506000.013435.{n}" for n in range(5)],
}
CLASS = "urn:epc:class:lgtin:9506000.013435.L1"


def places(**fields: object) -> set[str]:
    return {one.pointer for one in list_faults(GOOD | fields)}


def test_every_fault_is_listed_at_its_place_in_the_event_as_it_came() -> None:
    children = [*GOOD["childEPCs"]]
    children[1], children[2], children[4] = 5, None, "urn:epc:id:sgtin:95.1.1"
    quantities = [
        {"quantity": 1},
        7,
        {"epcClass": CLASS, "quantity": -1},
        {"epcClass": CLASS, "quantity": 1, "uom": "kilo"},
    ]
    assert places(
        action="LOOK",
        eventTime="now",
        childEPCs=children,
        childQuantityList=quantities,
        bizStep=7,
        note=1,
    ) == {
        "/action",
        "/eventTime",
        "/childEPCs/1",
        "/childEPCs/2",
        "/childEPCs/4",
        "/childQuantityList/0/epcClass",
        "/childQuantityList/1",
        "/childQuantityList/2/quantity",
        "/childQuantityList/3/uom",
        "/bizStep",
        "/note",
    }


def test_what_is_missing_is_listed_together() -> None:
    missing = {"/type", "/eventTime", "/eventTimeZoneOffset"}
    assert {one.pointer for one in list_faults({})} == missing
    bare = {key: GOOD[key] for key in ("type", "eventTime", "eventTimeZoneOffset")}
    assert {one.pointer for one in list_faults(bare)} == {"/action", "/parentID", "/childEPCs"}


def test_taking_out_a_fault_makes_no_other() -> None:
    assert places(childEPCs=[7]) == {"/childEPCs/0"}
    assert places(parentID=7) == {"/parentID"}
    quantity = {"epcClass": CLASS, "quantity": "2", "uom": "KGM"}
    assert places(childQuantityList=[quantity]) == {"/childQuantityList/0/quantity"}


def test_a_name_with_a_slash_is_found_again() -> None:
    assert places(**{"a/b~c": 1, "bizStep": 7}) == {"/a~1b~0c", "/bizStep"}


def test_no_more_faults_are_listed_than_anybody_reads() -> None:
    assert len(list_faults(GOOD | {"childEPCs": [0] * 100})) == FAULTS_MAX


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "set", "a/b", "sensorReport"]), inner)
    ),
    max_leaves=6,
)
FIELDS = ["childEPCs", "childQuantityList", "persistentDisposition", "sensorElementList", "a/b"]
FIELDS += ["errorDeclaration", "readPoint", "sourceList", "eventTime", "action", "type"]


@given(st.dictionaries(st.sampled_from(FIELDS), values))
def test_whoever_is_refused_hears_why(fields: dict[str, Any]) -> None:
    event = GOOD | fields
    found = {one.pointer for one in list_faults(event)}
    try:
        parsed = parse_event(event)
    except ParseError as error:
        missed = {error.where} - found
    else:
        missed = {one.pointer for one in check_event(parsed) if one.grave} ^ found
    assert not missed
