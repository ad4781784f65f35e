"""Sensor elements of an event: EPCIS 2.0 section 7.3.7, JSON to values and nothing lost.

    "sensorElementList": [{
        "sensorMetadata": {"time": "2024-05-31T07:05:00Z", "deviceID": "urn:epc:id:giai:…"},
        "sensorReport": [{"type": "Temperature", "value": 4.5, "uom": "CEL"}]}]

What is not read into a field stays in `raw`. Numbers become decimals as JSON spells them,
so that 4.1 is four and one tenth. A reading without a time of its own has its element's.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping

from ledger.epcis.shape import (
    fault,
    read_key,
    read_number,
    read_object,
    read_objects,
    read_text,
    read_time,
    want_text,
)
from ledger.epcis.values import Report, SensorElement
from ledger.gs1.cbv import canonical_component, canonical_measurement

SENSOR_ELEMENT_LIST = "sensorElementList"
_NOTHING: Mapping[str, object] = {}


def parse_sensor_elements(event: Mapping[str, object]) -> tuple[SensorElement, ...]:
    """Return the sensor elements of a JSON event. Raises `ParseError` with a JSON pointer."""
    if SENSOR_ELEMENT_LIST not in event:
        return ()
    return tuple(
        _parse_element(item, base) for base, item in read_objects(event, SENSOR_ELEMENT_LIST)
    )


def _parse_element(item: Mapping[str, object], base: str) -> SensorElement:
    metadata = read_object(item, "sensorMetadata", base) or _NOTHING
    metadata_base = f"{base}/sensorMetadata"
    reports = tuple(
        _parse_report(report, place)
        for place, report in read_objects(item, "sensorReport", base)
    )
    if not reports:
        raise fault(base, "sensorReport", "is missing or empty; give at least one reading")
    return SensorElement(
        device_id=read_key(metadata, "deviceID", metadata_base),
        time_us=read_time(metadata, "time", metadata_base),
        start_us=read_time(metadata, "startTime", metadata_base),
        end_us=read_time(metadata, "endTime", metadata_base),
        reports=reports,
        raw=item,
    )


def _parse_report(item: Mapping[str, object], base: str) -> Report:
    exception = read_text(item, "exception", base)
    component = read_text(item, "component", base)
    boolean = item.get("booleanValue")
    if "booleanValue" in item and not isinstance(boolean, bool):
        raise fault(base, "booleanValue", "is no truth value; write true or false")
    # GS1's schema requires a type; a report of an exception alone is told by that.
    kind = want_text(item, "type", base) if exception is None else read_text(item, "type", base)
    return Report(
        type=canonical_measurement(kind or ""),
        value=read_number(item, "value", base),
        uom=read_text(item, "uom", base),
        min=read_number(item, "minValue", base),
        max=read_number(item, "maxValue", base),
        mean=read_number(item, "meanValue", base),
        time_us=read_time(item, "time", base),
        device_id=read_key(item, "deviceID", base),
        exception=None if exception is None else canonical_measurement(exception),
        component=None if component is None else canonical_component(component),
        string_value=read_text(item, "stringValue", base),
        boolean_value=boolean if isinstance(boolean, bool) else None,
        uri_value=read_text(item, "uriValue", base),
        hex_binary_value=read_text(item, "hexBinaryValue", base),
        raw=item,
    )
