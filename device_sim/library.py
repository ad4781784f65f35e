"""The library: scenario files by name, and what a run leaves on disk.

A scenario is found by the name of a file that ships with the simulator, or by the path of
any other file. A run is written to a folder as `messages.ndjson` (one message a line:
topic, simulated time, payload as text or else in base64: `tagtrail gateway replay` reads it),
`truth.jsonl` and `plan.toml`.
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from device_sim.play import Run
from device_sim.scenario import Scenario
from device_sim.scenariofile import parse_scenario
from device_sim.world import Message, format_time
from ledger.errors import ParseError

SCENARIO_BYTES_MAX = 1_000_000
_SUFFIX = ".toml"


def list_scenarios() -> list[str]:
    """Return the names of the scenarios that ship with the simulator, in order."""
    folder = resources.files("device_sim") / "scenarios"
    return sorted(
        one.name.removesuffix(_SUFFIX) for one in folder.iterdir() if one.name.endswith(_SUFFIX)
    )


def load_scenario(name_or_path: str, settings: Iterable[str] = ()) -> Scenario:
    """Return the scenario of that name, or written in that file, with numbers changed.

    Each of `settings` is `key=number`, the key with dots: `items=1000`, `day.batches=2`.

    Raises `ParseError` when there is none, naming what there is, and when it is refused.
    """
    changes = dict(map(_parse_setting, settings))
    if name_or_path in list_scenarios():
        file = resources.files("device_sim") / "scenarios" / f"{name_or_path}{_SUFFIX}"
        text = file.read_text(encoding="utf-8")
        return parse_scenario(text, f"{name_or_path}{_SUFFIX}", changes)
    path = Path(name_or_path)
    if not path.is_file():
        names = ", ".join(list_scenarios())
        raise ParseError(name_or_path, f"is neither a file nor a scenario; there are: {names}")
    data = path.read_bytes()
    if len(data) > SCENARIO_BYTES_MAX:
        raise ParseError(name_or_path, f"is larger than {SCENARIO_BYTES_MAX} bytes")
    try:
        return parse_scenario(data.decode("utf-8"), name_or_path, changes)
    except UnicodeDecodeError as error:
        raise ParseError(name_or_path, f"is not UTF-8: {error}") from error


def _parse_setting(setting: str) -> tuple[str, int]:
    key, _, value = setting.partition("=")
    if not key or not value.isdecimal():
        raise ParseError("--set", f"{setting!r} is not key=number, such as items=1000")
    return key, int(value)


def store_run(run: Run, folder: Path) -> None:
    """Write messages, truth and plan of `run` into `folder`, over what is there.

    The truth is written last: a folder that has one is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "messages.ndjson").open("w", encoding="utf-8") as file:
        for message in run.messages:
            file.write(_line(message) + "\n")
    (folder / "plan.toml").write_text(run.plan_text, encoding="utf-8")
    (folder / "truth.jsonl").write_text("\n".join(run.truth) + "\n", encoding="utf-8")


def _line(message: Message) -> str:
    """Return one line of `messages.ndjson`; what is no text goes in as base64."""
    line = {"topic": message.topic, "time": format_time(message.time_us)}
    try:
        line["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        line["payload_base64"] = b64encode(message.payload).decode()
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False)
