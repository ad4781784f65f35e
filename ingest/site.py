"""All stations and sensors of a gateway, as one machine that messages are fed to in order.

`Site.take_message` is the whole of a gateway's meaning: the events that come out depend on
the plan, the secret and the messages in order, and on nothing else. Time passes for it only
by messages; a *tick* is a message that the gateway keeps in its own inbox when a place
has been silent for long enough. Its own messages are

    $tick   {"time_us":1767600000000000,"all":false}            `all` ends whatever is open
    $quota  {"from_us":…,"to_us":…,"topics":{"gate/r":17}}      what it refused for want of room
    $refused {…}                 statements that the ledger does not take (`ingest.refusals`)
    $session {"from_us":…,"to_us":…}                            the broker forgot its session
    $clock  {"time_us":…,"step_us":-3600000000}                 its clock was set
    $again  {"topic":"gate/r","payload":"…","time_us":…}        it came again (`ingest.inbox`)

A step of its clock moves what waits for that clock, so that no pass ends for it. Between two
messages the state can be written out and read back, place by place (`encode_parts`,
`restore`), and nothing changes.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from ingest import stations
from ingest.clockroom import Batch, ClockRoom
from ingest.clocks import SKEW_US
from ingest.decode import Decoded, Known, decode_message
from ingest.drafts import Outcome, Unresolved
from ingest.plan import (
    Plan,
    Station,
    find_reader,
    find_station,
    find_stations,
    stations_of_reader,
)
from ingest.readers.sparkplug import Node, is_sparkplug_topic
from ingest.reads import (
    AGAIN_TOPIC,
    CLOCK_TOPIC,
    NOT_A_READ,
    OWN_TOPICS,
    QUOTA_TOPIC,
    REFUSED_TOPIC,
    SESSION_TOPIC,
    AgainMessage,
    BatchEnded,
    BatchStarted,
    Fault,
    LineMessage,
    Message,
    PortChange,
    Read,
    Sample,
    Signed,
    Vital,
)
from ingest.refusals import RefusedMessage
from ingest.roster import ClockMessage, QuotaMessage, ReaderView, Roster, SessionMessage
from ingest.samples import SampleRoom
from ingest.stations import StationState

ROUTES_MAX = 10_000
NODE_PART = "node:"
_STATION = "station:"
_UNUSED_INPUT: str | None = "an input changed, which no station of the plan uses"


class _Tick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    time_us: int
    all: bool


def encode_tick(time_us: int, *, everything: bool) -> bytes:
    """Return the payload of a tick."""
    return msgspec.json.encode(_Tick(time_us=time_us, all=everything))


class Site:
    """The machine: a plan, and the state of each place."""

    def __init__(self, plan: Plan) -> None:
        """Begin with nothing open."""
        self.plan = plan
        self._stations = {one.name: one for one in plan.stations}
        self._station_states: dict[str, StationState] = {}
        self._routes: dict[str, tuple[Station, ...]] = {}
        self._changed: set[str] = set()
        self._known = Known(mappings=plan.mappings, keys=plan.device_keys)
        self._nodes = self._known.nodes
        self.roster = Roster(plan)
        self.clocks = ClockRoom(self._skew_of)
        self.samples = SampleRoom(plan)

    def take_message(self, message: Message, outcome: Outcome) -> None:
        """Add to `outcome` what `message` leads to."""
        if message.topic in OWN_TOPICS:
            self._take_own(message, outcome)
            return
        outcome.counts["messages"] += 1
        self._take_decoded(message, decode_message(message, self._known), outcome)

    def _take_decoded(self, message: Message, decoded: Decoded, outcome: Outcome) -> None:
        outcome.counts["unknown fields"] += decoded.unknown
        outcome.faults += [(message.id, fault) for fault in decoded.faults]
        vitals = [one for one in decoded.others if isinstance(one, Vital)]
        reader, is_repeat = self.roster.take_message(message, vitals, outcome)
        if is_repeat:
            outcome.counts["repeats by number"] += 1
            return
        refused: Counter[str] = Counter()
        hidden = list(decoded.faults)
        samples = [one for one in decoded.others if isinstance(one, Sample)]
        if samples:
            self.roster.hear_samples(reader, message.topic, samples)
        heard = self.clocks.hear_samples(message, decoded.others)
        for item in decoded.others:
            if isinstance(item, Sample):
                why = self.samples.take(item, message, heard.get(item.clock), outcome)
            else:
                why = self._take_item(item, message, outcome)
            if isinstance(item, Vital):
                continue
            if why is None:
                outcome.taken[message.id] += 1
                continue
            refused[why] += 1
            if isinstance(item, Sample | LineMessage) and not why.startswith(NOT_A_READ):
                hidden.append(Fault(where="", why=why))
        if decoded.reads:
            refused += self._take_reads(decoded, message, outcome)
        for why, count in refused.items():
            said = why if count == 1 else f"{why} ({count} times)"
            outcome.faults.append((message.id, Fault(where="", why=said)))
        self.roster.take_content(reader, message, decoded.reads, hidden)

    def _take_item(
        self,
        item: LineMessage | Vital | PortChange | Signed,
        message: Message,
        outcome: Outcome,
    ) -> str | None:
        """Take what is no read; return why it cannot be taken, if it cannot."""
        match item:
            case Vital():
                outcome.counts["vitals"] += 1
                if item.needs_birth and item.reader is not None:
                    outcome.births.add(item.reader)
                return None
            case Signed():
                outcome.counts["signed by devices"] += 1
                outcome.signed.append(item)
                return None
            case PortChange():
                return self._take_input(item, message, outcome)
            case _:
                return self._take_line(item, message, outcome)

    def readers(self, now_us: int) -> list[ReaderView]:
        """Return how each reader is at `now_us`, by name."""
        return self.roster.views(now_us, self.clocks.views())

    @property
    def is_open(self) -> bool:
        """Whether something that was taken is in no statement yet."""
        due = [*self._stations_due(), self.samples.next_tick_us(), self.clocks.next_tick_us()]
        return self.roster.is_open or any(one is not None for one in due)

    def next_tick_us(self) -> int | None:
        """Return when a tick would first end something, None where nothing is open."""
        due = self._stations_due()
        due += [room.next_tick_us() for room in (self.samples, self.roster, self.clocks)]
        return min((one for one in due if one is not None), default=None)

    def _stations_due(self) -> list[int | None]:
        return [
            stations.next_tick_us(self._stations[name], state)
            for name, state in self._station_states.items()
        ]

    def encode_parts(self) -> dict[str, bytes]:
        """Return the state of each place that changed since the last call, by its name."""
        parts = self.samples.encode_parts()
        for name in sorted(self._changed):
            parts[f"{_STATION}{name}"] = msgspec.msgpack.encode(self._station_states[name])
        self._changed.clear()
        for name in sorted(self._nodes.touched):
            parts[f"{NODE_PART}{name}"] = msgspec.msgpack.encode(self._nodes.known[name])
        self._nodes.touched.clear()
        return parts | self.roster.encode_parts() | self.clocks.encode_parts()

    def restore(self, parts: Mapping[str, bytes]) -> dict[str, list[Unresolved]]:
        """Take back what all calls of `encode_parts` wrote, the newest of each name.

        Returns the names of the places that the plan no longer has, with what was open there.
        """
        gone: dict[str, list[Unresolved]] = {}
        for name, data in parts.items():
            kind, _, place = name.partition(":")
            if kind == "node":
                self._nodes.known[place] = msgspec.msgpack.decode(data, type=Node)
                continue
            if kind == "clock":
                self.clocks.restore({name: data})
                continue
            if kind == "reader":
                self.roster.restore({name: data})
                continue
            if kind == "station":
                state = msgspec.msgpack.decode(data, type=StationState)
                if place in self._stations:
                    self._station_states[place] = state
                else:
                    gone[name] = stations.describe_open(place, state)
                continue
            gone |= self.samples.restore({name: data})
        return gone

    def _take_own(self, message: Message, outcome: Outcome) -> None:
        match message.topic:
            case quota if quota == QUOTA_TOPIC:
                refused = msgspec.json.decode(message.payload, type=QuotaMessage)
                self.roster.take_quota(refused, outcome)
            case session if session == SESSION_TOPIC:
                lost = msgspec.json.decode(message.payload, type=SessionMessage)
                self.roster.take_session(lost, outcome)
            case clock if clock == CLOCK_TOPIC:
                step_us = msgspec.json.decode(message.payload, type=ClockMessage).step_us
                self._shift_clock(step_us)
            case parked if parked == REFUSED_TOPIC:
                told = msgspec.json.decode(message.payload, type=RefusedMessage)
                self.roster.take_refused(told, outcome)
            case again if again == AGAIN_TOPIC:
                self._take_again(message, outcome)
            case _:
                tick = msgspec.json.decode(message.payload, type=_Tick)
                self._take_tick(tick, outcome)
                self.roster.take_tick(tick.time_us, everything=tick.all, outcome=outcome)

    def _take_again(self, message: Message, outcome: Outcome) -> None:
        """Take what came again byte for byte, if it says neither time nor number."""
        said = msgspec.json.decode(message.payload, type=AgainMessage)
        again = replace(message, topic=said.topic, payload=said.payload)
        if is_sparkplug_topic(said.topic):
            return  # says times and numbers, and would teach its node the same again
        decoded = decode_message(again, self._known)
        if decoded.is_timeless:
            outcome.counts["taken again"] += 1
            self._take_decoded(again, decoded, outcome)

    def _shift_clock(self, step_us: int) -> None:
        for name, state in self._station_states.items():
            stations.shift_clock(state, step_us)
            self._changed.add(name)
        for room in (self.samples, self.roster, self.clocks):
            room.shift_clock(step_us)

    def _take_tick(self, tick: _Tick, outcome: Outcome) -> None:
        self._take_batches(self.clocks.settle(tick.time_us, everything=tick.all), outcome)
        # By name, so that the order is the same after a restart.
        for name in sorted(self._station_states):
            state = self._station_states[name]
            if stations.take_tick(
                self._stations[name], state, tick.time_us, everything=tick.all, outcome=outcome
            ):
                self._changed.add(name)
        self.samples.take_tick(tick.time_us, everything=tick.all, outcome=outcome)

    def _stations_of(self, topic: str) -> tuple[Station, ...]:
        found = self._routes.get(topic)
        if found is None:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            found = self._routes[topic] = find_stations(self.plan, topic)
        return found

    def _state_of(self, station: Station) -> StationState:
        self._changed.add(station.name)
        state = self._station_states.get(station.name)
        if state is None:
            state = self._station_states[station.name] = StationState()
        return state

    def _take_reads(self, decoded: Decoded, message: Message, outcome: Outcome) -> Counter[str]:
        """Take the reads that some station wants; return why the others cannot be taken."""
        refused: Counter[str] = Counter()
        reads = decoded.reads
        outcome.counts["reads"] += len(reads)
        found = self._stations_of(message.topic)
        if not found or found[0].antennas is not None:
            reads = [one for one in reads if find_station(found, one.antenna) is not None]
        if len(reads) < len(decoded.reads):
            for one in decoded.reads:
                if find_station(found, one.antenna) is None:
                    antenna = "" if one.antenna is None else f", antenna {one.antenna}"
                    why = f"no station of the plan takes the topic {message.topic!r:.120}"
                    refused[why + antenna] += 1
        outcome.taken[message.id] += len(reads)
        if reads:
            batches = self.clocks.take(message, reads, is_uniform=decoded.is_uniform)
            self._take_batches(batches, outcome)
        return refused

    def _take_batches(self, batches: Iterable[Batch], outcome: Outcome) -> None:
        for batch in batches:
            found = self._stations_of(batch.topic)
            if found and found[0].antennas is None:
                state = self._state_of(found[0])
                stations.take_reads(found[0], state, batch.reads, batch.heard, outcome)
                continue
            by_station: dict[str, list[Read]] = {}
            for read in batch.reads:
                station = find_station(found, read.antenna)
                if station is not None:  # the plan may have changed since it was wanted
                    by_station.setdefault(station.name, []).append(read)
            for name, reads in by_station.items():
                station = self._stations[name]
                state = self._state_of(station)
                stations.take_reads(station, state, reads, batch.heard, outcome)

    def _take_input(self, change: PortChange, message: Message, outcome: Outcome) -> str | None:
        """Take an input of a reader that changed into the stations whose trigger it is."""
        is_used = False
        at_us = self.clocks.corrected(
            message.topic, change.source, change.time_us, message.received_us
        )
        found = self._stations_of(message.topic)
        if not found:  # on a topic of the reader's own; its clock is known by another one
            found = stations_of_reader(self.plan, message.topic)
            if abs(at_us - message.received_us) > self._skew_of(message.topic):
                at_us = message.received_us
        for station in found:
            if station.trigger is not None and station.trigger.port == change.port:
                state = self._state_of(station)
                stations.take_input(
                    station, state, is_high=change.is_high, at_us=at_us, outcome=outcome
                )
                is_used = True
        outcome.counts["inputs"] += 1
        return None if is_used else _UNUSED_INPUT

    def _skew_of(self, topic: str) -> int:
        rule = find_reader(self.plan, topic)
        return SKEW_US if rule is None else rule.skew_max_us

    def _take_line(self, line: LineMessage, message: Message, outcome: Outcome) -> str | None:
        found = self._stations_of(message.topic)
        if not found:
            return f"no station of the plan takes the topic {message.topic!r:.120}"
        outcome.counts["line messages"] += 1
        station = found[0]
        if isinstance(line, BatchStarted | BatchEnded):
            station = next((one for one in found if one.transformation), station)
        state = self._state_of(station)
        return stations.take_line(station, state, line, message, outcome)
