"""An event source over a list, and a short way to write EPCIS events by hand."""

import json
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from typing import Any

from ledger.admitted import GapRow, project_gap
from ledger.epcis.event import format_time, parse_time_us, split_event
from ledger.gs1.epc import canonical_key
from ledger.projection import (
    CaptureHead,
    MentionRow,
    Pin,
    ShownEvent,
    parse_shown,
    project_capture,
)
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.provenance.listed import select_gaps, select_wanted
from ledger.provenance.source import GapsWanted, KnownEvent, Wanted, known_event, newest_of
from ledger.statement import Gap
from tests.oracle.agreement import check_answer, oracle_of

FARM = "https://id.gs1.org/417/9506000000008"
DAIRY = "https://id.gs1.org/417/9506000134352"
CENTRE = "https://id.gs1.org/417/9521141000005"
STORE = "https://id.gs1.org/417/9521321000003"
SHOPPER = "https://id.gs1.org/417/9599999000003"

AT_FARM = "https://id.gs1.org/414/9506000000008"
AT_DAIRY = "https://id.gs1.org/414/9506000134352"
AT_CENTRE = "https://id.gs1.org/414/9521141000005"
AT_STORE = "https://id.gs1.org/414/9521321000003"

NOW = "2027-01-01T00:00:00Z"
DAY = "2026-03-"


def time(text: str) -> str:
    """Return the time of `d hh:mm` in March 2026; a full time stays as it is."""
    if "T" in text:
        return text
    day, _, clock = text.partition(" ")
    return f"{DAY}{int(day):02d}T{clock or '00:00'}:00Z"


def item(serial: object) -> str:
    return f"https://id.gs1.org/01/09506000134352/21/{serial}"


def case(serial: object) -> str:
    return f"https://id.gs1.org/01/19506000134359/21/{serial}"


def pallet(serial: int) -> str:
    return canonical_key(f"urn:epc:id:sscc:9506000.{serial:010d}")


def trailer(serial: object) -> str:
    return canonical_key(f"urn:epc:id:grai:9506000.00300.{serial}")


def lot(code: str) -> str:
    return f"https://id.gs1.org/01/09506000134369/10/{code}"


def party(role: str, key: str) -> list[tuple[str, str]]:
    """Return a source or destination list of one party: owner, possessor or both."""
    kinds = {"owner": ["owning_party"], "possessor": ["possessing_party"]}
    return [(kind, key) for kind in kinds.get(role, ["owning_party", "possessing_party"])]


def event(kind: str, at: str, **fields: Any) -> dict[str, Any]:
    """Return an EPCIS event; `sources` and `destinations` are lists of (type, key)."""
    made: dict[str, Any] = {
        "type": kind + "Event",
        "eventTime": time(at),
        "eventTimeZoneOffset": "+00:00",
    }
    for name in ("readPoint", "bizLocation"):
        if name in fields:
            made[name] = {"id": fields.pop(name)}
    for name, list_name, one in (
        ("sources", "sourceList", "source"),
        ("destinations", "destinationList", "destination"),
    ):
        if name in fields:
            made[list_name] = [{"type": t, one: key} for t, key in fields.pop(name)]
    return made | fields


def object_event(at: str, *epcs: str, action: str = "OBSERVE", **fields: Any) -> dict[str, Any]:
    return event("Object", at, epcList=list(epcs), action=action, **fields)


def commission(at: str, *epcs: str, **fields: Any) -> dict[str, Any]:
    return object_event(at, *epcs, action="ADD", bizStep="commissioning", **fields)


def pack(at: str, parent: str, *children: str, **fields: Any) -> dict[str, Any]:
    return _pack(at, parent, children, {"action": "ADD", "bizStep": "packing"} | fields)


def unpack(at: str, parent: str, *children: str, **fields: Any) -> dict[str, Any]:
    return _pack(at, parent, children, {"action": "DELETE", "bizStep": "unpacking"} | fields)


def bolt(at: str, parent: str, *children: str, **fields: Any) -> dict[str, Any]:
    fields = {"action": "ADD"} | fields
    return event("Association", at, parentID=parent, childEPCs=list(children), **fields)


def _pack(
    at: str, parent: str, children: Sequence[str], fields: dict[str, Any]
) -> dict[str, Any]:
    if children:
        fields["childEPCs"] = list(children)
    return event("Aggregation", at, parentID=parent, **fields)


