"""Packing: a case is scanned, then its items; each item goes into the case before it.

Where a station packs so, the order of first reads tells what is in what: from the first read of
a tag that is a parent on, children go into it, until the next parent or a pause. Several cases
may be in one pass, and one case in several passes; what comes later is added to it. A parent
that is scanned anew takes over again.

Nothing is guessed. A child is unresolved, with its reason, where no case was scanned before
it or the last one too long ago, where an earlier case was still in view (then nobody can tell
whose it is), where it is in another case already, or where its case holds the plan's count.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest.plan import AggregationEmit, PackingRule
from ingest.smoothing import Pass
from ledger.gs1.epc import matches_pattern

SPANS_MAX = 32
PACKED_MAX = 2_000


@dataclass(slots=True)
class Span:
    """A time in which items went into `parent`; `last_us` is when the last of them did."""

    parent: str
    first_us: int
    last_us: int


@dataclass(slots=True)
class PackState:
    """The newest cases, oldest first, and in which of them the newest items are."""

    spans: list[Span] = field(default_factory=list)
    packed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packed:
    """What a pass added to one case, the last of it at `at_us`."""

    parent: str
    children: list[str]
    at_us: int


def pack(
    state: PackState, emit: AggregationEmit, rule: PackingRule, one: Pass
) -> tuple[list[Packed], dict[str, list[str]]]:
    """Return what the pass put into which case, and what did not add up, by its reason."""
    added: dict[str, Packed] = {}
    wrong: dict[str, list[str]] = {}
    views = [(epc, tag.first_us, tag.last_us) for epc, tag in one.tags if _is(emit.parent, epc)]
    parents = {epc for epc, _, _ in views}
    for epc, tag in one.tags:
        at = tag.first_us
        if epc in parents:
            for said, about in _begin(state, rule, epc, at):
                wrong.setdefault(said, []).append(about)
            continue
        if emit.children is None or not _is(emit.children, epc):
            continue
        span = _span_at(state, at)
        if span is not None and state.packed.get(epc) == span.parent:
            continue
        why = _refuse(state, rule, span, epc, at)
        if why is None and span is not None:
            others = [p for p, first, last in views if p != span.parent and first <= at <= last]
            why = f"{others[0]} was in view as well" if others else None
        if why is not None or span is None:
            wrong.setdefault(why or "", []).append(epc)
            continue
        _put(state, span, epc, at)
        before = added.get(span.parent)
        children = [epc] if before is None else [*before.children, epc]
        added[span.parent] = Packed(span.parent, children, at)
    return list(added.values()), wrong


def _is(patterns: tuple[str, ...], epc: str) -> bool:
    return any(matches_pattern(one, epc) for one in patterns)


def _begin(
    state: PackState, rule: PackingRule, parent: str, at: int
) -> Iterator[tuple[str, str]]:
    """Begin a case, or go on with it; yield what is wrong with the one before."""
    before = _span_at(state, at)
    if before is not None and before.parent == parent:
        before.last_us = max(before.last_us, at)
        return
    if before is not None:
        count = _count(state, before.parent)
        if not count:
            yield "it was scanned as a case and nothing was put into it", before.parent
        elif rule.count and count < rule.count:
            yield f"the case holds {count} of {rule.count}", before.parent
    state.spans.append(Span(parent, at, at))
    state.spans.sort(key=lambda one: one.first_us)
    del state.spans[:-SPANS_MAX]


def _refuse(
    state: PackState, rule: PackingRule, span: Span | None, epc: str, at: int
) -> str | None:
    """Return why a child cannot go into the case of its time, None if it can."""
    if span is None or at - span.last_us > rule.pause_us:
        return "no case was scanned before it"
    if epc in state.packed:
        return f"it was put into {state.packed[epc]} before"
    if rule.count and _count(state, span.parent) >= rule.count:
        return f"{span.parent} holds {rule.count} already"
    return None


def _put(state: PackState, span: Span, epc: str, at: int) -> None:
    span.last_us = max(span.last_us, at)
    state.packed[epc] = span.parent
    if len(state.packed) > PACKED_MAX:
        del state.packed[next(iter(state.packed))]


def _span_at(state: PackState, at: int) -> Span | None:
    """Return the newest case that was scanned by `at`."""
    return next((one for one in reversed(state.spans) if one.first_us <= at), None)


def _count(state: PackState, parent: str) -> int:
    return sum(one == parent for one in state.packed.values())
