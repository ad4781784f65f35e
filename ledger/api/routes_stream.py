"""Subscriptions by WebSocket: `GET /queries/{name}/events` with an upgrade.

    ws://…/queries/cold/events?stream=true
    ws://…/queries/cold/events?minute=5&hour=1&reportIfEmpty=true
    ws://…/queries/cold/events?stream=true&resume=urn:tagtrail:stream:cold:1048576

Each message is an EPCISQueryDocument of at most 200 events in the order of recording. Its `id`
is where the stream stands after it: whoever was cut off gives the last one back as `resume` and
gets every event after it, none twice. Without it the stream begins with what is recorded from
now on, or at `initialRecordTime`. A query that is removed closes the connection with 1001; what
is wrong with the parameters with 1008 and the reason.
"""

import asyncio
import re
from collections.abc import Mapping

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from ledger.api.routes_query import show_found
from ledger.api.served import Served
from ledger.epcis.query_schedule import FIELDS, Schedule, next_time_us, parse_schedule
from ledger.epcis.query_show import EpcFormat, parse_epc_format, show_document
from ledger.epcis.times import parse_time_us
from ledger.errors import ParseError
from ledger.store.query_reader import Found
from ledger.store.query_sql import below_entry
from ledger.subscriptions.batches import EVENTS_PER_DELIVERY, query_of

CONNECTIONS_MAX = 1000
LOOK_EVERY_S = 0.05
SEND_S_MAX = 60.0
_GOING_AWAY, _POLICY, _TRY_LATER = 1001, 1008, 1013
_PARAMETERS = ("stream", "reportIfEmpty", "initialRecordTime", "resume", *FIELDS)
_RESUME = re.compile(r"urn:tagtrail:stream:([A-Za-z0-9._~-]{1,100}):(\d{1,19})", re.ASCII)
_US = 1_000_000

router = APIRouter()


@router.websocket("/queries/{query_name}/events")
async def stream_events(socket: WebSocket, query_name: str) -> None:
    """Send the events of a named query as they come."""
    ledger = socket.app.state.served
    assert isinstance(ledger, Served)
    await socket.accept()
    if len(ledger.streams) >= CONNECTIONS_MAX:
        await socket.close(_TRY_LATER, f"{CONNECTIONS_MAX} are connected already")
        return
    try:
        stream = await run_in_threadpool(_Stream, ledger, query_name, socket)
    except ParseError as error:
        await socket.close(_POLICY, str(error)[:100])
        return
    ledger.streams.add(id(socket))
    sending = asyncio.ensure_future(stream.run())
    listening = asyncio.ensure_future(_listen(socket))
    try:
        await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ledger.streams.discard(id(socket))
        for task in (sending, listening):
            task.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)


async def _listen(socket: WebSocket) -> None:
    """Wait until the client goes; what it says meanwhile has no meaning."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return


class _Stream:
    """One connected client."""

    def __init__(self, ledger: Served, name: str, socket: WebSocket) -> None:
        self._ledger = ledger
        self._socket = socket
        named = ledger.standing.find_query(name)
        if named is None:
            raise ParseError("query", f"there is no query {name[:80]!r}")
        parameters = dict(socket.query_params)
        for parameter in parameters:
            if parameter not in _PARAMETERS:
                raise ParseError(parameter[:60], "is no parameter of a stream")
        self._named = named
        self._schedule = _read_schedule(parameters)
        self._report_if_empty = parameters.get("reportIfEmpty", "").lower() == "true"
        initial = parameters.get("initialRecordTime")
        initial_us = None if initial is None else parse_time_us(initial, "initialRecordTime")
        self._query = query_of(named, initial_us)
        self._format: EpcFormat = parse_epc_format(socket.headers.get("gs1-epc-format"))
        self._place = _first_place(ledger, name, parameters.get("resume"), initial_us)

    async def run(self) -> None:
        """Send until the query is removed or the client is gone."""
        try:
            while self._ledger.standing.find_query(self._named.name) is self._named:
                await self._wait()
                await self._send_all()
            await self._socket.close(_GOING_AWAY, "the query was removed")
        except (WebSocketDisconnect, RuntimeError, TimeoutError, OSError):
            return  # The client is gone, or takes nothing any more.

    async def _wait(self) -> None:
        """Wait until there may be news, or until the schedule is due."""
        if self._schedule is None:
            await asyncio.sleep(LOOK_EVERY_S)
            return
        due_us = next_time_us(self._schedule, self._ledger.now_us()) or 0
        while self._ledger.now_us() < due_us:
            rest_s = (due_us - self._ledger.now_us()) / _US
            await asyncio.sleep(min(max(rest_s, 0.0), 1.0))
            if self._ledger.standing.find_query(self._named.name) is not self._named:
                return

    async def _send_all(self) -> None:
        below = below_entry(self._ledger.indexed())
        sent = False
        while self._place < below:
            found, reached = await run_in_threadpool(
                self._ledger.queries.load_recorded,
                *(self._query, self._place, below, EVENTS_PER_DELIVERY),
            )
            self._place = max(reached, self._place + 1)
            if found:
                await self._send(found)
                sent = True
        if self._schedule is not None and self._report_if_empty and not sent:
            await self._send([])

    async def _send(self, found: list[Found]) -> None:
        body = show_document(
            show_found(self._ledger, found, self._format),
            created_us=self._ledger.now_us(),
            query_name=self._named.name,
            document_id=f"urn:tagtrail:stream:{self._named.name}:{self._place}",
        )
        async with asyncio.timeout(SEND_S_MAX):
            await self._socket.send_text(body.decode())


def _first_place(ledger: Served, name: str, resume: str | None, initial_us: int | None) -> int:
    if resume is not None:
        match = _RESUME.fullmatch(resume)
        if match is None or match[1] != name:
            raise ParseError("resume", "is no id of a message of this query")
        return min(int(match[2]), below_entry(ledger.log.size))
    if initial_us is not None:
        return ledger.queries.find_recorded(initial_us)
    return below_entry(ledger.log.size)


def _read_schedule(parameters: Mapping[str, str]) -> Schedule | None:
    fields = {name: value for name, value in parameters.items() if name in FIELDS}
    stream = parameters.get("stream", "").lower()
    if fields and stream:
        raise ParseError("stream", "and a schedule exclude each other")
    if stream == "true":
        return None
    if not fields:
        raise ParseError("stream", "or a schedule is needed; write stream=true")
    return parse_schedule(fields)
