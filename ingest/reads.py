"""What a message holds once it is understood: the types between bytes and meaning.

A *message* is one MQTT publication, exactly as received. A reader's payload holds
*sightings* (bytes of a tag's memory, as the reader spells them), which become *reads*
(an EPC at an instant) once the tag data standard has been applied. Beside tags there are
*samples* of sensors and *line messages* of a machine or an execution system. What could
not be understood is a *fault*, with its place in the payload and its reason.

Times are microseconds since the Unix epoch, UTC.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

MESSAGE_BYTES_MAX = 1024 * 1024
TOPIC_BYTES_MAX = 65_535
EPC_BYTES_MAX = 62  # the EPC bank of a Gen2 tag: 31 words, the most a PC word can announce
ITEMS_PER_MESSAGE_MAX = 20_000
NOT_A_READ = "not a tag read"
# The gateway's own messages; no broker delivers them: a subscription to # leaves out $ topics.
TICK_TOPIC = "$tick"
QUOTA_TOPIC = "$quota"
CLOCK_TOPIC = "$clock"
RETRY_TOPIC = "$retry"
SESSION_TOPIC = "$session"
REFUSED_TOPIC = "$refused"
AGAIN_TOPIC = "$again"
OWN_TOPICS = (
    *(TICK_TOPIC, QUOTA_TOPIC, CLOCK_TOPIC, RETRY_TOPIC, SESSION_TOPIC),
    *(REFUSED_TOPIC, AGAIN_TOPIC),
)
_COPIED_BYTES_MAX = 4_096  # up to here a copy takes less time than a call


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One MQTT publication as kept in the inbox; `sha256` is its identity.

    `received_us` is the gateway's clock, `monotonic_us` a clock of the same host that is never
    set (0 where nobody looked at it). `properties` are MQTT 5's as JSON, empty where there
    are none. Of a payload over `MESSAGE_BYTES_MAX` only `oversize`, its length, is kept.
    """

    id: int
    topic: str
    payload: bytes
    received_us: int
    sha256: bytes
    monotonic_us: int = 0
    properties: bytes = b""
    oversize: int = 0


class Arrival(NamedTuple):
    """A message on its way into the inbox; `is_dup` where the broker says it sends it again.

    `sha256` is its identity where somebody has worked it out already.
    """

    topic: str
    payload: bytes
    received_us: int
    monotonic_us: int = 0
    properties: bytes = b""
    is_dup: bool = False
    sha256: bytes = b""


class AgainMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's own message that `payload` came again, byte for byte, at `time_us`.

    Nobody but who decodes it can tell whether it is a repeat: one that says its time or its
    number is; a heartbeat that says neither is a new one.
    """

    topic: str
    payload: bytes
    time_us: int


def message_hash(topic: str, payload: bytes) -> bytes:
    """Return the identity of a message: SHA-256 over topic, one zero byte and payload.

    No topic holds a zero character (MQTT 5.0 section 1.5.4), so there is one reading.
    """
    if len(payload) < _COPIED_BYTES_MAX:
        return sha256(topic.encode() + b"\0" + payload).digest()
    digest = sha256(topic.encode() + b"\0")
    digest.update(payload)
    return digest.digest()


class TimeSource(Enum):
    """Whose clock an instant comes from."""

    READER = "reader"
    GATEWAY = "gateway"  # the payload says no time, so the time of receipt stands in for it
    UNSET = "unset"  # the reader's clock was never set: it counts, from a moment nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One tag as a reader reports it; nothing of it is decoded yet.

    `hex` is the content of the EPC bank (`bank` "epc") or a radio chip's own serial
    number (`bank` "uid"); `uri` is set instead where the reader wrote an EPC URI. `pc` is the
    protocol control word. `time_us` is None where the payload says no time; `ns` are the
    nanoseconds beyond it that the reader wrote (0 to 999). `where` is the place in the payload.
    A reader that sums up says in `seen` how often it heard the tag, since `since_us`. `source`
    is the reader's own name, where one topic carries several; `number` is what it gave this
    event, where it counts its events.
    """

    where: str
    hex: str | None = None
    uri: str | None = None
    bank: Literal["epc", "uid"] = "epc"
    pc: int | None = None
    time_us: int | None = None
    antenna: int | None = None
    rssi_cdbm: int | None = None
    ns: int = 0
    seen: int = 1
    since_us: int | None = None
    source: str = ""
    number: int | None = None


