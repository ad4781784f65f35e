"""Uplinks: what happens to a reader's messages between its antennas and the broker.

A reader counts what it writes (`heartbeats.Meter`); for a while it may be off, cut off for
good, or offline with a backlog; messages in the middle of a pass are lost, dropped or late.
What arrives and what never does is noted in the book's `losses`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from device_sim.faults import FaultBook
from device_sim.heartbeats import Meter
from device_sim.readers import Mark, Packet
from device_sim.scenario import FaultTable
from device_sim.spoiling import at, middle, shows_tampering
from device_sim.tags import Epc
from device_sim.world import SECOND_US, Station

AWAY = frozenset({"reboot", "offline", "cut_off"})
UPLINK = frozenset({"offline", "cut_off", "lost_messages", "reader_drops", "out_of_order"})


@dataclass(slots=True)
class Active:
    """A fault that happens: from when to when, and how many messages wait after it.

    Of a reboot, `begun` says that the reader has started anew, and `mark` how far it would
    have counted without it.
    """

    number: int
    fault: FaultTable
    from_us: int
    to_us: int
    waiting: int = field(default=0)
    begun: bool = field(default=False)
    mark: Mark | None = field(default=None)


class Uplinks:
    """The ways of all readers of a run to the broker."""

    def __init__(self, book: FaultBook) -> None:
        """Note in `book` what does not arrive."""
        self._book = book
        self._meters: dict[str, Meter] = {}

    def change(self, one: Active, station: Station, packets: list[Packet]) -> list[Packet]:
        """Return what arrives, and when, of the packets that a reader wrote in a fault."""
        if one.fault.kind == "offline":
            return self._backfill(one, packets)
        return self._take_out(one, station, packets)

    def meter(self, station: Station) -> Meter:
        """Return what the reader of a station has counted."""
        return self._meters.setdefault(station.name, Meter())

    def note(self, station: Station, packets: Iterable[Packet]) -> None:
        """Note of the packets of a reader what arrives, and what arrives unreadable."""
        for one in packets:
            self._book.losses.heard(station, one.message.time_us)
            self._book.losses.came(station, one.boot, one.counter, one.numbers)

    def note_spoilt(
        self, one: Active, station: Station, before: Sequence[Packet], after: Sequence[Packet]
    ) -> None:
        """Note which messages came so that nobody can read them, and what they told."""
        kind = one.fault.kind
        if kind == "tampered" and not shows_tampering(station):
            return
        for whole, spoilt in zip(before, after, strict=True):
            if not spoilt.readable:
                cause = (spoilt.message.time_us, kind)
                self._book.losses.unreadable(station, spoilt.message, kind)
                self._book.losses.lost(station, whole.boot, whole.counter, whole.numbers, cause)

    def begin(self, one: Active, station: Station) -> None:
        """Note once that nothing gets out for a while; a reader that was off counts anew."""
        if one.begun or one.fault.kind not in AWAY:
            return
        one.begun = True
        self._book.losses.away(station, (one.from_us, one.to_us), one.fault.kind)
        if one.fault.kind == "reboot":
            self.meter(station).start()

    def _take_out(self, one: Active, station: Station, packets: list[Packet]) -> list[Packet]:
        """Return the packets of a pass of which some never come, or come late."""
        fault = one.fault
        if fault.kind == "cut_off":
            gone = [
                packet for packet in packets
                if one.from_us <= packet.message.time_us < one.to_us
            ]  # fmt: skip
            return self._lose(one, station, packets, gone)
        picked = [packets[n] for n in middle(packets, fault.messages)]
        if fault.kind == "reader_drops" and picked:
            times = [packet.message.time_us for packet in picked]
            self.meter(station).drops += times
            self._book.losses.dropped(station, times, fault.kind)
        if fault.kind != "out_of_order" or not picked:
            return self._lose(one, station, packets, picked)
        late_us = int(fault.seconds * SECOND_US)
        late = [replace(p, message=at(p.message, p.message.time_us + late_us)) for p in picked]
        span = (picked[0].message.time_us, late[-1].message.time_us)
        self._book.label(one.number, fault, span, things_of(late))
        self._book.touch(one.number, (packet.message for packet in late))
        return [*(packet for packet in packets if packet not in picked), *late]

    def _lose(
        self, one: Active, station: Station, packets: Sequence[Packet], gone: Sequence[Packet]
    ) -> list[Packet]:
        """Take `gone` out of `packets`: they never come."""
        kind = one.fault.kind
        for packet in gone:
            at_us = packet.message.time_us
            numbered = (packet.boot, packet.counter, packet.numbers)
            self._book.losses.lost(station, *numbered, (at_us, kind))
        if gone:
            times = [packet.message.time_us for packet in gone]
            self._book.label(one.number, one.fault, (min(times), max(times)), things_of(gone))
            self._book.touch(one.number, (packet.message for packet in gone))
        return [packet for packet in packets if packet not in gone]

    def _backfill(self, one: Active, packets: Iterable[Packet]) -> list[Packet]:
        """Hold back what would be sent while the reader is offline, and send it after."""
        sent, held = [], []
        for packet in packets:
            if one.from_us <= packet.message.time_us < one.to_us:
                late_us = one.to_us + one.waiting * SECOND_US // one.fault.rate
                one.waiting += 1
                held.append(replace(packet, message=at(packet.message, late_us)))
            else:
                sent.append(packet)
        if held:
            self._book.label(one.number, one.fault, (one.from_us, one.to_us), things_of(held))
            self._book.touch(one.number, (packet.message for packet in held))
        return [*sent, *held]


def things_of(packets: Iterable[Packet]) -> list[Epc]:
    """Return the EPCs that the packets tell, each once."""
    return list(dict.fromkeys(read.tag.epc for one in packets for read in one.reads))
