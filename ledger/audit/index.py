"""Rebuilds the index from the evidence and compares, row by row (check 14).

The rows come out of `ledger.projection`, the same function that wrote them, in the order of
the events, and are compared as the audit of the log goes along: no second index is made.

    event     all columns of an `EventRow`, by eid
    mention   (eid, key text, role number, event_time_us), by eid
    gap       all columns of a `GapRow`, by idx
    master    (SHA-256, idx) of the documents with master data, held against the documents
    progress  the first entry that is not in the index yet

An erased event has no rows, once the index has followed the log up to the notice: what is
wrong with the rows of its statement is held back until then.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import chain

from ledger.admitted import GapRow, project_gap
from ledger.audit.documents import DocumentAudit
from ledger.audit.finding import Finding
from ledger.audit.stored import show
from ledger.epcis.master import may_have_master_data
from ledger.projection import (
    ROLES,
    CaptureHead,
    EventRow,
    ShownEvent,
    event_row_id,
    project_capture,
    split_row_id,
)
from ledger.statement import Capture, Erasure, Statement

Row = Sequence[object]

DEFERRED_MAX = 50_000
"""How many findings are held back at most, over all statements that lost events."""
EVENT_COLUMNS = tuple(one.name for one in fields(EventRow))
GAP_COLUMNS = tuple(one.name for one in fields(GapRow))
_ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES)}


class IndexAudit:
    """The rows of the index, compared as the entries come along."""

    def __init__(
        self,
        *,
        events: Iterable[Row],
        mentions: Iterable[Row],
        gaps: Iterable[Row],
        masters: Iterable[Row],
        progress: Iterable[Row],
    ) -> None:
        """Compare `events` and `mentions`, ordered by eid, and `gaps`, up to `progress`."""
        self._gaps = _Cursor(gaps, 0)
        self._events = _Cursor(events, 0)
        self._mentions = _Cursor(mentions, 0)
        self._masters = {row[0]: row[1] for row in masters}
        self._progress = list(progress)
        self._next = self._read_progress()
        self._deferred: dict[int, tuple[set[int], list[Finding]]] = {}
        self._held = 0
        self.rows = 0

    @property
    def size(self) -> int:
        """The number of entries that the index says it has followed."""
        return self._next

    def check_entry(
        self,
        index: int,
        record_time_us: int,
        statement: Statement,
        shown: Sequence[ShownEvent | None],
    ) -> Iterator[Finding]:
        """Yield how the rows of the events of entry `index` differ from the rebuilt ones.

        `shown` are its events in their order, each None if it was erased.
        """
        body = statement.body
        if index >= self._next or not isinstance(body, Capture):
            return
        head = CaptureHead(
            index=index, record_time_us=record_time_us, iss=statement.iss, grade=body.grade
        )
        rebuilt = project_capture(head, shown)
        rows = {
            row.eid: tuple(getattr(row, name) for name in EVENT_COLUMNS)
            for row in rebuilt.events
        }
        mentions: dict[int, set[Row]] = {}
        for mention in rebuilt.mentions:
            named = (
                mention.eid,
                mention.key,
                _ROLE_NUMBERS[mention.role],
                mention.event_time_us,
            )
            mentions.setdefault(mention.eid, set()).add(named)
        erased = {position for position, event in enumerate(shown) if event is None}
        for position in range(len(shown)):
            eid = event_row_id(index, position)
            yield from self._strays(eid)
            found = chain(
                self._check_event(eid, rows.get(eid)),
                self._check_mentions(eid, mentions.get(eid, set())),
            )
            yield from self._defer(index, erased, found) if erased else found

    def _defer(
        self, index: int, erased: set[int], findings: Iterable[Finding]
    ) -> Iterator[Finding]:
        """Hold `findings` back until all of `erased` are said to be; yield what is too much."""
        for finding in findings:
            if self._held >= DEFERRED_MAX:
                yield finding
                continue
            self._held += 1
            self._deferred.setdefault(index, (erased, []))[1].append(finding)

    def check_notice(self, index: int, erasure: Erasure) -> Iterator[Finding]:
        """Yield what is wrong with rows of statements that entry `index` says lost events.

        An index that has not followed the log up to the notice still has their rows.
        """
        for entry, position in erasure.positions if index < self._next else ():
            erased, findings = self._deferred.get(entry, (set(), []))
            erased.discard(position)
            if not erased:
                self._deferred.pop(entry, None)
                self._held -= len(findings)
                yield from findings

    def check_gap(self, index: int, statement: Statement | None) -> Iterator[Finding]:
        """Yield how the row of the gap statement in entry `index` differs from the rebuilt one.

        An entry whose statement cannot be read (None) may have any.
        """
        for row in self._gaps.before(index):
            yield _gap_finding(row[0], "no such row", show_row(row))
        if statement is None or index >= self._next:
            return
        made = project_gap(index, statement.iss, statement.body)
        wanted = () if made is None else (tuple(getattr(made, name) for name in GAP_COLUMNS),)
        found = tuple(tuple(row) for row in self._gaps.at(index))
        self.rows += len(found)
        if found != wanted:
            shown = [show_row(rows[0]) if rows else "no such row" for rows in (wanted, found)]
            yield _gap_finding(index, *shown)

    def check_document(
        self, digest: object, data: object, cited: int | None
    ) -> Iterator[Finding]:
        """Yield what the index says wrong of a document, which entry `cited` cites first."""
        found = self._masters.pop(digest, None)
        has_any = isinstance(data, bytes) and may_have_master_data(data)
        if cited is None or cited >= self._next:
            return
        expected = cited if has_any else None
        if found != expected and not (found is None and data is None):
            yield _finding(None, "master", show(expected), show(found))

    def finish_documents(self) -> Iterator[Finding]:
        """Yield the rows of documents that are not kept."""
        for index in self._masters.values():
            yield _finding(None, "master", "no such row", show(index))

    def skip_entry(self, index: int) -> None:
        """Leave out the rows of an entry whose events cannot be known."""
        for cursor in (self._events, self._mentions):
            cursor.skip(event_row_id(index, 0), event_row_id(index + 1, 0))

    def finish(self, size: int) -> Iterator[Finding]:
        """Yield the rows that no event of the log's `size` entries has."""
        for cursor, table in ((self._events, "event"), (self._mentions, "mention")):
            for row in cursor.rest():
                yield _finding(row[0], table, "no such row", show_row(row))
        for row in self._gaps.rest():
            yield _gap_finding(row[0], "no such row", show_row(row))
        if len(self._progress) != 1 or self._next > size:
            shown = ", ".join(show(row[0]) for row in self._progress) or "no row"
            yield _finding(None, "progress", f"one row, {size} at most", shown)

    def _read_progress(self) -> int:
        value = self._progress[0][0] if self._progress else 0
        return value if isinstance(value, int) else 0

    def _strays(self, eid: int) -> Iterator[Finding]:
        """Yield the rows before `eid` that no event has."""
        for row in self._events.before(eid):
            yield _finding(row[0], "event", "no such row", show_row(row))
        for mention in self._mentions.before(eid):
            yield _finding(mention[0], "mention", "no such row", show_row(mention))

    def _check_event(self, eid: int, expected: Row | None) -> Iterator[Finding]:
        found = False
        for row in self._events.at(eid):
            self.rows += 1
            if expected is None or found:
                yield _finding(eid, "event", "no such row", show_row(row))
            else:
                yield from _differences(eid, expected, row)
            found = True
        if expected is not None and not found:
            yield _finding(eid, "event", "a row", "no such row")

    def _check_mentions(self, eid: int, expected: set[Row]) -> Iterator[Finding]:
        for row in self._mentions.at(eid):
            self.rows += 1
            if tuple(row) in expected:
                expected.remove(tuple(row))
            else:
                yield _finding(eid, "mention", "no such row", show_row(row))
        for row in sorted(expected, key=repr):
            yield _finding(eid, "mention", show_row(row), "no such row")


