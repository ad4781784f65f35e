"""Who owned a thing and who had it: spans by party, and the hand-overs between them.

Source and destination lists of type owning_party and possessing_party say it; each role is
kept in a book of its own, because goods are sold without moving and move without being
sold. A hand-over is intended on shipping and completed on receiving (EPCIS 2.0, 7.3.5.4);
void_shipping takes the intention back. Whoever signed that a thing came into being had it
then: such a span says that its basis is the *issuer*, all others are *stated*.

An arrival has several steps: arriving, unloading, receiving, accepting. One that names nobody
completes what was intended for whoever signed it, and otherwise leaves who holds the thing
in doubt; but not where an earlier step of the same arrival named the parties, and not the
owner where it is signed by whoever has the thing anyway (what stays in one hand is not
sold) or names who has it now (what is moved is not sold).

Where a thing has moved unseen, nobody is named as holding it until an event says who does.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.provenance.gap import (
    CONFLICTING_CUSTODY,
    IN_TRANSIT,
    MISSING_RECEIVING,
    MISSING_SHIPPING,
    UNKNOWN_CUSTODY,
    UNKNOWN_OWNER,
    Gap,
)
from ledger.provenance.pool import Node
from ledger.provenance.span import Moment
from ledger.provenance.story import Thing, Told

OWNER = "owner"
POSSESSOR = "possessor"
STATED = "stated"
ISSUER = "issuer"

ROLE_TYPES = {OWNER: "owning_party", POSSESSOR: "possessing_party"}
INTENDED = frozenset(
    {
        "shipping",
        "departing",
        "consigning",
        "transporting",
        "staging_outbound",
        "loading",
        "picking",
        "reserving",
    }
)
RECEIPTS = frozenset({"receiving", "arriving", "accepting", "unloading"})
RECEIVING = "receiving"
VOID = "void_shipping"
GRADE_OF_A_WITNESS = 2
"""From this grade on the issuer stood by; below, it passed on what others wrote."""


@dataclass(slots=True)
class Holding:
    """`party` owned or had the thing; a time is None where it is unknown or not yet."""

    thing: str
    party: str
    role: str
    start: Moment | None
    end: Moment | None
    basis: str
    evidence: list[Node]


@dataclass(frozen=True, slots=True)
class Handover:
    """`thing` went from `giver` to `taker`, completed at `moment`."""

    thing: str
    role: str
    giver: str | None
    taker: str
    moment: Moment
    evidence: tuple[Node, ...]


@dataclass(slots=True)
class Custody:
    """The holdings and hand-overs of one thing, in order."""

    holdings: list[Holding] = field(default_factory=list)
    handovers: list[Handover] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    breaks: list[Moment] = field(default_factory=list)
    """When the thing turned up with somebody else after nobody knows how many hand-overs."""


def party_key(key: str) -> str:
    """Return the party (417) for a party or a location (414) that stands for one."""
    prefix = "https://id.gs1.org/414/"
    if not key.startswith(prefix):
        return key
    return "https://id.gs1.org/417/" + key.removeprefix(prefix).partition("/")[0]


def follow_custody(
    thing: Thing, told: Sequence[Told], unseen: dict[tuple[int, int], Moment]
) -> Custody:
    """Return who owned and who had `thing`, by its events in order.

    `unseen` names the events that first saw it elsewhere after it had moved unseen.
    """
    custody = Custody()
    for role in (POSSESSOR, OWNER):
        book = _Book(thing, role, custody)
        for one in told:
            book.step(one.node, unseen.get(one.node.name))
        book.finish()
    custody.handovers.sort(key=lambda one: (one.moment, one.role))
    return custody


@dataclass(slots=True)
class _Book:
    thing: Thing
    role: str
    custody: Custody
    holding: Holding | None = None
    lost: Holding | None = None
    pending: Node | None = None
    loss: tuple[Moment, tuple[str, ...], str] | None = None
    """Since when, between whom and why nobody is known to hold it."""
    arrived: bool = False
    """Named by a step of the arrival that nothing has departed from since."""
    unconfirmed: tuple[Gap, Holding, Moment] | None = None
    """What to take back where the receiving of an arrival comes after its unloading."""

    def step(self, node: Node, unseen_since: Moment | None) -> None:
        givers = self._parties(node.event.sources)
        takers = self._parties(node.event.destinations)
        if node is self.thing.origin:
            self._open_at_origin(node)
        step = node.event.biz_step
        if step == VOID:
            self.pending = None
        elif step in INTENDED:
            self._intend(node, givers, takers)
            self.arrived, self.unconfirmed = False, None
        elif takers:
            self._complete(node, givers, takers[0])
            self.arrived = True
        else:
            if givers:
                self._agree(node, givers)
            if step in RECEIPTS and not self.arrived:
                self._receive_unnamed(node)
        if unseen_since is not None and not (givers or takers):
            self._lose(node, unseen_since)
        elif step == RECEIVING:
            self._confirm()

    def _parties(self, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        kind = ROLE_TYPES[self.role]
        return tuple(party_key(key) for type_, key in pairs if type_ == kind)

    def _open_at_origin(self, node: Node) -> None:
        if self.role == POSSESSOR and node.pin.grade >= GRADE_OF_A_WITNESS:
            if self.holding is not None:  # Whoever had it before it was made had another.
                self.holding.end = node.moment
            self.pending = None
            self._open(party_key(node.pin.iss), node.moment, ISSUER, [node])

    def _open(
        self, party: str, start: Moment | None, basis: str, evidence: Sequence[Node]
    ) -> None:
        key, role = self.thing.key, self.role
        self.holding = Holding(key, party, role, start, None, basis, list(evidence))
        self.custody.holdings.append(self.holding)
        self._found(evidence[-1].moment)

    def _intend(self, node: Node, givers: Sequence[str], takers: Sequence[str]) -> None:
        if givers:
            self._agree(node, givers)
        if not takers:
            return
        if self.holding is not None and self.holding.party in takers and not givers:
            return
        if self.pending is None or self._intended(self.pending) != tuple(takers):
            self.pending = node

    def _intended(self, node: Node) -> tuple[str, ...]:
        return self._parties(node.event.destinations)

    def _agree(self, node: Node, givers: Sequence[str]) -> None:
        """Check that one of `givers` holds the thing; take their word where nobody does."""
        holding = self.holding
        if holding is not None and holding.party in givers:
            holding.basis = STATED
            holding.evidence.append(node)
        elif holding is not None and self.pending is not None:
            self._arrived_unseen(node, givers, holding, self.pending)
        elif holding is not None:
            why = "an event says that another party hands it over than the one that holds it"
            since = holding.evidence[-1].moment
            self._gap(CONFLICTING_CUSTODY, since, node.moment, (holding.party, givers[0]), why)
            holding.end = since
            self._open(givers[0], None, STATED, [node])
        elif self.lost is not None and self.lost.party in givers:
            self.holding = self.lost
            self.holding.end = None
            self.holding.evidence.append(node)
            self._found(node.moment)
        else:
            self._open(givers[0], self._start_of(givers[0], node), STATED, [node])

    def _start_of(self, party: str, node: Node) -> Moment | None:
        """Return since when `party` has held what it hands over; the origin if it made it."""
        origin = self.thing.origin
        if origin is not None and origin.moment > node.moment:
            origin = None
        nobody_before = not any(one.role == self.role for one in self.custody.holdings)
        if origin is not None and nobody_before and party_key(origin.pin.iss) == party:
            return origin.moment
        since = origin.moment if origin is not None else None
        why = f"since when this {self.role} has held it is unknown"
        self._gap(UNKNOWN_CUSTODY, since, node.moment, (party,), why)
        return None

    def _arrived_unseen(
        self, node: Node, givers: Sequence[str], holding: Holding, pending: Node
    ) -> None:
        meant = [party for party in givers if party in self._intended(pending)]
        between = (holding.party, givers[0])
        if meant:
            why = "it was shipped and is handed on, and no event says that it was received"
            self._gap(MISSING_RECEIVING, pending.moment, node.moment, between, why)
        else:
            why = "it is handed on by a party that it was never destined to"
            self._gap(CONFLICTING_CUSTODY, pending.moment, node.moment, between, why)
        holding.end = pending.moment
        self.pending = None
        self._open(meant[0] if meant else givers[0], None, STATED, [node])

    def _complete(self, node: Node, givers: Sequence[str], taker: str) -> None:
        holding = self.holding
        has_it = holding is not None and holding.party == taker
        came_back = has_it and self._came_back(givers, taker)
        if has_it and self.pending is None and not came_back:
            assert holding is not None
            holding.evidence.append(node)
            return
        if givers and (came_back or not has_it):
            self._agree(node, givers)
        self._check_destination(node, taker)
        self._transfer(node, taker)

    def _came_back(self, givers: Sequence[str], taker: str) -> bool:
        """Tell whether the holder gets it from one to whom no event says that it went.

        The receipt from whom the holder had it is told in more than one step, and is not it.
        """
        own = (one.giver for one in reversed(self.custody.handovers) if one.role == self.role)
        return bool(givers) and taker not in givers and next(own, None) not in givers

    def _check_destination(self, node: Node, taker: str) -> None:
        if self.pending is None:
            if node.event.biz_step in RECEIPTS:
                since = self.holding.evidence[-1].moment if self.holding is not None else None
                giver = (self.holding.party,) if self.holding is not None else ()
                why = "it was received, and no event says that it was shipped"
                self._gap(MISSING_SHIPPING, since, node.moment, (*giver, taker), why)
            return
        meant = self._intended(self.pending)
        if meant and taker not in meant:
            why = "it was destined to the first and received by the second"
            between = (meant[0], taker)
            self._gap(CONFLICTING_CUSTODY, self.pending.moment, node.moment, between, why)

    def _transfer(self, node: Node, taker: str) -> None:
        shipped = (self.pending,) if self.pending is not None else ()
        giver = self.holding.party if self.holding is not None else None
        evidence = (*shipped, node)
        if self.holding is not None:
            self.holding.end = node.moment
            self.holding.evidence += evidence
        if giver != taker:
            key = self.thing.key
            handover = Handover(key, self.role, giver, taker, node.moment, evidence)
            self.custody.handovers.append(handover)
        self.pending = None
        self._open(taker, node.moment, STATED, evidence)

    def _receive_unnamed(self, node: Node) -> None:
        """Take a receipt without lists as the intended party's own, if that party signed it."""
        issuer = party_key(node.pin.iss)
        if self.pending is not None and issuer in self._intended(self.pending):
            self._receive(node, issuer, self.pending)
            self.arrived = True
        elif self._has_it(issuer, node.moment) or self._moves_only(node):
            pass
        elif self.holding is not None and self.holding.party != issuer:
            why = f"it was received, and the event does not say who is its {self.role} now"
            since = self.holding.evidence[-1].moment
            self._let_go(since, (self.holding.party, issuer), why)

    def _moves_only(self, node: Node) -> bool:
        """Tell whether the event says who hands it to whom, and nothing of its owner."""
        pairs = (*node.event.sources, *node.event.destinations)
        return self.role == OWNER and any(type_ == ROLE_TYPES[POSSESSOR] for type_, _ in pairs)

    def _has_it(self, party: str, moment: Moment) -> bool:
        """Tell whether `party` had the thing already: the book of the possessor comes first."""
        return any(
            one.role == POSSESSOR
            and one.party == party
            and (one.start is None or one.start < moment)
            and (one.end is None or moment < one.end)
            for one in self.custody.holdings
        )

    def _receive(self, node: Node, taker: str, pending: Node) -> None:
        holding = self.holding
        self._transfer(node, taker)
        if node.event.biz_step != RECEIVING and holding is not None:
            why = "it was shipped and then in the other's hands, and no event received it"
            between = (holding.party, taker)
            self._gap(MISSING_RECEIVING, pending.moment, node.moment, between, why)
            holding.end = pending.moment
            self.unconfirmed = (self.custody.gaps[-1], holding, node.moment)

    def _confirm(self) -> None:
        """Take back that nothing received what was in the other's hands already."""
        if self.arrived and self.unconfirmed is not None:
            gap, giver, moment = self.unconfirmed
            self.custody.gaps.remove(gap)
            giver.end, self.unconfirmed = moment, None

    def _lose(self, node: Node, since: Moment) -> None:
        holding = self.holding
        self.arrived, self.unconfirmed = False, None
        if holding is None:
            return
        if self.role == POSSESSOR and party_key(node.pin.iss) != holding.party:
            self.custody.breaks.append(node.moment)
        if self.pending is not None:
            since = self.pending.moment
        if holding.start is not None:  # It may have come into these hands since it was seen.
            since = max(since, holding.start)
        why = f"it moved unseen: who has been its {self.role} from then on is unknown"
        self._let_go(since, (holding.party,), why)
        self.pending = None

    def _let_go(self, since: Moment, between: tuple[str, ...], why: str) -> None:
        assert self.holding is not None
        self.holding.end = since
        self.lost, self.holding = self.holding, None
        self.loss = (since, between, why)

    def _found(self, at: Moment | None) -> None:
        """Name the time during which nobody was known to hold the thing, up to `at`."""
        self.lost = None
        if self.loss is not None:
            since, between, why = self.loss
            self._gap(UNKNOWN_CUSTODY, since, at, between, why)
            self.loss = None

    def _gap(
        self,
        kind: str,
        start: Moment | None,
        end: Moment | None,
        between: tuple[str, ...],
        why: str,
    ) -> None:
        why = why if self.role in why else f"{why} ({self.role})"
        self.custody.gaps.append(Gap(kind, self.thing.key, start, end, between, why))

    def finish(self) -> None:
        """Name what is still open at the end."""
        self._found(None)
        born = self.thing.origin.moment if self.thing.origin is not None else None
        if self.pending is not None:
            meant = self._intended(self.pending)
            giver = (self.holding.party,) if self.holding is not None else ()
            why = "it was shipped, and no event says that it was received"
            self._gap(IN_TRANSIT, self.pending.moment, None, (*giver, *meant), why)
        if self.role == OWNER and not any(one.role == OWNER for one in self.custody.holdings):
            self._gap(UNKNOWN_OWNER, born, None, (), "no event names its owner")
        if self.role == POSSESSOR and not any(
            one.role == POSSESSOR for one in self.custody.holdings
        ):
            self._gap(UNKNOWN_CUSTODY, born, None, (), "no event names who has it")
