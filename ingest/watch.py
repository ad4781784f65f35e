"""What a gateway knows that it does not know: holes, drops, silence and what it could not read.

Each reader is watched by itself: the reader that the plan names for a topic, else the topic.
What is found missing becomes a *notice*, which the gateway signs into the ledger as a gap.

    0 event numbers   a number that did not come within the reader's grace, where the reader
                      has a boot counter or the plan says that it counts without holes
    1 reader drops    the reader's own count of what it lost grew
    2 silence         no message for two heartbeats: once when it shows, once when it ends
    3 quota           messages that this gateway refused, from its own `$quota` message
    4 quarantine      messages, or parts of them, that could not be taken

`from` and `to` are microseconds since the Unix epoch, between which something is missing;
`source` is the read point that is concerned, or what a sensor is about. A hole that a
late message fills before its grace is over is none; while a backlog fills it, its grace begins
anew with each message. A smaller event number without a boot counter is a new start only if
the next one follows it: a repeat does not open a hole. What comes after all, once it was told
of, is taken like anything that did not come before.

The state is changed in place and depends on nothing but messages and ticks, in order.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ingest.drafts import Notice
from ingest.plan import ReaderRule
from ingest.reads import Message, Vital

EVENT_NUMBERS, READER_DROPS, SILENCE, QUOTA, QUARANTINE = range(5)
HEARTBEATS_MISSED = 2
GRACE_US = 30_000_000
QUARANTINE_WINDOW_US = 10_000_000
HOLES_MAX = 64
COUNTERS_MAX = 256
BOOTS_MAX = 4  # of a reader, of which the numbers are remembered
TRUSTED_SKEW_US = 7 * 86_400_000_000
_WHY_CHARS = 300
_BOOT = "\n"  # between a reader's name and its boot

Sources = Iterable[tuple[str, str]]


@dataclass(slots=True)
class Hole:
    """Event numbers that have not come: between which instants, and since when by our clock."""

    first: int
    last: int
    from_us: int
    to_us: int
    seen_us: int


@dataclass(slots=True)
class Counter:
    """The event numbers of one reader since its boot; `next` is the one expected.

    `again` is the number that would follow a smaller one, if that was a new start. `told` are
    the numbers of holes that are in a notice. What is below `sure_from` may not have come.
    """

    next: int
    at_us: int
    boot: str | None = None
    again: int | None = None
    holes: list[Hole] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    sure_from: int = 0


@dataclass(slots=True)
class Refused:
    """Quarantined parts of messages that are in no notice yet."""

    from_us: int
    to_us: int
    count: int
    why: str


@dataclass(slots=True)
class WatchState:
    """What is remembered of one reader; times are by the gateway's clock.

    `silent_us` is until when silence is in a notice already, None while it is heard. `sensors`
    are the names of those in the plan that it was heard to speak for, on no topic of theirs.
    """

    heard_us: int
    topic: str = ""
    silent_us: int | None = None
    said: str | None = None
    counters: dict[str, Counter] = field(default_factory=dict)
    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: Refused | None = None
    sensors: list[str] = field(default_factory=list)


def take_message(
    name: str, state: WatchState, rule: ReaderRule | None, message: Message, sources: Sources
) -> list[Notice]:
    """Note that the reader was heard; what its silence left out until now is a gap."""
    found: list[Notice] = []
    at = message.received_us
    if rule is not None and rule.heartbeat_us and at >= state.heard_us:
        since = state.heard_us if state.silent_us is None else state.silent_us
        overdue = at - state.heard_us > HEARTBEATS_MISSED * rule.heartbeat_us
        if overdue or state.silent_us is not None:
            why = f"reader {name} was silent until it was heard again"
            found += _notices(sources, SILENCE, (since, at), None, why)
    state.silent_us = None
    if state.said == "offline":
        state.said = None  # who is heard is not away
    state.heard_us = max(state.heard_us, at)
    state.topic = message.topic
    return found


def take_vital(
    name: str,
    state: WatchState,
    vital: Vital,
    message: Message,
    sources: Sources,
    *,
    is_counted: bool,
) -> tuple[list[Notice], bool]:
    """Take what the reader says of itself; True where all of its event numbers came before.

    Only where they are counted without holes (`is_counted`) is a hole in them a loss.
    """
    found: list[Notice] = []
    if vital.state is not None:
        state.said = vital.state
    elif vital.is_heartbeat:
        state.said = "online"
    key = vital.reader or ""
    if vital.dropped is not None:
        found += _take_dropped(name, state, vital, message, sources)
    if vital.number is None or not is_counted:
        return found, False
    ended: list[Hole] = []
    if vital.boot is not None:
        key = f"{key}{_BOOT}{vital.boot}"
        ended = _forget_boots(state, key)
    if key not in state.counters and len(state.counters) >= COUNTERS_MAX:
        return found, False
    more, is_repeat = _take_number(state, key, vital, message)
    for hole in ended + more:
        found += _hole_notices(name, key, hole, sources)
    return found, is_repeat


def take_faults(state: WatchState, message: Message, faults: list[str]) -> None:
    """Note that parts of `message` could not be taken; they go into the next notice."""
    at, count = message.received_us, len(faults)
    if state.refused is None:
        state.refused = Refused(from_us=at, to_us=at, count=count, why=faults[0][:_WHY_CHARS])
        return
    state.refused.from_us = min(state.refused.from_us, at)
    state.refused.to_us = max(state.refused.to_us, at)
    state.refused.count += count


def settle(
    name: str, state: WatchState, rule: ReaderRule | None, now_us: int, sources: Sources
) -> list[Notice]:
    """Return what is missing for good at `now_us`, by the gateway's clock."""
    found: list[Notice] = []
    grace_us = GRACE_US if rule is None else rule.grace_us
    for key, counter in state.counters.items():
        over = [one for one in counter.holes if now_us - one.seen_us >= grace_us]
        counter.holes = [one for one in counter.holes if one not in over]
        for hole in over:
            _remember(counter, hole)
            found += _hole_notices(name, key, hole, sources)
    refused = state.refused
    if refused is not None and now_us - refused.from_us >= QUARANTINE_WINDOW_US:
        why = f"reader {name}: could not be taken: {refused.why}"
        span = (refused.from_us, refused.to_us)
        found += _notices(sources, QUARANTINE, span, refused.count, why)
        state.refused = None
    limit_us = 0 if rule is None else HEARTBEATS_MISSED * rule.heartbeat_us
    if limit_us and state.silent_us is None and now_us - state.heard_us > limit_us:
        why = f"reader {name}: no message for {(now_us - state.heard_us) // 1_000_000} s"
        found += _notices(sources, SILENCE, (state.heard_us, now_us), None, why)
        state.silent_us = now_us
    return found


