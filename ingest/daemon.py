"""The gateway as it runs live: threads that share nothing but the databases and the pulse.

    paho      the broker's messages into a queue
    keeper, processor, courier      see `ingest.loops`
    monitor   /healthz, /readyz and /metrics
    main      the clock, the certificate, systemd's watchdog, SIGHUP

Anything that a thread did not foresee ends the process, and the next start goes on from what
is durable. On SIGHUP the plan is read again, whole: a mistake in it is told of and the old plan
goes on; else the processor takes it between two batches, then the subscriptions follow.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import msgspec

from ingest import loops, systemd
from ingest.brokerurl import BrokerUrl
from ingest.database import DISK_ERRORS
from ingest.inbox import Inbox
from ingest.link import Delivery, Link
from ingest.loops import IDLE_SECONDS, Shared
from ingest.monitor import monitoring
from ingest.mqtt import Subscriber
from ingest.pipeline import Courier, Processor, open_signers
from ingest.plan import Plan
from ingest.pulse import STEP_US_MIN, Clock, Pulse
from ingest.reads import CLOCK_TOPIC, SESSION_TOPIC, Arrival
from ingest.rebirths import Rebirths
from ingest.roster import ClockMessage, SessionMessage
from ingest.settings import Settings
from ingest.start import state_topic
from ingest.tls import CertificateError, Credentials
from ingest.workers import Worker, plan_of_worker, worker_filters
from ledger.epcis.times import format_time
from ledger.errors import TagtrailError

CERTIFICATE_LOOK_SECONDS = 5.0
SESSION_SECONDS = 30.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRun:
    """What a live gateway is started with; `load_plan` reads the plan again on SIGHUP."""

    settings: Settings
    plan: Plan
    broker: BrokerUrl
    ledger_url: str
    client_id: str
    load_plan: Callable[[], Plan] | None = None
    credentials: Credentials | None = None
    worker: Worker | None = None
    password: Callable[[], str | None] | None = None
    clock: Clock = field(default_factory=Clock)


class Gateway:
    """The running gateway; `run` returns once `stop` was called or a thread failed."""

    def __init__(self, how: GatewayRun) -> None:
        """Prepare; nothing is opened before `run`."""
        self._how = how
        self.pulse = Pulse(how.clock)
        self.monitor_url: str | None = None
        self._shared = Shared(
            settings=how.settings,
            pulse=self.pulse,
            plan=plan_of_worker(how.plan, how.worker),
            ledger_url=how.ledger_url,
        )
        self._shared.watch_clock = self._watch_clock
        self._clock_lock = threading.Lock()
        self._reloading = threading.Event()
        self._failure: BaseException | None = None
        self._session_us: int | None = None
        self._conditions: dict[str, str] = {}
        self._rebirths = Rebirths()
        self._subscriber = Subscriber(
            Link(
                broker=how.broker,
                client_id=how.client_id,
                on_delivery=self._take,
                on_state=self._broker_state,
                on_session=self._session_state,
                password=how.password,
                state_topic=state_topic(how.settings.broker, how.client_id),
                clock=how.clock,
                credentials=how.credentials,
            ),
            worker_filters(how.plan, how.worker),
        )

    def stop(self) -> None:
        """Ask the threads to finish what they have in hand; safe in a signal handler."""
        self._shared.stopping.set()

    def reload(self) -> None:
        """Ask for the plan and the certificate to be read again; safe in a signal handler."""
        self._reloading.set()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Run until stopped; calls `on_ready` at the first subscription.

        Raises what a thread failed with.
        """
        settings, shared = self._how.settings, self._shared
        # Opened here once, so that what is wrong shows before anything is subscribed to.
        shared.signers = open_signers(settings, shared.plan)
        Processor(settings, shared.plan, signers=shared.signers).close()
        Courier(settings, self._how.ledger_url).close()
        with Inbox(settings.folder) as inbox:
            self._session_us = inbox.session_us()
            newest = inbox.load_after(inbox.newest_id() - 1, 1)
        self._look_back(newest[0].received_us if newest else 0)
        self.pulse.tell("broker", f"{self._how.broker} did not answer yet")
        threads = [
            threading.Thread(target=self._guard, args=(loop,), name=name)
            for name, loop in (
                ("keeper", lambda: loops.keep(shared, self._subscriber.acknowledge)),
                ("processor", lambda: loops.process(shared)),
                ("courier", lambda: loops.deliver(shared)),
            )
        ]
        with ExitStack() as stack:
            if settings.listen is not None:
                server = stack.enter_context(monitoring(settings.listen, self.pulse))
                self.monitor_url = server.url
            for thread in threads:
                self.pulse.beat(thread.name)  # one that never goes round is stuck, too
                thread.start()
            self._subscriber.start()
            systemd.notify("READY=1")
            try:
                self._attend(on_ready)
            finally:
                systemd.notify("STOPPING=1")
                shared.stopping.set()
                for thread in threads:
                    thread.join()
                self._subscriber.stop()  # after the last acknowledgement
        if self._failure is not None:
            raise self._failure

    def _attend(self, on_ready: Callable[[], None]) -> None:
        """Look after the clock, the certificate, systemd and reloads until it stops."""
        is_ready, look_at, note_at = False, 0.0, 0.0
        watchdog, bark_at = systemd.watchdog_seconds(), 0.0
        while not self._shared.pause(IDLE_SECONDS):
            now = time.monotonic()
            self.pulse.beat("main")
            if not self._subscriber.is_running:
                raise TagtrailError("the thread that listens to the broker has ended")
            self._watch_clock()
            if not is_ready and self._subscriber.subscribed.is_set():
                is_ready = True
                on_ready()
            if not is_ready:
                self._subscriber.try_other_version()
            if self._shared.births:
                self._ask_births()
            if self._reloading.is_set():
                self._reloading.clear()
                self._reload()
            if now >= look_at:
                look_at = now + CERTIFICATE_LOOK_SECONDS
                self._watch_certificate()
                self._watch_readers()
            if now >= note_at and self._subscriber.subscribed.is_set():
                note_at = now + SESSION_SECONDS
                self._note_session()
            if watchdog is not None and now >= bark_at and not self.pulse.stalled():
                bark_at = now + watchdog
                systemd.notify("WATCHDOG=1")

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:
            self._failure = error
            self._shared.stopping.set()
            raise

    # --- The broker ---------------------------------------------------------------------

    def _broker_state(self, wrong: str | None) -> None:
        self.pulse.tell("broker", wrong)

    def _session_state(self, is_present: bool) -> None:  # noqa: FBT001  # a callback
        """Note where the broker forgot what it held for us: that may be missing."""
        now_us = self._how.clock.wall_us()
        before_us = self._session_us
        if not is_present and before_us is not None:
            _LOG.error("%s has forgotten the session and what it held", self._how.broker)
            lost = SessionMessage(from_us=min(before_us, now_us), to_us=now_us)
            self._keep_lost(msgspec.json.encode(lost), now_us)
        self._session_us = now_us

    def _keep_lost(self, payload: bytes, now_us: int) -> None:
        """Keep word of a lost session at once: the next connection has no reason to say it.

        It does not wait with the queue for room, nor is it lost with a gateway that is killed.
        """
        try:
            with Inbox(self._how.settings.folder) as inbox:
                inbox.keep([Arrival(SESSION_TOPIC, payload, now_us)])
        except DISK_ERRORS as error:
            _LOG.warning("word of the lost session waits for the disk: %s", error)
            self._own(SESSION_TOPIC, payload, now_us)
        else:
            self._shared.arrived.set()

    def _note_session(self) -> None:
        """Keep until when the broker had our session, for the next start."""
        self._session_us = self._how.clock.wall_us()
        try:
            with Inbox(self._how.settings.folder) as inbox:
                inbox.store_session(self._session_us)
        except TagtrailError as error:
            _LOG.warning("the session cannot be noted: %s", error)

    def _own(self, topic: str, payload: bytes, now_us: int) -> None:
        """Put a message of the gateway's own into the inbox, after what came before it."""
        self._shared.put(Delivery(Arrival(topic, payload, now_us), 0, 0, -1))

    def _ask_births(self) -> None:
        """Ask the Sparkplug nodes to be born anew whose messages cannot be read."""
        births = self._shared.births
        nodes = {births.popleft() for _ in range(len(births))}
        if not self._subscriber.subscribed.is_set():
            return  # their next message asks again
        for topic, payload in self._rebirths.commands(nodes, self._how.clock.steady_us()):
            _LOG.info("asking for the births of a Sparkplug node: %s", topic)
            self._subscriber.send(topic, payload)
            self.pulse.count({"rebirths": 1})

    # --- What changes outside -----------------------------------------------------------

    def _take(self, delivery: Delivery) -> None:
        """Put a message into the queue; one by a clock that was set, after word of the step.

        Else it would be judged by the clock before, and the clock of its reader by it.
        """
        offset_us = delivery.arrival.received_us - delivery.arrival.monotonic_us
        if abs(offset_us - self.pulse.offset_us) >= STEP_US_MIN:
            with self._clock_lock:
                step_us = self.pulse.take_offset(offset_us)
                if step_us:
                    self._tell_step(step_us, delivery.arrival.received_us)
        self._shared.enqueue(delivery)

    def _watch_clock(self) -> None:
        with self._clock_lock:  # who comes second goes on once the step is told of
            step_us = self.pulse.watch_clock()
            if step_us:
                self._tell_step(step_us, self._how.clock.wall_us())

    def _look_back(self, newest_us: int) -> None:
        """Tell of a clock that is behind the newest message: it was set back while nobody ran.

        What waits for it would wait until it is back there; a host whose clock runs down is
        set right a while after it starts.
        """
        behind_us = newest_us - self._how.clock.wall_us()
        if behind_us >= STEP_US_MIN:
            self._tell_step(-behind_us, newest_us - behind_us)

    def _tell_step(self, step_us: int, now_us: int) -> None:
        _LOG.warning("the clock was set by %+.1f s", step_us / 1_000_000)
        self._shared.steps_told += 1
        said = ClockMessage(time_us=now_us, step_us=step_us)
        self._own(CLOCK_TOPIC, msgspec.json.encode(said), now_us)

    def _watch_readers(self) -> None:
        """Log each reader whose condition changed; one that is first met well is no news."""
        for one in self.pulse.readers():
            if one.condition != self._conditions.get(one.name, "online"):
                level = logging.INFO if one.condition == "online" else logging.WARNING
                _LOG.log(level, "reader %r is %s", one.name, one.condition)
                self._conditions[one.name] = one.condition

    def _watch_certificate(self) -> None:
        credentials = self._how.credentials
        if credentials is None:
            return
        wrong = None
        try:
            if credentials.refresh():
                _LOG.info("a new certificate is in use; connecting anew")
                self._subscriber.reconnect()
        except (CertificateError, OSError) as error:
            wrong = f"the new files cannot be used: {error}"
        if credentials.certificate is not None:
            expires_us = credentials.certificate.expires_us
            self.pulse.show(expires_us=expires_us)
            if expires_us <= self._how.clock.wall_us():
                wrong = f"the certificate expired at {format_time(expires_us)}"
        if self.pulse.tell("certificate", wrong) and wrong is not None:
            _LOG.error("%s", wrong)

    def _reload(self) -> None:
        systemd.notify("RELOADING=1")
        self._watch_certificate()
        try:
            if self._how.load_plan is not None:
                self._take_plan(self._how.load_plan())
            self.pulse.tell("plan", None)
        except TagtrailError as error:
            _LOG.error("the old plan goes on: %s", error)
            self.pulse.tell("plan", None)
            self.pulse.tell("plan", f"the newest plan has a mistake, the old goes on: {error}")
        systemd.notify("READY=1")

    def _take_plan(self, plan: Plan) -> None:
        shared = self._shared
        if plan.sha256 == shared.plan.sha256:
            return
        filters = worker_filters(plan, self._how.worker)
        mine = plan_of_worker(plan, self._how.worker)
        shared.news.append((mine, open_signers(self._how.settings, mine)))
        shared.arrived.set()
        while shared.news and not shared.pause(IDLE_SECONDS):
            self.pulse.beat("main")
        self._subscriber.set_filters(filters)
        _LOG.info("the plan %s is in force, sha256 %s", plan.name, plan.sha256.hex())
