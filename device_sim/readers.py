"""Readers: the bytes that RFID readers and their bridges send over MQTT.

Written from the vendors' formats and from nobody's parser, one function a family:

* `impinj`: R700, IoT device interface. One tagInventory event a message, EPC in base64 and
  hex, `peakRssiCdbm` in 1/100 dBm, `frequency` in kHz, `phaseAngle` in degrees.
* `zebra`: FX series, IoT connector, batching on. Arrays of events of half a second each,
  `idHex` in lower case, `peakRssi` in whole dBm, `channel` in MHz, CRC-16 over PC and EPC,
  time zone `+0000`, `eventNum` counting the reader's tag events since it started.
  `zebra-single` is the same event without an array (batching off).
* `zebra-handheld`: RFD40 sled, dataEVT: up to 20 tags of one second in `tagData`, each with
  EPC, TID, `seenCount`; the envelope's time in whole seconds holds for all of them.
* `smartreader`: SmartReader on an Impinj reader. An envelope with the reader's name and MAC
  and `tag_reads` of a second, times in microseconds of ISO 8601.
* `llrp`: an LLRP client that puts each RO_ACCESS_REPORT on MQTT: `TagReportData` with the
  parameter names of LLRP 1.1 (section 14.2.3), times in microseconds since 1970 UTC.
* `json`: a small program on a reader that publishes plain JSON: its name, its `boot`, a `seq`
  that counts its messages in that boot, and the `reads` of a second.

Where a reader tells its own time, it is the time of its clock, which a fault may have put
wrong; a message's own time is when it is truly sent.

Pure: no I/O, no clock, no randomness.
"""

import json
from base64 import b64encode
from binascii import crc_hqx
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from hashlib import sha256
from itertools import count

from device_sim.losses import EVENTS
from device_sim.tags import Tag
from device_sim.world import (
    MILLISECOND_US,
    SECOND_US,
    Message,
    Read,
    ReaderModel,
    Station,
    format_time,
)

ZEBRA_WINDOW_US = 500 * MILLISECOND_US
REPORT_WINDOW_US = SECOND_US
HANDHELD_TAGS_MAX = 20
_EPC_96_DIGITS = 24
_TAGS_KEPT = 1 << 16

Tell = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Packet:
    """A message and the reads it tells; `readable` is false for what nobody can parse."""

    message: Message
    reads: Sequence[Read]
    readable: bool = True
    numbers: range = range(0)
    """The event numbers that it tells, counted in its reader's `boot` by `counter`."""
    boot: int = 0
    counter: str = EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a reader has counted: its boot, its next event number, what it dropped."""

    boot: int = 1
    number: int = 1
    dropped: int = 0


_Payload = Callable[[Station, Sequence[Read], Mark], bytes]
_START = Mark()


def station_messages(
    station: Station, reads: Sequence[Read], clock: Tell | None = None
) -> list[Message]:
    """Return what the reader of `station` publishes for `reads`, in order."""
    return [one.message for one in station_packets(station, reads, clock)]


def station_packets(
    station: Station, reads: Sequence[Read], clock: Tell | None = None, mark: Mark = _START
) -> list[Packet]:
    """Return the messages of a reader, each with the reads that it tells.

    `clock` turns an instant into what the reader's clock shows then; `mark` is how far the
    reader has counted.
    """
    topic = f"{station.topic}/reader"
    windows, write = _FAMILIES[station.reader]
    counts = _COUNTS.get(station.reader)
    packets = []
    for window in windows(reads):
        told = window
        if clock is not None:
            told = [one._replace(time_us=clock(one.time_us)) for one in window]
        message = Message(window[-1].time_us, topic, write(station, told, mark))
        numbers = range(0)
        if counts is not None:
            numbers = range(mark.number, mark.number + counts(window))
            mark = replace(mark, number=numbers.stop)
        packets.append(Packet(message, window, numbers=numbers, boot=mark.boot))
    return packets


def tag_crc(pc_and_epc: bytes) -> int:
    """Return the CRC-16 that a Gen2 tag keeps over PC and EPC (ISO/IEC 13239)."""
    return crc_hqx(pc_and_epc, 0xFFFF) ^ 0xFFFF


@lru_cache(maxsize=_TAGS_KEPT)
def tag_chip(tag: Tag) -> str:
    """Return the chip's serial number in hex: Impinj Monza R6 (E280 1170), then its own."""
    own = f"{tag.epc}{tag.chip}".encode()
    return "E2801170" + sha256(own).hexdigest()[:16].upper()


