"""The master data of captured documents: the index says which have any, evidence what it is.

    master(document, idx)      the SHA-256 of a document, and the first entry that cites it

Documents are read once and kept in memory; a document that was erased says nothing any more.
"""

import threading

from ledger.epcis.master import MasterElement, merge_master_data, read_master_data
from ledger.epcis.query import NO_MASTER_RECORDS, MasterRecords
from ledger.store.dialect import Database


class MasterReader:
    """Keeps the newest master data in memory; any thread may ask."""

    def __init__(self, index: Database, evidence: Database) -> None:
        """Read which documents in `index`, and what they say in `evidence`."""
        self._index = index
        self._evidence = evidence
        self._lock = threading.Lock()
        self._known: dict[bytes, list[MasterElement]] = {}
        self._state: tuple[tuple[bytes, int], ...] = ()
        self._records = NO_MASTER_RECORDS

    def load(self) -> MasterRecords:
        """Return what all documents say together, the newest last."""
        with self._index.lend() as connection:
            rows = connection.execute("SELECT document, idx FROM master").fetchall()
        state = tuple(sorted(((bytes(row[0]), int(row[1])) for row in rows), key=_order))
        with self._lock:
            if state != self._state:
                self._known = {d: self._read(d) for d, _ in state}
                self._records = merge_master_data(self._known[d] for d, _ in state)
                self._state = state
            return self._records

    def _read(self, document: bytes) -> list[MasterElement]:
        if document in self._known:
            return self._known[document]
        with self._evidence.lend() as connection:
            row = connection.execute(
                "SELECT data FROM document WHERE sha256 = ?", (document,)
            ).fetchone()
        return [] if row is None or row[0] is None else read_master_data(bytes(row[0]))


def _order(row: tuple[bytes, int]) -> tuple[int, bytes]:
    return row[1], row[0]
