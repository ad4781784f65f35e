"""Which checkpoints to trust, after C2SP tlog-policy.

A policy names the logs, the witnesses, groups of witnesses, and the quorum that
has to have cosigned a checkpoint. It is written by hand, one item a line:

    # our log, and two of three neighbours
    log supplier.example/dairy-17+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx
    witness north north.example+3f2a…+BG…
    witness south south.example+91bb…+BG… https://south.example/
    witness west west.example+77a1…+BN…
    group neighbours 2 north south west
    quorum neighbours

A checkpoint is good if a listed log whose key bears the name of the checkpoint's
origin signed it and the quorum witnessed it; a signature of a listed key that
does not verify spoils it. `quorum none` asks for no witness. ML-DSA-44 keys count only
where the installed cryptography can judge them.

Words stand apart by spaces and tabs, every line ends in a newline, `#` begins a
comment line. A group counts with `all`, `any` or a number and names only what
stands above it; each name is a member once. Logs sign with type 0x01 or 0x06,
witnesses with 0x04 or 0x06. Refused: control characters, a second quorum,
a key listed twice as a log or twice as a witness, a name defined twice, `none` as
a name, more than 128 logs, witnesses or groups.

Being written by hand, a policy has more than one spelling: `format_policy`
writes the plain one, which parses to the same policy. Octets that are not UTF-8
are kept when the file is decoded with `surrogateescape`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    parse_decimal,
)
from ledger.tlog.cosignature import can_verify, verifier_for
from ledger.tlog.merkle import EMPTY_ROOT, match_roots
from ledger.tlog.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    ED25519,
    UnverifiedNoteError,
    VerifierKey,
    parse_vkey,
    verified_signatures,
)

POLICY_BYTES_MAX = 1_000_000
POLICY_ITEMS_MAX = 128
NO_QUORUM = "none"

_LOG_KINDS = frozenset({ED25519, COSIGNATURE_ML_DSA_44})
_WITNESS_KINDS = frozenset({COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44})


class PolicyNotMetError(VerificationError):
    """A checkpoint whose signatures hold and do not suffice for the policy."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is accepted; the name of its key is its origin."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness, under the name by which the policy speaks of it."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group that has witnessed what `threshold` of its `members` have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The logs, witnesses and groups, in the order of the file, and the quorum's name."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A checkpoint that meets a policy: which log keys signed and who witnessed it."""

    checkpoint: Checkpoint
    logs: tuple[VerifierKey, ...]
    witnesses: frozenset[str]


def parse_policy(text: str) -> Policy:
    """Return the policy written in `text`, or raise `ParseError` naming the line."""
    if len(text) > POLICY_BYTES_MAX:
        raise ParseError("policy", f"is longer than {POLICY_BYTES_MAX} characters")
    if not text.endswith("\n"):
        raise ParseError("policy", "does not end in a newline: add one")
    draft = _Draft()
    for number, line in enumerate(text[:-1].split("\n"), start=1):
        if any((c < " " and c != "\t") or c == "\x7f" for c in line):
            raise ParseError(f"policy line {number}", "holds a control character")
        # Only space and tab part words: str.split() would split at others too.
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            draft.add(words)
        except ParseError as error:
            raise ParseError(f"policy line {number}", str(error)) from error
    if draft.quorum is None:
        raise ParseError("policy", "has no quorum line: write `quorum none` for no witnesses")
    return Policy(
        logs=tuple(draft.logs),
        witnesses=tuple(draft.witnesses),
        groups=tuple(draft.groups),
        quorum=draft.quorum,
    )


def format_policy(policy: Policy) -> str:
    """Return the plain spelling: logs, witnesses, groups, quorum; no comments."""
    lines: list[tuple[str, ...]] = []
    lines += [("log", str(log.key), log.url or "") for log in policy.logs]
    lines += [("witness", w.name, str(w.key), w.url or "") for w in policy.witnesses]
    lines += [("group", g.name, str(g.threshold), *g.members) for g in policy.groups]
    lines += [("quorum", policy.quorum)]
    return "".join(" ".join(filter(None, words)) + "\n" for words in lines)


def is_quorum(policy: Policy, witnesses: Collection[str]) -> bool:
    """Return whether the policy's quorum is met where `witnesses` have cosigned."""
    agreed = {w.name for w in policy.witnesses if w.name in witnesses}
    for group in policy.groups:  # A group names only what stands above it.
        if sum(member in agreed for member in group.members) >= group.threshold:
            agreed.add(group.name)
    return policy.quorum == NO_QUORUM or policy.quorum in agreed


