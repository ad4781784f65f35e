"""What each kind of statement asks for besides its shape: the last check, `body`.

A key statement (rules of FORMATS section 2, key ops):

    op            x     epoch     last             pop   suspect_since   record fields
    0 enrol       new   0         null             yes   null            whole
    1 rotate      new   0         newest or null   yes   null            whole
    2 new epoch   own   own + 1   newest or null   null  null            whole
    3 revoke      null  own       any or null      null  null            0 and empty
    4 compromised null  own       any or null      null  entry index     0 and empty
    5 suspend     null  own       any or null      null  null            0 and empty

`iss` and `role` are the key's own in all but 0. A kid enrols once, 1, 3 and 4 are final,
4 may follow anything but 4, and 5 needs an open key. A party enrols for its own issuer,
within its prefixes and its grade; a log suspends only whom an equivocation accuses.

Pure: no I/O, no clock, no randomness.
"""

from typing import Final

from ledger.cose import key_thumbprint
from ledger.errors import ParseError, RefusedError, VerificationError
from ledger.statement import (
    Anchor,
    Capture,
    Equivocation,
    Erasure,
    Gap,
    Key,
    KeyOp,
    Statement,
    parse_statement,
    verify_possession,
    verify_signature,
)
from ledger.tlog.checkpoint import parse_signed_checkpoint, verify_signed_checkpoint
from ledger.tlog.merkle import TreeSize, verify_consistency
from ledger.tlog.note import ED25519, Ed25519Verifier, parse_vkey
from ledger.trust.history import History
from ledger.trust.state import LOG, PARTY, PRIVACY, KeyRecord, TrustState

_OPENING: Final = frozenset({KeyOp.ENROL, KeyOp.ROTATE})
_RESTATING: Final = frozenset({KeyOp.ENROL, KeyOp.ROTATE, KeyOp.NEW_EPOCH})


def require_body(
    state: TrustState, statement: Statement, signer: KeyRecord, index: int, history: History
) -> None:
    """Raise `RefusedError` unless the body of `statement` holds at `index`.

    `signer` is the record of the key that signed it; `state` and `history` hold all
    entries before.
    """
    match statement.body:
        case Key() as body:
            _require_key(state, body, signer, index, history)
        case Anchor() as body:
            _require_anchor(state, body)
        case Erasure() as body:
            _require_erasure(statement, body, signer, index, history)
        case Gap(start=start, end=end):
            _refuse_unless(start <= end, f"a gap from {start} to {end} ends before it starts")
        case Equivocation() as body:
            _require_equivocation(state, body, index, history)
        case _:
            pass


