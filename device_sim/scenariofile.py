"""Scenario files: TOML read whole, refused with line, key and what is allowed.

    [copies]
    store = 40                 # every table that says {store} somewhere is there 40 times

    [[site]]
    name = "store-{store}"     # store-1 to store-40; {store:05d} is written with five digits
    number = "{store}"         # alone it is a number

Checked are an unknown key, a value of another type or outside its bounds
(`device_sim.scenario`), a name that nothing has, a name that two things have, and a site
that lacks a door, a road or a vehicle for what it has to do. The first thing wrong is
raised as `ParseError`, whose `where` is `file:line key`.

Pure: no I/O, no clock, no randomness.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from device_sim.complaint import Path, explain, refused
from device_sim.scenario import COPIES_MAX, FAULT_KEYS, Scenario
from device_sim.shortfalls import shortcomings
from device_sim.world import parse_time
from ledger.errors import ParseError

Tree = dict[str, Any]


def parse_scenario(
    text: str, where: str = "scenario", changes: Mapping[str, int] | None = None
) -> Scenario:
    """Return the scenario written in `text`, or raise `ParseError` naming line and key.

    `changes` are numbers to put in before anything is checked, by dotted key.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParseError(where, f"is not TOML: {error}") from error
    for key, value in (changes or {}).items():
        _change(tree, key, value)
    origins = _copy_out(tree, text, where)

    def home(path: Path) -> Path:
        """Return where the table stands in the file that `path` names after copying."""
        match path:
            case (str() as table, int() as n, *rest) if table in origins:
                return (table, origins[table][n], *rest)
            case _:
                return path

    try:
        scenario = msgspec.convert(tree, Scenario)
    except msgspec.ValidationError as error:
        raise explain(error, Scenario, text, where, home) from error
    for path, why in _complaints(scenario):
        raise refused(home(path), why, text, where)
    return scenario


def _change(tree: Tree, key: str, value: int) -> None:
    *tables, last = key.split(".")
    inner: Any = tree
    for table in tables:
        inner = inner.get(table) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get(last), int | float):
        numbers = ", ".join(f"{one}=N" for one in _numbers(tree))
        raise ParseError("--set", f"{key!r} is no number of the scenario; there are: {numbers}")
    inner[last] = value


def _numbers(tree: Tree) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from (f"{key}.{one}" for one in _numbers(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield key


def _copy_out(tree: Tree, text: str, where: str) -> dict[str, list[int]]:
    """Put each table that names a copy in as often as `copies` says; return their origins."""
    copies = tree.get("copies", {})
    if not isinstance(copies, dict):
        return {}
    origins: dict[str, list[int]] = {}
    for table, entries in tree.items():
        if not isinstance(entries, list):
            continue
        out: list[object] = []
        origins[table] = []
        for n, entry in enumerate(entries):
            names = [name for name in copies if f"{{{name}" in str(entry)]
            made = [entry]
            for name in names:
                count = copies[name]
                if not isinstance(count, int) or not 1 <= count <= COPIES_MAX:
                    why = f"want a number from 1 to {COPIES_MAX}, not {count!r}"
                    raise refused(("copies", name), why, text, where)
                try:
                    made = [_fill(one, name, at) for one in made for at in range(1, count + 1)]
                except ValueError as error:
                    why = f"{{{name}:…}}: {error}; allowed: d, 05d, x, 02X and the like"
                    raise refused((table, n), why, text, where) from error
            out += made
            origins[table] += [n] * len(made)
        tree[table] = out
    return origins


def _fill(value: object, name: str, number: int) -> object:
    """Return `value` with the number of the copy written into every text in it."""
    match value:
        case str() if f"{{{name}" in value:
            before, _, rest = value.partition(f"{{{name}")
            form, _, after = rest.partition("}")
            written = format(number, form.removeprefix(":"))
            if value == f"{{{name}}}":
                return number
            return _fill(f"{before}{written}{after}", name, number)
        case dict():
            return {key: _fill(one, name, number) for key, one in value.items()}
        case list():
            return [_fill(one, name, number) for one in value]
        case _:
            return value


@dataclass(frozen=True, slots=True)
class _Reference:
    path: Path
    name: str | None
    among: tuple[str, ...]


def _complaints(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with a scenario whose values are all of the right shape."""
    try:
        parse_time(scenario.start)
    except ValueError as error:
        yield ("start",), f"{scenario.start!r}: {error}"
        return
    for one in _references(scenario):
        if one.name is not None and one.name not in one.among:
            allowed = ", ".join(one.among)
            yield one.path, f"{one.name!r} is not there; allowed: {allowed}"
    yield from _twins(scenario)
    yield from shortcomings(scenario)


def _references(scenario: Scenario) -> Iterator[_Reference]:
    """Yield each name that must be the name of something else."""
    parties = tuple(one.name for one in scenario.party)
    sites = tuple(one.name for one in scenario.site)
    plants = tuple(one.name for one in scenario.site if one.role == "plant")
    products = tuple(one.name for one in scenario.product)
    for n, product in enumerate(scenario.product):
        yield _Reference(("product", n, "made_at"), product.made_at, plants)
        for part in product.parts:
            yield _Reference(("product", n, "parts"), part, products[:n])
    for n, site in enumerate(scenario.site):
        yield _Reference(("site", n, "party"), site.party, parties)
    for n, station in enumerate(scenario.station):
        yield _Reference(("station", n, "name"), station.name.partition("/")[0], sites)
        yield _Reference(("station", n, "to"), station.to, sites)
        yield _Reference(("station", n, "origin"), station.origin, sites)
    for n, vehicle in enumerate(scenario.vehicle):
        yield _Reference(("vehicle", n, "party"), vehicle.party, parties)
    for n, route in enumerate(scenario.route):
        yield _Reference(("route", n, "origin"), route.origin, sites)
        yield _Reference(("route", n, "to"), route.to, sites)
        yield _Reference(("route", n, "owner"), route.owner, parties)
    sources = tuple(one.name for one in scenario.site if one.role == "source")
    tanks = tuple(one.name for one in scenario.site if one.role == "tank")
    for n, lot in enumerate(scenario.lot):
        yield _Reference(("lot", n, "origin"), lot.origin, sources)
        yield _Reference(("lot", n, "to"), lot.to, tanks)
    yield _Reference(("fate", "buyers"), scenario.fate.buyers, parties)
    yield from _fault_references(scenario)


def _fault_references(scenario: Scenario) -> Iterator[_Reference]:
    legs = tuple(f"{one.origin}/{one.to}" for one in scenario.route)
    stations = tuple(one.name for one in scenario.station)
    sites = tuple(one.name for one in scenario.site)
    among = {"leg": legs, "station": stations, "by": stations, "site": sites, "to": sites}
    for n, fault in enumerate(scenario.fault):
        for key in FAULT_KEYS[fault.kind]:
            yield _Reference(("fault", n, key), getattr(fault, key) or "", among[key])


def _twins(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    tables = {
        "product": [one.name for one in scenario.product],
        "party": [one.name for one in scenario.party],
        "site": [one.name for one in scenario.site],
        "station": [one.name for one in scenario.station],
        "vehicle": [one.name for one in scenario.vehicle],
    }
    for table, names in tables.items():
        seen: set[str] = set()
        for n, name in enumerate(names):
            if name in seen:
                yield (table, n, "name"), f"{name!r} is taken by an earlier {table}"
            seen.add(name)
