"""Events as bytes: what the signer wrote, identities as asked, nothing of the ledger's own."""

import json
from typing import Any

import pytest

from ledger.epcis.parts import split_event
from ledger.epcis.query_show import (
    EPC_FORMATS,
    parse_epc_format,
    show_document,
    show_parts,
    translate_event,
)
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key
from ledger.gs1.key_urn import format_urn

ITEM, PLACE = "urn:epc:id:sgtin:9506000.013435.1", "urn:epc:id:sgln:9506000.00001.0"
LOT = "urn:epc:class:lgtin:9506000.013435.A"
EVENT: dict[str, Any] = {
    "eventID": "urn:uuid:1",
    "type": "ObjectEvent",
    "action": "ADD",
    "eventTime": "2026-01-01T00:00:00Z",
    "eventTimeZoneOffset": "+00:00",
    "epcList": [ITEM],
    "quantityList": [{"epcClass": LOT, "quantity": 12.50}],
    "ilmd": {"example:made": ITEM},
    "readPoint": {"id": PLACE, "example:near": PLACE},
    "example:says": ITEM,
    "tagtrail:evidence": {"document": "00"},
}


def shown(event: dict[str, Any], epc_format: Any, prefixes: tuple[str, ...] = ()) -> Any:
    parts = split_event(event)
    data = show_parts(parts, record_time_us=0, epc_format=epc_format, prefixes=prefixes)
    return json.loads(data)


def test_what_the_signer_wrote_is_shown_byte_for_byte() -> None:
    parts: list[bytes | None] = list(split_event(EVENT))
    inner = (
        b'"epcList" : [ "urn:x:1" ],\n"quantityList":[{"epcClass":"urn:x:2","quantity":1.50e0}]'
    )
    parts[2] = b" { " + inner + b" } "
    data = show_parts(parts, record_time_us=0)
    assert inner in data
    assert json.loads(data)["recordTime"] == "1970-01-01T00:00:00.000Z"


def test_links_are_written_for_identities_and_never_inside_what_is_somebody_elses() -> None:
    found = shown(EVENT, "Always_GS1_Digital_Link")
    assert found["epcList"] == [canonical_key(ITEM)]
    assert found["quantityList"][0]["epcClass"] == canonical_key(LOT)
    assert found["readPoint"] == {"id": canonical_key(PLACE), "example:near": PLACE}
    assert found["ilmd"] == {"example:made": ITEM}
    assert found["example:says"] == ITEM
    assert "tagtrail:evidence" not in found


def test_urns_are_written_where_the_company_prefix_is_known() -> None:
    linked = translate_event(EVENT, "Always_GS1_Digital_Link", ())
    assert shown(linked, "Always_EPC_URN", ("9506000",))["epcList"] == [ITEM]
    assert shown(linked, "Always_EPC_URN", ("9506000",))["quantityList"][0]["epcClass"] == LOT
    assert shown(linked, "Always_EPC_URN", ("4012345",))["epcList"] == [canonical_key(ITEM)]
    for epc_format in ("Never_Translates", "No_Preference"):
        assert shown(EVENT, epc_format)["epcList"] == [ITEM]


@pytest.mark.parametrize(
    "urn",
    [
        ITEM,
        LOT,
        PLACE,
        "urn:epc:id:sgln:9506000.00001.gate",
        "urn:epc:idpat:sgtin:9506000.013435.*",
        "urn:epc:id:sscc:9506000.1000000001",
        "urn:epc:id:grai:9506000.12345.a%2Fb",
        "urn:epc:id:giai:9506000.a1",
        "urn:epc:id:gdti:9506000.12345.7",
        "urn:epc:id:pgln:9506000.00001",
        "urn:epc:id:gsrn:9506000.0000000001",
        "urn:epc:id:itip:9506000.013435.01.02.9",
        "urn:epc:id:cpi:9506000.AB.12",
        "urn:epc:id:upui:9506000.013435.x",
    ],
)
def test_a_key_goes_back_to_its_urn_by_the_prefix(urn: str) -> None:
    assert format_urn(canonical_key(urn), ["950600", "9506000"]) == urn
    assert format_urn(canonical_key(urn), []) is None


@pytest.mark.parametrize(
    "key", ["urn:x", "https://id.gs1.org/01/1/2/3/4", "https://a.example/01/"]
)
def test_what_is_no_key_has_no_urn(key: str) -> None:
    assert format_urn(key, ["9506000"]) is None


@pytest.mark.parametrize(
    "other",
    [
        b'{"tagtrail:evidence":{"document":"00"}}',
        b'{"example:a":1,"tagtrail:evidence":{"document":"00"}}',
        b'{"tagtrail:evidence":{"document":"00"},"example:a":1}',
        b'{"example:a":{"b":{"tagtrail:evidence":{"c":1}}},"tagtrail:evidence":{"document":"00"}}',
        b'{"example:a":"\\"tagtrail:evidence\\":{}","tagtrail:evidence":{"x":{"y":1}}}',
    ],
)
def test_what_an_event_was_made_of_is_left_out_and_nothing_else(other: bytes) -> None:
    data = show_parts([*split_event(EVENT)[:7], other], record_time_us=0)
    wanted = json.loads(other)
    del wanted["tagtrail:evidence"]
    found = json.loads(data)
    assert {n: v for n, v in found.items() if n in wanted or n.startswith("tagtrail")} == wanted


def test_a_document_holds_its_events() -> None:
    data = show_document(
        [b'{"a":1}', b"{}"],
        created_us=0,
        query_name="q",
        subscription_id="s",
        document_id="urn:d",
    )
    found = json.loads(data)
    result = found["epcisBody"]["queryResults"]
    assert (found["type"], found["id"]) == ("EPCISQueryDocument", "urn:d")
    assert result["resultsBody"]["eventList"] == [{"a": 1}, {}]
    assert (result["queryName"], result["subscriptionID"]) == ("q", "s")


def test_formats_are_read_by_name() -> None:
    assert parse_epc_format(None) == "Always_GS1_Digital_Link"
    assert [parse_epc_format(one.lower()) for one in EPC_FORMATS] == list(EPC_FORMATS)
    with pytest.raises(ParseError):
        parse_epc_format("Always")
