"""Logger faults: what goes wrong in a vehicle's cooling, its logger, and their radio.

* `excursion`: cooling stops for `minutes` in the middle of the loaded time
* `sensor_drift`: from the start of a trip to its end the reading goes wrong by `degrees`
* `sensor_silence`: for `minutes` in the middle of the loaded time samples get lost
* `late_upload`: what is sampled on a trip is sent all at once, when it is over

The truth has the samples that were taken, with what the logger showed: lost ones too.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from device_sim.chronicle import Story
from device_sim.faults import FaultBook
from device_sim.loggers import series_messages
from device_sim.scenario import FaultTable, Scenario
from device_sim.sensors import sample_trip
from device_sim.world import MILLISECOND_US, MINUTE_US, Message, Sample, Trip

Numbered = tuple[int, FaultTable]
_STEPS_A_DEGREE = 200


class LoggerFaults:
    """The samples of a run and the messages that tell them, with the scenario's faults."""

    def __init__(self, scenario: Scenario, story: Story, seed: int, book: FaultBook) -> None:
        self.scenario = scenario
        self.book = book
        self._faults: dict[int, list[Numbered]] = {}
        for number, fault in enumerate(scenario.fault):
            for n, trip in enumerate(story.trips):
                if (trip.leg, trip.number) == (fault.leg, fault.trip):
                    self._faults.setdefault(n, []).append((number, fault))
        self.trips = [
            (trip, self._sample(n, trip, phase_us, seed))
            for n, (trip, phase_us) in enumerate(zip(story.trips, story.phases, strict=True))
        ]

    def messages(self, trip_number: int) -> list[Message]:
        """Return what is sent of the samples of one trip."""
        trip, series = self.trips[trip_number]
        faults = self._faults.get(trip_number, [])
        lost: set[Sample] = set()
        for number, fault in faults:
            if fault.kind == "sensor_silence":
                start_us, end_us = self._label(number, fault, trip)
                own = [one for one in series if start_us <= one.time_us < end_us]
                self.book.touch(number, series_messages(own))
                lost |= set(own)
        messages = series_messages([one for one in series if one not in lost])
        for number, fault in faults:
            if fault.kind == "late_upload":
                self.book.label(
                    number, fault, (trip.start_us, trip.end_us), [trip.vehicle.tag.epc]
                )
                self.book.touch(number, messages)
                messages = _all_at(messages, trip.end_us)
            elif fault.kind == "sensor_drift":
                self.book.touch(number, messages)
        return messages

    def _sample(
        self, trip_number: int, trip: Trip, phase_us: int, seed: int
    ) -> Sequence[Sample]:
        faults = self._faults.get(trip_number, [])
        failed = [self._label(*one, trip) for one in faults if one[1].kind == "excursion"]
        series = sample_trip(self.scenario.climate, trip, failed, phase_us, seed)
        for number, fault in faults:
            if fault.kind == "sensor_drift":
                span = (trip.start_us, trip.end_us)
                self.book.label(number, fault, span, [trip.vehicle.tag.epc])
                series = [_drifted(one, trip, fault.degrees) for one in series]
        return series

    def _label(self, number: int, fault: FaultTable, trip: Trip) -> tuple[int, int]:
        """Label a fault in the middle of the loaded time; return from when to when."""
        loaded_us = trip.emptied_us - trip.loaded_us
        length_us = min(fault.minutes * MINUTE_US, loaded_us)
        from_us = trip.loaded_us + (loaded_us - length_us) // 2
        span = (from_us, from_us + length_us)
        self.book.label(number, fault, span, [trip.vehicle.tag.epc])
        return span


def _drifted(sample: Sample, trip: Trip, degrees: float) -> Sample:
    share = (sample.time_us - trip.start_us) / (trip.end_us - trip.start_us)
    wrong = round(degrees * share * _STEPS_A_DEGREE)
    return replace(sample, temperature=sample.temperature + wrong)


def _all_at(messages: Iterable[Message], time_us: int) -> list[Message]:
    return [
        Message(time_us + n * MILLISECOND_US, one.topic, one.payload)
        for n, one in enumerate(messages)
    ]
