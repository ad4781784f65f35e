"""The gateway's three loops, each for a thread of its own, and what they tell the pulse.

    keep       the queue into the inbox, many messages a commit; then their PUBACKs
    process    the inbox into the outbox; a tick where a place was silent
    deliver    the outbox into the ledger, and the receipts back

A disk that refuses is waited for: nothing is acknowledged meanwhile, so the broker keeps it.
Where the spool's quota is reached, the queue is left alone, and so is the broker's credit.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from ingest.database import DISK_ERRORS
from ingest.delivery import SEEN_SECONDS, Delivered, next_delay
from ingest.heartbeats import Heartbeats
from ingest.inbox import Pruned
from ingest.link import Delivery
from ingest.pipeline import MESSAGES_PER_BATCH, Courier, Keeper, Processor, Signers
from ingest.plan import Plan
from ingest.pulse import Pulse
from ingest.reads import CLOCK_TOPIC, OWN_TOPICS, QUOTA_TOPIC, Arrival
from ingest.roster import QuotaMessage
from ingest.settings import Settings
from ingest.spool import Room, Spool

QUEUE_MAX = 10_000
KEEP_BATCH_MAX = 1_000
LINGER_SECONDS = 0.1
IDLE_SECONDS = 0.1
DISK_RETRY_SECONDS = 1.0
REFUSE_PAUSE_SECONDS = 5.0
REFUSED_TOPICS_BYTES_MAX = 512 * 1024  # in one message of what was refused
SHOW_SECONDS = 1.0
_SHOW_SHARE = 50
TELL_SECONDS = 5.0
BEAT_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


def _see_nothing() -> None:
    """Watch no clock; the gateway puts its own in."""


@dataclass(slots=True)
class Shared:
    """What the loops have in common: settings, pulse, queue and signals."""

    settings: Settings
    pulse: Pulse
    plan: Plan
    ledger_url: str
    signers: Signers = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    sealed: threading.Event = field(default_factory=threading.Event)
    queue: deque[Delivery] = field(default_factory=deque)
    filled: threading.Event = field(default_factory=threading.Event)
    news: list[tuple[Plan, Signers]] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    disk_lock: threading.Lock = field(default_factory=threading.Lock)
    watch_clock: Callable[[], None] = _see_nothing
    steps_told: int = 0  # of the clock; each is a message that goes through the queue
    steps_kept: int = 0
    births: deque[str] = field(default_factory=lambda: deque(maxlen=QUEUE_MAX))

    def disk_refuses(self, who: str, why: str) -> bool:
        """Say that the disk refuses the loop `who`, which tries again; True if that is news."""
        with self.disk_lock:
            is_news = who not in self.refusals
            self.refusals[who] = why
            self.pulse.tell("disk", "; ".join(sorted(self.refusals.values())))
        return is_news

    def disk_takes(self, who: str) -> None:
        """Say that the disk took what the loop `who` wrote; another's trouble goes on."""
        if who in self.refusals:
            with self.disk_lock:
                del self.refusals[who]
                _LOG.info("the disk takes what the %s writes again", who)
                self.pulse.tell("disk", "; ".join(sorted(self.refusals.values())) or None)

    def pause(self, seconds: float) -> bool:
        """Wait, and say whether the gateway is to stop."""
        return self.stopping.wait(seconds)

    def enqueue(self, delivery: Delivery) -> None:
        """Put into the queue, waiting while it is full; called by paho's thread."""
        while len(self.queue) >= QUEUE_MAX:
            if self.stopping.wait(IDLE_SECONDS):
                return
        self.put(delivery)

    def put(self, delivery: Delivery) -> None:
        """Put into the queue, however full it is: what the gateway itself says is little."""
        self.queue.append(delivery)
        if not self.filled.is_set():
            self.filled.set()

    def take(self) -> list[Delivery]:
        """Return what is in the queue, waiting a little for the first."""
        if not self.queue:
            self.filled.clear()
            if not self.queue:  # or it was filled in between
                self.filled.wait(IDLE_SECONDS)
        return [self.queue.popleft() for _ in range(min(len(self.queue), KEEP_BATCH_MAX))]


def keep(shared: Shared, acknowledge: Callable[[Sequence[Delivery]], int]) -> None:
    """Keep what is in the queue, then acknowledge it, until the gateway stops."""
    while not shared.stopping.is_set():
        try:
            with (
                Keeper(shared.settings.folder) as keeper,
                Spool(shared.settings.folder, shared.settings.quota) as spool,
            ):
                shared.disk_takes("keeper")
                _keep_with(shared, keeper, spool, acknowledge)
        except DISK_ERRORS as error:
            _disk_problem(shared, "keeper", "keeping stopped", error)


