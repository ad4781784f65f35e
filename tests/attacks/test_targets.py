"""The same ledger as exported files and over HTTP: each verifies, each byte counts."""

import contextlib
import functools
import http.server
import random
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from ledger.audit.chunk import Chunk, Pending, SignatureJob, judge_chunk, verify_job
from ledger.audit.finding import Findings, Result
from ledger.audit.log import LogAudit
from ledger.audit.trustfile import parse_trust
from ledger.cli.auditing import Options, audit_target
from ledger.client.exporting import export_evidence
from ledger.client.files import read_trust
from ledger.client.tilelog import TileLog
from ledger.errors import TagtrailError
from tests.attacks.ledgers import build_ledger, write_trust

TINY, ENTRIES = 12, 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a ledger of 300 entries and its export."""
    folder = tmp_path_factory.mktemp("targets")
    build_ledger(folder / "ledger", entries=ENTRIES, unsigned=2).close()
    export_evidence(folder / "ledger", folder / "export")
    write_trust(folder / "ledger").rename(folder / "trust.toml")
    return folder


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the URL of a plain server of static files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def options(folder: Path) -> Options:
    return Options(trust_file=folder / "trust.toml", processes=1)


def test_an_export_verifies_and_says_what_it_cannot_hold(folder: Path) -> None:
    report = audit_target(str(folder / "export"), options(folder))
    assert report.result is Result.VERIFIED, report.findings
    assert report.summary.size == report.summary.checkpoint_size == ENTRIES - 2
    assert report.summary.events.shown > 0
    assert any("signed.db" in text for text in report.not_checked)


def test_without_a_trust_file_an_export_cannot_be_judged(folder: Path) -> None:
    report = audit_target(str(folder / "export"), Options(processes=1))
    assert report.result is Result.UNDECIDED


def test_static_files_over_http_verify_without_events(folder: Path) -> None:
    with served(folder / "export") as url:
        report = audit_target(url, options(folder))
    assert report.result is Result.VERIFIED, report.findings
    assert report.summary.size == ENTRIES - 2
    assert report.summary.events.skipped > 0
    assert any(text.startswith("Check 11") for text in report.not_checked)


def test_a_server_that_does_not_answer_cannot_be_judged(folder: Path) -> None:
    report = audit_target("http://127.0.0.1:1", options(folder))
    assert report.result is Result.UNDECIDED
    assert "127.0.0.1:1" in report.undecided[0]


@pytest.mark.parametrize(
    "path",
    [
        "tile/entries/000",
        "tile/entries/001.p/42",
        "tile/0/000",
        "tile/0/001.p/42",
        "tile/1/000.p/1",
        "events/000",
    ],
)
def test_a_file_that_is_gone_is_missed(folder: Path, path: str) -> None:
    held = read_export(folder / "export")
    del held[path]
    assert audit_files(folder, held)[0] is Result.TAMPERED


def test_a_checkpoint_that_claims_an_endless_log_ends(folder: Path) -> None:
    held = read_export(folder / "export")
    held["checkpoint"] = held["checkpoint"].replace(b"\n298\n", b"\n9223372036854775807\n")
    assert audit_files(folder, held)[0] is Result.TAMPERED


def test_a_folder_that_is_there_is_not_written_over(folder: Path) -> None:
    with pytest.raises(TagtrailError, match="there already"):
        export_evidence(folder / "ledger", folder / "export")


# --- Flips ---------------------------------------------------------------------------


def read_export(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@functools.lru_cache(100_000)
def verify_once(x: bytes, signature: bytes, message: bytes) -> str | None:
    return verify_job(SignatureJob(0, x, signature, message))


def judge(chunk: Chunk) -> Pending:
    return lambda: judge_chunk(chunk, lambda job: verify_once(*job[1:]))


def audit_files(folder: Path, held: dict[str, bytes]) -> tuple[Result, set[int | None]]:
    """Return the result of an audit of these files, and the entries that are named."""
    trust = parse_trust(read_trust(folder / "trust.toml"))
    findings = Findings()
    fetch: Callable[[str, int], bytes | None] = lambda path, _: held.get(path)  # noqa: E731

    def events(path: str) -> BytesIO | None:
        return BytesIO(held[path]) if path in held else None

    with TileLog(fetch, name="memory", events=events) as log:
        findings.extend(LogAudit(log, trust, judge=judge, progress=lambda _: None).run())
    named = {finding.index for finding in findings.kept()}
    return findings.result(undecided=False), named


def named_by(path: str, at: int, held: bytes) -> set[int | None]:
    """Return the entries of which one has to be named for a flip of byte `at`."""
    if path == "checkpoint":  # Of one that does not parse nobody knows the size.
        return {None, *range(ENTRIES + 1)}
    number = int(path.split(".p/", maxsplit=1)[0].rsplit("/", 1)[1])
    if path.startswith("tile/entries/"):
        index, begin = number * 256, 0
        while begin + 2 + int.from_bytes(held[begin : begin + 2], "big") <= at:
            begin += 2 + int.from_bytes(held[begin : begin + 2], "big")
            index += 1
        return {index}
    if path.startswith("tile/"):
        return {(number * 256 + at // 32) << 8 * int(path.split("/")[1])}
    return set(range(number * 256, number * 256 + 256))


@pytest.mark.parametrize(
    ("entries", "flips"),
    [
        (TINY, 1_000),
        (ENTRIES, 30),
        pytest.param(TINY + 1, 9_000, marks=pytest.mark.slow),
        pytest.param(ENTRIES + 1, 500, marks=pytest.mark.slow),
    ],
)
def test_any_flip_in_any_file_of_an_export_is_found_and_the_entry_named(
    tmp_path: Path, entries: int, flips: int
) -> None:
    build_ledger(tmp_path / "ledger", entries=entries).close()
    export_evidence(tmp_path / "ledger", tmp_path / "export")
    write_trust(tmp_path / "ledger").rename(tmp_path / "trust.toml")
    held = read_export(tmp_path / "export")
    dice = random.Random(entries)
    paths = sorted(held)
    for n in range(flips):
        path = dice.choice(paths)
        data = bytearray(held[path])
        bit = dice.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        result, named = audit_files(tmp_path, held | {path: bytes(data)})
        what = f"flip {n}: bit {bit} of {path}"
        assert result is Result.TAMPERED, what
        assert named & named_by(path, bit // 8, held[path]), (what, named)
