"""From reads to passes: what went by a station in one go.

A gate hears a tag dozens of times, so single reads mean little. All reads of one station
that lie no further apart than its gap are one *pass*, an event cycle in the words of GS1 ALE
1.1. A pass ends in one of four ways:

* a read of the station comes which is later than its last read by more than the gap;
* a tick finds that the gateway heard nothing for the station's idle time (only this way
  does the gateway's clock matter, and a tick is a message of the inbox like any other);
* it lasted for the longest time the plan allows, holds `PASS_TAGS_MAX` tags, or stands on
  `PASS_MESSAGES_MAX` messages;
* the station's line ends a batch, or the plan no longer has the station.

The gap adapts between the plan's bounds: where a tag is heard every `g` on average, a silence
of `g · ln(1/δ)` means with probability 1 - δ that it is gone (Jeffery, Garofalakis, Franklin:
Adaptive cleaning for RFID data streams, VLDB 2006), so that a gate which hears well tells two
pallets apart that follow closely.

A read older than every open pass opens its own, so that a reader which sends its backlog
makes the passes it would have made in time. Times are corrected by their batch's `Heard`.

Tags that the plan excludes are in no pass. Strays are in the pass and in no event, each with
its reason: heard too seldom, too weakly, or far less than the others of its pass.

The state is changed in place; it depends on nothing but the reads and ticks in order.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from statistics import median_low

from ingest.plan import Station
from ingest.reads import Read
from ledger.gs1.epc import matches_pattern

OPEN_PASSES_MAX = 8
PASS_TAGS_MAX = 10_000
PASS_MESSAGES_MAX = 50_000  # it cites each of them, and is written out with each commit
NOT_HEARD_CDBM = -100_000  # of a tag whose reads say no strength
_SURE = 14  # ln(1/δ) for δ = 10⁻⁶
_CACHE = 65_536


@dataclass(frozen=True, slots=True)
class Heard:
    """What is to be said of the reads of one batch: the message, and how their times stand.

    A corrected time is the told one less `shift_us`, and off by at most `error_us`; `flags` are
    those of `ingest.clocks`. Untimed reads have the time of receipt.
    """

    message: bytes
    received_us: int
    shift_us: int = 0
    error_us: int = 0
    flags: int = 0
    is_untimed: bool = False
    is_unset: bool = False


@dataclass(slots=True)
class Side:
    """One tag at one antenna: how often, and the sum of the times since its pass' origin."""

    reads: int
    sum_us: int


@dataclass(slots=True)
class Tag:
    """One tag within an open pass; `sides` by antenna, where the station wants directions."""

    first_us: int
    last_us: int
    reads: int
    rssi_cdbm: int = NOT_HEARD_CDBM
    sides: dict[int, Side] = field(default_factory=dict)


@dataclass(slots=True)
class OpenPass:
    """A pass that may still grow. `messages` are the hashes of those it stands on.

    `shift_us` and `ns` are of its newest read, `error_us` and `flags` of all. `silence_us` is
    the sum of the silences between two reads of one tag, of which there were `silences`.
    `origin_us` is the time of its first read as it came, from which `sides` count.
    """

    first_us: int
    last_us: int
    received_us: int
    untimed: int = 0
    tags: dict[str, Tag] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)
    shift_us: int = 0
    error_us: int = 0
    flags: int = 0
    ns: int = 0
    silence_us: int = 0
    silences: int = 0
    origin_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A pass that ended: its tags in the order in which they were first read.

    `untimed` counts the reads whose time is that of receipt. `strays` have their reasons. Of
    its clock it says what `OpenPass` does.
    """

    first_us: int
    last_us: int
    tags: tuple[tuple[str, Tag], ...]
    strays: tuple[tuple[str, str], ...]
    untimed: int
    messages: tuple[bytes, ...]
    shift_us: int = 0
    error_us: int = 0
    flags: int = 0
    ns: int = 0
    received_us: int = 0


def take_reads(
    passes: list[OpenPass], station: Station, reads: Sequence[Read], heard: Heard
) -> list[Pass]:
    """Take the reads of one batch into the open `passes`; return those that they ended."""
    if station.include or station.exclude:
        include, exclude = station.include, station.exclude
        reads = [one for one in reads if is_wanted(include, exclude, one.epc)]
    ended: list[Pass] = []
    n = 0
    while n < len(reads):
        at = reads[n].time_us - heard.shift_us
        ended += _end_where(passes, station, partial(_is_over, station=station, at=at))
        current = _pass_for(passes, station, at, heard.received_us, ended)
        _note(current, heard)
        n = _take_run(current, station, reads, n, heard, len(passes) == 1)
    return ended


@lru_cache(maxsize=_CACHE)
def is_wanted(include: tuple[str, ...], exclude: tuple[str, ...], epc: str) -> bool:
    """Return whether a tag is in the station's passes: included (none: all), not excluded."""
    if any(matches_pattern(one, epc) for one in exclude):
        return False
    return not include or any(matches_pattern(one, epc) for one in include)


def end_idle(passes: list[OpenPass], station: Station, now_us: int) -> list[Pass]:
    """End the passes that heard nothing since the station's idle time before `now_us`."""
    return _end_where(passes, station, lambda one: now_us - one.received_us >= station.idle_us)


def end_all(passes: list[OpenPass], station: Station) -> list[Pass]:
    """End every open pass."""
    return _end_where(passes, station, lambda _: True)


def idle_at(passes: list[OpenPass], station: Station) -> int | None:
    """Return when a tick would end the first of `passes`, None where none is open."""
    return min((one.received_us + station.idle_us for one in passes), default=None)


