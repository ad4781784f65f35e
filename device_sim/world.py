"""The simulated world: who and what exists, and the numbers chance draws for each.

Entities carry GS1 identities as EPC pure-identity URNs (TDS 2.3 section 6); what wears
a tag also carries its tag URI (TDS 2.3 section 12), from which the radio gets its bits.
What happens to entities is `device_sim.chain`; here is only what they are, and the
signals that leave them: passes, notes, trips, reads, samples and messages.

Chance is a counter, not a sequence: the n-th number of an entity is a piece of
SHA-256(seed, name of the entity, n), so a new reader changes nobody else's numbers and
the same seed gives the same bytes on every platform, in every process, in any order.

Times are integer microseconds since 1970 UTC and end in `_us`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Literal, NewType, TypeVar

from ledger.gs1.epc import check_digit
from ledger.gs1.tds import encode_tag

MILLISECOND_US = 1_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

Role = Literal["source", "plant", "hub", "shop", "fleet"]
Does = Literal[
    "produce", "depart", "intake", "fill", "case", "palletise", "load", "receive", "break",
    "open", "sell",
]  # fmt: skip
ReaderModel = Literal["impinj", "zebra", "none"]
ProfileName = Literal["gate", "tunnel", "till"]
Quantiles = Sequence[tuple[float, float]]

Epc = NewType("Epc", str)
Element = TypeVar("Element")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORD_BITS = 64
_UNIT = 2.0**-53


class Stream:
    """The numbers that chance draws for one entity, in order, by counter."""

    __slots__ = ("_block", "_key", "_words")

    def __init__(self, seed: int, *names: str | int) -> None:
        name = "\n".join(str(part) for part in names)
        self._key = sha256(f"tagtrail/sim/v1\n{seed}\n{name}\n".encode())
        self._block = 0
        self._words: list[int] = []

    def word(self) -> int:
        """Return the next 64 bits as an unsigned integer."""
        if not self._words:
            hasher = self._key.copy()
            hasher.update(self._block.to_bytes(8, "big"))
            self._block += 1
            digest = hasher.digest()
            self._words = [int.from_bytes(digest[at : at + 8], "big") for at in (24, 16, 8, 0)]
        return self._words.pop()

    def unit(self) -> float:
        """Return a number in [0, 1), every multiple of 2**-53 equally likely."""
        return (self.word() >> 11) * _UNIT

    def below(self, bound: int) -> int:
        """Return an integer in 0..bound-1; `bound` is at least 1."""
        return self.word() * bound >> _WORD_BITS

    def between(self, low: int, high: int) -> int:
        """Return an integer in low..high, both included."""
        return low + self.below(high - low + 1)

    def noise(self) -> float:
        """Return a bell-shaped number, mean 0 and deviation 1, always within -6..6.

        It is the sum of twelve uniform numbers less 6: additions only, so no platform's
        mathematical library can change a bit of it.
        """
        return sum(self.unit() for _ in range(12)) - 6.0

    def quantile(self, table: Quantiles) -> float:
        """Return a number whose distribution is the piecewise linear inverse `table`.

        `table` lists (share, value) with shares rising from 0 to 1.
        """
        share = self.unit()
        for (low, start), (high, end) in pairwise(table):
            if share < high:
                return start + (end - start) * ((share - low) / (high - low))
        return table[-1][1]

    def shuffled(self, elements: Sequence[Element]) -> list[Element]:
        """Return `elements` in a random order (Fisher and Yates)."""
        deck = list(elements)
        for last in range(len(deck) - 1, 0, -1):
            other = self.below(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return deck


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
    """A place with a GLN of its own, run by one party."""

    name: str
    role: Role
    party: Party
    location: str

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

    @property
    def spot(self) -> str:
        """The station's own part of its name: `filler` of `dairy/filler`."""
        return self.name.partition("/")[2]

    @property
    def read_point(self) -> str:
        """The read point as SGLN URN, extended by the station's own name."""
        return f"urn:epc:id:sgln:{self.site.party.prefix}.{self.site.location}.{self.spot}"

    @property
    def topic(self) -> str:
        """The MQTT topic under which everything of this station is published."""
        return f"sites/{self.name}"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged thing; it wears `labels` equal labels and is missed only if all are."""

    epc: Epc
    tag_uri: str
    labels: int = 1

    @property
    def memory(self) -> str:
        """The tag's EPC memory after the PC word, in upper-case hex (TDS 2.3 section 14)."""
        return encode_tag(self.tag_uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A returnable asset with a tag and a temperature logger, known by its MAC."""

    name: str
    kind: Literal["tanker", "trailer"]
    owner: Party
    tag: Tag
    logger: str

    @property
    def topic(self) -> str:
        """The MQTT topic under which the vehicle's logger is published."""
        return f"fleet/{self.name}/logger"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that exists before anything happens, each by its name in file order."""

    parties: Mapping[str, Party]
    sites: Mapping[str, Site]
    stations: Mapping[str, Station]
    vehicles: Mapping[str, Vehicle]

    def station(self, site: Site, does: Does, to: Site | None = None) -> Station:
        """Return the first station of `site` that does `does` (towards `to`, if given)."""
        for station in self.stations.values():
            if station.site is site and station.does == does and (to in (None, station.to)):
                return station
        raise LookupError(f"site {site.name!r} has no station that does {does!r}")

    def of_role(self, role: Role) -> list[Site]:
        """Return the sites of one role, in file order."""
        return [site for site in self.sites.values() if site.role == role]


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


@dataclass(frozen=True, slots=True)
class Read:
    """One tag sighting; `antenna` counts from 1, rssi in 1/100 dBm, phase in 1/100 degree."""

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


def sgtin_tag(prefix: str, reference: str, serial: int, filter_value: int) -> Tag:
    """Return a serialised trade item under an SGTIN-96 label; `serial` is below 2**38.

    `reference` is the indicator digit and the item reference, 13 digits less the prefix.
    Filter 1 is a point-of-sale item, 2 a full case (TDS 2.3 section 10.2).
    """
    assert 0 <= serial < 1 << 38
    body = f"{prefix}.{reference}.{serial}"
    return Tag(Epc(f"urn:epc:id:sgtin:{body}"), f"urn:epc:tag:sgtin-96:{filter_value}.{body}")


def sscc_tag(prefix: str, number: int) -> Tag:
    """Return a logistic unit under its two SSCC-96 labels (GS1 Logistic Label: two sides)."""
    body = f"{prefix}.{number:0{17 - len(prefix)}d}"
    return Tag(Epc(f"urn:epc:id:sscc:{body}"), f"urn:epc:tag:sscc-96:6.{body}", labels=2)


def grai_tag(prefix: str, asset_type: str, serial: int) -> Tag:
    """Return a returnable asset under its two GRAI-96 labels; `serial` is below 2**38."""
    assert 0 <= serial < 1 << 38
    body = f"{prefix}.{asset_type}.{serial}"
    return Tag(Epc(f"urn:epc:id:grai:{body}"), f"urn:epc:tag:grai-96:0.{body}", labels=2)


def lgtin(prefix: str, reference: str, lot: str) -> Epc:
    """Return the class of everything of one lot."""
    return Epc(f"urn:epc:class:lgtin:{prefix}.{reference}.{lot}")


def format_time(time_us: int, offset: str = "Z") -> str:
    """Return `time_us` as ISO 8601 in UTC with milliseconds, rounded down."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}{offset}"


def parse_time(text: str) -> int:
    """Return ISO 8601 text with an offset as microseconds; `ValueError` if it has none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("has no UTC offset")
    return (moment - _EPOCH) // timedelta(microseconds=1)
