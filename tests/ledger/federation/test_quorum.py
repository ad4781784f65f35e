"""A ledger that rivals witness: two of three; split views, rollbacks, dead witnesses."""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ledger.app import Founding, clock_us, create_ledger, open_ledger
from ledger.audit.fork import parse_fork, verify_fork
from ledger.client.exchange import Bounds
from ledger.client.witness import WitnessClient, WitnessUnavailableError
from ledger.config import ServeSettings, find_passphrase, load_trust
from ledger.federation.cosigning import Cosigning
from ledger.federation.forks import find_forks
from ledger.keyfile import load_signer
from ledger.store.log import Log
from ledger.store.publish import Publisher, RollbackError
from ledger.store.witnessed import Witnessed
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.note import Ed25519Signer
from ledger.tlog.policy import PolicyNotMetError, evaluate_policy
from tests.ledger.federation.anchors import say_anchor
from tests.ledger.federation.neighbours import Neighbour, ask_for, neighbours

ORIGIN = "tagtrail.example/witnessed"
WAIT_S = 5.0


class Scene:
    """A ledger, three witnesses of which two have to cosign, and a gateway of the dairy."""

    def __init__(self, folder: Path, witnesses: list[Neighbour]) -> None:
        self.folder = folder
        self.witnesses = witnesses
        self.trust = ask_for(folder, witnesses)
        self.key = load_signer(folder / "keys" / "log.key", find_passphrase(folder))

    def grow(self, log: Log, text: str) -> None:
        """Append what the log itself may say: an anchor of a made-up log named `text`."""
        say_anchor(log, self.key, text)

    def open(self, folder: Path | None = None) -> Log:
        return Log(folder or self.folder, ORIGIN, now_us=clock_us)

    def publish(self, log: Log, **how: object) -> bytes | None:
        """Start, ask the witnesses, sign, and return what is published."""
        with closing(self.cosigning(log, **how)) as cosigning:
            return self.publisher(log, cosigning).publish(*log.committed)

    def cosigning(self, log: Log, **how: object) -> Cosigning:
        return Cosigning(self.trust, log.reader, self.folder, **{"wait_s": WAIT_S, **how})  # type: ignore[arg-type]

    def publisher(self, log: Log, cosigning: Cosigning) -> Publisher:
        return Publisher(
            origin=ORIGIN,
            reader=log.reader,
            signed=log.signed,
            signers=[Ed25519Signer(ORIGIN, self.key)],
            store_checkpoint=log.store_checkpoint,
            endorser=cosigning,
        )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    founded = create_ledger(tmp_path / "log", Founding(origin=ORIGIN))
    with neighbours(tmp_path, founded.vkey) as witnesses:
        yield Scene(tmp_path / "log", witnesses)


def cosigned_sizes(scene: Scene) -> list[int]:
    sizes = []
    for one in scene.witnesses:
        memory = Witnessed(one.folder)
        sizes.append(memory.load_sizes().get(ORIGIN, 0))
        memory.close()
    return sizes


def test_a_checkpoint_is_published_with_the_cosignatures_of_the_quorum(scene: Scene) -> None:
    with closing(scene.open()) as log:
        scene.grow(log, "one")
        note = scene.publish(log)
        assert note is not None
        endorsed = evaluate_policy(scene.trust.policy, parse_signed_checkpoint(note))
        assert endorsed.witnesses == {"north", "south", "west"}
        assert log.reader.load_checkpoint(log.size) == note


