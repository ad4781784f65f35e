"""Topic names and topic filters, after MQTT 5.0 section 4.7.

A filter names topics level by level: `+` stands for one level, `#` as the last level for
any number of them, so that `sites/dairy/#` takes `sites/dairy` too. A filter that
starts with a wildcard takes no topic that starts with `$` (section 4.7.2).

    sites/+/dock-1/#

Refused in a filter: `+` or `#` beside other characters in one level, `#` anywhere but
last, a zero character, nothing at all, more than 65,535 bytes.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable

from ingest.reads import TOPIC_BYTES_MAX
from ledger.errors import ParseError

SPARKPLUG = "spBv1.0"
_SPARKPLUG_LEVELS = (4, 5)


def check_topic_filter(text: str, where: str) -> None:
    """Raise `ParseError` at `where` unless `text` is a topic filter."""
    _check_text(text, where)
    levels = text.split("/")
    for n, level in enumerate(levels):
        if "#" in level and (level != "#" or n != len(levels) - 1):
            raise ParseError(where, f"in {text!r} the # must be the whole last level")
        if "+" in level and level != "+":
            raise ParseError(where, f"in {text!r} a + must be a whole level")


def check_topic(text: str, where: str) -> None:
    """Raise `ParseError` at `where` unless `text` is the name of a topic."""
    _check_text(text, where)
    if "+" in text or "#" in text:
        raise ParseError(where, f"{text!r} is a filter, not a topic: it holds a wildcard")


def topic_matches(pattern: str, topic: str) -> bool:
    """Return whether the filter `pattern`, which was checked before, takes `topic`."""
    if topic.startswith("$") and pattern[:1] in ("+", "#"):
        return False
    wanted, levels = pattern.split("/"), topic.split("/")
    for n, level in enumerate(wanted):
        if level == "#":
            return True
        if n >= len(levels) or level not in ("+", levels[n]):
            return False
    return len(wanted) == len(levels)


def simplify_filters(patterns: Iterable[str]) -> list[str]:
    """Return filters that take the same topics, without those that another one covers."""
    distinct = list(dict.fromkeys(patterns))
    return [
        one
        for one in distinct
        if not any(other != one and _covers(other, one) for other in distinct)
    ]


def _covers(wide: str, narrow: str) -> bool:
    """Return whether the filter `wide` takes every topic that `narrow` takes."""
    wanted, levels = wide.split("/"), narrow.split("/")
    for n, level in enumerate(wanted):
        if level == "#":
            return True
        if n >= len(levels) or levels[n] == "#" or level not in ("+", levels[n]):
            return False
    return len(wanted) == len(levels)


def sender_of(topic: str) -> str:
    """Return who publishes on `topic`: the topic itself, but for Sparkplug B the edge node.

    A node numbers its messages over all of its topics, `spBv1.0/group/TYPE/node[/device]`.
    """
    levels = topic.split("/")
    if levels[0] == SPARKPLUG and len(levels) in _SPARKPLUG_LEVELS:
        return f"{SPARKPLUG}/{levels[1]}/{levels[3]}"
    return topic


def filters_meet(one: str, other: str) -> bool:
    """Return whether some topic is taken by both filters."""
    left, right = one.split("/"), other.split("/")
    for n in range(max(len(left), len(right))):
        a = left[n] if n < len(left) else None
        b = right[n] if n < len(right) else None
        if "#" in (a, b):
            return True
        if a is None or b is None or (a != b and "+" not in (a, b)):
            return False
    return True


def _check_text(text: str, where: str) -> None:
    if not text:
        raise ParseError(where, "is empty; MQTT wants at least one character")
    if "\0" in text:
        raise ParseError(where, "holds a zero character, which MQTT forbids")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ParseError(
            where, "holds half of a surrogate pair, which is no character"
        ) from None
    if size > TOPIC_BYTES_MAX:
        raise ParseError(where, f"has {size} bytes, at most {TOPIC_BYTES_MAX} are allowed")
