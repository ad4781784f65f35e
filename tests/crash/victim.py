"""The process that is killed: appends and publishes on a disk that fails at one step.

It runs in a fork, says on a pipe what it is doing and what it has acknowledged, and ends
the way a server does: with 70 when storage fails, or not at all when it is killed.
"""

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ledger.disclosure import Submission
from ledger.errors import TagtrailError
from ledger.statement import NO_HASH, Erasure
from ledger.store.batch import Receipt
from ledger.store.intake import VerifiedSubmission, verify_submission
from ledger.store.log import Log
from ledger.store.publish import Publisher
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.note import Ed25519Signer, format_vkey
from tests.crash.faulty_vfs import Fault, FaultyVfs, load_library
from tests.ledger.store.parties import ORIGIN, World

EXIT_STORAGE = 70
BATCHES = (1, 3, 2)
# The last batch gives notice that this event is erased: the first that the gateway captured.
ERASED = (5, 0)


@dataclass
class Plot:
    """A closed ledger to copy, and the batches that the victim will append to it."""

    world: World
    batches: list[list[VerifiedSubmission]]
    steps: int = 0


def make_publisher(world: World, log: Log) -> Publisher:
    """Return what signs the checkpoints of `log`."""
    return Publisher(
        origin=ORIGIN,
        reader=log.reader,
        signed=log.signed,
        signers=[Ed25519Signer(ORIGIN, world.log_key.key)],
        store_checkpoint=log.store_checkpoint,
    )


def make_plot(
    folder: Path, entries: int, *, database: str | None = None, events: int = 1
) -> Plot:
    """Return a plot over a new log of at least `entries` entries.

    Its batches are of statements of so many `events`.
    """
    folder.mkdir()
    world = World(folder, database=database).found()
    log = world.open()
    while log.size < entries:
        log.append([verify_submission(world.gateway.capture(1), log.keys())])
    make_publisher(world, log).publish(*log.committed)
    after = copy.deepcopy(world.gateway)
    batches = [
        [verify_submission(after.capture(events), log.keys()) for _ in range(size)]
        for size in BATCHES
    ]
    notice = Submission(after.say(Erasure((ERASED,), 1, NO_HASH)), ())
    batches.append([verify_submission(notice, log.keys())])
    (folder / "trust.toml").write_text(_trust_of(world, log.reader.load_entry(0)))
    log.close()
    return Plot(world, batches)


def _trust_of(world: World, entry0: bytes) -> str:
    vkey = format_vkey(Ed25519Signer(ORIGIN, world.log_key.key).key)
    return (
        f'origin = "{ORIGIN}"\nentry0 = "{leaf_hash(entry0).hex()}"\n'
        f'policy = """\nlog {vkey}\nquorum none\n"""\n'
    )


def live(plot: Plot, folder: Path, tell: Callable[..., None]) -> None:
    """Open the log in `folder`, append every batch, publish after each, close."""
    world = replace(plot.world, folder=folder)
    tell("stage", name="open")
    log = world.open()
    publisher = make_publisher(world, log)
    for number, batch in enumerate(plot.batches):
        tell("stage", name=f"append {number}")
        for outcome in log.append(batch):
            assert isinstance(outcome, Receipt), outcome
            tell("ack", index=outcome.index, id=outcome.statement_id.hex())
        tell("stage", name=f"publish {number}")
        note = publisher.publish(*log.committed)
        tell("note", size=log.size, note=note.decode())
    tell("stage", name="close")
    log.close()
    tell("end")


def run_victim(plot: Plot, folder: Path, blow: tuple[int, Fault], pipe: int) -> None:
    """Live in `folder` through the fault at the step of `blow` (0: none); never returns."""
    code = EXIT_STORAGE
    try:
        library = load_library()
        assert library is not None
        vfs = FaultyVfs(library)

        def tell(kind: str, **said: object) -> None:
            line = json.dumps({"kind": kind, "steps": vfs.steps, **said}) + "\n"
            os.write(pipe, line.encode())

        vfs.report = lambda step: tell("fault", call=step.call, file=step.file)
        vfs.arm(*blow)
        live(plot, folder, tell)
        code = 0
    except (OSError, TagtrailError):
        pass  # Nothing more is acknowledged.
    finally:
        os._exit(code)


def fork_victim(
    plot: Plot, folder: Path, blow: tuple[int, Fault]
) -> tuple[int, list[dict[str, object]]]:
    """Let a victim live in a copy of the plot's ledger, made at `folder`.

    Return how it ended, as `waitpid` says it, and all it has told.
    """
    copy_folder(plot.world.folder, folder)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        run_victim(plot, folder, blow, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        lines = told.read().splitlines()
    _, status = os.waitpid(pid, 0)
    return status, [json.loads(line) for line in lines]


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files of a closed ledger."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file():
            (target / file.name).write_bytes(file.read_bytes())
