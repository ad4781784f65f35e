"""The documents, as a test: what they point at exists, and what exists is in them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    targets = [t for t in LINK.findall(text) if "://" not in t and not t.startswith("mailto:")]
    missing = [t for t in targets if not (page.parent / t.split("#")[0]).exists()]
    assert not missing


def test_decisions_are_numbered_without_holes() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_has_its_four_parts() -> None:
    for path in (ROOT / "docs" / "adr").glob("*.md"):
        text = path.read_text()
        for part in ("Status: ", "## Context", "## Decision", "## Consequences"):
            assert part in text, f"{path.name} lacks {part!r}"


def test_every_subcommand_is_in_the_reference() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"},
    ).stdout
    commands = re.findall(r"^[│ ]*([a-z]+) {2,}", listed, re.MULTILINE)
    assert {"verify", "trace", "serve", "demo", "gateway", "sim"} <= set(commands)
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert not [name for name in commands if f"tagtrail {name}" not in reference]


def test_the_lock_names_no_package_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "http://" not in lock
    assert "https://" not in lock
    assert "--index-url" not in lock


def test_every_locked_requirement_has_a_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^\S+==\S+.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert len(pinned) > 20
    assert not [block.split("\n")[0] for block in pinned if "--hash=sha256:" not in block]


def test_every_direct_dependency_is_locked() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = config["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += [item for item in extra if not item.startswith("tagtrail[")]
    for group in config["dependency-groups"].values():
        wanted += [item for item in group if isinstance(item, str)]
    names = {re.split(r"[\[><=~ ]", item)[0].lower() for item in wanted}
    locked = {
        line.split("==")[0].split("[")[0].lower()
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    assert names <= locked
