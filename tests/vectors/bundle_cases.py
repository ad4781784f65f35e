"""Vectors of bundles: honest ones, and one file for each way to forge one."""

from collections.abc import Iterator
from dataclasses import replace

from ledger.bundle import Bundle, BundledEntry, encode_bundle
from ledger.cose import encode_cbor
from ledger.disclosure import WithheldEvent, leaf_hashes
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import EMPTY_ROOT, TreeSize
from ledger.tlog.note import Ed25519Signer as NoteSigner
from tests.ledger.bundle_scene import (
    BundleScene,
    build_scene,
    flipped,
    swap,
    trust_text,
    with_entry,
    with_event,
)
from tests.ledger.memory_log import ORIGIN, signer_named

Vector = tuple[str, dict[str, object]]
Lie = tuple[str, str, list[int], Bundle | bytes]


def honest(scene: BundleScene) -> Iterator[tuple[str, str, Bundle]]:
    """Yield (name, says, bundle)."""
    yield "whole", "Three events of three statements, every part shown.", scene.bundle()
    yield "withheld", "Of each event part 5 is withheld.", scene.bundle(hidden={5})
    yield (
        "absence",
        "Parts 6 and 7 are absent: one shows it, one does not.",
        scene.bundle(hidden={7}),
    )
    yield "one_event", "The multiproof holds four entries.", scene.bundle([(5, 0)])
    yield "no_event", "Entries alone, here every one of them.", scene.bundle([], also=range(10))


def spelling(scene: BundleScene) -> Iterator[Lie]:
    """Yield (name, says, checks, bytes) of what does not parse."""
    bundle = scene.bundle([(5, 0)])
    data = encode_bundle(bundle)
    yield "byte_after_the_end", "Nothing follows.", [1], data + b"\x00"
    yield "cut_short", "The answer, or null, comes last.", [1], data[:-1]
    at = data.index(b"\x82\x00\x59") + 1
    yield "index_in_two_bytes", "The long form.", [1], data[:at] + b"\x18\x00" + data[at + 1 :]
    entries = bundle.entries
    yield "no_entries", "At least one.", [1], replace(bundle, entries=())
    yield "entry_twice", "None twice.", [1], replace(bundle, entries=(entries[0], *entries))
    yield "entries_descend", "They ascend.", [1], replace(bundle, entries=entries[::-1])
    events = scene.bundle([(5, 0), (5, 1)]).events
    yield "event_twice", "None twice.", [1], replace(bundle, events=events[:1] * 2)
    yield "events_descend", "They ascend.", [1], replace(bundle, events=events[::-1])
    long_path = replace(events[0], path=events[0].path * 17)
    yield "path_of_17", "At most 16 hashes.", [1], replace(bundle, events=(long_path,))
    yield "note_of_nothing", "A checkpoint.", [1], replace(bundle, note=b"")
    yield (
        "roots_of_trust",
        "Six items.",
        [1],
        b"\x87" + data[1:] + encode_cbor(trust_text(scene)),
    )
    other = data.replace(b"bundle/v1", b"bundle/v2", 1)
    yield "version_2", "Version 1.", [1], other
    yield "nothing", "A bundle, not none.", [1], b""


def proofs(scene: BundleScene) -> Iterator[Lie]:
    """Yield what is not under the checkpoint, or not what its statement signs."""
    bundle = scene.bundle()
    nodes, last = bundle.nodes, bundle.entries[-1]
    end = len(bundle.entries) - 1
    yield "node_flipped", "", [4], replace(bundle, nodes=(flipped(nodes[0]), *nodes[1:]))
    yield "node_missing", "", [4], replace(bundle, nodes=nodes[1:])
    yield "node_left_over", "", [4], replace(bundle, nodes=(*nodes, nodes[0]))
    beyond = with_entry(bundle, end, replace(last, index=scene.cast.log.size))
    yield "index_at_the_size", "Below it.", [4, 11], beyond
    empty = Checkpoint(origin=ORIGIN, size=TreeSize(0), root=EMPTY_ROOT)
    note = sign_checkpoint(empty, [NoteSigner(ORIGIN, signer_named("log"))])
    yield "size_0", "An empty log holds nothing.", [4], replace(bundle, note=note)
    leaves = scene.cast.log.leaves
    node = BundledEntry(last.index, b"\x01" + leaves[8] + leaves[9])
    yield "node_as_entry", "Leaf and node differ.", [1, 4, 11], with_entry(bundle, end, node)
    swapped = swap(bundle.events, 1, scene.shown((6, 2)))
    yield "event_of_another_item", "", [11], with_event(bundle, 1, swapped)
    path = replace(bundle.events[2], path=scene.shown((8, 3)).path)
    yield "path_of_another_item", "", [11], with_event(bundle, 2, path)
    path = replace(bundle.events[2], path=bundle.events[2].path[1:])
    yield "path_too_short", "", [11], with_event(bundle, 2, path)
    shown = bundle.events[0].event.shown
    hidden = WithheldEvent((*shown[:5], leaf_hashes(bundle.events[1].event)[5], *shown[6:]))
    lie = replace(bundle.events[0], event=hidden)
    yield "withheld_part_of_another", "", [11], with_event(bundle, 0, lie)
    absent = WithheldEvent((*shown[:5], (bytes(shown[5][0]), None), *shown[6:]))
    lie = replace(bundle.events[0], event=absent)
    yield "part_said_to_be_absent", "", [11], with_event(bundle, 0, lie)


def authority(scene: BundleScene) -> Iterator[Lie]:
    """Yield what the pinned entry 0 and the log's key do not vouch for."""
    bundle = scene.bundle()
    yield "key_chain_without_its_party", "", [9], scene.bundle(without=[2])
    yield "key_chain_without_its_gateway", "", [9], scene.bundle(without=[3])
    yield "key_chain_without_entry_0", "", [9], scene.bundle(without=[0])
    yield (
        "signed_by_another_log_key",
        "",
        [5],
        replace(bundle, note=scene.note(log_key="forger")),
    )
    origin = scene.note(origin="tagtrail.example/other")
    yield "of_another_origin", "", [5], replace(bundle, note=origin)


def vectors() -> Iterator[Vector]:
    """Yield (name, content) of each vector of this module."""
    scene = build_scene()
    trust = trust_text(scene)
    for name, says, bundle in honest(scene):
        yield (
            f"bundle/{name}",
            {
                "says": says,
                "accepted": True,
                "trust": trust,
                "bundle": encode_bundle(bundle).hex(),
                "size": scene.cast.log.size,
                "entries": [entry.index for entry in bundle.entries],
                "nodes": [node.hex() for node in bundle.nodes],
                "events": [[one.index, one.position] for one in bundle.events],
            },
        )
    for lies in (spelling, proofs, authority):
        for name, says, checks, lie in lies(scene):
            data = lie if isinstance(lie, bytes) else encode_bundle(lie)
            yield (
                f"bundle/{name}",
                {
                    "says": says or name.replace("_", " ").capitalize() + ".",
                    "accepted": False,
                    "checks": checks,
                    "trust": trust,
                    "bundle": data.hex(),
                },
            )
