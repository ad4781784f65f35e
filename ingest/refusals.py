"""What the ledger refused, as the gateway's own message: a hole that nobody else could name.

A statement that the ledger does not take for good is *parked*, and what its key signed after
it waits behind it. The events in them are in no answer. Whoever has a key that the ledger
still takes can say so: the gateway for a device whose key was suspended, and the gateway's next
key for the one before. It keeps in its own inbox, once for each of these statements,

    $refused  {"party":"https://…/417/…","kid":"3b6a…","first":7,"last":9,"why":"…",
               "places":[["urn:epc:id:sgln:…",from_us,to_us,12]]}

and tells of a gap at each place of these events, between the first and the last of them, with
how many they are. What has no place, or is at one place too many, is told of at the party.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ingest.drafts import Notice
from ingest.watch import QUARANTINE
from ledger.disclosure import decode_submission, shown_parts, withheld
from ledger.epcis.event import join_parts, parse_event
from ledger.errors import ParseError
from ledger.statement import parse_statement

PLACES_MAX = 200
PLACE_CHARS_MAX = 500
_WHEN = 3  # the part of an event with its time, FORMATS section 1
_WHY_CHARS = 300
_KID_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A statement with events that the ledger does not take; `why` is of its key's first."""

    id: int
    kid: bytes
    seq: int
    why: str
    submission: bytes


class RefusedMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's own message of statements of one key that the ledger does not take."""

    party: str
    kid: str
    first: int
    last: int
    why: str
    places: list[tuple[str, int, int, int]]


def issuer_of(submission: bytes) -> str | None:
    """Return who signed, None where the submission cannot be read."""
    try:
        return parse_statement(decode_submission(submission).statement).iss
    except ParseError:
        return None


def encode_refused(party: str, stuck: Sequence[Stuck]) -> bytes:
    """Return the payload of the message about `stuck`, statements of one key, in order."""
    spans: dict[str, tuple[int, int, int]] = {}
    for one in stuck:
        for place, at_us in _events_of(one.submission):
            # So that no event makes a message that is too long, whatever its places are.
            known = place in spans or len(spans) < PLACES_MAX
            where = place if known and 0 < len(place) <= PLACE_CHARS_MAX else party
            from_us, to_us, count = spans.get(where, (at_us, at_us, 0))
            spans[where] = min(from_us, at_us), max(to_us, at_us), count + 1
    return msgspec.json.encode(
        RefusedMessage(
            party=party,
            kid=stuck[0].kid.hex(),
            first=stuck[0].seq,
            last=stuck[-1].seq,
            why=stuck[0].why[:_WHY_CHARS],
            places=[(place, *span) for place, span in sorted(spans.items())],
        )
    )


def refusal_notices(refused: RefusedMessage) -> list[Notice]:
    """Return what the gateway has to say of them."""
    which = f"{refused.first} to {refused.last} of the key {refused.kid[:_KID_CHARS]}…"
    why = f"the ledger does not take the statements {which}: {refused.why}"
    return [
        Notice(
            party=refused.party,
            source=place,
            what=QUARANTINE,
            from_us=max(from_us, 0),
            to_us=max(to_us, 0),
            count=count,
            why=why,
        )
        for place, from_us, to_us, count in refused.places
    ]


def _events_of(submission: bytes) -> list[tuple[str, int]]:
    """Return place and time of each event that can be read; signed at, if it says no time."""
    found: list[tuple[str, int]] = []
    decoded = decode_submission(submission)
    signed_us = parse_statement(decoded.statement).iat * 1_000_000
    for one in decoded.events:
        try:
            event = parse_event(join_parts(shown_parts(one)), partial=True)
        except ParseError:
            continue
        at_us = signed_us if _WHEN in withheld(one) else event.event_time_us
        found.append((event.read_point or event.biz_location or "", at_us))
    return found
