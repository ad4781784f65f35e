"""Honest histories with all their accidents: not one of them is called tampering.

Twenty sources sign at their own, wrong, clocks; lose their connection and come back with
what they had kept; send again what they are not sure of; send out of order and are refused;
see checkpoints, withhold parts, erase events, lose their state and open new epochs. Parties
rotate, suspend and revoke their keys, and the log's own clock goes back now and then.
"""

import os
import random
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.cli.auditing import Options, audit_target
from ledger.disclosure import Submission, SubmittedEvent, commitment, events_root, withhold
from ledger.statement import (
    Body,
    Capture,
    Claims,
    Erasure,
    Gap,
    Key,
    KeyOp,
    Last,
    Link,
    parse_statement,
    sign_statement,
)
from ledger.store.batch import Receipt
from ledger.store.intake import verify_submission
from ledger.tlog.merkle import EMPTY_ROOT, Hash
from tests.attacks.ledgers import BuiltLedger, Clock, digest, event, found_ledger
from tests.ledger.memory_log import DAIRY, ORIGIN, Writer, enrolment, signer_named

SOURCES = 20
LONG = pytest.mark.skipif("TAGTRAIL_LONG" not in os.environ, reason="half an hour")
SKEW_S = 240


@dataclass
class Source:
    """A gateway with a wrong clock that keeps what it could not send."""

    writer: Writer
    skew_s: int
    kept: deque[Submission] = field(default_factory=deque)
    sent: list[Submission] = field(default_factory=list)
    captured: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=1000))
    """The places of its newest events: what is remembered does not grow with the history."""


class History:
    """A ledger, its sources, and a dice."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.ledger: BuiltLedger = found_ledger(folder)
        clock = self.ledger.log._now_us
        assert isinstance(clock, Clock)
        self.clock = clock
        self.number = 0
        self.sources = [self.enrol(n) for n in range(SOURCES)]

    def enrol(self, n: int) -> Source:
        """Enrol one more gateway of the dairy."""
        writer = Writer(signer_named(f"source {n}"), DAIRY)
        body = enrolment(writer.signer, DAIRY, "gateway", grade_max=2)
        self.ledger.say(self.ledger.dairy, body)
        return Source(writer, self.dice.randint(-SKEW_S, SKEW_S))

    def sign(self, source: Source, body: Body) -> bytes:
        """Return the next statement of `source`, by its own clock."""
        writer = source.writer
        iat = self.clock.now_us // 1_000_000 + source.skew_s
        seen = self.ledger.seen
        link = Link(writer.epoch, writer.seq, writer.prev, seen)
        raw = sign_statement(writer.signer, Claims(writer.iss, ORIGIN, iat), link, body)
        writer.advance(parse_statement(raw))
        return raw

    def keep(self, source: Source) -> None:
        """Let `source` sign something and keep it until it is sent."""
        self.number += 1
        events: list[SubmittedEvent] = [
            event(self.number, k) for k in range(self.dice.choice([0, 1, 1, 1, 2]))
        ]
        if events and self.dice.random() < 0.1:
            events[0] = withhold(events[0], {5})
        body: Body = Capture(
            2, len(events), events_root(map(commitment, events)) if events else EMPTY_ROOT
        )
        if self.dice.random() < 0.02:
            body, events = Gap("gate", 2, self.number, self.number + 1, None, "dark"), []
        source.kept.append(Submission(self.sign(source, body), tuple(events)))

    def send(self, source: Source) -> None:
        """Send what is kept, some of it twice, sometimes the last one first."""
        batch = list(source.kept)
        source.kept.clear()
        if len(batch) > 1 and self.dice.random() < 0.1:
            self.append([batch[-1]])  # Refused: it is not its turn.
        if batch and self.dice.random() < 0.1:
            batch.append(self.dice.choice(batch))
        if source.sent and self.dice.random() < 0.1:
            batch.insert(0, source.sent[-1])
        self.append(batch)
        source.sent = batch[-1:]

    def append(self, batch: list[Submission]) -> None:
        keys = self.ledger.log.keys()
        verified = [verify_submission(one, keys) for one in batch]
        for one, outcome in zip(batch, self.ledger.log.append(verified), strict=True):
            if isinstance(outcome, Receipt) and one.events and not outcome.known:
                kid = parse_statement(one.statement).kid
                for source in self.sources:
                    if source.writer.signer.kid == kid:
                        source.captured.append((outcome.index, 0))

    def disturb(self, source: Source) -> None:
        """Let something happen to a key or to an event, or to the log's clock."""
        self.send(source)
        match self.dice.randrange(4):
            case 0:
                self.clock.now_us -= self.dice.randrange(20) * 1_000_000
            case 1 if source.captured:
                place = source.captured.pop()
                notice = self.sign(source, Erasure((place,), 0, digest(0)))
                self.append([Submission(notice, ())])
            case 2:
                self.open_epoch(source)
            case _:
                self.ledger.publish()

    def open_epoch(self, source: Source) -> None:
        """Suspend the key of a source that lost its state, and let it start again."""
        writer, dairy = source.writer, self.ledger.dairy
        kid = Hash(writer.signer.kid)
        body = Key(op=KeyOp.SUSPEND, kid=kid, iss=DAIRY, role="gateway", epoch=writer.epoch)
        self.ledger.say(dairy, body)
        again = replace(
            enrolment(writer.signer, DAIRY, "gateway", grade_max=2),
            op=KeyOp.NEW_EPOCH,
            epoch=writer.epoch + 1,
            last=Last(writer.seq - 1, writer.prev) if writer.seq else None,
            pop=None,
        )
        self.ledger.say(dairy, again)
        writer.open_epoch(writer.epoch + 1)
        source.sent.clear()


def live(history: History, entries: int) -> None:
    """Let the world go on until the log has that many entries."""
    dice = history.dice
    while history.ledger.log.size < entries:
        source = dice.choice(history.sources)
        for _ in range(dice.choice([1, 1, 2, 8, 40])):
            history.keep(source)
        if dice.random() < 0.8:
            history.send(source)
        if dice.random() < 0.06:
            history.disturb(source)
        if dice.random() < 0.05:
            history.ledger.publish()
    for source in history.sources:
        history.send(source)
    history.ledger.publish()
    history.ledger.close()


@pytest.mark.parametrize(
    ("entries", "seed"),
    [
        (10_000, 1),
        pytest.param(100_000, 2, marks=[pytest.mark.slow, pytest.mark.timeout(3000)]),
        pytest.param(1_000_000, 3, marks=[pytest.mark.slow, LONG, pytest.mark.timeout(14_400)]),
    ],
)
def test_an_honest_history_has_no_finding(tmp_path: Path, entries: int, seed: int) -> None:
    history = History(tmp_path / "ledger", seed)
    live(history, entries)
    report = audit_target(str(history.ledger.folder), Options(processes=2))
    assert report.findings == [], (seed, report.findings[:3])
    assert report.result is Result.VERIFIED
    assert report.summary.size >= entries
    assert report.summary.statements["tagtrail/key/v1"] > SOURCES + 10
    assert report.summary.events.erased > 0
    assert report.summary.events.withheld > 0
