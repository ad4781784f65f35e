"""The events of one conformance run: identities and a window of time of their own.

A server may hold any number of other events. Each run picks a number; every identity and the
window of event times come out of it, so that each case can ask for its own window, and what
a server answers is compared with the events of the run alone.

An event of the run is known by its short name, such as `shipped`. Its eventID is a UUID made
of the run's number and the name; an error declaration has the eventID of what it declares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
NAMESPACE = "https://ns.example.com/conformance/"
WINDOW = timedelta(hours=1)
RUNS_MAX = 150_000
"""Windows of an hour from 1995 on: they end before now."""

_FIRST = datetime(1995, 1, 1, tzinfo=UTC)
_GCP = "9506000"
_ERROR = "declared"
_OF_ERROR = "wrong"

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run; `number` from 0 to `RUNS_MAX`."""

    number: int

    @property
    def start(self) -> datetime:
        """Return where the window begins."""
        return _FIRST + self.number * WINDOW

    @property
    def window(self) -> dict[str, str]:
        """Return the parameters that ask for the run's window alone."""
        return {"GE_eventTime": self.at(0), "LT_eventTime": self.at(60)}

    def at(self, minutes: float) -> str:
        """Return the EPCIS time so long after the window's beginning."""
        moment = self.start + timedelta(minutes=minutes)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def item(self, n: int, product: int = 1) -> str:
        """Return the URN of a serialised item."""
        return f"urn:epc:id:sgtin:{_GCP}.0{product:05d}.{self.number}{n:02d}"

    def case(self, n: int) -> str:
        """Return the URN of a logistic unit."""
        return f"urn:epc:id:sscc:{_GCP}.1{self.number:06d}{n:03d}"

    def lot(self, name: str, product: int = 2) -> str:
        """Return the URN of a lot."""
        return f"urn:epc:class:lgtin:{_GCP}.0{product:05d}.{self.number}{name}"

    def place(self, n: int) -> str:
        """Return the URN of a place."""
        return f"urn:epc:id:sgln:{_GCP}.{n:05d}.{self.number}"

    def link(self, kind: str, n: int) -> str:
        """Return a URI that only this run uses."""
        return f"https://example.com/{kind}/{self.number}/{n}"

    def event_id(self, name: str) -> str:
        """Return the eventID of the event with that name."""
        name = _OF_ERROR if name == _ERROR else name
        return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{NAMESPACE}{self.number}/{name}')}"


def name_of(run: Run, event: Mapping[str, Any]) -> str | None:
    """Return the short name of an event that a server shows, or None for another's."""
    event_id = event.get("eventID")
    if event_id == run.event_id(_OF_ERROR):
        return _ERROR if "errorDeclaration" in event else _OF_ERROR
    return next((name for name in make_events(run) if run.event_id(name) == event_id), None)


def make_events(run: Run) -> dict[str, Event]:
    """Return the events of the run by name."""
    made = {**_objects(run), **_relations(run), **_sensors(run), **_errors(run)}
    for n, (name, event) in enumerate(made.items()):
        if name != _ERROR:
            event["eventTime"] = run.at(n + 1)
        event["eventTimeZoneOffset"] = "+00:00"
        event["eventID"] = run.event_id(name)
    made[_ERROR]["eventTime"] = made[_OF_ERROR]["eventTime"]
    return made


def _objects(run: Run) -> dict[str, Event]:
    return {
        "made": {
            "type": "ObjectEvent",
            "action": "ADD",
            "bizStep": "commissioning",
            "disposition": "active",
            "epcList": [run.item(1), run.item(2)],
            "readPoint": {"id": run.place(1)},
            "bizLocation": {"id": run.place(10)},
            "ilmd": {
                "example:lot": f"L{run.number}",
                "example:weight": 12.5,
                "example:parts": {"example:colour": "green", "example:count": 3},
            },
        },
        "shipped": {
            "type": "ObjectEvent",
            "action": "OBSERVE",
            "bizStep": "shipping",
            "disposition": "in_transit",
            "epcList": [run.item(1)],
            "readPoint": {"id": run.place(2)},
            "bizTransactionList": [{"type": "po", "bizTransaction": run.link("po", 1)}],
            "sourceList": [{"type": "owning_party", "source": run.link("party", 1)}],
            "destinationList": [{"type": "owning_party", "destination": run.link("party", 2)}],
            "persistentDisposition": {
                "set": ["completeness_verified"],
                "unset": ["completeness_inferred"],
            },
            "example:word": "alpha",
            "example:number": 7,
            "example:moment": run.at(7),
            "example:outer": {"example:word": "deep", "example:number": 70},
        },
        "received": {
            "type": "ObjectEvent",
            "action": "OBSERVE",
            "bizStep": "receiving",
            "disposition": "in_progress",
            "quantityList": [{"epcClass": run.lot("A"), "quantity": 200, "uom": "KGM"}],
            "readPoint": {"id": run.place(3)},
            "bizLocation": {"id": run.place(11)},
            "bizTransactionList": [{"type": "desadv", "bizTransaction": run.link("po", 1)}],
            "sourceList": [{"type": "possessing_party", "source": run.link("party", 1)}],
            "destinationList": [{"type": "location", "destination": run.link("party", 2)}],
            "persistentDisposition": {"set": ["conformant"]},
            "example:word": "beta",
            "example:number": 8,
            "example:moment": run.at(8),
            "example:outer": {"example:word": "alpha", "example:number": 7},
        },
    }


