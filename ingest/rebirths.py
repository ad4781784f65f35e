"""Which Sparkplug nodes are asked to be born anew, and how often.

A message of a node whose births nobody here knows cannot be read (`Vital.needs_birth`). The
node is asked for them by NCMD (`sparkplug.encode_rebirth`), once in `AGAIN_US` at most, and all
nodes together `BURST` times in that span, so that invented nodes make no flood. What is not
asked now is asked at the node's next message.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable

from ingest.readers.sparkplug import encode_rebirth
from ingest.topics import check_topic
from ledger.errors import ParseError

AGAIN_US = 30_000_000
BURST = 100


class Rebirths:
    """When each node was last asked; times are by a clock that is never set."""

    def __init__(self) -> None:
        """Begin with nobody asked."""
        self._asked_us: dict[str, int] = {}

    def commands(self, nodes: Iterable[str], now_us: int) -> list[tuple[str, bytes]]:
        """Return topic and payload of the commands to those of `nodes` that are due."""
        self._asked_us = {
            node: at for node, at in self._asked_us.items() if now_us - at < AGAIN_US
        }
        found = []
        for node in sorted(nodes):
            if node in self._asked_us or len(self._asked_us) >= BURST:
                continue
            topic, payload = encode_rebirth(node)
            try:
                check_topic(topic, "topic")
            except ParseError:
                continue  # a bridge wrote a name in JSON that no topic can hold
            self._asked_us[node] = now_us
            found.append((topic, payload))
        return found
