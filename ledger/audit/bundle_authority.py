"""Judges statements by the rules of the log, as far as a bundle shows its entries.

The same fold and the same `authorise` that let a statement in are run over the entries of
the bundle in their order (checks 8, 9, 10 and 12). Each entry names the newest key entry
about its key, so that nobody can leave out a revocation that the log shows: the chain of
key entries is followed to entry 0.

Where the rules look at what lies between the entries, the statement is taken at its word
and the rest judged: its place in its chain, the newest statement of a chain that a key
statement names, the root that a source saw, whether a party key of the issuer was valid.
What a bundle does show of these is held against it.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator
from dataclasses import replace

from ledger.audit.finding import Finding
from ledger.cose import key_thumbprint
from ledger.entry import Entry
from ledger.errors import RefusedError, TagtrailError, VerificationError
from ledger.statement import (
    Equivocation,
    Key,
    KeyOp,
    Statement,
    parse_statement,
    verify_signature,
)
from ledger.tlog.merkle import Hash
from ledger.trust.authority import authorise, key_leaf_for
from ledger.trust.state import (
    DEVICE,
    GATEWAY,
    LOG,
    ChainHead,
    KeyRecord,
    TrustState,
    fold_entry,
    shapes_trust,
)

CHECK_OF_RULE = {
    "signature": 8,
    "known": 10,
    "equivocation": 10,
    "epoch": 10,
    "seq": 10,
    "prev": 10,
    "seen": 12,
}
_UNKNOWN_X = bytes(32)


class NotShownError(Exception):
    """What the rule asks for is in an entry that the bundle does not hold."""


class _ShownState(TrustState):
    """A fold of some of the entries."""

    __slots__ = ()

    def has_valid_party(self, iss: str) -> bool:  # noqa: ARG002 - other keys may be valid
        """Take it that the log looked: a bundle cannot show it."""
        return True


class ShownPast:
    """The entries shown so far: a `ledger.trust.history.History` with holes."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._statements: dict[int, Statement] = {}
        self._places: dict[tuple[Hash, int, int], int] = {}
        self.judged: Statement | None = None

    def remember(self, index: int, statement: Statement) -> None:
        """Take in the statement of the entry at `index`."""
        self._statements[index] = statement
        self._places[statement.kid, statement.epoch, statement.seq] = index

    def find_logged(self, kid: Hash, epoch: int, seq: int) -> tuple[int, Hash] | None:
        """Return what is shown at this place; else what the judged statement says of it."""
        index = self._places.get((kid, epoch, seq))
        if index is not None:
            return index, self._statements[index].id
        match self.judged:
            case Statement(body=Key(kid=about, last=(last_seq, last_id))) if (
                about,
                last_seq,
            ) == (kid, seq):
                return 0, last_id
            case _:
                return None

    def statement_at(self, index: int) -> Statement:
        """Return the statement in the entry at `index`, or raise `NotShownError`."""
        try:
            return self._statements[index]
        except KeyError:
            raise NotShownError from None

    def root_at(self, size: int) -> Hash:
        """Return the root that the judged statement says it saw."""
        assert self.judged is not None
        assert self.judged.seen is not None
        assert self.judged.seen.size == size
        return self.judged.seen.root


