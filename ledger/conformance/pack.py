"""Runs the whole pack against a server by its URL: a result for each requirement.

    for result in run_pack("http://127.0.0.1:8080", Run(4711)): ...

First the run's events are captured and waited for; then every operation, every family of query
parameters and every behaviour is asked for. Nothing that was there before is touched; the
run's queries and subscriptions are removed at the end, its events stay.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ledger.conformance.behaviours import BEHAVIOURS
from ledger.conformance.cases import Parameters, all_names, make_cases
from ledger.conformance.client import Client, NonconformanceError
from ledger.conformance.events import Run, make_document
from ledger.conformance.operations import OPERATIONS, Operations, want_names

CAPTURED_S_MAX = 60.0
CALLBACK = "https://client.example.com/callback"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one requirement; `why` is empty where it is met."""

    group: str
    requirement: str
    why: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the server did what it should."""
        return not self.why


def run_pack(
    url: str, run: Run, *, wait_s: float = CAPTURED_S_MAX, callback: str = CALLBACK
) -> Iterator[Result]:
    """Yield a result for each requirement; `wait_s` bounds how long capture may take."""
    client = Client(url, run)
    try:
        capture_path = ""
        try:
            capture_path = _capture(client, wait_s)
            yield Result("preparation", "the events of the run are captured")
        except NonconformanceError as error:
            yield Result("preparation", "the events of the run are captured", str(error))
        operations = Operations(client, capture_path, callback)
        for method, path in OPERATIONS:
            check = partial(operations.check, method, path)
            yield _try("operation", f"{method} {path}", check)
        for case in make_cases(run):
            asked = {**run.window, **case.parameters}
            check = partial(_check_case, client, asked, case.expected)
            yield _try("parameter", case.requirement, check)
        for name, behaviour in BEHAVIOURS:
            yield _try("behaviour", name, partial(behaviour, client))
        client.request("DELETE", f"/queries/conformance-{run.number}")
    finally:
        client.pool.clear()


def _check_case(client: Client, asked: Parameters, expected: frozenset[str]) -> None:
    want_names(client.names("/events", asked), expected)


def _try(group: str, requirement: str, check: Callable[[], None]) -> Result:
    try:
        check()
    except NonconformanceError as error:
        return Result(group, requirement, str(error) or "it does not conform")
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return Result(group, requirement, f"the answer has another shape: {error!r}")
    return Result(group, requirement)


def _capture(client: Client, wait_s: float) -> str:
    """Capture the run's events; return the path of the job once all can be asked for."""
    document = make_document(client.run)
    answer = client.request("POST", "/capture", body=document).want(202)
    location = answer.headers.get("location", "")
    path = location.partition("://")[2].partition("/")[2] if "://" in location else location
    path = path if path.startswith("/") else f"/{path}"
    deadline = time.monotonic() + wait_s
    while True:
        found = client.names("/events", client.run.window)
        if set(found) == all_names(client.run):
            return path
        if time.monotonic() > deadline:
            want_names(found, all_names(client.run))
        time.sleep(0.2)
