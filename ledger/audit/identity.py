"""Whether an event is the one that its identity names, and its issuer's to begin (13, 9).

An eventID may be a hash over the event (CBV 2.0, section 8.9): then it is computed again. The
field by which a source cites its evidence was added after that and is left out of the hash
where the hash does not hold with it.

An issuer's key is enrolled with the GS1 company prefixes that it may commission under. A
thing that begins to exist under another prefix is accepted by the log, because the label may
be right and the enrolment too narrow, and is a remark here.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ledger.epcis.event import EVIDENCE_FIELD
from ledger.epcis.event_hash import hash_event
from ledger.errors import ParseError
from ledger.gs1.cbv import canonical_biz_step
from ledger.gs1.epc import canonical_key

_HASHED: Final = "ni:///sha-256"
_COMMISSIONING: Final = "commissioning"
# The digits after these begin with the company prefix, but for one digit in front in some.
_INDICATED: Final = frozenset({"00", "01", "8003"})
_KEY: Final = re.compile(r"https://id\.gs1\.org/([0-9]{2,4})/([0-9]+)")
_BEGUN: Final = ("epcList", "quantityList")
_MADE: Final = ("outputEPCList", "outputQuantityList")


def find_other_identity(event: Mapping[str, object]) -> str | None:
    """Return the hash of `event` if its eventID is another one, else None.

    Of an event that cannot be hashed the reason is returned.
    """
    identity = event.get("eventID")
    if not isinstance(identity, str) or not identity.lower().startswith(_HASHED):
        return None
    computed = ""
    for left_out in ((), (EVIDENCE_FIELD,)):
        try:
            computed = hash_event({k: v for k, v in event.items() if k not in left_out})
        except ParseError as error:
            return str(error)
        if computed == identity:
            return None
    return computed


def find_foreign(event: Mapping[str, object], prefixes: Sequence[str]) -> str | None:
    """Return the first thing that begins under none of `prefixes`, if there are any."""
    if not prefixes:
        return None
    for text in _beginnings(event):
        match = _KEY.match(canonical_key(text))
        if match is None:
            continue
        digits = match[2][1:] if match[1] in _INDICATED else match[2]
        if not digits.startswith(tuple(prefixes)):
            return text
    return None


def _beginnings(event: Mapping[str, object]) -> Iterator[str]:
    step = event.get("bizStep")
    if event.get("type") == "TransformationEvent":
        yield from _named(event, _MADE)
    elif (
        isinstance(step, str)
        and event.get("action") == "ADD"
        and canonical_biz_step(step) == _COMMISSIONING
    ):
        yield from _named(event, _BEGUN)


def _named(event: Mapping[str, object], fields: Sequence[str]) -> Iterator[str]:
    for field in fields:
        items = event.get(field)
        for item in items if isinstance(items, list) else ():
            name = item.get("epcClass") if isinstance(item, dict) else item
            if isinstance(name, str):
                yield name
