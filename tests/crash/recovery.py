"""What must hold of a ledger after any crash: nothing acknowledged is lost, and no fork."""

import copy

from ledger.audit.finding import Result
from ledger.cli.verify import audit_folder
from ledger.entry import parse_entry
from ledger.statement import Erasure, parse_statement
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from tests.crash.victim import ERASED, make_publisher
from tests.ledger.store.parties import World


def check_recovery(world: World, told: list[dict[str, object]]) -> None:
    """Assert that all that was acknowledged is there and that nothing contradicts it."""
    log = world.open()
    try:
        for line in told:
            if line["kind"] == "ack":
                stored = parse_entry(log.reader.load_entry(int(str(line["index"]))))
                assert parse_statement(stored.statement).id.hex() == line["id"]
            if line["kind"] == "note":
                note = log.reader.load_checkpoint(int(str(line["size"])))
                assert note == str(line["note"]).encode()
        check_erasure(log)
        publisher = make_publisher(world, log)
        publisher.publish(*log.committed)
        append_one(world, log)
        publisher.publish(*log.committed)
    finally:
        log.close()
    report = audit_folder(world.folder)
    assert report.result == Result.VERIFIED, (report.findings, report.undecided)


def check_erasure(log: Log) -> None:
    """Assert that the event is there, or that it is gone and its notice is in the log."""
    index, position = ERASED
    (event,) = log.reader.load_events(index)[position : position + 1]
    bodies = [log.statement_at(n).body for n in range(index, log.size)]
    assert (event.data is None) == any(isinstance(body, Erasure) for body in bodies)


def append_one(world: World, log: Log) -> None:
    """Assert that the log goes on after the crash."""
    head = log.state.chains[world.gateway.key.kid]
    gateway = copy.copy(world.gateway)
    gateway.seq, gateway.prev = head.next_seq, head.last_id
    (receipt,) = log.append([verify_submission(gateway.capture(1, label="after"), log.keys())])
    assert getattr(receipt, "index", None) == log.size - 1, receipt
