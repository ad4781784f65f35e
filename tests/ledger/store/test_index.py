"""The index: follows the log, answers from evidence, is made again when it is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.cli.verify import audit_folder
from ledger.disclosure import Submission, WholeEvent, commitment, events_root
from ledger.entry import entry_leaf
from ledger.epcis.parts import split_event
from ledger.gs1.epc import canonical_key
from ledger.provenance.source import Wanted
from ledger.statement import Capture
from ledger.store.database import home_of
from ledger.store.index import Index, open_index
from ledger.store.index_source import IndexReader
from ledger.store.intake import verify_submission
from ledger.store.log import Log
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.note import format_vkey
from tests.crash.victim import make_publisher
from tests.ledger.store.owner import as_owner
from tests.ledger.store.parties import ORIGIN, World

EVENT: dict[str, object] = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:00000000-0000-8000-8000-000000000001",
    "eventTime": "2026-01-01T00:00:00Z",
    "eventTimeZoneOffset": "+00:00",
    "action": "OBSERVE",
    "epcList": ["urn:epc:id:sgtin:9506000.013435.1"],
}
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


LONG = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(3000))
ODD = {
    "eventID": {"eventID": f"urn:x:{LONG}"},
    "bizStep": {"bizStep": f"https://x.example/{LONG}"},
    "disposition": {"disposition": f"https://x.example/{LONG}"},
    "readPoint": {"readPoint": {"id": f"https://x.example/{LONG}"}},
    "bizLocation": {"bizLocation": {"id": f"https://x.example/{LONG}"}},
    "type": {"type": f"Foo{LONG}"},
    "long key": {"epcList": [f"https://x.example/{LONG[:1000]}"]},
    "nul": {"eventID": "urn:\0\1\0", "bizStep": "urn:\1\1", "epcList": ["urn:\0\1"]},
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_no_text_of_an_event_is_too_long_or_too_odd_for_the_index(
    world: World, log: Log, changes: dict[str, object]
) -> None:
    event = WholeEvent(bytes(32), split_event(EVENT | changes))
    raw = world.gateway.say(Capture(2, 1, events_root([commitment(event)])))
    log.append([verify_submission(Submission(raw, (event,)), log.keys())])
    index = open_index(world.folder, log.reader)
    follow(index, log)
    index.close()
    reader = IndexReader(world.folder)
    source = reader.source()
    if "type" not in changes:
        for epc in changes.get("epcList", EVENT["epcList"]):  # type: ignore[attr-defined]
            (found,) = source.events_of([Wanted(key=canonical_key(epc))])
            assert found.event.epc_list == (canonical_key(epc),)
        wanted = str(changes.get("eventID", EVENT["eventID"]))
        (found,) = source.events_by_id([wanted])
        assert found.event.event_id == wanted
    reader.close()
    trust = {"entry0": entry_leaf(log.reader.load_entry(0)).hex(), "origin": ORIGIN}
    key = NoteSigner(ORIGIN, world.log_key.key).key
    policy = f'policy = """\nlog {format_vkey(key)}\nquorum none\n"""\n'
    lines = [f'{name} = "{value}"' for name, value in trust.items()]
    (world.folder / "trust.toml").write_text("\n".join([*lines, policy]))
    make_publisher(world, log).publish(*log.committed)
    report = audit_folder(world.folder, index=True)
    assert 14 not in {finding.check for finding in report.findings}, report.findings


def empty_file(folder: Path) -> None:
    write_over(folder, b"")


def foreign_file(folder: Path) -> None:
    write_over(folder, b"this is no database" * 100)


def write_over(folder: Path, data: bytes) -> None:
    if home_of(folder).url is not None:
        pytest.skip("PostgreSQL keeps its own files")
    for suffix in ("-wal", "-shm"):
        (folder / f"index.db{suffix}").unlink(missing_ok=True)
    (folder / "index.db").write_bytes(data)


def no_progress(folder: Path) -> None:
    with as_owner(folder, "index") as owner:
        owner.execute("DELETE FROM progress")


def too_far(folder: Path) -> None:
    with as_owner(folder, "index") as owner:
        owner.execute("UPDATE progress SET next_idx = 1000")


def no_table(folder: Path) -> None:
    with as_owner(folder, "index") as owner:
        owner.execute("DROP TABLE progress")


def older(folder: Path) -> None:
    with as_owner(folder, "index") as owner:
        if home_of(folder).url is None:
            owner.execute("PRAGMA user_version = 1")
        else:
            owner.execute("COMMENT ON SCHEMA index IS 'tagtrail version 1'")


@pytest.mark.parametrize(
    "damage", [empty_file, foreign_file, no_progress, too_far, no_table, older]
)
def test_an_index_that_cannot_be_used_is_made_again(
    world: World, log: Log, index: Index, damage: Callable[[Path], None]
) -> None:
    follow(index, log)
    index.close()
    damage(world.folder)
    again = open_index(world.folder, log.reader)
    assert again.next_index == 0
    follow(again, log)
    assert again.next_index == log.size
    again.close()
