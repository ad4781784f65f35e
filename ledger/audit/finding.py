"""What an audit has to say: findings by numbered check, and what was not checked.

The numbers are the same in the code, in docs/reference/checks.md and in every output, and
a number never changes its meaning. A finding says where (entry and field), what should be
there and what is, who could have done it and what to do now.

    check 2, entry 17, entry.data: expected 5c1d…, computed 9f02…
    Entry 17 is not the one that entry 18 was chained to.

Pure: no I/O, no clock, no randomness.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

FINDINGS_PER_CHECK_MAX = 20


class Weight(StrEnum):
    """What a finding does to the result."""

    TAMPERED = "tampered"
    POLICY = "policy"
    NOTE = "note"


class Result(StrEnum):
    """What an audit comes to; the exit code is its place: 0, 1, 2, 3."""

    VERIFIED = "verified"
    TAMPERED = "tampered"
    POLICY = "policy"
    UNDECIDED = "undecided"

    @property
    def exit_code(self) -> int:
        """The exit code of `tagtrail verify`."""
        return list(Result).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One numbered check: its question, and what follows where the answer is no."""

    number: int
    name: str
    question: str
    who: str
    todo: str
    weight: Weight = Weight.TAMPERED


_DATABASE = "Whoever can write the evidence database."
_RESTORE = (
    "Stop the server, keep this copy as evidence, and compare with a backup, a witness "
    "or a bundle that someone holds."
)
_LOG_KEY = "Whoever holds the log's signing key together with the evidence database."

