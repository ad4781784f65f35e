"""Follows what witnesses cosigned, checkpoint by checkpoint (check 6, and the dates of 12).

The newest checkpoint must have the quorum that the policy asks for; if it has not, the
report says who cosigned it and which older one had it. A witness says that it has seen only
this history, so it never cosigns a smaller size after a larger one: one that does has lost
its memory, or somebody rolled it back, and its word is worth less from there on. And no
checkpoint can have been cosigned before its last entry was recorded, unless a clock is off.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator

from ledger.audit.clocks import CLOCK_SKEW_S_MAX, TimeOf, format_time_us
from ledger.audit.finding import Finding
from ledger.errors import ParseError
from ledger.tlog.checkpoint import SignedCheckpoint
from ledger.tlog.cosignature import can_verify, cosignature_time
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import Endorsement, Policy, PolicyNotMetError, evaluate_policy

_US = 1_000_000


class Witnesses:
    """The cosignatures of one log's checkpoints, smallest first."""

    def __init__(self, policy: Policy) -> None:
        """Judge by the quorum of `policy`."""
        self._policy = policy
        self._newest: tuple[int, str] | None = None
        self._latest: dict[str, tuple[int, int]] = {}
        self._dated: tuple[int, int, str] | None = None
        self._log_keys: dict[str, int] = {}
        self.size = 0
        self.names: frozenset[str] = frozenset()

    def evaluate(self, signed: SignedCheckpoint) -> Iterator[Finding]:
        """Yield what witnesses did wrong in `signed`; raise as `evaluate_policy` does.

        What is raised is about the log's own signature, or one of a known key that does not
        hold; a quorum that is not met is reported by `finish` for the newest checkpoint.
        """
        size = int(signed.checkpoint.size)
        try:
            endorsement: Endorsement | None = evaluate_policy(self._policy, signed)
            why = ""
        except PolicyNotMetError as error:
            endorsement, why = None, str(error)
        self._newest = size, why
        yield from self._missing_keys(size, signed)
        if endorsement is not None:
            self.size, self.names = size, endorsement.witnesses
        for name, time_s in self._times(signed):
            larger = self._latest.get(name)
            if larger is not None and time_s < larger[1]:
                yield _rolled_back(name, size, larger, time_s)
            self._latest[name] = size, time_s
            self._dated = size, time_s, name

    def finish(self, time_of: TimeOf) -> Iterator[Finding]:
        """Yield whether the newest checkpoint lacks its quorum, and whether dates fit."""
        if self._newest is not None and self._newest[1]:
            size, why = self._newest
            before = f"the one over {self.size} entries has it" if self.size else "none has it"
            yield Finding(
                check=6,
                index=size - 1,
                field=f"checkpoint.note (size {size})",
                expected=f"cosigned by the quorum {self._policy.quorum}",
                computed=why,
                what=f"The newest checkpoint, over {size} entries, is signed by the log and "
                f"lacks the cosignatures that the policy asks for; {before}.",
            )
        if self._dated is not None:
            size, time_s, name = self._dated
            recorded_us = time_of(size - 1)
            if recorded_us is not None and (time_s + CLOCK_SKEW_S_MAX) * _US < recorded_us:
                yield _too_early(name, size, time_s, recorded_us)

    def _missing_keys(self, size: int, signed: SignedCheckpoint) -> Iterator[Finding]:
        """Yield the listed keys of the log that signed smaller sizes and not this one."""
        signers = {(one.name, one.key_id) for one in signed.note.signatures}
        for log in self._policy.logs:
            key = log.key
            if key.name != signed.checkpoint.origin or not can_verify(key):
                continue
            if (key.name, key.key_id) in signers:
                self._log_keys.setdefault(str(key), size)
            elif str(key) in self._log_keys:
                yield _unsigned(key, size, self._log_keys[str(key)])

    def _times(self, signed: SignedCheckpoint) -> Iterator[tuple[str, int]]:
        """Yield the name of each known witness with the time of its cosignature, if dated."""
        names = {(w.key.name, w.key.key_id): w.name for w in self._policy.witnesses}
        for signature in signed.note.signatures:
            name = names.get((signature.name, signature.key_id))
            if name is None:
                continue
            try:
                time_s = cosignature_time(signature.signature)
            except ParseError:
                continue
            if time_s:
                yield name, time_s


def _unsigned(key: VerifierKey, size: int, first: int) -> Finding:
    return Finding(
        check=5,
        index=size - 1,
        field=f"checkpoint.note (size {size})",
        expected=f"signed by {key.name}+{key.key_id:08x}, as the one over {first} entries",
        computed="no such signature",
        what=f"The checkpoint over {size} entries lacks the signature of one of the log's keys "
        "that the policy lists and that signed a smaller one.",
        who="Who could write the database, or the operator, who stopped using that key.",
        todo="Ask the operator why; do not rely on the other key alone until it is explained.",
    )


def _rolled_back(name: str, size: int, larger: tuple[int, int], time_s: int) -> Finding:
    then = format_time_us(larger[1] * _US)
    return Finding(
        check=6,
        index=size - 1,
        field=f"checkpoint.note (size {size})",
        expected=f"cosigned by {name} at {then} or later",
        computed=format_time_us(time_s * _US),
        what=f"The witness {name} cosigned {larger[0]} entries at {then}, after it had "
        f"cosigned {size}: it went back to a smaller size.",
        who=f"The witness {name}, or who restored it from an old copy.",
        todo=f"Ask {name} what it has seen; do not count it in the quorum until it says.",
    )


def _too_early(name: str, size: int, time_s: int, recorded_us: int) -> Finding:
    return Finding(
        check=12,
        index=size - 1,
        field=f"checkpoint.note (size {size})",
        expected=f"cosigned at {format_time_us(recorded_us)} or later",
        computed=format_time_us(time_s * _US),
        what=f"The witness {name} cosigned the checkpoint over {size} entries before the last "
        "of them was recorded: one of the two clocks is off.",
        who="The operator, whose record times run ahead, or the witness, whose clock is slow.",
        todo="Do not rely on record times until one of the two is explained.",
        remark=True,
    )
