"""Audits one bundle: everything that it shows, by the numbered checks, and nothing else.

Each entry must be under the checkpoint, by one proof (4), which the log (5) and its witnesses
(6) have signed; its statement signed by its key (8), which the chain of key entries leads
back to the pinned entry 0 (9); and each event must be the one that its statement commits to
(11). What is spelled otherwise than it must be is found first (1). The answer must be what
these events support (14).

A bundle that does not parse is one finding. Otherwise the audit goes on after what it finds.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from ledger.admitted import GapRow, project_gap
from ledger.audit.bundle_answer import AnswerAudit
from ledger.audit.bundle_authority import ShownAuthority
from ledger.audit.bundle_events import PartCounts, ShownEntry, ShownEvents
from ledger.audit.finding import Finding
from ledger.audit.trustfile import Trust
from ledger.bundle import Bundle, BundledEntry, parse_bundle
from ledger.disclosure import shown_parts
from ledger.entry import Entry, entry_leaf, parse_entry
from ledger.errors import ParseError, VerificationError
from ledger.provenance.source import KnownEvent
from ledger.statement import Statement, parse_statement
from ledger.tlog.checkpoint import SignedCheckpoint, parse_signed_checkpoint
from ledger.tlog.merkle import Hash, LeafIndex, RootMismatchError
from ledger.tlog.multiproof import verify_leaves
from ledger.tlog.policy import PolicyNotMetError, evaluate_policy

_MAKER = "Whoever made the bundle."
_ASK = "Ask for another bundle; do not rely on this one."
_SPELLING = "the one spelling of its format"


@dataclass(slots=True, kw_only=True)
class BundleSummary:
    """What an audit of a bundle has seen; complete when it has ended."""

    origin: str = ""
    size: int | None = None
    signed: bool = False
    witnesses: tuple[str, ...] = ()
    entries: int = 0
    statements: Counter[str] = field(default_factory=Counter)
    issuers: Counter[str] = field(default_factory=Counter)
    signatures: int = 0
    suspect_keys: list[str] = field(default_factory=list)
    unjudged: int = 0
    edge_issuers: list[str] = field(default_factory=list)
    parts: PartCounts = field(default_factory=PartCounts)
    has_answer: bool = False
    answer_compared: bool = False
    answer_by_other_rules: bool = False
    answer_too_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """An entry of the bundle as far as it parses."""

    index: int
    leaf: Hash
    entry: Entry | None = None
    statement: Statement | None = None


class BundleAudit:
    """One audit of one bundle."""

    def __init__(self, data: bytes, trust: Trust | None) -> None:
        """Prepare to audit the bundle `data`; `trust` None trusts nobody."""
        self.summary = BundleSummary()
        self._data = data
        self._trust = trust

    def run(self) -> Iterator[Finding]:
        """Yield everything that is wrong, as it is found."""
        try:
            bundle = parse_bundle(self._data)
        except ParseError as error:
            yield _misspelt(None, "bundle", error)
            return
        shown, wrong = _read_entries(bundle)
        yield from wrong
        checkpoint = yield from self._check_note(bundle.note)
        if checkpoint is not None:
            yield from _check_proof(bundle, shown, checkpoint)
        yield from self._check_entries(shown)
        yield from self._check_events(bundle, shown, checkpoint)

    def _check_note(self, note: bytes) -> Generator[Finding, None, SignedCheckpoint | None]:
        """Yield what is wrong with the checkpoint; return it, whoever signed it."""
        try:
            signed = parse_signed_checkpoint(note)
        except ParseError as error:
            yield _misspelt(None, "note", error)
            return None
        self.summary.size = signed.checkpoint.size
        self.summary.origin = signed.checkpoint.origin
        if self._trust is not None:
            yield from self._check_signatures(signed, self._trust)
        return signed

    def _check_signatures(self, signed: SignedCheckpoint, trust: Trust) -> Iterator[Finding]:
        self.summary.origin = trust.origin
        origin = signed.checkpoint.origin
        if origin != trust.origin:
            yield _of_note(signed, 5, f"origin {trust.origin}", f"origin {origin}")
            return
        try:
            endorsement = evaluate_policy(trust.policy, signed)
        except PolicyNotMetError as error:
            self.summary.signed = True
            quorum = f"cosigned by the quorum {trust.policy.quorum}"
            yield _of_note(signed, 6, quorum, str(error))
        except VerificationError as error:
            keys = ", ".join(str(log.key) for log in trust.policy.logs)
            yield _of_note(signed, 5, f"signed by {keys}", str(error))
        else:
            self.summary.signed = True
            self.summary.witnesses = tuple(sorted(endorsement.witnesses))

    def _check_entries(self, shown: list[_Shown]) -> Iterator[Finding]:
        self.summary.entries = len(shown)
        if not self.summary.origin:
            heard = (one.statement.aud for one in shown if one.statement is not None)
            self.summary.origin = next(heard, "")
        yield from self._check_first(shown[0])
        yield from _check_neighbours(shown)
        authority = ShownAuthority(self.summary.origin)
        for one in shown:
            if one.entry is None or one.statement is None:
                continue
            self.summary.statements[one.statement.sub] += 1
            yield from authority.check(one.index, one.entry, one.statement, one.leaf)
        self.summary.signatures = authority.signatures
        self.summary.unjudged = authority.unjudged
        self.summary.edge_issuers = sorted(authority.edge_issuers)
        self.summary.suspect_keys = [
            f"{record.kid.hex()} ({record.role} of {record.iss}) from entry "
            f"{record.suspect_since} on"
            for record in authority.state.keys.values()
            if record.suspect_since is not None
        ]

    def _check_first(self, first: _Shown) -> Iterator[Finding]:
        """Yield whether entry 0 is not the pinned one; a missing one cuts every key chain."""
        if self._trust is None or first.index != 0 or first.leaf == self._trust.entry0:
            return
        yield Finding(
            check=9,
            index=0,
            field="entries[0]",
            expected=self._trust.entry0.hex(),
            computed=first.leaf.hex(),
            what="Entry 0, from which every key descends, is not the trusted one: the bundle "
            "is of another log, or brings a root of trust of its own.",
            who=_MAKER,
            todo=_ASK,
        )

    def _check_events(
        self, bundle: Bundle, shown: list[_Shown], checkpoint: SignedCheckpoint | None
    ) -> Iterator[Finding]:
        entries = _entries_by_index(shown)
        events = ShownEvents(counts=self.summary.parts)
        for event in bundle.events:
            entry = entries.get(event.index)
            yield from events.check(event, entry)
            if entry is not None:
                self.summary.issuers[entry.statement.iss] += 1
        if bundle.answer is None:
            return
        self.summary.has_answer = True
        size = checkpoint.checkpoint.size if checkpoint is not None else None
        root = checkpoint.checkpoint.root.hex() if checkpoint is not None else ""
        parts = (part for event in bundle.events for part in shown_parts(event.event))
        shown_bytes = sum(len(part or b"") for part in parts)
        answer = AnswerAudit(
            events.known, _gaps_of(entries), size=size, root=root, shown_bytes=shown_bytes
        )
        yield from answer.check(bundle.answer)
        self.summary.answer_compared = answer.compared
        self.summary.answer_by_other_rules = answer.other_rules
        self.summary.answer_too_long = answer.too_long


def known_events(bundle: Bundle) -> list[KnownEvent]:
    """Return the EPCIS events of `bundle` as the engine reads them; nothing is verified."""
    shown, _ = _read_entries(bundle)
    entries, events = _entries_by_index(shown), ShownEvents()
    for event in bundle.events:
        for _ in events.check(event, entries.get(event.index)):
            pass
    return events.known


def known_gaps(bundle: Bundle) -> list[GapRow]:
    """Return the gap statements of `bundle`; nothing is verified."""
    shown, _ = _read_entries(bundle)
    return _gaps_of(_entries_by_index(shown))


def _gaps_of(entries: Mapping[int, ShownEntry]) -> list[GapRow]:
    rows = [
        project_gap(one.index, one.statement.iss, one.statement.body)
        for one in entries.values()
    ]
    return [row for row in rows if row is not None]


def _entries_by_index(shown: list[_Shown]) -> dict[int, ShownEntry]:
    return {
        one.index: ShownEntry(
            index=one.index,
            record_time_us=one.entry.record_time_us,
            statement=one.statement,
        )
        for one in shown
        if one.entry is not None and one.statement is not None
    }


def _read_entries(bundle: Bundle) -> tuple[list[_Shown], list[Finding]]:
    """Return the entries as far as they parse, and what is wrong with their spelling."""
    wrong: list[Finding] = []
    shown = [_read_entry(one, f"entries[{n}]", wrong) for n, one in enumerate(bundle.entries)]
    return shown, wrong


def _read_entry(one: BundledEntry, field: str, wrong: list[Finding]) -> _Shown:
    leaf = entry_leaf(one.data)
    try:
        entry = parse_entry(one.data)
    except ParseError as error:
        wrong.append(_misspelt(one.index, field, error))
        return _Shown(index=one.index, leaf=leaf)
    try:
        statement = parse_statement(entry.statement)
    except ParseError as error:
        wrong.append(_misspelt(one.index, f"{field}: statement", error))
        return _Shown(index=one.index, leaf=leaf, entry=entry)
    return _Shown(index=one.index, leaf=leaf, entry=entry, statement=statement)


def _check_proof(
    bundle: Bundle, shown: list[_Shown], signed: SignedCheckpoint
) -> Iterator[Finding]:
    checkpoint = signed.checkpoint
    try:
        verify_leaves(
            bundle.nodes,
            leaves=[(LeafIndex(one.index), one.leaf) for one in shown],
            size=checkpoint.size,
            root=checkpoint.root,
        )
    except RootMismatchError as error:
        yield _unproven(error.signed.hex(), error.computed.hex())
    except VerificationError as error:
        yield _unproven(f"a proof in the tree of {checkpoint.size} entries", str(error))


def _unproven(expected: str, computed: str) -> Finding:
    return Finding(
        check=4,
        index=None,
        field="nodes",
        expected=expected,
        computed=computed,
        what="The entries of the bundle are not under its checkpoint: an entry, an index or "
        "the proof is another's.",
        who=_MAKER,
        todo=_ASK,
    )


def _check_neighbours(shown: list[_Shown]) -> Iterator[Finding]:
    """Yield where two entries that follow each other, or their times, do not fit."""
    entries = [one for one in shown if one.entry is not None]
    for before, after in pairwise(entries):
        assert before.entry is not None
        assert after.entry is not None
        if after.index == before.index + 1 and after.entry.prev_leaf_hash != before.leaf:
            yield Finding(
                check=2,
                index=after.index,
                field="entry.data: prev_leaf_hash",
                expected=before.leaf.hex(),
                computed=after.entry.prev_leaf_hash.hex(),
                what=f"Entry {after.index} does not name the entry before it.",
                who="Whoever made the bundle, or the operator of the log.",
                todo=_ASK,
            )
        if after.entry.record_time_us < before.entry.record_time_us:
            yield Finding(
                check=12,
                index=after.index,
                field="entry.data: record_time_us",
                expected=f"{before.entry.record_time_us} or later",
                computed=str(after.entry.record_time_us),
                what=f"Entry {after.index} says it was recorded before entry {before.index}.",
            )


def _misspelt(index: int | None, name: str, error: ParseError) -> Finding:
    about = "The bundle" if index is None else f"Entry {index} of the bundle"
    return Finding(
        check=1,
        index=index,
        field=name,
        expected=_SPELLING,
        computed=str(error),
        what=f"{about} is not spelled as it must be, so it is not what was logged or made.",
        who=_MAKER,
        todo=_ASK,
    )


def _of_note(signed: SignedCheckpoint, check: int, expected: str, computed: str) -> Finding:
    size = signed.checkpoint.size
    what = {
        5: f"The checkpoint over {size} entries is not one that the trusted log signed.",
        6: f"The checkpoint over {size} entries is signed by the log and lacks the "
        "cosignatures that the policy asks for.",
    }
    return Finding(
        check=check,
        index=max(size - 1, 0),
        field=f"note (size {size})",
        expected=expected,
        computed=computed,
        what=what[check],
        who=_MAKER if check == 5 else "",  # noqa: PLR2004 - see finding.CHECKS
        todo=_ASK if check == 5 else "Ask for a bundle under a checkpoint with cosignatures.",  # noqa: PLR2004
    )
