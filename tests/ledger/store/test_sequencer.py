"""The sequencer: order, receipts, back-pressure, and the end when storage fails."""

import threading
from collections.abc import Iterator

import pytest

from ledger.disclosure import CommitmentError, Submission
from ledger.errors import ParseError, RefusedError
from ledger.store.batch import Receipt
from ledger.store.dialect import StorageError
from ledger.store.log import Log
from ledger.store.sequencer import BusyError, Sequencer, SequencerLimits
from tests.ledger.store.owner import as_owner
from tests.ledger.store.parties import DAIRY, Source, World

ANSWER_S = 20


@pytest.fixture
def sequencer(log: Log) -> Iterator[Sequencer]:
    one = Sequencer(log)
    yield one
    one.stop()


def test_what_is_submitted_first_is_appended_first(world: World, sequencer: Sequencer) -> None:
    futures = [sequencer.submit(world.gateway.capture(1)) for _ in range(400)]
    assert [one.result(ANSWER_S).index for one in futures] == list(range(5, 405))


def test_a_receipt_comes_after_the_entry_is_durable(
    world: World, log: Log, sequencer: Sequencer
) -> None:
    receipt = sequencer.submit(world.gateway.capture(1)).result(ANSWER_S)
    assert receipt.index < log.reader.load_size()


def test_each_bad_submission_fails_by_itself_and_in_its_own_way(
    world: World, sequencer: Sequencer
) -> None:
    good = world.gateway.capture(2)
    forged = Submission(good.statement[:-1] + bytes([good.statement[-1] ^ 1]), good.events)
    stranger = Source("stranger", DAIRY).capture(1)
    answers = sequencer.submit_all(
        [
            Submission(b"nothing", ()),
            Submission(good.statement, good.events[:1]),
            forged,
            stranger,
            good,
        ]
    ).result(ANSWER_S)
    assert [type(answer) for answer in answers[:2]] == [ParseError, CommitmentError]
    assert [answer.check for answer in answers[2:4] if isinstance(answer, RefusedError)] == [
        "signature",
        "kid",
    ]
    assert isinstance(answers[4], Receipt)
    assert answers[4].index == 5


def test_a_lone_bad_submission_fails_as_itself(sequencer: Sequencer) -> None:
    with pytest.raises(ParseError):
        sequencer.submit(Submission(b"nothing", ())).result(ANSWER_S)
    assert sequencer.waiting == 0


def test_a_full_queue_is_busy_before_any_work_is_done(world: World, log: Log) -> None:
    sequencer = Sequencer(log, SequencerLimits(queue_submissions_max=3))
    submissions = [world.gateway.capture(1) for _ in range(4)]
    with pytest.raises(BusyError):
        sequencer.submit_all(submissions)
    assert sequencer.waiting == 0
    assert len(sequencer.submit_all(submissions[:3]).result(ANSWER_S)) == 3
    sequencer.stop()
    with pytest.raises(BusyError, match="stopping"):
        sequencer.submit(submissions[3])


def test_stopping_answers_everything_that_was_taken(world: World, log: Log) -> None:
    sequencer = Sequencer(log)
    futures = [sequencer.submit(world.gateway.capture(1)) for _ in range(100)]
    sequencer.stop()
    assert [one.done() for one in futures] == [True] * 100
    assert (log.size, sequencer.waiting, sequencer.is_taking) == (105, 0, False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_storage_fails_nothing_is_acknowledged_and_the_process_ends_with_70(
    world: World, log: Log
) -> None:
    ended: list[int] = []
    done = threading.Event()

    def end_process(code: int) -> None:
        ended.append(code)
        done.set()

    sequencer = Sequencer(log, end_process=end_process)
    with as_owner(world.folder) as owner:
        owner.execute("DROP TABLE event")
    future = sequencer.submit(world.gateway.capture(1))
    assert done.wait(ANSWER_S)
    assert ended == [70]
    assert isinstance(future.exception(ANSWER_S), StorageError)
    sequencer.stop()
