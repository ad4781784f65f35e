"""All readers of a gateway: who a message is from, what it concerns, how each of them is.

A reader is one that the plan names, by its topics, else a topic by itself. What is missing
from a reader is missing at the read points of the stations that take its topic, or, where no
station does, from what the sensors there are about.

State of a reader, by the gateway's clock, the first that holds:

    offline    it, or its last will, said so
    silent     nothing for two heartbeats
    clock-bad  its times must be corrected, or cannot be trusted (`ingest.clocks`)
    degraded   it said so, or sends fewer messages a minute than the plan expects
    online     none of these

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from ingest import watch
from ingest.clockroom import ClockView
from ingest.drafts import Notice, Outcome
from ingest.plan import (
    Plan,
    ReaderRule,
    SensorRule,
    Station,
    find_reader,
    find_sensor,
    find_stations,
    stations_of_reader,
)
from ingest.reads import Fault, Message, Read, Sample, Vital
from ingest.refusals import RefusedMessage, refusal_notices
from ingest.topics import filters_meet, sender_of, topic_matches
from ingest.watch import WatchState
from ledger.gs1.epc import canonical_key

READERS_MAX = 10_000
MINUTE_US = 60_000_000
_OTHERS = "other readers"
_PREFIX = "reader:"

Condition = Literal["online", "degraded", "silent", "clock-bad", "offline"]


class QuotaMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's own message of what it refused: counts by topic, between two instants."""

    from_us: int
    to_us: int
    topics: dict[str, int]


class SessionMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's own message that the broker forgot its session, with all it held."""

    from_us: int
    to_us: int


class ClockMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's own message that its clock was set, by how much, at its new time."""

    time_us: int
    step_us: int


@dataclass(slots=True)
class Tally:
    """What came from one reader since the gateway started; `minute` is the newest whole one."""

    messages: int = 0
    reads: int = 0
    faults: int = 0
    gaps: int = 0
    minute: int = 0
    in_minute: int = 0
    last_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderView:
    """One reader as the operator sees it; `skew_us` is None before its first timed message.

    `clock` is the worst of the clocks that its messages were timed by.
    """

    name: str
    condition: Condition
    heard_us: int
    skew_us: int | None
    messages: int
    reads: int
    faults: int
    gaps: int
    clock: ClockView | None = None


