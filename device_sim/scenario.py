"""Scenarios: what a supply chain written as TOML consists of.

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

Every table and key is listed in docs/reference/scenarios.md. Here are their shapes and
bounds; `device_sim.scenariofile` reads a file and checks what shapes cannot say.

Pure: no I/O, no clock, no randomness.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from device_sim.tags import Material, TagForm, grai_tag
from device_sim.world import (
    SECOND_US,
    Does,
    Party,
    Probe,
    ProfileName,
    ReaderModel,
    Role,
    Site,
    Station,
    Vehicle,
    World,
    parse_time,
)

FORMAT = "tagtrail/scenario/v1"
ITEMS_MAX = 10_000_000
COPIES_MAX = 10_000

FaultKind = Literal[
    "excursion", "sensor_drift", "sensor_silence", "late_upload", "duplicate_burst", "stray",
    "ghost", "antenna_failure", "clock_skew", "clock_drift", "clock_step", "no_clock", "reboot",
    "offline", "truncated", "poison", "tampered", "replayed", "forged", "late_document",
    "lost_document", "forged_document", "mass_imbalance", "clone", "fakes", "diversion",
    "tag_swap", "stolen_key", "collusion", "lost_messages", "reader_drops", "cut_off",
    "out_of_order",
]  # fmt: skip
# The keys that name something of the scenario, which each kind needs.
FAULT_KEYS: dict[FaultKind, tuple[str, ...]] = {
    **dict.fromkeys(("excursion", "sensor_drift", "sensor_silence", "late_upload"), ("leg",)),
    **dict.fromkeys(
        (
            "duplicate_burst", "ghost", "antenna_failure", "clock_skew", "clock_drift",
            "clock_step", "no_clock", "reboot", "offline", "truncated", "poison", "tampered",
            "replayed", "forged", "stolen_key", "clone", "fakes", "tag_swap", "lost_messages",
            "reader_drops", "cut_off", "out_of_order",
        ),
        ("station",),
    ),
    "stray": ("station", "by"),
    **dict.fromkeys(
        ("late_document", "lost_document", "forged_document", "mass_imbalance"), ("site",)
    ),
    "diversion": ("leg", "to"),
    "collusion": ("site", "to"),
}  # fmt: skip

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
    """A place of one party; `location` is the location reference of its SGLN.

    Goods at a `service` site change possession only: a warehouse or a marketplace keeps
    what it does not own.
    """

    name: _Name
    party: _Name
    role: Role
    location: _Digits
    service: bool = False


class StationTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A read point; `to` and `origin` name the sites its goods go to or come from.

    The capture plan says whether the reader is `numbered`: that it counts its events without
    holes. With `heartbeat_s` it sends heartbeats.
    """

    name: Annotated[str, Meta(pattern="^[a-z0-9-]+/[a-z0-9-]+$", max_length=80)]
    does: Does
    reader: ReaderModel = "none"
    antennas: Annotated[int, Meta(ge=1, le=8)] = 1
    profile: ProfileName = "gate"
    to: _Name | None = None
    origin: _Name | None = None
    numbered: bool = False
    heartbeat_s: Annotated[int, Meta(ge=0, le=86_400)] = 0


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
    """A road between two sites and the least and most minutes it takes.

    `owner` is the party that owns what arrives by it: by default that of the site, or at a
    service whoever owned it before. With the sender as owner it is consignment, with a
    third party a drop shipment.
    """

    origin: _Name
    to: _Name
    minutes: tuple[_Minutes, _Minutes]
    owner: _Name | None = None


class LotTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A lot that is sold as such, once a production day, from a source to a tank."""

    name: _Name
    raw: _Digits
    origin: _Name
    to: _Name
    kilograms: Annotated[float, Meta(gt=0, le=100_000)]


class FateTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What else becomes of items; `buyers` is the party that stands for all consumers.

    Of those that are made the share `reworked` is repaired before packing; of those that
    are sold the share `returned` comes back, which then goes on the shelf again or, the
    share `destroyed`, is destroyed. What was made on the production day `recalled` is taken
    off the shelves `recall_days` later and destroyed, and what was sold of it comes back as
    often as `returned` says.
    """

    reworked: _Share = 0.0
    returned: _Share = 0.0
    return_days: Annotated[int, Meta(ge=1, le=60)] = 3
    destroyed: _Share = 0.5
    buyers: _Name | None = None
    recalled: Annotated[int, Meta(ge=0, le=364)] | None = None
    recall_days: Annotated[int, Meta(ge=1, le=60)] = 3


class ProductTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one plant makes: references of the raw lot, the item and the case; how they nest.

    References are the indicator digit and item reference: 13 digits less the prefix. With
    `raw`, items are filled from lots; with `parts`, they are assembled from items of other
    products, so many of each; with neither they are just made. Without `case`, items go
    straight onto pallets, and `cases_per_pallet` counts them.
    """

    name: _Name
    title: _Title
    made_at: _Name
    item: _Digits
    raw: _Digits | None = None
    case: _Digits | None = None
    parts: dict[_Name, Annotated[int, Meta(ge=1, le=100)]] = {}
    material: Material = "carton"
    tag: TagForm = "sgtin-96"
    kilograms: Annotated[float, Meta(gt=0, le=10_000)]
    items_per_case: tuple[_Count, _Count] = (10, 10)
    cases_per_pallet: _Count
    pallets_per_trailer: Annotated[int, Meta(ge=1, le=16)]

    @property
    def making(self) -> Does:
        """What its plant does to make an item."""
        if self.parts:
            return "assemble"
        return "make" if self.raw is None else "fill"


class DayTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When things are done; `batches` is the number of production days.

    `item_ms` is how long the line takes for one item.
    """

    batches: Annotated[int, Meta(ge=1, le=365)]
    collect: _Clock
    fill: _Clock
    dispatch: _Clock
    deliver: _Clock
    item_ms: Annotated[int, Meta(ge=1, le=600_000)] = 1_200
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
    """One fault to play; which keys it needs depends on its kind (`FAULT_KEYS`).

    Passes, trips, notes and batches are counted from 0, at their station, leg or site.
    """

    kind: FaultKind
    leg: str | None = None
    trip: Annotated[int, Meta(ge=0)] = 0
    to: str | None = None
    site: str | None = None
    station: str | None = None
    by: str | None = None
    number: Annotated[int, Meta(ge=0)] = msgspec.field(default=0, name="pass")
    minutes: _Minutes = 60
    seconds: Annotated[float, Meta(ge=-100_000_000, le=100_000_000)] = 90.0
    hours: Annotated[int, Meta(ge=1, le=2_000)] = 24
    messages: _Count = 10
    count: _Count = 3
    antenna: Annotated[int, Meta(ge=1, le=8)] = 1
    rate: Annotated[int, Meta(ge=1, le=100_000)] = 50
    share: Annotated[float, Meta(gt=0, le=100)] = 0.05
    ppm: Annotated[float, Meta(ge=-100_000, le=100_000)] = 200.0
    degrees: Annotated[float, Meta(ge=-60, le=60)] = 1.5


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A parsed scenario file. `build_world` makes the entities that it names."""

    scenario: Literal["tagtrail/scenario/v1"]
    name: _Name
    title: _Title
    start: str
    items: Annotated[int, Meta(ge=1, le=ITEMS_MAX)]
    product: Annotated[tuple[ProductTable, ...], Meta(min_length=1)]
    day: DayTable
    climate: ClimateTable
    radio: RadioTable
    party: tuple[PartyTable, ...]
    site: tuple[SiteTable, ...]
    station: tuple[StationTable, ...]
    vehicle: tuple[VehicleTable, ...]
    route: tuple[RouteTable, ...]
    lot: tuple[LotTable, ...] = ()
    fate: FateTable = FateTable()
    fault: tuple[FaultTable, ...] = ()
    copies: dict[_Name, Annotated[int, Meta(ge=1, le=COPIES_MAX)]] = {}

    @property
    def start_us(self) -> int:
        """The midnight at which the first day begins."""
        return parse_time(self.start)

    @property
    def finals(self) -> tuple[ProductTable, ...]:
        """The products that are sold: those that are no part of another."""
        parts = {part for one in self.product for part in one.parts}
        return tuple(one for one in self.product if one.name not in parts)

    def made(self, name: str) -> ProductTable:
        """Return the product of that name; `parse_scenario` made sure that it is there."""
        return next(one for one in self.product if one.name == name)

    def road(self, origin: str, to: str) -> RouteTable:
        """Return the route between two sites; `parse_scenario` made sure that it is there."""
        return next(one for one in self.route if (one.origin, one.to) == (origin, to))


def build_world(scenario: Scenario) -> World:
    """Return the entities that `scenario` names, wired to one another."""
    parties = {
        one.name: Party(name=one.name, title=one.title, prefix=one.prefix)
        for one in scenario.party
    }
    sites = {
        one.name: Site(
            name=one.name, role=one.role, party=parties[one.party], location=one.location,
            service=one.service,
        )
        for one in scenario.site
    }  # fmt: skip
    stations = {
        one.name: Station(
            name=one.name, site=sites[one.name.partition("/")[0]], does=one.does,
            reader=one.reader, antennas=one.antennas, profile=one.profile,
            to=sites[one.to] if one.to else None,
            origin=sites[one.origin] if one.origin else None,
            numbered=one.numbered, heartbeat_us=one.heartbeat_s * SECOND_US,
        )
        for one in scenario.station
    }  # fmt: skip
    doors: dict[str, list[Station]] = {}
    for station in stations.values():
        doors.setdefault(station.site.name, []).append(station)
    vehicles = {
        one.name: Vehicle(
            name=one.name, kind=one.kind, owner=parties[one.party], logger=one.logger,
            tag=grai_tag(parties[one.party].prefix, one.asset_type, one.serial),
            probe=one.probe,
        )
        for one in scenario.vehicle
    }  # fmt: skip
    return World(
        parties=parties, sites=sites, stations=stations, vehicles=vehicles,
        roads=tuple((sites[one.origin], sites[one.to]) for one in scenario.route),
        doors={name: tuple(group) for name, group in doors.items()},
        buyers={
            (one.origin, one.to): parties[one.owner]
            for one in scenario.route
            if one.owner is not None
        },
    )  # fmt: skip
