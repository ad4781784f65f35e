"""MQTT, and the only module that knows paho: messages in, acknowledgements out.

The session is the gateway's own and outlives its connection: a fixed client id, no clean
start, a session expiry of "never" (MQTT 5.0 section 3.1.2.11.2). The broker sends at most
`RECEIVE_MAX` messages that are not acknowledged yet, and keeps the rest: that is the credit of
the spool. Acknowledgement is by hand, in the order of arrival, after the inbox has the message;
one that arrived over a connection which has since been lost is not acknowledged at all, for the
broker delivers it again and its packet id may meanwhile mean another message.

A gateway's own last will, and what it says when it comes and goes, is a retained message on its
state topic: {"gateway":"gw-1","state":"online"}, or "offline". A broker that forbids the topic
is met without it.

A broker that has no session for us although it had one has forgotten what it held; `on_session`
is told so. Certificates that were renewed are taken at each new connection.

A broker that speaks only MQTT 3.1.1 (it says so, or does not answer at all) is met again in
that version, with the same promise (`clean_session` false). Plain messages, nearly all there
are, go past most of paho: see `ingest.frames`.
"""

import logging
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import Any

from msgspec.json import encode as encode_json
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.frames import FrameSocket, Publish
from ingest.link import Delivery, Link
from ingest.reads import Arrival, message_hash
from ledger.errors import TagtrailError

RECEIVE_MAX = 1_000
KEEPALIVE_SECONDS = 30
RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX = 1, 30
_SESSION_NEVER_EXPIRES = 0xFFFFFFFF
_UNSUPPORTED_VERSION = 132
_NOT_AUTHORIZED = 135
_MEND = "; see [broker] user and password_file, and whom it lets in"
_MENDS = {134: _MEND, _NOT_AUTHORIZED: _MEND}
_WILL_DELAY_SECONDS = 5
_FAREWELL_SECONDS_MAX = 2.0
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


