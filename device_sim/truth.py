"""Truth: what really happened, as JSON Lines, to be compared with what a system says.

One object a line, `kind` first; times are integer microseconds, temperatures degrees
Celsius; identities are EPC URNs. docs/reference/truth.md describes each kind:

    {"kind":"run","format":"tagtrail/truth/v1","scenario":"dairy","seed":7,…}
    {"kind":"place","site":"hub","party":…,"sgln":…,"read_points":[…]}
    {"kind":"lot",…} {"kind":"batch",…} {"kind":"containment",…} {"kind":"samples",…}
    {"kind":"item","epc":…,"farm_lots":[…],"path":[…],"custody":[…],"exposure":[…],…}
    {"kind":"missed","epc":…,"station":…,"pass":0,…} {"kind":"fault","fault":…,…}
    {"kind":"gap","what":"event_numbers","reader":…,"first":17,"last":19,…}

The truth is what a perfect reader network would conclude under the scenario's capture
plan: a move happens at the end of its pass, and custody changes at the receiving read.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from device_sim.chronicle import Life, Nesting, Story
from device_sim.faults import FaultBook, Missed
from device_sim.losses import Gap
from device_sim.tags import Epc, Tag
from device_sim.world import SECOND_US, Sample, Site, World

FORMAT = "tagtrail/truth/v1"


class Told:
    """Everything that the truth is told from."""

    def __init__(
        self, world: World, story: Story, samples: Sequence[Sequence[Sample]], book: FaultBook
    ) -> None:
        self.world = world
        self.story = story
        self.samples = samples
        self.book = book
        self.vehicles = {one.tag.epc: one for one in world.vehicles.values()}
        self.false = {
            epc
            for label in book.labels.values()
            if label.kind == "fakes"
            for epc in label.things
        }
        self.spans: dict[tuple[Epc, int, int | None], dict[str, object]] = {}
        self.by_vehicle: dict[str, list[Sample]] = {}
        for series in samples:
            for one in series:
                self.by_vehicle.setdefault(one.vehicle.name, []).append(one)

    def is_true(self, tag: Tag) -> bool:
        """Tell whether a tag is on what its EPC names: no clone and no fake."""
        return not tag.chip and tag.epc not in self.false


def tell_truth(told: Told, scenario: str, seed: int) -> Iterator[str]:
    """Yield the truth as lines of JSON, without line ends."""
    for line in _lines(told, scenario, seed):
        yield json.dumps(line, separators=(",", ":"), ensure_ascii=False)


def _lines(told: Told, scenario: str, seed: int) -> Iterator[dict[str, object]]:
    story = told.story
    nests = _by_child(story.nestings)
    yield _run(told, scenario, seed)
    yield from (_place(told.world, site) for site in told.world.sites.values())
    yield from (_samples(series) for series in told.samples if series)
    yield from (_lot(life, told, nests) for life in story.lots.values())
    for batch in story.batches:
        inputs = [{"epc": epc, "quantity": q, "uom": "KGM"} for epc, q in batch.inputs]
        yield {
            "kind": "batch", "id": batch.id, "lot": batch.lot, "from": batch.start_us,
            "to": batch.end_us, "outputs": len(batch.outputs), "inputs": inputs,
        }  # fmt: skip
    for order in story.orders:
        yield {
            "kind": "order", "id": order.id, "seller": order.seller.id,
            "buyer": order.buyer.id, "product": order.product, "pallets": order.units,
            "placed_at": order.placed_us,
            "sent_with": [
                {"advice": advice, "at": sent_us, "epcs": list(epcs)}
                for advice, sent_us, epcs in order.notices
            ],
        }  # fmt: skip
    for nesting in story.nestings:
        yield {
            "kind": "containment", "child": nesting.child, "parent": nesting.parent,
            "from": nesting.from_us, "to": nesting.to_us,
        }  # fmt: skip
    yield from (_item(life, told, nests) for life in story.items.values())
    for crossing in story.passes:
        yield {
            "kind": "pass", "station": crossing.station.name, "does": crossing.station.does,
            "pass": crossing.number, "from": crossing.start_us, "to": crossing.end_us,
            "epcs": [one.tag.epc for one in crossing.visits if told.is_true(one.tag)],
        }  # fmt: skip
    for missed in sorted(told.book.missed, key=_when):
        crossing = missed.crossing
        yield {
            "kind": "missed", "epc": missed.visit.tag.epc, "station": crossing.station.name,
            "does": crossing.station.does, "pass": crossing.number, "cause": missed.cause,
            "from": crossing.start_us, "to": crossing.end_us,
        }  # fmt: skip
    for label in told.book.in_order():
        yield {
            "kind": "fault", "fault": label.kind, "where": label.where, "from": label.from_us,
            "to": label.to_us, "touched": sorted(label.touched), "things": sorted(label.things),
        }  # fmt: skip
    yield from map(_gap, told.book.losses.gaps())


def _gap(gap: Gap) -> dict[str, object]:
    station = gap.station
    return {
        "kind": "gap", "what": gap.what, "cause": gap.cause, "reader": station.name,
        "party": station.site.party.id, "read_point": station.read_point, "from": gap.from_us,
        "to": gap.to_us, "count": gap.count, "counter": gap.counter, "first": gap.first,
        "last": gap.last, "knowable": gap.knowable,
    }  # fmt: skip


def _when(missed: Missed) -> tuple[int, str, str]:
    """Return by what misses are ordered, whoever found them first."""
    crossing = missed.crossing
    return crossing.start_us, crossing.station.name, missed.visit.tag.epc


def _run(told: Told, scenario: str, seed: int) -> dict[str, object]:
    story = told.story
    times = [one.time_us for one in story.notes] + [one.end_us for one in story.passes]
    longest_us = max(one.end_us - one.start_us for one in story.passes)
    return {
        "kind": "run", "format": FORMAT, "scenario": scenario, "seed": seed,
        "from": min(times), "to": max(times), "tolerance_us": longest_us + 5 * SECOND_US,
        "items": len(story.items), "lots": len(story.lots), "passes": len(story.passes),
        "sold": sum(one.sold_us is not None for one in story.items.values()),
    }  # fmt: skip


def _place(world: World, site: Site) -> dict[str, object]:
    stations = [one for one in world.stations.values() if one.site is site]
    return {
        "kind": "place", "site": site.name, "role": site.role, "party": site.party.id,
        "name": site.party.title, "sgln": site.sgln,
        "read_points": [one.read_point for one in stations],
    }  # fmt: skip


def _samples(series: Sequence[Sample]) -> dict[str, object]:
    vehicle = series[0].vehicle
    return {
        "kind": "samples", "device": vehicle.device, "asset": vehicle.tag.epc,
        "values": [[one.time_us, one.celsius] for one in series],
    }  # fmt: skip


def _lot(life: Life, told: Told, nests: Mapping[Epc, Sequence[Nesting]]) -> dict[str, object]:
    site = life.stays[0].site
    return {
        "kind": "lot", "epc": life.epc, "site": site.name, "party": site.party.id,
        "quantity": life.quantity, "uom": "KGM", "made_at": life.made_us, "path": _path(life),
        "custody": _custody(life), "exposure": _exposure(life.epc, told, nests),
        "used_up_at": life.ended_us,
    }  # fmt: skip


def _item(life: Life, told: Told, nests: Mapping[Epc, Sequence[Nesting]]) -> dict[str, object]:
    return {
        "kind": "item", "epc": life.epc, "made_at": life.made_us,
        "farm_lots": list(life.origin), "path": _path(life), "custody": _custody(life),
        "exposure": _exposure(life.epc, told, nests), "sold_at": life.sold_us,
        "sales": life.sales, "ended_at": life.ended_us,
    }  # fmt: skip


def _path(life: Life) -> list[dict[str, object]]:
    return [
        {"place": one.site.sgln, "from": one.from_us, "to": one.to_us} for one in life.stays
    ]


def _custody(life: Life) -> list[dict[str, object]]:
    return [
        {"party": one.party.id, "role": role, "from": one.from_us, "to": one.to_us}
        for role, holdings in (("possessor", life.kept), ("owner", life.owned))
        for one in holdings
    ]


def _exposure(
    epc: Epc, told: Told, nests: Mapping[Epc, Sequence[Nesting]]
) -> list[dict[str, object]]:
    spans = [
        (parent, from_us, to_us)
        for parent, from_us, to_us in ancestors(epc, nests)
        if parent in told.vehicles
    ]
    return [_span(told, *one) for one in sorted(spans, key=lambda one: one[1])]


def _span(told: Told, asset: Epc, from_us: int, to_us: int | None) -> dict[str, object]:
    """Return one exposure; what travels together shares it."""
    key = (asset, from_us, to_us)
    if key not in told.spans:
        vehicle = told.vehicles[asset]
        values = [
            one.celsius
            for one in told.by_vehicle.get(vehicle.name, ())
            if from_us <= one.time_us and (to_us is None or one.time_us <= to_us)
        ]
        told.spans[key] = {
            "trailer": asset, "device": vehicle.device, "from": from_us, "to": to_us,
            "samples": len(values), "min_c": min(values, default=None),
            "max_c": max(values, default=None),
        }  # fmt: skip
    return told.spans[key]


def ancestors(
    epc: Epc, nests: Mapping[Epc, Sequence[Nesting]]
) -> list[tuple[Epc, int, int | None]]:
    """Return everything that `epc` was ever in, at any depth, with the common span."""
    found: list[tuple[Epc, int, int | None]] = []
    pending: list[tuple[Epc, int, int | None]] = [(epc, 0, None)]
    while pending:
        child, from_us, to_us = pending.pop()
        for one in nests.get(child, ()):
            start_us = max(from_us, one.from_us)
            ends = [end for end in (to_us, one.to_us) if end is not None]
            end_us = min(ends, default=None)
            if end_us is None or start_us < end_us:
                found.append((one.parent, start_us, end_us))
                pending.append((one.parent, start_us, end_us))
    return found


def _by_child(nestings: Iterable[Nesting]) -> dict[Epc, list[Nesting]]:
    index: dict[Epc, list[Nesting]] = {}
    for one in nestings:
        index.setdefault(one.child, []).append(one)
    return index
