"""Erases events: said in the log first, then done, and done at the next start after a crash.

A notice row for each event that an erasure statement names is written in the transaction of
its entry. Only when that is durable are the bytes of the event set to NULL; a trigger refuses
it for an event without notice. The commitment stays, so old proofs and bundles stay valid. A
document as received from a partner tells what its events do, and goes with the first of them.

What survives a crash here: the notice, and with it the order to erase. What SQLite frees is
overwritten with zeros and its log cut off, as far as no reader holds on to it; copies of the
database, the files of the source, and bundles that others hold are out of reach.
"""

from contextlib import suppress

from ledger.audit.documents import cited_in
from ledger.disclosure import decode_event, shown_parts
from ledger.epcis.parts import join_parts
from ledger.errors import ParseError
from ledger.store.database import Where, open_evidence
from ledger.store.dialect import Connection, Database

_PENDING = (
    "SELECT DISTINCT event.eid FROM notice JOIN event ON event.eid = notice.eid "
    "WHERE event.data IS NOT NULL"
)
_DATA = "SELECT data FROM event WHERE eid = ?"


def finish_erasures(where: Where) -> int:
    """Erase what a crash left at `where`; the caller holds the folder's lock. Say how many."""
    database = open_evidence(where)
    try:
        return erase_noticed(database)
    finally:
        database.close()


def erase_noticed(database: Database) -> int:
    """Erase every event that is still kept and of which a notice is durable; return how many.

    The cost grows with the notices ever given, not with the log.
    """
    with database.lend() as connection:
        pending = connection.execute(_PENDING).fetchall()
    if not pending:
        return 0
    with database.transaction(erasing=True) as connection:
        for (eid,) in pending:
            database.erase(connection, eid, _find_cited(connection, eid))
    return len(pending)


def _find_cited(connection: Connection, eid: int) -> bytes | None:
    """Return the SHA-256 of the document that the event cites, if it was made of one."""
    (data,) = connection.execute(_DATA, (eid,)).fetchone()
    with suppress(ParseError):  # What is damaged goes all the same.
        return cited_in(join_parts(shown_parts(decode_event(data))))
    return None
