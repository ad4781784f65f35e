"""The clocks of all readers: which reads may be taken now, how they are corrected, what waits.

A reader is a topic, and its own name beside it where the payload has one. The reads of a
message go on as a *batch* with what is to be said of their times, or they wait here for the
verdict of `ingest.clocks`; ticks end the waiting. Past `CLOCKS_MAX` readers, a reader has no
clock of its own and its times are taken as told, which its batches say.

The devices of samples have clocks as readers do. Samples do not wait, for no pass hangs on
them: one whose clock is in doubt is taken at once, with the whole difference as its error.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from ingest import clocks
from ingest.clocks import Clock, Waiting
from ingest.readers.fields import is_clock_set
from ingest.reads import Message, Read, Sample, TimeSource, Vital
from ingest.smoothing import Heard

CLOCKS_MAX = 10_000
PART = "clock:"


@dataclass(frozen=True, slots=True)
class Batch:
    """Reads that go on together: what they were heard in, and on which topic."""

    topic: str
    reads: Sequence[Read]
    heard: Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockView:
    """One reader's clock as the operator sees it; offsets are reader less gateway."""

    topic: str
    source: str
    offset_us: int
    shift_us: int
    error_us: int
    drift_ppm: float | None
    flags: tuple[str, ...]

    @property
    def is_bad(self) -> bool:
        """Whether its times must be corrected or cannot be trusted."""
        return self.shift_us != 0 or bool(self.flags)


