"""Who may speak, as the log says it: key statements folded into records and chains.

The state is one fold over the entries in their order. The sequencer and the auditor run
the same fold, so that nobody can be authorised by a rule that an outsider cannot repeat:

    state = TrustState(origin)
    for index, entry in …:
        authorise(state, statement, index, history)        # ledger.trust.authority
        fold_entry(state, index, statement, leaf)

`fold_entry` changes the state in place and in constant time, whatever the log's size. A
batch that may fail to become durable is folded between `begin` and `keep`, or `undo`:
each change is then written to a journal first. Records and chain heads themselves are
immutable, so what a caller has looked up never changes under its hands.

Without reading all entries, `restore` rebuilds the state from those that change more than
their own chain (`shapes_trust`) and from the newest statement of each chain.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ledger.cose import key_thumbprint
from ledger.statement import (
    NO_HASH,
    Anchor,
    Equivocation,
    Key,
    KeyOp,
    Last,
    Statement,
    parse_statement,
)
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.merkle import Hash

ADMIN: Final = "admin"
RECOVERY: Final = "recovery"
PARTY: Final = "party"
GATEWAY: Final = "gateway"
DEVICE: Final = "device"
CAPTURE: Final = "capture"
PRIVACY: Final = "privacy"
LOG: Final = "log"
RECEIPT: Final = "receipt"
WITNESS: Final = "witness"
ROLES: Final = (
    *(ADMIN, RECOVERY, PARTY, GATEWAY, DEVICE),
    *(CAPTURE, PRIVACY, LOG, RECEIPT, WITNESS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What the log says about one key.

    It signs at the indexes between `opened_at` and `ended_at`, while not `suspended`.
    What it signed from `suspect_since` on is not to be trusted. `accused_at` is the
    index of the newest proof, since its epoch opened, that it signed two statements for
    one place. `newest_key_leaf` is the leaf hash of the newest key entry about it.
    """

    kid: Hash
    iss: str
    role: str
    x: bytes
    epoch: int
    opened_at: int
    ended_at: int | None = None
    suspended: bool = False
    suspect_since: int | None = None
    accused_at: int | None = None
    grade_max: int
    heartbeat_s: int
    prefixes: tuple[str, ...]
    newest_key_leaf: Hash

    @property
    def is_valid(self) -> bool:
        """Whether the key has neither ended nor been suspended."""
        return self.ended_at is None and not self.suspended


class ChainHead(NamedTuple):
    """Where the chain of one key in its newest epoch stands.

    `next_seq` 0 means that nothing was logged in it yet; `seen_size` 0 that no checkpoint
    was named.
    """

    epoch: int
    next_seq: int = 0
    last_id: Hash = NO_HASH
    last_index: int | None = None
    seen_size: int = 0

    @property
    def last(self) -> Last | None:
        """The newest logged statement, as a key statement names it."""
        return Last(self.next_seq - 1, self.last_id) if self.next_seq else None


class AnchorHead(NamedTuple):
    """The newest anchored checkpoint of another log."""

    size: int
    root: Hash


class TrustState:
    """The fold of the entries so far; `keys`, `chains` and `anchors` are views of it."""

    __slots__ = ("_anchors", "_chains", "_journal", "_keys", "_parties", "origin")

    def __init__(self, origin: str) -> None:
        """Start before entry 0 of the log called `origin`."""
        self.origin = origin
        self._keys: dict[bytes, KeyRecord] = {}
        self._chains: dict[bytes, ChainHead] = {}
        self._anchors: dict[str, AnchorHead] = {}
        self._parties: dict[str, int] = {}
        self._journal: list[tuple[dict[Any, Any], Any, Any]] | None = None

    @property
    def keys(self) -> Mapping[bytes, KeyRecord]:
        """The record of each key ever enrolled, by kid."""
        return MappingProxyType(self._keys)

    @property
    def chains(self) -> Mapping[bytes, ChainHead]:
        """The head of the newest chain of each key, by kid."""
        return MappingProxyType(self._chains)

    @property
    def anchors(self) -> Mapping[str, AnchorHead]:
        """The newest checkpoint anchored of each other log, by origin."""
        return MappingProxyType(self._anchors)

    def has_valid_party(self, iss: str) -> bool:
        """Return whether a party key of `iss` is neither ended nor suspended."""
        return self._parties.get(iss, 0) > 0

    def begin(self) -> None:
        """Start to journal what is folded, until `keep` or `undo`."""
        assert self._journal is None, "a batch is open already"
        self._journal = []

    def keep(self) -> None:
        """Forget the journal: what was folded since `begin` is durable."""
        self._journal = None

    def undo(self) -> None:
        """Take back all that was folded since `begin`, newest first."""
        assert self._journal is not None, "no batch is open"
        for table, key, old in reversed(self._journal):
            if old is None:
                del table[key]
            else:
                table[key] = old
        self._journal = None

    def set_key(self, record: KeyRecord) -> None:
        """Put `record` in the place of what was known of its key."""
        old = self._keys.get(record.kid)
        self._set(self._keys, record.kid, record)
        if record.role == PARTY:
            change = record.is_valid - (old is not None and old.is_valid)
            self._set(self._parties, record.iss, self._parties.get(record.iss, 0) + change)

    def set_chain(self, kid: bytes, head: ChainHead) -> None:
        """Move the head of the chain of the key `kid`."""
        self._set(self._chains, kid, head)

    def set_anchor(self, origin: str, head: AnchorHead) -> None:
        """Remember the newest checkpoint of the log called `origin`."""
        self._set(self._anchors, origin, head)

    def _set(self, table: dict[Any, Any], key: object, value: object) -> None:
        if self._journal is not None:
            self._journal.append((table, key, table.get(key)))
        table[key] = value


