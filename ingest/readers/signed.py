"""Devices that sign for themselves: a whole submission in one message, grade 3.

    {"type":"tagtrail.submission/v1","submission":"glkBAdKEWIGjASc…"}

`submission` is `[statement, [event, …]]` in CBOR (docs/spec/submission.md) as unpadded
base64url. It goes on unchanged; what is looked at is all that can be without the ledger: that
it parses, that the statement is a capture and commits to these very events, that EPCIS allows
them as far as they are shown, and, where the plan names the keys of its devices, that one of
these signed.

Refused: other fields, base64 in another than its canonical spelling, statements of another
kind, events that the statement does not sign, a signature that is not the key's.

Pure: no I/O, no clock, no randomness.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from ingest.readers.fields import parse_text
from ingest.reads import MESSAGE_BYTES_MAX, Signed
from ledger.disclosure import WholeEvent, decode_submission, verify_events
from ledger.epcis.event import parse_event
from ledger.epcis.parts import join_parts
from ledger.errors import ParseError, VerificationError
from ledger.statement import Capture, parse_statement, verify_signature

TYPE = "tagtrail.submission/v1"
_FIELDS = {"type", "submission"}


def is_signed(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is a submission of a signing device."""
    return obj.get("type") == TYPE


def parse_submission(
    obj: Mapping[str, object], where: str, keys: Mapping[bytes, bytes]
) -> Signed:
    """Return the statement in `obj`; raises `ParseError`.

    `keys` are the public keys of the plan's devices by kid; where there are none, any key is
    let through, for the ledger knows which it trusts.
    """
    place = f"{where}.submission".lstrip(".")
    if obj.keys() != _FIELDS:
        raise ParseError(where, f"has fields beside {sorted(_FIELDS)}, or lacks one")
    data = _decode(parse_text(obj["submission"], place), place)
    submission = decode_submission(data)
    statement = parse_statement(submission.statement)
    body = statement.body
    if not isinstance(body, Capture):
        raise ParseError(place, "is a statement of another kind than capture")
    try:
        verify_events(submission.events, count=body.count, root=body.root)
        if keys:
            key = keys.get(statement.kid)
            if key is None:
                raise ParseError(place, f"the plan has no key {statement.kid.hex()}")
            verify_signature(statement, key)
    except VerificationError as error:
        raise ParseError(place, str(error)) from None
    for event in submission.events:
        if isinstance(event, WholeEvent):
            parse_event(join_parts(event.parts))
    return Signed(
        kid=statement.kid,
        seq=statement.seq,
        statement_id=statement.id,
        events=body.count,
        submission=data,
    )


def _decode(text: str, place: str) -> bytes:
    if len(text) > 2 * MESSAGE_BYTES_MAX:
        raise ParseError(place, "is too long")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise ParseError(place, f"{text[:60]!r} is no base64url") from None
    if urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ParseError(place, f"{text[:60]!r} is no canonical base64url without padding")
    return data
