"""How large a bundle of 40 events is in a log of 10⁸ entries, and how fast it is verified.

    python -m tests.bench.bundle [--quick]

The tree is simulated: hashes of its parts without a listed entry are made up, those above
follow from them, so that the proof has the shape, the size and the cost of a real one. All
else is real: 8 sites with a party and a gateway key each, admitted together or at any time,
statements of 1, 8 or 32 events that name a checkpoint seen, the events' parts, and the answer
that they support.

Verification is timed as the first call in a new process after its imports, and beside it, in
the same process, the Ed25519 verifications alone of the same statements.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.audit.bundle import known_events
from ledger.audit.bundle_answer import Asked, encode_answer, work_out
from ledger.audit.bundle_report import report_bundle
from ledger.audit.trustfile import parse_trust
from ledger.bundle import Bundle, BundledEntry, BundledEvent, encode_bundle, parse_bundle
from ledger.disclosure import (
    WholeEvent,
    commitment,
    encode_disclosure,
    events_root,
    shown_parts,
    withhold,
)
from ledger.entry import Entry, encode_entry, entry_leaf, parse_entry
from ledger.epcis.parts import split_event
from ledger.gs1.epc import canonical_key
from ledger.statement import NO_HASH, Body, Capture, Seen, parse_statement, verify_signature
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import (
    Hash,
    LeafIndex,
    RootMismatchError,
    TreeSize,
    leaf_hash,
    prove_inclusion,
)
from ledger.tlog.multiproof import prove_leaves_from, verify_leaves
from ledger.tlog.note import Ed25519Signer as NoteSigner
from tests.ledger.memory_log import ORIGIN, TIME_S, Writer, enrolment, signer_named

SIZE = TreeSize(10**8)
SITES, EVENTS_A_SITE = 8, 5
CLUSTER = 300
ITEM = "urn:epc:id:sgtin:9506000.013435.7"
AT_US = (TIME_S + 10**7) * 1_000_000
STEPS = ("receiving", "storing", "picking", "packing", "shipping")
GOAL_SPREAD, GOAL_CLUSTERED, GOAL_MS = 80_000, 50_000, 50


@dataclass
class SimulatedLog:
    """The entries of a log of 10⁸ that anyone will ask for."""

    entries: dict[int, bytes] = field(default_factory=dict)
    key_leaf: dict[bytes, Hash] = field(default_factory=dict)

    def put(self, index: int, writer: Writer, body: Body, seen: Seen | None = None) -> None:
        """Put a statement at `index`; of a key statement remember whom it is about."""
        raw = writer.sign(body, seen=seen)
        statement = parse_statement(raw)
        writer.advance(statement)
        before = self.entries.get(index - 1)
        prev = Hash(sha256(b"prev %d" % index).digest())
        if index == 0 or before is not None:
            prev = NO_HASH if before is None else entry_leaf(before)
        key_leaf = self.key_leaf.get(statement.kid, NO_HASH)
        time_us = TIME_S * 1_000_000 + index
        self.entries[index] = encode_entry(Entry(time_us, prev, key_leaf, raw))

    def enrol(self, index: int, by: Writer, new: Writer, role: str) -> None:
        """Let `by` enrol the key of `new` at `index`."""
        self.put(index, by, enrolment(new.signer, new.iss, role))
        self.key_leaf[new.signer.kid] = entry_leaf(self.entries[index])


def node_at(level: int, index: int) -> Hash:
    """Return the made-up hash of a part of the tree."""
    return Hash(sha256(b"node %d %d" % (level, index)).digest())


def observation(site: int, step: int) -> WholeEvent:
    """Return what a gate of `site` says about the item."""
    second = site * 100_000 + step * 10_000
    event = {
        "eventID": f"urn:uuid:00000000-0000-8000-8000-{site:06x}{step:06x}",
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "epcList": [ITEM],
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(TIME_S + second)),
        "eventTimeZoneOffset": "+00:00",
        "readPoint": {"id": f"urn:epc:id:sgln:95060000{site:04}..gate{step}"},
        "bizLocation": {"id": f"urn:epc:id:sgln:95060000{site:04}..0"},
        "bizStep": STEPS[step],
        "disposition": "in_progress",
        "tagtrail:evidence": {"messages": 48, "root": sha256(b"%d" % second).hexdigest()},
    }
    return WholeEvent(sha256(b"event %d %d" % (site, step)).digest(), split_event(event))


def indexes_of(site: int, layout: str) -> list[int]:
    """Return where the five statements of a site are in the log."""
    if layout == "spread":
        gap = SIZE // (SITES * EVENTS_A_SITE)
        return [(site * EVENTS_A_SITE + n) * gap + gap // 3 + n * 7919 for n in range(5)]
    start = (site + 1) * SIZE // (SITES + 1) + site * 7919
    return [start + n * CLUSTER // EVENTS_A_SITE for n in range(EVENTS_A_SITE)]


@dataclass(frozen=True, slots=True)
class Setting:
    """How the events lie in the log, and what of them is shown."""

    layout: str
    founded: bool
    """Whether the parties were all admitted at the start, or each before it first spoke."""
    per_statement: int
    hidden: tuple[int, ...] = ()

    def __str__(self) -> str:
        admitted = "parties admitted together" if self.founded else "parties admitted any time"
        withheld = ", why and how withheld" if self.hidden else ""
        return f"{self.layout}, {admitted}, {self.per_statement} events a statement{withheld}"


def make_bundle(setting: Setting) -> tuple[Bundle, str]:
    """Return a bundle with its answer, and the trust file of its log."""
    log = SimulatedLog()
    admin = Writer(signer_named("admin"), "https://tagtrail.example")
    log.enrol(0, admin, admin, "admin")
    events: list[BundledEvent] = []
    for site in range(SITES):
        iss = f"https://id.gs1.org/417/95060000000{site:02}"
        party, gateway = (Writer(signer_named(f"{name} {site}"), iss) for name in ("p", "g"))
        places = indexes_of(site, setting.layout)
        admitted = 3 + 2 * site if setting.founded else places[0] // 2 + 1000 + site
        log.enrol(admitted, admin, party, "party")
        log.enrol(admitted + 1, party, gateway, "gateway")
        for step, index in enumerate(places):
            committed = commitments(site, step, setting.per_statement)
            seen = Seen(index - 50, node_at(99, index))
            log.put(index, gateway, Capture(2, len(committed), events_root(committed)), seen)
            path = prove_inclusion([leaf_hash(one) for one in committed], len(committed) - 1)
            shown = withhold(observation(site, step), setting.hidden)
            events.append(BundledEvent(index, len(committed) - 1, path, shown))
    return prove(log, sorted(events, key=lambda event: event.index))


def commitments(site: int, step: int, count: int) -> list[Hash]:
    """Return the commitments of a statement of `count` events, the last the item's."""
    others = [
        Hash(sha256(b"other %d %d %d" % (site, step, n)).digest()) for n in range(count - 1)
    ]
    return [*others, commitment(observation(site, step))]


