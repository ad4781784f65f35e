"""Asks a server under test, and says in one sentence what it did wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin

import urllib3

from ledger.conformance.events import NAMESPACE, Run, name_of
from ledger.errors import TagtrailError

ANSWER_S_MAX = 30.0
PAGES_MAX = 200
BODY_BYTES_MAX = 64 * 1024 * 1024


class NonconformanceError(TagtrailError):
    """What a server did is not what the standard says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the JSON of the body."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise NonconformanceError(f"the body is no JSON: {self.body[:60]!r}") from None

    def want(self, *statuses: int) -> "Answer":
        """Return itself, or raise where the status is another."""
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise NonconformanceError(f"answered {self.status}, not {wanted}")
        return self

    def want_problem(self, status: int, *types: str) -> None:
        """Raise unless this is an RFC 9457 problem of one of the `epcisException:` types."""
        self.want(status)
        if "json" not in self.headers.get("content-type", ""):
            raise NonconformanceError("the problem is no JSON")
        found = self.json()
        kind = found.get("type") if isinstance(found, dict) else None
        if kind not in [f"epcisException:{one}" for one in types]:
            raise NonconformanceError(
                f"the problem's type is {kind!r}, not {' or '.join(types)}"
            )


@dataclass(slots=True)
class Client:
    """A server under test at `url`, and the run that it is tested with."""

    url: str
    run: Run
    pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(retries=False, timeout=ANSWER_S_MAX)
    )

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        media: str = "application/json",
        **headers: str,
    ) -> Answer:
        """Send a request; `body` becomes JSON unless it is bytes."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"GS1-EPC-Format": "Never_Translates", "Accept": "application/json, */*;q=0.1"}
        sent["GS1-Extensions"] = f"example={NAMESPACE}"
        if data is not None:
            sent["Content-Type"] = media
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        target = path if "://" in path else self.url.rstrip("/") + path
        try:
            answer = self.pool.request(method, target, body=data, headers=sent, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise NonconformanceError(f"{method} {path[:80]}: {error}") from error
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, found, answer.data[:BODY_BYTES_MAX])

    def get(self, path: str, parameters: Mapping[str, object] | None = None) -> Answer:
        """GET with parameters as a URL writes them."""
        return self.request("GET", path + as_query(parameters or {}))

    def names(self, path: str, parameters: Mapping[str, object]) -> list[str]:
        """Return the names of the run's events on all pages, in the order of the answer."""
        found: list[str] = []
        for page in self.pages(path, parameters):
            found += self.names_of(page)
        return found

    def names_of(self, events: list[Any]) -> list[str]:
        """Return the names of those events that are the run's."""
        named = (name_of(self.run, one) for one in events if isinstance(one, dict))
        return [name for name in named if name is not None]

    def pages(self, path: str, parameters: Mapping[str, object]) -> list[list[Any]]:
        """Return the events of each page, following the links to the next."""
        pages = []
        target = path + as_query(parameters)
        for _ in range(PAGES_MAX):
            answer = self.request("GET", target).want(200)
            pages.append(events_of(answer.json()))
            link = next_of(answer)
            if link is None:
                return pages
            target = urljoin(self.url.rstrip("/") + path, link)
        raise NonconformanceError(f"there is still a next page after {PAGES_MAX}")


def as_query(parameters: Mapping[str, object]) -> str:
    """Return parameters as the query of a URL, lists with | between their values."""
    text = urlencode({name: as_text(value) for name, value in parameters.items()})
    return f"?{text}" if text else ""


def as_text(value: object) -> str:
    """Return a JSON value as a URL writes it."""
    if isinstance(value, list):
        return "|".join(map(as_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def events_of(document: object) -> list[Any]:
    """Return the events of an EPCISQueryDocument."""
    found: object = document
    for step in ("epcisBody", "queryResults", "resultsBody", "eventList"):
        found = found.get(step) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise NonconformanceError("the answer is no EPCISQueryDocument with an eventList")
    return found


def members_of(collection: object) -> list[str]:
    """Return the members of a collection."""
    found = collection.get("member") if isinstance(collection, dict) else None
    if not isinstance(found, list):
        raise NonconformanceError("the answer is no collection with members")
    return found


def next_of(answer: Answer) -> str | None:
    """Return the URL of the next page, or None on the last."""
    for link in answer.headers.get("link", "").split(","):
        target, _, rest = link.strip().partition(">")
        if 'rel="next"' in rest.replace("'", '"') and target.startswith("<"):
            return target[1:]
    return None
