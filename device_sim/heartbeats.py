"""Heartbeats: what readers send to say that they live, and what they lost since they began.

* `zebra`, `zebra-single`: the IoT connector's heartbeat, a management event with an
  `eventNum` of its own; `numDataMessagesDropped` counts since the reader started
* `zebra-handheld`: `heartBeatEVT`
* `impinj`: an event of type `heartbeat`
* `smartreader`: an envelope whose one tag read `isHeartBeat`
* `llrp`: `KEEPALIVE` (LLRP 1.1, section 13.1.9), as the client puts it on MQTT
* `json`: `{"type":"heartbeat"}` with what was `dropped`

A `Meter` is what one reader counts; a start sets it back.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from device_sim.losses import MANAGEMENT
from device_sim.readers import Mark, Packet, Tell, hostname
from device_sim.world import Message, ReaderModel, Station, format_time

SAYS_DROPS = frozenset({"zebra", "zebra-single", "json"})
"""The readers whose heartbeats say how many messages they dropped."""


class Beat(NamedTuple):
    """A heartbeat that is due: whose, and when."""

    station: Station
    time_us: int


@dataclass(slots=True)
class Meter:
    """What one reader counts since its newest start; `drops` are instants."""

    boot: int = 1
    events: int = 0
    managed: int = 0
    drops: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start anew: every counter begins again."""
        self.boot += 1
        self.events = self.managed = 0
        self.drops.clear()

    def mark(self, time_us: int) -> Mark:
        """Return how far the reader has counted at `time_us`."""
        dropped = sum(at < time_us for at in self.drops)
        return Mark(boot=self.boot, number=self.events + 1, dropped=dropped)

    def take(self, packets: Iterable[Packet]) -> None:
        """Count the events of these packets."""
        numbers = (one.numbers[-1] for one in packets if one.numbers)
        self.events = max(numbers, default=self.events)


def beat_packet(beat: Beat, meter: Meter, clock: Tell | None) -> Packet:
    """Return the heartbeat of a reader; a management event of its own is counted."""
    station, mark = beat.station, meter.mark(beat.time_us)
    told_us = beat.time_us if clock is None else clock(beat.time_us)
    numbers = range(0)
    if station.reader in ("zebra", "zebra-single"):
        meter.managed += 1
        numbers = range(meter.managed, meter.managed + 1)
        mark = replace(mark, number=meter.managed)
    body = _BODIES[station.reader](station, format_time(told_us), mark)
    payload = json.dumps(body, separators=(",", ":")).encode()
    message = Message(beat.time_us, f"{station.topic}/reader", payload)
    return Packet(message, (), numbers=numbers, boot=mark.boot, counter=MANAGEMENT)


def _zebra(_station: Station, time: str, mark: Mark) -> Mapping[str, Any]:
    path = {"numDataMessagesDropped": mark.dropped}
    return {
        "component": "RG",
        "data": {
            "radio_control": {"radioConnection": "connected", "status": "running"},
            "reader_gateway": {"dataPathStatistics": [path]},
        },
        "eventNum": mark.number, "timestamp": f"{time[:-1]}+0000", "type": "heartbeat",
    }  # fmt: skip


def _handheld(_station: Station, time: str, _mark: Mark) -> Mapping[str, Any]:
    return {"type": "heartBeatEVT", "timestamp": time, "data": {"radio_control": {}}}


def _impinj(station: Station, time: str, _mark: Mark) -> Mapping[str, Any]:
    return {"timestamp": time, "hostname": hostname(station), "eventType": "heartbeat"}


def _smartreader(station: Station, time: str, _mark: Mark) -> Mapping[str, Any]:
    beat = {"epc": "*****", "isHeartBeat": True, "firstSeenTimestamp": time}
    return {"reader_name": hostname(station), "tag_reads": [beat]}


def _llrp(station: Station, time: str, _mark: Mark) -> Mapping[str, Any]:
    return {"reader": hostname(station), "message": "KEEPALIVE", "timestamp": time}


def _json(station: Station, time: str, mark: Mark) -> Mapping[str, Any]:
    name = hostname(station)
    return {"type": "heartbeat", "reader": name, "time": time, "dropped": mark.dropped}


_BODIES: dict[ReaderModel, Callable[[Station, str, Mark], Mapping[str, Any]]] = {
    "zebra": _zebra,
    "zebra-single": _zebra,
    "zebra-handheld": _handheld,
    "impinj": _impinj,
    "smartreader": _smartreader,
    "llrp": _llrp,
    "json": _json,
}
