"""Payloads: the bytes that readers, loggers and line controllers send over MQTT.

Written from the vendors' formats and from nobody's parser:

* Impinj R700, IoT device interface: one tagInventory event a message, EPC in base64 and
  hex, `peakRssiCdbm` in 1/100 dBm, `frequency` in kHz, `phaseAngle` in degrees.
* Zebra FX, IoT connector: arrays of events of half a second each, `idHex` in lower case,
  `peakRssi` in whole dBm, `channel` in MHz, CRC-16 over PC and EPC, time zone `+0000`.
* Ruuvi gateway: one advertisement a message, `data` is the BLE payload in hex with the
  manufacturer data 0x0499 in data format 5; time in whole seconds as text.
* Line controller: `line.lot`, `line.empty`, `line.batch` (docs/reference/line-messages.md).

Pure: no I/O, no clock, no randomness.
"""

import json
from base64 import b64encode
from binascii import crc_hqx
from collections.abc import Iterable, Sequence
from hashlib import sha256

from device_sim.world import (
    MILLISECOND_US,
    SECOND_US,
    Message,
    Note,
    Read,
    Sample,
    Station,
    format_time,
)

ZEBRA_WINDOW_US = 500 * MILLISECOND_US
# Protocol control word of a tag with 96 bits of EPC: length 6 words, no user memory (Gen2).
_PC = "3000"
_TX_POWER = (4 + 40) // 2  # +4 dBm; format 5 counts from -40 dBm in steps of 2
_BATTERY_FROM_MV = 1_600


def station_messages(station: Station, reads: Sequence[Read]) -> list[Message]:
    """Return what the reader of `station` publishes for `reads`, in order."""
    topic = f"{station.topic}/reader"
    if station.reader == "impinj":
        return [Message(one.time_us, topic, _impinj(station, one)) for one in reads]
    return [
        Message(window[-1].time_us, topic, _zebra(window))
        for window in _windows(reads, ZEBRA_WINDOW_US)
    ]


def note_message(note: Note) -> Message:
    """Return what a line controller publishes for one note."""
    kind = note.body["type"]
    body = {"type": kind, "time": format_time(note.time_us), **dict(note.body)}
    return Message(note.time_us, f"{note.station.topic}/line", _dump(body))


def sample_message(sample: Sample) -> Message:
    """Return what a Ruuvi gateway in the vehicle publishes for one sample of its tag."""
    gateway = _gateway_mac(sample.vehicle.name)
    seconds = str(sample.time_us // SECOND_US)
    body = {
        "gw_mac": gateway, "rssi": -40 - sample.number % 7, "aoa": [], "gwts": seconds,
        "ts": seconds, "data": ruuvi_advertisement(sample).hex().upper(), "coords": "",
    }  # fmt: skip
    topic = f"{sample.vehicle.topic}/{gateway}/{sample.vehicle.logger}"
    return Message(sample.time_us, topic, _dump(body))


def ruuvi_advertisement(sample: Sample) -> bytes:
    """Return the BLE advertisement: flags, then manufacturer data 0x0499 in format 5."""
    power = (sample.battery_mv - _BATTERY_FROM_MV) << 5 | _TX_POWER
    fields = (
        b"\x05"
        + sample.temperature.to_bytes(2, "big", signed=True)
        + sample.humidity.to_bytes(2, "big")
        + sample.pressure.to_bytes(2, "big")
        + (12).to_bytes(2, "big", signed=True)
        + (-8).to_bytes(2, "big", signed=True)
        + (1_012).to_bytes(2, "big", signed=True)
        + power.to_bytes(2, "big")
        + b"\x2a"  # movement counter
        + sample.number.to_bytes(2, "big")
        + bytes.fromhex(sample.vehicle.logger.replace(":", ""))
    )
    manufacturer = b"\xff\x99\x04" + fields
    return b"\x02\x01\x06" + bytes([len(manufacturer)]) + manufacturer


def tag_crc(pc_and_epc: bytes) -> int:
    """Return the CRC-16 that a Gen2 tag keeps over PC and EPC (ISO/IEC 13239)."""
    return crc_hqx(pc_and_epc, 0xFFFF) ^ 0xFFFF


def _impinj(station: Station, read: Read) -> bytes:
    time = format_time(read.time_us)
    memory = read.tag.memory
    tid = _tid(read)
    return _dump(
        {
            "timestamp": time,
            "hostname": f"impinj-{sha256(station.name.encode()).hexdigest()[:6]}",
            "eventType": "tagInventory",
            "tagInventoryEvent": {
                "epc": _base64(memory), "epcHex": memory, "tid": _base64(tid), "tidHex": tid,
                "pc": _base64(_PC), "antennaPort": read.antenna,
                "antennaName": f"Antenna {read.antenna}", "peakRssiCdbm": read.rssi_cdbm,
                "frequency": read.frequency_khz, "transmitPowerCdbm": 3000,
                "lastSeenTime": time, "phaseAngle": read.phase_cdeg / 100,
            },
        }
    )  # fmt: skip


def _zebra(reads: Sequence[Read]) -> bytes:
    events = []
    for read in reads:
        memory = read.tag.memory
        events.append(
            {
                "data": {
                    "CRC": f"{tag_crc(bytes.fromhex(_PC + memory)):04x}", "PC": _PC,
                    "antenna": read.antenna, "channel": read.frequency_khz / 1000,
                    "eventNum": read.time_us // MILLISECOND_US % 1_000_000, "format": "epc",
                    "idHex": memory.lower(), "peakRssi": read.rssi_cdbm // 100,
                    "phase": read.phase_cdeg / 100, "reads": 1,
                },
                "timestamp": format_time(read.time_us, "+0000"),
                "type": "CUSTOM",
            }
        )  # fmt: skip
    return _dump(events)


def _windows(reads: Iterable[Read], window_us: int) -> Iterable[list[Read]]:
    window: list[Read] = []
    for read in reads:
        if window and read.time_us - window[0].time_us >= window_us:
            yield window
            window = []
        window.append(read)
    if window:
        yield window


def _tid(read: Read) -> str:
    """Return the chip's serial number: Impinj Monza R6 (E280 1170), the rest by identity."""
    return "E2801170" + sha256(read.tag.epc.encode()).hexdigest()[:16].upper()


def _gateway_mac(name: str) -> str:
    return "C8:25:2D:" + sha256(name.encode()).digest()[:3].hex(":").upper()


def _base64(hex_text: str) -> str:
    return b64encode(bytes.fromhex(hex_text)).decode("ascii")


def _dump(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
