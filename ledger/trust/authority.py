"""Whether a statement may enter the log at an index: one order of checks, one answer.

A refusal names the first check that fails. Size, CBOR, COSE and shape come before, in
`parse_statement`; then:

    aud           it speaks to this log
    kid           its key is enrolled
    signature     that key signed it
    known         it is not in the log yet: the old index is the answer
    equivocation  its key signed nothing else for this epoch and seq, even if it has ended
    key           its key is open, and so is a party key of its issuer for the edge's keys
    iss           it speaks for the issuer of its key
    role          that role may say this, about keys of that role
    grade         no higher than the key's, and than 1 for a capture key
    epoch         the newest of its key
    seq           the next one
    prev          the id of the one before
    seen          a root that this log had, no older than the one before, no younger than it
    body          what the kind asks for besides (`ledger.trust.bodies`)

Authority is judged by index, never by clock: a key enrolled at entry e and ended at entry
r signs at the indexes between. At index 0 the admin key enrols itself; at index 1 it
enrols the recovery key, the only one ever.

Pure: no I/O, no clock, no randomness.
"""

from typing import Final

from ledger.cose import key_thumbprint
from ledger.errors import RefusedError, VerificationError
from ledger.statement import (
    NO_HASH,
    Anchor,
    Capture,
    Equivocation,
    Erasure,
    Gap,
    Key,
    KeyOp,
    Policy,
    Statement,
    verify_signature,
)
from ledger.tlog.merkle import Hash
from ledger.trust.bodies import require_body
from ledger.trust.history import History
from ledger.trust.state import (
    ADMIN,
    CAPTURE,
    DEVICE,
    GATEWAY,
    LOG,
    PARTY,
    PRIVACY,
    RECEIPT,
    RECOVERY,
    WITNESS,
    ChainHead,
    KeyRecord,
    TrustState,
)

_EDGE: Final = frozenset({GATEWAY, DEVICE})
_PARTY_SAYS: Final = frozenset({Key, Capture, Erasure, Policy})
_EDGE_SAYS: Final = frozenset({Capture, Gap, Policy, Erasure})
_MAY_SAY: Final[dict[str, frozenset[type]]] = {
    ADMIN: frozenset({Key, Policy}),
    RECOVERY: frozenset({Key}),
    PARTY: _PARTY_SAYS,
    GATEWAY: _EDGE_SAYS,
    DEVICE: _EDGE_SAYS,
    CAPTURE: frozenset({Capture}),
    PRIVACY: frozenset({Erasure}),
    LOG: frozenset({Anchor, Equivocation, Key}),
    RECEIPT: frozenset(),
    WITNESS: frozenset(),
}
_MAY_KEEP: Final = {
    ADMIN: frozenset({PARTY, LOG, RECEIPT, CAPTURE, PRIVACY, WITNESS}),
    RECOVERY: frozenset({ADMIN}),
    PARTY: _EDGE,
}
_ENDING: Final = frozenset({KeyOp.REVOKE, KeyOp.COMPROMISED, KeyOp.SUSPEND})
_DOCUMENT_GRADE_MAX: Final = 1


class KnownError(RefusedError):
    """A statement that the log holds already: `index` is the answer."""

    def __init__(self, index: int) -> None:
        super().__init__("known", f"is entry {index} already")
        self.index = index