def due_us(state: WatchState, rule: ReaderRule | None) -> int | None:
    """Return when `settle` would first find something, None where nothing is open."""
    grace_us = GRACE_US if rule is None else rule.grace_us
    due = [
        hole.seen_us + grace_us for counter in state.counters.values() for hole in counter.holes
    ]
    if state.refused is not None:
        due.append(state.refused.from_us + QUARANTINE_WINDOW_US)
    if rule is not None and rule.heartbeat_us and state.silent_us is None:
        due.append(state.heard_us + HEARTBEATS_MISSED * rule.heartbeat_us + 1)
    return min(due, default=None)


def shift_clock(state: WatchState, step_us: int) -> None:
    """Go on as if the gateway's clock had always been `step_us` later, for it was set."""
    state.heard_us += step_us
    if state.silent_us is not None:
        state.silent_us += step_us
    for counter in state.counters.values():
        for hole in counter.holes:
            hole.seen_us += step_us
    if state.refused is not None:
        state.refused.from_us += step_us
        state.refused.to_us = max(state.refused.to_us + step_us, state.refused.from_us)


def quota_notices(
    name: str, span: tuple[int, int], count: int, sources: Sources
) -> list[Notice]:
    """Return the notices of `count` messages that were refused for want of room."""
    why = f"reader {name}: the gateway's spool was full, {count} messages were refused"
    return _notices(sources, QUOTA, span, count, why)


def session_notices(span: tuple[int, int], sources: Sources) -> list[Notice]:
    """Return the notices of a broker that forgot the session and all that it held."""
    why = "the broker had forgotten this gateway's session, and what it held for it"
    return _notices(sources, SILENCE, span, None, why)


def _take_dropped(
    name: str, state: WatchState, vital: Vital, message: Message, sources: Sources
) -> list[Notice]:
    assert vital.dropped is not None
    key, at = vital.reader or "", message.received_us
    before = state.dropped.get(key)
    if before is None and len(state.dropped) >= COUNTERS_MAX:
        return []
    state.dropped[key] = (vital.dropped, at)
    if before is None:
        return []  # lost before this gateway listened
    lost = vital.dropped - before[0] if vital.dropped >= before[0] else vital.dropped
    if not lost:
        return []
    why = f"reader {name} says that it lost {lost} since it last said so {vital.why}".rstrip()
    return _notices(sources, READER_DROPS, (min(before[1], at), at), lost, why)


