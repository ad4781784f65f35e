"""Holds every stored root against the tree: checkpoints and `signed.db` (checks 4, 5, 7).

Two stores claim a root for a size: the table of signed notes, and the one row of
`signed.db`, which says what the log may have signed at most. A claim over more entries
than there are is how a truncated log shows.

`signed.db` lies in another file, so it is read before and after the evidence: in between a
running server may move it on, never back.

Pure: no I/O, no clock, no randomness.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ledger.audit.clocks import TimeOf
from ledger.audit.finding import Finding
from ledger.audit.stored import check_row
from ledger.audit.tree import AuditTree
from ledger.audit.trustfile import Trust
from ledger.audit.witnesses import Witnesses
from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import SignedCheckpoint, parse_signed_checkpoint
from ledger.tlog.merkle import EMPTY_ROOT, Hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a store says about the tree; `by` is `checkpoint`, `signed.db` or `state`.

    `verified` says that a known key of the log has signed it. A `late` claim was read after
    the entries, so that a running server may have gone past them by then. A claim by `state`
    is what this auditor has seen before (check 7).
    """

    size: int
    root: Hash
    by: str
    verified: bool = False
    late: bool = False
    note: bytes = b""


def check_signed(rows: Iterable[Sequence[object]]) -> Iterator[Claim | Finding]:
    """Yield the claim of `signed.db`, of which there is exactly one, and what is wrong."""
    found = 0
    for row in rows:
        found += 1
        wrong = check_row("signed", row)
        if wrong is not None:
            yield wrong
            continue
        number, size, root = row
        if number != 1 or found > 1:
            yield _signed_finding("signed.id", "one row with id 1", f"id {number}", size)
        elif isinstance(size, int) and isinstance(root, bytes):
            if size == 0 and root != EMPTY_ROOT:
                yield _signed_finding("signed.root", EMPTY_ROOT.hex(), root.hex(), 0)
            yield Claim(size=size, root=Hash(root), by="signed.db")
    if not found:
        yield _signed_finding("signed", "one row with id 1", "no row", None)


