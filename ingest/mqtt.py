"""MQTT, and the only module that knows paho: messages in, acknowledgements out.

The session is the gateway's own and outlives its connection: a fixed client id, no clean
start, a session expiry of "never" (MQTT 5.0 section 3.1.2.11.2). The broker sends at most
`RECEIVE_MAX` messages that are not acknowledged yet, and keeps the rest. Acknowledgement is by
hand, in the order of arrival, after the inbox has the message; one that arrived over a
connection which has since been lost is not acknowledged at all, for the broker delivers it
again and its packet id may meanwhile mean another message.

A broker that speaks only MQTT 3.1.1 (it says so, or does not answer at all) is met again in
that version, with the same promise (`clean_session` false).

    mqtt://[user[:password]@]host[:1883]      mqtts://… over TLS, port 8883
"""

import logging
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.reads import Arrival
from ledger.errors import ParseError

RECEIVE_MAX = 1_000
KEEPALIVE_SECONDS = 30
RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX = 1, 30
CLIENT_ID_CHARS_MAX = 128
_PORT, _TLS_PORT = 1883, 8883
_SESSION_NEVER_EXPIRES = 0xFFFFFFFF
_UNSUPPORTED_VERSION = 132
_ANSWER_SECONDS_MAX = 3.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """Where a broker is; the password shows in no message."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def parse_broker_url(text: str) -> BrokerUrl:
    """Return where the broker is, or raise `ParseError`."""
    where = "broker URL"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ParseError(where, f"{error}") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ParseError(where, "is not mqtt://host[:port] or mqtts://host[:port]")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ParseError(where, "has something after the port; topics are in the plan")
    tls = parts.scheme == "mqtts"
    return BrokerUrl(
        host=parts.hostname,
        port=port or (_TLS_PORT if tls else _PORT),
        tls=tls,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as the broker delivered it, with what an acknowledgement needs."""

    arrival: Arrival
    packet_id: int
    qos: int
    connection: int


class Subscriber:
    """A subscription that survives its connection; paho's thread calls `on_delivery`."""

    def __init__(
        self,
        broker: BrokerUrl,
        client_id: str,
        filters: Sequence[str],
        *,
        clock_us: Callable[[], int],
        on_delivery: Callable[[Delivery], None],
    ) -> None:
        """Prepare; nothing is sent before `start`."""
        self._broker = broker
        self._client_id = client_id
        self._filters = list(filters)
        self._clock_us = clock_us
        self._on_delivery = on_delivery
        self._connection = 0
        self._asked_at: float | None = None
        self._is_version_refused = False
        self._version = MQTTProtocolVersion.MQTTv5
        self._stopping = False
        self.subscribed = Event()
        self.refused: str | None = None
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
        """Acknowledge in the given order; returns how many were of this connection."""
        count = 0
        for one in deliveries:
            if one.qos and one.connection == self._connection:
                self._client.ack(one.packet_id, one.qos)
                count += 1
        return count

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
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=self._version,
            manual_ack=True,
            clean_session=None if is_v5 else False,
        )
        client.on_socket_open = self._opened
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.on_subscribe = self._answered
        client.reconnect_delay_set(RECONNECT_SECONDS_MIN, RECONNECT_SECONDS_MAX)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.tls:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            client.tls_set_context(context)
        options: dict[str, Any] = {}
        if is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = _SESSION_NEVER_EXPIRES
            properties.ReceiveMaximum = RECEIVE_MAX
            options = {"clean_start": False, "properties": properties}
        client.connect_async(
            self._broker.host, self._broker.port, keepalive=KEEPALIVE_SECONDS, **options
        )
        return client

    # --- Called by paho's thread -------------------------------------------------------

    def _opened(self, _client: Client, _userdata: object, _socket: object) -> None:
        self._asked_at = time.monotonic()

    def _connected(
        self,
        client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._asked_at = None
        if reason.is_failure:
            self.refused = f"{self._broker} refused the connection: {reason}"
            _LOG.error("%s", self.refused)
            self._is_version_refused = reason.value == _UNSUPPORTED_VERSION
            return
        self.refused = None
        self._connection += 1
        _LOG.info("connected to %s, session present: %s", self._broker, flags.session_present)
        if self._version == MQTTProtocolVersion.MQTTv5:
            options = SubscribeOptions(qos=1, retainHandling=1)
            client.subscribe([(one, options) for one in self._filters])
        else:
            client.subscribe([(one, 1) for one in self._filters])

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
            for one, reason in zip(self._filters, reasons, strict=False)
            if reason.is_failure
        ]
        if failed:
            self.refused = f"{self._broker} refused to subscribe to {', '.join(failed)}"
            _LOG.error("%s", self.refused)
            return
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
        self._connection += 1
        self.subscribed.clear()

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            topic = error.object.decode("utf-8", "backslashreplace")
        arrival = Arrival(topic, bytes(message.payload), self._clock_us())
        self._on_delivery(Delivery(arrival, message.mid, message.qos, self._connection))


def check_client_id(text: str) -> str:
    """Return `text` if a broker can take it as a client id, or raise `ParseError`."""
    if not 0 < len(text) <= CLIENT_ID_CHARS_MAX or not text.isprintable() or " " in text:
        raise ParseError("client id", f"want 1 to {CLIENT_ID_CHARS_MAX} characters, no blanks")
    return text
