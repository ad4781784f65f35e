"""Makes the statements with which the ledger's own key says what it received (grade 1).

The key of role `capture` has one writer, this. Statements are linked before the log has
taken the ones before them, so that many documents go into one transaction; after a refusal
the link is read from the log again.
"""

import secrets
from collections.abc import Sequence

from ledger.cose import Signer
from ledger.disclosure import Submission, WholeEvent, commitment, events_root
from ledger.epcis.received import ReceivedEvent
from ledger.errors import RefusedError
from ledger.statement import Capture, Claims, Link, parse_statement, sign_statement
from ledger.store.log import Log
from ledger.tlog.merkle import Hash

DOCUMENT_GRADE = 1
EVENT_KEY_BYTES = 32


class Sealer:
    """The capture key with its place in its chain; for one thread."""

    def __init__(self, log: Log, signer: Signer) -> None:
        """Sign with `signer`, where its chain in `log` stands."""
        self._log = log
        self._signer = signer
        self._link = Link()
        self.resume()

    def resume(self) -> None:
        """Go on where the log says that the chain stands."""
        head = self._log.state.chains.get(Hash(self._signer.kid))
        self._link = Link(head.epoch, head.next_seq, head.last_id) if head else Link()

    def seal(self, events: Sequence[ReceivedEvent], now_us: int) -> tuple[Submission, bytes]:
        """Return the next statement over `events` with them, and its id.

        Raises `RefusedError` where the log does not know the key.
        """
        record = self._log.keys().get(self._signer.kid)
        if record is None:
            raise RefusedError("kid", "the ledger's capture key is not enrolled")
        whole = tuple(
            WholeEvent(secrets.token_bytes(EVENT_KEY_BYTES), one.parts) for one in events
        )
        root = events_root(map(commitment, whole))
        raw = sign_statement(
            self._signer,
            Claims(record.iss, self._log.origin, now_us // 1_000_000),
            self._link,
            Capture(DOCUMENT_GRADE, len(whole), root),
        )
        done, statement_id = self._link, parse_statement(raw).id
        self._link = Link(done.epoch, done.seq + 1, statement_id, done.seen)
        return Submission(raw, whole), statement_id
