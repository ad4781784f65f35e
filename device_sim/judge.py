"""Judging: one provenance answer held against the truth, claim by claim.

Each aspect of an item gets a verdict:

* right: everything that the truth says is claimed for certain, and nothing else is.
* named: something is missing, and gaps of the answer about that thing cover all of it; or
  it is claimed, but only as possible.
* unknowable: the truth has the label of a read that was missed at that very place, and
  nobody read anything later that could tell (`device_sim.knowable`).
* silent: something is missing and nothing says so.
* wrong: a claim contradicts the truth.

A claim labelled `possible` is never wrong. A claim with an open end is held against the
truth up to the last event that the answer has about the thing, or its last read if that is
later; one with an open start must be true at its end. Instants may differ by the tolerance
of the truth file, which is the length of its longest pass.

The answer is the JSON of `GET /provenance/{epc}` (docs/reference/provenance.md).

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from device_sim.exposures import judge_exposure
from device_sim.facts import Facts, Thing
from device_sim.knowable import Knowable
from device_sim.spans import BEGINNING_US, During, or_else
from device_sim.timelines import Claim, Ruler, compare, excuse
from device_sim.verdicts import (
    ASPECTS,
    MEASURES,
    Finding,
    Gap,
    Judgement,
    Tally,
    Verdict,
    is_possible,
)
from device_sim.world import format_time, parse_time
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key

Row = Mapping[str, Any]

# Which kinds of gap admit that an aspect is not known, beside those that admit anything.
# What a gateway says that it missed at the site excuses whatever is missing there just then.
ADMITTED = frozenset({
    "missed_event_numbers", "dropped_by_reader", "reader_silent", "messages_refused",
    "messages_not_taken",
})  # fmt: skip
ANY_GAPS = frozenset({"no_events", "withheld", "truncated"}) | ADMITTED
ORIGIN_GAPS = (ANY_GAPS - ADMITTED) | {
    "no_origin", "unknown_inputs", "unknown_lot", "input_never_seen", "split_transformation",
}  # fmt: skip
WAY_GAPS = ANY_GAPS | {
    "no_origin", "before_commissioning", "moved_unseen", "unknown_place", "missing_shipping",
    "missing_receiving", "not_received_yet", "missing_add", "seen_together", "implicit_unpack",
}  # fmt: skip
GAPS_OF = {
    "events": WAY_GAPS,
    "path": WAY_GAPS,
    "custody": WAY_GAPS | {"conflicting_custody", "unknown_custody", "unknown_owner"},
    "containment": WAY_GAPS
    | {"containment_cycle", "destroyed_with_contents", "left_unseen", "no_vehicle"},
    "exposure": ANY_GAPS
    | {"no_origin", "no_conditions", "partial_sensor_window", "moved_unseen"},
}
# What a perfect network says of an item that crosses a station.
STEPS: Mapping[str, str] = {
    "assemble": "assembling", "case": "packing", "palletise": "packing",
    "sell": "retail_selling", "rework": "repairing", "return": "receiving",
    "recall": "holding", "destroy": "destroying",
}  # fmt: skip
TOLD_STEPS = frozenset({"commissioning", *STEPS.values()})
ROLES = ("owner", "possessor")


def judge_item(facts: Facts, item: Thing, answer: Row | None) -> list[Finding]:
    """Return what is not right about `answer`; `None` means that the item was not found.

    Raises `ParseError` when the answer does not have the shape of an answer.
    """
    return list(judge_answer(facts, item, answer).findings)


def judge_answer(facts: Facts, item: Thing, answer: Row | None) -> Judgement:
    """Return findings, counts and gaps of an answer; raises as `judge_item` does."""
    if answer is None:
        unread = Knowable(facts, item).is_unheard()
        verdict: Verdict = "unknowable" if unread else "silent"
        what = "the ledger never heard of the item"
        nothing = tuple(Finding(item.epc, aspect, verdict, what) for aspect in ASPECTS)
        return Judgement(nothing, {}, ())
    try:
        case = _Case(facts, item, answer)
        findings = tuple(dict.fromkeys(case.findings()))
        named = tuple(one for one in case.gaps if one.kind not in ADMITTED)
        return Judgement(findings, case.tallies, named)
    except (KeyError, TypeError, ValueError) as error:
        raise ParseError(f"the answer about {item.epc}", f"is no answer: {error!r}") from error


def gaps_of(answer: Row) -> list[Gap]:
    """Return the gaps that an answer names."""
    return [
        Gap(one["kind"], canonical_key(one["epc"]), _instant(one["from"]), _instant(one["to"]))
        for one in answer["gaps"]
    ]


class _Case:
    """One item, its answer and the truth."""

    def __init__(self, facts: Facts, item: Thing, answer: Row) -> None:
        self.facts = facts
        self.item = item
        self.answer = answer
        self.tallies = {name: Tally() for name in MEASURES}
        self.seen: dict[str, int] = {}
        for one in answer["events"]:
            key, time_us = canonical_key(one["epc"]), parse_time(one["event_time"])
            self.seen[key] = max(time_us, self.seen.get(key, time_us))
        self.gaps = gaps_of(answer)
        self.known: dict[str, Knowable] = {}

    def findings(self) -> Iterator[Finding]:
        """Yield every finding, aspect by aspect, and count as they go."""
        yield from self._judge_events()
        yield from self._judge_lots()
        for aspect, found in self._judge_thing(self.item, None):
            yield Finding(self.item.epc, aspect, *found)
        yield from self._judge_sale()
        yield from self._judge_state()
        for key in sorted(self.item.lots & self._claimed_lots()):
            lot = self.facts.lots[key]
            for aspect, (verdict, what) in self._judge_thing(lot, self.item.made_us):
                yield Finding(self.item.epc, "upstream", verdict, f"{lot.epc} {aspect}: {what}")

    def _judge_lots(self) -> Iterator[Finding]:
        claimed = self._claimed_lots(certainly=True)
        self.tallies["derivation"].add(
            Tally(
                len(claimed), len(claimed & self.item.lots), len(self.item.lots),
                len(claimed & self.item.lots),
            )
        )  # fmt: skip
        for key in sorted(claimed - self.item.lots):
            yield Finding(self.item.epc, "farm lots", "wrong", f"{key} is not in it")
        named = any(one.kind in ORIGIN_GAPS and one.thing == self.item.key for one in self.gaps)
        for key in sorted(self.item.lots - claimed):
            doubted = key in self._claimed_lots()
            verdict: Verdict = "named" if named or doubted else "silent"
            yield Finding(self.item.epc, "farm lots", verdict, f"{key} is missing")

    def _claimed_lots(self, *, certainly: bool = False) -> set[str]:
        return {
            canonical_key(one["input"])
            for one in self.answer["derivation"]["inputs"]
            if canonical_key(one["output"]) == self.item.key
            and not (certainly and is_possible(one))
        }

    def _judge_thing(
        self, thing: Thing, until_us: int | None
    ) -> Iterator[tuple[str, tuple[Verdict, str]]]:
        """Yield (aspect, (verdict, what)) of an item, or of a lot up to its consumption."""
        known = self._knowable(thing)
        end_us = min(x for x in (until_us, thing.ended_us, self.facts.end_us) if x is not None)
        held = [one for one in known.holders if one.from_us < end_us]
        timelines = [
            ("path", "at", self._stays(thing), thing.sites),
            *(
                ("custody", role, self._holdings(thing, role), thing.custody.get(role, ()))
                for role in ROLES
            ),
            ("containment", "in", self._parents(thing), held),
        ]
        for aspect, word, claims, truth in timelines:
            ruler = self._ruler(thing, aspect, end_us)
            for verdict, what in compare(ruler, claims, truth, self.tallies[aspect]):
                yield aspect, (verdict, f"{word} {what}")
        rows, ruler = (
            list(self._rows("conditions", thing)),
            self._ruler(thing, "exposure", end_us),
        )
        for found in judge_exposure(self.facts, thing, rows, ruler, self.tallies["exposure"]):
            yield "exposure", found

    def _ruler(self, thing: Thing, aspect: str, end_us: int) -> Ruler:
        """Return by what the timelines of an aspect are judged."""
        known = self._knowable(thing)
        admitted = [
            _common(one, holder, self.facts.tolerance_us)
            for one in self.gaps
            for holder in (During(thing.key, BEGINNING_US, None), *known.holders)
            if one.kind in GAPS_OF[aspect] and one.thing == holder.what
        ]
        return Ruler(
            knowable=known, slack_us=self.facts.tolerance_us, last_us=self._last_seen(thing),
            end_us=end_us, admitted=admitted,
        )  # fmt: skip

    def _knowable(self, thing: Thing) -> Knowable:
        if thing.key not in self.known:
            self.known[thing.key] = Knowable(self.facts, thing)
        return self.known[thing.key]

    def _last_seen(self, thing: Thing) -> int:
        """Return when the thing was last heard, or the answer last tells of it."""
        return max(self._knowable(thing).heard_us, self.seen.get(thing.key, thing.made_us))

    def _stays(self, thing: Thing) -> list[Claim]:
        stays = []
        for one in self._rows("path", thing):
            if one["place"] is not None:
                place = canonical_key(one["place"])
                stays.append(_claim(one, self.facts.site_of.get(place, place)))
        return stays

    def _holdings(self, thing: Thing, role: str) -> list[Claim]:
        return [
            _claim(one, canonical_key(one["party"]))
            for one in self._rows("custody", thing)
            if one["role"] == role and one["party"] is not None
        ]

    def _parents(self, thing: Thing) -> list[Claim]:
        return [
            _claim(one, canonical_key(one["parent"]))
            for one in self._rows("containment", thing)
        ]

    def _judge_events(self) -> Iterator[Finding]:
        """Hold the events that name the item against the passes that it truly made."""
        item, slack_us = self.item, self.facts.tolerance_us
        told = [
            (one["biz_step"], parse_time(one["event_time"]))
            for one in self.answer["events"]
            if one["via"] == "direct" and canonical_key(one["epc"]) == item.key
        ]
        told = [one for one in told if one[0] in TOLD_STEPS]
        true = self._true_events()

        def same(event: tuple[str, int], crossing: tuple[str, int, int]) -> bool:
            step, from_us, to_us = crossing
            return event[0] == step and from_us - slack_us <= event[1] <= to_us + slack_us

        false = [one for one in told if not any(same(one, way) for way in true)]
        unseen = [way for way in true if not any(same(one, way) for one in told)]
        self.tallies["events"].add(
            Tally(len(told), len(told) - len(false), len(true), len(true) - len(unseen))
        )
        for step, at_us in false:
            yield Finding(item.epc, "events", "wrong", f"no {step} at {format_time(at_us)}")
        ruler = self._ruler(item, "events", self.facts.end_us)
        for step, from_us, to_us in unseen:
            verdict = excuse(ruler, (from_us, max(to_us, from_us + slack_us + 1)))
            known = ruler.knowable
            if verdict == "silent" and (known.was_missed(to_us) or known.had_no_parts(to_us)):
                verdict = "unknowable"  # what was not read makes no event, whatever came later
            yield Finding(item.epc, "events", verdict, f"{step} is missing")

    def _true_events(self) -> list[tuple[str, int, int]]:
        """Return what a perfect network says of the item: the step, and when it was."""
        made_us, true = self.item.made_us, []
        if self.item.key in self.facts.lots:  # somebody writes it down; no reader sees it
            return [("commissioning", made_us, made_us)]
        for one in self.facts.crossed.get(self.item.key, ()):
            if one.does in STEPS:
                true.append((STEPS[one.does], one.from_us, one.to_us))
            if one.does in {"fill", "make"} or made_us == one.to_us:
                true.append(("commissioning", made_us, made_us))
        return true

    def _judge_sale(self) -> Iterator[Finding]:
        slack_us, known = self.facts.tolerance_us, self._knowable(self.item)
        told = [
            parse_time(one["event_time"])
            for one in self.answer["events"]
            if one["biz_step"] == "retail_selling"
            and canonical_key(one["epc"]) == self.item.key
        ]
        for at_us in told:
            if not any(abs(one - at_us) <= slack_us for one in self.item.sales):
                what = f"not sold at {format_time(at_us)}"
                yield Finding(self.item.epc, "sale", "wrong", what)
        for sold_us in self.item.sales:
            if any(abs(one - sold_us) <= slack_us for one in told):
                continue
            # A part is sold in what it was built into: nobody knows if that went unseen.
            around = [one.from_us for one in known.holders if one.meets(sold_us, sold_us, 0)]
            unseen = any(known.was_missed(at_us) for at_us in (sold_us, *around))
            admitted = any(_admits(one, sold_us, slack_us) for one in self.gaps)
            verdict: Verdict = "unknowable" if unseen else "silent"
            verdict = "named" if admitted else verdict
            yield Finding(self.item.epc, "sale", verdict, "the sale is missing")

    def _judge_state(self) -> Iterator[Finding]:
        """Yield what the state says that was not so at the last event about the item."""
        state, last_us = self.answer["state"], self._last_seen(self.item)
        slack_us = self.facts.tolerance_us
        claims = [(role, state[role], self.item.custody.get(role, ())) for role in ROLES]
        if state["place"] is not None:
            place = canonical_key(state["place"])
            claims.append(("place", self.facts.site_of.get(place, place), self.item.sites))
        known = self._knowable(self.item)
        claims.append(("container", state["container"], known.holders))
        for name, claimed, truth in claims:
            now = [one.what for one in truth if one.meets(last_us, last_us, slack_us)]
            if claimed is not None and canonical_key(claimed) not in map(canonical_key, now):
                what = f"{name} {claimed}, truly {' or '.join(now) or 'none'}"
                ends = [
                    one.to_us
                    for one in truth
                    if one.to_us is not None and one.what == canonical_key(claimed)
                ]
                blind = any(known.was_missed(at_us, canonical_key(claimed)) for at_us in ends)
                yield Finding(self.item.epc, "state", "unknowable" if blind else "wrong", what)

    def _rows(self, part: str, thing: Thing) -> Iterator[Row]:
        return (one for one in self.answer[part] if canonical_key(one["epc"]) == thing.key)


def _claim(row: Row, what: str) -> Claim:
    """Return a claimed span; an unknown start is the beginning of time."""
    from_us = or_else(_instant(row["from"]), BEGINNING_US)
    return Claim(During(what, from_us, _instant(row["to"])), not is_possible(row))


def _admits(gap: Gap, at_us: int, slack_us: int) -> bool:
    """Tell whether a gateway admits that it missed something just then."""
    from_us, to_us = or_else(gap.from_us, at_us), or_else(gap.to_us, at_us)
    return gap.kind in ADMITTED and from_us - slack_us <= at_us <= to_us + slack_us


def _instant(text: str | None) -> int | None:
    return None if text is None else parse_time(text)


def _common(gap: Gap, holder: During, slack_us: int) -> During:
    """Return the time of a gap about what the thing was in, as far as it was in there."""
    from_us = max(or_else(gap.from_us, BEGINNING_US), holder.from_us - slack_us)
    ends = [one for one in (gap.to_us, holder.to_us) if one is not None]
    return During(gap.kind, from_us, min(ends, default=None))
