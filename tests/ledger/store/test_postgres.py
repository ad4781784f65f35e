"""What only PostgreSQL has: roles, a lock on a connection, collations, servers that go away."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.disclosure import Submission
from ledger.errors import ParseError, RefusedError
from ledger.statement import NO_HASH, Erasure
from ledger.store.database import EVIDENCE, home_of, open_reader
from ledger.store.dialect import StorageError
from ledger.store.index import open_index
from ledger.store.index_source import IndexReader
from ledger.store.intake import verify_submission
from tests.attacks.ledgers import event, found_ledger, paper
from tests.ledger.store.owner import as_owner
from tests.ledger.store.parties import World
from tests.postgres import Cluster

TABLES = ("entry", "event", "tile", "checkpoint", "chain", "key_entry", "notice", "document")


@pytest.fixture
def world(tmp_path: Path, postgres_url: str) -> World:
    """Return a new, closed log on PostgreSQL."""
    return World(tmp_path, database=postgres_url).found()


@pytest.fixture
def service(world: World) -> Iterator["psycopg.Connection[Any]"]:
    """Yield a connection of the role that serves the log."""
    url = home_of(world.folder).url
    assert url is not None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = evidence")
        yield connection


@pytest.mark.parametrize("table", TABLES)
def test_the_service_may_add_to_evidence_and_no_more(
    service: "psycopg.Connection[Any]", table: str
) -> None:
    column = {"notice": "idx", "tile": "n", "checkpoint": "size", "chain": "idx"}.get(table)
    column = column or ("idx" if table in ("entry", "key_entry") else "data")
    for sql in (
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute(sql.encode())
    service.execute(f"SELECT count(*) FROM {table}".encode())


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE evidence.mine (n int)",
        "DROP SCHEMA evidence CASCADE",
        "ALTER FUNCTION erase(bigint, bytea) SECURITY INVOKER",
        "CREATE OR REPLACE FUNCTION evidence.refuse() RETURNS trigger LANGUAGE sql AS ''",
        "SET session_replication_role = replica",
    ],
)
def test_the_service_cannot_get_round_the_guards(
    service: "psycopg.Connection[Any]", sql: str
) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.SyntaxError)):
        service.execute(sql.encode())


@pytest.mark.parametrize("table", TABLES)
def test_the_owner_cannot_empty_a_table_by_mistake(world: World, table: str) -> None:
    with as_owner(world.folder) as owner:
        for role in ("origin", "replica"):
            owner.execute(f"SET session_replication_role = {role}")
            with pytest.raises(psycopg.Error, match="evidence is for ever"):
                owner.execute(f"TRUNCATE {table} CASCADE")


def test_nobody_else_may_look_or_erase(world: World, postgres: Cluster) -> None:
    with as_owner(world.folder) as owner:
        owner.execute("DROP ROLE IF EXISTS stranger")
        owner.execute("CREATE ROLE stranger LOGIN")
    name = str(world.database).rsplit("/", 1)[1]
    with psycopg.connect(postgres.url(name, "stranger"), autocommit=True) as stranger:
        for sql in ("SELECT data FROM evidence.entry", "SELECT evidence.erase(1, NULL)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stranger.execute(sql.encode())
    with as_owner(world.folder) as owner:
        owner.execute("DROP ROLE stranger")


def test_the_service_erases_only_what_was_noticed_and_its_own_document(
    tmp_path: Path, postgres_url: str
) -> None:
    ledger = found_ledger(tmp_path / "ledger", database=postgres_url)
    ledger.capture(ledger.gateway, [event(1, k, cites=paper(1)) for k in range(2)], paper(1))
    ledger.capture(ledger.gateway, [event(2, 0, cites=paper(2))], paper(2))
    url = home_of(ledger.folder).url
    assert url is not None
    digests = "SELECT sha256 FROM document ORDER BY data"
    with psycopg.connect(url, autocommit=True) as service:
        service.execute("SET search_path = evidence")
        (first,), (second,) = service.execute(digests).fetchall()
        with pytest.raises(psycopg.Error, match="nobody gave notice"):
            service.execute("SELECT erase(%s, %s)", (5 << 17, first))
        ledger.say(ledger.gateway, Erasure(((5, 0),), 1, NO_HASH))
        kept = "SELECT sha256 FROM document WHERE data IS NOT NULL"
        assert service.execute(kept).fetchall() == [(second,)]
        service.execute("SELECT erase(%s, %s)", (5 << 17, second))
        assert service.execute(kept).fetchall() == [(second,)]
    ledger.close()


def test_a_server_that_is_away_is_a_plain_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "database.toml").write_text('url = "postgresql://x@127.0.0.1:1/y"\n')
    with pytest.raises(StorageError, match=r"no connection to postgresql://127\.0\.0\.1:1/y"):
        world.open()


@pytest.mark.parametrize(
    "text", ["", "url = 5", 'url = "mysql://x"', 'url = "postgresql://x"\nmore = 1', "\0"]
)
def test_a_database_toml_that_is_none_is_refused(world: World, text: str) -> None:
    (world.folder / "database.toml").write_text(text)
    with pytest.raises(ParseError):
        world.open()


def test_a_writer_whose_connection_is_cut_takes_nothing_more(world: World) -> None:
    log = world.open()
    submission = world.gateway.capture(1)
    with as_owner(world.folder) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    with pytest.raises(StorageError):
        log.append([verify_submission(submission, log.keys())])
    with pytest.raises(StorageError):
        log.append([verify_submission(submission, log.keys())])
    assert log.reader.load_size() == 5
    log.close()


def test_readers_find_their_way_back(world: World) -> None:
    reader = open_reader(world.folder, EVIDENCE)
    sql = "SELECT count(*) FROM entry"
    with reader.lend() as connection:
        assert connection.execute(sql).fetchone() == (5,)
    with as_owner(world.folder) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StorageError), reader.lend() as connection:
        connection.execute(sql)
    with reader.lend() as connection:
        assert connection.execute(sql).fetchone() == (5,)
    reader.close()


def test_another_follower_of_the_index_is_noticed(world: World) -> None:
    log = world.open()
    log.append([verify_submission(world.gateway.capture(2), log.keys()) for _ in range(2)])
    one, other = open_index(world.folder, log.reader), open_index(world.folder, log.reader)
    assert one.follow(log.size) == 7
    with pytest.raises(StorageError, match="another follows it"):
        other.follow(log.size)
    for each in (one, other):
        each.close()
    log.close()


def test_order_and_case_of_texts_are_those_of_bytes_whatever_the_collation(
    tmp_path: Path, postgres: Cluster
) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as owner:
        try:
            owner.execute(
                "CREATE DATABASE odd TEMPLATE template0 ENCODING 'UTF8' "
                "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
            )
        except psycopg.Error as error:
            pytest.skip(f"this server has no ICU: {error}")
    url = postgres.url("odd")
    world = World(tmp_path, database=url).found()
    log = world.open()
    log.append([verify_submission(world.gateway.capture(1), log.keys())])
    index = open_index(tmp_path, log.reader)
    index.follow(log.size)
    texts = ["https://x/a", "https://x/B", "https://x/a/1", "https://x/ä", "https://x/a0"]
    with as_owner(tmp_path, "index") as owner:
        for text in texts:
            owner.execute("INSERT INTO key (text) VALUES (?)", (text,))
        found = owner.execute(
            "SELECT text FROM key WHERE text LIKE 'https://x/%' ORDER BY text"
        )
        assert [row[0] for row in found.fetchall()] == sorted(texts)
    reader = IndexReader(tmp_path)
    assert list(reader.source().keys_under("https://x/a")) == ["https://x/a", "https://x/a/1"]
    reader.close()
    index.close()
    log.close()
    postgres.drop_database(url)


def test_a_database_of_another_encoding_is_refused(tmp_path: Path, postgres: Cluster) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as owner:
        owner.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    url = postgres.url("latin")
    with pytest.raises(RefusedError, match="UTF8"):
        World(tmp_path, database=url).found()
    postgres.drop_database(url)


def test_what_a_role_or_database_says_of_durability_does_not_count(world: World) -> None:
    name = str(world.database).rsplit("/", 1)[1]
    with as_owner(world.folder) as owner:
        owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        owner.execute(f"ALTER ROLE {name}_service SET statement_timeout = '30s'")
        owner.execute(f"ALTER ROLE {name}_service SET idle_session_timeout = '300ms'")
    log = world.open()
    time.sleep(0.6)
    with log._database.lend() as connection:
        for setting, value in (("synchronous_commit", "on"), ("statement_timeout", "0")):
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)
    log.append([verify_submission(world.gateway.capture(1), log.keys())])
    log.close()


def test_an_erasure_that_a_crash_left_is_made_good_by_the_service(world: World) -> None:
    log = world.open()
    log.append([verify_submission(world.gateway.capture(1), log.keys())])
    notice = Submission(world.gateway.say(Erasure(((5, 0),), 1, NO_HASH)), ())
    log.append([verify_submission(notice, log.keys())])
    (stored,) = log.reader.load_events(5)
    assert stored.data is None
    log.close()
