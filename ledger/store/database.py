"""Chooses where a ledger's rows are: files of its folder, or a PostgreSQL database.

A ledger has a folder in any case: it keeps the keys, `trust.toml`, the lock and `signed.db`.
Where `database.toml` is in it, the evidence, the index and the capture jobs are in the
PostgreSQL database that it names:

    url = "postgresql://ledger_service@db.example/ledger"

`tagtrail init --db` writes that file, and the role's password into `keys/database.pgpass`, the
password file of libpq; PGPASSWORD and ~/.pgpass work as ever. This is the one place that
knows both dialects; psycopg is imported only where a database has a URL.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import ParseError
from ledger.store import sqlite
from ledger.store.dialect import Database
from ledger.store.schema import Layout, create_evidence_tables

DATABASE_TOML = "database.toml"
PASSFILE = "keys/database.pgpass"
EVIDENCE, INDEX, CAPTURE = "evidence", "index", "capture"
SCHEMES = ("postgresql://", "postgres://")
_TOML_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Home:
    """Where a ledger is: its folder, and the URL of its database if it is not in there."""

    folder: Path
    url: str | None = None

    @property
    def passfile(self) -> Path:
        """The password file of this ledger, of libpq's format; it may be missing."""
        return self.folder / PASSFILE

    def file(self, name: str) -> Path:
        """Return the path of the SQLite file of a database."""
        return self.folder / f"{name}.db"


Where = Path | Home
"""A ledger's folder, or its folder with a database that goes before what the folder names."""


def home_of(where: Where) -> Home:
    """Return the home of a ledger; raise `ParseError` for a `database.toml` that is none."""
    if isinstance(where, Home):
        return where
    path = where / DATABASE_TOML
    if not path.is_file():
        return Home(where)
    return Home(where, parse_database_toml(path))


def parse_database_toml(path: Path) -> str:
    """Return the URL that `database.toml` names, or raise `ParseError`."""
    with path.open("rb") as file:
        data = file.read(_TOML_BYTES_MAX + 1)
    try:
        table = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParseError(str(path), str(error)) from error
    if len(data) > _TOML_BYTES_MAX or set(table) != {"url"}:
        raise ParseError(str(path), 'it holds one line: url = "postgresql://…"')
    if not isinstance(table["url"], str):
        raise ParseError(str(path), "url is no string")
    return check_url(table["url"], DATABASE_TOML)


def open_reader(where: Where, name: str) -> Database:
    """Open one of a ledger's databases for any number of readers, which change nothing."""
    home = home_of(where)
    if home.url is None:
        return sqlite.open_reader(home.file(name))
    from ledger.store import postgres  # noqa: PLC0415 - only where it is used

    return postgres.open_reader(home.url, name, home.passfile)


def open_writer(where: Where, name: str, *, durable: bool = True) -> Database:
    """Open one of a ledger's databases, but not the evidence, to be changed."""
    home = home_of(where)
    if home.url is None:
        return sqlite.open_writer(home.file(name), durable=durable)
    from ledger.store import postgres  # noqa: PLC0415 - only where it is used

    return postgres.open_writer(home.url, name, home.passfile, durable=durable)


def open_evidence(where: Where) -> Database:
    """Open the evidence for its one writer, who holds the lock of the folder already.

    On PostgreSQL this takes the lock of the database; `RefusedError` with check `lock` where
    another process has it.
    """
    home = home_of(where)
    if home.url is None:
        return sqlite.open_writer(home.file(EVIDENCE))
    from ledger.store import postgres  # noqa: PLC0415 - only where it is used

    return postgres.lock_for_writing(home.url, EVIDENCE, home.passfile)


def create_evidence(
    folder: Path, url: str | None, role: str, *, toml: str = DATABASE_TOML
) -> Callable[[], None]:
    """Make the tables of the evidence, once, for the ledger in `folder`; return the undoing.

    With `url`, in that database, for the service role `role` (by default one named after
    the database), and write down in the file `toml` of `folder` where it is. Raises
    `RefusedError` with check `exists` where there is evidence already; see
    `postgres_founding.found_database`.
    """
    if url is None:
        sqlite.create_database(Home(folder).file(EVIDENCE), create_evidence_tables)
        return lambda: sqlite.remove(Home(folder).file(EVIDENCE))
    from ledger.store import postgres_founding  # noqa: PLC0415 - only where it is used

    founded = postgres_founding.found_database(url, role)

    def undo() -> None:
        postgres_founding.drop_database(url, founded)
        (folder / toml).unlink(missing_ok=True)
        if before:
            passfile.write_text(before, "utf-8")
        else:
            passfile.unlink(missing_ok=True)

    passfile = folder / PASSFILE
    before = passfile.read_text("utf-8") if passfile.exists() else ""
    try:
        if founded.password is not None:
            passfile.parent.mkdir(mode=0o700, exist_ok=True)
            passfile.touch(0o600)
            passfile.write_text(before + postgres_founding.passfile_line(founded), "utf-8")
        (folder / toml).write_text(f"url = {json.dumps(founded.url)}\n", "utf-8")
    except BaseException:
        undo()
        raise
    return undo


def version_of(where: Where, name: str) -> int | None:
    """Return the version of the tables of `name`, or None where there are none to use."""
    home = home_of(where)
    if home.url is None:
        return sqlite.version_of(home.file(name))
    from ledger.store import postgres_founding  # noqa: PLC0415 - only where it is used

    return postgres_founding.version_of(home.url, name, home.passfile)


def make_again(where: Where, name: str, layout: Layout, version: int) -> None:
    """Make the tables of a disposable database anew; whatever was there is thrown away."""
    home = home_of(where)
    if home.url is None:
        sqlite.make_again(home.file(name), layout.create, version)
        return
    from ledger.store import postgres_founding  # noqa: PLC0415 - only where it is used

    statements = [*postgres_founding.create_sql(layout.metadata), *layout.first]
    postgres_founding.make_again(home.url, name, statements, version, home.passfile)


def check_url(url: str, where: str = "--db") -> str:
    """Return `url`, or raise `ParseError` where it is none of a PostgreSQL database."""
    if not url.startswith(SCHEMES):
        raise ParseError(where, "a database's URL starts with postgresql://")
    return url