def test_one_dead_witness_is_named_and_two_dead_ones_stop_the_publishing(scene: Scene) -> None:
    with closing(scene.open()) as log, closing(scene.cosigning(log)) as cosigning:
        publisher = scene.publisher(log, cosigning)
        scene.grow(log, "one")
        scene.witnesses[0].stop()
        note = publisher.publish(*log.committed)
        assert note is not None
        signed = parse_signed_checkpoint(note)
        assert evaluate_policy(scene.trust.policy, signed).witnesses == {"south", "west"}
        assert cosigning.lacking == ("north",)
        scene.witnesses[1].stop()
        scene.grow(log, "two")
        assert publisher.publish(*log.committed) is None
        assert cosigning.lacking == ("north", "south")
        assert log.reader.load_checkpoint(log.size) is None
        scene.grow(log, "three")  # Statements are taken all the same.
        for one in scene.witnesses[:2]:
            one.start()
        deadline = time.monotonic() + 30
        while (note := publisher.publish(*log.committed)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert parse_signed_checkpoint(note).checkpoint.size == log.size


def test_an_operator_may_choose_to_publish_what_lacks_the_quorum(scene: Scene) -> None:
    with closing(scene.open()) as log:
        scene.grow(log, "one")
        with closing(scene.cosigning(log, publish_lacking=True, wait_s=1.0)) as cosigning:
            assert cosigning.may_sign(log.size)
            for one in scene.witnesses[:2]:
                one.stop()
            note = scene.publisher(log, cosigning).publish(*log.committed)
        assert note is not None
        with pytest.raises(PolicyNotMetError, match="witnessed by west"):
            evaluate_policy(scene.trust.policy, parse_signed_checkpoint(note))


def test_nothing_is_signed_after_a_start_until_the_quorum_agrees(scene: Scene) -> None:
    with closing(scene.open()) as log:
        scene.grow(log, "one")
        before = log.signed.load()
        for one in scene.witnesses[:2]:
            one.stop()
        with closing(scene.cosigning(log)) as cosigning:
            publisher = scene.publisher(log, cosigning)
            assert publisher.publish(*log.committed) is None
            assert not cosigning.is_agreed
            assert log.signed.load() == before, "not even recorded as about to be signed"
            scene.witnesses[0].start()
            deadline = time.monotonic() + 30
            while publisher.publish(*log.committed) is None:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert cosigning.is_agreed


def test_a_log_restored_from_an_old_backup_refuses_to_sign(
    scene: Scene, tmp_path: Path
) -> None:
    with closing(scene.open()) as log:
        scene.publish(log)
    shutil.copytree(scene.folder, tmp_path / "backup")
    with closing(scene.open()) as log:
        scene.grow(log, "one")
        assert scene.publish(log) is not None
    # The whole folder goes back, signed.db too: only the witnesses remember.
    with (
        closing(scene.open(tmp_path / "backup")) as log,
        pytest.raises(RollbackError, match="restored from an old backup"),
    ):
        scene.publish(log)
    shutil.rmtree(scene.folder)
    (tmp_path / "backup").rename(scene.folder)
    with (
        pytest.raises(RollbackError, match="restored from an old backup"),
        open_ledger(scene.folder, ServeSettings()),
    ):
        pass


def test_a_split_view_gets_no_quorum_and_leaves_a_proof(scene: Scene, tmp_path: Path) -> None:
    """The operator keeps two copies of the log and shows each to someone else."""
    with closing(scene.open()) as log:
        scene.publish(log)
    shutil.copytree(scene.folder, tmp_path / "other")
    with closing(scene.open()) as log:
        scene.grow(log, "for the regulator")
        assert scene.publish(log) is not None
    with closing(scene.open(tmp_path / "other")) as log:
        scene.grow(log, "for the customer")
        # A dishonest operator does not ask whether it may sign.
        with closing(scene.cosigning(log)) as cosigning:
            cosigning._may_sign = True
            with pytest.raises(RollbackError, match="another root"):
                scene.publisher(log, cosigning).publish(*log.committed)
        assert log.reader.load_checkpoint(log.size) is None
    # Each honest witness that was shown both can convict the log before anyone.
    proofs = [p.proof for one in scene.witnesses for p in find_forks(one.folder) if p.proof]
    assert len(proofs) == 3
    for proof in proofs:
        verify_fork(parse_fork(proof), scene.trust)


def test_a_split_view_needs_more_colluding_witnesses_than_the_policy_allows(
    scene: Scene, tmp_path: Path
) -> None:
    """One of three colludes: it forgets what it cosigned. Two honest ones are enough."""
    with closing(scene.open()) as log:
        scene.publish(log)
    shutil.copytree(scene.folder, tmp_path / "other")
    shutil.copytree(scene.witnesses[0].folder, tmp_path / "memory")
    with closing(scene.open()) as log:
        scene.grow(log, "for the regulator")
        assert scene.publish(log) is not None
    colluder = scene.witnesses[0]
    colluder.stop()
    shutil.rmtree(colluder.folder)
    shutil.copytree(tmp_path / "memory", colluder.folder)
    colluder.start()
    with (
        closing(scene.open(tmp_path / "other")) as log,
        closing(scene.cosigning(log)) as cosigning,
    ):
        scene.grow(log, "for the customer")
        cosigning._may_sign = True
        for link in cosigning._links:
            link._compare = lambda _: True  # type: ignore[assignment,method-assign]
        note = scene.publisher(log, cosigning).publish(*log.committed)
        assert note is None
        assert set(cosigning.lacking) == {"south", "west"}


def test_a_witness_that_hangs_does_not_hold_up_the_others(scene: Scene) -> None:
    hanging = scene.witnesses[0]
    hanging.stop()
    with (
        socket.create_server(("127.0.0.1", hanging.port)),
        closing(scene.open()) as log,
        closing(scene.cosigning(log, wait_s=3600.0)) as cosigning,
    ):
        scene.grow(log, "one")
        # An hour is for want of a quorum only: this returns, or the test is ended.
        assert scene.publisher(log, cosigning).publish(*log.committed) is not None
        assert cosigning.lacking == ("north",)


def test_a_witness_that_answers_rubbish_is_not_counted(scene: Scene) -> None:
    north, south, _ = scene.witnesses
    north_url, south_url = north.url, south.url
    text = (scene.folder / "trust.toml").read_text()
    # North's line now leads to south: signatures of another key than the policy's.
    (scene.folder / "trust.toml").write_text(text.replace(north_url, south_url))
    scene.trust = load_trust(scene.folder)
    with closing(scene.open()) as log, closing(scene.cosigning(log)) as cosigning:
        scene.grow(log, "one")
        note = scene.publisher(log, cosigning).publish(*log.committed)
        assert note is not None
        assert (
            "north"
            not in evaluate_policy(scene.trust.policy, parse_signed_checkpoint(note)).witnesses
        )
        assert next(s.why for s in cosigning.states if s.name == "north")


def test_the_server_shows_how_its_witnesses_stand(scene: Scene) -> None:
    with open_ledger(scene.folder, ServeSettings(publish_every_s=0.05)) as ledger:
        scene.grow(ledger.log, "one")
        deadline = time.monotonic() + 30
        while (newest := ledger.clockwork.newest_checkpoint()) is None or (
            newest[0] < ledger.log.size
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert {state.size for state in ledger.cosigning.states} == {newest[0]}
    assert cosigned_sizes(scene) == [newest[0]] * 3


def test_a_witness_that_drips_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no progress, and keeps no thread for ever."""
    monkeypatch.setattr(
        "ledger.client.witness._BOUNDS", Bounds(bytes_max=1_000_000, seconds=0.5)
    )
    stopped = threading.Event()

    class Dripping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while not stopped.wait(0.1):
                    self.wfile.write(b"x")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            with (
                WitnessClient(f"http://127.0.0.1:{server.server_port}") as client,
                pytest.raises(WitnessUnavailableError, match="took longer than"),
            ):
                client.fetch_checkpoint(ORIGIN)
        finally:
            stopped.set()
            server.shutdown()
            thread.join()