def _refuse_unless(holds: bool, why: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not holds:
        raise RefusedError("body", why)


# --- Keys ---------------------------------------------------------------------------


def _require_key(
    state: TrustState, body: Key, signer: KeyRecord, index: int, history: History
) -> None:
    _require_fields(body)
    if signer.role == PARTY:
        _require_bounds(body, signer)
    if body.op in _OPENING:
        _require_new_key(state, body)
    if body.op == KeyOp.ENROL:
        _refuse_unless(_thumbprint(body) == body.kid, "kid is not the thumbprint of x")
        _refuse_unless(body.last is None, "last is not null, but a new key has no chain")
        return
    own = state.keys.get(body.kid)
    if own is None:
        raise RefusedError("body", f"no key {body.kid.hex()} is enrolled")
    _require_own(own, body)
    if body.op in _RESTATING:
        newest = state.chains[body.kid].last
        _refuse_unless(body.last == newest, f"last is not the newest of its chain, {newest}")
    else:
        _require_ending(own, body, index, history)
    if signer.role == LOG:
        _refuse_unless(own.accused_at is not None, "no equivocation accuses the key")


def _require_fields(body: Key) -> None:
    """Refuse what this op does not have, or has not without."""
    restates = body.op in _RESTATING
    _refuse_unless(
        (body.x is not None) == restates, "x is for ops 0, 1 and 2, and they need it"
    )
    _refuse_unless((body.pop is not None) == (body.op in _OPENING), "pop is for ops 0 and 1")
    suspects = body.suspect_since is not None
    _refuse_unless(suspects == (body.op == KeyOp.COMPROMISED), "suspect_since is for op 4")
    if not restates:
        empty = (body.grade_max, body.heartbeat_s, body.prefixes) == (0, 0, ())
        _refuse_unless(
            empty, "grade_max, heartbeat_s and prefixes are 0 and empty in ops 3 to 5"
        )


def _require_bounds(body: Key, party: KeyRecord) -> None:
    """Refuse a key that its party could not answer for."""
    _refuse_unless(
        body.iss == party.iss, f"a key of {body.iss!r} is not {party.iss!r}'s to keep"
    )
    _refuse_unless(body.grade_max <= party.grade_max, f"grade_max is above {party.grade_max}")
    for prefix in body.prefixes:
        _refuse_unless(
            prefix.startswith(party.prefixes), f"prefix {prefix!r} is not the party's"
        )


def _require_new_key(state: TrustState, body: Key) -> None:
    assert body.x is not None
    assert body.pop is not None
    _refuse_unless(body.epoch == 0, "epoch is not 0, with which a key starts")
    _refuse_unless(_thumbprint(body) not in state.keys, "a key enrols once, and x has")
    try:
        verify_possession(body.x, body.pop, aud=state.origin, iss=body.iss)
    except VerificationError as error:
        raise RefusedError("body", f"pop: {error}") from error


def _require_own(own: KeyRecord, body: Key) -> None:
    """Refuse what does not fit the key as the log knows it."""
    same = (body.iss, body.role) == (own.iss, own.role)
    _refuse_unless(same, f"the key is a {own.role} key of {own.iss!r}")
    if body.op == KeyOp.COMPROMISED:
        _refuse_unless(own.suspect_since is None, "the key is known to be compromised")
    else:
        _refuse_unless(own.ended_at is None, f"the key ended at entry {own.ended_at}")
    if body.op == KeyOp.SUSPEND:
        _refuse_unless(not own.suspended, "the key is suspended already")
    if body.op == KeyOp.NEW_EPOCH:
        _refuse_unless(_thumbprint(body) == body.kid, "x is another key than kid names")
    if body.op not in _OPENING:
        epoch = own.epoch + (body.op == KeyOp.NEW_EPOCH)
        _refuse_unless(body.epoch == epoch, f"epoch is {body.epoch}, want {epoch}")


def _require_ending(own: KeyRecord, body: Key, index: int, history: History) -> None:
    """Refuse an op from 3 to 5 whose indexes are not in the log."""
    if body.last is not None:
        logged = history.find_logged(own.kid, own.epoch, body.last.seq)
        known = logged is not None and logged[1] == body.last.id
        _refuse_unless(known, "last is not a logged statement of the chain")
    if body.suspect_since is not None:
        _refuse_unless(
            body.suspect_since <= index, f"suspect_since is beyond this entry, {index}"
        )


def _thumbprint(body: Key) -> bytes:
    assert body.x is not None
    return key_thumbprint(body.x)


# --- Others -------------------------------------------------------------------------


def _require_anchor(state: TrustState, body: Anchor) -> None:
    try:
        key = parse_vkey(body.vkey)
        signed = parse_signed_checkpoint(body.note)
        _refuse_unless(
            key.kind == ED25519, "vkey is not of a log: its type is not Ed25519 (0x01)"
        )
        verify_signed_checkpoint(signed, origin=key.name, verifiers=[Ed25519Verifier(key)])
        new = signed.checkpoint.size, signed.checkpoint.root
        old = state.anchors.get(key.name)
        if old is None:
            _refuse_unless(not body.proof, "nothing was anchored before, so there is no proof")
            _refuse_unless(signed.checkpoint.size > 0, "an empty log anchors nothing")
        else:
            verify_consistency(body.proof, old=(TreeSize(old.size), old.root), new=new)
    except (ParseError, VerificationError) as error:
        raise RefusedError("body", str(error)) from error


def _require_erasure(
    statement: Statement, body: Erasure, signer: KeyRecord, index: int, history: History
) -> None:
    looked_up: tuple[int, Statement] | None = None
    for entry, position in body.positions:
        _refuse_unless(entry < index, f"entry {entry} is not in the log yet")
        if looked_up is None or looked_up[0] != entry:
            looked_up = entry, history.statement_at(entry)
        target = looked_up[1]
        match target.body:
            case Capture(count=count) if position < count:
                pass
            case _:
                raise RefusedError("body", f"entry {entry} has no event {position}")
        owns = {PRIVACY: True, PARTY: target.iss == statement.iss}
        own = owns.get(signer.role, target.kid == statement.kid)
        _refuse_unless(own, f"entry {entry} is not the key's to erase")


def _require_equivocation(
    state: TrustState, body: Equivocation, index: int, history: History
) -> None:
    _refuse_unless(body.index < index, f"entry {body.index} is not in the log yet")
    logged = history.statement_at(body.index)
    try:
        other = parse_statement(body.other)
        verify_signature(other, state.keys[logged.kid].x)
    except (ParseError, VerificationError) as error:
        raise RefusedError("body", f"other: {error}") from error
    place = other.kid, other.aud, other.epoch, other.seq
    same = place == (logged.kid, logged.aud, logged.epoch, logged.seq)
    _refuse_unless(same, "the two statements are not for one place of one chain")
    _refuse_unless(other.id != logged.id, "the two statements are the same one")
