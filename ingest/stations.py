"""One station over time: its open passes and its batches, fed by reads, lines and ticks.

A *batch* is what the line makes between `line.batch` start and end; the tags that come by
in that time, by the readers' clocks, are its outputs. An ended batch still waits for reads
on their way, until the station's gap has passed by the readers' clocks, its idle time by
the gateway's, or the next batch starts; what comes later opens it again (`ingest.batches`).

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ingest import cycles, smoothing
from ingest.batches import (
    Homeless,
    OpenBatch,
    OverBatch,
    add_output,
    adopt_homeless,
    batch_at,
    go_on,
    is_full,
    keep_homeless,
    keep_over,
    open_again,
)
from ingest.clocks import describe_clock
from ingest.cycles import Before
from ingest.directions import find_way
from ingest.drafts import Event, Ground, Outcome, Unresolved
from ingest.interpret import (
    BatchMade,
    Course,
    interpret_batch,
    interpret_emptied,
    interpret_lot,
    interpret_pass,
    match_any,
    packed_events,
    unresolved_pass,
)
from ingest.packing import PackState, pack
from ingest.plan import AggregationEmit, Station
from ingest.reads import (
    BatchEnded,
    BatchStarted,
    ContainerEmptied,
    LineMessage,
    LotMade,
    Message,
    Read,
)
from ingest.smoothing import Heard, OpenPass, Pass
from ingest.triggers import Windows, close_window, is_on, open_window


@dataclass(slots=True)
class StationState:
    """What a station remembers; `made` counts its drafts since ever, for the event ids.

    `windows` are the newest of its trigger, each from and until when; `before` is what its next
    pass is compared with.
    """

    passes: list[OpenPass] = field(default_factory=list)
    batches: list[OpenBatch] = field(default_factory=list)
    made: int = 0
    windows: Windows = field(default_factory=list)
    before: Before = field(default_factory=Before)
    over: list[OverBatch] = field(default_factory=list)
    homeless: list[Homeless] = field(default_factory=list)
    packing: PackState = field(default_factory=PackState)


@dataclass(frozen=True, slots=True)
class Cited:
    """What events of a station stand on, as in `drafts.Ground`."""

    messages: tuple[bytes, ...]
    untimed: int = 0
    clock: Mapping[str, object] | None = None


def take_reads(
    station: Station,
    state: StationState,
    reads: Sequence[Read],
    heard: Heard,
    outcome: Outcome,
) -> None:
    """Take the reads of one batch into the passes of their station."""
    if station.trigger is not None:
        within = [one for one in reads if is_on(state.windows, one.time_us - heard.shift_us)]
        outcome.counts["reads without a trigger"] += len(reads) - len(within)
        reads = within
    ended = smoothing.take_reads(state.passes, station, reads, heard)
    _end_passes(station, state, ended, outcome)
    if reads and state.batches:
        before_us = reads[-1].time_us - heard.shift_us - station.gap_us
        over = [
            one for one in state.batches if one.end_us is not None and one.end_us < before_us
        ]
        if over:
            _finish_batches(station, state, over, outcome)


def take_input(
    station: Station, state: StationState, *, is_high: bool, at_us: int, outcome: Outcome
) -> None:
    """Open or close the station's window as its trigger says; a new window is a new pass."""
    assert station.trigger is not None
    if is_high == station.trigger.is_high:
        _end_passes(station, state, smoothing.end_all(state.passes, station), outcome)
        open_window(state.windows, at_us, station.trigger.window_us)
    else:
        close_window(state.windows, at_us)


def take_line(
    station: Station,
    state: StationState,
    line: LineMessage,
    message: Message,
    outcome: Outcome,
) -> str | None:
    """Take what the station's line stated; return why it cannot be taken, if it cannot."""
    match line:
        case LotMade():
            _add(
                station, state, interpret_lot(station, line), Cited((message.sha256,)), outcome
            )
        case ContainerEmptied():
            _add(
                station,
                state,
                interpret_emptied(station, line),
                Cited((message.sha256,)),
                outcome,
            )
        case BatchStarted():
            return _start_batch(station, state, line, message, outcome)
        case BatchEnded():
            return _end_batch(state, line, message)
    return None


