"""Gap statements in the index: found by site and time, held by the audit, shown in bundles."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.admitted import GapRow, project_gap, site_of
from ledger.audit.bundle_report import report_bundle
from ledger.audit.finding import Result
from ledger.audit.trustfile import parse_trust
from ledger.bundle import encode_bundle
from ledger.cli.verify import audit_folder
from ledger.gs1.epc import canonical_key
from ledger.provenance.listed import select_gaps
from ledger.provenance.source import GapsWanted
from ledger.statement import Gap
from ledger.store.index import Index, open_index
from ledger.store.index_source import IndexReader
from ledger.store.item_bundle import Question, bundle_item
from tests.attacks.ledgers import BuiltLedger, found_ledger
from tests.ledger.bundle_scene import item_event
from tests.ledger.store.owner import as_owner

DOOR = "urn:epc:id:sgln:9506000.00001.gate"
ITEM = canonical_key("urn:epc:id:sgtin:9506000.013435.7")
AT_US = 1_767_261_600_000_000  # 2026-01-01T10:00:00Z, when item_event(0) is
MINUTE_US = 60_000_000
ELSEWHERE = "urn:epc:id:sgln:9506000.00002.gate"
PLACES = (DOOR, "urn:epc:id:sgln:9506000.00001.0", ELSEWHERE, "x" * 600)


@pytest.fixture
def ledger(tmp_path: Path, database: str | None) -> Iterator[BuiltLedger]:
    """Return a ledger in which an item was seen twice, and its gateway missed something."""
    made = found_ledger(tmp_path / "ledger", database=database)
    made.capture(made.gateway, [item_event(0), item_event(20)])
    yield made
    made.close()


def admit(ledger: BuiltLedger, source: str, from_us: int, to_us: int) -> GapRow:
    """State a gap; return its row."""
    body = Gap(source=source, what=0, start=from_us, end=to_us, count=3, why="lost 17 to 19")
    entry = ledger.say(ledger.gateway, body)
    row = project_gap(entry, ledger.gateway.iss, body)
    assert row is not None
    return row


def follow(ledger: BuiltLedger) -> Index:
    index = open_index(ledger.folder, ledger.log.reader)
    while index.follow(ledger.log.size):
        pass
    return index


def test_a_search_finds_just_the_gaps_of_the_site_that_meet_the_time(
    ledger: BuiltLedger,
) -> None:
    dice = random.Random(1)
    rows: list[GapRow] = []
    for _ in range(120):
        start = AT_US + dice.randrange(10**11)
        end = start + int(2 ** dice.uniform(0, 50))
        rows.append(admit(ledger, dice.choice(PLACES), start, end))
    follow(ledger).close()
    reader, iss = IndexReader(ledger.folder), ledger.gateway.iss
    found = 0
    for n in range(200):
        low = AT_US + dice.randrange(10**11)
        places = dice.sample(PLACES, dice.randrange(1, 4))
        high = low + dice.randrange(10**9)
        wanted = [GapsWanted(site_of(canonical_key(one)), low, high) for one in places]
        before = int(ledger.log.size) if n % 2 else 60
        limit = 500 if n % 3 else 4
        got = reader.source().gaps_of(wanted, [iss], before_entry=before, limit=limit)
        assert list(reader.source().gaps_of(wanted, ["https://x"], limit=limit)) == []
        want = select_gaps([one for one in rows if one.idx < before], wanted, limit)
        assert sorted(got, key=lambda one: one.idx) == sorted(want, key=lambda one: one.idx)
        found += len(want)
    reader.close()
    assert found > 100


def wrong_words(folder: Path, entry: int) -> None:
    with as_owner(folder, "index") as owner:
        owner.execute("UPDATE gap SET why = 'nothing happened' WHERE idx = ?", (entry,))


def another_time(folder: Path, entry: int) -> None:
    with as_owner(folder, "index") as owner:
        owner.execute("UPDATE gap SET from_us = from_us - 1 WHERE idx = ?", (entry,))


def taken_out(folder: Path, entry: int) -> None:
    with as_owner(folder, "index") as owner:
        owner.execute("DELETE FROM gap WHERE idx = ?", (entry,))


def put_in(folder: Path, entry: int) -> None:
    columns = "iss, site, source, scale, what, from_us, to_us, count, why"
    for other in (entry - 1, entry + 1000):
        with as_owner(folder, "index") as owner:
            owner.execute(
                f"INSERT INTO gap (idx, {columns}) SELECT {other}, {columns} FROM gap "
                "WHERE idx = ?",
                (entry,),
            )


@pytest.mark.parametrize("change", [wrong_words, another_time, taken_out, put_in])
def test_a_row_that_is_not_as_stated_is_found_by_the_audit(
    ledger: BuiltLedger, change: Callable[[Path, int], None]
) -> None:
    entry = admit(ledger, DOOR, AT_US, AT_US + MINUTE_US).idx
    ledger.publish()
    follow(ledger).close()
    sound = audit_folder(ledger.folder, index=True)
    assert 14 not in {one.check for one in sound.findings}, sound.findings
    change(ledger.folder, entry)
    report = audit_folder(ledger.folder, index=True)
    found = [one for one in report.findings if one.check == 14]
    assert found
    assert all("gap" in one.field for one in found)


def test_a_bundle_shows_and_proves_what_a_gateway_admits(ledger: BuiltLedger) -> None:
    entry = admit(ledger, DOOR, AT_US + MINUTE_US, AT_US + 2 * MINUTE_US).idx
    admit(ledger, ELSEWHERE, AT_US + MINUTE_US, AT_US + 2 * MINUTE_US)
    ledger.publish()
    follow(ledger).close()
    reader = IndexReader(ledger.folder)
    question = Question(key=ITEM, at_us=AT_US + 10**9 * 3_600)
    made = bundle_item(reader.source(), ledger.log.reader, question)
    reader.close()
    assert made is not None
    assert made.remarks == ()
    assert made.bundle.answer is not None
    answer = json.loads(made.bundle.answer)
    admitted = [one for one in answer["gaps"] if one["stated_in"] is not None]
    assert [(one["stated_in"], one["why"]) for one in admitted] == [(entry, "lost 17 to 19")]
    trust = parse_trust((ledger.folder / "trust.toml").read_bytes())
    report = report_bundle(encode_bundle(made.bundle), trust, target="bundle")
    assert report.result is Result.VERIFIED, report.findings

    admitted[0]["why"] = "nothing was lost"
    for gaps in (
        [one for one in answer["gaps"] if one["stated_in"] is None],
        answer["gaps"],
        [*answer["gaps"], admitted[0] | {"stated_in": entry + 1}],
        [*answer["gaps"], admitted[0] | {"stated_in": "x"}],
    ):
        data = json.dumps(answer | {"gaps": gaps}, ensure_ascii=False, separators=(",", ":"))
        forged = replace(made.bundle, answer=data.encode())
        report = report_bundle(encode_bundle(forged), trust, target="bundle")
        assert 14 in {one.check for one in report.findings}, gaps
