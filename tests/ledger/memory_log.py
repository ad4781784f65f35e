"""A log in memory with real keys, a real tree and the real fold: for tests of the core."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ledger.cose import Ed25519Signer
from ledger.entry import Entry, encode_entry, entry_leaf
from ledger.statement import (
    NO_HASH,
    Body,
    Capture,
    Claims,
    Key,
    KeyOp,
    Link,
    Seen,
    Statement,
    parse_statement,
    proof_of_possession,
    sign_statement,
)
from ledger.tlog.merkle import EMPTY_ROOT, Hash, tree_root
from ledger.trust.authority import authorise, key_leaf_for
from ledger.trust.state import TrustState, fold_entry

ORIGIN = "tagtrail.example/test"
OPERATOR = "https://id.gs1.org/417/9506000100001"
DAIRY = "https://id.gs1.org/417/9506000134352"
FARM = "https://id.gs1.org/417/9506000134369"
TIME_S = 1_767_225_600
HEARTBEAT = Capture(2, 0, EMPTY_ROOT)


def signer_named(name: str) -> Ed25519Signer:
    """Return the same key for the same name, always."""
    return Ed25519Signer(sha256(name.encode()).digest())


@dataclass
class Writer:
    """A key that signs one chain and remembers where it stands."""

    signer: Ed25519Signer
    iss: str
    aud: str = ORIGIN
    epoch: int = 0
    seq: int = 0
    prev: Hash = NO_HASH

    def sign(self, body: Body, seen: Seen | None = None, **changes: Any) -> bytes:
        """Return the next statement without moving on; `changes` are to claims and link."""
        claims = Claims(
            changes.get("iss", self.iss), changes.get("aud", self.aud), TIME_S + self.seq
        )
        link = Link(
            changes.get("epoch", self.epoch),
            changes.get("seq", self.seq),
            changes.get("prev", self.prev),
            seen,
        )
        return sign_statement(self.signer, claims, link, body)

    def advance(self, statement: Statement) -> None:
        self.seq, self.prev = statement.seq + 1, statement.id

    def open_epoch(self, epoch: int) -> None:
        self.epoch, self.seq, self.prev = epoch, 0, NO_HASH


def enrolment(signer: Ed25519Signer, iss: str, role: str, **fields: Any) -> Key:
    """Return the body that enrols `signer`, with its consent."""
    defaults: dict[str, Any] = {"grade_max": 3, "prefixes": ("9506000",)}
    return Key(
        op=KeyOp.ENROL,
        kid=Hash(signer.kid),
        iss=iss,
        role=role,
        x=signer.x,
        pop=proof_of_possession(signer, aud=ORIGIN, iss=iss),
        **(defaults | fields),
    )


@dataclass
class MemoryLog:
    """Entries, their leaves and the state folded from them."""

    state: TrustState = field(default_factory=lambda: TrustState(ORIGIN))
    entries: list[bytes] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    leaves: list[Hash] = field(default_factory=list)

    def find_logged(self, kid: Hash, epoch: int, seq: int) -> tuple[int, Hash] | None:
        for index, one in enumerate(self.statements):
            if (one.kid, one.epoch, one.seq) == (kid, epoch, seq):
                return index, one.id
        return None

    def statement_at(self, index: int) -> Statement:
        return self.statements[index]

    def root_at(self, size: int) -> Hash:
        return tree_root(self.leaves[:size])

    @property
    def size(self) -> int:
        return len(self.entries)

    def append(self, raw: bytes) -> int:
        """Authorise and log the statement `raw`; return its index."""
        statement, index = parse_statement(raw), self.size
        authorise(self.state, statement, index, self)
        prev = self.leaves[-1] if self.leaves else NO_HASH
        time_us = (TIME_S + index) * 1_000_000
        data = encode_entry(Entry(time_us, prev, key_leaf_for(self.state, statement), raw))
        self.entries.append(data)
        self.statements.append(statement)
        self.leaves.append(entry_leaf(data))
        fold_entry(self.state, index, statement, self.leaves[-1])
        return index

    def say(self, writer: Writer, body: Body, **changes: Any) -> int:
        """Sign, log, and move the writer on."""
        index = self.append(writer.sign(body, **changes))
        writer.advance(self.statements[-1])
        return index

    def seen(self, size: int | None = None) -> Seen:
        size = self.size if size is None else size
        return Seen(size, self.root_at(size))


@dataclass
class Cast:
    """A log with an operator, two parties and one gateway, and the keys of each."""

    log: MemoryLog
    admin: Writer
    recovery: Writer
    dairy: Writer
    gateway: Writer
    farm: Writer


def found_log() -> tuple[MemoryLog, Writer, Writer]:
    """Return a log of entries 0 and 1, its admin and its recovery key."""
    log = MemoryLog()
    admin = Writer(signer_named("admin"), OPERATOR)
    recovery = Writer(signer_named("recovery"), OPERATOR)
    log.say(admin, enrolment(admin.signer, OPERATOR, "admin"))
    log.say(admin, enrolment(recovery.signer, OPERATOR, "recovery"))
    return log, admin, recovery


def full_cast() -> Cast:
    """Return a log of five entries: admin, recovery, dairy, its gateway, farm."""
    log, admin, recovery = found_log()
    dairy = Writer(signer_named("dairy"), DAIRY)
    gateway = Writer(signer_named("gateway"), DAIRY)
    farm = Writer(signer_named("farm"), FARM)
    log.say(admin, enrolment(dairy.signer, DAIRY, "party"))
    log.say(dairy, enrolment(gateway.signer, DAIRY, "gateway", grade_max=2))
    log.say(admin, enrolment(farm.signer, FARM, "party"))
    return Cast(log, admin, recovery, dairy, gateway, farm)
