"""Holds the answer of a bundle against its events, which must support all that it claims.

An answer is the JSON object of `ledger.provenance.document`, compact, with one more field
`rules`, the number of the rules by which it was worked out. It is asked as of an instant
(`as_of.time`), so that whoever works it out again does not need to know what time it was:

    {"epc": "https://id.gs1.org/01/09506000134352/21/7",
     "as_of": {"size": 412, "root": "5c1d…", "time": "2026-11-22T02:30:36Z"}, …, "rules": 1}

Every place of evidence that it names must be an event of the bundle. Then the engine works
the answer out again from those events alone, parts withheld, and the two are compared: a
claim that rests on a withheld part is found that way, too (check 14).

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any

from ledger.admitted import GapRow
from ledger.audit.finding import Finding
from ledger.epcis.event import format_time, parse_time_us
from ledger.errors import ParseError
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.provenance.listed import ListedSource
from ledger.provenance.source import KnownEvent

ANSWER_RULES = 3
"""Grows where the engine answers otherwise from the same events: an answer by other rules
cannot be judged, only its evidence can."""
ANSWER_BYTES_MAX = 8 * 1024 * 1024
SHOWN_BYTES_MAX = 4 * 1024 * 1024
"""How long an answer may be, and the events that it is worked out from, all of them together:
to work it out takes a hundred times as much memory."""
SHOWN_CHARACTERS_MAX = 200
DIFFERENCES_MAX = 10

_PLACES = frozenset({"entries", "evidence", "originals"})
_PLACE = frozenset({"opened_by", "closed_by", "declared_in"})
_MAKER = "Whoever made the bundle."
_ASK = "Rely on the events, not on the answer; `tagtrail trace` a ledger for one of your own."

ABSENT = "nothing"

Place = tuple[int, int]
"""The entry and the position of an event."""
Row = dict[str, Any]


class Asked:
    """What an answer was asked: the thing, the size of the log, its root, the instant."""

    __slots__ = ("at_us", "key", "root", "size")

    def __init__(self, key: str, *, size: int, root: str | None, at_us: int) -> None:
        """Ask about `key` as of `size` entries and the instant `at_us`."""
        self.key = key
        self.size = size
        self.root = root
        self.at_us = at_us


def work_out(
    events: Sequence[KnownEvent], asked: Asked, gaps: Sequence[GapRow] = ()
) -> Row | None:
    """Return the answer that `events` and gap statements support.

    None where none of the events is about the thing.
    """
    source = ListedSource(events, asked.size, gaps)
    answer = trace(
        source, asked.key, now_us=asked.at_us, at_us=asked.at_us, known_at=asked.size
    )
    if answer is None:
        return None
    root = None if asked.root is None else bytes.fromhex(asked.root)
    return dict(assemble_answer(answer, root=root)) | {"rules": ANSWER_RULES}


def encode_answer(answer: Row) -> bytes:
    """Return `answer` as the bytes that a bundle carries."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def parse_answer(data: bytes) -> Row:
    """Return the answer that `data` spells, or raise `ParseError`."""
    if len(data) > ANSWER_BYTES_MAX:
        raise ParseError("answer", f"is longer than {ANSWER_BYTES_MAX} bytes")
    try:
        answer = json.loads(data)
        spelled = isinstance(answer, dict) and encode_answer(answer) == data
    except (ValueError, RecursionError) as error:
        raise ParseError("answer", f"is no JSON: {error}") from error
    if not spelled:
        raise ParseError("answer", "is not a JSON object in its one spelling")
    return dict(answer)


def read_asked(answer: Row) -> Asked:
    """Return what `answer` says it was asked, or raise `ParseError`."""
    match answer:
        case {
            "epc": str(key),
            "as_of": {"size": int(size), "root": None | str() as root, "time": str(time)},
            "rules": int(rules),
        } if size >= 0 and rules > 0 and bool not in (type(size), type(rules)):
            at_us = parse_time_us(time, "answer as_of.time")
        case _:
            want = "epc, size and time, and by which rules it was worked out"
            raise ParseError("answer", f"does not say what it was asked: {want}")
    if format_time(at_us) != time:
        raise ParseError("answer as_of.time", f"{time[:60]!r} is not in its one spelling")
    return Asked(key, size=size, root=root, at_us=at_us)


def collect_places(answer: object) -> Iterator[Place]:
    """Yield every place of evidence that `answer` names."""
    pending = [answer]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
            yield from _places_of(value)


def collect_statements(answer: Row) -> set[int]:
    """Return the entries with the gap statements that `answer` names."""
    rows = answer.get("gaps")
    found = [row.get("stated_in") for row in rows if isinstance(row, dict)] if rows else []
    return {-1 if type(one) is not int else one for one in found if one is not None}


def _places_of(row: Row) -> Iterator[Place]:
    if "entry" in row and "position" in row:
        yield from _place([row["entry"], row["position"]])
    for name in _PLACE & row.keys():
        yield from _place(row[name])
    for name in _PLACES & row.keys():
        for one in row[name] if isinstance(row[name], list) else ():
            yield from _place(one)