def _forget_boots(state: WatchState, key: str) -> list[Hole]:
    """Make room for the boot of `key`; return the holes of the oldest ones that it costs.

    What a reader kept before it started anew may come after it did, so that the counters of
    its last boots go on.
    """
    if key in state.counters:
        return []
    reader, _, _ = key.partition(_BOOT)
    kept = [one for one in state.counters if one.startswith(f"{reader}{_BOOT}")]
    ended: list[Hole] = []
    for one in kept[: max(len(kept) + 1 - BOOTS_MAX, 0)]:
        ended += state.counters.pop(one).holes
    return ended


def _take_number(
    state: WatchState, key: str, vital: Vital, message: Message
) -> tuple[list[Hole], bool]:
    """Return the holes that a new start leaves open for ever, and whether all came before."""
    assert vital.number is not None
    first, after = vital.number, vital.number + vital.count
    at = message.received_us
    told = vital.time_us
    known_us = at if told is None or abs(told - at) > TRUSTED_SKEW_US else min(told, at)
    counter = state.counters.get(key)
    if counter is None:
        state.counters[key] = Counter(next=after, at_us=at, boot=vital.boot, sure_from=first)
        return [], False
    ended: list[Hole] = []
    if first >= counter.next:
        if first > counter.next:
            lo, hi = min(counter.at_us, known_us), max(counter.at_us, at)
            counter.holes.append(Hole(counter.next, first - 1, lo, hi, at))
        counter.next, counter.at_us, counter.again = after, max(counter.at_us, at), None
    elif not _fill(counter, first, after, at) and not _came_after_all(counter, first, after):
        if vital.boot is not None:
            return [], after <= counter.next and first >= counter.sure_from
        if first > 1 and first != counter.again:
            counter.again = after
            return [], False
        ended, counter.holes, counter.told = counter.holes, [], []
        counter.next, counter.at_us, counter.again = after, at, None
        counter.sure_from = first
    while len(counter.holes) > HOLES_MAX:
        _remember(counter, counter.holes[0])
        ended.append(counter.holes.pop(0))
    return ended, False


def _remember(counter: Counter, hole: Hole) -> None:
    """Keep in mind what was told of as missing; it is no repeat if it comes after all."""
    counter.told.append((hole.first, hole.last))
    while len(counter.told) > HOLES_MAX:
        oldest = min(counter.told)
        counter.told.remove(oldest)
        counter.sure_from = max(counter.sure_from, oldest[1] + 1)


def _came_after_all(counter: Counter, first: int, after: int) -> bool:
    """Take the numbers out of those that were told of as missing; False if none of them is."""
    left: list[tuple[int, int]] = []
    for low, high in counter.told:
        if after <= low or first > high:
            left.append((low, high))
            continue
        left += [(low, first - 1)] if low < first else []
        left += [(after, high)] if high >= after else []
    is_found, counter.told = left != counter.told, left[-HOLES_MAX:]
    return is_found


def _fill(counter: Counter, first: int, after: int, at_us: int) -> bool:
    """Take the numbers from `first` to below `after` out of the holes; False if in none."""
    left: list[Hole] = []
    is_found = False
    for hole in counter.holes:
        if after <= hole.first or first > hole.last:
            left.append(hole)
            continue
        is_found = True
        span = (hole.from_us, hole.to_us, max(hole.seen_us, at_us))
        if hole.first < first:
            left.append(Hole(hole.first, first - 1, *span))
        if hole.last >= after:
            left.append(Hole(after, hole.last, *span))
    counter.holes = left
    return is_found


def _hole_notices(name: str, key: str, hole: Hole, sources: Sources) -> list[Notice]:
    reader, _, _ = key.partition(_BOOT)
    who = f"{name} ({reader})" if reader else name
    why = f"reader {who}: the event numbers {hole.first} to {hole.last} never came"
    span, count = (hole.from_us, hole.to_us), hole.last - hole.first + 1
    return _notices(sources, EVENT_NUMBERS, span, count, why)


def _notices(
    sources: Sources, what: int, span: tuple[int, int], count: int | None, why: str
) -> list[Notice]:
    return list(_each(sources, what, span, count, why))


def _each(
    sources: Sources, what: int, span: tuple[int, int], count: int | None, why: str
) -> Iterator[Notice]:
    start = max(min(span), 0)
    for party, source in sources:
        yield Notice(
            party=party,
            source=source,
            what=what,
            from_us=start,
            to_us=max(*span, start),
            count=count,
            why=why,
        )
