"""A reader's clock against the gateway's: how far off it is, and when its times may be trusted.

Each message gives one pair: the newest instant in it by the reader's clock, and when the
gateway got it. Their difference is the reader's offset less the delay of the message. A delay
is never below zero, so that the largest differences of the last minutes (the envelope) tell the
offset, and how far the others lie below tells the delay.

An offset up to the plan's `skew_max_s` is left alone and only told as the error. Beyond it the
reader's times are corrected by it: `corrected = told - shift`. The shift follows a drift in
small steps and a step at once, so that the corrected times of a pass go on through both.

A difference that falls is ambiguous: the clock was set back, or the messages are old (a reader
that was offline sends its backlog). Such messages wait until it shows: a clock that was set
goes on at the very pace of the gateway's; a backlog comes faster than it was heard, or slower,
or a message of now comes in between. What never shows in `PATIENCE_US` is taken as told, with
the whole difference as its error. A clock before the year 2000 was never set: it counts from
a moment that only its messages tell, and is corrected from the first on.

The state is changed in place; it depends on nothing but the messages and ticks in order.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass, field
from typing import Literal

from ingest.reads import Read
from ingest.smoothing import Pass
from ledger.epcis.event import format_time

SKEW_US = 5_000_000
BUCKET_US = 300_000_000
SURE_US = 1_500_000
CLEAR_US = 2_000_000
PATIENCE_US = 3_000_000
UNSURE_US = 60_000_000
QUIET_US = 10_000_000
SLEW_US = 200_000
WAITING_MAX = 5_000
DRIFT_PPM_MAX = 1_000
BACKFILL, UNSET, UNSURE = 1, 2, 4
FLAGS = ((BACKFILL, "backfill"), (UNSET, "unset"), (UNSURE, "unsure"))

_DELAY_SHARE = 16
_JITTER_US = 50_000
_PACE_SHARE = 50  # a clock that was set keeps the gateway's pace within a fiftieth
_SAME_US = 10_000
_DRIFT_AFTER_US = 600_000_000
_LEAST_ERROR_US = 1_000

Verdict = Literal["now", "set", "late", "wait"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Reads of one message that wait for the verdict about their clock."""

    topic: str
    message: bytes
    received_us: int
    newest_us: int
    reads: list[Read]


@dataclass(slots=True)
class Clock:
    """What is known of one reader's clock; offsets are reader less gateway.

    `base_us` is the estimated offset, `shift_us` what is taken off its times. `anchor_us` is
    since when the difference is lower than it should be, between `low_us` and `high_us`.
    `grain_us` is the finest step of its times so far: a second, a millisecond or a microsecond.
    """

    base_us: int = 0
    shift_us: int = 0
    bucket: int = -1
    envelope_us: int = 0
    before_us: int | None = None
    delay_us: int = 0
    heard_us: int = 0
    start_us: int = 0
    start_base_us: int = 0
    is_unset: bool = False
    is_late: bool = False
    is_excused: bool = False
    unsure_until_us: int = 0
    unsure_by_us: int = 0
    anchor_us: int | None = None
    low_us: int = 0
    high_us: int = 0
    last_diff_us: int = 0
    grain_us: int = 1_000_000
    waiting: list[Waiting] = field(default_factory=list)


def judge(clock: Clock, at_us: int, told_us: int, *, is_unset: bool, skew_us: int) -> Verdict:
    """Take one pair of instants; return what the reads that come with it are.

    They are of "now", or "late"; with "set" the clock was set, for those that wait as well.
    With "wait" it will show with a later pair, or by `settle`.
    """
    diff = told_us - at_us
    if clock.grain_us > 1 and told_us % clock.grain_us:
        clock.grain_us = 1 if told_us % 1_000 else 1_000
    ahead = diff - clock.base_us
    if is_unset or clock.is_unset:
        if is_unset != clock.is_unset or abs(ahead) > skew_us or clock.bucket < 0:
            _adopt(clock, at_us, diff, skew_us)
            clock.unsure_until_us = 0
        else:
            _follow(clock, at_us, diff, skew_us)
        clock.is_unset = is_unset
        return "now"
    clock.last_diff_us = diff
    if ahead < -skew_us:
        return _fall(clock, at_us, diff, skew_us)
    clock.anchor_us = None
    clock.is_late = False
    if ahead > skew_us:
        _adopt(clock, at_us, diff, skew_us)
        if diff > skew_us:
            clock.unsure_until_us = 0  # nothing is read in the future: the clock is ahead
    else:
        _follow(clock, at_us, diff, skew_us)
    return "now"


def settle(clock: Clock, at_us: int, skew_us: int) -> bool:
    """Decide about what waits, with what is known; return whether its clock was set."""
    pairs = [(one.received_us, one.newest_us - one.received_us) for one in clock.waiting]
    span = pairs[-1][0] - pairs[0][0]
    spread = max(diff for _, diff in pairs) - min(diff for _, diff in pairs)
    least = 2 * _JITTER_US if len(pairs) > 2 else _SAME_US  # noqa: PLR2004  # three agree
    if span > 2 * _JITTER_US and spread <= least:
        _adopt(clock, at_us, clock.last_diff_us, skew_us)
        return True
    return False


def error_us(clock: Clock, at_us: int) -> int:
    """Return how far off a corrected time may be, in microseconds."""
    error = max(_LEAST_ERROR_US, clock.grain_us) + 2 * clock.delay_us
    if not clock.shift_us:
        error += abs(clock.base_us)
    else:
        error += abs(clock.base_us - clock.shift_us)
    return error + (clock.unsure_by_us if at_us < clock.unsure_until_us else 0)


