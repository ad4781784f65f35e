"""An old backup is restored and the log goes on from it: two histories under one key."""

import shutil
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.cli.auditing import Options, audit_target
from ledger.errors import RefusedError
from ledger.statement import Capture
from ledger.store.log import Log
from ledger.tlog.merkle import EMPTY_ROOT
from tests.attacks.crooked import append_unjudged
from tests.attacks.ledgers import BuiltLedger, Clock, build_ledger, event
from tests.ledger.memory_log import ORIGIN

HEARTBEAT = Capture(2, 0, EMPTY_ROOT)


@pytest.fixture
def ledger(tmp_path: Path) -> BuiltLedger:
    return build_ledger(tmp_path / "ledger", entries=30)


def options(tmp_path: Path) -> Options:
    return Options(state_file=tmp_path / "state.json", fork=tmp_path / "fork.json", processes=1)


def test_a_log_that_went_on_from_an_old_backup_is_found_by_who_saw_it_before(
    ledger: BuiltLedger, tmp_path: Path
) -> None:

    seen = ledger.seen
    ledger.close()
    backup = Path(shutil.copytree(ledger.folder, tmp_path / "backup"))
    first = ledger.gateway.sign(HEARTBEAT, seen=seen)
    append_unjudged(ledger.folder, first)
    assert audit_target(str(ledger.folder), options(tmp_path)).result is Result.VERIFIED
    append_unjudged(backup, ledger.dairy.sign(HEARTBEAT))
    report = audit_target(str(backup), options(tmp_path))
    assert report.result.exit_code == 1
    assert (7, 30) in [(one.check, one.index) for one in report.findings]
    assert (tmp_path / "fork.json").exists()


def test_the_log_itself_does_not_start_on_an_old_backup(
    ledger: BuiltLedger, tmp_path: Path
) -> None:
    ledger.close()
    backup = Path(shutil.copytree(ledger.folder, tmp_path / "backup"))
    again = Log(ledger.folder, ORIGIN, now_us=Clock())
    again.close()
    ledger.log = Log(ledger.folder, ORIGIN, now_us=Clock())
    ledger.capture(ledger.farm, [event(1, 0)])
    size, root = ledger.log.committed
    ledger.log.signed.swap(ledger.log.signed.load(), (size, root))
    ledger.log.close()
    shutil.copy(ledger.folder / "signed.db", backup / "signed.db")
    for suffix in ("-wal", "-shm"):
        (backup / f"signed.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(RefusedError, match="old backup"):
        Log(backup, ORIGIN, now_us=Clock())
