"""Connects to a PostgreSQL server so that texts, numbers and marks mean what they do on SQLite.

`?` and `?1` stand for values. Integers go in as `bigint`. U+0000, which PostgreSQL's text
cannot hold, is stored as U+0001 U+0001 and U+0001 as U+0001 U+0002, which keeps the order of
texts. `search_path` names the one schema that a connection looks into.
"""

import os
import re
import socket
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.abc import Buffer
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper, StrDumperUnknown, TextBinaryLoader

from ledger.store.dialect import Cursor, StorageError

CONNECT_S = 10
APPLICATION = "tagtrail"

# A peer that vanished without a word is given up after about 20 seconds.
_KEEPALIVES: dict[str, object] = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_MARK = re.compile(r"\?(\d*)")


_ALWAYS = ("SET jit = off", "SET idle_session_timeout = 0")


def connect(
    url: str, schema: str, *, passfile: Path | None = None, settings: Sequence[str] = ()
) -> "psycopg.Connection[Any]":
    """Return a new connection to `url` that looks into `schema`, or raise `StorageError`."""
    options = dict(_KEEPALIVES, client_encoding="UTF8")
    options["fallback_application_name"] = f"{APPLICATION} {os.getpid()} {socket.gethostname()}"
    if "connect_timeout" not in url:
        options["connect_timeout"] = CONNECT_S
    if passfile is not None and passfile.exists():
        options["passfile"] = str(passfile)
    try:
        connection = psycopg.connect(url, autocommit=True, **options)  # type: ignore[arg-type]  # libpq's own names
    except psycopg.Error as error:
        raise StorageError(f"no connection to {shown(url)}: {plain(error)}") from error
    try:
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        connection.adapters.register_dumper(str, _TextInList)
        connection.adapters.register_dumper(str, _TextDumper)
        connection.adapters.register_loader("text", _TextLoader)
        connection.cursor_factory = psycopg.RawCursor
        lines = (f'SET search_path = "{schema}"', *_ALWAYS, *settings)
        connection.execute("; ".join(lines).encode())
    except psycopg.Error as error:
        connection.close()
        raise StorageError(f"{shown(url)} cannot be used: {plain(error)}") from error
    return connection


def shown(url: str) -> str:
    """Return `url` as it may be printed: without a password."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "the database"
    where = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"
    return f"postgresql://{where}/{parts.get('dbname', '')}"


class Marked:
    """A connection that takes `?` where the server takes `$1`."""

    __slots__ = ("driver",)

    def __init__(self, driver: "psycopg.Connection[Any]") -> None:
        self.driver = driver

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        """Run one statement, with `values` for its placeholders."""
        return self.driver.execute(_numbered(sql), values or None, binary=True)


@lru_cache(maxsize=512)
def _numbered(sql: str) -> bytes:
    numbers = count(1)
    return _MARK.sub(lambda mark: f"${mark[1] or next(numbers)}", sql).encode()


def primary(url: str) -> str:
    """Return `url` so that of several hosts the one that takes writes is chosen."""
    parts = conninfo.conninfo_to_dict(url)
    if "target_session_attrs" in parts or "," not in str(parts.get("host", "")):
        return url
    return conninfo.make_conninfo(url, target_session_attrs="read-write")


def _escape(text: str) -> str:
    if "\x01" in text or "\x00" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def _unescape(text: str) -> str:
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text


def escape_all(value: Any) -> Any:
    """Return a value of JSON with its texts as they are stored."""
    if isinstance(value, str):
        return _escape(value)
    if isinstance(value, list | tuple):
        return [escape_all(one) for one in value]
    return value


class _TextInList(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer:
        return _escape(obj).encode()


class _TextDumper(StrBinaryDumper):
    def dump(self, obj: str) -> Buffer:
        return _escape(obj).encode()


class _TextLoader(TextBinaryLoader):
    def load(self, data: Buffer) -> str:
        return _unescape(str(data, "utf-8"))


def plain(error: psycopg.Error) -> str:
    """Return what the driver says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
