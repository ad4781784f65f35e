"""Recordings of real readers go through the line that live reads take, each accounted for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TAGTRAIL = (sys.executable, "-m", "ledger.cli")
# A sensor document is an EPCIS document already, not what a reader publishes.
NOT_READERS = {"epcis-sensor"}


def replay(folder: Path, *files: Path, want: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [*TAGTRAIL, "gateway", "replay", *map(str, files), "--dir", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == want, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def verify(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*TAGTRAIL, "verify", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, report
    return report


def epcs_of(folder: Path, name: str, *also: str) -> list[str]:
    """Return the reads that a trace finds for each EPC: exits 0 only for a known one."""
    found = []
    for epc in (name, *also):
        done = subprocess.run(
            [*TAGTRAIL, "trace", epc, "--dir", str(folder), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{epc}: {done.stderr}"
        found.append(json.loads(done.stdout)["epc"])
    return found


def test_every_recorded_payload_is_an_entry_or_in_quarantine(
    shared_data: Path, tmp_path: Path
) -> None:
    files = sorted(
        path
        for path in (shared_data / "readers").rglob("*")
        if path.is_file() and path.parent.name not in NOT_READERS
    )
    report = replay(tmp_path / "ledger", *files)
    assert report["messages"] == 19
    assert report["reads"] == 15
    assert report["entries"] == report["statements"] > 0
    reasons = " / ".join(one["why"] for one in report["quarantined"])
    assert "epc and epcHex disagree" in reasons
    assert verify(tmp_path / "ledger")["result"] == "verified"
    # One tag of each vendor, all without a GS1 EPC: kept as they are.
    epcs_of(
        tmp_path / "ledger",
        "urn:epc:raw:96.x7EDA9038051002710002C0AE",  # Impinj R700
        "urn:epc:raw:96.xAA0004EF55555555AA21BF43",  # Zebra FX, CUSTOM
        "urn:epc:raw:48.xE28011700001",  # Zebra FX, epoch
        "urn:epc:raw:96.xBEDD11112222333344445555",  # Zebra RFD40
    )


def test_a_recording_twice_changes_nothing(tmp_path: Path) -> None:
    recording = tmp_path / "reads.ndjson"
    lines = [
        {
            "topic": "gate/1",
            "payload": {
                "timestamp": f"2026-01-01T00:00:0{n}Z",
                "eventType": "tagInventory",
                "tagInventoryEvent": {"epcHex": "3066C4409047E140075BCD15", "antennaPort": 1},
            },
        }
        for n in range(3)
    ]
    recording.write_text("".join(json.dumps(line) + "\n" for line in lines))
    first = replay(tmp_path / "ledger", recording)
    assert (first["messages"], first["reads"], first["events"]) == (3, 3, 1)
    again = replay(tmp_path / "ledger", recording)
    assert again["repeats"] == 3
    assert again["events"] == 0
    epcs_of(tmp_path / "ledger", "urn:epc:id:sgtin:95060001343.05.123456789")


def test_broken_lines_are_listed_with_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    recording = tmp_path / "reads.ndjson"
    recording.write_text(
        '{"epc":"3066C4409047E140075BCD15","timestamp":"2026-01-01T00:00:00Z"}\n'
        '{"epc":"3066C4409047E14007ZZZZZZ","timestamp":"2026-01-01T00:00:01Z"}\n'
        "{broken\n"
        "\n"
        '{"status":"connection lost"}\n'
    )
    report = replay(tmp_path / "ledger", recording)
    assert report["events"] == 1
    assert len(report["quarantined"]) == 3
    assert all(one["why"] for one in report["quarantined"])


def test_a_missing_file_is_named_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TAGTRAIL, "gateway", "replay", "nowhere.json", "--dir", str(tmp_path / "ledger")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nowhere.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ledger").exists()