class Roster:
    """The readers of one plan, and what is remembered of each."""

    def __init__(self, plan: Plan) -> None:
        """Begin with readers that nobody has heard."""
        self._plan = plan
        self._rules = {one.name: one for one in plan.readers}
        self._states: dict[str, WatchState] = {}
        self._tallies: dict[str, Tally] = {}
        self._names: dict[str, str] = {}
        self._sources: dict[str, tuple[tuple[str, str], ...]] = {}
        self._changed: set[str] = set()

    def take_message(
        self, message: Message, vitals: Sequence[Vital], outcome: Outcome
    ) -> tuple[str, bool]:
        """Return the reader that `message` is from, and whether all of it came before."""
        name = self._name_of(message.topic)
        rule, state = self._rules.get(name), self._states.get(name)
        found = []
        if state is None:
            state = self._states[name] = WatchState(message.received_us)
        sources = self._sources_at(name, message.topic)
        self._changed.add(name)
        found += watch.take_message(name, state, rule, message, sources)
        repeats = 0
        for vital in vitals:
            is_counted = vital.boot is not None or (rule is not None and rule.is_numbered)
            more, is_repeat = watch.take_vital(
                name, state, vital, message, sources, is_counted=is_counted
            )
            found += more
            repeats += is_repeat
        if state.refused is not None or state.counters:
            found += watch.settle(name, state, rule, message.received_us, sources)
        self._tell(name, found, outcome)
        numbered = sum(one.number is not None for one in vitals)
        return name, repeats > 0 and repeats == numbered

    def take_content(
        self, name: str, message: Message, reads: Sequence[Read], faults: Sequence[Fault]
    ) -> None:
        """Note what `message` of the reader `name` held, and what of it was not taken."""
        state, tally = self._states[name], self._tally_of(name)
        tally.messages += 1
        tally.reads += len(reads)
        minute = message.received_us // MINUTE_US
        if minute != tally.minute:
            tally.last_minute = tally.in_minute if minute == tally.minute + 1 else 0
            if tally.minute == 0:
                tally.last_minute = None
            tally.minute, tally.in_minute = minute, 0
        tally.in_minute += 1
        hidden = [
            f"{one.where}: {one.why}" if one.where else one.why
            for one in faults
            if one.hides_reads
        ]
        if hidden and self._sources_at(name, message.topic):
            tally.faults += len(hidden)
            watch.take_faults(state, message, hidden)

    def hear_samples(self, name: str, topic: str, samples: Iterable[Sample]) -> None:
        """Note which sensors with the filter `#` are on a topic that says nothing of them."""
        if self._sources_of(topic):
            return
        known = self._states[name].sensors
        for one in samples:
            rule = find_sensor(self._plan, topic, one.devices)
            if rule is not None and rule.name not in known:
                known.append(rule.name)
                self._changed.add(name)

    def take_quota(self, quota: QuotaMessage, outcome: Outcome) -> None:
        """Tell of messages that the gateway refused."""
        by_reader: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        for topic, count in quota.topics.items():
            name = self._name_of(topic)
            by_reader[name, self._sources_at(name, topic)] += count
        for (name, sources), count in by_reader.items():
            span = (quota.from_us, quota.to_us)
            self._tell(name, watch.quota_notices(name, span, count, sources), outcome)

    def take_refused(self, refused: RefusedMessage, outcome: Outcome) -> None:
        """Tell of what the ledger refused, for a party that the plan signs for."""
        if canonical_key(refused.party) in self.parties:
            self._tell("ledger", refusal_notices(refused), outcome)

    @property
    def parties(self) -> frozenset[str]:
        """The keys of the parties that the plan signs for."""
        parties = [one.party for one in self._plan.stations]
        parties += [one.party for one in self._plan.sensors]
        return frozenset(map(canonical_key, parties))

    def take_session(self, lost: SessionMessage, outcome: Outcome) -> None:
        """Tell of what the broker may have held for us and forgot."""
        sources = _station_sources(self._plan.stations)
        span = (lost.from_us, lost.to_us)
        self._tell("broker", watch.session_notices(span, sources), outcome)

    def take_tick(self, now_us: int, *, everything: bool, outcome: Outcome) -> None:
        """Tell of what is missing for good by now; `everything` waits for no late message.

        The end of a recording is no silence: with `everything` none is told of.
        """
        for name in self._rules.keys() - self._states.keys():
            if not everything:
                self._states[name] = WatchState(now_us)
                self._changed.add(name)
        for name, state in sorted(self._states.items(), key=lambda item: item[0]):
            own = self._rules.get(name)
            due_us = watch.due_us(state, own)
            if due_us is None or (now_us < due_us and not everything):
                continue
            sources = self._sources_of_reader(name, state)
            at_us = now_us
            if everything:
                at_us = max(now_us, due_us + watch.QUARANTINE_WINDOW_US)
                at_us += watch.GRACE_US if own is None else own.grace_us
                own = None
            self._changed.add(name)
            self._tell(name, watch.settle(name, state, own, at_us, sources), outcome)

    @property
    def is_open(self) -> bool:
        """Whether something that came, or came not, is in no notice yet; silence may begin."""
        return any(
            state.refused is not None or any(one.holes for one in state.counters.values())
            for state in self._states.values()
        )

    def next_tick_us(self) -> int | None:
        """Return when a tick would first find something missing, None where nothing is due."""
        due = [watch.due_us(one, self._rules.get(name)) for name, one in self._states.items()]
        if any(
            (rule.heartbeat_us or rule.messages_min) and name not in self._states
            for name, rule in self._rules.items()
        ):
            return 0
        return min((one for one in due if one is not None), default=None)

    def shift_clock(self, step_us: int) -> None:
        """Go on as if the gateway's clock had always been `step_us` later."""
        for name, state in self._states.items():
            watch.shift_clock(state, step_us)
            self._changed.add(name)

    def encode_parts(self) -> dict[str, bytes]:
        """Return the state of each reader that changed since the last call, by its name."""
        parts = {
            f"{_PREFIX}{name}": msgspec.msgpack.encode(self._states[name])
            for name in sorted(self._changed)
        }
        self._changed.clear()
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take back what `encode_parts` wrote."""
        for name, data in parts.items():
            state = msgspec.msgpack.decode(data, type=WatchState)
            self._states[name.removeprefix(_PREFIX)] = state

    def views(self, now_us: int, clocks: Iterable[ClockView] = ()) -> list[ReaderView]:
        """Return how each reader is at `now_us`, by name; `clocks` are those of its devices."""
        worst: dict[str, ClockView] = {}
        for one in clocks:
            name = self._name_of(one.topic)
            known = worst.get(name)
            if known is None or _badness(one) > _badness(known):
                worst[name] = one
        names = sorted(self._states.keys() | self._rules.keys())
        return [self._view(name, now_us, worst.get(name)) for name in names]

    def _view(self, name: str, now_us: int, clock: ClockView | None) -> ReaderView:
        state = self._states.get(name) or WatchState(0)
        tally = self._tallies.get(name) or Tally()
        return ReaderView(
            name=name,
            condition=self._condition(name, (state, tally, clock), now_us),
            heard_us=state.heard_us,
            skew_us=None if clock is None else clock.offset_us,
            clock=clock,
            messages=tally.messages,
            reads=tally.reads,
            faults=tally.faults,
            gaps=tally.gaps,
        )

    def _condition(
        self, name: str, known: tuple[WatchState, Tally, ClockView | None], now_us: int
    ) -> Condition:
        rule = self._rules.get(name)
        state, tally, clock = known
        if state.said == "offline":
            return "offline"
        limit_us = 0 if rule is None else watch.HEARTBEATS_MISSED * rule.heartbeat_us
        if limit_us and now_us - state.heard_us > limit_us:
            return "silent"
        if clock is not None and clock.is_bad:
            return "clock-bad"
        least = 0 if rule is None else rule.messages_min
        slow = least > 0 and _is_slow(state, tally, least, now_us)
        return "degraded" if slow or state.said == "degraded" else "online"

    def _tell(self, name: str, found: Sequence[Notice], outcome: Outcome) -> None:
        if found:
            self._tally_of(name).gaps += len(found)
            outcome.notices += found
            outcome.counts["gaps"] += len(found)

    def _tally_of(self, name: str) -> Tally:
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = Tally()
        return tally

    def _name_of(self, topic: str) -> str:
        name = self._names.get(topic)
        if name is None:
            rule: ReaderRule | None = find_reader(self._plan, topic)
            full = len(self._names) >= READERS_MAX
            name = rule.name if rule is not None else _OTHERS if full else sender_of(topic)
            if not full:
                self._names[topic] = name
        return name

    def _sources_of(self, topic: str) -> tuple[tuple[str, str], ...]:
        """Return whose gaps at which places a message on `topic` would leave."""
        found = self._sources.get(topic)
        if found is None:
            found = _station_sources(find_stations(self._plan, topic))
            if not found:
                found = tuple(
                    _about(one)
                    for one in self._plan.sensors
                    if "#" not in one.topics
                    and any(topic_matches(pattern, topic) for pattern in one.topics)
                ) or _station_sources(stations_of_reader(self._plan, topic))
            if len(self._sources) < READERS_MAX:
                self._sources[topic] = found
        return found

    def _sources_at(self, name: str, topic: str) -> tuple[tuple[str, str], ...]:
        """Return the same, of the sensors that were heard there if the topic says nothing."""
        found, state = self._sources_of(topic), self._states.get(name)
        if found or state is None or not state.sensors:
            return found
        return tuple(_about(one) for one in self._plan.sensors if one.name in state.sensors)

    def _sources_of_reader(self, name: str, state: WatchState) -> tuple[tuple[str, str], ...]:
        if state.topic:
            return self._sources_at(name, state.topic)
        rule = self._rules.get(name)
        if rule is None:
            return ()
        meeting = tuple(
            station
            for station in self._plan.stations
            if any(filters_meet(a, b) for a in rule.topics for b in station.topics)
        )
        return _station_sources(meeting)


def _is_slow(state: WatchState, tally: Tally, least: int, now_us: int) -> bool:
    """Return whether the newest whole minute had fewer messages than `least`.

    One that was not heard since the gateway started is slow after two minutes of it.
    """
    if not tally.minute:
        return 0 < state.heard_us < now_us - 2 * MINUTE_US
    rate = tally.last_minute
    if now_us // MINUTE_US > tally.minute + 1:
        rate = None if rate is None else 0
    return rate is not None and rate < least


def _badness(clock: ClockView) -> tuple[bool, int]:
    return clock.is_bad, abs(clock.offset_us)


def _station_sources(stations: Sequence[Station]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((one.party, one.read_point) for one in stations))


def _about(rule: SensorRule) -> tuple[str, str]:
    return rule.party, rule.asset or rule.place or rule.device_uri
