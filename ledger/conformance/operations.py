"""The operations of EPCIS 2.0's REST interface: what each does, and what it refuses.

`OPERATIONS` has every operation of the standard's OpenAPI once. A check asks for something that
is there and for something that is not, so that a server that says the same to everything fails.
"""

from dataclasses import dataclass
from urllib.parse import quote, unquote

from ledger.conformance.client import Answer, Client, NonconformanceError, members_of, next_of
from ledger.conformance.events import make_document, make_events
from ledger.gs1.epc import canonical_key

MEMBERS = {
    "eventTypes": "eventType",
    "epcs": "epc",
    "bizSteps": "bizStep",
    "bizLocations": "bizLocation",
    "readPoints": "readPoint",
    "dispositions": "disposition",
}
TOP_LEVEL = frozenset({*MEMBERS, "events", "capture", "queries"})
RESOURCES: dict[str, tuple[str, ...]] = {
    "/": ("GET",),
    "/capture": ("POST", "GET"),
    "/capture/{captureID}": ("GET",),
    "/events": ("GET", "POST"),
    "/events/{eventID}": ("GET",),
    **{f"/{name}": ("GET",) for name in MEMBERS},
    **{f"/{name}/{{{member}}}": ("GET",) for name, member in MEMBERS.items()},
    **{f"/{name}/{{{member}}}/events": ("GET",) for name, member in MEMBERS.items()},
    "/queries": ("GET", "POST"),
    "/queries/{queryName}": ("GET", "DELETE"),
    "/queries/{queryName}/subscriptions": ("GET", "POST"),
    "/queries/{queryName}/subscriptions/{subscriptionID}": ("GET", "DELETE"),
    "/queries/{queryName}/events": ("GET",),
}
RELEASE = "/nextPageToken/{token}"
OPERATIONS: tuple[tuple[str, str], ...] = (
    *(
        (method, path)
        for path, methods in RESOURCES.items()
        for method in ("OPTIONS", *methods)
    ),
    ("DELETE", RELEASE),
)
"""(method, path) of each operation."""

UNKNOWN = "conformance-nothing-has-this-name"
_NO_RESOURCE = ("NoSuchResourceException", "NoSuchNameException")


