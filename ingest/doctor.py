"""What would lose data or stop a gateway, found before it does: `tagtrail gateway doctor`.

    plan     it parses, and every party that it signs for has a key here
    keys     they open; their files are nobody else's to read
    ledger   it answers, and the log's key signed its checkpoint
    clock    the host's clock is kept in step with the world's
    broker   it grants QoS 1, keeps a session as long as is asked for, and queues for a client
             that is away; the certificate's name and its end
    spool    there is a quota, and room on the disk for it

Of the broker only what shows over MQTT can be told: a client of the doctor's own leaves, some
`QUEUED` messages are published to it on `tagtrail/doctor/…`, and it comes back to count them.
Whether the broker flushes to its disk what it acknowledges does not show: docs/deploy says how
it is told to.
"""

import ctypes
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ingest.inbox import Inbox
from ingest.link import Delivery, Link
from ingest.mqtt import Subscriber
from ingest.pipeline import open_signers
from ingest.plan import Plan
from ingest.reads import MESSAGE_BYTES_MAX
from ingest.settings import Settings, load_settings
from ingest.start import choose_client_id, find_broker, load_plan, own_client_id
from ledger.client.http import CaptureClient, LedgerRefusedError, LedgerUnavailableError
from ledger.epcis.times import format_time
from ledger.errors import TagtrailError
from ledger.tlog.checkpoint import parse_signed_checkpoint, verify_signed_checkpoint
from ledger.tlog.note import Ed25519Verifier, parse_vkey