def ship(at: str, *epcs: str, giver: str, taker: str, **fields: Any) -> dict[str, Any]:
    """Return a shipping event that hands over custody and ownership."""
    fields = {"disposition": "in_transit"} | fields
    return _hand("shipping", at, epcs, giver, taker, fields)


def receive(at: str, *epcs: str, giver: str, taker: str, **fields: Any) -> dict[str, Any]:
    return _hand("receiving", at, epcs, giver, taker, {"disposition": "in_progress"} | fields)


def _hand(
    step: str, at: str, epcs: Sequence[str], giver: str, taker: str, fields: dict[str, Any]
) -> dict[str, Any]:
    lists = {"sources": party("both", giver), "destinations": party("both", taker)}
    return object_event(at, *epcs, bizStep=step, **(lists | fields))


def temperature(at: str, *epcs: str, values: Sequence[float], **fields: Any) -> dict[str, Any]:
    """Return a logger's report of one sample, or of samples a minute apart up to `at`."""
    end_us = parse_time_us(time(at))
    metadata = fields.pop("metadata", {})
    elements = []
    for n, value in enumerate(values):
        sampled_us = end_us - (len(values) - 1 - n) * 60_000_000
        elements.append(
            {
                "sensorMetadata": {"time": format_time(sampled_us)} | metadata,
                "sensorReport": [{"type": "Temperature", "value": value, "uom": "CEL"}],
            }
        )
    return object_event(
        at, *epcs, bizStep="sensor_reporting", sensorElementList=elements, **fields
    )


def transform(
    at: str, inputs: Sequence[object], outputs: Sequence[object], **fields: Any
) -> dict[str, Any]:
    """Return a transformation; a side holds EPCs, and (class, quantity) pairs."""
    for side, epcs, quantities in (
        (inputs, "inputEPCList", "inputQuantityList"),
        (outputs, "outputEPCList", "outputQuantityList"),
    ):
        instances = [one for one in side if isinstance(one, str)]
        classes = [quantity(*one) for one in side if isinstance(one, tuple)]
        fields |= {epcs: instances} if instances else {}
        fields |= {quantities: classes} if classes else {}
    return event("Transformation", at, **fields)


def quantity(key: str, amount: float | None = None, uom: str | None = "KGM") -> dict[str, Any]:
    made: dict[str, Any] = {"epcClass": key}
    if amount is not None:
        made["quantity"] = amount
        if uom is not None:
            made["uom"] = uom
    return made