def _impinj(station: Station, reads: Sequence[Read], _mark: Mark) -> bytes:
    (read,) = reads
    time = format_time(read.time_us)
    return (
        f'{{"timestamp":"{time}","hostname":"{_hostname(station.name)}",'
        f'"eventType":"tagInventory","tagInventoryEvent":{{{_impinj_tag(read.tag)},'
        f'"antennaPort":{read.antenna},"antennaName":"Antenna {read.antenna}",'
        f'"peakRssiCdbm":{read.rssi_cdbm},"frequency":{read.frequency_khz},'
        f'"transmitPowerCdbm":3000,"lastSeenTime":"{time}",'
        f'"phaseAngle":{read.phase_cdeg / 100}}}}}'
    ).encode()


@lru_cache(maxsize=_TAGS_KEPT)
def _impinj_tag(tag: Tag) -> str:
    memory, tid = tag.memory, tag_chip(tag)
    return (
        f'"epc":"{_base64(memory)}","epcHex":"{memory}","tid":"{_base64(tid)}",'
        f'"tidHex":"{tid}","pc":"{_base64(tag.pc)}"'
    )


def _zebra_event(read: Read, number: int) -> str:
    return (
        f'{{"data":{{{_zebra_tag(read.tag)},"antenna":{read.antenna},'
        f'"channel":{read.frequency_khz / 1000},'
        f'"eventNum":{number},"format":"epc",'
        f'"peakRssi":{read.rssi_cdbm // 100},"phase":{read.phase_cdeg / 100},"reads":1}},'
        f'"timestamp":"{format_time(read.time_us, "+0000")}","type":"CUSTOM"}}'
    )


@lru_cache(maxsize=_TAGS_KEPT)
def _zebra_tag(tag: Tag) -> str:
    memory = tag.memory
    crc = tag_crc(bytes.fromhex(tag.pc + memory))
    return f'"CRC":"{crc:04x}","PC":"{tag.pc}","idHex":"{memory.lower()}"'


def _zebra(_station: Station, reads: Sequence[Read], mark: Mark) -> bytes:
    return f"[{','.join(map(_zebra_event, reads, count(mark.number)))}]".encode()


def _zebra_single(_station: Station, reads: Sequence[Read], mark: Mark) -> bytes:
    (read,) = reads
    return _zebra_event(read, mark.number).encode()


def _zebra_handheld(_station: Station, reads: Sequence[Read], _mark: Mark) -> bytes:
    loudest: dict[str, Read] = {}
    counts: dict[str, int] = {}
    for read in reads:
        memory = read.tag.memory
        counts[memory] = counts.get(memory, 0) + 1
        if memory not in loudest or read.rssi_cdbm > loudest[memory].rssi_cdbm:
            loudest[memory] = read
    tags = [
        {
            "EPCid": memory, "EPC": memory, "TID": tag_chip(read.tag),
            "channel": read.frequency_khz / 1000, "eventNum": number,
            "peakRssi": read.rssi_cdbm // 100, "phase": read.phase_cdeg // 100,
            "seenCount": counts[memory], "accessResults": ["READ-TID-SUCCESS"],
        }
        for number, (memory, read) in enumerate(loudest.items(), start=1)
    ]  # fmt: skip
    seconds = format_time(reads[-1].time_us)[:19] + "Z"
    return _dump({"type": "BALANCED_PERFORMANCE", "timestamp": seconds,
                  "data": {"tagData": tags}})  # fmt: skip


def _smartreader(station: Station, reads: Sequence[Read], _mark: Mark) -> bytes:
    return _dump(
        {
            "reader_name": _hostname(station.name), "mac_address": _mac(station.name),
            "tag_reads": [
                {
                    "epc": read.tag.memory, "tid": tag_chip(read.tag), "isHeartBeat": False,
                    "antennaPort": read.antenna, "peakRssi": read.rssi_cdbm / 100,
                    "frequency": read.frequency_khz, "rfPhase": read.phase_cdeg / 100,
                    "firstSeenTimestamp": _micros(read.time_us),
                }
                for read in reads
            ],
        }
    )  # fmt: skip


