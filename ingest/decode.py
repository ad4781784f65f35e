"""From the bytes of a message to what it says, whichever reader wrote it.

The shape decides, not the topic: each envelope has fields that no other has. An array is
taken element by element, a stream of lines (server-sent events, or one JSON a line) line by
line, so that one bad element costs only itself. Tag memory is then read after the GS1 tag
data standard; what is no GS1 EPC becomes `urn:epc:raw:…` and is kept.

What cannot be taken is a fault with its place and reason. Nothing is guessed: broken hex
is not mended, a text that is no JSON is not searched for tags.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from ingest.mapping import MappingRule, find_mappings, read_mapped
from ingest.readers import (
    chirpstack,
    generic,
    impinj,
    line,
    llrp,
    ruuvi,
    signed,
    sparkplug,
    springcard,
    texts,
    things_stack,
    wills,
    zebra,
)
from ingest.readers.fields import is_clock_set
from ingest.readers.hot import read_hot
from ingest.readers.tagmemory import epc_of_memory
from ingest.reads import (
    ITEMS_PER_MESSAGE_MAX,
    MESSAGE_BYTES_MAX,
    Fault,
    Item,
    LineMessage,
    Message,
    Parsed,
    PortChange,
    Read,
    Sample,
    Sighting,
    Signed,
    TimeSource,
    Vital,
    not_a_read,
)
from ledger.errors import ParseError
from ledger.gs1.epc import parse_epc

_Shape = Callable[[Mapping[str, object]], bool]
_Reader = Callable[[Mapping[str, object], str], Parsed | Item | Fault]

# The first shape that fits takes the object; the generic one takes what is left.
_READERS: tuple[tuple[_Shape, _Reader], ...] = (
    (line.is_line, line.parse_line),
    (impinj.is_impinj, impinj.parse_event),
    (zebra.is_zebra, zebra.parse_envelope),
    (llrp.is_llrp, llrp.parse_message),
    (wills.is_will, wills.parse_will),
    (ruuvi.is_ruuvi, ruuvi.parse_advertisement),
    (things_stack.is_things_stack, things_stack.parse_uplink),
    (chirpstack.is_chirpstack, chirpstack.parse_event),
    (springcard.is_springcard, springcard.parse_tag),
    (generic.is_heartbeat, generic.parse_heartbeat),
    (generic.is_sensor, generic.parse_sample),
)
_CACHE = 65_536
_RAW = re.compile(r"urn:epc:raw:\d+\.x[0-9A-Fa-f]+", re.ASCII)  # its digits have two spellings


Other = LineMessage | Sample | Vital | PortChange | Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a message says, and which parts of it could not be taken.

    `unknown` counts the fields that nobody here knows; they are no fault. The reads are uniform
    where all are of one reader and have its own time.
    """

    reads: Sequence[Read]
    others: Sequence[Other]
    faults: tuple[Fault, ...]
    unknown: int = 0
    is_uniform: bool = False

    @property
    def items(self) -> tuple[Read | Other, ...]:
        """All that the message says: its reads in their order, then the others in theirs."""
        return (*self.reads, *self.others)

    @property
    def is_timeless(self) -> bool:
        """Whether it says something, and nothing in it has a time or a number of its own."""
        read = all(one.time_source is TimeSource.GATEWAY for one in self.reads)
        return bool(self.items) and read and all(map(_is_timeless, self.others))


@dataclass(slots=True)
class Known:
    """What is known beside a message: Sparkplug's nodes, which learn from it, and the plan's.

    `mappings` describe payloads, `keys` are those of signing devices by kid.
    """

    nodes: sparkplug.Nodes = field(default_factory=sparkplug.Nodes)
    mappings: Sequence[MappingRule] = ()
    keys: Mapping[bytes, bytes] = field(default_factory=dict)