def take_tick(
    station: Station, state: StationState, now_us: int, *, everything: bool, outcome: Outcome
) -> bool:
    """End what was idle until `now_us`, or `everything`; return whether anything ended."""
    if everything:
        ended = smoothing.end_all(state.passes, station)
    else:
        ended = smoothing.end_idle(state.passes, station, now_us)
    _end_passes(station, state, ended, outcome)
    empty_us = cycles.due_us(state.before, station)
    if empty_us is not None and now_us >= empty_us and not (everything or state.passes):
        ended = [cycles.empty_pass(state.before, station)]
        state.before.received_us = now_us
        _end_passes(station, state, ended, outcome)
    over = [
        one
        for one in state.batches
        if one.end_us is not None
        and (everything or now_us - one.received_us >= station.idle_us)
    ]
    if over:
        _finish_batches(station, state, over, outcome)
    return bool(ended or over)


def next_tick_us(station: Station, state: StationState) -> int | None:
    """Return when a tick would first end something, None where nothing waits for one."""
    due = [one.received_us + station.idle_us for one in state.batches if one.end_us is not None]
    idle_us = smoothing.idle_at(state.passes, station)
    if idle_us is not None:
        due.append(idle_us)
    empty_us = cycles.due_us(state.before, station)
    if empty_us is not None and not state.passes:
        due.append(empty_us)
    return min(due, default=None)


def shift_clock(state: StationState, step_us: int) -> None:
    """Go on as if the gateway's clock had always been `step_us` later, for it was set."""
    state.before.received_us += step_us
    for one in state.passes:
        one.received_us += step_us
    for made in state.batches:
        made.received_us += step_us


def describe_open(place: str, state: StationState) -> list[Unresolved]:
    """Return what is open at a place that the plan no longer has, as unresolved."""
    why = "the plan no longer has this station, and the pass was open"
    found = [
        Unresolved(
            place=place,
            first_us=one.first_us,
            last_us=one.last_us,
            why=why,
            epcs=tuple(one.tags),
        )
        for one in state.passes
    ]
    why = "the plan no longer has this station, and the batch {} was open"
    return found + [
        Unresolved(
            place=place,
            first_us=one.start_us,
            last_us=one.end_us or one.start_us,
            why=why.format(one.batch),
            epcs=tuple(one.outputs),
        )
        for one in state.batches
    ]


def _end_passes(
    station: Station, state: StationState, ended: Iterable[Pass], outcome: Outcome
) -> None:
    for one in ended:
        outcome.counts["passes"] += 1
        _tell_strays(station, one, outcome)
        _give_outputs(station, state, one, outcome)
        way = None if station.direction is None else find_way(station.direction, one)[0]
        course = Course(way=way, before=frozenset(state.before.tags))
        events, unresolved = interpret_pass(station, one, course)
        outcome.unresolved += unresolved
        if station.compares or station.cycle_us:
            cycles.remember(state.before, one)
        if events:
            clock = describe_clock(one) if one.error_us else None
            cited = Cited(one.messages, untimed=one.untimed, clock=clock)
            _add(station, state, events, cited, outcome)
        _pack(station, state, one, outcome)


def _pack(station: Station, state: StationState, one: Pass, outcome: Outcome) -> None:
    """Make events of the cases that were packed in a pass, where the station packs so."""
    emit = next((e for e in station.emits if getattr(e, "packing", None) is not None), None)
    if not isinstance(emit, AggregationEmit) or emit.packing is None:
        return
    packed, wrong = pack(state.packing, emit, emit.packing, one)
    outcome.unresolved += [
        unresolved_pass(station, one, f"packing: {why}", epcs) for why, epcs in wrong.items()
    ]
    if packed:
        clock = describe_clock(one) if one.error_us else {}
        clock.pop("told", None)  # is of the last read of the pass; each case has its own time
        cited = Cited(one.messages, untimed=one.untimed, clock=clock or None)
        _add(station, state, packed_events(station, emit, packed), cited, outcome)


def _tell_strays(station: Station, one: Pass, outcome: Outcome) -> None:
    """Note the strays of a pass, with their reasons: they are in no event."""
    outcome.counts["stray tags"] += len(one.strays)
    by_reason: dict[str, list[str]] = {}
    for epc, why in one.strays:
        by_reason.setdefault(why, []).append(epc)
    outcome.unresolved += [
        unresolved_pass(station, one, f"strays: {why}", epcs) for why, epcs in by_reason.items()
    ]


def _add(
    station: Station,
    state: StationState,
    events: Iterable[Event],
    cited: Cited,
    outcome: Outcome,
) -> None:
    state.made += 1
    ground = Ground(
        party=station.party,
        place=f"station {station.name}",
        ordinal=state.made,
        messages=cited.messages,
        untimed=cited.untimed,
        clock=cited.clock,
    )
    outcome.add_events(events, ground)