def prove(log: SimulatedLog, events: list[BundledEvent]) -> tuple[Bundle, str]:
    indexes = [LeafIndex(n) for n in sorted(log.entries)]
    nodes = prove_leaves_from(node_at, indexes, SIZE)
    leaves = [(n, entry_leaf(log.entries[n])) for n in indexes]
    try:
        verify_leaves(nodes, leaves=leaves, size=SIZE, root=NO_HASH)
    except RootMismatchError as error:
        root = error.computed
    else:
        raise AssertionError
    signer = NoteSigner(ORIGIN, signer_named("log"))
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=SIZE, root=root), [signer])
    entries = tuple(BundledEntry(n, log.entries[n]) for n in indexes)
    bundle = Bundle(note=note, entries=entries, nodes=nodes, events=tuple(events))
    asked = Asked(canonical_key(ITEM), size=SIZE, root=root.hex(), at_us=AT_US)
    answer = work_out(known_events(bundle), asked)
    assert answer is not None
    trust = (
        f'origin = "{ORIGIN}"\nentry0 = "{leaves[0][1].hex()}"\n'
        f'policy = """\nlog {signer.key}\nquorum none\n"""\n'
    )
    return replace(bundle, answer=encode_answer(answer)), trust


def weigh(bundle: Bundle) -> dict[str, int]:
    """Return the bytes of a bundle by what they are for."""
    parts = sum(len(part or b"") for one in bundle.events for part in shown_parts(one.event))
    answer = len(bundle.answer or b"")
    total = len(encode_bundle(bundle))
    return {
        "entries": sum(len(one.data) for one in bundle.entries),
        "proof": 34 * len(bundle.nodes),
        "paths": sum(34 * len(one.path) for one in bundle.events),
        "salts and withheld": sum(len(encode_disclosure(one.event)) for one in bundle.events)
        - parts,
        "parts": parts,
        "answer": answer,
        "all but parts and answer": total - parts - answer,
        "total": total,
    }


