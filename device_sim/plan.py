"""The capture plan of a scenario: what its stations mean, as TOML for the gateway.

A simulated company knows its own doors, so the simulator can write the capture plan that
its gateway needs. It is text from a template; nothing here knows the gateway's code. The
keys are those of docs/reference/plan.md.

Where goods leave (`depart`, `load`) no business location is written: from there on they
are nowhere until somebody receives them. Possession and ownership change hands at the
receiving read, so shipping states the intended hand-over and receiving completes it.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Sequence

from device_sim.loggers import GROUP
from device_sim.scenario import Scenario
from device_sim.sparkplug import NAMESPACE
from device_sim.world import Party, Role, Site, Station, Vehicle, World

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
        blocks.append(_station(station))
        blocks += [["[[station.emit]]", *emit] for emit in _emits(scenario, world, station)]
    blocks += [_sensor(one) for one in world.vehicles.values()]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _party(party: Party) -> list[str]:
    return [
        "[[party]]",
        _line("id", party.id),
        _line("name", party.title),
        _line("prefixes", [party.prefix]),
    ]


def _station(station: Station) -> list[str]:
    lines = [
        "[[station]]",
        _line("name", station.name),
        _line("party", station.site.party.id),
        _line("topics", [f"{station.topic}/#"]),
        _line("read_point", station.read_point),
    ]
    if station.does not in {"depart", "load"}:
        lines.append(_line("biz_location", station.site.sgln))
    return lines


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
    if station.does in {"depart", "intake", "load", "receive"}:
        yield from _moves(world, station)
        return
    plant = world.of_role("plant")[0].party.prefix
    item = f"urn:epc:idpat:sgtin:{plant}.{scenario.product.item}.*"
    case = f"urn:epc:idpat:sgtin:{plant}.{scenario.product.case}.*"
    pallets = _pallets(world, station)
    match station.does:
        case "fill":
            yield _transformation(item)
        case "case":
            yield _aggregation("ADD", "packing", [case], [item])
        case "palletise":
            yield _aggregation("ADD", "packing", pallets, [case])
        case "break":
            yield _aggregation("DELETE", "unpacking", pallets)
        case "open":
            yield _aggregation("DELETE", "unpacking", [case])
        case "sell":
            yield _object("retail_selling", "retail_sold", [item], [])
        case _:  # a line station: what it writes down says by itself what it means
            return


def _moves(world: World, station: Station) -> Iterable[list[str]]:
    """Yield the events where goods leave a site or come to one."""
    pallets = _pallets(world, station)
    match station.does:
        case "depart":
            yield _object("shipping", "in_transit", _assets(world, "tanker"), _from_to(station))
        case "intake":
            yield _object("receiving", "in_progress", _assets(world, "tanker"), _to(station))
        case "load":
            yield _aggregation("ADD", "loading", _assets(world, "trailer"), pallets)
            yield _object("shipping", "in_transit", pallets, _from_to(station))
        case "receive":
            yield _object("receiving", "in_progress", pallets, _to(station))
            yield _aggregation("DELETE", "unloading", _assets(world, "trailer"))
        case _:
            raise AssertionError("only stations that move goods come here")


def _pallets(world: World, station: Station) -> list[str]:
    """Return patterns of the pallets that a station sees: its own, or those it gets."""
    builds = station.does in {"palletise", "load"}
    role: Role = "plant" if station.site.role == "hub" and not builds else "hub"
    sites = [station.site] if builds else world.of_role(role)
    return [f"urn:epc:idpat:sscc:{one.party.prefix}.*" for one in sites]


def _assets(world: World, kind: str) -> list[str]:
    """Return a pattern for each asset type of one kind of vehicle."""
    types = {
        one.tag.epc.rpartition(".")[0].removeprefix("urn:epc:id:grai:"): None
        for one in world.vehicles.values()
        if one.kind == kind
    }
    return [f"urn:epc:idpat:grai:{one}.*" for one in types]


def _from_to(station: Station) -> list[str]:
    assert station.to is not None, "the scenario's check saw to it"
    return [_hands("source", station.site), _hands("destination", station.to)]


def _to(station: Station) -> list[str]:
    hands = [_hands("destination", station.site)]
    if station.origin is not None:
        hands.insert(0, _hands("source", station.origin))
    return hands


def _hands(key: str, site: Site) -> str:
    pairs = ", ".join(f'{{type = "{role}", id = "{site.party.id}"}}' for role in _ROLES)
    return f"{key} = [{pairs}]"


def _object(
    biz_step: str, disposition: str, epcs: Sequence[str], hands: Sequence[str]
) -> list[str]:
    return [
        'event = "object"',
        'action = "OBSERVE"',
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


def _transformation(outputs: str) -> list[str]:
    return [
        'event = "transformation"',
        _line("biz_step", "commissioning"),
        _line("disposition", "active"),
        _line("outputs", [outputs]),
    ]


def _line(key: str, value: object) -> str:
    """Return one TOML line; JSON spells strings and arrays of strings as TOML does."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
