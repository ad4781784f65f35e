import json
from pathlib import Path

import pytest

from device_sim.library import scenario_text
from device_sim.trials import sound_text
from ingest.planfile import parse_plan
from ledger.cli import main
from tests.optional import Broker


def tagtrail(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["sim", *words])
    return int(left.value.code or 0)


def test_list_names_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert tagtrail("list") == 0
    assert "dairy" in capsys.readouterr().out


def test_describe_draws_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert tagtrail("describe", "dairy") == 0
    said = capsys.readouterr().out
    assert "Alm Dairy" in said
    assert "road to centre" in said


def test_describe_draws_what_is_alike_once_and_what_else_happens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tagtrail("describe", "stress") == 0
    said = capsys.readouterr().out
    assert "20 alike" in said
    assert len(said.splitlines()) < 60
    for name, word in (("bulk", "soapworks"), ("marketplace", "owned by seller-1"),
                       ("electronics", "are repaired"), ("produce", "is recalled"),
                       ("pharma", "signs for itself")):  # fmt: skip
        assert tagtrail("describe", name) == 0
        assert word in capsys.readouterr().out, name


def test_plan_writes_what_the_gateway_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tagtrail("plan", "dairy", "-o", str(tmp_path / "plan.toml")) == 0
    assert tagtrail("plan", "dairy") == 0
    text = (tmp_path / "plan.toml").read_text()
    assert capsys.readouterr().out == text
    assert parse_plan(text).name == "dairy"


def test_enrol_makes_a_ledger_that_knows_the_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = sound_text(scenario_text("dairy"), signed=True)
    (tmp_path / "dairy.toml").write_text(text)
    assert tagtrail("enrol", str(tmp_path / "dairy.toml"), "--dir", str(tmp_path / "shop")) == 0
    assert "1 keys are new" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "shop/keys/devices").iterdir()] == [
        "market-till.key"
    ]


def test_run_writes_messages_truth_and_plan(tmp_path: Path) -> None:
    assert tagtrail("run", "dairy", "--out", str(tmp_path), "--set", "items=12") == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "messages.ndjson", "plan.toml", "truth.jsonl",
    ]  # fmt: skip
    truth = [json.loads(one) for one in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert sum(one["kind"] == "item" for one in truth) == 12


def test_run_publishes_to_a_broker(mosquitto: Broker, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    words = ("run", "dairy", "--out", out, "--set", "items=12", "--broker", mosquitto.url)
    assert tagtrail(*words) == 0
    sent = (tmp_path / "out" / "messages.ndjson").read_text().count("\n")
    assert (tmp_path / "out" / "acks.jsonl").read_text().count("\n") == sent


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "dairy"), "say where to"),
        (("run", "nowhere", "--out", "x"), "there are: bulk, dairy"),
        (("run", "dairy", "--out", "x", "--set", "cows=3"), "items=N"),
        (("run", "dairy", "--out", "x", "--set", "items=0"), ">= 1"),
        (("run", "dairy", "--out", "x", "--speed", "fast"), "neither a number"),
        (("score", "absent.jsonl", "--ledger", "http://127.0.0.1:1"), "cannot be read"),
        (("score", "absent.jsonl", "--ledger", "nowhere"), "neither an http"),
    ],
)
def test_bad_arguments_are_usage(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tagtrail(*words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
