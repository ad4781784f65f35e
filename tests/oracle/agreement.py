"""Holds an answer of the engine against the oracle, claim by claim."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ledger.epcis.event import parse_time_us
from ledger.gs1.cbv import canonical_biz_step, canonical_disposition
from ledger.gs1.epc import canonical_key
from ledger.provenance.source import KnownEvent
from tests.oracle.oracle import Answer, Delivery, Moment, Oracle

NEARNESS = {"direct": 0, "transformed": 0, "lot": 0, "contained": 1, "associated": 2}
GAPS = (
    *("missing_add", "implicit_unpack", "no_origin", "reused_key", "identical_events"),
    *("sold_twice", "before_commissioning", "after_decommissioning"),
)
DOUBTS = ("conflicting_custody", "moved_unseen", "future_event", "left_unseen")


def oracle_of(
    source: Any, *, size: int | None = None, at_us: int | None = None
) -> Oracle | None:
    """Return the oracle over the events of a `ListSource`; None where parts are withheld."""
    known = [one for entry in source.entries for one, _ in entry]
    if any(one.pin.withheld for one in known):
        return None
    deliveries = [_delivery(one) for one in known]
    return Oracle(deliveries, size=size, at_us=at_us)


@lru_cache(maxsize=4096)
def _delivery(known: KnownEvent) -> Delivery:
    """Return one event as the oracle reads it; it is asked about many things of one log."""
    pin = known.pin
    raw = _canonical(known.event.raw)
    return Delivery(raw, pin.index, pin.position, pin.iss, pin.document, pin.grade)


def _canonical(value: Any) -> Any:
    """Spell identifiers and words in one way: spellings are not the question here."""
    if isinstance(value, Mapping):
        return {name: _word(name, _canonical(one)) for name, one in value.items()}
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    is_key = isinstance(value, str) and value.startswith(("urn:epc:", "http"))
    return canonical_key(value) if is_key else value


def _word(name: str, value: Any) -> Any:
    words = {"bizStep": canonical_biz_step, "disposition": canonical_disposition}
    return words[name](value) if name in words else value


def check_answer(oracle: Oracle, answer: dict[str, Any], key: str) -> None:
    """Raise `AssertionError` where `answer` and the oracle differ about `key`."""
    expected = oracle.ask(key)
    _check_events(expected, answer)
    _check_containment(expected, answer, oracle.end)
    _check_custody(oracle, expected, answer, key)
    edges = {(e["output"], e["input"], e["kind"]) for e in answer["derivation"]["inputs"]}
    much, little = edges - expected.edges, expected.edges - edges
    assert not much | little, f"derivation: told {sorted(much)}, not told {sorted(little)}"
    gaps = {(one["kind"], one["epc"]) for one in answer["gaps"] if one["kind"] in GAPS}
    wanted = {one for one in expected.gaps if one[0] in GAPS}
    assert gaps == wanted, f"gaps: told {gaps - wanted}, not told {wanted - gaps}"


def _check_custody(oracle: Oracle, expected: Answer, answer: dict[str, Any], key: str) -> None:
    """Compare who has and owns it now, where the events do not contradict each other."""
    for row in [*answer["custody"], *answer["gaps"]]:
        assert row["to"] is None or (row["from"] or "") <= row["to"], (
            f"a span ends first: {row}"
        )
    for thing in {row["epc"] for row in answer["custody"]}:
        for role in ("owner", "possessor"):
            rows = [(r["epc"], r["role"], r["to"]) for r in answer["custody"]]
            assert rows.count((thing, role, None)) <= 1, f"{thing} has two at once: {role}"
    if any(one["epc"] == key and one["kind"] in DOUBTS for one in answer["gaps"]):
        return
    if oracle.is_class(key) and any(row["precision"] == "possible" for row in answer["events"]):
        return
    for role, who in oracle.holders(expected, key).items():
        assert answer["state"][role] == who, f"{role}: {answer['state'][role]}, not {who}"


def _check_events(expected: Answer, answer: dict[str, Any]) -> None:
    told = {tuple(map(tuple, one["entries"])): one for one in answer["events"]}
    much, little = told.keys() - expected.ways.keys(), expected.ways.keys() - told.keys()
    assert not much | little, f"events: told {sorted(much)}, not told {sorted(little)}"
    for pins, one in told.items():
        path = tuple(one["path"])
        assert path[0] == answer["epc"], "the start of a path"
        last = len(path) - 1 - path[::-1].index(one["epc"])
        way = (one["epc"], one["via"], path[last:])
        ways = expected.ways[pins]
        assert way in ways, f"way to {pins}: {way}, not among {sorted(ways)}"
        nearest = min(NEARNESS[via] for _, via, _ in ways)
        assert NEARNESS[one["via"]] == nearest, f"nearest way to {pins}"


def _check_containment(expected: Answer, answer: dict[str, Any], end: Moment) -> None:
    told: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for one in answer["containment"]:
        if one["from"] is None:
            continue
        end_us = end[0] if one["to"] is None else parse_time_us(one["to"])
        span = (parse_time_us(one["from"]), end_us)
        told.setdefault((one["epc"], one["parent"], one["via"]), []).append(span)
    held = {
        name: [(start[0], min(stop[0], end[0])) for start, stop in spans]
        for name, spans in expected.held.items()
    }
    one, other = _joined(told), _joined(held)
    for name in one.keys() | other.keys():
        assert one.get(name) == other.get(name), f"containment of {name}"


def _joined(spans: dict[Any, list[tuple[int, int]]]) -> dict[Any, list[tuple[int, int]]]:
    """Join what touches, so that only when something was inside is compared."""
    joined: dict[Any, list[tuple[int, int]]] = {}
    for name, those in spans.items():
        kept: list[tuple[int, int]] = []
        for start, end in sorted(those):
            if kept and start <= kept[-1][1]:
                kept[-1] = (kept[-1][0], max(end, kept[-1][1]))
            else:
                kept.append((start, end))
        joined[name] = kept
    return joined