class EquivocationError(RefusedError):
    """A second statement for one place in a chain: with the one at `index`, a proof."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "equivocation", f"its key signed another one for its seq: entry {index}"
        )
        self.index = index


def authorise(
    state: TrustState,
    statement: Statement,
    index: int,
    history: History,
    *,
    signature_verified: bool = False,
) -> None:
    """Raise `RefusedError` unless `statement` may be the entry at `index`.

    `state` and `history` hold all entries before. `signature_verified` says that
    `verify_signature` passed already, under the x of this kid, on another thread.
    """
    if statement.aud != state.origin:
        raise RefusedError("aud", f"speaks to {statement.aud!r}, this log is {state.origin!r}")
    record = _founding_key(statement) if index == 0 else state.keys.get(statement.kid)
    if record is None:
        raise RefusedError("kid", f"no key {statement.kid.hex()} is enrolled")
    if not signature_verified:
        _require_signature(statement, record)
    head = state.chains.get(statement.kid, ChainHead(0))
    _require_unused(statement, head, history)
    _require_open(state, record, index)
    if statement.iss != record.iss:
        raise RefusedError("iss", f"is {statement.iss!r}, the key speaks for {record.iss!r}")
    _require_role(statement, record, index)
    _require_grade(statement, record)
    _require_chain(statement, record, head)
    _require_seen(statement, head, index, history)
    require_body(state, statement, record, index, history)


def key_leaf_for(state: TrustState, statement: Statement) -> Hash:
    """Return the `key_leaf_hash` of the entry that carries `statement` next.

    32 zero bytes where the key is not enrolled yet, which is at index 0 alone.
    """
    record = state.keys.get(statement.kid)
    return NO_HASH if record is None else record.newest_key_leaf


def _founding_key(statement: Statement) -> KeyRecord | None:
    """Return the record that entry 0 makes for its own key; None where it makes none."""
    match statement.body:
        case Key(op=KeyOp.ENROL, x=bytes(x)) as body if (
            key_thumbprint(x) == body.kid == statement.kid
        ):
            return KeyRecord(
                kid=body.kid,
                iss=body.iss,
                role=body.role,
                x=x,
                epoch=0,
                opened_at=0,
                grade_max=body.grade_max,
                heartbeat_s=body.heartbeat_s,
                prefixes=body.prefixes,
                newest_key_leaf=NO_HASH,
            )
        case _:
            return None


def _require_signature(statement: Statement, record: KeyRecord) -> None:
    try:
        verify_signature(statement, record.x)
    except VerificationError as error:
        raise RefusedError("signature", str(error)) from error


def _require_unused(statement: Statement, head: ChainHead, history: History) -> None:
    place = statement.epoch, statement.seq
    if place >= (head.epoch, head.next_seq):
        return
    logged = history.find_logged(statement.kid, *place)
    if logged is None:  # A seq that its epoch, closed since, never reached.
        return
    index, statement_id = logged
    if statement_id == statement.id:
        raise KnownError(index)
    raise EquivocationError(index)


def _require_open(state: TrustState, record: KeyRecord, index: int) -> None:
    if record.ended_at is not None:
        raise RefusedError("key", f"ended at entry {record.ended_at}")
    if record.suspended:
        raise RefusedError("key", "is suspended until its authority opens a new epoch")
    if record.role in _EDGE and not state.has_valid_party(record.iss):
        raise RefusedError("key", f"no party key of {record.iss!r} is valid")
    assert record.opened_at < index or index == 0


def _require_role(statement: Statement, record: KeyRecord, index: int) -> None:
    body = statement.body
    if index <= 1:
        founding = ADMIN if index == 0 else RECOVERY
        if not (isinstance(body, Key) and (body.op, body.role) == (KeyOp.ENROL, founding)):
            raise RefusedError("role", f"entry {index} enrols the {founding} key, nothing else")
        return
    if type(body) not in _MAY_SAY[record.role]:
        raise RefusedError("role", f"a {record.role} key says no {statement.sub}")
    if isinstance(body, Key) and not _may_say_about(record.role, body.op, body.role):
        said = f"{KeyOp(body.op).name} about a {body.role!r} key"
        raise RefusedError("role", f"a {record.role} key says no {said}")


def _may_say_about(role: str, op: int, about: str) -> bool:
    if role == LOG:  # Whom an equivocation accuses, see `ledger.trust.bodies`.
        return op == KeyOp.SUSPEND
    return about in _MAY_KEEP[role] or (role == ADMIN and about in _EDGE and op in _ENDING)


def _require_grade(statement: Statement, record: KeyRecord) -> None:
    if not isinstance(statement.body, Capture):
        return
    most = record.grade_max
    if record.role == CAPTURE:
        most = min(most, _DOCUMENT_GRADE_MAX)
    if statement.body.grade > most:
        raise RefusedError("grade", f"is {statement.body.grade}, the key's highest is {most}")


def _require_chain(statement: Statement, record: KeyRecord, head: ChainHead) -> None:
    if statement.epoch != record.epoch:
        raise RefusedError("epoch", f"is {statement.epoch}, the key's is {record.epoch}")
    if statement.seq != head.next_seq:
        raise RefusedError("seq", f"is {statement.seq}, the next is {head.next_seq}")
    if statement.prev != head.last_id:
        raise RefusedError("prev", f"is {statement.prev.hex()}, want {head.last_id.hex()}")


def _require_seen(statement: Statement, head: ChainHead, index: int, history: History) -> None:
    if statement.seen is None:
        if head.seen_size:
            raise RefusedError("seen", f"is null after a checkpoint of size {head.seen_size}")
        return
    size, root = statement.seen
    if not 1 <= size <= index:
        raise RefusedError("seen", f"has size {size}, want 1 to {index}")
    if size < head.seen_size:
        raise RefusedError("seen", f"falls from size {head.seen_size} to {size}")
    logged = history.root_at(size)
    if root != logged:
        raise RefusedError(
            "seen", f"has root {root.hex()} at size {size}, this log has {logged.hex()}"
        )