def _start_batch(
    station: Station,
    state: StationState,
    line: BatchStarted,
    message: Message,
    outcome: Outcome,
) -> str | None:
    if station.transformation is None:
        return f"the station {station.name!r} has no transformation in the plan to emit"
    for one in state.batches:
        if one.end_us is None:
            one.end_us = max(line.time_us, one.start_us)
            why = f"the batch {one.batch} was never ended; it is taken to end with the next"
            outcome.unresolved.append(_odd(station, one, line.time_us, why))
    started = OpenBatch(
        batch=line.batch,
        transformation_id=line.transformation_id,
        inputs=line.inputs,
        lot=line.lot,
        start_us=line.time_us,
        received_us=message.received_us,
        messages=[message.sha256],
    )
    over = list(state.batches)
    state.batches.append(started)
    _finish_batches(station, state, over, outcome)
    return None


def _end_batch(state: StationState, line: BatchEnded, message: Message) -> str | None:
    for one in state.batches:
        if one.batch == line.batch and one.end_us is None:
            if line.time_us < one.start_us:
                return f"the batch {line.batch!r:.80} would end before it started"
            one.end_us = line.time_us
            one.received_us = message.received_us
            one.messages.append(message.sha256)
            return None
    return f"no batch {line.batch!r:.80} is open at this station"


def _give_outputs(station: Station, state: StationState, one: Pass, outcome: Outcome) -> None:
    """Add each output in the pass to the batch in whose time it was first read."""
    emit = station.transformation
    if emit is None:
        return
    wanted = set(match_any(emit.outputs, (epc for epc, _ in one.tags)))
    homeless: list[str] = []
    for epc, tag in one.tags:
        if epc not in wanted:
            continue
        batch = batch_at(state.batches, tag.first_us) or open_again(
            state.batches, state.over, tag.first_us, one.received_us
        )
        if batch is None:
            homeless.append(epc)
            keep_homeless(state.homeless, epc, tag.first_us, one.messages[-1])
            continue
        if not add_output(batch, epc, tag.first_us):
            continue  # a tag that stays gives its batch no more than it has
        if not batch.messages or batch.messages[-1] != one.messages[-1]:
            batch.messages += one.messages
            batch.untimed += one.untimed
    for batch in filter(is_full, state.batches):
        at_us = batch.end_us or max(batch.outputs.values(), default=batch.start_us)
        _tell_batch(station, state, batch, at_us, outcome)
        go_on(batch)
    if homeless:
        why = "no batch was open when these outputs came by"
        outcome.unresolved.append(unresolved_pass(station, one, why, homeless))


def _finish_batches(
    station: Station, state: StationState, over: Sequence[OpenBatch], outcome: Outcome
) -> None:
    """Make events of batches that are over; passes end first, for their tags are outputs."""
    _end_passes(station, state, smoothing.end_all(state.passes, station), outcome)
    state.batches[:] = [one for one in state.batches if all(one is not each for each in over)]
    for one in over:
        assert one.end_us is not None
        adopt_homeless(state.homeless, one)
        if not (one.outputs or one.again or one.given):
            why = f"the batch {one.batch} ended without an output that was read"
            outcome.unresolved.append(_odd(station, one, one.end_us, why))
        is_known = one.again or bool(one.given)
        is_told = bool(one.outputs) or (bool(one.transformation_id) and not is_known)
        keep_over(state.over, one, is_told=is_told or is_known)
        if is_told:
            _tell_batch(station, state, one, one.end_us, outcome)


def _tell_batch(
    station: Station, state: StationState, one: OpenBatch, at_us: int, outcome: Outcome
) -> None:
    """Make the event of a batch as it is at `at_us`."""
    made = BatchMade(
        batch=one.batch,
        transformation_id=one.transformation_id,
        inputs=one.inputs,
        lot=one.lot,
        start_us=one.start_us,
        end_us=at_us,
        outputs=tuple(one.outputs),
    )
    cited = Cited(tuple(dict.fromkeys(one.messages)), untimed=one.untimed)
    _add(station, state, interpret_batch(station, made), cited, outcome)


def _odd(station: Station, one: OpenBatch, until_us: int, why: str) -> Unresolved:
    return Unresolved(
        place=station.name, first_us=one.start_us, last_us=until_us, why=why, epcs=()
    )
