"""The index: follows the log, answers from evidence, is made again when it is lost."""

from collections.abc import Iterator

import pytest

from ledger.gs1.epc import canonical_key
from ledger.provenance.source import Wanted
from ledger.store.index import INDEX_NAME, Index, open_index
from ledger.store.index_source import IndexReader
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from tests.ledger.store.parties import World

PLACE = canonical_key("urn:epc:id:sgln:9506000.00001.tunnel1")


@pytest.fixture
def index(world: World, log: Log) -> Iterator[Index]:
    log.append(
        [verify_submission(world.gateway.capture(3, epcs=2), log.keys()) for _ in range(4)]
    )
    one = open_index(world.folder, log.reader)
    yield one
    one.close()


def follow(index: Index, log: Log) -> None:
    while index.follow(log.size):
        pass


def test_it_finds_the_events_of_an_item_with_their_evidence(
    world: World, log: Log, index: Index
) -> None:
    follow(index, log)
    reader = IndexReader(world.folder)
    (at_place,) = [
        reader.source().events_of([Wanted(key=PLACE, roles=frozenset({"read_point"}))])
    ]
    known = list(at_place)
    assert len(known) == 12
    item = known[5].event.epc_list[0]
    (found,) = reader.source().events_of([Wanted(key=item)])
    stored = log.reader.load_event(found.pin.index, found.pin.position)
    assert stored is not None
    assert found.pin.commitment == stored.commitment
    assert item in found.event.epc_list
    reader.close()


def test_an_answer_as_known_before_an_entry_leaves_later_events_out(
    world: World, log: Log, index: Index
) -> None:
    follow(index, log)
    reader = IndexReader(world.folder)
    wanted = [Wanted(key=PLACE, roles=frozenset({"read_point"}))]
    counts = [
        len(list(reader.source().events_of(wanted, before_entry=n))) for n in (5, 6, 7, 9)
    ]
    assert counts == [0, 3, 6, 12]
    reader.close()


def test_a_source_shows_what_the_index_held_when_the_question_came(
    world: World, log: Log, index: Index
) -> None:
    follow(index, log)
    reader = IndexReader(world.folder)
    source = reader.source()
    log.append([verify_submission(world.gateway.capture(1), log.keys())])
    follow(index, log)
    wanted = [Wanted(key=PLACE, roles=frozenset({"read_point"}))]
    assert (source.size(), len(list(source.events_of(wanted)))) == (9, 12)
    assert (reader.source().size(), len(list(reader.source().events_of(wanted)))) == (10, 13)
    reader.close()


@pytest.mark.parametrize("damage", [b"", b"this is no database" * 100])
def test_an_index_that_cannot_be_used_is_made_again(
    world: World, log: Log, index: Index, damage: bytes
) -> None:
    follow(index, log)
    index.close()
    for suffix in ("-wal", "-shm"):
        (world.folder / (INDEX_NAME + suffix)).unlink(missing_ok=True)
    (world.folder / INDEX_NAME).write_bytes(damage)
    again = open_index(world.folder, log.reader)
    assert again.next_index == 0
    follow(again, log)
    assert again.next_index == log.size
    again.close()
