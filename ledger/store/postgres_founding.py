"""Makes the schemas, guards and roles of a new ledger in a PostgreSQL database.

    schema evidence   owned by whoever runs `tagtrail init`: the tables of `evidence.db`, with
                      triggers that refuse UPDATE, DELETE and TRUNCATE, and `erase`
    schema index      owned by the service: disposable, it makes and drops these tables
    schema capture    owned by the service: documents on their way

The service role may read evidence and add to it; it has neither UPDATE nor DELETE nor TRUNCATE
there, and owns none of it, so it cannot drop a trigger either. Erasing goes through one
function, which runs with its owner's rights and does one thing: set the data of an event to
NULL of which a notice is in the log, and the document that this very event cites.

Who owns the database can do anything, as with the files of SQLite; who breaks into the
service cannot rewrite what is there, only add, and what it adds is chained and witnessed.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import conninfo, sql
from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from ledger.errors import ParseError, RefusedError
from ledger.store.dialect import StorageError
from ledger.store.postgres_connection import connect, plain, primary
from ledger.store.schema import EvidenceTable

EVIDENCE, INDEX, CAPTURE = "evidence", "index", "capture"
VERSION_MIN = 150_000
ROLE_SUFFIX = "_service"
NAME_BYTES_MAX = 63
PASSWORD_BYTES = 24
_VERSION = "tagtrail version "
SCHEMES = ("postgresql://", "postgres://")

_FROZEN = ("entry", "tile", "checkpoint", "chain", "key_entry", "notice")
_FUNCTIONS = (
    """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%: evidence is for ever', TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$""",
    """CREATE FUNCTION refuse_unless_erased() RETURNS trigger LANGUAGE plpgsql
SET search_path = evidence, pg_temp AS $$
BEGIN
  IF NEW.data IS NULL THEN
    IF TG_TABLE_NAME = 'event' THEN
      IF NEW.eid = OLD.eid AND NEW.commitment = OLD.commitment
         AND EXISTS (SELECT 1 FROM notice WHERE notice.eid = OLD.eid) THEN
        RETURN NEW;
      END IF;
    ELSIF NEW.sha256 = OLD.sha256 THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION '%: evidence is for ever', TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$""",
    # The caller says which document the event cites; it is believed if its hash is in there.
    """CREATE FUNCTION erase(asked bigint, cited bytea) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = evidence, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM notice WHERE notice.eid = asked) THEN
    RAISE EXCEPTION 'event %: nobody gave notice of its erasure', asked
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF cited IS NOT NULL THEN
    UPDATE document SET data = NULL WHERE sha256 = cited AND data IS NOT NULL AND EXISTS (
      SELECT 1 FROM event WHERE event.eid = asked
      AND position(convert_to(encode(cited, 'hex'), 'UTF8') IN event.data) > 0);
  END IF;
  UPDATE event SET data = NULL WHERE eid = asked AND data IS NOT NULL;
END $$""",
    "REVOKE ALL ON FUNCTION erase(bigint, bytea) FROM PUBLIC",
    # What is in there is hashes and signatures, or short: compressing it wins nothing.
    "ALTER TABLE entry ALTER COLUMN data SET STORAGE EXTERNAL",
    "ALTER TABLE tile ALTER COLUMN data SET STORAGE EXTERNAL",
)


@dataclass(frozen=True, slots=True)
class Founded:
    """The role that serves a new ledger; `password` is None where the role was there."""

    url: str
    role: str
    password: str | None


def check_url(url: str) -> str:
    """Return `url`, or raise `ParseError` where it is no URL of a PostgreSQL database."""
    if not url.startswith(SCHEMES):
        raise ParseError("--db", "a database's URL starts with postgresql://")
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ParseError("--db", " ".join(str(error).split())) from error
    if not parts.get("dbname"):
        raise ParseError("--db", "the URL names no database: postgresql://host/DATABASE")
    return url


def found_database(url: str, role: str = "") -> Founded:
    """Make schemas, tables, guards and the service role in the database at `url`.

    All of it or nothing. `role` is by default the name of the database with `_service`. A
    role that is there is taken as it is. Raises `RefusedError` with check `exists` where a
    ledger is there already, and with check `rights` where whoever connects may not do it:
    then its reason is the SQL that somebody else has to run first.
    """
    with connect(check_url(url), "pg_catalog") as connection:
        database = str(connection.info.dbname)
        role = role or database[: NAME_BYTES_MAX - len(ROLE_SUFFIX)] + ROLE_SUFFIX
        _check_server(connection)
        try:
            with connection.transaction():
                password = _make_role(connection, role)
                _make_evidence(connection, role)
                for schema in (INDEX, CAPTURE):
                    _run(connection, "CREATE SCHEMA {} AUTHORIZATION {}", schema, role)
        except psycopg.errors.InsufficientPrivilege as error:
            raise RefusedError("rights", _what_to_run(database, role, error)) from error
        except psycopg.Error as error:
            raise StorageError(f"the ledger cannot be made: {error}") from error
    return Founded(service_url(url, role), role, password)


def drop_database(url: str, founded: Founded) -> None:
    """Take back what `found_database` has made, as far as it was made there."""
    with connect(url, "pg_catalog") as connection, connection.transaction():
        for schema in (EVIDENCE, INDEX, CAPTURE):
            _run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", schema)
        if founded.password is not None:
            _run(connection, "DROP OWNED BY {}", founded.role)
            _run(connection, "DROP ROLE {}", founded.role)


