"""The pages about the log: every example on them is true, every command runs."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from ledger.tlog.checkpoint import (
    Checkpoint,
    parse_signed_checkpoint,
    sign_checkpoint,
)
from ledger.tlog.merkle import (
    EMPTY_ROOT,
    LeafIndex,
    TreeSize,
    leaf_hash,
    parse_hash,
    verify_inclusion,
)
from ledger.tlog.multiproof import verify_leaves
from ledger.tlog.note import Ed25519Signer
from ledger.tlog.policy import evaluate_policy, parse_policy
from ledger.tlog.proof import parse_tlog_proof, verify_tlog_proof
from ledger.tlog.tiles import parse_tile_path
from tests.ledger.tlog.vectors import Ed25519Key
from tests.optional import ROOT, absent, find_program

DOCS = ROOT / "docs"
ORIGIN = "supplier.example/dairy-17"
RECIPE = DOCS / "how-to" / "verify-a-checkpoint-with-openssl.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_proofs_on_the_page_of_the_log_verify() -> None:
    page = DOCS / "spec" / "log.md"
    single, multiple = (json.loads(block) for block in blocks(page, "json"))
    assert parse_hash(bytes.fromhex(single["leaf"])) == leaf_hash(b"entry 4")
    verify_inclusion(
        [parse_hash(bytes.fromhex(node)) for node in single["proof"]],
        leaf=leaf_hash(b"entry 4"),
        index=LeafIndex(single["index"]),
        size=TreeSize(single["size"]),
        root=parse_hash(bytes.fromhex(single["root"])),
    )
    verify_leaves(
        [parse_hash(bytes.fromhex(node)) for node in multiple["proof"]],
        leaves=[(LeafIndex(i), parse_hash(bytes.fromhex(h))) for i, h in multiple["leaves"]],
        size=TreeSize(multiple["size"]),
        root=parse_hash(bytes.fromhex(multiple["root"])),
    )
    assert EMPTY_ROOT.hex() in page.read_text().replace(" ", "")


def test_the_checkpoint_on_its_page_meets_the_policy_beside_it() -> None:
    page = DOCS / "spec" / "checkpoint.md"
    (text,), (policy_text,), (proof,) = (
        blocks(page, language) for language in ("checkpoint", "policy", "proof")
    )
    policy = parse_policy(policy_text)
    assert evaluate_policy(policy, parse_signed_checkpoint(text.encode())).witnesses == {"w1"}
    verify_tlog_proof(parse_tlog_proof(proof.encode()), leaf=leaf_hash(b"4"), policy=policy)


def test_the_paths_on_the_page_of_the_tiles_parse() -> None:
    (text,) = blocks(DOCS / "spec" / "tiles.md", "paths")
    assert [str(parse_tile_path(line)) for line in text.splitlines()] == text.splitlines()


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """Return a folder with a checkpoint and the log's key, as the recipe expects."""
    if find_program("openssl") is None or find_program("sha256sum") is None:
        absent("openssl", "the recipe needs openssl and coreutils")
    log = Ed25519Signer(ORIGIN, Ed25519Key.of(ORIGIN))
    other = Ed25519Signer("other.example", Ed25519Key.of("other.example"))
    body = Checkpoint(origin=ORIGIN, size=TreeSize(7), root=leaf_hash(b"entry"))
    (tmp_path / "checkpoint").write_bytes(sign_checkpoint(body, [other, log]))
    (tmp_path / "vkey").write_text(f"{log.key}\n")
    (tmp_path / "entry.bin").write_bytes(b"entry")
    return tmp_path


def run(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_recipe_has_ten_lines_and_verifies_a_checkpoint(workplace: Path) -> None:
    verify, hash_entry = blocks(RECIPE, "sh")
    assert len(verify.splitlines()) == 10
    done = run(workplace, verify)
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert run(workplace, hash_entry).stdout.startswith(leaf_hash(b"entry").hex())


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("checkpoint", "\n7\n", "\n8\n"),
        ("checkpoint", f"— {ORIGIN}", "— nobody.example"),
        ("vkey", "+e937df76+", "+00000000+"),
    ],
    ids=["other-size", "line-missing", "wrong-key-id"],
)
def test_the_recipe_refuses_what_is_false(
    workplace: Path, name: str, old: str, new: str
) -> None:
    path = workplace / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    done = run(workplace, blocks(RECIPE, "sh")[0])
    assert done.returncode != 0
    assert "Successfully" not in done.stdout