def _place(value: object) -> Iterator[Place]:
    match value:
        case [int(index), int(position)]:
            yield index, position
        case None:
            pass
        case _:
            yield -1, -1  # No event has that place.


class AnswerAudit:
    """One answer, held against the events of its bundle.

    It is `compared` with what they give, unless it was worked out by `other_rules`, or is
    `too_long` for that.
    """

    def __init__(
        self,
        events: Sequence[KnownEvent],
        gaps: Sequence[GapRow] = (),
        *,
        size: int | None,
        root: str,
        shown_bytes: int,
    ) -> None:
        """Hold answers against `events` of a log with that checkpoint (None is unreadable).

        What is shown of them has `shown_bytes`; `gaps` are the bundle's gap statements.
        """
        self._gaps = gaps
        self._shown_bytes = shown_bytes
        self.too_long = False
        self._events = events
        self._size = size
        self._root = root
        self.compared = False
        self.other_rules = False

    def check(self, data: bytes) -> Iterator[Finding]:
        """Yield what the events do not support."""
        if len(data) > ANSWER_BYTES_MAX or self._shown_bytes > SHOWN_BYTES_MAX:
            self.too_long = True
            return
        try:
            answer = parse_answer(data)
            asked = read_asked(answer)
        except ParseError as error:
            yield Finding(
                check=1,
                index=None,
                field="answer",
                expected="a provenance answer in its one spelling",
                computed=str(error),
                what="The answer in the bundle does not parse.",
                who=_MAKER,
                todo=_ASK,
            )
            return
        yield from self._check_places(answer)
        yield from self._check_root(asked)
        self.compared = answer["rules"] == ANSWER_RULES
        self.other_rules = not self.compared
        if self.compared:
            yield from self._compare(answer, asked)

    def _check_places(self, answer: Row) -> Iterator[Finding]:
        shown = {(known.pin.index, known.pin.position) for known in self._events}
        for index, position in sorted(set(collect_places(answer)) - shown):
            yield _unsupported(
                index if index >= 0 else None,
                "answer",
                "an event of the bundle",
                f"event {position} of entry {index}" if index >= 0 else "no place of an event",
                "The answer claims what an event says that the bundle does not show.",
            )
        for index in sorted(collect_statements(answer) - {one.idx for one in self._gaps}):
            yield _unsupported(
                index if index >= 0 else None,
                "answer gaps",
                "a gap statement of the bundle",
                f"entry {index}" if index >= 0 else "no entry",
                "The answer claims what a gateway admits that the bundle does not show.",
            )

    def _check_root(self, asked: Asked) -> Iterator[Finding]:
        if self._size is None:
            return
        root = self._root if asked.size == self._size else None
        if asked.size > self._size or asked.root != root:
            yield _unsupported(
                None,
                "answer as_of",
                f"size {self._size} or less, and root {root}",
                f"size {asked.size}, root {asked.root}",
                "The answer claims to be of another log, or of a later one, than is proven.",
            )

    def _compare(self, answer: Row, asked: Asked) -> Iterator[Finding]:
        again = work_out(self._events, asked, self._gaps) or {}
        if encode_answer(again) == encode_answer(answer):
            return
        rebuilt = json.loads(encode_answer(again))
        found = list(islice(differences(rebuilt, answer), DIFFERENCES_MAX))
        for pointer, want, have in found or [("", "another spelling", "this one")]:
            yield _unsupported(
                None,
                f"answer {pointer}",
                _short(want),
                _short(have),
                "The answer claims something else than its events give when it is worked out "
                "again.",
            )


def differences(want: Row, have: Row) -> Iterator[tuple[str, object, object]]:
    """Yield the first difference of each member: its JSON pointer, and both values there."""
    for name in (*want, *(have.keys() - want.keys())):
        pair = want.get(name, ABSENT), have.get(name, ABSENT)
        if pair[0] != pair[1]:
            yield _first_difference(f"/{name}", *pair)


def _first_difference(pointer: str, want: Any, have: Any) -> tuple[str, object, object]:
    while True:
        if isinstance(want, dict) and isinstance(have, dict):
            names: Iterable[Any] = (*want, *(have.keys() - want.keys()))
            pairs = {name: (want.get(name, ABSENT), have.get(name, ABSENT)) for name in names}
        elif isinstance(want, list) and isinstance(have, list):
            pairs = dict(enumerate(zip_longest(want, have, fillvalue=ABSENT)))
        else:
            return pointer, want, have
        name = next(name for name, (a, b) in pairs.items() if a != b)
        want, have = pairs[name]
        pointer = f"{pointer}/{name}"


def _short(value: object) -> str:
    text = value if value == ABSENT else json.dumps(value, ensure_ascii=False)
    text = str(text)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "…"


def _unsupported(
    index: int | None, field: str, expected: str, computed: str, what: str
) -> Finding:
    return Finding(
        check=14,
        index=index,
        field=field,
        expected=expected,
        computed=computed,
        what=what,
        who=_MAKER,
        todo=_ASK,
    )
