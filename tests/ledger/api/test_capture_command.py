"""`tagtrail capture`: a spreadsheet into a folder or a server, once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ledger.cli.verify import audit_folder
from tests.ledger.api.conftest import Server

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "events.csv"


def run(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "ledger.cli", "capture", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def answer(*arguments: object) -> tuple[int, dict[str, Any]]:
    code, out = run(*arguments, "--json")
    found: dict[str, Any] = json.loads(out)
    return code, found


def spoilt(folder: Path) -> Path:
    path = folder / "spoilt.csv"
    path.write_text(EXAMPLE.read_text() + ",object,2026-01-05 10:00,,,,,09506000134353,1\n")
    return path


def test_a_spreadsheet_is_captured_into_a_folder_once(untouched: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untouched, tmp_path / "ledger"))
    code, first = answer(EXAMPLE, "--dir", folder)
    assert (code, first["captured"], first["rejected"]) == (0, 4, [])
    code, again = answer(EXAMPLE, "--dir", folder)
    assert (code, again["captured"], again["known"]) == (0, 0, 4)
    assert not audit_folder(folder).findings


def test_a_spreadsheet_is_captured_over_http(server: Server) -> None:
    code, first = answer(EXAMPLE, "--url", server.url)
    assert (code, first["captured"] + first["known"]) == (0, 4)
    assert server.get(f"/documents/{first['document']}").status == 200


def test_a_bad_row_is_told_in_plain_words_and_stops_all(server: Server, tmp_path: Path) -> None:
    before = server.get("/status").json()["size"]
    code, out = run(spoilt(tmp_path), "--url", server.url)
    assert code == 1
    assert "row 9, zone: is empty. Write the offset from UTC" in out
    assert "row 9, gtin: " in out
    assert "nothing was captured" in out
    assert server.get("/status").json()["size"] == before


def test_proceed_captures_the_good_rows(server: Server, tmp_path: Path) -> None:
    code, found = answer(spoilt(tmp_path), "--url", server.url, "--proceed")
    assert code == 1
    assert found["captured"] + found["known"] == 4
    assert {one["row"] for one in found["rejected"]} == {9}


def test_documents_are_captured_as_they_are(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    body = {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "epcList": ["urn:epc:id:sgtin:9506000.013435.900"],
        "eventTime": "2026-01-01T10:00:00Z",
        "eventTimeZoneOffset": "+00:00",
    }
    path.write_text(json.dumps(body))
    assert answer(path, "--url", server.url)[1]["captured"] == 1
    path.write_text(json.dumps(body | {"action": "LOOK"}))
    code, out = run(path, "--url", server.url)
    assert code == 1
    assert "/action: " in out


def test_usage_and_files_that_are_none_exit_with_2(tmp_path: Path) -> None:
    assert run(EXAMPLE)[0] == 2
    assert run(tmp_path / "events.txt", "--dir", tmp_path)[0] == 2
    assert run(tmp_path / "events.csv", "--dir", tmp_path)[0] == 2
