"""The simulated world: who and what exists, and the signals that leave it.

Entities carry GS1 identities as EPC pure-identity URNs (TDS 2.3 section 6); what wears
a tag (`device_sim.tags`) also carries its tag URI.
What happens to entities is `device_sim.chain`; here is only what they are, and the
signals that leave them: passes, notes, trips, reads, samples and messages.

Times are integer microseconds since 1970 UTC and end in `_us`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Literal, NamedTuple

from device_sim.tags import Tag
from ledger.gs1.epc import check_digit

MILLISECOND_US = 1_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

Role = Literal["source", "plant", "hub", "shop", "tank"]
Does = Literal[
    "produce", "depart", "intake", "fill", "case", "palletise", "load", "receive", "break",
    "open", "sell", "make", "assemble", "rework", "store", "return", "recall", "destroy",
    "despatch",
]  # fmt: skip
ReaderModel = Literal[
    "impinj",
    "zebra",
    "zebra-single",
    "zebra-handheld",
    "smartreader",
    "llrp",
    "json",
    "signed",
    "none",
]
Probe = Literal["ruuvi", "things-stack", "sparkplug", "json"]
ProfileName = Literal["gate", "tunnel", "till"]

# Business step, disposition and action of what such a device decides by itself.
MEANINGS: Mapping[Does, tuple[str, str, str]] = {
    "make": ("commissioning", "active", "ADD"),
    "sell": ("retail_selling", "retail_sold", "OBSERVE"),
    "rework": ("repairing", "in_progress", "OBSERVE"),
    "recall": ("holding", "recalled", "OBSERVE"),
    "destroy": ("destroying", "destroyed", "DELETE"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A company: it owns or holds goods and answers for the events of its sites."""

    name: str
    title: str
    prefix: str

    @property
    def gln(self) -> str:
        """The party's own GLN: its company prefix with location reference zero."""
        body = self.prefix.ljust(12, "0")
        return body + check_digit(body)

    @property
    def id(self) -> str:
        """The party as a GS1 Digital Link (AI 417, party GLN)."""
        return f"https://id.gs1.org/417/{self.gln}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place with a GLN of its own, run by one party; a `service` owns nothing of others."""

    name: str
    role: Role
    party: Party
    location: str
    service: bool = False

    @property
    def sgln(self) -> str:
        """The site as SGLN URN with extension 0: the whole site."""
        return f"urn:epc:id:sgln:{self.party.prefix}.{self.location}.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One read point: a reader, or a line controller, or both at one spot."""

    name: str
    site: Site
    does: Does
    reader: ReaderModel
    antennas: int
    profile: ProfileName
    to: Site | None
    origin: Site | None
    numbered: bool = False
    heartbeat_us: int = 0

    @property
    def spot(self) -> str:
        """The station's own part of its name: `filler` of `dairy/filler`."""
        return self.name.partition("/")[2]

    @property
    def read_point(self) -> str:
        """The read point as SGLN URN, extended by the station's own name."""
        return f"urn:epc:id:sgln:{self.site.party.prefix}.{self.site.location}.{self.spot}"

    @property
    def is_numbered(self) -> bool:
        """Whether a hole in its event numbers is known to be a loss.

        The capture plan says so, or each payload names the boot that it counts in.
        """
        return self.numbered or self.reader == "json"

    @property
    def topic(self) -> str:
        """The MQTT topic under which everything of this station is published."""
        return f"sites/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A returnable asset with a tag and a temperature logger, known by its MAC."""

    name: str
    kind: Literal["tanker", "trailer"]
    owner: Party
    tag: Tag
    logger: str
    probe: Probe = "ruuvi"

    @property
    def device(self) -> str:
        """The logger as its payloads name it: its MAC, or the EUI-64 made of it."""
        if self.probe == "ruuvi":
            return self.logger
        digits = self.logger.replace(":", "")
        return f"{digits[:6]}FFFE{digits[6:]}"

    @property
    def topic(self) -> str:
        """The MQTT topic under which the vehicle's logger is published."""
        return f"fleet/{self.name}/logger"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that exists before anything happens, each by its name in file order.

    `doors` are the stations of each site, by its name. `buyers` says who owns what comes by
    a road, where that is neither the site's party nor, at a service, who owned it before.
    """

    parties: Mapping[str, Party]
    sites: Mapping[str, Site]
    stations: Mapping[str, Station]
    vehicles: Mapping[str, Vehicle]
    roads: tuple[tuple[Site, Site], ...] = ()
    doors: Mapping[str, tuple[Station, ...]] = field(default_factory=dict)
    buyers: Mapping[tuple[str, str], Party] = field(default_factory=dict)

    def find(self, site: Site, does: Does) -> Station | None:
        """Return the first station of `site` that does `does`, None where there is none."""
        return next((one for one in self.doors.get(site.name, ()) if one.does == does), None)

    def station(
        self, site: Site, does: Does, to: Site | None = None, origin: Site | None = None
    ) -> Station:
        """Return the first station of `site` that does `does`.

        A station that names where its goods go to or come from serves only those; one that
        names nothing serves all.
        """
        for station in self.doors.get(site.name, ()):
            if station.does == does:
                fits = to is None or station.to in (None, to)
                if fits and (origin is None or station.origin in (None, origin)):
                    return station
        raise LookupError(f"site {site.name!r} has no station that does {does!r}")

    def of_role(self, role: Role) -> list[Site]:
        """Return the sites of one role, in file order."""
        return [site for site in self.sites.values() if site.role == role]

    def after(self, site: Site) -> list[Site]:
        """Return the hubs and shops that finished goods go to from `site`."""
        return [to for one, to in self.roads if one is site and to.role in {"hub", "shop"}]

    def before(self, site: Site) -> list[Site]:
        """Return the plants and hubs from which goods come to `site`."""
        return [one for one, to in self.roads if to is site and one.role in {"plant", "hub"}]

    def splits(self, site: Site) -> bool:
        """Tell whether `site` builds pallets: a plant does, and a hub that allots goods."""
        return site.role == "plant" or (site.role == "hub" and len(self.after(site)) > 1)

    def builders(self, site: Site) -> list[Site]:
        """Return the sites whose pallets leave `site`."""
        if self.splits(site):
            return [site]
        return list(
            {one.name: one for up in self.before(site) for one in self.builders(up)}.values()
        )

    def new_owner(self, origin: Site, to: Site) -> Party | None:
        """Return who buys what goes along a road, None where its owner stays the same."""
        return self.buyers.get((origin.name, to.name), None if to.service else to.party)

    def owner(self, site: Site) -> Party | None:
        """Return who owns what is at `site`, None where that differs from thing to thing."""
        origins = self.before(site)
        owners = [self.new_owner(one, site) or self.owner(one) for one in origins]
        names = {None if one is None else one.name for one in owners}
        if not origins:
            return site.party
        return owners[0] if len(names) == 1 else None


@dataclass(frozen=True, slots=True)
class Visit:
    """One tag in a station's field: when it enters and how long it may be heard."""

    tag: Tag
    enter_us: int
    stay_us: int
    parked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What crosses a station together; `number` counts the station's passes from 0."""

    station: Station
    number: int
    start_us: int
    end_us: int
    visits: tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """What a line controller or an intake terminal writes down at a station."""

    station: Station
    time_us: int
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One use of a vehicle: logger on from start to end, loaded for a part of it.

    `doors` are the spans in which its doors (or hatches) stand open.
    """

    vehicle: Vehicle
    number: int
    leg: str
    start_us: int
    loaded_us: int
    emptied_us: int
    end_us: int
    doors: tuple[tuple[int, int], ...]


class Read(NamedTuple):
    """One tag sighting; `antenna` counts from 1, rssi in 1/100 dBm, phase in 1/100 degree.

    A tuple and no dataclass: there are hundreds of millions of them.
    """

    tag: Tag
    time_us: int
    antenna: int
    rssi_cdbm: int
    phase_cdeg: int
    frequency_khz: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One logger sample in the units of Ruuvi data format 5, so that nothing is rounded twice.

    `temperature` counts 0.005 degrees Celsius, `humidity` 0.0025 percent, `pressure`
    pascals above 50,000; `number` is the logger's measurement counter (16 bits).
    """

    vehicle: Vehicle
    time_us: int
    number: int
    temperature: int
    humidity: int
    pressure: int
    battery_mv: int

    @property
    def celsius(self) -> float:
        """The temperature that the payload says, in degrees Celsius."""
        return self.temperature / 200


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT publication, and the simulated time at which its device sends it."""

    time_us: int
    topic: str
    payload: bytes

    @property
    def identity(self) -> str:
        """SHA-256 in hex over topic, one zero byte and payload."""
        return sha256(self.topic.encode() + b"\x00" + self.payload).hexdigest()


def format_time(time_us: int, offset: str = "Z") -> str:
    """Return `time_us` as ISO 8601 in UTC with milliseconds, rounded down."""
    seconds, rest_us = divmod(time_us, SECOND_US)
    return f"{_second(seconds)}{rest_us // MILLISECOND_US:03d}{offset}"


def parse_time(text: str) -> int:
    """Return ISO 8601 text with an offset as microseconds; `ValueError` if it has none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("has no UTC offset")
    return (moment - _EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.")
