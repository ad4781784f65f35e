"""Timelines: what an answer claims to have held when, against what truly held.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from device_sim.knowable import Knowable
from device_sim.spans import BEGINNING_US, During, before, format_span, without
from device_sim.verdicts import Tally, Verdict


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed span, and whether the answer is certain of it."""

    span: During
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """By what the timelines of one thing are held against one another.

    `last_us` is up to when claims with an open end are held, `end_us` when the truth ends;
    `admitted` are the times that fitting gaps of the answer cover.
    """

    knowable: Knowable
    slack_us: int
    last_us: int
    end_us: int
    admitted: Sequence[During]


def compare(
    ruler: Ruler, claims: Sequence[Claim], truth: Sequence[During], tally: Tally
) -> Iterator[tuple[Verdict, str]]:
    """Yield what is wrong or missing in a claimed timeline, and count into `tally`."""
    ends = [During(one.what, one.from_us, before(one.to_us, ruler.end_us)) for one in truth]
    right = [one for one in ends if one.to_us is not None and one.from_us < one.to_us]
    for claim in claims:
        if claim.certain:
            found = list(_judge_claim(ruler, claim.span, right))
            tally.add(Tally(1, int(all(verdict != "wrong" for verdict, _ in found))))
            yield from found
    for one in right:
        same = [claim for claim in claims if claim.span.what == one.what]
        span = (one.from_us, before(one.to_us, ruler.end_us))
        certain = [claim.span for claim in same if claim.certain]
        holes = without(span, certain, ruler.slack_us)
        tally.add(Tally(true=1, found=int(not holes)))
        possible = [claim.span for claim in same if not claim.certain]
        for hole in holes:
            what = f"{one.what} missing {format_span(*hole)}"
            yield excuse(ruler, hole, possible), what


def excuse(ruler: Ruler, hole: tuple[int, int], possible: Sequence[During] = ()) -> Verdict:
    """Return what a hole in an answer is, by its gaps and what could be known."""
    if not without(hole, [*ruler.admitted, *possible], ruler.slack_us):
        return "named"
    late = hole[0] >= ruler.last_us - ruler.slack_us
    return "unknowable" if late and ruler.knowable.was_out_of_sight(hole[0]) else "silent"


def _judge_claim(
    ruler: Ruler, claim: During, right: Sequence[During]
) -> Iterator[tuple[Verdict, str]]:
    """Yield what is not true of a claim; one with an unknown start must hold at its end."""
    same = [one for one in right if one.what == claim.what]
    to_us = min(before(claim.to_us, ruler.last_us), ruler.end_us)
    if claim.from_us == BEGINNING_US:
        if not any(one.meets(to_us, to_us, ruler.slack_us) for one in same):
            yield "wrong", f"{claim.what}, at the latest {format_span(to_us, to_us)}"
        return
    for from_us, end_us in without((claim.from_us, to_us), same, ruler.slack_us):
        verdict: Verdict = (
            "unknowable" if _ended_unheard(ruler, claim, from_us, same) else "wrong"
        )
        yield verdict, f"{claim.what} {format_span(from_us, end_us)}"


def _ended_unheard(ruler: Ruler, claim: During, at_us: int, same: Sequence[During]) -> bool:
    """Tell whether a claim with an open end was true up to then, and nobody heard the end."""
    return (
        claim.to_us is None
        and any(
            one.to_us is not None and abs(one.to_us - at_us) <= ruler.slack_us for one in same
        )
        and ruler.knowable.was_missed(at_us, claim.what)
    )
