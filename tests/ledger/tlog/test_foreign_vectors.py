"""Vectors of other implementations: C2SP, transparency-dev, Tessera and Go's sumdb."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import (
    Checkpoint,
    format_checkpoint,
    parse_checkpoint,
    parse_signed_checkpoint,
    sign_checkpoint,
    verify_signed_checkpoint,
)
from ledger.tlog.cosignature import (
    cosignature_time,
    has_ml_dsa_44,
    verifier_for,
    verify_ml_dsa_44,
)
from ledger.tlog.merkle import (
    EMPTY_ROOT,
    Hash,
    LeafIndex,
    TreeSize,
    leaf_hash,
    node_hash,
    parse_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from ledger.tlog.note import (
    COSIGNATURE_ED25519,
    BadSignatureError,
    Ed25519Signer,
    Ed25519Verifier,
    UnverifiedNoteError,
    VerifierKey,
    parse_note,
    parse_signature_line,
    parse_vkey,
    sign_note,
    verified_signatures,
    verify_note,
)
from ledger.tlog.policy import parse_policy
from ledger.tlog.proof import parse_tlog_proof
from ledger.tlog.subtree import Subtree, verify_subtree, verify_subtree_inclusion
from ledger.tlog.tiles import (
    Tile,
    TileTree,
    bundle_path,
    decode_bundle,
    encode_bundle,
    encode_tile,
    finished_tiles,
    parse_tile_path,
    partial_tiles,
    tile_path,
)
from ledger.tlog.witness import parse_add_checkpoint
from tests.ledger.tlog.vectors import Ed25519Key

Door = Callable[[bytes], Hash]


@pytest.fixture(scope="session")
def foreign(shared_data: Path) -> Path:
    return shared_data / "ledger"


def cases(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    for line in (folder / "transparency-dev-merkle" / f"{name}.jsonl").read_text().splitlines():
        yield json.loads(line)


def hashes(texts: list[str] | None, door: Door) -> list[Hash]:
    return [door(b64decode(text)) for text in texts or []]


def check_inclusion(case: dict[str, Any], door: Door) -> None:
    verify_inclusion(
        hashes(case["proof"], door),
        leaf=door(b64decode(case["leafHash"])),
        index=LeafIndex(case["leafIdx"]),
        size=TreeSize(case["treeSize"]),
        root=door(b64decode(case["root"])),
    )


def check_consistency(case: dict[str, Any], door: Door) -> None:
    verify_consistency(
        hashes(case["proof"], door),
        old=(TreeSize(case["size1"]), door(b64decode(case["root1"]))),
        new=(TreeSize(case["size2"]), door(b64decode(case["root2"]))),
    )


def check_subtree_inclusion(case: dict[str, Any], door: Door) -> None:
    root = door(b64decode(case["root"]))
    verify_subtree_inclusion(
        hashes(case["proof"], door),
        leaf=door(b64decode(case["leafHash"])),
        index=LeafIndex(case["leafIdx"]),
        subtree=Subtree(case["start"], case["end"], root),
    )


def check_subtree(case: dict[str, Any], door: Door) -> None:
    root = door(b64decode(case["root1"]))
    verify_subtree(
        hashes(case["proof"], door),
        subtree=Subtree(case["start"], case["end"], root),
        size=TreeSize(case["size"]),
        root=door(b64decode(case["root2"])),
    )


@pytest.mark.parametrize(
    ("name", "count", "check"),
    [
        ("inclusion", 98, check_inclusion),
        ("consistency", 98, check_consistency),
        ("subtreeinclusion", 204, check_subtree_inclusion),
        ("subtreeconsistency", 118, check_subtree),
    ],
)
def test_transparency_dev_proofs_verify_or_are_refused(
    foreign: Path, name: str, count: int, check: Callable[[dict[str, Any], Door], None]
) -> None:
    """Two conventions differ, both in ADR 7, and each is asserted here.

    Upstream accepts an empty subtree under the empty root; here it is refused.
    Upstream accepts equal roots that are no hashes; here the door refuses them.
    """
    seen = 0
    for case in cases(foreign, name):
        seen += 1
        empty = case.get("start", 0) == case.get("end", 1)
        if case["wantErr"] or empty:
            with pytest.raises((ParseError, VerificationError)):
                check(case, parse_hash)
        elif case["desc"] == "sizes are equal (one) and proof is empty":
            with pytest.raises(ParseError):
                check(case, parse_hash)
            check(case, Hash)
        else:
            check(case, parse_hash)
    assert seen == count


def test_transparency_dev_hashes_are_ours(foreign: Path) -> None:
    text = (foreign / "transparency-dev-merkle" / "rfc6962_constants.json").read_text()
    want = json.loads(text)
    assert want["empty_root"] == EMPTY_ROOT.hex()
    assert leaf_hash(b"").hex() == want["empty_leaf_hash"]
    leaf, node = want["leaf_hash"], want["node_hash"]
    assert leaf_hash(leaf["input_utf8"].encode()).hex() == leaf["sha256"]
    left, right = Hash(node["left_utf8"].encode()), Hash(node["right_utf8"].encode())
    assert node_hash(left, right).hex() == node["sha256"]


@pytest.fixture
def tessera(foreign: Path) -> Path:
    return foreign / "tessera-testlog"


def test_tessera_checkpoints_are_reproduced_byte_for_byte(tessera: Path) -> None:
    keys = json.loads((tessera / "keys.json").read_text())
    _, _, origin, _, material = keys["skey_TEST_ONLY"].split("+", 4)
    signer = Ed25519Signer(origin, Ed25519Key(b64decode(material)[1:]))
    assert str(signer.key) == keys["vkey"]
    leaves = [leaf_hash(entry.encode()) for entry in keys["entries_utf8"]]
    paths = sorted(tessera.glob("checkpoint*.txt"))
    assert len(paths) == 17
    for path in paths:
        data = path.read_bytes()
        signed = parse_signed_checkpoint(data)
        verifiers = [Ed25519Verifier(parse_vkey(keys["vkey"]))]
        verify_signed_checkpoint(signed, origin=origin, verifiers=verifiers)
        size = signed.checkpoint.size
        ours = Checkpoint(origin=origin, size=size, root=tree_root(leaves[:size]))
        assert sign_checkpoint(ours, [signer]) == data


def test_tessera_tiles_and_bundles_are_reproduced_byte_for_byte(tessera: Path) -> None:
    keys = json.loads((tessera / "keys.json").read_text())
    resources = json.loads((tessera / "resources_hex.json").read_text())
    stored = {n: bytes.fromhex(d) for n, d in resources.items() if n.startswith("tile/")}
    entries = [entry.encode() for entry in keys["entries_utf8"]]
    leaves = [leaf_hash(entry) for entry in entries]
    made = {}
    for width in range(1, len(entries) + 1):
        made[tile_path(0, 0, width)] = encode_tile(leaves[:width])
        made[bundle_path(0, width)] = encode_bundle(entries[:width])
    assert stored == made
    for path, data in stored.items():
        tile = parse_tile_path(path)
        if tile.level is None:
            assert decode_bundle(data, tile.width) == entries[: tile.width]
        else:
            tree = TileTree(lambda *_, data=data: data, TreeSize(tile.width))
            assert tree.root() == tree_root(leaves[: tile.width])


@pytest.fixture
def sumdb(foreign: Path) -> dict[str, Any]:
    text = (foreign / "golang-x-mod-sumdb" / "note_vectors.json").read_text()
    vectors: dict[str, Any] = json.loads(text)
    return vectors


def test_sumdb_signs_as_we_do(sumdb: dict[str, Any]) -> None:
    _, _, name, _, material = sumdb["skey_TEST_ONLY"].split("+", 4)
    signer = Ed25519Signer(name, Ed25519Key(b64decode(material)[1:]))
    assert str(signer.key) == sumdb["vkey"]
    want = f"{sumdb['text']}\n{sumdb['sig_line']}".encode()
    assert sign_note(sumdb["text"], [signer]) == want
    assert sign_note(sumdb["text"], [signer], existing=parse_note(want).signatures) == want


def test_sumdb_opens_what_we_open(sumdb: dict[str, Any]) -> None:
    """The cases of TestOpen in note_test.go; one is stricter here, see the last lines."""
    peter, enoch = (Ed25519Verifier(parse_vkey(sumdb[key])) for key in ("vkey", "second_vkey"))
    one, two = sumdb["sig_line"], sumdb["second_sig_line"]

    def signers(lines: str, *verifiers: Ed25519Verifier) -> list[str]:
        note = parse_note(f"{sumdb['text']}\n{lines}".encode())
        verify_note(note, verifiers)
        return [signature.name for signature in verified_signatures(note, verifiers)]

    assert signers(one + two, peter) == [peter.name]
    assert signers(one + two, peter, enoch) == [peter.name, enoch.name]
    with pytest.raises(UnverifiedNoteError):
        signers(one + two)
    with pytest.raises(VerificationError, match="two keys"):
        signers(two, enoch, peter, enoch)
    assert signers(one, enoch, peter, enoch) == [peter.name]
    with pytest.raises(ParseError):
        signers(one * 101, peter)
    with pytest.raises(BadSignatureError):
        signers(one[:60] + "ABCD" + one[60:], peter)
    repeated = one + one + two + two + two[:60] + "ABCD" + two[60:]
    assert signers(repeated, peter) == [peter.name]
    # Go verifies the first line of a known key only; C2SP wants each to verify.
    with pytest.raises(BadSignatureError):
        signers(one + one[:60] + "ABCD" + one[60:], peter)


def test_sumdb_refuses_what_we_refuse(sumdb: dict[str, Any]) -> None:
    text, line = sumdb["text"].encode(), sumdb["sig_line"].encode()
    bad_name = line.replace(b"PeterNeumann", b"Bad Name")
    for data in (
        text,
        text + b"\n",
        text + b"\n" + line[:-1],
        b"\x01" + text + b"\n" + line,
        b"\xff" + text + b"\n" + line,
        text + b"\n" + bad_name,
        text + b"\n" + line + b"Unexpected line.\n",
    ):
        with pytest.raises(ParseError):
            parse_note(data)
    for bad in sumdb["bad_vkeys"]:
        with pytest.raises(ParseError):
            parse_vkey(bad["vkey"])


def test_sumdb_checkpoints_parse_and_the_real_one_verifies(sumdb: dict[str, Any]) -> None:
    tree = sumdb["tree_note"]
    checkpoint = parse_checkpoint(tree["formatted"])
    assert (checkpoint.origin, checkpoint.size) == (tree["origin"], tree["size"])
    assert checkpoint.root == leaf_hash(tree["record"].encode())
    assert format_checkpoint(checkpoint) == tree["formatted"]
    real = sumdb["real_sumdb_checkpoint"]
    verify_signed_checkpoint(
        parse_signed_checkpoint(real["note"].encode()),
        origin=real["origin"],
        verifiers=[Ed25519Verifier(parse_vkey(real["vkey"]))],
    )


@pytest.fixture
def c2sp(foreign: Path) -> dict[str, Any]:
    examples: dict[str, Any] = json.loads((foreign / "c2sp" / "examples.json").read_text())
    return examples


def test_c2sp_notes_and_checkpoints_parse_and_verify(c2sp: dict[str, Any]) -> None:
    example = c2sp["signed_note"]
    verify_note(
        parse_note(example["note"].encode()), [verifier_for(parse_vkey(example["vkey"]))]
    )
    for note in example["other_examples"]:
        assert parse_note(note.encode()).signatures
    plain = parse_signed_checkpoint(c2sp["checkpoint_example"].encode())
    cosigned = parse_signed_checkpoint(c2sp["cosigned_checkpoint_example"].encode())
    assert plain.checkpoint == cosigned.checkpoint
    _, witness = cosigned.note.signatures
    assert cosignature_time(witness.signature) == 1679315147


def test_c2sp_requests_and_proofs_parse_as_far_as_they_are_written(
    c2sp: dict[str, Any],
) -> None:
    lines = c2sp["witness_add_checkpoint_request_example"].split("\n")
    request = parse_add_checkpoint(
        "\n".join(line.removeprefix("    ") for line in lines).encode()
    )
    assert (request.old_size, request.signed.checkpoint.size) == (20852014, 20852163)
    assert len(request.proof) == 4
    # The extra line of this example is no base64 and its signatures are cut short.
    head, _, _ = c2sp["tlog_proof_example_elided"].partition("\n— ")
    extra = head.replace("extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ\n", "")
    note = c2sp["checkpoint_example"].encode().partition(b"\n\n")[2]
    proof = parse_tlog_proof(extra.encode() + b"\n" + note)
    assert (proof.index, len(proof.path)) == (73894, 5)
    assert proof.signed.checkpoint.size == 109482


def test_c2sp_policies_parse_with_keys_put_in(c2sp: dict[str, Any]) -> None:
    text = c2sp["policy_example_elided"]
    log = Ed25519Signer("log.example", Ed25519Key.of("log")).key
    text = text.replace("<vkey>", str(log), 1)
    for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3"):
        public = Ed25519Key.of(name).x
        vkey = VerifierKey(name=f"{name}.example", kind=COSIGNATURE_ED25519, public=public)
        text = text.replace("<vkey>", str(vkey), 1)
    policy = parse_policy(text)
    assert (policy.quorum, len(policy.witnesses)) == ("X-and-Y", 6)
    assert [group.threshold for group in policy.groups] == [2, 1, 2]


def test_c2sp_tile_layout_is_ours(c2sp: dict[str, Any]) -> None:
    layout = c2sp["tile_layout_example"]
    size = TreeSize(layout["tree_size"])
    full = [tile.level for tile in finished_tiles(TreeSize(0), size)]
    assert full.count(0) == layout["full_level0_tiles"]
    assert full.count(1) == layout["full_level1_tiles"]
    widths = [tile.width for tile in partial_tiles(size)]
    assert widths == [layout[f"partial_level{level}_width"] for level in range(3)]
    for index, path in layout["index_path_example"].items():
        assert str(Tile(0, int(index))) == f"tile/0/{path}"


def test_transparency_dev_formats_are_told_apart(foreign: Path) -> None:
    """The third key is well-formed and bears a wrong key id, which upstream does not check."""
    vectors = json.loads((foreign / "transparency-dev-formats" / "vkeys.json").read_text())
    good, bad = vectors["vkeys"][:2], vectors["vkeys"][2:]
    assert [parse_vkey(vkey).kind for vkey in good] == [1, 4]
    with pytest.raises(ParseError, match="computed 31236897"):
        parse_vkey(bad[0])
    for vkey in bad[1:]:
        with pytest.raises(ParseError):
            parse_vkey(vkey)
    stamp = vectors["cosig_timestamp"]
    line = parse_signature_line(f"— witness {stamp['sig_b64']}")
    assert cosignature_time(line.signature) == stamp["unix"]
    for text in vectors["tlog_proof_bad_headers"]:
        with pytest.raises(ParseError):
            parse_tlog_proof(text.encode())


def test_wycheproof_ml_dsa_signatures_verify_or_are_refused(foreign: Path) -> None:
    if not has_ml_dsa_44():
        pytest.skip("the installed cryptography has no ML-DSA-44")
    text = (foreign / "wycheproof" / "mldsa_44_verify_test.json").read_text()
    ran = 0
    for group in json.loads(text)["testGroups"]:
        for case in group["tests"]:
            if "ctx" in case:  # A context is never used here.
                continue
            data = [bytes.fromhex(x) for x in (group["publicKey"], case["sig"], case["msg"])]
            ran += 1
            if case["result"] == "valid":
                verify_ml_dsa_44(*data)
            else:
                with pytest.raises(VerificationError):
                    verify_ml_dsa_44(*data)
    assert ran == 172
