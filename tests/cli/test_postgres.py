"""A ledger in PostgreSQL by command: made, served, asked, exported, verified like any other."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.cli import main
from tests.ledger.api.conftest import start, stop
from tests.ledger.store.owner import as_owner, owner_url
from tests.optional import ROOT
from tests.postgres import Cluster

ORIGIN = "tagtrail.example/pg"
DAIRY = "https://id.gs1.org/417/9506000134352"
ANSWER_S = 60


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Run `tagtrail` in this process; return exit code and all it printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out + printed.err


@pytest.fixture
def folder(
    tmp_path: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Path:
    """Return the folder of a ledger that was made by `tagtrail init --db`."""
    monkeypatch.delenv("TAGTRAIL_PASSPHRASE", raising=False)
    made = tmp_path / "ledger"
    words = ("init", "--dir", made, "--origin", ORIGIN, "--party", f"{DAIRY}=Dairy:9506000")
    code, said = run(capsys, *words, "--db", postgres_url)
    assert code == 0, said
    return made


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a server of that ledger, and its URL."""
    process, url = start(folder, "--publish-every", "0.1")
    yield process, url
    stop(process, signal.SIGKILL)


def test_nothing_of_it_but_signed_db_is_a_file(folder: Path) -> None:
    assert not (folder / "evidence.db").exists()
    assert (folder / "signed.db").exists()
    assert (folder / "database.toml").read_text().startswith('url = "postgresql://t')
    passfile = folder / "keys" / "database.pgpass"
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600


def test_the_password_of_the_service_role_works(
    folder: Path, postgres: Cluster, postgres_url: str
) -> None:
    role = postgres_url.rsplit("/", 1)[1] + "_service"
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n" + before)
        with psycopg.connect(postgres_url) as owner:
            owner.execute("SELECT pg_reload_conf()")
        command = [sys.executable, "-m", "ledger.cli", "verify", str(folder), "--json"]
        bare = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
        done = subprocess.run(
            command, env=bare, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        rules.write_text(before)
        with psycopg.connect(postgres_url) as owner:
            owner.execute("SELECT pg_reload_conf()")


def wait_for_item(folder: Path) -> str:
    """Return an item that the index knows, once it has followed the log that far."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with as_owner(folder, "index") as index:
            rows = index.execute("SELECT text FROM key ORDER BY text").fetchall()
        found = [text for (text,) in rows if "/21/" in text]
        if found:
            return str(found[0])
        time.sleep(0.1)
    raise AssertionError("the index knows no item")


def test_documents_are_captured_served_traced_exported_and_verified(
    folder: Path,
    server: tuple[subprocess.Popen[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    process, url = server
    events = ROOT / "docs" / "examples" / "events.csv"
    code, said = run(capsys, "capture", events, "--url", url)
    assert code == 0, said
    item = wait_for_item(folder)
    code, said = run(capsys, "trace", item, "--url", url)
    assert code == 0, said
    assert stop(process) == 0
    code, traced = run(capsys, "trace", item, "--dir", folder, "--json")
    assert code == 0, traced
    assert json.loads(traced)
    code, said = run(capsys, "verify", folder, "--index")
    assert code == 0, said
    code, said = run(capsys, "export", folder, tmp_path / "export")
    assert code == 0, said
    trust = ("--trust", folder / "trust.toml")
    code, said = run(capsys, "verify", tmp_path / "export", *trust)
    assert code == 0, said


def test_a_second_server_is_told_who_holds_the_database(
    folder: Path,
    server: tuple[subprocess.Popen[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    del server
    code, said = run(capsys, "serve", "--dir", copy, "--port", 0)
    assert code == 1
    assert "is being written by tagtrail" in said


def test_rows_are_copied_there_and_back_by_command(
    folder: Path, capsys: pytest.CaptureFixture[str], postgres: Cluster, postgres_url: str
) -> None:
    code, said = run(capsys, "copy", postgres_url, folder)
    assert (code, "entries of" in said) == (0, True), said
    assert run(capsys, "verify", folder)[0] == 0
    assert (folder / "evidence.db").exists()
    code, said = run(capsys, "copy", folder, postgres_url)
    assert (code, "already" in said) == (1, True), said
    other = postgres.create_database()
    code, said = run(capsys, "copy", folder, other)
    assert code == 0, said
    assert run(capsys, "verify", folder)[0] == 0
    code, said = run(capsys, "copy", postgres_url, folder)
    assert (code, "the rows of" in said) == (2, True), said
    code, said = run(capsys, "copy", other, postgres_url)
    assert (code, "--dir names it" in said) == (2, True), said
    postgres.drop_database(other)


def test_a_server_that_loses_its_lock_stops_even_when_idle(
    folder: Path, server: tuple[subprocess.Popen[str], str]
) -> None:
    process, _ = server
    with as_owner(folder) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    _, errors = process.communicate(timeout=ANSWER_S)
    assert process.returncode == 70
    assert "nothing more is taken or signed" in errors


def test_a_role_that_may_change_evidence_does_not_serve(
    folder: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    code, said = run(capsys, "serve", "--dir", folder, "--port", 0, "--db", postgres_url)
    assert (code, "may change evidence" in said) == (1, True), said


def test_another_url_may_be_given_to_serve(folder: Path, postgres_url: str) -> None:
    role = postgres_url.rsplit("/", 1)[1] + "_service"
    service = postgres_url.replace("postgres@", f"{role}@")
    (folder / "database.toml").unlink()
    process, url = start(folder, "--db", service)
    assert url.startswith("http://127.0.0.1:")
    assert stop(process) == 0


def test_a_database_with_a_ledger_takes_no_second_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    words = ("init", "--dir", tmp_path / "other", "--origin", ORIGIN, "--db", postgres_url)
    code, said = run(capsys, *words)
    assert (code, "already" in said) == (1, True), said
    assert not (tmp_path / "other").exists()
    assert run(capsys, "verify", folder)[0] == 0


def test_an_init_that_fails_late_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    words = ("init", "--dir", tmp_path / "other", "--origin", ORIGIN, "--db", postgres_url)
    code, said = run(capsys, *words, "--party", "x:1", "--party", "x:1")
    assert code != 0, said
    with psycopg.connect(postgres_url) as owner:
        found = owner.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname IN ('evidence', 'index')"
        ).fetchall()
    assert found == []
    assert run(capsys, *words)[0] == 0


def test_whoever_may_not_make_a_role_is_told_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name}_plain LOGIN")
        owner.execute(f"GRANT CREATE ON DATABASE {name} TO {name}_plain")
    plain = postgres_url.replace("postgres@", f"{name}_plain@")
    words = ("init", "--dir", tmp_path / "one", "--origin", ORIGIN, "--db", plain)
    code, said = run(capsys, *words)
    assert (code, f'CREATE ROLE "{name}_service"' in said) == (1, True), said
    with psycopg.connect(owner_url(postgres_url), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name}_service LOGIN NOINHERIT")
        owner.execute(f"GRANT {name}_service TO {name}_plain")
        owner.execute(f"GRANT CREATE, CONNECT ON DATABASE {name} TO {name}_plain")
    code, said = run(capsys, *words)
    assert code == 0, said
    assert run(capsys, "verify", tmp_path / "one")[0] == 0


@pytest.mark.parametrize(
    "url", ["mysql://localhost/x", "postgresql://127.0.0.1", "postgresql://h/d?nonsense=1"]
)
def test_a_url_that_is_none_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    words = ("init", "--dir", tmp_path / "one", "--origin", ORIGIN, "--db", url)
    assert run(capsys, *words)[0] == 2
    assert not (tmp_path / "one").exists()
