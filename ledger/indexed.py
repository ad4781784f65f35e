"""Bounds the texts that the index is searched by, so that none is too much for a database.

    up to 500 characters             the text itself
    longer, or with U+0000 in it     its first 400 characters without U+0000, "…#" and the
                                     SHA-256 of all in hex

PostgreSQL indexes no text past some 2,700 bytes, and neither its text nor SQLite's JSON holds
U+0000; a party that names such a text must neither stop the index nor hide what it did. Whoever
searches for one bounds it in the same way and finds it; the event keeps every character.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

    _Row = TypeVar("_Row", bound=DataclassInstance)

INDEXED_CHARS_MAX = 500
SEARCHED = (
    *("type", "action", "biz_step", "disposition", "read_point", "biz_location"),
    *("transformation_id", "event_id", "error_reason"),
)
"""The fields of an event's row that it is found by."""

_CHARS_SHOWN = 400
NUL = "\0"


def indexed_text(text: str) -> str:
    """Return `text`, or what stands for it in the index where it is too long."""
    if _fits(text):
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:_CHARS_SHOWN].replace(NUL, '')}…#{digest}"


def _fits(text: str) -> bool:
    return len(text) <= INDEXED_CHARS_MAX and NUL not in text


def bounded(rows: "Iterable[_Row]", names: tuple[str, ...]) -> "tuple[_Row, ...]":
    """Return `rows` with those of their fields `names` bounded that are texts."""
    return tuple(_bounded(row, names) for row in rows)


def _bounded(row: "_Row", names: tuple[str, ...]) -> "_Row":
    changes: dict[str, Any] = {}
    for name in names:
        text = getattr(row, name)
        if text is not None and not _fits(text):
            changes[name] = indexed_text(text)
    return replace(row, **changes) if changes else row
