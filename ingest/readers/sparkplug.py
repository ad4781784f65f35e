"""Sparkplug B: what edge nodes and their devices publish, aliases resolved by their births.

Sparkplug 3.0 chapters 4 to 6. The topic says who speaks and how:

    spBv1.0/GROUP/NBIRTH/NODE           spBv1.0/GROUP/DDATA/NODE/DEVICE

NBIRTH begins a session: its number is in the metric `bdSeq`, its `seq` is 0, and each further
message of the node has the next `seq`, modulo 256. Births name each metric and may give it an
alias, one for the whole node; data messages then may say the alias alone. So that a message
can be read, the births before it must be known: a `Node` holds them, and it is part of the
pipeline's state. An alias that no birth gave is a fault, never guessed, and the vital with it
says that the node must announce itself anew (`encode_rebirth`). Each message with a `seq` has a
vital with its number since the birth, so that a missing one shows.

The numbers of a message become one sample for each instant that its metrics name. Texts,
booleans, nulls and data sets are no quantities and are left out. STATE and commands come from
hosts, and are no reads.

Some bridges write a message as JSON, topic and all, and are read the same way:

    {"topic":{"namespace":"spBv1.0","type":"NBIRTH","groupId":"G1","edgeNodeId":"E1"},
     "payload":{"timestamp":1638223073190,"metrics":[{"name":"bdSeq",…}],"seq":0}}

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite

from ingest.readers.fields import check_instant, count_of
from ingest.readers.sparkplugwire import (
    BOOLEAN,
    Metric,
    Payload,
    encode_payload,
    parse_json_payload,
    parse_payload,
    quantity,
)
from ingest.reads import Fault, Item, Parsed, Sample, Vital, not_a_read
from ingest.topics import SPARKPLUG as NAMESPACE
from ledger.errors import ParseError

NODES_MAX = 10_000
NAMES_MAX = 10_000
SEQ_MODULUS = 256
REBIRTH = "Node Control/Rebirth"

_SESSION = "bdSeq"
_KINDS = {"NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"}
_NODE_LEVELS, _DEVICE_LEVELS = 4, 5
_STATE_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Address:
    """Who speaks: `device` is None for the node itself."""

    group: str
    kind: str
    node: str
    device: str | None

    @property
    def source(self) -> str:
        """The node's name, which no other has: group and node."""
        return f"{self.group}/{self.node}"


@dataclass(slots=True)
class Node:
    """What is known of an edge node: its session, and the name and type of each alias.

    `number` is that of its newest message, counted since its birth, below 0 before the first.
    `types` holds the type by the metric's name, for data messages that say no type.
    """

    session: int | None = None
    born_ms: int = 0
    is_born: bool = False
    number: int = -1
    names: dict[int, str] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Nodes:
    """All edge nodes, by group and name; `touched` are those that were heard lately."""

    known: dict[str, Node] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