QUEUED = 1_500  # a mosquitto that nobody configured keeps 1,000 for a session that is away
BROKER_SECONDS_MAX = 15.0
QUIET_SECONDS = 2.0
CERTIFICATE_DAYS_LEAST = 14
DISK_BYTES_LEAST = 1 << 30
_SESSION_NEVER_EXPIRES = 0xFFFFFFFF
_SESSION_SECONDS_LEAST = 3_600
_TIME_ERROR = 5  # of adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and whether it is well."""

    level: Level
    part: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be examined; empty texts mean what the settings say."""

    folder: Path
    plan_path: Path
    broker: str = ""
    ledger: str = ""


def examine(ask: Ask) -> Iterator[Finding]:
    """Yield what is found, part by part; a part that cannot be examined is a fault."""
    settings = load_settings(ask.folder)
    plan: Plan | None = None
    try:
        plan = load_plan(ask.plan_path)
        yield Finding("ok", "plan", f"{plan.name}, sha256 {plan.sha256.hex()[:16]}…")
    except TagtrailError as error:
        yield Finding("fault", "plan", str(error))
    if plan is not None:
        yield from _guarded("keys", lambda: _check_keys(settings, plan))
    yield from _guarded("ledger", lambda: _check_ledger(settings, ask.ledger))
    yield from _check_clock()
    yield from _check_spool(settings)
    yield from _guarded("broker", lambda: _check_broker(settings, ask.broker))


def _guarded(part: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except TagtrailError as error:
        yield Finding("fault", part, str(error))


def _check_keys(settings: Settings, plan: Plan) -> Iterator[Finding]:
    signers = open_signers(settings, plan)
    for issuer, signer in signers.values():
        yield Finding("ok", "keys", f"{signer.kid.hex()[:16]}… signs for {issuer}")
    for key in settings.keys:
        path = settings.folder / key.source
        if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding("warning", "keys", f"{path} can be read by others; chmod 600")


def _check_ledger(settings: Settings, given: str) -> Iterator[Finding]:
    url = given or settings.ledger
    if not url:
        yield Finding("fault", "ledger", "no ledger: give --ledger, or ledger in gateway.toml")
        return
    if settings.log is None:
        yield Finding("fault", "ledger", "gateway.toml has no log: no receipt can be verified")
        return
    with CaptureClient(url, read_seconds=10.0) as client:
        try:
            signed = parse_signed_checkpoint(client.fetch_checkpoint())
        except (LedgerUnavailableError, LedgerRefusedError) as error:
            yield Finding("fault", "ledger", str(error))
            return
    verifier = Ed25519Verifier(parse_vkey(settings.log))
    verify_signed_checkpoint(signed, origin=settings.origin, verifiers=[verifier])
    yield Finding(
        "ok", "ledger", f"{url}: checkpoint of {signed.checkpoint.size} entries holds"
    )


def _check_clock() -> Iterator[Finding]:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        yield Finding("warning", "clock", "whether it is synchronised cannot be seen here")
        return
    if state == _TIME_ERROR or state < 0:
        why = "the kernel says that nothing keeps it in step; run chrony or systemd-timesyncd"
        yield Finding("warning", "clock", why)
    else:
        yield Finding("ok", "clock", "synchronised")


def _check_spool(settings: Settings) -> Iterator[Finding]:
    quota = settings.quota
    if not (quota.messages_max or quota.bytes_max or quota.age_max_s):
        yield Finding("warning", "spool", "[spool] sets no quota: only the disk bounds it")
    free = shutil.disk_usage(settings.folder).free
    need = max(quota.bytes_max, DISK_BYTES_LEAST)
    level: Level = "ok" if free >= need else "warning"
    yield Finding(level, "spool", f"{free >> 20} MiB free, {need >> 20} MiB wanted")


def _check_broker(settings: Settings, given: str) -> Iterator[Finding]:
    url, credentials = find_broker(settings, given)
    with Inbox(settings.folder) as inbox:
        own = own_client_id(inbox.secret)
    client_id = choose_client_id(settings, credentials, "", own)
    if credentials is None:
        yield Finding("warning", "broker", f"{url} is not TLS: who listens can read and forge")
    elif credentials.certificate is None:
        yield Finding(
            "warning", "broker", "no client certificate: [broker] certificate and key"
        )
    else:
        left_s = credentials.certificate.expires_us / 1_000_000 - time.time()
        level: Level = "ok" if left_s > CERTIFICATE_DAYS_LEAST * 86_400 else "warning"
        ends = format_time(credentials.certificate.expires_us)
        yield Finding(
            level, "broker", f"certificate of {credentials.certificate.name}: to {ends}"
        )
    probe = _Probe(
        Link(
            broker=url,
            client_id=f"{client_id[:100]}-doctor-{secrets.token_hex(4)}",
            on_delivery=lambda _: None,
            credentials=credentials,
        )
    )
    yield from probe.run()


class _Probe:
    """A client that comes, leaves, and comes back to see what was kept for it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._topic = f"tagtrail/doctor/{link.client_id}"
        self._count = 0
        self._arrived = threading.Event()
        self._present: bool | None = None

    def run(self) -> Iterator[Finding]:
        """Yield what the broker grants, and what of `QUEUED` messages it kept."""
        first = self._subscribe(is_passing=False)
        if self._present:
            first.stop()
            why = "it gives every client here the gateway's own id, so its queue is not tried"
            yield Finding("ok", "broker", why)
            return
        if not first.subscribed.is_set():
            first.stop()
            why = first.refused or f"{self._link.broker} does not answer"
            yield Finding("fault", "broker", why)
            return
        granted, is_v5 = first.granted, first.is_v5
        first.stop()
        yield from _judge_grants(granted, is_v5=is_v5)
        try:
            yield from self._queue()
        finally:
            last = self._subscribe(is_passing=True)  # takes the session away again
            last.stop()

    def _queue(self) -> Iterator[Finding]:
        other = Subscriber(
            replace(
                self._link, client_id=f"{self._link.client_id[:120]}-sends", is_passing=True
            ),
            [f"{self._topic}/none"],
        )
        other.start()
        try:
            other.subscribed.wait(BROKER_SECONDS_MAX)
            sent = other.publish(self._topic, [b"doctor"] * QUEUED, BROKER_SECONDS_MAX)
        finally:
            other.stop()
        if not sent:
            yield Finding("warning", "broker", f"nothing may be published to {self._topic}")
            return
        again = self._subscribe(is_passing=False, wanted=sent)
        self._await_the_last()
        again.stop()
        if not self._present:
            why = "it forgot the session of a client that left: what comes meanwhile is lost"
            yield Finding("fault", "broker", why)
        elif self._count < sent:
            why = f"it kept {self._count} of {sent} messages for a client that was away"
            yield Finding("fault", "broker", f"{why}; mosquitto: max_queued_messages 0")
        else:
            yield Finding("ok", "broker", f"it kept {sent} messages for a client that was away")

    def _await_the_last(self) -> None:
        """Wait until all have come, or for a while nothing has."""
        before = -1
        while not self._arrived.wait(QUIET_SECONDS) and before != self._count:
            before = self._count

    def _subscribe(self, *, is_passing: bool, wanted: int = 0) -> Subscriber:
        self._count = 0
        subscriber: Subscriber | None = None

        def take(delivery: Delivery) -> None:
            if not wanted or delivery.arrival.topic != self._topic:
                return  # not the doctor's: the broker keeps what nobody acknowledges
            self._count += 1
            if subscriber is not None:
                subscriber.acknowledge([delivery])
            if self._count >= wanted:
                self._arrived.set()

        def session(is_present: bool) -> None:  # noqa: FBT001  # a callback
            self._present = is_present

        link = replace(self._link, on_delivery=take, on_session=session, is_passing=is_passing)
        subscriber = Subscriber(link, [self._topic])
        subscriber.start()
        deadline = time.monotonic() + BROKER_SECONDS_MAX
        while not subscriber.subscribed.wait(0.2) and time.monotonic() < deadline:
            subscriber.try_other_version()
        return subscriber


def _judge_grants(granted: dict[str, int], *, is_v5: bool) -> Iterator[Finding]:
    if not is_v5:
        yield Finding("warning", "broker", "it speaks MQTT 3.1.1 only: no limits can be seen")
        return
    yield Finding("ok", "broker", "it speaks MQTT 5 and grants QoS 1")
    expiry = granted.get("SessionExpiryInterval", _SESSION_NEVER_EXPIRES)
    if expiry != _SESSION_NEVER_EXPIRES:
        why = f"it ends a session {expiry} s after its client left, with all it holds"
        is_short = expiry < _SESSION_SECONDS_LEAST
        yield Finding("fault" if is_short else "warning", "broker", why)
    if granted.get("MaximumQoS", 2) < 1:
        yield Finding("fault", "broker", "it grants QoS 0 only: nothing is acknowledged")
    largest = granted.get("MaximumPacketSize")
    if largest is not None and largest < MESSAGE_BYTES_MAX:
        yield Finding("warning", "broker", f"it takes messages of at most {largest} bytes")
    if not granted.get("SharedSubscriptionAvailable", 1):
        yield Finding("warning", "broker", "it has no shared subscriptions: one worker only")
