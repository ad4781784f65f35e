"""What is kept of events: the same as a new reading gives, bounded, gone with an erasure."""

from collections.abc import Iterator

import pytest

from ledger.gs1.epc import canonical_key
from ledger.provenance.source import Wanted
from ledger.store.index import open_index
from ledger.store.index_cache import EventCache
from ledger.store.index_source import IndexReader
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from tests.ledger.provenance.fakes import commission, item, ledger_of
from tests.ledger.store.owner import as_owner
from tests.ledger.store.parties import World

PLACE = canonical_key("urn:epc:id:sgln:9506000.00001.tunnel1")
HERE = [Wanted(key=PLACE, roles=frozenset({"read_point"}))]


@pytest.fixture
def reader(world: World, log: Log) -> Iterator[IndexReader]:
    submissions = [world.gateway.capture(3, epcs=2) for _ in range(4)]
    log.append([verify_submission(one, log.keys()) for one in submissions])
    index = open_index(world.folder, log.reader)
    while index.follow(log.size):
        pass
    one = IndexReader(world.folder)
    yield one
    one.close()
    index.close()


def test_an_event_that_is_kept_is_the_event_that_was_read(reader: IndexReader) -> None:
    first = list(reader.source().events_of(HERE))
    assert len(first) == 12
    assert [id(one) for one in reader.source().events_of(HERE)] == [id(one) for one in first]


def test_an_erased_event_leaves_every_later_answer(world: World, reader: IndexReader) -> None:
    erased, *others = reader.source().events_of(HERE)
    with as_owner(world.folder) as owner:
        owner.execute("INSERT INTO notice VALUES (?, 0)", (erased.pin.eid,))
        owner.execute("UPDATE event SET data = NULL WHERE eid = ?", (erased.pin.eid,))
    assert [one.pin.eid for one in reader.source().events_of(HERE)] == [
        one.pin.eid for one in others
    ]
    assert len(reader._loader.cache) == 11


def test_what_the_eraser_names_is_forgotten_at_once(reader: IndexReader) -> None:
    one, *_ = reader.source().events_of(HERE)
    reader.forget([one.pin.eid])
    assert len(reader._loader.cache) == 11


def test_the_least_recently_asked_for_leaves_first() -> None:
    source = ledger_of(*(commission(f"{n} 08:00", item(n)) for n in range(1, 5)))
    events = [known for entry in source.entries for known, _ in entry]
    cache = EventCache(bytes_max=300)
    cache.keep([(known, 100) for known in events[:3]])
    cache.find([events[0].pin.eid])
    cache.keep([(events[3], 100)])
    assert list(cache.find(known.pin.eid for known in events)) == [
        events[n].pin.eid for n in (0, 2, 3)
    ]


def test_a_limit_takes_the_newest_and_reads_no_more_rows_than_that(
    reader: IndexReader,
) -> None:
    source = reader.source()
    everything = sorted(source.events_of(HERE), key=lambda one: one.event.event_time_us)
    few = list(reader.source().events_of(HERE, limit=3))
    instants = {one.event.event_time_us for one in few}
    assert len(few) > 3
    assert few == [one for one in everything if one.event.event_time_us in instants]
