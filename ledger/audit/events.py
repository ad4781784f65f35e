"""Holds the stored events against the commitments that the statements sign (check 11).

An event is there, or parts of it are withheld by its source, or it was erased and a notice
in the log says so, or it is missing, which is a finding. Of a row whose data and commitment
disagree the signed root says which of the two was changed. What is there and is no
EPCIS event is noted (check 13): the ledger keeps what was signed.

The rows come in the order of (idx, position), along with the entries. In memory are the
commitments of one statement, and what `ledger.audit.erasures` remembers.
Captures of which every event is there are handed out to be judged elsewhere
(`ledger.audit.chunk`); those that are odd come back here to be looked at.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ledger.audit.erasures import Erasures, Source
from ledger.audit.finding import Finding
from ledger.audit.identity import find_foreign, find_other_identity
from ledger.audit.rows import EVENT_READ_BYTES_MAX, Cursor
from ledger.audit.stored import check_row, describe_row, row_index
from ledger.disclosure import commitment, decode_event, events_root, shown_parts, withheld
from ledger.errors import ParseError
from ledger.projection import ShownEvent, event_row_id, parse_shown, split_row_id
from ledger.statement import Capture, Statement
from ledger.tlog.merkle import Hash

SHOWN_BYTES_MAX = 32 * 1024 * 1024


@dataclass(slots=True)
class EventCounts:
    """What became of the events that the statements commit to."""

    shown: int = 0
    withheld: int = 0
    erased: int = 0
    missing: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    """One stored event: its commitment column, and what its data commits to, if any."""

    position: int
    stored: Hash
    computed: Hash | None


@dataclass(slots=True)
class EventAudit:
    """The stored events, compared as the entries come along.

    `shown` are the events of the entry that was checked last, as far as they are kept (None
    for an erased one), or None if not all of them can be read; `unread` counts the statements
    whose events are too long for that. `prefixes` are the GS1 company
    prefixes of the key that signed the entry that is checked next.
    """

    rows: Cursor
    epcis: bool = True
    counts: EventCounts = field(default_factory=EventCounts)
    shown: list[ShownEvent | None] | None = None
    prefixes: tuple[str, ...] = ()
    unread: int = 0
    _shown_bytes: int = 0
    erasures: Erasures = field(default_factory=Erasures)

    def resume(self, erased: Mapping[int, Source]) -> None:
        """Go on with events that had no notice yet."""
        self.erasures.resume(erased)
        self.counts.erased += len(erased)

    def take_capture(self, index: int, body: Capture) -> list[tuple[bytes, bytes]] | None:
        """Take the events of entry `index` to be judged elsewhere, if all of them are there.

        None, and nothing is taken, if they are not: `check_entry` says why.
        """
        return self.rows.take_capture(index, body.count)

    def check_odd(
        self,
        index: int,
        statement: Statement,
        events: Sequence[tuple[bytes, bytes]],
        prefixes: tuple[str, ...],
    ) -> Iterator[Finding]:
        """Yield what is wrong with events that were taken to be judged elsewhere."""
        assert isinstance(statement.body, Capture)
        self.prefixes = prefixes
        rows = [(index, position, *event) for position, event in enumerate(events)]
        yield from self._check_capture(index, statement, statement.body, rows)

    def check_entry(self, index: int, statement: Statement | None) -> Iterator[Finding]:
        """Yield what is wrong with the events of entry `index`; None could not be read."""
        while (row := self.rows.peek()) is not None and not _reaches(row, index):
            yield check_row("event", row) or _stray(row)
            self.rows.take()
        self.shown = None
        if statement is None:
            for _ in self._rows_of(index):
                pass
        elif isinstance(statement.body, Capture):
            rows = self._rows_of(index)
            yield from self._check_capture(index, statement, statement.body, rows)
        else:
            yield from (_stray(row) for row in self._rows_of(index))

    def finish(self) -> Iterator[Finding]:
        """Yield the events that no entry has, and the ones that nobody says were erased."""
        for row in self.rows.rest():
            yield check_row("event", row) or _stray(row)
        for place, _ in self.erasures.unsettled():
            index, position = split_row_id(place)
            self.counts.erased -= 1
            self.counts.missing += 1
            yield _finding(
                index,
                f"event.data (position {position})",
                "the event, or a notice of its erasure",
                "neither",
                f"Event {position} of entry {index} was erased without notice.",
            )

    def _rows_of(self, index: int) -> Iterator[Sequence[object]]:
        while (row := self.rows.peek()) is not None and row[0] == index:
            yield row
            self.rows.take()

    def _check_capture(
        self,
        index: int,
        statement: Statement,
        body: Capture,
        rows: Iterable[Sequence[object]],
    ) -> Iterator[Finding]:
        kept: list[_Kept] = []
        self.shown, self._shown_bytes = [], 0
        position = 0
        for row in rows:
            wrong = check_row("event", row)
            at = row[1]
            if not isinstance(at, int) or at < position or at >= body.count:
                yield wrong or _stray(row)
                continue
            if at > position:
                yield from self._missing(index, position, at)
            position = at + 1
            if wrong is not None:
                yield wrong
                continue
            event = yield from self._check_event(index, row, statement)
            kept.append(event)
        if position < body.count:
            yield from self._missing(index, position, body.count)
        if self._too_long():
            self.unread += 1
        if self._too_long() or len(self.shown) != body.count:
            self.shown = None
        yield from _check_root(index, kept, body)

    def _missing(self, index: int, first: int, end: int) -> Iterator[Finding]:
        self.counts.missing += end - first
        which = f"Event {first}" if end == first + 1 else f"Events {first} to {end - 1}"
        yield _finding(
            index,
            f"event (position {first})",
            "a row with the commitment, even of an erased event",
            "no such row",
            f"{which} of entry {index} cannot be found.",
        )

    def _check_event(
        self, index: int, row: Sequence[object], statement: Statement
    ) -> Generator[Finding, None, _Kept]:
        """Yield the findings of one well-typed row; return what it keeps."""
        _, position, stored, data = row
        assert isinstance(position, int)
        assert isinstance(stored, bytes)
        if data is None:
            self.counts.erased += 1
            place = event_row_id(index, position)
            self.erasures.take_erased(place, (statement.iss, statement.kid))
            self._show(None)
            return _Kept(position, Hash(stored), None)
        assert isinstance(data, bytes)
        try:
            event = decode_event(data)
        except ParseError as error:
            yield _finding(
                index,
                f"event.data (position {position})",
                "the one spelling of an event",
                str(error),
                f"Event {position} of entry {index} does not parse: its bytes were changed.",
            )
            return _Kept(position, Hash(stored), None)
        hidden = withheld(event)
        self.counts.shown += not hidden
        self.counts.withheld += bool(hidden)
        shown = ShownEvent(stored, shown_parts(event), hidden)
        self._show(shown)
        if self.epcis and len(data) <= EVENT_READ_BYTES_MAX:
            yield from _check_epcis(index, position, shown, self.prefixes)
        return _Kept(position, Hash(stored), commitment(event))

    def _show(self, shown: ShownEvent | None) -> None:
        assert self.shown is not None
        size = sum(len(part or b"") for part in shown.parts) if shown is not None else 0
        self._shown_bytes += SHOWN_BYTES_MAX if size > EVENT_READ_BYTES_MAX else size
        if self._too_long():
            self.shown.clear()
        else:
            self.shown.append(shown)

    def _too_long(self) -> bool:
        return self._shown_bytes > SHOWN_BYTES_MAX


def _check_root(index: int, kept: Sequence[_Kept], body: Capture) -> Iterator[Finding]:
    """Yield which of the events are not those of the signed root of `body`."""
    doubtful = [one for one in kept if one.computed not in (None, one.stored)]
    if events_root([one.stored for one in kept]) == body.root:
        for one in doubtful:
            yield _changed(index, one, "data", one.stored, one.computed)
    elif events_root([one.computed or one.stored for one in kept]) == body.root:
        for one in doubtful:
            yield _changed(index, one, "commitment", one.computed, one.stored)
    else:
        for one in doubtful:
            yield _changed(index, one, "data", one.stored, one.computed)
        yield _finding(
            index,
            "event.commitment",
            body.root.hex(),
            events_root([one.stored for one in kept]).hex(),
            f"The events of entry {index} are not those that its statement signs.",
        )


def _changed(
    index: int, kept: _Kept, column: str, expected: Hash | None, computed: Hash | None
) -> Finding:
    return _finding(
        index,
        f"event.{column} (position {kept.position})",
        expected.hex() if expected else "",
        computed.hex() if computed else "",
        f"Event {kept.position} of entry {index} is not the one that was committed to: "
        f"its {column} was changed.",
    )


def _reaches(row: Sequence[object], index: int) -> bool:
    return isinstance(row[0], int) and row[0] >= index


def _stray(row: Sequence[object]) -> Finding:
    return Finding(
        check=11,
        index=row_index("event", row),
        field="event",
        expected="no such row",
        computed=describe_row("event", row),
        what=f"The {describe_row('event', row)} belongs to no event of a statement.",
    )


def _check_epcis(
    index: int, position: int, shown: ShownEvent, prefixes: Sequence[str]
) -> Iterator[Finding]:
    try:
        event = parse_shown(shown).raw
    except ParseError as error:
        yield _no_event(index, position, error)
        return
    other = None if shown.withheld else find_other_identity(event)
    if other is not None:
        yield Finding(
            check=13,
            index=index,
            field=f"event.data (position {position}): eventID",
            expected=str(event.get("eventID")),
            computed=other,
            what=f"Event {position} of entry {index} is not the one that its eventID is the "
            "hash of.",
        )
    foreign = find_foreign(event, prefixes)
    if foreign is not None:
        yield Finding(
            check=9,
            index=index,
            field=f"event.data (position {position})",
            expected=f"things under the GS1 company prefixes {', '.join(prefixes)}",
            computed=foreign,
            what=f"Event {position} of entry {index} begins a thing under a GS1 prefix that "
            "its key was not enrolled for.",
            who="The source, or whoever enrolled its key too narrowly.",
            todo="Ask the party whose prefix it is whether it knows of this.",
            remark=True,
        )


def _no_event(index: int, position: int, error: ParseError) -> Finding:
    return Finding(
        check=13,
        index=index,
        field=f"event.data (position {position})",
        expected="an EPCIS 2.0 event",
        computed=str(error),
        what=f"Event {position} of entry {index} is kept as signed, and is no EPCIS event.",
    )


def _finding(index: int, field: str, expected: str, computed: str, what: str) -> Finding:
    return Finding(
        check=11, index=index, field=field, expected=expected, computed=computed, what=what
    )
