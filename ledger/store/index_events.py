"""Loads the events that the index names: where they are pinned, and what they say.

An event is read whole from the evidence, decoded and parsed as the audit does it, and kept
(`index_cache`) for the next question. What is kept is shown only while the evidence still
has its data, so an erased event leaves every later answer, whoever erased it.

Row ids go to SQLite as one JSON array, so that a batch is one statement, whatever its size.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ledger.errors import ParseError
from ledger.projection import Pin, parse_shown, split_row_id
from ledger.provenance.source import KnownEvent, known_event
from ledger.store.evidence import EVIDENCE_NAME, StoredEvent
from ledger.store.index import INDEX_NAME, show_event
from ledger.store.index_cache import EventCache
from ledger.store.sqlite import StorageError, open_reader, raw
from ledger.tlog.merkle import Hash

_PINS = """
SELECT event.eid, iss, grade, record_time_us, document, content
FROM json_each(?) AS asked CROSS JOIN event ON event.eid = asked.value
"""
_STORED = """
SELECT event.eid, commitment, data
FROM json_each(?) AS asked CROSS JOIN event ON event.eid = asked.value
"""
# `typeof` looks at the header of a row, so that long events are not read for it.
_ERASED = """
SELECT event.eid
FROM json_each(?) AS asked CROSS JOIN event ON event.eid = asked.value
WHERE typeof(data) = 'null'
"""


class EventLoader:
    """Reads events by row id; any number of threads may ask at once."""

    def __init__(self, folder: Path) -> None:
        """Read `index.db` and `evidence.db` in `folder`; raise `StorageError` without them."""
        self.index = open_reader(folder / INDEX_NAME)
        self._evidence = open_reader(folder / EVIDENCE_NAME)
        self.cache = EventCache()

    def close(self) -> None:
        """Close every connection."""
        self.index.dispose()
        self._evidence.dispose()

    def load(self, eids: Sequence[int]) -> dict[int, KnownEvent]:
        """Return those of `eids` that are EPCIS events and were not erased."""
        found = self.cache.find(eids)
        missing = [eid for eid in eids if eid not in found]
        with raw(self._evidence) as connection:
            gone = {row[0] for row in _ask(connection, _ERASED, list(found))}
            stored = _ask(connection, _STORED, missing)
        self.cache.forget(gone)
        for eid in gone:
            del found[eid]
        if stored:
            with raw(self.index) as connection:
                pins = {row[0]: row[1:] for row in _ask(connection, _PINS, missing)}
            new = list(_parse(stored, pins))
            self.cache.keep(new)
            found.update((known.pin.eid, known) for known, _ in new)
        return found


def _parse(
    stored: Iterable[tuple[int, bytes, bytes | None]], pins: dict[int, Any]
) -> Iterable[tuple[KnownEvent, int]]:
    """Yield the events with the number of bytes in which each is stored."""
    for eid, commitment, data in stored:
        if data is None or eid not in pins:
            continue
        index, position = split_row_id(eid)
        shown = show_event(StoredEvent(position, Hash(commitment), data))
        assert shown is not None
        iss, grade, record_time_us, document, content = pins[eid]
        pin = Pin(
            index=index,
            position=position,
            commitment=shown.commitment,
            iss=iss,
            grade=grade,
            record_time_us=record_time_us,
            document=document,
            withheld=shown.withheld,
        )
        try:
            yield known_event(pin, parse_shown(shown), content), len(data)
        except ParseError:  # Kept in the log, counted in the index, no EPCIS event.
            continue


def _ask(connection: sqlite3.Connection, sql: str, eids: Sequence[int]) -> list[Any]:
    if not eids:
        return []
    try:
        return connection.execute(sql, (json.dumps(eids),)).fetchall()
    except sqlite3.DatabaseError as error:
        raise StorageError(f"an event cannot be read: {error}") from error
