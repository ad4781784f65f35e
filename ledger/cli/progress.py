"""Shows how far an audit is, how fast it goes and how long it takes: always on stderr.

On a terminal a bar; elsewhere a plain line every few seconds, none before the first few.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_MOVES = 0.1


@contextmanager
def show_progress(total: int, what: str = "auditing") -> Iterator[Callable[[int], None]]:
    """Yield what is told the index of an entry that was audited, now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(total).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total, rate="")
        paced = _Paced(SECONDS_BETWEEN_MOVES)

        def advance(index: int) -> None:
            if paced.is_due(index):
                rate = f"{paced.rate(index):,.0f} entries/s"
                progress.update(task, completed=index + 1, rate=rate)

        yield advance


class _Paced:
    """Says when it is time again, and how fast it went from the first index on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = self._last = time.monotonic()
        self._first: int | None = None

    def is_due(self, index: int) -> bool:
        """Tell whether enough time has passed since it last was."""
        if self._first is None:
            self._first = index
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True

    def rate(self, index: int) -> float:
        """Return entries a second."""
        done = index - (self._first or 0) + 1
        return done / max(time.monotonic() - self._started, 1e-6)


class _Lines:
    """Progress as plain lines."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._paced = _Paced(SECONDS_BETWEEN_LINES)

    def advance(self, index: int) -> None:
        """Print a line if it is time."""
        if not self._paced.is_due(index):
            return
        rate = self._paced.rate(index)
        left = max(self._total - index - 1, 0) / rate
        typer.echo(
            f"audited {index + 1} of {self._total} entries, {rate:,.0f} a second, "
            f"{left:,.0f} s left",
            err=True,
        )
