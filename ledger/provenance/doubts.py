"""What the events themselves leave open: contradictions, parts withheld, clocks, sums.

Places, custody, containers and readings name their own gaps; here are the rest.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from ledger.projection import THING_ROLES
from ledger.provenance import gap as gaps
from ledger.provenance import pool as pools
from ledger.provenance.amount import amount_in
from ledger.provenance.custody import RECEIPTS
from ledger.provenance.derivation import quantity_made
from ledger.provenance.gap import Gap
from ledger.provenance.lineage import is_commissioning, is_ending
from ledger.provenance.pool import Node, Pool
from ledger.provenance.span import Moment
from ledger.provenance.story import CONTAINED, DIRECT, LOT, TRANSFORMED, Story, Thing, Told

_OWN = frozenset({DIRECT, TRANSFORMED, LOT})
_SALES = frozenset({"retail_selling", "dispensing"})
_BACK = frozenset({"returned", "sellable_accessible", "sellable_not_accessible"})
_PARTS = ("id", "about", "what", "when", "where", "why", "how", "other")
_FLAGS = {
    pools.IDENTICAL: (
        gaps.IDENTICAL_EVENTS,
        "another event without eventID is equal to it: one read twice, or two reads",
    ),
    pools.COLLISION: (
        gaps.COLLIDING_IDS,
        "another event has its eventID and says something else: both are shown",
    ),
    pools.LATE_CLOCK: (
        gaps.AFTER_RECORD,
        "it says that it happened after the log took it: a clock is wrong",
    ),
}


def find_doubts(story: Story, pool: Pool, now: Moment) -> Iterator[Gap]:
    """Yield the gaps that the events of all things of `story` show; `now` is the present."""
    for thing in story.things.values():
        told = thing.in_order()
        if not told:
            yield _never_seen(thing, story.root)
        for one in told:
            yield from _of_event(thing, one, now)
        yield from _untimed(thing, pool)
        yield from _outside_life(thing, told)
        yield from _sold_twice(thing, told)
        yield from _left_inside(thing, told)
        yield from _imbalance(thing, told)
    if story.truncated:
        yield _cut(story)


def _cut(story: Story) -> Gap:
    before_us = story.continue_before_us
    if before_us is None:
        why = "the answer was cut: it goes further than one answer may"
        return Gap(gaps.TRUNCATED, story.root, None, None, (story.root,), why)
    why = "the answer was cut: what happened before is on another page"
    return Gap(gaps.TRUNCATED, story.root, None, (before_us, b"", -1), (story.root,), why)


def _never_seen(thing: Thing, root: str) -> Gap:
    if thing.key == root:
        why = "it is known, and no event of it lies in the asked time"
        return Gap(gaps.NO_EVENTS, thing.key, None, None, (thing.key,), why)
    why = "it went into the item, and no event tells of it before"
    return Gap(gaps.INPUT_NEVER_SEEN, thing.key, None, None, (thing.key,), why)


def _of_event(thing: Thing, told: Told, now: Moment) -> Iterator[Gap]:
    node = told.node
    at = (node.moment, node.moment)
    for flag in node.flags:
        if flag in _FLAGS:
            kind, why = _FLAGS[flag]
            yield Gap(kind, thing.key, *at, (told.path[-1],), why)
    if node.pin.withheld:
        names = ", ".join(_PARTS[n] for n in sorted(node.pin.withheld))
        why = (
            f"the source withholds these parts of the event in entry {node.pin.index}: {names}"
        )
        yield Gap(gaps.WITHHELD_PART, thing.key, *at, (node.pin.iss,), why)
    if node.moment > now:
        why = "the event lies in the future: it is shown and left out of the state"
        yield Gap(gaps.FUTURE, thing.key, *at, (told.path[-1],), why)


def _untimed(thing: Thing, pool: Pool) -> Iterator[Gap]:
    for node in pool.untimed_of(thing.key, THING_ROLES):
        why = f"the source withholds when the event in entry {node.pin.index} happened"
        yield Gap(gaps.WITHHELD_PART, thing.key, None, None, (node.pin.iss,), why)


def _outside_life(thing: Thing, told: Iterable[Told]) -> Iterator[Gap]:
    own = [one.node for one in told if one.via in _OWN]
    births = [node for node in own if is_commissioning(node.event, thing.key)]
    for node in own:
        if births and node.moment < births[0].moment:
            why = "it happened to the item before the item was commissioned"
            span = (node.moment, births[0].moment)
            yield Gap(gaps.BEFORE_ORIGIN, thing.key, *span, (thing.key,), why)
    yield from _after_end(thing, own)


def _after_end(thing: Thing, own: Iterable[Node]) -> Iterator[Gap]:
    ended: Node | None = None
    for node in own:
        if is_commissioning(node.event, thing.key):
            ended = None
        if ended is not None and ended.moment < node.moment and not _may_be_one(ended, node):
            why = "it was seen again after it was decommissioned or destroyed"
            span = (ended.moment, node.moment)
            yield Gap(gaps.AFTER_END, thing.key, *span, (thing.key,), why)
        if is_ending(node.event, thing.key):
            ended = node


def _sold_twice(thing: Thing, told: Iterable[Told]) -> Iterator[Gap]:
    """Report an instance that is sold again though nothing says that it had come back.

    One of the two is a copy, or its return was not seen.
    """
    sold: Node | None = None
    for node in (one.node for one in told if one.via in _OWN):
        if thing.key not in node.event.epc_list:
            continue
        if _sells(node):
            if sold is not None and not _may_be_one(sold, node):
                why = "it was sold again, and no event says that it had come back in between"
                parties = (sold.pin.iss, node.pin.iss)
                yield Gap(gaps.SOLD_TWICE, thing.key, sold.moment, node.moment, parties, why)
            sold = node
        elif _brings_back(node) or is_commissioning(node.event, thing.key):
            sold = None


def _sells(node: Node) -> bool:
    """Tell whether the event sells what it names, the whole of it."""
    event = node.event
    return event.biz_step in _SALES and event.disposition != "partially_dispensed"


def _may_be_one(one: Node, other: Node) -> bool:
    """Tell whether both may be one event that was read twice, which is reported as such."""
    if one.event.event_id is not None:
        return one.event.event_id == other.event.event_id
    flagged = pools.IDENTICAL in one.flags and pools.IDENTICAL in other.flags
    return flagged and _said(one) == _said(other)


def _said(node: Node) -> tuple[object, ...]:
    event = node.event
    what = (event.type, event.action, event.biz_step, event.disposition)
    return (*what, event.event_time_us, event.epc_list, event.biz_location, event.read_point)


def _brings_back(node: Node) -> bool:
    event = node.event
    received = event.biz_step in RECEIPTS or bool(event.destinations)
    return received or event.disposition in _BACK


def _left_inside(thing: Thing, told: Iterable[Told]) -> Iterator[Gap]:
    for one in told:
        holder = one.path[-1]
        if one.via == CONTAINED and is_ending(one.node.event, holder):
            why = "its container was decommissioned or destroyed, and it was never taken out"
            at = one.node.moment
            yield Gap(gaps.STILL_INSIDE, thing.key, at, None, (thing.key, holder), why)


def _imbalance(thing: Thing, told: Iterable[Told]) -> Iterator[Gap]:
    """Report more of a lot used than was ever made, as far as both are stated."""
    if not thing.is_class:
        return
    own = [one.node for one in told if one.via in _OWN]
    made = quantity_made(thing.key, own)
    if made is None:
        return
    used = [
        amount_in(one.quantity, one.uom, made[1])
        for node in own
        for one in node.event.quantities
        if one.role == "input" and one.epc_class == thing.key
    ]
    total = sum((amount for amount in used if amount is not None), Decimal(0))
    if total > made[0]:
        unit = made[1] or "pieces"
        why = f"{total:f} {unit} of it were used and only {made[0]:f} {unit} were made"
        yield Gap(gaps.IMBALANCE, thing.key, None, None, (thing.key,), why)
