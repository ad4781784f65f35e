"""The master data of captured documents, as the index keeps it; read once per change.

    vocabulary(document, n, element, name, value, idx)

A row says that the document (its SHA-256), cited first by entry `idx`, gives `element` an
attribute `name` with `value`, or, where `name` is "", a child. Where several documents speak
of one element, the newest counts.
"""

import threading

from ledger.epcis.query import NO_MASTER_RECORDS, MasterRecords
from ledger.store.dialect import Database


class MasterReader:
    """Keeps the newest master data in memory; any thread may ask."""

    def __init__(self, database: Database) -> None:
        """Read the index that `database` is."""
        self._database = database
        self._lock = threading.Lock()

    def load(self) -> MasterRecords:
        """Return what the index knows."""
        return NO_MASTER_RECORDS
