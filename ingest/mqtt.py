"""MQTT, and the only module that knows paho: messages in, acknowledgements out.

The session is the gateway's own and outlives its connection: a fixed client id, no clean
start, a session expiry of "never" (MQTT 5.0 section 3.1.2.11.2). The broker sends at most
`RECEIVE_MAX` messages that are not acknowledged yet, and keeps the rest: that is the credit of
the spool. Acknowledgement is by hand, in the order of arrival, after the inbox has the message;
one that arrived over a connection which has since been lost is not acknowledged at all, for the
broker delivers it again and its packet id may meanwhile mean another message.

A broker that has no session for us although it had one has forgotten what it held; `on_session`
is told so. Certificates that were renewed are taken at each new connection.

A broker that speaks only MQTT 3.1.1 (it says so, or does not answer at all) is met again in
that version, with the same promise (`clean_session` false).

Plain messages, nearly all there are, go past most of paho: see `ingest.frames`.
"""

import logging
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple

from msgspec.json import encode as encode_json
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.brokerurl import BrokerUrl
from ingest.frames import FrameSocket, Publish
from ingest.pulse import Clock
from ingest.reads import Arrival
from ingest.tls import CertificateError, Credentials

RECEIVE_MAX = 1_000
KEEPALIVE_SECONDS = 30
RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX = 1, 30
_SESSION_NEVER_EXPIRES = 0xFFFFFFFF
_UNSUPPORTED_VERSION = 132
_ANSWER_SECONDS_MAX = 3.0
_POLL_SECONDS = 0.02
_GRANTS = frozenset(
    {
        "MaximumPacketSize",
        "MaximumQoS",
        "ReceiveMaximum",
        "SessionExpiryInterval",
        "SharedSubscriptionAvailable",
    }
)
# What an object without a property has; its own `isEmpty` takes longer than to keep a message.
_NO_PROPERTIES = len(vars(Properties(PacketTypes.PUBLISH)))  # type: ignore[no-untyped-call]
_PUBACK = 0x40
_PUBACK_PACKET = struct.Struct("!BBH")

_LOG = logging.getLogger(__name__)


def _pass_by(_said: object) -> None:
    """Tell nobody."""


