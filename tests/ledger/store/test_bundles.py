"""What is taken out of a database into a bundle: just what was named, and its proof."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.audit.bundle_report import report_bundle
from ledger.audit.finding import Result
from ledger.audit.trustfile import parse_trust
from ledger.bundle import Bundle, encode_bundle
from ledger.disclosure import withheld
from ledger.errors import RefusedError
from ledger.store.bundles import load_signed, take_bundle
from ledger.store.dialect import StorageError
from tests.attacks.ledgers import BuiltLedger, event, found_ledger
from tests.ledger.bundle_scene import item_event
from tests.ledger.store.owner import as_owner, drop_guard


@pytest.fixture
def ledger(tmp_path: Path, database: str | None) -> Iterator[BuiltLedger]:
    """Return a ledger of 300 entries, its tiles full and partial, of which 298 are signed."""
    made = found_ledger(tmp_path / "ledger", database=database)
    while made.log.size < 298:
        n = int(made.log.size)
        made.capture(made.gateway, [event(n, k) for k in range(n % 4)])
    made.publish()
    made.capture(made.gateway, [event(298, 0)])
    yield made
    made.close()


def judge(ledger: BuiltLedger, bundle: Bundle) -> Result:
    trust = parse_trust((ledger.folder / "trust.toml").read_bytes())
    report = report_bundle(encode_bundle(bundle), trust, target="bundle")
    assert report.result is Result.VERIFIED, report.findings
    return report.result


def take(ledger: BuiltLedger, *places: tuple[int, int], hidden: tuple[int, ...] = ()) -> Bundle:
    reader = ledger.log.reader
    return take_bundle(reader, load_signed(reader), places, hidden)


def test_events_all_over_the_log_are_proven_at_once(ledger: BuiltLedger) -> None:
    bundle = take(ledger, (5, 0), (255, 2), (257, 0), (297, 0), (255, 0))
    assert [(one.index, one.position) for one in bundle.events] == [
        (5, 0),
        (255, 0),
        (255, 2),
        (257, 0),
        (297, 0),
    ]
    assert [one.index for one in bundle.entries] == [0, 2, 3, 5, 255, 257, 297]
    judge(ledger, bundle)


def test_entry_0_is_there_even_for_no_event(ledger: BuiltLedger) -> None:
    bundle = take(ledger)
    assert [one.index for one in bundle.entries] == [0]
    judge(ledger, bundle)


def test_a_hash_over_the_whole_event_is_withheld_with_any_part(ledger: BuiltLedger) -> None:
    ledger.capture(ledger.gateway, [item_event(1, event_id="ni:///sha-256;00?ver=CBV2.0")])
    ledger.publish()
    index = int(ledger.log.size) - 1
    (whole,) = take(ledger, (index, 0)).events
    assert withheld(whole.event) == frozenset()
    partly = take(ledger, (index, 0), hidden=(5,))
    assert withheld(partly.events[0].event) == {0, 5}
    assert b"ni:///" not in encode_bundle(partly)
    judge(ledger, partly)


def test_what_no_checkpoint_covers_is_refused(ledger: BuiltLedger) -> None:
    with pytest.raises(RefusedError, match="none that is signed covers entry 298"):
        take(ledger, (298, 0))


def test_an_event_that_is_not_there_is_an_error(ledger: BuiltLedger) -> None:
    with pytest.raises(StorageError, match="event 3 of entry 7 is not stored"):
        take(ledger, (7, 3))


def test_a_key_entry_that_cannot_be_found_is_an_error(ledger: BuiltLedger) -> None:
    with as_owner(ledger.folder) as owner:
        drop_guard(owner, "key_entry", "delete")
        owner.execute("DELETE FROM key_entry WHERE idx = 3")
    with pytest.raises(StorageError, match="the key entry that entry 7 names"):
        take(ledger, (7, 0))


def test_a_log_that_has_signed_nothing_makes_no_bundle(
    tmp_path: Path, database: str | None
) -> None:
    made = found_ledger(tmp_path / "other", database=database)
    with pytest.raises(RefusedError, match="has not signed any"):
        load_signed(made.log.reader)
    made.close()
