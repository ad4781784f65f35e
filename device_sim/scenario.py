"""Scenario files: a supply chain as TOML, parsed whole, refused with line, key and choices.

    scenario = "tagtrail/scenario/v1"
    name = "dairy"
    start = "2026-03-02T00:00:00Z"      # instants and clock times are UTC
    items = 300                         # serialised items to make; --set items=N changes it

    [[party]]
    name = "dairy"
    title = "Alm Dairy"
    prefix = "9506000"                  # GS1 company prefix, 7 to 10 digits

    [[station]]
    name = "dairy/filler"               # site/spot
    does = "fill"                       # what the chain does here
    reader = "zebra"                    # whose bytes it sends: impinj | zebra | none
    antennas = 1
    profile = "tunnel"                  # how tags are heard here: gate | tunnel | till

Every table and key is listed in docs/reference/scenarios.md and checked here: an unknown
key, a value of another type or outside its bounds, a name that nothing has. The first
thing wrong is raised as `ParseError`, whose `where` is `file:line key`.

Pure: no I/O, no clock, no randomness.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from device_sim.complaint import explain, refused
from device_sim.world import (
    Does,
    Material,
    Party,
    Probe,
    ProfileName,
    ReaderModel,
    Role,
    Site,
    Station,
    Vehicle,
    World,
    grai_tag,
    parse_time,
)
from ledger.errors import ParseError

FORMAT = "tagtrail/scenario/v1"
ITEMS_MAX = 1_000_000

_Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]*$", max_length=40)]
_Title = Annotated[str, Meta(min_length=1, max_length=80)]
_Prefix = Annotated[str, Meta(pattern="^[0-9]{7,10}$")]
_Digits = Annotated[str, Meta(pattern="^[0-9]{1,6}$")]
_Clock = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_Count = Annotated[int, Meta(ge=1, le=10_000)]
_Minutes = Annotated[int, Meta(ge=1, le=10_000)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Celsius = Annotated[float, Meta(ge=-60, le=85)]
_Mac = Annotated[str, Meta(pattern="^([0-9A-F]{2}:){5}[0-9A-F]{2}$")]


class PartyTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A company and its GS1 company prefix."""

    name: _Name
    title: _Title
    prefix: _Prefix


class SiteTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place of one party; `location` is the location reference of its SGLN."""

    name: _Name
    party: _Name
    role: Role
    location: _Digits


class StationTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A read point; `to` and `origin` name the sites its goods go to or come from."""

    name: Annotated[str, Meta(pattern="^[a-z0-9-]+/[a-z0-9-]+$", max_length=80)]
    does: Does
    reader: ReaderModel = "none"
    antennas: Annotated[int, Meta(ge=1, le=8)] = 1
    profile: ProfileName = "gate"
    to: _Name | None = None
    origin: _Name | None = None


class VehicleTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A returnable asset: GRAI asset type and serial, and the MAC and make of its logger."""

    name: _Name
    kind: Literal["tanker", "trailer"]
    party: _Name
    asset_type: _Digits
    serial: Annotated[int, Meta(ge=1, lt=1 << 38)]
    logger: _Mac
    probe: Probe = "ruuvi"


class RouteTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A road between two sites and the least and most minutes it takes."""

    origin: _Name
    to: _Name
    minutes: tuple[_Minutes, _Minutes]


class ProductTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is made: references of the raw lot, the item and the case, and how they nest.

    References are the indicator digit and item reference: 13 digits less the prefix.
    """

    item: _Digits
    case: _Digits
    raw: _Digits
    title: _Title
    material: Material = "carton"
    kilograms: Annotated[float, Meta(gt=0, le=1000)]
    items_per_case: tuple[_Count, _Count]
    cases_per_pallet: _Count
    pallets_per_trailer: Annotated[int, Meta(ge=1, le=16)]


class DayTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When things are done; `batches` is the number of production days."""

    batches: Annotated[int, Meta(ge=1, le=365)]
    collect: _Clock
    fill: _Clock
    dispatch: _Clock
    deliver: _Clock
    sale_days: Annotated[int, Meta(ge=1, le=60)]
    sold: _Share


class ClimateTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The cold chain as first-order system; time constants in minutes."""

    ambient: _Celsius
    setpoint: _Celsius
    cooling_minutes: _Minutes
    door_minutes: _Minutes
    warming_minutes: _Minutes
    sample_seconds: Annotated[int, Meta(ge=240, le=3600)]


class RadioTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often a label that crosses a station is not heard at all, the rest how often.

    `missed` holds for carton; other materials are worse (`device_sim.radio.DEAFNESS`).
    """

    missed: _Share
    missed_at_encoder: _Share
    reads: Annotated[float, Meta(gt=0, le=10)] = 1.0


class FaultTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fault to play; which keys it needs depends on its kind.

    excursion: `leg` (origin/to), `trip` (counted from 0 on that leg), `minutes`.
    duplicate_burst: `station`, `pass` (counted from 0), `messages`.
    """

    kind: Literal["excursion", "duplicate_burst"]
    leg: str | None = None
    trip: Annotated[int, Meta(ge=0)] = 0
    minutes: _Minutes = 60
    station: str | None = None
    number: Annotated[int, Meta(ge=0)] = msgspec.field(default=0, name="pass")
    messages: _Count = 10


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A parsed scenario file. `build_world` makes the entities that it names."""

    scenario: Literal["tagtrail/scenario/v1"]
    name: _Name
    title: _Title
    start: str
    items: Annotated[int, Meta(ge=1, le=ITEMS_MAX)]
    product: ProductTable
    day: DayTable
    climate: ClimateTable
    radio: RadioTable
    party: tuple[PartyTable, ...]
    site: tuple[SiteTable, ...]
    station: tuple[StationTable, ...]
    vehicle: tuple[VehicleTable, ...]
    route: tuple[RouteTable, ...]
    fault: tuple[FaultTable, ...] = ()

    @property
    def start_us(self) -> int:
        """The midnight at which the first day begins."""
        return parse_time(self.start)

    def road(self, origin: str, to: str) -> RouteTable:
        """Return the route between two sites; `parse_scenario` made sure that it is there."""
        return next(one for one in self.route if (one.origin, one.to) == (origin, to))


