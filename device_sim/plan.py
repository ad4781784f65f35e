"""The capture plan of a scenario: what its stations mean, as TOML for the gateway.

A simulated company knows its own doors, so the simulator can write the capture plan that
its gateway needs. It is text from a template; nothing here knows the gateway's code. The
keys are those of docs/reference/plan.md.

Where goods leave (`depart`, `load`) no business location is written: from there on they
are nowhere until somebody receives them. Possession and ownership change hands at the
receiving read, so shipping states the intended hand-over and receiving completes it; a
service is handed the possession, and the owner stays as it is.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Sequence

from device_sim.loggers import GROUP
from device_sim.scenario import ProductTable, Scenario
from device_sim.sparkplug import NAMESPACE
from device_sim.world import SECOND_US, Party, Site, Station, Vehicle, World

GAP_MS = 3_000
IDLE_S = 5
SAMPLES_PER_EVENT = 20
_ROLES = ("possessing_party", "owning_party")


def format_plan(scenario: Scenario, world: World) -> str:
    """Return the capture plan under which a perfect reader network would see everything."""
    blocks = [
        [
            'plan = "tagtrail/plan/v1"',
            _line("name", scenario.name),
            "",
            "[defaults]",
            f"gap_ms = {GAP_MS}",
            f"idle_s = {IDLE_S}",
            "min_reads = 1",
            'timezone = "+00:00"',
        ]
    ]
    blocks += [_party(one) for one in world.parties.values()]
    for station in world.stations.values():
        blocks.append(_station(scenario, station))
        blocks += [["[[station.emit]]", *emit] for emit in _emits(scenario, world, station)]
    blocks += [
        _reader(one) for one in world.stations.values() if one.numbered or one.heartbeat_us
    ]
    blocks += [_sensor(one) for one in world.vehicles.values()]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _party(party: Party) -> list[str]:
    return [
        "[[party]]",
        _line("id", party.id),
        _line("name", party.title),
        _line("prefixes", [party.prefix]),
    ]


def _station(scenario: Scenario, station: Station) -> list[str]:
    lines = [
        "[[station]]",
        _line("name", station.name),
        _line("party", station.site.party.id),
        _line("topics", [f"{station.topic}/#"]),
        _line("read_point", station.read_point),
    ]
    leaves = station.does == "sell" and scenario.fate.buyers is not None
    if station.does not in {"depart", "load", "despatch"} and not leaves:
        lines.append(_line("biz_location", station.site.sgln))
    return lines


def _reader(station: Station) -> list[str]:
    """Return what is expected of a reader, so that its silence and its losses show."""
    topics = [f"{station.topic}/reader"]  # what a line controller says is not its own
    lines = ["[[reader]]", _line("name", station.name), _line("topics", topics)]
    if station.heartbeat_us:
        lines.append(f"heartbeat_s = {station.heartbeat_us // SECOND_US}")
    return [*lines, "numbered = true"] if station.numbered else lines


def _sensor(vehicle: Vehicle) -> list[str]:
    return [
        "[[sensor]]",
        _line("device", vehicle.device),
        _line("topics", [_topics(vehicle)]),
        _line("party", vehicle.owner.id),
        _line("asset", vehicle.tag.epc),
        _line("biz_step", "sensor_reporting"),
        f"batch = {SAMPLES_PER_EVENT}",
    ]


def _topics(vehicle: Vehicle) -> str:
    if vehicle.probe == "sparkplug":
        return f"{NAMESPACE}/{GROUP}/+/{vehicle.name}/#"
    return f"{vehicle.topic}/#"


def _emits(scenario: Scenario, world: World, station: Station) -> Iterable[list[str]]:
    """Yield the events that one pass of a station makes, in their order."""
    if station.reader == "signed":
        return  # it says by itself what it means
    match station.does:
        case "depart" | "intake" | "load" | "receive":
            yield from _moves(world, station)
        case "fill" | "make" | "assemble" | "rework" | "case" | "palletise":
            yield from _makings(scenario, world, station)
        case "store":
            pallets = _pallets(_incoming(world, station.site))
            yield _object("storing", "sellable_not_accessible", pallets, [])
        case "break":
            pallets = _pallets(_incoming(world, station.site))
            yield _aggregation("DELETE", "unpacking", pallets)
        case "open":
            at_shop = station.site.role == "shop"
            opened = scenario.finals if at_shop else _parts_at(scenario, station.site)
            yield _aggregation("DELETE", "unpacking", _cases(world, opened))
        case "sell" | "return" | "recall" | "destroy":
            yield from _fates(scenario, world, station)
        case _:  # a line station: what it writes down says by itself what it means
            return


def _makings(scenario: Scenario, world: World, station: Station) -> Iterable[list[str]]:
    """Yield the events of what comes into being at a plant, and of what is packed."""
    site = station.site
    made = [one for one in scenario.product if one.made_at == site.name]
    match station.does:
        case "fill":
            yield _transformation(_items(world, [one for one in made if one.raw is not None]))
        case "make":
            items = _items(world, [one for one in made if one.making == "make"])
            yield _object("commissioning", "active", items, [], action="ADD")
        case "assemble":
            built = [one for one in made if one.parts]
            parts = [scenario.made(name) for one in built for name in one.parts]
            yield _object("commissioning", "active", _items(world, built), [], action="ADD")
            yield _aggregation("ADD", "assembling", _items(world, built), _items(world, parts))
        case "rework":
            repaired = [one for one in made if one in scenario.finals]
            yield _object("repairing", "in_progress", _items(world, repaired), [])
        case "case":
            yield _aggregation("ADD", "packing", _cases(world, made), _items(world, made))
        case _:
            units = _units(world, made if site.role == "plant" else scenario.finals)
            yield _aggregation("ADD", "packing", _pallets([site]), units)


def _fates(scenario: Scenario, world: World, station: Station) -> Iterable[list[str]]:
    """Yield the events of an item that leaves the chain, comes back, or is no more."""
    items, site = _items(world, scenario.finals), station.site
    buyer = None
    if scenario.fate.buyers is not None:
        buyer = world.parties[scenario.fate.buyers]
    match station.does:
        case "sell":
            hands = [] if buyer is None else _swap((site.party, world.owner(site)), buyer)
            yield _object("retail_selling", "retail_sold", items, hands)
        case "return":
            hands = [] if buyer is None else _swap((buyer, buyer), site.party)
            yield _object("receiving", "returned", items, hands)
        case "recall":
            yield _object("holding", "recalled", items, [])
        case _:
            yield _object("destroying", "destroyed", items, [], action="DELETE")


def _moves(world: World, station: Station) -> Iterable[list[str]]:
    """Yield the events where goods leave a site or come to one."""
    site = station.site
    match station.does:
        case "depart":
            tankers = _assets(world, "tanker")
            yield _object("shipping", "in_transit", tankers, _from_to(world, station))
        case "intake":
            tankers = _assets(world, "tanker")
            yield _object("receiving", "in_progress", tankers, _to(world, station, []))
        case "load":
            pallets = _pallets(world.builders(site))
            yield _aggregation("ADD", "loading", _assets(world, "trailer"), pallets)
            yield _object("shipping", "in_transit", pallets, _from_to(world, station))
        case "receive":
            origins = [station.origin] if station.origin else world.before(site)
            hands = _to(world, station, origins)
            pallets = _pallets(_incoming(world, site, origins))
            yield _object("receiving", "in_progress", pallets, hands)
            yield _aggregation("DELETE", "unloading", _assets(world, "trailer"))
        case _:
            raise AssertionError("only stations that move goods come here")


def _incoming(world: World, site: Site, origins: Sequence[Site] = ()) -> list[Site]:
    """Return the sites whose pallets come to `site`, from `origins` alone if there are any."""
    return [one for origin in origins or world.before(site) for one in world.builders(origin)]


def _parts_at(scenario: Scenario, plant: Site) -> list[ProductTable]:
    used = [one for one in scenario.product if one.made_at == plant.name]
    return [scenario.made(name) for one in used for name in one.parts]


def _pallets(builders: Iterable[Site]) -> list[str]:
    return _once(f"urn:epc:idpat:sscc:{one.party.prefix}.*" for one in builders)


def _items(world: World, products: Iterable[ProductTable]) -> list[str]:
    return _once(_sgtin(world, one, one.item) for one in products)


def _cases(world: World, products: Iterable[ProductTable]) -> list[str]:
    return _once(_sgtin(world, one, one.case) for one in products if one.case is not None)


def _units(world: World, products: Iterable[ProductTable]) -> list[str]:
    """Return patterns of what stands on pallets: cases, or items that have none."""
    return _once(_sgtin(world, one, one.case or one.item) for one in products)


def _sgtin(world: World, product: ProductTable, reference: str) -> str:
    prefix = world.sites[product.made_at].party.prefix
    return f"urn:epc:idpat:sgtin:{prefix}.{reference}.*"


def _assets(world: World, kind: str) -> list[str]:
    """Return a pattern for each asset type of one kind of vehicle."""
    types = (
        one.tag.epc.rpartition(".")[0].removeprefix("urn:epc:id:grai:")
        for one in world.vehicles.values()
        if one.kind == kind
    )
    return _once(f"urn:epc:idpat:grai:{one}.*" for one in types)


def _once(patterns: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(patterns))


def _from_to(world: World, station: Station) -> list[str]:
    """Return who hands over to whom where goods leave for a site."""
    assert station.to is not None, "the scenario's check saw to it"
    origin, to = station.site, station.to
    owner = world.owner(origin)
    receiver = world.new_owner(origin, to) or owner
    return [
        _parties("source", (origin.party, owner)), _parties("destination", (to.party, receiver))
    ]  # fmt: skip


def _to(world: World, station: Station, origins: Sequence[Site]) -> list[str]:
    """Return who hands over to whom where goods come in; as far as every origin agrees."""
    site, givers = station.site, None
    receivers = {world.new_owner(one, site) or world.owner(one) for one in origins}
    receiver = None if site.service else site.party
    if len(receivers) == 1:
        (receiver,) = receivers
    if len(origins) == 1:
        givers = (origins[0].party, world.owner(origins[0]))
    lines = [] if givers is None else [_parties("source", givers)]
    return [*lines, _parties("destination", (site.party, receiver))]


def _swap(givers: tuple[Party, Party | None], taker: Party) -> list[str]:
    return [_parties("source", givers), _parties("destination", (taker, taker))]


def _parties(key: str, holders: Sequence[Party | None]) -> str:
    """Return who possesses and who owns, as far as it is known."""
    pairs = ", ".join(
        f'{{type = "{role}", id = "{party.id}"}}'
        for role, party in zip(_ROLES, holders, strict=True)
        if party is not None
    )
    return f"{key} = [{pairs}]"


def _object(
    biz_step: str,
    disposition: str,
    epcs: Sequence[str],
    hands: Sequence[str],
    action: str = "OBSERVE",
) -> list[str]:
    return [
        'event = "object"',
        _line("action", action),
        _line("biz_step", biz_step),
        _line("disposition", disposition),
        _line("epcs", epcs),
        *hands,
    ]


def _aggregation(
    action: str, biz_step: str, parent: Sequence[str], children: Sequence[str] = ()
) -> list[str]:
    lines = [
        'event = "aggregation"',
        _line("action", action),
        _line("biz_step", biz_step),
        _line("parent", parent),
    ]
    return [*lines, _line("children", children)] if children else lines


def _transformation(outputs: Sequence[str]) -> list[str]:
    return [
        'event = "transformation"',
        _line("biz_step", "commissioning"),
        _line("disposition", "active"),
        _line("outputs", outputs),
    ]


def _line(key: str, value: object) -> str:
    """Return one TOML line; JSON spells strings and arrays of strings as TOML does."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
