"""The sensors of a gateway: samples that wait until enough of them make an event.

Samples of one sensor are gathered until there are `batch` of them, until the next one is
further away than `span_us`, or until nothing came for `idle_us`, as its rule in the plan says.
The state is a part of what `ingest.site` writes out between two messages, by the
sensor's name.

A sample is timed by the clock of its device, which is judged and corrected as a reader's is
(`ingest.clocks`), or, where the payload says no time, by the gateway's receipt. The event of
several samples says the correction of its newest one, the largest error and the flags of all,
and how many had no time of their own.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ingest.clocks import Times, describe_clock
from ingest.drafts import Ground, Outcome, Unresolved
from ingest.interpret import interpret_samples, select_quantities
from ingest.plan import Plan, SensorRule, find_sensor
from ingest.readers.fields import is_clock_set
from ingest.reads import NOT_A_READ, Message, Sample
from ingest.smoothing import Heard

_PREFIX = "sensor:"


@dataclass(slots=True)
class SensorState:
    """The samples of a sensor that are in no event yet; `made` counts its drafts.

    `untimed` of them have no time of their own. Of the others `shift_us` is that of the newest,
    `error_us` the largest, `flags` are those of all.
    """

    samples: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    received_us: int = 0
    made: int = 0
    untimed: int = 0
    newest_us: int = 0
    shift_us: int = 0
    error_us: int = 0
    flags: int = 0


class SampleRoom:
    """All sensors of one plan, and the samples that wait."""

    def __init__(self, plan: Plan) -> None:
        """Begin with no samples."""
        self._plan = plan
        self._rules = {one.name: one for one in plan.sensors}
        self._states: dict[str, SensorState] = {}
        self._changed: set[str] = set()

    def take(
        self, sample: Sample, message: Message, heard: Heard | None, outcome: Outcome
    ) -> str | None:
        """Take one sample; return why it cannot be taken, if it cannot.

        `heard` says how the clock of its device stands, None where it says no time.
        """
        outcome.counts["samples"] += 1
        rule = find_sensor(self._plan, message.topic, sample.devices)
        if rule is None:
            names = " or ".join(map(repr, sample.devices))
            return f"{NOT_A_READ}: a sensor's sample; no [[sensor]] of the plan is {names:.160}"
        quantities = select_quantities(rule, sample.values)
        if not quantities:
            names = ", ".join(name for name, _ in sample.values) or "none"
            return (
                f"the sample has no quantity; map one in the plan's values; it has {names:.160}"
            )
        at_us = _corrected(sample, heard)
        state = self._states.setdefault(rule.name, SensorState())
        self._changed.add(rule.name)
        if (
            state.samples
            and abs((at_us or message.received_us) - state.samples[0][0]) > rule.span_us
        ):
            self._end(rule, state, outcome)
        _tell_time(state, at_us, heard, message.received_us)
        state.samples.append((at_us or message.received_us, quantities))
        state.messages.append(message.sha256)
        state.received_us = max(state.received_us, message.received_us)
        if len(state.samples) >= rule.batch:
            self._end(rule, state, outcome)
        return None

    def take_tick(self, now_us: int, *, everything: bool, outcome: Outcome) -> None:
        """End what has waited for long enough, or all of it."""
        # By name, so that the order is the same after a restart.
        for name in sorted(self._states):
            state, rule = self._states[name], self._rules[name]
            is_due = everything or now_us - state.received_us >= rule.idle_us
            if state.samples and is_due:
                self._end(rule, state, outcome)

    def next_tick_us(self) -> int | None:
        """Return when a tick would first end something, None where nothing waits."""
        due = (
            state.received_us + self._rules[name].idle_us
            for name, state in self._states.items()
            if state.samples
        )
        return min(due, default=None)

    def shift_clock(self, step_us: int) -> None:
        """Go on as if the gateway's clock had always been `step_us` later."""
        for name, state in self._states.items():
            state.received_us += step_us
            self._changed.add(name)

    def encode_parts(self) -> dict[str, bytes]:
        """Return the state of each sensor that changed since the last call, by its name."""
        parts = {
            f"{_PREFIX}{name}": msgspec.msgpack.encode(self._states[name])
            for name in sorted(self._changed)
        }
        self._changed.clear()
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> dict[str, list[Unresolved]]:
        """Take back what `encode_parts` wrote; return what the plan no longer has."""
        gone: dict[str, list[Unresolved]] = {}
        for part, data in parts.items():
            name = part.removeprefix(_PREFIX)
            state = msgspec.msgpack.decode(data, type=SensorState)
            if name in self._rules:
                self._states[name] = state
            else:
                gone[part] = _describe(name, state)
        return gone

    def _end(self, rule: SensorRule, state: SensorState, outcome: Outcome) -> None:
        self._changed.add(rule.name)
        state.made += 1
        ground = Ground(
            party=rule.party,
            place=rule.name,
            ordinal=state.made,
            messages=tuple(state.messages),
            untimed=state.untimed,
            clock=describe_clock(_times(state)) if state.error_us else None,
        )
        outcome.add_events([interpret_samples(rule, state.samples)], ground)
        state.samples.clear()
        state.messages.clear()
        state.untimed = state.newest_us = state.shift_us = state.error_us = state.flags = 0


def _corrected(sample: Sample, heard: Heard | None) -> int | None:
    """Return when the sample was taken, None where nothing but its receipt is known.

    A time of 1970 beside others that are set is no time.
    """
    if sample.time_us is None or heard is None or heard.is_untimed:
        return None
    if not heard.is_unset and not is_clock_set(sample.time_us):
        return None
    return sample.time_us - heard.shift_us


def _tell_time(
    state: SensorState, at_us: int | None, heard: Heard | None, received_us: int
) -> None:
    """Take into the next event what is to be said of a sample's time."""
    shift_us = 0
    if at_us is None or heard is None:
        state.untimed += 1
    else:
        shift_us = heard.shift_us
        state.error_us = max(state.error_us, heard.error_us)
        state.flags |= heard.flags
    if (at_us or received_us) >= state.newest_us:
        state.newest_us, state.shift_us = at_us or received_us, shift_us


def _times(state: SensorState) -> Times:
    return Times(
        last_us=state.newest_us,
        shift_us=state.shift_us,
        error_us=state.error_us,
        flags=state.flags,
    )


def _describe(place: str, state: SensorState) -> list[Unresolved]:
    if not state.samples:
        return []
    times = [at for at, _ in state.samples]
    why = f"the plan no longer has this sensor, and {len(times)} samples were in no event"
    return [Unresolved(place=place, first_us=min(times), last_us=max(times), why=why, epcs=())]