def is_sparkplug(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is a Sparkplug message written as JSON."""
    topic = obj.get("topic")
    return isinstance(topic, dict) and topic.get("namespace") == NAMESPACE


def is_sparkplug_topic(topic: str) -> bool:
    """Return whether `topic` is one of Sparkplug's."""
    return topic.partition("/")[0] == NAMESPACE


def parse_topic(topic: str) -> Address | str:
    """Return who speaks, or the kind of a message that no node sent; raises `ParseError`."""
    levels = topic.split("/")
    kind = levels[2] if len(levels) > _STATE_LEVELS else levels[1] if len(levels) > 1 else ""
    if len(levels) == _NODE_LEVELS and kind in _KINDS and kind[0] == "N":
        return Address(levels[1], kind, levels[3], None)
    if len(levels) == _DEVICE_LEVELS and kind in _KINDS and kind[0] == "D":
        return Address(levels[1], kind, levels[3], levels[4])
    if kind in {"STATE", "NCMD", "DCMD"}:
        return kind
    raise ParseError("topic", f"{topic!r:.120} is no topic of Sparkplug B 3.0")


def read_message(topic: str, data: bytes, nodes: Nodes) -> Parsed:
    """Return what a message on a Sparkplug topic says; `nodes` learns of births from it.

    Raises `ParseError` where topic or payload are not Sparkplug's.
    """
    who = parse_topic(topic)
    if isinstance(who, str):
        return Parsed(faults=(not_a_read(f"a Sparkplug B message of type {who!r:.40}"),))
    return take_payload(who, parse_payload(data), nodes)


def read_json(obj: Mapping[str, object], nodes: Nodes) -> Parsed:
    """Return what a message written as JSON says, as `read_message` does."""
    topic = obj.get("topic")
    assert isinstance(topic, dict)
    parts = [topic.get(name) for name in ("groupId", "type", "edgeNodeId", "deviceId")]
    levels = [NAMESPACE, *(str(one) for one in parts if isinstance(one, str))]
    who = parse_topic("/".join(levels))
    if isinstance(who, str):
        return Parsed(faults=(not_a_read(f"a Sparkplug B message of type {who!r:.40}"),))
    return take_payload(who, parse_json_payload(obj.get("payload")), nodes)


def take_payload(who: Address, payload: Payload, nodes: Nodes) -> Parsed:
    """Return the items of one message; raises `ParseError` where it cannot be read."""
    node = nodes.known.get(who.source)
    if node is None:
        if len(nodes.known) >= NODES_MAX:
            raise ParseError("topic", f"is of a node beyond the {NODES_MAX} that are known")
        node = nodes.known[who.source] = Node()
    nodes.touched.add(who.source)
    if who.kind in {"NDEATH", "DDEATH"}:
        return _take_death(who, payload, node)
    if who.kind == "NBIRTH":
        session = next((one.value for one in payload.metrics if one.name == _SESSION), None)
        nodes.known[who.source] = node = Node(
            session=count_of(session),
            born_ms=payload.time_ms or 0,
            is_born=True,
        )
    is_birth = who.kind.endswith("BIRTH")
    if is_birth:
        _learn(node, payload.metrics)
    named, unknown = _resolve(node, payload.metrics)
    vital = Vital(
        reader=who.source,
        time_us=_micros(payload.time_ms),
        state="online" if is_birth else None,
        boot=f"{node.session} {node.born_ms}" if node.is_born else None,
        number=_number(node, payload.seq),
        why=who.kind,
        needs_birth=bool(unknown),
    )
    items: list[Item] = [vital, *_samples(who, payload, named)]
    if not unknown:
        return Parsed(items=tuple(items))
    why = "the session's births name no such alias" if node.is_born else "no birth came before"
    fault = Fault(where="metrics", why=f"alias {unknown[:8]}: {why}; the node must be reborn")
    return Parsed(items=tuple(items), faults=(fault,))


def encode_rebirth(source: str) -> tuple[str, bytes]:
    """Return topic and payload of the command that asks the node `source` to be born anew.

    Sparkplug 3.0 section 6.4.26: NCMD with the metric `Node Control/Rebirth` set to true.
    """
    group, _, node = source.partition("/")
    metric = Metric(name=REBIRTH, alias=None, time_ms=None, datatype=BOOLEAN, value=True)
    payload = Payload(time_ms=None, metrics=(metric,), seq=None)
    return f"{NAMESPACE}/{group}/NCMD/{node}", encode_payload(payload)


def _take_death(who: Address, payload: Payload, node: Node) -> Parsed:
    """Return the notice of a death; the will of an earlier session says nothing new."""
    if who.kind == "NDEATH":
        session = next((one.value for one in payload.metrics if one.name == _SESSION), None)
        if node.session is not None and session is not None and session != node.session:
            why = f"the will of session {session}, which is over; the node's is {node.session}"
            return Parsed(faults=(not_a_read(why),))
        node.is_born = False
    vital = Vital(
        reader=who.source,
        time_us=_micros(payload.time_ms),
        state="offline" if who.device is None else "degraded",
        why=who.kind,
    )
    return Parsed(items=(vital,))


def _number(node: Node, seq: int | None) -> int | None:
    """Return the number of a message in its session, from its `seq`, which wraps.

    One that is behind by less than half of the modulus came late.
    """
    if seq is None:
        return None
    ahead = (seq - node.number) % SEQ_MODULUS
    if node.number < 0:
        ahead = seq % SEQ_MODULUS + 1
    elif ahead > SEQ_MODULUS // 2:
        return max(node.number + ahead - SEQ_MODULUS, 0)
    node.number += ahead
    return node.number


def _learn(node: Node, metrics: Iterable[Metric]) -> None:
    """Take the names, aliases and types of a birth; raises `ParseError` past `NAMES_MAX`."""
    for one in metrics:
        if one.name is None:
            continue
        if one.alias is not None:
            node.names[one.alias] = one.name
        if one.datatype is not None:
            node.types[one.name] = one.datatype
    if len(node.names) > NAMES_MAX or len(node.types) > NAMES_MAX:
        raise ParseError("metrics", f"have over {NAMES_MAX} names in one session")


def _resolve(node: Node, metrics: Iterable[Metric]) -> tuple[list[Metric], list[int]]:
    """Return the metrics by name and type, and the aliases that no birth gave."""
    named: list[Metric] = []
    unknown: list[int] = []
    for one in metrics:
        name = one.name
        if name is None and one.alias is not None:
            name = node.names.get(one.alias)
            if name is None:
                unknown.append(one.alias)
        if name is not None:
            kind = node.types.get(name) if one.datatype is None else one.datatype
            named.append(replace(one, name=name, datatype=kind))
    return named, unknown


def _samples(who: Address, payload: Payload, metrics: Iterable[Metric]) -> list[Sample]:
    """Return a sample for each instant of the metrics that are numbers."""
    by_time: dict[int | None, list[tuple[str, float]]] = {}
    for one in metrics:
        number = quantity(one.value, one.datatype)
        if one.name is None or one.name == _SESSION or number is None or not isfinite(number):
            continue
        time_ms = payload.time_ms if one.time_ms is None else one.time_ms
        by_time.setdefault(time_ms, []).append((one.name, number))
    devices = (who.node, who.source)
    if who.device is not None:
        devices = (who.device, f"{who.source}/{who.device}")
    return [
        Sample(devices=devices, time_us=_micros(time_ms), values=tuple(values))
        for time_ms, values in by_time.items()
    ]


def _micros(time_ms: int | None) -> int | None:
    return None if time_ms is None else check_instant(time_ms * 1_000, time_ms, "timestamp")
