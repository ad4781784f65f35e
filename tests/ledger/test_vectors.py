"""The vectors that are checked in are those that their script makes."""

from pathlib import Path

import pytest

from tests.vectors.generate import FOLDER, main, render, vectors

FOLDERS = ("bundle", "cose", "disclosure", "entry", "statement", "trust")


def test_each_vector_is_what_the_script_makes() -> None:
    made = {name: render(content) for name, content in vectors()}
    kept = {
        str(path.relative_to(FOLDER).with_suffix("")): path.read_text()
        for folder in FOLDERS
        for path in (FOLDER / folder).glob("*.json")
    }
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == []


def test_the_script_tells_a_difference_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.vectors.generate.FOLDER", tmp_path)
    monkeypatch.setattr(
        "tests.vectors.generate.vectors", lambda: iter([("trust/one", {"says": "one"})])
    )
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert "0 vectors differ" in capsys.readouterr().out
