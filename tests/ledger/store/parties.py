"""Parties of a small world that sign real statements, with keys made of seeds."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ledger.cose import Signer
from ledger.disclosure import Submission, WholeEvent, commitment, events_root
from ledger.epcis.parts import split_event
from ledger.keyfile import Ed25519Signer
from ledger.statement import (
    NO_HASH,
    Body,
    Capture,
    Claims,
    Key,
    KeyOp,
    Link,
    Seen,
    parse_statement,
    proof_of_possession,
    sign_statement,
)
from ledger.store.log import Log, create_log
from ledger.tlog.merkle import Hash

ORIGIN = "tagtrail.example/test"
OPERATOR = "https://id.gs1.org/417/9506000100009"
DAIRY = "https://id.gs1.org/417/9506000134352"
START_US = 1_767_225_600_000_000


def signer(name: str) -> Ed25519Signer:
    """Return the key of that name: the same every time."""
    return Ed25519Signer(sha256(name.encode()).digest())


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: int = START_US

    def __call__(self) -> int:
        return self.now


@dataclass
class Source:
    """One key that signs, with its place in its chain."""

    name: str
    iss: str
    origin: str = ORIGIN
    epoch: int = 0
    seq: int = 0
    prev: Hash = NO_HASH
    seen: Seen | None = None
    key: Signer = field(init=False)

    def __post_init__(self) -> None:
        self.key = signer(self.name)

    def say(self, body: Body) -> bytes:
        """Return the next statement, and move on."""
        raw = sign_statement(
            self.key,
            Claims(self.iss, self.origin, START_US // 1_000_000),
            Link(self.epoch, self.seq, self.prev, self.seen),
            body,
        )
        self.seq, self.prev = self.seq + 1, parse_statement(raw).id
        return raw

    def enrol(self, other: "Source", role: str, *, grade_max: int = 3) -> bytes:
        """Return the statement that enrols the key of `other` in `role`."""
        return self.say(
            Key(
                op=KeyOp.ENROL,
                kid=other.key.kid,
                iss=other.iss,
                role=role,
                x=other.key.x,
                grade_max=grade_max,
                pop=proof_of_possession(other.key, aud=self.origin, iss=other.iss),
            )
        )

    def capture(self, count: int, *, epcs: int = 1, label: str = "") -> Submission:
        """Return a submission of `count` new events of `epcs` items each."""
        events = tuple(
            make_event(f"{self.name}/{label}{self.seq}/{n}", epcs) for n in range(count)
        )
        root = events_root(commitment(event) for event in events)
        return Submission(self.say(Capture(2, count, root)), events)


def make_event(name: str, epcs: int) -> WholeEvent:
    """Return an event that observes `epcs` items, different for every name."""
    serial = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    event = {
        "type": "ObjectEvent",
        "eventID": f"urn:uuid:00000000-0000-8000-8000-{serial:012x}",
        "eventTime": "2026-01-01T00:00:00Z",
        "eventTimeZoneOffset": "+00:00",
        "action": "OBSERVE",
        "bizStep": "shipping",
        "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.tunnel1"},
        "epcList": [f"urn:epc:id:sgtin:9506000.013435.{serial + n}" for n in range(epcs)],
    }
    json.dumps(event)
    return WholeEvent(sha256(name.encode()).digest(), split_event(event))


@dataclass
class World:
    """A log's folder and everyone who speaks in it."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    database: str | None = None
    """The URL of an empty PostgreSQL database, as its owner; None keeps files in `folder`."""
    admin: Source = field(default_factory=lambda: Source("admin", OPERATOR))
    recovery: Source = field(default_factory=lambda: Source("recovery", OPERATOR))
    log_key: Source = field(default_factory=lambda: Source("log", OPERATOR))
    party: Source = field(default_factory=lambda: Source("party", DAIRY))
    gateway: Source = field(default_factory=lambda: Source("gateway", DAIRY))

    def found(self) -> "World":
        """Create the log: five entries, of which the last enrols the gateway."""
        founding = [
            self.admin.enrol(self.admin, "admin"),
            self.admin.enrol(self.recovery, "recovery"),
            self.admin.enrol(self.log_key, "log"),
            self.admin.enrol(self.party, "party"),
            self.party.enrol(self.gateway, "gateway"),
        ]
        create_log(self.folder, ORIGIN, founding, now_us=self.clock, database=self.database)
        return self

    def open(self) -> Log:
        """Open the log for writing."""
        return Log(self.folder, ORIGIN, now_us=self.clock, log_key=self.log_key.key)
