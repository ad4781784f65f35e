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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from device_sim.complaint import Path, explain, refused
from device_sim.scenario import COPIES_MAX, FAULT_KEYS, FaultTable, Scenario, build_world
from device_sim.world import MEANINGS, Does, Role, Site, World, parse_time
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
                made = [_fill(one, name, at) for one in made for at in range(1, count + 1)]
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
    yield from _shortcomings(scenario)
    yield from _idle_faults(scenario)


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


def _shortcomings(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield what the chain needs and the file lacks."""
    world = build_world(scenario)
    yield from _missing_roads(scenario, world)
    yield from _unfit_signers(scenario)
    fate = scenario.fate
    if fate.returned and fate.buyers is None:
        yield ("fate", "buyers"), "is missing: what comes back was somebody's"
    if fate.returned and any(one.service for one in world.of_role("shop")):
        yield ("fate", "returned"), "nobody knows to whom a service would give it back"
    for site, does, to in _stations_needed(scenario, world):
        try:
            world.station(site, does, to)
        except LookupError:
            towards = f" to {to.name!r}" if to else ""
            yield ("station",), f"site {site.name!r} has no station that does {does!r}{towards}"
    kinds = ["trailer"]
    if scenario.lot or any(one.raw for one in scenario.product):
        kinds.append("tanker")
    for kind in kinds:
        if not any(one.kind == kind for one in scenario.vehicle):
            yield ("vehicle",), f"there is no vehicle of kind {kind!r}"


def _idle_faults(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield faults at a place where they cannot happen."""
    does = {one.name: one.does for one in scenario.station}
    readers = {one.name: one.reader for one in scenario.station}
    roles = {one.name: one.role for one in scenario.site}
    legs = {f"{one.origin}/{one.to}" for one in scenario.route}
    for n, fault in enumerate(scenario.fault):
        station = fault.station or ""
        if fault.kind in {"clone", "fakes", "tag_swap"} and does[station] != "sell":
            yield ("fault", n, "station"), f"{station!r} does not sell"
        elif "station" in FAULT_KEYS[fault.kind] and readers[station] == "none":
            yield ("fault", n, "station"), f"{station!r} has no reader"
        elif fault.kind == "stolen_key" and readers[station] != "signed":
            yield ("fault", n, "station"), f"{station!r} does not sign"
        elif fault.kind == "collusion":
            yield from _idle_collusion(("fault", n), fault, roles)
        elif fault.kind.endswith("_document") and roles[fault.site or ""] != "source":
            yield ("fault", n, "site"), f"{fault.site!r} is no source"
        elif fault.kind == "mass_imbalance" and roles[fault.site or ""] != "plant":
            yield ("fault", n, "site"), f"{fault.site!r} is no plant"
        elif fault.kind == "diversion":
            origin = (fault.leg or "").partition("/")[0]
            if f"{origin}/{fault.to}" not in legs or f"{origin}/{fault.to}" == fault.leg:
                yield ("fault", n, "to"), f"no other road leads from {origin!r} to {fault.to!r}"


def _idle_collusion(
    path: Path, fault: FaultTable, roles: Mapping[str, Role]
) -> Iterator[tuple[Path, str]]:
    for key, name in (("site", fault.site or ""), ("to", fault.to or "")):
        if roles[name] != "source":
            yield (*path, key), f"{name!r} is no source"
    if fault.site == fault.to:
        yield (*path, "to"), "a supplier cannot lend itself its name"


def _unfit_signers(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield stations that sign what such a device cannot tell by itself."""
    for n, one in enumerate(scenario.station):
        allowed = ", ".join((*MEANINGS, "despatch"))
        if one.reader == "signed" and one.does not in (*MEANINGS, "despatch"):
            yield ("station", n, "reader"), f"a device that signs cannot {one.does}: {allowed}"
        if one.does == "despatch" and one.reader != "signed":
            yield ("station", n, "reader"), "a desk that writes advice signs: want 'signed'"
        if one.reader == "signed" and one.does == "sell" and scenario.fate.buyers is not None:
            yield ("station", n, "reader"), "a device that signs names no buyers"


def _missing_roads(scenario: Scenario, world: World) -> Iterator[tuple[Path, str]]:
    """Yield the roads that are not there: to plants for lots and parts, onwards for goods."""
    wanted: tuple[Role, ...] = ("plant", "shop")
    for role in wanted:
        if not world.of_role(role):
            yield ("site",), f"want at least one site of role {role!r}"
            return
    roads = [(one.name, to.name) for one, to in world.roads]
    legs = [(lot.origin, lot.to) for lot in scenario.lot]
    legs += [
        (scenario.made(part).made_at, one.made_at)
        for one in scenario.product
        for part in one.parts
    ]
    for leg in legs:
        if leg not in roads:
            yield ("route",), f"there is no route from {leg[0]!r} to {leg[1]!r}"
    for product in scenario.product:
        if product.raw is not None and not list(
            sources_of(world, world.sites[product.made_at])
        ):
            yield ("route",), f"there is no route from a source to {product.made_at!r}"
    for site in world.sites.values():
        if site.role in {"hub", "shop"} and not world.before(site):
            yield ("route",), f"there is no route to {site.name!r} from a plant or a hub"
    for final in scenario.finals:
        yield from _dead_ends(world, world.sites[final.made_at], ())


def _dead_ends(world: World, site: Site, way: tuple[Site, ...]) -> Iterator[tuple[Path, str]]:
    if site in way:
        yield ("route",), f"goods go round in circles by way of {site.name!r}"
        return
    if site.role != "shop":
        onwards = world.after(site)
        if not onwards:
            yield ("route",), f"there is no route from {site.name!r} to a hub or a shop"
        for to in onwards:
            yield from _dead_ends(world, to, (*way, site))


def sources_of(world: World, plant: Site) -> Iterator[Site]:
    """Yield the sources that have a road to `plant`."""
    return (one for one, to in world.roads if to is plant and one.role == "source")


def _stations_needed(
    scenario: Scenario, world: World
) -> Iterable[tuple[Site, Does, Site | None]]:
    for product in scenario.product:
        plant = world.sites[product.made_at]
        if product.raw is not None:
            yield plant, "intake", None
            for source in sources_of(world, plant):
                yield source, "produce", None
                yield source, "depart", plant
        yield plant, product.making, None
        if product.case is not None:
            yield plant, "case", None
        yield plant, "palletise", None
        for user in (one for one in scenario.product if product.name in one.parts):
            to = world.sites[user.made_at]
            yield plant, "load", to
            yield to, "receive", None
            yield to, "break", None
            if product.case is not None:
                yield to, "open", None
    for lot in scenario.lot:
        source, tank = world.sites[lot.origin], world.sites[lot.to]
        yield source, "produce", None
        yield source, "depart", tank
        yield tank, "intake", None
    yield from _stations_of_fate(scenario, world)
    yield from _onward_stations(scenario, world)


def _onward_stations(
    scenario: Scenario, world: World
) -> Iterable[tuple[Site, Does, Site | None]]:
    cased = any(one.case is not None for one in scenario.finals)
    for site in world.sites.values():
        if site.role == "hub":
            yield site, "receive", None
            if world.splits(site):
                yield site, "break", None
                yield site, "palletise", None
        if site.role in {"plant", "hub"}:
            for to in world.after(site):
                yield site, "load", to
        if site.role == "shop":
            at_shop: tuple[Does, ...] = ("receive", "break", "sell")
            yield from ((site, does, None) for does in at_shop)
            if cased:
                yield site, "open", None


def _stations_of_fate(
    scenario: Scenario, world: World
) -> Iterable[tuple[Site, Does, Site | None]]:
    """Yield which sites need which stations for the fates of a scenario."""
    fate = scenario.fate
    if fate.reworked:
        yield from ((world.sites[one.made_at], "rework", None) for one in scenario.finals)
    for shop in world.of_role("shop"):
        if fate.returned:
            yield shop, "return", None
        if fate.recalled is not None:
            yield shop, "recall", None
        if fate.recalled is not None or (fate.returned and fate.destroyed):
            yield shop, "destroy", None
