"""The examples of the specifications are the bytes of the vectors."""

import re

import pytest

from tests.ledger.mutants import FOLDER

PAGES = FOLDER.parents[1] / "docs" / "spec"
BLOCK = re.compile(r"^```hex\n(.*?)^```", re.MULTILINE | re.DOTALL)
VECTOR = re.compile(r"`tests/vectors/([\w/]+\.json)`")
NAMES = ("statement", "disclosure", "submission", "entry", "trust", "bundle")


@pytest.mark.parametrize("name", NAMES)
def test_every_hex_example_is_in_a_vector_that_the_page_names(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    named = [FOLDER / path for path in VECTOR.findall(page)]
    assert named
    text = "".join(path.read_text() for path in named)
    for block in BLOCK.findall(page):
        example = "".join(re.sub(r";.*", "", line) for line in block.splitlines())
        assert re.sub(r"\s", "", example) in text


@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_an_example_rules_and_what_is_refused(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    assert "## Example" in page
    assert "MUST" in page
    assert "tests/vectors/" in page
    for rule in re.findall(r"^\* (.*?)(?=^\* |^$)", page, re.MULTILINE | re.DOTALL):
        assert len(re.findall(r"\bMUST\b", rule)) <= 1, rule
