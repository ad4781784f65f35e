"""The lot of a serialised item, as the event that brings it into being names it.

The lot number is `lotNumber` of the CBV's master data (CBV 2.0, 9.4) in the ilmd of an
event that commissions or makes the item; with the item's GTIN it is the key of a lot.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote

from ledger.epcis.values import Event
from ledger.gs1.epc import canonical_key

_INSTANCE = re.compile(r"(https://id\.gs1\.org/01/\d{14})/21/.+")


def lot_of(key: str, event: Event) -> str | None:
    """Return the lot (01+10) of the instance `key` (01+21) by the ilmd of `event`, or None."""
    if not event.ilmd:
        return None
    match = _INSTANCE.fullmatch(key)
    if match is None:
        return None
    for name, value in event.ilmd.items():
        if name.rpartition(":")[2].rpartition("/")[2] == "lotNumber" and isinstance(value, str):
            return canonical_key(f"{match[1]}/10/{quote(value, safe='')}")
    return None


def lots_named(event: Event) -> Iterator[tuple[str, str]]:
    """Yield (instance, lot) of everything that `event` brings into being with a lot number."""
    if not event.ilmd:
        return
    made = event.epc_list if event.action == "ADD" else ()
    for key in (*made, *event.output_epcs):
        lot = lot_of(key, event)
        if lot is not None:
            yield key, lot
