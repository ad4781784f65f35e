"""The answer as a document: plain values that become JSON, each claim with its evidence.

    {"epc": "https://id.gs1.org/01/09506000134352/21/7",
     "as_of": {"size": 412, "root": null, "time": null, "before": null},
     "state": {"place": …, "owner": …, "possessor": …, "disposition": …, "container": …},
     "events": […], "path": […], "containment": […], "derivation": {"inputs": […],
     "outputs": […]}, "custody": […], "handovers": […], "tiers": […], "conditions": […],
     "gaps": […], "corrections": […], "names": {…}, "truncated": false, "continuation": null}

Times are UTC text; null is an unknown or open end. Evidence is a list of `[entry, position]`:
the event at that position of the statement in that entry of the log. `epc` in a row names
the thing it is about: the asked item, or an input that it was made from.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter

from ledger.epcis.event import format_time
from ledger.projection import Pin
from ledger.provenance.answer import Answer, State
from ledger.provenance.conditions import Exposure
from ledger.provenance.custody import Handover, Holding
from ledger.provenance.gap import Gap
from ledger.provenance.journey import Stay
from ledger.provenance.lineage import Relation
from ledger.provenance.pool import Correction, Node
from ledger.provenance.span import TIME_MAX_US, TIME_MIN_US, Moment, Span, until
from ledger.provenance.story import Edge, Holder, Story, Thing, Told
from ledger.provenance.tiers import Tier

Document = dict[str, object]
_format_time = lru_cache(maxsize=16_384)(format_time)
DIGITS = 3
"""Readings are rounded to a thousandth of their unit."""


def assemble_answer(
    answer: Answer, *, names: Mapping[str, str] | None = None, root: bytes | None = None
) -> Document:
    """Return the answer as plain values, ready for JSON.

    `names` gives parties and places readable names, by key; `root` is the log's root at
    the size as of which the answer was given.
    """
    story = answer.story
    told = sorted(_nearest(answer), key=attrgetter("node.order"))
    document: Document = {
        "epc": answer.key,
        "as_of": {
            "size": answer.known_at,
            "root": root.hex() if root is not None else None,
            "time": format_instant(answer.at_us),
            "before": format_instant(answer.before_us),
        },
        "state": describe_state(answer.state),
        "events": [_event(answer, one) for one in told],
        "path": [
            _stay(story.things[key], one)
            for key, way in answer.journeys.items()
            for one in way.stays
        ],
        "containment": _containment(answer),
        "derivation": {
            "inputs": [describe_edge(one) for one in story.inputs],
            "outputs": [describe_edge(one) for one in story.outputs],
        },
        "custody": [
            _holding(story.things[key], one)
            for key, book in answer.custody.items()
            for one in book.holdings
        ],
        "handovers": [_handover(h) for one in answer.custody.values() for h in one.handovers],
        "tiers": [_tier(one) for one in answer.tiers],
        "conditions": [_exposure(one) for one in answer.conditions.exposures],
        "gaps": [_gap(one) for one in answer.gaps],
        "corrections": [_correction(answer, one) for one in story.corrections],
        "truncated": story.truncated,
        "continuation": _continuation(story),
    }
    document["names"] = _names(document, names or {})
    return document


def _nearest(answer: Answer) -> Iterable[Told]:
    """Return each event once, by the nearest of the things that it is told of."""
    best: dict[tuple[int, int], Told] = {}
    for thing in answer.story.things.values():
        for name, told in thing.told.items():
            known = best.get(name)
            if known is None or told.nearness < known.nearness:
                best[name] = told
    return best.values()


def describe_state(state: State) -> Document:
    """Return what holds for one thing, ready for JSON."""
    return {
        "place": state.place,
        "in_transit": state.in_transit,
        "owner": state.owner,
        "possessor": state.possessor,
        "disposition": state.disposition,
        "persistent": list(state.persistent),
        "container": state.containers[0] if state.containers else None,
        "containers": list(state.containers),
    }


def _event(answer: Answer, told: Told) -> Document:
    node, event = told.node, told.node.event
    return {
        "event_id": event.event_id,
        "entry": node.pin.index,
        "position": node.pin.position,
        "entries": _pins(node.pins),
        "event_time": _format_time(event.event_time_us),
        "offset": event.offset,
        "type": event.type,
        "action": event.action,
        "biz_step": event.biz_step,
        "disposition": event.disposition,
        "place": event.biz_location,
        "read_point": event.read_point,
        "party": node.pin.iss,
        "tier": answer.distances.tier_at(told.thing, node.moment),
        "tier_at_least": answer.distances.at_least(told.thing, node.moment),
        "grade": node.pin.grade,
        "epc": told.thing,
        "via": told.via,
        "path": list(told.path),
        "precision": told.precision,
        "flags": [*node.flags, *(("future",) if node.moment > answer.now else ())],
    }


def _stay(thing: Thing, stay: Stay) -> Document:
    return {
        "epc": thing.key,
        "precision": thing.precision,
        "place": stay.place,
        "from": format_moment(stay.start),
        "to": format_moment(stay.end),
        "entries": list_evidence(told.node for told in stay.evidence),
    }


def _containment(answer: Answer) -> list[Document]:
    forever = until(answer.at_us).end
    rows: list[tuple[Moment, Document]] = []
    for thing in answer.story.things.values():
        rows += [(one.span.start, _held(one, forever)) for one in thing.holders]
        rows += [(one.span.start, _loose(thing.key, one)) for one in thing.loose]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _held(one: Holder, forever: Moment) -> Document:
    assert one.relation is not None
    row = _relation(one.thing, one.relation, one.span, forever)
    row.update(via=one.via, path=list(one.path), precision=one.precision)
    return row


def _loose(thing: str, relation: Relation) -> Document:
    row = _relation(thing, relation, relation.span, relation.span.end)
    row.update({"from": None, "to": format_moment(relation.span.end)})
    row.update(via=relation.kind, path=[thing, relation.parent], precision="possible")
    return row


def _relation(thing: str, relation: Relation, span: Span, forever: Moment) -> Document:
    return {
        "epc": thing,
        "child": relation.child,
        "parent": relation.parent,
        "kind": relation.kind,
        "from": format_moment(span.start),
        "to": None if span.end >= forever else format_moment(span.end),
        "opened_by": _pin(relation.opened_by),
        "closed_by": _pin(relation.closed_by),
        "quantity": plain_number(relation.quantity),
        "uom": relation.uom,
        "flags": list(relation.flags),
    }


def describe_edge(edge: Edge) -> Document:
    """Return that something was made from something, ready for JSON."""
    return {
        "output": edge.output,
        "input": edge.input,
        "kind": edge.kind,
        "precision": edge.precision,
        "quantity": plain_number(edge.quantity),
        "uom": edge.uom,
        "transformation_id": edge.transformation_id,
        "time": format_moment(edge.moment),
        "entries": list_evidence(edge.evidence),
    }


def _holding(thing: Thing, holding: Holding) -> Document:
    return {
        "epc": holding.thing,
        "precision": thing.precision,
        "party": holding.party,
        "role": holding.role,
        "from": format_moment(holding.start),
        "to": format_moment(holding.end),
        "basis": holding.basis,
        "evidence": list_evidence(holding.evidence),
    }


def _handover(handover: Handover) -> Document:
    return {
        "epc": handover.thing,
        "role": handover.role,
        "giver": handover.giver,
        "taker": handover.taker,
        "time": format_moment(handover.moment),
        "evidence": list_evidence(handover.evidence),
    }


def _tier(tier: Tier) -> Document:
    return {
        "tier": tier.tier,
        "party": tier.party,
        "at_least": tier.at_least,
        "items": sorted(tier.items),
        "events": len(tier.events),
    }


def _exposure(exposure: Exposure) -> Document:
    measured, readings = exposure.measured, exposure.readings
    mean = sum((one.mean for one in readings), Decimal(0)) / len(readings)
    return {
        "epc": measured.thing,
        "container": measured.holder or measured.key,
        "via": measured.via,
        "precision": measured.precision,
        "type": exposure.type,
        "unit": exposure.unit,
        "min": _rounded(min(one.low for one in readings)),
        "max": _rounded(max(one.high for one in readings)),
        "mean": _rounded(mean),
        "readings": len(readings),
        "from": format_moment(measured.span.start),
        "to": format_moment(measured.span.end),
        "first": _format_time(readings[0].from_us),
        "last": _format_time(max(one.to_us for one in readings)),
        "device": exposure.device,
        "partial": exposure.partial,
        "entries": list_evidence(exposure.evidence),
    }


def _gap(gap: Gap) -> Document:
    return {
        "kind": gap.kind,
        "epc": gap.thing,
        "from": format_moment(gap.start),
        "to": format_moment(gap.end),
        "between": list(gap.between),
        "why": gap.why,
        "stated_in": gap.stated_in,
    }


def _correction(answer: Answer, one: Correction) -> Document:
    error = one.event.error
    ids = error.corrective_ids if error is not None else ()
    return {
        "event_id": one.event.event_id,
        "event_time": _format_time(one.event.event_time_us),
        "reason": error.reason if error is not None else None,
        "declared_at": _format_time(error.declaration_time_us) if error is not None else None,
        "declared_in": [one.declared.pin.index, one.declared.pin.position],
        "party": one.declared.pin.iss,
        "originals": _pins(one.originals),
        "correctives": [
            {"event_id": name, "entries": list_evidence(answer.correctives.get(name, ()))}
            for name in ids
        ],
    }


def _names(document: Document, names: Mapping[str, str]) -> Document:
    """Return the names of the parties and places that the document mentions."""
    rows = [document["custody"], document["tiers"], document["path"], document["events"]]
    found: dict[str, object] = {}
    for row in (row for part in rows if isinstance(part, list) for row in part):
        for field in ("party", "place"):
            key = row.get(field)
            if isinstance(key, str) and key in names:
                found[key] = names[key]
    return dict(sorted(found.items()))


def _continuation(story: Story) -> Document | None:
    """Return what to ask beside for the page before this one, or None where all is told."""
    before_us = story.continue_before_us
    return None if before_us is None else {"before": _format_time(before_us)}


def format_instant(us: int | None) -> str | None:
    """Return the text of an instant, None for none."""
    return None if us is None else _format_time(us)


def format_moment(moment: Moment | None) -> str | None:
    """Return the instant of a moment as text, None for an open end."""
    if moment is None or not TIME_MIN_US < moment[0] < TIME_MAX_US:
        return None
    return _format_time(moment[0])


def plain_number(value: Decimal | None) -> int | float | None:
    """Return a quantity as a number of JSON."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _rounded(value: Decimal) -> float:
    return round(float(value), DIGITS)


def _pin(node: Node | None) -> list[int] | None:
    return None if node is None else [node.pin.index, node.pin.position]


def _pins(pins: Iterable[Pin]) -> list[list[int]]:
    return [[pin.index, pin.position] for pin in pins]


def list_evidence(nodes: Iterable[Node]) -> list[list[int]]:
    """Return where the events are in the log: entry and position, in order, each once."""
    pins = {(pin.index, pin.position) for node in nodes for pin in node.pins}
    return [[index, position] for index, position in sorted(pins)]
