"""The capture plan: which reader stands where, and what its reads mean. Types only.

A *station* is a place in the process that some reader's antennas watch. What passes there in
one go is a pass, and each *emit* of the station turns an ended pass into at most one
kind of EPCIS event. A *sensor* is a device whose samples are about an asset or a place.
The text of a plan, its rules and its errors are in `ingest.planfile`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ingest.mapping import MappingRule
from ingest.topics import filters_meet, topic_matches

Action = Literal["ADD", "OBSERVE", "DELETE"]
Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who signs: `id` is the issuer's URI, `prefixes` its GS1 company prefixes."""

    id: str
    name: str
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The business context that an event carries: bare CBV words, (type, id) pairs."""

    biz_step: str | None = None
    disposition: str | None = None
    sources: tuple[tuple[str, str], ...] = ()
    destinations: tuple[tuple[str, str], ...] = ()
    transactions: tuple[tuple[str | None, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Which passes an emit is about, and which of their tags, after GS1 ALE 1.1.

    `way` asks for a direction. `report` is of the tags of the pass ("current"), those that the
    pass before it did not have ("additions"), or those that only the one before had
    ("deletions").
    """

    way: Literal["in", "out"] | None = None
    report: Literal["current", "additions", "deletions"] = "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEmit:
    """An ObjectEvent about the EPCs of the pass that match `epcs`."""

    why: Why
    action: Action
    epcs: tuple[str, ...]
    ilmd: Json
    when: When = When()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingRule:
    """A case is scanned, then its items, no further apart than the pause; so many, if not 0."""

    pause_us: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationEmit:
    """An AggregationEvent or AssociationEvent: `parent` holds, or held, `children`.

    `children` of None says with DELETE that all children are out. With `packing` the order of
    the reads tells which children are in which parent (`ingest.packing`).
    """

    type: Literal["AggregationEvent", "AssociationEvent"]
    why: Why
    action: Action
    parent: tuple[str, ...]
    children: tuple[str, ...] | None
    when: When = When()
    packing: PackingRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformationEmit:
    """A TransformationEvent of the station's batch: EPCs that match `outputs` come out."""

    why: Why
    outputs: tuple[str, ...]
    ilmd: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEmit:
    """A TransactionEvent: the EPCs that match `epcs` belong to `why.transactions`."""

    why: Why
    action: Action
    epcs: tuple[str, ...]
    when: When = When()


Emit = ObjectEmit | AggregationEmit | TransformationEmit | TransactionEmit


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionRule:
    """The antennas on both sides of a station; so many percent of the votes make a way."""

    inside: tuple[int, ...]
    outside: tuple[int, ...]
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRule:
    """An input of the reader that tells when something passes: high, or low if not `is_high`.

    A window ends when the input goes back, or after `window_us`.
    """

    port: int
    is_high: bool
    window_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A place in the process: what it hears, where it is, how passes end, what they mean.

    A pass ends after `gap_us` without a read by the readers' clocks, after `idle_us` without a
    message by the gateway's clock, or once it lasted `pass_us`. The gap adapts down to
    `gap_least_us`. `include` and `exclude` are patterns of tags, the next two tell strays. With
    `cycle_us` passes follow each other without a pause, empty ones too (ALE event cycles).
    """

    name: str
    party: str
    topics: tuple[str, ...]
    antennas: frozenset[int] | None
    read_point: str
    biz_location: str | None
    timezone: str
    gap_us: int
    idle_us: int
    pass_us: int
    min_reads: int
    emits: tuple[Emit, ...]
    gap_least_us: int
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rssi_least_cdbm: int | None = None
    stray_percent: int = 0
    cycle_us: int = 0
    direction: DirectionRule | None = None
    trigger: TriggerRule | None = None

    @property
    def compares(self) -> bool:
        """Whether some emit asks what came or went since the pass before."""
        return any(
            one.when.report != "current"
            for one in self.emits
            if not isinstance(one, TransformationEmit)
        )

    @property
    def transformation(self) -> TransformationEmit | None:
        """The one emit that makes batches of this station into events."""
        found = [one for one in self.emits if isinstance(one, TransformationEmit)]
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorRule:
    """A device, what its samples are about, and how many of them make one event.

    Exactly one of `asset` and `place` is set. `values` maps the payload's names to quantities.
    """

    name: str
    device: str
    device_uri: str
    topics: tuple[str, ...]
    party: str
    asset: str | None
    place: str | None
    biz_step: str
    timezone: str
    batch: int
    span_us: int
    idle_us: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRule:
    """What is expected of the reader, or of the bridge, that publishes on `topics`.

    `is_numbered` says that it numbers its events without holes, so that a hole is a loss.
    It is silent after two `heartbeat_us` without a message (0: nothing is expected). Event
    numbers may come out of order within `grace_us`. Fewer than `messages_min` messages a minute
    are an alarm; none of that is about tags: a gate where nothing passes is no fault.
    """

    name: str
    topics: tuple[str, ...]
    heartbeat_us: int
    grace_us: int
    messages_min: int
    skew_max_us: int
    is_numbered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole plan, valid as such; `sha256` is over its text.

    `device_keys` are the public keys of devices that sign for themselves, by kid.
    """

    name: str
    parties: tuple[Party, ...]
    stations: tuple[Station, ...]
    sensors: tuple[SensorRule, ...]
    sha256: bytes
    readers: tuple[ReaderRule, ...] = ()
    mappings: tuple[MappingRule, ...] = ()
    device_keys: Mapping[bytes, bytes] = field(default_factory=dict)


def find_stations(plan: Plan, topic: str) -> tuple[Station, ...]:
    """Return the stations that take `topic`, in the order of the plan."""
    return tuple(
        station
        for station in plan.stations
        if any(topic_matches(pattern, topic) for pattern in station.topics)
    )


def find_station(stations: tuple[Station, ...], antenna: int | None) -> Station | None:
    """Return the first of `stations` that takes a read of `antenna`."""
    for station in stations:
        if station.antennas is None or antenna in station.antennas:
            return station
    return None


def find_sensor(plan: Plan, topic: str, devices: tuple[str, ...]) -> SensorRule | None:
    """Return the first sensor of the plan that one of `devices` names, best name first."""
    for device in devices:
        for rule in plan.sensors:
            if rule.device.lower() == device.lower() and any(
                topic_matches(pattern, topic) for pattern in rule.topics
            ):
                return rule
    return None


def find_reader(plan: Plan, topic: str) -> ReaderRule | None:
    """Return what the plan expects of the reader that publishes on `topic`."""
    for rule in plan.readers:
        if any(topic_matches(pattern, topic) for pattern in rule.topics):
            return rule
    return None


def stations_of_reader(plan: Plan, topic: str) -> tuple[Station, ...]:
    """Return the stations of the reader that publishes on `topic`, by whatever topic they go.

    A reader may tell of itself and of its inputs on another topic than of tags.
    """
    rule = find_reader(plan, topic)
    if rule is None:
        return ()
    return tuple(
        station
        for station in plan.stations
        if any(filters_meet(one, other) for one in rule.topics for other in station.topics)
    )
