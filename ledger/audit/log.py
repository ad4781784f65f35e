"""Audits a whole ledger, entry by entry, in one pass and in bounded memory.

Each entry is parsed, linked to its neighbours (checks 1, 2), judged (8, 9, 10, 12), looked
up (`chain`, `key_entry`), held against its events (11, 13), put into the tree with its
tiles (3), and the tree is held against every root that was signed (4, 5, 6). The audit
goes on after what it finds, and it always ends: each row is taken once.

What was found depends on what was looked at, so the audit also says what it did not check.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ledger.audit.chain import Linked, follow_chain, read_entries
from ledger.audit.documents import DocumentAudit
from ledger.audit.events import EventAudit, EventCounts
from ledger.audit.finding import Finding
from ledger.audit.index import IndexAudit
from ledger.audit.lookups import Lookup
from ledger.audit.roots import Claim, Roots, check_signed
from ledger.audit.signatures import VerifySignatures
from ledger.audit.statements import StatementAudit
from ledger.audit.tree import AuditTree
from ledger.audit.trustfile import Trust
from ledger.entry import parse_entry
from ledger.errors import ParseError
from ledger.statement import Erasure, Statement, parse_statement
from ledger.trust.state import kids_about

Row = Sequence[object]


class StoredEvidence(Protocol):
    """The rows of a ledger, whatever keeps them."""

    def rows(self, table: str) -> Iterable[Row]:
        """Yield the rows of entry, event, checkpoint, chain or key_entry in order.

        The order is that of idx (and position) or size.
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
        verify: VerifySignatures,
        progress: Callable[[int], None],
        index: IndexAudit | None = None,
    ) -> None:
        """Prepare; `progress` is called with each index, `trust` None trusts nobody.

        With `index` the rows of the index are compared, too.
        """
        self.summary = LogSummary(origin=trust.origin if trust else find_origin(evidence))
        self._evidence = evidence
        self._trust = trust
        self._progress = progress
        self._index = index
        self._tree = AuditTree(evidence.tiles, evidence.fetch_tile)
        self._statements = StatementAudit(
            self.summary.origin, self._tree, evidence.fetch_entry, verify
        )
        self._events = EventAudit.over(evidence.rows("event"))
        self._documents = DocumentAudit()
        self._chain = Lookup("chain", evidence.rows("chain"), check=10)
        self._key_entry = Lookup("key_entry", evidence.rows("key_entry"), check=9)

    def run(self) -> Iterator[Finding]:
        """Yield everything that is wrong, as it is found."""
        claims = yield from self._signed_claims()
        roots = Roots(self._evidence.rows("checkpoint"), claims, self._trust)
        reads = read_entries(self._evidence.rows("entry"))
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

    def _check_entry(self, linked: Linked) -> Iterator[Finding]:
        index, statement = linked.index, linked.statement
        if index == 0:
            yield from self._check_first(linked)
        yield from self._statements.check(linked)
        if statement is None:
            yield from self._chain.compare(index, None)
            yield from self._key_entry.compare(index, None)
        else:
            place = (statement.kid, statement.epoch, statement.seq, index)
            about: set[tuple[object, ...]] = {(kid, index) for kid in kids_about(statement)}
            yield from self._chain.compare(index, {place})
            yield from self._key_entry.compare(index, about)
            self.summary.statements[statement.sub] += 1
            self._take_notice(statement)
        yield from self._events.check_entry(index, statement)
        self._documents.take_events(index, self._events.shown or ())
        if self._index is not None:
            yield from self._check_index(linked, self._index)
        yield from self._tree.append(linked.leaf)

    def _check_index(self, linked: Linked, index: IndexAudit) -> Iterator[Finding]:
        shown = self._events.shown
        if linked.entry is None or linked.statement is None or shown is None:
            index.skip_entry(linked.index)
            return
        time_us = linked.entry.record_time_us
        yield from index.check_entry(linked.index, time_us, linked.statement, shown)

    def _check_first(self, linked: Linked) -> Iterator[Finding]:
        if self._trust is not None and linked.leaf not in (None, self._trust.entry0):
            assert linked.leaf is not None
            yield Finding(
                check=9,
                index=0,
                field="entry.data",
                expected=self._trust.entry0.hex(),
                computed=linked.leaf.hex(),
                what="Entry 0, from which every key descends, is not the trusted one: this is "
                "another log, or all of it was rewritten.",
            )

    def _take_notice(self, statement: Statement) -> None:
        if isinstance(statement.body, Erasure):
            role = self._statements.role_of(statement)
            self._events.check_notice(statement.body, statement=statement, role=role)

    def _finish(self, roots: Roots) -> Iterator[Finding]:
        yield from roots.finish(self._tree)
        yield from self._tree.finish()
        yield from self._chain.finish()
        yield from self._key_entry.finish()
        yield from self._events.finish()
        yield from self._documents.check_rows(self._evidence.rows("document"))
        yield from self._statements.finish()
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
        summary.signatures = self._statements.signatures
        summary.unjudged = self._statements.unjudged
        summary.events = self._events.counts
