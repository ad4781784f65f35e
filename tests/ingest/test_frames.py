"""Packets out of a byte stream: whole ones only, plain messages first, the rest for paho."""

import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ingest.frames import BUFFER_BYTES, FrameSocket, Publish

Pair = tuple[socket.socket, FrameSocket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    try:
        yield theirs, FrameSocket(ours)
    finally:
        ours.close()
        theirs.close()


def length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + length(len(body)) + body


def publish(
    topic: bytes, payload: bytes, *, qos: int = 1, packet_id: int = 7, said: bytes = b"\0"
) -> bytes:
    head = len(topic).to_bytes(2, "big") + topic
    number = packet_id.to_bytes(2, "big") if qos else b""
    return packet(0x30 | qos << 1, head + number + said + payload)


def taken(frames: FrameSocket, *, v5: bool = True) -> list[Publish | bytes]:
    """Return what is here: plain messages, and each other packet as paho would read it."""
    found: list[Publish | bytes] = []
    while True:
        found += frames.publishes(has_properties=v5)
        if not frames.has_packet():
            return found
        data = frames.recv(1)
        if not data:
            return found
        # As paho does: until it has the packet, whose end it knows from the length.
        with suppress(BlockingIOError):
            while frames._start < frames._given:
                data += frames.recv(1_000)
        found.append(data)


def test_plain_messages_are_taken_and_others_left_whole_in_their_order(pair: Pair) -> None:
    theirs, frames = pair
    ack, twice = packet(0x40, b"\0\1"), publish(b"a", b"2", qos=2)
    said = publish(b"a", b"p", said=b"\2\1\1")
    broken, empty = publish(b"\xff", b"u"), publish(b"", b"e")
    sent = [publish(b"a/b", b"one"), ack, publish(b"a", b"", qos=0), twice, said, broken, empty]
    theirs.sendall(b"".join(sent))
    frames.fill()
    assert taken(frames) == [
        Publish("a/b", b"one", 7, 1),
        ack,
        Publish("a", b"", 0, 0),
        twice,
        said,
        broken,
        empty,
    ]


def test_without_properties_the_first_byte_of_the_payload_is_its_own(pair: Pair) -> None:
    theirs, frames = pair
    theirs.sendall(publish(b"a", b"\0x", said=b"") + publish(b"a", b"", said=b""))
    frames.fill()
    assert taken(frames, v5=False) == [Publish("a", b"\0x", 7, 1), Publish("a", b"", 7, 1)]


@pytest.mark.parametrize(
    "data",
    [
        packet(0x32, b""),
        packet(0x32, b"\0"),
        packet(0x32, b"\0\1a\0"),
        packet(0x32, b"\xff\xffa"),
        packet(0x32, b"\0\1a\0\1"),  # MQTT 5 without the length of its properties
        b"\x32\xff\xff\xff\xff\xff\xff",
    ],
)
def test_what_is_malformed_is_left_for_paho_to_judge(pair: Pair, data: bytes) -> None:
    theirs, frames = pair
    theirs.sendall(data)
    frames.fill()
    assert taken(frames) == [data]


@pytest.mark.parametrize("seed", range(20))
def test_however_the_bytes_come_the_packets_are_the_same(pair: Pair, seed: int) -> None:
    theirs, frames = pair
    draw = random.Random(seed)
    expected: list[Publish | bytes] = []
    stream = b""
    for n in range(60):
        size = draw.choice((0, 1, 120, 16_390, 3 * BUFFER_BYTES if n == 30 else 5))
        body, kind = draw.randbytes(size), draw.randrange(4)
        if kind:
            qos = kind % 2
            expected.append(Publish(f"t/{n % 3}", body, n if qos else 0, qos))
            stream += publish(f"t/{n % 3}".encode(), body, qos=qos, packet_id=n)
        else:
            expected.append(packet(0x40, body))
            stream += packet(0x40, body)
    found: list[Publish | bytes] = []
    while stream:
        count = theirs.send(stream[: draw.choice((1, 7, 1_000, 100_000))])
        stream = stream[count:]
        if draw.random() < 0.7 or count > 1_000:
            frames.fill()
            found += taken(frames)
    with suppress(BlockingIOError):
        while True:
            frames.fill()
            found += taken(frames)
    assert found == expected


def test_a_part_of_a_packet_is_no_packet_and_the_end_is_told(pair: Pair) -> None:
    theirs, frames = pair
    theirs.sendall(publish(b"a", b"x" * 100)[:-1])
    frames.fill()
    assert not frames.has_packet()
    assert frames.pending() == 0
    with pytest.raises(BlockingIOError):
        frames.recv(1)
    theirs.shutdown(socket.SHUT_WR)
    frames.fill()
    assert frames.has_packet()
    assert frames.recv(1) == b""


def test_a_large_packet_leaves_no_large_buffer_behind(pair: Pair) -> None:
    theirs, frames = pair
    stream = publish(b"a", bytes(3 * BUFFER_BYTES))
    found: list[Publish | bytes] = []
    theirs.settimeout(0)
    while stream:
        stream = stream[theirs.send(stream) :]
        with suppress(BlockingIOError):
            while True:
                frames.fill()
        found += taken(frames)
    assert found == [Publish("a", bytes(3 * BUFFER_BYTES), 7, 1)]
    assert len(frames._buffer) == BUFFER_BYTES
