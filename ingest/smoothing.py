"""From reads to passes: what went by a station in one go.

A gate hears a tag dozens of times, so single reads mean little. All reads of one station
that lie no further apart than its gap are one *pass*. A pass ends in one of four ways:

* a read of the station comes which is later than its last read by more than the gap;
* a tick finds that the gateway heard nothing for the station's idle time (only this way
  does the gateway's clock matter, and a tick is a message of the inbox like any other);
* it lasted for the longest time the plan allows, or holds `PASS_TAGS_MAX` tags;
* the station's line ends a batch, or the plan no longer has the station.

A read older than every open pass opens its own, so that a reader which sends its backlog
makes the passes it would have made in time. Tags read fewer times than the plan asks for are
strays: they are in the pass and in no event.

The state is changed in place; it depends on nothing but the reads and ticks in order.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.plan import Station
from ingest.reads import Read, TimeSource

OPEN_PASSES_MAX = 8
PASS_TAGS_MAX = 10_000


@dataclass(slots=True)
class Tag:
    """One tag within an open pass."""

    first_us: int
    last_us: int
    reads: int


@dataclass(slots=True)
class OpenPass:
    """A pass that may still grow. `messages` are the hashes of those it stands on."""

    first_us: int
    last_us: int
    received_us: int
    untimed: int = 0
    tags: dict[str, Tag] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A pass that ended: its tags in the order in which they were first read.

    `untimed` counts the reads whose time is that of receipt. `strays` were read too seldom.
    """

    first_us: int
    last_us: int
    tags: tuple[tuple[str, Tag], ...]
    strays: tuple[str, ...]
    untimed: int
    messages: tuple[bytes, ...]


def step(
    passes: list[OpenPass], station: Station, read: Read, *, message: bytes, received_us: int
) -> list[Pass]:
    """Take one read into the open `passes` of its station and return those that it ended."""
    at = read.time_us
    ended = _end_where(passes, station, lambda one: _is_over(one, station, at))
    current = next((one for one in passes if _is_near(one, station, at)), None)
    if current is None:
        if len(passes) >= OPEN_PASSES_MAX:
            oldest = min(passes, key=lambda one: one.first_us)
            ended += _end_where(passes, station, lambda one: one is oldest)
        current = OpenPass(first_us=at, last_us=at, received_us=received_us)
        passes.append(current)
    _add(current, read, message, received_us)
    return ended


def end_idle(passes: list[OpenPass], station: Station, now_us: int) -> list[Pass]:
    """End the passes that heard nothing since the station's idle time before `now_us`."""
    return _end_where(passes, station, lambda one: now_us - one.received_us >= station.idle_us)


def end_all(passes: list[OpenPass], station: Station) -> list[Pass]:
    """End every open pass."""
    return _end_where(passes, station, lambda _: True)


def idle_at(passes: list[OpenPass], station: Station) -> int | None:
    """Return when a tick would end the first of `passes`, None where none is open."""
    return min((one.received_us + station.idle_us for one in passes), default=None)


def _is_over(one: OpenPass, station: Station, at: int) -> bool:
    if at - one.last_us > station.gap_us:
        return True
    full = len(one.tags) >= PASS_TAGS_MAX
    return full or at - one.first_us > station.pass_us


def _is_near(one: OpenPass, station: Station, at: int) -> bool:
    near = one.first_us - station.gap_us <= at <= one.last_us + station.gap_us
    return near and one.last_us - at <= station.pass_us


def _add(current: OpenPass, read: Read, message: bytes, received_us: int) -> None:
    at = read.time_us
    current.first_us = min(current.first_us, at)
    current.last_us = max(current.last_us, at)
    current.received_us = max(current.received_us, received_us)
    current.untimed += read.time_source is TimeSource.GATEWAY
    tag = current.tags.get(read.epc)
    if tag is None:
        current.tags[read.epc] = Tag(first_us=at, last_us=at, reads=1)
    else:
        tag.first_us = min(tag.first_us, at)
        tag.last_us = max(tag.last_us, at)
        tag.reads += 1
    if not current.messages or current.messages[-1] != message:
        current.messages.append(message)


def _end_where(
    passes: list[OpenPass], station: Station, is_over: Callable[[OpenPass], bool]
) -> list[Pass]:
    over = [one for one in passes if is_over(one)]
    if not over:
        return []
    passes[:] = [one for one in passes if not any(one is other for other in over)]
    return [_close(one, station) for one in sorted(over, key=lambda one: one.first_us)]


def _close(one: OpenPass, station: Station) -> Pass:
    in_order = sorted(one.tags.items(), key=lambda item: (item[1].first_us, item[0]))
    kept = [item for item in in_order if item[1].reads >= station.min_reads]
    return Pass(
        first_us=one.first_us,
        last_us=one.last_us,
        tags=tuple(kept),
        strays=tuple(epc for epc, tag in in_order if tag.reads < station.min_reads),
        untimed=one.untimed,
        messages=tuple(dict.fromkeys(one.messages)),
    )