CHECKS = MappingProxyType(
    {
        check.number: check
        for check in (
            Check(
                number=1,
                name="spelling",
                question="Is every stored value of the right type and in its one spelling?",
                who=_DATABASE,
                todo=_RESTORE,
            ),
            Check(
                number=2,
                name="chain",
                question="Does each entry name the hash of the entry before it?",
                who=_DATABASE,
                todo=_RESTORE,
            ),
            Check(
                number=3,
                name="tiles",
                question="Do the stored tiles hold the hashes of the entries?",
                who=_DATABASE,
                todo="If the entries verify, rebuild the tiles from them; else as for check 2.",
            ),
            Check(
                number=4,
                name="roots",
                question="Is the root of every checkpoint, and of signed.db, the tree's?",
                who=_LOG_KEY,
                todo="Compare the signed checkpoint with what witnesses and other holders "
                "have: one of two histories is false, and the log signed one of them.",
            ),
            Check(
                number=5,
                name="log signatures",
                question="Is every checkpoint signed by the log's key?",
                who=_DATABASE,
                todo="Ask the operator for the signed note; without it the entries above the "
                "last signed checkpoint are not vouched for.",
            ),
            Check(
                number=6,
                name="witnesses",
                question="Have the witnesses that the policy asks for cosigned?",
                who="The operator, or whoever can keep the log from its witnesses.",
                todo="Fetch a newer checkpoint; if it stays without cosignatures, ask the "
                "witnesses what they have seen of this log.",
                weight=Weight.POLICY,
            ),
            Check(
                number=7,
                name="consistency",
                question="Does the log extend what this auditor saw before?",
                who=_LOG_KEY,
                todo="Keep both checkpoints: together they prove a fork to anyone.",
            ),
            Check(
                number=8,
                name="statement signatures",
                question="Did the party's key sign the statement?",
                who=_DATABASE,
                todo="Ask the party for its own copy of the statement, and compare.",
            ),
            Check(
                number=9,
                name="authority",
                question="Was that key allowed to say this at that place of the log?",
                who="The operator: a log that keeps the rules refuses such a statement.",
                todo="Do not rely on the statement; ask the operator how it was accepted.",
            ),
            Check(
                number=10,
                name="source chains",
                question="Is the chain of every source unbroken: epochs, numbers, links?",
                who="The operator, by leaving a statement out, or whoever can write the "
                "evidence database.",
                todo="Ask the source for its own list of statements, and compare.",
            ),
            Check(
                number=11,
                name="commitments",
                question="Are the stored events those that the statements commit to?",
                who="Whoever can write the event store.",
                todo="Ask the source for the event; its statement proves which is the right "
                "one. For a missing event ask who erased it without notice.",
            ),
            Check(
                number=12,
                name="times",
                question="Does record time never fall, and did sources see this log's past?",
                who=_LOG_KEY,
                todo="Do not rely on the order in time of the entries around it.",
            ),
            Check(
                number=13,
                name="events",
                question="Is every disclosed event EPCIS 2.0?",
                who="The source: the ledger keeps what was signed, sense or not.",
                todo="Ask the source to correct it; it is kept and appears in no history.",
                weight=Weight.NOTE,
            ),
            Check(
                number=14,
                name="index",
                question="Is the index what a rebuild from the evidence gives?",
                who="Whoever can write the index database; the evidence is not touched.",
                todo="Delete index.db: it is rebuilt from the evidence at the next start. "
                "Distrust answers that were given from it.",
            ),
            Check(
                number=15,
                name="physical story",
                question="Can the goods have moved as the events say?",
                who="The source, or nobody: readers miss tags.",
                todo="Look at the goods.",
                weight=Weight.NOTE,
            ),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    `index` is the entry it concerns (for a checkpoint the last entry that it covers), or
    None where no entry can be named. `who` and `todo` are those of the check unless the
    finding knows better. A `remark` does not change the result, whatever the check; a
    `breach` says that the evidence holds, but not a duty that it names.
    """

    check: int
    index: int | None
    field: str
    expected: str
    computed: str
    what: str
    who: str = ""
    todo: str = ""
    remark: bool = False
    breach: bool = False

    def __post_init__(self) -> None:
        check = CHECKS[self.check]
        object.__setattr__(self, "who", self.who or check.who)
        object.__setattr__(self, "todo", self.todo or check.todo)

    @property
    def weight(self) -> Weight:
        """What the finding does to the result."""
        if self.remark:
            return Weight.NOTE
        return Weight.POLICY if self.breach else CHECKS[self.check].weight


class Findings:
    """Collects findings in bounded memory: the first of each check, and a count of the rest.

    Of each check and weight those about the lowest entries are kept, in whatever order they
    come, so that a flood of remarks hides no tampering.
    """

    def __init__(self, *, per_check_max: int = FINDINGS_PER_CHECK_MAX) -> None:
        """Keep at most `per_check_max` findings of each check and weight."""
        self._kept: dict[tuple[int, Weight], list[Finding]] = {}
        self._counts: dict[tuple[int, Weight], int] = {}
        self._per_check_max = per_check_max

    def add(self, finding: Finding) -> None:
        """Keep `finding`, or count it."""
        kind = finding.check, finding.weight
        self._counts[kind] = self._counts.get(kind, 0) + 1
        kept = self._kept.setdefault(kind, [])
        if len(kept) < self._per_check_max or _place(finding) < _place(kept[-1]):
            insort(kept, finding, key=_place)
            del kept[self._per_check_max :]

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add each of `findings`."""
        for finding in findings:
            self.add(finding)

    def kept(self) -> list[Finding]:
        """Return the findings kept, by check number, then entry."""
        found = [finding for kept in self._kept.values() for finding in kept]
        return sorted(found, key=lambda finding: (finding.check, *_place(finding)))

    def not_kept(self) -> dict[int, int]:
        """Return for each check how many findings were only counted, where any were."""
        more: dict[int, int] = {}
        for kind, count in sorted(self._counts.items()):
            left = count - len(self._kept[kind])
            if left:
                more[kind[0]] = more.get(kind[0], 0) + left
        return more

    def result(self, *, undecided: bool) -> Result:
        """Return the result; tampering outweighs doubt, and doubt a policy not met."""
        weights = {weight for _, weight in self._counts}
        if Weight.TAMPERED in weights:
            return Result.TAMPERED
        if undecided:
            return Result.UNDECIDED
        return Result.POLICY if Weight.POLICY in weights else Result.VERIFIED


def _place(finding: Finding) -> tuple[int, str, str]:
    index = 2**63 if finding.index is None else finding.index
    return index, finding.field, finding.what
