"""Judging: one provenance answer held against the truth, claim by claim.

Each aspect of an item gets a verdict:

* right: everything that the truth says is claimed, and nothing else is.
* named: something is missing, and gaps of the answer about that thing cover all of it.
* unknowable: the truth has the label of a read that was missed, and nobody read anything
  later that could tell: something is missing after the last event about the thing, or a
  claim with an open end was never ended. No reader network could know.
* silent: something is missing and nothing says so.
* wrong: a claim contradicts the truth.

A claim labelled `possible` is never wrong. A claim with an open end is held against the
truth up to the last event that the answer has about the thing; one with an open start says
by that what it does not know. Instants may differ by the tolerance of the truth file, which
is the length of its longest pass.

The answer is the JSON of `GET /provenance/{epc}` (docs/reference/provenance.md).

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from device_sim.facts import Facts, Thing, device_key
from device_sim.spans import BEGINNING_US, During, before, format_span, or_else, without
from device_sim.verdicts import (
    ASPECTS,
    MEASURES,
    Finding,
    Gap,
    Judgement,
    Tally,
    Verdict,
)
from device_sim.world import format_time, parse_time
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key

Row = Mapping[str, Any]

# Which kinds of gap admit that an aspect is not known, beside those that admit anything.
ANY_GAPS = frozenset({"no_events", "withheld", "truncated"})
ORIGIN_GAPS = ANY_GAPS | {
    "no_origin", "unknown_inputs", "unknown_lot", "input_never_seen", "split_transformation",
}  # fmt: skip
WAY_GAPS = ANY_GAPS | {
    "no_origin", "before_commissioning", "moved_unseen", "unknown_place", "missing_shipping",
    "missing_receiving", "not_received_yet", "missing_add", "seen_together", "implicit_unpack",
}  # fmt: skip
GAPS_OF = {
    "path": WAY_GAPS,
    "custody": WAY_GAPS | {"conflicting_custody", "unknown_custody", "unknown_owner"},
    "containment": WAY_GAPS
    | {"containment_cycle", "destroyed_with_contents", "left_unseen", "no_vehicle"},
    "exposure": ANY_GAPS
    | {"no_origin", "no_conditions", "partial_sensor_window", "moved_unseen"},
}
# What a perfect network says of an item that crosses a station.
STEPS: Mapping[str, str] = {
    "assemble": "assembling",
    "case": "packing", "palletise": "packing", "sell": "retail_selling",
}  # fmt: skip
CELSIUS_SLACK = 0.0015
ROLES = ("owner", "possessor")


def judge_item(facts: Facts, item: Thing, answer: Row | None) -> list[Finding]:
    """Return what is not right about `answer`; `None` means that the item was not found.

    Raises `ParseError` when the answer does not have the shape of an answer.
    """
    return list(judge_answer(facts, item, answer).findings)


def judge_answer(facts: Facts, item: Thing, answer: Row | None) -> Judgement:
    """Return findings, counts and gaps of an answer; raises as `judge_item` does."""
    if answer is None:
        crossed = {one.does for one in facts.crossed.get(item.key, ())}
        unread = bool(crossed) and crossed <= facts.missed.get(item.key, set())
        verdict: Verdict = "unknowable" if unread else "silent"
        what = "the ledger never heard of the item"
        nothing = tuple(Finding(item.epc, aspect, verdict, what) for aspect in ASPECTS)
        return Judgement(nothing, {}, ())
    try:
        case = _Case(facts, item, answer)
        findings = tuple(dict.fromkeys(case.findings()))
        return Judgement(findings, case.tallies, tuple(case.gaps))
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

    def findings(self) -> Iterator[Finding]:
        """Yield every finding, aspect by aspect, and count as they go."""
        self._count_events()
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
                len(self._claimed_lots() & self.item.lots),
            )
        )  # fmt: skip
        for key in sorted(claimed - self.item.lots):
            yield Finding(self.item.epc, "farm lots", "wrong", f"{key} is not in it")
        named = any(one.kind in ORIGIN_GAPS and one.thing == self.item.key for one in self.gaps)
        for key in sorted(self.item.lots - self._claimed_lots()):
            verdict: Verdict = "named" if named else "silent"
            yield Finding(self.item.epc, "farm lots", verdict, f"{key} is missing")

    def _claimed_lots(self, *, certainly: bool = False) -> set[str]:
        return {
            canonical_key(one["input"])
            for one in self.answer["derivation"]["inputs"]
            if canonical_key(one["output"]) == self.item.key
            and not (certainly and _possible(one))
        }

    def _judge_thing(
        self, thing: Thing, until_us: int | None
    ) -> Iterator[tuple[str, tuple[Verdict, str]]]:
        """Yield (aspect, (verdict, what)) of an item, or of a lot up to its consumption."""
        end_us = min(x for x in (until_us, thing.ended_us, self.facts.end_us) if x is not None)
        held = [one for one in self.facts.containers(thing.key) if one.from_us < end_us]
        timelines = [
            ("path", "at", self._stays(thing), thing.sites),
            *(
                ("custody", role, self._holdings(thing, role), thing.custody.get(role, ()))
                for role in ROLES
            ),
            ("containment", "in", self._parents(thing), held),
        ]
        for aspect, word, claims, truth in timelines:
            for verdict, what in self._compare((thing, aspect), claims, truth, end_us):
                yield aspect, (verdict, f"{word} {what}")
        for found in self._judge_exposure(thing):
            yield "exposure", found

    def _compare(
        self,
        about: tuple[Thing, str],
        claims: Sequence[tuple[During, bool]],
        truth: Sequence[During],
        end_us: int,
    ) -> Iterator[tuple[Verdict, str]]:
        """Hold a claimed timeline against the true one; claims are (claim, certain)."""
        slack_us, last_us = self.facts.tolerance_us, self._last_seen(about[0])
        right = [During(one.what, one.from_us, before(one.to_us, end_us)) for one in truth]
        right = [one for one in right if one.to_us is not None and one.from_us < one.to_us]
        for claim, certain in claims:
            if claim.from_us == BEGINNING_US:
                continue
            clipped = (claim.from_us, min(before(claim.to_us, last_us), end_us))
            wrong = without(clipped, [one for one in right if one.what == claim.what], slack_us)
            blind = claim.to_us is None and self._labelled(about[0], claim.what)
            if certain:
                self.tallies[about[1]].add(Tally(1, int(not wrong or blind)))
            for from_us, to_us in wrong if certain else ():
                yield (
                    ("unknowable" if blind else "wrong"),
                    f"{claim.what} {format_span(from_us, to_us)}",
                )
        for one in right:
            same = [claim for claim, _ in claims if claim.what == one.what]
            holes = without((one.from_us, before(one.to_us, end_us)), same, slack_us)
            self.tallies[about[1]].add(Tally(true=1, found=int(not holes)))
            for missing in holes:
                verdict = self._excuse(about, *missing)
                yield verdict, f"{one.what} missing {format_span(*missing)}"

    def _excuse(self, about: tuple[Thing, str], from_us: int, to_us: int) -> Verdict:
        """Return what a hole in the answer is, from its gaps and the labels of the truth."""
        slack_us, (thing, aspect) = self.facts.tolerance_us, about
        keys = [thing.key, *(one.what for one in self.facts.containers(thing.key))]
        admitted = [
            During(one.kind, or_else(one.from_us, from_us), or_else(one.to_us, to_us))
            for one in self.gaps
            if one.kind in GAPS_OF[aspect] and one.thing in keys
        ]
        if not without((from_us, to_us), admitted, slack_us):
            return "named"
        late = from_us >= self._last_seen(thing) - slack_us
        return "unknowable" if late and self._labelled(thing) else "silent"

    def _labelled(self, thing: Thing, *others: str) -> bool:
        """Tell whether a read of `thing`, of what it was in, or of `others` was missed."""
        keys = [thing.key, *others, *(one.what for one in self.facts.containers(thing.key))]
        return any(key in self.facts.missed for key in keys)

    def _last_seen(self, thing: Thing) -> int:
        return self.seen.get(thing.key, thing.made_us)

    def _stays(self, thing: Thing) -> list[tuple[During, bool]]:
        stays = []
        for one in self._rows("path", thing):
            if one["place"] is not None:
                place = canonical_key(one["place"])
                site = self.facts.site_of.get(place, place)
                stays.append((_claim(one, site), not _possible(one)))
        return stays

    def _holdings(self, thing: Thing, role: str) -> list[tuple[During, bool]]:
        return [
            (_claim(one, canonical_key(one["party"])), not _possible(one))
            for one in self._rows("custody", thing)
            if one["role"] == role and one["party"] is not None
        ]

    def _parents(self, thing: Thing) -> list[tuple[During, bool]]:
        return [
            (_claim(one, canonical_key(one["parent"])), not _possible(one))
            for one in self._rows("containment", thing)
        ]

    def _judge_exposure(self, thing: Thing) -> Iterator[tuple[Verdict, str]]:
        allowed = {
            (one.what, time_us)
            for one in thing.exposure
            for time_us in self._sampled(one.what, one.from_us, one.to_us)
        }
        told: set[tuple[str, int]] = set()
        for row in self._rows("conditions", thing):
            if "temperature" not in str(row["type"]).lower() or row["device"] is None:
                continue
            device = device_key(row["device"])
            first_us, last_us = parse_time(row["first"]), parse_time(row["last"])
            series = {(device, one) for one in self._sampled(device, first_us, last_us)}
            told |= series
            if not _possible(row):
                yield from self._check_readings(thing, row, series, allowed)
        self.tallies["exposure"].add(
            Tally(len(told), len(told & allowed), len(allowed), len(told & allowed))
        )
        missing = sorted(time_us for _, time_us in allowed - told)
        if missing:
            verdict = self._excuse((thing, "exposure"), missing[0], missing[-1])
            yield (
                verdict,
                f"{len(missing)} samples missing {format_span(missing[0], missing[-1])}",
            )

    def _check_readings(
        self,
        thing: Thing,
        row: Row,
        series: set[tuple[str, int]],
        allowed: set[tuple[str, int]],
    ) -> Iterator[tuple[Verdict, str]]:
        where = f"{row['device']} {row['first']} to {row['last']}"
        foreign = len(series - allowed)
        if foreign or not series:
            yield "wrong", f"{where}: {foreign} samples that it was not exposed to"
            return
        values = [self.facts.samples[device][time_us] for device, time_us in series]
        fewer = row["readings"] != len(values)
        if fewer:
            lost = len(values) - row["readings"]
            verdict: Verdict = "named" if 0 < lost <= self._admitted(thing, series) else "silent"
            yield verdict, f"{where}: {row['readings']} of {len(values)} samples"
        for name, claimed, true, beyond in (
            ("min", row["min"], min(values), min(values) - row["min"]),
            ("max", row["max"], max(values), row["max"] - max(values)),
        ):  # some of the samples have no colder and no warmer one than all of them
            if beyond > CELSIUS_SLACK or (not fewer and abs(beyond) > CELSIUS_SLACK):
                yield "wrong", f"{where}: {name} {claimed}, truly {true}"

    def _admitted(self, thing: Thing, series: set[tuple[str, int]]) -> int:
        """Return how many of these samples lie within gaps that the answer names."""
        spans = [
            (or_else(one.from_us, BEGINNING_US), or_else(one.to_us, self.facts.end_us))
            for one in self.gaps
            if one.kind in GAPS_OF["exposure"] and one.thing == thing.key
        ]
        return sum(any(start < at < end for start, end in spans) for _, at in series)

    def _count_events(self) -> None:
        """Count the events that name the item against the passes that it truly made."""
        steps = {"commissioning", *STEPS.values()}
        told = [
            (one["biz_step"], parse_time(one["event_time"]))
            for one in self.answer["events"]
            if one["via"] == "direct" and canonical_key(one["epc"]) == self.item.key
        ]
        told = [one for one in told if one[0] in steps]
        slack_us = self.facts.tolerance_us
        true = self._true_events()

        def same(event: tuple[str, int], crossing: tuple[str, int, int]) -> bool:
            step, from_us, to_us = crossing
            return event[0] == step and from_us - slack_us <= event[1] <= to_us + slack_us

        self.tallies["events"].add(
            Tally(
                len(told), sum(any(same(one, way) for way in true) for one in told),
                len(true), sum(any(same(one, way) for one in told) for way in true),
            )
        )  # fmt: skip

    def _true_events(self) -> list[tuple[str, int, int]]:
        """Return what a perfect network says of the item: the step, and when it was."""
        made_us, true = self.item.made_us, []
        for one in self.facts.crossed.get(self.item.key, ()):
            if one.does in STEPS:
                true.append((STEPS[one.does], one.from_us, one.to_us))
            if one.does in {"fill", "make"} or made_us == one.to_us:
                true.append(("commissioning", made_us, made_us))
        return true

    def _judge_sale(self) -> Iterator[Finding]:
        sold_us = self.item.sold_us
        sales = [
            parse_time(one["event_time"])
            for one in self.answer["events"]
            if one["biz_step"] == "retail_selling"
            and canonical_key(one["epc"]) == self.item.key
        ]
        near = [
            one
            for one in sales
            if sold_us is not None and abs(one - sold_us) <= self.facts.tolerance_us
        ]
        for one in sales:
            if one not in near:
                yield Finding(self.item.epc, "sale", "wrong", f"not sold at {format_time(one)}")
        if sold_us is not None and not near:
            held = [one for one in self.facts.containers(self.item.key) if one.to_us is None]
            unseen = any(
                "sell" in self.facts.missed.get(key, ())
                for key in (self.item.key, *(one.what for one in held))
            ) or (bool(held) and self._labelled(self.item))
            verdict: Verdict = "unknowable" if unseen else "silent"
            yield Finding(self.item.epc, "sale", verdict, "the sale is missing")

    def _judge_state(self) -> Iterator[Finding]:
        """Yield what the state says that was not so at the last event about the item."""
        state, last_us = self.answer["state"], self._last_seen(self.item)
        slack_us = self.facts.tolerance_us
        claims = [(role, state[role], self.item.custody.get(role, ())) for role in ROLES]
        if state["place"] is not None:
            place = canonical_key(state["place"])
            claims.append(("place", self.facts.site_of.get(place, place), self.item.sites))
        held = tuple(self.facts.containers(self.item.key))
        claims.append(("container", state["container"], held))
        for name, claimed, truth in claims:
            now = [one.what for one in truth if one.meets(last_us, last_us, slack_us)]
            if claimed is not None and canonical_key(claimed) not in map(canonical_key, now):
                what = f"{name} {claimed}, truly {' or '.join(now) or 'none'}"
                blind = name == "container" and self._labelled(self.item, claimed)
                yield Finding(self.item.epc, "state", "unknowable" if blind else "wrong", what)

    def _rows(self, part: str, thing: Thing) -> Iterator[Row]:
        return (one for one in self.answer[part] if canonical_key(one["epc"]) == thing.key)

    def _sampled(self, device: str, from_us: int, to_us: int | None) -> list[int]:
        series = self.facts.samples.get(device, {})
        return [one for one in series if from_us <= one and (to_us is None or one <= to_us)]


def _claim(row: Row, what: str) -> During:
    """Return a claimed span; an unknown start is the beginning of time."""
    return During(what, or_else(_instant(row["from"]), BEGINNING_US), _instant(row["to"]))


def _possible(row: Row) -> bool:
    return row.get("precision") == "possible" or bool(row.get("partial"))


def _instant(text: str | None) -> int | None:
    return None if text is None else parse_time(text)
