"""The clockwork: it publishes when there is news, looks again when idle, and ends on doubt."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.config import ServeSettings
from ledger.errors import VerificationError
from ledger.jobs import Clockwork
from ledger.store.index import Index, open_index
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from ledger.store.publish import Publisher
from ledger.tlog.merkle import Hash, TreeSize
from ledger.tlog.note import Ed25519Signer
from tests.ledger.store.parties import ORIGIN, World

ANSWER_S = 20
SOON = ServeSettings(publish_every_s=0.01, follow_every_s=0.01)


class WatchedPublisher(Publisher):
    """A real publisher that tells how often it was asked, and may come to doubt."""

    calls = 0
    doubts = False

    def __init__(self, log: Log, world: World) -> None:
        super().__init__(
            origin=ORIGIN,
            reader=log.reader,
            signed=log.signed,
            signers=[Ed25519Signer(ORIGIN, world.log_key.key)],
            store_checkpoint=log.store_checkpoint,
        )
        self.asked = threading.Condition()

    def publish(self, size: TreeSize, root: Hash) -> bytes:
        """Publish, and count."""
        with self.asked:
            self.calls += 1
            self.asked.notify_all()
        if self.doubts:
            raise VerificationError("storage gives back something else")
        return super().publish(size, root)

    def wait_for(self, calls: int) -> None:
        """Wait until it was asked so often."""
        with self.asked:
            assert self.asked.wait_for(lambda: self.calls >= calls, ANSWER_S)


@dataclass
class Scene:
    """A log with a clockwork that is not running yet."""

    world: World
    log: Log
    publisher: WatchedPublisher
    index: Index
    ended: list[int] = field(default_factory=list)

    def start(self, settings: ServeSettings) -> Clockwork:
        """Start the clockwork."""
        return Clockwork(
            self.log, self.publisher, self.index, settings, end_process=self.ended.append
        )

    def grow(self) -> None:
        """Append a statement."""
        self.log.append([verify_submission(self.world.gateway.capture(1), self.log.keys())])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    world = World(tmp_path).found()
    log = world.open()
    index = open_index(tmp_path, log.reader)
    yield Scene(world, log, WatchedPublisher(log, world), index)
    index.close()
    log.close()


def test_news_is_published_and_stopping_publishes_the_rest(scene: Scene) -> None:
    clockwork = scene.start(SOON)
    scene.publisher.wait_for(1)
    scene.grow()
    scene.publisher.wait_for(2)
    scene.grow()
    clockwork.stop()
    newest = clockwork.newest_checkpoint()
    assert newest is not None
    assert (newest[0], newest[1]) == (7, scene.log.reader.load_checkpoint(7))


def test_without_news_nothing_is_published_until_it_is_time_to_look_again(scene: Scene) -> None:
    clockwork = scene.start(SOON)
    scene.publisher.wait_for(1)
    assert not threading.Event().wait(0.3)
    assert scene.publisher.calls == 1
    clockwork.stop()


def test_an_idle_log_is_looked_at_again_on_time(scene: Scene) -> None:
    clockwork = scene.start(ServeSettings(publish_every_s=0.01, publish_idle_s=0.02))
    scene.publisher.wait_for(4)
    clockwork.stop()
    assert scene.log.reader.load_newest_checkpoint() == clockwork.newest_checkpoint()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_nothing_may_be_signed_the_process_ends_with_70(scene: Scene) -> None:
    scene.publisher.doubts = True
    clockwork = scene.start(SOON)
    scene.publisher.wait_for(1)
    with pytest.raises(VerificationError):
        clockwork.stop()
    assert set(scene.ended) == {70}
    assert clockwork.newest_checkpoint() is None
