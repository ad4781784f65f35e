"""Statements as a gateway signs them, the same every time: what the benches append.

An event is the shortest with 4 EPCs that the gateway of the demo writes: a palletiser packs
three cases on a pallet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from ledger.disclosure import Submission, WholeEvent, commitment, events_root, shown_parts
from ledger.epcis.parts import split_event
from ledger.statement import Capture
from tests.ledger.store.parties import World


@dataclass
class Work:
    """The statements of one size: the same for every run."""

    size: int
    group: int = field(init=False)
    submissions: list[Submission] = field(init=False)
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.group = max(1, min(64, 2048 // self.size))

    def make(self, folder: Path, seconds: float, *, database: str | None = None) -> None:
        """Found a log in `folder` and sign what its gateway will submit."""
        folder.mkdir()
        self.world = World(folder, database=database).found()
        count = int(seconds * min(6_000, 40_000 / self.size))
        self.submissions = [make_capture(self.world, self.size) for _ in range(count)]

    @property
    def events(self) -> int:
        """The number of all events."""
        return self.size * len(self.submissions)

    @property
    def event_bytes(self) -> int:
        """The bytes of the JSON of all events."""
        parts = (shown_parts(e) for s in self.submissions for e in s.events)
        return sum(len(part or b"") for eight in parts for part in eight)

    def groups(self) -> Iterator[list[Submission]]:
        """Yield what one request brings and one transaction takes at least."""
        for at in range(0, len(self.submissions), self.group):
            yield self.submissions[at : at + self.group]


def make_capture(world: World, size: int) -> Submission:
    """Return the next submission of the gateway: `size` events."""
    first = world.gateway.seq * size
    events = tuple(make_packing(first + n) for n in range(size))
    root = events_root(commitment(event) for event in events)
    return Submission(world.gateway.say(Capture(2, size, root)), events)


def make_packing(number: int) -> WholeEvent:
    """Return a packing of three cases, different for every number."""
    key = sha256(b"%d" % number).digest()
    tail = key.hex()
    item = f"urn:epc:id:sgtin:9506000.113436.4686{number * 3 % 10**7:07}"
    event = {
        "eventID": f"urn:uuid:{UUID(hex=tail[:32], version=4)}",
        "type": "AggregationEvent",
        "action": "ADD",
        "parentID": f"urn:epc:id:sscc:9506000.0{number % 10**9:09}",
        "childEPCs": [f"{item[:-1]}{n}" for n in range(3)],
        "eventTime": f"2026-03-02T10:40:39.{number % 1000:03}Z",
        "eventTimeZoneOffset": "+00:00",
        "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.palletiser"},
        "bizLocation": {"id": "urn:epc:id:sgln:9506000.00001.0"},
        "bizStep": "packing",
        "tagtrail:evidence": {"messages": 4, "root": tail},
    }
    return WholeEvent(key, split_event(event))
