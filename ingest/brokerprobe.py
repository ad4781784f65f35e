"""What a broker does with messages, tried over MQTT: what it grants, keeps, and lets through.

A client of the doctor's own comes and leaves; `QUEUED` messages are published to it on
`tagtrail/doctor/…`; it comes back to count them, acknowledging none at first, so that it shows
how many the broker sends at once. One message of the largest size that the gateway keeps is
sent through. All of it is taken away again.

Whether the broker flushes to its disk what it acknowledges does not show: docs/deploy says how
it is told to.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ingest.findings import Finding, fault, warning, well
from ingest.link import Delivery, Link
from ingest.mqtt import RECEIVE_MAX, Subscriber
from ingest.reads import MESSAGE_BYTES_MAX

QUEUED = 1_500  # a mosquitto that nobody configured keeps 1,000 for a session that is away
INFLIGHT_LEAST = 100  # it sends 20 at once, and waits for each acknowledgement
BROKER_SECONDS_MAX = 15.0
QUIET_SECONDS = 1.0
_PART = "broker"
_BRIM_BYTES = 512  # of a packet around a payload
_SESSION_NEVER_EXPIRES = 0xFFFFFFFF
_SESSION_SECONDS_LEAST = 3_600
_ALLOW = "allow the gateway's user to read and write tagtrail/doctor/#"
_CONF = "see docs/deploy/brokers.md"


class Probe:
    """A client that comes, leaves, and comes back to see what was kept for it."""

    def __init__(self, link: Link) -> None:
        """Prepare; `link` has a client id of its own, which nobody else uses."""
        self._link = link
        self._topic = f"tagtrail/doctor/{link.client_id}"
        self._held: list[Delivery] = []
        self._count = self._window = 0
        self._arrived = threading.Event()
        self._present: bool | None = None

    def run(self) -> Iterator[Finding]:
        """Yield what the broker grants, and what of `QUEUED` messages it kept."""
        first = self._subscribe(is_passing=False)
        if self._present:
            first.stop()
            why = "it gives every client here the gateway's own id, so its queue is not tried"
            yield well(_PART, why)
            return
        if first.is_met and not first.subscribed.is_set():
            granted, is_v5 = first.granted, first.is_v5
            first.stop()
            yield from judge_grants(granted, is_v5=is_v5)
            why = f"nobody may subscribe to {self._topic} here, so its queue is not tried"
            yield warning(_PART, why, _ALLOW)
            return
        if not first.subscribed.is_set():
            first.stop()
            why = first.refused or f"{self._link.broker} does not answer"
            yield fault(_PART, why, "see that it runs there, and who may connect and subscribe")
            return
        granted, is_v5 = first.granted, first.is_v5
        first.stop()
        yield from judge_grants(granted, is_v5=is_v5)
        try:
            yield from self._queue()
        finally:
            self.forget()

    def forget(self) -> None:
        """Take the session away again."""
        last = self._subscribe(is_passing=True)
        last.stop()

    def _queue(self) -> Iterator[Finding]:
        sender = self._sender()
        try:
            sender.subscribed.wait(BROKER_SECONDS_MAX)
            sent = sender.publish(self._topic, [b"doctor"] * QUEUED, BROKER_SECONDS_MAX)
        finally:
            sender.stop()
        if not sent:
            why = f"nothing may be published to {self._topic}, so its queue is not tried"
            yield warning(_PART, why, _ALLOW)
            return
        again = self._subscribe(is_passing=False, wanted=sent)
        self._drain(again)
        again.stop()
        if not self._present:
            why = "it forgot the session of a client that left: what comes meanwhile is lost"
            mend = f"mosquitto: persistence true, persistent_client_expiration 1y; {_CONF}"
            yield fault(_PART, why, mend)
        elif self._count < sent:
            why = f"it kept {self._count} of {sent} messages for a client that was away"
            yield fault(_PART, why, f"mosquitto: max_queued_messages 0; {_CONF}")
        else:
            yield well(_PART, f"it kept {sent} messages for a client that was away")
            yield from self._judge_window(sent)
        yield from self._size()

    def _judge_window(self, sent: int) -> Iterator[Finding]:
        most = min(RECEIVE_MAX, sent)
        why = f"it sends {self._window} messages at once, and waits for an acknowledgement then"
        if self._window < min(INFLIGHT_LEAST, most):
            yield warning(_PART, why, f"mosquitto: max_inflight_messages 0; {_CONF}")
        else:
            yield well(_PART, why)

    def _size(self) -> Iterator[Finding]:
        """Send one message of the largest size through."""
        topic = f"{self._topic}/size"
        sizes: list[int] = []
        after = threading.Event()

        def take(delivery: Delivery) -> None:
            sizes.append(len(delivery.arrival.payload))
            if sizes[-1] == 0:
                after.set()  # it was sent last, and so comes last

        name = f"{self._link.client_id[:120]}-sizes"
        link = replace(self._link, client_id=name, is_passing=True, on_delivery=take)
        one = Subscriber(link, [topic])
        one.start()
        try:
            one.subscribed.wait(BROKER_SECONDS_MAX)
            largest = one.granted.get("MaximumPacketSize")
            is_announced = largest is not None and largest < MESSAGE_BYTES_MAX
            if not is_announced:
                self._send_large(topic, after)
        finally:
            one.stop()
        if any(sizes):
            yield well(_PART, f"messages of {MESSAGE_BYTES_MAX >> 20} MiB come through")
        else:
            bound = f"of over {largest} bytes" if is_announced else "of 1 MiB"
            mend = f"mosquitto: no message_size_limit, and max_packet_size 0; {_CONF}"
            yield warning(_PART, f"messages {bound} do not come through", mend)

    def _send_large(self, topic: str, after: threading.Event) -> None:
        """Publish the largest message and an empty one, which comes unless it is cut off."""
        cut = threading.Event()
        sender = self._sender(lambda wrong: cut.set() if wrong else None)
        try:
            sender.subscribed.wait(BROKER_SECONDS_MAX)
            large = b"\0" * (MESSAGE_BYTES_MAX - _BRIM_BYTES)
            sender.publish(topic, [large, b""], 0)
            deadline = time.monotonic() + BROKER_SECONDS_MAX
            while not (after.wait(0.05) or cut.is_set() or time.monotonic() > deadline):
                pass
        finally:
            sender.stop()

    def _sender(self, on_state: Callable[[str | None], None] = lambda _: None) -> Subscriber:
        """Return a client to publish with: nobody hears here what it said itself."""
        name = f"{self._link.client_id[:120]}-sends"
        link = replace(self._link, client_id=name, is_passing=True, on_state=on_state)
        sender = Subscriber(link, [f"{self._topic}/none"])
        sender.start()
        return sender

    def _drain(self, subscriber: Subscriber) -> None:
        """Count what comes unacknowledged, then acknowledge and wait for the rest."""
        self._await_quiet()
        self._window = self._count
        while True:
            held, self._held = self._held, []
            before = self._count
            subscriber.acknowledge(held)
            if self._arrived.wait(0.05):
                subscriber.acknowledge(self._held)
                return
            if not self._held:
                self._await_quiet()
            if not self._held and self._count == before:
                return

    def _await_quiet(self) -> None:
        """Wait until all have come, or for a while nothing has."""
        before = -1
        while not self._arrived.wait(QUIET_SECONDS) and before != self._count:
            before = self._count

    def _subscribe(self, *, is_passing: bool, wanted: int = 0) -> Subscriber:
        self._count, self._held = 0, []

        def take(delivery: Delivery) -> None:
            if not wanted or delivery.arrival.topic != self._topic:
                return  # not the doctor's: the broker keeps what nobody acknowledges
            self._count += 1
            self._held.append(delivery)
            if self._count >= wanted:
                self._arrived.set()

        def session(is_present: bool) -> None:  # noqa: FBT001  # a callback
            self._present = is_present

        link = replace(self._link, on_delivery=take, on_session=session, is_passing=is_passing)
        subscriber = Subscriber(link, [self._topic])
        subscriber.start()
        deadline = time.monotonic() + BROKER_SECONDS_MAX
        while not subscriber.subscribed.wait(0.1) and time.monotonic() < deadline:
            if subscriber.is_met and subscriber.refused:
                break  # it lets the doctor in, and not subscribe
            subscriber.try_other_version()
        return subscriber


def gives_one_id(link: Link) -> bool:
    """Return whether the broker has a session for a client id that nobody ever had.

    Then it gives each client the name in its certificate, and who connects without a session
    wipes out the gateway's. What is asked with keeps the session, whosever it is.
    """
    found: list[bool] = []
    name = f"{link.client_id[:100]}-{secrets.token_hex(4)}"
    asking = replace(
        link, client_id=name, is_passing=False, on_delivery=_leave, on_session=found.append
    )
    one = Subscriber(asking, [f"tagtrail/doctor/{name}"])
    one.start()
    deadline = time.monotonic() + BROKER_SECONDS_MAX
    while not found and time.monotonic() < deadline:
        time.sleep(0.05)
        one.try_other_version()
    one.stop()
    if found and not found[0]:
        Probe(asking).forget()
    return any(found)


def _leave(_delivery: Delivery) -> None:
    """Take nothing: the broker keeps what nobody acknowledges."""


def judge_grants(granted: dict[str, int], *, is_v5: bool) -> Iterator[Finding]:
    """Yield what is to be said of what the broker granted at the connection."""
    if not is_v5:
        why = "it speaks MQTT 3.1.1 only: no limits can be seen"
        yield warning(_PART, why, "a broker of MQTT 5, such as mosquitto 2")
        return
    yield well(_PART, "it speaks MQTT 5 and grants QoS 1")
    expiry = granted.get("SessionExpiryInterval", _SESSION_NEVER_EXPIRES)
    if expiry != _SESSION_NEVER_EXPIRES:
        why = f"it ends a session {expiry} s after its client left, with all it holds"
        mend = "let sessions live for as long as a gateway may be away"
        is_short = expiry < _SESSION_SECONDS_LEAST
        yield fault(_PART, why, mend) if is_short else warning(_PART, why, mend)
    if granted.get("MaximumQoS", 2) < 1:
        mend = "mosquitto: max_qos 2"
        yield fault(_PART, "it grants QoS 0 only: nothing is acknowledged", mend)
    if not granted.get("SharedSubscriptionAvailable", 1):
        why = "it has no shared subscriptions: one worker only"
        yield warning(_PART, why, "a broker that has them, if there are to be more workers")