def _keep_with(
    shared: Shared,
    keeper: Keeper,
    spool: Spool,
    acknowledge: Callable[[Sequence[Delivery]], int],
) -> None:
    pulse = shared.pulse
    while not (shared.stopping.is_set() and not shared.queue):
        pulse.beat("keeper")
        room = spool.look(pulse.clock.wall_us())
        pulse.show(spooled=spool.spooled)
        _tell_pruned(spool.prune(pulse.clock.wall_us()))
        if pulse.tell("spool", spool.why) and spool.why is not None:
            _LOG.warning("nothing more is taken: %s", spool.why)
        if room is Room.WAIT:
            if shared.pause(IDLE_SECONDS):
                # What was not kept is not acknowledged: the broker has it still.
                own = [one for one in shared.queue if one.arrival.topic in OWN_TOPICS]
                if own:
                    _settle_batch(shared, keeper, own, is_refused=False)
                return
            continue
        if room is Room.REFUSE:
            shared.pause(REFUSE_PAUSE_SECONDS)
        batch = shared.take()
        if not batch:
            continue
        if not _settle_batch(shared, keeper, batch, is_refused=room is Room.REFUSE):
            return
        pulse.count({"acknowledged": acknowledge(batch)})
        shared.arrived.set()


def _tell_pruned(pruned: Pruned) -> None:
    if pruned.files:
        _LOG.info("deleted %d bytes of payloads that need not be retained", pruned.size)


def _settle_batch(
    shared: Shared, keeper: Keeper, batch: list[Delivery], *, is_refused: bool
) -> bool:
    """Keep the batch however long the disk refuses; False where the gateway stops first.

    What was not kept is not acknowledged, so the broker has it still and sends it again. Of a
    batch that is refused, messages are kept that say so; the gateway's own are never refused.
    """
    arrivals = [one.arrival for one in batch]
    refused = 0
    if is_refused:
        said = [one for one in arrivals if one.topic in OWN_TOPICS]
        others = [one for one in arrivals if one.topic not in OWN_TOPICS]
        refused = len(others)
        arrivals = [*said, *refusals(others, shared.pulse.clock.wall_us())]
    while True:
        try:
            kept = keeper.keep(arrivals)
        except DISK_ERRORS as error:
            what = f"the inbox cannot keep {len(batch)} messages"
            _disk_problem(shared, "keeper", what, error)
            if shared.stopping.is_set():
                return False
            continue
        shared.disk_takes("keeper")
        shared.steps_kept += sum(one.arrival.topic == CLOCK_TOPIC for one in batch)
        own = {"refused": refused} if refused else {"kept": kept.new, "repeats": kept.repeats}
        shared.pulse.count({"received": len(batch), **own})
        return True


def refusals(arrivals: Sequence[Arrival], now_us: int) -> list[Arrival]:
    """Return the gateway's own messages that it refused `arrivals`, each of bounded size."""
    if not arrivals:
        return []
    times = [one.received_us for one in arrivals]
    span = (min(times), max(*times, now_us))
    said: list[dict[str, int]] = [{}]
    held = 0
    for topic, count in Counter(one.topic for one in arrivals).items():
        held += len(msgspec.json.encode(topic))
        if held > REFUSED_TOPICS_BYTES_MAX and said[-1]:
            said.append({})
            held = len(msgspec.json.encode(topic))
        said[-1][topic] = count
    return [
        Arrival(QUOTA_TOPIC, msgspec.json.encode(QuotaMessage(*span, topics)), now_us)
        for topics in said
    ]


def process(shared: Shared) -> None:
    """Process what was kept until the gateway stops, by the newest plan that can be taken."""
    while not shared.stopping.is_set():
        try:
            wall_us = shared.pulse.clock.wall_us
            with (
                Processor(
                    shared.settings, shared.plan, signers=shared.signers, clock_us=wall_us
                ) as processor,
                Heartbeats(shared.settings, shared.signers, wall_us) as heartbeats,
            ):
                _process_with(shared, processor, heartbeats)
        except DISK_ERRORS as error:
            # The state in memory is ahead of the disk: begin again from the disk.
            _disk_problem(shared, "processor", "processing stopped", error)
        if shared.news:
            shared.plan, shared.signers = shared.news.pop(0)


