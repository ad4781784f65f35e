"""A ledger whose rows are in PostgreSQL is attacked by who owns the database.

Found is the same as in files, by the same checks, whether the audit is given the ledger's
folder or the URL of its database alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ledger.audit.finding import Result
from ledger.audit.report import Report
from ledger.audit.stored import TABLES
from ledger.audit.trustfile import TRUST_NAME
from ledger.cli.auditing import Options, audit_target
from ledger.cli.verify import audit_folder
from ledger.disclosure import encode_event
from ledger.statement import Erasure
from ledger.store.database import home_of
from ledger.store.evidence import EvidenceReader
from ledger.store.index import open_index
from tests.attacks.forger import edit_time
from tests.attacks.ledgers import BuiltLedger, build_ledger, digest, event
from tests.attacks.stored_rows import flip
from tests.ledger.store.owner import Owner, as_owner, owner_url

ENTRIES = 16
CAPTURE = 12
Attack = Callable[[Owner], object]


@pytest.fixture
def ledger(tmp_path: Path, postgres_url: str) -> Iterator[BuiltLedger]:
    """Yield a ledger of 16 entries in a database of its own, open."""
    built = build_ledger(tmp_path / "ledger", entries=ENTRIES, database=postgres_url)
    yield built
    built.close()


@pytest.fixture
def folder(ledger: BuiltLedger) -> Path:
    """Return the folder of that ledger, closed."""
    ledger.close()
    return ledger.folder


@contextmanager
def forge(folder: Path, schema: str = "evidence") -> Iterator[Owner]:
    """Open a schema as its owner, without its guards, to change anything in it."""
    with as_owner(folder, schema) as owner:
        if schema == "evidence":
            for table in TABLES.keys() - {"signed"}:
                owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield owner


def url_of(folder: Path) -> str:
    url = home_of(folder).url
    assert url is not None
    return owner_url(url)


def by_url(folder: Path, **options: object) -> Report:
    """Audit the database alone, with the trust file that its owner was given."""
    chosen = Options(trust_file=folder / TRUST_NAME, processes=1, **options)  # type: ignore[arg-type]
    return audit_target(url_of(folder), chosen)


def found(report: Report) -> set[tuple[int, int | None]]:
    return {(one.check, one.index) for one in report.findings}


def test_an_honest_database_verifies_by_its_folder_and_by_its_url(folder: Path) -> None:
    assert audit_folder(folder).result is Result.VERIFIED
    report = by_url(folder)
    assert report.result is Result.VERIFIED, (report.findings, report.undecided)
    assert report.summary.size == ENTRIES
    assert any("signed.db is a file" in text for text in report.not_checked)


def change_entry(owner: Owner) -> None:
    (data,) = owner.execute("SELECT data FROM entry WHERE idx = 8").fetchone()
    owner.execute("UPDATE entry SET data = ? WHERE idx = 8", (edit_time(bytes(data)),))


def swap_entries(owner: Owner) -> None:
    for old, new in ((8, 100), (9, 8), (100, 9)):
        owner.execute("UPDATE entry SET idx = ? WHERE idx = ?", (new, old))


def insert_entry(owner: Owner) -> None:
    owner.execute("INSERT INTO entry SELECT idx + 1, data FROM entry ORDER BY idx DESC LIMIT 1")


def change_event(owner: Owner) -> None:
    owner.execute(
        f"UPDATE event SET data = ? WHERE eid = ({CAPTURE}::bigint << 17) + 1",
        (encode_event(event(99, 9)),),
    )


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (change_entry, {(2, 8)}),
        (lambda db: db.execute("DELETE FROM entry WHERE idx = 8"), {(2, 8)}),
        (swap_entries, {(2, 8), (2, 9)}),
        (insert_entry, {(2, ENTRIES), (10, ENTRIES)}),
        (lambda db: db.execute(f"DELETE FROM entry WHERE idx = {ENTRIES - 1}"), {(4, 15)}),
        (change_event, {(11, CAPTURE)}),
        (
            lambda db: db.execute(f"DELETE FROM event WHERE eid >> 17 = {CAPTURE}"),
            {(11, CAPTURE)},
        ),
        (
            lambda db: db.execute(f"UPDATE event SET data = NULL WHERE eid >> 17 = {CAPTURE}"),
            {(11, CAPTURE)},
        ),
        (
            lambda db: db.execute(
                "INSERT INTO event VALUES ((12::bigint << 17) + 5, ?, NULL)", (digest(1),)
            ),
            {(11, CAPTURE)},
        ),
        (lambda db: db.execute("DELETE FROM notice"), {(11, 11)}),
        (lambda db: db.execute("DELETE FROM chain WHERE idx = 9"), {(10, 9)}),
        (lambda db: db.execute("DELETE FROM key_entry WHERE idx = 4"), {(9, 4)}),
    ],
    ids=[
        *("edited", "deleted", "swapped", "repeated", "cut off", "event changed"),
        *("events deleted", "erased without notice", "event added", "notice deleted"),
        *("place deleted", "key entry deleted"),
    ],
)
def test_what_the_owner_of_the_database_changes_is_found(
    folder: Path, attack: Attack, named: set[tuple[int, int | None]]
) -> None:
    with forge(folder) as owner:
        attack(owner)
    for report in (audit_folder(folder), by_url(folder)):
        assert report.result is Result.TAMPERED
        assert named & found(report), report.findings


def loosen(owner: Owner) -> None:
    """Drop what the columns may hold, as the owner can."""
    for table in TABLES.keys() - {"signed"}:
        guards = owner.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' "
            f"AND conrelid = '{table}'::regclass"
        ).fetchall()
        for (guard,) in guards:
            owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT {guard}")


def test_a_bit_of_any_column_is_found(folder: Path) -> None:
    with forge(folder) as owner:
        loosen(owner)
    for table, columns in TABLES.items():
        if table in ("signed", "tile"):  # One is a file, and there is no full tile yet.
            continue
        for column in columns:
            name = {"idx": "eid", "position": "eid"}.get(column.name, column.name)
            name = name if table == "event" else column.name
            bit = 20 if name != "eid" else 0 if column.name == "position" else 17
            select = f"SELECT ctid::text, {name} FROM {table} WHERE {name} IS NOT NULL"
            with forge(folder) as owner:
                place, old = owner.execute(f"{select} ORDER BY 2 DESC LIMIT 1").fetchone()
                old = old if isinstance(old, int) else bytes(old)
                new = flip(old, bit)
                sql = (
                    f"UPDATE {table} SET {name} = ? WHERE ctid = '{place}' RETURNING ctid::text"
                )
                (place,) = owner.execute(sql, (new,)).fetchone()
            assert audit_folder(folder).result is Result.TAMPERED, (table, column.name)
            with forge(folder) as owner:
                owner.execute(f"UPDATE {table} SET {name} = ? WHERE ctid = '{place}'", (old,))
    assert audit_folder(folder).result is Result.VERIFIED


def test_an_event_that_is_kept_although_its_erasure_is_logged(ledger: BuiltLedger) -> None:
    with as_owner(ledger.folder) as owner:
        place = (CAPTURE << 17) + 1
        (data,) = owner.execute("SELECT data FROM event WHERE eid = ?", (place,)).fetchone()
    ledger.say(ledger.gateway, Erasure(((CAPTURE, 1),), 0, digest(0)))
    ledger.publish()
    ledger.close()
    with forge(ledger.folder) as owner:
        owner.execute("UPDATE event SET data = ? WHERE eid = ?", (bytes(data), place))
    report = by_url(ledger.folder)
    assert found(report) == {(11, CAPTURE)}
    assert report.result is Result.POLICY


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("ALTER TABLE entry RENAME TO real; CREATE VIEW entry AS SELECT * FROM real", "entry"),
        ("ALTER TABLE entry ENABLE ROW LEVEL SECURITY", "policies"),
        ("CREATE TABLE shadow () INHERITS (entry)", "rules or policies"),
        ("CREATE RULE hide AS ON UPDATE TO entry DO INSTEAD NOTHING", "rules"),
        ("DROP TABLE document", "document"),
    ],
    ids=["view", "row security", "inheritance", "rule", "missing"],
)
def test_what_could_show_other_rows_is_refused(folder: Path, change: str, why: str) -> None:
    with psycopg.connect(url_of(folder), autocommit=True) as connection:
        connection.execute("SET search_path = evidence")
        for statement in change.split("; "):
            connection.execute(statement)
    for report in (audit_folder(folder), by_url(folder)):
        assert report.result is Result.UNDECIDED
        assert why in report.undecided[0]


def test_edited_and_deleted_rows_of_the_index(folder: Path) -> None:
    reader = EvidenceReader(folder)
    index = open_index(folder, reader)
    while index.follow(reader.load_size()):
        pass
    index.close()
    reader.close()
    assert audit_folder(folder, index=True).result is Result.VERIFIED
    assert by_url(folder, index=True).result is Result.VERIFIED
    eid = CAPTURE << 17
    for sql in (
        f"UPDATE event SET biz_step = 'receiving' WHERE eid = {eid}",
        f"DELETE FROM mention WHERE eid = {eid}",
    ):
        with forge(folder, "index") as owner:
            owner.execute(sql)
        report = by_url(folder, index=True)
        assert (14, CAPTURE) in found(report)
        assert report.result is Result.TAMPERED


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ledger.cli", "verify", *map(str, arguments)]
    environment = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_command_takes_the_url_and_shows_no_password(folder: Path) -> None:
    url = url_of(folder).replace("postgres@", "postgres:secret@")
    done = run(url, "--trust", folder / TRUST_NAME, "--json")
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert json.loads(done.stdout)["size"] == ENTRIES
    assert run(url).returncode == 3  # Nobody's key is known.


def test_a_server_that_is_not_there_cannot_be_judged() -> None:
    report = audit_target("postgresql://127.0.0.1:1/ledger", Options(processes=1))
    assert report.result is Result.UNDECIDED


def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError(name='psycopg')\n")
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'psycopg' else real(name, *more)\n"
        "from ledger.cli import main; main(['verify', 'postgresql://localhost/ledger'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "tagtrail[postgres]" in done.stderr
