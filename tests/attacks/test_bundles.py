"""Bundles are forged: each lie is its own finding, and the exit code says so."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ledger.audit.bundle_answer import encode_answer
from ledger.audit.bundle_report import BundleReport, format_bundle_report, report_bundle
from ledger.audit.disclosed import list_disclosures
from ledger.audit.finding import Result
from ledger.bundle import Bundle, BundledEntry, encode_bundle
from ledger.cli import app
from ledger.cose import encode_cbor
from ledger.disclosure import WithheldEvent, leaf_hashes, withhold
from ledger.entry import encode_entry, entry_leaf, parse_entry
from ledger.gs1.epc import canonical_key
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.cosignature import Cosigner, cosign_checkpoint
from ledger.tlog.merkle import EMPTY_ROOT, TreeSize
from ledger.tlog.note import COSIGNATURE_ED25519, parse_note
from ledger.tlog.note import Ed25519Signer as NoteSigner
from tests.ledger.bundle_scene import (
    BUNDLED,
    ITEM,
    BundleScene,
    build_scene,
    flipped,
    item_event,
    swap,
    trust_of,
    trust_text,
    with_entry,
    with_event,
)
from tests.ledger.memory_log import ORIGIN, TIME_S, signer_named

WHY = {5}
FLIPS = 250


@pytest.fixture(scope="module")
def scene() -> BundleScene:
    return build_scene()


def judge(scene: BundleScene, bundle: Bundle | bytes) -> BundleReport:
    data = bundle if isinstance(bundle, bytes) else encode_bundle(bundle)
    return report_bundle(data, trust_of(scene), target="bundle")


def found(report: BundleReport) -> set[tuple[int, int | None]]:
    return {(finding.check, finding.index) for finding in report.findings}


def checks(scene: BundleScene, bundle: Bundle | bytes) -> set[int]:
    report = judge(scene, bundle)
    assert report.result.exit_code == 1
    return {finding.check for finding in report.findings}


def test_an_honest_bundle_verifies_and_says_what_it_cannot_show(scene: BundleScene) -> None:
    report = judge(scene, scene.with_answer(scene.bundle()))
    assert report.result is Result.VERIFIED, report.findings
    assert report.result.exit_code == 0
    assert report.summary.answer_compared
    assert any("its maker chose" in text for text in report.not_checked)
    assert any("party key" in text for text in report.not_checked)


def test_withheld_parts_and_absent_ones_are_told_apart(scene: BundleScene) -> None:
    report = judge(scene, scene.with_answer(scene.bundle(hidden={5, 6})))
    assert report.result is Result.VERIFIED, report.findings
    parts = report.summary.parts
    # Part 5 is there and withheld, part 6 absent and withheld, part 7 shown to be absent.
    assert (parts.shown, parts.absent, parts.withheld) == (15, 3, 6)
    assert any("6 withheld parts of 3 events" in text for text in report.not_checked)


# --- Proofs ---------------------------------------------------------------------------


def test_the_event_of_another_item_is_swapped_in(scene: BundleScene) -> None:
    bundle = scene.bundle()
    lie = swap(bundle.events, 1, scene.shown((6, 2)))
    assert found(judge(scene, with_event(bundle, 1, lie))) == {(11, 6)}


def test_the_path_of_another_item_is_swapped_in(scene: BundleScene) -> None:
    bundle = scene.bundle()
    lie = replace(bundle.events[2], path=scene.shown((8, 3)).path)
    assert found(judge(scene, with_event(bundle, 2, lie))) == {(11, 8)}


def test_an_event_that_is_claimed_for_another_entry(scene: BundleScene) -> None:
    bundle = scene.bundle([(5, 0), (6, 1)], also=[8])
    lie = replace(scene.shown((5, 1)), index=8, position=0)
    assert found(judge(scene, replace(bundle, events=(*bundle.events, lie)))) == {(11, 8)}


def test_an_event_of_an_entry_that_is_not_there(scene: BundleScene) -> None:
    bundle = scene.bundle([(5, 0)])
    lie = replace(bundle, events=(*bundle.events, scene.shown((7, 0))))
    assert found(judge(scene, lie)) == {(11, 7)}


def test_an_event_beyond_the_count_of_its_statement(scene: BundleScene) -> None:
    bundle = scene.bundle([(6, 2)])
    lie = replace(bundle.events[0], position=3)
    assert found(judge(scene, with_event(bundle, 0, lie))) == {(11, 6)}


@pytest.mark.parametrize("change", ["longer", "shorter", "none"])
def test_a_path_of_another_length(scene: BundleScene, change: str) -> None:
    bundle = scene.bundle()
    path = bundle.events[2].path
    paths = {"longer": (*path, path[0]), "shorter": path[1:], "none": ()}
    lie = replace(bundle.events[2], path=paths[change])
    assert found(judge(scene, with_event(bundle, 2, lie))) == {(11, 8)}


def test_a_path_longer_than_any_statement_is_high_does_not_parse(scene: BundleScene) -> None:
    bundle = scene.bundle()
    lie = replace(bundle.events[2], path=bundle.events[2].path[:1] * 17)
    assert checks(scene, with_event(bundle, 2, lie)) == {1}


def test_an_index_at_the_size_and_one_beyond_it(scene: BundleScene) -> None:
    bundle = scene.bundle()
    last = bundle.entries[-1]
    for index in (scene.cast.log.size, 2**62):
        report = judge(
            scene, with_entry(bundle, -1 % len(bundle.entries), replace(last, index=index))
        )
        assert (4, None) in found(report)
        assert f"no leaf {index}" in report.findings[0].computed


def test_a_checkpoint_of_size_0(scene: BundleScene) -> None:
    empty = Checkpoint(origin=ORIGIN, size=TreeSize(0), root=EMPTY_ROOT)
    note = sign_checkpoint(empty, [NoteSigner(ORIGIN, signer_named("log"))])
    assert checks(scene, replace(scene.bundle(), note=note)) == {4}


def test_an_entry_moved_to_another_index(scene: BundleScene) -> None:
    bundle = scene.bundle([(5, 0)])
    moved = replace(bundle.entries[-1], index=7)
    assert (4, None) in found(judge(scene, with_entry(bundle, len(bundle.entries) - 1, moved)))


def test_a_node_of_the_tree_is_passed_off_as_an_entry(scene: BundleScene) -> None:
    leaves = scene.cast.log.leaves
    bundle = scene.bundle()
    node = BundledEntry(bundle.entries[-1].index, b"\x01" + leaves[8] + leaves[9])
    lie = with_entry(bundle, len(bundle.entries) - 1, node)
    assert checks(scene, lie) == {1, 4, 11}


@pytest.mark.parametrize("change", ["flipped", "dropped", "added", "swapped"])
def test_another_proof(scene: BundleScene, change: str) -> None:
    bundle = scene.bundle()
    nodes = bundle.nodes
    changes = {
        "flipped": (flipped(nodes[0]), *nodes[1:]),
        "dropped": nodes[1:],
        "added": (*nodes, nodes[0]),
        "swapped": nodes[::-1],
    }
    assert checks(scene, replace(bundle, nodes=changes[change])) == {4}


# --- Spelling -------------------------------------------------------------------------


def test_repeated_and_descending_entries_and_events(scene: BundleScene) -> None:
    bundle = scene.bundle()
    for lie in (
        replace(bundle, entries=(bundle.entries[0], *bundle.entries)),
        replace(bundle, entries=bundle.entries[::-1]),
        replace(bundle, events=(bundle.events[0], *bundle.events)),
        replace(bundle, events=bundle.events[::-1]),
        replace(bundle, entries=()),
    ):
        assert checks(scene, lie) == {1}


def test_bytes_after_the_end_and_long_forms(scene: BundleScene) -> None:
    data = encode_bundle(scene.bundle())
    assert checks(scene, data + b"\x00") == {1}
    assert checks(scene, data[:-1]) == {1}
    head = data.index(b"\x82\x00\x59")  # [0, entry 0 with a length of two bytes]
    assert checks(scene, data[: head + 1] + b"\x18\x00" + data[head + 2 :]) == {1}
    assert checks(scene, data[:-1] + b"\x40" + b"\xf6") == {1}


def test_an_entry_or_a_note_that_does_not_parse(scene: BundleScene) -> None:
    bundle = scene.bundle()
    last = len(bundle.entries) - 1
    entry = replace(bundle.entries[last], data=bundle.entries[last].data + b"\x00")
    assert checks(scene, with_entry(bundle, last, entry)) == {1, 4, 11}
    assert checks(scene, replace(bundle, note=b"no note")) == {1}


def test_an_unknown_algorithm_in_a_statement(scene: BundleScene) -> None:
    bundle = scene.bundle()
    last = len(bundle.entries) - 1
    data = bundle.entries[last].data
    header = b"\xa3\x01\x27\x04"  # {1: -8, 4: …
    assert header in data
    lie = replace(bundle.entries[last], data=data.replace(header, b"\xa3\x01\x26\x04"))
    report = judge(scene, with_entry(bundle, last, lie))
    assert (1, 8) in found(report)


def test_a_hash_over_the_whole_event_beside_a_withheld_part(scene: BundleScene) -> None:
    bundle = scene.bundle()
    guess = item_event(9, event_id="ni:///sha-256;5c1d?ver=CBV2.0")
    hidden = withhold(guess, {0, 5})
    parts = list(hidden.shown)
    parts[0] = withhold(guess, ()).shown[0]
    lie = with_event(bundle, 0, replace(bundle.events[0], event=WithheldEvent(tuple(parts))))
    report = judge(scene, lie)
    assert found(report) == {(1, None)}
    assert "hashes it all" in report.findings[0].computed


# --- Disclosure -----------------------------------------------------------------------


def test_a_withheld_hash_is_changed_or_swapped(scene: BundleScene) -> None:
    bundle = scene.bundle(hidden=WHY)
    shown = bundle.events[0].event.shown
    other = leaf_hashes(bundle.events[1].event)[5]
    for hash_ in (other, flipped(other)):
        event = WithheldEvent((*shown[:5], hash_, *shown[6:]))
        lie = with_event(bundle, 0, replace(bundle.events[0], event=event))
        assert found(judge(scene, lie)) == {(11, 5)}


def test_a_part_that_is_there_is_said_to_be_absent(scene: BundleScene) -> None:
    bundle = scene.bundle()
    shown = bundle.events[0].event.shown
    salt = shown[5][0]
    event = WithheldEvent((*shown[:5], (bytes(salt), None), *shown[6:]))
    lie = with_event(bundle, 0, replace(bundle.events[0], event=event))
    assert found(judge(scene, lie)) == {(11, 5)}


def test_a_part_that_is_absent_is_invented(scene: BundleScene) -> None:
    bundle = scene.bundle()
    shown = bundle.events[0].event.shown
    invented = (shown[7][0], b'{"example:note":"kosher"}')
    lie = replace(bundle.events[0], event=WithheldEvent((*shown[:7], invented)))  # type: ignore[arg-type]
    assert found(judge(scene, with_event(bundle, 0, lie))) == {(11, 5)}


def test_a_part_is_reworded(scene: BundleScene) -> None:
    bundle = scene.bundle()
    shown = bundle.events[0].event.shown
    salt, part = shown[3]
    later = (salt, part.replace(b"10:00", b"11:00"))  # type: ignore[union-attr]
    lie = replace(bundle.events[0], event=WithheldEvent((*shown[:3], later, *shown[4:])))  # type: ignore[arg-type]
    assert found(judge(scene, with_event(bundle, 0, lie))) == {(11, 5)}


def test_an_answer_that_tells_what_is_withheld(scene: BundleScene) -> None:
    leaking = scene.with_answer(scene.bundle(hidden=WHY), of=scene.bundle())
    report = judge(scene, leaking)
    assert found(report) == {(14, None)}
    assert report.findings[0].field.startswith("answer /custody")
    told = "".join(list_disclosures(scene.bundle(hidden=WHY), about=canonical_key(ITEM)))
    assert "5 why    shown in 0, absent in 0, withheld in 3" in told


def test_the_linter_names_what_is_disclosed(scene: BundleScene) -> None:
    told = list(list_disclosures(scene.bundle(), about=canonical_key(ITEM)))
    assert told[0] == "3 events of 3 statements, with 4 entries about keys"
    assert any("5 why    shown in 3, absent in 0, withheld in 0" in line for line in told)
    assert any(line.startswith("other parties that events name: 0") for line in told)
    assert any(line.startswith("things besides the item: 0") for line in told)
    both = scene.bundle([(5, 0), (5, 1)])
    assert any(
        line.startswith("things besides the item: 1, as https://id.gs1.org/01/")
        for line in list_disclosures(both, about=canonical_key(ITEM))
    )


# --- Whose word it is -----------------------------------------------------------------


@pytest.mark.parametrize("left_out", [2, 3, 4])
def test_the_chain_of_key_entries_is_cut(scene: BundleScene, left_out: int) -> None:
    report = judge(scene, scene.bundle(without=[left_out]))
    # What the party enrolled is cut off with it; the party's own entries alone are named.
    assert {check for check, _ in found(report)} == {9}
    assert "is cut" in report.findings[0].what
    assert report.result.exit_code == 1


def test_entry_0_is_left_out(scene: BundleScene) -> None:
    assert checks(scene, scene.bundle(without=[0])) == {9}


def test_a_log_of_the_forgers_own_brings_its_own_roots_of_trust(scene: BundleScene) -> None:
    forged = build_scene()
    forged.cast.log.entries[0] = scene.cast.log.entries[1]
    forged.cast.log.leaves[0] = scene.cast.log.leaves[1]
    bundle = replace(forged.bundle(), note=forged.note(log_key="forger"))
    assert {5, 9} <= checks(scene, bundle)


def test_keys_smuggled_in_make_it_no_bundle(tmp_path: Path, scene: BundleScene) -> None:
    data = encode_bundle(scene.bundle())
    smuggled = b"\x87" + data[1:] + encode_cbor(trust_text(scene))
    assert verify(tmp_path, scene, smuggled)[0] == 4


def test_another_log_key_and_another_origin(scene: BundleScene) -> None:
    bundle = scene.bundle()
    assert checks(scene, replace(bundle, note=scene.note(log_key="forger"))) == {5}
    other = scene.note(origin="tagtrail.example/other")
    assert checks(scene, replace(bundle, note=other)) == {5}


def test_a_statement_that_a_lying_log_took_in_unsigned(scene: BundleScene) -> None:
    forged = build_scene()
    log = forged.cast.log
    entry = parse_entry(log.entries[9])
    statement = entry.statement[:-1] + bytes((entry.statement[-1] ^ 1,))
    log.entries[9] = encode_entry(replace(entry, statement=statement))
    log.leaves[9] = entry_leaf(log.entries[9])
    assert found(judge(scene, forged.bundle([(9, 0)]))) == {(8, 9)}


def test_a_lying_log_names_an_older_key_entry(scene: BundleScene) -> None:
    forged = build_scene()
    log = forged.cast.log
    entry = parse_entry(log.entries[9])
    log.entries[9] = encode_entry(replace(entry, key_leaf_hash=log.leaves[2]))
    log.leaves[9] = entry_leaf(log.entries[9])
    assert found(judge(scene, forged.bundle([(9, 0)]))) == {(9, 9)}


def test_times_and_links_that_a_lying_log_broke(scene: BundleScene) -> None:
    forged = build_scene()
    log = forged.cast.log
    entry = parse_entry(log.entries[9])
    lie = replace(entry, record_time_us=1, prev_leaf_hash=log.leaves[3])
    log.entries[9] = encode_entry(lie)
    log.leaves[9] = entry_leaf(log.entries[9])
    assert found(judge(scene, forged.bundle([(8, 0), (9, 0)]))) == {(2, 9), (12, 9)}


def test_witnesses_that_the_policy_asks_for_are_missing(scene: BundleScene) -> None:
    witness = Cosigner(
        name="north.example",
        kind=COSIGNATURE_ED25519,
        private=signer_named("north"),
        time_s=TIME_S,
    )
    trust = trust_of(scene, policy=f"witness north {witness.key}\nquorum north")
    bundle = scene.with_answer(scene.bundle())
    report = report_bundle(encode_bundle(bundle), trust, target="bundle")
    assert found(report) == {(6, scene.cast.log.size - 1)}
    assert report.result.exit_code == 2
    text = parse_note(bundle.note).text
    cosigned = replace(bundle, note=bundle.note + cosign_checkpoint(text, [witness]))
    report = report_bundle(encode_bundle(cosigned), trust, target="bundle")
    assert report.result is Result.VERIFIED, report.findings
    assert report.summary.witnesses == ("north",)


def test_without_trust_nothing_is_decided(scene: BundleScene) -> None:
    report = report_bundle(encode_bundle(scene.bundle()), None, target="bundle")
    assert report.findings == []
    assert report.result.exit_code == 3


# --- Answers --------------------------------------------------------------------------


def answered(scene: BundleScene, change: Callable[[dict[str, object]], object]) -> Bundle:
    """Return an honest bundle with its answer changed."""
    bundle = scene.with_answer(scene.bundle())
    assert bundle.answer is not None
    answer = json.loads(bundle.answer)
    change(answer)
    return replace(bundle, answer=encode_answer(answer))


def test_a_claim_that_the_events_do_not_support(scene: BundleScene) -> None:
    lie = answered(scene, lambda a: a["state"].update(owner="https://id.gs1.org/417/1"))  # type: ignore[attr-defined]
    report = judge(scene, lie)
    assert found(report) == {(14, None)}
    assert report.findings[0].field == "answer /state/owner"


def test_a_claim_whose_evidence_is_not_there(scene: BundleScene) -> None:
    lie = answered(scene, lambda a: a["events"][0].update(entries=[[7, 0]]))  # type: ignore[index]
    assert found(judge(scene, lie)) == {(14, 7), (14, None)}


def test_an_answer_about_a_log_that_is_not_proven(scene: BundleScene) -> None:
    later = answered(scene, lambda a: a["as_of"].update(size=99, root=None))  # type: ignore[attr-defined]
    assert (14, None) in found(judge(scene, later))
    other = answered(scene, lambda a: a["as_of"].update(root="00" * 32))  # type: ignore[attr-defined]
    assert (14, None) in found(judge(scene, other))


def test_names_that_no_evidence_supports(scene: BundleScene) -> None:
    assert checks(scene, answered(scene, lambda a: a.update(names={"x": "Best Dairy"}))) == {14}


def test_an_answer_by_other_rules_cannot_be_judged(
    scene: BundleScene,
) -> None:
    report = judge(scene, answered(scene, lambda a: a.update(rules=99)))
    assert report.findings == []
    assert report.result.exit_code == 3
    assert "other rules" in report.undecided[0]


def test_an_answer_that_does_not_name_its_rules(scene: BundleScene) -> None:
    for rules in (None, 0, -1, True, "1", 1.0):
        lie = answered(scene, lambda a, rules=rules: a.update(rules=rules))  # type: ignore[misc]
        assert checks(scene, lie) == {1}
    assert checks(scene, answered(scene, lambda a: a.pop("rules"))) == {1}


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"epc": 1}', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_none(scene: BundleScene, answer: bytes) -> None:
    assert checks(scene, replace(scene.bundle(), answer=answer)) == {1}


# --- The command ----------------------------------------------------------------------


def verify(folder: Path, scene: BundleScene, data: bytes) -> tuple[int, str]:
    """Run `tagtrail verify` on a file with `data`; return its exit code and output."""
    (folder / "item.bundle").write_bytes(data)
    (folder / "trust.toml").write_text(trust_text(scene))
    result = CliRunner().invoke(
        app, ["verify", str(folder / "item.bundle"), "--trust", str(folder / "trust.toml")]
    )
    return result.exit_code, result.output


def test_the_command_ends_with_the_code_of_its_result(
    tmp_path: Path, scene: BundleScene
) -> None:
    data = encode_bundle(scene.with_answer(scene.bundle(hidden=WHY)))
    assert verify(tmp_path, scene, data)[0] == 0
    assert verify(tmp_path, scene, data + b"\x00")[0] == 1
    code, output = verify(tmp_path, scene, data.replace(b"bundle/v1", b"bundle/v2"))
    assert code == 4
    assert "another version" in output
    assert verify(tmp_path, scene, b"hello")[0] == 4
    assert verify(tmp_path, scene, b"")[0] == 4


def test_hostile_names_cannot_drive_the_terminal(scene: BundleScene) -> None:
    note = scene.note(origin="evil\u202e\x7f")
    report = judge(scene, replace(scene.bundle(), note=note))
    text = "\n".join(format_bundle_report(report))
    assert "\u202e" not in text
    assert "\x7f" not in text


def test_any_flipped_bit_is_found(scene: BundleScene) -> None:
    data = encode_bundle(scene.with_answer(scene.bundle(BUNDLED[:2], hidden=WHY)))
    dice = random.Random(1)
    for n in range(FLIPS):
        bit = dice.randrange(160, 8 * len(data))  # Before that it is no bundle.
        flip = bytearray(data)
        flip[bit // 8] ^= 1 << bit % 8
        report = judge(scene, bytes(flip))
        assert report.result.exit_code in (1, 3), f"seed 1, flip {n}: bit {bit}"