class Read(msgspec.Struct, frozen=True, gc=False):
    """One tag sighting: `epc` is a pure identity URN, or `urn:epc:raw:…` for other tags.

    `time_us` is by the clock that `time_source` names, uncorrected. The rest is as in
    `Sighting`.
    """

    epc: str
    time_us: int
    time_source: TimeSource
    antenna: int | None
    rssi_cdbm: int | None
    ns: int = 0
    seen: int = 1
    since_us: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """An amount of a class of goods; `quantity` is None where it was not counted."""

    epc_class: str
    quantity: Decimal | None
    uom: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LotMade:
    """`line.lot`: a lot came into being, perhaps straight into a container."""

    time_us: int
    lot: Quantity
    into: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEmptied:
    """`line.empty`: all that was in a container is out of it."""

    time_us: int
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStarted:
    """`line.batch`, phase start: what is read from now on is made of `inputs`."""

    time_us: int
    batch: str
    transformation_id: str | None
    inputs: tuple[Quantity, ...]
    lot: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnded:
    """`line.batch`, phase end: what is read later is not of this batch."""

    time_us: int
    batch: str


LineMessage = LotMade | ContainerEmptied | BatchStarted | BatchEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reading of a sensor: named values, each in the unit that its name stands for.

    `devices` are the names the payload gives the sensor, the most specific first: a
    Ruuvi tag has its own address and that of the gateway which heard it. `time_us` is None
    where the payload says no time, and by a clock that was never set before the year 2000.
    Names with a fixed unit are in `interpret.QUANTITIES`.
    """

    devices: tuple[str, ...]
    time_us: int | None
    values: tuple[tuple[str, float], ...]

    @property
    def clock(self) -> str:
        """Whose clock the time is taken to come from: the device's, by its best name."""
        return self.devices[0] if self.devices else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vital:
    """What a reader says of itself beside tags: that it lives, how it is, what it lost.

    `reader` is its own name, None where the topic stands for it. `number` and `count` are the
    numbers that it gave to the events of this message, `number` … `number + count - 1`, which
    grow by one within a `boot`; without a boot a smaller number is taken as a new start.
    `dropped` is how many reads or messages it says it lost since it started. A heartbeat is
    said to come regularly. `why` is in its words. Of a reader that `needs_birth`, nothing can
    be read before it announces itself anew (`ingest.readers.sparkplug.encode_rebirth`). Numbers
    without a `boot` count only where the plan says that this reader's numbers have no holes.
    """

    reader: str | None = None
    time_us: int | None = None
    is_heartbeat: bool = False
    state: Literal["online", "degraded", "offline"] | None = None
    boot: str | None = None
    number: int | None = None
    count: int = 1
    dropped: int | None = None
    why: str = ""
    needs_birth: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PortChange:
    """A general purpose input of a reader went high or low."""

    port: int
    is_high: bool
    time_us: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A statement that a device signed itself, with its events; forwarded byte for byte.

    `submission` is the CBOR of docs/spec/submission.md, of which the rest is read.
    """

    kid: bytes
    seq: int
    statement_id: bytes
    events: int
    submission: bytes


Item = Sighting | LineMessage | Sample | Vital | PortChange | Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A part of a payload that cannot be taken: where in it, and why.

    `where` is a path such as `[3].data.idHex`, empty for the whole payload. `hides_reads` is
    false where it is clear that there was no read to lose.
    """

    where: str
    why: str
    hides_reads: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a payload holds: its good items in order, its faults, how many unknown fields."""

    items: tuple[Item, ...] = ()
    faults: tuple[Fault, ...] = ()
    unknown: int = 0


def not_a_read(why: str, where: str = "") -> Fault:
    """Return the fault of something well-formed that is simply no tag read."""
    return Fault(where=where, why=f"{NOT_A_READ}: {why}", hides_reads=False)
