"""Sensors: the temperature in a vehicle as a first-order system, and its logger's samples.

The air follows its target with one time constant: the setpoint while the cooling runs,
the ambient air while a door stands open (fast) or the cooling has failed (slow).

    dT/dt = (target - T) / tau

It is stepped every ten seconds with additions and one multiplication, so that no
platform's mathematical library can change a digit. A trip begins with a warm vehicle
that is cooled down before it is loaded, so samples before loading are no exposure of the
load and a reader of the data who counts them gets it wrong.

The logger rounds to the units of Ruuvi data format 5 (0.005 degrees Celsius).

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence

from device_sim.chance import Stream
from device_sim.scenario import ClimateTable
from device_sim.world import MINUTE_US, SECOND_US, Sample, Trip

STEP_US = 10 * SECOND_US
_NOISE_CELSIUS = 0.06
_COUNTER = 1 << 16


def sample_trip(
    climate: ClimateTable,
    trip: Trip,
    failed: Sequence[tuple[int, int]],
    phase_us: int,
    seed: int,
) -> list[Sample]:
    """Return the samples of one trip; `failed` are the spans without cooling."""
    period_us = climate.sample_seconds * SECOND_US
    first_us = trip.start_us + (phase_us - trip.start_us) % period_us
    stream = Stream(seed, "climate", trip.vehicle.name, trip.start_us)
    battery_mv = 2_900 + stream.below(120)
    celsius = climate.ambient + stream.noise() * 0.5
    samples, time_us = [], trip.start_us
    for due_us in range(first_us, trip.end_us, period_us):
        while time_us < due_us:
            celsius = _step(climate, trip, failed, (time_us, celsius))
            time_us += STEP_US
        samples.append(
            Sample(
                vehicle=trip.vehicle,
                time_us=due_us,
                number=due_us // period_us % _COUNTER,
                temperature=round((celsius + stream.noise() * _NOISE_CELSIUS) * 200),
                humidity=round((70 + stream.noise() * 2) * 400),
                pressure=51_000 + stream.below(400),
                battery_mv=battery_mv,
            )
        )
    return samples


def _step(
    climate: ClimateTable,
    trip: Trip,
    failed: Sequence[tuple[int, int]],
    state: tuple[int, float],
) -> float:
    """Return the temperature one step later."""
    time_us, celsius = state
    if _within(time_us, trip.doors):
        target, minutes = climate.ambient, climate.door_minutes
    elif _within(time_us, failed):
        target, minutes = climate.ambient, climate.warming_minutes
    else:
        target, minutes = climate.setpoint, climate.cooling_minutes
    return celsius + (target - celsius) * (STEP_US / (minutes * MINUTE_US))


def _within(time_us: int, spans: Iterable[tuple[int, int]]) -> bool:
    return any(start <= time_us < end for start, end in spans)
