"""Truth: what really happened, as JSON Lines, to be compared with what a system says.

One object a line, `kind` first; times are integer microseconds, temperatures degrees
Celsius; identities are EPC URNs. docs/reference/truth.md describes each kind:

    {"kind":"run","format":"tagtrail/truth/v1","scenario":"dairy","seed":7,…}
    {"kind":"place","site":"hub","party":…,"sgln":…,"read_points":[…]}
    {"kind":"lot",…} {"kind":"batch",…} {"kind":"containment",…} {"kind":"samples",…}
    {"kind":"item","epc":…,"farm_lots":[…],"path":[…],"custody":[…],"exposure":[…],…}
    {"kind":"missed","epc":…,"station":…,"pass":0,…} {"kind":"fault","fault":…,…}

The truth is what a perfect reader network would conclude under the scenario's capture
plan: a move happens at the end of its pass, and custody changes at the receiving read.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from device_sim.chronicle import Life, Nesting, Story
from device_sim.faults import Label, Missed
from device_sim.world import SECOND_US, Epc, Sample, Site, Vehicle, World

FORMAT = "tagtrail/truth/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Everything that the truth is told from."""

    world: World
    story: Story
    samples: Sequence[Sequence[Sample]]
    missed: Sequence[Missed]
    labels: Sequence[Label]


def tell_truth(told: Told, scenario: str, seed: int) -> list[str]:
    """Return the truth as lines of JSON, without line ends."""
    story = told.story
    nests = _by_child(story.nestings)
    lines: list[dict[str, object]] = [_run(told, scenario, seed)]
    lines += [_place(told.world, site) for site in told.world.sites.values()]
    lines += [_samples(series) for series in told.samples if series]
    lines += [_lot(life, told, nests) for life in story.lots.values()]
    lines += [
        {
            "kind": "batch", "id": one.id, "lot": one.lot, "from": one.start_us,
            "to": one.end_us, "outputs": len(one.outputs),
            "inputs": [{"epc": epc, "quantity": q, "uom": "KGM"} for epc, q in one.inputs],
        }
        for one in story.batches
    ]  # fmt: skip
    lines += [
        {
            "kind": "containment", "child": one.child, "parent": one.parent,
            "from": one.from_us, "to": one.to_us,
        }
        for one in story.nestings
    ]  # fmt: skip
    lines += [_item(life, told, nests) for life in story.items.values()]
    lines += [
        {
            "kind": "missed", "epc": one.visit.tag.epc, "station": one.crossing.station.name,
            "does": one.crossing.station.does, "pass": one.crossing.number,
            "from": one.crossing.start_us, "to": one.crossing.end_us,
        }
        for one in told.missed
    ]  # fmt: skip
    lines += [
        {
            "kind": "fault", "fault": one.kind, "where": one.where, "from": one.from_us,
            "to": one.to_us, "touched": list(one.touched),
        }
        for one in told.labels
    ]  # fmt: skip
    return [json.dumps(line, separators=(",", ":"), ensure_ascii=False) for line in lines]


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
        "ended_at": life.ended_us,
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
    vehicles = {one.tag.epc: one for one in told.world.vehicles.values()}
    spans = [
        (vehicles[parent], from_us, to_us)
        for parent, from_us, to_us in ancestors(epc, nests)
        if parent in vehicles
    ]
    return [
        _span(vehicle, (from_us, to_us), told.samples)
        for vehicle, from_us, to_us in sorted(spans, key=lambda one: one[1])
    ]


def _span(
    vehicle: Vehicle, span: tuple[int, int | None], samples: Iterable[Sequence[Sample]]
) -> dict[str, object]:
    from_us, to_us = span
    values = [
        one.celsius
        for series in samples
        if series and series[0].vehicle is vehicle
        for one in series
        if from_us <= one.time_us and (to_us is None or one.time_us <= to_us)
    ]
    return {
        "trailer": vehicle.tag.epc, "device": vehicle.device, "from": from_us, "to": to_us,
        "samples": len(values), "min_c": min(values, default=None),
        "max_c": max(values, default=None),
    }  # fmt: skip


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
