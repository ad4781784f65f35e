"""Erases events: said in the log first, then done, and done at the next start after a crash.

A notice row for each event that an erasure statement names is written in the transaction of
its entry. Only when that is durable are the bytes of the event set to NULL; a trigger refuses
it for an event without notice. The commitment stays, so old proofs and bundles stay valid. A
document as received from a partner tells what its events do, and goes with the first of them.

What survives a crash here: the notice, and with it the order to erase. What SQLite frees is
overwritten with zeros and its log cut off, as far as no reader holds on to it; copies of the
database, the files of the source, and bundles that others hold are out of reach.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine

from ledger.audit.documents import cited_in
from ledger.disclosure import decode_event, shown_parts
from ledger.epcis.parts import join_parts
from ledger.errors import ParseError
from ledger.store.evidence import EVIDENCE_NAME
from ledger.store.sqlite import open_writer, raw, transaction

_PENDING = (
    "SELECT DISTINCT event.eid FROM notice JOIN event ON event.eid = notice.eid "
    "WHERE event.data IS NOT NULL"
)
_ERASE = "UPDATE event SET data = NULL WHERE eid = ?"


def finish_erasures(folder: Path) -> int:
    """Erase in `folder`, whose lock the caller holds, what a crash left; return how many."""
    engine = open_writer(folder / EVIDENCE_NAME)
    try:
        return erase_noticed(engine)
    finally:
        engine.dispose()


def erase_noticed(engine: Engine) -> int:
    """Erase every event that is still kept and of which a notice is durable; return how many.

    The cost grows with the notices ever given, not with the log.
    """
    with raw(engine) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        pending = connection.execute(_PENDING).fetchall()
        if not pending:
            return 0
        with transaction(connection):
            for (eid,) in pending:
                _erase_document(connection, eid)
                connection.execute(_ERASE, (eid,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return len(pending)


def _erase_document(connection: sqlite3.Connection, eid: int) -> None:
    """Erase the document that the event cites, if it was made of one."""
    select = "SELECT data FROM event WHERE eid = ?"
    (data,) = connection.execute(select, (eid,)).fetchone()
    digest = None
    with suppress(ParseError):  # What is damaged goes all the same.
        digest = cited_in(join_parts(shown_parts(decode_event(data))))
    if digest is not None:
        connection.execute("UPDATE document SET data = NULL WHERE sha256 = ?", (digest,))
