"""An implementation from outside accepts our checkpoints, tiles and proofs.

Go's `sumdb/note` and `sumdb/tlog` (Debian: golang-go, golang-golang-x-mod-dev)
read a log that we wrote as static files.
"""

import json
import os
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import CompactRange, LeafIndex, TreeSize, leaf_hash
from ledger.tlog.note import Ed25519Signer, Ed25519Verifier, parse_note, verify_note
from ledger.tlog.tiles import TileEdge, TileTree
from tests.ledger.tlog.vectors import Ed25519Key
from tests.optional import absent, find_program

GO_PATH = Path("/usr/share/gocode")
SOURCE = Path(__file__).parent / "sumdb_check" / "main.go"
ORIGIN = "supplier.example/dairy-17"
OLD, NEW = TreeSize(65_000), TreeSize(66_100)
ENTRIES = [f"entry {number}".encode() for number in range(NEW)]
INDEXES = [0, 1, 255, 256, 511, 12_345, 65_535, 65_536, 66_047, 66_048, 66_099]
LIMIT_S = 300


@pytest.fixture(scope="module")
def sumdb_check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Go program, built offline."""
    go = find_program("go")
    if go is None or not (GO_PATH / "src" / "golang.org" / "x" / "mod" / "sumdb").is_dir():
        absent("go", "install golang-go and golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    settings = {
        "GO111MODULE": "off",
        "GOPATH": str(GO_PATH),
        "GOPROXY": "off",
        "GOFLAGS": "",
        "GOCACHE": str(folder / "cache"),
        "CGO_ENABLED": "0",
    }
    program = folder / "sumdb_check"
    subprocess.run(
        [go or "go", "build", "-o", program, SOURCE],
        env={**os.environ, **settings},
        check=True,
        timeout=LIMIT_S,
    )
    return program


def write_log(folder: Path, signer: Ed25519Signer) -> None:
    """Write what a static file server of this log would serve."""
    edge, compact = TileEdge(), CompactRange()
    tiles = {}
    for number, entry in enumerate(ENTRIES):
        leaf = leaf_hash(entry)
        tiles.update(edge.append(leaf))
        compact.append(leaf)
        if number + 1 == OLD:
            old = Checkpoint(origin=ORIGIN, size=OLD, root=compact.root())
            (folder / "checkpoint.old").write_bytes(sign_checkpoint(old, [signer]))
    tiles.update(edge.partial())
    for tile, data in tiles.items():
        target = folder / str(tile)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    new = Checkpoint(origin=ORIGIN, size=NEW, root=compact.root())
    (folder / "checkpoint.new").write_bytes(sign_checkpoint(new, [signer]))
    (folder / "vkey").write_text(str(signer.key))
    stored = {(tile.level, tile.index): data for tile, data in tiles.items()}
    tree = TileTree(lambda level, index, width: stored[level, index][: 32 * width], NEW)
    go_sum = Checkpoint(origin="go.sum database tree", size=NEW, root=new.root)
    check = {
        "Origin": ORIGIN,
        "Skey": secret_of(signer),
        "Records": [
            {
                "Index": index,
                "Entry": b64encode(ENTRIES[index]).decode(),
                "Path": encoded(tree.prove_inclusion(LeafIndex(index))),
            }
            for index in INDEXES
        ],
        "Consistency": encoded(tree.prove_consistency(OLD)),
        "GoSum": sign_checkpoint(go_sum, [signer]).decode(),
    }
    (folder / "check.json").write_text(json.dumps(check))


def encoded(hashes: tuple[bytes, ...]) -> list[str]:
    return [b64encode(node).decode() for node in hashes]


def secret_of(signer: Ed25519Signer) -> str:
    """Return the private key in the spelling of Go's note package."""
    key = signer.private
    assert isinstance(key, Ed25519Key)
    material = b64encode(b"\x01" + key.seed).decode()
    return f"PRIVATE+KEY+{signer.name}+{signer.key_id:08x}+{material}"


def test_go_accepts_our_checkpoints_tiles_and_proofs_and_we_its_signature(
    sumdb_check: Path, tmp_path: Path
) -> None:
    signer = Ed25519Signer(ORIGIN, Ed25519Key.of(ORIGIN))
    write_log(tmp_path, signer)
    done = subprocess.run(
        [sumdb_check, tmp_path], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdict, signed = done.stdout.splitlines()
    assert verdict == f"agrees: {len(INDEXES)} records, sizes {OLD} and {NEW}"
    note = parse_note(b64decode(signed))
    verify_note(note, [Ed25519Verifier(signer.key)])


def test_go_refuses_a_log_with_one_bit_changed_in_a_tile(
    sumdb_check: Path, tmp_path: Path
) -> None:
    write_log(tmp_path, Ed25519Signer(ORIGIN, Ed25519Key.of(ORIGIN)))
    tile = tmp_path / "tile" / "0" / "048"
    data = bytearray(tile.read_bytes())
    data[57 * 32] ^= 1
    tile.write_bytes(data)
    done = subprocess.run(
        [sumdb_check, tmp_path], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 1
    assert "entry 12345" in done.stdout
