"""Scenarios of exposure: which readings count for an item, and which do not."""

import pytest

from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    CENTRE,
    DAIRY,
    ask,
    commission,
    gap_kinds,
    item,
    ledger_of,
    object_event,
    pack,
    receive,
    ship,
    temperature,
    told,
    trailer,
    unpack,
)


def test_14_a_reading_of_a_place_counts_for_what_is_stored_there_then() -> None:
    source = ledger_of(
        commission("1 08:00", item(1), bizLocation=AT_DAIRY),
        temperature("1 07:00", values=[20], bizLocation=AT_DAIRY),
        temperature("1 09:00", values=[4], bizLocation=AT_DAIRY),
        temperature("1 09:10", values=[9], bizLocation=AT_CENTRE),
        ship("1 10:00", item(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_DAIRY),
        temperature("1 11:00", values=[30], bizLocation=AT_DAIRY),
        receive("2 10:00", item(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_CENTRE),
        temperature("2 11:00", values=[6, 7], bizLocation=AT_CENTRE),
    )
    rows = ask(source, item(1))["conditions"]
    assert [(one["container"], one["min"], one["max"], one["via"]) for one in rows] == [
        (AT_DAIRY, 4, 4, "located"),
        (AT_CENTRE, 6, 7, "located"),
    ]
    assert "sensor_reporting" not in " ".join(told(ask(source, item(1))))


def test_15_a_window_that_straddles_packing_is_partial_and_flagged() -> None:
    crate = trailer(3)

    def window(start: str, end: str, low: float, high: float) -> dict[str, object]:
        return object_event(
            f"1 {end}",
            crate,
            sensorElementList=[
                {
                    "sensorMetadata": {
                        "startTime": f"2026-03-01T{start}:00Z",
                        "endTime": f"2026-03-01T{end}:00Z",
                    },
                    "sensorReport": [
                        {
                            "type": "Temperature",
                            "minValue": low,
                            "maxValue": high,
                            "meanValue": (low + high) / 2,
                            "uom": "CEL",
                        }
                    ],
                }
            ],
        )

    source = ledger_of(
        commission("1 07:00", item(1)),
        pack("1 09:00", crate, item(1)),
        window("08:30", "09:30", 2, 20),
        window("09:30", "10:30", 3, 5),
        unpack("1 11:00", crate, item(1)),
        window("10:30", "11:30", 4, 25),
        window("11:30", "12:30", 30, 40),
    )
    answer = ask(source, item(1))
    rows = {one["partial"]: one for one in answer["conditions"]}
    assert (rows[False]["min"], rows[False]["max"], rows[False]["mean"]) == (3, 5, 4)
    assert (rows[True]["min"], rows[True]["max"], rows[True]["readings"]) == (2, 25, 2)
    assert "partial_sensor_window" in gap_kinds(answer)


def test_only_the_samples_taken_while_it_was_inside_count() -> None:
    crate = trailer(3)
    source = ledger_of(
        commission("1 07:00", item(1)),
        pack("1 09:00", crate, item(1)),
        temperature("1 09:02", crate, values=[30, 30, 4, 5, 6]),
        unpack("1 10:00", crate, item(1)),
        temperature("1 10:01", crate, values=[7, 8, 40]),
    )
    (row,) = ask(source, item(1))["conditions"]
    assert (row["min"], row["max"], row["mean"], row["readings"]) == (4, 8, 6, 5)
    assert row["entries"] == [[2, 0], [4, 0]]
    assert (row["from"][11:16], row["to"][11:16]) == ("09:00", "10:00")


def test_units_of_temperature_are_normalised_and_other_units_kept() -> None:
    readings = [
        {"type": "Temperature", "value": 41, "uom": "FAH"},
        {"type": "Temperature", "value": 280.15, "uom": "KEL"},
        {"type": "RelativeHumidity", "value": 80, "uom": "P1"},
    ]
    source = ledger_of(
        commission("1 07:00", item(1)),
        object_event("1 08:00", item(1), sensorElementList=[{"sensorReport": readings}]),
    )
    rows = ask(source, item(1))["conditions"]
    assert [(one["type"], one["unit"], one["min"], one["max"]) for one in rows] == [
        ("Temperature", "CEL", 5, 7),
        ("RelativeHumidity", "P1", 80, 80),
    ]


def test_a_journey_without_readings_and_a_long_hole_in_them_are_gaps() -> None:
    lorry = trailer(4)
    events = [
        commission("1 07:00", item(1), bizLocation=AT_DAIRY),
        pack("1 07:30", lorry, item(1)),
        ship("1 08:00", lorry, giver=DAIRY, taker=CENTRE),
        receive("1 14:00", lorry, giver=DAIRY, taker=CENTRE, bizLocation=AT_CENTRE),
    ]
    (gap,) = [
        one
        for one in ask(ledger_of(*events), item(1))["gaps"]
        if one["kind"] == "no_conditions"
    ]
    assert (gap["from"][11:16], gap["to"][11:16]) == ("08:00", "14:00")
    logged = [
        temperature(f"1 {at}", lorry, values=[4] * 30)
        for at in ("08:30", "09:00", "09:30", "13:00", "13:30", "14:00")
    ]
    (gap,) = [
        one
        for one in ask(ledger_of(*events, *logged), item(1))["gaps"]
        if one["kind"] == "no_conditions"
    ]
    assert (gap["from"][11:16], gap["to"][11:16]) == ("09:30", "12:31")


@pytest.mark.parametrize(("silent_min", "named"), [(5, False), (7, True), (45, True)])
def test_a_logger_that_is_silent_for_longer_than_usual_leaves_a_gap(
    silent_min: int,
    named: bool,  # noqa: FBT001 - given by name
) -> None:
    lorry = trailer(4)
    events = [
        commission("1 07:00", item(1), bizLocation=AT_DAIRY),
        pack("1 07:30", lorry, item(1)),
        ship("1 08:00", lorry, giver=DAIRY, taker=CENTRE),
        temperature("1 08:30", lorry, values=[4] * 30),
        temperature(f"1 09:{silent_min:02d}", lorry, values=[4] * 31),
        receive(f"1 09:{silent_min + 1:02d}", lorry, giver=DAIRY, taker=CENTRE),
    ]
    kinds = [one["kind"] for one in ask(ledger_of(*events), item(1))["gaps"]]
    assert ("no_conditions" in kinds) == named


def test_a_device_that_is_named_by_the_event_only_is_found_by_its_association() -> None:
    logger, lorry = "urn:epc:id:giai:9506000.logger1", trailer(4)
    source = ledger_of(
        {
            "type": "AssociationEvent",
            "eventTime": "2026-03-01T06:00:00Z",
            "eventTimeZoneOffset": "+00:00",
            "action": "ADD",
            "parentID": lorry,
            "childEPCs": [logger],
        },
        commission("1 07:00", item(1)),
        pack("1 08:00", lorry, item(1)),
        temperature("1 09:00", values=[4], metadata={"deviceID": logger}, readPoint=AT_DAIRY),
        unpack("1 10:00", lorry, item(1)),
    )
    (row,) = ask(source, item(1))["conditions"]
    assert (row["container"], row["via"], row["max"]) == (lorry, "associated", 4)
    assert row["device"].endswith("logger1")
