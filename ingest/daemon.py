"""The gateway as it runs live: four threads that share nothing but the databases.

    paho      the broker's messages into a queue
    keeper    the queue into the inbox, many messages a commit; then their PUBACKs
    processor the inbox into the outbox; a tick where a place was silent
    courier   the outbox into the ledger

A disk that refuses is waited for: nothing is acknowledged meanwhile, so the broker keeps it.
Anything else that a thread did not foresee ends the process, and the next start goes on from
what is durable.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ingest.database import SpoolError
from ingest.delivery import SEEN_SECONDS, next_delay
from ingest.mqtt import BrokerUrl, Delivery, Subscriber
from ingest.pipeline import (
    MESSAGES_PER_BATCH,
    Courier,
    Keeper,
    Processor,
    Signers,
    now_us,
    open_signers,
)
from ingest.plan import Plan
from ingest.settings import Settings
from ingest.topics import simplify_filters

QUEUE_MAX = 10_000
KEEP_BATCH_MAX = 1_000
LINGER_SECONDS = 0.1
IDLE_SECONDS = 0.1
DISK_RETRY_SECONDS = 1.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRun:
    """What a live gateway is started with."""

    settings: Settings
    plan: Plan
    broker: BrokerUrl
    ledger_url: str
    client_id: str


class Gateway:
    """The running gateway; `run` returns once `stop` was called or a thread failed."""

    def __init__(self, how: GatewayRun) -> None:
        """Prepare; nothing is opened before `run`."""
        self._how = how
        self._stopping = threading.Event()
        self._arrived = threading.Event()
        self._sealed = threading.Event()
        self._queue: queue.Queue[Delivery] = queue.Queue(QUEUE_MAX)
        self._failure: BaseException | None = None
        self._signers: Signers = {}
        filters = [topic for one in how.plan.stations for topic in one.topics]
        filters += [topic for one in how.plan.sensors for topic in one.topics]
        self._subscriber = Subscriber(
            how.broker,
            how.client_id,
            simplify_filters(filters),
            clock_us=now_us,
            on_delivery=self._enqueue,
        )

    def stop(self) -> None:
        """Ask the threads to finish what they have in hand; safe in a signal handler."""
        self._stopping.set()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Run until stopped; calls `on_ready` at the first subscription.

        Raises what a thread failed with.
        """
        settings = self._how.settings
        # Opened here once, so that what is wrong shows before anything is subscribed to.
        self._signers = open_signers(settings, self._how.plan)
        Processor(settings, self._how.plan, signers=self._signers).close()
        Courier(settings, self._how.ledger_url).close()
        threads = [
            threading.Thread(target=self._guard, args=(loop,), name=name)
            for name, loop in (
                ("keeper", self._keep),
                ("processor", self._process),
                ("courier", self._deliver),
            )
        ]
        for thread in threads:
            thread.start()
        self._subscriber.start()
        try:
            self._wait(on_ready)
        finally:
            self._stopping.set()
            self._subscriber.stop()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure

    def _wait(self, on_ready: Callable[[], None]) -> None:
        is_ready = False
        while not self._stopping.wait(IDLE_SECONDS):
            if not is_ready and self._subscriber.subscribed.is_set():
                is_ready = True
                on_ready()
            if not is_ready:
                self._subscriber.try_other_version()

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:
            self._failure = error
            self._stopping.set()
            raise

    def _enqueue(self, delivery: Delivery) -> None:
        while not self._stopping.is_set():
            try:
                self._queue.put(delivery, timeout=IDLE_SECONDS)
            except queue.Full:
                continue
            return

    def _take(self) -> list[Delivery]:
        """Return what is in the queue, waiting a little for the first."""
        try:
            batch = [self._queue.get(timeout=IDLE_SECONDS)]
        except queue.Empty:
            return []
        while len(batch) < KEEP_BATCH_MAX:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _keep(self) -> None:
        with Keeper(self._how.settings.folder) as keeper:
            while not (self._stopping.is_set() and self._queue.empty()):
                batch = self._take()
                if not batch:
                    continue
                if self._keep_or_wait(keeper, batch):
                    self._subscriber.acknowledge(batch)
                    self._arrived.set()

    def _keep_or_wait(self, keeper: Keeper, batch: list[Delivery]) -> bool:
        """Keep the batch however long the disk refuses; False where the gateway stops first.

        What was not kept is not acknowledged, so the broker has it still and sends it again.
        """
        while True:
            try:
                keeper.keep([one.arrival for one in batch])
            except SpoolError as error:
                _LOG.error("the inbox cannot keep %d messages: %s", len(batch), error)
                if self._stopping.wait(DISK_RETRY_SECONDS):
                    return False
                continue
            return True

    def _process(self) -> None:
        while not self._stopping.is_set():
            try:
                with Processor(
                    self._how.settings, self._how.plan, signers=self._signers
                ) as processor:
                    self._process_with(processor)
            except SpoolError as error:
                # The state in memory is ahead of the disk: begin again from the disk.
                _LOG.error("processing stopped: %s", error)
                self._stopping.wait(DISK_RETRY_SECONDS)

    def _process_with(self, processor: Processor) -> None:
        while not self._stopping.is_set():
            self._arrived.wait(IDLE_SECONDS)
            if self._arrived.is_set():
                self._arrived.clear()
                time.sleep(LINGER_SECONDS)
            while processor.process() == MESSAGES_PER_BATCH:
                self._sealed.set()
            self._sealed.set()
            if processor.tick_if_due():
                self._arrived.set()

    def _deliver(self) -> None:
        delay, see_at = 0.0, 0.0
        with Courier(self._how.settings, self._how.ledger_url) as courier:
            while not self._stopping.wait(delay):
                try:
                    if time.monotonic() >= see_at:
                        see_at = time.monotonic() + SEEN_SECONDS
                        _report(courier.see())
                    delivered = courier.deliver()
                except SpoolError as error:
                    _LOG.error("the outbox cannot be settled: %s", error)
                    delay = DISK_RETRY_SECONDS
                    continue
                if delivered.unavailable and not delay:
                    _LOG.warning("the ledger is not available: %s", delivered.unavailable)
                if delivered.refused:
                    _LOG.error(
                        "the ledger refused %d statements; see status", delivered.refused
                    )
                delay = next_delay(delay, delivered)
                if not delay and not delivered.accepted + delivered.proven:
                    self._sealed.wait(IDLE_SECONDS)
                    self._sealed.clear()


def _report(wrong: str | None) -> None:
    if wrong is not None:
        _LOG.error("the ledger's checkpoint does not hold: %s", wrong)
