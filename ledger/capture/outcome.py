"""What became of a captured document: counts, errors with pointer and mend, remarks.

{"success": false, "events": 3, "captured": 2, "known": 0, "index": 17,
 "statementID": "<hex>", "document": "<sha256 hex>",
 "errors": [{"type": "https://tagtrail.dev/problems/event", "title": "…", "status": 400,
             "detail": "/epcisBody/eventList/1/epcList/0 … Mend: …",
             "pointer": "/epcisBody/eventList/1/epcList/0", "why": "…", "mend": "…"}],
 "errorCount": 1, "remarks": [{"pointer": "…", "why": "…", "mend": "…"}], "remarkCount": 1}

The counts are of all there were, the lists hold the first of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from ledger.epcis.received import ReceivedEvent
from ledger.epcis.rules import Fault

EVENT_TYPE = "https://tagtrail.dev/problems/event"
EVENT_TITLE = "The event breaks a rule"
EVENT_STATUS = 400
LEDGER_TYPE = "https://tagtrail.dev/problems/refused"
ERRORS_KEPT_MAX = 1000
REMARKS_KEPT_MAX = 100
IDS_KEPT_MAX = 1000


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one document; `index` is that of its statement, if it has one.

    `failed` says that the ledger is at fault, not the document.
    """

    document: str
    events: int = 0
    captured: int = 0
    known: int = 0
    index: int | None = None
    statement_id: str | None = None
    event_ids: list[str] = field(default_factory=list)
    conflict: bool = False
    failed: bool = False
    errors: list[dict[str, object]] = field(default_factory=list)
    error_count: int = 0
    remarks: list[dict[str, object]] = field(default_factory=list)
    remark_count: int = 0

    @property
    def success(self) -> bool:
        """Whether nothing was wrong."""
        return not self.errors

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Take in what makes an event impossible to capture."""
        for fault in faults:
            self.error_count += 1
            if len(self.errors) < ERRORS_KEPT_MAX:
                self.errors.append(describe_fault(fault))

    def remark(self, event: ReceivedEvent) -> None:
        """Take in what is odd about an event that is captured."""
        for fault in event.faults:
            self.remark_count += 1
            if len(self.remarks) < REMARKS_KEPT_MAX:
                remark: dict[str, object] = {"pointer": fault.pointer}
                self.remarks.append(remark | {"why": fault.why, "mend": fault.mend})

    def fail(self, title: str, why: str) -> None:
        """Take in that the ledger did not log the statement."""
        self.failed = True
        self.index = self.statement_id = None
        self.captured = self.known = 0
        self.event_ids = []
        problem = {"type": LEDGER_TYPE, "title": title, "status": 503, "detail": why}
        self.errors.append(dict(problem))
        self.error_count += 1

    def as_json(self) -> dict[str, object]:
        """Return the members of the JSON object."""
        return {
            "success": self.success,
            "events": self.events,
            "captured": self.captured,
            "known": self.known,
            "index": self.index,
            "statementID": self.statement_id,
            "document": self.document,
            "eventIDs": self.event_ids[:IDS_KEPT_MAX],
            "errors": self.errors,
            "errorCount": self.error_count,
            "remarks": self.remarks,
            "remarkCount": self.remark_count,
        }

    def encode(self) -> bytes:
        """Return the JSON object."""
        return msgspec.json.encode(self.as_json())


def describe_fault(fault: Fault) -> dict[str, object]:
    """Return a fault as a problem (RFC 9457) with pointer and mend."""
    return {
        "type": EVENT_TYPE,
        "title": EVENT_TITLE,
        "status": EVENT_STATUS,
        "detail": f"{fault.pointer or 'the event'} {fault.why}. Mend: {fault.mend}.",
        "pointer": fault.pointer,
        "why": fault.why,
        "mend": fault.mend,
    }