def _process_with(shared: Shared, processor: Processor, heartbeats: Heartbeats) -> None:
    pulse, show_at, told_at = shared.pulse, 0.0, 0.0
    while not (shared.stopping.is_set() or shared.news):
        pulse.beat("processor")
        shared.arrived.wait(IDLE_SECONDS)
        if shared.arrived.is_set():
            shared.arrived.clear()
            time.sleep(LINGER_SECONDS)
        while processor.process() == MESSAGES_PER_BATCH:
            pulse.beat("processor")
            shared.sealed.set()
            if shared.stopping.is_set() or shared.news:
                break  # a plan does not wait for the end of a backlog
        said = heartbeats.say_if_due()
        pulse.count({"heartbeats": said, "statements": said})
        shared.disk_takes("processor")
        shared.sealed.set()
        shared.watch_clock()
        # A tick by a clock that was set comes after the message that says so.
        if shared.steps_kept == shared.steps_told and processor.tick_if_due():
            shared.arrived.set()
        if time.monotonic() - told_at > TELL_SECONDS:
            told_at = time.monotonic()
            if processor.tell_refused():
                shared.arrived.set()
        pulse.count(processor.totals)
        processor.totals.clear()
        shared.births.extend(processor.births)
        processor.births.clear()
        started = time.monotonic()
        if started >= show_at:
            pulse.show(readers=tuple(processor.readers()))
            took = time.monotonic() - started
            show_at = started + max(SHOW_SECONDS, _SHOW_SHARE * took)  # there may be thousands


def deliver(shared: Shared) -> None:
    """Deliver what was sealed until the gateway stops; an absent ledger is asked again."""
    while not shared.stopping.is_set():
        try:
            beat = partial(shared.pulse.beat, "courier")
            with Courier(shared.settings, shared.ledger_url, beat=beat) as courier:
                _deliver_with(shared, courier)
        except DISK_ERRORS as error:
            _disk_problem(shared, "courier", "the outbox cannot be settled", error)


def _deliver_with(shared: Shared, courier: Courier) -> None:
    delay, see_at = 0.0, 0.0
    wrong: str | None = None
    while not _rest(shared, delay):
        if time.monotonic() >= see_at:
            see_at = time.monotonic() + SEEN_SECONDS
            wrong = courier.see()
            if wrong is not None:
                _LOG.error("the ledger's checkpoint does not hold: %s", wrong)
        delivered = courier.deliver()
        shared.disk_takes("courier")
        _report(shared.pulse, delivered, wrong, courier.parked())
        delay = _delay(delay, delivered)
        if not delay and not delivered.accepted + delivered.proven:
            shared.sealed.wait(IDLE_SECONDS)
            shared.sealed.clear()


def _rest(shared: Shared, seconds: float) -> bool:
    """Wait, beating meanwhile, and say whether the gateway is to stop."""
    until = time.monotonic() + seconds
    while True:
        shared.pulse.beat("courier")
        left = until - time.monotonic()
        if shared.pause(max(min(left, BEAT_SECONDS), 0.0)):
            return True
        if left <= BEAT_SECONDS:
            return False


def _delay(delay: float, delivered: Delivered) -> float:
    """Return how long to wait: for the next checkpoint a moment, for a ledger longer."""
    if delivered.is_receipt_pending:
        return IDLE_SECONDS
    return next_delay(delay, delivered)


def _report(pulse: Pulse, delivered: Delivered, wrong: str | None, parked: int) -> None:
    pulse.count({"receipts": delivered.proven})
    away = None
    if delivered.unavailable is not None and not delivered.is_receipt_pending:
        away = f"the ledger is not available: {delivered.unavailable}"
    if wrong is not None:
        away = f"the ledger's checkpoint does not hold: {wrong}"
    if pulse.tell("ledger", away) and away is not None:
        _LOG.warning("%s", away)
    said = f"{parked} statements were refused; see `tagtrail gateway parked list`"
    pulse.tell("parked", said if parked else None)
    if delivered.refused:
        _LOG.error("the ledger refused %d statements; see parked list", delivered.refused)


def _disk_problem(shared: Shared, who: str, what: str, error: Exception) -> None:
    if shared.disk_refuses(who, f"{what}: {error}"):  # a full disk wants no more lines
        _LOG.error("%s: %s", what, error)
    shared.pulse.beat(who)
    shared.pause(DISK_RETRY_SECONDS)
