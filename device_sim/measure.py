"""Measures: precision and recall of a ledger's answers, and what they make of each fault.

* events, path, containment, derivation, custody, exposure: of what the answers claim for
  certain, the share that is true; of what is true, the share that they claim. The exposure
  of an item is counted by samples.
* gaps: of the gaps that the answers name, the share that a label of the truth explains (a
  missed read or a fault about the thing or what it was in); of the holes in the answers,
  the share that a gap admits.
* each fault: the answers it touched, about its things or what was in them at the time. An
  answer is alarmed if it names a gap about that time, harmed if something in it is wrong or
  silently missing and no other fault is about that very item. Recall is the share of the
  alarmed among those alarmed or harmed; precision, of all answers that raise gaps of the
  same kinds about the same time and that nothing else explains, the share that the fault
  touched.

Each share has its 95 % confidence interval (Wilson).

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from device_sim.facts import Facts, Fault, Thing
from device_sim.verdicts import MEASURES, Gap, Judgement, Tally

ORIGIN_ALARMS = frozenset({"no_origin", "before_commissioning", "no_events"})
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, with the 95 % interval for the true share; None of nothing."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share itself."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval."""
        if not self.of:
            return None
        share, z2 = self.hits / self.of, _Z * _Z
        middle = (share + z2 / (2 * self.of)) / (1 + z2 / self.of)
        spread = share * (1 - share) / self.of + z2 / (4 * self.of * self.of)
        half = _Z * spread**0.5 / (1 + z2 / self.of)
        low = 0.0 if self.hits == 0 else max(0.0, middle - half)
        return low, 1.0 if self.hits == self.of else min(1.0, middle + half)

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "hits": self.hits, "of": self.of, "share": self.value,
            "interval": None if self.interval is None else list(self.interval),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measure:
    """Precision and recall of one kind of claim."""

    precision: Share
    recall: Share

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {"precision": self.precision.to_json(), "recall": self.recall.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMeasure:
    """What the answers make of one fault."""

    kind: str
    where: str
    touched: int
    complete: int
    alarmed: int
    harmed: int
    measure: Measure

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "fault": self.kind, "where": self.where, "touched": self.touched,
            "complete": self.complete, "alarmed": self.alarmed, "harmed": self.harmed,
            **self.measure.to_json(),
        }  # fmt: skip


def measure_claims(facts: Facts, judged: Mapping[str, Judgement]) -> dict[str, Measure]:
    """Return precision and recall of each kind of claim, and of the gaps."""
    measures = {}
    for name in MEASURES:
        total = Tally()
        for one in judged.values():
            total.add(one.tallies.get(name, Tally()))
        measures[name] = Measure(
            Share(total.right, total.claimed), Share(total.found, total.true)
        )
    labelled = _labelled(facts)
    gaps = [(key, gap) for key, one in judged.items() for gap in one.gaps]
    explained = sum(_explains(facts, labelled, key, gap) for key, gap in gaps)
    holes = [finding for one in judged.values() for finding in one.findings]
    named = sum(one.verdict == "named" for one in holes)
    silent = sum(one.verdict == "silent" for one in holes)
    measures["gaps"] = Measure(Share(explained, len(gaps)), Share(named, named + silent))
    return measures


def measure_faults(
    facts: Facts, judged: Mapping[str, Judgement], strangers: Mapping[str, Sequence[Gap] | None]
) -> list[FaultMeasure]:
    """Return what the answers make of each fault.

    `strangers` are things that only faults know, such as fakes: the gaps of the answer
    about each, or None where there is no answer.
    """
    measures = [_measure_fault(facts, judged, strangers, one) for one in facts.faults]
    return [_measure_missed(facts, judged), *measures] if facts.missed else measures


