"""RFC 3161 timestamps, by a real `openssl ts` authority behind a real HTTP server."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ledger.app import Founding, create_ledger, open_ledger
from ledger.cli import main
from ledger.config import ServeSettings
from ledger.errors import ParseError, VerificationError
from ledger.federation.timestamps import (
    AuthorityError,
    load_roots,
    stamp_checkpoint,
    verify_timestamp,
)
from ledger.store.evidence import EvidenceReader
from tests.optional import absent, find_program

CONFIG = """
[tsa]
default_tsa = tsa_config
[tsa_config]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
default_policy = 1.2.3.4.1
digests = sha256, sha512
signer_digest = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
EXTENSIONS = "extendedKeyUsage=critical,timeStamping\nbasicConstraints=CA:FALSE\n"


class Authority:
    """A time-stamping authority made of `openssl ts`; `mangle` may spoil its answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = 200
        folder.mkdir()
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        (folder / "ext").write_text(EXTENSIONS)
        self._run(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key"),
            *("-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "30"),
        )
        self._run(
            *("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key"),
            *("-out", "tsa.csr", "-subj", "/CN=Test TSA"),
        )
        self._run(
            *("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", "tsa.pem", "-days", "30", "-extfile", "ext"),
        )

    def _run(self, *arguments: str) -> None:
        program = find_program("openssl")
        if program is None:
            absent("openssl", "install it with: apt-get install openssl")
        assert program is not None
        subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            env={"PATH": os.defpath, "HOME": str(self.folder)},
        )

    def answer(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        self._run(
            *("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
        )
        return (self.folder / "reply").read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            body = authority.answer(query)
            self.send_response(authority.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
        authority.status = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stamped") / "log"
    create_ledger(made, Founding(origin="tagtrail.example/stamped"))
    return made


def newest(folder: Path) -> bytes:
    with closing(EvidenceReader(folder)) as reader:
        found = reader.load_newest_checkpoint()
    assert found is not None
    return found[1]


def test_a_checkpoint_is_dated_and_openssl_agrees(
    authority: Authority, url: str, folder: Path
) -> None:
    roots = load_roots(authority.folder / "ca.pem")
    when = stamp_checkpoint(folder, newest(folder), url, roots)
    token, note = folder / "timestamps" / "5.tsr", folder / "timestamps" / "5.note"
    assert verify_timestamp(token.read_bytes(), note.read_bytes(), roots) == when
    authority._run(
        *("ts", "-verify", "-in", str(token), "-data", str(note), "-CAfile", "ca.pem")
    )


def test_a_token_of_another_note_or_another_authority_does_not_hold(
    authority: Authority, url: str, folder: Path, tmp_path: Path
) -> None:
    roots = load_roots(authority.folder / "ca.pem")
    note = newest(folder)
    stamp_checkpoint(folder, note, url, roots)
    token = (folder / "timestamps" / "5.tsr").read_bytes()
    with pytest.raises(VerificationError):
        verify_timestamp(token, note.replace(b"\n5\n", b"\n6\n"), roots)
    other = Authority(tmp_path / "other")
    with pytest.raises(VerificationError):
        verify_timestamp(token, note, load_roots(other.folder / "ca.pem"))
    spoiled = bytearray(token)
    spoiled[-20] ^= 1
    with pytest.raises((VerificationError, ParseError)):
        verify_timestamp(bytes(spoiled), note, roots)
    with pytest.raises(ParseError):
        verify_timestamp(b"rubbish", note, roots)


def test_an_old_answer_to_another_question_is_refused(
    authority: Authority, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = load_roots(authority.folder / "ca.pem")
    note = newest(folder)
    stamp_checkpoint(folder, note, url, roots)
    replayed = (folder / "timestamps" / "5.tsr").read_bytes()
    monkeypatch.setattr(authority, "answer", lambda _: replayed)
    with pytest.raises(VerificationError, match="does not hold"):
        stamp_checkpoint(folder, note, url, roots)


def test_an_authority_that_is_away_or_refuses_is_named(
    authority: Authority, url: str, folder: Path
) -> None:
    roots = load_roots(authority.folder / "ca.pem")
    authority.status = 503
    with pytest.raises(AuthorityError, match="503"):
        stamp_checkpoint(folder, newest(folder), url, roots)
    with pytest.raises(AuthorityError):
        stamp_checkpoint(folder, newest(folder), "http://127.0.0.1:1", roots)


def test_a_server_has_its_newest_checkpoint_dated(
    authority: Authority, url: str, tmp_path: Path
) -> None:
    create_ledger(tmp_path / "log", Founding(origin="tagtrail.example/daily"))
    how = ServeSettings(authority=url, authority_root=authority.folder / "ca.pem")
    with open_ledger(tmp_path / "log", how):
        deadline = time.monotonic() + 30
        while not (tmp_path / "log" / "timestamps" / "5.tsr").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_the_command_asks_and_verifies(
    authority: Authority, url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(authority.folder / "ca.pem")
    with pytest.raises(SystemExit) as ended:
        main(["timestamp", "ask", "--dir", str(folder), "--tsa", url, "--root", root])
    assert ended.value.code == 0
    kept = folder / "timestamps"
    with pytest.raises(SystemExit) as ended:
        main(["timestamp", "verify", str(kept / "5.tsr"), str(kept / "5.note"), "--root", root])
    assert ended.value.code == 0
    assert "was signed before 2" in capsys.readouterr().out
    (kept / "other.note").write_bytes((kept / "5.note").read_bytes() + b"x")
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "timestamp",
                "verify",
                str(kept / "5.tsr"),
                str(kept / "other.note"),
                "--root",
                root,
            ]
        )
    assert ended.value.code == 1
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "timestamp",
                "ask",
                "--dir",
                str(folder),
                "--tsa",
                url,
                "--root",
                str(kept / "5.note"),
            ]
        )
    assert ended.value.code == 2