def flags(clock: Clock, at_us: int) -> int:
    """Return what is to be said of times by this clock now."""
    unsure = UNSURE if at_us < clock.unsure_until_us or clock.is_excused else 0
    return unsure | (UNSET if clock.is_unset else 0)


def drift_ppm(clock: Clock) -> float | None:
    """Return how much faster it runs than the gateway's, None before ten minutes of it."""
    span = clock.heard_us - clock.start_us
    if span < _DRIFT_AFTER_US:
        return None
    ppm = (clock.base_us - clock.start_base_us) * 1_000_000 / span
    return max(-DRIFT_PPM_MAX, min(DRIFT_PPM_MAX, ppm))


def shift_gateway(clock: Clock, step_us: int, skew_us: int) -> None:
    """Go on after the gateway's own clock was set `step_us` later.

    Where both agree now, that mended the gateway's; where they agreed before, it may have
    broken it: the reader is believed, and each of its times says that nobody is sure.
    """
    agreed = abs(clock.base_us) <= skew_us
    clock.base_us -= step_us
    clock.envelope_us -= step_us
    clock.start_base_us -= step_us
    clock.before_us = None if clock.before_us is None else clock.before_us - step_us
    clock.heard_us += step_us
    clock.start_us += step_us
    clock.bucket = clock.heard_us // BUCKET_US
    if clock.anchor_us is not None:
        clock.anchor_us += step_us
        clock.low_us -= step_us
        clock.high_us -= step_us
    clock.is_excused = (agreed or clock.is_excused) and abs(clock.base_us) > skew_us
    if not clock.is_excused:
        clock.shift_us = _target(clock, skew_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How the time of something else than a pass stands; the same fields mean the same."""

    last_us: int
    shift_us: int
    error_us: int
    flags: int
    ns: int = 0


def describe_clock(one: Pass | Times) -> dict[str, object]:
    """Return what an event says of the clock that its time comes from."""
    said: dict[str, object] = {
        "offset_ms": round(one.shift_us / 1_000),
        "error_ms": -(-one.error_us // 1_000),
    }
    if one.flags:
        said["flags"] = list(flag_names(one.flags))
    if one.shift_us or one.ns:
        told = format_time(one.last_us + one.shift_us)
        if one.ns:
            micros = (one.last_us + one.shift_us) % 1_000_000
            told = f"{told[:19]}.{micros:06d}{one.ns:03d}Z"
        said["told"] = told
    return said


def flag_names(flags: int) -> tuple[str, ...]:
    """Return the words for flags, as the events say them."""
    return tuple(name for flag, name in FLAGS if flags & flag)


def _fall(clock: Clock, at_us: int, diff: int, skew_us: int) -> Verdict:
    """Judge a pair whose difference fell by more than the skew."""
    if clock.anchor_us is None:
        clock.anchor_us, clock.low_us, clock.high_us = at_us, diff, diff
        return "wait"
    clock.low_us, clock.high_us = min(clock.low_us, diff), max(clock.high_us, diff)
    spread, span = clock.high_us - clock.low_us, max(at_us - clock.anchor_us, 0)
    if span >= SURE_US and spread <= 2 * _JITTER_US + span // _PACE_SHARE:
        _adopt(clock, at_us, diff, skew_us)
        return "set"
    if spread > CLEAR_US:
        clock.anchor_us, clock.low_us, clock.high_us = at_us, diff, diff
        clock.is_late = True
    return "late" if clock.is_late else "wait"


def _adopt(clock: Clock, at_us: int, diff: int, skew_us: int) -> None:
    """Begin anew with the offset `diff`: the clock was set, or is heard for the first time."""
    clock.unsure_until_us = at_us + UNSURE_US
    clock.unsure_by_us = abs(diff - clock.base_us)
    clock.base_us = clock.envelope_us = clock.start_base_us = diff
    clock.before_us = None
    clock.bucket, clock.start_us, clock.heard_us = at_us // BUCKET_US, at_us, at_us
    clock.anchor_us = None
    clock.is_late = clock.is_excused = False
    clock.shift_us = _target(clock, skew_us)


def _follow(clock: Clock, at_us: int, diff: int, skew_us: int) -> None:
    """Take a pair that agrees with the estimate into the envelope."""
    bucket = at_us // BUCKET_US
    is_quiet = at_us - clock.heard_us > QUIET_US
    if clock.bucket < 0:
        clock.start_us, clock.start_base_us = at_us, diff
    if bucket != clock.bucket:
        clock.before_us = clock.envelope_us if bucket == clock.bucket + 1 else None
        clock.bucket, clock.envelope_us = bucket, diff
    elif diff > clock.envelope_us:
        clock.envelope_us = diff
    base = clock.envelope_us
    if clock.before_us is not None and clock.before_us > base:
        base = clock.before_us
    clock.base_us = base
    clock.delay_us += (base - diff - clock.delay_us) // _DELAY_SHARE
    clock.heard_us = max(at_us, clock.heard_us)
    clock.is_excused = clock.is_excused and abs(base) > skew_us
    off = _target(clock, skew_us) - clock.shift_us
    if off:
        clock.shift_us += off if is_quiet else max(-SLEW_US, min(SLEW_US, off))


def _target(clock: Clock, skew_us: int) -> int:
    """Return what is to be taken off the clock's times; a correction ends at half the skew."""
    if clock.is_excused:
        return clock.shift_us
    least = skew_us // 2 if clock.shift_us else skew_us
    return clock.base_us if abs(clock.base_us) > least else 0
