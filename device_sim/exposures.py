"""Exposures: what an answer says a thing was exposed to, against the samples that were taken.

Minimum and maximum must be those of the samples within the claimed window, and the window
may hold no sample that the thing was not exposed to. A window that counts fewer samples
than there were has a hole, which is named only if gaps cover as many.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from device_sim.facts import Facts, Thing, device_key
from device_sim.spans import During
from device_sim.timelines import Ruler, excuse
from device_sim.verdicts import Tally, Verdict, is_possible
from device_sim.world import parse_time

Row = Mapping[str, Any]
_Samples = set[tuple[str, int]]

CELSIUS_SLACK = 0.0015


def judge_exposure(
    facts: Facts, thing: Thing, rows: Sequence[Row], ruler: Ruler, tally: Tally
) -> Iterator[tuple[Verdict, str]]:
    """Yield what is wrong or missing in the conditions of a thing, and count samples."""
    allowed = {
        (one.what, time_us)
        for one in thing.exposure
        for time_us in _sampled(facts, one.what, one.from_us, one.to_us)
    }
    told: _Samples = set()
    possible: _Samples = set()
    for row in rows:
        if "temperature" not in str(row["type"]).lower():
            continue
        if row["device"] is None:
            yield "wrong", f"{row['first']} to {row['last']}: by no device"
            continue
        device = device_key(row["device"])
        first_us, last_us = parse_time(row["first"]), parse_time(row["last"])
        series = {(device, one) for one in _sampled(facts, device, first_us, last_us)}
        if is_possible(row):
            possible |= series
            continue
        told |= series
        yield from _check_readings(facts, row, series, allowed, ruler.admitted)
    found = len(told & allowed)
    tally.add(Tally(len(told), found, len(allowed), found))
    missing = sorted(time_us for _, time_us in allowed - told)
    if missing:
        doubtful = [During("", time_us, time_us) for _, time_us in allowed & possible]
        worst = _excuse_all(ruler, missing, doubtful)
        yield worst, f"{len(missing)} samples missing, the first at {missing[0]}"


def _excuse_all(ruler: Ruler, missing: Sequence[int], possible: Sequence[During]) -> Verdict:
    """Return what the lack of samples is: silent as soon as one is missing silently."""
    admitted = [*ruler.admitted, *possible]
    bare = [
        at for at in missing if not any(one.meets(at, at, ruler.slack_us) for one in admitted)
    ]
    return excuse(ruler, (bare[0], bare[-1] + ruler.slack_us + 1)) if bare else "named"


def _check_readings(
    facts: Facts, row: Row, series: _Samples, allowed: _Samples, admitted: Sequence[During]
) -> Iterator[tuple[Verdict, str]]:
    where = f"{row['device']} {row['first']} to {row['last']}"
    foreign = len(series - allowed)
    if foreign or not series:
        yield "wrong", f"{where}: {foreign} samples that it was not exposed to"
        return
    values = [facts.samples[device][time_us] for device, time_us in series]
    lost = len(values) - row["readings"]
    if lost < 0:
        yield "wrong", f"{where}: {row['readings']} samples, truly {len(values)}"
    if lost > 0:
        silent = sum(any(one.meets(at, at, -1) for one in admitted) for _, at in series)
        verdict: Verdict = "named" if lost <= silent else "silent"
        yield verdict, f"{where}: {row['readings']} of {len(values)} samples"
    for name, claimed, true, beyond in (
        ("min", row["min"], min(values), min(values) - row["min"]),
        ("max", row["max"], max(values), row["max"] - max(values)),
    ):  # some of the samples have no colder and no warmer one than all of them
        if beyond > CELSIUS_SLACK or (lost <= 0 and abs(beyond) > CELSIUS_SLACK):
            yield "wrong", f"{where}: {name} {claimed}, truly {true}"


def _sampled(facts: Facts, device: str, from_us: int, to_us: int | None) -> list[int]:
    series = facts.samples.get(device, {})
    return [one for one in series if from_us <= one and (to_us is None or one <= to_us)]
