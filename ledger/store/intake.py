"""Verifies a submission as far as the submission alone and the known keys allow.

This is the costly part, done off the writer's thread: the statement's shape, the signature
under the key that the log knows for its kid, every commitment and the root over them.
Whether the log admits the statement at its place is judged later, by the one writer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from ledger.audit.usual import read_statement
from ledger.disclosure import Submission, encode_event, verify_events
from ledger.errors import ParseError, RefusedError, VerificationError
from ledger.statement import Capture, Statement, verify_signature
from ledger.tlog.merkle import Hash
from ledger.trust.state import KeyRecord


@dataclass(frozen=True, slots=True)
class VerifiedSubmission:
    """A statement with the events that it commits to, as they are stored.

    `signature_verified` is False where the log did not know the key yet; an earlier
    submission of the same batch may enrol it.
    """

    statement: Statement
    events: tuple[tuple[Hash, bytes], ...] = ()
    signature_verified: bool = False
    document: tuple[bytes, bytes] | None = None
    """SHA-256 and bytes of the document that the events were made of and cite."""


def verify_submission(
    submission: Submission,
    keys: Mapping[bytes, KeyRecord],
    *,
    origin: str | None = None,
    document: bytes | None = None,
) -> VerifiedSubmission:
    """Return `submission`, verified, or raise; `document` is what its events were made of.

    `ParseError` where the statement does not parse or brings events that its kind has
    not, `RefusedError` with check `aud` (where `origin` is given) or `signature`, in this
    order, `CommitmentError` where the events are not what it signs.
    """
    statement = read_statement(submission.statement)
    if origin is not None and statement.aud != origin:
        raise RefusedError("aud", f"speaks to {statement.aud!r}, this log is {origin!r}")
    record = keys.get(statement.kid)
    if record is not None:
        try:
            verify_signature(statement, record.x)
        except VerificationError as error:
            raise RefusedError("signature", str(error)) from error
    body = statement.body
    if not isinstance(body, Capture):
        if submission.events:
            raise ParseError("submission", f"a {statement.sub} statement brings no events")
        return VerifiedSubmission(statement, (), record is not None)
    commitments = verify_events(submission.events, count=body.count, root=body.root)
    stored = zip(commitments, map(encode_event, submission.events), strict=True)
    received = None if document is None else (sha256(document).digest(), document)
    return VerifiedSubmission(statement, tuple(stored), record is not None, received)
