"""Every foreign document that GS1's schema accepts is captured and comes back equal.

Equal: apart from recordTime, an eventID that was filled in, and the standard's own address
in @context. The documents of the drafts ("simple context") are converted: `id` is eventID, a
list of one may come without brackets.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.epcis.document import EPCIS_CONTEXT
from ledger.epcis.event_hash import hash_event
from tests.ledger.api.conftest import Server
from tests.ledger.api.test_capture import captured, shown

FOLDERS = {
    "gs1": (("gs1", "JSON"), 47),
    "openepcis": (("openepcis", "2.0", "EPCIS", "JSON"), 43),
    "epcis2js": (("epcis2js",), 18),
    "simple": (("gs1", "JSON-simple-context"), 46),
}
# What GS1's schema refuses and so do we: a document whose body is one event without a list.
REFUSED = {"test_data_hashing_epcisDocWithSingleEvent.json"}
# What GS1's schema refuses, so that what comes back cannot be valid again.
INVALID = {
    "SensorData_with_combined_events.json",
    "AggregationEvent_with_persistentDisposition.json",
    "test_data_hashing_event-hash-reference-document3.json",
}
LISTS = ("sourceList", "destinationList")


def documents(shared_data: Path, name: str) -> list[Path]:
    folder = shared_data.joinpath("epcis", *FOLDERS[name][0])
    found = sorted((*folder.rglob("*.json"), *folder.rglob("*.jsonld")))
    return [path for path in found if path.name not in REFUSED]


def events_of(document: Any) -> Iterator[dict[str, Any]]:
    if "epcisBody" not in document:
        yield document
        return
    body = document["epcisBody"]
    for step in ("queryResults", "resultsBody"):
        body = body.get(step, body)
    yield from body["eventList"]


def converted(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as EPCIS 2.0 writes it, without what the ledger or JSON-LD decides."""
    plain = {("eventID" if key == "id" else key): value for key, value in event.items()}
    for field in LISTS:
        if isinstance(plain.get(field), dict):
            plain[field] = [plain[field]]
    plain.pop("recordTime", None)
    plain.pop("@context", None)
    return plain


def unnamed(event: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """Return a converted event, without an eventID where the original has none."""
    plain = converted(event)
    if "eventID" not in converted(original):
        plain.pop("eventID", None)
    return plain


def contexts(document: Any, event: dict[str, Any]) -> list[object]:
    """Return all contexts of an event but the standard's own."""
    found = []
    for holder in (document, event):
        value = holder.get("@context", [])
        found += value if isinstance(value, list) else [value]
    return [one for one in found if not (isinstance(one, str) and "epcis-context" in one)]


def with_contexts(document: Any, event: dict[str, Any]) -> dict[str, Any]:
    return event | {"@context": contexts(document, event)}


def with_names_of(document: Any, name: str) -> bytes:
    """Return `document` with the eventIDs of its folder, as if the others were not there."""
    for event in events_of(document):
        for field in ("eventID", "id"):
            if field in event:
                event[field] = f"{event[field]}#{name}"
    return json.dumps(document).encode()


@pytest.mark.parametrize("name", FOLDERS)
def test_every_document_comes_back_equal(server: Server, shared_data: Path, name: str) -> None:
    paths = documents(shared_data, name)
    assert len(paths) == FOLDERS[name][1]
    for path in paths:
        document = json.loads(path.read_bytes())
        # Examples repeat their eventIDs with other content, which is a conflict.
        body = with_names_of(document, f"{name}/{path.stem}".replace(",", ""))
        job = captured(server, body, behaviour="proceed")
        errors = [one for one in job["errors"] if "name of another event" not in one["why"]]
        assert not errors, (path.name, errors)
        rows = list(events_of(document))
        assert len(rows) == len(job["eventIDs"]) == job["events"]
        for event, event_id in zip(rows, job["eventIDs"], strict=True):
            back = shown(server, event_id)
            assert back["@context"][0] == EPCIS_CONTEXT
            # An event that another document brought already has the contexts of that one.
            for one in contexts(document, event) if not job["known"] else ():
                assert one in back["@context"], path.name
            if job["known"]:  # In another document, in another spelling.
                assert hash_event(back) == hash_event(with_contexts(document, event))
                continue
            same = [n for n, one in enumerate(job["eventIDs"]) if one == event_id]
            assert unnamed(back, event) in [unnamed(rows[n], event) for n in same], path.name


@pytest.mark.parametrize("name", FOLDERS)
def test_what_comes_back_is_valid_again(server: Server, shared_data: Path, name: str) -> None:
    schema = pytest.importorskip("jsonschema", reason="GS1's schema needs jsonschema")
    text = (shared_data / "epcis" / "gs1" / "EPCIS-JSON-Schema.json").read_text()
    validator = schema.validators.validator_for(json.loads(text))(json.loads(text))
    for path in documents(shared_data, name):
        document = json.loads(path.read_bytes())
        if path.name in INVALID or not validator.is_valid(document):
            continue
        body = with_names_of(document, f"{name}/{path.stem}/valid".replace(",", ""))
        job = captured(server, body, behaviour="proceed")
        for event_id in job["eventIDs"]:
            back = shown(server, event_id)
            error = schema.exceptions.best_match(validator.iter_errors(back))
            assert error is None, (path.name, error)