def time_one(data: bytes, trust_text: str) -> dict[str, float]:
    """Return milliseconds of the first verification in this process, and of its signatures."""
    trust = parse_trust(trust_text.encode())
    began = time.perf_counter()
    report = report_bundle(data, trust, target="bench")
    first = time.perf_counter() - began
    assert report.result.exit_code == 0, report.findings
    entries = [parse_entry(one.data) for one in parse_bundle(data).entries]
    statements = [parse_statement(entry.statement) for entry in entries]
    keys = {one.body.kid: one.body.x for one in statements if hasattr(one.body, "x")}
    began = time.perf_counter()
    for one in statements:
        verify_signature(one, keys[one.kid])
    signatures = time.perf_counter() - began
    return {"verify": first * 1000, "signatures": signatures * 1000}


def time_fresh(data: bytes, trust: str, runs: int) -> dict[str, float]:
    """Return the medians over `runs` new processes."""
    with TemporaryDirectory() as folder:
        paths = Path(folder, "bundle"), Path(folder, "trust.toml")
        paths[0].write_bytes(data)
        paths[1].write_text(trust)
        return time_files(paths, runs)


def time_files(paths: Sequence[Path], runs: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.bundle", "--one", *map(str, paths)]
    outputs = [
        json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for _ in range(runs)
    ]
    return {name: statistics.median(one[name] for one in outputs) for name in outputs[0]}


def measure(runs: int) -> None:
    """Print the weight of every setting, and the time of two of them."""
    print(f"{platform.machine()}, Python {platform.python_version()}, log of {SIZE:,} entries")
    for layout, goal in (("spread", GOAL_SPREAD), ("clustered", GOAL_CLUSTERED)):
        for founded in (True, False):
            for per_statement in (1, 8, 32):
                setting = Setting(layout, founded, per_statement)
                weights = weigh(make_bundle(setting)[0])
                share = weights["all but parts and answer"] / goal
                print(f"\n{setting}: {share:.2f} of the goal of {goal:,} B")
                print("  " + ", ".join(f"{name} {n:,} B" for name, n in weights.items()))
    for hidden in ((), (5, 6)):
        setting = Setting("spread", founded=False, per_statement=8, hidden=hidden)
        print(f"\n{setting}")
        bundle, trust = make_bundle(setting)
        for what, one in (
            ("with its answer", bundle),
            ("without", replace(bundle, answer=None)),
        ):
            took = time_fresh(encode_bundle(one), trust, runs)
            print(
                f"  {what}: {took['verify']:.1f} ms in a new process, "
                f"{took['verify'] / GOAL_MS:.2f} of the goal of {GOAL_MS} ms, "
                f"{took['verify'] / took['signatures']:.1f} x its {len(bundle.entries)} "
                f"signatures alone ({took['signatures']:.1f} ms)"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--one", nargs=2, metavar=("BUNDLE", "TRUST"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        bundle, trust = map(Path, arguments.one)
        print(json.dumps(time_one(bundle.read_bytes(), trust.read_text())))
    else:
        measure(3 if arguments.quick else 9)


if __name__ == "__main__":
    main()
