"""Shortfalls: what the chain needs to be played and a scenario lacks, or cannot be.

Every value is of the right shape here and every name is the name of something: what is
looked at is whether there is a door, a reader, a road and a vehicle for all that has to be
done, and whether each fault is at a place where it can happen.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from device_sim.complaint import Path
from device_sim.heartbeats import SAYS_DROPS
from device_sim.readers import COUNTING
from device_sim.scenario import FAULT_KEYS, FaultTable, Scenario, build_world
from device_sim.world import MEANINGS, Does, ReaderModel, Role, Site, World

LATE_S_MAX = 30
"""How late a number may come before the gateway's plan takes it for lost."""


def shortcomings(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield what the chain needs and the scenario lacks, and faults that cannot happen."""
    world = build_world(scenario)
    yield from _missing_roads(scenario, world)
    yield from _unfit_readers(scenario)
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
    yield from _idle_faults(scenario)
    yield from _idle_losses(scenario)


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


def _idle_losses(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield faults that would leave gaps of which the truth could not tell."""
    stations = {one.name: one for one in scenario.station}
    for n, fault in enumerate(scenario.fault):
        station = stations.get(fault.station or "")
        if station is None:
            continue
        tells = station.heartbeat_s > 0 and station.reader in SAYS_DROPS
        if fault.kind == "stray" and station.numbered:
            why = "is numbered, and strays come in no order of its own passes"
            yield ("fault", n, "station"), f"{station.name!r} {why}"
        elif fault.kind == "reader_drops" and not tells:
            yield ("fault", n, "station"), f"{station.name!r} says nothing of what it drops"
        elif fault.kind == "out_of_order" and not 0 < fault.seconds < LATE_S_MAX:
            yield ("fault", n, "seconds"), f"want more than 0 and less than {LATE_S_MAX}"


def _idle_collusion(
    path: Path, fault: FaultTable, roles: Mapping[str, Role]
) -> Iterator[tuple[Path, str]]:
    for key, name in (("site", fault.site or ""), ("to", fault.to or "")):
        if roles[name] != "source":
            yield (*path, key), f"{name!r} is no source"
    if fault.site == fault.to:
        yield (*path, "to"), "a supplier cannot lend itself its name"


def _unfit_readers(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield stations without a reader, and those that sign what they cannot tell."""
    models = ", ".join(one for one in get_args(ReaderModel) if one != "none")
    for n, one in enumerate(scenario.station):
        if one.reader == "none" and one.does not in {"produce", "despatch"}:
            yield (
                ("station", n, "reader"),
                f"who does {one.does!r} has one: {models}",
            )
        allowed = ", ".join((*MEANINGS, "despatch"))
        if one.reader == "signed" and one.does not in (*MEANINGS, "despatch"):
            yield ("station", n, "reader"), f"a device that signs cannot {one.does}: {allowed}"
        if one.does == "despatch" and one.reader != "signed":
            yield ("station", n, "reader"), "a desk that writes advice signs: want 'signed'"
        if one.numbered and one.reader not in COUNTING:
            counting = ", ".join(sorted(COUNTING))
            yield ("station", n, "numbered"), f"{one.reader!r} counts nothing: {counting} do"
        if one.heartbeat_s and one.reader in {"signed", "none"}:
            yield ("station", n, "heartbeat_s"), f"{one.reader!r} sends no heartbeats"
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
            _sources_of(world, world.sites[product.made_at])
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


def _sources_of(world: World, plant: Site) -> Iterator[Site]:
    """Yield the sources that have a road to `plant`."""
    return (one for one, to in world.roads if to is plant and one.role == "source")


def _stations_needed(
    scenario: Scenario, world: World
) -> Iterable[tuple[Site, Does, Site | None]]:
    for product in scenario.product:
        plant = world.sites[product.made_at]
        if product.raw is not None:
            yield plant, "intake", None
            for source in _sources_of(world, plant):
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