def gap_us(one: OpenPass, station: Station) -> int:
    """Return the silence that ends a pass now, between the plan's bounds."""
    if station.gap_least_us >= station.gap_us or not one.silences:
        return station.gap_us
    adapted = _SURE * one.silence_us // one.silences
    return max(station.gap_least_us, min(station.gap_us, adapted))


def _pass_for(
    passes: list[OpenPass], station: Station, at: int, received_us: int, ended: list[Pass]
) -> OpenPass:
    """Return the open pass that a read at `at` belongs to, a new one where there is none."""
    current = next((one for one in passes if _is_near(one, station, at)), None)
    if current is None:
        if len(passes) >= OPEN_PASSES_MAX:
            oldest = min(passes, key=lambda one: one.first_us)
            ended += _end_where(passes, station, lambda one: one is oldest)
        current = OpenPass(first_us=at, last_us=at, received_us=received_us, origin_us=at)
        passes.append(current)
    return current


def _is_over(one: OpenPass, *, station: Station, at: int) -> bool:
    if at - one.last_us > gap_us(one, station):
        return True
    full = len(one.tags) >= PASS_TAGS_MAX or len(one.messages) >= PASS_MESSAGES_MAX
    return full or at - one.first_us > station.pass_us


def _is_near(one: OpenPass, station: Station, at: int) -> bool:
    near = one.first_us - station.gap_us <= at <= one.last_us + gap_us(one, station)
    return near and one.last_us - at <= station.pass_us


def _note(current: OpenPass, heard: Heard) -> None:
    """Note what a pass stands on, and how the times of its reads stand."""
    current.received_us = max(current.received_us, heard.received_us)
    if not current.messages or current.messages[-1] != heard.message:
        current.messages.append(heard.message)
    current.shift_us = heard.shift_us
    current.error_us = max(current.error_us, heard.error_us)
    current.flags |= heard.flags


def _take_run(  # the loop of every read, in one piece for its speed
    current: OpenPass,
    station: Station,
    reads: Sequence[Read],
    start: int,
    heard: Heard,
    is_alone: bool,  # noqa: FBT001  # the sixth
) -> int:
    """Take the read number `start`, and those after it that plainly go on with the same pass.

    Returns the number of the first that may not; with another pass open (not `is_alone`) that
    is the next. The caller has made sure that the first belongs here.
    """
    tags, shift_us, has_sides = current.tags, heard.shift_us, station.direction is not None
    least_us, end = current.first_us, len(reads)
    most_us = least_us + station.pass_us
    for n in range(start, end):
        read = reads[n]
        at = read.time_us - shift_us
        if n > start and not (
            is_alone
            and least_us <= at <= most_us
            and at - current.last_us <= station.gap_least_us
        ):
            end = n
            break
        tag = tags.get(read.epc)
        if tag is None:
            if n > start and len(tags) >= PASS_TAGS_MAX:
                end = n
                break
            tag = tags[read.epc] = Tag(at, at, 0)
        elif at > tag.last_us:
            current.silence_us += at - tag.last_us
            current.silences += 1
            tag.last_us = at
        elif at < tag.first_us:
            tag.first_us = at
        tag.reads += read.seen
        if at >= current.last_us:
            current.last_us, current.ns = at, read.ns
        rssi = read.rssi_cdbm
        if rssi is not None and rssi > tag.rssi_cdbm:
            tag.rssi_cdbm = rssi
        if has_sides or read.since_us is not None or n == start:
            _add_rest(current, tag, read, at, station)
            least_us = current.first_us
    current.untimed += end - start if heard.is_untimed else 0
    return end


def _add_rest(current: OpenPass, tag: Tag, read: Read, at: int, station: Station) -> None:
    """Add to a pass what most reads need not be asked: its start, and the side of the read.

    A reader that sums up since longer than a pass may last says nothing of this pass.
    """
    since = at
    if read.since_us is not None and read.time_us - read.since_us <= station.pass_us:
        since = min(at, at - read.time_us + read.since_us)
        tag.first_us = min(tag.first_us, since)
    current.first_us = min(current.first_us, since)
    if station.direction is not None and read.antenna is not None:
        side = tag.sides.get(read.antenna)
        if side is None:
            side = tag.sides[read.antenna] = Side(0, 0)
        side.reads += read.seen
        side.sum_us += read.seen * (at - current.origin_us)


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
    strays = _find_strays(one, station)
    return Pass(
        first_us=one.first_us,
        last_us=one.last_us,
        tags=tuple(item for item in in_order if item[0] not in strays),
        strays=tuple((epc, strays[epc]) for epc, _ in in_order if epc in strays),
        untimed=one.untimed,
        messages=tuple(dict.fromkeys(one.messages)),
        shift_us=one.shift_us,
        error_us=one.error_us,
        flags=one.flags,
        ns=one.ns,
        received_us=one.received_us,
    )


def _find_strays(one: OpenPass, station: Station) -> dict[str, str]:
    """Return the tags that only passed by chance, each with its reason."""
    strays: dict[str, str] = {}
    if station.min_reads > 1:
        why = f"read fewer than {station.min_reads} times"
        strays |= {epc: why for epc, tag in one.tags.items() if tag.reads < station.min_reads}
    least = station.rssi_least_cdbm
    if least is not None:
        why = f"never heard as loud as {least / 100:g} dBm"
        for epc, tag in one.tags.items():
            if NOT_HEARD_CDBM < tag.rssi_cdbm < least:
                strays.setdefault(epc, why)
    if station.stray_percent and len(one.tags) > 1:
        usual = median_low([tag.reads for tag in one.tags.values()])
        why = f"read less than {station.stray_percent} % as often as the others of its pass"
        for epc, tag in one.tags.items():
            if 100 * tag.reads < station.stray_percent * usual:
                strays.setdefault(epc, why)
    return strays