class ShownAuthority:
    """The fold of the entries shown so far, and what is wrong with them."""

    def __init__(self, origin: str) -> None:
        """Judge entries of the log `origin`."""
        self.state: TrustState = _ShownState(origin)
        self.signatures = 0
        self.unjudged = 0
        self.edge_issuers: set[str] = set()
        self._past = ShownPast()
        self._not_folded: set[bytes] = set()

    def check(
        self, index: int, entry: Entry, statement: Statement, leaf: Hash
    ) -> Iterator[Finding]:
        """Yield what is wrong with the statement in the entry at `index`, then fold it."""
        record = self._signer(index, statement)
        if record is None:
            # What a key entry enrolled that is not believed itself is no second finding.
            if entry.key_leaf_hash in self._not_folded:
                self.unjudged += 1
            else:
                yield _cut_chain(index, entry)
            self._not_folded.add(leaf)
            return
        expected = key_leaf_for(self.state, statement)
        if entry.key_leaf_hash != expected:
            yield _other_key_entry(index, entry, expected)
        yield from self._check_signature(index, statement, record.x)
        if record.role in (GATEWAY, DEVICE):
            self.edge_issuers.add(record.iss)
        self._past.judged = statement
        self._take_at_its_word(index, statement)
        refusal = self._refusal(index, statement)
        if refusal is not None:
            yield refused(index, refusal)
        self._past.remember(index, statement)
        self._fold(index, statement, leaf, admitted=refusal is None)

    def _signer(self, index: int, statement: Statement) -> KeyRecord | None:
        """Return the record of the key that `statement` names; at index 0 its own."""
        match statement.body:
            case Key(x=bytes(x)) as body if index == 0 and key_thumbprint(x) == statement.kid:
                return _record_of(body, statement.kid, epoch=0)
            case _:
                return self.state.keys.get(statement.kid)

    def _check_signature(self, index: int, statement: Statement, x: bytes) -> Iterator[Finding]:
        self.signatures += 1
        try:
            verify_signature(statement, x)
        except VerificationError as error:
            yield Finding(
                check=8,
                index=index,
                field="entry.data: statement signature",
                expected=f"a signature of the key {x.hex()}",
                computed=str(error),
                what=f"The statement in entry {index} was not signed by the key that it names.",
                who="Whoever made the bundle, or a log that took the statement in unsigned.",
            )

    # --- What lies between the entries ---------------------------------------------------

    def _take_at_its_word(self, index: int, statement: Statement) -> None:
        """Fill the holes that `statement` speaks about with what it says of them."""
        self._fill_chain(statement)
        if isinstance(statement.body, Key) and index > 0 and statement.body.op != KeyOp.ENROL:
            self._fill_target(statement, statement.body)

    def _fill_chain(self, statement: Statement) -> None:
        head = self.state.chains.get(statement.kid, ChainHead(0))
        record = self.state.keys.get(statement.kid)
        epoch = head.epoch if record is None else record.epoch
        if statement.epoch == epoch and statement.seq > head.next_seq:
            before = ChainHead(
                epoch, statement.seq, statement.prev, head.last_index, head.seen_size
            )
            self.state.set_chain(statement.kid, before)

    def _fill_target(self, statement: Statement, body: Key) -> None:
        """Make the key that `body` is about what it must have been just before."""
        # A rotation does not say which epoch it closes.
        rotates, opens = body.op == KeyOp.ROTATE, body.op == KeyOp.NEW_EPOCH
        own = self.state.keys.get(body.kid)
        epoch = max(body.epoch - opens, 0)
        if own is None:
            own = _record_of(body, body.kid, epoch=epoch)
            self.state.set_chain(body.kid, ChainHead(epoch))
        elif own.epoch < epoch:
            own = replace(own, epoch=epoch, suspended=False, accused_at=None)
            self.state.set_chain(body.kid, ChainHead(epoch))
        if opens and own.x == _UNKNOWN_X and body.x is not None:
            own = replace(own, x=body.x)
        signer = self.state.keys.get(statement.kid)
        if signer is not None and signer.role == LOG and own.accused_at is None:
            own = replace(own, accused_at=0)
        self.state.set_key(own)
        head = self.state.chains.get(body.kid, ChainHead(own.epoch))
        if body.last is not None and (rotates or body.last.seq >= head.next_seq):
            newest = ChainHead(head.epoch, body.last.seq + 1, body.last.id)
            self.state.set_chain(body.kid, newest)
        elif rotates:
            self.state.set_chain(body.kid, ChainHead(head.epoch))

    # --- The rules -----------------------------------------------------------------------

    def _refusal(self, index: int, statement: Statement) -> RefusedError | None:
        try:
            authorise(self.state, statement, index, self._past, signature_verified=True)
        except RefusedError as error:
            if _needs_an_earlier_one(statement, error):
                self.unjudged += 1
                return None
            return error
        except NotShownError:
            self.unjudged += 1
        except TagtrailError as error:
            return RefusedError("body", str(error))
        return None

    def _fold(self, index: int, statement: Statement, leaf: Hash, *, admitted: bool) -> None:
        """Go on as if it were admitted, but let only what the rules admit shape trust."""
        if shapes_trust(statement) and admitted and self._can_fold(statement):
            fold_entry(self.state, index, statement, leaf)
            return
        self._not_folded.add(leaf)
        seen_size = statement.seen.size if statement.seen else 0
        head = ChainHead(statement.epoch, statement.seq + 1, statement.id, index, seen_size)
        self.state.set_chain(statement.kid, head)

    def _can_fold(self, statement: Statement) -> bool:
        match statement.body:
            case Equivocation(other=other):
                return parse_statement(other).kid in self.state.keys
            case _:
                return True


def refused(index: int, refusal: RefusedError) -> Finding:
    """Return the finding that the rules do not admit the statement of an entry."""
    return Finding(
        check=CHECK_OF_RULE.get(refusal.check, 9),
        index=index,
        field=f"entry.data: {refusal.check}",
        expected="a statement that the rules of the log admit here",
        computed=str(refusal),
        what=f"The statement in entry {index} may not stand there: {refusal}.",
    )


def _record_of(body: Key, kid: Hash, *, epoch: int) -> KeyRecord:
    """Return the record of the key `kid` as `body`, which restates it, says."""
    return KeyRecord(
        kid=kid,
        iss=body.iss,
        role=body.role,
        x=body.x if body.x is not None and key_thumbprint(body.x) == kid else _UNKNOWN_X,
        epoch=epoch,
        opened_at=0,
        grade_max=body.grade_max,
        heartbeat_s=body.heartbeat_s,
        prefixes=body.prefixes,
        newest_key_leaf=Hash(bytes(32)),
    )


def _needs_an_earlier_one(statement: Statement, error: RefusedError) -> bool:
    """Tell whether the refusal may come from an earlier anchor that is not shown."""
    return error.check == "body" and statement.sub == "tagtrail/anchor/v1"


def _cut_chain(index: int, entry: Entry) -> Finding:
    return Finding(
        check=9,
        index=index,
        field="entry.data: key_leaf_hash",
        expected=f"an earlier entry with the leaf hash {entry.key_leaf_hash.hex()}",
        computed="no such entry",
        what=f"The chain of key entries from entry {index} to entry 0 is cut: nothing in the "
        "bundle says whose key signed it.",
        who="Whoever made the bundle.",
        todo="Ask for a bundle with all key entries; do not rely on the statement.",
    )


def _other_key_entry(index: int, entry: Entry, expected: Hash) -> Finding:
    return Finding(
        check=9,
        index=index,
        field="entry.data: key_leaf_hash",
        expected=f"{expected.hex()}, the newest key entry of the bundle about its key",
        computed=entry.key_leaf_hash.hex(),
        what=f"Entry {index} names another key entry than the bundle shows: one about its key, "
        "a revocation perhaps, was left out.",
        who="Whoever made the bundle, or the operator of the log.",
        todo="Ask for a bundle with all key entries; do not rely on the statement.",
    )