class _FramedClient(Client):
    """paho, but plain PUBLISH packets are taken from the socket's buffer past it."""

    on_publish_packet: Callable[[Publish], None] | None = None

    def leave(self) -> None:
        """Disconnect and give all sockets back, those to wake its thread by as well."""
        self.disconnect()
        self.loop_stop()
        self._reset_sockets()

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
        self._is_version_refused = self._is_will_refused = self.is_met = False
        self._has_will = bool(link.state_topic)
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
        if self.subscribed.is_set():
            self._tell_state("offline")
        self._client.leave()

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
    def is_running(self) -> bool:
        """Whether paho's thread is there; what it did not foresee would end it alone."""
        thread = self._client._thread  # noqa: SLF001  # it tells nobody
        return thread is not None and thread.is_alive()

    @property
    def is_v5(self) -> bool:
        """Whether MQTT 5 is spoken."""
        return self._version == MQTTProtocolVersion.MQTTv5

    def publish(self, topic: str, payloads: Iterable[bytes], seconds: float) -> int:
        """Publish with QoS 1 and return how many were acknowledged within `seconds`."""
        sent = [self._client.publish(topic, one, qos=1) for one in payloads]
        return _await(sent, seconds)

    def send(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0, as commands are; one that does not arrive is not sent again."""
        self._client.publish(topic, payload)

    def reconnect(self) -> None:
        """Connect anew, as after a new certificate; the session goes on."""
        self._client.reconnect()

    def try_other_version(self) -> bool:
        """Go on in MQTT 3.1.1 if the broker does not answer in MQTT 5; call now and then."""
        asked_at = self._asked_at
        is_silent = asked_at is not None and time.monotonic() - asked_at > _ANSWER_SECONDS_MAX
        if self._is_will_refused and self._has_will:
            self._has_will = False
            topic = self._link.state_topic
            _LOG.warning("trying without a last will: %s may forbid %s", self._broker, topic)
            self._start_anew()
            return True
        if self._version != MQTTProtocolVersion.MQTTv5 or not (
            is_silent or self._is_version_refused
        ):
            return False
        self._version = MQTTProtocolVersion.MQTTv311
        _LOG.warning("%s does not speak MQTT 5; going on in MQTT 3.1.1", self._broker)
        self._start_anew()
        return True

    def _start_anew(self) -> None:
        self._client.leave()
        self._asked_at = None
        self._client = self._make_client()
        self._client.loop_start()

    def _tell_state(self, state: str) -> None:
        """Show on the state topic that the client is there, or is about to leave."""
        if self._has_will:
            topic, payload = self._link.state_topic, self._state(state)
            info = self._client.publish(topic, payload, qos=1, retain=True)
            if self._stopping:
                _await([info], _FAREWELL_SECONDS_MAX)

    def _state(self, state: str) -> bytes:
        return encode_json({"gateway": self._link.client_id, "state": state})

    def _make_client(self) -> _FramedClient:
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
            client.on_pre_connect = self._refresh
        if self._has_will:
            delay = Properties(PacketTypes.WILLMESSAGE) if is_v5 else None  # type: ignore[no-untyped-call]
            if delay is not None:
                delay.WillDelayInterval = _WILL_DELAY_SECONDS
            will = self._state("offline")
            client.will_set(self._link.state_topic, will, 1, retain=True, properties=delay)
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

    def _refresh(self, client: Client, _userdata: object) -> None:
        try:
            if self._link.credentials is not None:
                self._link.credentials.refresh()
            if self._link.password is not None:
                client.username_pw_set(self._broker.user, self._link.password())
        except TagtrailError as error:
            _LOG.error("the old certificate or password stays in use: %s", error)

    def _failed(self, _client: Client, _userdata: object) -> None:
        said = f"{self._broker} cannot be reached"
        if self.refused != said:
            _LOG.warning("%s", said)
        self._say(said)

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
            mend = _MENDS.get(reason.value, "")
            self._say(f"{self._broker} refused the connection: {reason}{mend}")
            _LOG.error("%s", self.refused)
            self._is_version_refused = reason.value == _UNSUPPORTED_VERSION
            self._is_will_refused = reason.value == _NOT_AUTHORIZED
            return
        self._connection += 1
        self.is_met = True
        _LOG.info("connected to %s, session present: %s", self._broker, flags.session_present)
        self._link.on_session(bool(flags.session_present))
        self._subscribe(client, self._filters)

    def _subscribe(self, client: Client, filters: Sequence[str]) -> None:
        self._asked = list(filters)
        if self.is_v5:
            client.subscribe([(one, _options(one)) for one in filters])
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
        if not self.subscribed.is_set():
            self.subscribed.set()
            self._tell_state("online")

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # What was delivered over the lost connection is delivered again; see the module.
        if not self._stopping and self.is_met:  # else its refusal says more
            _LOG.warning("disconnected from %s: %s", self._broker, reason)
            self._say(f"disconnected from {self._broker}: {reason}")
        self._connection += 1
        self.is_met = False
        self.subscribed.clear()

    def _received_plain(self, packet: Publish) -> None:
        topic, payload, packet_id, qos = packet
        now = (self._wall_us(), self._steady_us())
        digest = message_hash(topic, payload)  # the keeper would wait for this thread for each
        arrival = Arrival(topic, payload, *now, sha256=digest)
        self._deliver(Delivery(arrival, packet_id, qos, self._connection))

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            topic = error.object.decode("utf-8", "backslashreplace")
        said = _properties(message.properties)
        payload = bytes(message.payload)
        now = (self._wall_us(), self._steady_us())
        arrival = Arrival(topic, payload, *now, said, is_dup=message.dup)
        self._deliver(Delivery(arrival, message.mid, message.qos, self._connection))


def _await(sent: Sequence[MQTTMessageInfo], seconds: float) -> int:
    """Wait until all are acknowledged, `seconds` at most; return how many are."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(one.is_published() for one in sent):
        time.sleep(_POLL_SECONDS)
    return sum(one.is_published() for one in sent)


def _options(pattern: str) -> SubscribeOptions:
    """Return what is asked for: not its own messages, which of a shared one nobody may ask."""
    is_shared = pattern.startswith("$share/")
    return SubscribeOptions(qos=1, noLocal=not is_shared, retainHandling=1)


def _properties(found: Any) -> bytes:
    """Return the properties of a message as JSON, nothing where there are none."""
    if found is None or len(vars(found)) == _NO_PROPERTIES:
        return b""
    return encode_json(found.json())
