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

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice

from ledger.audit.chain import Linked, follow_chain, read_entries
from ledger.audit.chunk import JudgeChunk
from ledger.audit.documents import DocumentAudit
from ledger.audit.events import EventAudit
from ledger.audit.evidence import LOOKUPS, Row, StoredEvidence, find_origin
from ledger.audit.finding import Finding
from ledger.audit.fork import ForkProof, make_fork
from ledger.audit.handout import Handout
from ledger.audit.index import IndexAudit, check_documents
from ledger.audit.lookups import CHECK_OF_LOOKUP, Lookup, rows_of
from ledger.audit.roots import Claim, Roots, check_signed
from ledger.audit.rows import Cursor
from ledger.audit.runs import Run, RunReader
from ledger.audit.scope import Scope
from ledger.audit.state import AuditorState, Folded, copy_trust
from ledger.audit.statements import StatementAudit
from ledger.audit.story import PhysicalStory
from ledger.audit.summary import LogSummary
from ledger.audit.tree import AuditTree, LostError
from ledger.audit.trustfile import Trust
from ledger.entry import Entry, entry_leaf
from ledger.statement import NO_HASH, Capture, Erasure, Statement
from ledger.tlog.merkle import Hash, TreeSize, prove_consistency_from
from ledger.tlog.tiles import TILE_HEIGHT, TILE_WIDTH


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
        self.folded: Folded | None = None
        self._evidence = evidence
        self._trust = trust
        self._progress = progress
        self._index = index
        self._judge = judge
        has_events = "event" in evidence.tables
        self._hands_out = has_events and index is None and not self._scope.wants(15)
        self._judges = self._scope.wants(11, 13)
        self._looks_up = LOOKUPS.issubset(evidence.tables)
        self._seen: Claim | None = None
        self._start = 0
        self._previous = NO_HASH
        self._pause = 0
        self._prepare()

    def _prepare(self) -> None:
        """Stand before the entry at `_start`."""
        evidence, start = self._evidence, self._start
        self.tree = AuditTree(self._tiles, evidence.fetch_tile)
        self._documents = DocumentAudit()
        self._story = PhysicalStory() if self._scope.wants(15) else None
        events = Cursor(evidence.batches("event", start))
        self._events = EventAudit(events, self._scope.wants(13))
        self._handout = Handout(self._judge, self._events, self._documents)
        self._statements = StatementAudit(
            self.summary.origin,
            self.tree,
            (evidence.fetch_entry, evidence.fetch_place),
            self._handout,
            self._scope,
        )
        self._lookups = {
            table: Lookup(table, evidence.batches(table, start), check=check)
            for table, check in CHECK_OF_LOOKUP.items()
        }

    def compare_with(self, state: AuditorState) -> None:
        """Hold the log against what this auditor saw before (check 7)."""
        checkpoint = state.signed.checkpoint
        self._seen = Claim(
            size=int(checkpoint.size), root=checkpoint.root, by="state", note=state.note
        )

    def resume(self, state: AuditorState) -> None:
        """Go on after the entries that this auditor has verified before.

        Raises `LostError` if the tree that is stored does not begin with them.
        """
        folded, root = state.folded, state.signed.checkpoint.root
        self._start = self.summary.resumed_at = folded.size
        self._previous = folded.last_leaf
        self._prepare()
        width = folded.size % TILE_WIDTH
        rows = chain.from_iterable(self._evidence.batches("entry", folded.size - width))
        leaves = [entry_leaf(row[1]) for row in islice(rows, width) if type(row[1]) is bytes]
        if len(leaves) != width:
            raise LostError
        self.tree.resume(TreeSize(folded.size), root, leaves)
        self._statements.resume(folded)
        self._events.resume(folded.erased)

    def start_over(self) -> None:
        """Forget what `resume` took, and stand before entry 0 again."""
        self._start = self.summary.resumed_at = 0
        self._previous = NO_HASH
        self._prepare()

    def remember_at(self, size: int) -> None:
        """Keep in `folded` what the entries below `size` come to, if nothing is wrong there."""
        self._pause = size

    def prove_fork(self) -> ForkProof | None:
        """Return the proof that the log shows two histories, after a run, if there is one."""
        seen, new = self._seen, self.summary.checkpoint_note
        if seen is None or not new or self._trust is None:
            return None
        size = self.summary.checkpoint_size
        if not 0 < seen.size <= size:
            return None
        try:
            root = self.tree.root_at(seen.size)
            old_size, new_size = TreeSize(seen.size), TreeSize(size)
            proof = prove_consistency_from(self.tree.node, old_size, new_size)
        except LostError:
            return None
        if root is None:
            return None
        return make_fork(seen.note, new, root=root, proof=proof, trust=self._trust)

    def run(self) -> Iterator[Finding]:
        """Yield everything that is wrong, as it is found."""
        claims = yield from self._signed_claims()
        if self._seen is not None and self._seen.size > self._start:
            claims.add(self._seen)
        checkpoints = chain.from_iterable(self._evidence.batches("checkpoint", self._start))
        before = self._seen if self._start else None
        roots = Roots(checkpoints, claims, self._trust, believed=before)
        if self._looks_up:
            self._statements.has_note = lambda n: n <= self._start or roots.has_row(n)
        reader = RunReader(
            self._evidence.batches("entry", self._start),
            first=self._start,
            previous=self._previous,
            statements=self._scope.statements,
            pause=self._pause,
        )
        if self._start:
            yield from roots.compare(self.tree)
        for run in reader:
            yield from self._check_run(run, roots)
            self._progress(int(self.tree.size) - 1)
        reads = read_entries(reader.rest(), reader.next_index)
        for item in follow_chain(reads, vouches=lambda new: roots.vouches(self.tree, new)):
            if isinstance(item, Finding):
                yield item
                continue
            yield from self._check_entry(item, roots)
            self._progress(item.index)
        yield from self._finish(roots)

    def _tiles(self, level: int | None) -> Iterable[Row]:
        start = 0 if level is None else self._start >> TILE_HEIGHT * (level + 1)
        return self._evidence.tiles(level, start)

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

    def _check_run(self, run: Run, roots: Roots) -> Iterator[Finding]:
        """Check entries that are spelled and linked right."""
        if run.first == 0:
            yield from self._check_first(run.leaves[0])
        yield from self.tree.append_run(run.leaves)
        yield from roots.compare(self.tree)
        if not self._scope.statements:
            return
        together = zip(run.entries, run.statements, run.leaves, strict=True)
        for index, (entry, statement, leaf) in enumerate(together, start=run.first):
            found = self._statements.check_one(index, entry, statement, leaf)
            if found:
                yield from found
            if self._hand_out(index, statement):
                if self._handout.is_full:
                    yield from self._handout.go_on()
            else:
                yield from self._check_events(index, entry, statement)
        self._statements.pass_time(run.entries[-1].record_time_us)
        if self._looks_up:
            for lookup in self._lookups.values():
                yield from lookup.compare_run(run.first, run.statements)
        if self.tree.size == self._pause:
            self.folded = self._fold(run)

    def _fold(self, run: Run) -> Folded:
        return Folded(
            size=int(self.tree.size),
            time_us=run.entries[-1].record_time_us,
            last_leaf=run.leaves[-1],
            trust=copy_trust(self._statements.state),
            erased=dict(self._events.erasures.unsettled()),
            heard=dict(self._statements.clocks.heard),
        )

    def _check_entry(self, linked: Linked, roots: Roots) -> Iterator[Finding]:
        index, statement = linked.index, linked.statement
        if index == 0:
            yield from self._check_first(linked.leaf)
        yield from self.tree.append(linked.leaf)
        yield from roots.compare(self.tree)
        if not self._scope.statements:
            return
        yield from self._statements.check(linked)
        if self._looks_up:
            for table, lookup in self._lookups.items():
                rows = None if statement is None else rows_of(table, index, statement)
                yield from lookup.compare(index, rows)
        if self._hand_out(index, statement):
            yield from self._handout.go_on()
        else:
            yield from self._check_events(index, linked.entry, statement)

    def _check_events(
        self, index: int, entry: Entry | None, statement: Statement | None
    ) -> Iterator[Finding]:
        """Check the events of entry `index`, which are not handed out, here."""
        if statement is not None:
            self.summary.statements[statement.sub] += 1
            yield from self._take_notice(index, statement)
        if "event" not in self._evidence.tables:
            body = statement.body if statement is not None else None
            self._events.counts.skipped += body.count if isinstance(body, Capture) else 0
        else:
            self._events.prefixes = self._prefixes(statement)
            yield from self._events.check_entry(index, statement)
            self._take_shown(index, statement)
            if self._index is not None:
                yield from self._check_index(index, entry, statement, self._index)
        yield from self._handout.go_on()

    def _take_shown(self, index: int, statement: Statement | None) -> None:
        """Tell documents and story what the events of entry `index` are."""
        shown = self._events.shown
        if shown is None and (statement is None or isinstance(statement.body, Capture)):
            self._documents.take_unknown()
        self._documents.take_events(index, shown or ())
        if self._story is not None:
            self._story.take_events(index, shown or ())

    def _hand_out(self, index: int, statement: Statement | None) -> bool:
        """Give the events of a capture to whoever judges chunks, if they can be given."""
        if statement is None or not self._hands_out:
            return False
        body = statement.body
        if type(body) is not Capture:
            return False
        events = self._events.take_capture(index, body)
        if events is None:
            return False
        self.summary.statements[statement.sub] += 1
        if not events:
            return True
        if self._judges and self._scope.draws(index):
            self._handout.add_capture(index, statement, events, self._prefixes(statement))
        else:
            self._events.counts.skipped += len(events)
        return True

    def _prefixes(self, statement: Statement | None) -> tuple[str, ...]:
        record = self._statements.state.keys.get(statement.kid) if statement else None
        return record.prefixes if record is not None else ()

    def _check_index(
        self, at: int, entry: Entry | None, statement: Statement | None, index: IndexAudit
    ) -> Iterator[Finding]:
        shown = self._events.shown
        yield from index.check_gap(at, statement)
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
            self._events.erasures.take_notice(index, statement.body, statement, role)
            if self._index is not None:
                yield from self._index.check_notice(index, statement.body)

    def _finish(self, roots: Roots) -> Iterator[Finding]:
        evidence, scope = self._evidence, self._scope
        yield from roots.finish(self.tree, self._statements.time_of)
        yield from self.tree.finish()
        if "partial" in evidence.tables:
            yield from self.tree.check_partial(evidence.fetch_partial)
        yield from self._handout.finish()
        if scope.statements:
            if self._looks_up:
                for lookup in self._lookups.values():
                    yield from lookup.finish()
            if "event" in evidence.tables:
                yield from self._events.finish()
                yield from self._check_named(roots.newest_size)
            yield from self._statements.finish(int(self.tree.size) - 1)
        if self.checks_documents:
            rows = chain.from_iterable(evidence.batches("document"))
            yield from check_documents(rows, self._documents, self._index)
        if self._index is not None:
            yield from self._index.finish(self.tree.size)
        if self._story is not None:
            yield from self._story.finish()
            self.summary.story_left_out = self._story.left_out
        self._sum_up(roots)

    def _check_named(self, signed_size: int) -> Iterator[Finding]:
        """Look once more at the events that notices name and that were not seen erased."""
        erasures = self._events.erasures
        lowest = erasures.lowest_named
        if lowest is not None:
            rows = chain.from_iterable(self._evidence.batches("event", lowest))
            source_of = self._statements.source_of
            yield from erasures.check_named(rows, source_of, signed_size=signed_size)

    @property
    def checks_documents(self) -> bool:
        """Whether all that could cite a received document is looked at."""
        all_seen = self._scope.wants(11) and self._scope.sample == 1 and not self._start
        return all_seen and "document" in self._evidence.tables

    def _sum_up(self, roots: Roots) -> None:
        summary, state = self.summary, self._statements.state
        summary.size = self.tree.size
        summary.checkpoint_size = roots.newest_size
        summary.checkpoint_note = roots.newest_note
        summary.signed_size = roots.signed_size
        summary.witnessed_size, names = roots.witnessed
        summary.witnesses = sorted(names)
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
        summary.erasures_left_out = self._events.erasures.left_out
        summary.documents_left_out = self._documents.left_out
        summary.documents_uncited = self._documents.uncited
        summary.unread = self._events.unread
