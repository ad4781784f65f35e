"""The library: scenario files by name, and what a run leaves on disk.

A scenario is found by the name of a file that ships with the simulator, or by the path of
any other file. A run is written to a folder as `messages.ndjson` (one message a line:
topic, simulated time, payload as text or else in base64: `tagtrail gateway replay` reads it),
`truth.jsonl` and `plan.toml`.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path

from device_sim.play import Performance, Run
from device_sim.scenario import Scenario
from device_sim.scenariofile import parse_scenario
from device_sim.workers import make_messages, worth
from device_sim.world import Message, format_time
from ledger.errors import ParseError

SCENARIO_BYTES_MAX = 1_000_000
PROGRESS_EVERY = 500
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
        return parse_scenario(scenario_text(name_or_path), f"{name_or_path}{_SUFFIX}", changes)
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


def scenario_text(name: str) -> str:
    """Return the text of a scenario that ships with the simulator."""
    file = resources.files("device_sim") / "scenarios" / f"{name}{_SUFFIX}"
    return file.read_text(encoding="utf-8")


def _parse_setting(setting: str) -> tuple[str, int]:
    key, _, value = setting.partition("=")
    if not key or not value.isdecimal():
        raise ParseError("--set", f"{setting!r} is not key=number, such as items=1000")
    return key, int(value)


def store_run(run: Run, folder: Path) -> None:
    """Write messages, truth and plan of `run` into `folder`, over what is there."""
    _store(folder, run.messages, run.truth, run.plan_text)


def store_performance(
    show: Performance, folder: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write a run into `folder` as it is made; return how many messages it has.

    `progress` is called now and then with how many there are, and the time of the last.
    """
    count = 0

    def counted() -> Iterator[Message]:
        nonlocal count
        made = make_messages(show, worth(show.scenario))
        for count, message in enumerate(made, start=1):
            if progress is not None and count % PROGRESS_EVERY == 0:
                progress(count, message.time_us)
            yield message

    _store(folder, counted(), _late(show.truth), show.plan_text)
    return count


def _late(lines: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yield lines that cannot be asked for before the messages are made."""
    yield from lines()


def _store(
    folder: Path, messages: Iterable[Message], truth: Iterable[str], plan_text: str
) -> None:
    """Write a run; the truth last, so that a folder that has one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.jsonl").unlink(missing_ok=True)
    with (folder / "messages.ndjson").open("w", encoding="utf-8") as file:
        file.writelines(_line(message) + "\n" for message in messages)
    (folder / "plan.toml").write_text(plan_text, encoding="utf-8")
    part = folder / "truth.jsonl.part"
    with part.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in truth)
    part.rename(folder / "truth.jsonl")


def _line(message: Message) -> str:
    """Return one line of `messages.ndjson`; what is no text goes in as base64."""
    line = {"topic": message.topic, "time": format_time(message.time_us)}
    try:
        line["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        line["payload_base64"] = b64encode(message.payload).decode()
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False)