def _relations(run: Run) -> dict[str, Event]:
    return {
        "packed": {
            "type": "AggregationEvent",
            "action": "ADD",
            "bizStep": "packing",
            "parentID": run.case(1),
            "childEPCs": [run.item(2)],
            "childQuantityList": [{"epcClass": run.lot("B"), "quantity": 10}],
        },
        "ordered": {
            "type": "TransactionEvent",
            "action": "ADD",
            "bizStep": "other",
            "parentID": run.case(2),
            "epcList": [run.item(3)],
            "bizTransactionList": [{"type": "inv", "bizTransaction": run.link("inv", 1)}],
        },
        "baked": {
            "type": "TransformationEvent",
            "bizStep": "creating_class_instance",
            "transformationID": run.link("transformation", 1),
            "inputEPCList": [run.item(4)],
            "inputQuantityList": [{"epcClass": run.lot("C"), "quantity": 5, "uom": "LTR"}],
            "outputEPCList": [run.item(5, 3)],
            "outputQuantityList": [{"epcClass": run.lot("D"), "quantity": 90}],
            "ilmd": {
                "example:lot": f"M{run.number}",
                "example:weight": 20,
                "example:parts": {"example:colour": "red", "example:count": 4},
            },
        },
        "mounted": {
            "type": "AssociationEvent",
            "action": "ADD",
            "bizStep": "assembling",
            "parentID": f"urn:epc:id:grai:{_GCP}.12345.{run.number}",
            "childEPCs": [f"urn:epc:id:giai:{_GCP}.{run.number}1"],
        },
    }


def _sensors(run: Run) -> dict[str, Event]:
    warm = {
        "type": "Temperature",
        "value": 8.5,
        "minValue": 7,
        "maxValue": 9,
        "meanValue": 8,
        "sDev": 0.5,
        "percRank": 50,
        "percValue": 8.25,
        "uom": "CEL",
        "deviceID": run.link("device", 1),
        "deviceMetadata": run.link("metadata", 1),
        "rawData": run.link("raw", 1),
        "dataProcessingMethod": run.link("method", 1),
        "bizRules": run.link("rules", 1),
        "coordinateReferenceSystem": run.link("crs", 1),
        "component": "latitude",
        "exception": "ALARM_CONDITION",
        "stringValue": "warm",
        "booleanValue": True,
        "hexBinaryValue": "F05B",
        "uriValue": run.link("uri", 1),
        "chemicalSubstance": run.link("substance", 1),
        "microorganism": run.link("organism", 1),
        "example:word": "alpha",
        "example:outer": {"example:word": "deep"},
    }
    hot = {
        "type": "AbsoluteHumidity",
        "value": 50,
        "minValue": 48,
        "maxValue": 52,
        "meanValue": 51,
        "sDev": 3.5,
        "percRank": 90,
        "percValue": 52,
        "uom": "FAH",
        "deviceID": run.link("device", 2),
        "stringValue": "hot",
        "booleanValue": False,
        "hexBinaryValue": "00FF",
        "uriValue": run.link("uri", 2),
        "example:word": "beta",
        "example:outer": {"example:word": "beta"},
    }
    return {
        "sensed": _sensor_event(run, 6, warm, 20),
        "heated": _sensor_event(run, 7, hot, 25),
    }


def _sensor_event(run: Run, n: int, report: Event, minutes: int) -> Event:
    word = report["example:word"]
    metadata = {
        "time": run.at(minutes),
        "startTime": run.at(minutes - 2),
        "endTime": run.at(minutes + 2),
        "example:word": word,
        "example:outer": {"example:word": report["example:outer"]["example:word"]},
    }
    element = {
        "sensorMetadata": metadata,
        "sensorReport": [report],
        "example:word": word,
        "example:outer": {"example:word": report["example:outer"]["example:word"]},
    }
    return {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "bizStep": "sensor_reporting",
        "epcList": [run.item(n)],
        "readPoint": {"id": run.place(4), "example:zone": word},
        "bizLocation": {"id": run.place(12), "example:zone": word},
        "sensorElementList": [element],
    }


def _errors(run: Run) -> dict[str, Event]:
    wrong = {
        "type": "ObjectEvent",
        "action": "DELETE",
        "bizStep": "decommissioning",
        "disposition": "inactive",
        "epcList": [run.item(8)],
    }
    return {
        _OF_ERROR: wrong,
        _ERROR: {
            **wrong,
            "errorDeclaration": {
                "declarationTime": run.at(40),
                "reason": "incorrect_data",
                "correctiveEventIDs": [run.event_id("mended")],
                "example:word": "alpha",
                "example:outer": {"example:word": "deep", "example:number": 5},
                "example:number": 3,
            },
        },
        "mended": {**wrong, "epcList": [run.item(9)]},
        "undone": {
            **wrong,
            "epcList": [run.item(10)],
            "errorDeclaration": {
                "declarationTime": run.at(50),
                "reason": "did_not_occur",
                "example:word": "beta",
                "example:outer": {"example:word": "beta", "example:number": 9},
                "example:number": 4,
            },
        },
    }


def make_document(run: Run) -> dict[str, Any]:
    """Return the document that captures all events, with master data of places and lots."""
    return {
        "@context": [CONTEXT, {"example": NAMESPACE}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": run.at(59),
        "epcisHeader": {"epcisMasterData": {"vocabularyList": _vocabularies(run)}},
        "epcisBody": {"eventList": list(make_events(run).values())},
    }


def _vocabularies(run: Run) -> list[Event]:
    attribute = "urn:epcglobal:cbv:mda#name"
    return [
        {
            "type": f"urn:epcglobal:epcis:vtype:{kind}",
            "vocabularyElementList": [
                {
                    "id": run.place(top),
                    "attributes": [{"id": attribute, "attribute": f"{kind} {run.number}"}],
                    "children": [run.place(below)],
                }
            ],
        }
        for kind, top, below in (("BusinessLocation", 10, 11), ("ReadPoint", 1, 2))
    ]
