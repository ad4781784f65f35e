"""What queries do besides selecting: pages, order, limits, refusals, formats, deliveries."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from ledger.conformance.cases import all_names
from ledger.conformance.client import Client, NonconformanceError, events_of
from ledger.conformance.events import make_events
from ledger.conformance.operations import want_names
from ledger.gs1.epc import canonical_key

DELIVERED_S_MAX = 20.0
_Check = Callable[[Client], None]
_PARAMETER = ("QueryParameterException", "QueryValidationException", "ValidationException")


def check_pages(client: Client) -> None:
    """Want each event once on small pages, none of them larger than asked."""
    pages = client.pages("/events", {**client.run.window, "perPage": 3})
    if any(len(page) > 3 for page in pages):  # noqa: PLR2004 - as asked
        raise NonconformanceError("a page has more events than perPage")
    want_names([n for page in pages for n in client.names_of(page)], _window_names(client))


def check_order_ascending(client: Client) -> None:
    """Want the oldest first for `orderBy=eventTime` and ASC."""
    _want_order(client, "ASC")


def check_order_descending(client: Client) -> None:
    """Want the newest first for `orderBy=eventTime` and DESC."""
    _want_order(client, "DESC")


def _want_order(client: Client, direction: str) -> None:
    asked = {**client.run.window, "orderBy": "eventTime", "orderDirection": direction}
    found = client.names("/events", {**asked, "perPage": 4})
    events = make_events(client.run)
    times = [str(events[name]["eventTime"]) for name in found]
    if times != sorted(times, reverse=direction == "DESC") or len(set(times)) < len(events) - 1:
        raise NonconformanceError(f"the events are not in the order {direction}")


def check_order_by_extension(client: Client) -> None:
    """Want events in the order of an extension field."""
    asked = {
        "orderBy": "example:number",
        "orderDirection": "DESC",
        "EXISTS_example:number": "true",
    }
    found = client.names("/events", {**client.run.window, **asked})
    if found != ["received", "shipped"]:
        raise NonconformanceError(f"by example:number came {', '.join(found)}")


def check_record_time(client: Client) -> None:
    """Want `GE_recordTime` and `LT_recordTime` to bound when an event was recorded."""
    window = client.run.window
    if client.names("/events", {**window, "LT_recordTime": "2000-01-01T00:00:00Z"}):
        raise NonconformanceError("events were recorded before 2000")
    found = client.names("/events", {**window, "GE_recordTime": "2000-01-01T00:00:00Z"})
    want_names(found, _window_names(client))


def check_event_count_limit(client: Client) -> None:
    """Want `eventCountLimit` to count all pages together."""
    asked = {**client.run.window, "orderBy": "eventTime", "orderDirection": "ASC"}
    found = client.names("/events", {**asked, "eventCountLimit": 3, "perPage": 2})
    if found != ["made", "shipped", "received"]:
        raise NonconformanceError(f"of three came {', '.join(found)}")


def check_max_event_count(client: Client) -> None:
    """Want a problem where more than `maxEventCount` match."""
    client.get("/events", {**client.run.window, "maxEventCount": 3}).want_problem(
        413, "QueryTooLargeException"
    )
    client.get("/events", {**client.run.window, "maxEventCount": 100}).want(200)


def check_unknown_parameter(client: Client) -> None:
    """Want an unknown parameter refused."""
    client.get("/events", {"EQ_nothing": "x"}).want_problem(400, *_PARAMETER)


def check_bad_value(client: Client) -> None:
    """Want a value that is none refused."""
    client.get("/events", {"GE_eventTime": "yesterday"}).want_problem(400, *_PARAMETER)


def check_bad_action(client: Client) -> None:
    """Want an action that there is not refused."""
    client.get("/events", {"EQ_action": "MOVE"}).want_problem(400, *_PARAMETER)


def check_exclusive_limits(client: Client) -> None:
    """Want `eventCountLimit` and `maxEventCount` together refused."""
    both = {"orderBy": "eventTime", "eventCountLimit": 3, "maxEventCount": 3}
    client.get("/events", both).want_problem(400, *_PARAMETER)


def check_limit_without_order(client: Client) -> None:
    """Want `eventCountLimit` without `orderBy` refused."""
    client.get("/events", {"eventCountLimit": 3}).want_problem(400, *_PARAMETER)


def check_digital_links(client: Client) -> None:
    """Want identities as links for `Always_GS1_Digital_Link`."""
    _want_format(client, "Always_GS1_Digital_Link", canonical_key(client.run.item(1)))


def check_urns(client: Client) -> None:
    """Want identities as URNs for `Always_EPC_URN`."""
    _want_format(client, "Always_EPC_URN", client.run.item(1))


def _want_format(client: Client, epc_format: str, wanted: str) -> None:
    path = f"/events?EQ_eventID={client.run.event_id('shipped')}"
    answer = client.request("GET", path, GS1_EPC_Format=epc_format).want(200)
    found = [event.get("epcList") for event in events_of(answer.json())]
    if found != [[wanted]]:
        raise NonconformanceError(f"the epcList is {str(found)[:120]}")


def check_not_acceptable(client: Client) -> None:
    """Want a range of versions without 2.0 refused."""
    client.request("GET", "/events", GS1_EPCIS_Min="3.0.0").want_problem(
        406, "NotAcceptableException"
    )


@contextmanager
def _receiving(host: str) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Yield the URL of a receiver, and what it was sent."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got.append((headers, self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}/callback", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check_webhook(client: Client, host: str = "127.0.0.1") -> None:
    """Want a new event that matches delivered, signed, and no other."""
    name = f"conformance-{client.run.number}-stream"
    query = {"EQ_bizStep": ["stocking"], **client.run.window}
    client.request("POST", "/queries", body={"name": name, "query": query}).want(201)
    with _receiving(host) as (url, got):
        body = {"dest": url, "signatureToken": "t", "secret": "t", "stream": True}
        client.request("POST", f"/queries/{name}/subscriptions", body=body).want(201)
        for event_name, step in (("moved", "holding"), ("stocked", "stocking")):
            event = {**make_events(client.run)["mended"], "bizStep": step}
            event["eventID"] = client.run.event_id(event_name)
            client.request("POST", "/events", body=event).want(200, 201)
        deadline = time.monotonic() + DELIVERED_S_MAX
        while not got and time.monotonic() < deadline:
            time.sleep(0.05)
        client.request("DELETE", f"/queries/{name}").want(204)
        if not got:
            raise NonconformanceError(f"nothing came within {DELIVERED_S_MAX:g} seconds")
        headers, document = got[0]
        ids = [event.get("eventID") for event in events_of(msgspec.json.decode(document))]
        if ids != [client.run.event_id("stocked")] or "gs1-signature" not in headers:
            raise NonconformanceError("the delivery is unsigned, or not of the one event")


def _window_names(client: Client) -> frozenset[str]:
    """Return the events of the run; what later checks add has no name."""
    return all_names(client.run)


BEHAVIOURS: tuple[tuple[str, _Check], ...] = (
    ("perPage and Link", check_pages),
    ("orderBy eventTime ASC", check_order_ascending),
    ("orderBy eventTime DESC", check_order_descending),
    ("orderBy an extension field", check_order_by_extension),
    ("GE_recordTime, LT_recordTime", check_record_time),
    ("eventCountLimit", check_event_count_limit),
    ("maxEventCount", check_max_event_count),
    ("an unknown parameter", check_unknown_parameter),
    ("a value that is none", check_bad_value),
    ("an action that there is not", check_bad_action),
    ("eventCountLimit beside maxEventCount", check_exclusive_limits),
    ("eventCountLimit without orderBy", check_limit_without_order),
    ("GS1-EPC-Format Always_GS1_Digital_Link", check_digital_links),
    ("GS1-EPC-Format Always_EPC_URN", check_urns),
    ("GS1-EPCIS-Min beyond 2.0", check_not_acceptable),
    ("webhook stream", check_webhook),
)
