"""The gateway with marks: where each of its threads is, in a file that a SIGKILL leaves behind.

    python -m tests.crash.marked_gateway MARKS [STAGE:N[:MICROSECONDS]] gateway run …

The program is the one that ships; only the hooks between its writes, and what lies between
them, say where they are. `STAGE:N` is a death that was ordered: at the N-th passing of the
stage, counted from when the broker's first messages are here, the process sends itself SIGKILL,
so many microseconds later where that is said, so that it falls into the write that follows.
"""

import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from runpy import run_module
from typing import Any

from ingest import delivery, loops, pipeline
from ingest.mqtt import Subscriber
from ingest.site import Site

THREADS = ("keeper", "processor", "courier")
# What a thread is about from this mark on, until its next one.
STAGES = {
    "start": "nothing yet",
    "before keep": "writing a group into the inbox",
    "after keep": "group durable, its PUBACKs not sent",
    "acknowledged": "PUBACKs sent",
    "decoding": "decoding a message",
    "before quarantine": "meaning worked out, nothing written",
    "after quarantine": "quarantine written, statements not",
    "sealing": "signing statements",
    "before commit": "committing statements and state",
    "after commit": "batch committed",
    "after tick": "tick kept",
    "before the ledger": "statements on their way to the ledger",
    "after the ledger": "ledger has them, outbox does not know",
    "settled": "outbox knows, receipts not fetched",
    "proving": "verifying a receipt",
    "receipts verified": "deleting statements that have receipts",
    "receipts stored": "receipts stored",
    "checkpoint seen": "checkpoint noted",
}
_NUMBERS = {name: n for n, name in enumerate(STAGES)}


def read_marks(path: Path) -> dict[str, str]:
    """Return where each thread was when the process died."""
    names = list(STAGES)
    data = path.read_bytes()
    return {thread: names[data[n]] for n, thread in enumerate(THREADS)}


class Marks:
    """The marks of one process, and the death that was ordered for it."""

    def __init__(self, path: Path, order: str) -> None:
        path.write_bytes(bytes(len(THREADS)))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), len(THREADS))
        stage, _, rest = order.partition(":")
        count, _, delay = rest.partition(":")
        self._stage, self._left = stage, int(count or 0)
        self._delay_s = int(delay or 0) / 1e6

    def at(self, thread: str) -> Callable[[str], None]:
        """Return what a thread calls at each of its stages."""
        return partial(self._pass, THREADS.index(thread))

    def _pass(self, thread: int, stage: str) -> None:
        self._memory[thread] = _NUMBERS[stage]
        if stage != self._stage or not self._memory[0]:
            return
        self._left -= 1
        if self._left:
            return
        if self._delay_s:
            threading.Thread(target=self._die_soon, daemon=True).start()
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    def _die_soon(self) -> None:
        time.sleep(self._delay_s)
        os.kill(os.getpid(), signal.SIGKILL)


def _marked(call: Callable[..., Any], before: partial[None] | None, after: Any = None) -> Any:
    """Return `call` with a mark before it and one after it."""

    @wraps(call)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            before()
        result = call(*arguments, **named)
        if after is not None:
            after()
        return result

    return wrapped


def mark(marks: Marks) -> None:
    """Hang the marks into the program."""
    keeper, processor, courier = (marks.at(one) for one in THREADS)
    loops.Keeper = partial(pipeline.Keeper, stage=keeper)  # type: ignore[assignment,misc]
    loops.Processor = partial(pipeline.Processor, stage=processor)  # type: ignore[assignment,misc]
    loops.Courier = partial(pipeline.Courier, stage=courier)  # type: ignore[assignment,misc]
    Subscriber.acknowledge = _marked(  # type: ignore[method-assign]
        Subscriber.acknowledge, None, partial(keeper, "acknowledged")
    )
    Site.take_message = _marked(  # type: ignore[method-assign]
        Site.take_message, partial(processor, "decoding")
    )
    pipeline.seal = _marked(pipeline.seal, partial(processor, "sealing"))
    delivery.fetch_receipt = _marked(delivery.fetch_receipt, partial(courier, "proving"))


def main() -> None:
    """Run `tagtrail` with the arguments that follow marks and order."""
    path, order = Path(sys.argv[1]), sys.argv[2]
    sys.argv = ["tagtrail", *sys.argv[3:]]
    mark(Marks(path, order))
    run_module("ledger.cli", run_name="__main__")


if __name__ == "__main__":
    main()
