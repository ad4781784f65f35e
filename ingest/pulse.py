"""How the running gateway is, shared by its threads: beats, problems, counts, a clock watch.

Each thread beats as it goes round; one that has not for `STALL_SECONDS` is stuck, and the
process is not healthy. A *problem* is named by the part that has it and goes away when that
part says so: with any, the gateway is alive and not ready.

    broker   not connected, refused, or not subscribed     disk         it refuses
    ledger   away, or its checkpoint does not hold         spool        its quota is reached
    plan     the newest one has a mistake, the old goes on clock        it was set lately
    certificate  expired, or the new one cannot be used    parked       refused statements
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ingest.roster import ReaderView

STALL_SECONDS = 180.0
STEP_US_MIN = 2_000_000
STEP_SHOWN_SECONDS = 600.0


def wall_us() -> int:
    """Return the gateway's clock, in microseconds since the epoch."""
    return time.time_ns() // 1_000


def steady_us() -> int:
    """Return a clock that is never set, in microseconds since some start."""
    return time.monotonic_ns() // 1_000


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of a host; `wall_us` may be set, `steady_us` may not."""

    wall_us: Callable[[], int] = wall_us
    steady_us: Callable[[], int] = steady_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a part of the gateway, and since when."""

    part: str
    why: str
    since_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """What waits: messages not processed, statements without receipt, their bytes and age."""

    messages: int = 0
    statements: int = 0
    size: int = 0
    oldest_us: int | None = None


@dataclass(slots=True)
class _Board:
    problems: dict[str, Problem] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    beats: dict[str, int] = field(default_factory=dict)
    readers: tuple[ReaderView, ...] = ()
    spooled: Spooled = Spooled()
    expires_us: int | None = None


class Pulse:
    """One gateway's state; every method may be called by any thread."""

    def __init__(self, clock: Clock) -> None:
        """Begin without a problem."""
        self.clock = clock
        self._lock = threading.Lock()
        self._board = _Board()
        self.offset_us = clock.wall_us() - clock.steady_us()
        self._stepped_us: int | None = None
        self._clock_lock = threading.Lock()

    def beat(self, thread: str) -> None:
        """Say that `thread` goes round."""
        self._board.beats[thread] = self.clock.steady_us()

    def stalled(self) -> list[str]:
        """Return the threads that have not gone round for too long."""
        now_us = self.clock.steady_us()
        beats = dict(self._board.beats)
        return [name for name, at in beats.items() if now_us - at > STALL_SECONDS * 1_000_000]

    def tell(self, part: str, why: str | None) -> bool:
        """Say what is wrong with `part`, None if nothing is; True if that is news."""
        with self._lock:
            known = self._board.problems.get(part)
            if why is None:
                return self._board.problems.pop(part, None) is not None
            if known is not None and known.why == why:
                return False
            since_us = self.clock.wall_us() if known is None else known.since_us
            self._board.problems[part] = Problem(part=part, why=why, since_us=since_us)
            return known is None

    def problems(self) -> list[Problem]:
        """Return what is wrong, by part."""
        with self._lock:
            return sorted(self._board.problems.values(), key=lambda one: one.part)

    def count(self, counts: Mapping[str, int]) -> None:
        """Add to what was counted since the start."""
        with self._lock:
            self._board.counts.update(counts)

    def counts(self) -> Counter[str]:
        """Return what was counted since the start."""
        with self._lock:
            return Counter(self._board.counts)

    def show(
        self,
        *,
        readers: tuple[ReaderView, ...] | None = None,
        spooled: Spooled | None = None,
        expires_us: int | None = None,
    ) -> None:
        """Replace what is given: the readers, what waits, the end of the certificate."""
        with self._lock:
            if readers is not None:
                self._board.readers = readers
            if spooled is not None:
                self._board.spooled = spooled
            if expires_us is not None:
                self._board.expires_us = expires_us

    def readers(self) -> tuple[ReaderView, ...]:
        """Return how each reader was a moment ago."""
        return self._board.readers

    def spooled(self) -> Spooled:
        """Return what waited a moment ago."""
        return self._board.spooled

    def expires_us(self) -> int | None:
        """Return when the certificate ends, None where there is none."""
        return self._board.expires_us

    def watch_clock(self) -> int:
        """Return by how many microseconds the clock was set since the last call, mostly 0."""
        steady = self.clock.steady_us()
        step_us = self.take_offset(self.clock.wall_us() - steady)
        if step_us:
            return step_us
        is_over = (
            self._stepped_us is not None
            and steady - self._stepped_us > STEP_SHOWN_SECONDS * 1_000_000
        )
        if is_over:
            self._stepped_us = None
            self.tell("clock", None)
        return 0

    def take_offset(self, offset_us: int) -> int:
        """Return by how much the clock was set, which was `offset_us` ahead of the steady one.

        Each step is returned once, whichever thread meets it first.
        """
        with self._clock_lock:
            step_us = offset_us - self.offset_us
            self.offset_us = offset_us
            if abs(step_us) < STEP_US_MIN:
                return 0
            self._stepped_us = self.clock.steady_us()
        self.tell("clock", None)
        self.tell("clock", f"the gateway's clock was set by {step_us / 1_000_000:+.1f} s")
        return step_us
