"""Lists what a bundle discloses, for whoever is about to hand it on.

    40 events of 12 statements, with 9 entries about keys
      0 id     shown in 40, absent in 0, withheld in 0
      5 why    shown in 0, absent in 0, withheld in 40
    things besides the item: 31, as …

What is always shown, and cannot be withheld: who signed each statement, when it was recorded,
how many events it counts, and who enrolled whom.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from ledger.audit.bundle import known_events
from ledger.bundle import Bundle
from ledger.disclosure import shown_parts, withheld
from ledger.entry import parse_entry
from ledger.epcis.parts import PART_NAMES
from ledger.projection import DESTINATION, SOURCE, THING_ROLES, mentions_of
from ledger.provenance.source import KnownEvent
from ledger.statement import parse_statement

EXAMPLES_MAX = 3


@dataclass(slots=True)
class Disclosed:
    """What a bundle names, by kind."""

    parties: set[str] = field(default_factory=set)
    things: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)


def list_disclosures(bundle: Bundle, *, about: str) -> Iterator[str]:
    """Yield lines on what `bundle`, made to answer about the key `about`, discloses."""
    statements = [parse_statement(parse_entry(one.data).statement) for one in bundle.entries]
    holding = {event.index for event in bundle.events}
    issuers = {one.iss for one in statements}
    yield (
        f"{len(bundle.events)} events of {len(holding)} statements, with "
        f"{len(bundle.entries) - len(holding)} entries about keys"
    )
    yield from _part_lines(bundle)
    named = _collect(known_events(bundle), about)
    yield _line("who signed, or enrolled whose key", issuers)
    yield _line("other parties that events name", named.parties - issuers)
    yield _line("things besides the item", named.things)
    yield _line("places", named.places)
    yield _line("business documents", named.documents)
    yield _line("sensors and other devices", named.devices)
    yield "always shown: when each statement was recorded, and how many events it counts"
    if bundle.answer is not None:
        yield f"an answer of {len(bundle.answer)} bytes, worked out from what is shown alone"


def _part_lines(bundle: Bundle) -> Iterator[str]:
    shown: Counter[int] = Counter()
    hidden: Counter[int] = Counter()
    for one in bundle.events:
        hidden.update(withheld(one.event))
        parts = enumerate(shown_parts(one.event))
        shown.update(n for n, part in parts if part is not None)
    for n, name in enumerate(PART_NAMES):
        absent = len(bundle.events) - shown[n] - hidden[n]
        counts = f"shown in {shown[n]}, absent in {absent}, withheld in {hidden[n]}"
        yield f"  {n} {name:<6} {counts}"


def _collect(events: Collection[KnownEvent], about: str) -> Disclosed:
    named = Disclosed()
    for known in events:
        event = known.event
        for key, role in mentions_of(event):
            if role in THING_ROLES and key != about:
                named.things.add(key)
            elif role in (SOURCE, DESTINATION):
                named.parties.add(key)
        places = (event.read_point, event.biz_location)
        named.places.update(place for place in places if place is not None)
        named.documents.update(key for _, key in event.biz_transactions)
        devices = (element.device_id for element in event.sensors)
        named.devices.update(device for device in devices if device is not None)
    return named


def _line(what: str, names: Collection[str]) -> str:
    examples = ", ".join(sorted(names)[:EXAMPLES_MAX])
    more = ", …" if len(names) > EXAMPLES_MAX else ""
    return f"{what}: {len(names)}" + (f", as {examples}{more}" if names else "")
