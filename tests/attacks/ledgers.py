"""Real ledgers for the attacks: written by the real store, signed with real keys.

The rotation of statements is fixed by the entry's number, so that the same arguments make
the same ledger, byte for byte.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ledger.audit.trustfile import TRUST_NAME
from ledger.disclosure import (
    Submission,
    SubmittedEvent,
    WholeEvent,
    commitment,
    events_root,
    withhold,
)
from ledger.entry import entry_leaf
from ledger.epcis.parts import split_event
from ledger.statement import Body, Capture, Erasure, Gap, Policy, Seen, parse_statement
from ledger.store.batch import Receipt
from ledger.store.intake import verify_submission
from ledger.store.log import Log, create_log
from ledger.store.publish import Publisher
from ledger.tlog.merkle import EMPTY_ROOT, Hash
from ledger.tlog.note import Ed25519Signer as NoteSigner
from tests.ledger.memory_log import (
    DAIRY,
    FARM,
    OPERATOR,
    ORIGIN,
    TIME_S,
    Writer,
    enrolment,
    signer_named,
)
from tests.ledger.store.owner import read_values

CHECKPOINT_EVERY = 50
# The entry that gives notice of an erasure, and the entry and position of the erased event.
NOTICE, ERASED = 11, (7, 2)
ENTRY_0 = "SELECT data FROM entry WHERE idx = 0"


@dataclass
class Clock:
    """A clock that goes on by a second at each look."""

    now_us: int = TIME_S * 1_000_000

    def __call__(self) -> int:
        self.now_us += 1_000_000
        return self.now_us


@dataclass
class BuiltLedger:
    """A log open to write, and the keys that speak in it."""

    folder: Path
    log: Log
    publisher: Publisher
    admin: Writer
    dairy: Writer
    gateway: Writer
    farm: Writer
    seen: Seen | None = None
    events: list[SubmittedEvent] = field(default_factory=list)

    def say(
        self,
        writer: Writer,
        body: Body,
        events: Sequence[SubmittedEvent] = (),
        document: bytes | None = None,
    ) -> int:
        """Sign, submit and log a statement; return its index."""
        raw = writer.sign(body, seen=self.seen if writer is self.gateway else None)
        submission = verify_submission(
            Submission(raw, tuple(events)), self.log.keys(), document=document
        )
        (outcome,) = self.log.append([submission])
        assert isinstance(outcome, Receipt), outcome
        writer.advance(parse_statement(raw))
        return outcome.index

    def capture(
        self,
        writer: Writer,
        events: Sequence[SubmittedEvent],
        document: bytes | None = None,
    ) -> int:
        """Log events under `writer`, with the `document` that they were made of."""
        root = events_root(map(commitment, events)) if events else EMPTY_ROOT
        return self.say(writer, Capture(2, len(events), root), events, document)

    def publish(self) -> None:
        """Sign a checkpoint over all entries; the gateway sees it."""
        size, root = self.log.committed
        self.publisher.publish(size, root)
        self.seen = Seen(size, root)

    def close(self) -> None:
        self.log.close()


def build_ledger(
    folder: Path,
    *,
    entries: int,
    unsigned: int = 0,
    log_key: str = "log",
    database: str | None = None,
) -> BuiltLedger:
    """Make a ledger of `entries`, of which the last `unsigned` are under no checkpoint.

    The caller closes it.
    """
    ledger = found_ledger(folder, log_key=log_key, database=database)
    kinds: tuple[Callable[[int], int], ...] = (
        lambda n: ledger.capture(
            ledger.gateway, [event(n, k, cites=paper(n)) for k in range(2)], paper(n)
        ),
        lambda n: ledger.capture(ledger.gateway, [event(n, k) for k in range(3)]),
        lambda _: ledger.capture(ledger.gateway, []),
        lambda n: ledger.capture(ledger.farm, [withhold(event(n, 0), {5, 6})]),
        lambda n: ledger.say(ledger.dairy, Policy(0, digest(n))),
        lambda n: ledger.say(ledger.gateway, Gap("gate", 2, n, n + 1, None, "silence")),
    )
    while ledger.log.size < entries:
        n = int(ledger.log.size)
        if n == NOTICE:
            ledger.say(ledger.dairy, Erasure((ERASED,), 1, digest(n)))
        else:
            kinds[n % len(kinds)](n)
        if (n + 1) % CHECKPOINT_EVERY == 0 and n + 1 < entries - unsigned:
            ledger.publish()
        if n + 1 == entries - unsigned:
            ledger.publish()
    return ledger


def found_ledger(
    folder: Path, *, log_key: str = "log", database: str | None = None
) -> BuiltLedger:
    """Make a ledger of five entries: admin, recovery, dairy, its gateway, farm."""
    folder.mkdir(parents=True, exist_ok=True)
    admin, recovery = Writer(signer_named("admin"), OPERATOR), signer_named("recovery")
    founding = []
    for signer, role in ((admin.signer, "admin"), (recovery, "recovery")):
        founding.append(admin.sign(enrolment(signer, OPERATOR, role)))
        admin.advance(parse_statement(founding[-1]))
    clock = Clock()
    create_log(folder, ORIGIN, founding, now_us=clock, database=database)
    log = Log(folder, ORIGIN, now_us=clock)
    note_signer = NoteSigner(ORIGIN, signer_named(log_key))
    publisher = Publisher(
        origin=ORIGIN,
        reader=log.reader,
        signed=log.signed,
        signers=[note_signer],
        store_checkpoint=log.store_checkpoint,
    )
    ledger = BuiltLedger(
        folder,
        log,
        publisher,
        admin,
        Writer(signer_named("dairy"), DAIRY),
        Writer(signer_named("gateway"), DAIRY),
        Writer(signer_named("farm"), FARM),
    )
    ledger.say(admin, enrolment(ledger.dairy.signer, DAIRY, "party"))
    ledger.say(ledger.dairy, enrolment(ledger.gateway.signer, DAIRY, "gateway", grade_max=2))
    ledger.say(admin, enrolment(ledger.farm.signer, FARM, "party"))
    write_trust(folder, log_key=log_key)
    return ledger


def write_trust(folder: Path, *, log_key: str = "log") -> Path:
    """Write the trust file of the ledger in `folder`."""
    entry0 = entry_leaf(read_values(folder, ENTRY_0)[0][0])
    vkey = NoteSigner(ORIGIN, signer_named(log_key)).key
    path = folder / TRUST_NAME
    path.write_text(
        f'origin = "{ORIGIN}"\nentry0 = "{entry0.hex()}"\n'
        f'policy = """\nlog {vkey}\nquorum none\n"""\n'
    )
    return path


def digest(n: int) -> Hash:
    return Hash(sha256(b"%d" % n).digest())


def paper(n: int) -> bytes:
    """Return a document that was received, the same for the same number."""
    return b"document %d" % n


def event(n: int, k: int, *, cites: bytes | None = None) -> WholeEvent:
    """Return an event about a carton, the same for the same numbers."""
    evidence: dict[str, object] = {"messages": 1, "root": digest(n).hex()}
    if cites is not None:
        evidence = {"document": sha256(cites).hexdigest()}
    seconds = f"{n // 60 % 60:02}:{n % 60:02}"
    parts = split_event(
        {
            "eventID": f"urn:uuid:00000000-0000-4000-8000-{n:08x}{k:04x}",
            "type": "ObjectEvent",
            "action": "OBSERVE",
            "epcList": [f"urn:epc:id:sgtin:9506000.134352.{n * 8 + k}"],
            "eventTime": f"2026-01-01T10:{seconds}Z",
            "eventTimeZoneOffset": "+00:00",
            "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.gate"},
            "bizStep": "shipping",
            "tagtrail:evidence": evidence,
        }
    )
    return WholeEvent(sha256(b"event %d %d" % (n, k)).digest(), parts)
