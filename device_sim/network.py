"""The network of a scenario as a drawing: sites, what their doors do, roads, faults."""

from rich.tree import Tree

from device_sim.scenario import Scenario, build_world
from device_sim.world import Site, Station, World


def draw_network(scenario: Scenario) -> Tree:
    """Return the network of `scenario` as a tree, from the sources to the shops."""
    world = build_world(scenario)
    root = Tree(f"[bold]{scenario.name}[/bold]: {scenario.title}")
    root.add(f"{scenario.items} items in {scenario.day.batches} days from {scenario.start}")
    for product in scenario.product:
        made = f"from {', '.join(f'{n} {part}' for part, n in product.parts.items())}"
        of_lots = "from lots" if product.raw is not None else "made"
        root.add(
            f"{product.title!r}: {made if product.parts else of_lots} at {product.made_at}"
        )
    for role in ("source", "plant", "hub", "shop"):
        branch = root.add(role)
        for site in (one for one in world.sites.values() if one.role == role):
            _draw_site(branch, scenario, world, site)
    fleet = root.add("fleet")
    for vehicle in world.vehicles.values():
        fleet.add(f"{vehicle.kind} {vehicle.name} of {vehicle.owner.title}, {vehicle.tag.epc}")
    faults = root.add("faults")
    faults.add(f"missed: {scenario.radio.missed:.2%} of labels per pass")
    for fault in scenario.fault:
        faults.add(f"{fault.kind}: {fault.leg or fault.station or fault.site}")
    return root


def _draw_site(branch: Tree, scenario: Scenario, world: World, site: Site) -> None:
    here = branch.add(f"[bold]{site.name}[/bold], {site.party.title}, {site.sgln}")
    for station in (one for one in world.stations.values() if one.site is site):
        here.add(_say(station))
    for road in (one for one in scenario.route if one.origin == site.name):
        here.add(f"road to {road.to}, {road.minutes[0]} to {road.minutes[1]} minutes")


def _say(station: Station) -> str:
    heard = (
        "line controller"
        if station.reader == "none"
        else f"{station.reader}, {station.antennas} antennas, {station.profile}"
    )
    towards = f" to {station.to.name}" if station.to else ""
    return f"{station.spot}: {station.does}{towards} ({heard})"
