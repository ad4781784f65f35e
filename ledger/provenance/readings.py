"""The numeric readings in an event: of which kind, by which device, from when to when.

A reading is one report of a sensor element, as a single value or as the summary of a
window. Its time is its own where the report or the element says so (EPCIS 2.0, 7.3.7.1),
else that of the event. Temperatures become degrees Celsius; every other unit stays as it
is, and units never mix.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from ledger.epcis.event import Event, Report, SensorElement

_ZERO_K = Decimal("273.15")
_NINE_FIFTHS = Decimal("1.8")


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading, or the summary of a window of them."""

    type: str
    unit: str | None
    low: Decimal
    high: Decimal
    mean: Decimal
    from_us: int
    to_us: int
    device: str | None


def readings_of(event: Event) -> tuple[Reading, ...]:
    """Return the readings that `event` reports, each once, in the order of the event."""
    if not event.sensors:
        return ()
    found = (
        reading
        for element in event.sensors
        for report in element.reports
        for reading in _reading(event, element, report)
    )
    return tuple(dict.fromkeys(found))


def _reading(event: Event, element: SensorElement, report: Report) -> Iterator[Reading]:
    numbers = [n for n in (report.value, report.min, report.max, report.mean) if n is not None]
    if not numbers:
        return
    from_us, to_us = _window(event, element, report)
    mean = next(
        (n for n in (report.mean, report.value) if n is not None),
        (min(numbers) + max(numbers)) / 2,
    )
    low, unit = to_celsius(min(numbers), report.uom)
    high, _ = to_celsius(max(numbers), report.uom)
    yield Reading(
        type=report.type,
        unit=unit,
        low=low,
        high=high,
        mean=to_celsius(mean, report.uom)[0],
        from_us=from_us,
        to_us=to_us,
        device=report.device_id or element.device_id,
    )


def _window(event: Event, element: SensorElement, report: Report) -> tuple[int, int]:
    """Return from when to when a reading was taken (EPCIS 2.0, 7.3.7.1)."""
    if report.time_us is not None:
        return report.time_us, report.time_us
    ends = [one for one in (element.start_us, element.end_us) if one is not None]
    if ends:
        return min(ends), max(ends)
    at_us = element.time_us if element.time_us is not None else event.event_time_us
    return at_us, at_us


def to_celsius(value: Decimal, unit: str | None) -> tuple[Decimal, str | None]:
    """Return a temperature in CEL where the unit is FAH or KEL; all else as it is."""
    if unit == "FAH":
        return (value - 32) / _NINE_FIFTHS, "CEL"
    if unit == "KEL":
        return value - _ZERO_K, "CEL"
    return value, unit