def fold_entry(state: TrustState, index: int, statement: Statement, leaf: Hash) -> TrustState:
    """Return `state`, changed by the authorised `statement` at `index` with this leaf hash."""
    match statement.body:
        case Key() as body:
            _fold_key(state, index, body, leaf)
        case Anchor(note=note):
            checkpoint = parse_signed_checkpoint(note).checkpoint
            state.set_anchor(checkpoint.origin, AnchorHead(checkpoint.size, checkpoint.root))
        case Equivocation(other=other):
            accused = state.keys[parse_statement(other).kid]
            state.set_key(replace(accused, accused_at=index))
        case _:
            pass
    state.set_chain(statement.kid, _head_after(index, statement))
    return state


def restore(
    origin: str,
    entries: Iterable[tuple[int, Statement, Hash]],
    newest: Iterable[tuple[int, Statement]],
) -> TrustState:
    """Return the state of a log without folding every entry.

    `entries` are (index, statement, leaf hash) in the order of the log, at least those
    whose statement `shapes_trust`; `newest` are (index, statement) of the newest entry of
    each kid, by epoch and seq.
    """
    state = TrustState(origin)
    for index, statement, leaf in entries:
        fold_entry(state, index, statement, leaf)
    for index, statement in newest:
        if statement.epoch == state.keys[statement.kid].epoch:
            state.set_chain(statement.kid, _head_after(index, statement))
    return state


def shapes_trust(statement: Statement) -> bool:
    """Return whether `statement` changes more of the state than the head of its own chain."""
    return isinstance(statement.body, Key | Anchor | Equivocation)


def kids_about(statement: Statement) -> tuple[Hash, ...]:
    """Return the keys that a key statement is about, none for another kind.

    A rotation is about both the key it closes and the key it opens.
    """
    match statement.body:
        case Key(op=KeyOp.ROTATE, kid=kid, x=bytes(x)):
            return kid, Hash(key_thumbprint(x))
        case Key(kid=kid):
            return (kid,)
        case _:
            return ()


def _head_after(index: int, statement: Statement) -> ChainHead:
    seen_size = statement.seen.size if statement.seen else 0
    return ChainHead(statement.epoch, statement.seq + 1, statement.id, index, seen_size)


def _fold_key(state: TrustState, index: int, body: Key, leaf: Hash) -> None:
    if body.op == KeyOp.ENROL:
        _open_key(state, index, body, leaf)
        return
    record = replace(state.keys[body.kid], newest_key_leaf=leaf)
    match body.op:
        case KeyOp.ROTATE:
            record = replace(record, ended_at=index)
            _open_key(state, index, body, leaf)
        case KeyOp.NEW_EPOCH:
            record = replace(
                record,
                epoch=body.epoch,
                suspended=False,
                accused_at=None,
                grade_max=body.grade_max,
                heartbeat_s=body.heartbeat_s,
                prefixes=body.prefixes,
            )
            state.set_chain(body.kid, ChainHead(body.epoch))
        case KeyOp.REVOKE:
            record = replace(record, ended_at=index)
        case KeyOp.COMPROMISED:
            ended_at = index if record.ended_at is None else record.ended_at
            record = replace(record, ended_at=ended_at, suspect_since=body.suspect_since)
        case _:
            record = replace(record, suspended=True)
    state.set_key(record)


def _open_key(state: TrustState, index: int, body: Key, leaf: Hash) -> None:
    """Record the key `x` that `body` enrols, or rotates to."""
    assert body.x is not None
    kid = Hash(key_thumbprint(body.x))
    state.set_key(
        KeyRecord(
            kid=kid,
            iss=body.iss,
            role=body.role,
            x=body.x,
            epoch=0,
            opened_at=index,
            grade_max=body.grade_max,
            heartbeat_s=body.heartbeat_s,
            prefixes=body.prefixes,
            newest_key_leaf=leaf,
        )
    )
    state.set_chain(kid, ChainHead(0))
