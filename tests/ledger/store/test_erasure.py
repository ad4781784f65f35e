"""Events are erased: after notice and never without, in files and in answers, for good."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.audit.bundle_report import report_bundle
from ledger.audit.finding import Result
from ledger.audit.report import Report
from ledger.audit.trustfile import parse_trust
from ledger.bundle import encode_bundle
from ledger.cli.verify import audit_folder
from ledger.disclosure import encode_event
from ledger.errors import RefusedError
from ledger.statement import Erasure
from ledger.store.bundles import load_signed, take_bundle
from ledger.store.erasure import erase_noticed, finish_erasures
from ledger.store.index import open_index
from ledger.store.log import Log
from tests.attacks.ledgers import (
    BuiltLedger,
    Clock,
    digest,
    event,
    found_ledger,
    paper,
)
from tests.ledger.memory_log import ORIGIN
from tests.ledger.store.owner import as_owner, drop_guard, read_values
from tests.postgres import Cluster

FIRST, SECOND = 5, 6


@pytest.fixture
def ledger(tmp_path: Path, database: str | None) -> Iterator[BuiltLedger]:
    """Return a ledger with three events in entry 5 and two, made of a document, in entry 6."""
    made = found_ledger(tmp_path / "ledger", database=database)
    made.capture(made.gateway, [event(1, k) for k in range(3)])
    cited = [event(2, k, cites=paper(2)) for k in range(2)]
    made.capture(made.gateway, cited, paper(2))
    made.publish()
    yield made
    made.close()


def erase(ledger: BuiltLedger, *places: tuple[int, int]) -> int:
    return ledger.say(ledger.gateway, Erasure(places, 1, digest(0)))


def follow(ledger: BuiltLedger, until: int | None = None) -> None:
    index = open_index(ledger.folder, ledger.log.reader)
    while index.follow(until or ledger.log.size):
        pass
    index.close()


def audit(ledger: BuiltLedger) -> Report:
    ledger.publish()
    ledger.close()
    return audit_folder(ledger.folder, index=True)


def test_an_erased_event_leaves_its_commitment_and_nothing_else(ledger: BuiltLedger) -> None:
    before = ledger.log.reader.load_events(FIRST)
    follow(ledger)
    erase(ledger, (FIRST, 1))
    after = ledger.log.reader.load_events(FIRST)
    assert [one.data is None for one in after] == [False, True, False]
    assert [one.commitment for one in after] == [one.commitment for one in before]
    follow(ledger)
    report = audit(ledger)
    assert report.result is Result.VERIFIED, report.findings
    assert (report.summary.events.erased, report.summary.events.missing) == (1, 0)


def held(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def needles() -> list[bytes]:
    gone = event(1, 1)
    assert gone.parts[2] is not None
    return [gone.event_key, gone.parts[2], b"/01/09506000134352/21/9"]


@pytest.mark.parametrize("database", [None])
def test_no_byte_of_it_is_left_in_the_files(ledger: BuiltLedger) -> None:
    follow(ledger)
    assert all(needle in held(ledger.folder) for needle in needles()[:2])
    erase(ledger, (FIRST, 1))
    follow(ledger)
    ledger.close()
    assert [needle for needle in needles() if needle in held(ledger.folder)] == []


def test_once_the_server_has_cleaned_up_no_byte_of_it_is_left_in_its_tables(
    tmp_path: Path, postgres: Cluster, postgres_url: str
) -> None:
    ledger = found_ledger(tmp_path / "ledger", database=postgres_url)
    ledger.capture(ledger.gateway, [event(1, k) for k in range(3)])
    follow(ledger)
    with as_owner(ledger.folder) as owner:
        ((oid,),) = owner.execute(
            "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
        ).fetchall()
        files = postgres.data / "base" / str(oid)
        owner.execute("CHECKPOINT")
        assert all(needle in held(files) for needle in needles()[:2])
        erase(ledger, (FIRST, 1))
        follow(ledger)
        ledger.close()
        for table in ("evidence.event", "evidence.document", "index.event", "index.key"):
            owner.execute(f"VACUUM FULL {table}")
        owner.execute("VACUUM FULL index.mention")
        owner.execute("CHECKPOINT")
    assert [needle for needle in needles() if needle in held(files)] == []


def test_the_rows_of_its_neighbours_are_those_of_a_rebuild(ledger: BuiltLedger) -> None:
    follow(ledger)
    erase(ledger, (FIRST, 0), (SECOND, 1))
    follow(ledger)
    rows = read_values(ledger.folder, "SELECT eid >> 17, eid & 131071 FROM event", "index")
    assert sorted(rows) == [(FIRST, 1), (FIRST, 2), (SECOND, 0)]
    unused = "SELECT text FROM key WHERE id NOT IN (SELECT key FROM mention)"
    assert read_values(ledger.folder, unused, "index") == []
    assert audit(ledger).result is Result.VERIFIED


def test_an_index_that_is_behind_the_notice_is_no_finding(ledger: BuiltLedger) -> None:
    follow(ledger)
    erase(ledger, (FIRST, 0))
    erase(ledger, (FIRST, 2))
    follow(ledger, until=8)  # The first notice, not the second.
    report = audit(ledger)
    assert report.result is Result.VERIFIED, report.findings


def test_rows_that_outlive_the_notice_are_a_finding(ledger: BuiltLedger) -> None:
    follow(ledger)
    select = f"SELECT * FROM event WHERE eid = {FIRST} << 17 | 1"
    (row,) = read_values(ledger.folder, select, "index")
    erase(ledger, (FIRST, 1))
    follow(ledger)
    with as_owner(ledger.folder, "index") as owner:
        owner.execute(f"INSERT INTO event VALUES ({', '.join('?' * len(row))})", row)
    report = audit(ledger)
    assert [(one.check, one.index) for one in report.findings] == [(14, FIRST)]


def test_a_document_goes_with_the_first_of_its_events(ledger: BuiltLedger) -> None:
    select = "SELECT data FROM document"
    assert read_values(ledger.folder, select) == [(paper(2),)]
    erase(ledger, (SECOND, 0))
    assert read_values(ledger.folder, select) == [(None,)]
    follow(ledger)
    assert audit(ledger).result is Result.VERIFIED


def test_a_document_of_two_statements_goes_with_an_event_of_either(
    ledger: BuiltLedger,
) -> None:
    again = [event(3, k, cites=paper(2)) for k in range(2)]
    ledger.capture(ledger.gateway, again, paper(2))
    erase(ledger, (7, 0), (7, 1))
    follow(ledger)
    assert read_values(ledger.folder, "SELECT data FROM document") == [(None,)]
    assert audit(ledger).result is Result.VERIFIED


def test_old_bundles_and_new_ones_stay_valid(ledger: BuiltLedger) -> None:
    reader = ledger.log.reader
    old = take_bundle(reader, load_signed(reader), [(FIRST, 1), (FIRST, 2)], ())
    erase(ledger, (FIRST, 1))
    ledger.publish()
    new = take_bundle(reader, load_signed(reader), [(FIRST, 1), (FIRST, 2)], ())
    assert [one.position for one in new.events] == [2]
    trust = parse_trust((ledger.folder / "trust.toml").read_bytes())
    for bundle in (old, new):
        report = report_bundle(encode_bundle(bundle), trust, target="bundle")
        assert report.result is Result.VERIFIED, report.findings
    ledger.close()


def test_a_crash_after_the_notice_is_made_good_at_the_next_start(
    ledger: BuiltLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> int:
        raise KeyboardInterrupt

    follow(ledger)
    monkeypatch.setattr("ledger.store.log.erase_noticed", crash)
    with pytest.raises(KeyboardInterrupt):
        erase(ledger, (FIRST, 1))
    ledger.close()
    monkeypatch.undo()
    kept = f"SELECT data FROM event WHERE eid = {FIRST} << 17 | 1"
    assert read_values(ledger.folder, kept) == [(encode_event(event(1, 1)),)]
    assert read_values(ledger.folder, "SELECT idx FROM notice") == [(7,)]
    ledger.log = Log(ledger.folder, ORIGIN, now_us=Clock())
    assert read_values(ledger.folder, kept) == [(None,)]
    assert ledger.log.size == 8
    follow(ledger)
    ledger.close()
    assert audit_folder(ledger.folder, index=True).result is Result.VERIFIED


def test_what_a_crash_left_is_also_made_good_before_the_index_follows(
    ledger: BuiltLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.log.erase_noticed", lambda _: 0)
    erase(ledger, (FIRST, 1), (FIRST, 2))
    ledger.close()
    assert finish_erasures(ledger.folder) == 2
    assert finish_erasures(ledger.folder) == 0


def test_a_refused_notice_erases_nothing(ledger: BuiltLedger) -> None:
    with pytest.raises(AssertionError) as refused:
        ledger.say(ledger.farm, Erasure(((FIRST, 1),), 1, digest(0)))
    assert isinstance(refused.value.args[0], RefusedError) or "not the key's" in str(
        refused.value
    )
    assert ledger.log.reader.load_events(FIRST)[1].data is not None
    assert erase_noticed(ledger.log._database) == 0
    ledger.close()


def test_a_damaged_event_can_be_erased_too(ledger: BuiltLedger) -> None:
    with as_owner(ledger.folder) as owner:
        drop_guard(owner, "event", "update")
        owner.execute(f"UPDATE event SET data = ? WHERE eid = {FIRST} << 17", (b"\0",))
    erase(ledger, (FIRST, 0))
    assert ledger.log.reader.load_events(FIRST)[0].data is None
    ledger.close()


def test_whoever_keeps_events_in_memory_is_told(ledger: BuiltLedger) -> None:
    told: list[int] = []
    ledger.log.on_erased = told.extend
    erase(ledger, (FIRST, 0), (SECOND, 1))
    assert told == [FIRST << 17, SECOND << 17 | 1]
    ledger.close()
