"""Holds the events without data against the notices of erasure, and the other way round (11).

An event without data needs a notice in a later entry by somebody who may erase it; one that
nobody gave is a finding. An event that is kept although somebody gave notice of its erasure
is one, too: the evidence holds, but what was to be destroyed is still there.

In memory are thirteen bytes for each event without data whose notice has not come yet, of
four million at most; what is left out beyond that is counted. Events that a notice names and
that were not seen to be erased are looked up once more at the end, when all rows are read.

Pure: no I/O, no clock, no randomness.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.audit.finding import Finding
from ledger.projection import event_row_id
from ledger.statement import Erasure, Statement

ERASED_MAX: Final = 4_000_000
NAMED_MAX: Final = 200_000

_ANYBODYS, _ITS_PARTYS = "privacy", "party"
_SETTLED_LEAST: Final = 4096

Source = tuple[str, bytes]
"""The issuer and the key of the statement that commits to an event."""

SourceOf = Callable[[int], Source | None]
"""Returns the source of the statement in an entry, or None if it cannot be known."""


class _Notice(NamedTuple):
    entry: int
    source: Source
    role: str


class Erasures:
    """What was erased and what was said to be, as the entries come along."""

    def __init__(self, *, erased_max: int = ERASED_MAX, named_max: int = NAMED_MAX) -> None:
        """Hold so many events without data, and so many that notices name, at most."""
        self._places = array("Q")
        self._sources = array("L")
        self._is_settled = bytearray()
        self._settled = 0
        self._numbers: dict[Source, int] = {}
        self._names: list[Source] = []
        self._named: dict[int, _Notice] = {}
        self._erased_max = erased_max
        self._named_max = named_max
        self.left_out = 0

    def take_erased(self, place: int, source: Source) -> None:
        """Note that the event with this row id, higher than any before, has no data."""
        if len(self._places) >= self._erased_max:
            self.left_out += 1
            return
        number = self._numbers.get(source)
        if number is None:
            number = self._numbers[source] = len(self._names)
            self._names.append(source)
        self._places.append(place)
        self._sources.append(number)
        self._is_settled.append(0)

    def take_notice(self, index: int, erasure: Erasure, by: Statement, role: str) -> None:
        """Note the notice in entry `index`; one without the right to erase changes nothing."""
        notice = _Notice(index, (by.iss, by.kid), role)
        for entry, position in erasure.positions:
            place = event_row_id(entry, position)
            at = bisect_left(self._places, place)
            if at == len(self._places) or self._places[at] != place or self._is_settled[at]:
                self._take_named(place, notice)
            elif _may_erase(notice, self._names[self._sources[at]]):
                self._is_settled[at] = 1
                self._settled += 1
        if self._settled > max(_SETTLED_LEAST, len(self._places) // 2):
            self._forget_settled()

    def unsettled(self) -> Iterator[tuple[int, Source]]:
        """Yield the row id and the source of each event whose notice has not come yet."""
        for at, place in enumerate(self._places):
            if not self._is_settled[at]:
                yield place, self._names[self._sources[at]]

    def resume(self, erased: Mapping[int, Source]) -> None:
        """Go on with events that had no notice yet."""
        for place, source in sorted(erased.items()):
            self.take_erased(place, source)

    @property
    def lowest_named(self) -> int | None:
        """The lowest entry of which a notice names an event that was not seen to be erased."""
        return min(self._named) >> 17 if self._named else None

    def check_named(
        self, rows: Iterable[Sequence[object]], source_of: SourceOf, *, signed_size: int
    ) -> Iterator[Finding]:
        """Yield the events that are kept although a notice of their erasure is logged.

        `rows` are those of `event` (idx, position, commitment, data) from `lowest_named` on.
        A notice that the newest checkpoint, of `signed_size`, does not cover yet is so new that
        the erasure may be under way: that is a remark.
        """
        for index, position, _, data in rows:
            if data is None or not isinstance(index, int) or not isinstance(position, int):
                continue
            if index < 0 or not 0 <= position < 1 << 17:
                continue
            notice = self._named.pop(event_row_id(index, position), None)
            if notice is None:
                continue
            source = source_of(index)
            if source is not None and _may_erase(notice, source):
                is_new = notice.entry >= signed_size
                yield _kept(index, position, notice.entry, is_new=is_new)

    def _take_named(self, place: int, notice: _Notice) -> None:
        if place in self._named or len(self._named) < self._named_max:
            self._named[place] = notice
        else:
            self.left_out += 1

    def _forget_settled(self) -> None:
        left = [at for at in range(len(self._places)) if not self._is_settled[at]]
        self._places = array("Q", (self._places[at] for at in left))
        self._sources = array("L", (self._sources[at] for at in left))
        self._is_settled = bytearray(len(left))
        self._settled = 0


def _may_erase(notice: _Notice, source: Source) -> bool:
    iss, kid = source
    if notice.role == _ANYBODYS:
        return True
    return notice.source[0] == iss and (notice.role == _ITS_PARTYS or notice.source[1] == kid)


def _kept(index: int, position: int, notice: int, *, is_new: bool) -> Finding:
    return Finding(
        check=11,
        index=index,
        field=f"event.data (position {position})",
        expected=f"no data, since entry {notice} gives notice of its erasure",
        computed="the event",
        what=f"Event {position} of entry {index} is kept, although entry {notice} says that it "
        "is erased.",
        who="The operator, who has not erased it, or put it back from an old copy.",
        todo="Ask the operator to erase it (a restart of the server does), and where else it "
        "is kept.",
        breach=True,
        remark=is_new,
    )
