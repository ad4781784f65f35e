"""A socket that is read in large pieces, and hands on MQTT packets whole.

paho reads a packet's header byte by byte, a system call each, waits in `select` before every
packet and copies a payload five times; that is most of what a message costs. Here one call of
`fill` reads what there is, `publishes` takes the PUBLISH packets of the plain kind from its
front, and everything else stays for paho, which reads it with `recv` as from any socket and
never sees a part of a packet.

The plain kind (MQTT 5.0 section 3.3, and 3.1.1's): QoS 0 or 1, sent for the first time, a topic
in UTF-8, no property.
Any other is paho's, malformed ones too, so that there is one judge of them.

Whoever shares the connection sees what is on it; TLS is below this socket.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

BUFFER_BYTES = 256 * 1024
TOPICS_KEPT_MAX = 10_000
_PUBLISH, _QOS_1, _QOS_2, _DUP = 0x30, 0x02, 0x04, 0x08
_MORE = 0x80
_LENGTH_BYTES_MAX = 4


class Publish(NamedTuple):
    """A PUBLISH packet of the plain kind; `packet_id` is 0 where `qos` is."""

    topic: str
    payload: bytes
    packet_id: int
    qos: int


class FrameSocket:
    """A connected socket with a buffer in front of it; for one thread."""

    def __init__(self, inner: Any) -> None:
        """Read from `inner`, which stays whose it was in every other respect."""
        self._inner = inner
        self._buffer = bytearray(BUFFER_BYTES)
        self._start = self._end = 0
        self._given = 0  # how far `recv` may read: the end of a packet that is here whole
        self._is_ended = False
        self._topics: dict[bytes, str] = {}

    def __getattr__(self, name: str) -> object:
        """Be the inner socket in everything that is not reading."""
        return getattr(self._inner, name)

    def pending(self) -> int:
        """Return how many bytes are here that `select` knows nothing of."""
        below = getattr(self._inner, "pending", None)
        held = self._length() or 0
        return held if below is None else held + int(below())

    def fill(self) -> None:
        """Read once what there is; raises what the socket's `recv_into` raises."""
        free = len(self._buffer) - self._end
        wanted = self._length(whole=False) or 0
        if not free or wanted > len(self._buffer) - self._start:
            self._make_room(wanted)
        with memoryview(self._buffer) as view:
            count = self._inner.recv_into(view[self._end :])
        self._is_ended = not count
        self._end += count

    def has_packet(self) -> bool:
        """Whether a whole packet is here, or the stream has ended: paho is to be asked."""
        return self._is_ended or self._length() is not None

    def recv(self, count: int) -> bytes:
        """Return up to `count` bytes of a whole packet, none at the stream's end.

        Raises `BlockingIOError` where there is no whole packet.
        """
        if self._start >= self._given:
            size = self._length()
            if size is None:
                if self._is_ended:
                    return b""
                raise BlockingIOError
            self._given = self._start + size
        end = min(self._start + count, self._given)
        data = bytes(self._buffer[self._start : end])
        self._advance(end)
        return data

    def publishes(self, *, has_properties: bool) -> Iterator[Publish]:
        """Take the plain PUBLISH packets at the front; `has_properties` as MQTT 5 has."""
        while self._start >= self._given and (size := self._length()) is not None:
            taken = self._plain(size, has_properties=has_properties)
            if taken is None:
                return
            self._advance(self._start + size)
            yield taken

    def _plain(self, size: int, *, has_properties: bool) -> Publish | None:
        """Return the packet at the front, `size` bytes of it, None if it is not plain."""
        buffer, at = self._buffer, self._start
        end, first = at + size, buffer[at]
        if first & 0xF0 != _PUBLISH or first & (_QOS_2 | _DUP):
            return None
        head = next((n for n in range(1, 5) if not buffer[at + n] & _MORE), None)
        if head is None or size < head + 3:
            return None
        at += head + 3
        topic_end = at + (buffer[at - 2] << 8 | buffer[at - 1])
        qos = 1 if first & _QOS_1 else 0
        payload_at = topic_end + 2 * qos + has_properties
        if payload_at > end or topic_end == at:
            return None
        if has_properties and buffer[payload_at - 1]:
            return None
        topic = self._topic(bytes(buffer[at:topic_end]))
        if topic is None:
            return None
        packet_id = buffer[topic_end] << 8 | buffer[topic_end + 1] if qos else 0
        with memoryview(buffer) as view:
            payload = bytes(view[payload_at:end])
        return Publish(topic, payload, packet_id, qos)

    def _topic(self, data: bytes) -> str | None:
        known = self._topics.get(data)
        if known is not None:
            return known
        try:
            topic = data.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if len(self._topics) >= TOPICS_KEPT_MAX:
            self._topics.clear()
        self._topics[data] = topic
        return topic

    def _length(self, *, whole: bool = True) -> int | None:
        """Return the size of the packet at the front in bytes, None where it is not known.

        With `whole`, None too where not all of it is here. A length that takes more than
        four bytes is no length (MQTT 5.0 section 1.5.5): what is here goes to paho.
        """
        buffer, start, end = self._buffer, self._start, self._end
        size = 0
        for n in range(1, _LENGTH_BYTES_MAX + 1):
            at = start + n
            if at >= end:
                return None
            digit = buffer[at]
            size |= (digit & ~_MORE) << 7 * (n - 1)
            if not digit & _MORE:
                size += n + 1
                return size if not whole or start + size <= end else None
        return end - start

    def _advance(self, to: int) -> None:
        self._start = to
        if to == self._end:
            self._start = self._end = self._given = 0
            if len(self._buffer) > BUFFER_BYTES:
                self._buffer = bytearray(BUFFER_BYTES)

    def _make_room(self, wanted: int) -> None:
        """Move what is here to the front of a buffer that holds `wanted` bytes, too."""
        held = self._buffer[self._start : self._end]
        if max(wanted, len(held) + 1) > len(self._buffer):
            self._buffer = bytearray(max(wanted, len(held) + BUFFER_BYTES))
        self._buffer[: len(held)] = held
        self._given = max(self._given - self._start, 0)
        self._start, self._end = 0, len(held)
