"""Holds every stored root against the tree: checkpoints and `signed.db` (checks 4 and 5).

Two stores claim a root for a size: the table of signed notes, and the one row of
`signed.db`, which says what the log may have signed at most. A claim over more entries
than there are is how a truncated log shows.

`signed.db` lies in another file, so it is read before and after the evidence: in between a
running server may move it on, never back.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ledger.audit.finding import Finding
from ledger.audit.stored import check_row
from ledger.audit.tree import AuditTree
from ledger.audit.trustfile import Trust
from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import SignedCheckpoint, parse_signed_checkpoint
from ledger.tlog.merkle import EMPTY_ROOT, Hash
from ledger.tlog.policy import PolicyNotMetError, evaluate_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a store says about the tree; `by` is `checkpoint` or `signed.db`.

    `verified` says that a known key of the log has signed it, `witnessed` that so have
    the witnesses that the policy asks for. A `late` claim was read after the entries, so that
    a running server may have gone past them by then.
    """

    size: int
    root: Hash
    by: str
    verified: bool = False
    witnessed: bool = False
    late: bool = False


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
        self, rows: Iterable[Sequence[object]], signed: Iterable[Claim], trust: Trust | None
    ) -> None:
        """Take the rows of `checkpoint` in the order of size, and the claims of signed.db.

        Without `trust` no signature can be verified, and none is.
        """
        self._rows = iter(rows)
        self._trust = trust
        self._signed = sorted(set(signed), key=lambda claim: claim.size)
        self._signed_max = max((claim.size for claim in self._signed), default=None)
        self._found: list[Finding] = []
        self._checkpoint: Claim | None = None
        self._last_good = 0
        self._newest: Claim | None = None
        self._row_size = 0
        self._advance()

    @property
    def newest_size(self) -> int:
        """The size of the newest checkpoint that is signed and has the tree's root, or 0."""
        return self._last_good

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

    def finish(self, tree: AuditTree) -> Iterator[Finding]:
        """Yield the claims over more entries than the log has."""
        while self._checkpoint is not None:
            yield _truncated(self._checkpoint, tree.size)
            self._advance()
        on_time = (claim for claim in self._signed if not claim.late)
        yield from (_truncated(claim, tree.size) for claim in on_time)
        yield from self._take_found()
        yield from self._check_witnesses()
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

    def _check_witnesses(self) -> Iterator[Finding]:
        newest = self._newest
        if newest is None or self._trust is None or not newest.verified or newest.witnessed:
            return
        yield Finding(
            check=6,
            index=newest.size - 1,
            field=f"checkpoint.note (size {newest.size})",
            expected=f"cosigned by the quorum {self._trust.policy.quorum}",
            computed="not so",
            what=f"The newest checkpoint, over {newest.size} entries, is signed by the log and "
            "lacks the cosignatures that the policy asks for.",
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
                self._last_good = max(self._last_good, claim.size)
            return
        since = self._last_good
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
        try:
            signed = parse_signed_checkpoint(data)
        except ParseError as error:
            self._found.append(_checkpoint_finding(1, size, "a signed checkpoint", str(error)))
            return None
        checkpoint = signed.checkpoint
        verified = witnessed = False
        if self._trust is not None:
            verified, witnessed = self._evaluate(size, signed, self._trust)
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
            witnessed=witnessed,
        )

    def _evaluate(self, size: int, signed: SignedCheckpoint, trust: Trust) -> tuple[bool, bool]:
        """Return whether the log signed and whether the witnesses cosigned."""
        origin = signed.checkpoint.origin
        if origin != trust.origin:
            wanted = f"origin {trust.origin}"
            self._found.append(_checkpoint_finding(5, size, wanted, f"origin {origin}"))
            return False, False
        try:
            evaluate_policy(trust.policy, signed)
        except PolicyNotMetError:
            return True, False
        except VerificationError as error:
            keys = ", ".join(str(log.key) for log in trust.policy.logs)
            self._found.append(_checkpoint_finding(5, size, f"signed by {keys}", str(error)))
            return False, False
        return True, True

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


def _truncated(claim: Claim, size: int) -> Finding:
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
