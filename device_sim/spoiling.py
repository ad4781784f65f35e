"""Spoiling: what a fault makes of the messages of a pass after the reader has written them.

* sent again, soon or hours later; cut off; with other EPCs; garbage between them
* taken out of the middle, as by a network or a reader that has no room; or sent later

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import replace

from device_sim.readers import Packet
from device_sim.world import MILLISECOND_US, Message, Pass, Station

# Each with whether a tag read may be in it: an empty message is surely none.
POISON: tuple[tuple[bytes, bool], ...] = (
    (b"\xff\xfe\x00\x01", True), (b'{"tagInventoryEvent":', True), (b"[" * 200, True),
    (b"null", False), (b"", False),
    (b'{"eventType":"tagInventory","tagInventoryEvent":{"epcHex":"ZZZZ","epc":"?"}}', True),
)  # fmt: skip


def at(message: Message, time_us: int) -> Message:
    """Return the same message, sent at another time."""
    return Message(time_us, message.topic, message.payload)


def again(packets: Sequence[Packet], from_us: int) -> list[Packet]:
    """Return the packets once more, one a millisecond."""
    return [
        Packet(at(one.message, from_us + n * MILLISECOND_US), one.reads)
        for n, one in enumerate(packets)
    ]


def cut(packet: Packet) -> Packet:
    """Return the first half of a packet's message."""
    payload = packet.message.payload
    message = replace(packet.message, payload=payload[: len(payload) // 2])
    return Packet(message, packet.reads, readable=False)


def tamper(packet: Packet) -> Packet:
    """Return the packet with the last digit of each tag's EPC in hex changed."""
    payload = packet.message.payload
    if packet.message.topic.endswith("/signed"):
        middle = len(payload) // 2
        letter = b"A" if payload[middle : middle + 1] != b"A" else b"B"
        payload = payload[:middle] + letter + payload[middle + 1 :]
        message = replace(packet.message, payload=payload)
        return replace(packet, message=message, readable=False)
    for tag in {read.tag for read in packet.reads}:
        for memory in (tag.memory, tag.memory.lower()):
            other = memory[:-1] + format(int(memory[-1], 16) ^ 1, "x").upper()
            other = other if memory.isupper() else other.lower()
            payload = payload.replace(memory.encode(), other.encode())
    message = replace(packet.message, payload=payload)
    return replace(packet, message=message, readable=False)


def shows_tampering(station: Station) -> bool:
    """Tell whether a reader's payloads spell each EPC twice, so that one alone is no EPC."""
    return station.reader == "impinj"


def poison(crossing: Pass, count: int) -> list[Packet]:
    """Return garbage on the topic of a station, one a millisecond."""
    topic = f"{crossing.station.topic}/reader"
    return [
        Packet(
            Message(crossing.start_us + n * MILLISECOND_US, topic, POISON[n % len(POISON)][0]),
            (),
            readable=not POISON[n % len(POISON)][1],
        )
        for n in range(count)
    ]


def middle(packets: Sequence[Packet], count: int) -> range:
    """Return where `count` packets are that have others before and after them, if it can be."""
    room = max(len(packets) - 2, 0)
    size = min(count, room)
    first = 1 + (room - size) // 2
    return range(first, first + size)
