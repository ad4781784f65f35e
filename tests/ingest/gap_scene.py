"""What the tests of gaps share: runs with losses, what is told of them, and their comparison.

`compare` holds the gaps that a gateway told of against those that the simulator's truth says
it injected: each told once, with its reader, its numbers or its time, its reason, and no other.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_sim import trials
from device_sim.chance import Stream
from device_sim.play import Run, play
from device_sim.scenariofile import parse_scenario
from ingest.drafts import Outcome
from ingest.planfile import parse_plan
from ingest.reads import TICK_TOPIC, Message, message_hash
from ingest.site import Site, encode_tick
from ledger.entry import parse_entry
from ledger.gs1.epc import canonical_key
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.statement import Gap, parse_statement
from ledger.store.evidence import EvidenceReader
from ledger.store.index_source import IndexReader
from tests.ingest.scene import SECRET

NOW_US = 2_000_000_000_000_000
DAIRY = Path(trials.__file__).parent / "scenarios" / "dairy.toml"
COUNTING = ("zebra", "zebra-single", "json")
MODELS = (*COUNTING, *COUNTING, "impinj", "llrp", "smartreader")
REASONS = ("event_numbers", "reader_drops", "silence", "quota", "quarantine")
# What leaves a gap, if the reader is watched; then what leaves none, whoever watches.
LOSSES = {
    "lost_messages": "messages = {few}",
    "reader_drops": "messages = {few}",
    "cut_off": "minutes = {minutes}",
    "reboot": "minutes = {minutes}",
    "offline": "minutes = {minutes}\nrate = {rate}",
    "truncated": "messages = {few}",
    "tampered": "messages = {few}",
    "poison": "messages = 6",
}
HARMLESS = {
    "duplicate_burst": "messages = 20",
    "replayed": "messages = 5\nhours = 3",
    "out_of_order": "messages = {few}\nseconds = {few}.5",
    "ghost": "",
    "antenna_failure": "minutes = 10",
    "clock_skew": "seconds = -40.0",
    "clock_step": "seconds = 3600.0",
    "no_clock": "minutes = 30",
}
_NUMBERS = re.compile(
    r"reader (\S+?)(?: \((\S+)\))?: the event numbers (\d+) to (\d+) never came"
)
_NAMED = re.compile(r"reader (\S+?)[: ]")


@dataclass(frozen=True, slots=True)
class Told:
    """One gap statement, or the notice that becomes one."""

    party: str
    source: str
    what: int
    from_us: int
    to_us: int
    count: int | None
    why: str

    @classmethod
    def of(cls, party: str, gap: Gap) -> "Told":
        """Return the gap that `party` states."""
        return cls(party, gap.source, gap.what, gap.start, gap.end, gap.count, gap.why)


def lossy_text(seed: int, *, faults: bool = True, each: int = 1) -> str:
    """Return the dairy with watched readers of all makes, each fault at a door of its own."""
    dice = Stream(seed, "gaps")
    doors: list[tuple[str, str, int]] = []
    lines: list[str] = []
    name = ""
    for line in trials.sound_text(DAIRY.read_text(), signed=False).splitlines():
        if line.startswith(("numbered = ", "heartbeat_s = ")):
            continue
        if line.startswith("name = "):
            name = line.partition('"')[2].rstrip('"')
        if line.startswith("reader = "):
            model = MODELS[dice.below(len(MODELS))]
            beat_s = (0, 600, 1800)[dice.below(3)]
            lines.append(f'reader = "{model}"')
            lines += [f"heartbeat_s = {beat_s}"] if beat_s else []
            if model.startswith("zebra") and dice.below(4):
                lines.append("numbered = true")
            doors.append((name, model, beat_s))
        else:
            lines.append(line)
    kinds = [*LOSSES, *HARMLESS] * each if faults else []
    free = list(dice.shuffled(doors))
    for kind in kinds:
        fit = [one for one in free if kind != "reader_drops" or (one[1] in COUNTING and one[2])]
        if not fit:
            continue
        free.remove(fit[0])
        keys = (LOSSES | HARMLESS)[kind].format(
            few=dice.between(1, 4), minutes=dice.between(5, 120), rate=dice.between(1, 20)
        )
        at = "" if kind == "clock_skew" else f"pass = {dice.below(2)}\n"
        lines += ["[[fault]]", f'kind = "{kind}"', f'station = "{fit[0][0]}"', at + keys]
    return "\n".join(lines)


def lossy_run(seed: int, items: int = 24, *, faults: bool = True) -> Run:
    """Return a played run of `lossy_text`."""
    text = lossy_text(seed, faults=faults)
    return play(parse_scenario(text, "lossy", {"items": items, "day.batches": 2}), seed)


def injected(run: Run) -> list[dict[str, Any]]:
    """Return the gaps of the truth that somebody can know of."""
    lines = (json.loads(one) for one in run.truth)
    return [one for one in lines if one["kind"] == "gap" and one["knowable"]]


def told_offline(run: Run, every: int | None = None) -> list[Told]:
    """Return what a gateway's meaning tells of a run, with a tick whenever one is due.

    With `every`, the state is written out and read back after so many messages.
    """
    plan = parse_plan(run.plan_text)
    sites, outcome = [Site(plan)], Outcome(secret=SECRET)
    parts: dict[str, bytes] = {}
    for n, (topic, payload, at) in enumerate(_timed(run, sites), start=1):
        [site] = sites
        sha256 = message_hash(topic, payload)
        message = Message(id=n, topic=topic, payload=payload, received_us=at, sha256=sha256)
        site.take_message(message, outcome)
        if every is not None and n % every == 0:
            parts |= site.encode_parts()
            sites[0] = Site(plan)
            sites[0].restore(parts)
    return [
        Told(one.party, one.source, one.what, one.from_us, one.to_us, one.count, one.why)
        for one in outcome.notices
    ]


def _timed(run: Run, sites: Sequence[Site]) -> Iterator[tuple[str, bytes, int]]:
    """Yield what an inbox would keep: each message once, and the ticks that are due between."""
    seen: set[bytes] = set()
    now = run.messages[0].time_us
    yield TICK_TOPIC, encode_tick(now, everything=False), now
    for one in run.messages:
        while (due := sites[0].next_tick_us()) is not None and due <= one.time_us:
            now = max(now, due)
            yield TICK_TOPIC, encode_tick(now, everything=False), now
            if sites[0].next_tick_us() == due:
                break
        now = one.time_us
        identity = message_hash(one.topic, one.payload)
        if identity not in seen:
            seen.add(identity)
            yield one.topic, one.payload, one.time_us
    yield TICK_TOPIC, encode_tick(now + 1, everything=True), now + 1


def compare(truth: Iterable[dict[str, Any]], told: Iterable[Told]) -> list[str]:
    """Return what is wrong with what was told: gaps not told of, and told that are none."""
    wanted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for gap in truth:
        wanted[gap["what"]].append(gap)
    said: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        said[REASONS[one.what]].append(one)
    wrong = _numbers(wanted["event_numbers"], said["event_numbers"])
    wrong += _spans(wanted["reader_drops"], said["reader_drops"])
    wrong += _spans(wanted["silence"], _joined(said["silence"]), exact=True)
    wrong += _parts(wanted["quarantine"], said["quarantine"])
    return wrong + [f"invented: {one}" for one in said["quota"]]


def _numbers(wanted: Sequence[dict[str, Any]], said: Sequence[Told]) -> list[str]:
    found: dict[tuple[object, ...], list[Told]] = defaultdict(list)
    for one in said:
        match = _NUMBERS.fullmatch(one.why)
        assert match is not None, one
        counter = "management" if match[2] == "management" else "events"
        found[_named(one), counter, int(match[3]), int(match[4])].append(one)
    wrong = []
    for gap in wanted:
        key = (gap["reader"], gap["counter"], gap["first"], gap["last"])
        mine = [one for one in found[key] if _fits(gap, one)]
        if not mine:
            wrong.append(f"not told of: {gap}")
        else:
            found[key].remove(mine[0])
    return wrong + [f"invented: {one}" for rest in found.values() for one in rest]


def numbers_in(one: Told) -> tuple[int | None, int | None]:
    """Return the first and the last event number that a gap names, if it names any."""
    match = _NUMBERS.fullmatch(one.why)
    return (None, None) if match is None else (int(match[3]), int(match[4]))


def _spans(
    wanted: Sequence[dict[str, Any]], said: Sequence[Told], *, exact: bool = False
) -> list[str]:
    rest, wrong = list(said), []
    for gap in wanted:
        mine = [
            one
            for one in rest
            if _fits(gap, one)
            and _named(one) == gap["reader"]
            and (not exact or (one.from_us, one.to_us) == (gap["from"], gap["to"]))
        ]
        if mine:
            rest.remove(mine[0])
        else:
            wrong.append(f"not told of: {gap}")
    return wrong + [f"invented: {one}" for one in rest]


def _parts(wanted: Sequence[dict[str, Any]], said: Sequence[Told]) -> list[str]:
    """Hold what could not be read, gathered over ten seconds, against each such message."""
    counted: Counter[Told] = Counter()
    wrong = []
    for gap in wanted:
        of_it = {"count": None}
        mine = [one for one in said if _fits(gap | of_it, one) and _named(one) == gap["reader"]]
        if len(mine) == 1:
            counted[mine[0]] += 1
        else:
            wrong.append(f"told of {len(mine)} times: {gap}")
    return wrong + [
        f"counts {one.count}, not {counted[one]}: {one}"
        for one in said
        if one.count != counted[one]
    ]


def _fits(gap: dict[str, Any], one: Told) -> bool:
    whose = (gap["party"], gap["read_point"]) == (one.party, one.source)
    when = one.from_us <= gap["from"] <= gap["to"] <= one.to_us
    return whose and when and gap["count"] in (None, one.count)


def _named(one: Told) -> str:
    match = _NAMED.match(one.why)
    assert match is not None, one
    # A reader that the plan does not name is called by its topic.
    return match[1].removeprefix("sites/").removesuffix("/reader")


def _joined(said: Sequence[Told]) -> list[Told]:
    """Return silences with those that go on from the one before as one."""
    joined: list[Told] = []
    for one in sorted(said, key=lambda each: (each.party, each.source, each.from_us)):
        last = joined[-1] if joined else None
        if last is not None and (last.source, last.to_us) == (one.source, one.from_us):
            joined[-1] = Told(
                one.party, one.source, one.what, last.from_us, one.to_us, None, one.why
            )
        else:
            joined.append(one)
    return joined


def told_by(folder: Path) -> list[Told]:
    """Return the gap statements in the ledger of `folder`."""
    reader = EvidenceReader(folder)
    try:
        entries = reader.load_entries(0, reader.load_size())
    finally:
        reader.close()
    statements = [parse_statement(parse_entry(one).statement) for one in entries]
    return [Told.of(one.iss, one.body) for one in statements if isinstance(one.body, Gap)]


def answer_of(folder: Path, item: str) -> dict[str, Any]:
    """Return what the ledger of `folder` answers about `item`."""
    reader = IndexReader(folder)
    try:
        answer = trace(reader.source(), canonical_key(item), now_us=NOW_US)
        assert answer is not None, item
        return dict(assemble_answer(answer))
    finally:
        reader.close()
