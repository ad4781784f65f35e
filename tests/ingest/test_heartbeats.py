"""The gateway's own heartbeats: a key that promised one says that it lives, and no more."""

from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from ingest.heartbeats import Heartbeats
from ingest.outbox import Outbox
from ingest.pipeline import Courier, Keeper, Processor, open_signers
from ingest.reads import Arrival
from ingest.settings import Settings, load_settings
from ledger.errors import ParseError
from ledger.statement import Capture, Statement
from ledger.tlog.merkle import EMPTY_ROOT
from tests.ingest.running import PLAN
from tests.ingest.scene import DAIRY, FARM, T0, Ledger, make_folder, read_payload, serving

S = 1_000_000


class Folder:
    """A gateway's folder whose keys promised a heartbeat; `now_us` is its clock."""

    def __init__(self, folder: Path, *promises: int) -> None:
        settings = make_folder(folder, *(DAIRY, FARM)[: len(promises)])
        keys = tuple(
            replace(key, heartbeat_s=promise)
            for key, promise in zip(settings.keys, promises, strict=True)
        )
        self.settings: Settings = replace(settings, keys=keys)
        self.signers = open_signers(settings, PLAN)
        self.now_us = T0
        self.heartbeats = self.open()

    def open(self) -> Heartbeats:
        return Heartbeats(self.settings, self.signers, lambda: self.now_us)

    def said(self, later: float) -> int:
        self.now_us += round(later * S)
        return self.heartbeats.say_if_due()

    def deliver(self, ledger: Ledger) -> None:
        with Courier(self.settings, ledger.url) as courier:
            while courier.deliver().accepted:
                pass

    def process(self, payload: bytes) -> None:
        with Keeper(self.settings.folder) as keeper:
            keeper.keep([Arrival("gate/r", payload, self.now_us)])
        with Processor(
            self.settings, PLAN, signers=self.signers, clock_us=lambda: self.now_us
        ) as processor:
            processor.process()
            processor.keep_tick(everything=True)
            processor.process()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.heartbeats.__exit__()


def heartbeats(statements: list[Statement]) -> list[Statement]:
    return [one for one in statements if isinstance(one.body, Capture) and not one.body.count]


def test_a_key_that_said_nothing_for_its_heartbeat_says_that_it_lives(tmp_path: Path) -> None:
    with serving() as ledger, Folder(tmp_path / "g", 600) as folder:
        said = []
        for later in (0, 599, 1, 599, 1):
            said.append(folder.said(later))
            folder.deliver(ledger)
        assert said == [1, 0, 1, 0, 1]
        beats = heartbeats(ledger.statements)
        assert [one.seq for one in beats] == [0, 1, 2]
        assert [one.iat for one in beats] == [T0 // S, T0 // S + 600, T0 // S + 1_200]
        assert all(one.body == Capture(2, 0, EMPTY_ROOT) for one in beats)
        assert ledger.events == []


def test_what_a_key_says_otherwise_stands_for_its_heartbeat(tmp_path: Path) -> None:
    with serving() as ledger, Folder(tmp_path / "g", 600) as folder:
        folder.process(read_payload(1, 0))
        folder.deliver(ledger)
        assert folder.said(599) == 0
        folder.process(read_payload(2, 599))
        folder.deliver(ledger)
        assert folder.said(599) == 0
        assert folder.said(1) == 1
        folder.deliver(ledger)
        assert len(heartbeats(ledger.statements)) == 1
        folder.process(read_payload(3, 1_200))
        folder.deliver(ledger)
        seqs = [one.seq for one in ledger.statements]
        assert seqs == list(range(len(seqs))), "the chain goes on through the heartbeat"


def test_a_heartbeat_does_not_wait_behind_others_of_its_key(tmp_path: Path) -> None:
    with serving() as ledger, Folder(tmp_path / "g", 600) as folder:
        ledger.down = True
        assert folder.said(0) == 1
        for _ in range(100):
            folder.deliver(ledger)
            assert folder.said(600) == 0, "one waits already"
        ledger.down = False
        folder.deliver(ledger)
        assert folder.said(1) == 1
        folder.deliver(ledger)
        assert [one.seq for one in ledger.statements] == [0, 1]


def test_a_parked_key_signs_no_heartbeats(tmp_path: Path) -> None:
    with serving() as ledger, Folder(tmp_path / "g", 600) as folder:
        ledger.refuse |= {signer.kid for _, signer in folder.signers.values()}
        folder.said(0)
        folder.deliver(ledger)
        assert [folder.said(600) for _ in range(5)] == [0] * 5


def test_each_key_has_its_own_promise_and_one_without_says_nothing(tmp_path: Path) -> None:
    with serving() as ledger, Folder(tmp_path / "g", 60, 0) as folder:
        for _ in range(5):
            folder.said(60)
            folder.deliver(ledger)
        kid = folder.signers[next(iter(folder.signers))][1].kid
        assert {one.iss for one in ledger.statements} == {DAIRY}
        assert {one.kid for one in ledger.statements} == {kid}


@pytest.mark.parametrize("step", [3_600, -3_600])
def test_a_clock_that_was_set_stops_no_heartbeat(tmp_path: Path, step: int) -> None:
    with serving() as ledger, Folder(tmp_path / "g", 600) as folder:
        folder.said(0)
        folder.deliver(ledger)
        said = []
        for later in (step, 599, 1):
            said.append(folder.said(later))
            folder.deliver(ledger)
        assert said == [1, 0, 1]


def test_a_restart_says_nothing_before_its_time(tmp_path: Path) -> None:
    with serving() as ledger, Folder(tmp_path / "g", 600) as folder:
        folder.said(0)
        folder.deliver(ledger)
        for _ in range(5):
            with folder.open() as again:
                assert again.say_if_due() == 0
        folder.now_us += 600 * S
        with folder.open() as again:
            assert again.say_if_due() == 1
        with Outbox(folder.settings.folder) as outbox:
            assert outbox.said_us(ledger.statements[0].kid) == folder.now_us


@pytest.mark.parametrize("text", ["-1", '"60"', "60.5", "99999999"])
def test_a_promise_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "g"
    make_folder(folder)
    settings = folder / "gateway.toml"
    settings.write_text(settings.read_text() + f"heartbeat_s = {text}\n")
    with pytest.raises(ParseError, match="heartbeat_s"):
        load_settings(folder)
