"""A gateway that dies between any two writes, and its successor: nothing lost, nothing twice.

The pipeline is crashed at each stage of each step by an exception; what is in memory is
thrown away, the next one opens the same folder and goes on. At the end the ledger must hold
the events of a run that nobody disturbed.
"""

import functools
import itertools
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ingest.drafts import Event
from ingest.health import read_health
from ingest.pipeline import Courier, Keeper, Processor, Signers, open_signers
from ingest.reads import Arrival
from ingest.settings import Settings, load_settings
from tests.ingest.scene import STATION, T0, Ledger, make_folder, plan_of, read_payload, serving
from tests.ingest.test_site import FILL, LOT, OBJECT, SENSOR, batch, sample, start

PLAN = plan_of(STATION, OBJECT, FILL, SENSOR)
STAGES_MIN = 40


class KilledError(BaseException):
    """The moment at which the process dies."""


class Killer:
    """Lets `count` stages pass and kills at the next one; its clock goes on over death."""

    clock = itertools.count(T0 + 60_000_000, 1_000)

    def __init__(self, count: int | None, signers: Signers) -> None:
        self.left = count
        self.signers = signers
        self.passed: Counter[str] = Counter()

    def processor(self, settings: Settings) -> Processor:
        return Processor(
            settings,
            PLAN,
            signers=self.signers,
            clock_us=lambda: next(self.clock),
            stage=self,
        )

    def __call__(self, stage: str) -> None:
        if self.left == 0:
            self.left = None
            raise KilledError(stage)
        if self.left is not None:
            self.left -= 1
        self.passed[stage] += 1


def deliveries() -> Iterator[list[Arrival]]:
    """Yield what a broker sends, group by group: reads, line, samples, rubbish, repeats."""
    first = [Arrival("gate/r", read_payload(n, n / 2), T0 + n) for n in range(6)]
    yield [Arrival("gate/line", start(0).payload, T0), *first]
    yield [Arrival("gate/r", b"rubbish", T0), *first[:2], Arrival("gate/r", b'["ZZ"]', T0)]
    yield [Arrival("gate/line", batch("end", 4).payload, T0 + 9)]
    yield [Arrival("trucks/7", sample(4.0, n).payload, T0) for n in range(4)]
    yield [Arrival("gate/r", read_payload(9, 60), T0)]
    yield [Arrival("gate/line", str(LOT).replace("'", '"').encode(), T0)]


def live(
    settings: Settings, ledger: Ledger, killer: Killer, waiting: list[list[Arrival]]
) -> None:
    """Run a gateway over what a broker still has in `waiting`, to the end or to its death.

    A group leaves `waiting` when it is acknowledged: after the inbox has it.
    """
    folder = settings.folder
    with (
        Keeper(folder, stage=killer) as keeper,
        Processor(
            settings,
            PLAN,
            signers=killer.signers,
            clock_us=lambda: next(killer.clock),
            stage=killer,
        ) as processor,
        Courier(settings, ledger.url, stage=killer) as courier,
    ):
        work(processor, courier)
        while waiting:
            keeper.keep(waiting[0])
            waiting.pop(0)
            work(processor, courier)
        while processor.tick_if_due():
            work(processor, courier)


def work(processor: Processor, courier: Courier) -> None:
    while processor.process():
        courier.deliver()
    courier.deliver()


def identities(events: Sequence[Event]) -> list[object]:
    return sorted(str(event["eventID"]) for event in events)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a gateway's folder with its key and its secret, never run."""
    folder = tmp_path_factory.mktemp("gateway") / "g"
    settings = make_folder(folder)
    Processor(settings, PLAN).close()
    return folder


@functools.cache
def signers_of(folder: Path) -> Signers:
    return open_signers(load_settings(folder), PLAN)


def run(pristine: Path, folder: Path, deaths: Sequence[int]) -> tuple[list[Event], Killer]:
    """Run on a copy of `pristine`, dying after so many stages each time; then undisturbed."""
    shutil.copytree(pristine, folder)
    waiting = list(deliveries())
    signers = signers_of(pristine)
    killer = Killer(None, signers)
    with serving() as ledger:
        for count in (*deaths, None):
            killer = Killer(count, signers)
            try:
                live(load_settings(folder), ledger, killer, waiting)
            except KilledError:
                continue
            break
        health = read_health(folder)
        assert health.is_settled
        assert health.messages == 16
        assert health.faults == 2
        assert health.entries == len(ledger.statements)
        assert health.events == len(ledger.events)
        assert [s.seq for s in ledger.statements] == list(range(len(ledger.statements)))
        return ledger.events, killer


def test_a_death_at_any_stage_changes_no_event(pristine: Path, tmp_path: Path) -> None:
    expected, killer = run(pristine, tmp_path / "calm", [])
    stages = sum(killer.passed.values())
    assert stages >= STAGES_MIN
    assert len(expected) >= 5
    for count in range(stages):
        folder = tmp_path / f"killed-{count}"
        events, _ = run(pristine, folder, [count])
        assert identities(events) == identities(expected), f"killed after {count} stages"
        shutil.rmtree(folder)


def test_death_after_death_changes_no_event(pristine: Path, tmp_path: Path) -> None:
    expected, _ = run(pristine, tmp_path / "calm", [])
    events, _ = run(pristine, tmp_path / "often", [1, 3, 2, 0, 4, 5, 3, 6, 2, 7, 1, 1, 8, 3])
    assert identities(events) == identities(expected)
    by_id = {event["eventID"]: event for event in events}
    assert len(by_id) == len(events)
    assert by_id == {event["eventID"]: event for event in expected}
