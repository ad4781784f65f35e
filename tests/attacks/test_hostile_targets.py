"""What is to be verified is made to hang the auditor, to fill its memory or to break it.

Each is audited in a process of its own, as the command does it, so that it can be asked how
much memory it held. That it ends at all is what the time limit of the tests says.
"""

import contextlib
import gzip
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.audit.bundle_answer import AnswerAudit
from ledger.audit.finding import Result
from ledger.cli.auditing import Options, audit_target
from ledger.cli.verify import audit_folder
from ledger.client.exporting import export_evidence
from ledger.client.reading import UnreadableError
from ledger.client.served import open_url
from ledger.cose import encode_cbor, encode_head
from ledger.epcis.event_hash import hash_event
from ledger.errors import ParseError
from tests.attacks.forger import forge
from tests.attacks.ledgers import build_ledger, write_trust

MEMORY_MIB_MAX = 300
AUDIT = """
import sys
from ledger.cli.auditing import Options, audit_target
report = audit_target(sys.argv[1], Options(processes=1))
(held,) = [line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line]
print(report.result.value, int(held) // 1024)
"""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the export of a ledger and, inside it, whom to trust."""
    folder = tmp_path_factory.mktemp("hostile")
    build_ledger(folder / "ledger", entries=300).close()
    export_evidence(folder / "ledger", folder / "export")
    write_trust(folder / "ledger").rename(folder / "export" / "trust.toml")
    return folder / "export"


@pytest.fixture
def attacked(export: Path, copy_of: Callable[[Path], Path]) -> Path:
    return copy_of(export)


def audit_apart(folder: Path) -> tuple[str, int]:
    """Audit in a process of its own; return the result and the MiB that it held at most."""
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    result, held = done.stdout.split()
    return result, int(held)


# --- Files -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["checkpoint", "tile/entries/000", "events/000", "tile/0/000"])
def test_a_pipe_in_the_place_of_a_file_does_not_keep_the_auditor_waiting(
    attacked: Path, path: str
) -> None:
    (attacked / path).unlink()
    os.mkfifo(attacked / path)
    report = audit_target(str(attacked), Options(processes=1))
    assert report.result is Result.UNDECIDED
    assert "no regular file" in report.undecided[0]


def test_a_checkpoint_of_an_endless_log_whose_folders_are_links_to_themselves_ends(
    attacked: Path,
) -> None:
    note = (attacked / "checkpoint").read_bytes().replace(b"\n300\n", b"\n%d\n" % (2**62))
    (attacked / "checkpoint").write_bytes(note)
    whole = (attacked / "tile/entries/000").read_bytes()
    for n in range(1000):
        (attacked / f"tile/entries/{n:03}").write_bytes(whole)
        (attacked / f"tile/entries/x{n:03}").symlink_to(".")
    report = audit_target(str(attacked), Options(processes=1))
    assert report.result is Result.TAMPERED
    assert any("do not continue" in one.computed + one.what for one in report.findings)


def test_a_file_of_endless_small_rows_of_events_is_read_in_pieces(attacked: Path) -> None:
    row = encode_head(4, 4) + encode_cbor(0) + encode_cbor(0) + encode_cbor(b"") + b"\xf6"
    with (attacked / "events/000").open("wb") as file:
        file.write(encode_head(4, 400_000))
        for _ in range(400):
            file.write(row * 1000)
    result, held = audit_apart(attacked)
    assert result == "tampered"
    assert held < MEMORY_MIB_MAX


def test_a_file_of_events_that_claims_more_rows_than_it_has_ends(attacked: Path) -> None:
    (attacked / "events/000").write_bytes(encode_head(4, 2**62))
    assert audit_folder_named(attacked) is Result.TAMPERED


def audit_folder_named(folder: Path) -> Result:
    return audit_target(str(folder), Options(processes=1)).result


def test_an_event_of_gigabytes_is_not_read_whole(attacked: Path) -> None:
    row = encode_head(4, 4) + encode_cbor(5) + encode_cbor(0) + encode_cbor(bytes(32))
    with (attacked / "events/000").open("wb") as file:
        file.write(encode_head(4, 1) + row + encode_head(2, 2**31))
        file.truncate(2**31 + file.tell())  # A file with a hole: it takes no room.
    result, held = audit_apart(attacked)
    assert result == "tampered"
    assert held < MEMORY_MIB_MAX


# --- Databases -------------------------------------------------------------------------


@pytest.fixture
def folder(small_ledger: Path, copy_of: Callable[[Path], Path]) -> Path:
    return copy_of(small_ledger)


def loosen(folder: Path, name: str = "evidence.db") -> None:
    """Let every column hold anything, as who owns the file can."""
    connection = sqlite3.connect(folder / name)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(replace(sql, 'ROWID,', 'ROWID'), 'STRICT', '')"
    )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("table", "insert"),
    [
        ("entry", "INSERT INTO entry SELECT 100 + value, zeroblob(4000000)"),
        ("entry", "INSERT INTO entry SELECT 100 + value, char(0) || hex(zeroblob(2000000))"),
        ("chain", "INSERT INTO chain SELECT zeroblob(4000000), value, 0, 100 + value"),
        ("event", "INSERT INTO event SELECT 100 + value << 17, zeroblob(4000000), NULL"),
        (
            "event",
            "INSERT INTO event SELECT 12 << 17 | 9 + value, zeroblob(32), zeroblob(4000000)",
        ),
        ("document", "INSERT INTO document SELECT zeroblob(4000000) || value, NULL"),
    ],
    ids=["entries", "entries of text", "kids", "commitments", "events", "documents"],
)
def test_rows_of_megabytes_do_not_fill_the_memory(
    folder: Path, table: str, insert: str
) -> None:
    loosen(folder)
    series = (
        "WITH RECURSIVE series(value) AS "
        "(SELECT 1 UNION ALL SELECT value + 1 FROM series WHERE value < 90) "
    )
    with forge(folder) as evidence:
        evidence.execute(f"{series} {insert} FROM series")
    result, held = audit_apart(folder)
    assert result == "tampered", table
    assert held < MEMORY_MIB_MAX


def test_all_events_erased_without_notice(
    folder: Path,
) -> None:
    with forge(folder) as evidence:
        evidence.execute("UPDATE event SET data = NULL")
    report = audit_folder(folder)
    assert report.result is Result.TAMPERED
    assert all(
        "without notice" in one.what for one in report.findings if "event.data" in one.field
    )


def test_a_virtual_table_in_the_place_of_a_table_is_refused(folder: Path) -> None:
    connection = sqlite3.connect(folder / "evidence.db")
    connection.execute("ALTER TABLE document RENAME TO other")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE document USING rtree(a, b, c)', "
        "rootpage = 0, name = 'document', tbl_name = 'document' WHERE name = 'other'"
    )
    connection.commit()
    connection.close()
    report = audit_folder(folder)
    assert report.result is Result.UNDECIDED
    assert report.undecided


def test_a_journal_that_the_server_would_roll_back_is_not_passed_over(folder: Path) -> None:
    connection = sqlite3.connect(folder / "evidence.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    page = 8192
    header = bytes.fromhex("d9d505f920a163d7ffffffff") + bytes(4)
    size = (folder / "evidence.db").stat().st_size // page
    header += size.to_bytes(4, "big") + (512).to_bytes(4, "big") + page.to_bytes(4, "big")
    record = (2).to_bytes(4, "big") + bytes(page) + bytes(4)
    (folder / "evidence.db-journal").write_bytes(header.ljust(512, b"\0") + record)
    report = audit_folder(folder)
    assert report.result is Result.UNDECIDED
    assert "-journal" in report.undecided[0]


def test_a_namespace_that_would_fill_the_memory_is_refused() -> None:
    event: dict[str, object] = {"@context": [{"a": "h" * 400_000}], "type": "ObjectEvent"}
    event |= {f"a:{n}": 1 for n in range(1000)}
    with pytest.raises(ParseError, match="too long for so many fields"):
        hash_event(event)


# --- Servers ---------------------------------------------------------------------------


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the URL of a server that answers every request by `answer`."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join(10)
        listener.close()


def test_a_server_that_drips_is_not_waited_for() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    with answering(drip) as url, pytest.raises(UnreadableError, match="took longer than"):
        open_url(url, file_seconds=0.3)


def test_a_server_that_sends_without_end_is_cut_off() -> None:
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x" * 1_000_000)
            sent.append(1)

    with answering(flood) as url:
        report = audit_target(url, Options(processes=1))
    assert report.result is not Result.VERIFIED
    assert len(sent) < 200


def test_a_packed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(50_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"

    def answer(connection: socket.socket) -> None:
        connection.sendall(head.encode() + packed)

    with answering(answer) as url, open_url(url) as log:
        assert log.newest_note() == packed


# --- The command ------------------------------------------------------------------------


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ledger.cli", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_fault_of_the_auditor_is_no_verdict(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(Path(__file__).parents[2] / "ledger", broken / "ledger")
    path = broken / "ledger" / "audit" / "log.py"
    path.write_text(
        path.read_text().replace("claims = yield from", "1 / 0; claims = yield from")
    )
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "verify", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=broken,
        env=os.environ | {"PYTHONPATH": str(broken)},
    )
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert report["result"] == "undecided"
    assert "ZeroDivisionError" in report["undecided"][0]
    assert report["not_checked"]


def test_what_cannot_be_written_is_usage_and_no_verdict(folder: Path) -> None:
    done = run(folder, "--csv", "/nowhere/findings.csv")
    assert done.returncode == 4
    assert "/nowhere/findings.csv" in done.stderr
    assert done.stdout.startswith("VERIFIED")


def test_a_reader_that_goes_away_does_not_change_the_exit_code(folder: Path) -> None:
    code = f"{sys.executable} -m ledger.cli verify {folder} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_output_that_cannot_say_every_character_is_no_crash(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "verify", str(folder)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr


def test_an_answer_too_long_to_be_worked_out_again_is_not_believed() -> None:
    answer = b"[" * 10_000_000
    audit = AnswerAudit((), size=1, root="", shown_bytes=0)
    assert list(audit.check(answer)) == []
    assert audit.too_long
    assert not audit.compared
