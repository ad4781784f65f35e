"""Workers find what one process finds, and the report is the same, byte for byte."""

import json
from pathlib import Path

import pytest

from ledger.audit.chunk import CaptureJob, Chunk
from ledger.audit.report import report_to_json
from ledger.cli.auditing import Options, audit_target
from ledger.client import cores
from ledger.tlog.merkle import EMPTY_ROOT
from tests.attacks.forger import forge
from tests.attacks.ledgers import build_ledger


@pytest.mark.parametrize("tampered", [False, True], ids=["honest", "tampered"])
def test_workers_give_the_same_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tampered: bool
) -> None:
    monkeypatch.setattr(cores, "CHUNKS_BEFORE_WORKERS", 0)
    monkeypatch.setattr("ledger.audit.handout.CHUNK_COUNT_MAX", 20)
    folder = tmp_path / "ledger"
    build_ledger(folder, entries=300).close()
    if tampered:
        with forge(folder) as evidence:
            evidence.execute("UPDATE event SET data = substr(data, 1, 60) WHERE eid % 3 = 0")
            evidence.execute("UPDATE event SET commitment = zeroblob(32) WHERE eid % 5 = 0")
    texts = {
        json.dumps(report_to_json(audit_target(str(folder), Options(processes=processes))))
        for processes in (1, 2)
    }
    assert len(texts) == 1
    assert ('"tampered"' in texts.pop()) is tampered


def test_what_a_killed_worker_leaves_is_judged_here() -> None:
    chunk = Chunk(captures=[CaptureJob(0, EMPTY_ROOT, [])])
    with cores.JudgeCores(2) as judge:
        judge._chunks = cores.CHUNKS_BEFORE_WORKERS
        assert judge.judge(chunk)().odd == frozenset()
        assert judge._pool is not None
        for process in list(judge._pool._processes.values()):
            process.kill()
            process.join()
        assert [judge.judge(chunk)().odd for _ in range(3)] == [frozenset()] * 3
