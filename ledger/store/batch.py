"""Judges submissions one after the other and collects the rows of those that are admitted.

A batch is what one transaction writes. Each submission is judged as if the ones before it
in the batch were in the log already, because they will be or none of this is. The state
of trust is folded along; whoever owns the batch keeps or undoes that.

A key that signed two statements for one place of its chain is not believed again: the
second is refused, and both are put before everyone in an equivocation statement of the
log itself, followed by the key's suspension. One such proof an epoch is enough.
"""

from contextlib import suppress
from dataclasses import dataclass, field

from ledger.cose import Signer
from ledger.entry import encode_entry, next_entry
from ledger.errors import RefusedError, TagtrailError
from ledger.projection import event_row_id
from ledger.statement import (
    Body,
    Claims,
    Equivocation,
    Erasure,
    Key,
    KeyOp,
    Link,
    Statement,
    parse_statement,
    sign_statement,
)
from ledger.store.intake import VerifiedSubmission
from ledger.tlog.merkle import CompactRange, Hash, leaf_hash
from ledger.trust.authority import (
    EquivocationError,
    KnownError,
    authorise,
    key_leaf_for,
)
from ledger.trust.history import History
from ledger.trust.state import TrustState, fold_entry, kids_about

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a statement is in the log; `known` if it was there before it was submitted."""

    index: int
    statement_id: bytes
    known: bool


@dataclass(frozen=True, slots=True)
class LogEnd:
    """What the next entry links to: the size, the last leaf hash, the last record time."""

    size: int
    last_leaf: Hash
    last_time_us: int


@dataclass(slots=True)
class Rows:
    """What one transaction inserts, table by table."""

    entries: list[tuple[int, bytes]] = field(default_factory=list)
    events: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    chain: list[tuple[bytes, int, int, int]] = field(default_factory=list)
    key_entries: list[tuple[bytes, int]] = field(default_factory=list)
    leaves: list[Hash] = field(default_factory=list)
    notices: list[tuple[int, int]] = field(default_factory=list)
    documents: list[tuple[bytes, bytes]] = field(default_factory=list)


class Batch:
    """One transaction in the making, on the writer's thread."""

    def __init__(
        self,
        *,
        state: TrustState,
        end: LogEnd,
        edge: CompactRange,
        stored: History,
        now_us: int,
        log_key: Signer | None,
    ) -> None:
        """Continue at `end`, where the tree has this `edge`; `stored` is the history before.

        `log_key` signs the log's own statements; without it the log accuses nobody.
        """
        self.rows = Rows()
        self.end = end
        self._start = end.size
        self._edge = edge
        self._state = state
        self._stored = stored
        self._now_us = now_us
        self._log_key = log_key
        self._statements: list[Statement] = []
        self._places: dict[tuple[bytes, int, int], int] = {}

    # --- The history that the rules look up: what is stored, then what is pending --------

    def find_logged(self, kid: Hash, epoch: int, seq: int) -> tuple[int, Hash] | None:
        """Return index and id of the statement at this place of a chain, or None."""
        index = self._places.get((kid, epoch, seq))
        if index is None:
            return self._stored.find_logged(kid, epoch, seq)
        return index, self.statement_at(index).id

    def statement_at(self, index: int) -> Statement:
        """Return the statement in the entry at `index`."""
        if index < self._start:
            return self._stored.statement_at(index)
        return self._statements[index - self._start]

    def root_at(self, size: int) -> Hash:
        """Return the root over the first `size` entries."""
        if size <= self._start:
            return self._stored.root_at(size)
        edge = self._edge.copy()
        edge.extend(self.rows.leaves[: size - self._start])
        return edge.root()

    # --- Taking --------------------------------------------------------------------------

    def take(self, submission: VerifiedSubmission) -> Receipt:
        """Admit `submission` as the next entry, or raise `RefusedError`.

        What the log holds already gets a receipt that says so, and changes nothing.
        """
        statement = submission.statement
        try:
            authorise(
                self._state,
                statement,
                self.end.size,
                self,
                signature_verified=submission.signature_verified,
            )
        except KnownError as known:
            return Receipt(known.index, statement.id, known=True)
        except EquivocationError as error:
            self._accuse(statement, error.index)
            raise
        index = self._append(statement)
        self.rows.events += [
            (event_row_id(index, position), commitment, data)
            for position, (commitment, data) in enumerate(submission.events)
        ]
        if submission.document is not None:
            self.rows.documents.append(submission.document)
        return Receipt(index, statement.id, known=False)

    def _append(self, statement: Statement) -> int:
        index = self.end.size
        entry = next_entry(
            now_us=self._now_us,
            last_time_us=self.end.last_time_us,
            prev_leaf_hash=self.end.last_leaf,
            key_leaf_hash=key_leaf_for(self._state, statement),
            statement=statement.raw,
        )
        data = encode_entry(entry)
        leaf = leaf_hash(data)
        fold_entry(self._state, index, statement, leaf)
        self.end = LogEnd(index + 1, leaf, entry.record_time_us)
        place = (statement.kid, statement.epoch, statement.seq)
        self._statements.append(statement)
        self._places[place] = index
        self.rows.entries.append((index, data))
        self.rows.leaves.append(leaf)
        self.rows.chain.append((*place, index))
        self.rows.key_entries += [(kid, index) for kid in kids_about(statement)]
        if isinstance(statement.body, Erasure):
            places = statement.body.positions
            self.rows.notices += [(event_row_id(*place), index) for place in places]
        return index

    def _accuse(self, second: Statement, first_index: int) -> None:
        """Log the proof that the key of `second` signed twice for one place; suspend it."""
        record = self._state.keys[second.kid]
        if self._log_key is None or record.accused_at is not None:
            return
        suspension = Key(
            op=KeyOp.SUSPEND,
            kid=record.kid,
            iss=record.iss,
            role=record.role,
            epoch=record.epoch,
        )
        with suppress(TagtrailError):  # Without a say (any more) the log can only refuse.
            self.say(Equivocation(first_index, second.raw))
            if record.is_valid:
                self.say(suspension)

    def say(self, body: Body) -> Receipt:
        """Append a statement of the log itself, or raise `RefusedError`."""
        if self._log_key is None:
            raise RefusedError("kid", "the log has no key of its own here")
        own = self._state.keys.get(self._log_key.kid)
        head = self._state.chains.get(self._log_key.kid)
        if own is None or head is None:
            raise RefusedError("kid", "the log's own key is not enrolled")
        raw = sign_statement(
            self._log_key,
            Claims(own.iss, self._state.origin, self._now_us // _MICROSECONDS),
            Link(epoch=head.epoch, seq=head.next_seq, prev=head.last_id),
            body,
        )
        statement = parse_statement(raw)
        authorise(self._state, statement, self.end.size, self, signature_verified=True)
        return Receipt(self._append(statement), statement.id, known=False)