def parse_scenario(text: str, where: str = "scenario") -> Scenario:
    """Return the scenario written in `text`, or raise `ParseError` naming line and key."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParseError(where, f"is not TOML: {error}") from error
    try:
        scenario = msgspec.convert(tree, Scenario)
    except msgspec.ValidationError as error:
        raise explain(error, Scenario, text, where) from error
    _check_references(scenario, text, where)
    return scenario


def build_world(scenario: Scenario) -> World:
    """Return the entities that `scenario` names, wired to one another."""
    parties = {
        one.name: Party(name=one.name, title=one.title, prefix=one.prefix)
        for one in scenario.party
    }
    sites = {
        one.name: Site(
            name=one.name, role=one.role, party=parties[one.party], location=one.location
        )
        for one in scenario.site
    }
    stations = {
        one.name: Station(
            name=one.name, site=sites[one.name.partition("/")[0]], does=one.does,
            reader=one.reader, antennas=one.antennas, profile=one.profile,
            to=sites[one.to] if one.to else None,
            origin=sites[one.origin] if one.origin else None,
        )
        for one in scenario.station
    }  # fmt: skip
    vehicles = {
        one.name: Vehicle(
            name=one.name, kind=one.kind, owner=parties[one.party], logger=one.logger,
            tag=grai_tag(parties[one.party].prefix, one.asset_type, one.serial),
            probe=one.probe,
        )
        for one in scenario.vehicle
    }  # fmt: skip
    return World(parties=parties, sites=sites, stations=stations, vehicles=vehicles)


@dataclass(frozen=True, slots=True)
class _Reference:
    path: tuple[str | int, ...]
    name: str | None
    among: tuple[str, ...]


def _check_references(scenario: Scenario, text: str, where: str) -> None:
    try:
        parse_time(scenario.start)
    except ValueError as error:
        raise refused(("start",), f"{scenario.start!r}: {error}", text, where) from error
    for reference in _references(scenario):
        if reference.name is not None and reference.name not in reference.among:
            allowed = ", ".join(reference.among)
            why = f"{reference.name!r} is not there; allowed: {allowed}"
            raise refused(reference.path, why, text, where)
    for path, why in _shortcomings(scenario):
        raise refused(path, why, text, where)


def _references(scenario: Scenario) -> Iterable[_Reference]:
    """Yield each name that must be the name of something else."""
    parties = tuple(one.name for one in scenario.party)
    sites = tuple(one.name for one in scenario.site)
    stations = tuple(one.name for one in scenario.station)
    legs = tuple(f"{one.origin}/{one.to}" for one in scenario.route)
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
    for n, fault in enumerate(scenario.fault):
        if fault.kind == "excursion":
            yield _Reference(("fault", n, "leg"), fault.leg or "", legs)
        else:
            yield _Reference(("fault", n, "station"), fault.station or "", stations)


def _shortcomings(scenario: Scenario) -> Iterable[tuple[tuple[str | int, ...], str]]:
    """Yield what the chain needs and the file lacks, and names that two things have."""
    by_role: dict[str, list[str]] = {}
    for site in scenario.site:
        by_role.setdefault(site.role, []).append(site.name)
    for role, most in (("source", 100), ("plant", 1), ("hub", 1), ("shop", 100)):
        names = by_role.get(role, [])
        if not 1 <= len(names) <= most:
            yield ("site",), f"want 1 to {most} sites of role {role!r}, there are {len(names)}"
            return
    plant, hub = by_role["plant"][0], by_role["hub"][0]
    roads = [(one.origin, one.to) for one in scenario.route]
    for leg in [
        *((source, plant) for source in by_role["source"]),
        (plant, hub),
        *((hub, shop) for shop in by_role["shop"]),
    ]:
        if leg not in roads:
            yield ("route",), f"there is no route from {leg[0]!r} to {leg[1]!r}"
    present = {(one.name.partition("/")[0], one.does, one.to) for one in scenario.station}
    for where, does, to in _stations_needed(by_role):
        if not any((where, does) == (at, do) and to in (None, way) for at, do, way in present):
            towards = f" to {to!r}" if to else ""
            yield ("station",), f"site {where!r} has no station that does {does!r}{towards}"
    for kind in ("tanker", "trailer"):
        if not any(one.kind == kind for one in scenario.vehicle):
            yield ("vehicle",), f"there is no vehicle of kind {kind!r}"
    yield from _twins(scenario)


def _stations_needed(
    by_role: dict[str, list[str]],
) -> Iterable[tuple[str, Does, str | None]]:
    (plant,), (hub,) = by_role["plant"], by_role["hub"]
    for source in by_role["source"]:
        yield source, "produce", None
        yield source, "depart", plant
    at_plant: tuple[Does, ...] = ("intake", "fill", "case", "palletise")
    at_hub: tuple[Does, ...] = ("receive", "break", "palletise")
    at_shop: tuple[Does, ...] = ("receive", "break", "open", "sell")
    yield from ((plant, does, None) for does in at_plant)
    yield plant, "load", hub
    yield from ((hub, does, None) for does in at_hub)
    for shop in by_role["shop"]:
        yield hub, "load", shop
        yield from ((shop, does, None) for does in at_shop)


def _twins(scenario: Scenario) -> Iterable[tuple[tuple[str | int, ...], str]]:
    tables = {
        "party": [one.name for one in scenario.party],
        "site": [one.name for one in scenario.site],
        "station": [one.name for one in scenario.station],
        "vehicle": [one.name for one in scenario.vehicle],
    }
    for table, names in tables.items():
        for n, name in enumerate(names):
            if name in names[:n]:
                yield (table, n, "name"), f"{name!r} is taken by an earlier {table}"