class Roots:
    """The claims, smallest first, compared with the tree as it grows."""

    def __init__(
        self,
        rows: Iterable[Sequence[object]],
        signed: Iterable[Claim],
        trust: Trust | None,
        *,
        believed: Claim | None = None,
    ) -> None:
        """Take the rows of `checkpoint` in the order of size, and the claims of signed.db.

        Without `trust` no signature can be verified, and none is. `believed` is the newest
        claim that an earlier audit has verified, where this one goes on from it.
        """
        self._rows = iter(rows)
        self._trust = trust
        self._witnesses = Witnesses(trust.policy) if trust is not None else None
        self._signed = sorted(set(signed), key=lambda claim: claim.size)
        stored = (claim.size for claim in self._signed if claim.by == "signed.db")
        self._signed_max = max(stored, default=None)
        self._sizes = array("Q")
        self._believed = believed
        self._found: list[Finding] = []
        self._checkpoint: Claim | None = None
        self._newest: Claim | None = None
        self._row_size = 0
        self._advance()

    @property
    def newest_size(self) -> int:
        """The size of the newest checkpoint that is signed and has the tree's root, or 0."""
        return self._believed.size if self._believed is not None else 0

    @property
    def newest_note(self) -> bytes:
        """The note of that checkpoint, or nothing."""
        return self._believed.note if self._believed is not None else b""

    @property
    def witnessed(self) -> tuple[int, frozenset[str]]:
        """The size of the newest checkpoint with the quorum, or 0, and who cosigned it."""
        if self._witnesses is None or not self._witnesses.names:
            return 0, frozenset()
        return self._witnesses.size, self._witnesses.names

    def has_row(self, size: int) -> bool:
        """Tell whether a note of `size`, at most the tree's, is stored, good or bad."""
        at = bisect_left(self._sizes, size)
        return at < len(self._sizes) and self._sizes[at] == size

    @property
    def signed_size(self) -> int | None:
        """The size that signed.db holds, or None if it holds none."""
        return self._signed_max

    def vouches(self, tree: AuditTree, leaves: Sequence[Hash]) -> bool:
        """Tell whether a claim knows `leaves`, or the first of them, as the tree's next."""
        for claim in self._open() if tree.is_known else ():
            count = claim.size - tree.size
            if 0 < count <= len(leaves):
                return tree.root_with(leaves[:count]) == claim.root
        return False

    def compare(self, tree: AuditTree) -> Iterator[Finding]:
        """Yield which claims about the tree's present size do not hold, if it has a root."""
        yield from self._take_found()
        while self._checkpoint is not None and self._checkpoint.size <= tree.size:
            claim = self._checkpoint
            if tree.is_known:
                yield from self._compare_one(tree, claim)
            self._advance()
            yield from self._take_found()
        while self._signed and self._signed[0].size <= tree.size:
            claim = self._signed.pop(0)
            if tree.is_known and claim.size:
                yield from self._compare_one(tree, claim)

    def finish(self, tree: AuditTree, time_of: TimeOf) -> Iterator[Finding]:
        """Yield the claims over more entries than the log has, and what witnesses lack."""
        while self._checkpoint is not None:
            yield _truncated(self._checkpoint, tree.size)
            self._advance()
        on_time = (claim for claim in self._signed if not claim.late)
        yield from (_truncated(claim, tree.size) for claim in on_time)
        yield from self._take_found()
        if self._witnesses is not None:
            yield from self._witnesses.finish(time_of)
        newest, limit = self._newest, self._signed_max
        if newest is not None and limit is not None and newest.size > limit:
            yield Finding(
                check=4,
                index=newest.size - 1,
                field="signed.size",
                expected=f"{newest.size} or more",
                computed=str(limit),
                what=f"There is a checkpoint over {newest.size} entries, but signed.db says "
                f"that the log never signed more than {limit}: signed.db was put back.",
            )

    def _open(self) -> list[Claim]:
        checkpoint = [self._checkpoint] if self._checkpoint is not None else []
        return sorted([*checkpoint, *self._signed], key=lambda claim: claim.size)

    def _compare_one(self, tree: AuditTree, claim: Claim) -> Iterator[Finding]:
        root = tree.root() if claim.size == tree.size else tree.root_at(claim.size)
        if root is None:
            return
        if root == claim.root:
            if claim.verified:
                tree.remember(claim.size, root)
                self._believed = max(self._believed or claim, claim, key=lambda one: one.size)
            return
        since = self.newest_size
        if claim.by == "state":
            yield _forked(claim, root)
            return
        yield Finding(
            check=4,
            index=claim.size - 1,
            field="checkpoint.note: root" if claim.by == "checkpoint" else "signed.root",
            expected=claim.root.hex(),
            computed=root.hex(),
            what=f"The {claim.by} of size {claim.size} has another root than the entries: "
            f"entry {claim.size - 1} was changed, or entries from {since} on were rewritten "
            "together, or this root was.",
        )

    def _advance(self) -> None:
        self._checkpoint = None
        for row in self._rows:
            claim = self._read(row)
            if claim is not None:
                self._checkpoint = self._newest = claim
                return

    def _read(self, row: Sequence[object]) -> Claim | None:
        """Return what a stored checkpoint claims; None, with a finding, if it says nothing."""
        wrong = check_row("checkpoint", row)
        size, data = row
        if wrong is not None or not isinstance(size, int) or not isinstance(data, bytes):
            self._found += [wrong] if wrong is not None else []
            return None
        self._sizes.append(size)
        try:
            signed = parse_signed_checkpoint(data)
        except ParseError as error:
            self._found.append(_checkpoint_finding(1, size, "a signed checkpoint", str(error)))
            return None
        checkpoint = signed.checkpoint
        verified = self._trust is not None and self._evaluate(size, signed, self._trust)
        if checkpoint.size != size:
            named = f"size {checkpoint.size}"
            self._found.append(_checkpoint_finding(4, size, f"size {size}", named))
            return None
        if size <= self._row_size:
            above = f"a size above {self._row_size}"
            self._found.append(_checkpoint_finding(4, size, above, str(size)))
            return None
        self._row_size = size
        return Claim(
            size=size,
            root=checkpoint.root,
            by="checkpoint",
            verified=verified,
            note=data,
        )

    def _evaluate(self, size: int, signed: SignedCheckpoint, trust: Trust) -> bool:
        """Return whether the log signed."""
        origin = signed.checkpoint.origin
        if origin != trust.origin:
            wanted = f"origin {trust.origin}"
            self._found.append(_checkpoint_finding(5, size, wanted, f"origin {origin}"))
            return False
        assert self._witnesses is not None
        try:
            self._found.extend(self._witnesses.evaluate(signed))
        except VerificationError as error:
            keys = ", ".join(str(log.key) for log in trust.policy.logs)
            self._found.append(_checkpoint_finding(5, size, f"signed by {keys}", str(error)))
            return False
        return True

    def _take_found(self) -> Iterator[Finding]:
        while self._found:
            yield self._found.pop(0)


def _checkpoint_finding(check: int, size: int, expected: str, computed: str) -> Finding:
    return Finding(
        check=check,
        index=max(size - 1, 0),
        field=f"checkpoint.note (size {size})",
        expected=expected,
        computed=computed,
        what=f"The stored checkpoint of size {size} (up to entry {size - 1}) is not one that "
        "this log signed.",
    )


def _signed_finding(field: str, expected: str, computed: str, size: object) -> Finding:
    return Finding(
        check=4,
        index=size - 1 if isinstance(size, int) and size > 0 else 0,
        field=field,
        expected=expected,
        computed=computed,
        what="signed.db does not hold the one record of what the log signed at most.",
    )


def _forked(claim: Claim, root: Hash) -> Finding:
    return Finding(
        check=7,
        index=claim.size - 1,
        field="state file: note",
        expected=claim.root.hex(),
        computed=root.hex(),
        what=f"This auditor has seen a signed checkpoint over {claim.size} entries with "
        "another root than these entries have: the log shows two histories.",
    )


def _truncated(claim: Claim, size: int) -> Finding:
    if claim.by == "state":
        return Finding(
            check=7,
            index=size,
            field="state file: note",
            expected=f"{claim.size} entries",
            computed=f"{size} entries",
            what=f"This auditor has seen a signed checkpoint over {claim.size} entries and the "
            f"log has {size}: it was cut short, or an old copy of it is shown.",
        )
    where = "A signed checkpoint" if claim.by == "checkpoint" else "signed.db"
    return Finding(
        check=4,
        index=size,
        field="checkpoint.size" if claim.by == "checkpoint" else "signed.size",
        expected=f"{claim.size} entries",
        computed=f"{size} entries",
        what=f"{where} covers {claim.size} entries and the log has {size}: the entries from "
        f"{size} on were cut off.",
        who="Whoever can write the evidence database, or an old copy of it was put back.",
    )
