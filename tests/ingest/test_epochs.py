"""A key that was suspended, or lost its state, goes on in a new epoch: none lost or twice."""

import json
from pathlib import Path

import pytest

from ingest.outbox import Outbox
from ingest.pipeline import Courier, Keeper, Processor, open_signers
from ingest.reads import Arrival
from ingest.settings import Settings
from tests.ingest.running import PLAN
from tests.ingest.scene import DAIRY, T0, Ledger, make_folder, read_payload, serving
from tests.ingest.test_operator import tagtrail

S = 1_000_000


class Key:
    """The one key of a folder, and what its ledger says of it."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        ((_, signer),) = open_signers(settings, PLAN).values()
        self.settings, self.ledger, self.kid = settings, ledger, signer.kid
        self.tell(next_seq=0)

    def tell(self, next_seq: int) -> None:
        own: dict[str, object] = {"kid": self.kid.hex(), "iss": DAIRY, "role": "gateway"}
        own |= {"epoch": self.ledger.epochs.get(self.kid, 0), "next_seq": next_seq}
        self.ledger.records = [own | {"suspended": False}]

    def open_epoch(self) -> None:
        self.ledger.open_epoch(self.kid)
        self.tell(next_seq=0)

    def process(self, first: int, count: int) -> None:
        with Keeper(self.settings.folder) as keeper:
            for n in range(first, first + count):
                at = T0 + n * 100 * S
                keeper.keep([Arrival("gate/r", read_payload(n, n * 100), at)])
                with Processor(self.settings, PLAN, clock_us=lambda: at) as processor:  # noqa: B023
                    processor.process()
                    processor.keep_tick(everything=True)
                    processor.process()

    def deliver(self) -> None:
        with Courier(self.settings, self.ledger.url) as courier:
            while True:
                done = courier.deliver()
                if not done.accepted + done.proven:
                    return

    def move(self, code: int = 0) -> str:
        where = ("--dir", self.settings.folder, "--ledger", self.ledger.url)
        return tagtrail("epoch", *where, code=code)

    def places(self) -> list[tuple[int, int]]:
        return [(one.epoch, one.seq) for one in self.ledger.statements]


def test_a_suspended_key_goes_on_once_its_epoch_is_opened(tmp_path: Path) -> None:
    with serving() as ledger:
        key = Key(make_folder(tmp_path / "g"), ledger)
        key.process(0, 2)
        key.deliver()
        ledger.refuse.add(key.kid)
        key.process(2, 3)
        key.deliver()
        with Outbox(key.settings.folder) as outbox:
            assert outbox.parked() == 1
        key.open_epoch()
        assert "goes on in epoch 1: 3 statements signed anew, 0 were" in key.move()
        key.deliver()
        key.process(5, 2)
        key.deliver()
        assert len(ledger.events) == 7
        assert len({json.dumps(one["epcList"]) for one in ledger.events}) == 7
        assert key.places() == [(0, 0), (0, 1), (0, 2), *((1, n) for n in range(5))]
        assert "is in epoch 1 already" in key.move()


def test_what_the_ledger_has_of_the_old_epoch_is_not_said_twice(tmp_path: Path) -> None:
    with serving() as ledger:
        key = Key(make_folder(tmp_path / "g"), ledger)
        key.process(0, 3)
        with Outbox(key.settings.folder) as outbox:
            waiting = outbox.waiting(10)
        for one in waiting[:2]:
            ledger.take(one.submission)  # its answer was lost
        key.open_epoch()
        assert "2 statements signed anew, 2 were in the ledger" in key.move()
        key.deliver()
        assert len(ledger.events) == 3
        assert key.places() == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_folder_that_lost_its_state_begins_anew(tmp_path: Path) -> None:
    with serving() as ledger:
        key = Key(make_folder(tmp_path / "g"), ledger)
        key.process(0, 2)
        key.deliver()
        for path in key.settings.folder.glob("outbox.db*"):
            path.unlink()
        key.open_epoch()
        assert "goes on in epoch 1: 0 statements" in key.move()
        key.process(2, 1)
        key.deliver()
        assert key.places()[-1][0] == 1
        with Outbox(key.settings.folder) as outbox:
            assert outbox.parked() == 0


def test_an_epoch_in_which_somebody_signed_is_not_taken(tmp_path: Path) -> None:
    with serving() as ledger:
        key = Key(make_folder(tmp_path / "g"), ledger)
        key.process(0, 1)
        key.open_epoch()
        key.tell(next_seq=3)
        assert "another gateway goes on with it" in key.move(code=1)


@pytest.mark.parametrize("down", [True, False])
def test_without_an_answer_nothing_is_changed(tmp_path: Path, *, down: bool) -> None:
    with serving() as ledger:
        key = Key(make_folder(tmp_path / "g"), ledger)
        key.process(0, 2)
        key.open_epoch()
        if down:
            ledger.down = True
        else:
            ledger.records = []
        key.move(code=2)
        with Outbox(key.settings.folder) as outbox:
            assert outbox.head(key.kid).epoch == 0
