"""Which events each parameter of an event query selects: one case for each parameter family.

A case asks with some parameters, within the run's window of time, and expects just these
events of the run. Each expects at least one event and leaves at least one out, so that a
server that ignores the parameter, or answers nothing, fails it.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ledger.conformance.events import CONTEXT, NAMESPACE, Run, make_events

Parameters = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Case:
    """One question; `requirement` names the parameter family."""

    requirement: str
    parameters: Parameters
    expected: frozenset[str]
    contexts: list[object] = dataclasses.field(
        default_factory=lambda: [CONTEXT, {"example": NAMESPACE}], compare=False
    )


def _case(requirement: str, parameters: Parameters, *expected: str) -> Case:
    return Case(requirement, parameters, frozenset(expected))


def make_cases(run: Run) -> list[Case]:
    """Return every case of a run."""
    return [
        *_fixed(run),
        *_places(run),
        *_identities(run),
        *_amounts(),
        *_errors(run),
        *_extensions(run),
        *_sensor_values(run),
        *_sensor_attributes(run),
        *_sensor_extensions(),
        *_master_data(run),
    ]


def all_names(run: Run) -> frozenset[str]:
    """Return the names of all events of a run."""
    return frozenset(make_events(run))


_ERRING = ("wrong", "declared", "mended", "undone")
_SENSORS = ("sensed", "heated")


def _fixed(run: Run) -> Iterator[Case]:
    yield _case("eventType", {"eventType": ["AggregationEvent"]}, "packed")
    two = ["TransactionEvent", "TransformationEvent"]
    yield _case("eventType of several", {"eventType": two}, "ordered", "baked")
    yield _case("eventType association", {"eventType": ["AssociationEvent"]}, "mounted")
    yield _case("GE_eventTime", {"GE_eventTime": run.at(13)}, "undone")
    yield _case("LT_eventTime", {"LT_eventTime": run.at(2)}, "made")
    yield _case("EQ_action", {"EQ_action": ["DELETE"]}, *_ERRING)
    yield _case("EQ_bizStep", {"EQ_bizStep": ["shipping"]}, "shipped")
    steps = ["packing", "receiving"]
    yield _case("EQ_bizStep of several", {"EQ_bizStep": steps}, "packed", "received")
    yield _case("EQ_disposition", {"EQ_disposition": ["in_transit"]}, "shipped")
    yield _case(
        "EQ_persistentDisposition_set",
        {"EQ_persistentDisposition_set": ["completeness_verified"]},
        "shipped",
    )
    yield _case(
        "EQ_persistentDisposition_unset",
        {"EQ_persistentDisposition_unset": ["completeness_inferred"]},
        "shipped",
    )
    transformation = {"EQ_transformationID": [run.link("transformation", 1)]}
    yield _case("EQ_transformationID", transformation, "baked")
    order = run.link("po", 1)
    yield _case("EQ_bizTransaction_type", {"EQ_bizTransaction_po": [order]}, "shipped")
    party, other = run.link("party", 1), run.link("party", 2)
    yield _case("EQ_source_type", {"EQ_source_owning_party": [party]}, "shipped")
    yield _case("EQ_destination_type", {"EQ_destination_location": [other]}, "received")
    yield _case("EQ_eventID", {"EQ_eventID": [run.event_id("packed")]}, "packed")
    both = {"EQ_action": ["OBSERVE"], "EQ_bizStep": ["shipping", "packing"]}
    yield _case("conditions together", both, "shipped")


def _places(run: Run) -> Iterator[Case]:
    yield _case("EQ_readPoint", {"EQ_readPoint": [run.place(2)]}, "shipped")
    yield _case("EQ_bizLocation", {"EQ_bizLocation": [run.place(11)]}, "received")
    yield _case("WD_readPoint", {"WD_readPoint": [run.place(1)]}, "made", "shipped")
    yield _case("WD_bizLocation", {"WD_bizLocation": [run.place(10)]}, "made", "received")


def _identities(run: Run) -> Iterator[Case]:
    item = {"MATCH_epc": [run.item(2)]}
    yield _case("MATCH_epc", item, "made", "packed")
    pattern = ["urn:epc:idpat:sgtin:9506000.000001.*"]
    singles = ("made", "shipped", "packed", "ordered", *_SENSORS, *_ERRING)
    yield _case("MATCH_epc by pattern", {"MATCH_epc": pattern}, *singles)
    yield _case("MATCH_parentID", {"MATCH_parentID": [run.case(1)]}, "packed")
    yield _case("MATCH_inputEPC", {"MATCH_inputEPC": [run.item(4)]}, "baked")
    yield _case("MATCH_outputEPC", {"MATCH_outputEPC": [run.item(5, 3)]}, "baked")
    anything = {"MATCH_anyEPC": [run.item(4), run.case(2)]}
    yield _case("MATCH_anyEPC", anything, "baked", "ordered")
    yield _case("MATCH_epcClass", {"MATCH_epcClass": [run.lot("B")]}, "packed")
    yield _case("MATCH_inputEPCClass", {"MATCH_inputEPCClass": [run.lot("C")]}, "baked")
    yield _case("MATCH_outputEPCClass", {"MATCH_outputEPCClass": [run.lot("D")]}, "baked")
    classes = {"MATCH_anyEPCClass": [run.lot("A"), run.lot("C")]}
    yield _case("MATCH_anyEPCClass", classes, "received", "baked")


def _amounts() -> Iterator[Case]:
    yield _case("EQ_quantity", {"EQ_quantity": [200]}, "received")
    yield _case("GT_quantity", {"GT_quantity": 90}, "received")
    yield _case("GE_quantity", {"GE_quantity": 90}, "received", "baked")
    yield _case("LT_quantity", {"LT_quantity": 10}, "baked")
    yield _case("LE_quantity", {"LE_quantity": 10}, "packed", "baked")
    yield _case("EQ_quantity_uom", {"EQ_quantity_KGM": [200]}, "received")
    yield _case("EQ_quantity_uom, converted", {"EQ_quantity_GRM": [200000]}, "received")
    yield _case("GT_quantity_uom", {"GT_quantity_KGM": 1}, "received")
    yield _case("GE_quantity_uom", {"GE_quantity_GRM": 1}, "received")
    yield _case("LT_quantity_uom", {"LT_quantity_LTR": 6}, "baked")
    yield _case("LE_quantity_uom", {"LE_quantity_LTR": 5}, "baked")


def _errors(run: Run) -> Iterator[Case]:
    yield _case("EXISTS_errorDeclaration", {"EXISTS_errorDeclaration": True}, *_ERRING[1::2])
    yield _case(
        "an error declaration keeps its event's ID",
        {"EQ_eventID": [run.event_id("wrong")]},
        "wrong",
        "declared",
    )
    later, earlier = {"GE_errorDeclarationTime": run.at(45)}, run.at(45)
    yield _case("GE_errorDeclarationTime", later, "undone")
    yield _case("LT_errorDeclarationTime", {"LT_errorDeclarationTime": earlier}, "declared")
    yield _case("GE_errorDeclaration_Time", {"GE_errorDeclaration_Time": earlier}, "undone")
    yield _case("LT_errorDeclaration_Time", {"LT_errorDeclaration_Time": earlier}, "declared")
    yield _case("EQ_errorReason", {"EQ_errorReason": ["did_not_occur"]}, "undone")
    corrective = {"EQ_correctiveEventID": [run.event_id("mended")]}
    yield _case("EQ_correctiveEventID", corrective, "declared")


def _extensions(run: Run) -> Iterator[Case]:
    yield from _field_cases("fieldname", "", "number", 7, 8, ("shipped", "received"))
    yield _case("EQ_fieldname, text", {"EQ_example:word": ["beta"]}, "received")
    yield _case("GE_fieldname, time", {"GE_example:moment": run.at(8)}, "received")
    yield from _field_cases(
        "INNER_fieldname", "INNER_", "number", 7, 70, ("received", "shipped")
    )
    yield _case("EQ_INNER_fieldname, text", {"EQ_INNER_example:word": ["deep"]}, "shipped")
    yield from _field_cases("ILMD_fieldname", "ILMD_", "weight", 12.5, 20, ("made", "baked"))
    lot = [f"M{run.number}"]
    yield _case("EQ_ILMD_fieldname, text", {"EQ_ILMD_example:lot": lot}, "baked")
    inner = "INNER_ILMD_"
    yield from _field_cases("INNER_ILMD_fieldname", inner, "count", 3, 4, ("made", "baked"))
    error = "ERROR_DECLARATION_"
    erring = ("declared", "undone")
    yield from _field_cases("ERROR_DECLARATION_fieldname", error, "number", 3, 4, erring)
    inner = "INNER_ERROR_DECLARATION_"
    yield from _field_cases("INNER_ERROR_DECLARATION_fieldname", inner, "number", 5, 9, erring)
    yield _case("EXISTS_fieldname", {"EXISTS_example:moment": True}, "shipped", "received")
    yield _case(
        "EXISTS_INNER_fieldname", {"EXISTS_INNER_example:word": True}, "shipped", "received"
    )
    yield _case("EXISTS_ILMD_fieldname", {"EXISTS_ILMD_example:lot": True}, "made", "baked")
    yield _case(
        "EXISTS_INNER_ILMD_fieldname",
        {"EXISTS_INNER_ILMD_example:colour": True},
        *("made", "baked"),
    )
    exists = {"EXISTS_ERROR_DECLARATION_example:word": True}
    yield _case("EXISTS_ERROR_DECLARATION_fieldname", exists, *erring)
    exists = {"EXISTS_INNER_ERROR_DECLARATION_example:word": True}
    yield _case("EXISTS_INNER_ERROR_DECLARATION_fieldname", exists, *erring)
    yield _case("EQ_readPoint_fieldname", {"EQ_readPoint_example:zone": ["alpha"]}, "sensed")
    yield _case("EQ_bizLocation_fieldname", {"EQ_bizLocation_example:zone": ["beta"]}, "heated")


def _field_cases(
    requirement: str,
    start: str,
    field: str,
    low: float,
    high: float,
    names: tuple[str, str],
) -> Iterator[Case]:
    """Yield the five comparisons of a number that two events give a field."""
    lower, higher = names
    name = f"{start}example:{field}"
    yield _case(f"EQ_{requirement}", {f"EQ_{name}": [high]}, higher)
    yield _case(f"GT_{requirement}", {f"GT_{name}": low}, higher)
    yield _case(f"GE_{requirement}", {f"GE_{name}": high}, higher)
    yield _case(f"LT_{requirement}", {f"LT_{name}": high}, lower)
    yield _case(f"LE_{requirement}", {f"LE_{name}": low}, lower)


def _sensor_values(run: Run) -> Iterator[Case]:
    yield _case("EXISTS_sensorElementList", {"EXISTS_sensorElementList": True}, *_SENSORS)
    for name in ("time", "startTime", "endTime"):
        yield _case(f"GE_{name}", {f"GE_{name}": run.at(23)}, "heated")
        before = run.at(19) if name == "startTime" else run.at(23)
        yield _case(f"LT_{name}", {f"LT_{name}": before}, "sensed")
    for field, low, high in (
        ("value", 8.5, 10),
        ("minValue", 7, 8),
        ("maxValue", 9, 11),
        ("meanValue", 8, 10),
        ("percValue", 8.25, 11),
    ):
        # The other event says it in degrees Fahrenheit, a bit more than `high`.
        name = f"{field}_CEL"
        yield _case(f"EQ_{field}_uom", {f"EQ_{name}": [low]}, "sensed")
        yield _case(f"GT_{field}_uom", {f"GT_{name}": low}, "heated")
        yield _case(f"GE_{field}_uom", {f"GE_{name}": high}, "heated")
        yield _case(f"LT_{field}_uom", {f"LT_{name}": high - 0.5}, "sensed")
        yield _case(f"LE_{field}_uom", {f"LE_{name}": low}, "sensed")
    yield _case("EQ_value_uom, converted", {"EQ_value_FAH": [47.3]}, "sensed")
    yield _case("EQ_value_uom, to kelvin", {"EQ_value_KEL": [283.15]}, "heated")
    for op, value, name in (
        ("EQ", 50, "sensed"),
        ("GT", 50, "heated"),
        ("GE", 90, "heated"),
        ("LT", 90, "sensed"),
        ("LE", 50, "sensed"),
    ):
        yield _case(f"{op}_percRank", {f"{op}_percRank": value}, name)
    for op, deviation, name in (
        ("EQ", 0.5, "sensed"),
        ("GT", 0.5, "heated"),
        ("GE", 1, "heated"),
        ("LT", 1, "sensed"),
        ("LE", 0.5, "sensed"),
    ):
        # A difference of temperatures: 3.5 degrees Fahrenheit are 1.94 degrees Celsius.
        yield _case(f"{op}_sDev_uom", {f"{op}_sDev_CEL": deviation}, name)


def _sensor_attributes(run: Run) -> Iterator[Case]:
    for field, kind in (
        ("deviceID", "device"),
        ("deviceMetadata", "metadata"),
        ("rawData", "raw"),
        ("dataProcessingMethod", "method"),
        ("bizRules", "rules"),
        ("coordinateReferenceSystem", "crs"),
        ("uriValue", "uri"),
        ("chemicalSubstance", "substance"),
        ("microorganism", "organism"),
    ):
        yield _case(f"EQ_{field}", {f"EQ_{field}": [run.link(kind, 1)]}, "sensed")
    yield _case("EQ_type", {"EQ_type": ["Temperature"]}, "sensed")
    yield _case("EQ_component", {"EQ_component": ["latitude"]}, "sensed")
    yield _case("EQ_exception", {"EQ_exception": ["ALARM_CONDITION"]}, "sensed")
    yield _case("EQ_stringValue", {"EQ_stringValue": ["hot"]}, "heated")
    yield _case("EQ_hexBinaryValue", {"EQ_hexBinaryValue": ["F05B"]}, "sensed")
    yield _case("EQ_booleanValue", {"EQ_booleanValue": False}, "heated")


def _sensor_extensions() -> Iterator[Case]:
    for scope in ("SENSORELEMENT", "SENSORMETADATA", "SENSORREPORT"):
        name = f"{scope}_example:word"
        yield _case(f"EQ_{scope}_fieldname", {f"EQ_{name}": ["alpha"]}, "sensed")
        yield _case(f"GT_{scope}_fieldname", {f"GT_{name}": "alpha"}, "heated")
        yield _case(f"GE_{scope}_fieldname", {f"GE_{name}": "beta"}, "heated")
        yield _case(f"LT_{scope}_fieldname", {f"LT_{name}": "beta"}, "sensed")
        yield _case(f"LE_{scope}_fieldname", {f"LE_{name}": "alpha"}, "sensed")
        yield _case(f"EQ_INNER_{scope}_fieldname", {f"EQ_INNER_{name}": ["deep"]}, "sensed")
        yield _case(f"EXISTS_{scope}_fieldname", {f"EXISTS_{name}": True}, *_SENSORS)


def _master_data(run: Run) -> Iterator[Case]:
    name = "urn:epcglobal:cbv:mda#name"
    yield _case("HASATTR_fieldname", {"HASATTR_bizLocation": [name]}, "made")
    value = [f"ReadPoint {run.number}"]
    yield _case("EQATTR_fieldname_attrname", {f"EQATTR_readPoint_{name}": value}, "made")
