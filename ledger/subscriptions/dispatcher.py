"""Sends subscribers what they asked for: one thread with an event loop of its own.

For each subscription one delivery is under way at most, so that a subscriber gets its events
in the order of recording; a slow or dead receiver delays nobody else. A delivery is written
down before its first attempt and tried again, ever more rarely, until it is acknowledged with
2xx: only then does the subscriber's place, and `minRecordTime`, move on. So each event comes
at least once, and again only under the same delivery id.

A stream is sent whatever is new; a schedule what came since the last time, when it is due.
"""

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from ledger.epcis.query_schedule import next_time_us, parse_schedule
from ledger.epcis.query_show import parse_epc_format, show_document, show_parts
from ledger.errors import ParseError, TagtrailError
from ledger.store.query_reader import QueryReader
from ledger.store.query_sql import below_entry
from ledger.store.standing import StandingQueries, Subscription
from ledger.subscriptions.batches import Batch, Batches, delivery_id, query_of
from ledger.subscriptions.guard import Network, parse_destination
from ledger.subscriptions.post import DeliveryError, post, sign_delivery

_US = 1_000_000
STOP_WAIT_S = 5.0
FAILURES_COUNTED_MAX = 30

_log = logging.getLogger("tagtrail.subscriptions")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """How deliveries are made; times in seconds."""

    networks: tuple[Network, ...] = ()
    """Networks besides the public ones that deliveries may go to."""
    look_every_s: float = 0.05
    answer_s_max: float = 30.0
    retry_first_s: float = 1.0
    retry_most_s: float = 900.0
    at_once_max: int = 256


