"""The part of a plan that says what is expected of readers and devices, and on which topics.

    device_keys = ["3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"]
    [[reader]]
    name = "dairy/dock"
    topics = ["sites/dairy/dock/#"]
    heartbeat_s = 60
    numbered = true

Pure: no I/O, no clock, no randomness.
"""

import re

from ingest.plan import ReaderRule
from ingest.tomltable import Table
from ingest.topics import check_topic_filter
from ledger.cose import key_thumbprint

_HEARTBEAT_BOUNDS = (0, 604_800)
_GRACE_S, _GRACE_BOUNDS = 30, (0, 86_400)
_RATE_BOUNDS = (0, 1_000_000)
_SKEW_S, _SKEW_BOUNDS = 5, (1, 86_400)
_KEY = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def parse_reader(table: Table) -> ReaderRule:
    """Return one `[[reader]]`; raises `ParseError`."""
    rule = ReaderRule(
        name=table.text("name"),
        topics=parse_topics(table, None),
        heartbeat_us=table.number("heartbeat_s", 0, _HEARTBEAT_BOUNDS) * 1_000_000,
        grace_us=table.number("grace_s", _GRACE_S, _GRACE_BOUNDS) * 1_000_000,
        messages_min=table.number("messages_per_minute_min", 0, _RATE_BOUNDS),
        skew_max_us=table.number("skew_max_s", _SKEW_S, _SKEW_BOUNDS) * 1_000_000,
        is_numbered=table.flag("numbered", default=False),
    )
    table.close()
    return rule


def parse_keys(root: Table) -> dict[bytes, bytes]:
    """Return the public keys of signing devices by kid."""
    keys: dict[bytes, bytes] = {}
    for text in root.texts("device_keys", ()):
        if _KEY.fullmatch(text) is None:
            raise root.error("device_keys", f"{text!r:.80} is no public key of 64 hex digits")
        key = bytes.fromhex(text)
        keys[key_thumbprint(key)] = key
    return keys


def parse_topics(table: Table, default: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return topic filters, none of the broker's own; raises `ParseError`."""
    topics = table.texts("topics", default)
    for topic in topics:
        if topic.startswith("$"):
            raise table.error("topics", f"{topic!r:.80}: topics with $ are the broker's own")
        table.check("topics", lambda text: check_topic_filter(text, "filter"), topic)
    return topics
