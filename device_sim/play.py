"""Play: one scenario and one seed become messages, truth and a capture plan.

The same scenario and seed give the same bytes in every process: nothing here looks at a
clock, at the network, or at the order of a set.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass

from device_sim.chain import play_chain
from device_sim.chronicle import Chronicle, Story
from device_sim.faults import Label, Missed, failed_cooling, missed_visits, send_twice
from device_sim.loggers import series_messages
from device_sim.payloads import note_message
from device_sim.plan import format_plan
from device_sim.radio import hear_pass
from device_sim.readers import station_messages
from device_sim.scenario import Scenario, build_world
from device_sim.sensors import sample_trip
from device_sim.truth import Told, tell_truth
from device_sim.world import Message, Party, Sample, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One played run. `messages` are in order of time, each station's among themselves too."""

    scenario: Scenario
    seed: int
    world: World
    messages: tuple[Message, ...]
    truth: tuple[str, ...]
    plan_text: str
    reads: int
    samples: int

    @property
    def parties(self) -> tuple[Party, ...]:
        """The parties in the order of the scenario: `.id`, `.title`, `.prefix`."""
        return tuple(self.world.parties.values())


def play(scenario: Scenario, seed: int) -> Run:
    """Play `scenario`; `seed` is any integer."""
    world = build_world(scenario)
    story = play_chain(scenario, world, seed)
    labels: list[Label] = []
    samples = _sample(scenario, story, seed, labels)
    messages, missed, reads = _hear(scenario, story, seed)
    messages += [note_message(one) for one in story.notes]
    messages += [one for series in samples for one in series_messages(series)]
    for fault in scenario.fault:
        burst = send_twice(fault, world, story.passes, messages)
        if burst is not None:
            messages += burst[0]
            labels.append(burst[1])
    messages.sort(key=lambda one: one.time_us)
    told = Told(world=world, story=story, samples=samples, missed=missed, labels=labels)
    return Run(
        scenario=scenario, seed=seed, world=world, messages=tuple(messages),
        truth=tuple(tell_truth(told, scenario.name, seed)),
        plan_text=format_plan(scenario, world),
        reads=reads, samples=sum(map(len, samples)),
    )  # fmt: skip


def _hear(
    scenario: Scenario, story: Story, seed: int
) -> tuple[list[Message], list[Missed], int]:
    messages: list[Message] = []
    missed: list[Missed] = []
    count = 0
    for crossing in story.passes:
        unheard = missed_visits(scenario.radio, crossing, seed)
        epcs = {one.visit.tag.epc for one in unheard}
        reads = hear_pass(crossing, epcs, seed, scenario.radio.reads)
        messages += station_messages(crossing.station, reads)
        missed += unheard
        count += len(reads)
    return messages, missed, count


def _sample(
    scenario: Scenario, story: Story, seed: int, labels: list[Label]
) -> list[list[Sample]]:
    struck = [failed_cooling(fault, story.trips) for fault in scenario.fault]
    labels += [one[1] for one in struck if one is not None]
    clock = Chronicle(seed, scenario.climate.sample_seconds)
    return [
        sample_trip(
            scenario.climate,
            trip,
            [(one[1].from_us, one[1].to_us) for one in struck if one and one[0] is trip],
            clock.phase_us(trip.vehicle),
            seed,
        )
        for trip in story.trips
    ]
