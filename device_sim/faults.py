"""Faults: what goes wrong between the world and the readers' bytes, each with its label.

* missed: a tag crosses a station and none of its labels is heard. It happens by chance, at
  the rates of the scenario; whatever wears two labels is missed only if both are.
* duplicate_burst: a reader publishes its last messages once more, byte for byte.
* excursion: the cooling of a vehicle stops for a while (played by `device_sim.sensors`).

A label says which reads, messages or spans a fault touched; it goes into the truth.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from device_sim.chance import Stream
from device_sim.radio import DEAFNESS
from device_sim.scenario import FaultTable, RadioTable
from device_sim.world import (
    MILLISECOND_US,
    MINUTE_US,
    SECOND_US,
    Message,
    Pass,
    Trip,
    Visit,
    World,
)

_RESEND_AFTER_US = 5 * SECOND_US


@dataclass(frozen=True, slots=True)
class Missed:
    """A tag that crossed a station unheard."""

    crossing: Pass
    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One fault as played: its kind, where, when, and what it touched."""

    kind: str
    where: str
    from_us: int
    to_us: int
    touched: tuple[str, ...] = ()


def missed_visits(radio: RadioTable, crossing: Pass, seed: int) -> list[Missed]:
    """Return the visits of one pass that no antenna hears."""
    station = crossing.station
    chance = radio.missed_at_encoder if station.does == "fill" else radio.missed
    missed = []
    for visit in crossing.visits:
        stream = Stream(seed, "missed", station.name, crossing.number, visit.tag.epc)
        deaf = chance * DEAFNESS[visit.tag.material]
        if all(stream.unit() < deaf for _ in range(visit.tag.labels)):
            missed.append(Missed(crossing, visit))
    return missed


def failed_cooling(fault: FaultTable, trips: Iterable[Trip]) -> tuple[Trip, Label] | None:
    """Return the trip that an excursion strikes and its label, or None if it never ran.

    Cooling fails in the middle of the loaded time, for as long as the fault says but not
    beyond the loaded time.
    """
    if fault.kind != "excursion":
        return None
    for trip in trips:
        if (trip.leg, trip.number) == (fault.leg, fault.trip):
            loaded_us = trip.emptied_us - trip.loaded_us
            length_us = min(fault.minutes * MINUTE_US, loaded_us)
            from_us = trip.loaded_us + (loaded_us - length_us) // 2
            label = Label(
                kind="excursion", where=trip.vehicle.name,
                from_us=from_us, to_us=from_us + length_us, touched=(trip.vehicle.tag.epc,),
            )  # fmt: skip
            return trip, label
    return None


def send_twice(
    fault: FaultTable, world: World, passes: Iterable[Pass], messages: Sequence[Message]
) -> tuple[list[Message], Label] | None:
    """Return the messages that a reader publishes again, and their label.

    They are the last ones of the pass that the fault names, sent shortly after it in their
    old order, while the station is silent.
    """
    if fault.kind != "duplicate_burst" or fault.station is None:
        return None
    station = world.stations[fault.station]
    for crossing in passes:
        if crossing.station is station and crossing.number == fault.number:
            own = [
                one
                for one in messages
                if one.topic.startswith(station.topic + "/")
                and crossing.start_us <= one.time_us <= crossing.end_us
            ][-fault.messages :]
            again = [
                Message(
                    crossing.end_us + _RESEND_AFTER_US + n * MILLISECOND_US,
                    one.topic,
                    one.payload,
                )
                for n, one in enumerate(own)
            ]
            if not again:
                return None
            label = Label(
                kind="duplicate_burst", where=station.name, from_us=again[0].time_us,
                to_us=again[-1].time_us, touched=tuple(one.identity for one in again),
            )  # fmt: skip
            return again, label
    return None