def decode_message(message: Message, known: Known | None = None) -> Decoded:
    """Return what `message` says; whatever is wrong with it is a fault, never an error."""
    if message.oversize:
        why = f"has {message.oversize} bytes, at most {MESSAGE_BYTES_MAX} are kept"
        return _bad(Fault(where="", why=why))
    known = known or Known()
    found = _try_hot(message, known)
    if found is not None:
        return found
    try:
        parsed = _Parser(known).parse(message.topic, message.payload)
    except ParseError as error:
        return _bad(Fault(where=error.where, why=error.why))
    if len(parsed.items) > ITEMS_PER_MESSAGE_MAX:
        why = f"holds {len(parsed.items)} items, at most {ITEMS_PER_MESSAGE_MAX} are taken"
        return _bad(Fault(where="", why=why))
    reads: list[Read] = []
    others: list[Other] = []
    faults = list(parsed.faults)
    numbers: list[tuple[str, int]] = []
    if not parsed.items and not faults:
        faults.append(not_a_read("there is nothing in it"))
    for item in parsed.items:
        if not isinstance(item, Sighting):
            others.append(item)
            continue
        if item.number is not None:
            numbers.append((item.source, item.number))
        try:
            reads.append(_read_of(item, message.received_us))
        except ParseError as error:
            faults.append(Fault(where=item.where, why=f"{error.where}: {error.why}"))
    others += _runs(numbers)
    return Decoded(reads=reads, others=others, faults=tuple(faults), unknown=parsed.unknown)


def _is_timeless(one: Other) -> bool:
    match one:
        case Vital():
            return one.time_us is None and one.number is None
        case Sample() | PortChange():
            return one.time_us is None
        case _:
            return False  # lines say their time, and a device's statement is itself


def _bad(fault: Fault) -> Decoded:
    return Decoded(reads=(), others=(), faults=(fault,))


def _try_hot(message: Message, known: Known) -> Decoded | None:
    """Return what a hot shape says, None for others and where the plan maps the topic."""
    if sparkplug.is_sparkplug_topic(message.topic) or len(message.payload) > MESSAGE_BYTES_MAX:
        return None
    if known.mappings and find_mappings(known.mappings, message.topic):
        return None
    found = read_hot(message.payload)
    return None if found is None else _decoded_hot(*found)


def _decoded_hot(reads: list[Read], numbers: list[int] | None) -> Decoded:
    """Return what a hot shape says: its reads, and the run of their numbers."""
    others: list[Other] = []
    if numbers is not None:
        first, count = numbers[0], len(numbers)
        if numbers == list(range(first, first + count)):
            others.append(_run(reads[0].source, first, count))
        else:
            others += _runs((one.source, n) for one, n in zip(reads, numbers, strict=True))
    source = reads[0].source
    is_uniform = len(reads) == 1 or all(one.source == source for one in reads)
    return Decoded(reads=reads, others=others, faults=(), is_uniform=is_uniform)


def _runs(numbers: Iterable[tuple[str, int]]) -> list[Vital]:
    """Return the numbers that readers gave their events, each run of them as one."""
    found: list[Vital] = []
    source, first, count = "", -1, 0
    for who, number in numbers:
        if count and (who, number) == (source, first + count):
            count += 1
            continue
        if count:
            found.append(_run(source, first, count))
        source, first, count = who, number, 1
    return [*found, _run(source, first, count)] if count else []


def _run(source: str, first: int, count: int) -> Vital:
    return Vital(reader=source or None, number=first, count=count)


def _read_of(item: Sighting, received_us: int) -> Read:
    """Return the read that a sighting is; raises `ParseError` where its tag is none."""
    return Read(
        epc=_epc_of(item),
        time_us=received_us if item.time_us is None else item.time_us,
        time_source=_time_source(item.time_us),
        antenna=item.antenna,
        rssi_cdbm=item.rssi_cdbm,
        ns=item.ns,
        seen=item.seen,
        since_us=item.since_us,
        source=item.source,
    )


def _time_source(time_us: int | None) -> TimeSource:
    if time_us is None:
        return TimeSource.GATEWAY
    return TimeSource.READER if is_clock_set(time_us) else TimeSource.UNSET


def _epc_of(sighting: Sighting) -> str:
    if sighting.uri is not None:
        return _epc_of_uri(sighting.uri)
    assert sighting.hex is not None
    if sighting.bank == "uid":
        return f"urn:epc:raw:{4 * len(sighting.hex)}.x{sighting.hex}"
    return epc_of_memory(sighting.hex, sighting.pc)


@lru_cache(maxsize=_CACHE)
def _epc_of_uri(uri: str) -> str:
    if _RAW.fullmatch(uri):
        uri = f"{uri[: uri.rindex('x')]}x{uri[uri.rindex('x') + 1 :].upper()}"
    epc = parse_epc(uri)
    if epc.is_class:
        raise ParseError("EPC", f"{uri:.120} is a class of things; a reader sees one thing")
    return epc.urn or epc.key


