"""Speaks to a ledger's databases as their owner does, who may do what the service may not.

Works on both databases: `?` stands for a value, and a guard has the same name.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg

from ledger.store.database import home_of
from ledger.store.postgres_connection import Marked, connect

ERRORS = (sqlite3.Error, psycopg.Error)
"""What a database raises that refuses something."""


class Owner(Protocol):
    """A connection of the owner."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Any: ...


@contextmanager
def as_owner(folder: Path, name: str = "evidence") -> Iterator[Owner]:
    """Yield a connection to a database of a ledger; what it did is committed at the end."""
    url = home_of(folder).url
    if url is None:
        connection = sqlite3.connect(folder / f"{name}.db")
        try:
            connection.execute("PRAGMA recursive_triggers = ON")
            yield connection
            connection.commit()
        finally:
            connection.close()
    else:
        with connect(owner_url(url), name) as driver:
            yield Marked(driver)


def owner_url(url: str) -> str:
    """Return the URL of a service as that of the superuser of a test's server."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"postgres@{hosts}"))


def drop_guard(owner: Owner, table: str, verb: str) -> None:
    """Take away the trigger that guards a table against a verb."""
    on = "" if isinstance(owner, sqlite3.Connection) else f" ON {table}"
    owner.execute(f"DROP TRIGGER {table}_no_{verb}{on}")


def read_values(folder: Path, sql: str, name: str = "evidence") -> list[tuple[Any, ...]]:
    """Return what a query finds in one of a ledger's databases."""
    with as_owner(folder, name) as owner:
        found: list[tuple[Any, ...]] = owner.execute(sql).fetchall()
        return found
