"""Loads the events that the index names: where they are pinned, and what they say.

An event is read whole from the evidence, decoded and parsed as the audit does it, and kept
(`index_cache`) for the next question. What is kept is shown only while the evidence still
has its data, so an erased event leaves every later answer, whoever erased it.

Row ids go to the database as one array, so that a batch is one statement, whatever its size.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.errors import ParseError
from ledger.projection import Pin, parse_shown, split_row_id
from ledger.provenance.source import KnownEvent, known_event
from ledger.store.database import EVIDENCE, INDEX, Where, open_reader
from ledger.store.dialect import Database
from ledger.store.evidence import StoredEvent
from ledger.store.index import show_event
from ledger.store.index_cache import EventCache
from ledger.tlog.merkle import Hash

_PINS = """
SELECT event.eid, iss, grade, record_time_us, document, content
FROM {asked} CROSS JOIN event WHERE event.eid = asked.eid
"""
_STORED = """
SELECT event.eid, commitment, data
FROM {asked} CROSS JOIN event WHERE event.eid = asked.eid
"""
_ERASED = """
SELECT event.eid
FROM {asked} CROSS JOIN event WHERE event.eid = asked.eid AND {is_erased}
"""


class EventLoader:
    """Reads events by row id; any number of threads may ask at once."""

    def __init__(self, where: Where) -> None:
        """Read index and evidence of the ledger at `where`; raise `StorageError` without."""
        self.index = open_reader(where, INDEX)
        self._evidence = open_reader(where, EVIDENCE)
        self.cache = EventCache()

    def close(self) -> None:
        """Close every connection."""
        self.index.close()
        self._evidence.close()

    def load(self, eids: Sequence[int]) -> dict[int, KnownEvent]:
        """Return those of `eids` that are EPCIS events and were not erased."""
        found = self.cache.find(eids)
        missing = [eid for eid in eids if eid not in found]
        gone = {row[0] for row in _ask(self._evidence, _ERASED, list(found))}
        stored = _ask(self._evidence, _STORED, missing)
        self.cache.forget(gone)
        for eid in gone:
            del found[eid]
        if stored:
            pins = {row[0]: row[1:] for row in _ask(self.index, _PINS, missing)}
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


def _ask(database: Database, sql: str, eids: Sequence[int]) -> list[Any]:
    if not eids:
        return []
    text = sql.format(
        asked=database.given("?", eid=int), is_erased=database.is_null("event.data")
    )
    with database.lend() as connection:
        return connection.execute(text, (database.pack(eids),)).fetchall()
