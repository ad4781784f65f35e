"""What the processing of messages leads to: drafts of events, faults, open questions.

Each event gets its identity here and the citation of what it stands on, in

    "tagtrail:evidence": {"messages": 3, "root": "9f86d0…"}

the tree hash over the SHA-256 of each message, in the order in which its place took them,
and `"tagtrail:untimed": n` where n of its reads had no time of their own. How its readers'
clocks stand, where they told its time, is in

    "tagtrail:clock": {"offset_ms": -90012, "error_ms": 31, "flags": ["backfill"],
                       "told": "2026-01-05T07:58:30.123456789Z"}

`eventTime` is the reader's own time less the offset, and off by at most the error; `told` is
what the reader's clock showed, where that is another instant or a finer one.

`eventID` is a UUIDv8 from an HMAC over the messages, the place and the ordinal of the
event, so that the same inbox gives the same events.

Pure: no I/O, no clock, no randomness.
"""

import hmac
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from ingest.reads import Fault, Signed
from ledger.epcis.event import parse_event
from ledger.errors import ParseError
from ledger.tlog.merkle import leaf_hash, tree_root

EVIDENCE = "tagtrail:evidence"
UNTIMED = "tagtrail:untimed"
CLOCK = "tagtrail:clock"
SECRET_SIZE = 32

_ID_CONTEXT = b"tagtrail/event-id/v1\n"

Event = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Events of one party that belong together: they go into one statement."""

    party: str
    events: tuple[Event, ...]
    root: bytes
    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something is missing: what a party's gateway states as a gap (FORMATS section 2).

    `source` is a read point or what a sensor is about; `what` is a number of `ingest.watch`.
    """

    party: str
    source: str
    what: int
    from_us: int
    to_us: int
    count: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """Something happened at a place that the plan cannot turn into an event."""

    place: str
    first_us: int
    last_us: int
    why: str
    epcs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What events stand on: whose they are, where, and the messages that say so.

    `ordinal` counts what the place made since ever; `untimed` the reads without a time; `clock`
    is what is to be said of its time.
    """

    party: str
    place: str
    ordinal: int
    messages: tuple[bytes, ...]
    untimed: int = 0
    clock: Mapping[str, object] | None = None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What messages led to, growing in place; a fault goes with its message's id.

    `taken` counts by message id the items that were taken. `births` are the Sparkplug nodes
    that must announce themselves anew before they can be read.
    """

    secret: bytes
    drafts: list[Draft] = field(default_factory=list)
    faults: list[tuple[int, Fault]] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    signed: list[Signed] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    taken: Counter[int] = field(default_factory=Counter)
    births: set[str] = field(default_factory=set)

    def add_events(self, events: Iterable[Event], ground: Ground) -> None:
        """Add `events` as one draft; one that EPCIS does not allow is never signed."""
        messages = tuple(dict.fromkeys(ground.messages))
        root = tree_root([leaf_hash(message) for message in messages])
        whole: list[Event] = []
        for n, event in enumerate(events):
            cited = _cite(event, ground, root, (len(messages), self._event_id(ground, root, n)))
            try:
                whole.append(parse_checked(cited))
            except ParseError as error:
                self.unresolved.append(
                    Unresolved(
                        place=ground.place,
                        first_us=0,
                        last_us=0,
                        why=f"EPCIS does not allow the event: {error}",
                        epcs=(),
                    )
                )
        if whole:
            self.counts["events"] += len(whole)
            self.drafts.append(
                Draft(party=ground.party, events=tuple(whole), root=root, messages=messages)
            )

    def _event_id(self, ground: Ground, root: bytes, n: int) -> str:
        label = f"{ground.place}\n{ground.ordinal}\n{n}".encode()
        digest = hmac.digest(self.secret, _ID_CONTEXT + root + label, "sha256")
        number = int.from_bytes(digest[:16])
        number = number & ~(0xF << 76) | 0x8 << 76  # version 8, RFC 9562 section 5.8
        number = number & ~(0x3 << 62) | 0x2 << 62  # the variant of RFC 9562
        return UUID(int=number).urn


def parse_checked(event: Event) -> Event:
    """Return `event` if it is a valid EPCIS event, or raise `ParseError`."""
    parse_event(event)
    return event


def _cite(event: Event, ground: Ground, root: bytes, identity: tuple[int, str]) -> Event:
    count, event_id = identity
    cited: Event = {
        "eventID": event_id,
        **event,
        EVIDENCE: {"messages": count, "root": root.hex()},
    }
    if ground.untimed:
        cited[UNTIMED] = ground.untimed
    if ground.clock is not None:
        cited[CLOCK] = dict(ground.clock)
    return cited
