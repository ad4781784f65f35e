"""The threat model is kept: every row names a test that is there, or says what is not found."""

import re
from functools import cache

from tests.optional import ROOT

PAGE = ROOT / "docs" / "design" / "threat-model.md"
NAMED = re.compile(r"`(tests/[a-z_/]+\.py|test_[a-z0-9_]+)`")
SAID = "said under `not_checked`"


@cache
def functions() -> frozenset[str]:
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(
        name for text in sources for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)
    )


def rows() -> list[str]:
    """Return the rows of all tables that have a column of tests."""
    found, wanted = [], False
    for line in PAGE.read_text().splitlines():
        if not line.startswith("|"):
            wanted = False
        elif line.rstrip().endswith("| test |"):
            wanted = True
        elif wanted and not line.startswith("|---"):
            found.append(line)
    return found


def test_every_attack_names_its_test() -> None:
    assert len(rows()) > 50
    assert not [row for row in rows() if not NAMED.search(row) and SAID not in row]


def test_every_test_that_is_named_is_there() -> None:
    named = {name for row in rows() for name in NAMED.findall(row)}
    missing = [
        name
        for name in named
        if not ((ROOT / name).is_file() if name.endswith(".py") else name in functions())
    ]
    assert not missing
