"""Workers: one run made by several processes, with the same bytes as by one.

Each process plays the whole story, which is cheap, and makes the messages of its share of
the stations, which is not. What they make is merged by its place in the run, so that the
order does not depend on who was faster; what they label is put together at the end.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection

from device_sim.play import Labels, Ordered, Performance
from device_sim.scenario import Scenario
from device_sim.world import Message

ITEMS_WORTH_IT = 20_000
WORKERS_MAX = 16
_CHUNK = 500
_LEAVE_S_MAX = 10.0


def worth(scenario: Scenario) -> int:
    """Return how many workers a run is worth: one, but for large ones."""
    if scenario.items < ITEMS_WORTH_IT:
        return 1
    return min(os.cpu_count() or 1, WORKERS_MAX)


def make_messages(show: Performance, workers: int) -> Iterator[Message]:
    """Yield the messages of `show` in order of time, made by so many processes."""
    if workers == 1:
        yield from show.messages()
        return
    with ExitStack() as stack:
        pipes = [stack.enter_context(_worker(show, n, workers)) for n in range(workers)]
        for ordered in merge(*(_receive(show, one) for one in pipes)):
            yield ordered[-1]


@contextmanager
def _worker(show: Performance, shard: int, shards: int) -> Iterator[Connection]:
    """Start a process that makes one shard; yield the end of the pipe to hear it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    args = (theirs, show.scenario, show.seed, show.origin, shard, shards)
    process = context.Process(target=_work, args=args, daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(_LEAVE_S_MAX)
        if process.is_alive():
            process.terminate()


def _work(pipe: Connection, *how: *tuple[Scenario, int, str, int, int]) -> None:
    scenario, seed, origin, shard, shards = how
    show = Performance(scenario, seed, origin)
    ordered = show.ordered(shard, shards)
    try:
        while chunk := list(islice(ordered, _CHUNK)):
            pipe.send(chunk)
        pipe.send(show.labels())
    except BrokenPipeError:
        return  # nobody wants the rest


def _receive(show: Performance, pipe: Connection) -> Iterator[Ordered]:
    """Yield what one worker makes; at its end take over what it labelled."""
    while True:
        said: list[Ordered] | Labels = pipe.recv()
        if isinstance(said, tuple):
            show.absorb(said)
            return
        yield from said
