"""Hands out signatures to verify in batches, so that the shell can use all cores (check 8).

Verifying is nearly all of the work of an audit. A batch is given to a `VerifySignatures`,
which starts on it and returns at once; its result is asked for when enough batches are
under way. How many signatures wait is bounded in count and in bytes.

Pure: no I/O, no clock, no randomness.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ledger.audit.finding import Finding
from ledger.cose import verify_ed25519
from ledger.errors import VerificationError
from ledger.statement import Statement

BATCH_COUNT_MAX = 512
BATCH_BYTES_MAX = 1024 * 1024
BATCHES_WAITING_MAX = 8


@dataclass(frozen=True, slots=True)
class SignatureJob:
    """One Ed25519 signature to verify, and the entry it is in."""

    index: int
    x: bytes
    signature: bytes
    message: bytes


Pending = Callable[[], Sequence[str | None]]
"""Returns for each job of a batch what is wrong with it, or None; may wait for it."""

VerifySignatures = Callable[[Sequence[SignatureJob]], Pending]
"""Starts to verify a batch."""


def verify_jobs(jobs: Sequence[SignatureJob]) -> list[str | None]:
    """Verify each of `jobs`; return what is wrong with it, or None."""
    return [_verify(job) for job in jobs]


def verify_later(jobs: Sequence[SignatureJob]) -> Pending:
    """Verify `jobs` when their result is asked for: the plain `VerifySignatures`."""
    return lambda: verify_jobs(jobs)


class SignatureAudit:
    """The signatures of statements, gathered, verified in batches, and reported."""

    def __init__(self, verify: VerifySignatures) -> None:
        """Verify by `verify`."""
        self._verify = verify
        self._jobs: list[SignatureJob] = []
        self._bytes = 0
        self._waiting: deque[tuple[list[SignatureJob], Pending]] = deque()
        self.count = 0

    def add(self, index: int, statement: Statement, x: bytes) -> Iterator[Finding]:
        """Take on the signature of the statement in entry `index` under the key `x`."""
        self._jobs.append(SignatureJob(index, x, statement.signature, statement.message))
        self._bytes += len(statement.message)
        self.count += 1
        if len(self._jobs) == BATCH_COUNT_MAX or self._bytes > BATCH_BYTES_MAX:
            self._start()
            if len(self._waiting) > BATCHES_WAITING_MAX:
                yield from self._take()

    def finish(self) -> Iterator[Finding]:
        """Yield what is wrong with all that are left."""
        self._start()
        while self._waiting:
            yield from self._take()

    def _start(self) -> None:
        if self._jobs:
            self._waiting.append((self._jobs, self._verify(self._jobs)))
        self._jobs, self._bytes = [], 0

    def _take(self) -> Iterator[Finding]:
        jobs, pending = self._waiting.popleft()
        for job, why in zip(jobs, pending(), strict=True):
            if why is not None:
                yield Finding(
                    check=8,
                    index=job.index,
                    field="entry.data: statement signature",
                    expected=f"a signature of the key {job.x.hex()}",
                    computed=why,
                    what=f"The statement in entry {job.index} was not signed by the key that "
                    "it names: it was changed after it was signed, or never was.",
                )


def _verify(job: SignatureJob) -> str | None:
    try:
        verify_ed25519(job.x, job.signature, job.message)
    except VerificationError as error:
        return str(error)
    return None
