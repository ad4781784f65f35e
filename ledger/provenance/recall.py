"""A recall: everything that a suspicion reaches, where it is now, and who has to be called.

    {"kind": "recall", "as_of": {…}, "seeds": 2}
    {"kind": "affected", "certainty": "certain", "epc": …, "place": …, "possessor": …, …}
    {"kind": "cleared", "epc": …, "why": …}
    {"kind": "summary", "certain": 12, "possible": 3, "cleared": 1, "parties": […], …}

One row at a time, so that a recall of any size is streamed: the affected in the order of
their keys, each with the way that leads to it from a seed and its evidence. *Certain* is
what was made of a seed or held inside one, by serial number or by lot; *possible* where
only a part of a lot may have been; *cleared* what is near and was not reached, with why.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ledger.provenance.answer import State
from ledger.provenance.document import (
    Document,
    describe_state,
    format_moment,
    list_evidence,
    plain_number,
)
from ledger.provenance.forward import Affected, Forward, trace_forward
from ledger.provenance.reader import Limits, Reader
from ledger.provenance.seeds import Suspicion, find_seeds
from ledger.provenance.source import EventSource
from ledger.provenance.span import FIRST, until
from ledger.provenance.story import POSSIBLE
from ledger.provenance.twin import STATES_BATCH, Asked, states_of

CERTAIN = "certain"
ITEMS_MAX = 1_000_000
EVENTS_MAX = 200_000
"""What a recall may find, and may read to find it: it is streamed, and still has an end."""


def recall(
    source: EventSource,
    suspicion: Suspicion,
    asked: Asked,
    *,
    items: int = ITEMS_MAX,
    after: str = "",
) -> Iterator[Document]:
    """Yield the rows of a recall, at most `items` of them affected.

    A recall that is cut says so in its summary; asked again with the last key as `after`
    it goes on there.
    """
    reader = Reader(source, asked.entries(source), Limits(events=EVENTS_MAX))
    seeds = find_seeds(reader, suspicion)
    within = until(asked.at_us)
    found = trace_forward(reader, seeds.seeds, until=within, items=ITEMS_MAX)
    cleared = {**seeds.cleared, **found.cleared}
    for key in found.affected:
        cleared.pop(key, None)
    yield {"kind": "recall", "as_of": asked.as_of(source), "seeds": len(seeds.seeds)}
    tally = _Tally()
    left = sorted(key for key in found.affected if key > after)
    for at in range(0, min(items, len(left)), STATES_BATCH):
        batch = left[at : min(at + STATES_BATCH, items)]
        states = states_of(source, batch, asked)
        for key in batch:
            yield tally.take(found.affected[key], states.get(key))
    for key in sorted(cleared):
        yield {"kind": "cleared", "epc": key, "why": cleared[key]}
    yield _summary(found, tally, len(cleared)) | _cut(left, items, found, reader)


def _cut(left: Sequence[str], items: int, found: Forward, reader: Reader) -> Document:
    more = len(left) > items
    return {
        "truncated": more or found.cut or reader.horizon != FIRST,
        "continuation": {"after": left[items - 1]} if more else None,
    }


@dataclass(slots=True)
class _Tally:
    """Counts what a recall told, by certainty, place, party and quantity."""

    certainties: Counter[str] = field(default_factory=Counter)
    places: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    parties: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    quantities: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    def take(self, one: Affected, state: State | None) -> Document:
        """Count one affected thing and return its row."""
        certainty = POSSIBLE if one.precision == POSSIBLE else CERTAIN
        self.certainties[certainty] += 1
        if state is not None:
            self.places[state.place, certainty] += 1
            for role, party in (("possessor", state.possessor), ("owner", state.owner)):
                if party is not None:
                    self.parties[party, role, certainty] += 1
        if one.quantity is not None:
            unit = (one.uom or "pieces", certainty)
            self.quantities[unit] = self.quantities.get(unit, Decimal(0)) + one.quantity
        where = describe_state(state) if state is not None else {}
        return {
            "kind": "affected",
            "certainty": certainty,
            "epc": one.key,
            "via": one.via,
            "path": list(one.path),
            "precision": one.precision,
            "from": format_moment(one.span.start),
            "quantity": plain_number(one.quantity),
            "uom": one.uom,
            "entries": list_evidence(one.evidence),
            **where,
        }


def _summary(found: Forward, tally: _Tally, cleared: int) -> Document:
    return {
        "kind": "summary",
        "certain": tally.certainties[CERTAIN],
        "possible": tally.certainties[POSSIBLE],
        "cleared": cleared,
        "affected": len(found.affected),
        "quantities": [
            {"uom": uom, "certainty": certainty, "quantity": plain_number(quantity)}
            for (uom, certainty), quantity in sorted(tally.quantities.items())
        ],
        "places": [
            {"place": place, "certainty": certainty, "items": n}
            for (place, certainty), n in sorted(tally.places.items(), key=_by_text)
        ],
        "parties": [
            {"party": party, "role": role, "certainty": certainty, "items": n}
            for (party, role, certainty), n in sorted(tally.parties.items())
        ],
    }


def _by_text(counted: tuple[tuple[str | None, str], int]) -> tuple[str, str]:
    (place, certainty), _ = counted
    return place or "", certainty


def describe_descendants(
    source: EventSource, key: str, asked: Asked, *, items: int
) -> Document:
    """Return what `key` went into, for `direction=forward`: rows as in a recall."""
    reader = asked.reader(source)
    seeds = find_seeds(reader, Suspicion(things=(key,)))
    found = trace_forward(reader, seeds.seeds, until=until(asked.at_us), items=ITEMS_MAX)
    wanted = sorted(one for one in found.affected if one != key)
    told = wanted[:items]
    states = states_of(source, told, asked)
    tally = _Tally()
    rows = [tally.take(found.affected[one], states.get(one)) for one in told]
    for row in rows:
        del row["kind"]
    return {
        "descendants": rows,
        "descendants_truncated": len(wanted) > items or found.cut or reader.horizon != FIRST,
    }