@dataclass(frozen=True, slots=True)
class _Parser:
    """The way through envelopes, arrays and lines, with what is known beside them."""

    known: Known

    def parse(self, topic: str, payload: bytes) -> Parsed:
        """Return the items and faults of a payload; raises where all of it is bad."""
        if len(payload) > MESSAGE_BYTES_MAX:
            raise ParseError(
                "", f"has {len(payload)} bytes, at most {MESSAGE_BYTES_MAX} are read"
            )
        if sparkplug.is_sparkplug_topic(topic):
            return sparkplug.read_message(topic, payload, self.known.nodes)
        if not payload.strip():
            return Parsed(faults=(not_a_read("an empty message"),))
        mapped = self._mapped(topic, payload)
        if mapped is not None:
            return mapped
        return self._parse_shapes(payload)

    def _mapped(self, topic: str, payload: bytes) -> Parsed | None:
        """Return what the first mapping that fits makes of it, None where none does."""
        if not self.known.mappings:
            return None
        try:
            value = _load(payload)
        except msgspec.DecodeError:
            return None  # another shape's, if anybody's
        found = (
            read_mapped(rule, value, len(payload))
            for rule in find_mappings(self.known.mappings, topic)
        )
        return next((one for one in found if one is not None), None)

    def _parse_shapes(self, payload: bytes) -> Parsed:
        """Return what the shapes that are built in make of a payload."""
        payload = payload.removeprefix(texts.BOM)
        if payload.startswith(texts.SSE_STARTS):
            return self._lines(payload, is_sse=True)
        try:
            return self._value(_load(payload), "")
        except msgspec.DecodeError as error:
            if texts.is_stream(payload):
                return self._lines(payload, is_sse=False)
            return texts.read_text(payload, str(error))

    def _lines(self, payload: bytes, *, is_sse: bool) -> Parsed:
        parts: list[Parsed] = []
        for n, raw in enumerate(payload.splitlines(), start=1):
            data = raw.strip()
            if is_sse:
                data = data.removeprefix(b"data:").strip() if data.startswith(b"data:") else b""
            if not data:
                continue
            try:
                parts.append(self._value(_load(data), f"line {n}"))
            except msgspec.DecodeError as error:
                fault = Fault(where=f"line {n}", why=f"is broken JSON: {error}")
                parts.append(Parsed(faults=(fault,)))
            except ParseError as error:
                fault = Fault(where=f"line {n} {error.where}".strip(), why=error.why)
                parts.append(Parsed(faults=(fault,)))
        if not parts:
            return Parsed(faults=(not_a_read("a stream of lines without data"),))
        return _join(parts)

    def _value(self, value: object, where: str) -> Parsed:
        if not isinstance(value, list):
            return self._one(value, where)
        if not value:
            return Parsed(faults=(not_a_read("an empty array", where),))
        return _join(self._one(element, f"{where}[{n}]") for n, element in enumerate(value))

    def _one(self, value: object, where: str) -> Parsed:
        """Return what one object or text says; never raises, so that its neighbours go on."""
        try:
            if isinstance(value, dict):
                return self._object(value, where)
            if isinstance(value, str):
                will = wills.parse_text(value, where)
                return will or Parsed(items=(_parse_text(value, where),))
        except ParseError as error:
            return Parsed(faults=(Fault(where=error.where, why=error.why),))
        why = f"the JSON value {value!r:.80}"
        if isinstance(value, list) and value:
            return Parsed(faults=(Fault(where=where, why=f"{why} is not understood"),))
        return Parsed(faults=(not_a_read(why, where),))

    def _object(self, value: Mapping[str, object], where: str) -> Parsed:
        if signed.is_signed(value):
            return Parsed(items=(signed.parse_submission(value, where, self.known.keys),))
        if sparkplug.is_sparkplug(value):
            return sparkplug.read_json(value, self.known.nodes)
        for fits, read in _READERS:
            if fits(value):
                found = read(value, where)
                break
        else:
            found = generic.parse_object_of_reads(value, where)
        match found:
            case Parsed():
                return found
            case Fault():
                return Parsed(faults=(found,))
            case _:
                return Parsed(items=(found,))


def _load(data: bytes) -> object:
    try:
        value: object = msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        raise ParseError("", f"is no UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ParseError("", "nests too deeply to be read") from None
    return value


def _parse_text(value: str, where: str) -> Sighting:
    sighting = generic.parse_element(value, where)
    assert isinstance(sighting, Sighting)
    return sighting


def _join(parts: Iterable[Parsed]) -> Parsed:
    items: list[Item] = []
    faults: list[Fault] = []
    unknown = 0
    for part in parts:
        items.extend(part.items)
        faults.extend(part.faults)
        unknown += part.unknown
    return Parsed(items=tuple(items), faults=tuple(faults), unknown=unknown)
