"""Whatever honest entries a bundle shows, with their key entries, none of them is accused."""

import random
from dataclasses import replace

import pytest

from ledger.audit.bundle_authority import ShownAuthority
from ledger.audit.finding import Finding
from ledger.entry import parse_entry
from ledger.errors import RefusedError
from ledger.statement import (
    Capture,
    Equivocation,
    Erasure,
    Gap,
    Key,
    KeyOp,
    Last,
    Policy,
    parse_statement,
)
from ledger.tlog.merkle import EMPTY_ROOT, Hash
from ledger.trust.state import LOG, kids_about
from tests.ledger.memory_log import (
    DAIRY,
    HEARTBEAT,
    OPERATOR,
    ORIGIN,
    Cast,
    MemoryLog,
    Writer,
    enrolment,
    full_cast,
    signer_named,
)

SUBSETS = 60


def show(log: MemoryLog, indexes: set[int]) -> list[Finding]:
    """Return what is found in the entries at `indexes`, with the key entries they rest on."""
    closed: set[int] = {0}
    for index in indexes:
        at = index
        while at not in closed:
            closed.add(at)
            kid = log.statements[at].kid
            at = max(n for n in range(at) if kid in kids_about(log.statements[n]))
    authority, findings = ShownAuthority(ORIGIN), []
    for index in sorted(closed):
        entry = parse_entry(log.entries[index])
        findings += authority.check(index, entry, log.statements[index], log.leaves[index])
    return findings


