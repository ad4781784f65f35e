"""Holds the events of a bundle against the statements that commit to them (check 11).

Each event's parts lead to its commitment, and its path from there to the root that its
statement signs. A part is shown, shown to be absent, or withheld, and each is counted. What
is shown and is no EPCIS event is noted (check 13).

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ledger.audit.finding import Finding
from ledger.bundle import BundledEvent
from ledger.disclosure import commitment, shown_parts, withheld
from ledger.epcis.event import Event
from ledger.epcis.parts import PART_COUNT
from ledger.errors import ParseError, VerificationError
from ledger.projection import Pin, ShownEvent, content_hash, parse_shown
from ledger.provenance.source import KnownEvent, known_event
from ledger.statement import Capture, Statement
from ledger.tlog.merkle import Hash, LeafIndex, TreeSize, leaf_hash, verify_inclusion

_MAKER = "Whoever made the bundle."
_ASK = "Ask for another bundle, or the source for the event; do not rely on what it says."
_IDENTITY = 0


@dataclass(slots=True)
class PartCounts:
    """What became of the events and of their eight parts; `nameless` withhold part 0."""

    events: int = 0
    shown: int = 0
    absent: int = 0
    withheld: int = 0
    with_withheld: int = 0
    nameless: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEntry:
    """An entry of the bundle that parses: what its events need of it."""

    index: int
    record_time_us: int
    statement: Statement


@dataclass(slots=True)
class ShownEvents:
    """The events of a bundle in their order."""

    counts: PartCounts = field(default_factory=PartCounts)
    known: list[KnownEvent] = field(default_factory=list)
    """Those that are EPCIS events, whether or not their proof holds."""
    _document: tuple[int, bytes] = (-1, b"")

    def check(self, shown: BundledEvent, entry: ShownEntry | None) -> Iterator[Finding]:
        """Yield what is wrong with an event; `entry` is its own, None where it is not shown."""
        self._count(shown)
        if entry is None:
            yield _finding(
                shown,
                "an entry of the bundle that says so",
                "no such entry",
                "is of an entry that is not in the bundle, so nobody vouches for it",
            )
            return
        computed = commitment(shown.event)
        yield from _check_path(shown, entry.statement, computed)
        try:
            event = parse_shown(_as_shown(shown, computed))
        except ParseError as error:
            yield _no_event(shown, error)
            return
        self.known.append(known_event(self._pin(shown, entry, event, computed), event))

    def _pin(self, shown: BundledEvent, entry: ShownEntry, event: Event, computed: Hash) -> Pin:
        body = entry.statement.body
        if self._document[0] != shown.index:
            # The first event of the statement that is shown stands for the document.
            self._document = shown.index, content_hash(event)
        return Pin(
            index=shown.index,
            position=shown.position,
            commitment=computed,
            iss=entry.statement.iss,
            grade=body.grade if isinstance(body, Capture) else 0,
            record_time_us=entry.record_time_us,
            document=self._document[1],
            withheld=withheld(shown.event),
        )

    def _count(self, shown: BundledEvent) -> None:
        hidden, counts = withheld(shown.event), self.counts
        present = sum(part is not None for part in shown_parts(shown.event))
        counts.events += 1
        counts.shown += present
        counts.withheld += len(hidden)
        counts.absent += PART_COUNT - present - len(hidden)
        counts.with_withheld += bool(hidden)
        counts.nameless += _IDENTITY in hidden


def _as_shown(shown: BundledEvent, computed: Hash) -> ShownEvent:
    return ShownEvent(computed, shown_parts(shown.event), withheld(shown.event))


def _check_path(shown: BundledEvent, statement: Statement, computed: Hash) -> Iterator[Finding]:
    body = statement.body
    if not isinstance(body, Capture) or shown.position >= body.count:
        count = body.count if isinstance(body, Capture) else 0
        yield _finding(
            shown,
            f"a position below {count}, the number of events of its statement",
            str(shown.position),
            "is one that its statement does not have",
        )
        return
    try:
        verify_inclusion(
            shown.path,
            leaf=leaf_hash(computed),
            index=LeafIndex(shown.position),
            size=TreeSize(body.count),
            root=body.root,
        )
    except VerificationError as error:
        yield _finding(
            shown,
            body.root.hex(),
            str(error),
            "is not the one that its statement signs: a part, a salt, a withheld hash or the "
            "path is another's",
        )


def _finding(shown: BundledEvent, expected: str, computed: str, what: str) -> Finding:
    return Finding(
        check=11,
        index=shown.index,
        field=f"events (position {shown.position})",
        expected=expected,
        computed=computed,
        what=f"Event {shown.position} of entry {shown.index} {what}.",
        who=_MAKER,
        todo=_ASK,
    )


def _no_event(shown: BundledEvent, error: ParseError) -> Finding:
    return Finding(
        check=13,
        index=shown.index,
        field=f"events (position {shown.position})",
        expected="an EPCIS 2.0 event",
        computed=str(error),
        what=f"Event {shown.position} of entry {shown.index} is as signed, and no EPCIS event.",
    )
