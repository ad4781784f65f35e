"""Reads events for a walk: each batch once, within a budget, newest first.

An answer may read so many events (`Limits`). Where a batch holds more, its newest are read,
and what lies before them is left to another page of the answer: the *horizon* is the
instant from which on everything that was asked for has been read. What happened on or after
`top` was told on an earlier page. Of a history that is not read from its beginning, single
facts are looked up from either end; they move no horizon.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ledger.provenance.pool import Pool
from ledger.provenance.source import EventSource, Wanted
from ledger.provenance.span import FIRST, LAST, TIME_MAX_US, TIME_MIN_US, Moment, Span

EVENTS_LEAST = 32
"""How many events a batch may read when the budget is spent, so that each page has some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one answer may read before it is cut and says so, and which page it is."""

    events: int = 3_000
    levels: int = 1_000
    outputs: int = 1_000
    before_us: int | None = None
    """What happened from this instant on was told on an earlier page; None: the first page."""


@dataclass(slots=True)
class Reader:
    """The events that were read for one answer, and how far back they are complete."""

    source: EventSource
    before_entry: int | None = None
    limits: Limits = field(default_factory=Limits)
    pool: Pool = field(default_factory=Pool)
    horizon: Moment = FIRST
    spent: int = 0
    asked: set[Wanted] = field(default_factory=set)
    grouped: set[str] = field(default_factory=set)
    covered: dict[tuple[str, frozenset[str]], tuple[int, int]] = field(default_factory=dict)
    """From when to when all that names a key in these roles was read, in microseconds."""

    @property
    def top(self) -> Moment:
        """Return the last moment that this page may tell of."""
        if self.limits.before_us is None:
            return LAST
        return self.limits.before_us - 1, LAST[1], LAST[2]

    @property
    def is_partial(self) -> bool:
        """Tell whether something is left to another page, earlier or later."""
        return self.horizon != FIRST or self.limits.before_us is not None

    def page(self, span: Span) -> Span | None:
        """Return the part of `span` that this page tells of."""
        return span.meet(Span(self.horizon, self.top))

    def fetch(self, wanted: Iterable[Wanted]) -> None:
        """Read what was not read before, in one batch; what is too much moves the horizon."""
        new = self._uncovered(self._new(wanted))
        if not new:
            return
        least = min(EVENTS_LEAST, self.limits.events)
        limit = max(self.limits.events - self.spent, least)
        events = list(self.source.events_of(new, before_entry=self.before_entry, limit=limit))
        self.spent += len(events)
        if len(events) > limit:
            since_us = min(known.event.event_time_us for known in events)
            self.horizon = max(self.horizon, (since_us, b"", -1))
        self.pool.add(events)

    def look_up(self, wanted: Iterable[Wanted]) -> None:
        """Read single facts: every one of `wanted` names how many of them it needs."""
        new = self._new(wanted)
        if new:
            events = list(self.source.events_of(new, before_entry=self.before_entry))
            self.spent += len(events)
            self.pool.add(events)

    def fetch_groups(self, ids: Iterable[str]) -> None:
        """Read the events of these transformations."""
        new = sorted(set(ids) - self.grouped)
        if new:
            self.grouped.update(new)
            before = self.before_entry
            self.pool.add(self.source.events_of_transformations(new, before_entry=before))

    def _uncovered(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Return what of `wanted` was not read before, so that a loop reads nothing twice."""
        new: list[Wanted] = []
        for one in wanted:
            name = (one.key, one.roles)
            start = TIME_MIN_US if one.from_us is None else one.from_us
            end = TIME_MAX_US if one.to_us is None else one.to_us
            first, last = self.covered.get(name, (start, start - 1))
            if first <= start and end <= last:
                continue
            if first <= start <= last:
                new.append(replace(one, from_us=last))
                self.covered[name] = (first, end)
                continue
            new.append(one)
            if start <= first <= end:
                self.covered[name] = (start, max(last, end))
        return new

    def _new(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        new = []
        for one in wanted:
            before = len(self.asked)
            self.asked.add(one)
            if len(self.asked) > before:
                new.append(one)
        return new
