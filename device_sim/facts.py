"""Facts: the truth file read back, and indexed by what a claim can be compared with.

Identities are canonical keys (GS1 Digital Link strings), so that any spelling of an EPC in
an answer is compared with any spelling in the truth. Every site knows its read points: a
claim may name a door and mean the house.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from device_sim.spans import During
from device_sim.truth import FORMAT
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One pass of a station: what the station does, and when."""

    station: str
    does: str
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault as labelled; `things` are keys."""

    kind: str
    where: str
    from_us: int
    to_us: int
    things: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An item or a lot as it really was; `sites` name sites, `custody` is by role."""

    epc: str
    key: str
    made_us: int
    ended_us: int | None
    sales: tuple[int, ...]
    lots: frozenset[str]
    sites: tuple[During, ...]
    custody: Mapping[str, tuple[During, ...]]
    exposure: tuple[During, ...]


@dataclass(kw_only=True)
class Facts:
    """Everything that one truth file says."""

    scenario: str
    seed: int
    tolerance_us: int
    end_us: int
    items: dict[str, Thing] = field(default_factory=dict)
    lots: dict[str, Thing] = field(default_factory=dict)
    site_of: dict[str, str] = field(default_factory=dict)
    samples: dict[str, dict[int, float]] = field(default_factory=dict)
    inside: dict[str, list[During]] = field(default_factory=dict)
    missed: dict[str, list[Crossing]] = field(default_factory=dict)
    crossed: dict[str, list[Crossing]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @cached_property
    def asked(self) -> dict[str, Thing]:
        """What answers are asked about: items, and lots of which no item is made."""
        used = frozenset[str]().union(*(one.lots for one in self.items.values()))
        return self.items | {key: one for key, one in self.lots.items() if key not in used}

    def containers(self, key: str) -> list[During]:
        """Return everything that `key` was in, at any depth, each with the common span."""
        found: list[During] = []
        pending = [During(key, 0, None)]
        while pending:
            child = pending.pop()
            for one in self.inside.get(child.what, ()):
                both = child.common(one)
                if both is not None:
                    found.append(both)
                    pending.append(both)
        return found


def parse_truth(lines: Iterable[str], where: str = "truth") -> Facts:
    """Return the facts of a truth file, or raise `ParseError` naming the line."""
    facts: Facts | None = None
    for number, text in enumerate(lines, start=1):
        place = f"{where}:{number}"
        try:
            line = json.loads(text)
            if facts is None:
                facts = _open(line, place)
            else:
                _take(facts, line)
        except (ValueError, KeyError, TypeError) as error:
            raise ParseError(place, f"is no line of a truth file: {error!r}") from error
    if facts is None:
        raise ParseError(where, "is empty")
    return facts


def device_key(text: str) -> str:
    """Return the hexadecimal digits of a device's address, whatever it is wrapped in.

    `F4:1F:0C:30:00:01` and `urn:dev:mac:f41f0cfffe300001` (an EUI-64 made from it) and
    `urn:dev:mac:f41f0c300001` are one device.
    """
    digits = text.rpartition("mac:")[2].replace(":", "").replace("-", "").upper()
    if len(digits) == 16 and digits[6:10] in {"FFFE", "FFFF"}:  # noqa: PLR2004 - EUI-64
        return digits[:6] + digits[10:]
    return digits


def _open(line: Line, place: str) -> Facts:
    if line.get("format") != FORMAT:
        raise ParseError(place, f"want a first line of format {FORMAT!r}")
    return Facts(
        scenario=str(line["scenario"]), seed=int(line["seed"]),
        tolerance_us=int(line["tolerance_us"]), end_us=int(line["to"]),
    )  # fmt: skip


def _take(facts: Facts, line: Line) -> None:
    match line["kind"]:
        case "place":
            facts.site_of[canonical_key(line["sgln"])] = line["site"]
            facts.site_of |= {canonical_key(one): line["site"] for one in line["read_points"]}
        case "samples":
            series = facts.samples.setdefault(device_key(line["device"]), {})
            series.update({int(time_us): float(value) for time_us, value in line["values"]})
        case "containment":
            held = During(canonical_key(line["parent"]), line["from"], line["to"])
            facts.inside.setdefault(canonical_key(line["child"]), []).append(held)
        case "item":
            thing = _thing(facts, line, line["farm_lots"], line["ended_at"])
            facts.items[thing.key] = thing
        case "lot":
            thing = _thing(facts, line, [], line["used_up_at"])
            facts.lots[thing.key] = thing
        case "missed":
            facts.missed.setdefault(canonical_key(line["epc"]), []).append(_crossing(line))
        case "pass":
            crossing = _crossing(line)
            for epc in line["epcs"]:
                facts.crossed.setdefault(canonical_key(epc), []).append(crossing)
        case "fault":
            things = frozenset(map(canonical_key, line["things"]))
            facts.faults.append(
                Fault(
                    kind=line["fault"], where=line["where"], from_us=line["from"],
                    to_us=line["to"], things=things,
                )
            )  # fmt: skip
        case _:  # batches are for people; no claim is held against them
            return


def _crossing(line: Line) -> Crossing:
    return Crossing(line["station"], line["does"], line["from"], line["to"])


def _thing(facts: Facts, line: Line, lots: Sequence[str], ended_us: int | None) -> Thing:
    roles = dict.fromkeys(one["role"] for one in line["custody"])
    return Thing(
        epc=line["epc"],
        key=canonical_key(line["epc"]),
        made_us=line["made_at"],
        ended_us=ended_us,
        sales=tuple(line.get("sales", ())),
        lots=frozenset(map(canonical_key, lots)),
        sites=tuple(
            During(facts.site_of[canonical_key(one["place"])], one["from"], one["to"])
            for one in line["path"]
        ),
        custody={
            role: tuple(
                During(canonical_key(one["party"]), one["from"], one["to"])
                for one in line["custody"]
                if one["role"] == role
            )
            for role in roles
        },
        exposure=tuple(
            During(device_key(one["device"]), one["from"], one["to"])
            for one in line["exposure"]
        ),
    )
