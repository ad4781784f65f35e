"""The network of a scenario as a drawing: sites, doors, roads, vehicles, fates, faults.

What differs in its numbers only is drawn once: two hundred stores are one branch.
"""

import re
from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.tree import Tree

from device_sim.scenario import RouteTable, Scenario, build_world
from device_sim.world import Role, Site, Station, Vehicle, World

_ROLES: tuple[Role, ...] = ("source", "plant", "hub", "shop", "tank")
_ALIKE_MIN = 3


def draw_network(scenario: Scenario) -> Tree:
    """Return the network of `scenario` as a tree, from the sources to the shops."""
    world = build_world(scenario)
    root = Tree(f"[bold]{scenario.name}[/bold]: {escape(scenario.title)}")
    root.add(f"{scenario.items} items in {scenario.day.batches} days from {scenario.start}")
    for product in scenario.product:
        made = f"from {', '.join(f'{n} {part}' for part, n in product.parts.items())}"
        of_lots = "from lots" if product.raw is not None else "made"
        what = made if product.parts else of_lots
        root.add(escape(f"{product.title!r}: {what} at {product.made_at}, {product.tag}"))
    for lot in scenario.lot:
        root.add(
            f"{lot.name}: a lot of {lot.kilograms:g} kg a day from {lot.origin} to {lot.to}"
        )
    for role in _ROLES:
        sites = [one for one in world.sites.values() if one.role == role]
        if sites:
            branch = root.add(role)
            for alike in _alike(sites, [_shape(scenario, world, one) for one in sites]):
                _draw_site(branch, scenario, world, alike)
    fleet = root.add("fleet")
    for line in _fold([_say_vehicle(one) for one in world.vehicles.values()]):
        fleet.add(escape(line))
    _draw_fate(root, scenario)
    faults = root.add("faults")
    faults.add(f"missed: {scenario.radio.missed:.2%} of labels per pass")
    for fault in scenario.fault:
        faults.add(f"{fault.kind}: {fault.leg or fault.station or fault.site}")
    return root


def _draw_site(branch: Tree, scenario: Scenario, world: World, alike: Sequence[Site]) -> None:
    """Draw the first of some sites that are alike, and say how many there are."""
    first, service = alike[0], ", owns nothing" if alike[0].service else ""
    title = f"[bold]{first.name}[/bold], {escape(first.party.title)}, {first.sgln}{service}"
    if len(alike) > 1:
        title += f" … [bold]{alike[-1].name}[/bold]: {len(alike)} alike"
    here = branch.add(title)
    for line in _fold(_doors(world, first)):
        here.add(escape(line))
    for line in _fold([_say_road(one) for one in scenario.route if one.origin == first.name]):
        here.add(escape(line))


def _draw_fate(root: Tree, scenario: Scenario) -> None:
    fate = scenario.fate
    said = [f"{scenario.day.sold:.0%} are sold"]
    if fate.reworked:
        said.append(f"{fate.reworked:.0%} are repaired before packing")
    if fate.returned:
        said.append(f"{fate.returned:.0%} of the sold come back; {fate.destroyed:.0%} of these")
        said[-1] += " are destroyed"
    if fate.recalled is not None:
        said.append(f"what day {fate.recalled} made is recalled {fate.recall_days} days later")
    branch = root.add("fate")
    for line in said:
        branch.add(line)


def _shape(scenario: Scenario, world: World, site: Site) -> tuple[str, ...]:
    roads = [_say_road(one) for one in scenario.route if one.origin == site.name]
    return tuple(map(_unnumbered, [site.name, *_doors(world, site), *roads]))


def _alike(sites: Sequence[Site], shapes: Sequence[tuple[str, ...]]) -> list[list[Site]]:
    """Return sites in groups of the same shape, in their order."""
    groups: dict[tuple[str, ...], list[Site]] = {}
    for site, shape in zip(sites, shapes, strict=True):
        groups.setdefault(shape, []).append(site)
    return list(groups.values())


def _fold(lines: Sequence[str]) -> Iterable[str]:
    """Yield lines; of those that differ in numbers only, the first and the last."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        groups.setdefault(_unnumbered(line), []).append(line)
    for alike in groups.values():
        if len(alike) < _ALIKE_MIN:
            yield from alike
        else:
            yield f"{alike[0]} … {alike[-1].partition(' (')[0]}: {len(alike)} alike"


def _unnumbered(text: str) -> str:
    return re.sub(r"[0-9]+", "#", text)


def _doors(world: World, site: Site) -> list[str]:
    return [_say(one) for one in world.doors.get(site.name, ())]


def _say_road(road: RouteTable) -> str:
    owner = f", owned by {road.owner}" if road.owner is not None else ""
    return f"road to {road.to}, {road.minutes[0]} to {road.minutes[1]} minutes{owner}"


def _say_vehicle(vehicle: Vehicle) -> str:
    return (
        f"{vehicle.kind} {vehicle.name} of {vehicle.owner.title}, {vehicle.tag.epc}, "
        f"logger by {vehicle.probe}"
    )


def _say(station: Station) -> str:
    match station.reader:
        case "none":
            heard = "line controller"
        case "signed":
            heard = "signs for itself"
        case _:
            many = "antennas" if station.antennas > 1 else "antenna"
            heard = f"{station.reader}, {station.antennas} {many}, {station.profile}"
    towards = f" to {station.to.name}" if station.to else ""
    origin = f" from {station.origin.name}" if station.origin else ""
    return f"{station.spot}: {station.does}{towards}{origin} ({heard})"