class Storyteller:
    """Grows a log by honest statements of every kind, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.cast: Cast = full_cast()
        self.log = self.cast.log
        self.edges = [self.cast.gateway]
        self.made = 0
        self.log_writer = Writer(signer_named("log statements"), OPERATOR)
        self.log.say(self.cast.admin, enrolment(self.log_writer.signer, OPERATOR, LOG))

    def tell(self, count: int) -> None:
        steps = (
            self.capture,
            self.capture,
            self.capture,
            self.gap,
            self.enrol,
            self.rotate,
            self.new_epoch,
            self.suspend,
            self.end,
            self.erase,
            self.equivocate,
        )
        while self.log.size < count:
            self.dice.choice(steps)()

    def edge(self) -> Writer:
        return self.dice.choice(self.edges)

    def record(self, writer: Writer):  # type: ignore[no-untyped-def]
        return self.log.state.keys[writer.signer.kid]

    def capture(self) -> None:
        self.edge_says(Capture(1, 1, Hash(bytes([self.made % 256] * 32))))
        self.made += 1

    def gap(self) -> None:
        self.edge_says(Gap("gate", 2, 0, self.made, None, "silence"))
        self.edge_says(Policy(0, Hash(bytes(32))))

    def edge_says(self, body: Capture | Gap | Policy) -> None:
        """Let a gateway speak; the first of them also says what it saw of the log."""
        writer = self.edge()
        seen = self.log.seen() if writer is self.cast.gateway else None
        self.log.say(writer, body, seen=seen)

    def enrol(self) -> None:
        writer = Writer(signer_named(f"edge {self.made}"), DAIRY)
        self.made += 1
        self.log.say(self.cast.dairy, enrolment(writer.signer, DAIRY, "gateway"))
        self.edges.append(writer)

    def rotate(self) -> None:
        old = self.dice.choice(self.edges)
        if old is self.cast.gateway:
            return
        new = Writer(signer_named(f"edge {self.made}"), DAIRY)
        self.made += 1
        body = replace(
            enrolment(new.signer, DAIRY, "gateway"),
            op=KeyOp.ROTATE,
            kid=Hash(old.signer.kid),
            last=self.log.state.chains[old.signer.kid].last,
        )
        self.log.say(self.cast.dairy, body)
        self.edges[self.edges.index(old)] = new

    def new_epoch(self) -> None:
        self.reopen(self.edge())

    def reopen(self, writer: Writer) -> None:
        own = self.record(writer)
        body = replace(
            enrolment(writer.signer, DAIRY, "gateway"),
            op=KeyOp.NEW_EPOCH,
            epoch=own.epoch + 1,
            last=self.log.state.chains[own.kid].last,
            pop=None,
        )
        self.log.say(self.cast.dairy, body)
        writer.open_epoch(own.epoch + 1)

    def suspend(self) -> None:
        writer = self.edge()
        self.log.say(self.cast.dairy, self.ending(KeyOp.SUSPEND, writer))
        self.reopen(writer)

    def end(self) -> None:
        if len(self.edges) < 2 or self.edges[-1] is self.cast.gateway:
            return
        writer = self.edges.pop()
        op = self.dice.choice((KeyOp.REVOKE, KeyOp.COMPROMISED))
        by = self.dice.choice((self.cast.dairy, self.cast.admin))
        self.log.say(by, self.ending(op, writer))

    def ending(self, op: KeyOp, writer: Writer) -> Key:
        own = self.record(writer)
        newest = self.log.state.chains[own.kid].last
        return Key(
            op,
            own.kid,
            own.iss,
            own.role,
            epoch=own.epoch,
            last=self.dice.choice((None, newest)),
            suspect_since=0 if op == KeyOp.COMPROMISED else None,
        )

    def erase(self) -> None:
        captures = [
            n
            for n, one in enumerate(self.log.statements)
            if isinstance(one.body, Capture) and one.body.count and one.iss == DAIRY
        ]
        if captures:
            body = Erasure(((self.dice.choice(captures), 0),), 0, Hash(bytes(32)))
            self.log.say(self.cast.dairy, body)

    def equivocate(self) -> None:
        """Prove that a gateway signed twice, suspend it, and let its party reopen it."""
        writer = self.edge()
        own = self.record(writer)
        head = self.log.state.chains[own.kid]
        if head.last is None or head.last_index is None or writer is self.cast.gateway:
            return
        second = writer.sign(HEARTBEAT, seq=head.last.seq, prev=Hash(bytes(32)))
        if head.last.seq:
            second = writer.sign(
                HEARTBEAT, seq=head.last.seq, prev=self.log.statements[head.last_index].prev
            )
        if parse_statement(second).id == head.last.id:
            return
        self.log.say(self.log_writer, Equivocation(head.last_index, second))
        self.log.say(self.log_writer, replace(self.ending(KeyOp.SUSPEND, writer), last=None))
        self.reopen(writer)


@pytest.mark.parametrize("seed", range(6))
def test_no_choice_of_honest_entries_is_accused(seed: int) -> None:
    story = Storyteller(seed)
    story.tell(120)
    dice = random.Random(seed)
    assert show(story.log, set(range(story.log.size))) == []
    for n in range(SUBSETS):
        chosen = set(dice.sample(range(story.log.size), dice.randint(1, 30)))
        findings = show(story.log, chosen)
        assert findings == [], f"seed {seed}, subset {n}: {sorted(chosen)}"


def test_a_revocation_that_is_left_out_breaks_the_chain_of_what_follows() -> None:
    cast = full_cast()
    log, gateway = cast.log, cast.gateway
    log.say(gateway, HEARTBEAT)
    log.say(cast.dairy, Key(KeyOp.SUSPEND, Hash(gateway.signer.kid), DAIRY, "gateway"))
    suspended = log.size - 1
    reopened = replace(
        enrolment(gateway.signer, DAIRY, "gateway", grade_max=2),
        op=KeyOp.NEW_EPOCH,
        epoch=1,
        last=Last(0, gateway.prev),
        pop=None,
    )
    log.say(cast.dairy, reopened)
    gateway.open_epoch(1)
    log.say(gateway, HEARTBEAT)
    last = log.size - 1
    assert show(log, {last}) == []
    assert show(log, {last, suspended}) == []
    authority, findings = ShownAuthority(ORIGIN), []
    for index in (0, 2, 3, last):  # Without the entry that opened the new epoch.
        entry = parse_entry(log.entries[index])
        findings += authority.check(index, entry, log.statements[index], log.leaves[index])
    assert [(one.check, one.index) for one in findings] == [(9, last), (10, last)]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"grade": 3}, 9),  # The gateway's highest is 2.
        ({"seq": 0}, 10),
    ],
)
def test_what_the_rules_refuse_is_found(change: dict[str, int], check: int) -> None:
    cast = full_cast()
    log, gateway = cast.log, cast.gateway
    log.say(gateway, HEARTBEAT)
    body = Capture(change.get("grade", 2), 0, EMPTY_ROOT)
    raw = gateway.sign(body, seq=change.get("seq", gateway.seq))
    with pytest.raises(RefusedError):
        log.append(raw)
    authority, findings = ShownAuthority(ORIGIN), []
    for index in (0, 2, 3, 5):
        entry = parse_entry(log.entries[index])
        findings += authority.check(index, entry, log.statements[index], log.leaves[index])
    last = parse_entry(log.entries[5])
    findings += authority.check(
        6, replace(last, statement=raw), parse_statement(raw), Hash(bytes(32))
    )
    assert {one.check for one in findings} == {check}
    assert {one.index for one in findings} == {6}


def test_a_party_cannot_enrol_for_another() -> None:
    cast = full_cast()
    stranger = signer_named("stranger")
    body = enrolment(stranger, OPERATOR, "gateway")
    raw = cast.farm.sign(body)
    with pytest.raises(RefusedError):
        cast.log.append(raw)
    authority, findings = ShownAuthority(ORIGIN), []
    for index in (0, 4):
        entry = parse_entry(cast.log.entries[index])
        findings += authority.check(
            index, entry, cast.log.statements[index], cast.log.leaves[index]
        )
    entry = parse_entry(cast.log.entries[4])
    own = replace(entry, key_leaf_hash=cast.log.leaves[4], statement=raw)
    findings += authority.check(5, own, parse_statement(raw), Hash(bytes(32)))
    assert [(one.check, one.index) for one in findings] == [(9, 5)]