def _llrp(station: Station, reads: Sequence[Read], _mark: Mark) -> bytes:
    return _dump(
        {
            "reader": _hostname(station.name), "message": "RO_ACCESS_REPORT",
            "TagReportData": [
                {
                    _epc_parameter(read.tag): read.tag.memory.lower(),
                    "AntennaID": read.antenna,
                    "PeakRSSI": read.rssi_cdbm // 100, "C1G2PC": int(read.tag.pc, 16),
                    "ChannelIndex": 1 + (read.frequency_khz - 865_700) // 600,
                    "FirstSeenTimestampUTC": read.time_us,
                    "LastSeenTimestampUTC": read.time_us, "TagSeenCount": 1,
                }
                for read in reads
            ],
        }
    )  # fmt: skip


def _json(station: Station, reads: Sequence[Read], mark: Mark) -> bytes:
    return _dump(
        {
            "reader": hostname(station), "boot": boot_name(station, mark.boot),
            "seq": mark.number,
            "reads": [
                {
                    "epc": read.tag.memory, "antenna": read.antenna,
                    "rssi": read.rssi_cdbm / 100, "timestamp": format_time(read.time_us),
                }
                for read in reads
            ],
        }
    )  # fmt: skip


def _epc_parameter(tag: Tag) -> str:
    """Return LLRP's parameter for an EPC: one of 96 bits has its own (14.2.3.2)."""
    return "EPC-96" if len(tag.memory) == _EPC_96_DIGITS else "EPCData"


def _each(reads: Sequence[Read]) -> Iterable[Sequence[Read]]:
    return [(read,) for read in reads]


def _halves(reads: Sequence[Read]) -> Iterable[Sequence[Read]]:
    return _windows(reads, ZEBRA_WINDOW_US)


def _seconds(reads: Sequence[Read]) -> Iterable[Sequence[Read]]:
    return _windows(reads, REPORT_WINDOW_US)


def _sweeps(reads: Sequence[Read]) -> Iterable[Sequence[Read]]:
    """Yield the reads of one second, in pieces of at most `HANDHELD_TAGS_MAX` tags."""
    for window in _windows(reads, REPORT_WINDOW_US):
        order = {
            memory: n for n, memory in enumerate(dict.fromkeys(r.tag.memory for r in window))
        }
        for start in range(0, len(order), HANDHELD_TAGS_MAX):
            end = start + HANDHELD_TAGS_MAX
            yield [one for one in window if start <= order[one.tag.memory] < end]


def _windows(reads: Iterable[Read], window_us: int) -> Iterable[list[Read]]:
    window: list[Read] = []
    for read in reads:
        if window and read.time_us - window[0].time_us >= window_us:
            yield window
            window = []
        window.append(read)
    if window:
        yield window


_FAMILIES: dict[
    ReaderModel, tuple[Callable[[Sequence[Read]], Iterable[Sequence[Read]]], _Payload]
] = {
    "impinj": (_each, _impinj),
    "zebra": (_halves, _zebra),
    "zebra-single": (_each, _zebra_single),
    "zebra-handheld": (_sweeps, _zebra_handheld),
    "smartreader": (_seconds, _smartreader),
    "llrp": (_seconds, _llrp),
    "json": (_seconds, _json),
}
# How many event numbers a message takes, of the families that count.
_COUNTS: dict[ReaderModel, Callable[[Sequence[Read]], int]] = {
    "zebra": len,
    "zebra-single": len,
    "json": lambda _reads: 1,
}
COUNTING = frozenset(_COUNTS)
"""The readers that number their events or messages."""


def hostname(station: Station) -> str:
    """Return the name by which a reader calls itself."""
    return _hostname(station.name) if station.reader != "json" else station.spot


def boot_name(station: Station, boot: int) -> str:
    """Return how a reader calls the boot of that number."""
    return sha256(f"{station.name} {boot}".encode()).hexdigest()[:8]


@cache  # as many as there are readers
def _hostname(name: str) -> str:
    return f"impinj-{sha256(name.encode()).hexdigest()[:6]}"


def _mac(name: str) -> str:
    return "00:16:25:" + sha256(name.encode()).digest()[:3].hex(":").upper()


def _micros(time_us: int) -> str:
    return f"{format_time(time_us)[:19]}.{time_us % SECOND_US:06d}Z"


def _base64(hex_text: str) -> str:
    return b64encode(bytes.fromhex(hex_text)).decode("ascii")


def _dump(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
