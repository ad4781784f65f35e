"""The server is killed while documents come in: every accepted one is captured, once."""

import signal
import time
from pathlib import Path

import pytest
import urllib3

from ledger.cli.verify import audit_folder
from ledger.founding import Founding, create_ledger
from tests.ledger.api.conftest import start, stop
from tests.ledger.api.test_capture import LD, document, event

DOCUMENTS, EVENTS = 12, 5


def bodies() -> list[bytes]:
    return [
        document(*(event(1000 + n * EVENTS + k) for k in range(EVENTS)))
        for n in range(DOCUMENTS)
    ]


@pytest.mark.parametrize("killed_after", [1, 4, DOCUMENTS])
def test_what_was_accepted_is_captured_once_after_a_kill(
    tmp_path: Path, killed_after: int
) -> None:
    folder = tmp_path / "ledger"
    create_ledger(folder, Founding(origin="tagtrail.example/kill"))
    process, url = start(folder)
    taken = []
    with urllib3.PoolManager(retries=False, timeout=20.0) as pool:
        for body in bodies()[:killed_after]:
            answer = pool.request(
                "POST", f"{url}/capture", body=body, headers={"Content-Type": LD}
            )
            assert answer.status == 202
            taken.append(answer.headers["Location"])
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        process, url = start(folder)
        jobs = []
        for path in taken:
            deadline = time.monotonic() + 20
            while (job := pool.request("GET", url + path).json())["running"]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            jobs.append(job)
        # The sender does not know what became of it, and sends everything again.
        for body in bodies():
            headers = {"Content-Type": LD}
            assert (
                pool.request("POST", f"{url}/capture", body=body, headers=headers).status == 202
            )
        deadline = time.monotonic() + 20
        while any(one["running"] for one in pool.request("GET", f"{url}/capture").json()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert stop(process) == 0
    assert all(job["success"] and job["captured"] + job["known"] == EVENTS for job in jobs)
    report = audit_folder(folder)
    assert not report.findings, report.findings
    assert report.summary.events.shown == DOCUMENTS * EVENTS
