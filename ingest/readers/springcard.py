"""SpringCard readers: one NFC or HF chip, named by its own serial number.

    {"Interface":"13.56","Protocol":"NFC-A","Template":1,"TagId":"047DAE02C84080",
     "TagData":"00047DAE02C84080","Uptime":"699:16.850"}

Such a chip has no EPC bank: `TagId` is its serial number and is kept as that, never
decoded as an EPC. `Uptime` is no time of day, so the time of receipt stands in.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping

from ingest.readers.fields import parse_hex
from ingest.reads import Sighting


def is_springcard(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is a SpringCard tag event."""
    return "TagId" in obj and ("Protocol" in obj or "Interface" in obj)


def parse_tag(obj: Mapping[str, object], where: str) -> Sighting:
    """Return the chip that was seen, or raise `ParseError`."""
    place = f"{where}.TagId".lstrip(".")
    return Sighting(where=where, hex=parse_hex(obj.get("TagId"), place), bank="uid")
