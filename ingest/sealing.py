"""From drafts to signed statements with their events: what the outbox carries.

The drafts of one party go into one statement, in order, until it holds `EVENTS_PER_STATEMENT`
events or `SUBMISSION_BYTES`; a draft is never split over two, so that the events of
one pass stand or fall together. Each statement names the one before it of the same key; that
chain is the signer's own, and a gap in it shows.

What else a key has to say, a gap or the plan that comes into force, is a statement without
events in the same chain.

The grade is 2: a gateway observed what a reader that cannot sign told it. Event keys are
random, so the caller brings `draw`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.drafts import Draft, Notice
from ingest.reads import Signed
from ledger.cose import Signer
from ledger.disclosure import (
    Submission,
    WholeEvent,
    commitment,
    encode_event,
    encode_submission,
    events_root,
)
from ledger.epcis.event import split_event
from ledger.statement import (
    TEXT_BYTES_MAX,
    Body,
    Capture,
    Claims,
    Gap,
    Link,
    Policy,
    Seen,
    parse_statement,
    sign_statement,
)
from ledger.tlog.merkle import Hash

GRADE = 2
EVENTS_PER_STATEMENT = 256
SUBMISSION_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a key's chain goes on: the next `seq` of `epoch`, and the newest statement's id."""

    epoch: int
    seq: int
    prev: Hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A signed statement with its events, encoded for the ledger."""

    kid: bytes
    seq: int
    statement_id: bytes
    submission: bytes
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """Who signs, for whom, when (whole seconds), and with which randomness."""

    signer: Signer
    claims: Claims
    draw: Callable[[], bytes]
    seen: Seen | None = None


def sealed_of(signed: Signed) -> Sealed:
    """Return what a device signed as what the outbox carries, byte for byte."""
    return Sealed(
        kid=signed.kid,
        seq=signed.seq,
        statement_id=signed.statement_id,
        submission=signed.submission,
        events=signed.events,
    )


def seal_bodies(
    bodies: Iterable[Gap | Policy | Capture], pen: Pen, head: Head
) -> tuple[list[Sealed], Head]:
    """Return one statement for each of `bodies`, and where the chain goes on.

    A capture here is one of no events, a heartbeat.
    """
    sealed: list[Sealed] = []
    for body in bodies:
        one, head = _sign(body, (), pen, head)
        sealed.append(one)
    return sealed, head


def seal(drafts: Iterable[Draft], pen: Pen, head: Head) -> tuple[list[Sealed], Head]:
    """Return the statements over `drafts`, all of one party, and where the chain goes on."""
    sealed: list[Sealed] = []
    for events in _group(drafts, pen):
        root = events_root([commitment(event) for event in events])
        body = Capture(grade=GRADE, count=len(events), root=root)
        one, head = _sign(body, events, pen, head)
        sealed.append(one)
    return sealed, head


def _sign(
    body: Body, events: Sequence[WholeEvent], pen: Pen, head: Head
) -> tuple[Sealed, Head]:
    link = Link(epoch=head.epoch, seq=head.seq, prev=head.prev, seen=pen.seen)
    raw = sign_statement(pen.signer, pen.claims, link, body)
    statement_id = parse_statement(raw).id
    sealed = Sealed(
        kid=pen.signer.kid,
        seq=head.seq,
        statement_id=statement_id,
        submission=encode_submission(Submission(statement=raw, events=tuple(events))),
        events=len(events),
    )
    return sealed, Head(epoch=head.epoch, seq=head.seq + 1, prev=statement_id)


def gap_of(notice: Notice) -> Gap:
    """Return the gap that `notice` states, its texts within the bounds of a statement."""
    return Gap(
        source=_text(notice.source),
        what=notice.what,
        start=notice.from_us,
        end=notice.to_us,
        count=notice.count,
        why=_text(notice.why),
    )


def _text(text: str) -> str:
    """Return `text` as a statement can say it: no control characters, not too long."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return plain.encode("utf-8", "replace")[:TEXT_BYTES_MAX].decode("utf-8", "ignore")


def _group(drafts: Iterable[Draft], pen: Pen) -> Iterator[list[WholeEvent]]:
    group: list[WholeEvent] = []
    held = 0
    for draft in drafts:
        events = [WholeEvent(pen.draw(), split_event(event)) for event in draft.events]
        size = sum(len(encode_event(event)) for event in events)
        full = len(group) + len(events) > EVENTS_PER_STATEMENT
        if group and (full or held + size > SUBMISSION_BYTES):
            yield group
            group, held = [], 0
        group += events
        held += size
    if group:
        yield group
