"""Reader faults: what happens to tags, reads and messages between a door and the broker.

* by chance, at the scenario's rates: a tag crosses and none of its labels is heard
* `stray`: tags at the door `by` are heard, weakly, at `station` too
* `ghost`: `count` reads of bit patterns that no tag has
* `antenna_failure`, `reboot`: an antenna, or the reader, hears nothing for a while
* `clock_skew`, `clock_drift`, `clock_step`, `no_clock`: the reader's clock is wrong by
  `seconds`, by `ppm` more and more, from a pass on, or starts in 1970
* `offline`: for a while nothing gets out; then it is sent, at most `rate` messages a second
* `cut_off`: for a while nothing gets out, and nothing of it is ever sent
* `lost_messages`, `reader_drops`: messages in the middle of a pass never come, lost by the
  network or thrown away by the reader, which says so in its next heartbeat
* `out_of_order`: messages in the middle of a pass come `seconds` later than they were written
* `duplicate_burst`, `replayed`: the last messages of a pass again, soon or `hours` later
* `truncated`, `tampered`, `poison`: messages cut off, changed on the way, or garbage
* `forged`: messages about items that were elsewhere
* `stolen_key`: the same from a device that signs, with a copy of its key

Every fault begins with pass number `pass` of its station and never happens if there is none.
A tag that was heard, but only in reads or messages that a fault swallowed, is labelled as
missed. What of it leaves a gap that whoever listens can know of is noted in the book's losses.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from device_sim.chance import Stream, draw_bytes
from device_sim.chronicle import STAY_US, Story
from device_sim.faults import FaultBook, Missed
from device_sim.heartbeats import SAYS_DROPS, Beat, beat_packet
from device_sim.radio import DEAFNESS, hear_pass
from device_sim.readers import Mark, Packet, Tell, station_packets
from device_sim.scenario import FAULT_KEYS, FaultTable, Scenario
from device_sim.signing import Signing
from device_sim.spoiling import again, cut, poison, tamper
from device_sim.tags import Epc, raw_tag, worn
from device_sim.uplinks import AWAY, UPLINK, Active, Uplinks, things_of
from device_sim.world import (
    HOUR_US,
    MILLISECOND_US,
    MINUTE_US,
    SECOND_US,
    Pass,
    Read,
    Station,
    Visit,
    World,
    parse_time,
)

RESEND_AFTER_US = 5 * SECOND_US
FORGED_AFTER_US = 10 * SECOND_US
BOOT_US = parse_time("1970-01-01T00:00:40Z")
FOREVER_US = 1 << 62
STRAY_RSSI_CDBM = -7_200
_LASTING = {"antenna_failure", "reboot", "offline", "cut_off", "no_clock"}
_ALWAYS = {"clock_skew", "clock_drift", "stray"}
_CLOCKS = {"clock_skew", "clock_drift", "clock_step", "no_clock"}


class ReaderFaults:
    """All that the readers of a run hear and send, with the faults of the scenario."""

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        story: Story,
        seed: int,
        book: FaultBook,
        signing: Signing,
    ) -> None:
        self.signing = signing
        self.scenario = scenario
        self.world = world
        self.story = story
        self.seed = seed
        self.book = book
        self.reads = 0
        self.uplinks = Uplinks(book)
        starts = {(one.station.name, one.number): one for one in story.passes}
        self._at: dict[str, list[Active]] = {}
        self._next_door: dict[str, list[Active]] = {}
        for number, fault in enumerate(scenario.fault):
            active = _activate(number, fault, starts, scenario.start_us)
            if active is not None:
                place = fault.by if fault.kind == "stray" else fault.station
                where = self._next_door if fault.kind == "stray" else self._at
                where.setdefault(place or "", []).append(active)

    def hear(self, crossing: Pass) -> list[Packet]:
        """Return all that is sent because of one pass, in no order."""
        unheard = self._unheard(crossing)
        epcs = {one.visit.tag.epc for one in unheard}
        reads = hear_pass(crossing, epcs, self.seed, self.scenario.radio.reads)
        self.reads += len(reads)
        active = [
            one
            for one in self._at.get(crossing.station.name, ())
            if one.from_us < crossing.end_us and crossing.start_us < one.to_us
        ]
        clock, meter = self._clock(active), self.uplinks.meter(crossing.station)
        before = meter.mark(crossing.start_us)
        for one in active:
            self.uplinks.begin(one, crossing.station)
            reads = self._change_reads(one, crossing, reads, before)
        if crossing.station.reader == "signed":
            packets = self.signing.sign_pass(crossing.station, reads, clock)
        else:
            mark = meter.mark(crossing.start_us)
            packets = station_packets(crossing.station, reads, clock, mark)
            meter.take(packets)
        for one in active:
            packets = self._change_packets(one, crossing, packets)
        self.uplinks.note(crossing.station, packets)
        self.book.missed += unheard
        if active:
            self.book.missed += self._swallowed(crossing, epcs, packets, active)
        marked = self.book.marked(crossing)
        if marked is not None:
            self.book.touch(marked, (one.message for one in packets))
        packets += self._stray(crossing)
        return packets

    def beat(self, beat: Beat) -> list[Packet]:
        """Return what is sent because a heartbeat is due: nothing where the reader is off."""
        station = beat.station
        active = [
            one
            for one in self._at.get(station.name, ())
            if one.from_us <= beat.time_us < one.to_us
        ]
        for one in active:
            self.uplinks.begin(one, station)
        if any(one.fault.kind == "reboot" for one in active):
            return []
        packets = [beat_packet(beat, self.uplinks.meter(station), self._clock(active))]
        for one in active:
            if one.fault.kind in AWAY:
                packets = self.uplinks.change(one, station, packets)
        self.uplinks.note(station, packets)
        if station.reader in SAYS_DROPS:
            for packet in packets:
                self.book.losses.told(station, packet.message.time_us)
        return packets

    def _unheard(self, crossing: Pass) -> list[Missed]:
        """Return the visits of one pass that no antenna hears by chance."""
        station, radio = crossing.station, self.scenario.radio
        encoder = station.does in {"fill", "make"}
        chance = radio.missed_at_encoder if encoder else radio.missed
        missed = []
        for visit in crossing.visits:
            stream = Stream(self.seed, "missed", station.name, crossing.number, visit.tag.epc)
            deaf = chance * DEAFNESS[visit.tag.material]
            if all(stream.unit() < deaf for _ in range(visit.tag.labels)):
                missed.append(Missed(crossing, visit))
        return missed

    def _swallowed(
        self,
        crossing: Pass,
        unheard: set[Epc],
        packets: Iterable[Packet],
        active: Sequence[Active],
    ) -> Iterator[Missed]:
        told = {read.tag.epc for one in packets if one.readable for read in one.reads}
        for visit in crossing.visits:
            if visit.tag.epc not in told and visit.tag.epc not in unheard:
                yield Missed(crossing, visit, active[0].fault.kind)

    def _change_reads(
        self, one: Active, crossing: Pass, reads: list[Read], mark: Mark
    ) -> list[Read]:
        """Return the reads that are left of a pass, and those that nobody made.

        `mark` is how far the reader had counted before.
        """
        fault, span = one.fault, (one.from_us, one.to_us)
        lost: list[Read] = []
        if fault.kind in {"antenna_failure", "reboot"}:
            lost = [
                read
                for read in reads
                if span[0] <= read.time_us < span[1]
                and (fault.kind == "reboot" or read.antenna == fault.antenna)
            ]
        elif fault.kind == "ghost":
            made = self._ghosts(one, crossing)
            things = [read.tag.epc for read in made]
            self.book.label(one.number, fault, (crossing.start_us, crossing.end_us), things)
            return sorted([*reads, *made], key=lambda read: read.time_us)
        if lost:
            gone = set(lost)
            self.book.label(one.number, fault, span, (read.tag.epc for read in lost))
            if crossing.station.reader != "signed":  # what it would have signed is nowhere
                unsent = station_packets(crossing.station, reads, mark=one.mark or mark)
                if fault.kind == "reboot" and unsent[-1].numbers:
                    one.mark = replace(mark, number=unsent[-1].numbers.stop)
                self.book.touch(
                    one.number, (p.message for p in unsent if not gone.isdisjoint(p.reads))
                )
            return [read for read in reads if read not in gone]
        return reads

    def _ghosts(self, one: Active, crossing: Pass) -> list[Read]:
        ghosts = []
        length_ms = (crossing.end_us - crossing.start_us) // MILLISECOND_US
        for n in range(one.fault.count):
            draws = draw_bytes(16, self.seed, "ghost", one.number, n)
            time_us = (
                crossing.start_us + int.from_bytes(draws[12:]) % length_ms * MILLISECOND_US
            )
            tag = raw_tag(draws[:12].hex().upper())
            ghosts.append(Read(tag, time_us, 1, STRAY_RSSI_CDBM, 0, 865_700))
        return ghosts

    def _clock(self, active: Iterable[Active]) -> Tell | None:
        wrong = [one for one in active if one.fault.kind in _CLOCKS]
        if not wrong:
            return None

        def tell(time_us: int) -> int:
            for one in wrong:
                if one.from_us <= time_us < one.to_us:
                    time_us = _shift(one, time_us)
            return time_us

        return tell

    def _change_packets(
        self, one: Active, crossing: Pass, packets: list[Packet]
    ) -> list[Packet]:
        """Return the packets that are sent in place of these."""
        fault, span = one.fault, (crossing.start_us, crossing.end_us)
        if fault.kind in _CLOCKS:
            self.book.label(one.number, fault, span, things_of(packets))
            self.book.touch(one.number, (packet.message for packet in packets))
            return packets
        if fault.kind == "ghost":
            haunted = [each for each in packets if any(map(_is_ghost, each.reads))]
            self.book.touch(one.number, (packet.message for packet in haunted))
            return packets
        if fault.kind in UPLINK:
            return self.uplinks.change(one, crossing.station, packets)
        picked = packets[-fault.messages :]
        made: list[Packet] = []
        match fault.kind:
            case "duplicate_burst" | "replayed":
                after_us = RESEND_AFTER_US
                if fault.kind == "replayed":
                    after_us = fault.hours * HOUR_US
                made = again(picked, crossing.end_us + after_us)
                packets = [*packets, *made]
            case "truncated" | "tampered":
                spoil = cut if fault.kind == "truncated" else tamper
                made = [spoil(packet) for packet in picked]
                packets = [*packets[: len(packets) - len(picked)], *made]
                self.uplinks.note_spoilt(one, crossing.station, picked, made)
            case "poison":
                made = poison(crossing, fault.messages)
                packets = [*packets, *made]
                self.uplinks.note_spoilt(one, crossing.station, made, made)
            case "forged" | "stolen_key":
                made = self._forge(one, crossing)
                packets = [*packets, *made]
            case _:  # it changes reads or clocks, or is another room's
                return packets
        if made:
            times = [packet.message.time_us for packet in made]
            self.book.label(one.number, fault, (min(times), max(times)), things_of(made))
            self.book.touch(one.number, (packet.message for packet in made))
        return packets

    def _forge(self, one: Active, crossing: Pass) -> list[Packet]:
        """Return messages of a pass that never was, with items that are elsewhere."""
        start_us = crossing.end_us + FORGED_AFTER_US
        absent = [
            life.epc
            for life in self.story.items.values()
            if life.made_us < start_us and (life.ended_us is None or start_us < life.ended_us)
            and life.stays[-1].site is not crossing.station.site
        ]  # fmt: skip
        picked = Stream(self.seed, "forged", one.number).shuffled(absent)[: one.fault.count]
        stay_us = STAY_US[crossing.station.profile]
        visits = tuple(Visit(worn(epc), start_us, stay_us) for epc in picked)
        never = Pass(
            station=crossing.station, number=1_000_000 + one.number, start_us=start_us,
            end_us=start_us + stay_us, visits=visits,
        )  # fmt: skip
        station, reads = crossing.station, hear_pass(never, (), self.seed)
        if one.fault.kind == "stolen_key":
            return self.signing.steal_pass(station, reads)
        if station.reader == "signed":
            return self.signing.forge_pass(station, reads, one.number)
        mark = self.uplinks.meter(station).mark(
            start_us
        )  # whoever forges listens, and counts on
        return station_packets(station, reads, mark=mark)

    def _stray(self, crossing: Pass) -> list[Packet]:
        """Return what readers next door hear of a pass."""
        packets: list[Packet] = []
        for one in self._next_door.get(crossing.station.name, ()):
            station = self.world.stations[one.fault.station or ""]
            reads = sorted(self._leak(one, crossing, station), key=lambda read: read.time_us)
            if reads:
                meter = self.uplinks.meter(station)
                made = station_packets(station, reads, mark=meter.mark(reads[0].time_us))
                meter.take(made)
                self.uplinks.note(station, made)
                span = (reads[0].time_us, reads[-1].time_us)
                self.book.label(one.number, one.fault, span, things_of(made))
                self.book.touch(one.number, (packet.message for packet in made))
                packets += made
        return packets

    def _leak(self, one: Active, crossing: Pass, station: Station) -> Iterator[Read]:
        for visit in crossing.visits:
            name = ("stray", station.name, crossing.station.name, crossing.number)
            stream = Stream(self.seed, *name, visit.tag.epc)
            if stream.unit() < one.fault.share:
                for _ in range(stream.between(1, 3)):
                    offset_ms = stream.below(visit.stay_us // MILLISECOND_US)
                    time_us = visit.enter_us + offset_ms * MILLISECOND_US
                    rssi = STRAY_RSSI_CDBM + int(stream.noise() * 150)
                    yield Read(visit.tag, time_us, 1, rssi, stream.below(36_000), 866_300)


def _activate(
    number: int, fault: FaultTable, passes: Mapping[tuple[str, int], Pass], start_us: int
) -> Active | None:
    """Return the fault with its time, or None if it is another room's or never happens."""
    if "station" not in FAULT_KEYS[fault.kind] or fault.kind in {"clone", "fakes", "tag_swap"}:
        return None
    if fault.kind in _ALWAYS:
        return Active(number, fault, start_us, FOREVER_US)
    crossing = passes.get((fault.station or "", fault.number))
    if crossing is None:
        return None
    to_us = crossing.end_us
    if fault.kind in _LASTING:
        to_us = crossing.start_us + fault.minutes * MINUTE_US
    elif fault.kind == "clock_step":
        to_us = FOREVER_US
    return Active(number, fault, crossing.start_us, to_us)


def _shift(one: Active, time_us: int) -> int:
    """Return what a wrong clock shows at `time_us`, in whole milliseconds."""
    match one.fault.kind:
        case "clock_drift":
            shifted = time_us + int((time_us - one.from_us) * one.fault.ppm / 1_000_000)
        case "no_clock":
            shifted = BOOT_US + time_us - one.from_us
        case _:
            shifted = time_us + int(one.fault.seconds * SECOND_US)
    return shifted // MILLISECOND_US * MILLISECOND_US


def _is_ghost(read: Read) -> bool:
    return read.tag.epc.startswith("urn:epc:raw:")
