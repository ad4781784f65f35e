"""The CBV event hash: agreed with others where they agree, and never guessing types."""

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.epcis.event_hash import format_pre_hash, hash_event
from ledger.errors import ParseError

EVENT: dict[str, Any] = {
    "@context": [{"example": "https://ns.example.com/epcis/"}],
    "type": "ObjectEvent",
    "action": "OBSERVE",
    "eventTime": "2024-05-31T07:05:00Z",
    "eventTimeZoneOffset": "+02:00",
    "epcList": ["urn:epc:id:sgtin:9506000.013435.2", "urn:epc:id:sgtin:9506000.013435.1"],
    "bizStep": "shipping",
}


def test_all_agreed_hashes_are_ours(shared_data: Path) -> None:
    path = shared_data / "epcis" / "event-hash" / "agreed.json"
    cases = json.loads(path.read_text())["events"]
    assert len(cases) == 21
    for case in cases:
        event = {**case["event"], "@context": case["context"]}
        assert hash_event(event) == case["hash"], case["file"]


@pytest.mark.parametrize(
    "other",
    [
        {"eventTime": "2024-05-31T09:05:00.0004+02:00"},
        {"epcList": ["https://a.example/01/09506000134352/21/1",
                     "urn:epc:id:sgtin:9506000.013435.2"]},
        {"bizStep": "https://ref.gs1.org/cbv/BizStep-shipping"},
        {"bizStep": "urn:epcglobal:cbv:bizstep:shipping"},
        {"epcList": ["(01)09506000134352(21)1", "urn:epc:tag:sgtin-96:3.9506000.013435.2"]},
        {"@context": [{"e": "https://ns.example.com/epcis/"}]},
        {"eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8"},
        {"recordTime": "2024-06-01T00:00:00Z", "rdfs:comment": "none"},
        {"errorDeclaration": {"declarationTime": "2024-06-01T00:00:00Z"}},
        {"childEPCs": []},
    ],
)  # fmt: skip
def test_one_event_has_one_hash_in_every_spelling(other: dict[str, Any]) -> None:
    assert hash_event(EVENT | other) == hash_event(EVENT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"example:lot": "0815"}, {"example:lot": "815"}),
        ({"example:lot": "1e3"}, {"example:lot": "1000"}),
        ({"example:lot": "12"}, {"example:lot": "12.0"}),
        ({"example:at": "2024-05-31T07:05:00Z"}, {"example:at": "2024-05-31T07:05:00.000Z"}),
        ({"example:lot": "inf"}, {"example:lot": "Infinity"}),
        ({"ilmd": {"example:a": "1"}}, {"ilmd": {"example:a": "01"}}),
    ],
)
def test_types_are_never_guessed(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert hash_event(EVENT | one) != hash_event(EVENT | other)


def test_a_number_has_one_spelling() -> None:
    assert hash_event(EVENT | {"example:n": 12.0}) == hash_event(EVENT | {"example:n": 12})
    assert format_pre_hash(EVENT | {"example:n": 1e-7}).endswith("n=0.0000001")


def test_an_extension_is_named_by_its_namespace_and_not_its_prefix() -> None:
    other = {"@context": [{"e": "https://ns.example.com/epcis/"}], "e:lot": {"e:a": [1, True]}}
    mine = {"example:lot": {"example:a": [1, True]}}
    assert hash_event(EVENT | mine) == hash_event(EVENT | other)
    space = "{https://ns.example.com/epcis/}"
    assert format_pre_hash(EVENT | mine).endswith(f"{space}lot{space}a=1{space}a=true")


def test_extensions_inside_of_sensors_and_places_count() -> None:
    report = {"type": "Temperature", "value": 4.5, "uom": "CEL"}
    element = {"sensorReport": [report]}
    plain = EVENT | {"sensorElementList": [element], "readPoint": {"id": "urn:x:1"}}
    inner = {"sensorReport": [report | {"example:probe": "B"}]}
    assert hash_event(plain) != hash_event(plain | {"sensorElementList": [inner]})
    placed = {"readPoint": {"id": "urn:x:1", "example:dock": 4}}
    assert hash_event(plain) != hash_event(plain | placed)


@pytest.mark.parametrize(
    ("time", "hashed"),
    [
        ("2023-02-02T11:04:03.1415Z", "2023-02-02T11:04:03.142Z"),
        ("2023-02-02T11:04:03.1414Z", "2023-02-02T11:04:03.141Z"),
        ("2023-02-02T11:04:03.1414999Z", "2023-02-02T11:04:03.141Z"),
        ("2023-12-31T23:59:59.9995+00:00", "2024-01-01T00:00:00.000Z"),
        ("2023-02-02T11:04:03+01:00", "2023-02-02T10:04:03.000Z"),
    ],
)
def test_a_time_is_rounded_to_milliseconds(time: str, hashed: str) -> None:
    assert f"eventTime={hashed}eventTimeZone" in format_pre_hash(EVENT | {"eventTime": time})


def test_a_time_that_is_none_has_no_hash() -> None:
    with pytest.raises(ParseError):
        hash_event(EVENT | {"eventTime": "yesterday"})