class Dispatcher:
    """The deliveries of one ledger."""

    def __init__(
        self,
        standing: StandingQueries,
        reader: QueryReader,
        *,
        now_us: Callable[[], int],
        prefixes: Callable[[], tuple[str, ...]],
        settings: DeliverySettings | None = None,
    ) -> None:
        """Start; `prefixes` are the company prefixes for URNs, `now_us` the clock."""
        self.settings = settings or DeliverySettings()
        self._standing = standing
        self._reader = reader
        self._now_us = now_us
        self._prefixes = prefixes
        self._busy: set[str] = set()
        self._looked: dict[str, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deliver", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop; what is under way and not acknowledged is tried again at the next start."""
        self._stopping.set()
        self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        asyncio.run(self._turn())

    async def _turn(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        limit = asyncio.Semaphore(self.settings.at_once_max)
        while not self._stopping.is_set():
            try:
                prepared = await asyncio.to_thread(self._prepare)
            except TagtrailError as error:
                _log.error("no delivery could be prepared: %s", error)
                prepared = []
            for one, batch, body in prepared:
                self._busy.add(one.id)
                task = asyncio.create_task(self._deliver(limit, one, batch, body))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(self.settings.look_every_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- Preparing ----------------------------------------------------------------------

    def _prepare(self) -> list[tuple[Subscription, Batch, bytes]]:
        """Return what is to be sent now, after it was written down."""
        now_us = self._now_us()
        waiting = [
            one
            for one in self._standing.list_subscriptions()
            if one.id not in self._busy and one.retry_us <= now_us and self._is_due(one, now_us)
        ]
        if not waiting:
            return []
        below = below_entry(self._reader.size())
        placed = [self._placed(one) for one in waiting]
        ready = [one for one in placed if one.schedule or one.until or one.place < below]
        batches = Batches(self._reader, below)
        crowd = Counter(one.place for one in ready if one.until is None)
        prepared = []
        for one in ready:
            step = self._step(one, batches, crowd, now_us)
            if step is not None:
                prepared.append(step)
        self._standing.update([one for one, _, _ in prepared])
        return prepared

    def _placed(self, one: Subscription) -> Subscription:
        """Return a subscription where it was last looked at, if that is farther on."""
        if one.until is not None:
            return one
        return replace(one, place=max(one.place, self._looked.get(one.id, 0)))

    def _is_due(self, one: Subscription, now_us: int) -> bool:
        return one.schedule is None or one.until is not None or (one.due_us or 0) <= now_us

    def _step(
        self, one: Subscription, batches: Batches, crowd: Counter[int], now_us: int
    ) -> tuple[Subscription, Batch, bytes] | None:
        """Return the next delivery of one subscription, None where there is nothing to send."""
        named = self._standing.find_query(one.query)
        if named is None:
            return None
        batch = batches.next_for(one, query_of(named, one.initial_us), crowd)
        if not batch.found and not (one.schedule and one.report_if_empty):
            self._pass_over(one, batch, now_us)
            return None
        one = replace(one, until=batch.reached)
        return one, batch, self._write(one, batch)

    def _pass_over(self, one: Subscription, batch: Batch, now_us: int) -> None:
        """Note that nothing for the subscriber was found up to a place."""
        self._looked[one.id] = batch.reached
        if one.schedule or one.until is not None:
            self._standing.update([self._moved(one, batch, now_us)])

    def _write(self, one: Subscription, batch: Batch) -> bytes:
        epc_format = parse_epc_format(one.epc_format)
        prefixes = self._prefixes() if epc_format == "Always_EPC_URN" else ()
        events = [
            show_parts(
                found.parts,
                record_time_us=found.record_time_us,
                epc_format=epc_format,
                prefixes=prefixes,
            )
            for found in batch.found
        ]
        return show_document(
            events,
            created_us=self._now_us(),
            query_name=one.query,
            subscription_id=one.id,
            document_id=delivery_id(one.id, one.place, batch.reached),
        )

    # --- Delivering ---------------------------------------------------------------------

    async def _deliver(
        self, limit: asyncio.Semaphore, one: Subscription, batch: Batch, body: bytes
    ) -> None:
        try:
            async with limit:
                await self._attempt(one, batch, body)
        except DeliveryError as error:
            await asyncio.to_thread(self._failed, one, str(error))
        else:
            now_us = self._now_us()
            done = replace(self._moved(one, batch, now_us), last_notified_us=now_us)
            await asyncio.to_thread(self._standing.update, [done])
            self._looked[one.id] = batch.reached
        finally:
            self._busy.discard(one.id)

    async def _attempt(self, one: Subscription, batch: Batch, body: bytes) -> None:
        headers = {
            "Content-Type": "application/ld+json",
            "GS1-EPCIS-Version": "2.0.0",
            "GS1-CBV-Version": "2.0.0",
            "Tagtrail-Delivery": delivery_id(one.id, one.place, batch.reached),
        }
        if one.token is not None:
            now_s = self._now_us() // _US
            headers["GS1-Signature"] = sign_delivery(one.token, body, now_s)
        try:
            destination = parse_destination(one.dest)
        except ParseError as error:
            raise DeliveryError(str(error)) from error
        await post(
            destination,
            body,
            headers,
            networks=self.settings.networks,
            seconds_max=self.settings.answer_s_max,
        )

    def _moved(self, one: Subscription, batch: Batch, now_us: int) -> Subscription:
        """Return the subscription after a delivery that was acknowledged, or was empty."""
        due_us = one.due_us
        at_end = len(batch.found) == 0 or batch.reached >= below_entry(self._reader.size())
        if one.schedule is not None and at_end:
            due_us = next_time_us(parse_schedule(json.loads(one.schedule)), now_us)
        newest = max((found.record_time_us for found in batch.found), default=0)
        return replace(
            one,
            place=batch.reached,
            until=None,
            failures=0,
            retry_us=0,
            due_us=due_us,
            min_record_us=max(one.min_record_us, newest),
            why=None,
        )

    def _failed(self, one: Subscription, why: str) -> None:
        settings = self.settings
        failures = min(one.failures + 1, FAILURES_COUNTED_MAX)
        wait_s = min(settings.retry_first_s * 2 ** (failures - 1), settings.retry_most_s)
        retry_us = self._now_us() + int(wait_s * _US)
        _log.warning("subscription %s: %s; again in %g s", one.id, why, wait_s)
        self._standing.update([replace(one, failures=failures, retry_us=retry_us, why=why)])
