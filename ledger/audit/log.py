"""Audits a whole ledger, entry by entry, in one pass and in bounded memory.

Each entry is parsed, linked to its neighbours (checks 1, 2), put into the tree with its
tiles (3), and the tree is held against every root that was signed (4, 5, 6). Then its
statement is judged (8, 9, 10, 12), looked up (`chain`, `key_entry`), and held against its
events (11, 13). As long as nothing is wrong this goes a whole tile at a time; from the
first broken entry on, entry by entry. The audit goes on after what it finds, and it always
ends: each row is taken once.

What was found depends on what was looked at, so the audit also says what it did not check.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Protocol

from ledger.audit.chain import Linked, follow_chain, read_entries
from ledger.audit.chunk import JudgeChunk
from ledger.audit.documents import DocumentAudit
from ledger.audit.events import EventAudit, EventCounts
from ledger.audit.finding import Finding
from ledger.audit.handout import Handout
from ledger.audit.index import IndexAudit
from ledger.audit.lookups import Lookup
from ledger.audit.roots import Claim, Roots, check_signed
from ledger.audit.rows import Cursor
from ledger.audit.runs import Run, RunReader
from ledger.audit.scope import Scope
from ledger.audit.statements import StatementAudit
from ledger.audit.tree import AuditTree
from ledger.audit.trustfile import Trust
from ledger.entry import Entry, parse_entry
from ledger.errors import ParseError
from ledger.projection import event_row_id
from ledger.statement import NO_HASH, Capture, Erasure, Statement, parse_statement
from ledger.tlog.merkle import Hash
from ledger.trust.state import kids_about

Row = Sequence[object]


class StoredEvidence(Protocol):
    """The rows of a ledger, whatever keeps them."""

    def batches(self, table: str) -> Iterator[Sequence[Row]]:
        """Yield the rows of entry, event, checkpoint, chain or key_entry in order.

        The order is that of idx (and position) or size; each batch is of bounded size. Of
        an entry that is too long it is enough to give so much that it shows.
        """

    def tiles(self, level: int | None) -> Iterable[Row]:
        """Yield the rows of `tile` of a level in the order of n, or of None those of none."""

    def fetch_tile(self, level: int, n: int) -> object:
        """Return the data of one tile, or None."""

    def fetch_entry(self, index: int) -> object:
        """Return the data of one entry, or None."""

    @property
    def signed_before(self) -> Sequence[Row] | None:
        """The rows of `signed` as they were before the rest was read; None if there is none."""

    @property
    def signed_after(self) -> Sequence[Row] | None:
        """The same as they were after the rest was read."""


@dataclass(slots=True, kw_only=True)
class LogSummary:
    """What an audit has seen; complete when it has ended."""

    origin: str = ""
    size: int = 0
    checkpoint_size: int = 0
    signed_size: int | None = None
    statements: Counter[str] = field(default_factory=Counter)
    keys: int = 0
    suspect_keys: list[str] = field(default_factory=list)
    signatures: int = 0
    unjudged: int = 0
    events: EventCounts = field(default_factory=EventCounts)

    @property
    def unsigned(self) -> int:
        """The number of entries after the newest signed checkpoint."""
        return self.size - self.checkpoint_size


def find_origin(evidence: StoredEvidence) -> str:
    """Return the origin that entry 0 speaks to, or nothing: for want of a trusted one."""
    data = evidence.fetch_entry(0)
    if not isinstance(data, bytes):
        return ""
    try:
        return parse_statement(parse_entry(data).statement).aud
    except ParseError:
        return ""


class LogAudit:
    """One audit of one ledger's evidence."""

    def __init__(
        self,
        evidence: StoredEvidence,
        trust: Trust | None,
        *,
        judge: JudgeChunk,
        progress: Callable[[int], None],
        index: IndexAudit | None = None,
        scope: Scope | None = None,
    ) -> None:
        """Prepare; `progress` is called with indexes, `trust` None trusts nobody.

        With `index` the rows of the index are compared, too.
        """
        self._scope = scope or Scope()
        self.summary = LogSummary(origin=trust.origin if trust else find_origin(evidence))
        self._evidence = evidence
        self._trust = trust
        self._progress = progress
        self._index = index
        self._tree = AuditTree(evidence.tiles, evidence.fetch_tile)
        self._documents = DocumentAudit()
        self._events = EventAudit(Cursor(evidence.batches("event")), self._scope.wants(13))
        self._handout = Handout(judge, self._events, self._documents)
        self._statements = StatementAudit(
            self.summary.origin, self._tree, evidence.fetch_entry, self._handout, self._scope
        )
        self._chain = Lookup("chain", evidence.batches("chain"), check=10)
        self._key_entry = Lookup("key_entry", evidence.batches("key_entry"), check=9)
        self._notice = Lookup("notice", evidence.batches("notice"), check=11)

    def run(self) -> Iterator[Finding]:
        """Yield everything that is wrong, as it is found."""
        claims = yield from self._signed_claims()
        checkpoints = chain.from_iterable(self._evidence.batches("checkpoint"))
        roots = Roots(checkpoints, claims, self._trust)
        reader = RunReader(
            self._evidence.batches("entry"),
            first=0,
            previous=NO_HASH,
            statements=self._scope.statements,
        )
        for run in reader:
            yield from self._check_run(run)
            yield from roots.compare(self._tree)
            self._progress(int(self._tree.size) - 1)
        reads = read_entries(reader.rest(), reader.next_index)
        for item in follow_chain(reads, vouches=lambda new: roots.vouches(self._tree, new)):
            if isinstance(item, Finding):
                yield item
                continue
            yield from self._check_entry(item)
            yield from roots.compare(self._tree)
            self._progress(item.index)
        yield from self._finish(roots)

    def _signed_claims(self) -> Generator[Finding, None, set[Claim]]:
        """Yield what is wrong with `signed.db`; return what it claims, before and after."""
        claims: set[Claim] = set()
        before, after = self._evidence.signed_before, self._evidence.signed_after
        for rows, late in ((before, False), (after, True)):
            if rows is None or (late and after == before):
                continue
            for item in check_signed(rows):
                if isinstance(item, Finding):
                    yield item
                else:
                    claims.add(replace(item, late=late))
        return claims

    def _check_run(self, run: Run) -> Iterator[Finding]:
        """Check entries that are spelled and linked right."""
        if run.first == 0:
            yield from self._check_first(run.leaves[0])
        yield from self._tree.append_run(run.leaves)
        if not self._scope.statements:
            return
        together = zip(run.entries, run.statements, run.leaves, strict=True)
        for index, (entry, statement, leaf) in enumerate(together, start=run.first):
            yield from self._statements.check_one(index, entry, statement, leaf)
            yield from self._check_events(index, entry, statement)
        self._statements.pass_time(run.entries[-1].record_time_us)
        places = [
            [(one.kid, one.epoch, one.seq, index)]
            for index, one in enumerate(run.statements, start=run.first)
        ]
        about = [
            [(kid, index) for kid in kids_about(one)]
            for index, one in enumerate(run.statements, start=run.first)
        ]
        yield from self._chain.compare_run(run.first, places)
        notices = [
            _notices(index, one) for index, one in enumerate(run.statements, start=run.first)
        ]
        yield from self._key_entry.compare_run(run.first, about)
        yield from self._notice.compare_run(run.first, notices)

    def _check_entry(self, linked: Linked) -> Iterator[Finding]:
        index, statement = linked.index, linked.statement
        if index == 0:
            yield from self._check_first(linked.leaf)
        yield from self._tree.append(linked.leaf)
        if not self._scope.statements:
            return
        yield from self._statements.check(linked)
        if statement is None:
            yield from self._chain.compare(index, None)
            yield from self._key_entry.compare(index, None)
            yield from self._notice.compare(index, None)
        else:
            place = (statement.kid, statement.epoch, statement.seq, index)
            about: set[tuple[object, ...]] = {(kid, index) for kid in kids_about(statement)}
            yield from self._chain.compare(index, {place})
            yield from self._key_entry.compare(index, about)
            yield from self._notice.compare(index, set(_notices(index, statement)))
        yield from self._check_events(index, linked.entry, statement)

    def _check_events(
        self, index: int, entry: Entry | None, statement: Statement | None
    ) -> Iterator[Finding]:
        """Check the events of entry `index`, here or by whoever judges chunks."""
        if statement is not None:
            self.summary.statements[statement.sub] += 1
            yield from self._take_notice(index, statement)
        if not self._hand_out(index, statement):
            yield from self._events.check_entry(index, statement)
            self._documents.take_events(index, self._events.shown or ())
            if self._index is not None:
                yield from self._check_index(index, entry, statement, self._index)
        yield from self._handout.go_on()

    def _hand_out(self, index: int, statement: Statement | None) -> bool:
        """Give the events of a capture to whoever judges chunks, if they can be given."""
        if self._index is not None or statement is None:
            return False
        body = statement.body
        if not isinstance(body, Capture):
            return False
        events = self._events.take_capture(index, body)
        if not events:
            return events is not None
        if self._scope.wants(11, 13) and self._scope.draws(index):
            self._handout.add_capture(index, statement, events)
        else:
            self._events.counts.skipped += len(events)
        return True

    def _check_index(
        self, at: int, entry: Entry | None, statement: Statement | None, index: IndexAudit
    ) -> Iterator[Finding]:
        shown = self._events.shown
        if entry is None or statement is None or shown is None:
            index.skip_entry(at)
            return
        yield from index.check_entry(at, entry.record_time_us, statement, shown)

    def _check_first(self, leaf: Hash | None) -> Iterator[Finding]:
        if self._trust is not None and leaf not in (None, self._trust.entry0):
            assert leaf is not None
            yield Finding(
                check=9,
                index=0,
                field="entry.data",
                expected=self._trust.entry0.hex(),
                computed=leaf.hex(),
                what="Entry 0, from which every key descends, is not the trusted one: this is "
                "another log, or all of it was rewritten.",
            )

    def _take_notice(self, index: int, statement: Statement) -> Iterator[Finding]:
        if isinstance(statement.body, Erasure):
            role = self._statements.role_of(statement)
            self._events.check_notice(statement.body, statement=statement, role=role)
            if self._index is not None:
                yield from self._index.check_notice(index, statement.body)

    def _finish(self, roots: Roots) -> Iterator[Finding]:
        yield from roots.finish(self._tree)
        yield from self._tree.finish()
        yield from self._handout.finish()
        if self._scope.statements:
            yield from self._chain.finish()
            yield from self._key_entry.finish()
            yield from self._notice.finish()
            yield from self._events.finish()
        if self._scope.wants(11) and self._scope.sample == 1:
            documents = chain.from_iterable(self._evidence.batches("document"))
            yield from self._documents.check_rows(documents)
        if self._index is not None:
            yield from self._index.finish(self._tree.size)
        summary, state = self.summary, self._statements.state
        summary.size = self._tree.size
        summary.checkpoint_size = roots.newest_size
        summary.signed_size = roots.signed_size
        summary.keys = len(state.keys)
        summary.suspect_keys = [
            f"{record.kid.hex()} ({record.role} of {record.iss}) from entry "
            f"{record.suspect_since} on"
            for record in state.keys.values()
            if record.suspect_since is not None
        ]
        summary.signatures = self._handout.signatures
        summary.unjudged = self._statements.unjudged
        summary.events = self._events.counts


def _notices(index: int, statement: Statement) -> list[tuple[object, ...]]:
    """Return the rows of `notice` that follow from the statement in entry `index`."""
    match statement.body:
        case Erasure(positions=positions):
            return [(event_row_id(*place), index) for place in positions]
        case _:
            return []
