"""Judges every statement at its index, by the rules that the log itself must keep.

The same fold and the same `authorise` that let a statement in are run again from entry 0
(checks 8, 9, 10 and the `seen` of 12), and what the log added is held against what follows
from the entries before: `key_leaf_hash` (check 9) and record time (check 12).

One damaged entry explains what it breaks: where an entry between two statements of a source
was changed or is missing, the gap in that source's chain is not reported again, and a
statement whose key was enrolled in such an entry cannot be judged, which is counted.

Pure: no I/O, no clock, no randomness.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType

from ledger.audit.chain import Linked
from ledger.audit.clocks import Clocks, needs_look
from ledger.audit.finding import Finding
from ledger.audit.handout import Handout
from ledger.audit.scope import Scope
from ledger.audit.state import Folded, copy_trust
from ledger.audit.tree import AuditTree, LostError
from ledger.cose import key_thumbprint
from ledger.entry import Entry, parse_entry
from ledger.errors import ParseError, RefusedError, TagtrailError
from ledger.statement import Key, Statement, parse_statement
from ledger.tlog.merkle import Hash
from ledger.trust.authority import authorise, key_leaf_for
from ledger.trust.state import ChainHead, TrustState, fold_entry, shapes_trust

CHANGED_REMEMBERED_MAX = 100_000
PLACES_REMEMBERED_MAX = 8_000_000

FetchEntry = Callable[[int], object]
"""Returns the stored data of an entry, or None; whatever it is, it is checked."""

FetchPlace = Callable[[Hash, int, int], object]
"""Returns the index that the table `chain` gives for (kid, epoch, seq), or None."""

HasNote = Callable[[int], bool]
"""Tells whether a signed note of that size is stored, where all of them should be."""

_CHECK_OF = MappingProxyType(
    {
        "signature": 8,
        "known": 10,
        "equivocation": 10,
        "epoch": 10,
        "seq": 10,
        "prev": 10,
        "seen": 12,
    }
)
_BREAKS = frozenset({"seq", "prev", "seen"})
_TAKEN = frozenset({"known", "equivocation"})


class _PastOfTheLog:
    """What the log held before the entry that is judged: a `ledger.trust.history.History`."""

    def __init__(
        self, tree: AuditTree, fetch_entry: FetchEntry, fetch_place: FetchPlace
    ) -> None:
        self._tree = tree
        self._fetch_entry = fetch_entry
        self._fetch_place = fetch_place
        self._indexes: dict[tuple[Hash, int], array[int]] = {}
        self._firsts: dict[tuple[Hash, int], int] = {}
        self._room = PLACES_REMEMBERED_MAX
        self.resumed = False

    def remember(self, index: int, statement: Statement) -> None:
        """Keep the index of `statement`, eight bytes each, as long as its chain has no hole."""
        place = statement.kid, statement.epoch
        indexes = self._indexes.get(place)
        if indexes is None:
            indexes = self._indexes[place] = array("Q")
            self._firsts[place] = statement.seq if self.resumed else 0
        if statement.seq == self._firsts[place] + len(indexes) and self._room:
            indexes.append(index)
            self._room -= 1

    def find_logged(self, kid: Hash, epoch: int, seq: int) -> tuple[int, Hash] | None:
        """Return index and id of the statement at this place of a chain, or None.

        Raises `LostError` if only what was forgotten could tell.
        """
        indexes = self._indexes.get((kid, epoch), ())
        first = self._firsts.get((kid, epoch), 0)
        if first <= seq < first + len(indexes):
            found = indexes[seq - first]
            return found, self.statement_at(found).id
        if self._room and not self.resumed:
            return None
        index = self._fetch_place(kid, epoch, seq)
        if not isinstance(index, int):
            raise LostError
        statement = self.statement_at(index)
        if (statement.kid, statement.epoch, statement.seq) != (kid, epoch, seq):
            raise LostError
        return index, statement.id

    def statement_at(self, index: int) -> Statement:
        """Return the statement in an earlier entry."""
        try:
            return parse_statement(self.entry_at(index).statement)
        except ParseError as error:
            raise LostError from error

    def entry_at(self, index: int) -> Entry:
        """Return an earlier entry."""
        data = self._fetch_entry(index)
        if not isinstance(data, bytes):
            raise LostError
        try:
            return parse_entry(data)
        except ParseError as error:
            raise LostError from error

    def root_at(self, size: int) -> Hash:
        """Return the root of an earlier size."""
        root = self._tree.root_at(size)
        if root is None:
            raise LostError
        return root


class StatementAudit:
    """The fold of the statements so far, and what is wrong with them."""

    def __init__(
        self,
        origin: str,
        tree: AuditTree,
        fetch: tuple[FetchEntry, FetchPlace],
        handout: Handout,
        scope: Scope,
    ) -> None:
        """Judge the statements of the log `origin`, whose leaves go into `tree`."""
        self.state = TrustState(origin)
        self.has_note: HasNote = lambda _: True
        self.clocks = Clocks(self.time_of)
        self.unjudged = 0
        self._handout = handout
        self._scope = scope
        self._verifies = scope.wants(8)
        self._past = _PastOfTheLog(tree, *fetch)
        self._noted = 0
        self._changed: list[int] = []
        self._last_time_us = 0

    def check(self, linked: Linked) -> Iterator[Finding]:
        """Yield what is wrong with the statement of `linked`."""
        if linked.changed and len(self._changed) < CHANGED_REMEMBERED_MAX:
            self._changed.append(linked.index)
        entry, statement = linked.entry, linked.statement
        if entry is not None and not linked.changed:
            yield from self._check_time(linked.index, entry)
        if entry is None or statement is None or linked.leaf is None:
            return
        if self._changed and self._key_of(linked.index, statement) is None:
            self.unjudged += 1
            return
        yield from self.check_one(linked.index, entry, statement, linked.leaf)

    def check_one(
        self, index: int, entry: Entry, statement: Statement, leaf: Hash
    ) -> Sequence[Finding]:
        """Return what is wrong with a statement whose entry is linked; go on from it."""
        found: list[Finding] = []
        record = self.state.keys.get(statement.kid)
        if record is None or record.newest_key_leaf != entry.key_leaf_hash:
            found += self._check_key_leaf(index, entry, statement)
        x = record.x if record is not None else self._key_of(index, statement)
        if x is not None and self._verifies and self._scope.draws(index):
            self._handout.add_signature(index, statement, x)
        refusal = self._refusal(index, statement)
        if refusal is not None and refusal.check in _BREAKS:
            refusal = self._look_again(index, statement, refusal, found)
        if refusal is not None:
            found.append(_refused(index, refusal))
            if refusal.check in _TAKEN:  # Its source goes on from the one that was first.
                return found
        self._past.remember(index, statement)
        self._fold(index, statement, leaf, admitted=refusal is None)
        if statement.seen is not None and refusal is None:
            found += self._check_note(index, statement.seen.size, statement)
        if statement.seen is not None or needs_look(statement, entry.record_time_us, record):
            found += self.clocks.check(index, entry.record_time_us, statement, record)
        return found

    def resume(self, folded: Folded) -> None:
        """Go on from what the entries before came to."""
        self.state = copy_trust(folded.trust)
        self.clocks.heard.update(folded.heard)
        self._last_time_us = folded.time_us
        self._past.resumed = True

    def finish(self, index: int) -> Iterator[Finding]:
        """Yield which sources were silent up to the last entry, `index`."""
        yield from self.clocks.finish(index, self._last_time_us, self.state.keys)

    def time_of(self, index: int) -> int | None:
        """Return the record time of an earlier entry, or None if it cannot be known."""
        try:
            return self._past.entry_at(index).record_time_us
        except LostError:
            return None

    def source_of(self, index: int) -> tuple[str, bytes] | None:
        """Return issuer and key of an earlier statement, or None if they cannot be known."""
        try:
            statement = self._past.statement_at(index)
        except LostError:
            return None
        return statement.iss, statement.kid

    def _check_note(self, index: int, size: int, statement: Statement) -> Iterator[Finding]:
        """Yield that a checkpoint which a source has seen is not stored any more."""
        if size == self._noted:
            return
        self._noted = size
        if not self.has_note(size):
            yield Finding(
                check=4,
                index=size - 1,
                field=f"checkpoint (size {size})",
                expected=f"the signed note that {statement.iss} has verified",
                computed="no such row",
                what=f"The statement in entry {index} names the signed checkpoint over {size} "
                "entries, and the log does not hold it any more: it was deleted.",
                who="Whoever can write the evidence database.",
                todo="Ask the source for the note, which it keeps.",
            )

    def pass_time(self, time_us: int) -> None:
        """Go on from an entry recorded at `time_us`, no earlier than the ones before."""
        self._last_time_us = time_us

    def role_of(self, statement: Statement) -> str:
        """Return the role of the key that signed `statement`, or nothing."""
        record = self.state.keys.get(statement.kid)
        return record.role if record is not None else ""

    def _key_of(self, index: int, statement: Statement) -> bytes | None:
        record = self.state.keys.get(statement.kid)
        if record is not None:
            return record.x
        match statement.body:
            case Key(x=bytes(x)) if index == 0 and key_thumbprint(x) == statement.kid:
                return x
            case _:
                return None

    def _check_time(self, index: int, entry: Entry) -> Iterator[Finding]:
        if entry.record_time_us < self._last_time_us:
            yield Finding(
                check=12,
                index=index,
                field="entry.data: record_time_us",
                expected=f"{self._last_time_us} or later",
                computed=str(entry.record_time_us),
                what=f"Entry {index} says it was recorded before the entry in front of it.",
            )
        self._last_time_us = max(self._last_time_us, entry.record_time_us)

    def _check_key_leaf(
        self, index: int, entry: Entry, statement: Statement
    ) -> Iterator[Finding]:
        expected = key_leaf_for(self.state, statement)
        if entry.key_leaf_hash != expected:
            yield Finding(
                check=9,
                index=index,
                field="entry.data: key_leaf_hash",
                expected=expected.hex(),
                computed=entry.key_leaf_hash.hex(),
                what=f"Entry {index} does not name the newest key entry about its key.",
            )

    def _look_again(
        self, index: int, statement: Statement, broken: RefusedError, found: list[Finding]
    ) -> RefusedError | None:
        """Add a broken place in a chain to `found`, mend it, and return what else is wrong.

        So one break hides nothing and is reported once.
        """
        explained = self._is_explained(index, statement)
        self._mend(statement)
        again = self._refusal(index, statement)
        if again is not None and again.check == broken.check and not explained:
            return again
        if not explained:
            found.append(_refused(index, broken))
        return again

    def _refusal(self, index: int, statement: Statement) -> RefusedError | None:
        try:
            authorise(self.state, statement, index, self._past, signature_verified=True)
        except RefusedError as error:
            return error
        except LostError:
            self.unjudged += 1
        except TagtrailError as error:
            return RefusedError("body", str(error))
        return None

    def _is_explained(self, index: int, statement: Statement) -> bool:
        """Whether an entry since the source's last one, or this one, is damaged."""
        head = self.state.chains.get(statement.kid)
        last = head.last_index if head is not None else None
        return bisect_right(self._changed, index) > bisect_right(
            self._changed, -1 if last is None else last
        )

    def _mend(self, statement: Statement) -> None:
        """Take the place that the statement claims in its chain for the next one."""
        self.state.set_chain(
            statement.kid, ChainHead(statement.epoch, statement.seq, statement.prev)
        )

    def _fold(self, index: int, statement: Statement, leaf: Hash, *, admitted: bool) -> None:
        """Go on as if it were admitted, so that one wrong entry is one finding.

        But what changes more than its own chain does so only if the rules admit it.
        """
        if admitted or not shapes_trust(statement):
            fold_entry(self.state, index, statement, leaf)
            return
        seen_size = statement.seen.size if statement.seen else 0
        head = ChainHead(statement.epoch, statement.seq + 1, statement.id, index, seen_size)
        self.state.set_chain(statement.kid, head)


def _refused(index: int, refusal: RefusedError) -> Finding:
    return Finding(
        check=_CHECK_OF.get(refusal.check, 9),
        index=index,
        field=f"entry.data: {refusal.check}",
        expected="a statement that the rules of the log admit here",
        computed=str(refusal),
        what=f"The statement in entry {index} may not stand there: {refusal}.",
    )