def service_url(url: str, role: str) -> str:
    """Return `url` with `role` for its user and without a password."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    query = [(k, v) for k, v in parse_qsl(parts.query) if k not in {"user", "password"}]
    netloc = f"{quote(role, safe='')}@{hosts}"
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query), ""))


def passfile_line(founded: Founded) -> str:
    """Return the line of libpq's password file for the service role, on any host."""
    database = unquote(urlsplit(founded.url).path.removeprefix("/"))
    fields = ("*", "*", database, founded.role, founded.password or "")
    return ":".join(one.replace("\\", "\\\\").replace(":", "\\:") for one in fields) + "\n"


def version_of(url: str, schema: str, passfile: Path | None = None) -> int | None:
    """Return the number that `make_again` left with `schema`, or None where there is none."""
    with connect(primary(url), schema, passfile=passfile) as connection:
        row = connection.execute(
            b"SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1",
            (schema,),
        ).fetchone()
    text = "" if row is None else str(row[0])
    number = text.removeprefix(_VERSION)
    return int(number) if text.startswith(_VERSION) and number.isdecimal() else None


def make_again(
    url: str, schema: str, statements: Sequence[str], version: int, passfile: Path | None
) -> None:
    """Make the tables of `schema` by `statements`; what was there is thrown away."""
    with connect(primary(url), schema, passfile=passfile) as connection:
        try:
            with connection.transaction():
                there = connection.execute(
                    b"SELECT tablename FROM pg_tables WHERE schemaname = $1", (schema,)
                ).fetchall()
                for (table,) in there:
                    connection.execute(f'DROP TABLE "{table}" CASCADE'.encode())
                for statement in statements:
                    connection.execute(statement.encode())
                said = f"{_VERSION}{version}"
                connection.execute(f"COMMENT ON SCHEMA \"{schema}\" IS '{said}'".encode())
        except psycopg.Error as error:
            raise StorageError(f"{schema} cannot be made: {plain(error)}") from error


def create_sql(metadata: MetaData) -> list[str]:
    """Return the statements that make the tables of `metadata` and their indexes."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [str(CreateIndex(one).compile(dialect=dialect)) for one in table.indexes]
    return statements


def _check_server(connection: "psycopg.Connection[Any]") -> None:
    info = connection.info
    if info.server_version < VERSION_MIN:
        raise RefusedError("version", f"PostgreSQL 15 is needed, this is {info.server_version}")
    if info.parameter_status("server_encoding") != "UTF8":
        raise RefusedError("encoding", "the database must be made with ENCODING 'UTF8'")
    there = connection.execute(
        b"SELECT nspname FROM pg_namespace WHERE nspname IN ('evidence', 'index', 'capture')"
    ).fetchone()
    if there is not None:
        raise RefusedError(
            "exists",
            f"the database has a schema {there[0]} already; "
            "a log is created once, in a database of its own",
        )


def _make_role(connection: "psycopg.Connection[Any]", role: str) -> str | None:
    """Make the service role with a new password, or take the one that is there."""
    there = connection.execute(b"SELECT 1 FROM pg_roles WHERE rolname = $1", (role,))
    password = None
    if there.fetchone() is None:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        # The server gets a verifier, so that no log of its statements has the password.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), role.encode(), b"scram-sha-256"
        )
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOINHERIT PASSWORD {}")
            .format(sql.Identifier(role), sql.Literal(verifier.decode()))
            .as_bytes(connection)
        )
    row = connection.execute(
        b"SELECT pg_has_role($1, 'MEMBER'), current_user = $1", (role,)
    ).fetchone()
    assert row is not None
    is_member, is_same = row
    if is_same:
        raise RefusedError(
            "role",
            f"{role} would own the evidence that it serves: run init as "
            "another role, or name another with --db-role",
        )
    if not is_member:
        _run(connection, "GRANT {} TO CURRENT_USER", role)
    _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", str(connection.info.dbname), role)
    return password


def _make_evidence(connection: "psycopg.Connection[Any]", role: str) -> None:
    _run(connection, "CREATE SCHEMA {}", EVIDENCE)
    connection.execute(b"SET LOCAL search_path = evidence")
    for statement in (*create_sql(EvidenceTable.metadata), *_FUNCTIONS, *_triggers()):
        connection.execute(statement.encode())
    _run(connection, "GRANT USAGE ON SCHEMA {} TO {}", EVIDENCE, role)
    _run(connection, "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {} TO {}", EVIDENCE, role)
    _run(connection, "GRANT EXECUTE ON FUNCTION {}.erase(bigint, bytea) TO {}", EVIDENCE, role)


def _triggers() -> list[str]:
    """Return the triggers that hold for everyone, the owner and a replica's worker too."""
    made = []
    for table in (*_FROZEN, "event", "document"):
        change = "refuse" if table in _FROZEN else "refuse_unless_erased"
        for verb, per, function in (
            ("UPDATE", "ROW", change),
            ("DELETE", "ROW", "refuse"),
            ("TRUNCATE", "STATEMENT", "refuse"),
        ):
            name = f"{table}_no_{verb.lower()}"
            made += [
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH {per} "  # noqa: ISC004 - one statement
                f"EXECUTE FUNCTION {function}()",
                f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
            ]
    return made


def _what_to_run(database: str, role: str, error: psycopg.Error) -> str:
    return (
        f"{' '.join(str(error).split())}; let an administrator of the server run: "
        f'CREATE ROLE "{role}" LOGIN NOINHERIT PASSWORD \'…\'; GRANT "{role}" TO CURRENT_USER; '
        f'GRANT CREATE, CONNECT ON DATABASE "{database}" TO CURRENT_USER; '
        "with the role that runs `tagtrail init` for CURRENT_USER, then run it again"
    )


def _run(connection: "psycopg.Connection[Any]", statement: str, *names: str) -> None:
    """Run a statement with `names` in it, each quoted."""
    text = sql.SQL(statement).format(*map(sql.Identifier, names))
    connection.execute(text.as_bytes(connection))