class Delivery(NamedTuple):
    """A message as the broker delivered it, with what an acknowledgement needs."""

    arrival: Arrival
    packet_id: int
    qos: int
    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A connection's ends: the broker, who one is, and who is told; paho's thread calls.

    `on_state` is told what is wrong with the connection, None once it is subscribed;
    `on_session` whether the broker had kept the session. With `is_passing` there is no
    session: nothing is collected while away, and paho acknowledges by itself.
    """

    broker: BrokerUrl
    client_id: str
    on_delivery: Callable[[Delivery], None]
    on_state: Callable[[str | None], None] = _pass_by
    on_session: Callable[[bool], None] = _pass_by
    clock: Clock = field(default_factory=Clock)
    credentials: Credentials | None = None
    is_passing: bool = False


class _FramedClient(Client):
    """paho, but plain PUBLISH packets are taken from the socket's buffer past it."""

    on_publish_packet: Callable[[Publish], None] | None = None

    def _create_socket(self) -> Any:
        return FrameSocket(super()._create_socket())

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read what there is, take plain messages, and let paho treat the rest in its order."""
        frames: Any = self.socket()
        if not isinstance(frames, FrameSocket):
            return super().loop_read(max_packets)
        try:
            frames.fill()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            return super().loop_read(max_packets)  # it meets the same, and tells of it
        has_properties = self._protocol == MQTTProtocolVersion.MQTTv5
        while True:
            if self.on_publish_packet is not None:
                for one in frames.publishes(has_properties=has_properties):
                    self.on_publish_packet(one)
            if not frames.has_packet():
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            result = super().loop_read(1)
            if result != MQTTErrorCode.MQTT_ERR_SUCCESS or self.socket() is not frames:
                return result


class Subscriber:
    """A subscription that survives its connection."""

    def __init__(self, link: Link, filters: Sequence[str]) -> None:
        """Prepare; nothing is sent before `start`."""
        self._link = link
        self._broker = link.broker
        self._filters = list(filters)
        self._asked: list[str] = []
        self._wall_us, self._steady_us = link.clock.wall_us, link.clock.steady_us
        self._deliver = link.on_delivery
        self._connection = 0
        self._asked_at: float | None = None
        self._is_version_refused = False
        self._version = MQTTProtocolVersion.MQTTv5
        self._stopping = False
        self.subscribed = Event()
        self.refused: str | None = None
        self.granted: dict[str, int] = {}
        self._client = self._make_client()

    def start(self) -> None:
        """Connect in the background, again and again until it succeeds."""
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect; the session stays at the broker and collects."""
        self._stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    def acknowledge(self, deliveries: Iterable[Delivery]) -> int:
        """Acknowledge in the given order; returns how many were of this connection.

        All of them leave in one write: paho would wake its thread for each.
        """
        connection = self._connection
        ids = [one.packet_id for one in deliveries if one.qos and one.connection == connection]
        if ids:
            packets = b"".join([_PUBACK_PACKET.pack(_PUBACK, 2, one) for one in ids])
            self._client._packet_queue(_PUBACK, packets, ids[-1], 1)  # noqa: SLF001  # see above
        return len(ids)

    def set_filters(self, filters: Sequence[str]) -> None:
        """Subscribe to `filters` instead of those before, without a moment between."""
        old, self._filters = self._filters, list(filters)
        added = [one for one in filters if one not in old]
        gone = [one for one in old if one not in filters]
        if added and self.subscribed.is_set():
            self._subscribe(self._client, added)
        if gone:
            self._client.unsubscribe(gone)

    @property
    def is_v5(self) -> bool:
        """Whether MQTT 5 is spoken."""
        return self._version == MQTTProtocolVersion.MQTTv5

    def publish(self, topic: str, payloads: Iterable[bytes], seconds: float) -> int:
        """Publish with QoS 1 and return how many were acknowledged within `seconds`."""
        sent = [self._client.publish(topic, one, qos=1) for one in payloads]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(one.is_published() for one in sent):
            time.sleep(_POLL_SECONDS)
        return sum(one.is_published() for one in sent)

    def reconnect(self) -> None:
        """Connect anew, as after a new certificate; the session goes on."""
        self._client.reconnect()

    def try_other_version(self) -> bool:
        """Go on in MQTT 3.1.1 if the broker does not answer in MQTT 5; call now and then."""
        asked_at = self._asked_at
        is_silent = asked_at is not None and time.monotonic() - asked_at > _ANSWER_SECONDS_MAX
        if self._version != MQTTProtocolVersion.MQTTv5 or not (
            is_silent or self._is_version_refused
        ):
            return False
        self._client.disconnect()
        self._client.loop_stop()
        self._asked_at = None
        self._version = MQTTProtocolVersion.MQTTv311
        _LOG.warning("%s does not speak MQTT 5; going on in MQTT 3.1.1", self._broker)
        self._client = self._make_client()
        self._client.loop_start()
        return True

    def _make_client(self) -> Client:
        is_v5 = self._version == MQTTProtocolVersion.MQTTv5
        client = _FramedClient(
            CallbackAPIVersion.VERSION2,
            client_id=self._link.client_id,
            protocol=self._version,
            manual_ack=not self._link.is_passing,
            clean_session=None if is_v5 else self._link.is_passing,
        )
        client.on_socket_open = self._opened
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        if not self._link.is_passing:
            client.on_publish_packet = self._received_plain
        client.on_subscribe = self._answered
        client.reconnect_delay_set(RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._link.credentials is not None:
            client.tls_set_context(self._link.credentials.context)
            client.on_pre_connect = self._refresh
        options: dict[str, Any] = {}
        if is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            passing = self._link.is_passing
            properties.SessionExpiryInterval = 0 if passing else _SESSION_NEVER_EXPIRES
            properties.ReceiveMaximum = RECEIVE_MAX
            options = {"clean_start": passing, "properties": properties}
        client.connect_async(
            self._broker.host, self._broker.port, keepalive=KEEPALIVE_SECONDS, **options
        )
        return client

    # --- Called by paho's thread -------------------------------------------------------

    def _refresh(self, _client: Client, _userdata: object) -> None:
        assert self._link.credentials is not None
        try:
            self._link.credentials.refresh()
        except CertificateError as error:
            _LOG.error("the old certificate stays in use: %s", error)

    def _failed(self, _client: Client, _userdata: object) -> None:
        self._say(f"{self._broker} cannot be reached")

    def _say(self, wrong: str | None) -> None:
        self.refused = wrong
        self._link.on_state(wrong)

    def _opened(self, _client: Client, _userdata: object, _socket: object) -> None:
        self._asked_at = time.monotonic()

    def _connected(
        self,
        client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._asked_at = None
        self.granted = {
            name: value
            for name, value in vars(properties or object).items()
            if name in _GRANTS and isinstance(value, int)
        }
        if reason.is_failure:
            self._say(f"{self._broker} refused the connection: {reason}")
            _LOG.error("%s", self.refused)
            self._is_version_refused = reason.value == _UNSUPPORTED_VERSION
            return
        self._connection += 1
        _LOG.info("connected to %s, session present: %s", self._broker, flags.session_present)
        self._link.on_session(bool(flags.session_present))
        self._subscribe(client, self._filters)

    def _subscribe(self, client: Client, filters: Sequence[str]) -> None:
        self._asked = list(filters)
        if self.is_v5:
            options = SubscribeOptions(qos=1, retainHandling=1)
            client.subscribe([(one, options) for one in filters])
        else:
            client.subscribe([(one, 1) for one in filters])

    def _answered(
        self,
        _client: Client,
        _userdata: object,
        _packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        failed = [
            one
            for one, reason in zip(self._asked, reasons, strict=False)
            if reason.is_failure or reason.value == 0
        ]
        if failed:
            why = "refused to subscribe to, or grants no acknowledged delivery of,"
            self._say(f"{self._broker} {why} {', '.join(failed):.300}")
            _LOG.error("%s", self.refused)
            return
        self._say(None)
        self.subscribed.set()

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # What was delivered over the lost connection is delivered again; see the module.
        if not self._stopping:
            _LOG.warning("disconnected from %s: %s", self._broker, reason)
            self._say(f"disconnected from {self._broker}: {reason}")
        self._connection += 1
        self.subscribed.clear()

    def _received_plain(self, packet: Publish) -> None:
        topic, payload, packet_id, qos = packet
        arrival = Arrival(topic, payload, self._wall_us(), self._steady_us())
        self._deliver(Delivery(arrival, packet_id, qos, self._connection))

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            topic = error.object.decode("utf-8", "backslashreplace")
        said = _properties(message.properties)
        payload = bytes(message.payload)
        arrival = Arrival(topic, payload, self._wall_us(), self._steady_us(), said)
        self._deliver(Delivery(arrival, message.mid, message.qos, self._connection))


def _properties(found: Any) -> bytes:
    """Return the properties of a message as JSON, nothing where there are none."""
    if found is None or len(vars(found)) == _NO_PROPERTIES:
        return b""
    return encode_json(found.json())
