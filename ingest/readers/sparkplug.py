"""Sparkplug B, recognised but not decoded: births, deaths and data of edge nodes.

On a topic `spBv1.0/…` the payload is protobuf; some bridges write it as JSON:

    {"topic":{"namespace":"spBv1.0","type":"NBIRTH",…},"payload":{"metrics":[…],"seq":0}}

Either way the message says how a node is, not what tag it saw.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping

from ingest.reads import Fault, not_a_read

NAMESPACE = "spBv1.0"
_TYPE_LEVEL = 2  # spBv1.0/group/TYPE/node


def is_sparkplug(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is a Sparkplug message written as JSON."""
    topic = obj.get("topic")
    return isinstance(topic, dict) and topic.get("namespace") == NAMESPACE


def describe_json(obj: Mapping[str, object], where: str) -> Fault:
    """Return the fault that names the kind of a Sparkplug message written as JSON."""
    topic = obj.get("topic")
    kind = topic.get("type") if isinstance(topic, dict) else None
    return not_a_read(f"a Sparkplug B message of type {kind!r:.40}", where)


def describe_topic(topic: str) -> Fault | None:
    """Return the fault of a message on a Sparkplug topic, None on other topics."""
    levels = topic.split("/")
    if levels[0] != NAMESPACE:
        return None
    kind = levels[_TYPE_LEVEL] if len(levels) > _TYPE_LEVEL else "unknown"
    return not_a_read(f"a Sparkplug B message of type {kind!r:.40}")
