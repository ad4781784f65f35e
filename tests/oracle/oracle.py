"""What the rules of provenance say, read slowly: no index, no batches, no cache, no engine.

It takes the events as plain JSON objects with canonical keys, each with the entry and the
position it has in the log, its issuer, and the rank of its document among events of one
instant, which the log decides and no rule. Every relation is replayed over all events, and
every way from the asked item to an event is walked, however many there are.

It shares no code with `ledger`: a mistake would have to be made twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

from tests.oracle.custody import hands, party, sold_twice

Key = str
Moment = tuple[int, bytes, int]
Raw = dict[str, Any]
Oddities = set[tuple[str, Moment]]
Way = tuple[str, str, tuple[str, ...]]
"""The thing that the event is told of, via, and the containers that lead from it."""

FIRST: Moment = (-(1 << 62), b"", -1)
LAST: Moment = ((1 << 62) - 1, b"\xff" * 40, 1 << 30)
DAY_US = 86_400_000_000
SSCC = "https://id.gs1.org/00/"
OWN = ("direct", "transformed", "lot")
KINDS = {"aggregation": "AggregationEvent", "association": "AssociationEvent"}


@cache
def instant(text: str) -> int:
    """Return the microseconds since the epoch, digits beyond the sixth cut off."""
    head, dot, tail = text.replace("Z", "+00:00").partition(".")
    if not dot:
        return _us(datetime.fromisoformat(head))
    digits = "".join(c for c in tail.split("+")[0].split("-")[0])
    zone = tail[len(digits) :]
    return _us(datetime.fromisoformat(head + zone)) + int(digits[:6].ljust(6, "0"))


def _us(moment: datetime) -> int:
    seconds = moment.timestamp()
    assert seconds == int(seconds)
    return int(seconds) * 1_000_000


@dataclass(frozen=True)
class Delivery:
    """One event as the log holds it."""

    raw: Raw
    entry: int
    position: int
    iss: str
    document: bytes
    grade: int = 2

    @property
    def pin(self) -> tuple[int, int]:
        return self.entry, self.position

    @cached_property
    def content(self) -> str:
        said = {
            k: v for k, v in self.raw.items() if k not in ("errorDeclaration", "recordTime")
        }
        said["eventTime"] = instant(self.raw["eventTime"])
        return repr(_sorted(said))

    @cached_property
    def alone(self) -> "Event":
        """The event as this delivery alone tells it."""
        return _event(self, [self])


def _sorted(value: Any) -> Any:
    """Order what has no order: the members of objects, and lists of identifiers."""
    if isinstance(value, dict):
        return sorted((k, _sorted(v)) for k, v in value.items())
    if isinstance(value, list):
        return sorted((_sorted(one) for one in value), key=repr)
    return value


@dataclass(frozen=True, eq=False)
class Event:
    """One node of the story: an event that nobody retracted, with all its deliveries."""

    raw: Raw
    at: Moment
    pins: tuple[tuple[int, int], ...]
    iss: str
    grade: int

    @property
    def type(self) -> str:
        return str(self.raw["type"])

    @property
    def action(self) -> str | None:
        return self.raw.get("action")

    @property
    def parent(self) -> Key | None:
        return self.raw.get("parentID")

    def keys_in(self, name: str) -> list[Key]:
        return list(self.raw.get(name, []))

    def classes(self, name: str) -> list[Key]:
        return [one["epcClass"] for one in self.raw.get(name, [])]

    def children(self) -> list[Key]:
        return self.keys_in("childEPCs") + self.classes("childQuantityList")

    def inputs(self) -> list[Key]:
        return self.keys_in("inputEPCList") + self.classes("inputQuantityList")

    def outputs(self) -> list[Key]:
        return self.keys_in("outputEPCList") + self.classes("outputQuantityList")

    @cached_property
    def things(self) -> frozenset[Key | None]:
        return frozenset(
            {
                *self.keys_in("epcList"),
                *self.classes("quantityList"),
                *self.children(),
                *self.inputs(),
                *self.outputs(),
                self.parent,
            }
        )

    def names(self, key: Key) -> bool:
        return key in self.things

    def commissions(self, key: Key) -> bool:
        named = key in self.keys_in("epcList") or key in self.classes("quantityList")
        return self.type == "ObjectEvent" and self.action == "ADD" and named

    def ends(self, key: Key) -> bool:
        step = self.raw.get("bizStep") in ("decommissioning", "destroying")
        own = self.type == "ObjectEvent" and key in self.keys_in("epcList")
        return own and (self.action == "DELETE" or step)

    def amount(self, name: str, key: Key) -> tuple[Decimal | None, str | None]:
        rows = [one for one in self.raw.get(name, []) if one["epcClass"] == key]
        if not rows or any("quantity" not in one for one in rows):
            return None, None
        if len({one.get("uom") for one in rows}) > 1:
            return None, None
        return sum((Decimal(str(one["quantity"])) for one in rows), Decimal(0)), rows[0].get(
            "uom"
        )


def _weigh(amount: Decimal | None, uom: str | None, unit: str | None) -> Decimal | None:
    """Return an amount in another unit; None where it cannot be compared."""
    grams = {"GRM": Decimal(1), "KGM": Decimal(1000), "MGM": Decimal("0.001")}
    if amount is None or uom == unit:
        return amount
    if uom not in grams or unit not in grams:
        return None
    return amount * grams[uom] / grams[unit]


@dataclass(frozen=True)
class Stay:
    """`child` was inside `parent` from `start` to `end`; `known` if the start is."""

    child: Key
    parent: Key
    kind: str
    start: Moment
    end: Moment
    known: bool = True


@dataclass
class Answer:
    """What the rules say about one item."""

    ways: dict[tuple[tuple[int, int], ...], set[Way]] = field(default_factory=dict)
    held: dict[tuple[Key, Key, str], list[tuple[Moment, Moment]]] = field(default_factory=dict)
    edges: set[tuple[Key, Key, str]] = field(default_factory=set)
    gaps: set[tuple[str, Key]] = field(default_factory=set)
    origins: set[Key] = field(default_factory=set)
    seen: set[Key] = field(default_factory=set)


class Oracle:
    """The rules over one log, as known when it had `size` entries, up to `at_us`."""

    def __init__(
        self,
        deliveries: Sequence[Delivery],
        *,
        size: int | None = None,
        at_us: int | None = None,
    ) -> None:
        shown = [one for one in deliveries if size is None or one.entry < size]
        self.everything = [one.alone for one in shown]
        self.events = sorted(
            (one for one in _nodes(shown) if at_us is None or one.at[0] <= at_us),
            key=lambda one: (one.at, one.iss, one.pins[0]),
        )
        self.end = LAST if at_us is None else (at_us, LAST[1], LAST[2])
        self._own: dict[Key, list[Event]] = {}
        self._lives: dict[tuple[Key, Moment], list[tuple[Moment, Moment]]] = {}
        self._packings: dict[str, list[Event]] = {}
        self._stays: dict[tuple[Key, str, Moment], tuple[list[Stay], Oddities]] = {}

    def knows(self, key: Key) -> bool:
        """Tell whether any entry, a retracted one too, names `key` as a thing."""
        return any(one.names(key) for one in self.everything)

    # --- One key -------------------------------------------------------------------------

    def own(self, key: Key) -> list[Event]:
        if key not in self._own:
            self._own[key] = [one for one in self.events if one.names(key)]
        return self._own[key]

    def is_class(self, key: Key) -> bool:
        instance = any(
            key in (*one.keys_in("epcList"), *one.keys_in("childEPCs"), one.parent)
            or key in (*one.keys_in("inputEPCList"), *one.keys_in("outputEPCList"))
            for one in self.everything
        )
        return not instance

    def lives(self, key: Key, until: Moment) -> list[tuple[Moment, Moment]]:
        """Return the lives of `key`; the same question is worked out once."""
        if (key, until) not in self._lives:
            self._lives[key, until] = self._live(key, until)
        return self._lives[key, until]

    def _live(self, key: Key, until: Moment) -> list[tuple[Moment, Moment]]:
        """Return from which moment to which the key is one and the same thing."""
        starts, used, last = [FIRST], False, None
        for one in self.own(key):
            if one.at > until:
                break
            born = one.commissions(key) and key in one.keys_in("epcList")
            silent = last is not None and key.startswith(SSCC)
            silent = silent and one.at[0] - last[0] > 365 * DAY_US  # type: ignore[index]
            if silent or (born and used):
                starts.append(one.at)
                used = False
            used = used or born or one.ends(key)
            last = one.at
        ends = [(t, d, n - 1) for t, d, n in starts[1:]] + [LAST]
        return list(zip(starts, ends, strict=True))

    def stays(self, key: Key, kind: str, until: Moment) -> tuple[list[Stay], Oddities]:
        """Return when `key` was in what; the same question is worked out once."""
        asked = (key, kind, until)
        if asked not in self._stays:
            self._stays[asked] = self._replay(*asked)
        return self._stays[asked]

    def packings(self, kind: str) -> list[Event]:
        if kind not in self._packings:
            named = [one for one in self.events if one.parent is not None]
            self._packings[kind] = [one for one in named if one.type == KINDS[kind]]
        return self._packings[kind]

    def _replay(  # noqa: C901, PLR0912 - one rule after the other, to be read beside the rules
        self, key: Key, kind: str, until: Moment
    ) -> tuple[list[Stay], Oddities]:
        """Replay all packings of one kind: when `key` was in what, and the oddities."""
        several = self.is_class(key)
        now: dict[Key, tuple[Moment, Decimal | None, str | None]] = {}
        done: list[Stay] = []
        odd: Oddities = set()
        ends = [end for _, end in self.lives(key, until)[:-1]]

        def close(parent: Key, at: Moment) -> None:
            if parent in now:
                done.append(Stay(key, parent, kind, now.pop(parent)[0], at))

        for one in self.packings(kind):
            if one.at > until:
                break
            while ends and ends[0] < one.at:
                for parent in list(now):
                    close(parent, ends[0])
                ends.pop(0)
            mine = key in one.children()
            if one.action == "DELETE" and not one.children():
                close(one.parent, one.at)
            elif one.action == "ADD" and mine and one.parent != key:
                amount, uom = one.amount("childQuantityList", key)
                if one.parent in now:
                    start, had, unit = now[one.parent]
                    amount = _weigh(amount, uom, unit)
                    total = None if had is None or amount is None else had + amount
                    now[one.parent] = (start, total, unit)
                else:
                    if not several:
                        odd |= {("implicit_unpack", one.at)} if now else set()
                        for parent in list(now):
                            close(parent, one.at)
                    now[one.parent] = (one.at, amount, uom)
            elif one.action == "DELETE" and mine:
                if one.parent not in now:
                    odd.add(("missing_add", one.at))
                    done.append(Stay(key, one.parent, kind, FIRST, one.at, known=False))
                    continue
                start, had, unit = now[one.parent]
                amount = _weigh(*one.amount("childQuantityList", key), unit)
                left = None if had is None or amount is None or not several else had - amount
                if left is not None and left > 0:
                    now[one.parent] = (start, left, unit)
                else:
                    close(one.parent, one.at)
        for end in ends:
            for parent in list(now):
                close(parent, end)
        for parent in list(now):
            close(parent, LAST)
        return done, odd

    # --- Making --------------------------------------------------------------------------

    def group(self, one: Event) -> list[Event]:
        """Return the events that are one transformation with `one`."""
        name = one.raw.get("transformationID")
        if name is None:
            return [one]
        same = [
            e
            for e in self.events
            if e.raw.get("transformationID") == name
            and e.iss == one.iss
            and e.type == "TransformationEvent"
        ]
        runs: list[list[Event]] = []
        for e in same:
            if runs and e.at[0] - runs[-1][0].at[0] <= 30 * DAY_US:
                runs[-1].append(e)
            else:
                runs.append([e])
        return next(run for run in runs if one in run)

    # --- Custody and doubts --------------------------------------------------------------

    def told(self, found: Answer, thing: Key, vias: Sequence[str]) -> list[Event]:
        """Return what is told of `thing` by one of these ways, in order."""
        pins = {
            pins
            for pins, ways in found.ways.items()
            if any(one == thing and via in vias for one, via, _ in ways)
        }
        return [one for one in self.events if one.pins in pins]

    def holders(self, found: Answer, key: Key) -> dict[str, Key | None]:
        """Return who has and who owns `key`, if no event contradicts another."""
        started = self.lives(key, self.end)[-1][0]
        events = [
            one for one in self.told(found, key, (*OWN, "contained")) if one.at >= started
        ]
        made = [one for one in events if one.commissions(key) or key in one.outputs()]
        witnessed = made and made[0].grade >= 2
        return hands(
            [(one.raw, party(one.iss)) for one in events], made[0].raw if witnessed else None
        )

    @cached_property
    def texts(self) -> list[str]:
        return [repr(_sorted(one.raw)) for one in self.events if "eventID" not in one.raw]

    def _doubt(self, found: Answer) -> None:
        """Note what the own events of each thing leave open."""
        for thing in found.seen:
            own = self.told(found, thing, OWN)
            born = [one.at for one in own if one.commissions(thing)]
            ended = [one for one in own if one.ends(thing)]
            if born and own[0].at < born[0]:
                found.gaps.add(("before_commissioning", thing))
            lives = self.lives(thing, own[-1].at) if own else []
            if any(
                a.at < b.at and a.raw != b.raw and start <= a.at and b.at <= end
                for start, end in lives
                for a in ended
                for b in own
            ):
                found.gaps.add(("after_decommissioning", thing))
            if any(
                any(sold_twice([one.raw for one in own if start <= one.at <= end], thing))
                for start, end in lives
            ):
                found.gaps.add(("sold_twice", thing))
            every = self.told(found, thing, (*OWN, "contained", "associated"))
            if any(self.texts.count(repr(_sorted(one.raw))) > 1 for one in every):
                found.gaps.add(("identical_events", thing))

    # --- The walk back -------------------------------------------------------------------

    def ask(self, key: Key) -> Answer:
        """Return everything that the rules say about `key`."""
        found = Answer()
        life = self.lives(key, self.end)[-1]
        if len(self.lives(key, self.end)) > 1:
            found.gaps.add(("reused_key", key))
        todo = [(key, "direct", (max(life[0], FIRST), self.end))]
        done = set()
        while todo:
            thing, via, span = todo.pop()
            if (thing, via, span) in done:
                continue
            done.add((thing, via, span))
            self._tell(found, thing, thing, via, (thing,), span)
            self._climb(found, thing, via, (thing,), span)
            todo += self._made_of(found, thing, span)
        found.gaps |= {("no_origin", thing) for thing in found.seen - found.origins}
        self._doubt(found)
        return found

    def _tell(
        self, found: Answer, thing: Key, key: Key, via: str, path: tuple[str, ...],
        span: tuple[Moment, Moment],
    ) -> None:  # fmt: skip
        for one in self.own(key):
            if span[0] <= one.at <= span[1]:
                found.ways.setdefault(one.pins, set()).add((thing, via, path))

    def _climb(
        self, found: Answer, thing: Key, via: str, path: tuple[str, ...],
        span: tuple[Moment, Moment],
    ) -> None:  # fmt: skip
        """Follow every chain of containers upwards, the interval cut at each step."""
        todo = [(thing, via, path, span)]
        while todo:
            key, via, path, span = todo.pop()
            for kind in KINDS:
                stays, odd = self.stays(key, kind, span[1])
                found.gaps |= {(k, thing) for k, at in odd if span[0] <= at <= span[1]}
                for stay in stays:
                    start, end = max(stay.start, span[0]), min(stay.end, span[1])
                    if start > end or not stay.known or stay.parent in path:
                        continue
                    lives = self.lives(stay.parent, end)
                    life = [one for one in lives if one[0] <= stay.start][-1]
                    cut = min(end, life[1])
                    if start > cut:
                        continue
                    way = "associated" if "associated" in (via, _via(kind)) else "contained"
                    longer = (*path, stay.parent)
                    inside = found.held.setdefault((thing, stay.parent, way), [])
                    inside.append((start, cut))
                    self._tell(found, thing, stay.parent, way, longer, (start, cut))
                    todo.append((stay.parent, way, longer, (start, cut)))

    def _made_of(
        self, found: Answer, thing: Key, span: tuple[Moment, Moment]
    ) -> Iterator[tuple[Key, str, tuple[Moment, Moment]]]:
        own = [one for one in self.own(thing) if span[0] <= one.at <= span[1]]
        makers = [one for one in own if thing in one.outputs()]
        for maker in makers:
            group = self.group(maker)
            for used in sorted({key for one in group for key in one.inputs()}):
                last = max(one.at for one in group if used in one.inputs())
                found.edges.add((thing, used, "transformed"))
                yield from self._input(found, used, "transformed", last)
        births = [one for one in own if one.commissions(thing)]
        found.origins |= {thing} if makers or births else set()
        found.seen |= {thing} if own else set()
        if not makers and "/21/" in thing:
            for birth in births:
                number = birth.raw.get("ilmd", {}).get("cbvmda:lotNumber")
                if number is not None:
                    lot = thing.partition("/21/")[0] + "/10/" + number
                    found.edges.add((thing, lot, "lot"))
                    yield from self._input(found, lot, "lot", birth.at)

    def _input(
        self, found: Answer, used: Key, via: str, last: Moment
    ) -> Iterator[tuple[Key, str, tuple[Moment, Moment]]]:
        bare = "/21/" not in used and "/10/" not in used and "/01/" in used
        if bare:
            return
        lives = self.lives(used, last)
        if len(lives) > 1:
            found.gaps.add(("reused_key", used))
        life = [one for one in lives if one[0] <= last][-1]
        yield used, via, (life[0], last)


def _via(kind: str) -> str:
    return "associated" if kind == "association" else "contained"


def _nodes(shown: Sequence[Delivery]) -> Iterator[Event]:
    """Yield the events of the story: duplicates as one, declared errors taken out."""
    same: dict[str, list[Delivery]] = {}
    for one in shown:
        same.setdefault(one.content, []).append(one)
    for those in same.values():
        if any("errorDeclaration" in one.raw for one in those):
            continue
        if "eventID" in those[0].raw:
            yield _event(min(those, key=lambda one: (-one.position, one.document)), those)
        else:
            yield from (one.alone for one in those)


def _event(best: Delivery, those: Sequence[Delivery]) -> Event:
    pins = tuple(sorted(one.pin for one in those))
    at = (instant(best.raw["eventTime"]), best.document, best.position)
    grade = max(one.grade for one in those)
    return Event(best.raw, at, pins, min(one.iss for one in those if one.grade == grade), grade)
