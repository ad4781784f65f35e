"""Named queries and subscriptions: at least once, in order, again only under the same id."""

import hmac
import json
import shutil
import signal
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import urllib3
from websockets.sync.client import connect

from tests.ledger.api.conftest import ANSWER_S, start, stop
from tests.ledger.api.receiver import Receiver

TOKEN = "13df38d8275b13f05704629e5f1cf3d45d6132d5"


class Served:
    """A server of its own that may send to loopback, and may be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool = urllib3.PoolManager(retries=False, timeout=ANSWER_S)
        self.serial = 0
        self.start()

    def start(self) -> None:
        options = ("--publish-every", "0.5", "--callback-network", "127.0.0.0/8")
        self.process, self.url = start(self.folder, *options)

    def kill(self) -> None:
        stop(self.process, signal.SIGKILL)

    def close(self) -> None:
        self.pool.clear()
        stop(self.process)

    def request(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        return self.pool.request(method, self.url + path, body=data, headers=sent)

    def name(self, name: str, **query: object) -> None:
        answer = self.request("POST", "/queries", {"name": name, "query": query})
        assert answer.status == 201, answer.data

    def subscribe(self, name: str, dest: str, **more: object) -> dict[str, Any]:
        body = {"dest": dest, "signatureToken": TOKEN, "stream": True, **more}
        answer = self.request("POST", f"/queries/{name}/subscriptions", body)
        assert answer.status == 201, answer.data
        found: dict[str, Any] = answer.json()
        assert answer.headers["Location"].endswith(found["subscriptionID"])
        return found

    def capture(self, count: int, step: str = "shipping") -> list[str]:
        """Capture events one after the other; return their eventIDs in the order."""
        ids = []
        for _ in range(count):
            self.serial += 1
            event = {
                "type": "ObjectEvent",
                "action": "OBSERVE",
                "eventTime": "2026-01-01T10:00:00Z",
                "eventTimeZoneOffset": "+00:00",
                "bizStep": step,
                "eventID": f"urn:uuid:{step}-{self.serial}",
                "epcList": [f"urn:epc:id:sgtin:9506000.013435.{self.serial}"],
            }
            answer = self.request("POST", "/events", event)
            assert answer.status == 201, answer.data
            ids.append(event["eventID"])
        return ids

    def subscription(self, name: str, subscription_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.request(
            "GET", f"/queries/{name}/subscriptions/{subscription_id}"
        ).json()
        return found


@pytest.fixture
def served(untouched: Path, tmp_path: Path) -> Iterator[Served]:
    folder = Path(shutil.copytree(untouched, tmp_path / "ledger"))
    server = Served(folder)
    yield server
    server.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_a_stream_delivers_what_matches_in_order_signed_and_once(
    served: Served, receiver: Receiver
) -> None:
    served.capture(2)
    served.name("shipped", EQ_bizStep=["shipping"])
    one = served.subscribe("shipped", receiver.url)
    assert TOKEN not in json.dumps(one)
    wanted = []
    for _ in range(3):
        wanted += served.capture(2)
        served.capture(1, "receiving")
    assert receiver.await_acknowledged(len(wanted)) == wanted
    delivery = receiver.deliveries[0]
    assert delivery.document["id"] == delivery.headers["Tagtrail-Delivery"]
    fields = dict(pair.split("=") for pair in delivery.headers["GS1-Signature"].split(","))
    signed = f"{fields['t']}.".encode() + delivery.body
    assert hmac.new(TOKEN.encode(), signed, sha256).hexdigest() == fields["v1"]
    shown = served.subscription("shipped", one["subscriptionID"])
    assert shown["lastNotifiedAt"]
    assert shown["minRecordTime"] > one["minRecordTime"]
    assert TOKEN not in json.dumps(shown)
    time.sleep(0.3)
    assert receiver.acknowledged() == wanted


def test_failures_are_repeated_under_the_same_id_until_2xx_and_nothing_after(
    served: Served, receiver: Receiver
) -> None:
    said = [500, b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", 204]
    receiver.answer = lambda n: said[n] if n < len(said) else 204
    served.name("all")
    served.subscribe("all", receiver.url)
    wanted = served.capture(1)
    receiver.await_acknowledged(1)
    wanted += served.capture(3)
    assert receiver.await_acknowledged(4) == wanted
    first = receiver.deliveries[:3]
    assert len({one.headers["Tagtrail-Delivery"] for one in first}) == 1
    assert len({tuple(one.event_ids) for one in first}) == 1
    ids = [one.headers["Tagtrail-Delivery"] for one in receiver.deliveries[2:]]
    assert len(set(ids)) == len(ids)


def test_a_receiver_that_answers_twice_acknowledges_once(
    served: Served, receiver: Receiver
) -> None:
    twice = b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    receiver.answer = lambda n: twice if n == 0 else 500 if n == 1 else 204
    served.name("all")
    served.subscribe("all", receiver.url)
    first = served.capture(1)
    receiver.await_acknowledged(1)
    second = served.capture(1)
    assert receiver.await_acknowledged(2) == first + second
    assert [one.status for one in receiver.deliveries] == [204, 500, 204]


def test_a_receiver_that_was_away_and_a_killed_server_lose_nothing(
    served: Served, receiver: Receiver
) -> None:
    served.name("all")
    one = served.subscribe("all", receiver.url)
    receiver.close()
    wanted = served.capture(5)
    deadline = time.monotonic() + ANSWER_S
    while "tagtrail:lastError" not in served.subscription("all", one["subscriptionID"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = served.subscription("all", one["subscriptionID"])
    assert before["minRecordTime"] == one["minRecordTime"]
    assert "lastNotifiedAt" not in before
    served.kill()
    served.start()
    wanted += served.capture(2)
    again = Receiver(port=receiver.port)
    try:
        assert again.await_acknowledged(len(wanted)) == wanted
    finally:
        again.close()
    after = served.subscription("all", one["subscriptionID"])
    assert after["minRecordTime"] > before["minRecordTime"]
    assert "tagtrail:lastError" not in after


def test_a_slow_receiver_delays_nobody_else(served: Served, receiver: Receiver) -> None:
    slow = Receiver(slow_s=2.0)
    try:
        served.name("all")
        served.subscribe("all", slow.url)
        served.subscribe("all", receiver.url)
        wanted = served.capture(6)
        assert receiver.await_acknowledged(6) == wanted
        assert len(slow.acknowledged()) < 6
        assert slow.await_acknowledged(6) == wanted
    finally:
        slow.close()


def test_a_hundred_subscribers_get_everything(served: Served, receiver: Receiver) -> None:
    served.name("shipped", EQ_bizStep=["shipping"])
    for _ in range(100):
        served.subscribe("shipped", receiver.url)
    wanted = served.capture(3)
    receiver.await_acknowledged(300)
    by_subscriber: dict[str, list[str]] = {}
    for delivery in receiver.deliveries:
        result = delivery.document["epcisBody"]["queryResults"]
        by_subscriber.setdefault(result["subscriptionID"], []).extend(delivery.event_ids)
    assert len(by_subscriber) == 100
    assert all(got == wanted for got in by_subscriber.values())


def test_a_schedule_sends_what_came_since_the_last_time(
    served: Served, receiver: Receiver
) -> None:
    served.name("all")
    every = {"schedule": {"second": "[0-59]"}, "stream": False, "reportIfEmpty": True}
    served.subscribe("all", receiver.url, **every)
    wanted = served.capture(3)
    assert receiver.await_acknowledged(3) == wanted
    seen = len(receiver.deliveries)
    receiver.await_true(lambda: len(receiver.deliveries) > seen + 1)
    assert receiver.deliveries[-1].event_ids == []
    assert receiver.acknowledged() == wanted


def test_the_websocket_streams_and_resumes_where_it_was_cut_off(served: Served) -> None:
    served.name("shipped", EQ_bizStep=["shipping"])
    url = served.url.replace("http", "ws") + "/queries/shipped/events?stream=true"
    with connect(url) as socket:
        time.sleep(0.2)
        first = served.capture(2)
        got, last = receive(socket, 2)
        assert got == first
    missed = served.capture(3)
    with connect(f"{url}&resume={last}") as socket:
        later = served.capture(1)
        got, _ = receive(socket, 4)
        assert got == missed + later
        assert served.request("DELETE", "/queries/shipped").status == 204
        with pytest.raises(Exception, match="1001"):
            socket.recv(timeout=ANSWER_S)


def receive(socket: Any, count: int) -> tuple[list[str], str]:
    got: list[str] = []
    last = ""
    while len(got) < count:
        document = json.loads(socket.recv(timeout=ANSWER_S))
        result = document["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        got += [one["eventID"] for one in result]
        last = document["id"]
    return got, last


def test_named_queries_are_kept_listed_asked_and_removed(served: Served) -> None:
    served.name("shipped", EQ_bizStep=["shipping"])
    taken = served.request("POST", "/queries", {"name": "shipped", "query": {}})
    assert taken.status == 409
    assert taken.json()["type"] == "epcisException:ResourceAlreadyExistsException"
    wanted = served.capture(2)
    served.capture(1, "receiving")
    served.kill()
    served.start()
    assert [one["name"] for one in served.request("GET", "/queries").json()] == ["shipped"]
    deadline = time.monotonic() + ANSWER_S
    while True:
        answer = served.request(
            "GET", "/queries/shipped/events?orderBy=recordTime&orderDirection=ASC"
        )
        result = answer.json()["epcisBody"]["queryResults"]
        if len(result["resultsBody"]["eventList"]) == 2:
            break
        assert time.monotonic() < deadline
    assert result["queryName"] == "shipped"
    assert [one["eventID"] for one in result["resultsBody"]["eventList"]] == wanted
    assert served.request("GET", "/queries/shipped/events?EQ_bizStep=x").status == 400
    assert served.request("DELETE", "/queries/shipped").status == 204
    for path in (
        "/queries/shipped",
        "/queries/shipped/events",
        "/queries/shipped/subscriptions",
    ):
        gone = served.request("GET", path)
        assert (gone.status, gone.json()["type"]) == (404, "epcisException:NoSuchNameException")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dest": "https://example.com/"},
        {"dest": "https://example.com/", "stream": True, "schedule": {"hour": "1"}},
        {"dest": "https://example.com/", "schedule": {}},
        {"dest": "https://example.com/", "schedule": {"hour": "24"}},
        {"dest": "https://example.com/", "schedule": {"month": "2", "dayOfMonth": "30"}},
        {"dest": "https://example.com/", "stream": "true"},
        {"dest": "https://example.com/", "stream": True, "more": 1},
        {"dest": "https://example.com/", "stream": True, "signatureToken": ""},
        {"dest": "https://example.com/", "stream": True, "initialRecordTime": "now"},
        {"dest": "ftp://example.com/", "stream": True},
        {"dest": "https://user:secret@example.com/", "stream": True},
        {"dest": "https://example.com/ x", "stream": True},
        {"dest": "http://10.0.0.1/", "stream": True},
        {"dest": "http://169.254.169.254/latest/meta-data", "stream": True},
        {"dest": "http://[::1]:80/", "stream": True},
        {"dest": "http://[::ffff:10.0.0.1]/", "stream": True},
        {"dest": "http://[64:ff9b::a00:1]/", "stream": True},
        {"dest": "http://0.0.0.0/", "stream": True},
        {"dest": "http://example.com:99999/", "stream": True},
    ],
    ids=str,
)
def test_what_is_no_subscription_is_refused(served_once: Served, body: dict[str, Any]) -> None:
    answer = served_once.request("POST", "/queries/all/subscriptions", body)
    assert answer.status == 400, answer.data
    assert answer.json()["type"] == "epcisException:SubscriptionControlsException"


@pytest.fixture(scope="module")
def served_once(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = Path(shutil.copytree(untouched, tmp_path_factory.mktemp("once") / "ledger"))
    server = Served(folder)
    server.name("all")
    yield server
    server.close()


def test_the_file_with_the_tokens_is_the_owners_alone(served_once: Served) -> None:
    assert (served_once.folder / "standing.db").stat().st_mode & 0o077 == 0