def evaluate_policy(policy: Policy, signed: SignedCheckpoint) -> Endorsement:
    """Return who stands behind `signed`, or raise if that does not meet `policy`.

    Raises `BadSignatureError` if a signature of a listed key does not verify,
    `UnverifiedNoteError` if no listed log of this origin has signed,
    `RootMismatchError` for an empty log with a root of its own, and
    `PolicyNotMetError` if the quorum is not met, naming the witnesses that did sign.
    """
    checkpoint = signed.checkpoint
    logs = [log.key for log in policy.logs if log.key.name == checkpoint.origin]
    names = {witness.key: witness.name for witness in policy.witnesses}
    # One key may be a log's and a witness's: it is asked once.
    listed = dict.fromkeys([*logs, *names])
    keys = [key for key in listed if can_verify(key)]
    found = verified_signatures(signed.note, [verifier_for(key) for key in keys])
    signers = {(signature.name, signature.key_id) for signature in found}
    signed_by = [key for key in keys if (key.name, key.key_id) in signers]
    log_keys = tuple(key for key in logs if key in signed_by)
    witnesses = frozenset(names[key] for key in signed_by if key in names)
    if not log_keys and not any(map(can_verify, logs)) and logs:
        raise PolicyNotMetError("the installed cryptography cannot judge the log's ML-DSA-44")
    if not log_keys:
        raise UnverifiedNoteError(f"no listed log key of {checkpoint.origin!r} has signed")
    if checkpoint.size == 0:
        match_roots(signed=checkpoint.root, computed=EMPTY_ROOT)
    if not is_quorum(policy, witnesses):
        have = ", ".join(sorted(witnesses)) or "nobody"
        raise PolicyNotMetError(f"quorum {policy.quorum} is not met: witnessed by {have}")
    return Endorsement(checkpoint=checkpoint, logs=log_keys, witnesses=witnesses)


@dataclass(slots=True)
class _Draft:
    """A policy while its lines are read."""

    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    free: set[str] = field(default_factory=set)  # Defined, and no group's member yet.
    defined: set[str] = field(default_factory=set)

    def add(self, words: list[str]) -> None:
        """Take one line, or raise `ParseError`."""
        keyword, *rest = words
        readers: dict[str, tuple[Callable[[list[str]], None], range]] = {
            "log": (self._add_log, range(1, 3)),
            "witness": (self._add_witness, range(2, 4)),
            "group": (self._add_group, range(3, 3 + 2 * POLICY_ITEMS_MAX)),
            "quorum": (self._set_quorum, range(1, 2)),
        }
        if keyword not in readers:
            raise ParseError("keyword", f"{keyword[:80]!r} is none of {', '.join(readers)}")
        reader, counts = readers[keyword]
        if len(rest) not in counts:
            raise ParseError(keyword, f"has {len(rest)} words after it")
        reader(rest)

    def _add_log(self, words: list[str]) -> None:
        key = _parse_key(words[0], _LOG_KINDS, "log")
        if any(log.key.public == key.public for log in self.logs):
            raise ParseError("log", "has the public key of another log")
        self.logs.append(Log(key, *words[1:]))
        _check_count(self.logs, "logs")

    def _add_witness(self, words: list[str]) -> None:
        name, vkey, *url = words
        key = _parse_key(vkey, _WITNESS_KINDS, "witness")
        if any(witness.key.public == key.public for witness in self.witnesses):
            raise ParseError("witness", "has the public key of another witness")
        self._define(name)
        self.witnesses.append(Witness(name, key, *url))
        _check_count(self.witnesses, "witnesses")

    def _add_group(self, words: list[str]) -> None:
        name, count, *members = words
        for member in members:
            if member not in self.free:
                why = "is a member already" if member in self.defined else "is not defined"
                raise ParseError("group", f"{member[:80]!r} {why}")
            self.free.remove(member)
        self._define(name)
        most = len(members)
        threshold = {"all": most, "any": 1}.get(count) or parse_decimal(
            count, "group threshold", most=most
        )
        if threshold == 0:
            raise ParseError("group threshold", "is 0")
        self.groups.append(Group(name, threshold, tuple(members)))
        _check_count(self.groups, "groups")

    def _set_quorum(self, words: list[str]) -> None:
        (name,) = words
        if self.quorum is not None:
            raise ParseError("quorum", "is set twice")
        if name != NO_QUORUM and name not in self.defined:
            raise ParseError("quorum", f"{name[:80]!r} is not defined")
        self.quorum = name

    def _define(self, name: str) -> None:
        if name == NO_QUORUM or name in self.defined:
            raise ParseError("name", f"{name[:80]!r} is taken")
        self.defined.add(name)
        self.free.add(name)


def _parse_key(text: str, kinds: frozenset[int], what: str) -> VerifierKey:
    key = parse_vkey(text)
    if key.kind not in kinds:
        raise ParseError(what, f"may not sign with type 0x{key.kind:02x}")
    return key


def _check_count(items: Collection[object], what: str) -> None:
    if len(items) > POLICY_ITEMS_MAX:
        raise ParseError("policy", f"has more than {POLICY_ITEMS_MAX} {what}")