@dataclass(slots=True)
class Operations:
    """The operations of one server, asked after the run's events were captured."""

    client: Client
    capture_path: str
    callback: str

    def path(self, template: str) -> str:
        """Return the path of something of the run that is there."""
        run = self.client.run
        values = {
            "eventID": run.event_id("shipped"),
            "eventType": "ObjectEvent",
            "epc": run.item(1),
            "bizStep": "shipping",
            "bizLocation": run.place(10),
            "readPoint": run.place(2),
            "disposition": "in_transit",
            "queryName": f"conformance-{run.number}",
        }
        if template == "/capture/{captureID}":
            return self.capture_path
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", quote(value, safe=""))
        return template

    def check(self, method: str, template: str) -> None:
        """Raise `NonconformanceError` where an operation does not do what it should."""
        checks = {
            ("GET", "/"): self._check_root,
            ("POST", "/capture"): self._check_post_capture,
            ("GET", "/capture"): self._check_capture_jobs,
            ("GET", "/capture/{captureID}"): self._check_capture_job,
            ("GET", "/events"): self._check_events,
            ("POST", "/events"): self._check_post_event,
            ("GET", "/events/{eventID}"): self._check_event,
            ("GET", "/queries"): self._check_queries,
            ("POST", "/queries"): self._check_post_query,
            ("GET", "/queries/{queryName}"): self._check_query,
            ("DELETE", "/queries/{queryName}"): self._check_delete_query,
            ("DELETE", RELEASE): self._check_release,
        }
        found = checks.get((method, template))
        if found is not None:
            found()
        elif "/subscriptions" in template:
            self._check_subscriptions(method, template)
        elif method == "OPTIONS":
            self._check_options(template)
        elif template.endswith("/events"):
            self._check_narrowed(template)
        elif "{" in template:
            self._check_resource(template)
        else:
            self._check_collection(template)

    # --- Discovery and collections ------------------------------------------------------

    def _check_options(self, template: str) -> None:
        if "{queryName}" in template:
            self._ensure_query()
        answer = self.client.request("OPTIONS", self.path(template)).want(204)
        want_headers(answer, *RESOURCES[template])

    def _check_root(self) -> None:
        answer = self.client.get("/").want(200)
        if set(members_of(answer.json())) != TOP_LEVEL:
            raise NonconformanceError("the members are not the nine top-level resources")

    def _check_collection(self, template: str) -> None:
        name = template[1:]
        answer = self.client.get(template, {"perPage": 1}).want(200)
        if len(members_of(answer.json())) > 1:
            raise NonconformanceError("perPage=1 gives more than one member")
        wanted = self.path(f"/{name}/{{{MEMBERS[name]}}}").rpartition("/")[2]
        self._find_member(template, wanted)

    def _find_member(self, template: str, wanted: str) -> None:
        """Look through the pages for one member."""
        answer = self.client.get(template, {"perPage": 1000})
        for _ in range(100):
            members = members_of(answer.want(200).json())
            if UNKNOWN in members:
                raise NonconformanceError("the collection has what nothing names")
            if any(_same(one, wanted) for one in members):
                return
            link = next_of(answer)
            if link is None:
                break
            answer = self.client.request("GET", link)
        raise NonconformanceError("the collection lacks what an event of the run names")

    def _check_resource(self, template: str) -> None:
        answer = self.client.get(self.path(template)).want(200)
        if "events" not in members_of(answer.json()):
            raise NonconformanceError("the sub-resources lack events")
        base = template.rpartition("/")[0]
        self.client.get(f"{base}/{UNKNOWN}").want_problem(404, *_NO_RESOURCE)

    def _check_narrowed(self, template: str) -> None:
        expected = {
            "eventTypes": {
                name
                for name, event in make_events(self.client.run).items()
                if event["type"] == "ObjectEvent"
            },
            "epcs": {"made", "shipped"},
            "bizLocations": {"made"},
        }.get(template.split("/")[1], {"shipped"})
        if "{queryName}" in template:
            self._ensure_query()
            parameters = {}
        else:
            parameters = self.client.run.window
        found = self.client.names(self.path(template), parameters)
        want_names(found, expected)

    # --- Capture and events -------------------------------------------------------------

    def _check_post_capture(self) -> None:
        document = make_document(self.client.run)
        answer = self.client.request("POST", "/capture", body=document).want(202)
        if "location" not in answer.headers:
            raise NonconformanceError("202 without a Location")
        self.client.request("POST", "/capture", body=b"{", media="text/plain").want_problem(
            415, "UnsupportedMediaTypeException"
        )

    def _check_capture_jobs(self) -> None:
        jobs = self.client.get("/capture", {"perPage": 1}).want(200).json()
        if not isinstance(jobs, list) or len(jobs) != 1 or "running" not in jobs[0]:
            raise NonconformanceError("perPage=1 does not give one capture job")

    def _check_capture_job(self) -> None:
        job = self.client.get(self.capture_path).want(200).json()
        if not isinstance(job, dict) or job.get("running") or not job.get("success"):
            raise NonconformanceError(f"the capture job says {str(job)[:200]}")
        self.client.get(f"/capture/{UNKNOWN}").want_problem(404, *_NO_RESOURCE)

    def _check_events(self) -> None:
        answer = self.client.get("/events", {**self.client.run.window, "perPage": 1}).want(200)
        document = answer.json()
        if document.get("type") != "EPCISQueryDocument" or next_of(answer) is None:
            raise NonconformanceError("perPage=1 is no EPCISQueryDocument with a next page")
        want_headers(answer)

    def _check_post_event(self) -> None:
        event = {**make_events(self.client.run)["mended"]}
        event["eventID"] = self.client.run.event_id("posted")
        answer = self.client.request("POST", "/events", body=event).want(200, 201)
        if "location" not in answer.headers:
            raise NonconformanceError("no Location of the event")
        del event["eventTime"]
        self.client.request("POST", "/events", body=event).want_problem(
            400, "ValidationException"
        )

    def _check_event(self) -> None:
        shown = self.client.get(self.path("/events/{eventID}")).want(200).json()
        if self.client.names_of([shown]) != ["shipped"]:
            raise NonconformanceError("the event is another one")
        self.client.get(f"/events/urn:uuid:{UNKNOWN}").want_problem(404, *_NO_RESOURCE)

    def _check_release(self) -> None:
        answer = self.client.get("/events", {**self.client.run.window, "perPage": 1}).want(200)
        link = next_of(answer) or ""
        token = link.partition("nextPageToken=")[2].partition("&")[0]
        if not token:
            raise NonconformanceError("the link to the next page has no nextPageToken")
        self.client.request("DELETE", f"/nextPageToken/{token}").want(204, 501)

    # --- Queries ------------------------------------------------------------------------

    def _ensure_query(self) -> None:
        """Make the run's query, unless it is there."""
        query = {"EQ_bizStep": ["shipping"], **self.client.run.window}
        body = {"name": f"conformance-{self.client.run.number}", "query": query}
        self.client.request("POST", "/queries", body=body).want(201, 409)

    def _check_queries(self) -> None:
        self._ensure_query()
        listed = self.client.get("/queries", {"perPage": 1000}).want(200).json()
        names = [one.get("name") for one in listed if isinstance(one, dict)]
        if f"conformance-{self.client.run.number}" not in names:
            raise NonconformanceError("the list lacks a query that was made")

    def _check_post_query(self) -> None:
        self._ensure_query()
        body = {"name": f"conformance-{self.client.run.number}", "query": {}}
        self.client.request("POST", "/queries", body=body).want_problem(
            409, "ResourceAlreadyExistsException"
        )

    def _check_query(self) -> None:
        self._ensure_query()
        shown = self.client.get(self.path("/queries/{queryName}")).want(200).json()
        shown = shown[0] if isinstance(shown, list) and shown else shown
        query = shown.get("query") if isinstance(shown, dict) else None
        if not isinstance(query, dict) or query.get("EQ_bizStep") != ["shipping"]:
            raise NonconformanceError("the definition is not the one that was given")
        self.client.get(f"/queries/{UNKNOWN}").want_problem(404, *_NO_RESOURCE)

    def _check_delete_query(self) -> None:
        name = f"conformance-{self.client.run.number}-gone"
        body = {"name": name, "query": {"EQ_bizStep": ["shipping"]}}
        self.client.request("POST", "/queries", body=body).want(201)
        self.client.request("DELETE", f"/queries/{name}").want(204)
        self.client.get(f"/queries/{name}").want_problem(404, *_NO_RESOURCE)

    # --- Subscriptions ------------------------------------------------------------------

    def _check_subscriptions(self, method: str, template: str) -> None:
        self._ensure_query()
        base = self.path("/queries/{queryName}/subscriptions")
        body = {
            "dest": self.callback,
            "signatureToken": "conformance",
            "secret": "conformance",
            "schedule": {"month": "1", "dayOfMonth": "1", "hour": "1"},
        }
        made = self.client.request("POST", base, body=body).want(201).json()
        found = str(made.get("subscriptionID"))
        one = f"{base}/{quote(found, safe='')}"
        try:
            self._check_subscription(method, template, base, one)
        finally:
            self.client.request("DELETE", one)

    def _check_subscription(self, method: str, template: str, base: str, one: str) -> None:
        single = template.endswith("{subscriptionID}")
        if method == "OPTIONS":
            answer = self.client.request("OPTIONS", one if single else base).want(204)
            want_headers(answer, *RESOURCES[template])
        elif method == "POST":
            never = {"dest": self.callback, "signatureToken": "x", "secret": "x"}
            self.client.request("POST", base, body=never).want_problem(
                400, "SubscriptionControlsException", "ValidationException"
            )
        elif method == "DELETE":
            self.client.request("DELETE", one).want(204)
            self.client.get(one).want_problem(404, *_NO_RESOURCE)
        elif single:
            shown = self.client.get(one).want(200).json()
            if shown.get("dest") != self.callback or not shown.get("createdAt"):
                raise NonconformanceError("the subscription is not the one that was made")
            self.client.get(f"{base}/{UNKNOWN}").want_problem(404, *_NO_RESOURCE)
        else:
            listed = self.client.get(base).want(200).json()
            ids = [each.get("subscriptionID") for each in listed if isinstance(each, dict)]
            if one.rpartition("/")[2] not in [quote(str(each), safe="") for each in ids]:
                raise NonconformanceError("the list lacks a subscription that was made")


def want_names(found: list[str], expected: set[str] | frozenset[str]) -> None:
    """Raise unless just the events with the expected names were found, each once."""
    if sorted(found) != sorted(expected):
        missing = sorted(expected - set(found))
        extra = sorted(set(found) - expected)
        twice = sorted({name for name in found if found.count(name) > 1})
        parts = (("missing", missing), ("not asked for", extra), ("more than once", twice))
        why = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)
        raise NonconformanceError(why)


def want_headers(answer: Answer, *allowed: str) -> None:
    """Raise unless an answer has its versions, and allows the methods."""
    if not answer.headers.get("gs1-epcis-version", "").startswith("2."):
        raise NonconformanceError("GS1-EPCIS-Version is missing or not 2")
    said = {one.strip().upper() for one in answer.headers.get("allow", "").split(",")}
    if allowed and not {"OPTIONS", *allowed} <= said:
        raise NonconformanceError(f"Allow lacks {', '.join({'OPTIONS', *allowed} - said)}")


def _same(member: str, quoted: str) -> bool:
    """Say whether two spellings name one thing."""
    return canonical_key(member) == canonical_key(unquote(quoted))