def _measure_missed(facts: Facts, judged: Mapping[str, Judgement]) -> FaultMeasure:
    """Return what the answers make of all reads that were missed, for whatever reason."""
    deceived = frozenset[str]().union(*(one.things for one in facts.faults))
    touched = {key for key in judged if _missed_of(facts, key)}
    alarmed = {key for key in touched if judged[key].gaps}
    harmed = {
        key
        for key in touched - deceived
        if any(one.verdict in {"wrong", "silent"} for one in judged[key].findings)
    }
    labelled = _labelled(facts)
    false = {
        key
        for key, one in judged.items()
        if key not in touched
        and any(not _explains(facts, labelled, key, gap) for gap in one.gaps)
    }
    return FaultMeasure(
        kind="missed", where=f"{sum(map(len, facts.missed.values()))} reads",
        touched=len(touched), complete=sum(not judged[key].findings for key in touched),
        alarmed=len(alarmed), harmed=len(harmed),
        measure=Measure(
            Share(len(alarmed), len(alarmed | false)),
            Share(len(alarmed), len(alarmed | harmed)),
        ),
    )  # fmt: skip


def _missed_of(facts: Facts, key: str) -> bool:
    """Tell whether a thing, or what it was in just then, crossed a station unheard."""
    return key in facts.missed or any(
        holder.meets(one.from_us, one.to_us, 0)
        for holder in facts.containers(key)
        for one in facts.missed.get(holder.what, ())
    )


def _measure_fault(
    facts: Facts,
    judged: Mapping[str, Judgement],
    strangers: Mapping[str, Sequence[Gap] | None],
    fault: Fault,
) -> FaultMeasure:
    touched = {key for key in judged if _touches(facts, fault, facts.asked[key])}
    alarms = {key: _alarms(facts, fault, key, judged[key].gaps) for key in touched}
    alarmed = {key for key, kinds in alarms.items() if kinds}
    others = frozenset[str]().union(*(one.things for one in facts.faults if one is not fault))
    harmed = {
        key
        for key in touched
        if (key in fault.things or key not in others)  # else it is the other's own
        and any(one.verdict in {"wrong", "silent"} for one in judged[key].findings)
    }
    kinds = {kind for found in alarms.values() for kind in found}
    labelled = _labelled(facts)
    false = [
        key
        for key, one in judged.items()
        if key not in touched
        for gap in one.gaps
        if gap.kind in kinds
        and _overlaps(fault, gap, facts.tolerance_us)
        and not _explains(facts, labelled, key, gap)
    ]
    unknown = [strangers[key] for key in sorted(fault.things & strangers.keys())]
    seen = sum(
        gaps is None or any(one.kind in ORIGIN_ALARMS for one in gaps) for gaps in unknown
    )
    hits = len(alarmed) + seen
    return FaultMeasure(
        kind=fault.kind, where=fault.where, touched=len(touched) + len(unknown),
        complete=sum(not judged[key].findings for key in touched),
        alarmed=hits, harmed=len(harmed) + len(unknown) - seen,
        measure=Measure(
            Share(hits, hits + len(set(false))),
            Share(hits, len(alarmed | harmed) + len(unknown)),
        ),
    )  # fmt: skip


def _touches(facts: Facts, fault: Fault, item: Thing) -> bool:
    if item.key in fault.things or not item.lots.isdisjoint(fault.things):
        return True
    slack_us = facts.tolerance_us
    return any(
        one.what in fault.things and one.meets(fault.from_us, fault.to_us, slack_us)
        for one in facts.containers(item.key)
    )


def _alarms(facts: Facts, fault: Fault, key: str, gaps: Iterable[Gap]) -> set[str]:
    """Return the kinds of the gaps that an answer names about the time of a fault."""
    item = facts.asked[key]
    about = {key, *item.lots, *fault.things, *(one.what for one in facts.containers(key))}
    return {
        one.kind
        for one in gaps
        if one.thing in about and _overlaps(fault, one, facts.tolerance_us)
    }


def _overlaps(fault: Fault, gap: Gap, slack_us: int) -> bool:
    starts = gap.from_us is None or gap.from_us <= fault.to_us + slack_us
    return starts and (gap.to_us is None or fault.from_us - slack_us <= gap.to_us)


def _labelled(facts: Facts) -> frozenset[str]:
    """Return everything that some label of the truth is about."""
    return frozenset(facts.missed).union(*(one.things for one in facts.faults))


def _explains(facts: Facts, labelled: frozenset[str], key: str, gap: Gap) -> bool:
    """Tell whether a label is about the thing of a gap, the item, or what they were in."""
    return any(
        one in labelled
        for thing in (gap.thing, key)
        for one in (thing, *(held.what for held in facts.containers(thing)))
    )