class ListSource:
    """Entries in a list; it counts the batches it is asked for, and the events it gives."""

    def __init__(self) -> None:
        self.entries: list[list[tuple[KnownEvent, tuple[MentionRow, ...]]]] = []
        self.named: dict[str, list[KnownEvent]] = {}
        self.gaps: list[GapRow] = []
        self.batches = 0
        self.given = 0

    def capture(
        self,
        *events: dict[str, Any],
        iss: str = DAIRY,
        grade: int = 2,
        recorded: str = "2026-12-31T00:00:00Z",
        withheld: Iterable[int] = (),
    ) -> int:
        """Append one statement; return its entry index."""
        hidden = frozenset(withheld)
        shown = [_show(one, hidden, n, len(self.entries)) for n, one in enumerate(events)]
        head = CaptureHead(
            index=len(self.entries),
            record_time_us=parse_time_us(recorded),
            iss=iss,
            grade=grade,
        )
        rows = project_capture(head, shown)
        entry = []
        for row, one in zip(rows.events, shown, strict=True):
            pin = Pin(
                index=head.index,
                position=row.eid - (head.index << 17),
                commitment=row.commitment,
                iss=iss,
                grade=grade,
                record_time_us=head.record_time_us,
                document=row.document,
                withheld=hidden,
            )
            mentions = tuple(m for m in rows.mentions if m.eid == row.eid)
            entry.append((known_event(pin, parse_shown(one)), mentions))
        self.entries.append(entry)
        for known, _ in entry:
            for key in known.roles:
                self.named.setdefault(key, []).append(known)
        return head.index

    def size(self) -> int:
        return len(self.entries)

    def _visible(
        self, before: int | None
    ) -> Iterable[tuple[KnownEvent, tuple[MentionRow, ...]]]:
        self.batches += 1
        for entry in self.entries[:before]:
            yield from entry

    def _give(self, found: list[KnownEvent]) -> list[KnownEvent]:
        self.given += len(found)
        return found

    def events_of(
        self,
        wanted: Sequence[Wanted],
        *,
        before_entry: int | None = None,
        limit: int | None = None,
    ) -> list[KnownEvent]:
        self.batches += 1
        size = self.size() if before_entry is None else before_entry
        found = {
            (known.event.event_time_us, known.pin.eid): known
            for one in wanted
            for known in select_wanted(
                [k for k in self.named.get(one.key, ()) if k.pin.index < size], one
            )
        }
        return self._give([found[name] for name in sorted(newest_of(found, limit))])

    def admit(
        self,
        source: str,
        what: int,
        span: tuple[int, int],
        why: str = "lost",
        *,
        iss: str = DAIRY,
    ) -> int:
        """Append one gap statement; return its entry index."""
        body = Gap(source=source, what=what, start=span[0], end=span[1], count=None, why=why)
        row = project_gap(len(self.entries), iss, body)
        assert row is not None
        self.entries.append([])
        self.gaps.append(row)
        return row.idx

    def gaps_of(
        self,
        wanted: Sequence[GapsWanted],
        issuers: Collection[str],
        *,
        before_entry: int | None = None,
        limit: int,
    ) -> list[GapRow]:
        self.batches += bool(self.gaps)
        below = self.size() if before_entry is None else before_entry
        known = (one for one in self.gaps if one.idx < below and one.iss in issuers)
        return select_gaps(known, wanted, limit)

    def keys_under(self, key: str) -> list[str]:
        named = {one for known, _ in self._visible(None) for one in known.roles}
        return sorted(one for one in named if one == key or one.startswith(key + "/"))

    def events_of_transformations(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> list[KnownEvent]:
        visible = self._visible(before_entry)
        return self._give(
            [known for known, _ in visible if known.event.transformation_id in ids]
        )

    def events_by_id(
        self, ids: Sequence[str], *, before_entry: int | None = None
    ) -> list[KnownEvent]:
        visible = self._visible(before_entry)
        return self._give([known for known, _ in visible if known.event.event_id in ids])


def _show(made: dict[str, Any], hidden: frozenset[int], *place: int) -> ShownEvent:
    parts = [None if n in hidden else part for n, part in enumerate(split_event(made))]
    text = json.dumps([made, place], sort_keys=True)
    return ShownEvent(sha256(text.encode()).digest(), tuple(parts), hidden)


def ledger_of(*events: dict[str, Any] | tuple[str, dict[str, Any]]) -> ListSource:
    """Return a source with one statement for each event; a pair names its issuer."""
    source = ListSource()
    for one in events:
        if isinstance(one, tuple):
            source.capture(one[1], iss=one[0])
        else:
            source.capture(one)
    return source


def ask(
    source: ListSource,
    epc: str,
    *,
    at: str | None = None,
    known_at: int | None = None,
    now: str = NOW,
) -> dict[str, Any]:
    """Return the answer about `epc` as its JSON reads; the oracle has to agree with it."""
    answer = trace(
        source,
        canonical_key(epc),
        now_us=parse_time_us(now),
        at_us=None if at is None else parse_time_us(time(at)),
        known_at=known_at,
    )
    assert answer is not None
    document: dict[str, Any] = json.loads(json.dumps(assemble_answer(answer)))
    at_us = None if at is None else parse_time_us(time(at))
    oracle = oracle_of(source, size=known_at, at_us=at_us)
    if oracle is not None:
        check_answer(oracle, document, canonical_key(epc))
    return document


def told(answer: dict[str, Any], via: str | None = None, epc: str | None = None) -> list[str]:
    """Return `day hh:mm step` of the answer's events, in its order."""
    return [
        f"{_short(one['event_time'])} {one['biz_step'] or one['type']}"
        for one in answer["events"]
        if via in (None, one["via"]) and epc in (None, one["epc"])
    ]


def _short(text: str | None) -> str | None:
    return None if text is None else f"{int(text[8:10])} {text[11:16]}"


def gap_kinds(answer: dict[str, Any], epc: str | None = None) -> set[str]:
    return {one["kind"] for one in answer["gaps"] if epc in (None, one["epc"])}


def intervals(answer: dict[str, Any], kind: str = "aggregation") -> list[tuple[Any, ...]]:
    """Return (parent, from, to) of the answer's containment."""
    return [
        (one["parent"], _short(one["from"]), _short(one["to"]))
        for one in answer["containment"]
        if one["kind"] == kind
    ]


def custody(answer: dict[str, Any], role: str, epc: str | None = None) -> list[tuple[Any, ...]]:
    return [
        (one["party"], _short(one["from"]), _short(one["to"]))
        for one in answer["custody"]
        if one["role"] == role and epc in (None, one["epc"])
    ]