def check_documents(
    rows: Iterable[Row], documents: DocumentAudit, index: IndexAudit | None
) -> Iterator[Finding]:
    """Yield what is wrong with the rows of `document`, and with what the index says of them."""
    for row in rows:
        if index is not None:
            cited = documents.cited_at(row[0])
            yield from index.check_document(row[0], row[1], cited)
        yield from documents.check_rows([row])
    yield from documents.finish()
    if index is not None:
        yield from index.finish_documents()


class _Cursor:
    """Rows in the order of one integer column, taken by its value."""

    def __init__(self, rows: Iterable[Row], column: int) -> None:
        self._rows = iter(rows)
        self._column = column
        self._row = next(self._rows, None)

    def before(self, value: int) -> Iterator[Row]:
        """Take the rows that cannot be any that is still to come."""
        while self._row is not None and not self._reaches(self._row, value):
            yield self._take()

    def at(self, value: int) -> Iterator[Row]:
        """Take the rows with just that value."""
        while self._row is not None and self._row[self._column] == value:
            yield self._take()

    def skip(self, start: int, end: int) -> None:
        """Drop the rows with a value from `start` to `end`, which come next."""
        while self._row is not None and self._reaches(self._row, start):
            if self._reaches(self._row, end):
                return
            self._take()

    def rest(self) -> Iterator[Row]:
        """Take all rows that are left."""
        while self._row is not None:
            yield self._take()

    def _take(self) -> Row:
        assert self._row is not None
        row, self._row = self._row, next(self._rows, None)
        return row

    def _reaches(self, row: Row, value: int) -> bool:
        at = row[self._column]
        return isinstance(at, int) and at >= value


def _gap_finding(index: object, expected: str, computed: str) -> Finding:
    return Finding(
        check=14,
        index=index if isinstance(index, int) and index >= 0 else None,
        field="index.db gap",
        expected=expected,
        computed=computed,
        what=f"The index says about the gap statement in entry {index} something else than it.",
    )


def index_contradiction(why: str) -> Finding:
    """Return the finding that the index contradicts itself."""
    return _finding(None, "structure", "ok", why)


def show_row(row: Row) -> str:
    """Return a row of the index in short."""
    return ", ".join(show(value) for value in row)


def _differences(eid: int, expected: Row, found: Row) -> Iterator[Finding]:
    for name, want, have in zip(EVENT_COLUMNS, expected, found, strict=True):
        if (type(want), want) != (type(have), have):
            yield _finding(eid, f"event.{name}", show(want), show(have))


def _finding(eid: object, field: str, expected: str, computed: str) -> Finding:
    index, position = split_row_id(eid) if isinstance(eid, int) and eid >= 0 else (None, 0)
    about = f"event {position} of entry {index}" if index is not None else "the log"
    return Finding(
        check=14,
        index=index,
        field=f"index.db {field}",
        expected=expected,
        computed=computed,
        what=f"The index says about {about} something else than the evidence.",
    )