class ClockRoom:
    """The memory of all clocks; `skew_of` tells the plan's bound for a topic, in µs."""

    def __init__(self, skew_of: Callable[[str], int]) -> None:
        """Begin with clocks that nobody has heard."""
        self._skew_of = skew_of
        self._clocks: dict[str, Clock] = {}
        self._waiting: set[str] = set()
        self._changed: set[str] = set()

    def take(
        self, message: Message, reads: Sequence[Read], *, is_uniform: bool = False
    ) -> list[Batch]:
        """Return the batches that may go on now, those that waited first.

        The reads are uniform where all are known to be of one reader and one kind of clock.
        """
        first = reads[0]
        if is_uniform or all(
            one.time_source is first.time_source and one.source == first.source for one in reads
        ):
            return self._take_same(message, reads)
        found: list[Batch] = []
        groups: dict[tuple[TimeSource, str], list[Read]] = {}
        for one in reads:
            groups.setdefault((one.time_source, one.source), []).append(one)
        for group in groups.values():
            found += self._take_same(message, group)
        return found

    def hear_samples(self, message: Message, items: Sequence[object]) -> dict[str, Heard]:
        """Return how the time of each device stands whose samples are among `items`.

        Only a device that says the time has one here.
        """
        newest: dict[str, int] = {}
        for one in items:
            if isinstance(one, Sample) and one.time_us is not None:
                known = newest.get(one.clock)
                newest[one.clock] = one.time_us if known is None else max(known, one.time_us)
        if newest:  # who sends old samples may say beside them when it sends them
            sent_us = [
                v.time_us for v in items if isinstance(v, Vital) and v.time_us is not None
            ]
            newest = {name: max([told_us, *sent_us]) for name, told_us in newest.items()}
        return {name: self._hear(message, name, told_us) for name, told_us in newest.items()}

    def _hear(self, message: Message, source: str, newest_us: int) -> Heard:
        at_us, is_unset = message.received_us, not is_clock_set(newest_us)
        key = f"{message.topic}\n{source}"
        clock = self._find(key)
        if clock is None:
            return Heard(
                message=message.sha256,
                received_us=at_us,
                error_us=abs(newest_us - at_us),
                flags=clocks.UNSURE,
                is_untimed=is_unset,
            )
        verdict = clocks.judge(
            clock, at_us, newest_us, is_unset=is_unset, skew_us=self._skew(key)
        )
        flag = {"wait": clocks.UNSURE, "late": clocks.BACKFILL}.get(verdict, 0)
        return self._heard(clock, message.sha256, at_us, flag, newest_us)

    def settle(self, now_us: int, *, everything: bool) -> list[Batch]:
        """Return the batches that waited for long enough at `now_us`, or all of them."""
        found: list[Batch] = []
        for key in sorted(self._waiting):
            clock = self._clocks[key]
            due_us = clock.waiting[0].received_us + clocks.PATIENCE_US
            if everything or now_us >= due_us:
                found += self._release(key, clock, None)
        return found

    def next_tick_us(self) -> int | None:
        """Return when `settle` would first release something, None where nothing waits."""
        due = [self._clocks[key].waiting[0].received_us for key in self._waiting]
        return min(due) + clocks.PATIENCE_US if due else None

    def corrected(self, topic: str, source: str, told_us: int | None, received_us: int) -> int:
        """Return an instant that a reader told of something else than a read, corrected."""
        if told_us is None:
            return received_us
        clock = self._clocks.get(f"{topic}\n{source}") or self._clocks.get(f"{topic}\n")
        return told_us if clock is None else told_us - clock.shift_us

    def shift_clock(self, step_us: int) -> None:
        """Go on after the gateway's own clock was set `step_us` later."""
        for key, clock in self._clocks.items():
            clocks.shift_gateway(clock, step_us, self._skew(key))
            clock.waiting = [
                Waiting(
                    one.topic,
                    one.message,
                    one.received_us + step_us,
                    one.newest_us,
                    one.reads,
                )
                for one in clock.waiting
            ]
            self._changed.add(key)

    def views(self) -> list[ClockView]:
        """Return how each clock is, by reader."""
        return [self._view(key, clock) for key, clock in sorted(self._clocks.items())]

    def encode_parts(self) -> dict[str, bytes]:
        """Return the memory of each clock that changed since the last call, by its name."""
        parts = {
            f"{PART}{key}": msgspec.msgpack.encode(self._clocks[key])
            for key in sorted(self._changed)
        }
        self._changed.clear()
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take back what `encode_parts` wrote."""
        for name, data in parts.items():
            key = name.removeprefix(PART)
            clock = self._clocks[key] = msgspec.msgpack.decode(data, type=Clock)
            if clock.waiting:
                self._waiting.add(key)

    def _skew(self, key: str) -> int:
        return self._skew_of(key.partition("\n")[0])

    def _find(self, key: str) -> Clock | None:
        """Return the clock of `key`, which is about to change; None past `CLOCKS_MAX`."""
        clock = self._clocks.get(key)
        if clock is None:
            if len(self._clocks) >= CLOCKS_MAX:
                return None
            clock = self._clocks[key] = Clock()
        self._changed.add(key)
        return clock

    def _take_same(self, message: Message, reads: Sequence[Read]) -> list[Batch]:
        """Take reads of one reader by one kind of clock."""
        first, at_us = reads[0], message.received_us
        if first.time_source is TimeSource.GATEWAY:
            heard = Heard(message=message.sha256, received_us=at_us, is_untimed=True)
            return [Batch(message.topic, reads, heard)]
        key = f"{message.topic}\n{first.source}"
        clock = self._find(key)
        if clock is None:
            heard = Heard(message=message.sha256, received_us=at_us, flags=clocks.UNSURE)
            return [Batch(message.topic, reads, heard)]
        newest_us = max([one.time_us for one in reads])
        verdict = clocks.judge(
            clock,
            at_us,
            newest_us,
            is_unset=first.time_source is TimeSource.UNSET,
            skew_us=self._skew(key),
        )
        if verdict == "wait":
            one = Waiting(message.topic, message.sha256, at_us, newest_us, list(reads))
            clock.waiting.append(one)
            self._waiting.add(key)
            if sum(len(each.reads) for each in clock.waiting) > clocks.WAITING_MAX:
                return self._release(key, clock, is_late=True)
            return []
        found = self._release(key, clock, is_late=verdict != "set") if clock.waiting else []
        flag = clocks.BACKFILL if verdict == "late" else 0
        heard = self._heard(clock, message.sha256, at_us, flag)
        return [*found, Batch(message.topic, reads, heard)]

    def _release(self, key: str, clock: Clock, is_late: bool | None) -> list[Batch]:  # noqa: FBT001  # None is a third case: nobody knows
        """Return what waited, as a backlog or by the clock as it was set."""
        waited = clock.waiting
        flag = clocks.BACKFILL if is_late else 0
        if is_late is None and not clocks.settle(
            clock, waited[-1].received_us, self._skew(key)
        ):
            flag = clocks.UNSURE
        clock.waiting = []
        self._waiting.discard(key)
        self._changed.add(key)
        heard = partial(self._heard, clock)
        return [
            Batch(
                one.topic, one.reads, heard(one.message, one.received_us, flag, one.newest_us)
            )
            for one in waited
        ]

    def _heard(
        self, clock: Clock, message: bytes, at_us: int, flag: int, newest_us: int | None = None
    ) -> Heard:
        error = clocks.error_us(clock, at_us)
        if flag == clocks.UNSURE and newest_us is not None:
            error += abs(newest_us - clock.shift_us - at_us)
        return Heard(
            message=message,
            received_us=at_us,
            shift_us=clock.shift_us,
            error_us=error,
            flags=flag | clocks.flags(clock, at_us),
            is_unset=clock.is_unset,
        )

    def _view(self, key: str, clock: Clock) -> ClockView:
        topic, _, source = key.partition("\n")
        return ClockView(
            topic=topic,
            source=source,
            offset_us=clock.base_us,
            shift_us=clock.shift_us,
            error_us=clocks.error_us(clock, clock.heard_us),
            drift_ppm=clocks.drift_ppm(clock),
            flags=clocks.flag_names(clocks.flags(clock, clock.heard_us)),
        )
