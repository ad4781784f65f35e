"""Asks the witnesses of a policy to cosign one log's checkpoints, and what they know of it.

The policy of `trust.toml` names the witnesses; those with a URL are asked:

    witness north north.example+3f2a…+BG… https://north.example

Before anything is signed after a start, a quorum has to agree with the log (FORMATS
section 4): the newest checkpoint that each of them cosigned must be one that this log
extends. A larger size or another root under the log's own signature means that this
is not the history that the world has seen: the log must not start, and where two notes of it
contradict each other, `fork-proof.json` holds them. A quorum that cannot be reached is asked
again; until then statements are taken and nothing is signed.

Each witness has a thread of its own, so one that is slow or dead costs the others nothing,
and it is left alone for a while, up to a minute, after it failed. What it cosigns too late
for one checkpoint it need not catch up: the next one covers it.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ledger.audit.fork import format_fork, make_fork
from ledger.audit.trustfile import Trust
from ledger.client.witness import (
    WitnessClient,
    WitnessConflictError,
    WitnessRefusedError,
    WitnessUnavailableError,
)
from ledger.errors import TagtrailError, VerificationError
from ledger.store.evidence import EvidenceReader
from ledger.store.publish import RollbackError
from ledger.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    parse_signed_checkpoint,
)
from ledger.tlog.cosignature import add_cosignatures, can_verify, verifier_for
from ledger.tlog.merkle import Hash, TreeSize
from ledger.tlog.note import verify_note
from ledger.tlog.policy import Witness, is_quorum
from ledger.tlog.witness import AddCheckpoint

FORK_NAME = "fork-proof.json"
WAIT_S = 2.0
GRACE_S = 0.25
"""How long the others are waited for once the quorum has cosigned."""

BACKOFF_S = 1.0
BACKOFF_S_MAX = 60.0
TRIES = 3

_log = logging.getLogger("tagtrail.witnesses")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessState:
    """How one witness stands to the log: the size it cosigned last, and what is wrong."""

    name: str
    url: str
    size: int | None
    why: str


class Link:
    """One witness, used by one thread at a time."""

    def __init__(
        self, witness: Witness, trust: Trust, reader: EvidenceReader, fork_path: Path
    ) -> None:
        """Prepare to ask `witness`, whose policy line has a URL, about the log of `trust`."""
        assert witness.url is not None
        self.name = witness.name
        self.size: TreeSize | None = None
        self.why = ""
        self.busy = threading.Lock()
        self._trust = trust
        self._reader = reader
        self._fork_path = fork_path
        self.verifier = verifier_for(witness.key)
        self._client = WitnessClient(witness.url)
        self._not_before = 0.0
        self._backoff_s = BACKOFF_S

    @property
    def state(self) -> WitnessState:
        """What there is to say about this witness."""
        return WitnessState(name=self.name, url=self._client.url, size=self.size, why=self.why)

    @property
    def is_due(self) -> bool:
        """Whether it may be asked now: not while it is, and not right after it failed."""
        return not self.busy.locked() and time.monotonic() >= self._not_before

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def agree(self, size: TreeSize) -> bool:
        """Return whether the witness knows only this log's history, which has `size` entries.

        False where it does not answer. Raises `RollbackError` where it knows another one.
        """
        return self._try(lambda: self._compare(size)) is True

    def cosign(self, note: bytes) -> bytes | None:
        """Return the witness's signature lines for `note`, verified, or None for none.

        Raises `RollbackError` where the witness knows more of this log than the log does.
        """
        signed = parse_signed_checkpoint(note)
        return self._try(lambda: self._cosign(signed, note))

    def _try(self, ask: Callable[[], T]) -> T | None:
        """Return what `ask` returns, or None, with the reason kept, where it fails."""
        try:
            answer = ask()
        except RollbackError:
            raise
        except TagtrailError as error:
            self.why = str(error)
            self._not_before = time.monotonic() + self._backoff_s
            self._backoff_s = min(2 * self._backoff_s, BACKOFF_S_MAX)
            return None
        self.why = ""
        self._backoff_s = BACKOFF_S
        return answer

    def _compare(self, size: TreeSize) -> bool:
        note = self._client.fetch_checkpoint(self._trust.origin)
        if note is None:
            self.size = TreeSize(0)
            return True
        seen = self._verify(note)
        if seen.size > size:
            raise RollbackError(
                f"the witness {self.name} has cosigned size {seen.size}, the log has {size}"
            )
        if seen.size and self._reader.tree(seen.size).root() != seen.root:
            self._keep_fork(note, seen)
            raise RollbackError(
                f"the witness {self.name} has cosigned another root at size {seen.size}"
            )
        self.size = seen.size
        return True

    def _verify(self, note: bytes) -> Checkpoint:
        """Return what the witness cosigned, if the log and the witness have signed it."""
        signed = parse_signed_checkpoint(note)
        logs = [log.key for log in self._trust.policy.logs if can_verify(log.key)]
        if signed.checkpoint.origin != self._trust.origin:
            raise VerificationError(f"its note is of {signed.checkpoint.origin!r}")
        verify_note(signed.note, [verifier_for(key) for key in logs])
        verify_note(signed.note, [self.verifier])
        return signed.checkpoint

    def _cosign(self, signed: SignedCheckpoint, note: bytes) -> bytes:
        checkpoint = signed.checkpoint
        for _ in range(TRIES):
            old = self.size or TreeSize(0)
            try:
                lines = self._client.add_checkpoint(self._request(old, signed))
            except WitnessConflictError as conflict:
                if conflict.size > checkpoint.size:
                    self._compare(checkpoint.size)  # Raises if the witness can show it.
                    why = f"claims size {conflict.size} and shows no such checkpoint"
                    raise WitnessUnavailableError(why) from conflict
                self.size = TreeSize(conflict.size)
                continue
            except WitnessRefusedError:
                self._compare(checkpoint.size)  # Another history is worse than a refusal.
                raise
            if add_cosignatures(note, lines, [self.verifier]) == note:
                raise VerificationError("it answers without a signature of its known key")
            self.size = checkpoint.size
            return lines
        raise WitnessUnavailableError("it changes its mind about the size it has cosigned")

    def _request(self, old: TreeSize, signed: SignedCheckpoint) -> AddCheckpoint:
        size = signed.checkpoint.size
        proof: tuple[Hash, ...] = ()
        if 0 < old < size:
            proof = self._reader.tree(size).prove_consistency(old)
        return AddCheckpoint(old, proof, signed)

    def _keep_fork(self, note: bytes, seen: Checkpoint) -> None:
        """Write the proof that this log has signed two histories, if its own notes show it."""
        newest = self._reader.load_newest_checkpoint()
        if newest is None or newest[0] < seen.size:
            return
        size, own = newest
        tree = self._reader.tree(size)
        proof = tree.prove_consistency(seen.size) if seen.size < size else ()
        root = self._reader.tree(seen.size).root()
        fork = make_fork(note, own, root=root, proof=proof, trust=self._trust)
        if fork is not None:
            self._fork_path.write_bytes(format_fork(fork))
            _log.critical("%s proves that this log signed two histories", self._fork_path)


class Cosigning:
    """Every witness of one log's policy that can be asked."""

    def __init__(
        self,
        trust: Trust,
        reader: EvidenceReader,
        folder: Path,
        *,
        wait_s: float = WAIT_S,
        publish_lacking: bool = False,
    ) -> None:
        """Prepare to ask the witnesses of `trust`; nobody is asked yet.

        A proof that the log forked goes into `folder`. A checkpoint that lacks the quorum
        after `wait_s` seconds is published only with `publish_lacking`.
        """
        self._policy = trust.policy
        self._wait_s = wait_s
        self._publish_lacking = publish_lacking
        self._links = tuple(
            Link(witness, trust, reader, folder / FORK_NAME)
            for witness in trust.policy.witnesses
            if witness.url
        )
        self._pool = ThreadPoolExecutor(max(1, len(self._links)), "witness")
        self._agreed: set[str] = set()
        self._may_sign = not self._links
        self._lacking: tuple[str, ...] = ()

    def close(self) -> None:
        """Stop asking; what is under way may finish by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for link in self._links:
            link.close()

    @property
    def states(self) -> list[WitnessState]:
        """How each witness stands."""
        return [link.state for link in self._links]

    @property
    def lacking(self) -> tuple[str, ...]:
        """The witnesses whose cosignature the newest signed checkpoint lacks."""
        return self._lacking

    @property
    def is_agreed(self) -> bool:
        """Whether a quorum has agreed with the log since the start."""
        return self._may_sign

    def may_sign(self, size: TreeSize) -> bool:
        """Return whether a quorum agrees that the log, of `size` entries, goes on its history.

        Asked until it is so, and never again after. Raises `RollbackError` where a witness
        knows another history, even if a quorum agrees.
        """
        if self._may_sign:
            return True
        found = self._ask_all(lambda link: link.agree(size), self._agreed)
        self._agreed |= {link.name for link, agrees in found if agrees}
        self._may_sign = is_quorum(self._policy, self._agreed)
        if not self._may_sign:
            agreed = ", ".join(sorted(self._agreed)) or "nobody"
            quorum = self._policy.quorum
            _log.warning("nothing is signed until %s agrees; so far: %s", quorum, agreed)
        return self._may_sign

    def endorse(self, note: bytes) -> bytes | None:
        """Return `note` with the cosignatures there are, or None if it may not be published.

        Raises `RollbackError` where a witness knows another history.
        """
        have: set[str] = set()
        whole = note
        for link, lines in self._ask_all(lambda link: link.cosign(note), set()):
            if lines is not None:
                have.add(link.name)
                whole = add_cosignatures(whole, lines, [link.verifier])
        lacking = tuple(link.name for link in self._links if link.name not in have)
        if lacking != self._lacking:
            _log.warning("cosignatures lacking: %s", ", ".join(lacking) or "none any more")
        self._lacking = lacking
        return whole if is_quorum(self._policy, have) or self._publish_lacking else None

    def _ask_all(
        self, ask: Callable[[Link], T], but: Collection[str]
    ) -> Iterator[tuple[Link, T]]:
        """Yield what the witnesses that are due say in time: all, or a quorum and who is near.

        Those named in `but` count as having said yes. Raises what `ask` raises.
        """
        asked = {
            self._pool.submit(_run, link, ask): link
            for link in self._links
            if link.is_due and link.name not in but
        }
        deadline = time.monotonic() + self._wait_s
        done: set[Future[T]] = set()
        pending = set(asked)
        said_yes = set(but)
        while pending and (left := deadline - time.monotonic()) > 0:
            now, pending = wait(pending, timeout=left, return_when=FIRST_COMPLETED)
            done |= now
            met = is_quorum(self._policy, said_yes)
            said_yes |= {asked[one].name for one in now if one.result()}
            if not met and is_quorum(self._policy, said_yes):
                deadline = min(deadline, time.monotonic() + GRACE_S)
        for one in done:
            yield asked[one], one.result()


def _run(link: Link, ask: Callable[[Link], T]) -> T:
    with link.busy:
        return ask(link)
